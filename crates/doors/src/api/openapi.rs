//! The OpenAPI 3.1 document, made from the table that makes the routes.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::operation::{Answer, Body, Operation};
use super::operations::OPERATIONS;
use super::problem;
use super::schema::{Field, Need, Schema};

/// The document as text; the same for every node of this version.
pub(super) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| document().to_string())
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(format!("/api/v1{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method.as_str()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SM2TP",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that the command line can do, for programs. docs/api.md explains tokens, pages and problems.",
            "license": { "name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "sm2tp token new" } },
            "schemas": { "Problem": problem_schema() },
            "responses": {
                "Problem": {
                    "description": "Why it was not done (RFC 9457).",
                    "content": { problem::CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
                },
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let in_path = operation.path_fields.iter().map(|field| parameter(field, "path"));
    let in_query = operation.query.iter().map(|field| parameter(field, "query"));
    let kind = if matches!(operation.answer, Answer::Events) { "text/event-stream" } else { "application/json" };
    let in_head = operation.headers.iter().map(|field| parameter(field, "header"));
    let mut told = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation)],
        "parameters": in_path.chain(in_query).chain(in_head).collect::<Vec<_>>(),
        "responses": {
            operation.success().as_str(): {
                "description": "Done.",
                "content": { kind: { "schema": answer(&operation.answer) } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let Some(scope) = operation.scope {
        told["description"] = format!("Needs the scope {scope}.").into();
    }
    let content = match operation.body {
        Body::Nothing => None,
        Body::Json(fields, _) | Body::Mail(fields) => {
            Some(json!({ "application/json": { "schema": Schema::Object(fields).json() } }))
        }
        Body::Lines(_) => Some(json!({ "text/plain": { "schema": { "type": "string" } } })),
        Body::Message => Some(json!({ "message/rfc822": { "schema": { "type": "string" } } })),
    };
    if let Some(content) = content {
        told["requestBody"] = json!({ "required": true, "content": content });
    }
    told
}

fn parameter(field: &Field, place: &str) -> Value {
    json!({
        "name": field.name,
        "in": place,
        "required": field.need == Need::Yes,
        "description": field.what,
        "schema": field.schema.json(),
    })
}

fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::One(schema) => schema.answer(),
        Answer::Events => json!({ "type": "string" }),
        Answer::Page { item, .. } => json!({
            "type": "object",
            "properties": {
                "items": { "type": "array", "items": item.answer() },
                "next": { "type": ["string", "null"], "description": "The cursor of the next page." },
            },
            "required": ["items", "next"],
        }),
    }
}

/// The first part of the path.
fn tag(operation: &Operation) -> &'static str {
    operation.path.split('/').nth(1).unwrap_or_default()
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "description": "One word for programs." },
            "detail": { "type": "string", "description": "A sentence for people." },
            "pointer": { "type": "string", "description": "What part of the request is meant (RFC 6901)." },
        },
        "required": ["type", "title", "status", "code", "detail"],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_names_what_its_path_needs() {
        let mut names = BTreeSet::new();
        for operation in OPERATIONS {
            assert!(names.insert(operation.id), "{} twice", operation.id);
            let in_path: Vec<&str> = operation
                .path
                .split('/')
                .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
                .collect();
            let named: Vec<&str> = operation.path_fields.iter().map(|field| field.name).collect();
            assert_eq!(in_path, named, "{}", operation.id);
            if let Some(scope) = operation.scope {
                scope.parse::<sm2tp_rules::access::Action>().unwrap();
            }
        }
    }
}
