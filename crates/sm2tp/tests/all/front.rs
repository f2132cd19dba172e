//! A node behind haproxy, as its peer reaches it over TLS: what goes over the wire, connection by connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::haproxy::Haproxy;
use crate::programs::run;
use crate::wait::Folder;

/// A leaf and the authority between, of the kinds and sizes that Let's Encrypt gives for a key of P-256: together 2.1 kB.
pub struct Chain {
    pub root: PathBuf,
    /// Leaf, authority and key in one file, as haproxy wants them.
    pub whole: PathBuf,
    _folder: Folder,
}

impl Chain {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new("chain");
        let at = |name: &str| folder.join(name).display().to_string();
        // Two time stamps of certificate logs, as every certificate of a public authority carries them.
        let stamps = format!("1.3.6.1.4.1.11129.2.4.2=DER:{}", "04:81:F3".to_owned() + &":5A".repeat(243));
        let extensions = format!(
            "[root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n\
             [between]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,digitalSignature,cRLSign,keyCertSign\n\
             extendedKeyUsage=serverAuth,clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
             authorityInfoAccess=caIssuers;URI:http://x1.i.lencr.example/\ncertificatePolicies=2.23.140.1.2.1\n\
             crlDistributionPoints=URI:http://x1.c.lencr.example/\n\
             [leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
             subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nauthorityInfoAccess=caIssuers;URI:http://e7.i.lencr.example/\n\
             subjectAltName=DNS:{name}\ncertificatePolicies=2.23.140.1.2.1\n\
             crlDistributionPoints=URI:http://e7.c.lencr.example/112.crl\n{stamps}\n"
        );
        folder.write("extensions", &extensions);
        let key = |name: &str, kind: &[&str]| {
            run("openssl", &[&["genpkey", "-out", &at(name)], kind].concat(), "");
        };
        key("root.key", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"]);
        key("between.key", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
        key("leaf.key", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        let sign = |of: &str, by: &str, subject: &str| {
            let request = ["req", "-new", "-subj", subject, "-key", &at(&format!("{of}.key")), "-out", &at("request")];
            run("openssl", &request, "");
            let signer = if of == by {
                vec!["-signkey".to_owned(), at(&format!("{by}.key"))]
            } else {
                vec!["-CA".into(), at(by), "-CAkey".into(), at(&format!("{by}.key")), "-CAcreateserial".into()]
            };
            let signer: Vec<&str> = signer.iter().map(String::as_str).collect();
            let (request, out, extensions) = (at("request"), at(of), at("extensions"));
            let what = ["x509", "-req", "-sha384", "-days", "2", "-in", &request, "-out", &out];
            run("openssl", &[&what[..], &["-extfile", &extensions, "-extensions", of], &signer].concat(), "");
        };
        sign("root", "root", "/C=US/O=Internet Security Research Group/CN=ISRG Root X1");
        sign("between", "root", "/C=US/O=Let's Encrypt/CN=E7");
        sign("leaf", "between", &format!("/CN={name}"));
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let whole = folder.write("whole.pem", &(text("leaf") + &text("between") + &text("leaf.key")));
        Self { root: folder.join("root"), whole, _folder: folder }
    }
}

/// haproxy, which ends TLS at `front` and passes on to `node`. `speaks` and `keeps`: which HTTP, and how long it keeps a connection
/// without questions, as haproxy writes it.
pub fn haproxy(front: SocketAddr, node: SocketAddr, chain: &Path, (speaks, keeps): (&str, &str)) -> Haproxy {
    let listens = format!(
        " timeout http-keep-alive {keeps}\nlisten node\n bind {front} ssl crt {} alpn {speaks}\n server node {node}\n",
        chain.display()
    );
    Haproxy::start(front, "http", &listens)
}

/// One connection: octets of its records in the order in which they passed, each with its kind and whether the asker sent it.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    pub records: Vec<Record>,
    /// Nothing more comes through, and nobody is told.
    is_dead: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub asks: bool,
    pub kind: u8,
    /// With its head of five octets.
    pub octets: u64,
}

impl Wire {
    pub fn octets(&self) -> u64 {
        self.records.iter().map(|record| record.octets).sum()
    }

    /// How many questions went over it: the end of a handshake and that of a connection are shorter than any.
    pub fn questions(&self) -> usize {
        self.records.iter().filter(|record| record.is_question()).count()
    }
}

impl Record {
    pub fn is_question(&self) -> bool {
        self.asks && self.kind == DATA && QUESTION_MIN <= self.octets
    }
}

/// The way to a front, on which somebody counts.
#[derive(Clone, Default)]
pub struct Way(Arc<Mutex<Vec<Wire>>>);

impl Way {
    pub fn open(at: SocketAddr, front: SocketAddr) -> Self {
        let (way, door) = (Self::default(), TcpListener::bind(at).unwrap());
        let shared = way.clone();
        thread::spawn(move || {
            for asker in door.incoming() {
                let (Ok(asker), Ok(front)) = (asker, TcpStream::connect(front)) else { return };
                let number = {
                    let mut wires = shared.0.lock().unwrap();
                    wires.push(Wire::default());
                    wires.len() - 1
                };
                for (from, to, asks) in [(&asker, &front, true), (&front, &asker, false)] {
                    let (from, to, way) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
                    thread::spawn(move || way.pass(number, from, to, asks));
                }
            }
        });
        way
    }

    /// All connections that there were.
    pub fn wires(&self) -> Vec<Wire> {
        self.0.lock().unwrap().clone()
    }

    /// What a firewall does that forgets: whatever comes on the connections of now goes nowhere.
    pub fn forgets(&self) {
        self.0.lock().unwrap().iter_mut().for_each(|wire| wire.is_dead = true);
    }

    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream, asks: bool) {
        loop {
            let mut head = [0; 5];
            let mut body = Vec::new();
            if from.read_exact(&mut head).is_ok() {
                body.resize(usize::from(u16::from_be_bytes([head[3], head[4]])), 0);
            }
            let is_whole = !body.is_empty() && from.read_exact(&mut body).is_ok();
            let mut wires = self.0.lock().unwrap();
            match (wires[number].is_dead, is_whole) {
                (true, true) => continue,
                (true, false) => {
                    drop(wires);
                    return thread::park();
                }
                (false, false) => break,
                (false, true) => {}
            }
            wires[number].records.push(Record { asks, kind: head[0], octets: (head.len() + body.len()) as u64 });
            drop(wires);
            if to.write_all(&[&head[..], &body].concat()).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Of a record, from the end of the handshake on and in TLS 1.3 in most of the handshake too.
const DATA: u8 = 23;
const QUESTION_MIN: u64 = 110;
