//! Whose network an address is in, by a table that an administrator gives: companies by the numbers of their autonomous
//! systems (RFC 1930 §3), and countries.
//!
//! The table has the form of iptoasn.com: first address, last address, number, country and name, with tabs between them.
//! Without a table nothing is known, and everything goes on without it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

/// Who runs a network, and where it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number of an autonomous system; never 0.
    pub asn: u32,
    pub country: Country,
}

/// Two capital letters (ISO 3166-1), or none where the table does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Sorted; none begins before the one in front of it ends.
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
    names: HashMap<u32, Box<str>>,
}

/// A table that is being read.
#[derive(Debug, Default)]
pub struct Reading {
    places: Places,
    line: u64,
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlacesError {
    #[error(
        "line {0} is none of a table of networks: first address, last address, number, country and name, with tabs between \
         them (the form of ip2asn-combined.tsv)"
    )]
    Line(u64),
    #[error("line {0}: the table has more than {RANGES_MAX} ranges")]
    TooLong(u64),
    #[error("more than one range in a hundred begins within another one, the first of them with {0}")]
    Overlap(IpAddr),
    #[error("there is no range in it")]
    Empty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<T> {
    first: T,
    last: T,
    place: Place,
}

impl Places {
    /// Whose network it is in; an IPv4 address within IPv6 counts as that (RFC 4291 §2.5.5.2).
    #[must_use]
    pub fn of(&self, client: IpAddr) -> Option<Place> {
        match client.to_canonical() {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        }
    }

    /// What the table calls a network, at most [`NAME_MAX`] octets of it.
    #[must_use]
    pub fn name(&self, asn: u32) -> Option<&str> {
        self.names.get(&asn).map(AsRef::as_ref)
    }

    /// How many ranges it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Reading {
    /// Takes the next line, without its end. Empty ones, and those that begin with `#`, say nothing.
    ///
    /// # Errors
    /// [`PlacesError`]: such a file is not used at all, because half a table would make half of the world strange.
    pub fn line(&mut self, line: &str) -> Result<(), PlacesError> {
        self.line += 1;
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let wrong = || PlacesError::Line(self.line);
        let mut fields = line.splitn(5, '\t');
        let mut field = || fields.next().ok_or_else(wrong);
        let (first, last, asn, country, name) = (field()?, field()?, field()?, field()?, field()?);
        let asn = asn.parse::<u32>().map_err(|_| wrong())?;
        let place = Place { asn, country: Country::parse(country) };
        match (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.places.v4.push(Range { first: first.to_bits(), last: last.to_bits(), place });
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.places.v6.push(Range { first: first.to_bits(), last: last.to_bits(), place });
            }
            _ => return Err(wrong()),
        }
        if RANGES_MAX < self.places.len() {
            return Err(PlacesError::TooLong(self.line));
        }
        if !name.is_empty() {
            self.places.names.entry(asn).or_insert_with(|| name[..name.floor_char_boundary(NAME_MAX)].into());
        }
        Ok(())
    }

    /// The whole table. Where two ranges overlap, which happens in tables of the whole Internet, the one that begins later holds, and
    /// the other one ends before it.
    ///
    /// # Errors
    /// Where more than one in a hundred does that, or there is none.
    pub fn finish(self) -> Result<Places, PlacesError> {
        let mut places = self.places;
        places.v4.retain(|range| range.place.asn != NOBODY);
        places.v6.retain(|range| range.place.asn != NOBODY);
        if places.is_empty() {
            return Err(PlacesError::Empty);
        }
        let (ranges, mut within) = (places.len(), Vec::new());
        sort(&mut places.v4, |first| first - 1, |first| within.push(IpAddr::from(first.to_be_bytes())));
        sort(&mut places.v6, |first| first - 1, |first| within.push(IpAddr::from(first.to_be_bytes())));
        match within.first() {
            Some(first) if ranges < within.len() * OVERLAPS_ONE_IN => Err(PlacesError::Overlap(*first)),
            _ => Ok(places),
        }
    }
}

impl Country {
    /// From its letters; anything else is no country (`None`, `Unknown`, `-`).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()])
            }
            _ => Self::default(),
        }
    }

    /// None where it is not known.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|_| self.0 != [0; 2])
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or_default())
    }
}

fn find<T: Ord + Copy>(ranges: &[Range<T>], address: T) -> Option<Place> {
    let behind = ranges.partition_point(|range| range.first <= address);
    let range = ranges[..behind].last()?;
    (address <= range.last).then_some(range.place)
}

/// Sorts, ends each range before the next one begins, and tells of each that began within another one. Of those that begin
/// together the last of the table holds.
fn sort<T: Ord + Copy>(ranges: &mut Vec<Range<T>>, before: impl Fn(T) -> T, mut within: impl FnMut(T)) {
    ranges.sort_by_key(|range| range.first);
    ranges.dedup_by(|later, earlier| {
        let together = later.first == earlier.first;
        if together {
            within(later.first);
            *earlier = *later;
        }
        together
    });
    for at in 1..ranges.len() {
        let next = ranges[at].first;
        if next <= ranges[at - 1].last {
            within(next);
            ranges[at - 1].last = before(next);
        }
    }
}

/// The number of ranges that belong to nobody.
const NOBODY: u32 = 0;
/// The Internet has some 700 000 of them. More is another file, and each takes up to 48 octets.
pub const RANGES_MAX: usize = 4_000_000;
/// One or two ranges overlap in real tables of half a million; where one in so many does, it is another file.
const OVERLAPS_ONE_IN: usize = 100;
/// Octets of a name that are kept.
pub const NAME_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# a comment\n\
                         203.0.113.0\t203.0.113.255\t64501\tfr\tBEISPIEL-NETZ Example Telecom\n\
                         192.0.2.0\t192.0.2.127\t64500\tDE\tEXAMPLE\n\
                         192.0.2.128\t192.0.2.255\t0\tNone\tNot routed\n\
                         \n\
                         198.51.100.0\t198.51.100.0\t64502\tUnknown\t\n\
                         2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t64501\tFR\tBEISPIEL-NETZ Example Telecom\n";

    fn read(table: &str) -> Result<Places, PlacesError> {
        let mut reading = Reading::default();
        table.lines().try_for_each(|line| reading.line(line))?;
        reading.finish()
    }

    #[test]
    fn an_address_is_in_the_network_whose_range_holds_it() {
        let places = read(TABLE).unwrap();
        #[track_caller]
        fn check(places: &Places, client: &str, want: Option<(u32, &str)>) {
            let found = places.of(client.parse().unwrap());
            assert_eq!(found.map(|place| (place.asn, place.country.to_string())), want.map(|(n, c)| (n, c.to_owned())));
        }
        check(&places, "192.0.2.0", Some((64500, "DE")));
        check(&places, "192.0.2.127", Some((64500, "DE")));
        check(&places, "::ffff:192.0.2.9", Some((64500, "DE")));
        check(&places, "192.0.2.128", None);
        check(&places, "192.0.1.255", None);
        check(&places, "198.51.100.0", Some((64502, "")));
        check(&places, "203.0.113.9", Some((64501, "FR")));
        check(&places, "255.255.255.255", None);
        check(&places, "2001:db8:1::1", Some((64501, "FR")));
        check(&places, "2001:db9::", None);
        assert_eq!((places.len(), places.name(64501)), (4, Some("BEISPIEL-NETZ Example Telecom")));
        assert_eq!(places.name(64502), None);
    }

    #[test]
    fn a_file_that_is_another_one_is_not_used() {
        #[track_caller]
        fn check(table: &str, want: PlacesError) {
            assert_eq!(read(table), Err(want), "{table}");
        }
        check("", PlacesError::Empty);
        check("192.0.2.0\t192.0.2.255\t0\tNone\tNot routed", PlacesError::Empty);
        check("#\n192.0.2.0,192.0.2.255,1,FR,X", PlacesError::Line(2));
        check("192.0.2.0\t192.0.2.255\tFR", PlacesError::Line(1));
        check("192.0.2.9\t192.0.2.1\t1\tFR\tX", PlacesError::Line(1));
        check("192.0.2.9\t2001:db8::\t1\tFR\tX", PlacesError::Line(1));
        check("192.0.2.0\t192.0.2.9\t-1\tFR\tX", PlacesError::Line(1));
        let within = "192.0.2.0\t192.0.2.9\t1\tFR\tX\n192.0.2.9\t192.0.2.9\t2\tFR\tX";
        check(within, PlacesError::Overlap([192, 0, 2, 9].into()));
        let within = "2001:db8::\t2001:db8::9\t1\tFR\tX\n2001:db8::9\t2001:db8::9\t2\tFR\tX";
        check(within, PlacesError::Overlap("2001:db8::9".parse().unwrap()));
    }

    #[test]
    fn a_table_in_which_few_ranges_overlap_is_used() {
        let mut table: String =
            (0..400).map(|n| format!("10.{}.{}.0\t10.{0}.{1}.255\t{}\tFR\tX\n", n / 200, n % 200, n + 1)).collect();
        table.push_str("10.0.7.128\t10.0.9.255\t64500\tFR\tX\n10.1.7.0\t10.1.7.15\t64501\tFR\tX\n");
        let places = read(&table).unwrap();
        let asn = |address: [u8; 4]| places.of(address.into()).map(|place| place.asn);
        assert_eq!(
            [asn([10, 0, 7, 127]), asn([10, 0, 7, 128]), asn([10, 0, 7, 255])],
            [Some(8), Some(64500), Some(64500)]
        );
        assert_eq!([asn([10, 0, 8, 0]), asn([10, 0, 9, 255]), asn([10, 0, 10, 0])], [Some(9), Some(10), Some(11)]);
        assert_eq!([asn([10, 1, 7, 15]), asn([10, 1, 7, 16])], [Some(64501), None]);
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let places = read(&format!("192.0.2.0\t192.0.2.9\t1\tFR\t{}", "é".repeat(200))).unwrap();
        assert_eq!(places.name(1).map(str::len), Some(NAME_MAX));
    }
}
