//! Forms with a file: read whole within a limit, for who is logged in and with the token of the session.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use sm2tp_proto::multipart;

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
        let (fields, file) = read(&headers, &asked.body);
        let frame = |visitor: &Visitor| visitor.frame(shared, Screen::Suppression);
        let sent = Sent::proved(visitor, fields, fine);
        let sent = sent.map_err(|visitor| trouble::not_ours(frame(&visitor)))?;
        Ok(Self { sent, file })
    }
}

/// Fields and the first file that was chosen.
fn read(headers: &HeaderMap, body: &[u8]) -> (Vec<(String, String)>, Option<Vec<u8>>) {
    let (mut fields, mut file) = (Vec::new(), None);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(boundary) = kind.and_then(multipart::boundary) else { return (fields, file) };
    for part in multipart::parts(body, boundary, PARTS_MAX) {
        match part.file {
            // What was not chosen has no name.
            Some(chosen) if !chosen.is_empty() && file.is_none() => file = Some(part.content.to_vec()),
            Some(_) => {}
            None => fields.push((part.name, String::from_utf8_lossy(part.content).into_owned())),
        }
    }
    (fields, file)
}

/// Some hundred thousand addresses; whoever has more imports them with the command line, which reads without an end.
const UPLOAD_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// More than any form of ours has fields.
const PARTS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_was_chosen_is_taken_and_everything_else_is_a_field() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
        let part =
            |head: &str, content: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
        let body = [
            part("name=\"form\"", "abc"),
            part("name=\"none\"; filename=\"\"", ""),
            part("name=\"file\"; filename=\"a.csv\"", "one"),
            part("name=\"file\"; filename=\"b.csv\"", "two"),
            "--x--".to_owned(),
        ];
        let (fields, file) = read(&headers, body.concat().as_bytes());
        assert_eq!(fields, [("form".to_owned(), "abc".to_owned())]);
        assert_eq!(file.as_deref(), Some(&b"one"[..]));
        headers.insert("content-type", "text/plain; boundary=x".parse().unwrap());
        assert_eq!(read(&headers, body.concat().as_bytes()), (Vec::new(), None));
    }
}
