//! The score that a node shows to everybody, signed by its key: numbers without a name in them.

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use sm2tp_rules::score::{Score, Sends};
use thiserror::Error;

use crate::bytes::{base64, from_base64};
use crate::keys::NodeKey;

/// What is said. Fields are added, never renamed; `v` says which set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicScore {
    pub v: u8,
    pub hostname: String,
    pub node: NodeKey,
    /// Unix seconds: when it was said, and since when it counts.
    pub at: u64,
    pub since: u64,
    pub sends: Sends,
    pub score: Score,
}

/// As it goes out: the JSON text of a [`PublicScore`] in base64, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedScore {
    pub payload: String,
    pub sig: String,
}

/// Why a score is not believed.
#[derive(Debug, Error)]
pub enum ScoreError {
    #[error("the text is longer than {SCORE_OCTETS_MAX} octets")]
    TooLong,
    #[error("no such JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("payload or signature is no base64")]
    Base64,
    #[error("the signature is not that of node {0}")]
    Signature(NodeKey),
}

/// Signs a score with the key of its node.
///
/// # Errors
/// [`ScoreError`] where it is not that node's key, or has no form in JSON.
pub fn sign(score: &PublicScore, node_key: &SigningKey) -> Result<SignedScore, ScoreError> {
    if NodeKey::of(node_key) != score.node {
        return Err(ScoreError::Signature(score.node));
    }
    let payload = serde_json::to_vec(score)?;
    let sig = base64(&node_key.sign(&signed_bytes(&payload)).to_bytes());
    Ok(SignedScore { payload: base64(&payload), sig })
}

/// Reads a score that a node has signed. Whether it is true, nobody can see from here.
///
/// # Errors
/// [`ScoreError`].
pub fn parse(text: &str) -> Result<PublicScore, ScoreError> {
    if SCORE_OCTETS_MAX < text.len() {
        return Err(ScoreError::TooLong);
    }
    let signed: SignedScore = serde_json::from_str(text)?;
    let payload = from_base64(&signed.payload).ok_or(ScoreError::Base64)?;
    let sig = from_base64(&signed.sig).and_then(|sig| sig.try_into().ok()).ok_or(ScoreError::Base64)?;
    let score: PublicScore = serde_json::from_slice(&payload)?;
    if !score.node.signed(&signed_bytes(&payload), &sig) {
        return Err(ScoreError::Signature(score.node));
    }
    Ok(score)
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, payload].concat()
}

/// One has about a kilobyte.
pub const SCORE_OCTETS_MAX: usize = 16 * 1024;
const SIGNATURE_CONTEXT: &[u8] = b"sm2tp-score-v1\n";

#[cfg(test)]
mod tests {
    use sm2tp_rules::score::{Limits, score};

    use super::*;

    #[test]
    fn what_a_node_signed_reads_back_and_nothing_else_does() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let sends = Sends { accepted: 1000, delivered: 997, failed: 3, bounced: 3, ..Sends::default() };
        let (node, score) = (NodeKey::of(&key), score(&sends, &Limits::default()));
        let said = PublicScore { v: 1, hostname: "relay.example.org".into(), node, at: 9, since: 1, sends, score };
        let signed = sign(&said, &key).unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(parse(&text).unwrap(), said);
        let better = PublicScore { sends: Sends { bounced: 0, ..sends }, ..said.clone() };
        let forged = SignedScore { payload: base64(&serde_json::to_vec(&better).unwrap()), ..signed };
        assert!(matches!(parse(&serde_json::to_string(&forged).unwrap()), Err(ScoreError::Signature(_))));
        assert!(matches!(sign(&said, &SigningKey::from_bytes(&[8; 32])), Err(ScoreError::Signature(_))));
        assert!(matches!(parse(&"x".repeat(SCORE_OCTETS_MAX + 1)), Err(ScoreError::TooLong)));
        assert!(parse("{}").is_err() && parse(r#"{"payload":"*","sig":"*"}"#).is_err());
    }
}
