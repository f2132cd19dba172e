//! Which exit a mail leaves through: always the same for an organisation and a kind of mail while the exits stay the
//! same, so that a site learns to know it, and a greylisted mail comes back from where it came.

use crate::outcome::Stream;

/// What is known of an exit.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub name: &'a str,
    /// Twice the weight, twice the share.
    pub weight: u32,
    /// For these organisations alone, and for them before all others; empty: for everybody.
    pub orgs: &'a [String],
    /// For these kinds of mail alone; empty: for all.
    pub streams: &'a [Stream],
}

/// The exits that this mail may leave through, by their place in the list, the one to use first.
///
/// Each pair of mail and exit draws a number and the highest wins (rendezvous hashing): when an exit comes or goes, only
/// its own share moves.
#[must_use]
pub fn order(exits: &[Facts<'_>], org: &str, stream: Stream) -> Vec<usize> {
    let fits = |exit: &Facts<'_>| exit.streams.is_empty() || exit.streams.contains(&stream);
    let bound = exits.iter().any(|exit| fits(exit) && exit.orgs.iter().any(|bound| bound == org));
    let may =
        |exit: &Facts<'_>| fits(exit) && if bound { exit.orgs.iter().any(|o| o == org) } else { exit.orgs.is_empty() };
    let mut drawn: Vec<(f64, usize)> = exits
        .iter()
        .enumerate()
        .filter(|(_, exit)| may(exit))
        .map(|(place, exit)| (score(exit, org, stream), place))
        .collect();
    drawn.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    drawn.into_iter().map(|(_, place)| place).collect()
}

fn score(exit: &Facts<'_>, org: &str, stream: Stream) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in [exit.name, "\0", org, "\0", stream.as_str()].iter().flat_map(|part| part.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The last letters of similar names change only low bits of an FNV hash.
    let high = u32::try_from(mixed(hash) >> 32).unwrap_or(0);
    // In (0, 1), so that the logarithm is finite.
    let drawn = (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0);
    -f64::from(exit.weight.max(1)) / drawn.ln()
}

/// The end of SplitMix64 (Steele, Lea and Flood, 2014): neighbours do not stay neighbours.
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(name: &str, weight: u32) -> Facts<'_> {
        Facts { name, weight, orgs: &[], streams: &[] }
    }

    fn shares(exits: &[Facts<'_>]) -> Vec<usize> {
        let mut counts = vec![0; exits.len()];
        (0..4000).for_each(|n| counts[order(exits, &format!("org-{n}"), Stream::Bulk)[0]] += 1);
        counts
    }

    #[test]
    fn weights_give_shares() {
        let counts = shares(&[exit("a", 1), exit("b", 1), exit("c", 2)]);
        for (count, want) in counts.iter().zip([1000, 1000, 2000]) {
            assert!(count.abs_diff(want) < 120, "{counts:?}");
        }
    }

    #[test]
    fn an_exit_that_goes_moves_its_own_share_only() {
        let (three, two) = ([exit("a", 1), exit("b", 1), exit("c", 1)], [exit("a", 1), exit("b", 1)]);
        for n in 0..500 {
            let org = format!("org-{n}");
            let (before, after) = (order(&three, &org, Stream::Personal), order(&two, &org, Stream::Personal));
            assert_eq!(before.len(), 3);
            assert_eq!(before.into_iter().filter(|place| *place != 2).collect::<Vec<_>>(), after);
        }
    }

    #[test]
    fn an_org_with_an_exit_of_its_own_uses_no_other_and_nobody_else_does() {
        let orgs = ["asso".to_owned()];
        let bulk = Facts { streams: &[Stream::Bulk], ..exit("bulk", 1) };
        let exits = [exit("a", 1), Facts { orgs: &orgs, ..exit("own", 1) }, bulk];
        assert_eq!(order(&exits, "asso", Stream::Personal), [1]);
        assert_eq!(order(&exits, "other", Stream::Personal), [0]);
        assert_eq!(order(&exits, "other", Stream::Bulk).len(), 2);
        assert_eq!(order(&[], "asso", Stream::Bulk), Vec::<usize>::new());
    }
}
