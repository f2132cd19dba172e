//! Databases of every older format, as their programs made them (`tests/formats/README.md`), are brought up by this one; those of
//! newer ones are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::node::{Node, Said};
use crate::programs::run;

/// Runs statements in a database, the first rows of a question as JSON.
const SQL: &str = "import json, sqlite3, sys\nbase = sqlite3.connect(sys.argv[1])\nbase.executescript(sys.stdin.read())\n\
                   print(json.dumps(base.execute(sys.argv[2]).fetchall()))";

fn sql(file: &Path, statements: &str, question: &str) -> Value {
    serde_json::from_str(&run("python3", &["-c", SQL, &file.display().to_string(), question], statements)).unwrap()
}

/// A node that was never started, with this database in its place.
fn node(name: &str, statements: &str) -> (Node, PathBuf) {
    let config = "hostname = \"relay.example.org\"\n[relay]\n[returns]\ndomain = \"returns.test\"\n";
    let node = Node::prepare(config);
    fs::create_dir_all(node.data().join("spool")).unwrap();
    let place = match name {
        "ledger" => "ledger.sqlite",
        "spool" => "spool/queue.sqlite",
        _ => "spool/reports.sqlite",
    };
    let file = node.data().join(place);
    sql(&file, statements, "SELECT 1");
    (node, file)
}

fn fixtures() -> Vec<(String, i64, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    let parts = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (name, format) = name.split_once('-').unwrap();
        (name.to_owned(), format.parse().unwrap(), fs::read_to_string(&path).unwrap())
    };
    files.map(parts).collect()
}

#[track_caller]
fn brought_up(name: &str, before: i64, statements: &str) -> i64 {
    let (node, file) = node(name, statements);
    // An organisation of its own shows that all of it can be written.
    let said = node.run(&["org", "add", "other", "--domain", "other.test"]);
    assert_eq!(said.exit, 0, "{name} {before}: {}{}", said.stdout, said.stderr);
    if name == "ledger" {
        let kept = "SELECT (SELECT COUNT(*) FROM org), (SELECT login FROM login), (SELECT COUNT(*) FROM event WHERE kind = 'hard'), \
                    (SELECT recipient FROM send_log)";
        let kept = sql(&file, "", kept);
        assert_eq!(kept, serde_json::json!([[2, "anna", 1, "gone@dest.test"]]), "{name} {before}");
        // Before format 17 views were other ones, and were made of the event.
        let views = sql(&file, "", "SELECT COUNT(*) FROM recipient WHERE hard = 1")[0][0].as_i64();
        assert_eq!(views, Some(i64::from(before < 17)), "{name} {before}");
    }
    sql(&file, "", "PRAGMA user_version")[0][0].as_i64().unwrap()
}

#[test]
fn every_older_format_is_brought_up() {
    let fixtures = fixtures();
    let newest_of = |wanted: &str| {
        let of_kind = fixtures.iter().filter(|(name, ..)| name == wanted);
        of_kind.map(|(_, format, _)| *format).max().unwrap()
    };
    assert_eq!(fixtures.iter().filter(|(name, ..)| name == "ledger").count() as i64, newest_of("ledger"));
    // Several at once: each command opens a node of its own.
    thread::scope(|scope| {
        for part in fixtures.chunks(fixtures.len().div_ceil(4)) {
            let newest_of = &newest_of;
            scope.spawn(move || {
                for (name, format, statements) in part {
                    let now = brought_up(name, *format, statements);
                    assert!(newest_of(name) < now, "{name} {format}: {now}");
                }
            });
        }
    });
}

#[test]
fn a_newer_format_is_refused_with_a_clear_line() {
    for (name, what) in [("ledger", "the ledger"), ("spool", "the spool"), ("inbox", "the spool")] {
        let (node, _) = node(name, "PRAGMA user_version = 99;");
        let Said { exit, stderr, .. } = node.run(&["org", "add", "other", "--domain", "other.test"]);
        let clear = format!(": {what} has format 99, this version knows ");
        assert!(
            exit != 0 && stderr.contains(&clear) && stderr.contains("install the version that wrote it"),
            "{exit} {stderr}"
        );
    }
}
