//! Lists of other programs, taken in batches, and our own list, given page by page.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_proto::Address;
use sm2tp_proto::lists::Format;
use sm2tp_rules::imported::{self, Claim, Imported, Left, Verdict};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::LOCAL;
use sm2tp_store::ledger::Event;
use sm2tp_store::sql::{self, Row, SqlError, Value as Column};
use sm2tp_store::told::mask;

use super::{Problem, Refusal, address};
use crate::{House, now};

/// A batch of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Import {
    pub from: Format,
    /// Whose list it is; entries may name another.
    pub org: Option<String>,
    pub mode: ImportMode,
    /// At most [`IMPORT_ENTRIES_MAX`].
    pub entries: Vec<Listed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportMode {
    /// Says what would become of it.
    Try,
    Keep,
}

/// One entry of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    pub who: Whom,
    pub claim: Claim,
    /// Unix seconds.
    pub at: Option<u64>,
    /// Where it is not that of the batch.
    pub org: Option<String>,
    /// The words of a server.
    pub words: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    Address(String),
    /// In hexadecimal digits, from an export.
    Tag {
        tag: String,
        key_id: String,
        domain: String,
    },
}

/// Where a page of an export begins: behind this.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct After {
    /// What this node knows from bounces comes first, then the lists.
    pub lists: bool,
    /// In hexadecimal digits.
    pub tag: String,
    pub list: String,
    pub org: String,
}

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
struct Done {
    taken: usize,
    known: usize,
    /// By their place in the batch.
    left: Vec<(usize, Left)>,
}

/// The address of an entry as it is kept.
struct Subject {
    /// To record under.
    tag: (KeyId, Tag),
    /// To look under.
    all: Vec<Tag>,
    domain: String,
    clear: Option<Address>,
}

/// Takes a batch: one transaction, so that what is interrupted was taken whole or not at all, and may be offered again.
pub(super) async fn import(house: &House, import: Import) -> Result<Value, Problem> {
    if IMPORT_ENTRIES_MAX < import.entries.len() {
        return Err(Problem::Input(Refusal::ManyEntries { max: IMPORT_ENTRIES_MAX }));
    }
    let orgs: HashSet<String> = house.accounts.orgs().into_iter().map(|org| org.name).collect();
    let is_org = |org: &str| org == LOCAL || orgs.contains(org);
    if let Some(org) = import.org.as_deref().filter(|org| !is_org(org)) {
        return Err(Problem::Input(Refusal::NoOrg { org: org.to_owned() }));
    }
    let now = now();
    let (mut done, mut events, mut batch) = (Done::default(), Vec::new(), HashMap::new());
    for (place, entry) in import.entries.iter().enumerate() {
        let org = entry.org.as_deref().or(import.org.as_deref());
        let subject = if org.is_none_or(is_org) { subject(house, &entry.who) } else { Err(Left::UnknownOrg) };
        let verdict = subject.map(|subject| {
            let verdict = decide(house, entry, org, &subject, now);
            repeated(&mut batch, entry, org, &subject, verdict, |at| {
                let words = entry.words.as_ref().zip(subject.clear.as_ref());
                let words = words.map(|(words, clear)| mask(words, clear));
                let imported = Imported::at(import.from, now);
                events.push(Event::imported(&entry.claim, subject.tag, &subject.domain, org, words, imported, at));
            })
        });
        match verdict {
            Ok(Verdict::Take { .. }) => done.taken += 1,
            Ok(Verdict::Known) => done.known += 1,
            Ok(Verdict::Leave(left)) | Err(left) => done.left.push((place, left)),
        }
    }
    if import.mode == ImportMode::Keep && !events.is_empty() {
        house.ledger.append(events).await?;
    }
    Ok(json!(done))
}

/// What is suppressed, a page at a time, in the order of tags; with the place where the next page begins.
pub(super) async fn export(house: &House, org: Option<String>, after: After) -> Result<Value, Problem> {
    let tag = hex::decode(&after.tag).map_err(|_| Problem::Input(Refusal::PageBegin))?;
    let oldest = now().saturating_sub(house.book.limits(LOCAL).hard_expiry_s);
    // What this node knows of an address is no organisation's own.
    let lists = after.lists || org.is_some();
    let rows = house.ledger.read(move |sql| {
        let limit = Column::from(EXPORT_PAGE);
        Ok(match lists {
            false => sql::all(sql, BOUNCED, &[Column::Blob(tag), oldest.into(), limit], bounced)?,
            true => {
                let org = org.map_or(Column::Null, Column::Text);
                let place = [Column::Blob(tag), Column::Text(after.list), Column::Text(after.org), org, limit];
                sql::all(sql, LISTED, &place, listed)?
            }
        })
    });
    let rows = rows.await?;
    let next = match rows.last() {
        Some(last) if rows.len() as u64 == EXPORT_PAGE => Some(After { lists, ..place(last) }),
        _ if !lists => Some(After { lists: true, ..After::default() }),
        _ => None,
    };
    Ok(json!({ "entries": rows, "next": next }))
}

/// What is known of the address decides.
fn decide(house: &House, entry: &Listed, org: Option<&str>, subject: &Subject, now: u64) -> Verdict {
    let known = house.book.views.recipient(&subject.all, org.unwrap_or(LOCAL));
    imported::decide(&entry.claim, entry.at, org, &known, &house.book.limits(LOCAL), now)
}

/// An address that stands in the batch twice is known the second time, unless that is newer: the views hear of the batch when
/// it is kept.
fn repeated<'a>(
    batch: &mut HashMap<(Tag, std::mem::Discriminant<Claim>, Option<&'a str>), u64>,
    entry: &Listed,
    org: Option<&'a str>,
    subject: &Subject,
    verdict: Verdict,
    take: impl FnOnce(u64),
) -> Verdict {
    let Verdict::Take { at } = verdict else { return verdict };
    let kind = (subject.tag.1, std::mem::discriminant(&entry.claim), org);
    if batch.get(&kind).is_some_and(|before| at <= *before) {
        return Verdict::Known;
    }
    batch.insert(kind, at);
    take(at);
    verdict
}

fn subject(house: &House, who: &Whom) -> Result<Subject, Left> {
    match who {
        Whom::Address(text) => {
            let address = address(text).map_err(|_| Left::NoNormalForm)?;
            let tag = house.book.tag(&address).ok_or(Left::NoNormalForm)?;
            let (all, _) = house.book.tags(&address);
            Ok(Subject { tag, all, domain: address.domain().to_string(), clear: Some(address) })
        }
        Whom::Tag { tag, key_id, domain } => {
            let (mut tag_octets, mut key_octets) = ([0; 16], [0; 8]);
            let read = hex::decode_to_slice(tag, &mut tag_octets).and(hex::decode_to_slice(key_id, &mut key_octets));
            let (tag, key) = (Tag(tag_octets), KeyId(key_octets));
            if read.is_err() || !house.book.has_key(key) {
                return Err(Left::ForeignKey);
            }
            Ok(Subject { tag: (key, tag), all: vec![tag], domain: domain.to_lowercase(), clear: None })
        }
    }
}

fn bounced(row: &Row) -> Result<Value, SqlError> {
    Ok(json!({
        "tag": hex::encode(row.blob(0)?),
        "key_id": hex::encode(row.blob(1)?),
        "domain": row.text(2)?,
        "reason": "bounce",
        "org": "",
        "at": row.uint(3)?,
        "strength": match (row.int(4)? != 0, row.int(5)? != 0) {
            (false, _) => "weak",
            (true, true) => "inactive",
            (true, false) => "strong",
        },
        "code": row.uint(6)?,
        "enhanced": row.text_or_null(7)?,
        "note": row.text_or_null(8)?.or(row.text_or_null(9)?),
    }))
}

fn listed(row: &Row) -> Result<Value, SqlError> {
    Ok(json!({
        "tag": hex::encode(row.blob(0)?),
        "key_id": hex::encode(row.blob(1)?),
        "domain": row.text(2)?,
        "reason": if row.text(3)? == "optout" { "optout" } else { "listed" },
        "stream": row.text(3)?.strip_prefix("suppress/"),
        "list": row.text(3)?,
        "org": row.text(4)?,
        "at": row.uint(5)?,
        "note": row.text_or_null(6)?,
    }))
}

fn place(entry: &Value) -> After {
    let word = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    After { lists: false, tag: word("tag"), list: word("list"), org: word("org") }
}

const BOUNCED: &str = "SELECT tag, key_id, domain, hard_at, hard_strong, hard_inactive, hard_code, \
    hard_enhanced, reply, hard_imported FROM recipient WHERE tag > $1 AND $2 < hard_at ORDER BY tag LIMIT $3";
const LISTED: &str = "SELECT tag, key_id, domain, list, org, at, note FROM listed \
    WHERE (tag, list, org) > ($1, $2, $3) AND list NOT LIKE 'allow%' AND (org = $4 OR $4 IS NULL) \
    ORDER BY tag, list, org LIMIT $5";
/// One transaction of the ledger, which others wait for: some tenths of a second.
pub const IMPORT_ENTRIES_MAX: usize = 2000;
/// Some hundred octets each.
const EXPORT_PAGE: u64 = 2000;
