//! A certificate by ACME from Pebble, the authority that Let's Encrypt tests clients with.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
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
    names: SocketAddr,
    control: SocketAddr,
    config: PathBuf,
    folder: Folder,
}

impl Authority {
    /// It looks for answers at `http`.
    fn start(http: SocketAddr) -> Self {
        Self::with_life(http, 90 * 86_400)
    }

    /// Its certificates live so many seconds.
    fn with_life(http: SocketAddr, life_s: u64) -> Self {
        let (folder, certificate) = (Folder::new("pebble"), Certificate::new("localhost"));
        let [address, management, names, control] = [(); 4].map(|()| free_address());
        let config = folder.write(
            "pebble.json",
            &format!(
                r#"{{"pebble": {{"listenAddress": "{address}", "managementListenAddress": "{management}",
                "certificate": {:?}, "privateKey": {:?}, "httpPort": {}, "tlsPort": 1, "ocspResponderURL": "",
                "externalAccountBindingRequired": false, "certificateValidityPeriod": {life_s}}}}}"#,
                certificate.certificate,
                certificate.key,
                http.port()
            ),
        );
        let mut authority =
            Self { children: Vec::new(), certificate, address, management, names, control, config, folder };
        authority.run();
        authority
    }

    /// Starts it, or starts it anew: it has forgotten its accounts then, and signs with another key.
    fn run(&mut self) {
        let Self { address, management, names, control, .. } = *self;
        let mut name_server = Command::new(program("pebble-challtestsrv"));
        name_server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &names.to_string()]);
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", &control.to_string()]);
        let mut pebble = Command::new(program("pebble"));
        pebble.args(["-dnsserver", &names.to_string(), "-config"]).arg(&self.config).env("PEBBLE_VA_NOSLEEP", "1");
        let start = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.children = vec![start(&mut name_server), start(&mut pebble)];
        wait_until("Pebble listens", Duration::from_secs(20), || TcpStream::connect(management).is_ok());
        wait_until("Pebble listens", Duration::from_secs(20), || TcpStream::connect(address).is_ok());
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

/// OpenSSL shakes hands and finds a certificate that is valid now and signed by this root.
fn is_believed(node: &Node, root: &str) -> bool {
    let (smtps, name) = (node.smtps().to_string(), "relay.example.org");
    let mut openssl = Command::new(program("openssl"));
    openssl.args(["s_client", "-connect", &smtps, "-CAfile", root, "-verify_return_error", "-quiet"]);
    said(openssl.args(["-servername", name, "-verify_hostname", name]), "QUIT\r\n").stdout.contains("220 relay")
}

fn config(http: SocketAddr, authority: &Authority) -> String {
    format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n\
         [http]\nlisten = [\"{http}\"]\n[relay]\n{}",
        authority.config()
    )
}

#[test]
fn pebble_issues_a_certificate_that_openssl_believes() {
    let http = free_address();
    let mut authority = Authority::start(http);
    let mut node = Node::start(&config(http, &authority));
    let root = authority.root();
    wait_until("the certificate is used", LONG, || is_believed(&node, &root));
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
    assert!(is_believed(&node, &root));
    assert_eq!(fs::read(&pair).unwrap(), kept);
    assert!(!node.log()[before..].contains("certificate was issued"));
}

#[test]
fn a_certificate_is_renewed_by_the_running_node_and_outlives_trouble_with_the_authority() {
    let http = free_address();
    let mut authority = Authority::with_life(http, 30);
    let mut node = Node::start(&config(http, &authority));
    let pair = node.data().join("acme/pair.pem");
    let issued = |node: &Node| node.log().matches("a certificate was issued").count();
    let root = authority.root();
    wait_until("the first one is there", LONG, || 1 <= issued(&node) && is_believed(&node, &root));
    let first = fs::read(&pair).unwrap();
    // After two thirds of thirty seconds, by the process that runs.
    let pid = node.pid();
    wait_until("it is renewed", LONG, || 2 <= issued(&node) && is_believed(&node, &root));
    assert!(fs::read(&pair).unwrap() != first && node.pid() == pid);
    // The authority goes: what there is stays, and the next tries come by themselves, each later than the one before.
    authority.stop();
    let failed = |node: &Node| node.log().matches("no certificate was issued").count();
    wait_until("it was tried again", LONG, || 3 <= failed(&node));
    let log = node.log();
    for wait in ["again_s=1", "again_s=2"] {
        assert!(log.contains(wait), "{wait}: {log}");
    }
    let kept = fs::read(&pair).unwrap();
    assert!(said(Command::new(program("openssl")).args(["x509", "-noout", "-in"]).arg(&pair), "").exit == 0);
    // It comes back with another key and without our account, as one that was set up anew.
    let before = issued(&node);
    authority.run();
    let root = authority.root();
    wait_until("there is a new one", LONG, || before < issued(&node) && is_believed(&node, &root));
    assert!(fs::read(&pair).unwrap() != kept);
    assert!(node.log().contains("does not know our account any more"));
    // The node is killed while the authority is away, in the middle of its tries.
    authority.stop();
    let before = failed(&node);
    wait_until("it was tried again", LONG, || before < failed(&node));
    node.kill();
    fs::write(pair.with_extension("new"), "half a certifi").unwrap();
    authority.run();
    node.serve();
    let root = authority.root();
    wait_until("the new one is used", LONG, || is_believed(&node, &root));
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

const LONG: Duration = Duration::from_secs(60);
