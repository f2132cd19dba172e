//! Real programs of other people. One that is missing fails its test with the line that installs it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{Said, said};
use crate::wait::Folder;

/// The one list of packages is in that script.
const INSTALL: &str = "make test-packages (or scripts/test-packages --list, to choose)";
/// Where `scripts/other-mtas` puts what cannot be installed beside Postfix.
const OTHER_MTAS: &str = "/opt/sm2tp-test-mtas/usr/sbin";

/// The program of this name, from the PATH or where only root looks.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin", OTHER_MTAS]).map(Path::new);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing. Install it: {INSTALL}"))
}

/// A program of `scripts/test-python`.
#[track_caller]
pub fn of_python(name: &str) -> PathBuf {
    let path = Path::new("/opt/sm2tp-test-python/bin").join(name);
    assert!(path.exists(), "{} is missing. Install it: scripts/test-python, or {INSTALL}", path.display());
    path
}

/// Something that a program needs and that this command finds: a module, an extension.
#[track_caller]
pub fn need(program: &Path, command: &[&str], packages: &str) {
    let said = said(Command::new(program).args(command), "");
    let missing = "a package is missing. Install it: apt-get install --no-install-recommends";
    assert_eq!(said.exit, 0, "{}: {missing} {packages}\n{}", program.display(), said.stderr);
}

/// A library of a package, in the folder of this machine's kind.
#[track_caller]
pub fn library(name: &str) -> PathBuf {
    let kinds = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = kinds.map(|kind| kind.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing. Install it: {INSTALL}"))
}

/// Runs swaks, which must succeed. It is a script of Perl, and its TLS is a package of its own.
#[track_caller]
pub fn swaks(args: &[&str]) -> String {
    let said = try_swaks(args);
    assert_eq!(said.exit, 0, "swaks {}:\n{}{}", args.join(" "), said.stdout, said.stderr);
    said.stdout
}

/// Runs swaks; it may be refused.
#[track_caller]
pub fn try_swaks(args: &[&str]) -> Said {
    let said = said(Command::new(program("swaks")).args(args), "");
    assert!(!said.stderr.contains("requires Net::SSLeay"), "swaks cannot speak TLS. Install it: {INSTALL}");
    said
}

/// Postfix changes users, so its tests need root.
#[track_caller]
pub fn need_root() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    let is_root = uid.split_whitespace().nth(1) == Some("0");
    assert!(is_root, "this test starts Postfix, which needs root: run the tests as root");
}

/// Runs a program that must succeed; answers with its standard output.
#[track_caller]
pub fn run(name: &str, args: &[&str], input: &str) -> String {
    let said = said(Command::new(program(name)).args(args), input);
    assert_eq!(said.exit, 0, "{name} {}:\n{}{}", args.join(" "), said.stdout, said.stderr);
    said.stdout
}

/// A certificate that signs itself, and its key.
pub struct Certificate {
    pub name: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
    _folder: Folder,
}

impl Certificate {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new("certificate");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let (out, keyout) = (certificate.display().to_string(), key.display().to_string());
        let kind =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let what = ["-subj", &subject, "-addext", &alternative, "-addext", "basicConstraints=critical,CA:FALSE"];
        run("openssl", &[&kind[..], &what, &["-out", &out, "-keyout", &keyout]].concat(), "");
        Self { name: name.to_owned(), certificate, key, _folder: folder }
    }

    /// One that is good from so many days on to so many days on from now.
    pub fn living(name: &str, days: Range<i64>) -> Self {
        let certificate = Self::new(name);
        let folder = &certificate._folder;
        let at = |days: i64| run("date", &["-u", &format!("--date={days} days"), "+%Y%m%d%H%M%SZ"], "");
        let settings = "[ca]\ndefault_ca = d\n[d]\ndatabase = {dir}/index\nserial = {dir}/serial\n\
             new_certs_dir = {dir}\ndefault_md = sha256\npolicy = p\ncopy_extensions = copy\n[p]\ncommonName = supplied\n";
        let dir = folder.path().display().to_string();
        let config = folder.write("ca.conf", &settings.replace("{dir}", &dir)).display().to_string();
        folder.write("index", "");
        folder.write("serial", "01\n");
        let [request, key, out] = [&folder.join("request.pem"), &certificate.key, &certificate.certificate]
            .map(|it| it.display().to_string());
        let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        run(
            "openssl",
            &["req", "-new", "-key", &key, "-subj", &subject, "-addext", &alternative, "-out", &request],
            "",
        );
        let (from, to) = (at(days.start), at(days.end));
        let dates = ["-startdate", from.trim(), "-enddate", to.trim()];
        let files = ["-config", &config, "-keyfile", &key, "-in", &request, "-out", &out];
        run("openssl", &[&["ca", "-selfsign", "-batch", "-notext"][..], &dates, &files].concat(), "");
        certificate
    }

    /// The two keys of `[smtp]`.
    pub fn config(&self) -> String {
        format!("tls_certificate = {:?}\ntls_key = {:?}\n", self.certificate, self.key)
    }
}
