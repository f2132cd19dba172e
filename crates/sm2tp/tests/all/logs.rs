//! `sm2tp log scan` on what real mail servers wrote, whole and compressed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::node::{Node, SM2TP, Said, said, sm2tp};
use crate::programs::run;
use crate::wait::{Folder, wait_until};

const LONG: Duration = Duration::from_secs(30);

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
fn what_was_refused_and_complained_of_is_told_by_hour_reason_and_size() {
    let said = scan(&["--format", "postfix", &log("postfix-3.11.6.log").display().to_string()]);
    for part in [
        "By hour of the day",
        "00:00",
        "Refused at the door",
        "Senders by size",
        "Recipients by size",
        "END-OF-MESSAGE: spam",
        "warning: qmgr: bounce_queue_lifetime is larger",
    ] {
        assert!(said.stdout.contains(part), "{part} is missing in\n{}", said.stdout);
    }
    let exim = scan(&["--format", "exim", &log("exim-4.96-mainlog.log").display().to_string()]);
    assert!(exim.stdout.contains("RCPT: suppressed: hard bounce"), "{}", exim.stdout);
}

#[test]
fn the_page_is_one_file_in_the_language_of_the_terminal_and_strangers_write_nothing_into_it() {
    let folder = Folder::new("page");
    let evil = "<script>alert(1)</script>\u{202e}";
    let head = "2026-11-21T23:49:06Z vm postfix";
    let text = format!(
        "{head}/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 no {evil}; from=<a@b> to=<c@d>\n\
         {head}/qmgr[1]: 4jX8761: from=<\"{evil}\"@org.test>, size=272, nrcpt=1 (queue active)\n\
         {head}/smtp[1]: 4jX8761: to=<b@dest.test>, relay=mx.dest.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, \
         status=bounced (host mx.dest.test[192.0.2.1] said: 550 5.7.1 {evil} (in reply to end of DATA command))\n"
    );
    let file = folder.write("mail.log", &text).display().to_string();
    let page = |locale: &str| {
        let mut command = Command::new(SM2TP);
        command.args(["log", "scan", "--format", "postfix", "--page", &file]).env_remove("LC_ALL").env("LANG", locale);
        said(&mut command, "").stdout
    };
    let (english, french) = (page("C.UTF-8"), page("fr_FR.UTF-8"));
    assert!(english.contains("<html lang=\"en\">") && english.contains("Refused at the door"), "{english}");
    assert!(french.contains("<html lang=\"fr\">") && french.contains("Refusés à l’entrée"), "{french}");
    for page in [english, french] {
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("default-src 'none'") && !page.contains("http://") && !page.contains("src="), "{page}");
        assert!(page.ends_with("</html>\n"), "{page}");
    }
}

#[test]
fn what_is_compressed_otherwise_is_not_taken_for_an_empty_log() {
    let folder = Folder::new("logs");
    let begins: [(&str, &[u8]); 3] =
        [("xz", b"\xfd7zXZ\0..\n"), ("bzip2", b"BZh9..\n"), ("zstd", b"\x28\xb5\x2f\xfd..\n")];
    for (program, octets) in begins {
        let path = folder.join(program);
        std::fs::write(&path, octets).unwrap();
        let said = scan(&["--format", "postfix", &path.display().to_string()]);
        assert!(said.exit == 65 && said.stderr.contains(&format!("{program} -dc")), "{said:?}");
    }
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
        "The message was refused as unwanted",
        "alice@relay.test",
    ] {
        assert!(said.stdout.contains(part), "{part} is missing in\n{}", said.stdout);
    }
    let postfix = log("postfix-3.7.11.log");
    let args = ["log", "scan", "--format", "postfix"];
    let french = crate::node::said(Command::new(SM2TP).args(args).arg(postfix).env("LC_ALL", "fr_FR.UTF-8"), "");
    assert!(french.stdout.contains("Message refusé comme indésirable"), "{}", french.stdout);
    assert!(!french.stdout.contains("unwanted"), "{}", french.stdout);
    let missing = scan(&["--format", "postfix", "/nonexistent/mail.log"]);
    assert_eq!(missing.exit, 65);
    assert!(missing.stderr.contains("/nonexistent/mail.log"), "{}", missing.stderr);
    assert_eq!(scan(&["--format", "sendmail", "x"]).exit, 64);
}

/// A line of a bounce of `goneN@dest.test`, and one of a delivery.
fn bounce(at: &str, n: usize) -> String {
    format!(
        "{at} vm postfix/smtp[1]: 4jX8763w{n}: to=<gone{n}@dest.test>, relay=mx.dest.test[192.0.2.1]:25, delay=1, \
         delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.dest.test[192.0.2.1] said: 550 5.1.1 User unknown (in reply to \
         RCPT TO command))\n"
    )
}

fn knows(node: &Node, n: usize) -> bool {
    node.decision(&format!("gone{n}@dest.test"), "bulk")["decision"] == "refuse"
}

fn events(node: &Node) -> u64 {
    node.ask(&["ledger", "rebuild"])["events"].as_u64().unwrap()
}

fn minutes_ago(minutes: u64) -> String {
    run("date", &["-u", "-d", &format!("{minutes} minutes ago"), "+%Y-%m-%dT%H:%M:%S+00:00"], "").trim().to_owned()
}

#[test]
fn old_logs_are_counted_once_whoever_reads_them_and_never_beat_what_came_later() {
    let folder = Folder::new("old-logs");
    let path = folder.join("mail.log");
    let (oldest, older) = (folder.join("mail.log.2"), folder.join("mail.log.1"));
    // It took mail later than it refused some.
    let taken = bounce(&minutes_ago(5), 3).replace("dsn=5.1.1, status=bounced", "dsn=2.0.0, status=sent");
    std::fs::write(&oldest, bounce(&minutes_ago(90), 1) + &bounce(&minutes_ago(80), 3)).unwrap();
    std::fs::write(&older, bounce(&minutes_ago(60), 2)).unwrap();
    std::fs::write(&path, taken + &bounce(&minutes_ago(1), 4)).unwrap();
    run("gzip", &[&oldest.display().to_string()], "");
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n",
        path.display()
    ));
    wait_until("the log itself", LONG, || knows(&node, 4));
    assert!(!knows(&node, 1) && !knows(&node, 2), "what was renamed before is left alone");
    let files: Vec<String> =
        [folder.join("mail.log.2.gz"), older, path].iter().map(|path| path.display().to_string()).collect();
    let import = |files: &[String]| {
        let mut words = vec!["log", "import", "--format", "postfix"];
        words.extend(files.iter().map(String::as_str));
        node.ask(&words)
    };
    let said = import(&files);
    let want = serde_json::json!({ "lines": 5, "taken": 2, "known": 2, "overtaken": 1 });
    assert_eq!(said, want);
    assert!(knows(&node, 1) && knows(&node, 2) && !knows(&node, 3), "gone3 took mail later");
    let before = events(&node);
    assert_eq!(import(&files)["taken"], 0, "again");
    assert_eq!(events(&node), before);
    let missing = node.run(&["log", "import", "--format", "exim", &files[0]]);
    assert_eq!(missing.exit, 64, "{}", missing.stderr);
}

#[test]
fn the_journal_is_followed_and_read_on_after_a_stop() {
    let folder = Folder::new("journal");
    let journal = JournalWriter::start(folder.path());
    journal.say(&bounce("", 1));
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[logs]\nfollow = [{{ format = \"postfix\", journal = \"{}\" }}]\n",
        folder.path().display()
    ));
    wait_until("what was there", LONG, || knows(&node, 1));
    journal.say(&bounce("", 2));
    wait_until("what comes", LONG, || knows(&node, 2));
    let (before, of_one) = (events(&node), events(&node) / 2);
    node.kill();
    journal.say(&bounce("", 3));
    node.serve();
    wait_until("what came meanwhile", LONG, || knows(&node, 3));
    assert_eq!(events(&node), before + of_one, "nothing counts twice");
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

/// Writes a journal as journald would, from entries in its export format.
struct JournalWriter {
    child: std::cell::RefCell<std::process::Child>,
    entries: std::cell::Cell<u64>,
}

impl JournalWriter {
    fn start(folder: &Path) -> Self {
        let program = "/lib/systemd/systemd-journal-remote";
        assert!(Path::new(program).exists(), "{program} is missing: scripts/test-packages installs it");
        let child = std::process::Command::new(program)
            .args(["--output", &folder.join("mail.journal").display().to_string(), "-"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self { child: child.into(), entries: 0.into() }
    }

    /// A line of syslog without its time.
    fn say(&self, line: &str) {
        let number = self.entries.get() + 1;
        self.entries.set(number);
        let (head, message) = line.trim().split_once(": ").unwrap();
        let program = head.trim_start_matches("vm ").split('[').next().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        let entry = format!(
            "__REALTIME_TIMESTAMP={now}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=vm\n\
             SYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER={program}\nMESSAGE={message}\n\n"
        );
        let mut child = self.child.borrow_mut();
        let input = child.stdin.as_mut().unwrap();
        std::io::Write::write_all(input, entry.as_bytes()).and_then(|()| std::io::Write::flush(input)).unwrap();
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}
