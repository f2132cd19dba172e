//! Words for a person at a terminal, in English or French.

use crate::config::Language;

/// Key, English, French. What is in braces is filled in.
pub type Table = &'static [(&'static str, &'static str, &'static str)];

/// The words of one command in one language.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub lang: Language,
    pub table: Table,
}

impl Words {
    pub fn say(&self, key: &str) -> &'static str {
        let found = self.table.iter().find(|(known, _, _)| *known == key);
        found.map_or("", |(_, en, fr)| if self.lang == Language::Fr { fr } else { en })
    }

    /// A sentence with its values, each under the name that stands in braces. Values are not looked into again.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let (mut out, mut rest) = (String::new(), self.say(key));
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(before);
            out.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        out + rest
    }

    /// As [`Self::fill`], with values that were made for it.
    pub fn fill_with(&self, key: &str, values: &[(&str, String)]) -> String {
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.fill(key, &values)
    }

    /// A share of one as a percentage, with two places.
    pub fn percent(&self, share: f64) -> String {
        self.number(share * 100.0) + if self.lang == Language::Fr { "\u{a0}%" } else { "%" }
    }

    pub fn number(&self, number: f64) -> String {
        let text = format!("{number:.2}");
        if self.lang == Language::Fr { text.replace('.', ",") } else { text }
    }
}

/// The language of a person at a terminal, as setlocale(3) finds it: the first of these that is set and not empty.
pub fn of_terminal() -> Language {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().filter_map(|name| std::env::var(name).ok());
    of_locale(set.into_iter().find(|value| !value.is_empty()).as_deref())
}

fn of_locale(locale: Option<&str>) -> Language {
    let is_french = locale.is_some_and(|locale| locale == "fr" || locale.starts_with("fr_"));
    if is_french { Language::Fr } else { Language::En }
}

/// Whether both languages fill in the same values; for the tests of each table.
#[cfg(test)]
pub fn agree(table: Table) {
    let places = |text: &str| {
        let names = text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name.to_owned()));
        names.collect::<std::collections::BTreeSet<_>>()
    };
    for (key, en, fr) in table {
        assert_eq!(places(en), places(fr), "{key}");
        assert_eq!(table.iter().filter(|(other, _, _)| other == key).count(), 1, "{key}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_the_terminal() {
        for (locale, want) in [
            (Some("fr_FR.UTF-8"), Language::Fr),
            (Some("fr"), Language::Fr),
            (Some("C.UTF-8"), Language::En),
            (Some("frisian"), Language::En),
            (None, Language::En),
        ] {
            assert_eq!(of_locale(locale), want, "{locale:?}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_looked_into() {
        const TABLE: Table = &[("x", "{a} and {b}.", "{b} et {a}.")];
        let fill = |lang| Words { lang, table: TABLE }.fill("x", &[("a", "{b}"), ("b", "two")]);
        assert_eq!((fill(Language::En).as_str(), fill(Language::Fr).as_str()), ("{b} and two.", "two et {b}."));
        agree(TABLE);
    }
}
