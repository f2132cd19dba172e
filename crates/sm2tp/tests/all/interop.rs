//! Nodes in other languages (`interop/`): their verifiers on the vectors, and reading nodes before a live node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::client::send;
use crate::node::{Node, Said, said};
use crate::peers::{federation, peer};
use crate::programs::{need, program};
use crate::sink::Sink;
use crate::wait::{Folder, files, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A language with its two programs.
struct Language {
    name: &'static str,
    verify: Vec<PathBuf>,
    node: Vec<PathBuf>,
}

static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let interop = interop();
    // Debian's Python, for which Debian's packages are.
    let (php, python, go) = (program("php"), PathBuf::from("/usr/bin/python3"), go());
    need(&php, &["-r", "exit(extension_loaded('intl') && extension_loaded('sodium') ? 0 : 1);"], "php-cli php-intl");
    need(&python, &["-c", "import idna, nacl"], "python3-nacl python3-idna");
    let scripts = |program: &Path, folder: &str, ending: &str| {
        ["verify", "node"].map(|name| vec![program.to_owned(), interop.join(folder).join(format!("{name}.{ending}"))])
    };
    let [php_verify, php_node] = scripts(&php, "php", "php");
    let [python_verify, python_node] = scripts(&python, "python", "py");
    vec![
        Language { name: "PHP", verify: php_verify, node: php_node },
        Language { name: "Python", verify: python_verify, node: python_node },
        Language { name: "Go", verify: vec![go.clone()], node: vec![go] },
    ]
});

impl Language {
    /// Runs one of its programs, which must succeed.
    #[track_caller]
    fn run(&self, program: &[PathBuf], args: &[&str]) -> String {
        let said = self.try_run(program, args);
        assert_eq!((said.exit, said.stderr.as_str()), (0, ""), "{} {args:?}: {}", self.name, said.stdout);
        said.stdout
    }

    fn try_run(&self, program: &[PathBuf], args: &[&str]) -> Said {
        let mut command = Command::new(&program[0]);
        said(command.args(&program[1..]).args(args).env("PYTHONDONTWRITEBYTECODE", "1"), "")
    }
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop")
}

/// Compiles the program in Go, with Debian's packages and nothing from elsewhere.
fn go() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = temporary.join(format!("interop-go-{}", std::process::id()));
    let mut command = Command::new(program("go"));
    command.args(["build", "-o"]).arg(&built).arg("./go").current_dir(interop());
    command.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")]);
    let said = said(command.env("GOCACHE", temporary.join("go-cache")), "");
    let install = "apt-get install --no-install-recommends golang-go golang-golang-x-crypto-dev golang-golang-x-net-dev \
                   golang-golang-x-text-dev";
    assert!(!said.stderr.contains("cannot find package"), "{}Install it: {install}", said.stderr);
    assert_eq!(said.exit, 0, "{}", said.stderr);
    built
}

#[test]
fn every_language_comes_to_the_values_of_the_vectors() {
    let vectors = interop().join("vectors.json").display().to_string();
    for language in LANGUAGES.iter() {
        let told = language.run(&language.verify, &["vectors", &vectors]);
        assert!(told.ends_with("values are right\n"), "{}: {told}", language.name);
    }
}

/// At these two domains nobody exists whose name begins with "gone". The second is `exämple.test`.
fn node(name: &str, sink: &Sink) -> Node {
    let (http, to) = (free_address(), sink.address);
    Node::start(&format!(
        "hostname = \"relay-{name}.example.org\"\n[http]\nlisten = [\"{http}\"]\n\
         [smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\nstream = \"bulk\"\n\
         [relay]\nroutes = {{ \"d.test\" = \"{to}\", \"xn--exmple-cua.test\" = \"{to}\", \"s.test\" = \"{to}\" }}\n{}",
        federation(http)
    ))
}

/// What a node says of itself, as it was signed, and its key in hex.
fn descriptor(node: &Node) -> (String, String) {
    let answer = node.get("/fed/v1/node");
    let text = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let who = node.get("/.well-known/sm2tp");
    let who: Value = serde_json::from_str(who.split_once("\r\n\r\n").unwrap().1).unwrap();
    let key = URL_SAFE_NO_PAD.decode(who["node"].as_str().unwrap()).unwrap();
    (text, key.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Asks for a peering as the administrator of a reading node does, and accepts as the one of `node`.
#[track_caller]
fn joins(language: &Language, folder: &str, node: &Node) {
    let api = format!("http://{}/fed/v1", node.http());
    // It serves nothing, so it names an address at which nobody listens.
    let told = language.run(&language.node, &["join", folder, &api, "http://127.0.0.1:9/fed/v1"]);
    let ours = told.lines().next().unwrap().strip_prefix("ours   ").unwrap();
    let peers = node.ask(&["peer", "list"]);
    let asking = peers["peers"].as_array().unwrap().iter().find(|peer| peer["state"] == "asking").unwrap();
    assert_eq!(asking["fingerprint"], ours, "{}: what is compared by voice", language.name);
    assert_eq!(language.run(&language.node, &["pull", folder]), "the peer has not decided yet\n");
    node.ask(&["peer", "accept", "--yes", "--no-read", ours]);
}

#[test]
fn nodes_in_other_languages_read_a_live_node() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 No such user here".to_owned()));
    let (a, b) = (node("a", &sink), node("b", &sink));
    peer(&a, &b);
    send(a.smtp(), "anna@s.test", &["gone1@d.test"], "hello");
    send(b.smtp(), "anna@s.test", &["gone2@xn--exmple-cua.test"], "hello");
    for (node, address) in [(&a, "gone2@xn--exmple-cua.test"), (&b, "gone1@d.test")] {
        wait_until("both know of both", LONG, || node.decision(address, "bulk")["decision"] == "hold");
    }
    let mut told = BTreeSet::new();
    for language in LANGUAGES.iter() {
        let folder = Folder::new("reader");
        let path = folder.join("reader").display().to_string();
        joins(language, &path, &a);
        let look = |address: &str| language.run(&language.node, &["look", &path, address]);
        assert_eq!(language.run(&language.node, &["pull", &path]), "2 segments with 2 events are new\n");
        assert_eq!(language.run(&language.node, &["pull", &path]), "0 segments with 0 events are new\n");
        // Written otherwise, the same addresses; the second was heard of through A.
        for (address, by) in [(" Gone1@D.test", "a"), ("gone2@Exämple.test.", "b")] {
            let line = look(address);
            let seen = line.starts_with("HARD 20") && line.ends_with(&format!(" 550 5.1.1 relay-{by}.example.org\n"));
            assert!(seen, "{}: {line}", language.name);
            told.insert(line);
        }
        assert_eq!(look("alive@d.test"), "nobody says anything\n");
    }
    assert_eq!(told.len(), 2, "{told:?}");
    check_files(&a);
}

/// The files of a node are verified by every language, and one with a flipped bit by none.
#[track_caller]
fn check_files(node: &Node) {
    let (text, key) = descriptor(node);
    let folder = Folder::new("segments");
    let descriptor = folder.write("descriptor.json", &text).display().to_string();
    let segment = files(&node.data().join("segments").join(key)).pop().unwrap();
    let mut octets = fs::read(&segment).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    let changed = folder.join("changed.seg");
    fs::write(&changed, octets).unwrap();
    let (segment, changed) = (segment.display().to_string(), changed.display().to_string());
    let mut told = BTreeSet::new();
    for language in LANGUAGES.iter() {
        told.insert(language.run(&language.verify, &["segments", &descriptor, &segment]));
        let refused = language.try_run(&language.verify, &["segments", &descriptor, &changed]);
        assert!(refused.exit == 1 && refused.stderr.contains("the body is not that of its header"), "{refused:?}");
    }
    assert!(told.len() == 1 && told.first().unwrap().starts_with("0.0 1 of 1 events, root "), "{told:?}");
}
