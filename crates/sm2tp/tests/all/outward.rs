//! What a recipient's domain asks of those who send to it, with real servers: MTA-STS, REQUIRETLS, exits, LMTP, logins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::client::send;
use crate::mta::Postfix;
use crate::names::Names;
use crate::node::Node;
use crate::programs::{Certificate, swaks};
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// A Postfix with TLS that takes mail for these addresses, each into a mailbox called as its local part.
pub fn mx(certificate: &Certificate, addresses: &[&str]) -> Postfix {
    let settings = format!(
        "virtual_mailbox_domains = regexp:{{dir}}/domains\nvirtual_mailbox_base = {{dir}}/mail\n\
         virtual_mailbox_maps = texthash:{{dir}}/users\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
         smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n\
         smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
        certificate.certificate.display(),
        certificate.key.display()
    );
    let mailbox = |address: &&str| format!("{address} {}/\n", address.split('@').next().unwrap());
    let users: String = addresses.iter().map(mailbox).collect();
    Postfix::with_files(&certificate.name, &settings, &[("domains", "/\\.test$/ ok\n"), ("users", &users)])
}

/// A web server with this certificate at port 443 of an address of its own.
pub struct Web {
    pub address: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<String>>,
}

impl Web {
    pub fn start(certificate: &Certificate) -> Self {
        // RFC 8461 leaves no choice about the port, so each test takes an address of loopback.
        let (listener, address) = (0..200)
            .find_map(|_| {
                let port = crate::wait::free_port();
                let address = format!("127.77.{}.{}", port / 256, port % 256);
                TcpListener::bind((address.as_str(), 443)).ok().map(|listener| (listener, address))
            })
            .expect("port 443 of some loopback address: run the tests as root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = vec![CertificateDer::from_pem_file(&certificate.certificate).unwrap()];
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let web = Self { address, asked: Arc::default(), answer: Arc::default() };
        let (asked, answer) = (web.asked.clone(), web.answer.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                let mut tls = BufReader::new(tls);
                let mut line = String::new();
                while tls.read_line(&mut line).is_ok_and(|count| 2 < count) {}
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = tls.get_mut().write_all(answer.lock().unwrap().as_bytes());
                let _ = tls.get_mut().flush();
                tls.get_mut().conn.send_close_notify();
                let _ = tls.get_mut().flush();
            }
        });
        web
    }

    /// Answers with this policy from now on.
    pub fn policy(&self, mode: &str, mx: &str) {
        let text = format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 86400\r\n");
        self.says("200 OK", "text/plain; charset=utf-8", &text);
    }

    fn says(&self, status: &str, kind: &str, body: &str) {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n");
        *self.answer.lock().unwrap() = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A file with both certificates, to be trusted.
pub fn roots(folder: &Folder, certificates: &[&Certificate]) -> String {
    let pem: String = certificates.iter().map(|one| fs::read_to_string(&one.certificate).unwrap()).collect();
    folder.write("roots.pem", &pem).display().to_string()
}

fn node(port: u16, relay: &str, names: &Names) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nport = {port}\nretry_first = \"1s\"\nretry_max = \"1s\"\nprivate_web_servers = [\"127.0.0.0/8\"]\n{relay}\n{}",
        names.config()
    ))
}

/// The last answer to a mail that waits.
#[track_caller]
pub fn waits_with(node: &Node, recipient: &str, words: &str) {
    wait_until(&format!("{recipient} waits: {words}"), LONG, || {
        let mails = node.queue();
        mails.iter().any(|mail| {
            let text = mail.to_string();
            text.contains(recipient) && text.contains(words)
        })
    });
}

#[test]
fn mta_sts_is_fetched_enforced_and_remembered() {
    let (good, other, web_of) = (
        Certificate::new("mx.good.test"),
        Certificate::new("mx.elsewhere.test"),
        Certificate::new("mta-sts.good.test"),
    );
    let other_web = Certificate::new("mta-sts.bad.test");
    let folder = Folder::new("roots");
    let roots = roots(&folder, &[&good, &other, &web_of, &other_web]);
    let (web, bad_web) = (Web::start(&web_of), Web::start(&other_web));
    web.policy("enforce", "*.good.test");
    bad_web.policy("enforce", "mx.bad.test");
    let mail = mx(&good, &["anna@good.test", "bob@bad.test", "carl@plain.test"]);
    let names = Names::serve(&format!(
        "good.test MX 10 mx.good.test\nmx.good.test A 127.0.0.1\n_mta-sts.good.test TXT v=STSv1; id=1\n\
         mta-sts.good.test A {}\n\
         bad.test MX 10 mx.bad.test\nmx.bad.test A 127.0.0.1\n_mta-sts.bad.test TXT v=STSv1; id=1\n\
         mta-sts.bad.test A {}\n\
         plain.test MX 10 mx.bad.test\n",
        web.address, bad_web.address
    ));
    let mut node = node(mail.address.port(), &format!("tls_roots = \"{roots}\""), &names);
    send(node.smtp(), "anna@sender.test", &["anna@good.test", "bob@bad.test", "carl@plain.test"], "one");
    wait_until("the covered host has its mail", LONG, || !mail.mailbox("anna").is_empty());
    // The same host, without a policy: opportunistic, though its certificate is another's.
    wait_until("the host without a policy has its mail", LONG, || !mail.mailbox("carl").is_empty());
    waits_with(&node, "bob@bad.test", "MTA-STS");
    assert!(mail.mailbox("bob").is_empty(), "the certificate is not for mx.bad.test");
    assert_eq!((web.asked(), bad_web.asked()), (1, 1));

    // The web server is gone and the node starts anew: the policies hold.
    web.says("404 Not Found", "text/plain", "");
    bad_web.says("404 Not Found", "text/plain", "");
    node.kill();
    node.serve();
    send(node.smtp(), "anna@sender.test", &["anna@good.test", "bob@bad.test"], "two");
    wait_until("the second mail", LONG, || mail.mailbox("anna").len() == 2);
    waits_with(&node, "bob@bad.test", "MTA-STS");
    assert!(mail.mailbox("bob").is_empty());
    assert_eq!((web.asked(), bad_web.asked()), (1, 1), "what is fresh is not fetched again");
}

#[test]
fn a_policy_on_trial_or_from_a_strange_server_stops_nothing() {
    let (strange, redirects) = (Certificate::new("mta-sts.strange.test"), Certificate::new("mta-sts.moved.test"));
    let html = Certificate::new("mta-sts.html.test");
    let trial = Certificate::new("mta-sts.trial.test");
    let folder = Folder::new("roots");
    // The certificate of the strange one is nobody's that we know.
    let roots = roots(&folder, &[&redirects, &trial, &html]);
    let webs = [&trial, &strange, &redirects, &html].map(Web::start);
    webs[0].policy("testing", "mx.nowhere.test");
    webs[1].policy("enforce", "mx.nowhere.test");
    webs[2].says("301 Moved\r\nLocation: https://mta-sts.trial.test/.well-known/mta-sts.txt", "text/plain", "");
    webs[3].says("200 OK", "text/html", "version: STSv1\r\nmode: enforce\r\nmx: mx.nowhere.test\r\nmax_age: 86400\r\n");
    let other = Certificate::new("mx.other.test");
    let domains = ["trial", "strange", "moved", "html"];
    let addresses = domains.map(|domain| format!("{domain}@{domain}.test"));
    let mail = mx(&other, &addresses.each_ref().map(String::as_str));
    let zone: String = domains
        .iter()
        .zip(&webs)
        .map(|(domain, web)| {
            format!(
                "{domain}.test MX 10 mx.{domain}.test\nmx.{domain}.test A 127.0.0.1\n\
                 _mta-sts.{domain}.test TXT v=STSv1; id=1\nmta-sts.{domain}.test A {}\n",
                web.address
            )
        })
        .collect();
    let names = Names::serve(&zone);
    let node = node(mail.address.port(), &format!("tls_roots = \"{roots}\""), &names);
    for domain in domains {
        send(node.smtp(), "anna@sender.test", &[&format!("{domain}@{domain}.test")], domain);
    }
    for domain in domains {
        wait_until(domain, LONG, || mail.mailbox(domain).len() == 1);
    }
    node.wait_for_empty_queue();
    assert_eq!(webs[0].asked(), 1, "redirections are not followed");
}

#[test]
fn each_exit_has_its_name_and_an_org_keeps_its_own() {
    let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, sink) = (listener.local_addr().unwrap(), Sink::start());
    let (noted, taking) = (heard.clone(), sink.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (noted, taking) = (noted.clone(), taking.clone());
            thread::spawn(move || {
                let from = stream.peer_addr().unwrap().ip().to_string();
                let mut peeked = [0; 100];
                let _ = (&stream).write_all(b"220 site.test\r\n");
                let count = stream.peek(&mut peeked).unwrap_or(0);
                let ehlo = String::from_utf8_lossy(&peeked[..count]).trim().to_owned();
                noted.lock().unwrap().push((from, ehlo));
                taking.go_on(&stream);
            });
        }
    });
    let names = Names::serve("");
    let exits = "[[relay.exits]]\nname = \"a\"\naddresses = [\"127.0.0.11\"]\nhello = \"a.example.org\"\n\
                 [[relay.exits]]\nname = \"asso\"\naddresses = [\"127.0.0.12\"]\nhello = \"asso.example.org\"\norgs = [\"org-asso\"]\n\
                 [[relay.exits]]\nname = \"gone\"\naddresses = [\"192.0.2.1\"]\norgs = [\"org-lost\"]\nweight = 1000\n\
                 [[relay.exits]]\nname = \"spare\"\naddresses = [\"127.0.0.13\"]\nhello = \"spare.example.org\"\norgs = [\"org-lost\"]\n";
    let certificate = Certificate::new("relay.example.org");
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n{}\
         [relay]\nroutes = {{ \"site.test\" = \"{address}\" }}\n{exits}{}",
        certificate.config(),
        names.config()
    ));
    send(node.smtp(), "anna@good.test", &["one@site.test"], "one");
    sink.mail_to("one@site.test");
    for login in ["asso", "lost"] {
        node.add_login(login, "correct horse", &format!("{login}.test"), "personal");
        let (server, from, to) = (node.smtp().to_string(), format!("a@{login}.test"), format!("{login}@site.test"));
        let who = ["--server", &server, "--from", &from, "--to", &to];
        swaks(
            &[&who[..], &["--tls", "--auth", "PLAIN", "--auth-user", login, "--auth-password", "correct horse"]]
                .concat(),
        );
        sink.mail_to(&format!("{login}@site.test"));
    }
    let heard = heard.lock().unwrap().clone();
    let want = [("127.0.0.11", "a"), ("127.0.0.12", "asso"), ("127.0.0.13", "spare")];
    for (address, name) in want {
        let line = (address.to_owned(), format!("EHLO {name}.example.org"));
        assert!(heard.contains(&line), "{line:?} in {heard:?}");
    }
    let told = node.log().matches("this machine does not have the exit's address").count();
    assert_eq!(told, 1, "a person is told once: {}", node.log());
}

#[test]
fn a_mail_for_our_own_address_comes_back_and_says_why() {
    let sink = Sink::start();
    let names = Names::serve("loop.test MX 10 mx.loop.test\nmx.loop.test A 127.0.0.1\n");
    let port = crate::wait::free_port();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:{port}\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nport = {port}\nroutes = {{ \"sender.test\" = \"{}\" }}\n{}",
        sink.address,
        names.config()
    ));
    send(node.smtp(), "anna@sender.test", &["bob@loop.test"], "round and round");
    let report = sink.mail_to("anna@sender.test").text();
    assert!(report.contains("Status: 5.4.6"), "{report}");
    node.wait_for_empty_queue();
}

#[test]
fn a_mail_host_in_the_loopback_network_is_not_the_mail_server_beside_us() {
    let sink = Sink::start();
    let names = Names::serve("trap.test MX 10 mx.trap.test\nmx.trap.test A 127.0.0.1\nmx.trap.test A 0.0.0.0\n");
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nport = 25\nroutes = {{ \"sender.test\" = \"{}\" }}\n{}",
        sink.address,
        names.config()
    ));
    send(node.smtp(), "anna@sender.test", &["bob@trap.test"], "to whoever listens here");
    let report = sink.mail_to("anna@sender.test").text();
    assert!(report.contains("Status: 5.4.6"), "{report}");
    node.wait_for_empty_queue();
    assert!(node.ask(&["explain", "bob@trap.test"])["decision"] != "refuse", "it says nothing about bob");
}

#[test]
fn a_smart_host_that_the_dns_does_not_know_bounces_nothing() {
    let names = Names::serve("known.test A 127.0.0.1\n");
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"smtp://typo.known.test:25\"\nretry_first = \"1h\"\n{}",
        names.config()
    ));
    send(node.smtp(), "anna@sender.test", &["bob@recipients.test"], "patience");
    wait_until("it was tried", LONG, || node.queue().iter().all(|entry| entry["attempts"] == 1));
    let queue = node.queue();
    assert_eq!((queue.len(), &queue[0]["recipient"]), (1, &"bob@recipients.test".into()), "{queue:?}");
    assert!(node.ask(&["explain", "bob@recipients.test"])["own"].is_null(), "it says nothing about bob");
}

#[test]
fn a_site_that_is_down_at_all_of_its_many_addresses_is_tried_again_and_not_taken_for_none() {
    let hosts = (0..4).map(|n| {
        format!("down.test MX 10 mx{n}.down.test\nmx{n}.down.test A 127.0.{n}.2\nmx{n}.down.test A 127.0.{n}.3\n")
    });
    // And where the first host is down and the second one has no address.
    let lame = "half.test MX 10 mx0.down.test\nhalf.test MX 20 gone.down.test\n";
    let names = Names::serve(&(hosts.collect::<String>() + lame));
    let node = node(crate::wait::free_port(), "", &names);
    send(node.smtp(), "anna@sender.test", &["bob@down.test"], "patience");
    send(node.smtp(), "anna@sender.test", &["bob@half.test"], "patience");
    for recipient in ["bob@down.test", "bob@half.test"] {
        waits_with(&node, recipient, "connection was refused");
    }
}

/// A name server that knows no name, and answers when nobody has asked for a moment. Beside its address, the most questions
/// that waited at a time.
fn names_when_all_have_asked() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (address, most) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    thread::spawn(move || {
        let (mut question, mut waiting) = ([0; 1500], BTreeMap::new());
        loop {
            match socket.recv_from(&mut question) {
                // What is asked again has the same name.
                Ok((length, client)) => {
                    let of = (question[12..length].to_vec(), client);
                    waiting.insert(of, question[..length].to_vec());
                }
                Err(_) => {
                    let names: BTreeSet<&Vec<u8>> = waiting.keys().map(|(name, _)| name).collect();
                    seen.fetch_max(names.len(), Ordering::SeqCst);
                    for ((_, client), mut answer) in std::mem::take(&mut waiting) {
                        // A response that says NXDOMAIN (RFC 1035 §4.1.1).
                        answer[2..4].copy_from_slice(&[0x81, 0x83]);
                        drop(socket.send_to(&answer, client));
                    }
                }
            }
        }
    });
    (address, most)
}

#[test]
fn a_thousand_domains_at_once_do_not_take_the_files_of_the_doors() {
    let (names, most) = names_when_all_have_asked();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\n[dns]\nservers = [\"{names}\"]\n"
    ));
    for mail in 0..10 {
        let recipients: Vec<String> = (0..100).map(|n| format!("bob@d{mail}-{n}.test")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        send(node.smtp(), "", &recipients, "to all");
    }
    node.wait_for_empty_queue();
    assert!((1..=200).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[test]
fn a_domain_with_an_underscore_gets_its_mail() {
    let sink = Sink::start();
    let names = Names::serve("my_shop.test MX 10 mail_1.shop.test\nmail_1.shop.test A 127.0.0.1\n");
    let node = node(sink.address.port(), "", &names);
    send(node.smtp(), "anna@sender.test", &["bob@my_shop.test"], "underscores");
    sink.mail_to("bob@my_shop.test");
    node.wait_for_empty_queue();
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("password");
    let file = folder.write("password", "secret\n");
    let config = format!(
        "hostname = \"relay.example.org\"\n[relay]\nsmarthost = {{ to = \"smtp://mail.example.org:587\", login = \"us\", password_file = {file:?} }}\n"
    );
    for (mode, exit) in [(0o644, 78), (0o640, 78), (0o600, 0)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = Node::prepare(&config).run(&["check"]);
        assert_eq!(said.exit, exit, "{mode:o}: {}", said.stderr);
        assert!(exit == 0 || said.stderr.contains("chmod 600"), "{}", said.stderr);
        assert!(!said.stderr.contains("secret"));
    }
}
