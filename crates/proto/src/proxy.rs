//! The PROXY protocol, version 2 (haproxy's `proxy-protocol.txt`): what a front says of the client before the first octet
//! of the conversation.
//!
//! Version 1, a line of text, is recognised and refused: it has no length, and a front that speaks it can be set to 2.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Who connected to the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    Client {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// The front itself, to see whether we are alive (LOCAL), or somebody whose address it does not know.
    Nobody,
}

/// Takes the octets of a header and not one more.
#[derive(Debug, Default)]
pub struct HeaderReader {
    held: Vec<u8>,
}

/// Why it is no header. The connection is to be closed: what follows could be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProxyError {
    #[error("the PROXY protocol of version 1; set the front to version 2 (haproxy: send-proxy-v2)")]
    Version1,
    #[error("no PROXY protocol header")]
    Signature,
    #[error("version {0} of the PROXY protocol")]
    Version(u8),
    #[error("command {0} of the PROXY protocol")]
    Command(u8),
    #[error("family and transport {0:#04x} of the PROXY protocol")]
    Family(u8),
    #[error("a PROXY protocol header of {0} octets behind its head")]
    Length(u16),
}

impl HeaderReader {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many octets may be read now; never beyond the end of the header.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let whole = if self.held.len() < HEAD_OCTETS { HEAD_OCTETS } else { HEAD_OCTETS + usize::from(self.rest()) };
        whole.saturating_sub(self.held.len())
    }

    /// Takes at most [`wanted`](Self::wanted) octets; answers with the header when it is whole.
    ///
    /// # Errors
    /// [`ProxyError`], as soon as the octets cannot be the beginning of a header any more.
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<Header>, ProxyError> {
        self.held.extend_from_slice(&octets[..octets.len().min(self.wanted())]);
        let signature = &self.held[..self.held.len().min(SIGNATURE.len())];
        if !SIGNATURE.starts_with(signature) {
            let line = &self.held[..self.held.len().min(VERSION_1.len())];
            // Of `P` alone it is not known yet; `PR` would be no other protocol either.
            return Err(if VERSION_1.starts_with(line) { ProxyError::Version1 } else { ProxyError::Signature });
        }
        if self.held.len() < HEAD_OCTETS {
            return Ok(None);
        }
        let length = self.rest();
        if REST_OCTETS_MAX < length {
            return Err(ProxyError::Length(length));
        }
        if self.wanted() != 0 { Ok(None) } else { self.read().map(Some) }
    }

    /// Octets behind the head.
    fn rest(&self) -> u16 {
        self.held.get(14..HEAD_OCTETS).map_or(0, |length| u16::from_be_bytes([length[0], length[1]]))
    }

    fn read(&self) -> Result<Header, ProxyError> {
        let (head, rest) = self.held.split_at(HEAD_OCTETS);
        if head[12] >> 4 != 2 {
            return Err(ProxyError::Version(head[12] >> 4));
        }
        match head[12] & 15 {
            // LOCAL: "the receiver must use the real connection endpoints and discard the protocol block".
            0 => return Ok(Header::Nobody),
            1 => {}
            other => return Err(ProxyError::Command(other)),
        }
        // TLVs follow the addresses and are passed over.
        let short = ProxyError::Length(self.rest());
        match head[13] {
            // UNSPEC, and Unix sockets, which have no address that means anything here.
            0x00 | 0x31 => Ok(Header::Nobody),
            0x11 => addresses::<4>(rest).ok_or(short),
            0x21 => addresses::<16>(rest).ok_or(short),
            other => Err(ProxyError::Family(other)),
        }
    }
}

/// Two addresses, then two ports.
fn addresses<const N: usize>(octets: &[u8]) -> Option<Header>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = octets.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let socket = |address: &[u8; N], port| SocketAddr::new(IpAddr::from(*address).to_canonical(), port);
    Some(Header::Client { source: socket(source, port(0)), destination: socket(destination, port(2)) })
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_1: &[u8; 6] = b"PROXY ";
/// Signature, version and command, family, length.
const HEAD_OCTETS: usize = 16;
/// Addresses and TLVs. Fronts send some hundred octets; the protocol's own limit of 65 535 would let each of them hold
/// so much memory.
const REST_OCTETS_MAX: u16 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version_command, family], &length, rest].concat()
    }

    /// All octets at once, and one by one; both must end the same, and leave what follows.
    #[track_caller]
    fn check(octets: &[u8], want: Result<Option<Header>, ProxyError>) {
        for chunk in [usize::MAX, 1, 5] {
            let mut reader = HeaderReader::new();
            let mut got = Ok(None);
            let mut rest = octets;
            while !rest.is_empty() && got == Ok(None) && reader.wanted() != 0 {
                let (piece, left) = rest.split_at(rest.len().min(reader.wanted()).min(chunk));
                got = reader.push(piece);
                rest = left;
            }
            assert_eq!(got, want, "{}", octets.escape_ascii());
        }
    }

    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0, 25];

    fn client(source: &str, destination: &str) -> Result<Option<Header>, ProxyError> {
        Ok(Some(Header::Client { source: source.parse().unwrap(), destination: destination.parse().unwrap() }))
    }

    #[test]
    fn addresses_of_both_families_are_read_and_tlvs_passed_over() {
        check(&header(0x21, 0x11, V4), client("192.0.2.1:12345", "198.51.100.2:25"));
        check(
            &header(0x21, 0x11, &[V4, &[0x20, 0, 1, 1, 0xff]].concat()),
            client("192.0.2.1:12345", "198.51.100.2:25"),
        );
        let mut v6 = vec![0; 36];
        (v6[..4]).copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[31] = 1;
        check(&header(0x21, 0x21, &v6), client("[2001:db8::]:0", "[::1]:0"));
        let mut mapped = vec![0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 9]);
        check(&header(0x21, 0x21, &mapped), client("192.0.2.9:0", "[::]:0"));
        // What follows belongs to the conversation.
        check(&[&header(0x21, 0x11, V4)[..], b"EHLO x\r\n"].concat(), client("192.0.2.1:12345", "198.51.100.2:25"));
    }

    #[test]
    fn twenty_thousand_damaged_headers_are_answered_in_bounded_memory() {
        let mut state = 0x5eed_0001_u64;
        let mut roll = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % end
        };
        let seeds =
            [header(0x21, 0x11, V4), header(0x21, 0x21, &[7; 40]), header(0x20, 0, b""), header(0x21, 0x31, &[1; 216])];
        for _ in 0..20_000 {
            let mut octets = seeds[roll(seeds.len())].clone();
            for _ in 0..=roll(3) {
                let (at, octet) = (roll(octets.len()), u8::try_from(roll(256)).unwrap());
                octets[at] = octet;
            }
            octets.truncate(roll(octets.len() + 1).max(1));
            let mut reader = HeaderReader::new();
            let mut rest = &octets[..];
            while !rest.is_empty() && reader.wanted() != 0 {
                let (piece, left) = rest.split_at((1 + roll(20)).min(rest.len()).min(reader.wanted()));
                if !matches!(reader.push(piece), Ok(None)) {
                    break;
                }
                rest = left;
            }
            assert!(reader.held.len() <= HEAD_OCTETS + usize::from(REST_OCTETS_MAX));
        }
    }

    #[test]
    fn nobody_is_named_by_local_unspec_and_unix() {
        for (command, family, rest) in
            [(0x20, 0, &b""[..]), (0x20, 0x11, V4), (0x21, 0, b"whatever"), (0x21, 0x31, &[0; 216])]
        {
            check(&header(command, family, rest), Ok(Some(Header::Nobody)));
        }
    }

    #[test]
    fn anything_else_is_an_error_at_once() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n", Err(ProxyError::Version1));
        check(b"PROXY UNKNOWN\r\n", Err(ProxyError::Version1));
        check(b"EHLO a.example\r\n", Err(ProxyError::Signature));
        check(b"\r\n\r\nEHLO", Err(ProxyError::Signature));
        check(b"\x16\x03\x01\x02\x00", Err(ProxyError::Signature));
        check(&header(0x11, 0x11, V4), Err(ProxyError::Version(1)));
        check(&header(0x22, 0x11, V4), Err(ProxyError::Command(2)));
        for family in [0x10, 0x12, 0x22, 0x32, 0x41, 0xff] {
            check(&header(0x21, family, V4), Err(ProxyError::Family(family)));
        }
        check(&header(0x21, 0x21, V4), Err(ProxyError::Length(12)));
        check(&header(0x21, 0x11, &V4[1..]), Err(ProxyError::Length(11)));
        check(&header(0x20, 0, &[0; 4097]), Err(ProxyError::Length(4097)));
        check(b"", Ok(None));
        check(&header(0x21, 0x11, V4)[..27], Ok(None));
    }
}
