//! Table: all operations of `/api/v1`.

use super::operation::{
    After, Operation, account_add, account_factor_off, account_logout, account_password, account_remove, account_role,
    block, delete, dkim_remove, dkim_rotate, entry, exit, get, hashed, import, key_export, key_import, key_rotate,
    key_show, key_tag, limits, mail, noted, patch, peer, post, providers, put, queue, release, returns, rules,
    rules_unchanged, same, sender, senders, slow, those, token, trust, unchanged, webhook,
};
use super::schema::Schema::{Any, Flag, List, Map, Number, Object, Text, Whole, Word};
use super::schema::{Field, Schema, clears, may, must};

/// Every operation, in the order of the document.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/me", "whoAmI", "The token that asks: its role, organisation and scopes.").one(TOKEN),
    // Mail that is handed in.
    post("/mails", "sendMail", "Hand in a mail in parts. 202 is said when it is on stable storage.")
        .scope("mail:write")
        .takes_mail(MAIL_PARTS, &[KEY])
        .one(TAKEN),
    post("/mails/raw", "sendMessage", "Hand in a message of RFC 5322 as it is.")
        .scope("mail:write")
        .takes_message(&[
            must("Mail-From", Text(400), "The return path; <> for none."),
            must(
                "Rcpt-To",
                Text(8000),
                "Recipients, apart by commas, or in several fields; a request's head has 16 KiB.",
            ),
            may("Mail-Stream", Text(20), "personal, transactional, bulk or forwarded."),
            may("Mail-Org", Text(255), "The organisation, for a token of none."),
            KEY,
        ])
        .one(TAKEN),
    get("/tail", "tail", "What happens, as Server-Sent Events; `skipped` tells how many lines went by.")
        .scope("tail:read")
        .query(&[ORG])
        .tails(&[may("Last-Event-ID", Text(20), "The last line that was seen.")]),
    get("/webhooks", "listWebhooks", "Programs that are told what becomes of mail.")
        .scope("webhooks:read")
        .query(&[ORG, LIMIT, CURSOR])
        .asks("webhook-list", same)
        .page(None, WEBHOOK, After::Fields(&["org", "id"])),
    post("/webhooks", "newWebhook", "Tell a program; its secret is in the answer, and shown once.")
        .scope("webhooks:write")
        .takes(&[
            must("org", Text(255), "The organisation whose mail it is about."),
            must("url", Text(1000), "https://shop.example.org/mail-events"),
            may(
                "events",
                List(&Word(&["delivered", "deferred", "bounced", "complained", "suppressed"]), 5),
                "All of them where none is named.",
            ),
        ])
        .asks("webhook-new", webhook)
        .one(Object(&[must("secret", Text(200), ""), must("webhook", WEBHOOK, "")])),
    delete("/webhooks/{id}", "removeWebhook", "Remove a webhook with what waits for it.")
        .scope("webhooks:write")
        .at(&[ID])
        .asks("webhook-remove", same),
    get("/webhooks/{id}/dead", "listDeadEvents", "What a webhook did not take; it is kept for a week.")
        .scope("webhooks:read")
        .at(&[ID])
        .query(&[LIMIT, CURSOR])
        .asks("webhook-dead", same)
        .page(None, Map, After::Line),
    post("/webhooks/{id}/redeliver", "redeliver", "Let a webhook be called again with what it did not take.")
        .scope("webhooks:write")
        .at(&[ID])
        .takes(&[may("event", Whole(1, i64::MAX as u64), "Only this one.")])
        .asks("webhook-redeliver", same),
    // Addresses.
    post("/explain", "explain", "Why an address is written to or not, and every way out.")
        .scope("suppression:read")
        .takes(&[ADDRESS, ORG, STREAM])
        .asks("explain", same),
    get("/suppressions", "listSuppressions", "What is not written to, page by page. Addresses are kept as tags.")
        .scope("suppression:read")
        .query(&[ORG, CURSOR])
        .asks("suppress-export", same)
        .page(Some("entries"), SUPPRESSION, After::Told),
    post("/suppressions", "addSuppression", "Do not write to an address any more; what waits for it goes back.")
        .scope("suppression:write")
        .takes(ENTRY)
        .asks("suppress-add", entry),
    post("/suppressions/allow", "allowAddress", "Write to an address whatever is known of it.")
        .scope("suppression:write")
        .takes(ENTRY)
        .asks("suppress-allow", entry),
    post("/suppressions/remove", "removeSuppression", "Write to an address again.")
        .scope("suppression:write")
        .takes(ENTRY)
        .asks("suppress-remove", entry),
    post("/suppressions/confirm", "confirmAddress", "Ask the recipient by mail whether mail is wanted again.")
        .scope("suppression:write")
        .takes(&[ADDRESS, ORG])
        .asks("suppress-confirm", same),
    post("/suppressions/import", "importSuppressions", "Take a batch of the list of another program.")
        .scope("suppression:write")
        .takes_much(IMPORT)
        .asks("suppress-import", import),
    // Mail that waits.
    get("/queue", "listQueue", "Recipients that wait.")
        .scope("queue:read")
        .query(&[DOMAIN, ORG, LANE, LIMIT, CURSOR])
        .asks("queue-list", queue)
        .page(None, QUEUED, After::Recipient),
    get("/queue/sums", "sumQueue", "What waits, added up by recipient domain and by organisation, and why.")
        .scope("queue:read")
        .query(&[ORG])
        .asks("queue-sums", same),
    get("/sites", "listSites", "The sites that mail is for, with their connections and pauses.")
        .scope("queue:read")
        .asks("site-list", same)
        .one(List(&Map, 100)),
    post("/mails/find", "findMail", "Mails with a Message-ID, as long as the send log has them.")
        .scope("queue:read")
        .takes(&[must("message_id", Text(1000), "As the header has it."), ORG])
        .asks("queue-find", same)
        .one(List(&Map, 50)),
    get("/mails/{mail}/log", "showLife", "What became of a mail: each attempt with its answer, the first one first.")
        .scope("queue:read")
        .at(&[MAIL])
        .query(&[must("since", TIME, "When it was accepted, as findMail says it, or a time before it."), ORG])
        .asks("queue-log", same)
        .one(List(&Map, 2000)),
    get("/queue/{mail}", "showMail", "One mail: envelope, what is left to do, and its header.")
        .scope("queue:read")
        .at(&[MAIL])
        .asks("queue-show", same),
    post("/queue/retry", "retryMails", "Try mail again now.")
        .scope("queue:write")
        .takes(THOSE)
        .asks("queue-retry", those)
        .one(CHANGED),
    post("/queue/hold", "holdMails", "Keep mail until a person releases it.")
        .scope("queue:write")
        .takes(THOSE)
        .asks("queue-hold", those)
        .one(CHANGED),
    post("/queue/release", "releaseMails", "Let held mail go.")
        .scope("senders:write")
        .takes(THOSE)
        .asks("queue-release", those)
        .one(CHANGED),
    post("/queue/drop", "dropMails", "Remove mail without delivering it; no report is sent.")
        .scope("queue:write")
        .takes(THOSE)
        .asks("queue-drop", those)
        .one(CHANGED),
    post("/queue/{mail}/retry", "retryMail", "Try one mail again now.")
        .scope("queue:write")
        .at(&[MAIL])
        .asks("queue-retry", mail)
        .one(CHANGED),
    post("/queue/{mail}/hold", "holdMail", "Keep one mail until a person releases it.")
        .scope("queue:write")
        .at(&[MAIL])
        .asks("queue-hold", mail)
        .one(CHANGED),
    post("/queue/{mail}/release", "releaseMail", "Let one held mail go.")
        .scope("senders:write")
        .at(&[MAIL])
        .asks("queue-release", mail)
        .one(CHANGED),
    post("/queue/{mail}/drop", "dropMail", "Remove one mail without delivering it; no report is sent.")
        .scope("queue:write")
        .at(&[MAIL])
        .asks("queue-drop", mail)
        .one(CHANGED),
    // Senders and organisations.
    get("/senders", "listSenders", "Senders that are slow or blocked, with the reasons; with all=true, every one.")
        .scope("senders:read")
        .query(&[may("all", Flag, "Also those that are normal."), LIMIT, CURSOR])
        .asks("sender-list", senders)
        .page(Some("senders"), SENDER, After::Fields(&["org", "sender"])),
    get("/senders/{org}/{sender}", "showSender", "The evidence about one sender.")
        .scope("senders:read")
        .at(SENDER_PATH)
        .asks("sender-show", sender),
    post("/senders/{org}/{sender}/slow", "slowSender", "Send its mail to one recipient a minute.")
        .scope("senders:write")
        .at(SENDER_PATH)
        .takes(&[NOTE])
        .asks("sender-decide", slow),
    post("/senders/{org}/{sender}/block", "blockSender", "Take no mail of it, and hold what waits.")
        .scope("senders:write")
        .at(SENDER_PATH)
        .takes(&[NOTE])
        .asks("sender-decide", block),
    post("/senders/{org}/{sender}/release", "releaseSender", "Let a sender go on, when its evidence was looked at.")
        .scope("senders:write")
        .at(SENDER_PATH)
        .takes(&[
            must("was", Word(&["mended", "normal"]), "Whether the cause is removed, or nothing was wrong."),
            may("waiting", Word(&["keep", "send", "drop"]), "What becomes of its mail that was held."),
            NOTE,
        ])
        .asks("sender-decide", release),
    post("/senders/{org}/{sender}/announce", "announceCampaign", "Say that a sender will write to many.")
        .scope("senders:write")
        .at(SENDER_PATH)
        .takes(&[
            must("recipients", Whole(1, u32::MAX as u64), "How many."),
            must("until", TIME, "Unix seconds, 31 days from now at most."),
            NOTE,
        ])
        .asks("sender-announce", noted),
    get("/orgs", "listOrgs", "Organisations with their domains, limits, logins and scores.")
        .scope("orgs:read")
        .query(&[LIMIT, CURSOR])
        .asks("org-list", same)
        .page(None, ORG_LISTED, After::Fields(&["name"])),
    put("/orgs/{name}", "putOrg", "Add an organisation, or change its domains or stream.")
        .scope("orgs:write")
        .at(&[NAME])
        .takes(&[may("domains", List(&Text(255), 1000), "Sender domains; an empty list: any."), STREAM])
        .asks("org-add", same),
    delete("/orgs/{name}", "removeOrg", "Remove an organisation with its logins and tokens.")
        .scope("orgs:write")
        .at(&[NAME])
        .asks("org-remove", same),
    put("/orgs/{org}/logins/{login}", "putLogin", "Add a login, or change its password and stream.")
        .scope("logins:write")
        .at(&[must("org", Text(255), ""), must("login", Text(255), "")])
        .takes(&[must("password", Text(1000), "At least 8 octets."), STREAM])
        .asks("org-login", same),
    post("/orgs/{org}/hashed-logins", "importLogins", "Add logins with passwords that another program hashed.")
        .scope("logins:write")
        .at(&[must("org", Text(255), "")])
        .takes_much(&[must("logins", List(&HASHED, 2000), "Those that there are stay as they are."), STREAM])
        .asks("org-import", hashed),
    delete("/logins/{login}", "removeLogin", "Remove a login.")
        .scope("logins:write")
        .at(&[must("login", Text(255), "")])
        .asks("org-logout", same),
    get("/orgs/{name}/limits", "showLimits", "What an organisation, or one of its logins, may do.")
        .scope("orgs:read")
        .at(&[NAME])
        .query(&[LOGIN])
        .asks("org-limits", unchanged),
    patch("/orgs/{name}/limits", "changeLimits", "Change limits; null takes one away, what is not named stays.")
        .scope("orgs:write")
        .at(&[NAME])
        .query(&[LOGIN])
        .takes(&[
            clears("addresses", List(&Text(320), 1000), "Sender addresses besides the domains."),
            may("own_addresses_only", Flag, "Of a login: its own addresses only."),
            clears("message_size", Whole(1, u32::MAX as u64), "Octets of one message."),
            clears("recipients", Whole(1, 1_000_000), "Of one mail."),
            clears("rate_mails", Text(40), "500/h, 20/min, 2000/d."),
            clears("rate_recipients", Text(40), "Of all mails together."),
            clears("connections", Whole(1, 1_000_000), "At a time."),
        ])
        .asks("org-limits", limits),
    get("/orgs/{name}/returns", "showReturns", "What becomes of mail of an organisation that comes back.")
        .scope("returns:read")
        .at(&[NAME])
        .asks("org-returns", unchanged),
    patch("/orgs/{name}/returns", "changeReturns", "Change that; what is not named stays.")
        .scope("returns:write")
        .at(&[NAME])
        .takes(&[
            may("return_path", Word(&["sender", "node"]), "Whose address is the return path."),
            may("unsubscribe", Word(&["on", "off"]), "Links to unsubscribe in bulk mail."),
            clears("contact", Text(320), "Who is told of complaints; null: nobody."),
        ])
        .asks("org-returns", returns),
    get("/orgs/{name}/suppression", "showRules", "By which numbers mail of an organisation is stopped.")
        .scope("orgs:read")
        .at(&[NAME])
        .asks("org-suppression", rules_unchanged),
    patch("/orgs/{name}/suppression", "changeRules", "Change them; what is not named stays.")
        .scope("orgs:write")
        .at(&[NAME])
        .takes(RULES)
        .asks("org-suppression", rules),
    // The node.
    get("/stats", "showStats", "What became of the mail of some days, and the score that it gives.")
        .scope("stats:read")
        .query(&[ORG, DAYS])
        .asks("stats", same),
    get("/stats/overview", "showOverview", "What the first page shows: today, and the light of the last weeks.")
        .scope("stats:read")
        .query(&[ORG])
        .asks("overview", same),
    get("/stats/providers", "statsOfProviders", "The same for each provider, day by day.")
        .scope("stats:read")
        .query(&[ORG, DAYS])
        .asks("stats-providers", providers)
        .one(List(&Map, 10_000)),
    get("/exits", "listExits", "Ways out: what left by them, how it was taken, who refuses them.")
        .scope("alerts:read")
        .asks("exit-list", same),
    post("/exits/{exit}/pause", "pauseExit", "Let no more mail leave by a way out, over restarts too.")
        .scope("queue:write")
        .at(&[EXIT])
        .takes(&[NOTE])
        .asks("exit-pause", exit),
    post("/exits/{exit}/resume", "resumeExit", "Let mail leave by it again.")
        .scope("queue:write")
        .at(&[EXIT])
        .asks("exit-resume", same),
    get("/settings", "listSettings", "Settings with their source: the file, the default, or a person.")
        .scope("settings:read")
        .asks("setting-list", same)
        .one(List(&Map, 100_000)),
    post("/stats/address", "statsOfAddress", "What is counted of one address.")
        .scope("stats:read")
        .takes(&[ADDRESS])
        .asks("stats-of", same),
    get("/evidence", "showEvidence", "What suppression and the federation were worth.")
        .scope("stats:read")
        .query(&[ORG, DAYS])
        .asks("evidence", same),
    get("/alerts", "listAlerts", "What is wrong now, what was, and what webhooks did not take.")
        .scope("alerts:read")
        .asks("alerts-list", same),
    post("/alerts/test", "testAlerts", "Send a test to everybody who would be told.")
        .scope("alerts:write")
        .asks("alerts-test", same)
        .one(Any),
    get("/breakers", "listBreakers", "Providers that say \"no such user\" in bulk and are not believed.")
        .scope("ledger:read")
        .query(&[LIMIT, CURSOR])
        .asks("breaker-list", same)
        .page(None, Map, After::Fields(&["provider"])),
    post("/breakers/{provider}", "decideBreaker", "Say whether a provider erred.")
        .scope("ledger:write")
        .at(&[must("provider", Text(100), "")])
        .takes(&[must("verdict", Word(&["forget", "believe"]), "It erred, or it was right.")])
        .asks("breaker-decide", same),
    get("/replies/unknown", "listUnknownReplies", "Replies that no rule knew, by their shape; nobody is in them.")
        .scope("ledger:read")
        .asks("unknown-replies", same),
    post("/replies/replay", "replayReplies", "Read the answers in the send log again by the rules of today.")
        .scope("ledger:write")
        .takes(&[must("mode", Word(&["show", "apply"]), "Only say what would change, or record it.")])
        .asks("replay-replies", same),
    post("/ledger/rebuild", "rebuildLedger", "Make every table of counters and addresses again.")
        .scope("ledger:write")
        .asks("ledger-rebuild", same),
    get("/ledger/progress", "showProgress", "How far that is; null where it does not run.")
        .scope("ledger:read")
        .asks("ledger-progress", same)
        .one(Any),
    post("/exports", "writeExports", "Write the files of lists that [exports] names.")
        .scope("ledger:write")
        .asks("exports-write", same)
        .one(Any),
    post(
        "/logs",
        "importLog",
        "Count the results of an old log of another mail server: its whole lines, oldest first.",
    )
    .scope("ledger:write")
    .query(&[
        must("format", Word(&["postfix", "exim"]), "What wrote it."),
        must("log", Text(500), "Which log it is: its path where [logs] follows it, or a name of your own for it."),
        may("stream", Word(&["personal", "transactional", "bulk", "forwarded"]), "Of logins that are not known."),
        may("smarthost", Text(255), "The host that took all of its mail, if one did."),
        may("offset_s", Number(-86_400.0, 86_400.0), "Seconds east of Greenwich, for times without a zone."),
        may("latest", TIME, "When its last line was written, for times without a year; now where it is not named."),
    ])
    .takes_log()
    .one(Object(&[
        must("lines", Whole(0, u64::MAX), ""),
        must("taken", Whole(0, u64::MAX), "Results that were counted."),
        must("known", Whole(0, u64::MAX), "Results that were counted before."),
        must("overtaken", Whole(0, u64::MAX), "Results that are older than what is known of their address."),
    ])),
    post("/erase", "eraseAddress", "What is kept of an address, or its removal (docs/privacy-today.md).")
        .scope("ledger:write")
        .takes(&[ADDRESS, must("erasing", Word(&["look", "erase"]), "Only say what there is, or remove it for ever.")])
        .asks("erase", same),
    post("/reports", "takeReport", "Take a bounce or a complaint that came as a mail.")
        .scope("ledger:write")
        .takes_much(&[
            must("content", Text(2_000_000), "The mail, in base64."),
            may("recipient", Text(320), "The address that it came to."),
        ])
        .asks("report-take", same),
    get("/audit", "listAudit", "Who changed what, the latest first.")
        .scope("audit:read")
        .query(&[ORG, LIMIT, CURSOR])
        .asks("audit-list", same)
        .page(None, AUDITED, After::Line),
    // Other nodes, keys, tokens.
    get("/peers", "listPeers", "Other nodes with which keys were exchanged, and those behind them.")
        .scope("peers:read")
        .asks("peer-list", same),
    post("/peers", "invitePeer", "Ask the administrator of another node for a peering.")
        .scope("peers:write")
        .takes(&[
            must("url", Text(500), "https://relay.example.org"),
            may("note", Text(500), "A word to the other administrator."),
            WEIGHT,
            READ,
        ])
        .asks("peer-invite", peer),
    get("/peers/{who}", "showPeer", "One peer, or one that asks.")
        .scope("peers:read")
        .at(&[WHO])
        .asks("peer-show", same),
    post("/peers/{who}/accept", "acceptPeer", "Accept the request of another node, whose fingerprint was compared.")
        .scope("peers:write")
        .at(&[WHO])
        .takes(&[WEIGHT, READ])
        .asks("peer-accept", peer),
    post("/peers/{who}/trust", "trustPeer", "Change what a peer may, or let an origin go on that was stopped.")
        .scope("peers:write")
        .at(&[WHO])
        .takes(&[
            WEIGHT,
            READ,
            may("take", Word(&["take-parked", "forgive"]), "What waits may come in; or it begins again."),
        ])
        .asks("peer-trust", trust),
    delete("/peers/{who}", "removePeer", "End a peering.").scope("peers:write").at(&[WHO]).asks("peer-remove", same),
    get("/dkim", "listDkim", "Keys that sign mail, with their records; the secret halves are shown to nobody.")
        .scope("dkim:read")
        .query(&[DOMAIN, LIMIT, CURSOR])
        .asks("dkim-list", same)
        .page(None, Map, After::Fields(&["domain", "selector"])),
    post("/dkim", "newDkim", "Make keys for a domain, or take over one that there is.")
        .scope("dkim:write")
        .takes(&[
            must("domain", Text(255), ""),
            may("selector", Text(63), ""),
            may("algorithm", Word(&["rsa", "ed25519"]), "Both where none is named."),
            may("pem", Text(20_000), "A private key to take over."),
        ])
        .asks("dkim-new", same)
        .one(List(&Map, 100)),
    post("/dkim/{domain}/rotate", "rotateDkim", "Make keys that replace those of a domain after a wait.")
        .scope("dkim:write")
        .at(&[must("domain", Text(255), "")])
        .takes(&[
            may("selector", Text(63), ""),
            may("wait_s", Whole(0, 31_536_000), "Seconds until they sign; two days where none is named."),
        ])
        .asks("dkim-rotate", dkim_rotate)
        .one(List(&Map, 100)),
    delete("/dkim/{domain}/{selector}", "removeDkim", "Remove a key with its file.")
        .scope("dkim:write")
        .at(&[must("domain", Text(255), ""), must("selector", Text(63), "")])
        .query(&[may("which", Word(&["unused", "any"]), "any: also one that signs now.")])
        .asks("dkim-remove", dkim_remove),
    get("/key", "showKey", "The keys of the node: who it is, and under which it signs and makes tags.")
        .scope("peers:read")
        .asks("key", key_show),
    post("/key/rotate", "rotateLogKey", "Make a new key that signs segments after a wait.")
        .scope("peers:write")
        .takes(&[WAIT])
        .asks("key", key_rotate),
    post("/key/tag", "rotateTagKey", "Make a new key of tags, under which is published after a wait.")
        .scope("peers:write")
        .takes(&[WAIT])
        .asks("key", key_tag),
    get("/key/unsigned", "exportDescriptor", "What a node key that is elsewhere is to sign, in base64.")
        .scope("peers:read")
        .query(&[may("retired", Flag, "Instead, the last descriptor: signed and taken, it closes the node for ever.")])
        .asks("key", key_export)
        .one(Object(&[must("payload", Text(200_000), "As sm2tp key sign takes it.")])),
    post(
        "/key/descriptor",
        "importDescriptor",
        "Take a descriptor that was signed: of this node, or of one known here.",
    )
    .scope("peers:write")
    .takes(&[must("descriptor", Text(60_000), "What sm2tp key sign printed.")])
    .asks("key", key_import),
    get("/accounts", "listAccounts", "Persons who use the pages.")
        .scope("persons:read")
        .query(&[LIMIT, CURSOR])
        .asks("account-list", same)
        .page(None, ACCOUNT, After::Fields(&["name"])),
    post("/accounts", "addAccount", "Add a person.")
        .scope("persons:write")
        .takes(&[must("name", Text(100), ""), ROLE, ROLE_ORG, PASSWORD])
        .asks("account", account_add)
        .one(ACCOUNT),
    put("/accounts/{name}/role", "setAccountRole", "Give a person another role.")
        .scope("persons:write")
        .at(&[ACCOUNT_NAME])
        .takes(&[ROLE, ROLE_ORG])
        .asks("account", account_role)
        .one(ACCOUNT),
    put("/accounts/{name}/password", "setAccountPassword", "Give a person another password; all its sessions end.")
        .scope("persons:write")
        .at(&[ACCOUNT_NAME])
        .takes(&[PASSWORD])
        .asks("account", account_password)
        .one(ACCOUNT),
    delete("/accounts/{name}/factor", "dropAccountFactor", "Take the second factor of a person away.")
        .scope("persons:write")
        .at(&[ACCOUNT_NAME])
        .asks("account", account_factor_off)
        .one(ACCOUNT),
    delete("/accounts/{name}/sessions", "endAccountSessions", "End all sessions of a person.")
        .scope("persons:write")
        .at(&[ACCOUNT_NAME])
        .asks("account", account_logout)
        .one(ACCOUNT),
    delete("/accounts/{name}", "removeAccount", "Remove a person.")
        .scope("persons:write")
        .at(&[ACCOUNT_NAME])
        .asks("account", account_remove),
    get("/tokens", "listTokens", "Tokens without their secrets.")
        .scope("tokens:read")
        .query(&[LIMIT, CURSOR])
        .asks("token-list", same)
        .page(None, TOKEN, After::Fields(&["name", "id"])),
    post("/tokens", "newToken", "Make a token; its secret is in the answer, and nowhere else.")
        .scope("tokens:write")
        .takes(&[
            must("name", Text(100), "What program gets it."),
            must("role", Word(&["owner", "operator", "org-administrator", "read-only"]), ""),
            may("org", Text(255), "Of an org-administrator."),
            must("scopes", Text(1000), "all, or words like queue:read mail:write."),
            may("login", Text(255), "Whose mail it hands in."),
            may("rate", Text(40), "Requests in a time, 6000/min where none is named."),
            may("expires_at", TIME, "Unix seconds."),
        ])
        .asks("token-new", token)
        .one(Object(&[must("secret", Text(200), "Shown once."), must("token", TOKEN, "")])),
    delete("/tokens/{id}", "revokeToken", "End a token, at once.")
        .scope("tokens:write")
        .at(&[must("id", Text(100), "")])
        .asks("token-revoke", same),
];

const EXIT: Field = must("exit", Text(100), "As the configuration names it.");
const ID: Field = must("id", Text(100), "");
const HASHED: Schema =
    Object(&[must("login", Text(255), ""), must("hash", Text(1000), "{SCHEME}hash, as Dovecot has it.")]);
const WAIT: Field = may("wait_s", Whole(0, 31_536_000), "Seconds; two days where none is named.");
const ACCOUNT_NAME: Field = must("name", Text(100), "");
const ROLE: Field = must("role", Word(&["owner", "operator", "org-administrator", "read-only"]), "");
const ROLE_ORG: Field = may("org", Text(255), "Of an org-administrator.");
const PASSWORD: Field = must("password", Text(1024), "At least 12 characters.");
const ACCOUNT: Schema = Object(&[
    must("name", Text(100), ""),
    must("role", Text(40), ""),
    may("org", Text(255), ""),
    must("second_factor", Flag, ""),
    must("added_at", TIME, ""),
    may("last_login_at", TIME, ""),
]);
const WEBHOOK: Schema = Object(&[
    must("id", Text(20), ""),
    must("org", Text(255), ""),
    must("url", Text(1000), ""),
    must("events", List(&Text(20), 5), ""),
    must("made_at", TIME, ""),
    must("waiting", Whole(0, u64::MAX), "Events that wait."),
    must("dead", Whole(0, u64::MAX), "Events that it did not take."),
    must("lost", Whole(0, u64::MAX), "Events that were left out because too many waited."),
    must("gone", Flag, "It said that it wants no more."),
]);
const KEY: Field =
    may("Idempotency-Key", Text(255), "The same request with the same key is done once in a day, and answered alike.");
const MAIL_PARTS: &[Field] = &[
    must("from", Text(400), "anna@asso.example, or Anna <anna@asso.example>."),
    may("to", List(&Text(400), 1000), ""),
    may("cc", List(&Text(400), 1000), ""),
    may("bcc", List(&Text(400), 1000), "They get the mail, and stand nowhere in it."),
    may("reply_to", Text(400), ""),
    may("subject", Text(2000), ""),
    may("text", Text(16_777_216), ""),
    may("html", Text(16_777_216), ""),
    may(
        "headers",
        List(&Object(&[must("name", Text(76), ""), must("value", Text(4000), "")]), 100),
        "Fields of your own, such as X-Shop or List-Unsubscribe.",
    ),
    may(
        "attachments",
        List(
            &Object(&[
                must("name", Text(255), ""),
                may("type", Text(100), "application/octet-stream where it is not named."),
                must("content", Text(16_777_216), "In base64."),
                may("content_id", Text(100), "For a picture that the HTML shows."),
            ]),
            100,
        ),
        "",
    ),
    may("mail_from", Text(400), "The return path, where it is not from."),
    STREAM,
    may("org", Text(255), "The organisation, for a token of none."),
];
const TAKEN: Schema = Object(&[
    must("mail", Whole(0, u64::MAX), "Its number in the queue."),
    must(
        "recipients",
        List(
            &Object(&[
                must("recipient", Text(400), ""),
                must("status", Word(&["queued", "refused", "later"]), ""),
                may("code", Whole(400, 599), "As SMTP says it."),
                may("enhanced", Text(20), ""),
                may("text", Text(2000), ""),
            ]),
            3000,
        ),
        "",
    ),
]);
const ADDRESS: Field =
    must("address", Text(320), "A clear address; it stands in the body, so that no log of a proxy has it.");
const ORG: Field = may("org", Text(255), "The name of an organisation.");
const STREAM: Field = may("stream", Word(&["personal", "transactional", "bulk", "forwarded"]), "The kind of mail.");
const NOTE: Field = may("note", Text(500), "Why, for those who look later.");
const DOMAIN: Field = may("domain", Text(255), "A domain.");
const LANE: Field = may("lane", Word(&["normal", "slow", "held"]), "");
const LIMIT: Field = may("limit", Whole(1, 1000), "Entries of a page; 100 where it is not named.");
const CURSOR: Field = may("cursor", Text(1000), "The `next` of the page before.");
const MAIL: Field = must("mail", Whole(1, i64::MAX as u64), "The number of a mail.");
const NAME: Field = must("name", Text(255), "The name of an organisation.");
const LOGIN: Field = may("login", Text(255), "A login of it.");
const WHO: Field = must("who", Text(255), "Its host name, name or fingerprint.");
const WEIGHT: Field = may("weight", Number(0.0, 1.0), "How much its own events count.");
const READ: Field = may("read", Flag, "Whether to pull from it.");
const DAYS: Field = may("days", Whole(1, 800), "So many days back; 30 where it is not named.");
const TIME: Schema = Whole(0, 253_402_300_799);
const SENDER_PATH: &[Field] = &[must("org", Text(255), ""), must("sender", Text(320), "")];
const ENTRY: &[Field] = &[ADDRESS, ORG, STREAM, NOTE];
const THOSE: &[Field] = &[DOMAIN, ORG, LANE, may("all", Flag, "The whole queue, where nothing else is named.")];
const IMPORT: &[Field] = &[
    must(
        "from",
        Word(&["plain", "ses", "sendgrid", "mailgun", "postmark", "brevo", "sympa", "mailman", "sm2tp", "csv"]),
        "Whose list it is.",
    ),
    ORG,
    must("mode", Word(&["try", "keep"]), "try: only say what would become of it."),
    must(
        "entries",
        List(
            &Object(&[
                must("who", Map, "{\"address\": …}, or {\"tag\": {\"tag\", \"key_id\", \"domain\"}} of an export."),
                must(
                    "claim",
                    Any,
                    "complaint, unsubscribed, {\"listed\": {\"stream\"}} or {\"bounce\": {\"strength\", …}}.",
                ),
                may("at", TIME, "Unix seconds."),
                ORG,
                may("words", Text(2000), "What a server said."),
            ]),
            1000,
        ),
        "",
    ),
];
const RULES: &[Field] = &[
    may("strict", Text(100), "Streams, apart by commas, or none."),
    may("personal_retry_after_s", SECONDS, ""),
    may("hard_expiry_s", SECONDS, ""),
    may("inactive_recheck_s", SECONDS, ""),
    may("ambiguous_spread_s", SECONDS, ""),
    may("soft_max", Whole(1, 65_535), ""),
    may("soft_window_s", SECONDS, ""),
    may("soft_spread_s", SECONDS, ""),
    may("soft_half_life_s", SECONDS, ""),
    may("complaint", Text(100), "Streams."),
    may("federated", Text(100), "Streams."),
    may("delivery_fresh_s", SECONDS, ""),
    may("newer_sources_min", Whole(1, 1000), ""),
    may("held_score", Number(0.0, 1000.0), ""),
    may("suppressed_score", Number(0.0, 1000.0), ""),
    may("suppressed_sources_min", Whole(1, 1000), ""),
    may("doubtful", Word(&["hold", "refuse", "send"]), ""),
    may("canary_share", Number(0.0, 1.0), ""),
    may("stopped", Word(&["refuse", "report"]), ""),
    may("reset", Flag, "First as the node has it."),
];
const SECONDS: Schema = Whole(0, 3_153_600_000);
const CHANGED: Schema = Object(&[must("changed", Whole(0, u64::MAX), "Recipients.")]);
const QUEUED: Schema = Object(&[
    must("mail", Whole(0, u64::MAX), ""),
    must("recipient", Text(1000), ""),
    must("lane", Text(10), ""),
    must("attempts", Whole(0, u64::MAX), ""),
    must("next_at", TIME, ""),
    must("org", Text(255), ""),
    must("stream", Text(20), ""),
]);
const SUPPRESSION: Schema = Object(&[must("tag", Text(64), ""), must("domain", Text(255), "")]);
const SENDER: Schema =
    Object(&[must("org", Text(255), ""), must("sender", Text(320), ""), must("level", Text(20), "")]);
const ORG_LISTED: Schema = Object(&[must("name", Text(255), ""), must("domains", List(&Text(255), 1000), "")]);
const AUDITED: Schema = Object(&[
    must("id", Whole(0, u64::MAX), ""),
    must("at", TIME, ""),
    must("by_kind", Text(20), ""),
    must("by", Text(500), ""),
    must("what", Text(50), ""),
    may("org", Text(255), ""),
    must("about", Text(500), "In English."),
    may("reason", REASON, "What it is about by key and values, for other languages; not in old lines."),
]);
/// Decision 0076.
const REASON: Schema = Map;
const TOKEN: Schema = Object(&[
    must("id", Text(20), ""),
    must("name", Text(100), ""),
    must("role", Text(20), ""),
    may("org", Text(255), ""),
    must("scopes", Text(2000), ""),
    may("login", Text(255), ""),
    must("rate", Text(40), ""),
    must("made_at", TIME, ""),
    must("made_by", Text(500), ""),
    may("expires_at", TIME, ""),
]);
