//! The vectors that other implementers work with (`interop/vectors.json`): this crate reads and writes every one of them.

#![allow(clippy::unwrap_used, reason = "these are tests; clippy.toml sees it only inside of #[test]")]

use ed25519_dalek::SigningKey;
use serde_json::Value;
use sm2tp_federation::chain::{Head, Known, Proof, Step, step};
use sm2tp_federation::descriptor::{self, Descriptor};
use sm2tp_federation::feed::{self, Cursor, FeedEntry, HeadLine, Heads};
use sm2tp_federation::header::{HEADER_OCTETS, Header, Position, Sealing};
use sm2tp_federation::keys::{FederationKey, LogKey, NodeKey};
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::request::{self, RequestParts, SignatureHeaders, SignatureTerm};
use sm2tp_federation::sealed::{self, TagKeyGrant};
use sm2tp_federation::segment::{self, Opened};
use sm2tp_federation::tags::{KeyId, TagKey, is_publishable, normalise};
use sm2tp_federation::{Hash, merkle};
use sm2tp_proto::Domain;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../interop/vectors.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn key(all: &Value, name: &str) -> SigningKey {
    SigningKey::from_bytes(&array(&all["keys"][name]["seed"]))
}

fn origin(all: &Value) -> Descriptor {
    descriptor::parse(text(&all["descriptor"]["text"])).unwrap().descriptor().clone()
}

fn header(segment: &Value) -> Header {
    Header::parse(&bytes(&segment["header"])).unwrap()
}

fn record(row: &Value) -> Record {
    let small = |value: &Value| u8::try_from(number(value)).unwrap();
    let short = |value: &Value| u16::try_from(number(value)).unwrap();
    Record {
        class: Class(small(&row["class"])),
        source: Source(small(&row["source"])),
        smtp_code: short(&row["smtp_code"]),
        enhanced: (small(&row["enhanced"][0]), small(&row["enhanced"][1]), short(&row["enhanced"][2])),
        hour: u32::try_from(number(&row["hour"])).unwrap(),
        count: short(&row["count"]),
        provider: small(&row["provider"]),
        ttl_weeks: small(&row["ttl_weeks"]),
        subject: array(&row["subject"]),
    }
}

fn position(segment: &Value) -> Position {
    let part = |name: &str| u32::try_from(number(&segment[name])).unwrap();
    Position { epoch: part("epoch"), segno: part("segno") }
}

#[test]
fn keys_have_their_texts_and_the_node_its_fingerprint() {
    let all = vectors();
    let keys = &all["keys"];
    assert_eq!(NodeKey::of(&key(&all, "node")).to_string(), text(&keys["node"]["text"]));
    assert_eq!(NodeKey::of(&key(&all, "node")).fingerprint(), text(&keys["node"]["fingerprint"]));
    assert_eq!(FederationKey::of(&key(&all, "federation")).to_string(), text(&keys["federation"]["text"]));
    for name in ["log", "peer_log"] {
        let public = LogKey::of(&key(&all, name));
        assert_eq!((public.to_string().as_str(), public.0), (text(&keys[name]["text"]), array(&keys[name]["public"])));
    }
}

#[test]
fn weak_signatures_are_refused() {
    for weak in list(&vectors()["weak_keys"]) {
        let good = NodeKey(array(&weak["key"])).signed(text(&weak["message"]).as_bytes(), &array(&weak["sig"]));
        assert!(!good, "{}", weak["why"]);
    }
}

#[test]
fn tags_are_those_of_every_node() {
    let tags = &vectors()["tags"];
    let key = TagKey::new(array(&tags["key"]));
    assert_eq!(key.key_id().to_string(), text(&tags["key_id"]));
    for row in list(&tags["addresses"]) {
        for spelling in ["address", "normalised"] {
            let address = normalise(text(&row[spelling])).unwrap();
            assert_eq!(key.tag(&address).to_string(), text(&row["tag"]), "{row}");
            assert!(is_publishable(&address), "{row}");
        }
    }
    for row in list(&tags["domains"]) {
        let domain = Domain::parse(text(&row["domain"])).unwrap();
        assert_eq!(key.tag_domain(&domain).unwrap().to_string(), text(&row["tag"]), "{row}");
    }
    for row in list(&tags["no_tag"]) {
        assert!(normalise(text(&row["address"])).is_err(), "{row}");
    }
    for address in list(&tags["not_published"]) {
        assert!(!is_publishable(&normalise(text(address)).unwrap()), "{address}");
    }
}

#[test]
fn a_descriptor_is_signed_over_its_payload() {
    let all = vectors();
    let row = &all["descriptor"];
    let read = descriptor::parse(text(&row["text"])).unwrap();
    let again = descriptor::sign(read.descriptor().clone(), &key(&all, "node")).unwrap();
    assert_eq!(again.text(), text(&row["text"]));
    let signed = [b"sm2tp-node-v1\n", text(&row["payload"]).as_bytes()].concat();
    assert_eq!(signed, bytes(&row["signed"]));
}

#[test]
fn records_and_segments_are_the_same_bytes() {
    let all = vectors();
    for (row, name) in list(&all["segments"]).iter().zip(["first", "second"]) {
        let rows = list(&all["records"][name]);
        let records: Vec<Record> = rows.iter().map(record).collect();
        for (record, row) in records.iter().zip(rows) {
            assert_eq!(record.encode(), array::<32>(&row["record"]), "{row}");
            assert_eq!(Record::decode(&array(&row["record"])), *record, "{row}");
        }
        let leaves: Vec<Hash> = records.iter().map(|record| merkle::leaf(&record.encode())).collect();
        assert_eq!(leaves, list(&row["leaves"]).iter().map(array).collect::<Vec<Hash>>());
        assert_eq!(merkle::root_of_leaves(leaves), array::<32>(&row["root"]));
        let sealing = Sealing {
            origin: text(&row["origin"]).parse().unwrap(),
            position: position(row),
            first_sequence: number(&row["first_sequence"]),
            prev: array(&row["prev"]),
            key_id: KeyId(array(&row["key_id"])),
            sealed_at: number(&row["sealed_at"]),
        };
        let sealed = segment::seal(&sealing, &key(&all, "log"), &records).unwrap();
        assert_eq!(sealed.header.header(), &header(row));
        assert_eq!(sealed.header.header().signed_bytes(), bytes(&row["signed"]));
        assert_eq!(sealed.header.header().hash(), array::<32>(&row["hash"]));
        assert_eq!(sealed.body, bytes(&row["body"]));
        let opened = segment::verify(&header(row), &origin(&all), &bytes(&row["body"])).unwrap();
        assert!(matches!(opened, Opened::Readable(_)), "{opened:?}");
    }
}

#[test]
fn a_redacted_body_keeps_root_and_signature() {
    let all = vectors();
    let (first, row) = (&all["segments"][0], &all["redaction"]);
    let indexes: Vec<u16> = list(&row["indexes"]).iter().map(|index| u16::try_from(number(index)).unwrap()).collect();
    let body = segment::redact(&header(first), &bytes(&first["body"]), &indexes).unwrap();
    assert_eq!(body, bytes(&row["body"]));
    let Opened::Readable(verified) = segment::verify(&header(first), &origin(&all), &body).unwrap() else {
        panic!("not readable");
    };
    let left: Vec<u64> = verified.events().map(|(sequence, _)| sequence).collect();
    assert_eq!(left, [0, 2, 3, 4]);
}

#[test]
fn the_second_segment_follows_the_first_and_its_fork_is_a_proof() {
    let all = vectors();
    let verify = |row: &Value| header(row).verify(&origin(&all)).unwrap();
    let (first, second) = (verify(&all["segments"][0]), verify(&all["segments"][1]));
    let known = Known { head: Some(Head::of(first.header())), ..Known::default() };
    assert_eq!(step(&second, &known, second.header().sealed_at()), Step::Next);
    let proof = bytes(&all["equivocation"]["proof"]);
    assert_eq!(proof.len(), 2 * HEADER_OCTETS);
    let verified = Proof::verify(&proof, &origin(&all)).unwrap();
    assert_eq!(verified.encode(), proof);
    assert!(verified.headers().contains(second.header()));
}

#[test]
fn a_feed_answer_and_heads_are_the_same_bytes() {
    let all = vectors();
    let row = &all["feed"];
    let numbers: Vec<u64> = list(&row["numbers"]).iter().map(number).collect();
    let entries: Vec<FeedEntry> = (numbers.iter().zip(list(&all["segments"])))
        .map(|(number, segment)| FeedEntry { number: *number, header: header(segment) })
        .collect();
    assert_eq!(feed::encode(&entries), bytes(&row["answer"]));
    let lines = feed::decode(&bytes(&row["answer"]), 0).unwrap();
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), numbers);
    let cursor: Cursor = text(&row["cursor"]).parse().unwrap();
    assert_eq!((cursor.after, cursor.to_string().as_str()), (9, text(&row["cursor"])));
    let line = HeadLine::new(&header(&all["segments"][1]), Position { epoch: 0, segno: 0 });
    assert_eq!(Heads::parse(text(&row["heads"])).unwrap(), Heads { heads: vec![line] });
}

#[test]
fn requests_are_signed_and_verified_as_written() {
    let all = vectors();
    let log = key(&all, "log");
    for row in list(&all["requests"]) {
        let parts = RequestParts {
            method: text(&row["method"]),
            authority: text(&row["authority"]),
            path: text(&row["path"]),
            query: text(&row["query"]),
            body: text(&row["body"]).as_bytes(),
        };
        let term = SignatureTerm {
            created: number(&row["created"]),
            expires: number(&row["expires"]),
            nonce: text(&row["nonce"]),
        };
        let signed = request::sign(&log, &parts, &term).unwrap();
        assert_eq!(signed.signature_input, text(&row["signature_input"]));
        assert_eq!(signed.signature, text(&row["signature"]));
        assert_eq!(signed.content_digest.as_deref(), row["content_digest"].as_str());
        let headers = SignatureHeaders {
            signature_input: &signed.signature_input,
            signature: &signed.signature,
            content_digest: signed.content_digest.as_deref(),
        };
        let authentic = request::verify(&parts, &headers, number(&row["now"]), |key| Some(*key)).unwrap();
        assert_eq!(authentic.peer(), &LogKey::of(&log));
    }
}

#[test]
fn the_signature_base_is_what_was_signed() {
    use base64::Engine;
    let all = vectors();
    for row in list(&all["requests"]) {
        let value = text(&row["signature"]).strip_prefix("sig1=:").and_then(|rest| rest.strip_suffix(':')).unwrap();
        let signature = base64::engine::general_purpose::STANDARD.decode(value).unwrap().try_into().unwrap();
        assert!(LogKey::of(&key(&all, "log")).signed(text(&row["signature_base"]).as_bytes(), &signature), "{row}");
    }
}

#[test]
fn a_tag_key_travels_in_a_sealed_box() {
    let all = vectors();
    let (row, peer) = (&all["tag_key_grant"], key(&all, "peer_log"));
    let (not_before, not_after) = (number(&row["not_before"]), number(&row["not_after"]));
    let tag_key = TagKey::new(array(&row["key"]));
    let grant = TagKeyGrant::sign(tag_key, not_before, not_after, &key(&all, "federation")).unwrap();
    let boxed = grant.seal(&LogKey::of(&peer), &array(&row["ephemeral_secret"])).unwrap();
    assert_eq!(boxed, bytes(&row["sealed_to_peer_log"]));
    assert_eq!(&sealed::open(&boxed, &peer).unwrap()[..], text(&row["plain"]).as_bytes());
    assert_eq!(TagKeyGrant::open(&boxed, &peer).unwrap(), grant);
    let row = &all["sealed_box"];
    let opened = sealed::open(&bytes(&row["sealed_to_log"]), &key(&all, "log")).unwrap();
    assert_eq!(&opened[..], text(&row["plain"]).as_bytes());
}
