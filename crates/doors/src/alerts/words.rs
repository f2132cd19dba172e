//! Table: what an alert says, in English and French, and as JSON for programs.

mod nodes;

use serde_json::{Value, json};
use sm2tp_proto::date;
use sm2tp_rules::alerts::{Finding, Part, Turn};
use sm2tp_store::alerts::Message;

use super::Language;
use crate::http::Lang;
use crate::reason;

/// The subject of a mail.
pub(super) fn subject(hostname: &str, message: &Message, language: Language) -> String {
    let what = match &message.parts[..] {
        [part] => title(part, language),
        parts => match language {
            Language::English => format!("{} alerts", parts.len()),
            Language::French => format!("{} alertes", parts.len()),
        },
    };
    format!("[{hostname}] {what}")
}

/// The text of a mail.
pub(super) fn body(hostname: &str, message: &Message, language: Language) -> String {
    let mut text = String::new();
    for part in &message.parts {
        text.push_str(&paragraph(part, language));
        text.push('\n');
    }
    text.push_str(&match language {
        Language::English => format!(
            "-- \nSM2TP on {hostname}. All that is open: sm2tp alerts list\n\
             What lasts is said once a day; at most ten such mails come in an hour.\n"
        ),
        Language::French => format!(
            "-- \nSM2TP sur {hostname}. Tout ce qui est en cours\u{a0}: sm2tp alerts list\n\
             Ce qui dure est rappelé une fois par jour\u{a0}; au plus dix messages de ce genre par heure.\n"
        ),
    });
    text
}

/// The body of a call: an event as Standard Webhooks have it, with type, time and data.
pub(super) fn event(hostname: &str, message: &Message, language: Language) -> String {
    let data = |part: &Part| {
        json!({
            "node": hostname,
            "turn": part.turn,
            "since": utc(part.opened_at),
            "finding": part.finding,
            "title": title(part, language),
            "text": paragraph(part, language),
        })
    };
    let (kind, data): (String, Value) = match &message.parts[..] {
        [Part { finding: Finding::Test, .. }] => ("alert.test".to_owned(), data(&message.parts[0])),
        [part] => (format!("alert.{}", word(part.turn)), data(part)),
        parts => {
            let all: Vec<Value> = parts.iter().map(data).collect();
            ("alert.digest".to_owned(), json!({ "node": hostname, "alerts": all }))
        }
    };
    json!({ "type": kind, "timestamp": utc(message.at), "data": data }).to_string()
}

/// One line that says it all.
pub(crate) fn title(part: &Part, language: Language) -> String {
    let Words { title, .. } = said(&part.finding, language);
    if part.finding == Finding::Test {
        return title;
    }
    match (language, part.turn) {
        (_, Turn::Opened) => title,
        (Language::English, Turn::Still) => format!("Still: {title}"),
        (Language::English, Turn::Closed) => format!("Over: {title}"),
        (Language::French, Turn::Still) => format!("Toujours\u{a0}: {title}"),
        (Language::French, Turn::Closed) => format!("Terminé\u{a0}: {title}"),
    }
}

/// What it is, and what a person can do, where that is to be said.
pub(super) fn advice(finding: &Finding, language: Language) -> (String, String) {
    let Words { more, todo, .. } = said(finding, language);
    (more, todo)
}

fn said(finding: &Finding, language: Language) -> Words {
    match language {
        Language::English => english(finding),
        Language::French => french(finding),
    }
}

fn paragraph(part: &Part, language: Language) -> String {
    let (more, todo) = advice(&part.finding, language);
    let title = title(part, language);
    if part.finding == Finding::Test {
        return format!("{title}\n{more}\n");
    }
    let since = utc(part.opened_at);
    match (language, part.turn) {
        (Language::English, Turn::Closed) => format!("{title}\nIt began at {since}.\n"),
        (Language::French, Turn::Closed) => format!("{title}\nCela avait commencé le {since}.\n"),
        (Language::English, _) => format!("{title}\nSince {since}. {more}\n{todo}\n"),
        (Language::French, _) => format!("{title}\nDepuis le {since}. {more}\n{todo}\n"),
    }
}

struct Words {
    title: String,
    more: String,
    /// What a person can do.
    todo: String,
}

fn english(finding: &Finding) -> Words {
    let words = |title: String, more: String, todo: String| Words { title, more, todo };
    match finding {
        Finding::BreakerTripped { provider, parked } => words(
            format!("{provider} says \"no such user\" in bulk and is not believed"),
            format!(
                "{parked} refusals are set aside, also of addresses that took mail lately. Such mail waits in the queue."
            ),
            format!(
                "If it errs: sm2tp breaker forget {provider}. If it is right: sm2tp breaker believe {provider}. \
                 Otherwise this ends by itself after two days."
            ),
        ),
        Finding::ExitRefused { exit, provider, count, reply, link } => words(
            format!("{provider} refuses {}", way_out(exit, Language::English)),
            format!("Refused {count} times with no mail taken in between. It says:\n  {reply}"),
            match link {
                Some(link) => format!("See there why, and ask for removal once the cause is gone: {link}"),
                None => "Find out who sent too much or to whom; docs/providers.md says whom to ask.".to_owned(),
            },
        ),
        Finding::DiskLow { free_octets, size_octets } => words(
            "The disk is nearly full".to_owned(),
            format!("{} of {} are free. Below 32 MiB no mail is taken.", size(*free_octets), size(*size_octets)),
            "Make room on the file system of data_dir, or let less mail in.".to_owned(),
        ),
        Finding::CertificateEnds { at } => words(
            "The certificate of the SMTP door is near its end".to_owned(),
            format!("It is valid until {}.", utc(*at)),
            "Whoever renews it has not: look at its log (certbot), or at the node's with [acme].".to_owned(),
        ),
        Finding::PeerSilent { peer, since, trouble, .. } => nodes::silent(peer, *since, trouble.as_deref()),
        Finding::PeerUnusable { peer, trouble, .. } => nodes::unusable(peer, trouble),
        Finding::OriginQuarantined { origin, contradicted, agreed, .. } => {
            nodes::quarantined(origin, *contradicted, *agreed)
        }
        Finding::OriginContradicts { origin, fingerprint } => nodes::contradicts(origin, fingerprint),
        Finding::OriginParked { origin, fingerprint, segments, events, bound } => {
            nodes::parked(origin, fingerprint, (*segments, *events), bound)
        }
        Finding::TagKeyEnds { key_id, at, over: false } => nodes::tag_key_ends(key_id, *at),
        Finding::TagKeyEnds { key_id, at, over: true } => nodes::tag_key_ended(key_id, *at),
        Finding::RulesBroken { detail } => words(
            "Your rules for replies cannot be used".to_owned(),
            format!("The rules before them stay. {detail}"),
            "sm2tp check says where; a mended file is taken within seconds.".to_owned(),
        ),
        Finding::SenderBlocked { org, sender, observed, english, .. } => words(
            match observed {
                true => format!("The sender {sender} of {org} is unusual; its mail goes on"),
                false => format!("The sender {sender} of {org} is blocked"),
            },
            format!("{}.", english.join(".\n")),
            format!(
                "Ask its owner; a stolen password has to be changed. sm2tp sender show {sender} has the evidence, sm2tp \
                 sender release {sender} lets it go on, with --normal if nothing was wrong."
            ),
        ),
        Finding::Test => words(
            "This is a test".to_owned(),
            "Somebody said sm2tp alerts test. Nothing is wrong.".to_owned(),
            String::new(),
        ),
    }
}

fn french(finding: &Finding) -> Words {
    let finding = &with_its_trouble_in_french(finding);
    let words = |title: String, more: String, todo: String| Words { title, more, todo };
    match finding {
        Finding::BreakerTripped { provider, parked } => words(
            format!("{provider} répond «\u{a0}utilisateur inconnu\u{a0}» en masse et n’est pas cru"),
            format!(
                "{parked} refus sont mis de côté, y compris pour des adresses qui recevaient du courrier il y a peu. Les \
                 messages concernés attendent dans la file."
            ),
            format!(
                "S’il se trompe\u{a0}: sm2tp breaker forget {provider}. S’il a raison\u{a0}: sm2tp breaker believe {provider}. \
                 Sinon, cela cesse de soi-même au bout de deux jours."
            ),
        ),
        Finding::ExitRefused { exit, provider, count, reply, link } => words(
            format!("{provider} refuse {}", way_out(exit, Language::French)),
            format!("{count} refus, sans qu’aucun message soit passé entre-temps. Sa réponse\u{a0}:\n  {reply}"),
            match link {
                Some(link) => {
                    format!(
                        "Cette page dit pourquoi\u{a0}; demandez le retrait une fois la cause disparue\u{a0}: {link}"
                    )
                }
                None => {
                    "Cherchez qui a trop envoyé, et à qui\u{a0}; docs/providers.md dit à qui s’adresser.".to_owned()
                }
            },
        ),
        Finding::DiskLow { free_octets, size_octets } => words(
            "Le disque est presque plein".to_owned(),
            format!(
                "Il reste {} sur {}. En dessous de 32 Mio, plus aucun message n’est accepté.",
                size(*free_octets).replace('B', "o"),
                size(*size_octets).replace('B', "o")
            ),
            "Faites de la place sur le système de fichiers de data_dir, ou laissez entrer moins de courrier."
                .to_owned(),
        ),
        Finding::CertificateEnds { at } => words(
            "Le certificat de la porte SMTP arrive à expiration".to_owned(),
            format!("Il est valable jusqu’au {}.", utc(*at)),
            "Le renouvellement n’a pas eu lieu\u{a0}: voyez le journal de certbot, ou celui du nœud avec [acme]."
                .to_owned(),
        ),
        Finding::PeerSilent { peer, since, trouble, .. } => nodes::silent_in_french(peer, *since, trouble.as_deref()),
        Finding::PeerUnusable { peer, trouble, .. } => nodes::unusable_in_french(peer, trouble),
        Finding::OriginQuarantined { origin, contradicted, agreed, .. } => {
            nodes::quarantined_in_french(origin, *contradicted, *agreed)
        }
        Finding::OriginContradicts { origin, fingerprint } => nodes::contradicts_in_french(origin, fingerprint),
        Finding::OriginParked { origin, fingerprint, segments, events, bound } => {
            nodes::parked_in_french(origin, fingerprint, (*segments, *events), bound)
        }
        Finding::TagKeyEnds { key_id, at, over: false } => nodes::tag_key_ends_in_french(key_id, *at),
        Finding::TagKeyEnds { key_id, at, over: true } => nodes::tag_key_ended_in_french(key_id, *at),
        Finding::RulesBroken { detail } => words(
            "Vos règles pour les réponses sont inutilisables".to_owned(),
            format!("Les règles précédentes restent en vigueur. {detail}"),
            "sm2tp check dit où est l’erreur\u{a0}; un fichier corrigé est pris en compte en quelques secondes."
                .to_owned(),
        ),
        Finding::SenderBlocked { org, sender, observed, french, .. } => {
            blocked_in_french(org, sender, *observed, french)
        }
        Finding::Test => words(
            "Ceci est un essai".to_owned(),
            "Quelqu’un a lancé sm2tp alerts test. Tout va bien.".to_owned(),
            String::new(),
        ),
    }
}

/// What is wrong with a peer was written down in English; it stays so only where an older version did.
fn with_its_trouble_in_french(finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    if let Finding::PeerSilent { trouble: Some(trouble), reason, .. } | Finding::PeerUnusable { trouble, reason, .. } =
        &mut finding
    {
        *trouble = reason::in_one(reason::kept(trouble, reason.as_ref(), Lang::Fr));
    }
    finding
}

/// Whose mail is stopped, or would be.
fn blocked_in_french(org: &str, sender: &str, observed: bool, french: &[String]) -> Words {
    Words {
        title: match observed {
            true => format!("L’émetteur {sender} ({org}) est inhabituel\u{a0}; son courrier continue de partir"),
            false => format!("L’émetteur {sender} ({org}) est bloqué"),
        },
        more: format!("{}.", french.join(".\n")),
        todo: format!(
            "Demandez à la personne concernée\u{a0}; un mot de passe volé doit être changé. sm2tp sender show {sender} \
             montre les faits, sm2tp sender release {sender} lui rend la main, avec --normal si tout était en ordre."
        ),
    }
}

fn way_out(exit: &str, language: Language) -> String {
    match (language, exit) {
        (Language::English, "" | "default") => "this node's address".to_owned(),
        (Language::English, exit) => format!("exit {exit}"),
        (Language::French, "" | "default") => "l’adresse de ce nœud".to_owned(),
        (Language::French, exit) => format!("la sortie {exit}"),
    }
}

fn reason(text: Option<&str>, before: &str) -> String {
    text.map_or_else(String::new, |text| format!("{before}{text}"))
}

fn word(turn: Turn) -> &'static str {
    match turn {
        Turn::Opened => "opened",
        Turn::Still => "still",
        Turn::Closed => "closed",
    }
}

fn size(octets: u64) -> String {
    let (unit, word) = if octets < GIB { (MIB, "MiB") } else { (GIB, "GiB") };
    format!("{} {word}", octets / unit)
}

/// RFC 3339, in UTC.
fn utc(at: u64) -> String {
    date::rfc3339(at)
}

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Finding> {
        vec![
            Finding::BreakerTripped { provider: "google".into(), parked: 21 },
            Finding::ExitRefused {
                exit: "b".into(),
                provider: "orange".into(),
                count: 3,
                reply: "550 listed".into(),
                link: Some("https://lists.example/".into()),
            },
            Finding::DiskLow { free_octets: 5 * MIB, size_octets: 100 * GIB },
            Finding::CertificateEnds { at: 1_800_000_000 },
            Finding::PeerSilent { peer: "B".into(), since: 1_800_000_000, trouble: Some("away".into()), reason: None },
            Finding::PeerUnusable { peer: "B".into(), trouble: "forged".into(), reason: None },
            Finding::OriginQuarantined {
                origin: "C".into(),
                fingerprint: "aaaa bbbb".into(),
                contradicted: 12,
                agreed: 3,
            },
            Finding::OriginContradicts { origin: "E".into(), fingerprint: "eeee ffff".into() },
            Finding::OriginParked {
                origin: "D".into(),
                fingerprint: "cccc dddd".into(),
                segments: 6,
                events: 24_576,
                bound: "too many".into(),
            },
            Finding::TagKeyEnds { key_id: "1b6156ef".into(), at: 1_800_000_000, over: false },
            Finding::TagKeyEnds { key_id: "1b6156ee".into(), at: 1_700_000_000, over: true },
            Finding::RulesBroken { detail: "replies.toml:3: what".into() },
            Finding::SenderBlocked {
                org: "asso".into(),
                sender: "anna".into(),
                observed: false,
                english: vec!["141 recipients".into()],
                french: vec!["141 destinataires".into()],
            },
            Finding::Test,
        ]
    }

    #[test]
    fn what_is_wrong_with_a_peer_is_said_in_french() {
        let reason = Some(json!({ "key": "not-busy", "with": [["host", { "text": "x.example" }]] }));
        let trouble = "x.example asks us to come later (429)".to_owned();
        let finding = Finding::PeerUnusable { peer: "B".into(), trouble, reason };
        assert!(french(&finding).more.ends_with("x.example demande de revenir plus tard (429)."));
        assert!(english(&finding).more.ends_with("asks us to come later (429)"));
    }

    #[test]
    fn each_finding_is_said_in_both_languages_with_its_numbers() {
        let wants = [
            "21",
            "https://lists.example/",
            "5 Mi",
            "2027-01-15",
            "away",
            "forged",
            "12",
            "eeee ffff",
            "24576",
            "1b6156ef",
            "2023-11-14",
            "replies.toml:3",
            "141",
            "sm2tp",
        ];
        for (finding, want) in all().into_iter().zip(wants) {
            for language in [Language::English, Language::French] {
                for turn in [Turn::Opened, Turn::Still] {
                    let part = Part { turn, opened_at: 1_800_000_000, finding: finding.clone() };
                    let text = paragraph(&part, language);
                    assert!(text.contains(want), "{want}: {text}");
                }
                let over = Part { turn: Turn::Closed, opened_at: 1_800_000_000, finding: finding.clone() };
                assert!(!paragraph(&over, language).contains("breaker forget"));
            }
        }
    }

    #[test]
    fn several_go_together_in_a_digest() {
        let parts: Vec<Part> =
            all().into_iter().map(|finding| Part { turn: Turn::Opened, opened_at: 1_800_000_000, finding }).collect();
        let message = Message { id: 1, at: 1_800_000_000, parts };
        assert_eq!(subject("relay.example", &message, Language::French), "[relay.example] 14 alertes");
        let event: Value = serde_json::from_str(&event("relay.example", &message, Language::English)).unwrap();
        assert_eq!(
            (event["type"].as_str(), event["timestamp"].as_str()),
            (Some("alert.digest"), Some("2027-01-15T08:00:00Z"))
        );
        assert_eq!(event["data"]["alerts"][1]["finding"]["kind"], "exit-refused");
    }

    #[test]
    fn a_time_is_a_date_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(utc(4_102_444_799), "2099-12-31T23:59:59Z");
    }
}
