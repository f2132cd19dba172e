//! Signatures, verified by a program that shares no line with ours: dkimpy (Debian's python3-dkim).

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sm2tp_proto::{Domain, header};
use sm2tp_store::dkim::{DkimKeys, Source};

use super::*;

/// Reads `NAME=VALUE` records up to an empty line, then messages as lines of hexadecimal digits; answers a line for
/// each with one word per signature.
const VERIFY: &str = r#"
import sys, dkim
lines = iter(sys.stdin.read().splitlines())
records = dict(line.split("=", 1) for line in iter(lambda: next(lines), ""))
def txt(name, timeout=5):
    return records.get(name.decode().rstrip("."), "").encode() or None
for line in lines:
    message = bytes.fromhex(line)
    words = []
    for index in range(message.lower().count(b"dkim-signature:")):
        try:
            words.append("pass" if dkim.DKIM(message).verify(idx=index, dnsfunc=txt) else "fail")
        except dkim.ValidationError:
            words.append("fail")
        except Exception as error:
            words.append("%s" % error)
    print(" ".join(words))
"#;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An RSA and an Ed25519 key of a.example, from two machines' worth of randomness.
fn keys(name: &str) -> (Folder, Vec<Arc<Key>>) {
    let folder = Folder(std::env::temp_dir().join(format!("sm2tp-dkim-{name}-{}", std::process::id())));
    let keys = DkimKeys::open(&folder.0).unwrap();
    let made = keys.create(&Domain::parse("a.example").unwrap(), None, &Source::Random(&Algorithm::ALL), 1).unwrap();
    (folder, made)
}

fn signed(keys: &[Arc<Key>], message: &[u8]) -> Vec<u8> {
    let names = names(&header::fields(message).unwrap()).unwrap();
    let mut whole = sign(keys, &names, message, message).unwrap().to_vec();
    whole.extend_from_slice(message);
    // What the server sees: the last line always ends.
    if !whole.ends_with(b"\r\n") {
        whole.extend_from_slice(b"\r\n");
    }
    whole
}

/// What dkimpy says of each message.
#[track_caller]
fn verdicts(keys: &[Arc<Key>], messages: &[Vec<u8>]) -> Vec<String> {
    let mut input = String::new();
    for key in keys {
        let record = key.record().unwrap();
        input.push_str(&format!("{}={}\n", record.name, record.value));
    }
    input.push('\n');
    for message in messages {
        input.extend(message.iter().map(|octet| format!("{octet:02x}")));
        input.push('\n');
    }
    // Not the first python3 of the path: Debian's packages are for Debian's.
    let mut python = Command::new("/usr/bin/python3");
    let python = python.args(["-c", VERIFY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = python.expect("apt-get install python3 python3-dkim python3-nacl");
    let mut stdin = python.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().expect("apt-get install python3 python3-dkim python3-nacl");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[track_caller]
fn all_verify(name: &str, messages: &[Vec<u8>]) {
    let (_folder, keys) = keys(name);
    let whole: Vec<_> = messages.iter().map(|message| signed(&keys, message)).collect();
    let verdicts = verdicts(&keys, &whole);
    assert_eq!(verdicts.len(), messages.len());
    for (message, verdict) in messages.iter().zip(&verdicts) {
        assert_eq!(verdict, "pass pass", "{:?}", String::from_utf8_lossy(message));
    }
}

#[test]
fn a_line_that_is_full_is_not_broken_behind_the_signature() {
    // Each set of fields makes h= longer or shorter, and moves where the lines are full.
    let some = |set: usize| {
        let fields = IF_THERE.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        let fields: String = fields.map(|(_, name)| format!("{name}: x\r\n")).collect();
        format!("From: anna@a.example\r\n{fields}\r\nhi\r\n").into_bytes()
    };
    let messages: Vec<_> = (0..256).map(|set| some(set * 257)).collect();
    all_verify("lines", &messages);
}

#[test]
fn bodies_verify_however_they_end() {
    let bodies: [&str; 22] = [
        "",
        "\r\n",
        "\r\n\r\n",
        " ",
        " \r\n",
        "\t \r\n\r\n",
        "text",
        "text\r\n",
        "text\r\n\r\n\r\n",
        "text \r\n",
        "text\r\n \r\n",
        "text\r\n \r\n\r\n",
        "text\r\n\r\n \t",
        "text  with   space\t\r\n",
        ".\r\n",
        "..\r\n",
        "a\r\n.\r\n..\r\n.b\r\n",
        "caf\u{e9} \u{1f600}\r\n",
        "\u{c}\r\n",
        "\r\n\r\ntext",
        "-- \r\n",
        " \r\n \r\ntext\r\n ",
    ];
    let header = "From: Anna <a@a.example>\r\nTo: b@b.example\r\nSubject: s\r\n\r\n";
    let mut messages: Vec<_> = bodies.iter().map(|body| format!("{header}{body}").into_bytes()).collect();
    // Octets that are no text, and a header without the empty line after it.
    messages.push([header.as_bytes(), b"\xff\xfe\x80 latin \xe9\r\n"].concat());
    messages.push(header.trim_end().as_bytes().iter().chain(b"\r\n").copied().collect());
    messages.push([header.as_bytes(), &b"x".repeat(5000), b"\r\n", &b"line\r\n".repeat(2000)].concat());
    all_verify("bodies", &messages);
}

#[test]
fn headers_verify_however_they_are_written() {
    let long = "x".repeat(5000);
    let references = "<0123456789.abcdef@a.example>\r\n ".repeat(100);
    let headers = [
        "From: a@a.example\r\n".to_owned(),
        "FROM:a@a.example\r\nsubject:\r\n".to_owned(),
        "From: a@a.example\r\nSubject: folded\r\n\tand\r\n  again \t \r\n".to_owned(),
        "From: a@a.example\r\nSubject:\r\n begins in the next line\r\n".to_owned(),
        "From: a@a.example\r\nSubject: white   space\tinside \r\n".to_owned(),
        "From: a@a.example\r\nSubject: form\u{c}feed \u{c}\r\n".to_owned(),
        "From: a@a.example\r\nSubject: caf\u{e9}\r\nX-Other: \u{1f600}\r\n".to_owned(),
        format!("From: a@a.example\r\nSubject: {long}\r\nX-{long}: y\r\n"),
        format!("From: a@a.example\r\nReferences: {references}<last@a.example>\r\n"),
        "To: b@b.example\r\nFrom: a@a.example\r\nTo: c@c.example\r\nTo: d@d.example\r\nCc: e@e.example\r\n".to_owned(),
        "Received: by x\r\nReturn-Path: <a@a.example>\r\nFrom: a@a.example\r\nBcc: z@z.example\r\n".to_owned(),
        "From: a@a.example\r\nDKIM-Signature-X: 1\r\nSubject: s;b=\r\n".to_owned(),
        "From: a@a.example\r\nSubject: tab at end\t\r\nList-Unsubscribe: <https://a.example/u>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: a:b:c\r\nSender: s@a.example\r\n"
            .to_owned(),
        "From: a@a.example\r\nX-Empty-Fold:\r\n \r\nSubject: a\r\n \r\n\tb\r\n".to_owned(),
        "From: a@a.example, Anna\r\n <b@a.example>\r\n".to_owned(),
    ];
    let messages: Vec<_> = headers.iter().map(|header| format!("{header}\r\nbody \r\n").into_bytes()).collect();
    all_verify("headers", &messages);
}

/// A small generator: the same messages in every run.
#[test]
fn random_messages_verify() {
    let mut state = 0x5eed_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces = ["a", " ", "\t", "\r\n", "\r\n ", "word", ";", "=", ":", ".", "\u{e9}", "\u{c}", "--", "\r\n\r\n"];
    let names = ["Subject", "To", "Cc", "X-A", "Date", "List-Id", "content-type", "Reply-To", "Received"];
    let mut messages = Vec::new();
    for _ in 0..150 {
        let mut text = String::new();
        for _ in 0..next(6) {
            text.push_str(&format!("{}:", names[next(names.len())]));
            for _ in 0..next(8) {
                let piece = pieces[next(pieces.len() - 1)];
                text.push_str(if piece == "\r\n" { "\r\n " } else { piece });
            }
            text.push_str("\r\n");
        }
        text.push_str("From: a@a.example\r\n\r\n");
        for _ in 0..next(12) {
            text.push_str(pieces[next(pieces.len())]);
        }
        messages.push(text.into_bytes());
    }
    all_verify("random", &messages);
}

#[test]
fn what_is_changed_or_added_on_the_way_does_not_verify() {
    let (_folder, keys) = keys("changed");
    let message = "From: a@a.example\r\nSubject: s\r\nList-Id: <l.a.example>\r\n\r\ntext\r\n";
    let good = String::from_utf8(signed(&keys, message.as_bytes())).unwrap();
    let bad = [
        good.replace("Subject: s", "Subject: t"),
        good.replace("text", "test"),
        good.replace("From: a@a.example", "From: a@a.example\r\nFrom: boss@bank.example"),
        good.replace("Subject: s", "Reply-To: x@x.example\r\nSubject: s"),
        format!("Cc: x@x.example\r\n{good}"),
        format!("List-Id: <x.example>\r\n{good}"),
        format!("Content-Type: text/html\r\n{good}"),
        format!("{good}more\r\n"),
    ];
    let fine = [good.clone(), format!("Received: by x\r\nX-Spam: no\r\nList-Post: <x@x>\r\n{good}\r\n\r\n")];
    let messages: Vec<_> = bad.iter().chain(&fine).map(|text| text.clone().into_bytes()).collect();
    let verdicts = verdicts(&keys, &messages);
    let want: Vec<_> = bad.iter().map(|_| "fail fail").chain(fine.iter().map(|_| "pass pass")).collect();
    assert_eq!(verdicts, want, "{good}");
}

#[test]
fn the_signature_says_what_it_covers_and_nothing_that_is_private() {
    let (_folder, keys) = keys("says");
    let message =
        "Received: x\r\nReturn-Path: <a@a.example>\r\nBcc: z@z.example\r\nFrom: a@a.example\r\nTo: b@b.example\r\n\r\n";
    let whole = String::from_utf8(signed(&keys, message.as_bytes())).unwrap();
    let fields = header::fields(whole.as_bytes()).unwrap();
    assert_eq!(fields[0].name, "DKIM-Signature");
    for (field, algorithm) in fields[..2].iter().zip(["rsa-sha256", "ed25519-sha256"]) {
        let text: String = String::from_utf8_lossy(field.value).split_whitespace().collect();
        for want in [&format!("a={algorithm};"), "d=a.example;", "s=sm2tp1-", "c=relaxed/simple;", ";t=", ";x="] {
            assert!(text.contains(want), "{want}: {text}");
        }
        let tags: Vec<_> = text.split(';').map(|tag| tag.split('=').next().unwrap()).collect();
        assert!(!tags.contains(&"l") && !tags.contains(&"i") && !tags.contains(&"z"), "{text}");
        let signed = text.split(';').find_map(|tag| tag.strip_prefix("h=")).unwrap().to_ascii_lowercase();
        let signed: Vec<_> = signed.split(':').collect();
        let count = |name: &str| signed.iter().filter(|found| **found == name).count();
        assert_eq!((count("from"), count("to"), count("subject"), count("cc")), (2, 2, 1, 1), "{signed:?}");
        assert_eq!((count("received"), count("return-path"), count("bcc"), count("list-id")), (0, 0, 0, 0));
        assert!(field.value.split(|octet| *octet == b'\n').all(|line| line.len() < 100));
    }
}

#[test]
fn a_header_full_of_fields_to_sign_is_nobodys_mail() {
    let header = |count| format!("From: a@a.example\r\n{}", "To: b@b.example\r\n".repeat(count));
    assert!(names(&header::fields(header(99).as_bytes()).unwrap()).is_some());
    assert!(names(&header::fields(header(100).as_bytes()).unwrap()).is_none());
}
