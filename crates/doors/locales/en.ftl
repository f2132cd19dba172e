# The words of the pages, in English. Each key stands in both files; docs/decisions/0053-words.md says how.

## The status page of a node without accounts
title = Status of the relay
since = Everything is counted since the installation.
nobody = No personal data on this page.
waiting = Waiting for you
waiting-breaker = A provider says “no such user” in bulk, also for addresses that took mail lately; it is not believed
waiting-sender = Senders are blocked because they are unusual, or would be if the watch were to enforce it
waiting-rules = Your rules for replies cannot be used; the ones before them stay
waiting-exit = A way out is paused; mail may wait for it
left = Mail so far
accepted = Accepted from senders
delivered = Delivered
deferred = Attempts deferred
bounced = Given up and reported
dropped = Removed by hand
canary = Let through as a test
report = Reports to senders
why = Why mail was given up
none = None.
cause = Cause
count = Count
cause-address = The address does not exist: hard bounce
cause-mailbox = Mailbox full or switched off
cause-content = The message was refused as unwanted; the address is good
cause-ip = Our IP address is on a blocklist or has a bad reputation
cause-auth = SPF, DKIM or DMARC: a DNS record to repair
cause-rate = Slowed down or made to wait by the recipient’s server
cause-policy = A rule of the recipient’s server
cause-network = Not reached: network, DNS or overload
cause-unknown = Unknown reason
queue = Queue
lane-normal = On its way
lane-slow = Slow lane
lane-held = Waiting for a person
lane-any = all
oldest = Oldest mail
outbox = Results not counted yet
stopped = Stopped before sending
stopped-why = Reason
stop-own-hard = Known here as dead: hard bounce before
stop-imported = Came back elsewhere: from an imported list
stop-own-soft = Failed here again and again
stop-federated = Other nodes reported it as dead
stop-listed = Put on the suppression list by hand
stop-opted-out = The person does not want mail of this sender
light = Real bounces
light-none = Too few sends to judge
light-green = Good: under 0.4%
light-watch = Above the goal of 0.4%
light-amber = Amber: 2% or more; look at the lists of your senders
light-red = Red: 5% or more; providers slow such a sender down
light-stop = Stop: 10% or more; providers block such a sender
of-sends = of all mail delivered or given up

## The public score
score = How well our mail arrives
score-days = The last 30 days, of the whole node.
score-share = Share
score-count = Mails
score-of = Of
score-bounces = Addresses that do not exist
score-complaints = Complaints
score-stopped = Stopped by our list
score-explained = The first is a share of all mail that came to an end; house goal: under 0.4 %. The second is a share of delivered mail, the third of all that was to be sent. Mail that the list stopped is not in the first.
score-signed = The same for programs, signed with the key of this node:
score-key = Fingerprint of the key:
score-unjudged = Too few mails to judge
score-green = Green: as it should be
score-fair = Fair: above the goal, no reason to worry
score-amber = Amber: lists should be cleaned
score-slow = Red: such mail should leave slowly
score-stop = Red: such mail should not leave

## The public page of newsletters
unsubscribe = Unsubscribe
unsubscribe-asks = Do you want no more newsletters of { $org }?
unsubscribe-button = Unsubscribe
unsubscribe-done = Done: you get no more newsletters of { $org }.
unsubscribe-unknown = This link is not valid, or not any more. Nothing was changed. Take the link of a newer mail, or answer to the mail.

## The public page of confirmations
confirm = Get mail again
confirm-form = Is mail to your address stopped, and do you want it again? Then ask here. A mail with a link goes to that address, and to no other.
confirm-address = Your mail address
confirm-org = The organisation whose mail you miss, if you know it
confirm-ask = Ask
confirm-no-address = This is no mail address.
confirm-sent = If mail to this address is stopped here, and nobody has asked within the last week, a mail is on its way to it. It has a link; the page behind it has a button.
confirm-asks = Do you want mail of { $who } at your address again?
confirm-button = Yes, I want it
confirm-done = Done: mail of { $who } comes to you again. Ask its senders to send once more what you have missed.
confirm-unknown = This link is not valid, or not any more. Nothing was changed.

## Counts and the federation
returned = Given up after delivery
complained = Complaints
unsubscribed = Unsubscribed
known = Addresses met before
federation = Federation
fingerprint = Fingerprint of this node:
published = Own events published
received = Events of others
pending = Own events waiting to be published
peers = Peers
no-peers = No peers yet: sm2tp peer invite URL
name = Name
state = State
state-invited = Invited; its administrator has not answered
state-asking = Asks; you have not answered: sm2tp peer accept
state-accepted = Accepted
weight = Weight
read = Read
yes = yes
no = no
polled = Last answer
never = never
trouble = Problem
no-trouble = none
trouble-away = The last try ({ $ago }) failed:
trouble-answered = It answers, but not everything is right:
ago-s = { $n } s ago
ago-m = { $n } min ago
ago-h = { $n } h ago
ago-d = { $n } days ago

## What stands on every page for persons
skip = To the content
menu = Pages
logout = Log out
back = Back
change = Change
screen-overview = Overview
screen-accounts = Accounts
screen-account = My account
screen-login = Log in
open-page = Nobody has an account for the pages of this node yet. On this machine, as the user of the node:

## Login
password = Password
code = Code
code-help = Six digits, if you have set up a second factor; otherwise leave it empty.
login-lost = Password or telephone lost? Whoever has access to the machine gives you another one:
login-wrong = Name, password or code is wrong.
login-wait = { $n ->
    [one] Too many wrong passwords came from your address. Try again in { $shown } minute.
    *[other] Too many wrong passwords came from your address. Try again in { $shown } minutes.
    }
done-logout = You are logged out.

## The overview
today = Today (UTC)
sends-accepted = Accepted from senders
sends-delivered = Delivered
sends-failed = Given up
sends-stopped = Stopped before sending
sends-complained = Complaints
light-days = The last 30 days.
why-today = Why mail was given up today
providers-today = By provider, today
provider = Provider
came-to-end = Came to an end
share-delivered = Of it delivered
light-weeks = Light of 30 days
waiting-peer = Another node asks for a peering
waiting-held = { $n ->
    [one] { $shown } recipient is held until a person decides
    *[other] { $shown } recipients are held until a person decides
    }

## Accounts
role = Role
role-owner = Owner
role-owner-help = Everything: also accounts, peers and settings.
role-operator = Operator
role-operator-help = The daily work for all organisations: queue, senders, suppression.
role-org-administrator = Administrator of an organisation
role-org-administrator-help = The mail of one organisation, and nothing else.
role-read-only = Reader
role-read-only-help = Sees everything and changes nothing.
role-org = Organisation (for its administrator)
last-login = Last login
account-add = Add an account
account-role = Change the role
account-more = Other changes
account-remove = Remove the account
done-account = The account is there.
done-account-role = The role was changed.
done-account-password = The password was changed, and all sessions of the account have ended.
done-account-logout = All sessions of the account have ended.
done-account-removed = The account was removed.
password-change = Change the password
password-now = Present password
password-new = New password
password-again = The same again
password-help = At least 12 characters. Some words in a row are easy to keep in mind.
done-password = Your password was changed; everywhere else you are logged out.
factor = Second factor
factor-on = Beside the password you type a code that your telephone shows.
factor-off = Your password alone opens your account. A code of your telephone beside it stops whoever has found the password out.
factor-begin = Set up a second factor
factor-drop = Switch the second factor off
factor-type = Type this secret into an app for one-time codes (FreeOTP, Aegis and others), type “time-based”:
factor-open = Or, if this is the telephone with the app:
factor-link = Open it there
factor-code = The code that the app shows now
factor-set = Switch it on
done-factor = From now on a code is asked for beside the password.
done-factor-off = The second factor is switched off.
sessions = Sessions
sessions-help = A browser in which you logged in stays logged in for a week at most, and for 12 hours without use.
sessions-end = Log out everywhere

## When something is not done
trouble-form = This form is not of your present session: it was open for too long, or another page sent it. Nothing was changed. Go back, load the page again and send it once more.
trouble-refused = This was not done:
trouble-forbidden = Your role does not allow this. Nothing was changed.
trouble-later = This cannot be done at the moment. Nothing was lost; try again in a minute. The log of the node says why.
trouble-nothing = There is nothing of this name.
trouble-password = The present password is another one. Nothing was changed.
trouble-guesses = Too many wrong passwords. Nothing was changed; wait a few minutes.
trouble-twice = The two new passwords differ. Nothing was changed.
trouble-code = This is not the code of this secret. Look at the clock of the telephone and begin again.

## Suppression
screen-suppression = Suppression
address = Address
for-org = For mail of
any-org = the whole node
search = Look up
suppression-help = Type an address: the page says whether it is written to, why not, who said so, and every way out.
latest = Stopped last
latest-none = No address is stopped.
stream = Kind of mail
stream-personal = personal
stream-transactional = transactional
stream-bulk = bulk
stream-forwarded = forwarded
stream-of-org = as its organisation
decision = Decision
decision-send = is written to
decision-hold = is held for a person
decision-refuse = is not written to
why-head = Why
ways-head = Ways out
why-listed = An administrator put this address on the suppression list.
why-listed-by-org = The organisation put this address on its suppression list.
why-opted-out = The recipient complained about mail of this sender or opted out of it.
why-own-hard = Earlier mail to this address was refused with { $code }, the last time { $at }.
why-no-domain = Its domain does not exist or takes no mail, as the DNS says.
why-imported = Mail to this address came back elsewhere: { $from }.
why-federated = Independent nodes that report this address as dead: { $sources } (score { $score }).
why-federated-domain = Independent nodes that report its domain as dead: { $sources } (score { $score }).
way-time = By itself { $at }.
way-person = By hand, with a note.
way-delivery = By a delivery, of mail that may still try.
way-org = The organisation allows it for its own mail.
way-recipient = The person says so, behind a link that is mailed to her alone.
decide = Decide
decide-node = This holds for mail of all organisations.
decide-org = This holds for mail of { $org } only.
note = Note (why; others will read it)
act-remove = Write to this address again
act-confirm = Ask its owner by mail
act-allow = Write to it whatever others say
act-add = Do not write to this address
done-suppressed = The address is on the suppression list. What waited for it goes back to its senders.
done-allowed = The address is on the allow list.
done-released = The address is written to again.
done-asked = A mail with a link is on its way to the address.
seen-here = What this node saw itself
seen-nothing = No server has told this node anything yet that counts for or against it.
own-delivered = Last delivery
own-hard-first = First refused for good
own-hard-last = Last refused for good
own-soft-last = Last failed for a time
own-soft-days = Days with such failures
by-rule = Understood by rule
last-reply = The server’s words
on-lists = On lists
on-no-list = On no list.
list-suppress = suppression list
list-allow = allow list
list-optout = opted out or complained
list-own-hard = refused by its server
said-by-nodes = What other nodes say
said-by-none = No other node has reported this address.
node = Node
said = Said
when = When
counts-for = Counts for
vote-unknown = a node without a name
class-1 = does not exist
class-2 = took no mail for a long time
class-5 = its domain takes no mail
class-other = something else
left-out-contradicts-itself = left out: this node contradicts itself
left-out-provider-freeze = left out: the provider had an outage then
left-out-doubted-month = left out: much of what this node said in that month is wrong
left-out-quarantine = left out: this node is in quarantine
left-out-too-far = left out: too many hops away
left-out-no-weight = left out: its weight is 0
left-out-expired = left out: too long ago
left-out-own-delivery = left out: this node delivered there lately
send-log = Send log
send-log-empty = Nothing is kept about it.
what = What
server = Server
reply = Reply
domain = Domain
org = Organisation
note-or-reply = Note or reply
kind-accepted = accepted
kind-delivered = delivered
kind-deferred = put off
kind-bounced = given up
kind-returned = came back later
kind-stopped = stopped
kind-stopped-reported = stopped and reported
kind-canary = let through as a test
kind-dropped = removed by hand
kind-report = report to the sender

## Senders
screen-senders = Senders
sender = Sender
sender-find = A login or a sender address
senders-all = Show all senders
senders-unusual = Show the unusual ones only
senders-none = Nobody is slowed down or blocked.
watch-off = The watch is off: nothing is counted.
watch-observe = The watch only looks: what it would slow or block goes on.
watch-learn = The watch slows and blocks; of senders it does not know long enough, shares count and numbers do not yet.
watch-enforce = The watch slows and blocks.
level-normal = as usual
level-slow = slow lane
level-blocked = blocked
by-watch = by the watch
by-person = by a person
org-unusual = All senders of the organisation together are unusual:
release-was = What was strange
was-mended = The cause is removed (password changed, list cleaned)
was-normal = Nothing was wrong: learn it as usual
release-mail = Mail that was held with it
mail-keep = goes on waiting
mail-send = is sent
mail-drop = is removed, and nobody is told
act-release = Release
act-slow = Slow it down
act-block = Block it
done-sender-released = The sender may write as usual again.
done-sender-slow = The sender is in the slow lane.
done-sender-blocked = The sender is blocked.
sender-facts = What is known
wrote-first = First mail
wrote-last = Last mail
known-recipients = Recipients known to it
held-with-it = Held with it
turned-away = Turned away since it is blocked
newcomer = Newcomer
learned-until = Learned from until
campaign = Announced campaign
campaign-left = { $left } to come, until { $until }
networks = Networks it wrote from
networks-none = None known.
network-new = new
counted = Counted
ten-minutes = 10 minutes
an-hour = an hour
a-day = a day
usual = Usual at most
count-mails = Mails
count-asked = Recipients named
count-counted = Of them not announced
count-new = Never written to before
count-elsewhere = From a new network
count-odd-hours = At a strange hour
count-large = Beyond the usual number in one mail
count-suppressed = To suppressed addresses
count-answered = Answered for good
count-delivered = Delivered
count-unknown = Do not exist
count-refused = Refused as unwanted
count-complained = Complaints
changes = Decisions so far
changes-none = None.

## Organisations
screen-orgs = Organisations
orgs-none = No organisation yet.
domains = Sender domains
domains-help = Several apart by spaces. Empty: any domain.
any-domain = any
logins = Logins
login = Login
logins-none = No login yet: nobody can send for this organisation, but programs of the trusted networks.
login-add = Add a login
login-help = A login that there is gets the new password.
no-scram = no SCRAM
limits = Limits
limits-none = No limits.
limit-only-as = sends only as { $addresses }
limit-also-as = may also send as { $addresses }
limit-message-size = at most { $n } octets a message
limit-recipients = at most { $n } recipients a mail
limit-connections = at most { $n } connections
limit-rate-mails = at most { $rate } mails
limit-rate-recipients = at most { $rate } recipients
org-may = What it may do
org-queue = its queue
org-add = Add an organisation
org-change = Change domains and kind of mail
org-remove = Remove the organisation
org-remove-help = Its logins go with it. Mail that it has queued is delivered all the same.
remove = Remove
done-org = The organisation was kept.
done-org-removed = The organisation was removed.
done-login = The login was kept.
done-login-removed = The login was removed.
score-nothing = Nothing has come to an end in the last 30 days.
count-of = { $count } of { $of }

## The queue
screen-queue = Queue
queue-empty = Nothing waits.
mail = Mail
recipient = Recipient
recipient-domain = Domain of the recipient
mail-from = Return path
lane = Lane
attempts = Tries
next-try = Next try
waits-because = Why it waits
note-held = held by a person
note-let-go = released: other nodes do not doubt the address any more
note-released = released by a person
stage-connect = when we connected
stage-ehlo = when we greeted
stage-starttls = when we asked for encryption
stage-mail = when we named the sender
stage-rcpt = when we named the recipient
stage-data = before the message
stage-eod = after the message
stage-dsn = later, in a report
note-federated = { $n ->
    [one] { $shown } other node reports this address as dead
    *[other] { $shown } other nodes report this address as dead
    }
note-federated-domain = { $n ->
    [one] { $shown } other node reports its domain as dead
    *[other] { $shown } other nodes report its domain as dead
    }
note-sender-blocked = its sender is blocked
next-page = Next page
all-these = All of these
act-retry = Try again now
act-hold = Hold
act-let-go = Let held mail go
act-drop = Remove without delivering
act-yes = Yes, do it
sure-retry = Try again now?
sure-hold = Hold until a person decides?
sure-release = Let go what is held?
sure-drop = Remove for good, without a report to the sender?
sure-many = At least { $shown } recipients.
done-queue-retry = It is tried again now.
done-queue-hold = It is held.
done-queue-release = It goes on.
done-queue-drop = It was removed.
envelope = Envelope
received-at = Received
octets = Octets
message-id = Message-ID
stream-known-by = The kind is known by
known-by-login = its login sends such mail
known-by-port = it came in on the port for such mail
known-by-org = its organisation sends such mail
known-by-network = its network sends such mail
known-by-field = its field SM2TP-Stream says so
known-by-list-unsubscribe = it has a field List-Unsubscribe
known-by-list-id = it has a field List-Id
known-by-precedence = its field Precedence says so
known-by-auto-submitted = its field Auto-Submitted says that a program wrote it
known-by-feedback-id = it has a field Feedback-ID, which programs write
known-by-volume = its sender has had many recipients within the last hour
recipients-left = Recipients that wait
mail-gone = This message is not in the queue any more.
mail-life = What became of it
mail-life-none = The send log has nothing about it.
rule-and-exit = Rule, exit
header = Header of the message
waiting-for-address = { $n ->
    [one] { $shown } recipient with this address waits in the queue.
    *[other] { $shown } recipients with this address wait in the queue.
    }
why-own-soft = { $n ->
    [one] The mailbox could not take mail on { $shown } day.
    *[other] The mailbox could not take mail on { $shown } days.
    }
sure-count = { $n ->
    [one] { $shown } recipient.
    *[other] { $shown } recipients.
    }

## The federation
screen-federation = Federation
peers-none = No peers yet.
peer = Peer
peer-invited = invited; its administrator has not answered
peer-asking = asks; you have not answered
peer-accepted = accepted
peer-unread = not read
peer-invite = Invite a node
peer-url = Its address
peer-note = A word to its administrator
peer-invite-help = Its administrator accepts, after the two of you have compared both fingerprints by voice.
peer-accept = Accept
peer-compared = Its administrator and I have read both fingerprints to each other
peer-weight = Weight (0 to 1): how much its own events count
peer-read = Read from it
peer-trust = Change weight and reading
peer-take = Let in what waits
peer-forgive = Let it go on from its next epoch
peer-remove = End the peering
peer-remove-help = Nothing is read from it any more, and it reads nothing here. What it said so far loses its weight.
peer-since = Known since
peer-answered = Last answer
peer-caught-up = Everything read
peer-read-us = Read here last
events-in = Events from it
events-out = Events it took
origins = Nodes behind peers
tag-key-lapses = No tag key of the federation is known for the time after
tag-key-lapses-help = Nothing new is told to others then. The node that founded the federation makes the next key; if it does not come back, a member founds it anew with sm2tp key found.
origins-known = Known
origins-behind = Nodes that came through it
events-behind = Their events
agreement = Agreement with what was seen here
agreement-unknown = not known yet
agreement-agrees = agrees
agreement-quarantine = quarantine: not believed
agreement-counts = { $agreed } confirmed, { $contradicted } contradicted
quarantined-since = In quarantine since
contradicts = It signed two things for one place: it is not read on.
fingerprints = Fingerprints
fingerprint-other = Of the other node
fingerprint-own = Of this node
fingerprints-help = Compare both by voice, on the telephone or at a table, not by mail.
trouble-compare = First compare both fingerprints by voice, and tick the box. Nothing was changed.
done-peer-invited = The invitation is sent.
done-peer-accepted = The peering is made.
done-peer-weighed = It was changed.
done-peer-taken = What waited was let in.
done-peer-forgiven = It goes on from its next epoch.
done-peer-removed = The peering has ended.

## Alerts
screen-alerts = Alerts
alerts-open = Wrong now
alerts-none = Nothing is wrong, as far as this node knows.
alerts-over = Was wrong
alerts-told = Who is told
alerts-nobody = Nobody: [alerts] in the configuration names neither an address nor a webhook.
alerts-test = Send a test
done-alert-test = A test is on its way to everybody who would be told.
trouble-not-told = The test was not taken everywhere:
not-taken = Not taken by webhooks
since-head = Since
until-head = Until
breakers = Providers that are not believed
breaker-forget = The provider erred: forget these refusals
breaker-believe = The provider was right: count them
done-breaker-forgotten = What was set aside is forgotten.
done-breaker-believed = What was set aside counts.

## Audit log, settings, DNS
screen-audit = Audit log
audit-help = Who changed what, for 400 days. Recipients stand in it as tags, as everywhere.
audit-none = Nothing was changed yet.
audit-person = on the pages
audit-token = a program
audit-command-line = command line
did-queue-retry = tried mail again
did-queue-hold = held mail
did-queue-release = let held mail go
did-queue-drop = removed mail from the queue
did-erase = erased what is kept of an address
did-suppress-add = put an address on the suppression list
did-suppress-allow = put an address on the allow list
did-suppress-remove = took an address off the lists
did-suppress-confirm = asked a recipient
did-suppress-import = took a list over
did-exports-write = had the lists written as files
did-log-import = had an old log counted
did-sender-decide = decided about a sender
did-sender-announce = announced a campaign
did-org-add = added or changed an organisation
did-org-remove = removed an organisation
did-org-login = added a login, or changed its password
did-org-import = took logins over
did-org-logout = removed a login
did-org-returns = changed what becomes of bounces
did-org-suppression = changed when mail is stopped
did-org-limits = changed limits
did-peer-invite = invited a node
did-peer-accept = accepted a peer
did-peer-trust = changed what a peer counts
did-peer-remove = ended a peering
did-key = changed the keys of the node
did-dkim-new = made DKIM keys
did-dkim-rotate = made new DKIM keys that replace others
did-dkim-remove = removed a DKIM key
did-exit-pause = paused a way out
did-exit-resume = resumed a way out
did-ledger-rebuild = had the tables made again
did-alerts-test = had a test alert sent
did-breaker-decide = decided about a provider
did-replay-replies = had old answers read again
did-report-take = handed in a report
did-webhook-new = added a webhook
did-webhook-remove = removed a webhook
did-webhook-redeliver = had a webhook called again
did-token-new = made a token
did-token-revoke = revoked a token
did-account-add = added a person
did-account-password = gave a person another password
did-account-role = changed a role
did-account-factor-off = took a second factor away
did-account-logout = ended all sessions of a person
did-account-remove = removed a person
did-own-password = changed the own password
did-own-factor-on = switched the own second factor on
did-own-factor-off = switched the own second factor off
did-test-mail = sent a test mail
who = Who
about = About
screen-settings = Settings
settings-help = Settings stand in the configuration file of the node; this page shows them and changes none.
settings-first = The node
setting = Setting
value = Value
source = Source
source-file = the file
source-default = default
source-none = not set
setting-example = for example
screen-dns = DNS
dns-help = Copy these records into the zones of your domains. SPF and DMARC are proposals: a record that is there may say more.
dns-own = This machine
dns-address = Its name leads to it
dns-reverse = Each of its addresses has its name (ask who rents it to you)
dns-exits = each address that mail leaves from
dns-returns = Mail that comes back leads here
dns-no-domain = No sender domain yet: organisations have them.
dns-no-key = No key signs mail of this domain (DKIM).
dns-dkim = DKIM: the key ({ $state })
dns-spf = SPF: who sends for this domain
dns-dmarc = DMARC: what others do with forgeries
dns-incoming = Mail that comes to this domain
dns-incoming-help = This is for the servers that take its mail, not for this node. They tell others to use TLS, and ask for reports.
dns-tlsrpt = TLSRPT: others report how TLS went
dns-mta-sts = MTA-STS: others use TLS with a known certificate, or do not send
sts-now = The policy now
sts-late = Its web server has not answered within some seconds; sm2tp doctor waits longer.
sts-silent = The DNS does not answer.
sts-absent = There is no record: whoever sends to this domain may be led astray or made to send in the clear.
sts-broken = There are several records, or one without an id: they count as none.
sts-no-host = The record is there, and the web server of the policy has no address.
sts-unfetched = The policy cannot be fetched, so whoever sends to this domain has none.
sts-off = The policy says that there is none any more (mode none).
sts-others-enforced = These servers take the mail and are not in the policy, so they get none from who goes by it: { $hosts }.
sts-others-testing = These servers take the mail and are not in the policy: { $hosts }. It is being tested, so mail still comes.
sts-testing = It is there and names all servers, for a test: nobody is held to it yet.
sts-fine = It is there, is in force and names all servers.
dns-each-mx = each server of its MX record
dkim-waiting = signs later
dkim-signing = signs
dkim-retired = signs no more; keep its record for now
dns-check = Ask the DNS now
dns-equal = It is there.
dns-other = There is another one
dns-missing = It is not there.
dns-no-answer = The DNS does not answer
parked = { $n ->
    [one] { $shown } event waits, because it is more than usual.
    *[other] { $shown } events wait, because that is more than usual.
    }
breaker-parked = { $n ->
    [one] { $shown } refusal is set aside.
    *[other] { $shown } refusals are set aside.
    }

## Figures
screen-figures = Figures
span = Time
show = Show
figures-all = Mail that came to an end, and mail that was stopped
as-table = The same as a table
figures-providers = Delivered, by provider and day
figures-of-providers = Over weeks, and as a curve
figures-none = Nothing was sent to a known provider in this time.
of-mails = { $n ->
    [one] of { $shown } mail
    *[other] of { $shown } mails
    }
span-days = { $n ->
    [one] { $shown } day
    *[other] { $shown } days
    }

## Programs: tokens and webhooks
screen-programs = Programs
programs-help = What other programs may do here, and which of them are told what became of mail.
tokens = Tokens
tokens-none = No program has a token yet.
token-may = May
token-made-head = Made
token-ends = Ends
token-rate = at most { $rate } requests
token-revoke = Revoke
token-new = Make a token
token-name = What program it is for
more = More
scopes-mail = hand in mail
scopes-follow = hand in mail and see what became of it
scopes-watch = look after the node: figures, queue, alerts
scopes-all = whatever the role may
scopes-own = Other scopes, instead of the choice above
scopes-help = Words such as the field shows, apart by spaces; docs/api.md has them all.
token-login = A login whose mail it hands in
token-days = Days until it ends; empty: it does not
token-how = How programs use it, and all that they can do:
secret-once = This secret is shown once
secret-kept = I have kept it
token-made = Copy it into the program now, which sends it in the field Authorization, behind the word Bearer. The node keeps only what it needs to know it again; whoever loses it makes another.
webhook-made = Give it to the program that is called: it checks the signature of each call with it (standardwebhooks.com).
done-token-revoked = The token is revoked.
webhooks = Webhooks
webhooks-help = A program with an address of its own is called when something became of a mail.
webhook-new = Tell a program
webhook-url = Its address (https)
webhook-events = It is told
webhook-waiting = Waiting
webhook-dead = Not taken
webhook-gone = It said that it wants no more.
webhook-redeliver = Deliver again
done-webhook-removed = The webhook is removed.
done-webhook-redelivered = It is called again.
event-delivered = delivered
event-deferred = deferred
event-bounced = bounced
event-complained = complaint
event-suppressed = stopped by a list
dead-help = What the program did not take in the time that it had. It is kept for a week.
dead-none = It took everything.
redeliver-all = Deliver all of it again
webhook-lost = { $n ->
    [one] { $shown } more was left out, because too many waited
    *[other] { $shown } more were left out, because too many waited
    }

## The live tail
screen-tail = Live
tail-help = What happens, as it happens. Recipients are shown as their domain alone; nothing of it is kept.
tail-reload = Look again
tail-pause = Pause
tail-go = Go on
tail-live = New lines come by themselves.
tail-away = The node does not answer; it is asked again.
tail-skipped = Too fast to show; lines that went by:
tail-none = Nothing has happened since somebody looks here.

## Ways out
screen-exits = Ways out
exits-help = From where mail leaves, and how well it is taken there: the last 30 days.
exits-none = Nothing has left this node yet.
exit = Way out
exit-addresses = Leaves from
exit-address = Address
exit-system = the address that the system chooses
exit-hello = Says of itself (EHLO)
exit-gone = The configuration does not have it any more.
exit-fine = Nobody refuses it at the moment.
exit-refused = Refused at the moment
exit-refuses-now = refuses it
exit-last = the last one
exit-removal = Ask for removal
exit-no-link = The answer names no page for removal. Look for the provider’s postmaster page.
exit-is-paused = Paused
exit-pause = Pause it
exit-pause-help = No mail leaves by it until you resume it, not even after a restart. Mail that may use another way out takes that one; the rest waits, and no attempt is counted.
exit-pause-act = Let nothing leave by it
exit-resume = Resume
done-exit-paused = Nothing leaves by it any more; what is on a connection goes on.
done-exit-resumed = Mail leaves by it again.
other-providers = All others
sites = Servers that mail waits for
sites-none = No mail waits for a server, and no connection is open.
site-hosts = Servers
site-waiting = Waiting
site-connections = Connections
site-paused = Left alone until
site-shut = until its way out is resumed
block-lists = Block lists
block-lists-help = Asking tells their operators that this node asks, so nobody asks by itself.
block-lists-ask = Ask the usual block lists now
block-lists-none = There is no address to ask about: the system or a smart host chooses it.
block-list = Block list
list-listed = listed
list-fine = not listed
list-refuses = does not answer us
exit-refusals = { $n ->
    [one] { $shown } refusal
    *[other] { $shown } refusals without a yes in between
    }

## Queue, more
queue-sums = For whom it waits, and why
first-try = its first try has not come yet
found-none = No mail with this Message-ID was taken here, or the send log does not have it any more.

## Limits of organisations
limits-change = Change limits
limits-help = An empty field sets no limit. What the configuration says for everybody holds besides.
limits-of-org = All of { $org } together
limits-of-login = The login { $login }
limits-set = Set these limits
set-message-size = Octets of a message
set-recipients = Recipients of a mail
set-connections = Connections at a time
set-rate-mails = Mails in a time
set-rate-recipients = Recipients in a time
set-addresses = Sender addresses besides the domains
set-own-only = It may use its own addresses only
done-limits = The limits were changed.
trouble-limit = A limit is a whole number; a rate is a number and a time, such as 500/h, 20/min or 2000/d. Nothing was changed.

## Lists as files
list-files = Import and export lists
import = Import
import-help = Lists of other programs: Amazon SES, SendGrid, Mailgun, Postmark, Brevo, Sympa, Mailman, or one address a line. What it is, is seen from it. Longer than 8 MB: sm2tp suppress import.
import-file = A file
import-pasted = or its text
import-reason = Why they are on it
import-reason-said = the list says it
import-try = Only say what would become of it
import-would = What would become of it
import-did = What became of it
import-broke-off = It broke off; what was taken before stays:
import-read = Entries read
import-taken = Taken
import-known = There already
import-left = Left out
import-first = The first of them
reason-listed = put there by hand
reason-bounce = mail came back
reason-complaint = they complained
reason-unsubscribe = they unsubscribed
leave-soft = the mailbox was full or off for a while, which says nothing for good
leave-blocked = the message was refused, or its sender: that says nothing of the address
leave-unsaid = the list does not say why: choose it above
leave-no-org = a complaint or an unsubscription is about one organisation: choose it above
leave-unknown-org = its organisation does not exist here
leave-delivered-since = mail was delivered to it since
leave-allowed = on the allow list of this node
leave-future = its date lies in the future
leave-expired = so old that it has expired
leave-foreign-key = a tag of another node
leave-no-normal-form = no address that mail could go to
leave-too-long = longer than any entry of a list
leave-open-quote = a quote that does not end
leave-nul = no text
leave-json = broken JSON; nothing behind it can be read
leave-cut = the list ends in the middle of it
leave-no-address = no address in it
leave-address = no address that mail goes to
leave-date = a date that is not understood
leave-tag = a tag, a key or a domain that no node writes
leave-not-stopped = the list says that this address is still written to
leave-event = what happened stops nobody (sent, delivered, opened …), or is a word that is not known
export = Export
export-help = The list of this node as a table. It has tags, not addresses: the node keeps none. Another node with the same tag key can import it.
export-csv = Download as CSV

## The map
map = Who told us what
map-help = The wider a line, the more events came by it.
map-own = this node
map-through = Came through
map-directly = itself
map-left-out = { $n ->
    [one] { $shown } node is not drawn.
    *[other] { $shown } nodes are not drawn.
    }

## The second factor, more
factor-scan = Scan this with an application for one-time codes (FreeOTP, Aegis and others):
factor-code-picture = QR code of the secret below

## The first run
screen-start = First steps
setup-first = Welcome
setup-first-help = Nobody has an account for these pages yet. The first one is the owner’s: yours.
setup-code = Code of this node
setup-code-help = Only who may read the node’s files has it. On the machine:
setup-begin = Make my account
setup-wrong-code = This is not the code.
setup-in-browser = Or in this browser:
done-first-account = Welcome. Three steps are left.
step-org = Who sends
step-org-help = Mail always belongs to an organisation, with the domains that stand behind the @ of its senders.
step-domain = Domain of its senders
step-dns = What the DNS must say
step-dns-later = First name an organisation and its domain.
step-dns-help = A key signs the mail, and the records let others check it.
step-dns-records = records to copy
step-key = Make a key
step-test = A test mail to yourself
step-test-later = First name an organisation and its domain.
step-test-help = It goes the way that all mail goes. Best to an address at a large provider: there you see whether it lands in the inbox.
test-from = From
test-to = To
test-send = Send the test mail
test-no-door = This node takes no mail: its configuration has no [smtp] or no [http] that knows it.
test-no-org = No organisation has the domain of this sender address. Nothing was sent.
test-subject = Test mail of { $host }
test-text = This is the test mail that you asked for on the pages of { $host }. If it lies in your inbox, everything works. If it lies in the folder for unwanted mail, look at the page of the DNS once more.
test-delivered = The recipient’s server took it. Now look into your mailbox.
test-deferred = The server said “later”; it is tried again by itself.
test-under-way = It is under way.
test-failed = It was not taken.
test-again = Look again
done-key = The key is made. Copy its record into the DNS.
start-first = No organisation yet: first steps
start-test = Send yourself a test mail

## Settings, more
settings-own = Set on the pages or by command
settings-own-none = Nothing is set for an organisation or a login.
source-database = the database

## What a change was about, in the audit log (control/line.rs)
about-name = { $name }
about-of = { $name }: { $what }
about-and = { $before }, { $next }
about-recipient = { $tag } at { $domain }
about-no-tag = somebody at { $domain }
about-no-address = no address
about-an-address = an address
about-stream-only = { $recipient }, { $stream } only
about-entries = { $count } entries, { $from }
about-results = { $count } results, { $from }
about-logins = { $count } logins
about-mail = mail { $mail }
about-all-mail = all mail
about-mail-for = all mail for { $domain }
about-mail-in = all mail, { $lane }
about-mail-for-in = all mail for { $domain }, { $lane }
about-slow = { $name }: slow
about-block = { $name }: blocked
about-released = { $name }: released, { $was }, { $waiting }
about-mended = the cause is removed
about-normal = nothing was wrong
about-keep = held mail goes on waiting
about-send = held mail goes
about-drop = held mail is removed
about-announced = { $name }: { $count } recipients until { $until }
about-domains = domains { $domains }
about-stream = { $stream } mail
about-return-path = return path: { $to }
about-sender = the sender’s
about-node = this node’s
about-unsubscribe = unsubscribing by one click: { $is }
about-on = on
about-off = off
about-contact = another contact
about-no-contact = no contact
about-as-node = as the node has it
about-setting = { $name } = { $value }
about-limit = { $name }: { $value }
about-unlimited = { $name }: no limit
about-addresses = addresses: { $count }
about-own-addresses = its own addresses only
about-all-addresses = all addresses of the organisation
about-person = { $name }: { $role }
about-person-of = { $name }: { $role } ({ $org })
about-weight = weight { $weight }
about-read = it is read
about-unread = it is not read
about-taken = what waited comes in
about-forgiven = forgiven
about-note = { $name }: { $note }
about-log-key = a new log key in { $seconds } s
about-revoked = the log key is revoked
about-revoked-after = the log key is revoked after { $segment }
about-tag-key = a new tag key in { $seconds } s
about-founded = a federation is founded
about-joined = the federation of tag key { $key } is joined
about-key-to = the node key goes to { $file }
about-key-from = the node key comes from { $file }
about-descriptor = a signed descriptor
about-selector = { $domain } { $selector }
about-selectors = { $domain }, next selectors
about-token = { $name }: { $role }, { $scopes }
about-verdict = { $name }: { $verdict }
about-believe = believed
about-forget = its refusals are forgotten
