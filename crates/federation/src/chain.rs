//! What to do with a header that arrived, given what is known of its origin (`FEDERATION.md` §5, §8.1, §8.10).

use thiserror::Error;

use crate::Hash;
use crate::descriptor::Descriptor;
use crate::header::{HEADER_OCTETS, Header, HeaderError, Position, SignedHeader};

/// The newest header of an origin that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub position: Position,
    /// SHA-256 of the header.
    pub hash: Hash,
    /// The sequence number that the next segment must begin with.
    pub next_sequence: u64,
}

/// What is known of an origin, as the store finds it for one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known<'a> {
    pub head: Option<Head>,
    /// The header kept at the position of the new one.
    pub same_place: Option<&'a Header>,
    /// Where a peer says that its copy begins (`oldest` of `/heads`): a header at exactly this place, beyond our head,
    /// is taken without the ones before it, which nobody has any more.
    pub oldest: Option<Position>,
    /// No header below this epoch is taken: 0 for an origin in good standing, `u32::MAX` while it is frozen after an
    /// equivocation, then the epoch that the local administrator accepted.
    pub epoch_min: u32,
}

/// What follows for a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store it and fetch its body, within the quota.
    Next,
    /// The same bytes are kept already: nothing changes.
    Known,
    /// Fetch the headers from here on first.
    Gap {
        from: Position,
    },
    /// Keep both, pass them on, freeze the origin.
    Equivocation(Box<Proof>),
    Refused(Why),
}

/// Why a header is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Why {
    #[error("it is sealed {ahead_s} s ahead of our clock; {AHEAD_MAX_S} s are the limit")]
    Future { ahead_s: u64 },
    #[error("the origin is frozen below epoch {epoch_min}")]
    Frozen { epoch_min: u32 },
    #[error("it lies before our head {head} and is not kept here")]
    Behind { head: Position },
    /// The origin signed another header in the place of our head: whoever sent this one can be asked for it.
    #[error("it does not follow the header that we hold at {head}")]
    PrevDiffers { head: Position },
    #[error("the first segment of an epoch names a segment before it")]
    PrevNotZero,
    #[error("it begins with event {found}, {want} was due")]
    Sequence { found: u64, want: u64 },
}

/// Two different headers signed by one origin for one place; whoever has both can show them to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The smaller bytes first, so that the same pair is the same proof everywhere.
    headers: [Header; 2],
}

/// Why two headers prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    #[error("a proof is two headers of {HEADER_OCTETS} octets, not {octets} octets")]
    Length { octets: usize },
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the two headers are the same, or of two places")]
    NoConflict,
}

/// Decides about one header. `now` in unix seconds.
///
/// A higher epoch closes all lower ones: after a fork or a restored backup nothing more is taken from the old branch.
#[must_use]
pub fn step(new: &SignedHeader, known: &Known<'_>, now: u64) -> Step {
    let header = new.header();
    if let Some(kept) = known.same_place {
        // Before all else: a fork is a proof whatever the clocks say, and a replay is harmless whoever is frozen.
        return Proof::of(kept, header).map_or(Step::Known, |proof| Step::Equivocation(Box::new(proof)));
    }
    if header.position().epoch < known.epoch_min {
        return Step::Refused(Why::Frozen { epoch_min: known.epoch_min });
    }
    let ahead_s = header.sealed_at().saturating_sub(now);
    if AHEAD_MAX_S < ahead_s {
        return Step::Refused(Why::Future { ahead_s });
    }
    match known.head {
        Some(head) if header.position() <= head.position => Step::Refused(Why::Behind { head: head.position }),
        Some(head) if header.position().epoch == head.position.epoch => in_epoch(header, &head, known),
        _ => at_epoch_start(header, known),
    }
}

/// `header` lies beyond `head` in the same epoch.
fn in_epoch(header: &Header, head: &Head, known: &Known<'_>) -> Step {
    // Cannot overflow: the header's segno is greater.
    let next = Position { segno: head.position.segno + 1, ..head.position };
    if header.position() != next {
        return if known.oldest == Some(header.position()) { Step::Next } else { Step::Gap { from: next } };
    }
    if header.prev() != head.hash {
        return Step::Refused(Why::PrevDiffers { head: head.position });
    }
    let (found, want) = (header.first_sequence(), head.next_sequence);
    if found == want { Step::Next } else { Step::Refused(Why::Sequence { found, want }) }
}

/// Nothing is known of the epoch of `header`.
fn at_epoch_start(header: &Header, known: &Known<'_>) -> Step {
    let Position { epoch, segno } = header.position();
    if known.oldest == Some(header.position()) && segno != 0 {
        return Step::Next;
    }
    match (segno, header.prev() == [0; 32]) {
        (0, true) => Step::Next,
        (0, false) => Step::Refused(Why::PrevNotZero),
        _ => {
            let start = Position { epoch, segno: 0 };
            // Where a peer's copy begins later in this epoch, asking for the start would be answered with 404 for ever.
            let oldest = known.oldest.filter(|oldest| oldest.epoch == epoch && *oldest < header.position());
            Step::Gap { from: oldest.unwrap_or(start) }
        }
    }
}

impl Head {
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { position: header.position(), hash: header.hash(), next_sequence: header.next_sequence() }
    }
}

impl Proof {
    /// Reads what came to `POST /proofs`: 480 bytes, two headers of `origin`.
    ///
    /// # Errors
    /// [`ProofError`]: a log key that the origin did not vouch for, or revoked before, proves nothing against it.
    pub fn verify(bytes: &[u8], origin: &Descriptor) -> Result<Self, ProofError> {
        let Some((one, two)) = bytes.split_at_checked(HEADER_OCTETS).filter(|_| bytes.len() == 2 * HEADER_OCTETS)
        else {
            return Err(ProofError::Length { octets: bytes.len() });
        };
        let one = Header::parse(one)?.verify(origin)?;
        let two = Header::parse(two)?.verify(origin)?;
        Self::of(one.header(), two.header()).ok_or(ProofError::NoConflict)
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.headers.iter().flat_map(|header| *header.as_bytes()).collect()
    }

    #[must_use]
    pub fn headers(&self) -> &[Header; 2] {
        &self.headers
    }

    fn of(one: &Header, two: &Header) -> Option<Self> {
        let same_place = one.origin() == two.origin() && one.position() == two.position();
        let mut headers = [*one, *two];
        headers.sort_by_key(|header| *header.as_bytes());
        (same_place && one != two).then_some(Self { headers })
    }
}

/// What a node does about its own log after a start (`FEDERATION.md` §5): sealing from a restored backup would fork it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// No peer answered yet: look again then (unix seconds).
    Wait {
        until: u64,
    },
    Seal,
    /// A peer has more of our log than we: import our own segments from here.
    Import {
        from: Position,
    },
    /// Our log and the peer's differ: go on in this epoch, at segno 0.
    RaiseEpoch {
        to: u32,
    },
}

/// What one peer answered about our own log. It brings the header itself: a bare number would let a liar make us raise
/// our epoch for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The newest header of ours that the peer holds; none where it knows nothing of us.
    pub theirs: Option<SignedHeader>,
    /// What we hold ourselves at that place.
    pub ours: Option<Header>,
}

/// Decides whether a node that started may seal, from what its peers told so far. Times in unix seconds.
#[must_use]
pub fn restart(own: Option<&Head>, told: &[Told], started_at: u64, now: u64) -> Restart {
    let differs = |t: &&Told| matches!((t.theirs, t.ours), (Some(theirs), Some(ours)) if *theirs.header() != ours);
    let epoch = |t: &Told| t.theirs.map_or(0, |theirs| theirs.header().position().epoch);
    if let Some(forked) = told.iter().filter(differs).map(epoch).max() {
        let epoch = own.map_or(0, |own| own.position.epoch).max(forked);
        return Restart::RaiseEpoch { to: epoch.saturating_add(1) };
    }
    let newest = told.iter().filter_map(|t| Some(t.theirs?.header().position())).max();
    let until = started_at.saturating_add(RESTART_WAIT_S);
    match (newest, own) {
        (Some(newest), Some(own)) if newest <= own.position => Restart::Seal,
        (Some(newest), Some(own)) if newest.epoch == own.position.epoch => {
            Restart::Import { from: Position { segno: own.position.segno + 1, ..own.position } }
        }
        (Some(newest), _) => Restart::Import { from: Position { epoch: newest.epoch, segno: 0 } },
        (None, _) if told.is_empty() && now < until => Restart::Wait { until },
        (None, _) => Restart::Seal,
    }
}

/// §8.1: clocks of small servers are off by minutes; more would let an origin give its events a longer life.
pub const AHEAD_MAX_S: u64 = 600;
/// §5: how long a node without an answering peer waits before it seals.
pub const RESTART_WAIT_S: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::tests::descriptor;
    use crate::header::Sealing;
    use crate::segment::seal;
    use crate::segment::tests::{SEALED_AT, log_key, sealing, some_records};

    fn at(epoch: u32, segno: u32) -> Position {
        Position { epoch, segno }
    }

    fn signed(change: impl FnOnce(&mut Sealing)) -> SignedHeader {
        let mut sealing = sealing();
        change(&mut sealing);
        seal(&sealing, &log_key(), &some_records(4)).unwrap().header
    }

    fn first() -> SignedHeader {
        signed(|_| ())
    }

    /// Follows `before`, in its epoch.
    fn after(before: &SignedHeader) -> SignedHeader {
        let Head { position, hash, next_sequence } = Head::of(before.header());
        signed(|s| {
            s.position = at(position.epoch, position.segno + 1);
            s.prev = hash;
            s.first_sequence = next_sequence;
        })
    }

    fn knowing(head: &SignedHeader) -> Known<'static> {
        Known { head: Some(Head::of(head.header())), ..Known::default() }
    }

    #[track_caller]
    fn check(new: &SignedHeader, known: &Known<'_>, want: Step) {
        assert_eq!(step(new, known, SEALED_AT), want);
    }

    #[test]
    fn a_log_grows_header_by_header() {
        let (one, two) = (first(), after(&first()));
        check(&one, &Known::default(), Step::Next);
        check(&two, &knowing(&one), Step::Next);
        check(&after(&two), &knowing(&one), Step::Gap { from: at(0, 1) });
        check(&two, &Known::default(), Step::Gap { from: at(0, 0) });
        let kept = Known { same_place: Some(one.header()), ..knowing(&two) };
        check(&one, &kept, Step::Known);
        check(&one, &knowing(&two), Step::Refused(Why::Behind { head: at(0, 1) }));
    }

    #[test]
    fn a_header_that_does_not_fit_its_head_is_refused() {
        let one = first();
        let other = after(&signed(|s| s.sealed_at += 1));
        check(&other, &knowing(&one), Step::Refused(Why::PrevDiffers { head: at(0, 0) }));
        let skipped = signed(|s| {
            s.position = at(0, 1);
            s.prev = one.header().hash();
            s.first_sequence = 5;
        });
        check(&skipped, &knowing(&one), Step::Refused(Why::Sequence { found: 5, want: 4 }));
        check(&signed(|s| s.prev = [1; 32]), &Known::default(), Step::Refused(Why::PrevNotZero));
    }

    #[test]
    fn the_clock_may_be_ten_minutes_off() {
        assert_eq!(step(&first(), &Known::default(), SEALED_AT - 600), Step::Next);
        let want = Step::Refused(Why::Future { ahead_s: 601 });
        assert_eq!(step(&first(), &Known::default(), SEALED_AT - 601), want);
    }

    #[test]
    fn a_higher_epoch_begins_anew_and_closes_the_lower() {
        let one = first();
        let next = signed(|s| s.position = at(2, 0));
        check(&next, &knowing(&one), Step::Next);
        check(&after(&next), &knowing(&one), Step::Gap { from: at(2, 0) });
        check(&after(&one), &knowing(&next), Step::Refused(Why::Behind { head: at(2, 0) }));
    }

    #[test]
    fn a_pruned_log_is_taken_from_where_the_peer_begins() {
        let (one, two) = (first(), after(&first()));
        let three = after(&two);
        check(&two, &Known { oldest: Some(at(0, 1)), ..Known::default() }, Step::Next);
        check(&three, &Known { oldest: Some(at(0, 1)), ..Known::default() }, Step::Gap { from: at(0, 1) });
        check(&three, &Known { oldest: Some(at(0, 2)), ..knowing(&one) }, Step::Next);
    }

    #[test]
    fn two_headers_for_one_place_are_a_proof_that_travels() {
        let (one, other) = (first(), signed(|s| s.sealed_at += 1));
        let known = Known { same_place: Some(one.header()), ..knowing(&one) };
        let Step::Equivocation(proof) = step(&other, &known, 0) else { panic!("no proof") };
        assert_eq!(Proof::verify(&proof.encode(), &descriptor()), Ok(*proof));
        let twice = [*one.header().as_bytes(), *one.header().as_bytes()].concat();
        assert_eq!(Proof::verify(&twice, &descriptor()), Err(ProofError::NoConflict));
        assert_eq!(Proof::verify(&twice[1..], &descriptor()), Err(ProofError::Length { octets: 479 }));
    }

    #[test]
    fn a_frozen_origin_returns_with_an_accepted_epoch() {
        let next = signed(|s| s.position = at(1, 0));
        let frozen = Known { epoch_min: u32::MAX, ..knowing(&first()) };
        check(&next, &frozen, Step::Refused(Why::Frozen { epoch_min: u32::MAX }));
        check(&next, &Known { epoch_min: 1, ..frozen }, Step::Next);
        check(&after(&first()), &Known { epoch_min: 1, ..frozen }, Step::Refused(Why::Frozen { epoch_min: 1 }));
    }

    #[test]
    fn a_restored_node_does_not_fork_its_log() {
        let (one, two) = (first(), after(&first()));
        let (head_one, head_two) = (Head::of(one.header()), Head::of(two.header()));
        let told = |theirs: &SignedHeader, ours: Option<&SignedHeader>| Told {
            theirs: Some(*theirs),
            ours: ours.map(|ours| *ours.header()),
        };
        assert_eq!(restart(None, &[], 1000, 1599), Restart::Wait { until: 1600 });
        assert_eq!(restart(None, &[], 1000, 1600), Restart::Seal);
        assert_eq!(restart(None, &[Told { theirs: None, ours: None }], 1000, 1000), Restart::Seal);
        assert_eq!(restart(Some(&head_two), &[told(&one, Some(&one))], 0, 0), Restart::Seal);
        assert_eq!(restart(Some(&head_one), &[told(&two, None)], 0, 0), Restart::Import { from: at(0, 1) });
        assert_eq!(restart(None, &[told(&two, None)], 0, 0), Restart::Import { from: at(0, 0) });
        let fork = signed(|s| s.sealed_at += 1);
        assert_eq!(restart(Some(&head_one), &[told(&fork, Some(&one))], 0, 0), Restart::RaiseEpoch { to: 1 });
    }
}
