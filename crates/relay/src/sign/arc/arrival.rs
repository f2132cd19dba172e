//! What a message proves as it arrived: its DKIM signatures (RFC 6376 §6) and its ARC chain (RFC 8617 §5.2), verified by the
//! library with keys that were looked up before.
//!
//! The library never asks the DNS itself: it is given a cache that knows all that it may know ([`Keys`]), so that how much
//! is asked, and for how long, is decided here.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use mail_auth::arc::{self, ChainValidation};
use mail_auth::common::crypto::Algorithm;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::resolver::ToFqdn;
use mail_auth::common::verify::{DomainKey, VerifySignature};
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DnsError, Error, MessageAuthenticator, Parameters, ResolverCache, Txt,
};
use sm2tp_rules::seal::{Chain, INSTANCE_MAX};

use crate::dns::Missing;
use crate::sign::canonical::{RelaxedBody, body_start};

/// What was found.
pub(super) struct Arrival<'a> {
    pub chain: Chain,
    /// At most [`SIGNATURES_MAX`].
    pub signatures: Vec<Verified>,
    /// The fields of the sets that came, as a seal signs them: results, signature and seal of the first set, and so on.
    pub earlier: Vec<(&'a [u8], &'a [u8])>,
}

/// One DKIM signature, in the words of RFC 8601 §2.7.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub result: &'static str,
    /// Where the field could be read, and holds what may stand in another field.
    pub domain: Option<String>,
    pub selector: Option<String>,
    /// The beginning of `b=`, which tells signatures of one key apart (RFC 6008).
    pub begin: Option<Vec<u8>>,
}

/// The public keys that were looked up, by the names of their records with the final dot.
#[derive(Default)]
pub(super) struct Keys(HashMap<Box<str>, Txt>);

/// The names of the records that are needed to verify; none for a header that nobody can have meant.
pub(super) fn wanted(content: &[u8]) -> Option<Vec<String>> {
    let start = body_start(content);
    let header = &content[..start];
    // The library takes a form feed for white space, and would find broken what is not.
    if HEADER_OCTETS_MAX < start || header.contains(&b'\x0c') {
        return None;
    }
    let message = parsed(header)?;
    let named = |signed: &[String]| signed.len() <= FIELDS_MAX;
    let fits = message.headers.len() <= FIELDS_MAX
        && message.dkim_headers.iter().all(|field| named(&field.header.h))
        && message.ams_headers.iter().all(|field| named(&field.header.h));
    if !fits {
        return None;
    }
    let mut names: Vec<String> = message.dkim_headers.iter().map(|field| field.header.domain_key()).collect();
    // A chain that is too long is broken, whatever its keys.
    if message.as_headers.len() <= INSTANCE_MAX as usize {
        names.extend(message.ams_headers.last().map(|field| field.header.domain_key()));
        names.extend(message.as_headers.iter().map(|field| field.header.domain_key()));
    }
    names = names.iter().map(|name| name.to_fqdn().into_owned()).collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Verifies a message of which [`wanted`] has said what it needs; none where it cannot be read.
pub(super) async fn verified<'a>(
    content: &'a [u8],
    keys: &Keys,
    library: &MessageAuthenticator,
) -> Option<Arrival<'a>> {
    let mut message = parsed(content)?;
    for (canonicalization, algorithm, _, hash) in &mut message.body_hashes {
        if *canonicalization == Canonicalization::Relaxed {
            *hash = algorithm.hash(RelaxedBody::of(content)).as_ref().to_vec();
        }
    }
    let signatures = {
        let outputs = library.verify_dkim(Parameters::new(&message).with_txt_cache(keys)).await;
        // Those that could not be read come first and must not hide the others.
        let (read, unread): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.signature().is_some());
        read.into_iter().chain(unread).take(SIGNATURES_MAX).map(Verified::of).collect()
    };
    let result = library.verify_arc(Parameters::new(&message).with_txt_cache(keys)).await.result().clone();
    let sets = message.aar_headers.iter().zip(&message.ams_headers).zip(&message.as_headers);
    let earlier = sets.flat_map(|((results, signature), seal)| {
        [(results.name, results.value), (signature.name, signature.value), (seal.name, seal.value)]
    });
    Some(Arrival { chain: chain(&message, &result), signatures, earlier: earlier.collect() })
}

/// As the library reads it, within our limits.
fn parsed(content: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    let mut message = AuthenticatedMessage::parse(content)?;
    message.dkim_headers.truncate(SIGNATURES_MAX);
    for field in &mut message.dkim_headers {
        // RFC 6651 and RFC 6541: more questions to the DNS, of which nothing would be told here.
        (field.header.r, field.header.atps) = (false, None);
    }
    Some(message)
}

fn chain(message: &AuthenticatedMessage<'_>, result: &DkimResult) -> Chain {
    let (seals, signatures, results) = (&message.as_headers, &message.ams_headers, &message.aar_headers);
    let instances = seals.iter().map(|field| field.header.i).chain(signatures.iter().map(|field| field.header.i));
    let last = instances.chain(results.iter().map(|field| field.header.i)).max();
    let Some(highest) = last else {
        return if message.has_arc_errors { Chain::Broken { last: None } } else { Chain::Absent };
    };
    let is_last = |seal: &arc::Seal| seal.i == highest;
    if seals.iter().any(|field| is_last(&field.header) && field.header.cv == ChainValidation::Fail) {
        return Chain::Ended;
    }
    // RFC 8301 §3.1: nobody may be convinced by SHA-1 any more.
    let is_weak = seals.iter().any(|field| field.header.a == Algorithm::RsaSha1)
        || signatures.last().is_some_and(|field| field.header.a == Algorithm::RsaSha1);
    match result {
        DkimResult::Pass if !is_weak => Chain::Valid { last: highest },
        DkimResult::TempError(_) => Chain::Unknown,
        _ => Chain::Broken { last },
    }
}

impl Verified {
    fn of(output: &DkimOutput<'_>) -> Self {
        let signature = output.signature();
        Self {
            result: word(output.result(), signature),
            domain: signature.and_then(|signature| plain(&signature.d)),
            selector: signature.and_then(|signature| plain(&signature.s)),
            begin: signature.and_then(|signature| signature.b.get(..6)).map(<[u8]>::to_vec),
        }
    }
}

fn word(result: &DkimResult, signature: Option<&Signature>) -> &'static str {
    match result {
        // RFC 8301 §3.1.
        DkimResult::Pass if signature.is_some_and(|signature| signature.a == Algorithm::RsaSha1) => "policy",
        DkimResult::Pass => "pass",
        DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch | DkimError::SignatureExpired)) => "fail",
        DkimResult::Fail(_) => "fail",
        DkimResult::Neutral(_) => "neutral",
        DkimResult::PermError(_) => "permerror",
        DkimResult::TempError(_) => "temperror",
        DkimResult::None => "none",
    }
}

/// A name that cannot end the value in which it stands, or begin another one.
fn plain(name: &str) -> Option<String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    let fits = !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.bytes().all(is_plain);
    fits.then(|| name.to_ascii_lowercase())
}

impl Keys {
    /// Adds what the DNS says under a name.
    pub(super) fn add(&mut self, name: String, answer: Result<Vec<String>, Missing>) {
        let key = match answer {
            Ok(texts) => {
                // Of several records the first that is one counts.
                let mut found = texts.iter().map(|text| DomainKey::parse(text.as_bytes()));
                let none = Err(Error::Dns(DnsError::InvalidRecordType));
                let first = found.next().unwrap_or(none);
                if first.is_ok() { first } else { found.find(Result::is_ok).unwrap_or(first) }
            }
            Err(Missing::Name | Missing::Records) => Err(Error::Dns(DnsError::InvalidRecordType)),
            Err(Missing::Failure) => Err(no_answer()),
        };
        self.0.insert(name.into_boxed_str(), key.into());
    }
}

impl ResolverCache<Box<str>, Txt> for Keys {
    /// There is an answer to everything: the library has nobody else to ask.
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(self.0.get(name).cloned().unwrap_or_else(|| Txt::Error(no_answer())))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// What the library counts as "try later".
fn no_answer() -> Error {
    Error::Dns(DnsError::Resolver("no answer".to_owned()))
}

/// DKIM signatures that are verified; honest mail has two or three. Each is a question to the DNS.
pub(super) const SIGNATURES_MAX: usize = 10;
/// Fields of a header, and names in one signature: each name is searched for among the fields. A mail with 50 ARC sets has
/// some two hundred.
const FIELDS_MAX: usize = 1000;
/// Octets of a header: each seal of a chain covers the fields of those before it. 50 sets take some 150 KiB.
const HEADER_OCTETS_MAX: usize = 256 * 1024;
/// RFC 1035 §2.3.4.
const NAME_OCTETS_MAX: usize = 253;
