//! What a refusal means in its circumstances: the facts for `sm2tp_rules::behaviour`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use sm2tp_proto::Reply;
use sm2tp_rules::behaviour::{Behaviour, Circumstances};
use sm2tp_rules::classify::shape;
use sm2tp_rules::{Cause, Fate, Outcome, Stage, Strength};
use sm2tp_store::ledger::Breakers;

/// What all workers saw of the sites; held for one look at a time.
#[derive(Debug, Default)]
pub struct Seen {
    behaviour: Mutex<Behaviour>,
    breakers: Breakers,
}

impl Seen {
    /// `breakers` are the ledger's.
    #[must_use]
    pub fn new(breakers: Breakers) -> Self {
        Self { breakers, ..Self::default() }
    }

    /// `site` is the provider, or the host where none is known. `now` in unix seconds.
    pub fn taken(&self, site: &str, now: u64) {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).taken(site, now);
    }

    /// The outcome of the words, or what the circumstances make of it.
    #[must_use]
    pub fn judge(&self, at: (&str, u64, u64), refusal: (Stage, &Reply), outcome: Outcome) -> Outcome {
        let ((site, mail, now), (stage, reply)) = (at, refusal);
        // The same sentence for different people: what differs is masked.
        let mut words = DefaultHasher::new();
        shape(&reply.text, &[]).hash(&mut words);
        let temporary = reply.code < 500;
        let circumstances = Circumstances { site, mail, stage, temporary, words: words.finish(), now };
        let outcome = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).judge(circumstances, outcome);
        if outcome.cause == Cause::Address && outcome.fate == Fate::Final && self.breakers.is_tripped(site, now) {
            // The provider errs: the mail waits for it to come to its senses, and the address is not touched.
            return Outcome { fate: Fate::Later, strength: Strength::Weak, rule: Arc::from(NOT_BELIEVED), ..outcome };
        }
        outcome
    }
}

/// The rule's name in outcomes.
const NOT_BELIEVED: &str = "behaviour-not-believed";
