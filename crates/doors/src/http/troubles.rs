//! Table: the troubles with peers as the program writes them down, and how a page says them in French.
//!
//! They are kept as English sentences, for the log and the command line; what stands in them (hosts, numbers, words
//! of the system) goes over into the other sentence.

/// The same trouble in French; what is not in the table stays as it is.
pub(crate) fn in_french(text: &str) -> String {
    for (english, french) in SENTENCES {
        if let Some(found) = fill(text, english) {
            let mut found = found.into_iter().map(phrases);
            let mut parts = french.split("{}");
            let mut said = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                said.push_str(&found.next().unwrap_or_default());
                said.push_str(part);
            }
            return said;
        }
    }
    phrases(text)
}

/// What stands at the places `{}` of a sentence; none where it is another one.
fn fill<'a>(text: &'a str, sentence: &str) -> Option<Vec<&'a str>> {
    let mut parts = sentence.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        // The last part is the end; the others begin where they are met first.
        let at = match parts.peek() {
            Some(_) => rest.find(part)?,
            None => rest.len().checked_sub(part.len()).filter(|at| rest.get(*at..) == Some(part))?,
        };
        found.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    Some(found)
}

fn phrases(text: &str) -> String {
    PHRASES.iter().fold(text.to_owned(), |text, (english, french)| text.replace(english, french))
}

/// Whole sentences; those with more words before those that they contain.
const SENTENCES: &[(&str, &str)] = &[
    ("{} cannot be reached: {}", "{} est injoignable\u{a0}: {}"),
    (
        "{} is an address behind this machine; [federation] private_peers would allow it",
        "{} est une adresse derrière cette machine\u{a0}; [federation] private_peers la permettrait",
    ),
    (
        "{} answered with {}, which sends us elsewhere: that is not followed",
        "{} a répondu {}, ce qui renvoie ailleurs\u{a0}: ce n’est pas suivi",
    ),
    (
        "{} does not accept our signature (401): it has not accepted this node, or a clock is wrong",
        "{} refuse notre signature (401)\u{a0}: il n’a pas accepté ce nœud, ou une horloge est fausse",
    ),
    ("{} asks us to come later (429)", "{} demande de revenir plus tard (429)"),
    ("{} answered {} with status {}", "{} a répondu à {} par le statut {}"),
    ("{} answered {} with more than {} octets", "{} a répondu à {} par plus de {} octets"),
    ("the answer of {} is not what was asked for: {}", "la réponse de {} n’est pas ce qui était demandé\u{a0}: {}"),
    ("no HTTP client can be made: {}", "aucun client HTTP ne peut être créé\u{a0}: {}"),
    ("our request cannot be signed: {}", "notre requête ne peut pas être signée\u{a0}: {}"),
    ("its feed: {}", "son flux\u{a0}: {}"),
    ("its descriptor: {}", "son descripteur\u{a0}: {}"),
    ("another node answers there: {}", "un autre nœud y répond\u{a0}: {}"),
    (
        "it serves segments of node {} and no descriptor of it",
        "il sert des segments du nœud {} sans le descripteur de celui-ci",
    ),
    ("segment {} of node {} is damaged or forged: {}", "le segment {} du nœud {} est abîmé ou falsifié\u{a0}: {}"),
    (
        "in the place of segment {} of node {} it serves another one",
        "à la place du segment {} du nœud {}, il en sert un autre",
    ),
    (
        "it does not serve what lies before segment {} of node {}",
        "il ne sert pas ce qui précède le segment {} du nœud {}",
    ),
    ("its tag keys: {}", "ses clés d’empreintes\u{a0}: {}"),
];

/// Words of the network and of the HTTP library, as they stand one behind the other in a reason.
const PHRASES: &[(&str, &str)] = &[
    ("error sending request", "la requête n’est pas partie"),
    ("error decoding response body", "la réponse est illisible"),
    ("client error (Connect)", "pas de connexion"),
    ("client error (SendRequest)", "connexion interrompue"),
    ("tcp connect error", "connexion TCP"),
    ("dns error", "erreur DNS"),
    ("failed to lookup address information", "ce nom n’est pas trouvé"),
    ("Name or service not known", "nom inconnu"),
    ("Temporary failure in name resolution", "le DNS ne répond pas pour l’instant"),
    ("Connection refused", "connexion refusée"),
    ("Connection reset by peer", "connexion coupée par l’autre côté"),
    ("connection closed before message completed", "connexion fermée avant la fin de la réponse"),
    ("operation timed out", "délai dépassé"),
    ("deadline has elapsed", "délai dépassé"),
    ("Connection timed out", "délai de connexion dépassé"),
    ("No route to host", "aucune route vers ce serveur"),
    ("Network is unreachable", "réseau injoignable"),
    ("invalid peer certificate", "certificat refusé"),
    ("certificate expired", "certificat périmé"),
    ("UnknownIssuer", "autorité inconnue"),
    (
        "it has no public address; [federation] private_peers would allow others",
        "il n’a pas d’adresse publique\u{a0}; [federation] private_peers en permettrait d’autres",
    ),
    ("(os error ", "(erreur système "),
    ("it is no UTF-8", "ce n’est pas de l’UTF-8"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(english: &str, french: &str) {
        assert_eq!(in_french(english), french);
    }

    #[test]
    fn a_sentence_is_said_with_what_stands_in_it() {
        check(
            "relay.example.org:8443 cannot be reached: error sending request: client error (Connect): tcp connect \
             error: Connection refused (os error 111)",
            "relay.example.org:8443 est injoignable\u{a0}: la requête n’est pas partie: pas de connexion: connexion TCP: \
             connexion refusée (erreur système 111)",
        );
        check("a.example answered /feed with status 503", "a.example a répondu à /feed par le statut 503");
        check(
            "in the place of segment 1.7 of node abc it serves another one",
            "à la place du segment 1.7 du nœud abc, il en sert un autre",
        );
    }

    #[test]
    fn what_is_not_known_stays() {
        for text in ["", "the moon is full", "cannot be reached", "its feed", "{} {}", "answered with"] {
            check(text, text);
        }
    }

    #[test]
    fn both_sentences_have_the_same_places() {
        for (english, french) in SENTENCES {
            assert_eq!(english.matches("{}").count(), french.matches("{}").count(), "{english}");
        }
    }
}
