//! The settings of the node with their source: the configuration file, the default, and what persons set, which stands in the
//! database.

use serde_json::{Value, json};
use sm2tp_rules::suppress::OfOrg;
use sm2tp_store::accounts::{Limits, Wishes};

use super::Problem;
use crate::House;

/// Those of the file and the defaults, then those of organisations and their logins.
pub(super) fn list(house: &House) -> Result<Value, Problem> {
    let of_file = house.settings.iter().map(|setting| {
        let source = match (&setting.given, &setting.default) {
            (Some(_), _) => "file",
            (None, Some(_)) => "default",
            (None, None) => "none",
        };
        json!({
            "section": setting.section,
            "key": setting.key,
            "value": setting.given.as_ref().or(setting.default.as_ref()),
            "default": setting.default,
            "example": setting.example,
            "source": source,
            "about": setting.about,
            "about_fr": setting.about_fr,
        })
    });
    let mut all: Vec<Value> = of_file.collect();
    for org in house.accounts.orgs() {
        let name = &org.name;
        all.extend(changed(name, None, &json!(house.accounts.limits(name, None)?), &json!(Limits::default())));
        all.extend(changed(name, None, &json!(house.accounts.own_suppression(name)?), &json!(OfOrg::default())));
        all.extend(changed(name, None, &json!(house.accounts.wishes(name)), &json!(Wishes::default())));
        for login in &org.logins {
            let limits = house.accounts.limits(name, Some(&login.login))?;
            all.extend(changed(name, Some(&login.login), &json!(limits), &json!(Limits::default())));
        }
    }
    Ok(Value::Array(all))
}

/// The fields that are not as they are without a person.
fn changed(org: &str, login: Option<&str>, value: &Value, default: &Value) -> Vec<Value> {
    let fields = value.as_object().into_iter().flatten();
    let own = fields.filter(|(key, value)| !value.is_null() && default.get(key.as_str()) != Some(value));
    let told =
        own.map(|(key, value)| json!({ "org": org, "login": login, "key": key, "value": value, "source": "database" }));
    told.collect()
}
