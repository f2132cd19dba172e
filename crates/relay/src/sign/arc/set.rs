//! One ARC set as it is written: results, message signature and seal (RFC 8617 §4.1).
//!
//! Not by the library: its seal of a broken chain covers that chain, which RFC 8617 §5.1.2 forbids because nobody could
//! verify it, and it wants the whole message once more in memory.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::HashAlgorithm;
use sm2tp_proto::header::Field;
use sm2tp_rules::seal::{Chain, Seal, Validation};
use sm2tp_store::dkim::Key;

use super::arrival::{Arrival, Verified};
use crate::sign::canonical::{RelaxedBody, relaxed_field};
use crate::sign::{SignError, dkim};

/// What a set is made of.
pub(super) struct Draft<'a> {
    pub seal: Seal,
    /// An RSA key.
    pub key: &'a Key,
    /// The name under which this node gives results.
    pub hostname: &'a str,
    pub arrival: &'a Arrival<'a>,
    /// Unix seconds.
    pub now: u64,
}

/// Fields that a signature covers: the values of each name, from the top down.
type Covered<'a> = Vec<(&'static str, Vec<&'a [u8]>)>;

impl Draft<'_> {
    /// The three fields, each with CRLF, the seal on top. `fields` is the header that leaves, ours included; none where it
    /// has more fields to sign than anybody means.
    pub(super) fn write(&self, fields: &[Field<'_>], content: &[u8]) -> Option<Result<Vec<u8>, SignError>> {
        let covered = covered(fields)?;
        let results = results(self.seal.instance, self.hostname, self.arrival);
        Some(self.sealed(&results, &covered, content))
    }

    fn sealed(&self, results: &str, covered: &Covered<'_>, content: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.signature(covered, content)?;
        let seal = self.seal(results, &signature)?;
        Ok(format!("{SEAL}: {seal}{SIGNATURE}: {signature}{RESULTS}: {results}").into_bytes())
    }

    /// RFC 8617 §4.1.2: as a DKIM signature, with an instance instead of a version.
    fn signature(&self, covered: &Covered<'_>, content: &[u8]) -> Result<String, SignError> {
        // One more of each than there is: none can be added on the way (RFC 6376 §8.15). But for DKIM signatures: a server
        // that passes the mail on may add its own.
        let named = covered.iter().flat_map(|(name, values)| {
            let more = usize::from(*name != DKIM_SIGNATURE);
            std::iter::repeat_n(*name, values.len() + more)
        });
        let hash = STANDARD.encode(HashAlgorithm::Sha256.hash(RelaxedBody::of(content)));
        let mut value = self.opening(" c=relaxed/relaxed;");
        let _ = write!(value, "\r\n\th={};\r\n\tbh={hash};\r\n\tb=", listed(named));
        let mut octets = Vec::new();
        for (name, values) in covered {
            // RFC 6376 §5.4.2: from the bottom up.
            values.iter().rev().for_each(|value| relaxed_field(name, value, &mut octets));
        }
        self.signed(SIGNATURE, value, octets)
    }

    /// RFC 8617 §4.1.3 and §5.1.1; over a broken chain only this set (§5.1.2).
    fn seal(&self, results: &str, signature: &str) -> Result<String, SignError> {
        let cv = match self.seal.validation {
            Validation::None => "none",
            Validation::Pass => "pass",
            Validation::Fail => "fail",
        };
        let mut octets = Vec::new();
        if self.seal.validation == Validation::Pass {
            for (name, value) in &self.arrival.earlier {
                relaxed_field(&String::from_utf8_lossy(name), value, &mut octets);
            }
        }
        relaxed_field(RESULTS, results.as_bytes(), &mut octets);
        relaxed_field(SIGNATURE, signature.as_bytes(), &mut octets);
        let value = self.opening(&format!(" cv={cv};")) + "\r\n\tb=";
        self.signed(SEAL, value, octets)
    }

    /// The tags that begin signature and seal. dkimpy finds the signature of an instance by `i=N;` at the beginning.
    fn opening(&self, own: &str) -> String {
        let (instance, domain, selector) = (self.seal.instance, &self.key.domain, &self.key.selector);
        format!("i={instance}; a=rsa-sha256;{own}\r\n\td={domain}; s={selector}; t={};", self.now)
    }

    /// The value of a field, which ends with an empty `b=`, with the signature over `octets` and itself, and a line end.
    fn signed(&self, name: &str, mut value: String, mut octets: Vec<u8>) -> Result<String, SignError> {
        relaxed_field(name, value.as_bytes(), &mut octets);
        // RFC 6376 §3.7: the field itself comes last, without its line end.
        octets.truncate(octets.len() - 2);
        let signature = self.key.sign(&octets).map_err(|error| SignError::Key {
            selector: self.key.selector.clone(),
            domain: self.key.domain.clone(),
            why: error.to_string(),
        })?;
        let encoded = STANDARD.encode(signature);
        let mut rest = encoded.as_str();
        while LINE < rest.len() {
            let (line, after) = rest.split_at(LINE);
            value.push_str(line);
            value.push_str("\r\n\t");
            rest = after;
        }
        value.push_str(rest);
        value.push_str("\r\n");
        Ok(value)
    }
}

/// Names with colons between them, folded.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for name in names {
        if !text.is_empty() {
            text.push(':');
        }
        if LINE < column + name.len() {
            text.push_str("\r\n\t");
            column = 0;
        }
        text.push_str(name);
        column += name.len() + 1;
    }
    text
}

/// The fields that the signature covers: those of a DKIM signature of ours, and the DKIM signatures (RFC 8617 §4.1.2).
fn covered<'a>(fields: &[Field<'a>]) -> Option<Covered<'a>> {
    let mut names = dkim::names(fields)?;
    names.dedup();
    names.push(DKIM_SIGNATURE);
    let of =
        |name: &str| fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value).collect();
    let covered: Covered<'a> = names.into_iter().map(|name| (name, of(name))).collect();
    let signatures = covered.last().map_or(0, |(_, values)| values.len());
    (signatures <= SIGNATURES_COVERED_MAX).then_some(covered)
}

/// RFC 8601 §2.2: what was found of the chain and of each signature. Nothing is said of SPF and DMARC: who handed the mail
/// to the server before us is not known here.
fn results(instance: u32, hostname: &str, arrival: &Arrival<'_>) -> String {
    let chain = match arrival.chain {
        Chain::Valid { .. } => "pass",
        Chain::Broken { .. } | Chain::Ended => "fail",
        Chain::Absent | Chain::Unknown => "none",
    };
    let mut text = format!("i={instance}; {hostname};\r\n\tarc={chain}");
    if arrival.signatures.is_empty() {
        text.push_str(";\r\n\tdkim=none");
    }
    arrival.signatures.iter().for_each(|signature| text.push_str(&one(signature)));
    text.push_str("\r\n");
    text
}

fn one(signature: &Verified) -> String {
    let mut text = format!(";\r\n\tdkim={}", signature.result);
    for (property, value) in [("header.d", &signature.domain), ("header.s", &signature.selector)] {
        if let Some(value) = value {
            let _ = write!(text, " {property}={value}");
        }
    }
    if let Some(begin) = &signature.begin {
        // In quotes: what stands for it may not stand alone (RFC 2045 §5.1).
        let _ = write!(text, " header.b=\"{}\"", STANDARD.encode(begin));
    }
    text
}

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";
const DKIM_SIGNATURE: &str = "DKIM-Signature";
/// More only make the header longer.
const SIGNATURES_COVERED_MAX: usize = 50;
/// RFC 5322 §2.1.1 recommends lines of at most 78.
const LINE: usize = 72;
