//! The server's side of SMTP: command lines, DATA framing, logins. The first octet says what the server offers.

use sm2tp_proto::smtp::line::LINE_OCTETS_MAX;
use sm2tp_proto::smtp::server::{AuthOffer, Offers, Tls};

use crate::dialogue::offers;
use crate::shell::Shell;

/// Nothing panics, memory stays bounded, what is taken has clean line ends, and how octets are cut changes nothing.
pub fn session(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let offers = Offers {
        tls: [Tls::Absent, Tls::Offered, Tls::On][usize::from(choice % 3)],
        auth: [AuthOffer::No, AuthOffer::OnlyTls, AuthOffer::Yes][usize::from(choice / 3 % 3)],
        octets_max: if choice & 0x80 == 0 { 10_000 } else { 200 },
        recipients_max: if choice & 0x40 == 0 { 100 } else { 3 },
        loopback: choice & 0x20 != 0,
        ..offers()
    };
    let whole = run(&offers, bytes, usize::MAX);
    assert_eq!(run(&offers, bytes, 1), whole);
    assert_eq!(run(&offers, bytes, 7), whole);
}

fn run(offers: &Offers, bytes: &[u8], chunk: usize) -> (Vec<u8>, bool, bool, String) {
    let mut shell = Shell::open(offers.clone());
    bytes.chunks(chunk).for_each(|read| shell.read(read));
    let octets_max = usize::try_from(offers.octets_max).expect("small");
    assert!(shell.held_max <= LINE_OCTETS_MAX + 2 * octets_max, "{} octets held", shell.held_max);
    assert!(shell.out.is_ascii() && shell.out.ends_with(b"\r\n"));
    for (_, content) in &shell.messages {
        check(content);
    }
    (shell.out, shell.closed, shell.handshake, format!("{:?}", shell.messages))
}

/// Only CRLF ends a line, and nothing else could be taken for one.
fn check(content: &[u8]) {
    assert!(content.is_empty() || content.ends_with(b"\r\n"));
    for (index, byte) in content.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(content.get(index + 1), Some(&b'\n')),
            b'\n' => assert_eq!(content[index - 1], b'\r'),
            byte => assert_ne!(*byte, 0),
        }
    }
}
