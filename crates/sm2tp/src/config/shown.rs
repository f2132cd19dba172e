//! The configuration as people see it: every key, what the file says, what holds otherwise, and what it means.
//!
//! The example of the configuration is the list: a test holds that it has every key and the defaults.

use std::collections::HashMap;

use sm2tp_doors::web::Setting;
use toml::{Table, Value};

/// All keys in the order of the example; `file` is a configuration that was read before without a fault.
pub fn settings(file: &str) -> Vec<Setting> {
    let given: Table = file.parse().unwrap_or_default();
    let french: HashMap<&str, &str> = FRENCH.lines().filter_map(|line| line.split_once('\t')).collect();
    let (mut found, mut section, mut about) = (Vec::new(), String::new(), String::new());
    // A sentence may be about several keys that follow it.
    let mut is_example = false;
    for line in EXAMPLE.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            about.clear();
            is_example = false;
        } else if let Some(name) = header(line) {
            section = name.to_owned();
            about.clear();
            is_example = false;
        } else if let Some(text) = line.strip_prefix("# ") {
            about = if about.is_empty() { text.to_owned() } else { format!("{about} {text}") };
        } else if let Some((key, value)) = key(line) {
            if !about.is_empty() {
                is_example = EXAMPLES.iter().any(|word| about.contains(word));
            }
            let is_default = line.starts_with('#') && !is_example;
            found.push(Setting {
                given: lookup(&given, &section, key).map(shown),
                default: is_default.then(|| value.to_owned()),
                example: is_example.then(|| value.to_owned()),
                section: section.clone(),
                key: key.to_owned(),
                about: without_example(&std::mem::take(&mut about)),
                about_fr: french
                    .get(format!("{section}.{key}").as_str())
                    .map_or_else(String::new, |text| without_example(text)),
            });
        }
    }
    found
}

/// The name of a section, also of one that is switched off.
fn header(line: &str) -> Option<&str> {
    let inside = line.trim_start_matches('#').strip_prefix('[')?.strip_suffix(']')?;
    Some(inside.trim_start_matches('[').trim_end_matches(']'))
}

fn key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start_matches('#').split_once(" = ")?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_key.then_some((key, value))
}

/// The sentence without the word for what stands beside it: "Example; by default nowhere." says "By default nowhere."
fn without_example(about: &str) -> String {
    let Some((before, after)) = EXAMPLES.iter().find_map(|word| about.split_once(word)) else {
        return about.to_owned();
    };
    let mut after = after.trim_start().chars();
    let first = after.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{before}{first}{}", after.as_str()).trim_end().to_owned()
}

/// The value in a section; of a section that may be there several times, all of them.
fn lookup<'a>(table: &'a Table, section: &str, key: &str) -> Option<&'a Value> {
    let mut at = table;
    for part in section.split('.').filter(|part| !part.is_empty()) {
        at = match at.get(part)? {
            Value::Table(table) => table,
            Value::Array(list) => list.first()?.as_table()?,
            _ => return None,
        };
    }
    at.get(key)
}

/// Without what stands behind the question mark of an address: some receivers of alerts put a key there.
fn shown(value: &Value) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in value.to_string().chars() {
        match c {
            '?' => {
                inside = true;
                out.push_str("?…");
            }
            '"' => {
                inside = false;
                out.push(c);
            }
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

/// How a sentence says that what follows could be, and is no default; the later ones in French.
const EXAMPLES: [&str; 8] =
    ["Example;", "Example.", "Examples;", "Examples.", "Exemple\u{a0};", "Exemple.", "Exemples\u{a0};", "Exemples."];
/// What the keys mean, in French: the key behind its section, a tab, the sentence.
const FRENCH: &str = include_str!("about.fr.tsv");
/// The configuration with all its keys.
pub const EXAMPLE: &str = include_str!("../../../../docs/sm2tp.toml.example");

#[cfg(test)]
mod tests {
    use super::super::keys::SECTIONS;
    use super::*;

    #[test]
    fn every_key_of_the_table_is_shown_with_a_sentence() {
        let all = settings("");
        for section in SECTIONS {
            for (key, _) in section.keys {
                let found = all.iter().find(|setting| setting.section == section.name && setting.key == *key);
                let found = found.unwrap_or_else(|| panic!("[{}] {key} is not shown", section.name));
                assert!(found.given.is_none());
            }
        }
        let of = |section: &str, key: &str| {
            all.iter().find(|setting| setting.section == section && setting.key == key).unwrap().clone()
        };
        assert_eq!(of("http", "listen").default.as_deref(), Some("[\"127.0.0.1:8025\"]"));
        assert_eq!(of("smtp", "recipients_max").default.as_deref(), Some("1000"));
        for (section, key) in [
            ("http", "public_url"),
            ("store", "database"),
            ("store", "password_file"),
            ("ldap", "servers"),
            ("ldap", "base"),
            ("ldap", "filter"),
            ("ldap", "bind"),
            ("logs.follow", "journal"),
        ] {
            let shown = all.iter().find(|setting| setting.section == section && setting.key == key);
            assert_eq!(shown.and_then(|setting| setting.default.clone()), None, "[{section}] {key} is an example");
        }
        assert!(of("http", "public_score").about.contains("everybody may see"));
        let servers = of("ldap", "servers");
        assert!(servers.example.is_some_and(|example| example.starts_with("[\"ldap")));
        for setting in &all {
            for about in [&setting.about, &setting.about_fr] {
                assert!(!about.contains("Example") && !about.contains("Exemple"), "{about}");
            }
        }
        assert_eq!(without_example("A list. Example; by default nowhere."), "A list. By default nowhere.");
        assert_eq!(without_example("Le contact. Exemples."), "Le contact.");
    }

    #[test]
    fn what_a_key_means_is_said_in_french_where_it_is_said_in_english() {
        let all = settings("");
        let one_sided = all.iter().filter(|setting| setting.about.is_empty() != setting.about_fr.is_empty());
        let one_sided: Vec<_> = one_sided.map(|setting| format!("{}.{}", setting.section, setting.key)).collect();
        assert!(one_sided.is_empty(), "crates/sm2tp/src/config/about.fr.tsv: {one_sided:?}");
        let keys: Vec<_> = FRENCH.lines().skip(1).map(|line| line.split_once('\t').unwrap().0).collect();
        let is_known = |key: &&&str| all.iter().any(|setting| format!("{}.{}", setting.section, setting.key) == **key);
        assert_eq!(keys.iter().filter(is_known).count(), keys.len(), "a key that there is no more");
        assert!(!FRENCH.contains('\'') && FRENCH.contains("\u{a0};"), "’, and a no-break space before ; and :");
    }

    #[test]
    fn what_the_file_says_is_told_apart_and_keys_in_addresses_stay_out() {
        let all = settings(
            "hostname = \"a.example\"\n[smtp]\nrecipients_max = 5\n[alerts]\n\
             webhook = [{ url = \"https://h.example/x?key=secret\", secret_file = \"/s\" }]\n",
        );
        let of = |section: &str, key: &str| {
            all.iter().find(|setting| setting.section == section && setting.key == key).unwrap().given.clone()
        };
        assert_eq!(of("", "hostname").as_deref(), Some("\"a.example\""));
        assert_eq!(of("smtp", "recipients_max").as_deref(), Some("5"));
        assert_eq!(of("smtp", "listen"), None);
        let webhook = of("alerts", "webhook").unwrap();
        assert!(webhook.contains("https://h.example/x?…") && !webhook.contains("secret\""), "{webhook}");
    }
}
