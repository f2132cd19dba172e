//! What JSON may look like: one description that checks what comes in and is printed in the OpenAPI document.

use serde_json::{Map, Value, json};

/// A kind of value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Schema {
    /// Of so many octets at most.
    Text(usize),
    /// One of these.
    Word(&'static [&'static str]),
    /// Between the two.
    Whole(u64, u64),
    /// Between the two.
    Number(f64, f64),
    Flag,
    /// A list with so many entries at most.
    List(&'static Schema, usize),
    /// These fields and no others.
    Object(&'static [Field]),
    /// An object with whatever fields.
    Map,
    /// Whatever it is.
    Any,
}

/// A field of an object, or a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    pub schema: Schema,
    pub need: Need,
    pub what: &'static str,
}

/// Whether a field has to be there. One that need not may be null, which is the same as not being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Yes,
    No,
    /// It need not be there, and null is a value of its own: it takes away.
    Clears,
}

/// What is wrong with a value, and where (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub pointer: String,
    pub why: String,
}

pub(super) const fn must(name: &'static str, schema: Schema, what: &'static str) -> Field {
    Field { name, schema, need: Need::Yes, what }
}

pub(super) const fn may(name: &'static str, schema: Schema, what: &'static str) -> Field {
    Field { name, schema, need: Need::No, what }
}

pub(super) const fn clears(name: &'static str, schema: Schema, what: &'static str) -> Field {
    Field { name, schema, need: Need::Clears, what }
}

impl Schema {
    /// # Errors
    /// The first thing that is [`Wrong`].
    pub(super) fn check(&self, value: &Value, pointer: &str) -> Result<(), Wrong> {
        let wrong = |why: String| Err(Wrong { pointer: pointer.to_owned(), why });
        match (self, value) {
            (Self::Any, _) | (Self::Map, Value::Object(_)) | (Self::Flag, Value::Bool(_)) => Ok(()),
            (Self::Text(max), Value::String(text)) if text.len() <= *max => Ok(()),
            (Self::Text(max), Value::String(_)) => wrong(format!("has more than {max} octets")),
            (Self::Word(words), Value::String(word)) if words.contains(&&**word) => Ok(()),
            (Self::Word(words), _) => wrong(format!("is none of {}", words.join(", "))),
            (Self::Whole(min, max), Value::Number(number)) => match number.as_u64() {
                Some(number) if (*min..=*max).contains(&number) => Ok(()),
                _ => wrong(format!("is no whole number from {min} to {max}")),
            },
            (Self::Number(min, max), Value::Number(number)) => match number.as_f64() {
                Some(number) if (*min..=*max).contains(&number) => Ok(()),
                _ => wrong(format!("is no number from {min} to {max}")),
            },
            (Self::List(of, max), Value::Array(entries)) if entries.len() <= *max => {
                let mut each = entries.iter().enumerate();
                each.try_for_each(|(n, entry)| of.check(entry, &format!("{pointer}/{n}")))
            }
            (Self::List(_, max), Value::Array(_)) => wrong(format!("has more than {max} entries")),
            (Self::Object(fields), Value::Object(given)) => check_fields(fields, given, pointer),
            _ => wrong(format!("is no {}", self.kind())),
        }
    }

    /// A value that came as text, in a path or a query.
    pub(super) fn read(&self, text: &str) -> Value {
        match self {
            Self::Whole(..) => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
            Self::Number(..) => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
            Self::Flag => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
            _ => text.into(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Word(_) => "text",
            Self::Whole(..) => "whole number",
            Self::Number(..) => "number",
            Self::Flag => "true or false",
            Self::List(..) => "list",
            Self::Object(_) | Self::Map => "object",
            Self::Any => "value",
        }
    }

    /// In the words of JSON Schema, which OpenAPI 3.1 uses.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Text(max) => json!({ "type": "string", "maxLength": max }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::List(of, max) => json!({ "type": "array", "items": of.json(), "maxItems": max }),
            Self::Object(fields) => object(fields, false.into()),
            Self::Map => json!({ "type": "object" }),
            Self::Any => json!({}),
        }
    }

    /// Of an answer, which may have more fields in a later version.
    pub(super) fn answer(&self) -> Value {
        match self {
            Self::Object(fields) => object(fields, true.into()),
            Self::List(of, _) => json!({ "type": "array", "items": of.answer() }),
            Self::Text(_) => json!({ "type": "string" }),
            other => other.json(),
        }
    }
}

/// Checks the fields of an object: all that must be there, and no others than these.
pub(super) fn check_fields(fields: &[Field], given: &Map<String, Value>, pointer: &str) -> Result<(), Wrong> {
    let at = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    if let Some(name) = given.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let why =
            format!("is not known; there is {}", if known.is_empty() { "nothing".into() } else { known.join(", ") });
        return Err(Wrong { pointer: at(name), why });
    }
    for field in fields {
        match given.get(field.name) {
            None if field.need == Need::Yes => {
                return Err(Wrong { pointer: at(field.name), why: "is missing".to_owned() });
            }
            None => {}
            Some(Value::Null) if field.need != Need::Yes => {}
            Some(value) => field.schema.check(value, &at(field.name))?,
        }
    }
    Ok(())
}

fn object(fields: &[Field], more: Value) -> Value {
    let of = |field: &Field| {
        let mut schema = if more == true { field.schema.answer() } else { field.schema.json() };
        if field.need != Need::Yes {
            nullable(&mut schema);
        }
        if !field.what.is_empty() {
            schema["description"] = field.what.into();
        }
        (field.name.to_owned(), schema)
    };
    let needed: Vec<&str> = fields.iter().filter(|field| field.need == Need::Yes).map(|field| field.name).collect();
    let properties: Map<String, Value> = fields.iter().map(of).collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": more });
    if !needed.is_empty() {
        object["required"] = json!(needed);
    }
    object
}

fn nullable(schema: &mut Value) {
    if let Some(kind) = schema["type"].as_str().map(str::to_owned) {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THING: Schema = Schema::Object(&[
        must("name", Schema::Text(5), "Its name."),
        may("size", Schema::Whole(1, 9), ""),
        may("kinds", Schema::List(&Schema::Word(&["a", "b"]), 2), ""),
    ]);

    #[track_caller]
    fn check(value: Value, expected: Option<&str>) {
        let found = THING.check(&value, "").err().map(|wrong| format!("{} {}", wrong.pointer, wrong.why));
        assert_eq!(found.as_deref(), expected, "{value}");
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        check(json!({ "name": "x" }), None);
        check(json!({ "name": "x", "size": null, "kinds": ["a"] }), None);
        check(json!({}), Some("/name is missing"));
        check(json!({ "name": null }), Some("/name is no text"));
        check(json!({ "name": "longer" }), Some("/name has more than 5 octets"));
        check(json!({ "name": "x", "size": 10 }), Some("/size is no whole number from 1 to 9"));
        check(json!({ "name": "x", "size": -1 }), Some("/size is no whole number from 1 to 9"));
        check(json!({ "name": "x", "kinds": ["a", "c"] }), Some("/kinds/1 is none of a, b"));
        check(json!({ "name": "x", "kinds": ["a", "a", "a"] }), Some("/kinds has more than 2 entries"));
        check(json!({ "name": "x", "a/b": 1 }), Some("/a~1b is not known; there is name, size, kinds"));
        check(json!([]), Some(" is no object"));
    }

    #[test]
    fn it_is_printed_as_json_schema() {
        let printed = THING.json();
        assert_eq!(printed["required"], json!(["name"]));
        assert_eq!(printed["additionalProperties"], false);
        assert_eq!(printed["properties"]["size"], json!({ "type": ["integer", "null"], "minimum": 1, "maximum": 9 }));
        assert_eq!(THING.answer()["additionalProperties"], true);
    }

    #[test]
    fn texts_of_a_query_become_what_they_mean() {
        assert_eq!(Schema::Whole(0, 9).read("7"), 7);
        assert_eq!(Schema::Flag.read("true"), true);
        assert_eq!(Schema::Whole(0, 9).read("-7"), "-7");
    }
}
