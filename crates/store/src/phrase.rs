//! A sentence for people that is kept, in English, and with the reason that it says, by key and values (decision 0081).
//!
//! Who shows it in another language makes it of the reason. This crate carries reasons and does not read them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A sentence in English, with its reason where somebody knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phrase {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Value>,
}

impl Phrase {
    /// As it stands in a column: the text where that is all there is, and both as JSON otherwise.
    pub(crate) fn kept(self) -> String {
        let long = self.reason.as_ref().is_some_and(|reason| REASON_OCTETS_MAX < reason.to_string().len());
        let phrase = Self { reason: self.reason.filter(|_| !long), ..self };
        // A text that looks like the JSON of a phrase must not be read as one.
        if phrase.reason.is_none() && !phrase.text.starts_with('{') {
            return phrase.text;
        }
        serde_json::to_string(&phrase).unwrap_or(phrase.text)
    }

    /// What stands in a column. What an older version wrote is text.
    pub(crate) fn read(kept: &str) -> Self {
        let both = kept.starts_with('{').then(|| serde_json::from_str(kept).ok()).flatten();
        both.unwrap_or_else(|| kept.into())
    }

    /// Text and reason of a column that may hold none.
    pub(crate) fn read_apart(kept: Option<&str>) -> (Option<String>, Option<Value>) {
        let (text, reason) = kept.map(Self::read).map(|phrase| (phrase.text, phrase.reason)).unzip();
        (text, reason.flatten())
    }
}

impl From<&str> for Phrase {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), reason: None }
    }
}

impl From<String> for Phrase {
    fn from(text: String) -> Self {
        Self { text, reason: None }
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A reason has a key and a handful of short values; without it the sentence is shown in English.
const REASON_OCTETS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_phrase_comes_back_as_it_was_kept_and_an_old_text_is_text() {
        let both = Phrase { text: "it is away".into(), reason: Some(json!({ "key": "not-there" })) };
        assert_eq!(Phrase::read(&both.clone().kept()), both);
        for text in ["it is away", "", "{", r#"{"text":"x"}"#, r#"{"text":"x","reason":{"key":"y"}}"#] {
            assert_eq!(Phrase::read(&Phrase::from(text).kept()), Phrase::from(text), "{text}");
        }
        assert_eq!(Phrase::from("it is away").kept(), "it is away");
        assert_eq!(Phrase::read("{not json"), Phrase::from("{not json"));
    }

    #[test]
    fn a_reason_that_is_too_long_is_left_out_and_the_text_stays() {
        let long = Phrase { text: "it is away".into(), reason: Some(json!("x".repeat(REASON_OCTETS_MAX))) };
        assert_eq!(Phrase::read(&long.kept()), Phrase::from("it is away"));
    }
}
