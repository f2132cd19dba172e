//! Runs `tests/dialogues/*.smtp` against the pure session. The format is told in `tests/dialogues/README.md`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use sm2tp_proto::smtp::server::{AuthOffer, Offers, ScramOffer, Tls, XclientOffer};

use crate::shell::Shell;

pub struct Dialogue {
    pub name: String,
    pub offers: Offers,
    pub moves: Vec<(usize, Move)>,
}

pub enum Move {
    /// `C:` and `C!`: what the client writes at once.
    Client(Vec<u8>),
    /// `S:`: a line of the server; `true`: only its beginning is given.
    Server(String, bool),
    /// `S! closed`.
    Closed,
    /// `C* tls`.
    Handshake,
    /// `D:`: the content of the message that was taken last.
    Content(Vec<u8>),
    /// `E:`: its envelope, `sender recipient…`, `<>` for the null path.
    Envelope(String),
}

pub fn dialogues() -> Vec<Dialogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of dialogues")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "smtp"))
        .collect();
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test reads its files")]
fn parse(path: &Path) -> Dialogue {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut dialogue = Dialogue { name, offers: offers(), moves: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let step = match mark {
            "" => continue,
            "# " => {
                directive(&mut dialogue.offers, rest);
                continue;
            }
            "C:" => Move::Client([unescape(rest), b"\r\n".to_vec()].concat()),
            "C!" => Move::Client(unescape(rest)),
            "C*" if rest == "tls" => Move::Handshake,
            "S:" => match rest.strip_suffix('…') {
                Some(start) => Move::Server(start.to_owned(), true),
                None => Move::Server(rest.to_owned(), false),
            },
            "S!" if rest == "closed" => Move::Closed,
            "D:" => Move::Content(unescape(rest)),
            "E:" => Move::Envelope(rest.to_owned()),
            _ => panic!("{}:{number}: not understood: {line}", dialogue.name),
        };
        dialogue.moves.push((number, step));
    }
    dialogue
}

pub fn offers() -> Offers {
    Offers {
        hostname: "relay.example.org".into(),
        octets_max: 10_000,
        recipients_max: 100,
        mails_max: None,
        tls: Tls::Absent,
        auth: AuthOffer::No,
        scram: ScramOffer::No,
        xclient: XclientOffer::No,
        loopback: false,
    }
}

/// `tls: offered`, `auth: yes`, … in a comment; any other comment is for people.
fn directive(offers: &mut Offers, comment: &str) {
    let Some((key, value)) = comment.split_once(": ") else { return };
    match (key, value) {
        ("tls", "no") => offers.tls = Tls::Absent,
        ("tls", "offered") => offers.tls = Tls::Offered,
        ("tls", "on") => offers.tls = Tls::On,
        ("auth", "no") => offers.auth = AuthOffer::No,
        ("auth", "only-tls") => offers.auth = AuthOffer::OnlyTls,
        ("auth", "yes") => offers.auth = AuthOffer::Yes,
        ("xclient", "yes") => offers.xclient = XclientOffer::Yes,
        ("loopback", "yes") => offers.loopback = true,
        ("size", octets) => offers.octets_max = octets.parse().unwrap(),
        ("mails", count) => offers.mails_max = Some(count.parse().unwrap()),
        ("recipients", count) => offers.recipients_max = count.parse().unwrap(),
        ("tls" | "auth" | "loopback" | "xclient", other) => panic!("{key}: {other} is not known"),
        _ => {}
    }
}

/// `\r`, `\n`, `\t`, `\\`, `\xHH`, and `\{N}c`: the character c N times.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let used = match escape.as_bytes()[0] {
            b'r' => push(&mut out, b'\r'),
            b'n' => push(&mut out, b'\n'),
            b't' => push(&mut out, b'\t'),
            b'\\' => push(&mut out, b'\\'),
            b'x' => push(&mut out, u8::from_str_radix(&escape[1..3], 16).unwrap()) + 2,
            b'{' => {
                let end = escape.find('}').unwrap();
                let count: usize = escape[1..end].parse().unwrap();
                out.extend(std::iter::repeat_n(escape.as_bytes()[end + 1], count));
                end + 2
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        };
        rest = &escape[used..];
    }
    out.extend(rest.as_bytes());
    out
}

fn push(out: &mut Vec<u8>, byte: u8) -> usize {
    out.push(byte);
    1
}

/// Runs one dialogue; `chunk`: how many octets one read of the socket gives.
fn run(dialogue: &Dialogue, chunk: usize) {
    let mut shell = Shell::open(dialogue.offers.clone());
    let mut said: VecDeque<String> = VecDeque::new();
    for (number, step) in &dialogue.moves {
        let place = format!("{}:{number}", dialogue.name);
        let out = String::from_utf8(std::mem::take(&mut shell.out)).expect("replies are ASCII");
        said.extend(out.split_terminator("\r\n").map(str::to_owned));
        match step {
            Move::Client(bytes) => bytes.chunks(chunk).for_each(|bytes| shell.read(bytes)),
            Move::Server(want, prefix) => {
                let got = said.pop_front().unwrap_or_else(|| panic!("{place}: the server is silent, wanted {want}"));
                let fits = if *prefix { got.starts_with(want.as_str()) } else { got == *want };
                assert!(fits, "{place}: wanted {want}, got {got}");
            }
            Move::Closed => assert!(shell.closed && said.is_empty(), "{place}: not closed, or more to say: {said:?}"),
            Move::Handshake => shell.start_tls(),
            Move::Content(want) => {
                let (_, got) = shell.messages.last().unwrap_or_else(|| panic!("{place}: no message was taken"));
                assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string(), "{place}");
            }
            Move::Envelope(want) => {
                let (got, _) = shell.messages.last().unwrap_or_else(|| panic!("{place}: no message was taken"));
                let mut words = vec![got.sender.as_ref().map_or("<>".to_owned(), sm2tp_proto::Address::clear)];
                words.extend(got.recipients.iter().map(sm2tp_proto::Address::clear));
                assert_eq!(words.join(" "), *want, "{place}");
            }
        }
    }
    assert!(said.is_empty() && shell.out.is_empty(), "{}: more was said: {said:?} {:?}", dialogue.name, shell.out);
}

#[test]
fn each_dialogue_goes_as_written() {
    let dialogues = dialogues();
    assert!(20 <= dialogues.len());
    dialogues.iter().for_each(|dialogue| run(dialogue, usize::MAX));
}

#[test]
fn octet_by_octet_each_dialogue_goes_the_same() {
    let dialogues = dialogues();
    // What a client wrote behind STARTTLS is thrown away only where it was read with it.
    let plain = dialogues.iter().filter(|d| !d.moves.iter().any(|(_, step)| matches!(step, Move::Handshake)));
    for dialogue in plain {
        run(dialogue, 1);
        run(dialogue, 7);
    }
}
