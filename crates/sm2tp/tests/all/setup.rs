//! `sm2tp setup` and `sm2tp doctor`: a node is made of five answers, and what is wrong around it is said.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::Client;
use crate::names::Names;
use crate::node::{Node, SM2TP, Said, said};
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::Folder;

fn setup(folder: &Folder, more: &[&str]) -> Said {
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let mut command = Command::new(SM2TP);
    command.args(["setup", "--yes", "--domain", "asso.example", "--admin", "admin@asso.example"]).args(more);
    command.arg("--data-dir").arg(data).arg("--config").arg(folder.join("sm2tp.toml")).env("LC_ALL", "C");
    said(&mut command, "")
}

#[test]
fn five_answers_make_a_node_that_was_tried() {
    let folder = Folder::new("setup");
    let first = setup(&folder, &["--hostname", "relay.asso.example", "--json"]);
    assert_eq!(first.exit, 0, "{}{}", first.stdout, first.stderr);
    let told: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!((&told["written"], &told["tried"], &told["signed"]), (&true.into(), &true.into(), &true.into()));
    assert_eq!((told["org"].as_str(), told["login"].as_str()), (Some("asso"), Some("relay@asso.example")));
    let records = told["records"].as_array().unwrap();
    let has = |name: &str, begin: &str| {
        let fits = |it: &&Value| it["name"] == name && it["value"].as_str().unwrap().starts_with(begin);
        records.iter().any(|it| fits(&it))
    };
    assert!(has("asso.example", "v=spf1 mx") && has("_dmarc.asso.example", "v=DMARC1; p=none; rua=mailto:admin@"));
    assert!(
        has("sm2tp1-rsa._domainkey.asso.example", "v=DKIM1") && has("sm2tp1-rsa._domainkey.relay.asso.example", "v=")
    );

    // The login is there, with the password that was shown, and every key of the configuration, commented.
    let password = told["password"].as_str().unwrap();
    assert!(password.len() == 27 && password.matches('-').count() == 3, "{password}");
    let text = fs::read_to_string(folder.join("sm2tp.toml")).unwrap();
    assert!(text.contains("hostname = \"relay.asso.example\"") && text.contains("#expire_bulk = \"1d\""), "{text}");

    assert_eq!(told["person"], "admin@asso.example");
    assert!(told["person_password"].as_str().is_some_and(|password| password.len() == 27));
    let config = folder.join("sm2tp.toml").display().to_string();
    let list = said(Command::new(SM2TP).args(["account", "list", "--json", "--config", &config]), "");
    assert!(list.stdout.contains("admin@asso.example") && list.stdout.contains("owner"), "{}", list.stdout);

    // Again: what is there stays.
    let again = setup(&folder, &["--hostname", "relay.asso.example", "--no-trial", "--json"]);
    let told: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&told["written"], &told["password"], &told["tried"]), (&false.into(), &Value::Null, &false.into()));
    assert_eq!(told["person_password"], Value::Null);
    let other = setup(&folder, &["--hostname", "other.asso.example"]);
    assert_eq!(other.exit, 65, "{}{}", other.stdout, other.stderr);
    assert!(other.stderr.contains("nothing was changed"), "{}", other.stderr);
}

#[test]
fn setup_asks_for_what_only_a_person_knows() {
    let folder = Folder::new("setup");
    let config = folder.join("sm2tp.toml").display().to_string();
    let run = |args: &[&str]| {
        said(Command::new(SM2TP).args(args).args(["--config", &config]).env("LC_ALL", "fr_FR.UTF-8"), "")
    };
    let without = run(&["setup"]);
    assert_eq!((without.exit, without.stderr.contains("pas de terminal")), (64, true), "{}", without.stderr);
    let half = run(&["setup", "--yes", "--hostname", "relay.asso.example"]);
    assert_eq!((half.exit, half.stderr.contains("--domain")), (64, true), "{}", half.stderr);
    let wrong =
        run(&["setup", "--yes", "--hostname", "relay", "--domain", "asso.example", "--admin", "a@asso.example"]);
    assert_eq!((wrong.exit, wrong.stderr.contains("--hostname")), (65, true), "{}", wrong.stderr);
    assert!(!folder.join("sm2tp.toml").exists(), "nothing was written");
}

/// Types lines at a terminal, each when the program has asked; what the terminal showed, and the exit code.
const TERMINAL: &str = r#"
import os, pty, re, sys
lines, command = sys.argv[1].split("|"), sys.argv[2:]
pid, at = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b""
while True:
    try:
        octets = os.read(at, 4096)
    except OSError:
        break
    if not octets:
        break
    shown += octets
    # A question is a line with its number that does not end yet.
    if lines and re.search(rb"(^|\n)\d/5 [^\n]*: (\[[^\n]*\] )?$", shown):
        os.write(at, b"\x04" if lines[0] == "^D" else lines[0].encode() + b"\n")
        lines.pop(0)
print(shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn typed(folder: &Folder, language: &str, lines: &str) -> String {
    let (config, data) = (folder.join("sm2tp.toml").display().to_string(), folder.join("data").display().to_string());
    fs::create_dir_all(&data).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, lines, SM2TP, "setup", "--no-trial", "--config", &config, "--data-dir", &data]);
    said(python.env("LC_ALL", language), "").stdout
}

#[test]
fn a_person_at_a_terminal_is_asked_five_questions_and_may_err() {
    let folder = Folder::new("setup");
    let gone = typed(&folder, "C", "relay.asso.example|^D");
    assert!(gone.contains("nothing was changed") && gone.trim().ends_with("65"), "{gone}");
    assert!(!folder.join("sm2tp.toml").exists(), "{gone}");
    let shown = typed(&folder, "fr_FR.UTF-8", "relay|relay.asso.example||||nobody|");
    for words in ["n’est pas un nom complet", "[asso.example]", "n’est pas une adresse de courriel", "Ensuite"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(shown.trim().ends_with(" 0"), "{shown}");
    let config = fs::read_to_string(folder.join("sm2tp.toml")).unwrap();
    assert!(
        config.contains("hostname = \"relay.asso.example\"") && config.contains("postmaster@asso.example"),
        "{config}"
    );
    let often = typed(&Folder::new("setup"), "C", "a|b|c|d|e");
    assert!(often.contains("five times") && often.trim().ends_with("65"), "{often}");
}

/// A node that sends from `source`, with keys for asso.test, that asks this name server.
fn node(names: impl FnOnce(&[Value]) -> String, source: &str, port: u16) -> (Node, Names) {
    let mut node = Node::prepare("hostname = \"relay.asso.test\"\n[relay]\n");
    let made = node.ask(&["dkim", "new", "asso.test"]);
    node.ask(&["org", "add", "asso", "--domain", "asso.test"]);
    let records: Vec<Value> = made.as_array().unwrap().iter().map(|key| key["record"].clone()).collect();
    let names = Names::serve(&names(&records));
    let first = fs::read_to_string(&node.config).unwrap().lines().next().unwrap().to_owned();
    let text = format!(
        "{first}\nhostname = \"relay.asso.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nport = {port}\n\
         source = [\"{source}\"]\n{}",
        names.config()
    );
    fs::write(&node.config, text).unwrap();
    node.serve();
    (node, names)
}

fn doctor(node: &Node, more: &[&str]) -> (i32, Vec<Value>) {
    let args = [&["doctor", "--json", "--probe", "probe.test", "--blocklist", "bl.test"][..], more].concat();
    let said = node.run(&args);
    let told: Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
    (said.exit, told["findings"].as_array().unwrap().clone())
}

/// The checks of a level, those of the machine apart, which are about where the test runs.
fn checks(found: &[Value], level: &str) -> Vec<String> {
    let wanted = found.iter().filter(|it| it["level"] == level && it["part"] != "machine");
    let mut names: Vec<String> = wanted.map(|it| it["check"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn a_node_in_order_has_no_fault() {
    let zone = |records: &[Value]| {
        let keys = records
            .iter()
            .map(|it| format!("{} TXT {}\n", it["name"].as_str().unwrap(), it["value"].as_str().unwrap()));
        let keys: String = keys.collect();
        format!(
            "{keys}relay.asso.test A 192.0.2.5\n5.2.0.192.in-addr.arpa PTR relay.asso.test\n\
             relay.asso.test TXT v=spf1 a -all\nasso.test TXT v=spf1 include:relay.asso.test -all\n\
             asso.test MX 10 relay.asso.test\n_dmarc.asso.test TXT v=DMARC1; p=reject\n\
             "
        )
    };
    let (node, _names) = node(zone, "192.0.2.5", 25);
    let (exit, found) = doctor(&node, &["--no-probe"]);
    let machine_faults = found.iter().filter(|it| it["level"] == "fault" && it["part"] == "machine").count();
    assert_eq!(checks(&found, "fault"), Vec::<String>::new());
    assert_eq!(exit == 0, machine_faults == 0);
    // The node's own name has no key: its reports leave unsigned.
    assert_eq!(checks(&found, "warning"), ["dkim-absent"]);
    let fine = checks(&found, "fine");
    for check in ["dkim-fine", "dmarc-fine", "hello-fine", "list-fine", "node-fine", "reverse-fine", "spf-fine"] {
        assert!(fine.iter().any(|it| it == check), "{check}: {fine:?}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let zone = |records: &[Value]| {
        let name = records[0]["name"].as_str().unwrap();
        format!(
            "{name} TXT v=DKIM1; k=rsa; p=AAAA\nrelay.asso.test A 127.0.0.9\n5.2.0.192.in-addr.arpa PTR host5.provider.test\n\
             asso.test TXT v=spf1 ip4:192.0.2.7 -all\n5.2.0.192.bl.test A 127.0.0.2\n\
             5.2.0.192.bl.test TXT Listed, see https://bl.test/192.0.2.5\nprobe.test MX 10 mx.probe.test\n\
             mx.probe.test A 127.0.0.1\n"
        )
    };
    // Nobody listens there.
    let (mut node, _names) = node(zone, "192.0.2.5", crate::wait::free_port());
    fs::set_permissions(node.data().join("keys"), Permissions::from_mode(0o700)).unwrap();
    let (exit, found) = doctor(&node, &[]);
    assert_eq!(exit, 65);
    let faults = checks(&found, "fault");
    for check in [
        "dkim-missing",
        "dkim-other",
        "listed",
        "mail-nowhere",
        "port-closed",
        "reverse-unconfirmed",
        "spf-absent",
        "spf-fail",
    ] {
        assert!(faults.iter().any(|it| it == check), "{check}: {faults:?}\n{found:#?}");
    }
    let listed = found.iter().find(|it| it["check"] == "listed").unwrap();
    assert!(listed["says"].as_str().unwrap().contains("https://bl.test/192.0.2.5"), "{listed}");
    let spf = found.iter().find(|it| it["check"] == "spf-fail").unwrap();
    assert!(spf["do"].as_str().unwrap().contains("ip4:192.0.2.5"), "{spf}");

    let mut french = Command::new(SM2TP);
    french.args(["doctor", "--no-probe", "--config"]).arg(&node.config).env("LC_ALL", "fr_FR.UTF-8");
    let french = said(&mut french, "").stdout;
    assert!(french.contains("LES SORTIES") && french.contains("Ajoutez-y ip4:192.0.2.5"), "{french}");
    assert!(Client::greet(node.smtp()).is_ok());

    let (status, _) = node.terminate(Duration::from_secs(20));
    assert!(status.success());
    let key = node.data().join("keys/node.key");
    let key = if key.exists() {
        key
    } else {
        fs::read_dir(node.data().join("keys")).unwrap().flatten().find(|it| it.path().is_file()).unwrap().path()
    };
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let (_, found) = doctor(&node, &["--no-probe"]);
    let checks: Vec<&str> = found.iter().map(|it| it["check"].as_str().unwrap()).collect();
    assert!(checks.contains(&"node-down") && checks.contains(&"secret-open"), "{checks:?}");
}

#[test]
fn port_25_is_tried_from_the_exit() {
    let sink = Sink::start();
    let zone = |_: &[Value]| "probe.test MX 10 mx.probe.test\nmx.probe.test A 127.0.0.1\n".to_owned();
    let (node, _names) = node(zone, "127.0.0.5", sink.address.port());
    let (_, found) = doctor(&node, &[]);
    let port = found.iter().find(|it| it["check"] == "port-fine").unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!((&port["about"], &port["part"]), (&"127.0.0.5".into(), &"exit".into()));
    assert!(sink.mails().is_empty(), "nothing is sent");
}

#[test]
fn logins_of_dovecot_are_taken_over_with_their_passwords() {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    node.ask(&["org", "add", "asso", "--domain", "asso.test"]);
    node.add_login("known", "a password", "other.test", "personal");
    let openssl = |kind: &str, password: &str| {
        let args = ["passwd", kind, "-salt", "saltstring", password];
        said(Command::new("openssl").args(args), "").stdout.trim().to_owned()
    };
    let doveadm = |scheme: &str| {
        let hash = run("doveadm", &["pw", "-s", scheme, "-p", "correct horse"], "");
        format!("{}:{}\n", scheme.to_lowercase(), hash.trim())
    };
    let dovecot: String = ["ARGON2ID", "SCRAM-SHA-256", "BLF-CRYPT"].map(doveadm).concat();
    let file = format!(
        "# a passwd-file\nanna:{{SHA512-CRYPT}}{}:1000:1000::/home/anna\n\nluc:{}\n\
         known:{{SHA512-CRYPT}}{}\nold:{{SSHA}}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\nnonsense\n\
         eve:{{BLF-CRYPT}}$2y$16$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n{dovecot}shadow:{}\n",
        openssl("-6", "correct horse"),
        openssl("-5", "password"),
        openssl("-6", "another"),
        // As Debian's /etc/shadow has it.
        run("perl", &["-e", "print crypt('correct horse', '$y$j9T$F5Jx5fExrKuPp53xLKQ..1')"], ""),
    );
    let said = node.run_with(&["org", "import", "asso", "--stream", "bulk", "--json"], &file);
    let told: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
    assert_eq!((said.exit, &told["taken"], &told["kept"]), (65, &6.into(), &1.into()), "{told}");
    let lines: Vec<u64> = told["refused"].as_array().unwrap().iter().map(|it| it["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [6, 7, 8], "{told}");
    for (login, password, right) in [
        ("anna", "correct horse", true),
        ("anna", "wrong horse", false),
        ("luc", "password", true),
        ("argon2id", "correct horse", true),
        ("argon2id", "wrong horse", false),
        ("scram-sha-256", "correct horse", true),
        ("scram-sha-256", "wrong horse", false),
        ("blf-crypt", "correct horse", true),
        ("blf-crypt", "wrong horse", false),
        ("shadow", "correct horse", true),
        ("shadow", "wrong horse", false),
        ("known", "a password", true),
        ("known", "another", false),
    ] {
        let mut client = Client::greet(node.smtp()).unwrap();
        let plain = STANDARD.encode(format!("\0{login}\0{password}"));
        assert_eq!(client.say(&format!("AUTH PLAIN {plain}"), "235").is_ok(), right, "{login} {password}");
    }
    assert_eq!(node.ask(&["org", "import", "asso", "--stream", "bulk"])["taken"], 0, "nothing on standard input");
}
