//! DKIM: what leaves is signed for who wrote it and for nobody else, and another program says that it verifies.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::client::send;
use crate::node::Node;
use crate::programs::{run, swaks};
use crate::sink::{Mail, Sink};
use crate::wait::{Folder, wait_until};

/// A node whose trusted network is the org `local`, and what it delivers to.
fn node(config: &str) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.node.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n{config}",
        sink.address
    ));
    (node, sink)
}

/// The domains and selectors of the signatures of a mail, in order.
fn signatures(mail: &Mail) -> Vec<(String, String)> {
    let text = mail.text();
    let header = text.split("\r\n\r\n").next().unwrap().replace("\r\n\t", " ");
    let tag = |line: &str, name: &str| {
        let mut tags = line.split(';').filter_map(|tag| tag.trim().split_once('='));
        tags.find(|(found, _)| *found == name).unwrap().1.to_owned()
    };
    let lines = header.lines().filter_map(|line| line.strip_prefix("DKIM-Signature: "));
    lines.map(|line| (tag(line, "d"), tag(line, "s"))).collect()
}

fn domains(mail: &Mail) -> Vec<String> {
    signatures(mail).into_iter().map(|(domain, _)| domain).collect()
}

const VERIFY: &str = r#"
import json, sys, dkim
records = {record["name"]: record["value"] for record in json.loads(sys.argv[1])}
message = bytes.fromhex(sys.stdin.read())
txt = lambda name, timeout=5: records[name.decode().rstrip(".")].encode()
print(" ".join(str(dkim.DKIM(message).verify(idx=i, dnsfunc=txt)) for i in range(int(sys.argv[2]))))
"#;

/// dkimpy's opinion of each signature, with the records that we tell people to publish.
#[track_caller]
pub fn verify(records: &Value, mail: &Mail) -> String {
    let hex: String = mail.content.iter().map(|octet| format!("{octet:02x}")).collect();
    // Debian's own Python is the one that has Debian's modules.
    let count = signatures(mail).len().to_string();
    run("/usr/bin/python3", &["-c", VERIFY, &records.to_string(), &count], &hex).trim().to_owned()
}

#[test]
fn another_program_verifies_what_arrives() {
    let (node, sink) = node("");
    let made = node.ask(&["dkim", "new", "good.test"]);
    assert_eq!(made.as_array().unwrap().len(), 2, "{made}");
    let records = node.ask(&["dkim", "record", "good.test"]);
    let folder = Folder::new("bodies");
    let bodies = [
        ("plain", "Hello\nBob\n"),
        ("dots", ".\n..\n.dot\n\n\n"),
        ("blanks", "text \t\n \n\n \n"),
        ("eight-bit", "caf\u{e9} \u{1f600}\n"),
        ("empty", ""),
    ];
    for (name, body) in bodies {
        let (file, to) = (folder.write(name, body), format!("{name}@example.test"));
        let body = format!("@{}", file.display());
        let server = node.smtp().to_string();
        swaks(&["--server", &server, "--from", "anna@good.test", "--to", &to, "--body", &body]);
        let mail = sink.mail_to(&to);
        assert_eq!(domains(&mail), ["good.test", "good.test"], "{}", mail.text());
        assert_eq!(verify(&records, &mail), "True True", "{}", mail.text());
    }
    // In words: something to copy.
    let said = node.run(&["dkim", "record", "good.test"]);
    assert!(
        said.stdout.contains("sm2tp1-rsa._domainkey.good.test. 3600 IN TXT ( \"v=DKIM1; k=rsa; p="),
        "{}",
        said.stdout
    );
    assert!(said.stdout.lines().all(|line| line.len() < 500), "{}", said.stdout);
    assert!(node.run(&["dkim", "list"]).stdout.contains("signing"));
}

#[test]
fn an_org_never_gets_the_signature_of_another() {
    let (node, sink) = node("");
    node.add_login("anna", "correct horse", "a.test", "personal");
    node.add_login("bert", "correct horse", "b.test", "personal");
    for domain in ["a.test", "b.test", "free.test"] {
        node.ask(&["dkim", "new", domain, "--algorithm", "ed25519"]);
    }
    let server = node.smtp().to_string();
    let cases = [
        ("anna", "anna@a.test", "anna@a.test", Some("a.test")),
        ("anna", "anna@a.test", "anna@news.a.test", Some("a.test")),
        // The envelope is hers, the author that readers see is not.
        ("anna", "anna@a.test", "bert@b.test", None),
        ("anna", "anna@a.test", "bert@news.b.test", None),
        ("anna", "anna@a.test", "anna@a.test, bert@b.test", None),
        ("anna", "anna@a.test", "\"bert@b.test\" <anna@a.test>", Some("a.test")),
        ("anna", "anna@a.test", "bert@b.test <anna@a.test>", None),
        ("anna", "anna@a.test", "someone@free.test", None),
        ("bert", "bert@b.test", "bert@b.test", Some("b.test")),
        // From the trusted network: what no org lists.
        ("", "x@b.test", "x@b.test", None),
        ("", "x@free.test", "x@free.test", Some("free.test")),
        ("", "x@free.test", "x@free.test\r\nFrom: y@b.test", None),
    ];
    for (index, (login, from, author, want)) in cases.into_iter().enumerate() {
        let to = format!("case{index}@example.test");
        let header = format!("From: {author}");
        let data = format!("{header}\nTo: {to}\nSubject: s\n\ntext\n").replace("\r\n", "\n");
        let mut args = vec!["--server", &server, "--from", from, "--to", &to, "--data", &data];
        if !login.is_empty() {
            args.extend(["--auth", "PLAIN", "--auth-user", login, "--auth-password", "correct horse"]);
        }
        swaks(&args);
        let mail = sink.mail_to(&to);
        assert_eq!(domains(&mail), want.into_iter().collect::<Vec<_>>(), "{login} {from}: {}", mail.text());
    }
}

#[test]
fn the_default_signs_what_has_no_key_and_the_host_signs_our_reports() {
    let sink = Sink::with(|to| to.starts_with("nobody@").then(|| "550 5.1.1 No such user".to_owned()));
    let node = Node::start(&format!(
        "hostname = \"relay.node.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n[dkim]\ndefault = \"relay.node.test\"\nsign = \"ed25519\"\n",
        sink.address
    ));
    node.ask(&["dkim", "new", "relay.node.test", "--selector", "node"]);
    let node_signs = [("relay.node.test".to_owned(), "node-ed25519".to_owned())];
    send(node.smtp(), "anna@keyless.test", &["bob@example.test", "nobody@example.test"], "default");
    assert_eq!(signatures(&sink.mail_to("bob@example.test")), node_signs);
    let report = sink.mail_to("anna@keyless.test");
    assert!(report.from.is_empty() && report.text().contains("MAILER-DAEMON@relay.node.test"), "{}", report.text());
    assert_eq!(signatures(&report), node_signs);
    assert_eq!(verify(&node.ask(&["dkim", "record", "relay.node.test"]), &report), "True");
}

#[test]
fn keys_are_rotated_while_the_node_runs_and_while_it_does_not() {
    let (mut node, sink) = node("");
    let pem = Folder::new("pem");
    let file = pem.join("own.pem");
    run("openssl", &["genrsa", "-traditional", "-out", &file.display().to_string(), "2048"], "");
    let taken =
        node.ask(&["dkim", "new", "good.test", "--selector", "mail", "--from-file", &file.display().to_string()]);
    let public = run("openssl", &["rsa", "-in", &file.display().to_string(), "-pubout", "-outform", "PEM"], "");
    let public: String = public.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(taken[0]["record"]["value"], format!("v=DKIM1; k=rsa; p={public}"), "{taken}");
    let selector = |subject: &str, node: &Node| {
        let to = format!("{subject}@example.test");
        send(node.smtp(), "anna@good.test", &[&to], subject);
        signatures(&sink.mail_to(&to)).into_iter().map(|(_, selector)| selector).collect::<Vec<_>>()
    };
    assert_eq!(selector("own", &node), ["mail"]);
    assert_eq!(node.ask(&["dkim", "rotate", "good.test"])[0]["state"], "waiting");
    assert_eq!(selector("waiting", &node), ["mail"]);
    assert_eq!(node.ask(&["dkim", "record", "good.test"]).as_array().unwrap().len(), 2);
    node.kill();
    node.ask(&["dkim", "rotate", "good.test", "--now"]);
    node.serve();
    assert_eq!(selector("rotated", &node), ["sm2tp1-rsa"]);
    let list = node.ask(&["dkim", "list", "good.test"]);
    let states: BTreeMap<_, _> =
        list.as_array().unwrap().iter().map(|k| (k["selector"].as_str(), &k["state"])).collect();
    assert_eq!((states[&Some("mail")], states[&Some("sm2tp1-rsa")]), (&"retired".into(), &"signing".into()), "{list}");
    let said = node.run(&["dkim", "remove", "good.test", "sm2tp1-rsa"]);
    assert!(said.exit == 65 && said.stderr.contains("signs now"), "{said:?}");
    let removed = node.ask(&["dkim", "remove", "good.test", "sm2tp1-rsa", "--now"]);
    assert!(removed["record_until"].is_u64(), "what it signed is on its way: {removed}");
    assert_eq!(selector("removed", &node), Vec::<String>::new());
    for args in [
        &["dkim", "remove", "good.test", "sm2tp1-rsa"][..],
        &["dkim", "record", "other.test"],
        &["dkim", "new", "localhost"],
        &["dkim", "new", "good.test", "--selector", "../x"],
        &["dkim", "new", "good.test", "--from-file", "/dev/null"],
        &["dkim", "rotate", "good.test"],
    ] {
        let said = node.run(args);
        assert_eq!(said.exit, 65, "{args:?}: {}", said.stderr);
        assert!(!said.stderr.trim().is_empty());
    }
}

#[test]
fn a_file_that_is_no_key_for_dkim_is_refused_with_the_reason() {
    let node = Node::prepare("hostname = \"relay.node.test\"\n");
    let folder = Folder::new("keys");
    let cases: [(&str, &[&str], Result<&str, &str>); 7] = [
        ("small", &["genrsa", "1024"], Err("fewer than 2048 bits")),
        ("small-pkcs1", &["genrsa", "-traditional", "1024"], Err("fewer than 2048 bits")),
        (
            "curve",
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Err("neither RSA nor Ed25519"),
        ),
        ("locked", &["genrsa", "-aes128", "-passout", "pass:secret", "2048"], Err("is encrypted")),
        ("request", &["genpkey", "-algorithm", "ED25519", "-outform", "DER"], Err("")),
        ("pkcs8", &["genrsa", "3072"], Ok("rsa")),
        ("ed25519", &["genpkey", "-algorithm", "ED25519"], Ok("ed25519")),
    ];
    for (name, how, want) in cases {
        let file = folder.join(name).display().to_string();
        run("openssl", &[&how[..1], &["-out", &file], &how[1..]].concat(), "");
        let said =
            node.run(&["--json", "dkim", "new", &format!("{name}.test"), "--selector", "s", "--from-file", &file]);
        match want {
            Ok(algorithm) => {
                let made: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
                assert_eq!(made[0]["algorithm"], algorithm);
            }
            Err(why) => assert!(said.exit == 65 && said.stdout.contains(why), "{name}: {said:?}"),
        }
    }
}

#[test]
fn a_key_that_others_can_read_keeps_the_node_from_starting() {
    let (mut node, _sink) = node("");
    node.ask(&["dkim", "new", "good.test", "--selector", "s", "--algorithm", "rsa"]);
    let key = node.folder.join("data/keys/dkim/s._domainkey.good.test.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    node.kill();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["serve", "check"] {
        let said = node.run(&[command]);
        assert_eq!(said.exit, 78, "{command}: {}", said.stderr);
        assert!(
            said.stderr.contains("s._domainkey.good.test.pem") && said.stderr.contains("chmod 600"),
            "{}",
            said.stderr
        );
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    node.serve();
}

/// Prints an RSA key that reads like any other and cannot sign: one of its primes is none.
pub const BROKEN_KEY: &str = r#"
import base64, math, random
random.seed(7)
prime = lambda n: all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11))
e, p, q = 65537, *(random.getrandbits(1024) | (3 << 1022) | 1 for _ in range(2))
while not prime(q): q += 2
while prime(p) or math.gcd(e, p - 1) != 1: p += 2
p, q = max(p, q), min(p, q)
d = pow(e, -1, (p - 1) * (q - 1) // math.gcd(p - 1, q - 1))
def der(tag, octets):
    length = len(octets)
    size = (length.bit_length() + 7) // 8
    head = bytes([length]) if length < 128 else bytes([128 | size]) + length.to_bytes(size, "big")
    return bytes([tag]) + head + octets
whole = lambda n: der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))
numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
text = base64.encodebytes(der(48, b"".join(map(whole, numbers)))).decode()
print("-----BEGIN RSA PRIVATE KEY-----\n" + text + "-----END RSA PRIVATE KEY-----")
"#;

#[test]
fn mail_that_cannot_be_signed_waits_and_leaves_signed_once_the_key_is_mended() {
    let sink = Sink::start();
    let mut node = Node::start(&format!(
        "hostname = \"relay.node.test\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\nretry_first = \"1h\"\n",
        sink.address
    ));
    let broken = run("/usr/bin/python3", &["-c", BROKEN_KEY], "");
    node.ask(&["dkim", "new", "good.test", "--selector", "s"]);
    node.ask(&["dkim", "new", "other.test", "--algorithm", "ed25519"]);
    node.kill();
    let file = node.data().join("keys/dkim/s-rsa._domainkey.good.test.pem");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &broken).unwrap();
    node.serve();

    send(node.smtp(), "anna@good.test", &["bob@example.test", "carl@elsewhere.test"], "waits");
    // It is nobody else's trouble.
    send(node.smtp(), "anna@other.test", &["dora@example.test"], "leaves");
    assert_eq!(domains(&sink.mail_to("dora@example.test")), ["other.test"]);
    let waits = |attempts: u64| {
        wait_until("both have been tried", Duration::from_secs(20), || {
            node.queue().iter().filter(|row| row["attempts"].as_u64() == Some(attempts)).count() == 2
        });
        for row in node.queue() {
            assert!(row["note"].as_str().unwrap().contains("could not be signed (DKIM)"), "{row}");
        }
    };
    waits(1);
    node.ask(&["queue", "retry", "--all"]);
    waits(2);
    assert_eq!(sink.mails().len(), 1, "nothing leaves without its signature");
    assert!(node.log().contains("the key s-rsa._domainkey.good.test cannot sign"), "{}", node.log());

    node.kill();
    fs::write(&file, &good).unwrap();
    node.serve();
    node.ask(&["queue", "retry", "--all"]);
    for to in ["bob@example.test", "carl@elsewhere.test"] {
        let mail = sink.mail_to(to);
        assert_eq!(verify(&node.ask(&["dkim", "record", "good.test"]), &mail), "True True", "{}", mail.text());
    }
    node.wait_for_empty_queue();
    // Such a key is not taken over from a file in the first place.
    let folder = Folder::new("broken");
    let file = folder.write("broken.pem", &broken).display().to_string();
    let said = node.run(&["dkim", "new", "third.test", "--selector", "s", "--from-file", &file]);
    assert!(said.exit == 65 && said.stderr.contains("makes no valid signature"), "{said:?}");
}

/// A name server that knows the texts of some names, and nothing of any other.
fn name_server(texts: Arc<Mutex<BTreeMap<String, Vec<String>>>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut question = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut question) {
            let (name, end) = asked(&question[..length]);
            let strings = texts.lock().unwrap().get(&name).cloned();
            let mut answer = question[..2].to_vec();
            // A response to a query that wished for recursion; NXDOMAIN where nothing is known (RFC 1035 §4.1.1).
            answer.extend([0x81, if strings.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(strings.is_some())]);
            answer.extend([0; 4]);
            answer.extend(&question[12..end]);
            if let Some(strings) = strings {
                let data: Vec<u8> = strings
                    .iter()
                    .flat_map(|string| [&[u8::try_from(string.len()).unwrap()], string.as_bytes()].concat())
                    .collect();
                answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0]);
                answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                answer.extend(data);
            }
            drop(socket.send_to(&answer, client));
        }
    });
    address
}

/// The name of a question, and where it ends.
fn asked(message: &[u8]) -> (String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), at + 5)
}

#[test]
fn check_says_whether_the_dns_has_our_records() {
    let zone: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let server = name_server(zone.clone());
    let (node, _sink) = node(&format!("[dns]\nservers = [\"{server}\"]\n"));
    let made = node.ask(&["dkim", "new", "good.test"]);
    let check = || {
        let said = node.run(&["--json", "dkim", "check", "good.test"]);
        let answer: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
        let words: Vec<_> = answer.as_array().unwrap().iter().map(|r| r["dns"].as_str().unwrap().to_owned()).collect();
        (said.exit, words.join(", "))
    };
    assert_eq!(check(), (65, "missing, missing".to_owned()));
    for key in made.as_array().unwrap() {
        let record = &key["record"];
        let strings = record["strings"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
        zone.lock().unwrap().insert(record["name"].as_str().unwrap().to_owned(), strings);
    }
    assert_eq!(check(), (0, "published, published".to_owned()));
    zone.lock().unwrap().insert("sm2tp1-rsa._domainkey.good.test".into(), vec!["v=DKIM1; p=".into()]);
    assert_eq!(check(), (65, "revoked, published".to_owned()));
    assert!(node.run(&["dkim", "check", "good.test"]).stdout.contains("revoked"));
}
