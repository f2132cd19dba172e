//! `sm2tp stats --evidence`: what suppression and the federation were worth to this node, from its own counters.

use std::fmt::Write;

use serde_json::Value;
use sm2tp_rules::worth::{Counts, Share, Worth};

use crate::config::Language;
use crate::lists::grouped;
use crate::words::{Table, Words};

/// The node's answer as a report.
pub fn text(value: &Value, lang: Language) -> String {
    let counts: Counts = serde_json::from_value(value["counts"].clone()).unwrap_or_default();
    let Ok(worth) = serde_json::from_value::<Worth>(value["worth"].clone()) else { return String::new() };
    let words = Words { lang, table: WORDS };
    let mut out = String::new();
    let days = value["days"].as_u64().unwrap_or(0);
    let whose = value["org"].as_str().unwrap_or_else(|| words.say("node"));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}\n", words.fill("title", &[("whose", whose), ("days", &days.to_string())]));
    for (key, count) in [
        ("decided", Some(counts.decided)),
        ("dead", Some(counts.dead)),
        ("avoided", Some(worth.avoided)),
        ("own", Some(counts.own)),
        ("full", Some(counts.full)),
        ("imported", Some(counts.imported)),
        ("federated", Some(counts.federated)),
        ("spared", counts.spared),
        ("others", Some(counts.listed.saturating_add(counts.opted_out))),
        ("listed", Some(counts.listed)),
        ("opted-out", Some(counts.opted_out)),
        ("canaries", Some(counts.canaries.sent)),
        ("canary-dead", Some(counts.canaries.dead)),
        ("canary-alive", Some(counts.canaries.alive)),
        ("canary-unclear", Some(counts.canaries.unclear)),
    ] {
        if let Some(count) = count {
            let _ = writeln!(out, "{:>12}  {}", grouped(count), words.say(key));
        }
    }
    let _ = writeln!(out, "\n{}", rates(&words, &worth));
    out
}

fn rates(words: &Words, worth: &Worth) -> String {
    let mut lines = Vec::new();
    match (worth.bounce_rate, worth.bounce_rate_without) {
        (Some(rate), Some(without)) => {
            lines.push(words.fill("rate", &[("rate", &words.percent(rate))]));
            lines.push(share(words, "without", without));
            lines.extend(worth.bounce_rate_alone.map(|alone| share(words, "alone", alone)));
        }
        _ => lines.push(words.say("no-mail").to_owned()),
    }
    lines.push(match worth.precision {
        Some(precision) => share(words, "precision", precision),
        None => words.say("no-canary").to_owned(),
    });
    lines.push(words.say("assumed").to_owned());
    lines.join("\n")
}

fn share(words: &Words, key: &str, share: Share) -> String {
    let [low, likely, high] = [share.low, share.likely, share.high].map(|share| words.percent(share));
    words.fill(key, &[("low", &low), ("likely", &likely), ("high", &high)])
}

const WORDS: Table = &[
    (
        "title",
        "What suppression was worth to {whose} in the last {days} days, as this node counted it",
        "Ce que le blocage a apporté à {whose} ces {days} derniers jours, d’après les compteurs de ce nœud",
    ),
    ("node", "the whole node", "l’ensemble du nœud"),
    ("decided", "recipients answered for: delivered or bounced", "destinataires avec réponse\u{a0}: remis ou rejetés"),
    ("dead", "  of them dead addresses (real bounces)", "  dont adresses inexistantes (rejets réels)"),
    ("avoided", "sends avoided, which are believed to fail", "envois évités, car voués à l’échec"),
    ("own", "  to addresses that this node saw refused", "  vers des adresses que ce nœud a vu refuser"),
    (
        "full",
        "  to mailboxes that this node saw full again and again",
        "  vers des boîtes que ce nœud a vues pleines à répétition",
    ),
    ("imported", "  on an imported list", "  d’après une liste importée"),
    ("federated", "  on the word of other nodes", "  sur la parole d’autres nœuds"),
    (
        "spared",
        "    different addresses, each for the first time",
        "    adresses différentes, chacune pour la première fois",
    ),
    ("others", "other sends stopped", "autres envois bloqués"),
    ("listed", "  by a list that people keep", "  par une liste tenue à la main"),
    ("opted-out", "  after a complaint or an unsubscription", "  après une plainte ou un désabonnement"),
    (
        "canaries",
        "canaries: let through although another node calls the address dead",
        "canaris\u{a0}: envoyés bien qu’un autre nœud dise l’adresse inexistante",
    ),
    ("canary-dead", "  were dead", "  adresses bien inexistantes"),
    ("canary-alive", "  were alive", "  adresses qui existaient"),
    (
        "canary-unclear",
        "  unclear: refused for another reason, given up, or behind a smart host",
        "  indécis\u{a0}: refusés pour une autre raison, abandonnés, ou derrière un relais",
    ),
    ("rate", "Real bounces: {rate}.", "Rejets réels\u{a0}: {rate}."),
    (
        "without",
        "Without suppression they would be about {likely} (between {low} and {high}).",
        "Sans blocage, ils seraient d’environ {likely} (entre {low} et {high}).",
    ),
    (
        "alone",
        "Without other nodes, finding each dead address by one bounce, about {likely} (between {low} and {high}).",
        "Sans les autres nœuds, à raison d’un rejet par adresse découverte, d’environ {likely} (entre {low} et {high}).",
    ),
    (
        "precision",
        "What other nodes call dead is dead in {likely} of the cases ({low} to {high}, with 95% confidence).",
        "Ce que d’autres nœuds disent inexistant l’est dans {likely} des cas (de {low} à {high}, avec une confiance de 95\u{a0}%).",
    ),
    ("no-mail", "No mail was answered for in this time.", "Aucun message n’a reçu de réponse durant cette période."),
    (
        "no-canary",
        "No canary has been answered yet: how right other nodes are is not known, and counts as anything between 0 and 100%.",
        "Aucun canari n’a encore de réponse\u{a0}: on ne sait pas si les autres nœuds ont raison\u{a0}; cela compte pour 0 à 100\u{a0}%.",
    ),
    (
        "assumed",
        "Assumed: addresses that this node saw refused are dead; those of imported lists are, or, at the low end, none of them.",
        "Hypothèses\u{a0}: une adresse que ce nœud a vu refuser est inexistante\u{a0}; celles des listes importées aussi ou, au plus bas, aucune.",
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sm2tp_rules::worth::{Canaries, worth};

    use super::*;
    use crate::words;

    #[test]
    fn a_report_tells_what_was_avoided_and_how_sure_that_is() {
        let canaries = Canaries { sent: 110, dead: 95, alive: 5, unclear: 10 };
        let counts = Counts {
            decided: 1000,
            dead: 3,
            own: 40,
            federated: 60,
            spared: Some(20),
            opted_out: 1234,
            canaries,
            ..Counts::default()
        };
        let value = json!({ "org": null, "days": 30, "counts": counts, "worth": worth(&counts) });
        let en = text(&value, Language::En);
        for want in [
            "to the whole node in the last 30 days",
            "\n         100  sends avoided",
            "\n       1 234    after a complaint",
            "Real bounces: 0.30%.\nWithout suppression they would be about 9.09% (between 8.75% and 9.25%).\n",
            "by one bounce, about 2.16% (between 2.04% and 2.21%).",
            "dead in 95.00% of the cases (88.82% to 97.85%, with",
        ] {
            assert!(en.contains(want), "{want}: {en}");
        }
        let fr = text(&value, Language::Fr);
        assert!(fr.contains("Rejets réels\u{a0}: 0,30\u{a0}%.") && fr.contains("ces 30 derniers jours"), "{fr}");
        let nothing =
            json!({ "org": "asso", "days": 7, "counts": Counts::default(), "worth": worth(&Counts::default()) });
        let en = text(&nothing, Language::En);
        for want in ["worth to asso in", "No mail was answered", "No canary"] {
            assert!(en.contains(want), "{want}: {en}");
        }
        assert!(!en.contains("different addresses") && !en.contains("Without other nodes"), "{en}");
    }

    #[test]
    fn both_languages_say_everything() {
        words::agree(WORDS);
    }
}
