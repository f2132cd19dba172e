//! The pages for persons: what the command line asks and decides, in a browser, in French and English.
//!
//! A page decides nothing: it asks what [`crate::control`] answers, as whoever is logged in, and shows it. Everything works
//! without a script. GET changes nothing; what changes something is a form that carries the token of its session
//! ([`form::Sent`] cannot be made without that check). `docs/web.md` tells the rest.

mod account;
mod accounts;
mod alerts;
mod asks;
mod audit;
mod chart;
mod dns;
mod exits;
mod federation;
mod figures;
mod form;
mod frame;
mod incoming;
mod list_files;
mod login;
mod map;
mod orgs;
mod overview;
mod programs;
mod queue;
mod records;
mod senders;
mod settings;
mod start;
mod suppression;
mod tables;
mod tail;
mod trouble;
mod upload;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use self::exits::{Listing, Listings, Says};
pub use self::incoming::{AskSts, Sts};
pub use self::records::{Names, Wanted};
pub use self::settings::Setting;
pub use self::start::FirstRun;
pub(crate) use self::visitor::Logins;
pub use self::visitor::PublicUrl;
use crate::http::Shared;

/// All pages for persons.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/login", get(login::page).post(login::login))
        .route("/logout", post(login::logout))
        .route("/language", post(login::language))
        .route("/account", get(account::page))
        .route("/account/password", post(account::password))
        .route("/account/factor", get(account::factor).post(account::set_factor))
        .route("/account/factor/drop", post(account::drop_factor))
        .route("/account/sessions", post(account::end_sessions))
        .route("/accounts", get(accounts::page).post(accounts::add))
        .route("/accounts/change", get(accounts::one).post(accounts::change))
        .route("/suppression", get(suppression::page).post(suppression::decide))
        .route("/suppression/lists", get(list_files::page).post(list_files::import))
        .route("/suppression/export.csv", get(list_files::export))
        .route("/senders", get(senders::page))
        .route("/senders/show", get(senders::one))
        .route("/senders/decide", post(senders::decide))
        .route("/orgs", get(orgs::page).post(orgs::change))
        .route("/orgs/show", get(orgs::one))
        .route("/queue", get(queue::page).post(queue::act))
        .route("/queue/sure", get(queue::sure))
        .route("/queue/find", get(queue::find))
        .route("/queue/{mail}", get(queue::one))
        .route("/federation", get(federation::page).post(federation::change))
        .route("/federation/peer", get(federation::one))
        .route("/figures", get(figures::page))
        .route("/tail", get(tail::page))
        .route("/tail/lines", get(tail::rows))
        .route("/tail.js", get(tail::script))
        .route("/exits", get(exits::page).post(exits::change))
        .route("/programs", get(programs::page).post(programs::change))
        .route("/programs/dead", get(programs::dead))
        .route("/setup", get(start::page).post(start::begin))
        .route("/setup/next", get(start::next).post(start::act))
        .route("/alerts", get(alerts::page).post(alerts::act))
        .route("/audit", get(audit::page))
        .route("/dns", get(dns::page))
        .route("/settings", get(settings::page))
        .route("/web.css", get(style))
}

async fn style() -> Response {
    // It changes with the program only.
    let fields = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "private, max-age=600")];
    (fields, include_str!("../templates/web/web.css")).into_response()
}
