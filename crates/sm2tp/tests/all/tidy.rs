//! What reviewers would otherwise have to see: walls between crates, sizes, who may show an address, documents that lie.
//!
//! Each check names the file and what to do. A list of exceptions carries a reason for each entry, and an entry that is
//! no longer needed fails too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

/// Who may use whom (`DESIGN.md` §3); the command uses everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("rules", &["proto"]),
    ("federation", &["rules", "proto"]),
    ("store", &["federation", "rules", "proto"]),
    ("doors", &["store", "federation", "rules", "proto"]),
    ("relay", &["store", "rules", "proto"]),
    ("sm2tp", &["doors", "relay", "store", "federation", "rules", "proto"]),
];

/// I1: these take time and random bytes as arguments.
const PURE: &[&str] = &["proto", "rules", "federation"];

/// Crates that do I/O, read a clock or draw random numbers.
const IMPURE: &[&str] = &[
    "axum",
    "getrandom",
    "hickory-resolver",
    "rand",
    "rand_core",
    "reqwest",
    "rusqlite",
    "rustls",
    "tokio",
    "tokio-postgres",
    "tokio-rustls",
    "tracing",
];

/// I2: the files in which an address may leave `Address` in clear, and why.
const MAY_SHOW: &[(&str, &str)] = &[
    ("crates/doors/src/confirm.rs", "the question to a recipient, at that address"),
    ("crates/doors/src/control/explain.rs", "to find lines of the send log"),
    ("crates/doors/src/control/queue.rs", "`queue list` and `show`, to who may read the queue's file anyway"),
    ("crates/doors/src/alerts/mail.rs", "the alert to an administrator, at the address in the configuration"),
    ("crates/doors/src/returns.rs", "the local part of a return path, which is a token"),
    ("crates/doors/src/returns/traced.rs", "the sealed entry of a token, and mail under way in memory"),
    ("crates/doors/src/returns/notice.rs", "the notice to an organisation, at the address that it gave"),
    ("crates/federation/src/tags.rs", "to hash it"),
    ("crates/proto/src/milter/session.rs", "a return path, and who is left out, to the mail server that sends"),
    ("crates/proto/src/smtp/client/transaction.rs", "MAIL and RCPT to the recipient's server"),
    ("crates/relay/src/report.rs", "the report to the sender, who wrote that address"),
    ("crates/relay/src/report/status.rs", "the fields of a report that name a recipient"),
    ("crates/relay/src/report/words.rs", "the sentence of a report that names a recipient"),
    ("crates/relay/src/settle.rs", "the outbox entry, gone once ledger and send log have it"),
    ("crates/relay/src/tls_report.rs", "the report to the address that a domain publishes for it"),
    ("crates/sm2tp/src/demo/mailserver.rs", "the demonstration's recipient servers, as any mail server"),
    ("crates/sm2tp/src/report.rs", "`sm2tp report`, to whoever has the mail that names them"),
    ("crates/store/src/returns/settle.rs", "to find a line of the send log"),
    ("crates/store/src/senders.rs", "the name of a sender that has no login"),
    ("crates/store/src/ledger/erased.rs", "to look whether it is gone from the octets of the files"),
    ("crates/store/src/spool/entry.rs", "the envelope beside the content, gone with it"),
    ("crates/store/src/spool/rows.rs", "the queue row, gone with the mail"),
    ("crates/store/src/spool/unfolded.rs", "what the ledger is told, which makes tags of it"),
    ("crates/store/src/told.rs", "to take it out of a reply text"),
];

/// Files of tests that may wait for real time, and why.
const MAY_SLEEP: &[(&str, &str)] = &[];

const LINES_MAX: usize = 600;

#[test]
fn crates_use_only_those_below_them() {
    let found: BTreeSet<String> = folders(&root().join("crates"));
    let listed: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "a new crate needs a decision record and a line in ARROWS");
    for (name, allowed) in ARROWS {
        for used in dependencies(name, &["dependencies", "dev-dependencies", "build-dependencies"]) {
            let Some(other) = used.strip_prefix("sm2tp-") else { continue };
            assert!(allowed.contains(&other), "crates/{name}/Cargo.toml: {name} may not use {other}");
        }
    }
}

#[test]
fn pure_crates_have_nothing_to_do_io_with() {
    for name in PURE {
        let used = dependencies(name, &["dependencies"]);
        let found: Vec<_> = used.iter().filter(|used| IMPURE.contains(&used.as_str())).collect();
        assert!(found.is_empty(), "I1: crates/{name}/Cargo.toml has {found:?}: hand in what is needed instead");
        let wall = read(&root().join(format!("crates/{name}/clippy.toml")));
        assert!(wall.contains("std::time::SystemTime::now"), "I1: crates/{name}/clippy.toml has lost its wall");
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for (name, _) in ARROWS {
        let inherits = manifest(name).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(inherits, Some(true), "crates/{name}/Cargo.toml: [lints] workspace = true");
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    fail_with(sources().iter().filter_map(|source| {
        let opening: Vec<&str> = source.text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        let sentence = opening.iter().any(|line| line.contains(['.', ':', '?']));
        (!sentence).then(|| format!("{}: the first line is no `//!` sentence", source.name))
    }));
}

#[test]
fn no_file_is_too_long_to_read() {
    fail_with(sources().iter().filter_map(|source| {
        let lines = source.production().lines().count();
        let table = source.text.starts_with("//! Table:");
        (LINES_MAX < lines && !table)
            .then(|| format!("{}: {lines} lines before its tests; {LINES_MAX} are the limit", source.name))
    }));
}

#[test]
fn addresses_are_shown_in_the_listed_places_only() {
    let sources = sources();
    let shows: Vec<&Source> = sources
        .iter()
        .filter(|source| source.name != "crates/proto/src/address.rs")
        .filter(|source| !source.is_test() && source.production().lines().any(shows_address))
        .collect();
    listed_exactly("I2: Address::clear()", MAY_SHOW, &shows);
}

#[test]
fn tests_do_not_wait_for_real_time() {
    let sources = sources();
    let sleeps: Vec<&Source> = sources
        .iter()
        .filter(|source| source.is_test() && !source.name.ends_with("/tidy.rs"))
        .filter(|source| source.text.lines().any(|line| code(line).contains("sleep(")))
        .collect();
    listed_exactly("a sleep in a test", MAY_SLEEP, &sleeps);
}

#[test]
fn nothing_is_left_undone_unsafe_or_skipped() {
    // Put together here, so that this file does not find itself.
    let words =
        [concat!("to", "do!("), concat!("un", "implemented!("), concat!("#[", "ignore"), concat!("un", "safe {")];
    fail_with(sources().iter().flat_map(|source| {
        let found = words.iter().filter(|word| source.text.lines().any(|line| code(line).contains(**word)));
        found.map(|word| format!("{}: {word}", source.name)).collect::<Vec<_>>()
    }));
}

#[test]
fn documents_keep_their_length() {
    let lines = |path: &Path| read(path).lines().count();
    assert!(lines(&root().join("ARCHITECTURE.md")) <= 300, "ARCHITECTURE.md has at most 300 lines");
    for path in files(&root().join("docs/decisions"), "md") {
        assert!(lines(&path) <= 60, "{}: a decision has at most 60 lines", path.display());
    }
}

#[test]
fn documents_name_files_that_exist() {
    fail_with(documents().iter().flat_map(|document| {
        let folder = document.path.parent().unwrap_or(&document.path);
        let links = targets(&document.text).filter(|to| !to.contains("://") && !to.starts_with(['#', '/']));
        let missing = links.filter(|to| !folder.join(to.split('#').next().unwrap_or(to)).exists());
        let named = quoted(&document.text).filter(|text| is_path(text) && !root().join(text).exists());
        let gone = missing.chain(named).map(|name| format!("{}: {name} does not exist", document.name));
        gone.collect::<Vec<_>>()
    }));
}

#[test]
fn documents_name_commands_that_exist() {
    let commands: BTreeSet<Vec<String>> = documents().iter().flat_map(|document| commands(&document.text)).collect();
    assert!(!commands.is_empty(), "the README shows commands");
    fail_with(commands.iter().filter_map(|words| {
        let asked = Command::new(env!("CARGO_BIN_EXE_sm2tp")).args(words).arg("--help").output();
        let known = asked.is_ok_and(|output| output.status.success());
        (!known).then(|| format!("`sm2tp {}` is in a document and not in the program", words.join(" ")))
    }));
}

/// A file of Rust with its place in the repository.
struct Source {
    name: String,
    text: String,
}

impl Source {
    /// The text before the module of tests at its end.
    fn production(&self) -> &str {
        let end = self.text.match_indices("\n#[cfg(test)]\n").find(|(at, found)| {
            let next = self.text[at + found.len()..].lines().next().unwrap_or("");
            next.ends_with('{')
        });
        end.map_or(&self.text, |(at, _)| &self.text[..at])
    }

    /// Files that are compiled for tests alone.
    fn is_test(&self) -> bool {
        let alone = ["/hostile.rs", "/corpus.rs", "/testing.rs"];
        self.name.contains("/tests/")
            || self.name.starts_with("fuzz/")
            || alone.iter().any(|end| self.name.ends_with(end))
    }
}

/// A document for people.
struct Document {
    path: PathBuf,
    name: String,
    text: String,
}

/// `Vec::clear` stands alone in its line and has no value; `Address::clear` is always part of something.
fn shows_address(line: &str) -> bool {
    let line = code(line);
    if line.contains("Address::clear") {
        return true;
    }
    let statement = line.strip_suffix(".clear();").is_some_and(|rest| !rest.contains([' ', '=']));
    line.contains(".clear()") && !statement
}

/// The line without its comment.
fn code(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

#[track_caller]
fn listed_exactly(what: &str, list: &[(&str, &str)], found: &[&Source]) {
    let found: BTreeSet<&str> = found.iter().map(|source| source.name.as_str()).collect();
    let listed: BTreeSet<&str> = list.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "{what} in a file that is not in the list of tidy.rs: {new:#?}");
    let stale: Vec<_> = listed.difference(&found).collect();
    assert!(stale.is_empty(), "{what}: the list of tidy.rs names files without it: {stale:#?}");
}

#[track_caller]
fn fail_with(faults: impl Iterator<Item = String>) {
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(name: &str) -> Table {
    let path = root().join(format!("crates/{name}/Cargo.toml"));
    read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dependencies(name: &str, sections: &[&str]) -> BTreeSet<String> {
    let manifest = manifest(name);
    assert!(!manifest.contains_key("target"), "crates/{name}/Cargo.toml: dependencies by target are not read here");
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn sources() -> Vec<Source> {
    let mut paths = files(&root().join("crates"), "rs");
    for folder in ["fuzz/src", "fuzz/fuzz_targets"] {
        paths.extend(files(&root().join(folder), "rs"));
    }
    paths.iter().map(|path| Source { name: name(path), text: read(path) }).collect()
}

fn documents() -> Vec<Document> {
    let mut paths = files(&root().join("docs"), "md");
    paths.extend(files(&root().join("interop"), "md"));
    paths.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    paths.into_iter().map(|path| Document { name: name(&path), text: read(&path), path }).collect()
}

/// What links of Markdown point to.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// What stands between single backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// A path of this repository, and no pattern or command.
fn is_path(text: &str) -> bool {
    let starts = ["crates/", "docs/", "tests/", "corpus/", "interop/", "scripts/", ".ci/", "fuzz/", "LICENSES/"];
    starts.iter().any(|start| text.starts_with(start)) && !text.contains([' ', '*', '<', '{', '…'])
}

/// The words of commands in code blocks: `sm2tp queue list --json` is `queue list`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        inside ^= line.starts_with("```");
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if let Some(rest) = line.strip_prefix("sm2tp ").filter(|_| inside) {
            let is_word =
                |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            found.push(rest.split_whitespace().take_while(is_word).take(2).map(str::to_owned).collect());
        }
    }
    found
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = path.read_dir().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    entries.flatten().filter(|entry| entry.path().is_dir()).map(|e| e.file_name().to_string_lossy().into()).collect()
}

/// All files below `path` that end so; none where there is no such folder.
fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in path.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue; // What it leads to is found where it is.
        }
        if path.is_dir() && entry.file_name() != "target" {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
