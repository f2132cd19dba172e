//! RFC 8689 with real servers: mail that must travel encrypted comes back where it cannot, and mail that need not goes on
//! where a policy would stop it.

use std::fs;
use std::time::Duration;

use crate::client::{Client, send};
use crate::names::Names;
use crate::node::Node;
use crate::outward::{Web, mx, roots, waits_with};
use crate::programs::Certificate;
use crate::sink::Sink;
use crate::wait::{Folder, files, free_port, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// A Postfix at mx.site.test, and an enforced MTA-STS policy of site.test that names it.
struct Site {
    postfix: crate::mta::Postfix,
    names: Names,
    roots: String,
    _kept: (Folder, Web, Certificate),
}

impl Site {
    /// `name` stands in the certificate of the Postfix, which is one that the node trusts. plain.test has the same host and no
    /// policy. Others that the node shall trust are in `besides`.
    fn start(name: &str, besides: &[&Certificate]) -> Self {
        let (host, web) = (Certificate::new(name), Certificate::new("mta-sts.site.test"));
        let folder = Folder::new("roots");
        let roots = roots(&folder, &[&[&host, &web], besides].concat());
        let server = Web::start(&web);
        server.policy("enforce", "mx.site.test");
        let postfix = mx(&host, &["bob@site.test", "carl@plain.test"]);
        let names = Names::serve(&format!(
            "site.test MX 10 mx.site.test\nmx.site.test A 127.0.0.1\n_mta-sts.site.test TXT v=STSv1; id=1\n\
             mta-sts.site.test A {}\nplain.test MX 10 mx.site.test\nrelay-b.example.org A 127.0.0.1\n",
            server.address
        ));
        Self { postfix, names, roots, _kept: (folder, server, host) }
    }

    /// A node that delivers there; `relay` has further keys of that section.
    fn node(&self, certificate: &Certificate, relay: &str) -> Node {
        Node::start(&format!(
            "hostname = \"{}\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n{}\
             [relay]\nport = {}\ntls_roots = {:?}\nretry_first = \"1s\"\nretry_max = \"1s\"\n\
             private_web_servers = [\"127.0.0.0/8\"]\n{relay}\n{}",
            certificate.name,
            certificate.config(),
            self.postfix.address.port(),
            self.roots,
            self.names.config()
        ))
    }
}

/// One mail over TLS, with these words after its sender; recipients as RCPT names them.
fn send_over_tls(node: &Node, certificate: &Certificate, words: &str, to: &[&str], content: &str) {
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("STARTTLS", "220").unwrap();
    let mut client = client.start_tls(certificate);
    client.say("EHLO client.example.org", "250").unwrap();
    client.say(&format!("MAIL FROM:<anna@sender.test>{words}"), "250").unwrap();
    for to in to {
        client.say(&format!("RCPT TO:{to}"), "250").unwrap();
    }
    client.say("DATA", "354").unwrap();
    client.say(&format!("{content}\r\n."), "250").unwrap();
}

/// What lies in the spool of a node, with each line as it is.
fn spooled(node: &Node) -> String {
    let all = files(&node.data().join("spool")).into_iter().map(|file| fs::read(file).unwrap_or_default());
    String::from_utf8_lossy(&all.collect::<Vec<_>>().concat()).into_owned()
}

#[test]
fn mail_that_must_travel_encrypted_comes_back_with_its_code_where_a_server_does_not_promise_it() {
    let (at_a, at_b) = (Certificate::new("relay-a.example.org"), Certificate::new("relay-b.example.org"));
    // The certificate is the right one: what this Postfix lacks is REQUIRETLS.
    let site = Site::start("mx.site.test", &[&at_b]);
    // The sender's server is a node, too: it keeps the promise, and what it gets, as its own next server is away.
    let b = site.node(&at_b, &format!("smarthost = \"127.0.0.1:{}\"", free_port()));
    let a = site.node(&at_a, &format!("routes = {{ \"sender.test\" = \"relay-b.example.org:{}\" }}", b.smtp().port()));
    let secret = "From: <anna@sender.test>\r\nSubject: secret\r\n\r\nx\r\n";
    send_over_tls(&a, &at_a, " REQUIRETLS ENVID=kept", &["<bob@site.test>"], secret);
    // Nothing proves the name of this one's host: whoever could forge the DNS could be it.
    send_over_tls(&a, &at_a, " REQUIRETLS ENVID=unproven", &["<carl@plain.test>"], secret);
    wait_until("both reports", LONG, || {
        b.queue().iter().filter(|row| row["recipient"] == "anna@sender.test").count() == 2
    });
    a.wait_for_empty_queue();
    let reports = spooled(&b);
    for (envelope, recipient) in [("kept", "bob@site.test"), ("unproven", "carl@plain.test")] {
        let start =
            reports.find(&format!("Original-Envelope-Id: {envelope}\r\n")).unwrap_or_else(|| panic!("{reports}"));
        let report = &reports[start..(start + 1000).min(reports.len())];
        let want = format!("Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.7.30\r\n");
        assert!(report.contains(&want), "{report}");
    }
    assert!(site.postfix.mailbox("bob").is_empty() && site.postfix.mailbox("carl").is_empty());
    // The promise came with the reports: B may not hand them to a server that makes none.
    assert_eq!(b.queue().len(), 2);
    // The same host gets ordinary mail.
    send(a.smtp(), "anna@sender.test", &["bob@site.test", "carl@plain.test"], "ordinary");
    wait_until("ordinary mail", LONG, || {
        site.postfix.mailbox("bob").len() == 1 && site.postfix.mailbox("carl").len() == 1
    });
}

#[test]
fn mail_that_need_not_be_secret_passes_a_policy_that_stops_others() {
    let at_a = Certificate::new("relay-a.example.org");
    // Not the host that the policy names.
    let site = Site::start("mx.elsewhere.test", &[]);
    let node = site.node(&at_a, "");
    let mail = |subject: &str, field: &str, body: &str| {
        let content = format!("From: <anna@sender.test>\r\nSubject: {subject}\r\n{field}\r\n{body}\r\n");
        send_over_tls(&node, &at_a, "", &["<bob@site.test>"], &content);
    };
    let got = |subject: &str| {
        let mails = site.postfix.mailbox("bob").into_iter();
        mails.filter(|mail| mail.contains(&format!("Subject: {subject}\n"))).collect::<Vec<_>>()
    };
    mail("stopped", "", "TLS-Required: No");
    mail("yes", "TLS-Required: Yes\r\n", "x");
    waits_with(&node, "bob@site.test", "MTA-STS");
    mail("open", "TLS-Required: No\r\n", "x");
    mail("odd", "tls-required:  NO \r\n", "x");
    for subject in ["open", "odd"] {
        wait_until(subject, LONG, || got(subject).len() == 1);
        // It is encrypted all the same, where the server offers that.
        assert!(got(subject)[0].contains("with ESMTPS"), "{}", got(subject)[0]);
    }
    assert!(got("stopped").is_empty() && got("yes").is_empty());
    let waiting = || node.queue().len();
    wait_until("only those that are stopped wait", LONG, || waiting() == 2);
    // RFC 8689 §3: REQUIRETLS goes before the field.
    let both = "From: <anna@sender.test>\r\nSubject: both\r\nTLS-Required: No\r\n\r\nx\r\n";
    send_over_tls(&node, &at_a, " REQUIRETLS", &["<bob@site.test> NOTIFY=NEVER"], both);
    wait_until("it is given up", LONG, || waiting() == 2);
    assert!(got("both").is_empty());
}

#[test]
fn what_the_administrator_requires_stands_above_what_an_author_waives() {
    let sink = Sink::start();
    let config = |tls: &str| {
        Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
             [relay]\nsmarthost = \"{}\"\n{tls}",
            sink.address
        ))
    };
    let content = "From: <anna@sender.test>\r\nTLS-Required: No\r\n\r\nx";
    let (strict, open) = (config("tls = \"required\"\n"), config(""));
    for (node, to) in [(&strict, "strict@site.test"), (&open, "open@site.test")] {
        Client::greet(node.smtp()).unwrap().mail("anna@sender.test", &[to], content).unwrap();
    }
    sink.mail_to("open@site.test");
    waits_with(&strict, "strict@site.test", "no encrypted connection could be made");
    assert_eq!(sink.mails().len(), 1);
}
