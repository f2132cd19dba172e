//! Forms with a file (RFC 7578): read whole within a limit, for who is logged in and with the token of the session.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::form::{self, Sent};
use super::frame::Screen;
use super::trouble;
use super::visitor::Visitor;
use crate::http::{Asked, Shared};

/// A form of ours with its file; fields as [`Sent`] has them.
pub(super) struct Uploaded {
    pub sent: Sent,
    /// Of the first field with the name of a file; none where nothing was chosen.
    pub file: Option<Vec<u8>>,
}

impl FromRequest<Arc<Shared>> for Uploaded {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, shared).await?;
        let (headers, fine) = (parts.headers.clone(), form::comes_from_here(&parts.headers));
        let asked = Asked::read(Request::from_parts(parts, body), UPLOAD_OCTETS_MAX).await;
        let asked = asked.map_err(IntoResponse::into_response)?;
        let (fields, file) = boundary(&headers).map(|boundary| read(&asked.body, &boundary)).unwrap_or_default();
        let frame = |visitor: &Visitor| visitor.frame(shared, Screen::Suppression);
        let sent = Sent::proved(visitor, fields, fine);
        let sent = sent.map_err(|visitor| trouble::page(StatusCode::FORBIDDEN, frame(&visitor), "trouble-form", ""))?;
        Ok(Self { sent, file })
    }
}

/// What stands between the parts.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let named = named.trim_matches('"');
    (1..=BOUNDARY_OCTETS_MAX).contains(&named.len()).then(|| named.to_owned())
}

/// Fields and the file; a part that is broken is left out.
fn read(body: &[u8], boundary: &str) -> (Vec<(String, String)>, Option<Vec<u8>>) {
    let (mut fields, mut file) = (Vec::new(), None);
    let between = format!("\r\n--{boundary}");
    // The first one has no line before it.
    let mut rest = body.strip_prefix(&between.as_bytes()[2..]).unwrap_or_default();
    for _ in 0..PARTS_MAX {
        let Some(part) = rest.strip_prefix(b"\r\n") else { break };
        let Some(end) = find(part, between.as_bytes()) else { break };
        rest = &part[end + between.len()..];
        let Some(head_end) = find(&part[..end], b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let content = &part[head_end + 4..end];
        let Some(name) = parameter(&head, "name") else { continue };
        match parameter(&head, "filename") {
            // What was not chosen has no name.
            Some(chosen) if !chosen.is_empty() && file.is_none() => file = Some(content.to_vec()),
            Some(_) => {}
            None => fields.push((name, String::from_utf8_lossy(content).into_owned())),
        }
    }
    (fields, file)
}

/// Of the line `Content-Disposition`. Browsers write a quote as %22 (WHATWG), so that the next quote ends it.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let (_, rest) = line.split_once(&format!("; {name}=\""))?;
    Some(rest.split('"').next()?.to_owned())
}

fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|window| window == wanted)
}

/// Some hundred thousand addresses; whoever has more imports them with the command line, which reads without an end.
const UPLOAD_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// RFC 2046 §5.1.1.
const BOUNDARY_OCTETS_MAX: usize = 70;
const PARTS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_a_file_are_read() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\nabc\r\n--x\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\na@x.example\r\n--y\r\n\
            \r\n--x\r\nContent-Disposition: form-data; name=\"what\"\r\n\r\n\r\n--x--\r\n";
        let (fields, file) = read(body.as_bytes(), "x");
        assert_eq!(fields, [("form".to_owned(), "abc".to_owned()), ("what".to_owned(), String::new())]);
        assert_eq!(file.as_deref(), Some(&b"a@x.example\r\n--y\r\n"[..]));
    }

    #[test]
    fn what_is_broken_is_nothing() {
        for body in ["", "--x", "--x--", "x", "--x\r\n\r\n", "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"]
        {
            assert_eq!(read(body.as_bytes(), "x"), (Vec::new(), None), "{body:?}");
        }
        let unchosen = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--x--\r\n";
        assert_eq!(read(unchosen.as_bytes(), "x"), (Vec::new(), None));
        let many = format!("--x{}", "\r\n\r\n\r\n--x".repeat(10_000));
        assert_eq!(read(many.as_bytes(), "x"), (Vec::new(), None));
    }

    #[test]
    fn the_boundary_stands_in_the_kind() {
        let of = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", kind.parse().unwrap());
            boundary(&headers)
        };
        assert_eq!(of("multipart/form-data; boundary=----a"), Some("----a".to_owned()));
        assert_eq!(of("multipart/form-data; charset=x; boundary=\"a b\""), Some("a b".to_owned()));
        for none in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
