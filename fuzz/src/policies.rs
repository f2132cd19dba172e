//! What the DNS and the web servers of recipients say about TLS: MTA-STS policies and records, TLSRPT records.

use sm2tp_proto::mta_sts::{self, Policy};
use sm2tp_proto::tls_rpt;

/// A policy that was read is written again as the same.
pub fn policies(bytes: &[u8]) {
    if let Ok(policy) = Policy::parse(bytes) {
        assert_eq!(Policy::parse(policy.text().as_bytes()), Ok(policy.clone()), "{}", policy.text());
        let _ = (policy.covers("mx.example.org"), policy.covers(""), policy.covers("."));
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = mta_sts::record_id(text.lines());
    let found = tls_rpt::destinations(text.lines());
    assert!(found.len() <= text.len());
}
