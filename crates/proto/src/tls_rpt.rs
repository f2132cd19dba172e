//! Where a domain wants reports about TLS to its servers (RFC 8460 §3).

use crate::Address;
use crate::mta_sts::fields_after;

/// One place for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Mail(Address),
    /// An address that begins with `https://`.
    Https(String),
}

/// The destinations of the one `_smtp._tls` record among these TXT records, in its order; empty where there is no such
/// record, more than one, or none of its places is of a kind that is known.
#[must_use]
pub fn destinations<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Destination> {
    let mut records = texts.into_iter().filter_map(|text| fields_after(text, "v=TLSRPTv1"));
    let (Some(record), None) = (records.next(), records.next()) else { return Vec::new() };
    let mut fields = record.split(';').filter_map(|field| field.split_once('='));
    let Some((_, places)) = fields.find(|(key, _)| key.trim() == "rua") else { return Vec::new() };
    places.split(',').filter_map(|place| destination(place.trim())).take(DESTINATIONS_MAX).collect()
}

fn destination(place: &str) -> Option<Destination> {
    if place.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        let plain = place.len() <= URL_OCTETS_MAX && place.bytes().all(|byte| byte.is_ascii_graphic());
        return plain.then(|| Destination::Https(place.to_owned()));
    }
    let (scheme, address) = place.split_once(':')?;
    // RFC 6068 allows `?subject=…` after the address; nothing of it is wanted here.
    let address = address.split('?').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("mailto").then(|| Address::parse(address).ok())?.map(Destination::Mail)
}

/// More are a way to make us write to many.
const DESTINATIONS_MAX: usize = 3;
const URL_OCTETS_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_order_and_foreign_ones_passed_over() {
        let mail = |text: &str| Destination::Mail(Address::parse(text).unwrap());
        let read = |text: &str| destinations([text]);
        assert_eq!(read("v=TLSRPTv1; rua=mailto:tls@example.org"), [mail("tls@example.org")]);
        let both = "v=TLSRPTv1;rua=https://reports.example/x?y=1 , gopher:a, MAILTO:a@b.example?subject=x;";
        assert_eq!(read(both), [Destination::Https("https://reports.example/x?y=1".into()), mail("a@b.example")]);
        for none in
            ["", "v=TLSRPTv1", "v=TLSRPTv1; rua=", "v=TLSRPTv12; rua=mailto:a@b.example", "rua=mailto:a@b.example"]
        {
            assert_eq!(read(none), [], "{none}");
        }
        assert_eq!(destinations(["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@b.example"]), []);
        let many = format!("v=TLSRPTv1; rua={}", ["mailto:a@b.example"; 10].join(","));
        assert_eq!(read(&many).len(), DESTINATIONS_MAX);
    }
}
