//! Pages, programs and the command line ask the same requests: what one can do, the others can, or a reason stands here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Requests without a line of their own in the table of operations, and why.
const NO_OPERATION: &[(&str, &str)] = &[
    ("log-import", "POST /logs reads the log, and asks it batch by batch"),
    ("suppress-list", "GET /suppressions has all of it, page by page"),
    ("tail", "GET /tail asks it for as long as a program looks"),
    ("tail-last", "GET /tail goes on behind any line that there is"),
];

/// Requests that no command asks, and why.
const NO_COMMAND: &[(&str, &str)] = &[
    ("overview", "sm2tp stats has the same, of more days"),
    ("setting-list", "the file itself, and sm2tp org limits"),
    ("stats-providers", "sm2tp stats has them added up; day by day they are drawn"),
    ("tail-last", "sm2tp tail goes on until it is ended"),
];

/// What of the keys is not done over HTTP: see docs/api.md.
const NO_KEYS: &[&str] = &["found", "join", "offline", "online", "revoke"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words between `before` and `after`, wherever they stand.
fn between<'a>(text: &'a str, before: &str, after: &str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| Some(rest.split_once(after)?.0))
}

/// Every request by its name in the code, with its word.
fn requests() -> BTreeMap<String, String> {
    let table = read("crates/doors/src/control/about.rs");
    let (_, table) = table.split_once("pub(super) fn kind(").unwrap();
    let (table, _) = table.split_once("\n    }\n").unwrap();
    let line = |line: &str| {
        let (name, word) = line.trim().strip_prefix("Self::")?.split_once(" => (")?;
        let name = name.split([' ', '{']).next()?;
        // What changes an account has a word of its own for each change.
        let word = word.strip_prefix('"').map_or("account", |word| word.split('"').next().unwrap());
        Some((name.to_owned(), word.to_owned()))
    };
    let found: BTreeMap<_, _> = table.lines().filter_map(line).collect();
    assert!(60 < found.len() && found["QueueList"] == "queue-list", "{found:?}");
    found
}

fn sources(folder: &str) -> String {
    let (mut found, mut folders) = (String::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // What prints the answers names requests that it never asks.
            let prints = path.components().any(|part| ["show", "show.rs"].iter().any(|name| part.as_os_str() == *name));
            match path.is_dir() {
                _ if prints => {}
                true => folders.push(path),
                false => found.push_str(&fs::read_to_string(path).unwrap()),
            }
        }
    }
    found
}

/// The names of requests that a text has behind one of these.
fn named(text: &str, before: &[&str]) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned();
    before.iter().flat_map(|before| text.split(*before).skip(1).map(name)).collect()
}

#[track_caller]
fn check(what: &str, all: &BTreeMap<String, String>, has: impl Fn(&str, &str) -> bool, reasons: &[(&str, &str)]) {
    let missing: BTreeSet<&str> =
        all.iter().filter(|(name, word)| !has(name, word)).map(|(_, word)| word.as_str()).collect();
    let known: BTreeSet<&str> = reasons.iter().map(|(word, _)| *word).collect();
    assert_eq!(missing, known, "{what}: on the left what is missing, on the right what has a reason");
}

#[test]
fn what_is_asked_of_a_node_can_be_asked_over_http() {
    let operations = read("crates/doors/src/api/operations.rs");
    let asked: BTreeSet<&str> = between(&operations, ".asks(\"", "\"").collect();
    check("operations", &requests(), |_, word| asked.contains(word), NO_OPERATION);
    let keys = read("crates/doors/src/control/keys.rs");
    let (_, kinds) = keys.split_once("pub enum OfKeys {").unwrap();
    let (kinds, _) = kinds.split_once("\n}\n").unwrap();
    let kinds =
        kinds.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(char::is_uppercase));
    let kinds: BTreeSet<String> =
        kinds.map(|line| line.split([' ', ',']).next().unwrap().to_ascii_lowercase()).collect();
    let shapes = read("crates/doors/src/api/operation.rs");
    let mut over: BTreeSet<String> = between(&shapes, "\"key\": \"", "\"").map(str::to_owned).collect();
    over.extend(between(&shapes, "Ok(key(\"", "\"").map(str::to_owned));
    let missing: Vec<_> = kinds.difference(&over).cloned().collect();
    assert_eq!(missing, NO_KEYS, "of the keys");
}

#[test]
fn what_is_asked_of_a_node_can_be_asked_at_its_command_line() {
    let asked = named(&sources("crates/sm2tp/src"), &["Request::", "Self::"]);
    // A report is put into base64 on its way.
    let has = |name: &str, _: &str| asked.contains(name) || name == "ReportTake" && asked.contains("report");
    check("commands", &requests(), has, NO_COMMAND);
}

#[test]
fn pages_ask_nothing_that_programs_cannot() {
    let all = requests();
    let pages = named(&sources("crates/doors/src/web"), &["Request::"]);
    let asked: BTreeSet<&str> = pages.iter().filter_map(|name| all.get(name)).map(String::as_str).collect();
    assert!(30 < asked.len(), "{asked:?}");
    let operations = read("crates/doors/src/api/operations.rs");
    let over: BTreeSet<&str> = between(&operations, ".asks(\"", "\"").collect();
    let missing: Vec<_> =
        asked.difference(&over).filter(|word| !NO_OPERATION.iter().any(|(known, _)| known == *word)).collect();
    assert!(missing.is_empty(), "only pages ask {missing:?}");
}

#[test]
fn the_audit_log_has_words_in_both_languages_for_whatever_a_person_may_do() {
    let about = read("crates/doors/src/control/about.rs");
    let (_, looks) = about.split_once("pub fn changes(&self)").unwrap();
    let (looks, _) = looks.split_once("=> false,").unwrap();
    let looks = named(looks, &["Self::"]);
    let changes = requests().into_iter().filter(|(name, word)| !looks.contains(name) && word != "account");
    let persons = read("crates/doors/src/control/persons.rs");
    let accounts = between(&persons, "=> \"account-", "\"").map(|word| format!("account-{word}")).collect::<Vec<_>>();
    let pages = sources("crates/doors/src/web");
    let own = between(&pages, "noted(&shared, &sent, \"", "\"").map(str::to_owned).collect::<Vec<_>>();
    assert!(5 < accounts.len() && 1 < own.len(), "{accounts:?} {own:?}");
    let words: Vec<String> =
        changes.map(|(_, word)| word).chain(accounts).chain(own).chain(["test-mail".to_owned()]).collect();
    for lang in ["en", "fr"] {
        let locale = read(&format!("crates/doors/locales/{lang}.ftl"));
        let known: BTreeSet<&str> = between(&locale, "\ndid-", " =").collect();
        let missing: Vec<_> = words.iter().filter(|word| !known.contains(&word[..])).collect();
        assert!(missing.is_empty(), "{lang}.ftl has no did-… for {missing:?}");
        let left: Vec<_> = known.iter().filter(|known| !words.iter().any(|word| word == *known)).collect();
        assert!(left.is_empty(), "{lang}.ftl has did-… for nothing: {left:?}");
    }
}
