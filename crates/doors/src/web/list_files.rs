//! Lists as files on the pages: those of other programs come in, our own goes out.

use std::collections::BTreeMap;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sm2tp_proto::lists::{Fault, Format, Line, Reader, Reason};
use sm2tp_rules::access::Area;
use tokio::sync::mpsc;

use super::asks::{list, number};
use super::form::Fields;
use super::frame::{Frame, Screen, show};
use super::upload::Uploaded;
use super::visitor::Visitor;
use crate::api::Lines;
use crate::control::{After, IMPORT_ENTRIES_MAX, Import, ImportMode, Listed, Problem, Request};
use crate::http::{Door, Shared};
use crate::lists::{COLUMNS, Skip, judge, row};
use crate::reason::{self, Piece};

#[derive(Template)]
#[template(path = "web/list-files.html")]
struct Page {
    f: Frame,
    orgs: Vec<String>,
    reasons: Vec<(&'static str, String)>,
    /// What became of a list that was just sent.
    done: Option<Done>,
    /// An administrator of one organisation has its lists alone.
    is_bound: bool,
    may_change: bool,
}

struct Done {
    is_try: bool,
    read: String,
    taken: String,
    known: String,
    /// Why entries were left out, how many, and the numbers of the first.
    left: Vec<(String, String, String)>,
    trouble: Vec<Piece>,
}

/// What became of the entries so far.
#[derive(Default)]
struct Tally {
    read: u64,
    taken: u64,
    known: u64,
    /// By the key of the words that say why.
    left: BTreeMap<String, (u64, Vec<u64>)>,
}

/// `GET /suppression/lists`
pub(super) async fn page(State(shared): Door, visitor: Visitor) -> Response {
    shown(&shared, &visitor, None)
}

/// `POST /suppression/lists`: a file, or what was pasted.
pub(super) async fn import(State(shared): Door, uploaded: Uploaded) -> Result<Response, Response> {
    let Uploaded { sent, file } = uploaded;
    let (visitor, fields) = (&sent.visitor, &sent.fields);
    let pasted = || fields.given("pasted").map(String::into_bytes);
    let content = file.or_else(pasted).unwrap_or_default();
    let mode = if fields.text("what") == "try" { ImportMode::Try } else { ImportMode::Keep };
    let default = REASONS.iter().find(|(name, ..)| *name == fields.text("reason")).map(|(_, reason, _)| *reason);
    let mut tally = Tally::default();
    // What was taken before something failed stays taken, and the page says how much that was.
    let trouble = take(&shared, visitor, &content, (fields.given("org"), default, mode), &mut tally).await.err();
    let f = visitor.frame(&shared, Screen::Suppression);
    let left = tally.left.into_iter().map(|(why, (count, first))| {
        let first = first.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        (f.w(&why), f.number(&count), first)
    });
    let done = Done {
        is_try: mode == ImportMode::Try,
        read: f.number(&tally.read),
        taken: f.number(&tally.taken),
        known: f.number(&tally.known),
        left: left.collect(),
        trouble: trouble.map(|problem| reason::said(&problem, f.lang)).unwrap_or_default(),
    };
    Ok(shown(&shared, visitor, Some(done)))
}

/// `GET /suppression/export.csv?org=`
pub(super) async fn export(State(shared): Door, visitor: Visitor, query: Fields) -> Result<Response, Response> {
    let org = query.given("org");
    let request = |after| Request::SuppressExport { org: org.clone(), after };
    // The first page is asked here, so that who may not have it hears so.
    let first = visitor.ask_for(&shared, Screen::Suppression, request(After::default())).await?;
    let (to, lines) = mpsc::channel(1);
    let org = org.clone();
    tokio::spawn(async move {
        let mut text = format!("{}\r\n", COLUMNS.join(","));
        let mut page = first;
        loop {
            list(&page, "entries").iter().for_each(|entry| text.push_str(&format!("{}\r\n", row(entry))));
            // Whoever reads has had enough, or reads no more.
            if to.send(Bytes::from(std::mem::take(&mut text))).await.is_err() {
                return;
            }
            let Ok(after) = serde_json::from_value::<After>(page["next"].take()) else { return };
            match visitor.ask(&shared, Request::SuppressExport { org: org.clone(), after }).await {
                Ok(next) => page = next,
                Err(error) => return tracing::error!(%error, "a list for a page broke off"),
            }
        }
    });
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"suppression.csv\"")),
    ];
    Ok((fields, Body::new(Lines(lines))).into_response())
}

fn shown(shared: &Shared, visitor: &Visitor, done: Option<Done>) -> Response {
    let f = visitor.frame(shared, Screen::Suppression);
    let page = Page {
        orgs: visitor.orgs(shared),
        reasons: REASONS.map(|(name, _, key)| (name, f.w(key))).into(),
        done,
        is_bound: visitor.person.role.org().is_some(),
        may_change: visitor.may_change(Area::Suppression),
        f,
    };
    show(StatusCode::OK, visitor.lang, &page)
}

/// Takes a list in batches, as the command line does.
async fn take(
    shared: &Shared,
    visitor: &Visitor,
    content: &[u8],
    (org, default, mode): (Option<String>, Option<Reason>, ImportMode),
    tally: &mut Tally,
) -> Result<(), Problem> {
    let (mut reader, mut lines) = (Reader::new(None), Vec::new());
    reader.push(content, &mut lines);
    reader.finish(&mut lines);
    let from = reader.format().unwrap_or(Format::Plain);
    let rules = shared.house.federation.publisher.classifier.rules();
    let mut batch: Vec<(u64, Listed)> = Vec::new();
    for line in lines {
        tally.read += 1;
        match line {
            Line::Refused { number, fault } => tally.leave(number, key_of(fault)),
            Line::Entry(entry) => {
                let number = entry.number;
                match judge(entry, from, default, &rules) {
                    Ok(listed) => batch.push((number, listed)),
                    Err(Skip::Soft) => tally.leave(number, "leave-soft"),
                    Err(Skip::Blocked) => tally.leave(number, "leave-blocked"),
                    Err(Skip::Unsaid) => tally.leave(number, "leave-unsaid"),
                }
            }
        }
        if batch.len() == IMPORT_ENTRIES_MAX {
            tally.offer(shared, visitor, (from, org.clone(), mode), std::mem::take(&mut batch)).await?;
        }
    }
    tally.offer(shared, visitor, (from, org, mode), batch).await
}

impl Tally {
    async fn offer(
        &mut self,
        shared: &Shared,
        visitor: &Visitor,
        (from, org, mode): (Format, Option<String>, ImportMode),
        batch: Vec<(u64, Listed)>,
    ) -> Result<(), Problem> {
        let (numbers, entries): (Vec<u64>, Vec<Listed>) = batch.into_iter().unzip();
        let import = Import { from, org, mode, entries };
        let done = visitor.ask(shared, Request::SuppressImport { import }).await?;
        self.taken += number(&done, "taken");
        self.known += number(&done, "known");
        for left in list(&done, "left") {
            let place = left[0].as_u64().and_then(|place| usize::try_from(place).ok());
            if let (Some(number), Some(why)) = (place.and_then(|place| numbers.get(place)), left[1].as_str()) {
                self.leave(*number, &format!("leave-{why}"));
            }
        }
        Ok(())
    }

    fn leave(&mut self, number: u64, why: &str) {
        let (count, first) = self.left.entry(why.to_owned()).or_default();
        *count += 1;
        if first.len() < FIRST_MAX {
            first.push(number);
        }
    }
}

/// The words for a record that is no entry.
fn key_of(fault: Fault) -> &'static str {
    match fault {
        Fault::TooLong => "leave-too-long",
        Fault::OpenQuote => "leave-open-quote",
        Fault::Nul => "leave-nul",
        Fault::Json => "leave-json",
        Fault::Cut => "leave-cut",
        Fault::NoAddress => "leave-no-address",
        Fault::Address(_) => "leave-address",
        Fault::Date => "leave-date",
        Fault::Tag => "leave-tag",
        Fault::NotStopped => "leave-not-stopped",
        Fault::Event => "leave-event",
    }
}

/// Why addresses are on a list that does not say so itself; with the key of its words.
const REASONS: [(&str, Reason, &str); 4] = [
    ("listed", Reason::Listed, "reason-listed"),
    ("bounce", Reason::Bounce, "reason-bounce"),
    ("complaint", Reason::Complaint, "reason-complaint"),
    ("unsubscribe", Reason::Unsubscribe, "reason-unsubscribe"),
];
/// Numbers of lines that a person looks up.
const FIRST_MAX: usize = 5;
