//! Pages: a cursor says where the next one begins, and nobody has to understand it.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::operation::{After, Answer, Given, Operation};
use super::problem::Problem;
use super::schema::Wrong;

/// What becomes of an answer.
pub(super) enum Paging {
    Whole,
    Page { of: Option<&'static str>, after: After, limit: usize, from: Option<Value> },
}

/// Takes limit and cursor out of what was given, and says to the node where to begin, where it cuts pages itself.
pub(super) fn begin(operation: &Operation, given: &mut Given) -> Result<Paging, Problem> {
    let Answer::Page { of, after, .. } = operation.answer else { return Ok(Paging::Whole) };
    let limit = given.remove("limit").and_then(|limit| limit.as_u64()).and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(LIMIT);
    let cursor = given.remove("cursor").and_then(|cursor| cursor.as_str().map(str::to_owned));
    let from = cursor.map(|cursor| decode(&cursor)).transpose()?;
    match after {
        After::Fields(_) => {}
        After::Recipient => {
            let place = from.clone().unwrap_or_else(|| json!([0, null]));
            given.insert("after".to_owned(), place[0].clone());
            given.insert("after_index".to_owned(), place[1].clone());
            given.insert("limit".to_owned(), limit.into());
        }
        After::Line => {
            given.insert("before".to_owned(), from.clone().unwrap_or_default());
            given.insert("limit".to_owned(), limit.into());
        }
        After::Told => {
            let first = json!({ "lists": false, "tag": "", "list": "", "org": "" });
            given.insert("after".to_owned(), from.clone().unwrap_or(first));
        }
    }
    Ok(Paging::Page { of, after, limit, from })
}

impl Paging {
    /// The page, with the cursor of the next one.
    pub(super) fn cut(self, mut value: Value) -> Value {
        let Self::Page { of, after, limit, from } = self else { return value };
        let told = value.get("next").cloned().unwrap_or_default();
        let list = match of {
            Some(of) => value[of].take(),
            None => value,
        };
        let Value::Array(mut items) = list else { return json!({ "items": [], "next": null }) };
        let next = match after {
            After::Fields(fields) => {
                let key = |item: &Value| Value::Array(fields.iter().map(|field| item[*field].clone()).collect());
                items.sort_by(|a, b| compare(&key(a), &key(b)));
                if let Some(from) = from {
                    items.retain(|item| compare(&key(item), &from) == Ordering::Greater);
                }
                let more = limit < items.len();
                items.truncate(limit);
                items.last().filter(|_| more).map(key)
            }
            After::Recipient if items.len() == limit => items.last().map(|last| json!([last["mail"], last["index"]])),
            After::Line if items.len() == limit => items.last().map(|last| last["id"].clone()),
            After::Told => Some(told).filter(|told| !told.is_null()),
            After::Recipient | After::Line => None,
        };
        json!({ "items": items, "next": next.map(|next| encode(&next)) })
    }
}

/// In the order of their texts.
fn compare(one: &Value, other: &Value) -> Ordering {
    let texts = |key: &Value| -> Vec<String> {
        key.as_array().into_iter().flatten().map(|part| part.as_str().unwrap_or_default().to_owned()).collect()
    };
    texts(one).cmp(&texts(other))
}

fn encode(place: &Value) -> String {
    URL_SAFE_NO_PAD.encode(place.to_string())
}

fn decode(cursor: &str) -> Result<Value, Problem> {
    let wrong = || Wrong { pointer: "/cursor".to_owned(), why: "is none that was given out".to_owned() };
    let octets = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    Ok(serde_json::from_slice(&octets).map_err(|_| wrong())?)
}

/// Entries of a page where nobody says how many.
const LIMIT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap_though_the_list_changes() {
        let page = |from: Option<Value>, names: &[&str]| {
            let items: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
            let paging = Paging::Page { of: Some("list"), after: After::Fields(&["name"]), limit: 2, from };
            let cut = paging.cut(json!({ "list": items }));
            let names: Vec<String> =
                cut["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().into()).collect();
            (names.join(" "), cut["next"].as_str().map(|next| decode(next).unwrap()))
        };
        let (first, next) = page(None, &["d", "a", "c", "b"]);
        assert_eq!(first, "a b");
        let (second, next) = page(next, &["a", "bb", "c", "d", "e"]);
        assert_eq!(second, "bb c");
        let (third, next) = page(next, &["d", "e"]);
        assert_eq!((&third[..], next), ("d e", None));
    }

    #[test]
    fn a_cursor_of_somebody_s_own_is_refused() {
        for bad in ["?", "eyJ", "AAAA"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        assert_eq!(decode(&encode(&json!([7, 1]))).unwrap(), json!([7, 1]));
    }
}
