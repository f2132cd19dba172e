//! Answers of a node as text for people.

mod accounts;
mod alerts;
mod audit;
mod exits;
mod explain;
mod exports;
mod mails;
mod token;
mod webhook;

use std::fmt::Write;

use serde_json::Value;
use sm2tp_doors::control::Request;
use sm2tp_proto::date::iso;

use crate::evidence;
use crate::words::of_terminal;

/// The answer to a request, in words.
pub fn text(request: &Request, value: &Value) -> String {
    let mut out = String::new();
    match request {
        Request::Explain { .. } => explain::explain(&mut out, value, of_terminal()),
        Request::Erase { .. } => out = crate::erase::text(value),
        Request::SuppressAdd { .. } => suppressed_now(&mut out, value),
        Request::QueueList { .. } => queue(&mut out, value),
        Request::QueueShow { .. } => mail(&mut out, value),
        Request::QueueSums { .. } => mails::sums(&mut out, value),
        Request::SiteList => mails::sites(&mut out, value),
        Request::QueueFind { .. } => mails::found(&mut out, value),
        Request::QueueLog { .. } => mails::life(&mut out, value),
        Request::SuppressList { .. } => suppressed(&mut out, value),
        Request::Evidence { .. } => out = evidence::text(value, of_terminal()),
        Request::PeerShow { .. } => peer(&mut out, value),
        Request::AlertsList => alerts::list(&mut out, value),
        Request::AlertsTest => alerts::tried(&mut out, value),
        Request::AuditList { .. } => audit::list(&mut out, value),
        Request::TokenNew { .. } => token::made(&mut out, value),
        Request::TokenList => token::list(&mut out, value),
        Request::ExitList => exits::list(&mut out, value),
        Request::ExitPause { .. } => exits::paused(&mut out, value),
        Request::ExitResume { .. } => exits::resumed(&mut out, value),
        Request::WebhookNew { .. } => webhook::made(&mut out, value),
        Request::WebhookList { .. } => webhook::list(&mut out, value),
        Request::WebhookDead { .. } => webhook::dead(&mut out, value),
        Request::Stats { .. } => out = crate::stats::text(value),
        Request::StatsOf { .. } => out = crate::stats::of_address(value),
        Request::BreakerList => breakers(&mut out, value),
        Request::UnknownReplies => unknown_replies(&mut out, value),
        Request::ReplayReplies { .. } => replayed(&mut out, value),
        Request::ExportsWrite => exports::written(&mut out, value),
        Request::PeerList => peers(&mut out, value),
        Request::SenderList { .. } => crate::sender::list(&mut out, value),
        Request::SenderShow { .. } => crate::sender::show(&mut out, value),
        Request::SenderDecide { .. } => crate::sender::decided(&mut out, value),
        Request::SenderAnnounce { .. } => crate::sender::announced(&mut out, value),
        Request::AccountList => accounts::list(&mut out, value),
        Request::OrgList => orgs(&mut out, value),
        Request::OrgLimits { .. } => limits_alone(&mut out, value),
        Request::OrgReturns { .. } => wishes(&mut out, value),
        Request::OrgSuppression { .. } => suppression(&mut out, value),
        Request::SuppressConfirm { .. } => {
            line(&mut out, &format!("A mail with a link is on its way to {}.", word(value, "address")));
        }
        Request::SuppressAllow { .. } => allowed_now(&mut out, value),
        Request::SuppressRemove { .. } => released_now(&mut out, value),
        Request::PeerTrust { .. } if value["url"].is_null() => {
            line(&mut out, &format!("{} ({})", word(value, "name"), word(value, "fingerprint")));
            line(&mut out, &format!("  {} segments were let in", value["segments_let_in"]));
        }
        Request::PeerTrust { .. } => peer(&mut out, value),
        Request::PeerRemove { .. } => removed(&mut out, value),
        Request::PeerInvite { .. } => {
            peer(&mut out, value);
            compare(&mut out, value);
        }
        Request::PeerAccept { .. } => {
            peer(&mut out, value);
            line(&mut out, &counts(value));
        }
        _ => fields(&mut out, value),
    }
    out
}

/// Whoever left still has the keys.
fn removed(out: &mut String, value: &Value) {
    line(out, &format!("The peering with {} ({}) has ended.", word(value, "name"), word(value, "fingerprint")));
    line(
        out,
        "Nothing is read from it any more, and nothing given to it; what it said so far counts only where other peers stand behind it.",
    );
    line(out, "It still has the tag keys: if this node founded the federation, change them with sm2tp key tag.");
}

fn breakers(out: &mut String, value: &Value) {
    let list = all(value);
    if list.is_empty() {
        line(out, "Every provider is believed.");
    }
    for tripped in list {
        let provider = word(tripped, "provider");
        let at = |key: &str| time(tripped[key].as_u64().unwrap_or(0));
        line(out, &format!("{provider}: not believed since {}, at most until {}", at("since"), at("until")));
        line(out, &format!("  {} refusals set aside; new ones leave the mail in the queue", tripped["parked"]));
        line(
            out,
            &format!("  it erred: sm2tp breaker forget {provider}; it was right: sm2tp breaker believe {provider}"),
        );
    }
}

fn unknown_replies(out: &mut String, value: &Value) {
    let replies = items(value, "replies");
    if replies.is_empty() {
        return line(out, "Every reply so far was known to a rule.");
    }
    for reply in replies {
        let said: Vec<String> = ["code", "enhanced", "stage", "provider"]
            .iter()
            .filter(|key| !reply[**key].is_null())
            .map(|key| word(reply, key))
            .collect();
        let alone = if reply["several"] == true { "" } else { "  (one recipient only)" };
        let count = reply["count"].as_u64().unwrap_or_default();
        line(out, &format!("{count:>6} x  [{}] {}{alone}", said.join(" "), word(reply, "shape")));
    }
    line(out, "");
    line(
        out,
        "The project is glad of them: sm2tp --json classify --unknown, look it through, above all what came for one",
    );
    line(out, "recipient only, and open an issue. docs/replies.md says how to write a rule of your own.");
}

fn replayed(out: &mut String, value: &Value) {
    let number = |key: &str| value[key].as_u64().unwrap_or(0);
    line(out, &format!("{} answers read again with rules {}", number("read"), word(value, "rules")));
    if number("too_old") != 0 {
        line(out, &format!("{} more are of an older version, which did not note enough", number("too_old")));
    }
    for change in items(value, "changes") {
        let (from, to, rule) = (word(change, "from"), word(change, "to"), word(change, "rule"));
        let count = change["count"].as_u64().unwrap_or_default();
        line(out, &format!("{count:>6} x  {from} -> {to}, by rule {rule}"));
        for example in items(change, "examples") {
            line(out, &format!("          {}", plain(example.as_str().unwrap_or_default())));
        }
    }
    if number("more") != 0 {
        line(out, &format!("{:>6} more, of other kinds", number("more")));
    }
    line(
        out,
        &format!(
            "Refusals of addresses: {} withdrawn, {} added; soft failures: {} withdrawn, {} added",
            number("hard_withdrawn"),
            number("hard_added"),
            number("soft_withdrawn"),
            number("soft_added")
        ),
    );
    let done = value["applied"] == true;
    match (number("changed"), done) {
        (0, _) => line(out, "Nothing changes."),
        (_, true) => line(out, "Recorded. Peers that were already told are not called back."),
        (_, false) => line(out, "Nothing was changed. To record it: sm2tp classify --replay --apply"),
    }
}

fn suppressed_now(out: &mut String, value: &Value) {
    line(out, &format!("{} is not written to any more{}.", word(value, "address"), meant(value)));
    match value["given_back"].as_u64().unwrap_or(0) {
        0 => {}
        1 => line(out, "One mail that waited for it goes back to its sender."),
        count => line(out, &format!("{count} mails that waited for it go back to their senders.")),
    }
}

fn allowed_now(out: &mut String, value: &Value) {
    line(out, &format!("{} is written to{}, whatever is said of it.", word(value, "address"), meant(value)));
}

fn released_now(out: &mut String, value: &Value) {
    let address = word(value, "address");
    let lifted = items(value, "lifted");
    if lifted.is_empty() {
        line(out, &format!("Nothing stopped {address}{} here.", meant(value)));
    }
    for kind in lifted {
        let what = match kind.as_str().unwrap_or_default() {
            "unsuppress" => "is off the suppression list",
            "unoptout" => "gets mail again in spite of a complaint or an opt-out",
            "released" => "is written to again: what servers said is not held against it any more",
            "allow" => "is on the allow list, because other nodes still call it dead",
            _ => continue,
        };
        line(out, &format!("{address} {what}{}.", meant(value)));
    }
    if value["taken_back"] == true {
        line(out, "Other nodes, which were told that it is dead, will hear that this is taken back.");
    }
}

/// For which mail a decision of a person is.
fn meant(value: &Value) -> String {
    let stream = value["stream"].as_str().map(|stream| format!(" with {stream} mail")).unwrap_or_default();
    let org = value["org"].as_str().map(|org| format!(" by {}", plain(org))).unwrap_or_default();
    stream + &org
}

/// The numbers in force, each marked that the organisation has of its own.
fn suppression(out: &mut String, value: &Value) {
    let (limits, own) = (&value["limits"], &value["own"]);
    line(
        out,
        &format!("Mail of {} is stopped by these numbers (* its own, the others are the node's):", word(value, "org")),
    );
    for (key, field) in limits.as_object().into_iter().flatten() {
        let name = key.strip_suffix("_s").unwrap_or(key);
        let shown = match (field.as_u64(), key.ends_with("_s")) {
            (Some(seconds), true) => crate::config::show_duration(seconds),
            _ => plain(field.as_str().unwrap_or(&field.to_string())),
        };
        let is_own = own.get(key).is_some() || (key == "soft_limit" && own.get("soft_max").is_some());
        line(out, &format!("  {} {:<22} {shown}", if is_own { '*' } else { ' ' }, name.replace('_', " ")));
    }
}

fn queue(out: &mut String, value: &Value) {
    let entries = all(value);
    if entries.is_empty() {
        return line(out, "Nothing waits.");
    }
    line(
        out,
        &format!(
            "{:>8}  {:<8} {:<14} {:>3}  {:<24} {:<34} {}",
            "MAIL", "LANE", "STREAM", "TRY", "NEXT", "RECIPIENT", "WHY"
        ),
    );
    for entry in entries {
        line(
            out,
            &format!(
                "{:>8}  {:<8} {:<14} {:>3}  {:<24} {:<34} {}",
                word(entry, "mail"),
                word(entry, "lane"),
                word(entry, "stream"),
                word(entry, "attempts"),
                time(entry["next_at"].as_u64().unwrap_or(0)),
                word(entry, "recipient"),
                word(entry, "note").replace('\n', " ")
            ),
        );
    }
}

fn mail(out: &mut String, value: &Value) {
    for key in ["mail", "org", "login", "stream", "mail_from", "message_id", "octets"] {
        if !value[key].is_null() {
            line(out, &format!("{key}: {}", word(value, key)));
        }
        if key == "stream" && value["stream_known_by"].is_string() {
            line(out, &format!("        ({})", word(value, "stream_known_by")));
        }
    }
    line(out, &format!("received: {}", time(value["received_at"].as_u64().unwrap_or(0))));
    for entry in items(value, "recipients") {
        line(
            out,
            &format!(
                "to {} ({}, {} tries, next {}): {}",
                word(entry, "recipient"),
                word(entry, "lane"),
                entry["attempts"],
                time(entry["next_at"].as_u64().unwrap_or(0)),
                word(entry, "note").replace('\n', " ")
            ),
        );
    }
    line(out, "");
    // Lines of the header may hold anything but control characters, which the node took out.
    value["header"].as_str().unwrap_or_default().lines().for_each(|text| line(out, text));
}

fn suppressed(out: &mut String, value: &Value) {
    let entries = all(value);
    if entries.is_empty() {
        return line(out, "Nothing is suppressed.");
    }
    line(out, &format!("{:<10} {:<32}  {:<30} {:<24} {}", "LIST", "TAG", "DOMAIN", "SINCE", "WHY"));
    for entry in entries {
        let why = ["note", "reply"].iter().find_map(|key| entry[*key].as_str()).unwrap_or_default();
        line(
            out,
            &format!(
                "{:<10} {:<32}  …@{:<28} {:<24} {}",
                word(entry, "list"),
                word(entry, "tag"),
                word(entry, "domain"),
                time(entry["at"].as_u64().unwrap_or(0)),
                plain(why)
            ),
        );
    }
}

fn peers(out: &mut String, value: &Value) {
    line(out, &format!("This node: {}", word(value, "fingerprint")));
    if let Some(at) = value["tag_key_lapses_at"].as_u64() {
        line(out, &crate::key::lapses(at));
    }
    for entry in items(value, "peers") {
        line(out, "");
        peer(out, entry);
    }
    origins(out, value);
}

fn peer(out: &mut String, entry: &Value) {
    line(out, &format!("{} ({})", word(entry, "name"), word(entry, "url")));
    line(out, &format!("  its fingerprint:  {}", word(entry, "fingerprint")));
    line(out, &format!("  our fingerprint:  {}", word(entry, "own_fingerprint")));
    line(out, &format!("  state: {}, read: {}, weight: {}", word(entry, "state"), entry["read"], entry["weight"]));
    if entry["note"].is_string() {
        line(out, &format!("  note: {}", word(entry, "note")));
    }
    let (tried, answered) = (entry["polled_at"].as_u64(), entry["answered_at"].as_u64());
    if let Some(tried) = tried {
        line(out, &format!("  last answer: {}", answered.map_or_else(|| "never".to_owned(), time)));
        if answered != Some(tried) {
            line(out, &format!("  last try: {}", time(tried)));
        }
    }
    if entry["trouble"].is_string() {
        line(out, &format!("  trouble: {}", word(entry, "trouble")));
    }
    how_it_does(out, entry);
}

/// How much a peer told and heard, and how far it is believed.
fn how_it_does(out: &mut String, entry: &Value) {
    if word(entry, "state") != "accepted" {
        return;
    }
    let lag = entry["lag_s"]
        .as_u64()
        .map_or_else(|| "not yet".to_owned(), |lag| format!("{} ago", crate::config::show_duration(lag)));
    line(out, &format!("  all that it has was taken: {lag}"));
    if let Some((here, there)) = entry["backfill"]["here"].as_u64().zip(entry["backfill"]["there"].as_u64()) {
        line(out, &format!("  {}", crate::progress::bar(here, there)));
    }
    line(out, &format!("  events: {} from it, {} of ours to it", entry["events_in"], entry["events_out"]));
    if entry["origins_behind"].as_u64().is_some_and(|count| count != 0) {
        line(out, &format!("  behind it: {} nodes, {} events", entry["origins_behind"], entry["events_behind"]));
    }
    let [against, with, first] = ["contradicted", "agreed", "foretold"].map(|count| &entry["agreement"][count]);
    line(
        out,
        &format!(
            "  agreement: we delivered lately to {against} of its dead addresses, and know {with} dead ({first} told by it first)"
        ),
    );
    doubted(out, entry);
    waiting(out, entry);
    if let Some(since) = entry["quarantined_since"].as_u64() {
        line(out, &format!("  QUARANTINE since {}: that is too many; nothing of it counts", time(since)));
    }
}

/// Months in which an origin was wrong about us so often that what it said then does not count.
fn doubted(out: &mut String, entry: &Value) {
    if let Some(months) = entry["agreement"]["months_doubted"].as_u64().filter(|months| *months != 0) {
        line(
            out,
            &format!("  DOUBTED: what it said in {months} months was wrong about us so often that it does not count"),
        );
    }
}

/// What waits for a person because it is more than usual.
fn waiting(out: &mut String, entry: &Value) {
    if entry["contradicts_itself"] == true {
        let who = word(entry, "fingerprint");
        line(out, "  STOPPED: it signed two different segments for one place; nothing of it counts");
        line(out, &format!("    when its administrator began a new epoch: sm2tp peer trust '{who}' --forgive"));
    }
    let parked = &entry["parked"];
    if !parked.is_object() {
        return;
    }
    let (segments, events, why) = (&parked["segments"], &parked["events"], word(parked, "why"));
    match parked["let_in"] == true {
        true => line(out, &format!("  {events} events in {segments} segments were let in and are being fetched")),
        false => {
            line(out, &format!("  NOT FETCHED: {events} events in {segments} segments ({why})"));
            line(out, &format!("    to let them in: sm2tp peer trust '{}' --take-parked", word(entry, "fingerprint")));
        }
    }
}

/// Origins that came through peers: those that are not believed, and how many there are.
fn origins(out: &mut String, value: &Value) {
    let odd = |origin: &&Value| {
        let agreement = &origin["agreement"];
        origin["quarantined_since"].is_u64()
            || origin["parked"].is_object()
            || origin["contradicts_itself"] == true
            || agreement["months_doubted"].as_u64().is_some_and(|months| months != 0)
    };
    for origin in items(value, "origins").iter().filter(odd) {
        line(out, "");
        line(out, &format!("{} (known through a peer, {} hops away)", word(origin, "name"), origin["hop"]));
        line(out, &format!("  its fingerprint:  {}", word(origin, "fingerprint")));
        let (against, with) = (&origin["agreement"]["contradicted"], &origin["agreement"]["agreed"]);
        doubted(out, origin);
        waiting(out, origin);
        let Some(since) = origin["quarantined_since"].as_u64().map(time) else { continue };
        line(
            out,
            &format!(
                "  QUARANTINE since {since}: we delivered lately to {against} of its dead addresses, and know {with} dead"
            ),
        );
    }
}

/// What was agreed. Who accepts has compared the fingerprints before.
fn counts(peer: &Value) -> String {
    match (word(peer, "state").as_str(), peer["read"] == false) {
        ("accepted", false) => format!("From now on it counts with weight {}.", peer["weight"]),
        ("accepted", true) => "From now on it may read what this node tells; nothing is pulled from it.".to_owned(),
        _ => "It counts as soon as its administrator accepts.".to_owned(),
    }
}

/// Who invites compares after it: only then is there something to compare.
fn compare(out: &mut String, peer: &Value) {
    let counts = counts(peer);
    line(out, &format!("{counts} Compare both fingerprints with the other administrator now, by voice."));
    line(out, "If one of them differs, another machine stands between you. End it at once:");
    line(out, &format!("  sm2tp peer remove '{}'", word(peer, "fingerprint")));
}

fn orgs(out: &mut String, value: &Value) {
    let entries = all(value);
    if entries.is_empty() {
        return line(out, "No organisation yet. Add one: sm2tp org add NAME --domain DOMAIN");
    }
    for entry in entries {
        let domains: Vec<_> = items(entry, "domains").iter().filter_map(Value::as_str).collect();
        let domains = if domains.is_empty() { "any domain".to_owned() } else { domains.join(", ") };
        line(out, &format!("{} ({}; {domains})", word(entry, "name"), word(entry, "stream")));
        if let Some(score) = crate::stats::in_a_line(&entry["score"]) {
            line(out, &format!("  {score}"));
        }
        limits(out, &entry["limits"], "  ");
        for login in items(entry, "logins") {
            // Nothing is wrong with it; it matters to who wants to switch PLAIN off in a mail program.
            let scram = if login["scram"] == true { "" } else { ", no SCRAM" };
            line(out, &format!("  {} ({}{scram})", word(login, "login"), word(login, "stream")));
            limits(out, &login["limits"], "    ");
        }
    }
}

/// Whatever is limited, each on a line; nothing where nothing is.
fn limits(out: &mut String, limits: &Value, indent: &str) {
    let addresses: Vec<_> = items(limits, "addresses").iter().filter_map(Value::as_str).map(plain).collect();
    if !addresses.is_empty() {
        let which = if limits["own_addresses_only"] == true { "sends only as" } else { "may also send as" };
        line(out, &format!("{indent}{which} {}", addresses.join(", ")));
    }
    let number = |key: &str| limits[key].as_u64();
    let found = [
        number("message_size").map(|octets| format!("{} a message", crate::config::show_size(octets))),
        number("recipients").map(|count| format!("{count} recipients a mail")),
        limits["rate_mails"].as_str().map(|rate| format!("{rate} mails")),
        limits["rate_recipients"].as_str().map(|rate| format!("{rate} recipients")),
        number("connections").map(|count| format!("{count} connections")),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    if !found.is_empty() {
        line(out, &format!("{indent}at most {}", found.join(", ")));
    }
}

/// What becomes of mail that comes back, in sentences; with what to see to where that is not obvious.
fn wishes(out: &mut String, value: &Value) {
    let (org, wishes) = (word(value, "org"), &value["returns"]);
    if word(wishes, "return_path") == "node" {
        line(out, &format!("{org}: reports come to this node, are counted, and go on to the sender"));
        line(
            out,
            "  SPF speaks for this node's domain now: for DMARC the mail must have a DKIM signature of its own domain",
        );
    } else {
        line(out, &format!("{org}: reports go to the sender, this node does not see them"));
    }
    let link = if word(wishes, "unsubscribe") == "on" { "gets a" } else { "gets no" };
    line(out, &format!("  bulk mail {link} link to unsubscribe"));
    let contact = word(wishes, "contact");
    line(out, &format!("  complaints are told to {}", if contact.is_empty() { "nobody" } else { &contact }));
}

fn limits_alone(out: &mut String, value: &Value) {
    let who = if value["login"].is_null() { word(value, "org") } else { word(value, "login") };
    let before = out.len();
    limits(out, &value["limits"], "  ");
    let said = if out.len() == before { "has no limits of its own".to_owned() } else { "is limited:".to_owned() };
    out.insert_str(before, &format!("{who} {said}\n"));
}

fn fields(out: &mut String, value: &Value) {
    for (key, field) in value.as_object().into_iter().flatten() {
        line(out, &format!("{}: {}", key.replace('_', " "), plain(&field.to_string())));
    }
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    all(&value[key])
}

/// Nothing where it is no list.
fn all(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => plain(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Texts of strangers (replies, names of peers) must not steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// As `2026-11-22 04:05:06 UTC`; far times, which mean "until a person decides", as a dash.
pub fn time(at: u64) -> String {
    if at == 0 || FAR < at {
        return "-".to_owned();
    }
    let (days, second) = (at / 86_400, at % 86_400);
    format!("{} {:02}:{:02}:{:02} UTC", iso(days), second / 3600, second / 60 % 60, second % 60)
}

/// The year 2106; later times stand for "never".
const FAR: u64 = 4_294_967_295;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_people_write_them() {
        assert_eq!(time(0), "-");
        assert_eq!(time(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(time(1_795_320_306), "2026-11-22 04:05:06 UTC");
        assert_eq!(time(253_402_300_799), "-");
    }

    #[test]
    fn a_try_that_failed_is_no_answer() {
        let shown = |polled_at: Value, answered_at: Value| {
            let mut out = String::new();
            peer(&mut out, &serde_json::json!({ "polled_at": polled_at, "answered_at": answered_at }));
            out.lines().skip(4).map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("; ")
        };
        let (at, before) = (Value::from(1_795_320_306), Value::from(951_782_400));
        assert_eq!(shown(Value::Null, Value::Null), "");
        assert_eq!(shown(at.clone(), at.clone()), "last answer: 2026-11-22 04:05:06 UTC");
        assert_eq!(
            shown(at.clone(), before),
            "last answer: 2000-02-29 00:00:00 UTC; last try: 2026-11-22 04:05:06 UTC"
        );
        assert_eq!(shown(at, Value::Null), "last answer: never; last try: 2026-11-22 04:05:06 UTC");
    }

    #[test]
    fn who_made_a_peering_reads_what_to_do_if_it_is_the_wrong_one() {
        let value = serde_json::json!({ "state": "accepted", "weight": 1.0, "fingerprint": "aaaa bbbb" });
        let invite = Request::PeerInvite { url: String::new(), note: None, weight: 1.0, read: true };
        let out = text(&invite, &value);
        assert!(out.contains("counts with weight 1.0. Compare both fingerprints"), "{out}");
        assert!(out.ends_with("  sm2tp peer remove 'aaaa bbbb'\n"), "{out}");
        // Who accepts has compared them before.
        let accept = Request::PeerAccept { who: String::new(), weight: 1.0, read: true };
        let out = text(&accept, &value);
        assert!(out.contains("counts with weight 1.0.") && !out.contains("Compare both"), "{out}");
    }

    #[test]
    fn texts_of_strangers_do_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{7}"), "a [2Jb ");
    }
}
