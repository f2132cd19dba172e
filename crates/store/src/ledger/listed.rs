//! Lists that people keep, of the node or of an org, for all mail or for a stream: how they stand in their table.
//!
//! The column `list` says `suppress` or `allow` for all mail, `suppress/bulk` for one stream, and `optout`.

use sm2tp_federation::tags::Tag;
use sm2tp_rules::{Stream, Streams};

use super::event::Event;
use crate::sql::{Sql, SqlError};

/// A list that an address can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Suppress(Streams),
    Allow(Streams),
    OptOut,
}

/// What an event does to the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    On(List),
    Off(List),
}

impl Listing {
    /// None for an event that is about no list.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let (on, kind) = match event.kind.strip_prefix("un") {
            Some(kind) => (false, kind),
            None => (true, event.kind.as_str()),
        };
        let streams = Streams::of(event.stream.as_deref().and_then(|word| word.parse().ok()));
        let list = match kind {
            "suppress" => List::Suppress(streams),
            "allow" => List::Allow(streams),
            "optout" => List::OptOut,
            _ => return None,
        };
        Some(if on { Self::On(list) } else { Self::Off(list) })
    }

    /// Changes the table.
    pub(super) fn apply(self, event: &Event, sql: &mut dyn Sql) -> Result<(), SqlError> {
        let Some((_, tag)) = event.recipient else { return Ok(()) };
        let org = event.org.as_deref().unwrap_or("");
        match self {
            Self::On(list) => put(event, &list.names(), org, sql),
            Self::Off(list @ List::OptOut) => take(tag, &list.names(), org, sql),
            Self::Off(list @ (List::Suppress(off) | List::Allow(off))) => {
                let kind = list.kind();
                if off != Streams::ALL {
                    // What stood for all mail stands for each of the other streams now.
                    for stream in Streams::ALL.without(off).iter() {
                        let name = format!("{kind}/{stream}");
                        sql.execute(SPLIT, &[tag.0[..].into(), kind.into(), org.into(), name.into()])?;
                    }
                }
                let each = off.iter().map(|stream| format!("{kind}/{stream}"));
                take(tag, &each.chain([kind.to_owned()]).collect::<Vec<_>>(), org, sql)
            }
        }
    }
}

impl List {
    /// The list that the column `list` names; none for a word of a newer version.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (kind, stream) = name.split_once('/').map_or((name, None), |(kind, stream)| (kind, Some(stream)));
        let streams = stream.map_or(Some(Streams::ALL), |word| word.parse().ok().map(Streams::one))?;
        match kind {
            "suppress" => Some(Self::Suppress(streams)),
            "allow" => Some(Self::Allow(streams)),
            "optout" => Some(Self::OptOut),
            _ => None,
        }
    }

    /// In the four bits of suppression, the four of the allow list, and one for those who left.
    pub(super) fn bits(self) -> u16 {
        match self {
            Self::Suppress(streams) => streams.bits().into(),
            Self::Allow(streams) => u16::from(streams.bits()) << 4,
            Self::OptOut => OPTED_OUT,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Suppress(_) => "suppress",
            Self::Allow(_) => "allow",
            Self::OptOut => "optout",
        }
    }

    fn names(self) -> Vec<String> {
        match self {
            Self::Suppress(streams) | Self::Allow(streams) if streams != Streams::ALL => {
                streams.iter().map(|stream: Stream| format!("{}/{stream}", self.kind())).collect()
            }
            _ => vec![self.kind().to_owned()],
        }
    }
}

fn put(event: &Event, names: &[String], org: &str, sql: &mut dyn Sql) -> Result<(), SqlError> {
    let Some((key_id, tag)) = event.recipient else { return Ok(()) };
    for name in names {
        sql.execute(
            "INSERT INTO listed (tag, list, org, key_id, domain, at, note) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (tag, list, org) DO UPDATE SET at = excluded.at, note = excluded.note",
            &[
                tag.0[..].into(),
                name.as_str().into(),
                org.into(),
                key_id.0[..].into(),
                event.domain.as_deref().unwrap_or("").into(),
                event.at.into(),
                event.note.as_deref().into(),
            ],
        )?;
    }
    Ok(())
}

fn take(tag: Tag, names: &[String], org: &str, sql: &mut dyn Sql) -> Result<(), SqlError> {
    for name in names {
        let values = [tag.0[..].into(), name.as_str().into(), org.into()];
        sql.execute("DELETE FROM listed WHERE tag = $1 AND list = $2 AND org = $3", &values)?;
    }
    Ok(())
}

/// The bit of [`List::bits`] for those who complained or left.
pub(super) const OPTED_OUT: u16 = 1 << 8;

const SPLIT: &str = "INSERT INTO listed (tag, list, org, key_id, domain, at, note) \
    SELECT tag, $4, org, key_id, domain, at, note FROM listed WHERE tag = $1 AND list = $2 AND org = $3 \
    ON CONFLICT (tag, list, org) DO NOTHING";
