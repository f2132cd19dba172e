//! The status page: one look, in French or English, without script.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use sm2tp_store::federated::PeerState;

use super::gate::local;
use super::refusal::Refusal;
use super::said::{ago, decimal, number, percent};
use super::status::{self, PeerStatus, Status, Waiting};
use super::unsubscribe::language;
use super::words::Lang;
use super::{Client, Shared};
use crate::reason::{self, Piece};

/// `GET /` on a node where nobody has an account: its state, for who sits at the machine.
pub(crate) async fn open_page(
    shared: &Shared,
    client: Option<Client>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    local(client.ok_or_else(|| Refusal::Trouble("a request of nobody".into()))?, headers)?;
    let lang = language(headers, shared.lang);
    let html = render(&status::gather(&shared.house).await?, lang, crate::now())?;
    Ok(([(header::CONTENT_LANGUAGE, lang.tag()), (header::VARY, "accept-language")], Html(html)).into_response())
}

/// `GET /style.css`
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../templates/style.css")).into_response()
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    lang: Lang,
    hostname: &'a str,
    waiting: Vec<WaitingLine<'a>>,
    left: Vec<Line>,
    causes: Vec<Line>,
    stopped: Vec<Line>,
    queue: Vec<Line>,
    oldest: String,
    light: Light,
    share: String,
    federation: Vec<Line>,
    fingerprint: &'a str,
    peers: Vec<PeerLine<'a>>,
}

/// A word and a number.
struct Line {
    word: String,
    count: String,
}

/// What waits for a person: in the language of the page, and in the words of the program.
struct WaitingLine<'a> {
    word: String,
    since: String,
    detail: &'a str,
}

struct PeerLine<'a> {
    name: &'a str,
    fingerprint: &'a str,
    url: &'a str,
    state: String,
    read: String,
    weight: String,
    answered: String,
    /// What kind of trouble, in the language of the page.
    trouble: String,
    /// What it is.
    detail: Vec<Piece>,
}

/// The traffic light of §6, for all senders of the node together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Light {
    None,
    Green,
    Watch,
    Amber,
    Red,
    Stop,
}

fn render(status: &Status, lang: Lang, now: u64) -> Result<String, Refusal> {
    let line = |key: &str, count: u64| Line { word: lang.word(key), count: number(count, lang) };
    let kind = |kind: &str| line(kind, status.sum(kind, None));
    // What a server gave up after its yes is in "delivered" already.
    let real = status.sum("bounced", Some("address")) + status.sum("returned", Some("address"));
    let bounced = status.sum("bounced", None);
    let decided = bounced + status.sum("delivered", None);
    let federation = &status.federation;
    let page = Page {
        lang,
        hostname: &status.hostname,
        waiting: status.waiting.iter().map(|waiting| waiting_line(waiting, lang, now)).collect(),
        left: [
            "accepted",
            "delivered",
            "bounced",
            "returned",
            "complained",
            "unsubscribed",
            "deferred",
            "canary",
            "dropped",
            "report",
        ]
        .map(kind)
        .into(),
        causes: by_cause(status, &["bounced", "returned"], "cause", lang),
        stopped: by_cause(status, &["stopped", "stopped-reported"], "stop", lang),
        queue: vec![
            line("lane-normal", status.queue.normal),
            line("lane-slow", status.queue.slow),
            line("lane-held", status.queue.held),
            line("outbox", status.outbox),
        ],
        oldest: status.queue.oldest_at.map_or_else(|| "–".to_owned(), |at| ago(at, now, lang)),
        light: Light::of(real, decided),
        share: percent(real, decided, lang),
        federation: vec![
            line("published", federation.published),
            line("received", federation.received),
            line("pending", federation.pending),
            line("known", status.known_addresses as u64),
        ],
        fingerprint: &federation.fingerprint,
        peers: federation.peers.iter().map(|peer| peer_line(peer, lang, now)).collect(),
    };
    page.render().map_err(|error| Refusal::Trouble(error.to_string()))
}

impl Page<'_> {
    fn w(&self, key: &str) -> String {
        self.lang.word(key)
    }

    /// A word before its value.
    fn label(&self, key: &str) -> String {
        let colon = if self.lang == Lang::Fr { "\u{a0}:" } else { ":" };
        self.lang.word(key) + colon
    }
}

impl Light {
    fn of(real: u64, decided: u64) -> Self {
        let at_least = |per_mille: u64| u128::from(decided) * u128::from(per_mille) <= u128::from(real) * 1000;
        if decided < JUDGED_MIN {
            return Self::None;
        }
        let steps = [(100, Self::Stop), (50, Self::Red), (20, Self::Amber), (4, Self::Watch)];
        steps.into_iter().find(|(share, _)| at_least(*share)).map_or(Self::Green, |(_, light)| light)
    }

    /// The key of its words and its class in the style sheet.
    fn key(self) -> &'static str {
        match self {
            Self::None => "light-none",
            Self::Green => "light-green",
            Self::Watch => "light-watch",
            Self::Amber => "light-amber",
            Self::Red => "light-red",
            Self::Stop => "light-stop",
        }
    }
}

/// The sums of some kinds by cause, the largest first, in words.
fn by_cause(status: &Status, kinds: &[&str], prefix: &str, lang: Lang) -> Vec<Line> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for counter in status.counters.iter().filter(|counter| kinds.contains(&&counter.kind[..])) {
        *sums.entry(&counter.cause).or_default() += counter.count;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let word = |cause: &str| lang.find(&format!("{prefix}-{cause}")).unwrap_or_else(|| cause.to_owned());
    sums.into_iter().map(|(cause, count)| Line { word: word(cause), count: number(count, lang) }).collect()
}

fn waiting_line(waiting: &Waiting, lang: Lang, now: u64) -> WaitingLine<'_> {
    WaitingLine {
        word: lang.word(&format!("waiting-{}", waiting.kind)),
        since: waiting.since.map(|at| ago(at, now, lang)).unwrap_or_default(),
        detail: &waiting.detail,
    }
}

fn peer_line(peer: &PeerStatus, lang: Lang, now: u64) -> PeerLine<'_> {
    let state = match peer.state {
        PeerState::Invited => "state-invited",
        PeerState::Asking => "state-asking",
        PeerState::Accepted => "state-accepted",
    };
    // A try that it answered has both times.
    let trouble = match (&peer.trouble, peer.polled_at) {
        (None, _) => String::new(),
        (Some(_), Some(at)) if peer.answered_at != Some(at) => {
            lang.say("trouble-away", &[("ago", &ago(at, now, lang))])
        }
        (Some(_), _) => lang.word("trouble-answered"),
    };
    PeerLine {
        name: &peer.name,
        fingerprint: &peer.fingerprint,
        url: &peer.url,
        state: lang.word(state),
        read: lang.word(if peer.read { "yes" } else { "no" }),
        weight: decimal(&format!("{:.2}", peer.weight), lang),
        answered: peer.answered_at.map_or_else(|| lang.word("never"), |at| ago(at, now, lang)),
        trouble,
        detail: reason::kept(peer.trouble.as_deref().unwrap_or_default(), peer.reason.as_ref(), lang),
    }
}

/// Below so many sends one bounce would be an alarm.
const JUDGED_MIN: u64 = 100;

#[cfg(test)]
mod tests {
    use sm2tp_federation::keys::NodeKey;
    use sm2tp_rules::Cause;

    use super::super::status::{Counter, FederationStatus, Queue};
    use super::*;
    use crate::turned_away::TurnedAway;

    fn status() -> Status {
        let counter = |kind: &str, cause: &str, count| Counter {
            kind: kind.into(),
            cause: cause.into(),
            stream: "bulk".into(),
            org: "asso".into(),
            count,
        };
        Status {
            hostname: "relay.example.org".into(),
            waiting: vec![Waiting { kind: "rules", since: Some(1000), detail: "own.toml:3: <b>\u{1b}[31m".into() }],
            queue: Queue { normal: 3, slow: 0, held: 1, oldest_at: Some(1000) },
            outbox: 0,
            counters: vec![
                counter("delivered", "", 12_345),
                counter("bounced", "address", 30),
                counter("bounced", "mailbox", 2),
                counter("stopped", "federated", 7),
            ],
            known_addresses: 5,
            turned_away: TurnedAway::default().so_far(),
            federation: FederationStatus {
                node: NodeKey([1; 32]),
                fingerprint: "aaaa".into(),
                published: 1,
                received: 2,
                pending: 0,
                peers: vec![PeerStatus {
                    name: "<script>alert(1)</script>\"'&".into(),
                    node: NodeKey([2; 32]),
                    fingerprint: "bbbb".into(),
                    url: "https://x.example/\"onmouseover=\"x/fed/v1".into(),
                    state: PeerState::Accepted,
                    read: true,
                    weight: 0.5,
                    polled_at: Some(1000),
                    answered_at: Some(940),
                    trouble: Some("</td><img src=x>".into()),
                    reason: None,
                }],
            },
        }
    }

    #[test]
    fn the_page_speaks_both_languages() {
        let fr = render(&status(), Lang::Fr, 1300).unwrap();
        for words in [
            "lang=\"fr\"",
            "rejet définitif",
            "Boîte pleine",
            "12\u{202f}345",
            "il y a 5\u{a0}min",
            "il y a 6\u{a0}min",
            "Le dernier essai (il y a 5\u{a0}min) a échoué",
            "0,24\u{a0}%",
            "0,50",
            "Vos règles de lecture des réponses",
        ] {
            assert!(fr.contains(words), "{words}: {fr}");
        }
        let en = render(&status(), Lang::En, 1300).unwrap();
        for words in
            ["lang=\"en\"", "hard bounce", "Mailbox full", "12,345", "6\u{a0}min ago", "0.24%", "Good: under 0.4%"]
        {
            assert!(en.contains(words), "{words}: {en}");
        }
    }

    #[test]
    fn what_peers_say_of_themselves_is_text() {
        let page = render(&status(), Lang::En, 1300).unwrap();
        for raw in ["<script", "<img", "<b>", "\"onmouseover", "alert(1)</"] {
            assert!(!page.contains(raw), "{raw}: {page}");
        }
        assert!(page.contains("&#60;script&#62;"), "{page}");
    }

    #[test]
    fn every_kind_of_thing_has_words_in_both_languages() {
        for lang in Lang::ALL {
            let has = |key: &str| assert!(lang.find(key).is_some(), "{key} has no words");
            ["rules", "breaker", "sender", "exit"].iter().for_each(|kind| has(&format!("waiting-{kind}")));
            Cause::ALL.iter().for_each(|cause| has(&format!("cause-{cause}")));
            ["own-hard", "own-soft", "imported", "federated", "listed", "opted-out"]
                .iter()
                .for_each(|why| has(&format!("stop-{why}")));
        }
    }

    #[test]
    fn what_is_wrong_with_a_peer_is_told_apart_from_silence() {
        let check = |polled_at, answered_at, trouble: Option<&str>, want: (&str, &str)| {
            let mut peer = status().federation.peers.remove(0);
            (peer.polled_at, peer.answered_at, peer.trouble) = (polled_at, answered_at, trouble.map(str::to_owned));
            let line = peer_line(&peer, Lang::En, 1300);
            assert_eq!((&line.answered[..], &line.trouble[..]), want, "{polled_at:?} {answered_at:?} {trouble:?}");
        };
        let answers = "It answers, but not everything is right:";
        check(None, None, None, ("never", ""));
        check(Some(1300), None, Some("away"), ("never", "The last try (0\u{a0}s ago) failed:"));
        check(Some(1299), Some(1000), Some("away"), ("5\u{a0}min ago", "The last try (1\u{a0}s ago) failed:"));
        check(Some(1299), Some(1299), Some("forged"), ("1\u{a0}s ago", answers));
        check(Some(1299), Some(1299), None, ("1\u{a0}s ago", ""));
    }

    #[test]
    fn the_light_has_the_steps_of_the_design() {
        let check = |real, decided, want| assert_eq!(Light::of(real, decided), want, "{real}/{decided}");
        check(0, 0, Light::None);
        check(99, 99, Light::None);
        check(0, 1000, Light::Green);
        check(3, 1000, Light::Green);
        check(4, 1000, Light::Watch);
        check(20, 1000, Light::Amber);
        check(50, 1000, Light::Red);
        check(100, 1000, Light::Stop);
        check(u64::MAX, u64::MAX, Light::Stop);
    }
}
