//! Table: the recipient domains of the demonstration, their servers, and what these say.
//!
//! Domains are made up. Host names are those of real providers, because the rules that read a reply are keyed on them;
//! the demonstration's own DNS gives them addresses on loopback.

use super::words::Words::{self, Corpus, Known};

/// One recipient domain.
#[derive(Debug)]
pub struct Provider {
    pub domain: &'static str,
    /// Its MX, best first; empty: the domain does not exist.
    pub hosts: &'static [&'static str],
    pub manner: Manner,
    /// Mailboxes that take mail.
    pub people: usize,
    /// Addresses that newsletters still have and the server no longer.
    pub dead: usize,
    /// Mailboxes that exist and are full.
    pub full: usize,
    /// What is said to an address that does not exist.
    pub unknown: Words,
    /// What is said where the mailbox is full.
    pub overquota: Words,
    /// What is said after the message, when it looks like spam.
    pub spam: Words,
}

/// How the servers of a domain behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Prompt,
    /// Thinks about each message for a while.
    Slow,
    /// Tells everyone to come back.
    Greylisting,
    /// Its port is closed when the day begins.
    DownAtFirst,
    /// Where the senders live: reports are read there.
    Home,
    /// There is no server: no such domain, or a null MX.
    Nobody,
}

/// The domain of the senders of node A and of node B.
pub const HOME_A: &str = "asso-a.example";
pub const HOME_B: &str = "asso-b.example";
/// As an MX, it says that a domain takes no mail (RFC 7505).
pub const NULL_MX: &str = ".";

const POSTFIX_UNKNOWN: Words = Corpus("lhost-mfilter-02.eml#1");
const POSTFIX_FULL: Words = Corpus("lhost-x3-06.eml#1");
const POSTFIX_SPAM: Words = Corpus("go-incl-56");

/// Fewer than a tenth of a provider's addresses are dead: more in one hour, and other nodes believe that the provider
/// is out of order, not the addresses (`FEDERATION.md` §8.3).
pub const PROVIDERS: &[Provider] = &[
    Provider {
        domain: "gmail.example",
        hosts: &["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"],
        people: 260,
        dead: 17,
        full: 2,
        unknown: Corpus("rhost-google-02.eml#1"),
        overquota: Corpus("sfm-29"),
        spam: Corpus("for-google.go-78"),
        ..ORDINARY
    },
    Provider {
        domain: "orange.example",
        hosts: &["smtp-in.orange.fr"],
        people: 150,
        dead: 11,
        unknown: Corpus("fr-0"),
        spam: Corpus("fr-3"),
        ..ORDINARY
    },
    Provider {
        domain: "wanadoo.example",
        hosts: &["smtp-in.orange.fr"],
        people: 60,
        dead: 4,
        unknown: Corpus("fr-0"),
        spam: Corpus("rhost-franceptt-03.eml#1"),
        ..ORDINARY
    },
    Provider {
        domain: "laposte.example",
        hosts: &["smtpz4.laposte.net"],
        people: 110,
        dead: 8,
        unknown: Corpus("fr-23"),
        // Not in the corpus; the best-known answer of La Poste's filter, which is final whatever it says.
        spam: Known(
            "550 5.5.0 Service refuse. Veuillez essayer plus tard. service refused, please try later. LPN007_510",
        ),
        ..ORDINARY
    },
    Provider {
        domain: "free.example",
        hosts: &["mx1.free.fr", "mx2.free.fr"],
        people: 110,
        dead: 9,
        full: 2,
        unknown: Corpus("fr-46"),
        overquota: Corpus("fr-47"),
        spam: Known("550 spam detected"),
        ..ORDINARY
    },
    Provider {
        domain: "sfr.example",
        hosts: &["smtp-in.sfr.fr"],
        people: 70,
        dead: 5,
        unknown: Corpus("fr-50"),
        ..ORDINARY
    },
    Provider {
        domain: "outlook.example",
        hosts: &["outlook-com.olc.protection.outlook.com"],
        people: 90,
        dead: 4,
        unknown: Corpus("sfm-60"),
        ..ORDINARY
    },
    Provider {
        domain: "yahoo.example",
        hosts: &["mta5.am0.yahoodns.net"],
        people: 70,
        dead: 4,
        full: 1,
        unknown: Corpus("sfm-129"),
        overquota: Corpus("lhost-yahoo-08.eml#1"),
        spam: Corpus("sfm-132"),
        ..ORDINARY
    },
    Provider {
        domain: "mairie.example",
        hosts: &["mx.mairie.example"],
        manner: Manner::Slow,
        people: 30,
        dead: 2,
        unknown: Corpus("lhost-amavis-01.eml#1"),
        ..ORDINARY
    },
    Provider {
        domain: "lycee.example",
        hosts: &["mx.lycee.example"],
        manner: Manner::Greylisting,
        people: 24,
        dead: 2,
        ..ORDINARY
    },
    Provider {
        domain: "coop.example",
        hosts: &["mx.coop.example"],
        manner: Manner::DownAtFirst,
        people: 24,
        dead: 2,
        ..ORDINARY
    },
    Provider {
        domain: "amis.test",
        hosts: &["mx1.amis.test", "mx2.amis.test"],
        people: 30,
        dead: 2,
        full: 1,
        ..ORDINARY
    },
    Provider { domain: "disparu.example", manner: Manner::Nobody, dead: 3, ..ORDINARY },
    Provider { domain: "sans-courrier.test", hosts: &[NULL_MX], manner: Manner::Nobody, dead: 2, ..ORDINARY },
    Provider { domain: HOME_A, hosts: &["mail.asso-a.example"], manner: Manner::Home, ..ORDINARY },
    Provider { domain: HOME_B, hosts: &["mail.asso-b.example"], manner: Manner::Home, ..ORDINARY },
];

/// A small Postfix.
const ORDINARY: Provider = Provider {
    domain: "",
    hosts: &[],
    manner: Manner::Prompt,
    people: 0,
    dead: 0,
    full: 0,
    unknown: POSTFIX_UNKNOWN,
    overquota: POSTFIX_FULL,
    spam: POSTFIX_SPAM,
};

/// What a greylisting server says at the first attempt: the words of Postgrey.
pub const GREYLISTED: Words =
    Known("450 4.2.0 <x@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/");

/// The provider of a domain.
#[must_use]
pub fn of(domain: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.domain == domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sm2tp_federation::publish;
    use sm2tp_federation::record::Class;
    use sm2tp_proto::Reply;
    use sm2tp_rules::classify::{Classifier, Said};
    use sm2tp_rules::{Cause, Outcome, Stage};

    fn classify(classifier: &Classifier, provider: &Provider, words: Words, stage: Stage) -> Outcome {
        let reply = Reply::parse(&words.to("jean.petit@x.example")).unwrap();
        let mx = provider.hosts.first().copied();
        let said = Said { stage: Some(stage), mx, code: Some(reply.code), enhanced: reply.enhanced, text: &reply.text };
        classifier.classify(&said)
    }

    #[test]
    fn every_server_is_understood() {
        let classifier = Classifier::shipped();
        for provider in PROVIDERS.iter().filter(|provider| 0 < provider.people) {
            let unknown = classify(&classifier, provider, provider.unknown, Stage::Rcpt);
            assert_eq!(unknown.cause, Cause::Address, "{} {unknown:?}", provider.domain);
            assert_eq!(publish::class(&unknown), Some(Class::HARD), "{} {unknown:?}", provider.domain);
            let full = classify(&classifier, provider, provider.overquota, Stage::Rcpt);
            assert_eq!(full.cause, Cause::Mailbox, "{} {full:?}", provider.domain);
            let spam = classify(&classifier, provider, provider.spam, Stage::Eod);
            assert_eq!(spam.cause, Cause::Content, "{} {spam:?}", provider.domain);
        }
    }

    #[test]
    fn no_provider_looks_out_of_order() {
        for provider in PROVIDERS.iter().filter(|provider| 20 <= provider.people) {
            assert!(provider.dead * 11 < provider.people, "{}", provider.domain);
        }
    }
}
