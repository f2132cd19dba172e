//! The milter door with a real Postfix: recipients refused one by one, a return path of the node, and a node that is gone.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::beside::{refusal, sockets};
use crate::dkim::verify;
use crate::mta::Postfix;
use crate::node::Node;
use crate::other_mtas::folder;
use crate::policy::count;
use crate::programs::{program, run};
use crate::sink::{Mail, Sink};
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A node that counts what comes back to `returns.test`; `gone@recipients.test` is on its list.
fn node(sockets: &Path, sink: &Sink, more: &str) -> Node {
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n[smtp]\nlisten = [\"{}\"]\n\
         [relay]\nsmarthost = \"{}\"\n[returns]\ndomain = \"returns.test\"\n\
         [milter]\nlisten = [\"127.0.0.1:0\", \"unix:{}/milter.sock\"]\n{more}",
        free_address(),
        sink.address,
        sockets.display()
    ));
    node.run(&["suppress", "add", "gone@recipients.test", "--note", "left the association"]);
    node.ask(&["org", "returns", "local", "--return-path", "node"]);
    node
}

/// A Postfix that tells this milter its mail, gives reports to the node, and all else to the sink.
fn postfix(milter: &str, node: &Node, sink: &Sink, more: &str) -> Postfix {
    let settings = format!(
        "smtpd_recipient_restrictions = permit_mynetworks, reject\nsmtpd_delay_open_until_valid_rcpt = no\n\
         smtpd_milters = {{ {milter}, connect_timeout=2s, command_timeout=2s, content_timeout=2s, default_action=accept }}\n\
         transport_maps = texthash:{{dir}}/transport\nrelayhost = [127.0.0.1]:{}\n{more}",
        sink.address.port()
    );
    let transport = format!("returns.test smtp:[127.0.0.1]:{}\n", node.smtp().port());
    Postfix::with_files("relay.senders.test", &settings, &[("transport", &transport)])
}

fn reference(mail: &Mail) -> Option<String> {
    let text = mail.text();
    text.lines().find_map(|line| line.strip_prefix("X-SM2TP-Ref: ")).map(|token| token.trim().to_owned())
}

#[test]
fn recipients_are_refused_one_by_one_and_what_bounces_comes_home() {
    let sink = Sink::with(|to| to.starts_with("dead").then(|| format!("550 5.1.1 <{to}>: User unknown")));
    let sockets = sockets("postfix");
    let node = node(sockets.path(), &sink, "");
    let postfix = postfix(&format!("unix:{}/milter.sock", sockets.path().display()), &node, &sink, "");
    let server = postfix.address.to_string();

    // As the rules say it, without the words that Postfix puts around what its own lists refuse.
    let said = refusal(&server, "gone@recipients.test");
    assert!(said.starts_with("550 5.7.1 not sent: "), "{said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    let anna = sink.mail_to("anna@recipients.test");
    assert_eq!(Some(anna.from.clone()), reference(&anna).map(|token| format!("{token}@returns.test")));
    assert_eq!(anna.text().matches("X-SM2TP-Ref").count(), 1);

    // Refused in the dialogue, so that Postfix itself writes the report: to the return path, and from there to the sender.
    assert_eq!(refusal(&server, "dead@recipients.test"), "");
    wait_until("the bounce is counted", LONG, || count(&node, "returned") == 1);
    let decision = node.decision("dead@recipients.test", "bulk");
    assert_eq!((decision["decision"].as_str(), decision["rule"].as_str()), (Some("refuse"), Some("own-hard")));
    let report = sink.mail_to("a@senders.test");
    assert!(report.from.is_empty() && report.text().contains("dead@recipients.test"), "{}", report.text());

    // One return path for several recipients would let each report about the others.
    assert_eq!(refusal(&server, "bob@recipients.test,carl@recipients.test"), "");
    let bob = sink.mail_to("bob@recipients.test");
    assert_eq!((bob.from.as_str(), reference(&bob)), ("a@senders.test", None));
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

#[test]
fn where_an_organisation_wants_reports_stopped_recipients_are_left_out_and_its_sender_is_told() {
    let (sink, sockets) = (Sink::start(), sockets("postfix"));
    let node = node(sockets.path(), &sink, "");
    node.ask(&["org", "suppression", "local", "--stopped", "report"]);
    let postfix = postfix(&format!("unix:{}/milter.sock", sockets.path().display()), &node, &sink, "");
    let server = postfix.address.to_string();
    assert_eq!(refusal(&server, "gone@recipients.test,anna@recipients.test"), "");
    let anna = sink.mail_to("anna@recipients.test");
    assert_eq!(anna.to, ["anna@recipients.test"]);
    assert!(anna.from.ends_with("@returns.test"), "it goes to one alone now: {}", anna.from);
    let report = sink.mail_to("a@senders.test").text();
    for words in ["Final-Recipient: rfc822; gone@recipients.test", "Action: failed", "It was not sent"] {
        assert!(report.contains(words), "no {words:?} in {report}");
    }
    wait_until("it is counted with its sender", LONG, || count(&node, "stopped-reported") == 1);

    // To nobody else: the mail server throws it away, because the report is written.
    sink.take();
    assert_eq!(refusal(&server, "gone@recipients.test"), "");
    assert!(sink.mail_to("a@senders.test").text().contains("gone@recipients.test"));
    wait_until("Postfix says so", LONG, || postfix.log().contains("milter-discard: END-OF-MESSAGE"));
    assert!(sink.mails().iter().all(|mail| mail.to == ["a@senders.test"]));
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

#[test]
fn where_the_log_is_followed_too_a_bounce_counts_once_and_for_its_sender() {
    let sink = Sink::with(|to| to.starts_with("dead").then(|| format!("550 5.1.1 <{to}>: User unknown")));
    let (sockets, folder) = (sockets("postfix"), Folder::new("log"));
    let log = folder.write("maillog", "");
    let more = format!("[logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n", log.display());
    let node = node(sockets.path(), &sink, &more);
    let more = format!("maillog_file_prefixes = /tmp\nmaillog_file = {}\n", log.display());
    let milter = format!("unix:{}/milter.sock", sockets.path().display());
    let postfix = postfix(&milter, &node, &sink, &more);
    assert_eq!(refusal(&postfix.address.to_string(), "dead@recipients.test"), "");
    wait_until("the log was read", LONG, || count(&node, "bounced") == 1);
    wait_until("the report came", LONG, || count(&node, "returned") + count(&node, "report-read") == 1);
    // The log is read twice a second, and the report may be faster: then the log is the second voice, and both are counted
    // as what they are.
    assert!(count(&node, "returned") <= 1);
    sink.mail_to("a@senders.test");
    let explained = node.ask(&["explain", "dead@recipients.test"]);
    assert!(explained["own"]["reply"].as_str().is_some_and(|reply| reply.contains("550 5.1.1")), "{explained}");
}

#[test]
fn a_milter_that_is_gone_or_hangs_lets_mail_pass_or_wait_as_the_administrator_says() {
    let (sink, sockets) = (Sink::start(), sockets("postfix"));
    let mut node = node(sockets.path(), &sink, "");
    let milter = format!("unix:{}/milter.sock", sockets.path().display());
    let accepting = postfix(&milter, &node, &sink, "");
    let deferring = postfix(&milter, &node, &sink, "milter_default_action = tempfail\n");
    let settings = std::fs::read_to_string(deferring.dir().join("main.cf")).unwrap();
    std::fs::write(deferring.dir().join("main.cf"), settings.replace(", default_action=accept", "")).unwrap();
    deferring.reload();
    let (accepting_at, deferring_at) = (accepting.address.to_string(), deferring.address.to_string());
    for server in [&accepting_at, &deferring_at] {
        wait_until("the milter is asked", LONG, || refusal(server, "gone@recipients.test").starts_with("550 5.7.1"));
    }

    let pid = node.pid().to_string();
    run("kill", &["-STOP", &pid], "");
    assert_eq!(refusal(&accepting_at, "hung@recipients.test"), "", "a node that hangs stops nothing (I8)");
    assert!(refusal(&deferring_at, "hung@recipients.test").starts_with("451 4.7.1"));
    run("kill", &["-CONT", &pid], "");
    assert_eq!(sink.mail_to("hung@recipients.test").from, "a@senders.test");

    node.kill();
    assert_eq!(refusal(&accepting_at, "down@recipients.test"), "", "a node that is down stops nothing (I8)");
    assert!(refusal(&deferring_at, "down@recipients.test").starts_with("451 4.7.1"));
    node.serve();
    for server in [&accepting_at, &deferring_at] {
        assert!(refusal(server, "gone@recipients.test").starts_with("550 5.7.1"), "it is asked again at once");
    }
    assert_eq!(refusal(&deferring_at, "late@recipients.test"), "");
    assert!(sink.mail_to("late@recipients.test").from.ends_with("@returns.test"));
}

/// A filter that signs what it is told, as many have one.
struct OpenDkim {
    address: SocketAddr,
    /// Its public key, as a resolver would give it.
    records: Value,
    process: Child,
    _folder: Folder,
}

impl OpenDkim {
    fn start() -> Self {
        let (folder, address) = (Folder::new("opendkim"), free_address());
        let key = folder.join("key.pem").display().to_string();
        run("openssl", &["genrsa", "-out", &key, "2048"], "");
        let public = run("openssl", &["rsa", "-in", &key, "-pubout"], "");
        let public: String = public.lines().filter(|line| !line.starts_with('-')).collect();
        let records = json!([{ "name": "s1._domainkey.senders.test", "value": format!("v=DKIM1; k=rsa; p={public}") }]);
        let config = folder.write(
            "opendkim.conf",
            &format!(
                "Mode s\nDomain senders.test\nSelector s1\nKeyFile {key}\nRequireSafeKeys no\n\
                 Socket inet:{}@127.0.0.1\nInternalHosts 127.0.0.1\nSignHeaders *,+x-sm2tp-ref\n",
                address.port()
            ),
        );
        let mut command = Command::new(program("opendkim"));
        let process = command.arg("-f").arg("-x").arg(config).stdin(Stdio::null()).spawn().unwrap();
        let started = Self { address, records, process, _folder: folder };
        wait_until("OpenDKIM listens", LONG, || TcpStream::connect(address).is_ok());
        started
    }
}

impl Drop for OpenDkim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn opendkim_behind_the_milter_signs_the_field_of_the_node() {
    let (sink, sockets, signer) = (Sink::start(), sockets("postfix"), OpenDkim::start());
    let node = node(sockets.path(), &sink, "");
    let milters = format!("smtpd_milters = unix:{}/milter.sock, inet:{}\n", sockets.path().display(), signer.address);
    let postfix = postfix("unix:none", &node, &sink, &milters);
    assert_eq!(refusal(&postfix.address.to_string(), "anna@recipients.test"), "");
    let mail = sink.mail_to("anna@recipients.test");
    assert_eq!(Some(mail.from.clone()), reference(&mail).map(|token| format!("{token}@returns.test")));
    let signature = mail.text().split("DKIM-Signature:").nth(1).unwrap().to_ascii_lowercase().replace("\r\n\t", " ");
    assert!(signature.split(" b=").next().unwrap().contains("x-sm2tp-ref"), "{signature}");
    assert_eq!(verify(&signer.records, &mail), "True", "{}", mail.text());
}

#[test]
fn a_relay_of_its_own_beside_postfix_is_made_by_one_command_and_asks_the_node() {
    let (sink, sockets, at) = (Sink::start(), sockets("postfix"), free_address());
    let dir = sockets.path().display();
    let more =
        format!("[policy]\nlisten = [\"unix:{dir}/policy.sock\"]\n[socketmap]\nlisten = [\"unix:{dir}/map.sock\"]\n");
    let node = node(sockets.path(), &sink, &more);
    let folder = folder();
    let place = folder.path().display().to_string();
    let (listen, queue, data) = (at.to_string(), format!("{place}/queue"), format!("{place}/lib"));
    let words = ["postfix", "relay", "--dir", &place, "--listen", &listen, "--queue", &queue, "--data", &data];
    let printed = node.ask(&words);
    assert_eq!(printed["applied"], false);
    assert!(!folder.join("main.cf").exists(), "only printed");
    let made = node.ask(&[&words[..], &["--apply"]].concat());
    assert_eq!((&made["files"], &made["applied"]), (&printed["files"], &true.into()));
    let again = node.run(&[&words[..], &["--apply"]].concat());
    assert!(again.exit == 65 && again.stderr.contains("main.cf: is there already"), "{}", again.stderr);

    let to_sink = format!("relayhost = [127.0.0.1]:{}\n", sink.address.port());
    let relay = Postfix::made_in(folder, at, &to_sink);
    let server = relay.address.to_string();
    let said = refusal(&server, "gone@recipients.test");
    assert!(said.contains("Recipient address rejected: not sent: "), "the policy service answers: {said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    let anna = sink.mail_to("anna@recipients.test");
    assert_eq!(Some(anna.from.clone()), reference(&anna).map(|token| format!("{token}@returns.test")));
    // Reports find the node through this relay: it has a place in the transport map.
    let (report, helo) = (format!("Subject: Undelivered\n\nto {}\n", anna.from), anna.from);
    relay.sendmail("", &[&helo], &report);
    wait_until("it was taken or refused by the node", LONG, || {
        relay.log().contains(&format!("to=<{helo}>, relay=127.0.0.1"))
    });
    let name = Path::new(&place).file_name().unwrap().to_string_lossy().into_owned();
    assert!(relay.log().contains(&format!("{name}/smtpd[")), "the log says which instance it is: {}", relay.log());
}
