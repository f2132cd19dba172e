//! Reads the dialogue files of `tests/dialogues/`.

use std::fs;
use std::path::{Path, PathBuf};

/// One file: one connection.
pub struct Dialogue {
    pub name: String,
    pub offer: Offer,
    /// With the number of the line in the file.
    pub moves: Vec<(usize, Move)>,
    /// Somebody tries a sender that is not allowed.
    pub has_checked_sender: bool,
}

/// What the server offers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    pub tls: bool,
    pub auth: Option<String>,
    pub octets: u64,
    pub recipients: usize,
    pub mails: u32,
}

pub enum Move {
    /// What the client writes at once.
    Client(Vec<u8>),
    /// A line of the server; `true`: only its beginning is given.
    Server(String, bool),
    Closed,
    Handshake,
    /// The content of the message that was taken last.
    Content(Vec<u8>),
    /// Its envelope: `sender recipient…`.
    Envelope(String),
}

pub fn dialogues() -> Vec<Dialogue> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    let entries = fs::read_dir(folder).expect("the folder of dialogues");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "smtp"));
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Dialogue {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut offer = Offer { tls: false, auth: None, octets: 10_000, recipients: 100, mails: 0 };
    let mut moves = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let step = match mark {
            "" => continue,
            "# " => {
                directive(&mut offer, rest);
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
            _ => panic!("{name}:{}: not understood: {line}", index + 1),
        };
        moves.push((index + 1, step));
    }
    Dialogue { name, offer, moves, has_checked_sender: text.contains("@bad.test>") }
}

fn directive(offer: &mut Offer, comment: &str) {
    match comment.split_once(": ") {
        Some(("tls", word)) => offer.tls = word == "offered",
        Some(("auth", word)) => offer.auth = Some(word.to_owned()),
        Some(("size", octets)) => offer.octets = octets.parse().unwrap(),
        Some(("mails", count)) => offer.mails = count.parse().unwrap(),
        Some(("recipients", count)) => offer.recipients = count.parse().unwrap(),
        _ => {}
    }
}

/// `\r`, `\n`, `\t`, `\\`, `\xHH`, and `\{N}c`: the character c N times.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.extend(before.as_bytes());
        let used = match escape.as_bytes()[0] {
            b'{' => {
                let (count, after) = escape[1..].split_once('}').unwrap();
                out.extend(std::iter::repeat_n(after.as_bytes()[0], count.parse().unwrap()));
                count.len() + 3
            }
            b'x' => {
                out.push(u8::from_str_radix(&escape[1..3], 16).unwrap());
                3
            }
            single => {
                let at = b"rnt\\".iter().position(|known| *known == single).expect("a known escape");
                out.push(b"\r\n\t\\"[at]);
                1
            }
        };
        rest = &escape[used..];
    }
    out.extend(rest.as_bytes());
    out
}
