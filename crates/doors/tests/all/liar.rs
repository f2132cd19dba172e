//! A peer that answers whatever a test wants.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use ed25519_dalek::SigningKey;
use sm2tp_doors::now;
use sm2tp_federation::descriptor::SignedDescriptor;
use sm2tp_federation::feed::{self, FeedEntry};
use sm2tp_federation::header::{Position, Sealing};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::segment::{self, Segment};
use sm2tp_federation::tags::{KeyId, Tag};
use tokio::net::TcpListener;

use super::node::describe;

pub struct Liar {
    pub origin: String,
    pub descriptor: SignedDescriptor,
    log: SigningKey,
    answers: Answers,
    asked: Asked,
    strict: Arc<AtomicBool>,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;
type Asked = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
pub enum Answer {
    Octets(Vec<u8>),
    Status(u16, &'static str),
    /// Never ends.
    Endless,
}

pub const FEED: &str = "6f2b1c9e-0d5a-4c3b-8e7f-112233445566";

impl Liar {
    pub async fn start(seed: u8) -> Self {
        let (node, log) = (SigningKey::from_bytes(&[seed; 32]), SigningKey::from_bytes(&[seed + 1; 32]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let descriptor = describe(&node, &log, "liar", &format!("{origin}/fed/v1"));
        let (answers, asked) = (Answers::default(), Asked::default());
        let strict = Arc::new(AtomicBool::new(false));
        let app = Router::new().fallback(answer).with_state((answers.clone(), asked.clone(), strict.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let liar = Self { origin, descriptor, log, answers, asked, strict };
        liar.answers("/fed/v1/node", Answer::Octets(liar.descriptor.text().into()));
        liar.answers("/fed/v1/tagkeys", Answer::Octets(br#"{"tagkeys":[]}"#.to_vec()));
        liar.answers("/fed/v1/heads", Answer::Octets(br#"{"heads":[]}"#.to_vec()));
        liar.answers("/fed/v1/nodes", Answer::Octets(br#"{"nodes":[],"cursor":null}"#.to_vec()));
        liar.answers("/fed/v1/feed", Answer::Octets(vec![]));
        liar
    }

    /// What is answered to a path from now on.
    pub fn answers(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// From now on it answers 400 to parameters that the first nodes did not have; [`Self::refused`] counts them.
    pub fn is_strict(&self) {
        self.strict.store(true, Ordering::SeqCst);
    }

    /// How often it refused a question with such a parameter.
    pub fn refused(&self, parameter: &str) -> usize {
        self.asked(&format!("400 {parameter}"))
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    pub fn key(&self) -> NodeKey {
        self.descriptor.descriptor().node
    }

    /// A segment of this node after another one.
    pub fn segment(&self, after: Option<&Segment>, tag: u8) -> Segment {
        self.seal(after, &[Record::about(Class::HARD, Source(1), Tag([tag; 16]), now() - 7200)])
    }

    /// The same with these events.
    pub fn seal(&self, after: Option<&Segment>, records: &[Record]) -> Segment {
        let before = after.map(|segment| segment.header.header());
        let sealing = Sealing {
            origin: self.key(),
            position: Position { epoch: 0, segno: before.map_or(0, |header| header.position().segno + 1) },
            first_sequence: before.map_or(1, |header| header.next_sequence()),
            prev: before.map_or([0; 32], |header| header.hash()),
            key_id: KeyId([9; 8]),
            sealed_at: now(),
        };
        segment::seal(&sealing, &self.log, records).unwrap()
    }

    /// Serves these headers in the feed and these octets in the log.
    pub fn publishes(&self, segments: &[&Segment]) {
        let entry = |(n, segment): (u64, &&Segment)| FeedEntry { number: n, header: *segment.header.header() };
        self.answers("/fed/v1/feed", Answer::Octets(feed::encode(&(1..).zip(segments).map(entry).collect::<Vec<_>>())));
        for segment in segments {
            self.answers(&self.log_path(segment), Answer::Octets(segment.encode()));
        }
    }

    pub fn log_path(&self, segment: &Segment) -> String {
        let Position { epoch, segno } = segment.header.header().position();
        format!("/fed/v1/log/{}/{epoch}/{segno}", self.key())
    }
}

async fn answer(
    State((answers, asked, strict)): State<(Answers, Asked, Arc<AtomicBool>)>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let mut names = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    let unknown = names.find(|name| !["", "after", "limit", "wait", "from", "max_bytes"].contains(name));
    if let Some(name) = unknown.filter(|_| strict.load(Ordering::SeqCst)) {
        asked.lock().unwrap().push(format!("400 {name}"));
        return Response::builder().status(400).body(Body::empty()).unwrap();
    }
    asked.lock().unwrap().push(path.clone());
    let found = answers.lock().unwrap().get(&path).cloned();
    // The rest of a feed is empty, as of a node that has told all.
    let after = request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("after="));
    let all = match &found {
        Some(Answer::Octets(octets)) => octets.len() / 248,
        _ => 0,
    };
    let told = after.and_then(|cursor| cursor.rsplit_once(':')?.1.parse::<usize>().ok()).unwrap_or(0);
    let response = Response::builder().header("sm2tp-cursor", format!("{FEED}:{}", all.max(told)));
    let built = match found {
        Some(Answer::Octets(octets)) if path.ends_with("/feed") => {
            response.body(octets[told.min(all) * 248..].to_vec().into())
        }
        Some(Answer::Octets(octets)) => response.body(octets.into()),
        Some(Answer::Status(status, location)) => {
            response.status(status).header("location", location).body(Body::empty())
        }
        Some(Answer::Endless) => response.body(Body::new(Endless)),
        None => response.status(404).body(Body::empty()),
    };
    built.unwrap()
}

struct Endless;

impl hyper::body::Body for Endless {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(vec![0; 16_384].into()))))
    }
}
