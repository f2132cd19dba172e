//! Mail of a mail server beside us that goes another way than that server's own: which mail, and where to.

use crate::admit::Way;
use crate::outcome::Stream;

/// A way around, with the mail that takes it. What is left open fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detour {
    /// As the mail server names it: `transport:nexthop`.
    pub to: String,
    /// Only mail of senders that go this way.
    pub way: Option<Way>,
    /// Only mail of these organisations.
    pub orgs: Vec<String>,
    /// Only these kinds of mail.
    pub streams: Vec<Stream>,
}

/// Where this mail goes; none: the way that the mail server has for it. Of several that fit the first one counts.
#[must_use]
pub fn detour<'a>(detours: &'a [Detour], org: &str, stream: Stream, way: Way) -> Option<&'a str> {
    let fits = |detour: &&Detour| {
        detour.way.is_none_or(|only| only == way)
            && (detour.orgs.is_empty() || detour.orgs.iter().any(|only| only == org))
            && (detour.streams.is_empty() || detour.streams.contains(&stream))
    };
    detours.iter().find(fits).map(|detour| detour.to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_detour_that_fits_in_all_it_says_is_taken() {
        let to = |to: &str| Detour { to: to.into(), ..Detour::default() };
        let detours = [
            Detour { way: Some(Way::Slow), ..to("slow:") },
            Detour { orgs: vec!["asso".into()], streams: vec![Stream::Bulk], ..to("smtp:[127.0.0.1]:2525") },
            Detour { orgs: vec!["asso".into(), "club".into()], ..to("exit-b:") },
        ];
        #[track_caller]
        fn check(detours: &[Detour], org: &str, stream: Stream, way: Way, want: Option<&str>) {
            assert_eq!(detour(detours, org, stream, way), want);
        }
        check(&detours, "asso", Stream::Bulk, Way::Slow, Some("slow:"));
        check(&detours, "asso", Stream::Bulk, Way::Normal, Some("smtp:[127.0.0.1]:2525"));
        check(&detours, "asso", Stream::Personal, Way::Normal, Some("exit-b:"));
        check(&detours, "club", Stream::Bulk, Way::Normal, Some("exit-b:"));
        check(&detours, "local", Stream::Bulk, Way::Normal, None);
        check(&[], "asso", Stream::Bulk, Way::Slow, None);
        check(&[to("all:")], "asso", Stream::Bulk, Way::Normal, Some("all:"));
    }
}
