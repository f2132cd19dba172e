//! The 240 bytes that sign a segment and chain it to the one before (`FEDERATION.md` §5).
//!
//! What `"SM2S"` promises in every version: these offsets, this signature, this framing of the body. `version` and
//! `tag_scheme` say what the records mean. So a node can check and relay what it cannot read.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::Hash;
use crate::bytes::{array, put, u32_at, u64_at};
use crate::descriptor::{Descriptor, KeyRefusal};
use crate::keys::{LogKey, NodeKey};
use crate::record::RECORD_OCTETS;
use crate::tags::KeyId;

/// The bytes of a header whose form was checked, and nothing more: its signature may be anyone's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    raw: [u8; HEADER_OCTETS],
}

/// A header signed by a log key that its origin vouched for at that time and place. Only [`Header::verify`] and sealing
/// make one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignedHeader(Header);

/// The place of a segment in the log of its origin; ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    pub epoch: u32,
    pub segno: u32,
}

/// What is to be signed beside the records; `prev` is zero at segno 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    pub origin: NodeKey,
    pub position: Position,
    pub first_sequence: u64,
    pub prev: Hash,
    pub key_id: KeyId,
    /// Unix seconds.
    pub sealed_at: u64,
}

/// Why the records of a good segment are not for us: it is stored and relayed, not used (`FEDERATION.md` §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RelayOnly {
    #[error("segment version {0} is newer than this software")]
    Version(u8),
    #[error("tag scheme {0} is unknown to this software")]
    TagScheme(u8),
}

/// Why 240 bytes are no header, or none of this origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    #[error("a header has {HEADER_OCTETS} octets, not {octets}")]
    Length { octets: usize },
    #[error("it does not begin with SM2S")]
    Magic,
    #[error(
        "version 1 has records of {RECORD_OCTETS} octets, flags 0 and zero at offset 92; found {record_octets}, {flags}, {reserved}"
    )]
    Form { record_octets: u8, flags: u8, reserved: u32 },
    #[error("a segment holds 1 to {COUNT_MAX} events, not {count}")]
    Count { count: u32 },
    #[error("sequence numbers end before first {first} + count {count}")]
    Sequence { first: u64, count: u32 },
    #[error("it is of {found}, the descriptor is of {want}")]
    OtherOrigin { found: NodeKey, want: NodeKey },
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    #[error("the signature is not that of log key {0}")]
    Signature(LogKey),
}

impl Header {
    /// Checks length, magic, sizes and counts.
    ///
    /// # Errors
    /// [`HeaderError`] names what is wrong with its value.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let raw = bytes.try_into().map_err(|_| HeaderError::Length { octets: bytes.len() })?;
        let header = Self { raw };
        if raw[..4] != *MAGIC {
            return Err(HeaderError::Magic);
        }
        let (flags, reserved) = (raw[7], u32_at(&raw, 92));
        let record_octets = raw[5];
        let formed = usize::from(record_octets) == RECORD_OCTETS && flags == 0 && reserved == 0;
        if record_octets == 0 || (header.version() == VERSION && !formed) {
            return Err(HeaderError::Form { record_octets, flags, reserved });
        }
        let (first, count) = (header.first_sequence(), header.count());
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(HeaderError::Count { count });
        }
        first.checked_add(u64::from(count)).ok_or(HeaderError::Sequence { first, count })?;
        Ok(header)
    }

    /// Checks that the origin's descriptor vouches for the log key at this time and place, and the signature.
    ///
    /// Without the descriptor anybody could sign a header in the name of an origin with a log key of their own.
    ///
    /// # Errors
    /// [`HeaderError::OtherOrigin`], [`HeaderError::Key`] or [`HeaderError::Signature`].
    pub fn verify(self, origin: &Descriptor) -> Result<SignedHeader, HeaderError> {
        if self.origin() != origin.node {
            return Err(HeaderError::OtherOrigin { found: self.origin(), want: origin.node });
        }
        let Position { epoch, segno } = self.position();
        origin.vouches(&self.log_key(), self.sealed_at(), epoch, segno)?;
        self.check_signature()?;
        Ok(SignedHeader(self))
    }

    /// Checks the signature alone, for tools that look at a file: it says nothing about whose log this is.
    ///
    /// # Errors
    /// [`HeaderError::Signature`].
    pub fn check_signature(&self) -> Result<(), HeaderError> {
        let good = self.log_key().signed(&self.signed_bytes(), &array(&self.raw, SIGNED_OCTETS));
        if good { Ok(()) } else { Err(HeaderError::Signature(self.log_key())) }
    }

    /// What the log key signs: `"sm2tp-segment-v1\n" || header[0..176]`.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(&self.raw)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HEADER_OCTETS] {
        &self.raw
    }

    /// SHA-256 of all 240 bytes: what the next header names as `prev`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Sha256::digest(self.raw).into()
    }

    #[must_use]
    pub fn version(&self) -> u8 {
        self.raw[4]
    }

    #[must_use]
    pub fn record_octets(&self) -> usize {
        usize::from(self.raw[5])
    }

    #[must_use]
    pub fn tag_scheme(&self) -> u8 {
        self.raw[6]
    }

    #[must_use]
    pub fn origin(&self) -> NodeKey {
        NodeKey(array(&self.raw, 8))
    }

    #[must_use]
    pub fn log_key(&self) -> LogKey {
        LogKey(array(&self.raw, 40))
    }

    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: u32_at(&self.raw, 72), segno: u32_at(&self.raw, 76) }
    }

    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        u64_at(&self.raw, 80)
    }

    /// The sequence number of the first event of the next segment.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence() + u64::from(self.count())
    }

    /// Events in this segment, 1 to [`COUNT_MAX`]; signed, so that a quota can be applied before the body is fetched.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32_at(&self.raw, 88)
    }

    /// Unix seconds, by the clock of the origin.
    #[must_use]
    pub fn sealed_at(&self) -> u64 {
        u64_at(&self.raw, 96)
    }

    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(array(&self.raw, 104))
    }

    #[must_use]
    pub fn prev(&self) -> Hash {
        array(&self.raw, 112)
    }

    #[must_use]
    pub fn root(&self) -> Hash {
        array(&self.raw, 144)
    }

    /// Whether this software knows what the records mean.
    ///
    /// # Errors
    /// [`RelayOnly`] for a later version or tag scheme.
    pub fn readable(&self) -> Result<(), RelayOnly> {
        match (self.version(), self.tag_scheme()) {
            (VERSION, TAG_SCHEME) => Ok(()),
            (VERSION, scheme) => Err(RelayOnly::TagScheme(scheme)),
            (version, _) => Err(RelayOnly::Version(version)),
        }
    }
}

impl SignedHeader {
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0
    }

    /// Signs a header over `count` records with this root. The caller is `segment::seal`, which checks the count.
    pub(crate) fn sign(sealing: &Sealing, log_key: &SigningKey, count: u32, root: &Hash) -> Self {
        let mut raw = [0; HEADER_OCTETS];
        put(&mut raw, 0, MAGIC);
        raw[4] = VERSION;
        raw[5] = 32;
        raw[6] = TAG_SCHEME;
        put(&mut raw, 8, &sealing.origin.0);
        put(&mut raw, 40, &LogKey::of(log_key).0);
        put(&mut raw, 72, &sealing.position.epoch.to_be_bytes());
        put(&mut raw, 76, &sealing.position.segno.to_be_bytes());
        put(&mut raw, 80, &sealing.first_sequence.to_be_bytes());
        put(&mut raw, 88, &count.to_be_bytes());
        put(&mut raw, 96, &sealing.sealed_at.to_be_bytes());
        put(&mut raw, 104, &sealing.key_id.0);
        put(&mut raw, 112, &sealing.prev);
        put(&mut raw, 144, root);
        let signature = log_key.sign(&signed_bytes(&raw));
        put(&mut raw, SIGNED_OCTETS, &signature.to_bytes());
        Self(Header { raw })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.segno)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({} {}, {} events)", self.origin(), self.position(), self.count())
    }
}

impl fmt::Debug for SignedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed{:?}", self.0)
    }
}

fn signed_bytes(raw: &[u8; HEADER_OCTETS]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, &raw[..SIGNED_OCTETS]].concat()
}

pub const HEADER_OCTETS: usize = 240;
/// Bounds the memory that one body takes (131 kB) and the index of a redacted record (u16).
pub const COUNT_MAX: u32 = 4096;
/// The segment version that this software writes and reads.
pub const VERSION: u8 = 1;
/// HMAC-SHA-256 tags (`FEDERATION.md` §3).
pub const TAG_SCHEME: u8 = 1;
pub(crate) const MAGIC: &[u8; 4] = b"SM2S";
const SIGNED_OCTETS: usize = 176;
const SIGNATURE_CONTEXT: &[u8] = b"sm2tp-segment-v1\n";
