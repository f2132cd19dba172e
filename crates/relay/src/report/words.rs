//! The part of a report for people, in English and in French.

use super::{About, Entry, Kind, Language, Returned, bounded, date};

/// The words of one language about one matter.
pub(super) struct Words {
    language: &'static Sentences,
    matter: &'static Matter,
}

/// What is said whatever the report is about.
struct Sentences {
    from: &'static str,
    refused: &'static str,
    expired: &'static str,
    stopped: &'static str,
    late: &'static str,
    until: &'static str,
    relayed: &'static str,
    delivered: &'static str,
    server: &'static str,
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
        let language = match language {
            Language::English => &ENGLISH,
            Language::French => &FRENCH,
        };
        let matter = match about {
            About::Failure => &language.failure,
            About::Delay => &language.delay,
            About::Success => &language.success,
        };
        Self { language, matter }
    }

    pub(super) fn from(&self) -> &'static str {
        self.language.from
    }

    pub(super) fn subject(&self) -> &'static str {
        self.matter.subject
    }

    /// Each recipient, what happened in one sentence, and the server's own words.
    pub(super) fn explain(&self, entries: &[Entry], returned: &Returned<'_>) -> String {
        let words = self.language;
        let mut text = format!("{}\r\n", self.matter.intro);
        for entry in entries {
            text.push_str(&format!("\r\n  {}\r\n    {}\r\n", entry.address.clear(), words.sentence(entry.kind)));
            if let Some(mx) = &entry.mx {
                text.push_str(&format!("    {} {mx}\r\n", words.server));
            }
            text.push_str(&format!("    {}\r\n", bounded(&entry.diagnostic, EXPLAIN_CHARS_MAX)));
            if let Kind::Late { until } = entry.kind {
                text.push_str(&format!("    {} {}\r\n", words.until, date(until).to_rfc822()));
            }
        }
        let attached = match returned {
            Returned::Whole { .. } => words.whole,
            Returned::Header { .. } => words.header,
        };
        text.push_str(&format!("\r\n{attached} {}\r\n", words.outro));
        text
    }
}

impl Sentences {
    fn sentence(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Refused => self.refused,
            Kind::Expired => self.expired,
            Kind::Stopped => self.stopped,
            Kind::Late { .. } => self.late,
            Kind::Relayed => self.relayed,
            Kind::Delivered => self.delivered,
        }
    }
}

const ENGLISH: Sentences = Sentences {
    from: "Mail delivery",
    refused: "The recipient's mail server refused it and said:",
    expired: "It could not be delivered in time; the last trouble was:",
    stopped: "It was not sent:",
    late: "It is still waiting; the last trouble was:",
    until: "Delivery will be tried until:",
    relayed: "It was handed to a server that sends no word about deliveries, and said:",
    delivered: "It was delivered; the server said:",
    server: "Server:",
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
    refused: "Le serveur du destinataire l'a refusé en disant :",
    expired: "Il n'a pas pu être distribué à temps ; dernier incident :",
    stopped: "Il n'a pas été envoyé :",
    late: "Il attend toujours ; dernier incident :",
    until: "Nouveaux essais jusqu'au :",
    relayed: "Il a été remis à un serveur qui n'envoie pas d'accusé de distribution et qui a répondu :",
    delivered: "Il a été distribué ; réponse du serveur :",
    server: "Serveur :",
    header: "L'en-tête de votre message est joint.",
    whole: "Votre message est joint.",
    outro: "Personne ne lit les réponses à ce rapport : adressez-vous à votre postmaster.",
    failure: Matter {
        subject: "Votre message n'a pas pu être distribué",
        intro: "Votre message n'a pas pu être distribué aux destinataires suivants.",
    },
    delay: Matter {
        subject: "Votre message est retardé",
        intro: "Votre message n'a pas encore pu être distribué aux destinataires suivants. \
            Inutile de le renvoyer : les essais continuent, et vous serez averti s'ils échouent définitivement.",
    },
    success: Matter {
        subject: "Votre message a été transmis",
        intro: "Vous avez demandé à savoir ce que devient votre message. \
            Il a quitté ce serveur pour les destinataires suivants.",
    },
};

const EXPLAIN_CHARS_MAX: usize = 2000;
