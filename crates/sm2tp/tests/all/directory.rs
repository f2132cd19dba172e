//! Logins that a directory knows: a real slapd, asked by the SMTP door.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::node::Node;
use crate::programs::{Certificate, program, run, swaks};
use crate::sink::Sink;
use crate::wait::{Folder, free_port, wait_until};

/// A directory of four people, and `cn=reader` who may read them.
struct Slapd {
    folder: Folder,
    port: u16,
    certificate: Certificate,
    process: Option<Child>,
}

const PEOPLE: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=reader,dc=example,dc=org
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: reader
userPassword: reads people

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=anna,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: anna
cn: Anna
sn: A
o: asso
mail: anna@asso.test
mail: office@asso.test
userPassword: correct horse

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
mail: bob@asso.test
userPassword: battery staple

dn: uid=strange,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: strange
cn: Strange
sn: S
o: elsewhere
mail: strange@asso.test
userPassword: correct horse

dn: uid=mute,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: mute
cn: Mute
sn: M
o: asso
userPassword: correct horse
";

impl Slapd {
    fn start() -> Self {
        let (folder, certificate, port) = (Folder::new("slapd"), Certificate::new("localhost"), free_port());
        let (database, at) = (folder.join("database"), |name: &str| folder.join(name).display().to_string());
        std::fs::create_dir(&database).unwrap();
        let schemas =
            ["core", "cosine", "inetorgperson"].map(|name| format!("include /etc/ldap/schema/{name}.schema\n"));
        let settings = format!(
            "{}pidfile {}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nTLSCertificateFile {}\n\
             TLSCertificateKeyFile {}\ndatabase mdb\nmaxsize 10485760\nsuffix \"dc=example,dc=org\"\ndirectory {}\n\
             index uid eq\naccess to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=reader,dc=example,dc=org\" read by self read by * none\n",
            schemas.concat(),
            at("pid"),
            certificate.certificate.display(),
            certificate.key.display(),
            database.display(),
        );
        folder.write("slapd.conf", &settings);
        run("slapadd", &["-f", &at("slapd.conf")], PEOPLE);
        let mut slapd = Self { folder, port, certificate, process: None };
        slapd.serve();
        slapd
    }

    fn serve(&mut self) {
        let mut command = Command::new(program("slapd"));
        command.arg("-f").arg(self.folder.join("slapd.conf"));
        command.args(["-h", &format!("ldap://127.0.0.1:{}/", self.port), "-d", "0"]);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let port = self.port;
        wait_until("slapd answers", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// A node that asks it in this way, with the org asso.
    fn node(&self, way: &str, sink: &Sink) -> Node {
        let node = Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = []\n\
             [ldap]\nservers = [\"ldap://localhost:{}\"]\norg = \"asso\"\n{way}\n[relay]\nsmarthost = \"{}\"\n",
            self.port, sink.address
        ));
        node.ask(&["org", "add", "asso", "--domain", "asso.test"]);
        node.ask_with(&["org", "login", "local", "--org", "asso"], "on this node");
        node
    }

    /// A search by `cn=reader` over StartTLS, as the documentation shows it.
    fn searching(&self, sink: &Sink) -> Node {
        let password = self.folder.write("reader.password", "reads people\n");
        run("chmod", &["600", &password.display().to_string()], "");
        self.node(
            &format!(
                "root = {:?}\nbase = \"ou=people,dc=example,dc=org\"\nbind = \"cn=reader,dc=example,dc=org\"\n\
                 password_file = {password:?}\norg_attribute = \"o\"\naddress_attribute = \"mail\"",
                self.certificate.certificate
            ),
            sink,
        )
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Logs in; the answer must begin with `answer`.
#[track_caller]
fn log_in(node: &Node, login: &str, password: &str, answer: &str) -> Client {
    let mut client = Client::greet(node.smtp()).unwrap();
    let said = client.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{login}\0{password}"))), answer);
    said.unwrap_or_else(|said| panic!("{login:?}: {said:?}\n{}", node.log()));
    client
}

#[test]
fn people_of_a_directory_send_with_their_own_addresses_and_nobody_else_does() {
    let (slapd, sink) = (Slapd::start(), Sink::start());
    let node = slapd.searching(&sink);
    let server = node.smtp().to_string();
    let way = ["--server", &server, "--auth", "PLAIN", "--auth-user", "anna", "--auth-password", "correct horse"];
    swaks(&[&way[..], &["--from", "office@asso.test", "--to", "reader@example.test"]].concat());
    assert_eq!(sink.mail_to("reader@example.test").from, "office@asso.test");
    let mut anna = log_in(&node, "anna", "correct horse", "235");
    anna.say("MAIL FROM:<bob@asso.test>", "550 5.7.1").unwrap();
    // Of whom the directory names no organisation, belongs to that of the configuration.
    log_in(&node, "bob", "battery staple", "235").say("MAIL FROM:<bob@asso.test>", "250").unwrap();
    log_in(&node, "local", "on this node", "235").say("MAIL FROM:<any@asso.test>", "250").unwrap();
    for (login, password) in [
        ("anna", "wrong horse"),
        ("anna", ""),
        ("nobody", "correct horse"),
        // What would be a search for anybody.
        ("*", "correct horse"),
        ("anna)(uid=*", "correct horse"),
        // An organisation that this node does not have; no address to send with.
        ("strange", "correct horse"),
        ("mute", "correct horse"),
        // A login of this node is nobody else's.
        ("local", "correct horse"),
    ] {
        log_in(&node, login, password, "535 5.7.8");
    }
    assert!(!node.log().contains("correct horse") && !node.log().contains("reads people"), "{}", node.log());
}

#[test]
fn while_a_directory_is_down_logins_wait_and_who_was_right_lately_sends() {
    let (mut slapd, sink) = (Slapd::start(), Sink::start());
    let node = slapd.searching(&sink);
    log_in(&node, "anna", "correct horse", "235");
    slapd.stop();
    log_in(&node, "anna", "correct horse", "235");
    log_in(&node, "anna", "wrong horse", "454 4.7.0");
    log_in(&node, "bob", "battery staple", "454 4.7.0");
    log_in(&node, "local", "on this node", "235");
    slapd.serve();
    log_in(&node, "bob", "battery staple", "235");
    let log = node.log();
    assert_eq!(log.matches("the directory of logins does not answer").count(), 1, "{log}");
    assert!(log.contains("the directory of logins answers again"), "{log}");
}

#[test]
fn a_directory_may_be_asked_without_a_search() {
    let (slapd, sink) = (Slapd::start(), Sink::start());
    let form = "starttls = \"off\"\nname = \"uid={login},ou=people,dc=example,dc=org\"";
    let node = slapd.node(&format!("{form}\naddress_attribute = \"mail\""), &sink);
    let mut anna = log_in(&node, "anna", "correct horse", "235");
    anna.say("MAIL FROM:<anna@asso.test>", "250").unwrap();
    for (login, password) in
        [("anna", "wrong"), ("anna", ""), ("mute", "correct horse"), ("anna,ou=people", "correct horse")]
    {
        log_in(&node, login, password, "535 5.7.8");
    }
    let node = slapd.node(form, &sink);
    // Without an attribute for them, the addresses are those of the organisation.
    log_in(&node, "mute", "correct horse", "235").say("MAIL FROM:<any@asso.test>", "250").unwrap();
}

#[test]
fn a_directory_whose_certificate_nobody_vouches_for_hears_no_password() {
    let (slapd, sink) = (Slapd::start(), Sink::start());
    let node = slapd.node("name = \"uid={login},ou=people,dc=example,dc=org\"", &sink);
    log_in(&node, "anna", "correct horse", "454 4.7.0");
    assert!(node.log().contains("certificate"), "{}", node.log());
}
