//! DANE with real programs: nsd serves a signed zone, unbound validates it, Postfix shows its keys.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::send;
use crate::node::Node;
use crate::outward::{mx, waits_with};
use crate::programs::{Certificate, program, run};
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// A program that runs as long as the value lives.
struct Daemon(Child);

impl Daemon {
    fn start(name: &str, config: &str, listens: SocketAddr) -> Self {
        let mut command = Command::new(program(name));
        command.args(["-d", "-c", config]).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Self(command.spawn().unwrap());
        wait_until(&format!("{name} listens"), LONG, || TcpStream::connect(listens).is_ok());
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The hosts, each with its own domain: what their TLSA records are, in the words of the zone.
fn zone(origin: &str, port: u16, hosts: &[(&str, String)]) -> String {
    let mut zone =
        format!("$ORIGIN {origin}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n");
    for (name, tlsa) in hosts {
        zone.push_str(&format!("{name} MX 10 mx-{name}\nmx-{name} A 127.0.0.1\n"));
        if !tlsa.is_empty() {
            zone.push_str(&format!("_{port}._tcp.mx-{name} TLSA {tlsa}\n"));
        }
    }
    zone
}

/// A certificate for `names` of an authority of its own; the file holds both.
fn issued(folder: &Folder, names: &[&str]) -> Certificate {
    let path = |name: &str| folder.join(name).display().to_string();
    let certificate = Certificate::new(names[0]);
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", &path("ca.key"), "-out", &path("ca.pem")];
    run("openssl", &[&authority[..], &curve].concat(), "");
    let key = certificate.key.display().to_string();
    run("openssl", &[&["req", "-subj", "/CN=mx", "-keyout", &key, "-out", &path("csr")][..], &curve].concat(), "");
    let alternative: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    folder.write("extensions", &format!("subjectAltName={}\n", alternative.join(",")));
    let sign = ["x509", "-req", "-days", "2", "-in", &path("csr"), "-CA", &path("ca.pem"), "-CAkey", &path("ca.key")];
    let more = ["-CAcreateserial", "-extfile", &path("extensions"), "-out", &path("leaf.pem")];
    run("openssl", &[&sign[..], &more].concat(), "");
    let chain = ["leaf.pem", "ca.pem"].map(|name| fs::read_to_string(folder.join(name)).unwrap()).concat();
    fs::write(&certificate.certificate, chain).unwrap();
    certificate
}

fn sha256(file: &str) -> String {
    run("openssl", &["dgst", "-sha256", "-r", file], "").split(' ').next().unwrap().to_owned()
}

/// The digests of a certificate's key, and of a whole certificate.
fn digests(folder: &Folder, leaf: &str, whole: &str) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    run("openssl", &["x509", "-in", leaf, "-noout", "-pubkey", "-out", &path("key.pem")], "");
    run("openssl", &["pkey", "-pubin", "-in", &path("key.pem"), "-outform", "DER", "-out", &path("key.der")], "");
    run("openssl", &["x509", "-in", whole, "-outform", "DER", "-out", &path("whole.der")], "");
    (sha256(&path("key.der")), sha256(&path("whole.der")))
}

/// Signs the zone, and then changes a record behind the back of its signature.
fn sign(folder: &Folder, text: &str, forged: (&str, &str)) -> String {
    folder.write("signed.zone", text);
    let here = |args: &[&str]| {
        let said = Command::new(program(args[0])).args(&args[1..]).current_dir(folder.path()).output().unwrap();
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    let ksk = here(&["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "signed.test"]);
    let zsk = here(&["ldns-keygen", "-a", "ECDSAP256SHA256", "signed.test"]);
    here(&["ldns-signzone", "-n", "signed.zone", &zsk, &ksk]);
    let file = folder.join("signed.zone.signed");
    let signed = fs::read_to_string(&file).unwrap();
    assert!(signed.contains(forged.0), "{signed}");
    fs::write(file, signed.replace(forged.0, forged.1)).unwrap();
    format!("{ksk}.key")
}

/// The resolver, with the name server behind it.
fn resolver(folder: &Folder, anchor: &str) -> (Daemon, Daemon, SocketAddr) {
    let (nsd, unbound) = (free_address(), free_address());
    let dir = folder.path().display();
    let config = format!(
        "server:\n ip-address: 127.0.0.1@{}\n username: \"\"\n zonesdir: \"{dir}\"\n database: \"\"\n pidfile: \"\"\n\
         \x20xfrdfile: \"{dir}/xfrd\"\n zonelistfile: \"{dir}/list\"\n logfile: \"{dir}/nsd.log\"\n server-count: 1\n\
         remote-control:\n control-enable: no\n\
         zone:\n name: signed.test\n zonefile: signed.zone.signed\nzone:\n name: plain.test\n zonefile: plain.zone\n",
        nsd.port()
    );
    let config = folder.write("nsd.conf", &config).display().to_string();
    let server = Daemon::start("nsd", &config, nsd);
    let stub = |name: &str| format!("stub-zone:\n name: {name}\n stub-addr: 127.0.0.1@{}\n", nsd.port());
    let config = format!(
        "server:\n interface: 127.0.0.1\n port: {}\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n directory: \"{dir}\"\n\
         \x20use-syslog: no\n logfile: \"{dir}/unbound.log\"\n do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n\
         \x20trust-anchor-file: \"{dir}/{anchor}\"\n val-log-level: 2\nremote-control:\n control-enable: no\n{}{}",
        unbound.port(),
        stub("signed.test"),
        stub("plain.test")
    );
    let config = folder.write("unbound.conf", &config).display().to_string();
    (server, Daemon::start("unbound", &config, unbound), unbound)
}

#[test]
fn only_a_host_that_shows_the_key_of_its_signed_records_gets_mail() {
    let folder = Folder::new("dane");
    let certificate = issued(&folder, &["mx-key.signed.test", "mx-authority.signed.test"]);
    let domains = ["key", "authority", "name", "other", "old", "none", "forged"];
    let mut addresses: Vec<String> = domains.iter().map(|name| format!("{name}@{name}.signed.test")).collect();
    addresses.push("plain@plain.plain.test".into());
    let mail = mx(&certificate, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let port = mail.address.port();
    let (leaf, ca) = (folder.join("leaf.pem").display().to_string(), folder.join("ca.pem").display().to_string());
    let (key, authority) = digests(&folder, &leaf, &ca);
    let (wrong, forged) = ("ab".repeat(32), "cd".repeat(32));
    let hosts = [
        ("key", format!("3 1 1 {key}")),
        ("authority", format!("2 0 1 {authority}")),
        // The chain is good, and the certificate is for other hosts.
        ("name", format!("2 0 1 {authority}")),
        ("other", format!("3 1 1 {wrong}")),
        // Of a kind that says nothing for mail: encrypted all the same.
        ("old", format!("1 0 1 {wrong}")),
        ("none", String::new()),
        ("forged", format!("3 1 1 {forged}")),
    ];
    let anchor = sign(&folder, &zone("signed.test", port, &hosts), (&forged, &key));
    folder.write("plain.zone", &zone("plain.test", port, &[("plain", format!("3 1 1 {wrong}"))]));
    let (_nsd, _unbound, resolver) = resolver(&folder, &anchor);

    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nport = {port}\n[dns]\nservers = [\"{resolver}\"]\nvalidating = \"on\"\n"
    ));
    for address in &addresses {
        send(node.smtp(), "anna@sender.test", &[address], "dane");
    }
    for domain in ["key", "authority", "old", "none", "plain"] {
        wait_until(&format!("{domain} has its mail"), LONG, || mail.mailbox(domain).len() == 1);
        assert!(mail.mailbox(domain)[0].contains("with ESMTPS"), "{domain} got it encrypted");
    }
    for domain in ["name", "other", "forged"] {
        waits_with(&node, &format!("{domain}@{domain}.signed.test"), "DNSSEC");
        assert!(mail.mailbox(domain).is_empty(), "{domain}");
    }
    assert_eq!(node.queue().len(), 3);
}
