//! `sm2tp demo`: two federated nodes, a small Internet on loopback, and a day of mail in half a minute.

mod client;
mod count;
mod day;
mod folder;
mod internet;
mod letters;
mod mailserver;
mod node;
mod people;
mod process;
mod providers;
mod report;
mod show;
mod status;
mod traffic;
mod words;
mod zone;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::count::Summary;
use self::day::Day;
use self::folder::Folder;
use self::show::Progress;

/// The options of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args {
    /// End after the day, instead of leaving the nodes for a person to look at.
    pub once: bool,
    /// One JSON object instead of progress and table.
    pub json: bool,
    /// Kill node A in the middle of its newsletter.
    pub kill: bool,
}

/// The day is over; the nodes still run.
struct Evening {
    day: Day,
    summary: Summary,
    /// Last, so that it is removed when nobody writes there any more.
    folder: Folder,
}

/// Runs the demonstration; success means that no mail was lost.
///
/// # Errors
/// Where it could not be run to its end.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let evening = tokio::select! {
        evening = demonstrate(args) => evening?,
        // Both nodes go at once: a child is killed when its handle is dropped.
        interrupted = interrupt() => return interrupted.map(|()| ExitCode::from(INTERRUPTED)),
    };
    if !args.once {
        evening.invite();
        interrupt().await?;
    }
    Ok(evening.end().await)
}

async fn demonstrate(args: Args) -> anyhow::Result<Evening> {
    let progress = Progress::choose(args.json);
    let folder = Folder::new()?;
    let mut day = Day::prepare(&folder, status_page(args), progress).await?;
    day.run(args.kill).await?;
    let summary = day.count().await?;
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("\n{}", show::table(&summary));
    }
    Ok(Evening { day, summary, folder })
}

impl Evening {
    /// Tells a person where to look. On standard error, where no program reads.
    fn invite(&self) {
        eprintln!("The status page of node A is at http://{}/ until you press Ctrl-C;", self.day.a.http);
        eprintln!(
            "that of node B at http://{}/; logs and data are in {}.",
            self.day.b.http,
            self.folder.path().display()
        );
    }

    async fn end(mut self) -> ExitCode {
        self.day.stop().await;
        if self.summary.lost == 0 {
            return ExitCode::SUCCESS;
        }
        self.folder.keep();
        eprintln!("Logs and queues of the nodes are kept in {}.", self.folder.path().display());
        ExitCode::FAILURE
    }
}

/// A person finds the page where the manual says; a run without one does not disturb a node that lives there.
fn status_page(args: Args) -> Option<SocketAddr> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8025));
    (!args.once && TcpListener::bind(usual).is_ok()).then_some(usual)
}

async fn interrupt() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => Ok(result?),
        _ = terminate.recv() => Ok(()),
    }
}

/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
