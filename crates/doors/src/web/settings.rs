//! The settings of the node with their source: the configuration file, the default, or what persons set, which stands in the
//! database.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::asks::{rows, text};
use super::form::encoded;
use super::frame::{Frame, Screen, show};
use super::visitor::Visitor;
use crate::control::Request;
use crate::http::{Door, Lang};

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As it stands between the brackets; empty for the keys before the first section.
    pub section: String,
    pub key: String,
    /// What the file says; none: it does not.
    pub given: Option<String>,
    /// What holds otherwise; none: nothing does.
    pub default: Option<String>,
    /// What could be there, of a key without a default.
    pub example: Option<String>,
    /// What it means, in English, as the example of the configuration says it, and in French.
    pub about: String,
    pub about_fr: String,
}

#[derive(Template)]
#[template(path = "web/settings.html")]
struct Page {
    f: Frame,
    sections: Vec<Section>,
    own: Vec<Own>,
}

struct Section {
    name: String,
    settings: Vec<Row>,
}

struct Row {
    key: String,
    about: String,
    value: String,
    default: String,
    example: String,
    source: String,
}

/// What a person set for an organisation or a login.
struct Own {
    org: String,
    path: String,
    login: String,
    key: String,
    value: String,
}

/// `GET /settings`
pub(super) async fn page(State(shared): Door, visitor: Visitor) -> Result<Response, Response> {
    let value = visitor.ask_for(&shared, Screen::Settings, Request::SettingList).await?;
    let f = visitor.frame(&shared, Screen::Settings);
    let (mut sections, mut own): (Vec<Section>, Vec<Own>) = (Vec::new(), Vec::new());
    for row in rows(&value) {
        if text(row, "source") == "database" {
            own.push(of_person(row));
            continue;
        }
        let name = text(row, "section");
        if sections.last().is_none_or(|section| section.name != name) {
            sections.push(Section { name: name.to_owned(), settings: Vec::new() });
        }
        if let Some(section) = sections.last_mut() {
            section.settings.push(of_file(row, visitor.lang));
        }
    }
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, sections, own }))
}

fn of_file(row: &Value, lang: Lang) -> Row {
    let about = match lang {
        Lang::En => "about",
        Lang::Fr => "about_fr",
    };
    Row {
        key: text(row, "key").to_owned(),
        about: text(row, about).to_owned(),
        value: text(row, "value").to_owned(),
        default: text(row, "default").to_owned(),
        example: text(row, "example").to_owned(),
        source: text(row, "source").to_owned(),
    }
}

fn of_person(row: &Value) -> Own {
    let value = &row["value"];
    let org = text(row, "org");
    Own {
        org: org.to_owned(),
        path: format!("/orgs/show?name={}", encoded(org)),
        login: text(row, "login").to_owned(),
        key: text(row, "key").to_owned(),
        value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}
