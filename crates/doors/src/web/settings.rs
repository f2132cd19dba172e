//! The settings of the node with their source: the configuration file, or the default.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sm2tp_rules::access::{self, Action, Area};

use super::frame::{Frame, Screen, show};
use super::trouble;
use super::visitor::Visitor;
use crate::control::Problem;
use crate::http::Door;

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
    /// What it means, in English, as the example of the configuration says it.
    pub about: String,
}

#[derive(Template)]
#[template(path = "web/settings.html")]
struct Page {
    f: Frame,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    settings: Vec<Setting>,
}

/// `GET /settings`
pub(super) async fn page(State(shared): Door, visitor: Visitor) -> Result<Response, Response> {
    let f = visitor.frame(&shared, Screen::Settings);
    let role = &visitor.person.role;
    if let Err(why) = access::may(role, role.org(), Action::see(Area::Settings)) {
        return Err(trouble::problem(f, &Problem::Forbidden(why)));
    }
    let mut sections: Vec<Section> = Vec::new();
    for setting in shared.settings.iter() {
        if sections.last().is_none_or(|section| section.name != setting.section) {
            sections.push(Section { name: setting.section.clone(), settings: Vec::new() });
        }
        if let Some(section) = sections.last_mut() {
            section.settings.push(setting.clone());
        }
    }
    Ok(show(StatusCode::OK, visitor.lang, &Page { f, sections }))
}
