//! Events of a list that a person gave to this node.

use sm2tp_federation::tags::{KeyId, Tag};
use sm2tp_rules::imported::{Claim, Imported};

use super::event::{Event, Subject};

impl Event {
    /// What a list claims of an address, as of `at` (unix seconds). `words` are those of a server, without the address.
    /// Nothing of it goes to other nodes: they hear what this node saw itself.
    #[must_use]
    pub fn imported(
        claim: &Claim,
        recipient: (KeyId, Tag),
        domain: &str,
        org: Option<&str>,
        words: Option<String>,
        imported: Imported,
        at: u64,
    ) -> Self {
        let about = |kind| Self {
            recipient: Some(recipient),
            domain: Some(domain.to_owned()),
            ..Self::new(at, Subject::Recipient, kind)
        };
        let listed = |kind, cause: &str, org: Option<&str>| Self {
            cause: Some(cause.to_owned()),
            org: org.map(str::to_owned),
            note: Some(imported.to_string()),
            ..about(kind)
        };
        match claim {
            Claim::Bounce { strength, inactive, code, enhanced } => Self {
                cause: Some("address".to_owned()),
                sub: inactive.then(|| "inactive".to_owned()),
                code: (*code != 0).then_some(*code),
                enhanced: enhanced.map(|enhanced| enhanced.to_string()),
                strength: Some(*strength),
                // The view reads the list from here, also when it is made again.
                rule: Some(imported.to_string()),
                note: words,
                ..about("hard")
            },
            Claim::Complaint => listed("optout", "complaint", org),
            Claim::Unsubscribed => listed("optout", "unsubscribed", org),
            Claim::Listed { stream } => {
                Self { stream: stream.map(|stream| stream.to_string()), ..listed("suppress", "listed", org) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sm2tp_proto::Enhanced;
    use sm2tp_proto::lists::Format;
    use sm2tp_rules::Strength;

    use super::super::Ledger;
    use super::*;
    use crate::testing::TempDir;

    #[tokio::test]
    async fn what_was_imported_is_known_as_that_after_a_rebuild_and_a_start() {
        let dir = TempDir::new();
        let ledger = crate::testing::ledger(dir.path());
        let imported = Imported { from: Format::Ses, day: 20_783 };
        let (key, tag) = (KeyId([1; 8]), Tag([7; 16]));
        let event = |claim: &Claim, org: Option<&str>, at: u64| {
            Event::imported(claim, (key, tag), "x.example", org, Some("no such user".into()), imported, at)
        };
        let enhanced = Some(Enhanced(5, 1, 1));
        let gone = Claim::Bounce { strength: Strength::Strong, inactive: false, code: 550, enhanced };
        let soft = Event { ..Event::new(1_700_000_500, Subject::Recipient, "soft") };
        let soft =
            Event { recipient: Some((key, tag)), domain: Some("x.example".into()), rule: Some("full".into()), ..soft };
        ledger
            .append(vec![event(&gone, None, 1_700_000_000), event(&Claim::Complaint, Some("asso"), 5), soft])
            .await
            .unwrap();
        let check = |ledger: &Ledger| {
            let known = ledger.views().recipient(&[tag], "asso");
            assert_eq!((known.own.hard_at, known.own.hard_code, known.own.soft_days), (1_700_000_000, 550, 1));
            assert_eq!(known.own.hard_imported, Some(imported));
            assert!(
                known.opted_out
                    && known.node.suppressed.is_empty()
                    && !ledger.views().recipient(&[tag], "other").opted_out
            );
        };
        check(&ledger);
        ledger.rebuild().await.unwrap();
        check(&ledger);
        drop(ledger);
        check(&crate::testing::ledger(dir.path()));
    }
}
