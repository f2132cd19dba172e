//! The phases of the demonstration's day, from two fresh nodes to empty queues.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::count::{NodeEnd, Summary};
use super::folder::Folder;
use super::internet::Internet;
use super::letters;
use super::node::{Node, Surroundings, free_ports};
use super::people::{Lists, populate};
use super::providers::{HOME_A, HOME_B};
use super::show::Progress;
use super::status::Status;
use super::traffic::{Letter, Login, SharedTally, send};

/// Two nodes, their surroundings and their people.
pub struct Day {
    pub a: Node,
    pub b: Node,
    internet: Internet,
    lists: Lists,
    tally: SharedTally,
    progress: Progress,
    began: Instant,
}

impl Day {
    /// Starts the Internet and both nodes, and does what their administrators would do: accounts, and peering.
    ///
    /// # Errors
    /// What did not start or what a command said against it.
    pub async fn prepare(folder: &Folder, status_page: Option<SocketAddr>, progress: Progress) -> anyhow::Result<Self> {
        let began = Instant::now();
        progress.phase("A small Internet on loopback: a name server, and servers that answer as Gmail, Orange, Free and others do.");
        let (directory, lists) = populate();
        let internet = Internet::start(directory).await?;
        let around = Surroundings { dns: internet.dns, port: internet.port };
        let [submission_a, http_a, submission_b, http_b] = free_ports()?;
        let http_a = status_page.unwrap_or(http_a);
        let a = Node::new("a", folder.path(), [submission_a, http_a], around)?;
        let b = Node::new("b", folder.path(), [submission_b, http_b], around)?;
        let mut day = Self { a, b, internet, lists, tally: SharedTally::default(), progress, began };
        day.progress.phase("Two nodes start: relay-a.example and relay-b.example.");
        tokio::try_join!(day.a.start(), day.b.start())?;
        tokio::try_join!(
            accounts(&day.a, "asso-a", HOME_A, ["news-a", "anna"]),
            accounts(&day.b, "asso-b", HOME_B, ["news-b", "bruno"])
        )?;
        day.progress.phase("Their administrators exchange keys: B invites A, A accepts.");
        day.b.invite(&day.a).await?;
        day.a.accept(&day.b).await?;
        day.settle(|a, b| a.federation.has_peer() && b.federation.has_peer()).await;
        Ok(day)
    }

    /// Sends the day's mail; `kill`: node A is killed in the middle of its newsletter and started again.
    ///
    /// # Errors
    /// Where a node does not come back.
    pub async fn run(&mut self, kill: bool) -> anyhow::Result<()> {
        self.internet.begin_day();
        self.progress.phase("Letters between people, at both nodes.");
        let (anna, bruno) = (login(&self.a, "anna", "anna", HOME_A), login(&self.b, "bruno", "bruno", HOME_B));
        let (from_a, from_b) = (letters::personal("a", &self.lists), letters::personal("b", &self.lists));
        tokio::join!(self.send(&anna, from_a), self.send(&bruno, from_b));

        let list = &self.lists.newsletter_a;
        self.progress.phase(&format!("Newsletter of node A to {} addresses, some of them dead.", list.len()));
        self.newsletter_a(kill).await?;
        self.progress.phase("Node A publishes what it learned, node B reads it; A sends a reminder meanwhile.");
        let news_a = login(&self.a, "news-a", "news", HOME_A);
        self.settle(|a, _| a.outbox == 0 && a.queue.total() < MOSTLY_DONE).await;
        let reminder = letters::newsletter("a-r", "Rappel : assemblée générale", &self.lists.reminder_a);
        self.send(&news_a, reminder).await;
        self.settle(has_learned).await;

        let list = &self.lists.newsletter_b;
        self.progress.phase(&format!("Newsletter of node B to {} addresses; many are in the list of A.", list.len()));
        let news_b = login(&self.b, "news-b", "news", HOME_B);
        self.send(&news_b, letters::newsletter("b-n", "La lettre du collectif", list)).await;

        self.progress.phase("The queues empty: retries, mail that was held, reports to senders.");
        self.wait(self.began + DAY_MAX, |a, b| {
            a.is_drained() && b.is_drained() && has_learned(a, b) && has_learned(b, a)
        })
        .await;
        Ok(())
    }

    /// Counts what came of it.
    ///
    /// # Errors
    /// Where a node does not answer.
    pub async fn count(&self) -> anyhow::Result<Summary> {
        let (a, b) = tokio::try_join!(end(&self.a), end(&self.b))?;
        self.progress.now(&a.status, &b.status);
        let mut summary = Summary::of(&a, &b, &self.tally.read(), &self.internet.world.received());
        summary.seconds = self.began.elapsed().as_millis() as f64 / 1000.0;
        Ok(summary)
    }

    pub async fn stop(&mut self) {
        tokio::join!(self.a.stop(), self.b.stop());
    }

    async fn newsletter_a(&mut self, kill: bool) -> anyhow::Result<()> {
        let news = login(&self.a, "news-a", "news", HOME_A);
        let letters = letters::newsletter("a-n", "La lettre de l'association", &self.lists.newsletter_a);
        if !kill {
            self.send(&news, letters).await;
            return Ok(());
        }
        let (tally, deadline) = (self.tally.clone(), self.began + DAY_MAX);
        let accepted = tally.read().accepted.len() + self.lists.newsletter_a.len() * 2 / 5;
        let sending = send(&news, letters, &tally, deadline);
        let (progress, a) = (self.progress, &mut self.a);
        let killing = async {
            while tally.read().accepted.len() < accepted && Instant::now() < deadline {
                sleep(Duration::from_millis(2)).await;
            }
            a.kill();
            progress.phase("Node A is killed (SIGKILL) in the middle of it, and started again.");
            a.start().await
        };
        tokio::join!(sending, killing).1
    }

    async fn send(&self, login: &Login, letters: Vec<Letter>) {
        let sending = send(login, letters, &self.tally, self.began + DAY_MAX);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                () = &mut sending => return,
                () = sleep(LOOK) => drop(self.look().await),
            }
        }
    }

    /// Waits for something that should be soon, and goes on without it.
    async fn settle(&self, done: impl Fn(&Status, &Status) -> bool) {
        self.wait(Instant::now() + SETTLE_MAX, done).await;
    }

    async fn wait(&self, until: Instant, done: impl Fn(&Status, &Status) -> bool) {
        let waited = timeout_at(until, async {
            // Twice in a row: between two queues a mail may be in neither for a moment.
            let mut times = 0;
            while times < 2 {
                times = match self.look().await {
                    Ok((a, b)) if done(&a, &b) => times + 1,
                    _ => 0,
                };
                sleep(LOOK).await;
            }
        });
        if waited.await.is_err() {
            self.progress.phase("  (not all of it in time; the demonstration goes on)");
        }
    }

    async fn look(&self) -> anyhow::Result<(Status, Status)> {
        let (a, b) = tokio::try_join!(self.a.status(), self.b.status())?;
        self.progress.now(&a, &b);
        Ok((a, b))
    }
}

/// All that one node knows is published, and the other has read it.
fn has_learned(teller: &Status, hearer: &Status) -> bool {
    let (told, heard) = (&teller.federation, &hearer.federation);
    teller.outbox == 0 && told.pending == 0 && 0 < told.published && told.published <= heard.received
}

async fn accounts(node: &Node, org: &str, domain: &str, [news, person]: [&str; 2]) -> anyhow::Result<()> {
    node.add_org(org, domain).await?;
    node.add_login(news, org, "bulk", &password(news)).await?;
    node.add_login(person, org, "personal", &password(person)).await
}

fn login(node: &Node, name: &'static str, local: &str, domain: &str) -> Login {
    let address = format!("{local}@{domain}");
    Login { submission: node.submission, name, password: password(name), address }
}

fn password(login: &str) -> String {
    format!("demonstration only {login}")
}

/// The node's numbers, all of one moment: a mail that is delivered between two questions would be counted twice.
async fn end(node: &Node) -> anyhow::Result<NodeEnd> {
    let mut times = 0;
    loop {
        let before = node.status().await?;
        let mut queued = node.queue().await?;
        let status = node.status().await?;
        times += 1;
        let same = before.counters == status.counters && status.queue.total() == queued.len() as u64;
        if (same && status.outbox == 0) || MOMENTS_MAX <= times {
            // Reports that are still on their way are not people's mail.
            queued.retain(|row| !row.recipient.ends_with(HOME_A) && !row.recipient.ends_with(HOME_B));
            return Ok(NodeEnd { status, queued });
        }
        sleep(LOOK).await;
    }
}

/// Recipients of node A that may still wait (for servers that are down or put off) when its reminder begins.
const MOSTLY_DONE: u64 = 40;
/// A node that is still busy at the end is asked so often; then it is counted as it is.
const MOMENTS_MAX: u32 = 10;
/// Between two looks at the nodes.
const LOOK: Duration = Duration::from_millis(250);
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// After that the day ends, and what is still queued is counted as such.
const DAY_MAX: Duration = Duration::from_secs(85);
