//! The keys of the node, as a person changes them.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_federation::header::Position;
use sm2tp_federation::keys::NodeKey;
use sm2tp_store::keys::KeysError;

use super::{Problem, Refusal};
use crate::identity::{self, Closing, IdentityError};
use crate::{House, now};

/// What a person wants of the keys. Paths are whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "key", rename_all = "kebab-case")]
pub enum OfKeys {
    Show,
    /// A new log key, which signs so many seconds from now on.
    Rotate {
        wait_s: u64,
    },
    /// The log key was lost or stolen; `after` is the last segment that it signed rightly, as (epoch, segno).
    Revoke {
        after: Option<(u32, u32)>,
    },
    /// A new tag key, which is published under so many seconds from now on.
    Tag {
        wait_s: u64,
    },
    /// A new federation, of this node, whose tag key is published under at once.
    Found,
    /// Publish under a tag key of a peer that is known for look-ups.
    Join {
        key_id: String,
    },
    /// The node key goes into this file.
    Offline {
        file: PathBuf,
    },
    /// The node key comes back from this file.
    Online {
        file: PathBuf,
    },
    /// What the node key is to sign.
    Export {
        retired: bool,
    },
    /// A descriptor that was signed.
    Import {
        text: String,
    },
}

impl OfKeys {
    pub(super) fn changes(&self) -> bool {
        !matches!(self, Self::Show | Self::Export { .. })
    }
}

pub(super) async fn answer(house: &House, wanted: OfKeys) -> Result<Value, Problem> {
    match wanted {
        OfKeys::Show => show(house).await,
        OfKeys::Rotate { wait_s } => {
            identity::rotate_log(house, wait_s).await?;
            show(house).await
        }
        OfKeys::Revoke { after } => {
            let after = after.map(|(epoch, segno)| Position { epoch, segno });
            identity::revoke_log(house, after).await?;
            show(house).await
        }
        OfKeys::Tag { wait_s } => {
            house.federation.keys().new_tag(now().saturating_add(wait_s))?;
            identity::look_after(house).await?;
            tags_changed(house).await
        }
        OfKeys::Found => {
            house.federation.keys().found(now())?;
            tags_changed(house).await
        }
        OfKeys::Join { key_id } => {
            house.federation.keys().join(&key_id, now())?;
            tags_changed(house).await
        }
        OfKeys::Offline { file } => {
            house.federation.keys().take_away(&file)?;
            show(house).await
        }
        OfKeys::Online { file } => {
            house.federation.keys().bring_back(&file)?;
            identity::sign_waiting(house).await?;
            show(house).await
        }
        OfKeys::Export { retired } => export(house, if retired { Closing::Yes } else { Closing::No }).await,
        OfKeys::Import { text } => {
            let node = identity::import(house, &text).await?;
            Ok(json!({ "node": node, "fingerprint": node.fingerprint(), "own": node == own(house) }))
        }
    }
}

/// Looked up under at once: others may have it before us.
async fn tags_changed(house: &House) -> Result<Value, Problem> {
    house.book.set_keys(&house.federation.keys().tags);
    show(house).await
}

async fn show(house: &House) -> Result<Value, Problem> {
    let (signed, waits) = (house.federation.own(), identity::waits(&house.federation).await?);
    let said = signed.descriptor();
    let lapses = identity::lapses(&house.federation, now());
    let keys = house.federation.keys();
    let revoked = |key| {
        let found = said.revoked.iter().find(|revoked| revoked.key == key);
        found.map(|revoked| format!("{}.{}", revoked.after_epoch, revoked.after_segno))
    };
    let log = said.log_keys.iter().map(|term| {
        let state = match () {
            () if term.key == keys.log_key() => "signs",
            () if Some(term.key) == keys.next_log_key() => "next",
            () if Some(term.key) == keys.old_log_key() => "old",
            () => "gone",
        };
        json!({
            "key": term.key,
            "state": state,
            "not_before": term.not_before,
            "not_after": term.not_after,
            "revoked_after": revoked(term.key),
        })
    });
    let tags = keys.tags.iter().enumerate().map(|(place, grant)| {
        let state = match (place, grant.not_before <= now()) {
            (0, _) if grant.not_after < now() => "ended",
            (0, _) => "published under",
            (_, false) => "next",
            (_, true) => "looked up",
        };
        json!({
            "key_id": grant.key.key_id().to_string(),
            "state": state,
            "not_before": grant.not_before,
            "not_after": grant.not_after,
            "federation": grant.federation,
        })
    });
    Ok(json!({
        "node": said.node,
        "fingerprint": said.node.fingerprint(),
        "node_key": if keys.node.is_some() { "here" } else { "elsewhere" },
        "descriptor": said.seq,
        "retired": said.retired,
        "waits_for_signature": waits,
        "log_keys": log.collect::<Vec<_>>(),
        "tag_keys": tags.collect::<Vec<_>>(),
        "tag_key_lapses_at": lapses.map(|lapses| lapses.at),
    }))
}

/// The text as `sm2tp key sign` takes it: the payload in base64, so that no mail program breaks its lines differently.
async fn export(house: &House, closing: Closing) -> Result<Value, Problem> {
    let Some(wanted) = identity::to_sign(house, closing).await? else {
        return Err(Problem::NotFound(Refusal::NothingToSign));
    };
    let payload = serde_json::to_vec(&wanted).map_err(|error| Problem::Failed(error.to_string()))?;
    Ok(json!({ "payload": STANDARD.encode(payload) }))
}

fn own(house: &House) -> NodeKey {
    house.federation.publisher.own
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        IdentityError::from(error).into()
    }
}
