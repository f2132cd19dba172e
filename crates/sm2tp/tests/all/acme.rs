//! A certificate by ACME from Pebble, the authority that Let's Encrypt tests clients with.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::node::{Node, said};
use crate::programs::{Certificate, program, run};
use crate::wait::{Folder, free_address, wait_until};

/// An authority, and a name server that says that everything is on this machine.
struct Authority {
    children: Vec<Child>,
    certificate: Certificate,
    address: SocketAddr,
    management: SocketAddr,
    folder: Folder,
}

impl Authority {
    /// It looks for answers at `http`.
    fn start(http: SocketAddr) -> Self {
        let (folder, certificate) = (Folder::new("pebble"), Certificate::new("localhost"));
        let [address, management, names, control] = [(); 4].map(|()| free_address());
        let config = folder.write(
            "pebble.json",
            &format!(
                r#"{{"pebble": {{"listenAddress": "{address}", "managementListenAddress": "{management}",
                "certificate": {:?}, "privateKey": {:?}, "httpPort": {}, "tlsPort": 1, "ocspResponderURL": "",
                "externalAccountBindingRequired": false}}}}"#,
                certificate.certificate,
                certificate.key,
                http.port()
            ),
        );
        let mut name_server = Command::new(program("pebble-challtestsrv"));
        name_server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &names.to_string()]);
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", &control.to_string()]);
        let mut pebble = Command::new(program("pebble"));
        pebble.args(["-dnsserver", &names.to_string(), "-config"]).arg(&config).env("PEBBLE_VA_NOSLEEP", "1");
        let start = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let children = vec![start(&mut name_server), start(&mut pebble)];
        wait_until("Pebble listens", Duration::from_secs(20), || TcpStream::connect(management).is_ok());
        wait_until("Pebble listens", Duration::from_secs(20), || TcpStream::connect(address).is_ok());
        Self { children, certificate, address, management, folder }
    }

    fn config(&self) -> String {
        format!(
            "[acme]\ndirectory = \"https://localhost:{}/dir\"\nroot = {:?}\n",
            self.address.port(),
            self.certificate.certificate
        )
    }

    fn stop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The certificate by which it signs.
    fn root(&self) -> String {
        let script = "import ssl, sys, urllib.request as u; \
                      print(u.urlopen(sys.argv[1], context=ssl._create_unverified_context(), timeout=20).read().decode())";
        let root = run("python3", &["-c", script, &format!("https://{}/roots/0", self.management)], "");
        self.folder.write("root.pem", &root).display().to_string()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn pebble_issues_a_certificate_that_openssl_believes() {
    let http = free_address();
    let mut authority = Authority::start(http);
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n\
         [http]\nlisten = [\"{http}\"]\n[relay]\n{}",
        authority.config()
    ));
    let root = authority.root();
    let is_believed = |node: &Node| {
        let (smtps, name) = (node.smtps().to_string(), "relay.example.org");
        let mut openssl = Command::new(program("openssl"));
        openssl.args(["s_client", "-connect", &smtps, "-CAfile", &root, "-verify_return_error", "-quiet"]);
        said(openssl.args(["-servername", name, "-verify_hostname", name]), "QUIT\r\n").stdout.contains("220 relay")
    };
    wait_until("the certificate is used", Duration::from_secs(60), || is_believed(&node));
    for name in ["pair.pem", "account.json"] {
        let mode = fs::metadata(node.data().join("acme").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // Nobody is asked again for what is there.
    assert_eq!(node.log().matches("a certificate was issued").count(), 1);
    let (before, pair) = (node.log().len(), node.data().join("acme/pair.pem"));
    let kept = fs::read(&pair).unwrap();
    node.kill();
    authority.stop();
    node.serve();
    assert!(is_believed(&node));
    assert_eq!(fs::read(&pair).unwrap(), kept);
    assert!(!node.log()[before..].contains("certificate was issued"));
}

#[test]
fn without_an_authority_the_door_opens_with_a_stand_in_and_the_log_says_why() {
    let nowhere = free_address();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n[acme]\ndirectory = \"https://{nowhere}/dir\"\n"
    ));
    wait_until("the log says so", Duration::from_secs(30), || node.log().contains("no certificate was issued"));
    assert!(TcpStream::connect(node.smtps()).is_ok());
    let said = node.get("/.well-known/acme-challenge/anything");
    assert!(said.starts_with("HTTP/1.1 404"), "{said}");
}
