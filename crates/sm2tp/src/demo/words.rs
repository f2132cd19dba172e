//! Real replies of mail servers, taken from the corpus and put into a server's mouth.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Where a reply comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// The reply with this name in `corpus/replies.jsonl`.
    Corpus(&'static str),
    /// A reply that is not in the corpus.
    Known(&'static str),
}

impl Words {
    /// The reply line, without its end, as it is said about this recipient.
    #[must_use]
    pub fn to(self, recipient: &str) -> String {
        let text = match self {
            Self::Known(text) => text,
            Self::Corpus(id) => CORPUS.get(id).map_or("451 4.3.0 this reply is not in the corpus", String::as_str),
        };
        about(as_said(text), recipient)
    }
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    text: String,
}

static CORPUS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let lines = include_str!("../../../../corpus/replies.jsonl").lines();
    lines.filter_map(|line| serde_json::from_str::<Entry>(line).ok()).map(|entry| (entry.id, entry.text)).collect()
});

/// Takes off what the reporting server put around the words: `550 5.1.1 host mx[192.0.2.1] said: …  (in reply to …)`.
fn as_said(text: &str) -> String {
    let text = text.split(" (in reply to ").next().unwrap_or(text);
    match (text.find("host "), text.find(" said: ")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &text[..from], &text[to + " said: ".len()..]),
        _ => text.to_owned(),
    }
}

/// Puts this recipient in the place of the one that the reply was about.
fn about(text: String, recipient: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let Some(at) = text.find('@') else { return text };
    let from = text[..at].rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
    let to = text[at + 1..].find(|c| !is_part(c)).map_or(text.len(), |after| at + 1 + after);
    if from == at || to == at + 1 { text } else { format!("{}{recipient}{}", &text[..from], &text[to..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_said_about_the_recipient_and_as_the_server_said_them() {
        let known = "550 5.1.1 host mx.x[192.0.2.1] said: <a@b.example>: unknown (in reply to RCPT TO command)";
        assert_eq!(Words::Known(known).to("c@d.example"), "550 5.1.1 <c@d.example>: unknown");
        assert_eq!(Words::Known("550 @ nobody").to("c@d.example"), "550 @ nobody");
        let text = Words::Corpus("fr-46").to("c@d.example");
        assert_eq!(text, "550 5.1.1 user unknown (UserSearch)");
    }
}
