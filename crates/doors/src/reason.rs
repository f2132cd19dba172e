//! Why something was not done, in the language of who reads it (decision 0076).
//!
//! An error says itself in English by its `Display`: the command line, programs and the log read that. A page in another
//! language says the same reason by its key in `locales/reasons.fr.ftl`, with the values that the error holds. What
//! strangers wrote stays as it is, and is marked as theirs.

mod asked;
mod peers;
mod stored;

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sm2tp_store::Phrase;

use crate::http::{Lang, said};

/// A key of words with the values that stand in them. It may be kept as JSON beside the same in English.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reason {
    key: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    with: Vec<(Cow<'static, str>, Part)>,
}

/// A value in a reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// A name or a word that is the same in all languages.
    Text(String),
    Number(u64),
    /// Unix seconds.
    Time(u64),
    /// The key of a word of the pages.
    Word(String),
    /// What this machine or one of its libraries says, which is English.
    System(String),
    Because(Box<Reason>),
}

/// A piece of a reason as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub text: String,
    /// Empty: the language of the page.
    pub lang: &'static str,
}

impl Reason {
    pub(crate) fn new(key: &'static str) -> Self {
        Self { key: key.into(), with: Vec::new() }
    }

    /// A sentence of the machine or of a library, and nothing of ours.
    pub(crate) fn system(text: impl Display) -> Self {
        Self::new("not-system").said("why", text)
    }

    pub(crate) fn text(self, name: &'static str, value: impl Display) -> Self {
        self.with(name, Part::Text(value.to_string()))
    }

    pub(crate) fn number(self, name: &'static str, value: impl TryInto<u64>) -> Self {
        self.with(name, Part::Number(value.try_into().unwrap_or(u64::MAX)))
    }

    /// In unix seconds.
    pub(crate) fn time(self, name: &'static str, at: u64) -> Self {
        self.with(name, Part::Time(at))
    }

    /// A word of the rules, by its key among the words of the pages.
    pub(crate) fn word(self, name: &'static str, key: String) -> Self {
        self.with(name, Part::Word(key))
    }

    /// What the machine says.
    pub(crate) fn said(self, name: &'static str, text: impl Display) -> Self {
        self.with(name, Part::System(text.to_string()))
    }

    /// The reason behind it.
    pub(crate) fn because(self, name: &'static str, reason: impl Into<Self>) -> Self {
        self.with(name, Part::Because(Box::new(reason.into())))
    }

    fn with(mut self, name: &'static str, part: Part) -> Self {
        self.with.push((name.into(), part));
        self
    }

    /// As a page in this language shows it; `english` is the same as the program says it. A reason that another version
    /// of the program kept, and that has no words here, is shown in English.
    pub(crate) fn pieces(&self, lang: Lang, english: &str) -> Vec<Piece> {
        match lang {
            Lang::En => vec![Piece { text: english.to_owned(), lang: "" }],
            Lang::Fr => match self.rendered(lang) {
                Some(text) => cut(&text),
                None => vec![Piece { text: english.to_owned(), lang: Lang::En.tag() }],
            },
        }
    }

    /// With marks around what the machine says.
    fn rendered(&self, lang: Lang) -> Option<String> {
        let mut with = Vec::with_capacity(self.with.len());
        for (name, part) in &self.with {
            let text = match part {
                Part::Text(text) => plain(text),
                Part::Number(number) => said::number(*number, lang),
                Part::Time(at) => said::time(*at, lang),
                Part::Word(key) => lang.find(key).unwrap_or_else(|| plain(key)),
                Part::System(text) => format!("{BEGIN}{}{END}", plain(text)),
                Part::Because(reason) => reason.rendered(lang)?,
            };
            with.push((&**name, text));
        }
        let with: Vec<(&str, &str)> = with.iter().map(|(name, text)| (*name, text.as_str())).collect();
        lang.find(&self.key).map(|_| lang.say(&self.key, &with))
    }
}

/// An error as a page in this language shows it.
pub(crate) fn said<E: Display>(error: &E, lang: Lang) -> Vec<Piece>
where
    for<'a> Reason: From<&'a E>,
{
    Reason::from(error).pieces(lang, &error.to_string())
}

/// An error as it is kept: in English, with its reason.
pub(crate) fn phrase<E: Display>(error: &E) -> Phrase
where
    for<'a> Reason: From<&'a E>,
{
    Phrase { text: error.to_string(), reason: serde_json::to_value(Reason::from(error)).ok() }
}

/// A sentence that was kept, with its reason where that is known, as a page in this language shows it.
pub(crate) fn kept(text: &str, reason: Option<&Value>, lang: Lang) -> Vec<Piece> {
    let tag = if lang == Lang::En { "" } else { Lang::En.tag() };
    match reason.and_then(|reason| Reason::deserialize(reason).ok()) {
        Some(reason) => reason.pieces(lang, text),
        None if text.is_empty() => Vec::new(),
        None => vec![Piece { text: text.to_owned(), lang: tag }],
    }
}

/// What a change was about, as it is kept: in English, and by key and values. Its words are those of the pages.
pub(crate) fn words(about: Option<Reason>) -> (String, Option<Value>) {
    let Some(about) = about else { return Default::default() };
    (about.rendered(Lang::En).unwrap_or_default(), serde_json::to_value(about).ok())
}

/// Pieces as a mail has them, which marks no languages.
pub(crate) fn in_one(pieces: Vec<Piece>) -> String {
    pieces.into_iter().map(|piece| piece.text).collect()
}

/// Without our marks: nobody but us says where the machine speaks.
fn plain(text: &str) -> String {
    text.replace([BEGIN, END], "\u{fffd}")
}

fn cut(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut put = |text: &str, lang| {
        if !text.is_empty() {
            pieces.push(Piece { text: text.to_owned(), lang });
        }
    };
    let mut parts = text.split(BEGIN);
    put(parts.next().unwrap_or_default(), "");
    for part in parts {
        let (said, ours) = part.split_once(END).unwrap_or((part, ""));
        put(said, Lang::En.tag());
        put(ours, "");
    }
    pieces
}

/// Characters for private use, which no word of ours has in it.
const BEGIN: char = '\u{e000}';
const END: char = '\u{e001}';

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use sm2tp_store::{LedgerError, Refused};

    use super::*;
    use crate::control::{Problem, Refusal};
    use crate::http::words::tests::entries;

    fn piece(text: &str, lang: &'static str) -> Piece {
        Piece { text: text.to_owned(), lang }
    }

    #[test]
    fn a_reason_is_said_in_both_languages_with_its_values() {
        let problem = Problem::from(LedgerError::from(Refused::NoOrg { org: "asso".into() }));
        assert_eq!(said(&problem, Lang::En), [piece("there is no org \"asso\"", "")]);
        let [french] = &said(&problem, Lang::Fr)[..] else { panic!("one piece") };
        assert!(french.text.starts_with("Il n’y a pas d’organisation «\u{a0}asso\u{a0}»") && french.lang.is_empty());
    }

    #[test]
    fn a_reason_behind_a_reason_is_said_in_the_same_language() {
        let source = sm2tp_proto::Address::parse("x").unwrap_err();
        let problem = Problem::Input(Refusal::Address { text: "x".into(), source });
        assert_eq!(
            said(&problem, Lang::Fr),
            [piece("«\u{a0}x\u{a0}» n’est pas une adresse\u{a0}: il n’y a pas d’arobase (@).", "")]
        );
    }

    #[test]
    fn what_the_machine_says_is_marked_and_nobody_else_can_mark_anything() {
        let problem = Problem::Failed(format!("no {BEGIN}space{END} left"));
        assert_eq!(
            said(&problem, Lang::Fr),
            [
                piece("La machine n’a pas pu le faire (", ""),
                piece("no \u{fffd}space\u{fffd} left", "en"),
                piece(").", "")
            ]
        );
        let named = Problem::Input(Refusal::NoSender { name: format!("{BEGIN}x") });
        assert_eq!(said(&named, Lang::Fr).len(), 1);
    }

    #[test]
    fn a_reason_that_was_kept_comes_back_and_one_without_words_here_is_said_in_english() {
        let reason = Reason::new("not-reached").text("host", "a.example").because("why", Reason::system("full"));
        let kept = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&kept).unwrap(), reason);
        let newer: Reason = serde_json::from_str(r#"{"key":"not-yet-known","with":[["a",{"number":7}]]}"#).unwrap();
        assert_eq!(newer.pieces(Lang::Fr, "it is new"), [piece("it is new", "en")]);
        assert_eq!(newer.pieces(Lang::En, "it is new"), [piece("it is new", "")]);
    }

    /// Each key that the tables name, with the names of its values: they stand behind it.
    fn named() -> BTreeMap<String, BTreeSet<String>> {
        let own = include_str!("reason.rs").split("#[cfg(test)]").next().unwrap();
        let tables =
            [include_str!("reason/asked.rs"), include_str!("reason/peers.rs"), include_str!("reason/stored.rs"), own];
        named_in(&tables, "not-")
    }

    /// Keys that begin so in some sources.
    pub(crate) fn named_in(sources: &[&str], begin: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        for source in sources {
            for rest in source.split(&format!("\"{begin}")).skip(1) {
                let (key, rest) = rest.split_once('"').unwrap();
                let mut names = BTreeSet::new();
                for call in [".text(\"", ".number(\"", ".time(\"", ".word(\"", ".said(\"", ".because(\""] {
                    names.extend(rest.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
                }
                found.entry(format!("{begin}{key}")).or_default().extend(names);
            }
        }
        found
    }

    #[test]
    fn every_reason_has_french_words_with_its_values_and_none_is_left_over() {
        let (french, named) = (entries(include_str!("../locales/reasons.fr.ftl")), named());
        for (key, names) in &named {
            let text = french.get(&key[..]).unwrap_or_else(|| panic!("{key} has no French words"));
            let wanted: BTreeSet<String> =
                text.split("{ $").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap().to_owned()).collect();
            assert_eq!(&wanted, names, "{key}");
        }
        let left: Vec<_> = french.keys().filter(|key| !named.contains_key(**key)).collect();
        assert!(left.is_empty(), "nobody says {left:?}");
    }
}
