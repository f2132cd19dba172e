//! Table: the names of columns and keys, the words for reasons, and the lists that both tell apart.

use super::{Format, Reason};

/// What a column, or a key of an object, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Address,
    /// A word for the reason, or the words of a server.
    Reason,
    /// A reply code, an enhanced code, or a word.
    Status,
    /// The words of a server.
    Text,
    /// What happened to a mail: of a log, where most of it is no reason to stop anybody.
    Event,
    Date,
    /// Who asked for it.
    Origin,
    /// The client of somebody who complained.
    Ip,
    /// What somebody unsubscribed from.
    Tags,
    /// Yes or no: is it stopped there?
    Blocked,
    /// Sympa: first bounce, last bounce, how many, status.
    Bounces,
    /// Mailman: so many bounces.
    Score,
    /// Of our own export.
    Tag,
    KeyId,
    Domain,
    Org,
    Stream,
    Strength,
    Ignored,
}

/// The role of a column by its name.
pub(super) fn role(name: &str) -> Role {
    let name = plain(name);
    ROLES.iter().find(|(_, names)| names.contains(&name.as_str())).map_or(Role::Ignored, |(role, _)| *role)
}

/// The reason that a word stands for; none for everything else, such as the words of a server.
pub(super) fn reason(word: &str) -> Option<Reason> {
    if REASON_OCTETS_MAX < word.len() {
        return None;
    }
    let word = plain(word);
    REASONS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(reason, _)| *reason)
}

/// The reason that something which happened to a mail is; none where it stops nobody.
pub(super) fn event(word: &str) -> Option<Reason> {
    if plain(word) == "spam" { Some(Reason::Complaint) } else { reason(word) }
}

/// A word for what is no failure, which some lists have beside their failures.
pub(super) fn is_no_failure(word: &str) -> bool {
    word.len() <= REASON_OCTETS_MAX && NO_FAILURES.contains(&plain(word).as_str())
}

/// Whose list it is, by the names of its columns or keys.
pub(super) fn format(names: &[String]) -> Option<Format> {
    let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    let fits = |signs: &[&str]| signs.iter().all(|sign| has(sign));
    SIGNS.iter().find(|(_, signs)| fits(signs)).map(|(format, _)| *format)
}

/// Lower case, letters and digits only, without accents: `Created At`, `created_at` and `createdAt` are one name.
pub(super) fn plain(name: &str) -> String {
    let fold = |c: char| match c {
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'à' | 'â' => 'a',
        'î' | 'ï' => 'i',
        'ô' => 'o',
        'ç' => 'c',
        c => c,
    };
    name.chars().flat_map(char::to_lowercase).map(fold).filter(char::is_ascii_alphanumeric).collect()
}

const ROLES: &[(Role, &[&str])] = &[
    (
        Role::Address,
        &[
            "email",
            "emailaddress",
            "address",
            "mail",
            "recipient",
            "emailid",
            "adresse",
            "adressemail",
            "adresseemail",
            "adresseelectronique",
            "courriel",
            "destinataire",
            "subscriber",
        ],
    ),
    (Role::Reason, &["reason", "reasoncode", "suppressionreason", "type", "bouncetype", "motif", "raison", "category"]),
    (Role::Event, &["event", "eventtype", "sttext", "evenement"]),
    (Role::Status, &["status", "code", "errorcode", "smtpcode", "bouncecode", "enhanced", "enhancedcode", "statut"]),
    (
        Role::Text,
        &[
            "error",
            "errormessage",
            "message",
            "reasonmessage",
            "bouncereason",
            "details",
            "diagnostic",
            "description",
            "text",
        ],
    ),
    (
        Role::Date,
        &[
            "created",
            "createdat",
            "createdutc",
            "date",
            "timestamp",
            "lastupdatetime",
            "bouncedat",
            "blockedat",
            "blockedon",
            "blacklistedat",
            "unsubscribedat",
            "complainedat",
            "suppressedat",
            "addedat",
            "added",
            "updatedat",
            "lastbouncereceived",
            "lastbounce",
            "time",
            "at",
            "ts",
            "unsubscriptiondate",
            "datededesinscription",
        ],
    ),
    (Role::Origin, &["origin"]),
    (Role::Ip, &["ip", "sourceip"]),
    (Role::Tags, &["tags"]),
    (
        Role::Blocked,
        &["blocklisted", "blacklisted", "emailblacklisted", "emailblocklisted", "blocked", "suppressed", "desinscrit"],
    ),
    (Role::Bounces, &["bounce"]),
    (Role::Score, &["bouncescore"]),
    (Role::Tag, &["tag"]),
    (Role::KeyId, &["keyid"]),
    (Role::Domain, &["domain"]),
    (Role::Org, &["org"]),
    (Role::Stream, &["stream"]),
    (Role::Strength, &["strength"]),
];

const REASONS: &[(Reason, &[&str])] = &[
    (
        Reason::Bounce,
        &[
            "bounce",
            "bounced",
            "bounces",
            "hard",
            "hardbounce",
            "hardbounced",
            "hardbounces",
            "permanent",
            "invalid",
            "invalidemail",
            "invalidemails",
            "bademailaddress",
            "undeliverable",
            "rejetdefinitif",
            "adresseinvalide",
        ],
    ),
    (
        Reason::Complaint,
        &[
            "complaint",
            "complaints",
            "complained",
            "spamcomplaint",
            "spamcomplaints",
            "spamreport",
            "spamreports",
            "contactflaggedasspam",
            "markedasspam",
            "abuse",
            "plainte",
            "signalecommespam",
        ],
    ),
    (
        Reason::Unsubscribe,
        &[
            "unsubscribe",
            "unsubscribed",
            "unsubscribes",
            "unsubscribedviaemail",
            "unsubscribedviama",
            "unsubscribedviaapi",
            "optout",
            "optedout",
            "desinscrit",
            "desinscrite",
            "desinscription",
            "desabonne",
            "desabonnement",
        ],
    ),
    (
        Reason::Listed,
        &[
            "manual",
            "manualsuppression",
            "manuallysuppressed",
            "manuallydeactivated",
            "adminblocked",
            "listed",
            "suppress",
            "suppressed",
            "blocklist",
            "blocklisted",
            "blacklist",
            "blacklisted",
        ],
    ),
    (
        Reason::Soft,
        &[
            "soft",
            "softbounce",
            "softbounced",
            "softbounces",
            "transient",
            "temporary",
            "mailboxfull",
            "dnserror",
            "deferred",
            "boitepleine",
            "rejettemporaire",
            "differe",
            "differee",
        ],
    ),
    (
        Reason::Blocked,
        &[
            "block",
            "blocks",
            "blocked",
            "spamblock",
            // Of Postmark: the server took it for spam; nobody complained.
            "spamnotification",
            "virusnotification",
            "dmarcpolicy",
            "smtpapierror",
            "content",
            "policy",
            "bloque",
            "bloquee",
        ],
    ),
];

/// What happens to mail beside failures, in English and French.
const NO_FAILURES: &[&str] = &[
    "sent",
    "request",
    "requests",
    "requested",
    "processed",
    "accepted",
    "delivered",
    "open",
    "opened",
    "opens",
    "uniqueopened",
    "firstopening",
    "proxyopen",
    "loadedbyproxy",
    "click",
    "clicks",
    "clicked",
    "subscribe",
    "subscribed",
    "active",
    "autoresponder",
    "addresschange",
    "challengeverification",
    "openrelaytest",
    "unconfirmed",
    "envoye",
    "envoyee",
    "delivre",
    "delivree",
    "remis",
    "ouvert",
    "ouverte",
    "premiereouverture",
    "clique",
    "cliquee",
    "actif",
];

/// The first that fits holds; what has many signs stands before what has few.
const SIGNS: &[(Format, &[&str])] = &[
    (Format::Own, &["tag", "keyid", "reason"]),
    (Format::Postmark, &["emailaddress", "suppressionreason"]),
    (Format::Ses, &["emailaddress", "reason"]),
    (Format::Postmark, &["email", "bouncedat", "typecode"]),
    (Format::Brevo, &["email", "sttext"]),
    (Format::Brevo, &["email", "blockedat"]),
    (Format::Brevo, &["email", "blocklisted"]),
    (Format::Brevo, &["email", "emailblacklisted"]),
    (Format::Mailman, &["email", "bouncescore"]),
    (Format::Mailgun, &["address", "createdat"]),
    (Format::Mailgun, &["address", "code", "error"]),
    (Format::Mailgun, &["address", "tags"]),
    (Format::SendGrid, &["email", "created"]),
];

/// No word for a reason is longer; what is longer are the words of a server.
const REASON_OCTETS_MAX: usize = 40;
