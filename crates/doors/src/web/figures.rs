//! What was sent over time, as charts with their tables: all mail, and the share that each provider took.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::asks::{list, number, rows, text};
use super::chart::{self, Bars};
use super::form::Fields;
use super::frame::{Frame, Screen, show};
use super::overview::{provider_name, rank};
use super::visitor::Visitor;
use crate::control::{Request, stats};
use crate::http::{Door, said};

#[derive(Template)]
#[template(path = "web/figures.html")]
struct Page {
    f: Frame,
    days: u64,
    org: String,
    orgs: Vec<String>,
    spans: Vec<(u64, String)>,
    chart: Bars,
    rows: Vec<Row>,
    providers: Vec<Provider>,
}

/// One bar as numbers.
struct Row {
    at: String,
    counts: [String; 3],
}

struct Provider {
    name: String,
    /// The `d` of its line.
    path: String,
    sends: u64,
    share: String,
    days: Vec<(String, String, String)>,
}

/// `GET /figures?days=&org=`
pub(super) async fn page(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let days = query.text("days").parse().ok().filter(|days| SPANS.contains(days)).unwrap_or(SPANS[1]);
    let org = query.given("org");
    let request = Request::Stats { org: org.clone(), days: Some(days) };
    let value = visitor.ask_for(&shared, Screen::Figures, request).await?;
    let request = Request::StatsProviders { org: org.clone(), days };
    let by_provider = visitor.ask_for(&shared, Screen::Figures, request).await?;
    let f = visitor.frame(&shared, Screen::Figures);
    let by_hour = days <= stats::HOURS_SHOWN_DAYS;
    let step = if by_hour { HOUR_S } else { DAY_S };
    let times = self::times(number(&value, "since"), f.now, step);
    let name = |at: u64| if by_hour { said::time(at, f.lang) } else { said::day(at, f.lang) };
    let series = list(&value, "series");
    let points: Vec<(String, [u64; 3])> = times
        .iter()
        .map(|at| {
            let found = series.iter().find(|point| number(point, "at") == *at);
            let counts = found.map(|point| PARTS.map(|part| number(&point["sends"], part))).unwrap_or_default();
            (name(*at), counts)
        })
        .collect();
    let row = |(at, counts): &(String, [u64; 3])| Row { at: at.clone(), counts: counts.map(|count| f.number(&count)) };
    let day_times = self::times(number(&value, "since") / DAY_S * DAY_S, f.now, DAY_S);
    let mut providers: Vec<&Value> = rows(&by_provider).iter().collect();
    providers.sort_by_key(|row| (rank(row), std::cmp::Reverse(ended(row))));
    let page = Page {
        days,
        org: org.unwrap_or_default(),
        orgs: visitor.orgs(&shared),
        spans: SPANS.map(|days| (days, f.n("span-days", &days))).into(),
        chart: chart::bars(&points, ["good", "bad", "stopped"]),
        rows: points.iter().rev().map(row).collect(),
        providers: providers
            .into_iter()
            .take(PROVIDERS_MAX)
            .map(|row| provider(row, &day_times, provider_name(&shared, text(row, "name")), &f))
            .collect(),
        f,
    };
    Ok(show(StatusCode::OK, visitor.lang, &page))
}

impl Page {
    fn is_span(&self, days: &u64) -> bool {
        self.days == *days
    }
}

/// The share that was delivered on each of those days, as the `d` of a line.
pub(super) fn curve(row: &Value, times: &[u64]) -> String {
    let shares: Vec<Option<f64>> = times
        .iter()
        .map(|at| of_day(row, *at))
        .map(|(part, whole)| (whole != 0).then(|| part as f64 / whole as f64))
        .collect();
    chart::line(&shares)
}

/// Of what came to an end that day: what was delivered, and all.
fn of_day(row: &Value, at: u64) -> (u64, u64) {
    let sends = list(row, "points").iter().find(|point| number(point, "at") == at).map(|point| &point["sends"]);
    sends.map_or((0, 0), |sends| (number(sends, "delivered"), number(sends, "delivered") + number(sends, "failed")))
}

fn provider(row: &Value, times: &[u64], name: String, f: &Frame) -> Provider {
    let days: Vec<(u64, (u64, u64))> = times.iter().map(|at| (*at, of_day(row, *at))).collect();
    let (part, whole) = days.iter().fold((0, 0), |sum, (_, day)| (sum.0 + day.0, sum.1 + day.1));
    let shown = |(at, (part, whole)): &(u64, (u64, u64))| {
        (said::day(*at, f.lang), f.number(whole), said::percent(*part, *whole, f.lang))
    };
    Provider {
        name,
        path: curve(row, times),
        sends: whole,
        share: said::percent(part, whole, f.lang),
        days: days.iter().rev().filter(|(_, (_, whole))| *whole != 0).map(shown).collect(),
    }
}

fn ended(row: &Value) -> u64 {
    let of = |point: &Value| number(&point["sends"], "delivered") + number(&point["sends"], "failed");
    list(row, "points").iter().map(of).sum()
}

/// The beginnings of all steps from `since` until now.
pub(super) fn times(since: u64, now: u64, step: u64) -> Vec<u64> {
    let from = since / step * step;
    (0..STEPS_MAX).map(|n| from + n * step).take_while(|at| *at <= now).collect()
}

/// What a bar is made of.
const PARTS: [&str; 3] = ["delivered", "failed", "stopped"];
/// What can be looked at, in days.
const SPANS: [u64; 4] = [1, 7, 30, 365];
const HOUR_S: u64 = 3600;
pub(super) const DAY_S: u64 = 86_400;
/// A year of days, or two days of hours.
const STEPS_MAX: u64 = 400;
/// Beyond these a line says little.
const PROVIDERS_MAX: usize = 20;
