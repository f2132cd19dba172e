//! SCRAM-SHA-256 with GNU SASL as the client, which is nobody's code here.

use std::process::Command;

use crate::client::Client;
use crate::node::{Node, Said, said};
use crate::programs::{Certificate, program};

fn node(certificate: &Certificate, smtp: &str) -> Node {
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n{}{smtp}\n[relay]\n",
        certificate.config(),
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    node.add_login("josé,=", "caf\u{e9} cr\u{e8}me", "good.test", "personal");
    node
}

/// GNU SASL logs in and goes; in clear, for it says STARTTLS without EHLO.
fn gsasl(node: &Node, certificate: &Certificate, login: &str, password: &str) -> Said {
    let server = node.smtp().to_string();
    let mut command = Command::new(program("gsasl"));
    command
        .args(["--smtp", "--connect", &server, "--hostname", &certificate.name, "--mechanism", "SCRAM-SHA-256"])
        .args(["--no-starttls", "--no-cb"])
        .args(["--authentication-id", login, "--password", password])
        .env("LC_ALL", "C.UTF-8");
    said(&mut command, "")
}

#[test]
fn gnu_sasl_logs_in_and_both_sides_prove_that_they_know_the_password() {
    let certificate = Certificate::new("relay.example.org");
    let node = node(&certificate, "");
    for (login, password) in [("anna", "correct horse"), ("josé,=", "café crème"), ("josé,=", "cafe\u{301} crème")]
    {
        let said = gsasl(&node, &certificate, login, password);
        assert!(said.stdout.contains("235 2.7.0"), "{login}: {}{}", said.stdout, said.stderr);
        assert_eq!(said.exit, 0, "{login}: {}{}", said.stdout, said.stderr);
    }
    for (login, password) in [("anna", "wrong horse"), ("nobody", "correct horse")] {
        let said = gsasl(&node, &certificate, login, password);
        assert!(said.stdout.contains("535 5.7.8") && said.exit != 0, "{login}: {}{}", said.stdout, said.stderr);
    }
    assert!(!node.log().contains("horse"), "{}", node.log());
}

#[test]
fn keys_that_dovecot_made_are_proved_on_both_sides() {
    let certificate = Certificate::new("relay.example.org");
    let node = node(&certificate, "");
    let keys = crate::programs::run("doveadm", &["pw", "-s", "SCRAM-SHA-256", "-p", "correct horse"], "");
    let org = node.ask(&["org", "list"])[0]["name"].as_str().unwrap().to_owned();
    let said = node.run_with(&["org", "import", &org, "--json"], &format!("luc:{keys}"));
    assert_eq!(said.exit, 0, "{}{}", said.stdout, said.stderr);
    let right = gsasl(&node, &certificate, "luc", "correct horse");
    assert!(right.stdout.contains("235 2.7.0") && right.exit == 0, "{}{}", right.stdout, right.stderr);
    let wrong = gsasl(&node, &certificate, "luc", "wrong horse");
    assert!(wrong.stdout.contains("535 5.7.8") && wrong.exit != 0, "{}{}", wrong.stdout, wrong.stderr);
}

/// The server's first message for a login, without its nonce.
fn salt_and_rounds(node: &Node, login: &str) -> String {
    let script = r#"
import base64, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20).makefile("rwb", buffering=0)
def say(line):
    s.write(line + b"\r\n")
    while True:
        reply = s.readline()
        if reply[3:4] != b"-":
            return reply
s.readline()
say(b"EHLO a.example")
reply = say(b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=" + sys.argv[2].encode() + b",r=abc"))
print(base64.b64decode(reply[4:]).decode().split(",", 1)[1])
"#;
    crate::programs::run("python3", &["-c", script, &node.smtp().port().to_string(), login], "")
}

#[test]
fn nobody_learns_from_the_challenge_which_logins_there_are() {
    let certificate = Certificate::new("relay.example.org");
    let mut node = node(&certificate, "");
    let before: Vec<_> = ["anna", "nobody", "nobody2"].map(|login| salt_and_rounds(&node, login)).into();
    let rounds = |answer: &str| answer.split(",i=").nth(1).map(str::to_owned);
    assert!(rounds(&before[0]).is_some());
    assert!(before.iter().all(|answer| rounds(answer) == rounds(&before[0])), "{before:?}");
    assert_ne!(before[1], before[2]);
    node.kill();
    node.serve();
    let after: Vec<_> = ["anna", "nobody", "nobody2"].map(|login| salt_and_rounds(&node, login)).into();
    assert_eq!(after, before);
}

#[test]
fn a_node_without_scram_neither_offers_it_nor_keeps_its_keys() {
    let certificate = Certificate::new("relay.example.org");
    let node = node(&certificate, "scram = \"off\"");
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("AUTH SCRAM-SHA-256", "504 5.5.4").unwrap();
    client.say("AUTH PLAIN AGFubmEAY29ycmVjdCBob3JzZQ==", "235").unwrap();
    let orgs = node.ask(&["org", "list"]);
    assert!(orgs.as_array().unwrap().iter().all(|org| org["logins"][0]["scram"] == false), "{orgs}");
}
