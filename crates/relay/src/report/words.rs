//! The part of a report for people, in English and in French.

use mail_parser::{DateTime, HeaderName, MessageParser};

use super::{About, Entry, Holder, Kind, Language, Returned, Said, Whose, bounded, failures};

/// The words of one language about one matter.
pub(super) struct Words {
    language: Language,
    sentences: &'static Sentences,
    matter: &'static Matter,
}

/// What is said whatever the report is about.
struct Sentences {
    from: &'static str,
    subject: &'static str,
    sent: &'static str,
    server: &'static str,
    refused: &'static str,
    refused_onward: &'static str,
    not_sendable: &'static str,
    expired: &'static str,
    stopped: &'static str,
    late: &'static str,
    until: &'static str,
    relayed: &'static str,
    delivered: &'static str,
    held_by_person: &'static str,
    held_by_others: &'static str,
    reported_by_others: &'static str,
    listed: &'static str,
    listed_by_org: &'static str,
    opted_out: &'static str,
    came_back: &'static str,
    held: &'static str,
    header: &'static str,
    whole: &'static str,
    outro: &'static str,
    failure: Matter,
    delay: Matter,
    success: Matter,
}

struct Matter {
    subject: &'static str,
    intro: &'static str,
}

impl Words {
    pub(super) fn of(language: Language, about: About) -> Self {
        let sentences = match language {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        };
        let matter = match about {
            About::Failure => &sentences.failure,
            About::Delay => &sentences.delay,
            About::Success => &sentences.success,
        };
        Self { language, sentences, matter }
    }

    pub(super) fn from(&self) -> &'static str {
        self.sentences.from
    }

    pub(super) fn subject(&self) -> &'static str {
        self.matter.subject
    }

    /// Which mail it is about, each recipient, and what happened: in the server's own words where one spoke.
    pub(super) fn explain(&self, header: &str, sent_at: u64, entries: &[Entry], returned: &Returned<'_>) -> String {
        let words = self.sentences;
        let mut text = format!("{}\r\n\r\n", self.matter.intro);
        if let Some(subject) = subject(header) {
            text.push_str(&format!("{} {subject}\r\n", words.subject));
        }
        text.push_str(&format!("{} {}\r\n", words.sent, self.day_and_time(sent_at)));
        for entry in entries {
            text.push_str(&format!("\r\n  {}\r\n", entry.address.clear()));
            self.happened(entry, &mut text);
            if let Kind::Late { until } = entry.kind {
                text.push_str(&format!("    {} {}\r\n", words.until, self.day_and_time(until)));
            }
        }
        let attached = match returned {
            Returned::Whole { .. } => words.whole,
            Returned::Header { .. } => words.header,
        };
        text.push_str(&format!("\r\n{attached} {}\r\n", words.outro));
        text
    }

    fn happened(&self, entry: &Entry, text: &mut String) {
        if let Some(mx) = entry.said.mx() {
            text.push_str(&format!("    {} {mx}\r\n", self.sentences.server));
        }
        let sentence = self.sentences.sentence(entry);
        match &entry.said {
            Said::Server { text: said, .. } => {
                text.push_str(&format!("    {sentence}\r\n    {}\r\n", bounded(said, EXPLAIN_CHARS_MAX)));
            }
            Said::Failed { failure, .. } => {
                text.push_str(&format!("    {sentence} {}.\r\n", failures::words(*failure, self.language)));
            }
            Said::Held { by, .. } => {
                text.push_str(&format!("    {sentence} {}\r\n", self.sentences.held(*by)));
            }
        }
    }

    /// To the minute, and in UTC: where the reader is, nobody here knows.
    fn day_and_time(&self, at: u64) -> String {
        let at = DateTime::from_timestamp(i64::try_from(at).unwrap_or(i64::MAX).min(YEAR_9999));
        let weekday = usize::from(at.day_of_week()) % 7;
        let month = usize::from(at.month.saturating_sub(1)) % 12;
        let DateTime { year, day, hour, minute, .. } = at;
        match self.language {
            Language::English => {
                format!("{}, {day} {} {year} at {hour:02}:{minute:02} UTC", WEEKDAYS[weekday].0, MONTHS[month].0)
            }
            Language::French => {
                let day = if day == 1 { "1er".to_owned() } else { day.to_string() };
                let (weekday, month) = (WEEKDAYS[weekday].1, MONTHS[month].1);
                format!("{weekday} {day} {month} {year} à {hour}\u{a0}h\u{a0}{minute:02} (UTC)")
            }
        }
    }
}

/// The subject as its reader saw it, encoded words decoded.
fn subject(header: &str) -> Option<String> {
    let parser = MessageParser::new().header_text(HeaderName::Subject).default_header_ignore();
    let message = parser.parse_headers(header.as_bytes())?;
    let subject = bounded(message.subject()?.trim(), SUBJECT_CHARS_MAX);
    (!subject.is_empty()).then_some(subject)
}

impl Sentences {
    fn sentence(&self, entry: &Entry) -> &'static str {
        match (entry.kind, &entry.said) {
            (Kind::Refused, Said::Server { whose: Whose::Recipient, .. }) => self.refused,
            (Kind::Refused, Said::Server { whose: Whose::SmartHost, .. }) => self.refused_onward,
            (Kind::Refused, _) => self.not_sendable,
            (Kind::Expired, _) => self.expired,
            (Kind::Stopped, _) => self.stopped,
            (Kind::Late { .. }, _) => self.late,
            (Kind::Relayed, _) => self.relayed,
            (Kind::Delivered, _) => self.delivered,
        }
    }

    fn held(&self, by: Holder) -> &'static str {
        match by {
            Holder::Person => self.held_by_person,
            Holder::Federation => self.held_by_others,
            Holder::Others => self.reported_by_others,
            Holder::Listed => self.listed,
            Holder::Org => self.listed_by_org,
            Holder::Recipient => self.opted_out,
            Holder::Evidence => self.came_back,
            Holder::Unknown => self.held,
        }
    }
}

const ENGLISH: Sentences = Sentences {
    from: "Mail delivery",
    subject: "Subject:",
    sent: "Sent:",
    server: "Server:",
    refused: "The recipient's mail server refused it and said:",
    refused_onward: "The server that passes on our outgoing mail refused it and said:",
    not_sendable: "It could not be sent:",
    expired: "It could not be delivered in time; the last trouble was:",
    stopped: "It was not sent:",
    late: "It is still waiting; the last trouble was:",
    until: "Delivery will be tried until:",
    relayed: "It was handed to a server that sends no word about deliveries, and said:",
    delivered: "It was delivered; the server said:",
    held_by_person: "an administrator of this server held it, and it was not released in time.",
    held_by_others: "other mail hosters report this address as dead, so it was held, and nobody released it in time.",
    reported_by_others: "other mail hosters report this address as dead.",
    listed: "an administrator of this server has stopped all mail to this address.",
    listed_by_org: "your organisation has stopped mail to this address.",
    opted_out: "the recipient complained about mail of your organisation, or unsubscribed from it.",
    came_back: "earlier mail to this address came back.",
    held: "it was held by this server, and nobody released it in time.",
    header: "The header of your message is attached.",
    whole: "Your message is attached.",
    outro: "Nobody reads answers to this report; please ask your postmaster.",
    failure: Matter {
        subject: "Your message could not be delivered",
        intro: "Your message could not be delivered to the following recipients.",
    },
    delay: Matter {
        subject: "Your message is delayed",
        intro: "Your message has not been delivered yet to the following recipients. \
            You need not send it again: delivery goes on, and you will hear if it fails for good.",
    },
    success: Matter {
        subject: "Your message was passed on",
        intro: "You asked to be told what becomes of your message. It has left this server for the following recipients.",
    },
};

const FRENCH: Sentences = Sentences {
    from: "Distribution du courrier",
    subject: "Objet\u{a0}:",
    sent: "Envoyé le",
    server: "Serveur\u{a0}:",
    refused: "Le serveur du destinataire l’a refusé en disant\u{a0}:",
    refused_onward: "Le serveur qui relaie notre courrier sortant l’a refusé en disant\u{a0}:",
    not_sendable: "Il n’a pas pu être envoyé\u{a0}:",
    expired: "Il n’a pas pu être distribué à temps\u{a0}; dernier incident\u{a0}:",
    stopped: "Il n’a pas été envoyé\u{a0}:",
    late: "Il attend toujours\u{a0}; dernier incident\u{a0}:",
    until: "Nouveaux essais jusqu’au",
    relayed: "Il a été remis à un serveur qui n’envoie pas d’accusé de distribution et qui a répondu\u{a0}:",
    delivered: "Il a été distribué\u{a0}; réponse du serveur\u{a0}:",
    held_by_person: "un administrateur de ce serveur l’a mis en attente et il n’a pas été libéré à temps.",
    held_by_others: "d’autres hébergeurs de messagerie signalent que cette adresse n’existe plus\u{a0}; \
        il a donc été mis en attente et personne ne l’a libéré à temps.",
    reported_by_others: "d’autres hébergeurs de messagerie signalent que cette adresse n’existe plus.",
    listed: "un administrateur de ce serveur a bloqué tout envoi vers cette adresse.",
    listed_by_org: "votre organisation a bloqué les envois vers cette adresse.",
    opted_out: "le destinataire s’est plaint de messages de votre organisation ou s’en est désinscrit.",
    came_back: "des messages précédents à cette adresse sont revenus.",
    held: "il a été mis en attente par ce serveur et personne ne l’a libéré à temps.",
    header: "L’en-tête de votre message est joint.",
    whole: "Votre message est joint.",
    outro: "Personne ne lit les réponses à ce rapport\u{a0}: adressez-vous à votre postmaster.",
    failure: Matter {
        subject: "Votre message n’a pas pu être distribué",
        intro: "Votre message n’a pas pu être distribué aux destinataires suivants.",
    },
    delay: Matter {
        subject: "Votre message est retardé",
        intro: "Votre message n’a pas encore pu être distribué aux destinataires suivants. \
            Inutile de le renvoyer\u{a0}: les essais continuent, et vous serez averti s’ils échouent définitivement.",
    },
    success: Matter {
        subject: "Votre message a été transmis",
        intro: "Vous avez demandé à savoir ce que devient votre message. \
            Il a quitté ce serveur pour les destinataires suivants.",
    },
};

/// English and French, from Sunday on.
const WEEKDAYS: [(&str, &str); 7] = [
    ("Sunday", "dimanche"),
    ("Monday", "lundi"),
    ("Tuesday", "mardi"),
    ("Wednesday", "mercredi"),
    ("Thursday", "jeudi"),
    ("Friday", "vendredi"),
    ("Saturday", "samedi"),
];

const MONTHS: [(&str, &str); 12] = [
    ("January", "janvier"),
    ("February", "février"),
    ("March", "mars"),
    ("April", "avril"),
    ("May", "mai"),
    ("June", "juin"),
    ("July", "juillet"),
    ("August", "août"),
    ("September", "septembre"),
    ("October", "octobre"),
    ("November", "novembre"),
    ("December", "décembre"),
];

const EXPLAIN_CHARS_MAX: usize = 2000;
/// Enough to know the mail by; a subject may be as long as a header.
const SUBJECT_CHARS_MAX: usize = 200;
/// Seconds; later times have years of five digits, which stand for "never".
const YEAR_9999: i64 = 253_402_300_799;
