//! What a request brings: path, query and body, read within their limits and checked by the table.

use std::time::Duration;

use axum::body::Body as Octets;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::operation::{Body, Given, Operation};
use super::problem::Problem;
use super::schema::{Field, Wrong, check_fields};

/// All that was given, together; and a message as it is.
pub(super) async fn read(
    operation: &Operation,
    parts: &mut Parts,
    body: Octets,
    mail_octets_max: usize,
) -> Result<(Given, Vec<u8>), Problem> {
    let mut given = Map::new();
    if !operation.path_fields.is_empty() {
        let in_path = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
        let Path(in_path) = in_path.map_err(|_| Problem::bad("the path is no text"))?;
        given = texts(operation.path_fields, in_path)?;
    }
    let in_query = Query::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
    let Query(in_query) = in_query.map_err(|_| Problem::bad("the query is no list of names and values"))?;
    given.extend(texts(operation.query, in_query)?);
    let body_of = match operation.body {
        Body::Json(fields, octets_max) => Some((fields, octets_max)),
        Body::Mail(fields) => Some((fields, mail_octets_max)),
        Body::Nothing | Body::Message | Body::Lines(_) => None,
    };
    if let Some((fields, octets_max)) = body_of {
        let octets = octets(&parts.headers, body, octets_max).await?;
        if octets.is_empty() {
            check_fields(fields, &Map::new(), "")?;
            return Ok((given, octets));
        }
        content_type(&parts.headers, "application/json")?;
        let value: Value = serde_json::from_slice(&octets).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "no-json", format!("the body is no JSON: {error}"))
        })?;
        let Value::Object(value) = value else {
            return Err(Wrong { pointer: String::new(), why: "is no object".to_owned() }.into());
        };
        check_fields(fields, &value, "")?;
        given.extend(value);
    } else if matches!(operation.body, Body::Message) {
        content_type(&parts.headers, "message/rfc822")?;
        return Ok((given, octets(&parts.headers, body, mail_octets_max).await?));
    } else if let Body::Lines(octets_max) = operation.body {
        content_type(&parts.headers, "text/plain")?;
        return Ok((given, octets(&parts.headers, body, octets_max).await?));
    }
    Ok((given, Vec::new()))
}

/// Parameters as what they mean; each once.
fn texts(fields: &[Field], pairs: Vec<(String, String)>) -> Result<Given, Problem> {
    let mut given = Map::new();
    for (name, text) in pairs {
        let value = fields
            .iter()
            .find(|field| field.name == name)
            .map_or_else(|| Value::Null, |field| field.schema.read(&text));
        if given.insert(name.clone(), value).is_some() {
            return Err(Wrong { pointer: format!("/{name}"), why: "is there twice".to_owned() }.into());
        }
    }
    check_fields(fields, &given, "")?;
    Ok(given)
}

/// How long the body is, where the request says it, and it is not too long.
pub(super) fn announced(headers: &HeaderMap, octets_max: usize) -> Result<Option<usize>, Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| octets_max < length) { Err(too_large(octets_max)) } else { Ok(length) }
}

fn too_large(octets_max: usize) -> Problem {
    let detail = format!("the body has more than {octets_max} octets");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

/// The whole body, in time, or nothing of it.
async fn octets(headers: &HeaderMap, body: Octets, octets_max: usize) -> Result<Vec<u8>, Problem> {
    announced(headers, octets_max)?;
    match timeout(BODY_MAX, crate::http::body::read(body, octets_max)).await {
        Ok(Some(octets)) => Ok(octets),
        // Longer than it said, or broken off: there is nobody to answer in the second case.
        Ok(None) => Err(too_large(octets_max)),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time")),
    }
}

/// What the body says that it is. A form of another site's page cannot say JSON.
fn content_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = said.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let detail = format!("the body must be {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail))
}

/// A body arrives in this time or not at all.
const BODY_MAX: Duration = Duration::from_secs(30);
