//! `sm2tp log scan` on what real mail servers wrote, whole and compressed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node::{Said, sm2tp};
use crate::programs::run;
use crate::wait::Folder;

fn log(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/logs").join(name)
}

fn scan(args: &[&str]) -> Said {
    let nowhere = Path::new("/nonexistent/sm2tp.toml");
    sm2tp(&[&["log", "scan"][..], args].concat(), nowhere)
}

fn lines(said: &Said) -> Vec<Value> {
    assert_eq!(said.exit, 0, "{}", said.stderr);
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_result_of_a_log_is_a_line_with_its_cause_and_the_last_line_counts_them() {
    let file = log("postfix-3.7.11.log").display().to_string();
    let all = lines(&scan(&["--format", "postfix", "--json", &file]));
    let (last, results) = all.split_last().unwrap();
    assert_eq!(last["counts"]["lines"], 513, "{last}");
    for status in ["sent", "deferred", "bounced", "expired"] {
        let count = results.iter().filter(|result| result["status"] == status).count();
        assert_eq!(last["counts"][status], count, "{last}");
    }
    let of = |queue_id: &str, to: &str| {
        results.iter().find(|result| result["queue_id"] == queue_id && result["recipient"] == to)
    };
    let refused = of("76CE99C2A0A", "550-5.1.1@dest.test").unwrap();
    for (field, want) in [
        ("sender", "a@org.test"),
        ("login", "alice@relay.test"),
        ("message_id", "20261121234817.002598@vm"),
        ("relay", "127.0.0.1"),
        ("status", "bounced"),
        ("enhanced", "5.1.1"),
    ] {
        assert_eq!(refused[field], want, "{refused}");
    }
    assert_eq!((&refused["code"], &refused["repeated"]), (&550.into(), &false.into()), "{refused}");
    let laposte = of("4jX82l4lZsz1V7l6", "421-4.7.0-noesc@dest.test").unwrap();
    assert_eq!((&laposte["cause"], &laposte["status"]), (&"content".into(), &"deferred".into()), "{laposte}");
    assert!(results.iter().filter(|result| result["repeated"] == true).all(|result| result["cause"].is_null()));
}

#[test]
fn a_compressed_log_and_standard_input_are_read_like_the_file() {
    let folder = Folder::new("logs");
    let (plain, packed) = (log("exim-4.96-mainlog.log"), folder.join("mainlog.2.gz"));
    run("sh", &["-c", &format!("gzip -c {} > {}", plain.display(), packed.display())], "");
    let args = |file: &str| scan(&["--format", "exim", "--json", file]);
    let want = args(&plain.display().to_string()).stdout;
    assert_eq!(args(&packed.display().to_string()).stdout, want);
    let said = lines(&args(&plain.display().to_string()));
    assert_eq!(said.last().unwrap()["counts"]["bounced"], 6);
    assert!(said.iter().any(|line| line["code"] == 550 && line["status"] == "bounced"), "{want}");
}

#[test]
fn a_person_reads_totals_troubles_and_senders() {
    let said = scan(&["--format", "postfix", &log("postfix-3.7.11.log").display().to_string()]);
    assert_eq!(said.exit, 0, "{}", said.stderr);
    for part in [
        "513 lines: 51 sent, 34 deferred, 20 bounced, 2 expired.",
        "11 repeat an older answer",
        "2026-11-21",
        "dest.test",
        "content 127.0.0.1",
        "alice@relay.test",
    ] {
        assert!(said.stdout.contains(part), "{part} is missing in\n{}", said.stdout);
    }
    let missing = scan(&["--format", "postfix", "/nonexistent/mail.log"]);
    assert_eq!(missing.exit, 65);
    assert!(missing.stderr.contains("/nonexistent/mail.log"), "{}", missing.stderr);
    assert_eq!(scan(&["--format", "sendmail", "x"]).exit, 64);
}
