//! Forms: what was sent, read within a limit and for who is logged in; and how values are written into addresses.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::trouble;
use super::visitor::Visitor;
use crate::http::{Asked, Refusal, Shared, decoded};

/// The fields of a form, or of the query of an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

/// A form that a person sent from one of our pages: it carries the token of the session. Nothing else makes one.
pub(super) struct Sent {
    pub visitor: Visitor,
    pub fields: Fields,
}

impl Fields {
    /// From `application/x-www-form-urlencoded`; what is broken is left out.
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.split('&').take(FIELDS_MAX).filter_map(|pair| pair.split_once('='));
        Self(pairs.filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?))).collect())
    }

    /// The value of a field, without spaces around it; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The value as it was typed: passwords may begin with a space.
    pub(super) fn whole(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// None where it is empty.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

/// Those of the address.
impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl FromRequest<Arc<Shared>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, shared).await?;
        let fine = comes_from_here(&parts.headers);
        let asked = Asked::read(Request::from_parts(parts, body), BODY_OCTETS_MAX).await;
        let asked = asked.map_err(IntoResponse::into_response)?;
        let Fields(fields) = Fields::read(&String::from_utf8_lossy(&asked.body));
        Self::proved(visitor, fields, fine).map_err(|visitor| {
            let frame = visitor.frame(shared, super::frame::Screen::Account);
            trouble::not_ours(frame)
        })
    }
}

impl Sent {
    /// Where it comes from a page of ours, and has the token of this session.
    pub(super) fn proved(visitor: Visitor, fields: Vec<(String, String)>, is_ours: bool) -> Result<Self, Box<Visitor>> {
        let fields = Fields(fields);
        match is_ours && is_same(fields.text(TOKEN), &visitor.form_token) {
            true => Ok(Self { visitor, fields }),
            false => Err(Box::new(visitor)),
        }
    }
}

/// A form of ours, as far as the browser tells: what another site sends has its name in `Origin`. A program that is no
/// browser says nothing, and has no cookie that a person did not give it.
pub(super) fn comes_from_here(headers: &HeaderMap) -> bool {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = field("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    field("origin").is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    })
}

/// A form of a page without a session, such as that of the login.
pub(super) async fn read(request: Request) -> Result<Fields, Refusal> {
    if !comes_from_here(request.headers()) {
        return Err(Refusal::Forbidden("this form was sent by a page of another site"));
    }
    let asked = Asked::read(request, BODY_OCTETS_MAX).await?;
    Ok(Fields::read(&String::from_utf8_lossy(&asked.body)))
}

/// As part of an address.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(octet)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Where to go after a form: a path of ours, whatever was asked for.
pub(super) fn back(path: &str) -> &str {
    let is_ours = path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|b| b.is_ascii_graphic());
    if is_ours && !path.contains('\\') { path } else { "/" }
}

/// In a time that does not tell how much is right.
fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The name of the hidden field.
pub(super) const TOKEN: &str = "form";
/// A note, an address, some words.
const BODY_OCTETS_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_broken_ones_left_out() {
        let fields = Fields::read("a=1&note=+deux+mots%20&b=%zz&c&d=x%3Dy&a=2");
        assert_eq!((fields.text("a"), fields.text("note"), fields.whole("note")), ("1", "deux mots", " deux mots "));
        assert_eq!((fields.given("b"), fields.given("c"), fields.text("d")), (None, None, "x=y"));
    }

    #[test]
    fn one_goes_back_to_pages_of_this_node_only() {
        for fine in ["/", "/queue?org=a%20b", "/a//b"] {
            assert_eq!(back(fine), fine);
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a b", "/\r\nx"]
        {
            assert_eq!(back(foreign), "/", "{foreign:?}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_known_by_what_browsers_say() {
        let check = |fields: &[(&'static str, &str)], want| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "relay.example.org".parse().unwrap());
            fields.iter().for_each(|(name, value)| drop(headers.insert(*name, value.parse().unwrap())));
            assert_eq!(comes_from_here(&headers), want, "{fields:?}");
        };
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "https://relay.example.org")], false);
        check(&[("origin", "https://Relay.example.org")], true);
        check(&[("origin", "https://relay.example.org.evil.example")], false);
        check(&[("origin", "null")], false);
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_same("abc", "abc"));
        for other in ["", "ab", "abcd", "abd"] {
            assert!(!is_same(other, "abc"), "{other}");
        }
        assert_eq!(encoded("/queue?a=é b"), "%2Fqueue%3Fa%3D%C3%A9%20b");
    }
}
