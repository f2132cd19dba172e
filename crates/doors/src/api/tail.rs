//! `GET /api/v1/tail`: what happens, as Server-Sent Events. Each event has the number of its line, so that a browser that
//! comes back goes on behind it; `skipped` tells how many went by.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::Value;
use sm2tp_store::tokens::Token;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::operation::Given;
use super::problem::Problem;
use super::{Shared, asker};
use crate::control::{self, Request};
use crate::now;

/// The answer, which goes on until the client has enough, or the connection its time.
pub(super) async fn tail(
    shared: &Arc<Shared>,
    token: Arc<Token>,
    headers: &HeaderMap,
    given: &Given,
) -> Result<Response, Problem> {
    let permit = shared.tails.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::too_many("Too many are looking already.", AGAIN_S))?;
    let org = given.get("org").and_then(Value::as_str).map(str::to_owned);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let mut tailing = Tailing { shared: shared.clone(), token, org, after: last };
    // The first question is asked here, so that who may not look hears it as a problem.
    let first = tailing.ask().await?;
    let (to, lines) = mpsc::channel(1);
    tokio::spawn(tailing.run(first, to, permit));
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((fields, Body::new(Lines(lines))).into_response())
}

struct Tailing {
    shared: Arc<Shared>,
    token: Arc<Token>,
    org: Option<String>,
    /// The last line that was seen.
    after: Option<u64>,
}

impl Tailing {
    /// As `sm2tp tail` asks, with the rights that the token has now.
    async fn ask(&mut self) -> Result<String, Problem> {
        let secret_holds = self.shared.house.tokens.holds(&self.token, now());
        if !secret_holds {
            return Err(Problem::unauthorized("This token is not known any more."));
        }
        let request = Request::Tail { after: self.after, org: self.org.clone() };
        let (house, onward) = (self.shared.house.clone(), self.shared.onward.clone());
        let found = control::answer_to(house, onward, asker(&self.token), request).await?;
        self.after = found["next"].as_u64();
        Ok(events(&found))
    }

    /// Ends when the client is gone or too slow, when it may look no more, or when its time is over: then it comes again.
    async fn run(mut self, first: String, to: mpsc::Sender<Bytes>, _permit: OwnedSemaphorePermit) {
        let end = Instant::now() + LIFE;
        let mut changed = self.shared.house.ledger.tail().watch();
        let mut text = format!(": the live tail of {}\nretry: 2000\n\n{first}", self.shared.house.hostname);
        loop {
            if timeout(SLOW_MAX, to.send(text.into())).await.is_err() || to.is_closed() || end <= Instant::now() {
                return;
            }
            changed.borrow_and_update();
            text = match self.ask().await {
                Ok(found) if found.is_empty() => {
                    let until = (Instant::now() + SILENCE_MAX).min(end);
                    tokio::select! {
                        _ = timeout_at(until, changed.changed()) => {}
                        () = to.closed() => return,
                    }
                    // A thousand lines a second are not a thousand answers.
                    tokio::time::sleep(PAUSE).await;
                    self.ask().await.unwrap_or_default()
                }
                Ok(found) => found,
                Err(_) => return,
            };
            if text.is_empty() {
                // A proxy closes what is silent for long.
                text = ":\n\n".to_owned();
            }
        }
    }
}

/// In the form of the HTML standard. JSON of one line holds no line break, so nothing of a server's words becomes an event.
fn events(found: &Value) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(skipped) = found["skipped"].as_u64().filter(|skipped| *skipped != 0) {
        let _ = write!(text, "event: skipped\ndata: {{\"skipped\":{skipped}}}\n\n");
    }
    for line in found["lines"].as_array().into_iter().flatten() {
        let _ = write!(text, "id: {}\nevent: happening\ndata: {line}\n\n", line["number"]);
    }
    text
}

/// Octets that come through a channel of one: who does not read is not written for.
pub(crate) struct Lines(pub mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|octets| octets.map(|octets| Ok(Frame::data(octets))))
    }
}

/// Those who look at once; each is a connection and a task.
pub(super) const TAILS_MAX: usize = 16;
/// Below what the door gives a connection: the client comes again, and goes on where it was.
const LIFE: Duration = Duration::from_secs(220);
/// A client that takes nothing for so long is gone.
const SLOW_MAX: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);
const AGAIN_S: u64 = 30;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_a_server_stay_in_their_line() {
        let found = json!({
            "skipped": 7,
            "lines": [{ "number": 3, "text": "no\n\nevent: happening\ndata: mine" }],
            "next": 3,
        });
        let text = events(&found);
        assert_eq!(text.lines().filter(|line| line.starts_with("event: ")).count(), 2, "{text}");
        assert!(text.starts_with("event: skipped\ndata: {\"skipped\":7}\n\nid: 3\n"), "{text}");
    }
}
