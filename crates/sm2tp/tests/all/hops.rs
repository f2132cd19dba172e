//! Servers that a person names as next: Dovecot by LMTP, a Postfix that wants a login, another node that keeps REQUIRETLS.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::{Client, send};
use crate::mta::Postfix;
use crate::names::Names;
use crate::node::Node;
use crate::programs::{Certificate, program};
use crate::sink::Sink;
use crate::wait::{Folder, files, free_address, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// A Dovecot that takes mail by LMTP and checks passwords for others.
struct Dovecot {
    lmtp: SocketAddr,
    auth: SocketAddr,
    folder: Folder,
    process: Child,
}

impl Dovecot {
    fn start(mechanisms: &str) -> Self {
        let (folder, lmtp, auth) = (Folder::new("dovecot"), free_address(), free_address());
        let dir = folder.path().display();
        folder.write("users", "anna:{PLAIN}correct horse:65534:65534::::\nbob:{PLAIN}other:65534:65534::::\n");
        let config = format!(
            "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\nprotocols = lmtp\nssl = no\n\
             first_valid_uid = 1\nmail_location = maildir:{dir}/mail/%n\nauth_username_format = %Ln\n\
             auth_mechanisms = {mechanisms}\npassdb {{\n driver = passwd-file\n args = {dir}/users\n}}\n\
             userdb {{\n driver = passwd-file\n args = {dir}/users\n override_fields = home={dir}/mail/%n\n}}\n\
             service lmtp {{\n inet_listener lmtp {{\n address = 127.0.0.1\n port = {}\n }}\n}}\n\
             service auth {{\n inet_listener {{\n address = 127.0.0.1\n port = {}\n }}\n}}\n",
            lmtp.port(),
            auth.port()
        );
        let config = folder.write("dovecot.conf", &config);
        fs::create_dir(folder.join("mail")).unwrap();
        for path in [folder.path().to_owned(), folder.join("mail")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut command = Command::new(program("dovecot"));
        command.arg("-F").arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let dovecot = Self { lmtp, auth, process: command.spawn().unwrap(), folder };
        for address in [lmtp, auth] {
            wait_until("Dovecot listens", LONG, || TcpStream::connect(address).is_ok());
        }
        dovecot
    }

    fn mails(&self, user: &str) -> Vec<String> {
        let new = files(&self.folder.join("mail").join(user).join("new"));
        new.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of Dovecot\n{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
        }
        // SIGTERM: its children end with it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

const SMTP: &str =
    "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n";

#[test]
fn dovecot_gets_its_mail_by_lmtp_and_answers_for_each_recipient() {
    let (dovecot, sink) = (Dovecot::start("plain"), Sink::start());
    let node = Node::start(&format!(
        "{SMTP}[relay.routes]\n\"here.test\" = \"lmtp://{}\"\n\"sender.test\" = \"{}\"\n",
        dovecot.lmtp, sink.address
    ));
    let to = ["anna@here.test", "gone@here.test", "bob@here.test"];
    send(node.smtp(), "carl@sender.test", &to, "by LMTP");
    let report = sink.mail_to("carl@sender.test").text();
    assert!(report.contains("gone@here.test") && report.contains("User doesn't exist"), "{report}");
    assert!(!report.contains("rfc822; anna@here.test"), "{report}");
    node.wait_for_empty_queue();
    for user in ["anna", "bob"] {
        assert_eq!(dovecot.mails(user).len(), 1, "{user}");
        assert!(dovecot.mails(user)[0].contains("Subject: by LMTP"));
    }
}

#[test]
fn a_smart_host_that_wants_a_login_gets_it_by_each_mechanism_and_a_wrong_one_loses_no_mail() {
    for (mechanisms, password, taken) in [
        ("scram-sha-256", "correct horse", true),
        ("plain", "correct horse", true),
        ("login", "correct horse", true),
        ("scram-sha-256 plain", "wrong", false),
    ] {
        let dovecot = Dovecot::start(mechanisms);
        let settings = format!(
            "mynetworks = 192.0.2.0/24\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
             smtpd_sasl_path = inet:{}\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n\
             virtual_mailbox_domains = far.test\nvirtual_mailbox_base = {{dir}}/mail\n\
             virtual_mailbox_maps = texthash:{{dir}}/users\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n",
            dovecot.auth
        );
        let smarthost = Postfix::with_files("smarthost.test", &settings, &[("users", "zoe@far.test zoe/\n")]);
        let folder = Folder::new("password");
        let file = folder.write("password", &format!("{password}\n"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let node = Node::start(&format!(
            "{SMTP}[relay]\nsmarthost = {{ to = \"smtp://{}\", login = \"anna\", password_file = {file:?} }}\n",
            smarthost.address
        ));
        send(node.smtp(), "anna@sender.test", &["zoe@far.test"], "with a login");
        if taken {
            wait_until(mechanisms, LONG, || smarthost.mailbox("zoe").len() == 1);
            assert!(smarthost.log().contains("sasl_username=anna"), "{}", smarthost.log());
            node.wait_for_empty_queue();
        } else {
            wait_until("the mail waits", LONG, || node.queue().iter().any(|mail| mail.to_string().contains("login")));
            assert!(smarthost.mailbox("zoe").is_empty());
        }
        assert!(!node.log().contains(password), "{}", node.log());
    }
}

#[test]
fn requiretls_goes_on_to_a_server_that_keeps_it_and_back_from_one_that_does_not() {
    let (sink, at_a, at_b) =
        (Sink::start(), Certificate::new("relay-a.example.org"), Certificate::new("relay-b.example.org"));
    let names = Names::serve("relay-b.example.org A 127.0.0.1\n");
    let node = |certificate: &Certificate, relay: &str| {
        Node::start(&format!(
            "hostname = \"{}\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n{}[relay]\n{relay}\n{}",
            certificate.name,
            certificate.config(),
            names.config()
        ))
    };
    let b = node(&at_b, &format!("smarthost = \"{}\"", sink.address));
    let to_b = format!("smarthost = \"relay-b.example.org:{}\"\ntls_roots = {:?}", b.smtp().port(), at_b.certificate);
    let a = node(&at_a, &to_b);
    let mut client = Client::greet(a.smtp()).unwrap();
    client.say("STARTTLS", "220").unwrap();
    let mut client = client.start_tls(&at_a);
    client.say("EHLO client.example.org", "250").unwrap();
    client.say("MAIL FROM:<anna@sender.test> REQUIRETLS", "250").unwrap();
    client.say("RCPT TO:<bob@far.test>", "250").unwrap();
    client.say("DATA", "354").unwrap();
    client.say("From: <anna@sender.test>\r\nSubject: secret\r\n\r\nx\r\n.", "250").unwrap();
    // A handed it to B, which has nobody to hand it to: the sink has no TLS. Nor may the report go there (RFC 8689 §5).
    wait_until("B refuses to send it on", LONG, || b.log().contains("domain=far.test why=\"starttls-not-supported\""));
    a.wait_for_empty_queue();
    b.wait_for_empty_queue();
    assert!(!a.log().contains("no TLS as it must be"), "{}", a.log());
    assert!(sink.mails().is_empty());
    // An ordinary mail takes the same way.
    send(a.smtp(), "anna@sender.test", &["bob@far.test"], "ordinary");
    sink.mail_to("bob@far.test");
}
