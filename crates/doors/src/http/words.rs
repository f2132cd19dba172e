//! The languages of the pages, and their words: the Fluent files of `locales`, read once.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use sm2tp_rules::Cause;
use unic_langid::LanguageIdentifier;

use crate::alerts::Language;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Fr,
}

impl Lang {
    pub(crate) const ALL: [Self; 2] = [Self::En, Self::Fr];

    /// The one of the two that `Accept-Language` (RFC 9110 §12.5.4) wants most; `otherwise` where neither is there.
    pub(crate) fn of(accept: &str, otherwise: Self) -> Self {
        let mut best = (0.0, otherwise);
        for item in accept.split(',').take(ASKED_MAX) {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().split('-').next().unwrap_or_default();
            let Some(lang) = Self::from_tag(&tag.to_ascii_lowercase()) else { continue };
            let mut parameters = parts.filter_map(|part| part.split_once('='));
            let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            let quality: f64 = quality.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
            if best.0 < quality {
                best = (quality, lang);
            }
        }
        best.1
    }

    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.tag() == tag)
    }

    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    /// The words for a key; a key that is in no file stands for itself.
    pub(crate) fn word(self, key: &str) -> String {
        self.say(key, &[])
    }

    /// The words for a key, if there are any.
    pub(crate) fn find(self, key: &str) -> Option<String> {
        self.words().has_message(key).then(|| self.word(key))
    }

    /// The words for a key with what stands in them.
    pub(crate) fn say(self, key: &str, with: &[(&str, &str)]) -> String {
        self.format(key, with.iter().map(|(name, value)| (*name, FluentValue::from(*value))).collect())
    }

    /// The words for a number of things: `$n` chooses between one and several, `$shown` is the number as it is written.
    pub(crate) fn count(self, key: &str, n: u64) -> String {
        let shown = super::said::number(n, self);
        let args = [("n", FluentValue::from(n)), ("shown", FluentValue::from(shown))];
        self.format(key, args.into_iter().collect())
    }

    fn format(self, key: &str, args: FluentArgs<'_>) -> String {
        let words = self.words();
        let Some(pattern) = words.get_message(key).and_then(|message| message.value()) else {
            return key.to_owned();
        };
        // What is missing shows as its name; the test over all calls finds it before a reader does.
        words.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }

    fn words(self) -> &'static FluentBundle<FluentResource> {
        static ENGLISH: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Lang::En, &[EN]));
        static FRENCH: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Lang::Fr, &[FR, FR_REASONS]));
        match self {
            Self::En => &ENGLISH,
            Self::Fr => &FRENCH,
        }
    }
}

/// A cause as all pages and reports say it.
#[must_use]
pub fn cause_in_words(cause: Cause, lang: Lang) -> String {
    lang.word(&format!("cause-{cause}"))
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::English,
            Lang::Fr => Self::French,
        }
    }
}

/// The files are part of the program: what is wrong in them is a fault that a test finds, and a reader shall see the rest.
fn bundle(lang: Lang, sources: &[&str]) -> FluentBundle<FluentResource> {
    // It chooses between one and several.
    let lang: LanguageIdentifier = lang.tag().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![lang]);
    // Both languages are written from left to right: marks around each value would only be in the way of who copies it.
    bundle.set_use_isolating(false);
    for source in sources {
        let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(resource, _)| resource);
        if let Err(errors) = bundle.add_resource(resource) {
            tracing::error!(?errors, "words of the pages are there twice");
        }
    }
    bundle
}

const EN: &str = include_str!("../../locales/en.ftl");
const FR: &str = include_str!("../../locales/fr.ftl");
/// Reasons say themselves in English (`crate::reason`).
const FR_REASONS: &str = include_str!("../../locales/reasons.fr.ftl");
/// Languages of one browser that are looked at; people who set them set three.
const ASKED_MAX: usize = 32;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::*;

    /// Each key of a file with its text, and every line that is none of the format.
    pub(crate) fn entries(source: &str) -> BTreeMap<&str, String> {
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        let mut last = None;
        for line in source.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(more) = line.strip_prefix("    ") {
                let key = last.expect("a line goes on that nothing began");
                found.get_mut(key).unwrap().push_str(&format!(" {}", more.trim()));
                continue;
            }
            let (key, text) = line.split_once(" =").unwrap_or_else(|| panic!("no entry: {line}"));
            assert!(found.insert(key, text.trim().to_owned()).is_none(), "{key} stands there twice");
            last = Some(key);
        }
        found
    }

    /// The names of what a text has in it.
    fn values(text: &str) -> BTreeSet<&str> {
        text.split("{ $").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap()).collect()
    }

    #[test]
    fn both_languages_have_the_same_keys_with_the_same_values_and_can_be_read() {
        for source in [EN, FR] {
            let errors = FluentResource::try_new(source.to_owned()).err().map(|(_, errors)| errors);
            assert_eq!(errors, None);
        }
        let (english, french) = (entries(EN), entries(FR));
        let keys = |of: &BTreeMap<&str, String>| of.keys().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let differ: Vec<_> = keys(&english).symmetric_difference(&keys(&french)).cloned().collect();
        assert!(differ.is_empty(), "in one language only: {differ:?}");
        for (key, text) in &english {
            assert!(!text.is_empty() && !french[key].is_empty(), "{key} has no words");
            assert_eq!(values(text), values(&french[key]), "{key}");
        }
    }

    #[test]
    fn every_key_that_a_page_asks_for_is_there_and_none_is_left_over() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut asked = String::new();
        for folder in ["templates", "src/http", "src/web"] {
            for path in files(&root.join(folder)) {
                let text = std::fs::read_to_string(&path).unwrap();
                asked.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
        asked.push_str(&std::fs::read_to_string(root.join("src/web.rs")).unwrap());
        let known = entries(EN);
        for call in [".w(\"", ".n(\"", ".label(\"", ".word(\"", ".say(\"", ".count(\"", ".s(\""] {
            for rest in asked.split(call).skip(1) {
                let key = rest.split('"').next().unwrap();
                assert!(known.contains_key(key), "{call}{key} has no words");
            }
        }
        let quoted: BTreeSet<&str> = asked.split('"').collect();
        // Those that are put together: the beginning is in the code, the end is a word of the rules.
        let made = |key: &str| MADE.iter().any(|begin| key.starts_with(begin));
        let left: Vec<_> = known.keys().filter(|key| !quoted.contains(**key) && !made(key)).collect();
        assert!(left.is_empty(), "nobody asks for {left:?}");
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => found.extend(files(&path)),
                path => found.push(path),
            }
        }
        found
    }

    #[test]
    fn no_line_breaks_before_a_sign_or_inside_a_time() {
        for (lang, source) in [(Lang::En, EN), (Lang::Fr, FR), (Lang::Fr, FR_REASONS)] {
            for (key, text) in entries(source) {
                for sign in [':', ';', '%', '?', '!', '»'] {
                    assert!(!text.contains(&format!(" {sign}")), "{key}: {text}");
                }
                assert!(!text.contains("« "), "{key}: {text}");
                if lang == Lang::En {
                    continue;
                }
                for (at, _) in text.char_indices().filter(|(_, c)| [':', ';', '%', '?', '!'].contains(c)) {
                    let before = &text[..at];
                    let is_address =
                        text[at..].starts_with("://") || before.ends_with("sm2tp") || text[at..].starts_with("::");
                    // A scope, as queue:read.
                    let is_inside = before.ends_with(|c: char| c.is_ascii_lowercase())
                        && text[at + 1..].starts_with(|c: char| c.is_ascii_lowercase());
                    assert!(is_address || is_inside || before.ends_with(['\u{a0}', '\u{202f}']), "{key}: {text}");
                }
                assert!(!text.contains('\''), "{key} has a typewriter's apostrophe: {text}");
            }
        }
    }

    #[test]
    fn values_stand_in_the_words_and_numbers_choose_them() {
        assert_eq!(Lang::En.say("unsubscribe-asks", &[("org", "asso")]), "Do you want no more newsletters of asso?");
        assert_eq!(Lang::Fr.say("ago-m", &[("n", "5")]), "il y a 5\u{a0}min");
        assert_eq!(Lang::En.word("no such key"), "no such key");
    }

    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        let check = |accept: &str, want| assert_eq!(Lang::of(accept, Lang::En), want, "{accept}");
        check("", Lang::En);
        check("fr", Lang::Fr);
        check("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", Lang::Fr);
        check("de, en;q=0.5, fr;q=0.4", Lang::En);
        check("en;q=0.1, fr;q=0.4", Lang::Fr);
        check(";;;q=,,,fr;q=x", Lang::En);
        check("fr; q=0.9, en; q=0.8", Lang::Fr);
        check("en ;\tQ = 0.2 , fr ; q=0.3", Lang::Fr);
        check("FR", Lang::Fr);
        check("Fr-ca;level=1;q=0.5,EN;q=0.4", Lang::Fr);
        check("fr;q=0, en;q=0.1", Lang::En);
        check("frr, fra", Lang::En);
    }

    #[test]
    fn a_browser_that_asks_for_neither_has_the_language_of_the_node() {
        for accept in ["", "*", "de, *;q=0.5", "de-CH", "fr;q=0", "fr;q=x"] {
            assert_eq!(Lang::of(accept, Lang::Fr), Lang::Fr, "{accept}");
        }
        for accept in ["en", "de, en;q=0.1", "EN-gb; q=0.9"] {
            assert_eq!(Lang::of(accept, Lang::Fr), Lang::En, "{accept}");
        }
    }

    /// How keys begin whose end is a word of the rules or of a request.
    const MADE: &[&str] = &[
        // What changes were about: `crate::control::line` has a test of its own.
        "about-",
        "agreement-",
        "audit-",
        "by-",
        "cause-",
        "class-",
        "count-",
        "did-",
        "dkim-",
        "done-",
        "event-",
        "kind-",
        "known-by-",
        "lane-",
        "leave-",
        "left-out-",
        "level-",
        "light-",
        "limit-",
        "list-",
        "peer-",
        "role-",
        "score-",
        "sends-",
        "set-",
        "stage-",
        "state-",
        "stop-",
        "stream-",
        "sure-",
        "waiting-",
        "watch-",
        "way-",
        "why-",
    ];
}
