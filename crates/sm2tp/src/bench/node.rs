//! The node that is measured: a process of its own on a fresh directory, and what it uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::interval;

use super::soon;
use crate::{Exit, Failure};

/// A running node; it ends, and its directory goes, when this is dropped.
pub(super) struct BenchNode {
    child: Child,
    pub(super) place: Place,
    pub(super) smtp: SocketAddr,
}

/// CPU seconds of a process with its children, and its memory at the highest.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu_s: f64,
    pub(super) memory_kib: u64,
    pub(super) memory_peak_kib: u64,
}

/// What the node signs its mail with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sign {
    None,
    Ed25519,
    Both,
}

/// A directory for one measurement; it goes when this is dropped.
pub(super) struct Place {
    pub(super) dir: PathBuf,
}

impl Place {
    /// A directory in `parent`, or among the temporary files, with a configuration for a node that delivers to `sink`, over
    /// as many connections as `benches/relays/postfix.sh` gives Postfix.
    pub(super) fn new(parent: Option<&Path>, sink: SocketAddr) -> Result<Self, Failure> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let place = Self { dir: parent.join(format!("sm2tp-bench-{}", std::process::id())) };
        std::fs::create_dir_all(&place.dir).map_err(|error| place.failed(&error))?;
        let text = format!(
            "hostname = \"bench.example.org\"\ndata_dir = {:?}\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
             trusted_networks = [\"127.0.0.1/32\"]\nconnections_max = 2000\nconnections_per_client_max = 2000\n\
             memory_max = \"1 GiB\"\n[relay]\nroutes = {{ \"bench.test\" = \"{sink}\" }}\n\
             connections_per_site_max = 50\ntls = \"off\"\n[dns]\nservers = [\"127.0.0.1:9\"]\n",
            place.data()
        );
        std::fs::write(place.config(), text).map_err(|error| place.failed(&error))?;
        Ok(place)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("sm2tp.toml")
    }

    /// The command line of this program about this place.
    pub(super) fn command(&self, words: &[&str]) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe().map_err(|error| self.failed(&error))?);
        command.args(words).arg("--config").arg(self.config()).env("SM2TP_LOG", "warn").stdin(Stdio::null());
        Ok(command)
    }

    /// Makes the keys for the sender domain of the load.
    pub(super) fn sign(&self, sign: Sign) -> Result<(), Failure> {
        let algorithm = match sign {
            Sign::None => return Ok(()),
            Sign::Ed25519 => "ed25519",
            Sign::Both => "both",
        };
        let mut command = self.command(&["dkim", "new", "bench.example", "--algorithm", algorithm])?;
        let made = command.stdout(Stdio::null()).status().map_err(|error| self.failed(&error))?;
        if made.success() { Ok(()) } else { Err(self.failed(&"the keys could not be made")) }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(Exit::Unavailable, format!("{}: {error}", self.dir.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is measured, not kept: what it still holds is of no use.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl BenchNode {
    pub(super) async fn start(place: Place) -> Result<Self, Failure> {
        let out = place.dir.join("out");
        let output = std::fs::File::create(&out).map_err(|error| place.failed(&error))?;
        let log = std::fs::File::create(place.dir.join("log")).map_err(|error| place.failed(&error))?;
        let mut command = place.command(&["serve"])?;
        let child = command.stdout(output).stderr(log).spawn().map_err(|error| place.failed(&error))?;
        let mut node = Self { child, place, smtp: SocketAddr::from(([127, 0, 0, 1], 0)) };
        node.smtp = soon("the node", listening(&out)).await?;
        Ok(node)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BenchNode {
    fn drop(&mut self) {
        // It is measured, not drained.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    /// Reads `/proc`; zeros where there is none.
    pub(super) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        Self {
            cpu_s: family(pid).into_iter().filter_map(cpu_s).sum(),
            memory_kib: kib("VmRSS:"),
            memory_peak_kib: kib("VmHWM:"),
        }
    }
}

/// The process and all that descend from it: Postfix is twenty processes.
fn family(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = entries
        .filter_map(|entry| {
            let child: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((child, stat(child)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    family
}

/// Of this process.
pub(super) fn own_cpu_s() -> f64 {
    cpu_s(std::process::id()).unwrap_or_default()
}

/// User and system time of a process, and of its children that have ended (proc(5), `stat`).
fn cpu_s(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let ticks: f64 = (11..15).filter_map(|at| fields.get(at)?.parse::<f64>().ok()).sum();
    Some(ticks / TICKS_PER_S)
}

/// The fields after the name, which may hold spaces: `state`, `ppid`, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Where the node listens, once it says that it is ready.
async fn listening(out: &Path) -> Option<SocketAddr> {
    let mut look = interval(Duration::from_millis(20));
    loop {
        look.tick().await;
        let text = std::fs::read_to_string(out).unwrap_or_default();
        if text.lines().any(|line| line == "ready") {
            return text.lines().find_map(|line| line.strip_prefix("smtp ")?.parse().ok());
        }
    }
}

/// `USER_HZ`, which Linux has fixed at 100 for programs (time(7)).
const TICKS_PER_S: f64 = 100.0;
