//! The documentation for administrators in `docs/book`: its commands are run, its configurations checked, its languages compared.
//!
//! What a fence says after its first word decides what is done with the commands of a block:
//! - `console`: `sm2tp`, `swaks` and `curl` are run against a node that was prepared for that page, and must succeed. What the
//!   page shows below a command must be in its output, in this order; `…` stands for what differs from node to node.
//! - `console,exit=65`: they end with that exit code.
//! - `console,parse`: they would need another machine, or change this one. The program reads their words, and stops because the
//!   configuration that it is given does not exist.
//!
//! Other programs are not run: they must be in [`OTHERS`]. A block `toml` is a configuration that `sm2tp check` accepts; with
//! `toml,files` it names files that this machine does not have, and nothing else may be wrong.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::node::{Node, SM2TP, Said, said};
use crate::peers::federation;
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// The first one is run; the others must say the same commands.
const LANGUAGES: [&str; 2] = ["en", "fr"];

/// What the pages may name beside what is run here.
const OTHERS: &[&str] = &[
    "alias",
    "apt",
    "cargo",
    "cd",
    "chgrp",
    "dig",
    "git",
    "install",
    "journalctl",
    "make",
    "postconf",
    "postfix",
    "rustup",
    "su",
    "systemctl",
    "timedatectl",
    "update-exim4.conf",
    "useradd",
    "usermod",
];

/// What the site shows without scrolling sideways.
const COLUMNS_MAX: usize = 84;

/// Where the pages say that a node listens, as its example of a configuration has it.
const SMTP: &str = "127.0.0.1:2525";
const HTTP: &str = "127.0.0.1:8025";

#[test]
fn every_command_of_the_book_does_what_the_book_says() {
    let pages = pages(LANGUAGES[0]);
    let faults: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(|| try_page(page))).collect();
        running.into_iter().flat_map(|page| page.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn commands_in_sentences_and_in_technical_pages_are_understood() {
    let mut faults = Vec::new();
    for page in LANGUAGES.into_iter().flat_map(pages) {
        for command in page.text.split('`').filter(|text| text.starts_with("sm2tp ") && !text.contains(['…', '\n'])) {
            let said = said(Command::new(SM2TP).args(command.split_whitespace().skip(1)).arg("--help"), "");
            faults.extend((said.exit != 0).then(|| format!("{}: {command}\n{}", page.at(1), said.stderr)));
        }
    }
    for (name, text) in technical_pages() {
        let lines =
            blocks(&text).into_iter().flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
        for line in lines.filter_map(|line| command_alone(&line)) {
            let shown = Shown { line: 1, command: line, output: Vec::new() };
            faults.extend(not_understood(&shown).map(|fault| format!("{name}: {}\n{fault}", shown.command)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_configuration_in_the_book_is_accepted() {
    let folder = Folder::new("book");
    for page in LANGUAGES.into_iter().flat_map(pages) {
        for block in page.blocks.iter().filter(|block| block.info[0] == "toml") {
            let hostname = if block.text.contains("hostname =") { "" } else { "hostname = \"relay.example.org\"\n" };
            let text = format!("{hostname}data_dir = {:?}\n{}", folder.join("data"), block.text);
            // A block that begins with its sections has no place for a key before them but the first line.
            let config = folder.write("sm2tp.toml", &text);
            let said = said(Command::new(SM2TP).arg("check").arg("--config").arg(&config), "");
            let lacks_files = block.info.iter().any(|word| word == "files");
            let is_so = if lacks_files { said.stderr.contains("No such file") } else { said.exit == 0 };
            assert!(is_so, "{}: {}{}", page.at(block.line), said.stdout, said.stderr);
        }
    }
}

#[test]
fn both_languages_have_the_same_pages_with_the_same_blocks() {
    let [first, second] = LANGUAGES.map(pages);
    let names = |pages: &[Page]| pages.iter().map(|page| page.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    for (a, b) in first.iter().zip(&second) {
        let shown = |page: &Page| page.blocks.iter().filter(|it| it.info[0] != "text").cloned().collect::<Vec<_>>();
        for (one, other) in shown(a).iter().zip(&shown(b)) {
            let is_so = (&one.info, without_comments(one)) == (&other.info, without_comments(other));
            assert!(is_so, "{} and {} differ:\n{}\n{}", a.at(one.line), b.at(other.line), one.text, other.text);
        }
        assert_eq!(shown(a).len(), shown(b).len(), "{}: as many blocks in both languages", a.name);
        for page in [a, b] {
            let other = LANGUAGES.into_iter().find(|language| *language != page.language).unwrap();
            let link = format!("](../{other}/{})", page.name);
            assert!(page.text.contains(&link), "{}: no link to the same page in the other language", page.at(1));
        }
    }
}

#[test]
fn the_contents_name_every_page_once() {
    for language in LANGUAGES {
        let summary = fs::read_to_string(folder(language).join("SUMMARY.md")).unwrap();
        let linked: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        let there: BTreeSet<String> = pages(language).into_iter().map(|page| page.name).collect();
        assert_eq!(
            linked.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(),
            there,
            "{language}/SUMMARY.md"
        );
        assert_eq!(linked.len(), there.len(), "{language}/SUMMARY.md names a page twice");
    }
}

#[test]
fn the_site_has_every_technical_page() {
    let [summary, index] =
        ["SUMMARY.md", "README.md"].map(|name| fs::read_to_string(root().join("docs").join(name)).unwrap());
    for (path, _) in technical_pages() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_named = |text: &str| text.contains(&format!("]({name})"));
        let is_so = ["README.md", "SUMMARY.md"].contains(&name) || (is_named(&summary) && is_named(&index));
        assert!(is_so, "docs/SUMMARY.md and docs/README.md have to name {name}");
    }
}

#[test]
fn french_has_its_spaces_and_apostrophes() {
    let faults: Vec<String> = pages("fr").iter().flat_map(|page| page.wrong_signs()).collect();
    assert!(
        faults.is_empty(),
        "a no-break space (U+00A0), or ’ for an apostrophe, is due there:\n{}",
        faults.join("\n")
    );
}

#[test]
fn drawings_fit_on_a_page_and_every_word_of_the_glossary_has_one() {
    for page in LANGUAGES.into_iter().flat_map(pages) {
        for block in page.blocks.iter().filter(|block| block.info[0] == "text") {
            let wide = block.text.lines().find(|line| COLUMNS_MAX < line.chars().count());
            assert!(wide.is_none(), "{}: wider than {COLUMNS_MAX} columns: {wide:?}", page.at(block.line));
        }
        for word in page.text.split("\n### ").skip(1).filter(|_| page.name == "glossary.md") {
            let title = word.lines().next().unwrap_or_default();
            assert_eq!(word.matches("```text\n").count(), 1, "{}: one drawing for {title}", page.at(1));
        }
    }
}

/// One page of the book.
struct Page {
    language: &'static str,
    name: String,
    text: String,
    blocks: Vec<Block>,
}

/// A block between fences.
#[derive(Clone)]
struct Block {
    /// The line of its opening fence, from 1.
    line: usize,
    /// The words after the fence, which commas separate.
    info: Vec<String>,
    text: String,
}

/// A command of a block, and what the page shows below it.
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

impl Page {
    fn read(language: &'static str, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let blocks = blocks(&text);
        let bare = blocks.iter().find(|block| block.info[0].is_empty()).map(|block| block.line);
        assert!(bare.is_none(), "{}:{bare:?}: a fence says what is in it: console, toml, text", path.display());
        Self { language, name: path.file_name().unwrap().to_string_lossy().into_owned(), text, blocks }
    }

    fn at(&self, line: usize) -> String {
        format!("docs/book/{}/{}:{line}", self.language, self.name)
    }

    /// Lines in which French wants a space that does not break, or a curved apostrophe, and has none.
    fn wrong_signs(&self) -> Vec<String> {
        let prose = prose(&self.text);
        let is_wrong = |line: &str| {
            let characters: Vec<char> = line.chars().collect();
            (0..characters.len()).any(|at| {
                let before = at.checked_sub(1).map(|before| characters[before]);
                let after = characters.get(at + 1).copied();
                match characters[at] {
                    // `![` is a picture, and `:--` the alignment of a column.
                    '!' if after == Some('[') => false,
                    ':' if before.is_none_or(|it| it == '|') || after == Some('-') => false,
                    ':' if before.is_some_and(|it| it.is_ascii_digit())
                        && after.is_some_and(|it| it.is_ascii_digit()) =>
                    {
                        false
                    }
                    ':' | ';' | '?' | '!' | '»' => before != Some(NO_BREAK),
                    '«' => after != Some(NO_BREAK),
                    '\'' => true,
                    _ => false,
                }
            })
        };
        let wrong = prose.lines().enumerate().filter(|(_, line)| is_wrong(line));
        wrong.map(|(at, line)| format!("{}: {line}", self.at(at + 1))).collect()
    }
}

impl Block {
    /// The commands, each with what is shown below it. `\` at the end of a line continues it.
    fn commands(&self) -> Vec<Shown> {
        let mut found: Vec<Shown> = Vec::new();
        let mut goes_on = false;
        for (at, line) in self.text.lines().enumerate() {
            let command = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
            match (command, found.last_mut()) {
                (_, Some(last)) if goes_on => last.command = format!("{} {}", last.command, line.trim()),
                (Some(command), _) => {
                    found.push(Shown { line: self.line + 1 + at, command: command.to_owned(), output: Vec::new() });
                }
                (None, Some(last)) => last.output.push(line.trim().to_owned()),
                (None, None) => panic!("line {}: output before a command", self.line),
            }
            let last = found.last_mut().expect("there is a command, or it had panicked");
            goes_on = last.command.ends_with('\\');
            last.command = last.command.trim_end_matches('\\').trim_end().to_owned();
        }
        for shown in &mut found {
            // A remark behind a command is for the reader.
            shown.command = shown.command.split("  #").next().unwrap_or_default().trim().to_owned();
        }
        found
    }

    fn exit(&self) -> i32 {
        self.info.iter().find_map(|word| word.strip_prefix("exit=")).map_or(0, |code| code.parse().unwrap())
    }
}

/// A node for one page, in which there is something to see, and the folder in which commands are typed.
struct Stage {
    node: Node,
    /// Another hoster, which has asked for a peering.
    _other: Option<Node>,
    folder: Folder,
}

impl Stage {
    fn new(page: &str) -> Self {
        let sink = Sink::with(|to| match to.split('@').next().unwrap_or_default() {
            "jean" => Some("550 5.1.1 No such user".to_owned()),
            "lea" => Some("451 4.3.0 Try again later".to_owned()),
            _ => None,
        });
        let folder = Folder::new("book");
        let http = free_address();
        let node = Node::start(&configuration("relay.example.org", http, &sink, &folder));
        node.ask(&["org", "add", "asso", "--domain", "asso.example"]);
        node.ask_with(&["org", "login", "anna", "--org", "asso", "--stream", "personal"], "correct horse");
        let mut client = Client::greet(node.smtp()).unwrap();
        client.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0anna\0correct horse")), "235").unwrap();
        // The first one waits, as number 1.
        for to in ["lea@later.example", "jean@example.org", "marie@example.net"] {
            client
                .mail("anna@asso.example", &[to], "From: <anna@asso.example>\r\nSubject: Assembly\r\n\r\nOn Monday.")
                .unwrap();
        }
        wait_until("what can be delivered is", LONG, || node.queue().len() == 1);
        wait_until("the node knows of jean", LONG, || node.decision("jean@example.org", "bulk")["rule"] == "own-hard");
        let told = || node.run(&["explain", "marie@example.net"]).stdout.contains(" delivered ");
        wait_until("the send log has marie", LONG, told);
        for (name, text) in FILES {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            folder.write(name, text);
        }
        let other = (page == "federation.md").then(|| asking(&node, &sink, &folder));
        let stage = Self { node, _other: other, folder };
        stage.put_into_path("sm2tp", &format!("exec {SM2TP} \"$@\" --config {}", stage.node.config.display()));
        stage
    }

    /// A program of this name, for commands that are typed here.
    fn put_into_path(&self, name: &str, script: &str) {
        fs::create_dir_all(self.folder.join("bin")).unwrap();
        let path = self.folder.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Types a command line.
    fn type_in(&self, line: &str) -> Said {
        let log = format!("{}/var/log/", self.folder.path().display());
        let line = line.replace(SMTP, &self.node.smtp().to_string()).replace(HTTP, &self.node.http().to_string());
        let path = format!("{}:{}", self.folder.join("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line.replace("/var/log/", &log)]).current_dir(self.folder.path());
        // Pages show what the program says in English.
        shell.env("PATH", path).env("LC_ALL", "C.UTF-8");
        said(&mut shell, "a new password\n")
    }
}

/// Files that the pages name.
const FILES: &[(&str, &str)] = &[
    ("bounces.csv", "email,reason,created\nold@example.net,550 5.1.1 No such user,2026-10-01 08:00:00\n"),
    ("complaints.csv", "address,created_at\ntired@example.net,2026-10-01 08:00:00\n"),
    ("bounce.eml", include_str!("../../../../corpus/mails/lhost-postfix-04.eml")),
    ("replies.txt", "550 5.1.1 No such user\n"),
    ("var/log/mail.log", include_str!("../../../../corpus/logs/postfix-rsyslog-rfc3339.log")),
    ("var/log/exim4/mainlog", include_str!("../../../../corpus/logs/exim-4.96-mainlog.log")),
];

fn configuration(name: &str, http: SocketAddr, sink: &Sink, folder: &Folder) -> String {
    let sockets = folder.path().display();
    let domains = ["example.org", "example.net", "later.example", "asso.example"];
    let routes = domains.map(|domain| format!("routes.\"{domain}\" = \"{}\"\n", sink.address)).concat();
    format!(
        "hostname = \"{name}\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1/32\"]\n\
         [relay]\n{routes}[watch]\nmode = \"enforce\"\n[alerts]\nmail = [\"admin@example.org\"]\n\
         [returns]\ndomain = \"returns.{name}\"\nunsubscribe_url = \"https://{name}/unsubscribe\"\n\
         [suppression]\nconfirm_url = \"https://{name}/confirm\"\n\
         [policy]\nlisten = [\"unix:{sockets}/{name}-policy.sock\"]\n\
         [socketmap]\nlisten = [\"unix:{sockets}/{name}-map.sock\"]\n{}name = \"{name}\"\n",
        federation(http)
    )
}

/// The node of another hoster that has asked `node` for a peering.
fn asking(node: &Node, sink: &Sink, folder: &Folder) -> Node {
    let name = "relay.other.example";
    let other = Node::start(&configuration(name, free_address(), sink, folder));
    other.ask(&["peer", "invite", &format!("http://{}/fed/v1", node.http())]);
    other
}

/// Runs the commands of a page; answers with what went wrong.
fn try_page(page: &Page) -> Vec<String> {
    let console: Vec<&Block> = page.blocks.iter().filter(|block| block.info[0] == "console").collect();
    let mut faults = Vec::new();
    let mut stage = None;
    for block in console {
        for shown in block.commands() {
            let fault = if block.info.iter().any(|word| word == "parse") {
                not_read(&shown)
            } else if runs_here(&shown.command) {
                let stage = stage.get_or_insert_with(|| Stage::new(&page.name));
                not_as_shown(&shown, block.exit(), &stage.type_in(&shown.command))
            } else {
                not_known(&shown)
            };
            faults.extend(fault.map(|fault| format!("{}: {}\n{fault}", page.at(shown.line), shown.command)));
        }
    }
    faults
}

/// Whether one of the programs of a line is run by this test.
fn runs_here(line: &str) -> bool {
    programs_of(line).iter().any(|name| ["sm2tp", "swaks", "curl"].contains(&name.as_str()))
}

/// The program before each `|`, and after `&&`.
fn programs_of(line: &str) -> Vec<String> {
    let parts = line.split("&&").flat_map(|part| part.split(" | "));
    // A backslash goes around the alias of the page about installing.
    let first = |part: &str| part.split_whitespace().next().map(|name| name.trim_start_matches('\\').to_owned());
    parts.filter_map(first).collect()
}

/// What the program says against the words of a command that it must not carry out.
fn not_read(shown: &Shown) -> Option<String> {
    let Some(words) = shown.command.trim_start_matches('\\').strip_prefix("sm2tp ") else {
        return not_known(shown);
    };
    let line = format!("{SM2TP} {words} --config /nonexistent/sm2tp.toml");
    let said = said(Command::new("sh").args(["-c", &line]), "");
    (said.exit != 78).then(|| format!("exit {}, not 78: {}{}", said.exit, said.stdout, said.stderr))
}

/// As [`not_read`], for pages whose examples are not all meant for typing: the words fit, whatever comes of it.
fn not_understood(shown: &Shown) -> Option<String> {
    let folder = Folder::new("book");
    let line = shown.command.replacen("sm2tp", SM2TP, 1) + " --config /nonexistent/sm2tp.toml";
    let said = said(Command::new("sh").args(["-c", &line]).current_dir(folder.path()), "");
    (said.exit == 64).then_some(said.stderr)
}

/// The command in a line of a technical page, without prompt and remark; none for what runs for long without a configuration.
fn command_alone(line: &str) -> Option<String> {
    let line = line.trim();
    let line = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).unwrap_or(line);
    let long = ["sm2tp bench", "sm2tp demo", "sm2tp simulate"].iter().any(|begin| line.starts_with(begin));
    let is_one = line.starts_with("sm2tp ") && !line.contains(['|', '<', '…']) && !long;
    is_one.then(|| line.split(" #").next().unwrap_or_default().trim().to_owned())
}

fn technical_pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.filter(|path| path.extension().is_some_and(|it| it == "md")).chain([root().join("README.md")]);
    pages.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

fn not_as_shown(shown: &Shown, exit: i32, said: &Said) -> Option<String> {
    if said.exit != exit {
        return Some(format!("exit {}, not {exit}:\n{}{}", said.exit, said.stdout, said.stderr));
    }
    let output = format!("{}{}", said.stdout, said.stderr);
    let mut rest = output.as_str();
    for line in &shown.output {
        for part in line.split('…').map(str::trim).filter(|part| !part.is_empty()) {
            let Some(at) = rest.find(part) else {
                return Some(format!("{part:?} is not, or not in this place, in\n{output}"));
            };
            rest = &rest[at + part.len()..];
        }
    }
    None
}

/// Commands of other programs: a known program, files and targets of this repository that exist.
fn not_known(shown: &Shown) -> Option<String> {
    let programs = programs_of(&shown.command);
    if let Some(strange) = programs.iter().find(|name| !OTHERS.contains(&name.as_str())) {
        return Some(format!("{strange} is neither run nor in OTHERS"));
    }
    let words = shown.command.split_whitespace();
    let missing = words.filter(|word| word.starts_with("docs/") || word.starts_with("scripts/"));
    if let Some(missing) = missing.clone().find(|path| !root().join(path).exists()) {
        return Some(format!("{missing} does not exist"));
    }
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let target = shown.command.strip_prefix("make ").filter(|target| !makefile.contains(&format!("\n{target}:")));
    target.map(|target| format!("the Makefile has no target {target}"))
}

/// The pages of one language, by name.
fn pages(language: &'static str) -> Vec<Page> {
    let entries = fs::read_dir(folder(language)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    paths.retain(|path| !path.ends_with("SUMMARY.md"));
    paths.sort();
    assert!(!paths.is_empty(), "the book has pages");
    paths.iter().map(|path| Page::read(language, path)).collect()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                let info = info.split(',').map(str::to_owned).collect();
                open = Some(Block { line: at + 1, info, text: String::new() });
            }
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

/// A block without what is said to the reader in his language.
fn without_comments(block: &Block) -> Vec<String> {
    let comment = if block.info[0] == "console" { "  #" } else { "#" };
    let lines = block.text.lines().map(|line| line.split(comment).next().unwrap_or_default().trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The text with everything that is no prose (code, targets of links) replaced by spaces, line by line.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().map(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        if inside || fence {
            return String::new();
        }
        let parts = line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "x" });
        without_between(&without_between(&parts.collect::<String>(), "](", ")"), "<", ">")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Takes out what stands between two marks, and the marks.
fn without_between(line: &str, open: &str, close: &str) -> String {
    let Some((before, rest)) = line.split_once(open) else { return line.to_owned() };
    let after = rest.split_once(close).map_or("", |(_, after)| after);
    format!("{before}{}", without_between(after, open, close))
}

fn folder(language: &str) -> PathBuf {
    root().join("docs/book").join(language)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A space at which no line ends.
const NO_BREAK: char = '\u{a0}';
