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
    dir: PathBuf,
    pub(super) smtp: SocketAddr,
}

/// CPU seconds of a process with its children, and its memory at the highest.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu_s: f64,
    pub(super) memory_peak_kib: u64,
}

impl BenchNode {
    pub(super) async fn start(dir: Option<&Path>, sink: SocketAddr) -> Result<Self, Failure> {
        let parent = dir.map_or_else(std::env::temp_dir, Path::to_owned);
        let dir = parent.join(format!("sm2tp-bench-{}", std::process::id()));
        let io = |error: std::io::Error| Failure::new(Exit::Unavailable, format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(io)?;
        let config = dir.join("sm2tp.toml");
        let (data, out) = (dir.join("data"), dir.join("out"));
        let text = format!(
            "hostname = \"bench.example.org\"\ndata_dir = {data:?}\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
             trusted_networks = [\"127.0.0.1/32\"]\nconnections_max = 2000\nconnections_per_client_max = 2000\n\
             memory_max = \"1 GiB\"\n[relay]\nroutes = {{ \"bench.test\" = \"{sink}\" }}\n\
             connections_per_site_max = 16\ntls = \"off\"\n[dns]\nservers = [\"127.0.0.1:9\"]\n"
        );
        std::fs::write(&config, text).map_err(io)?;
        let output = std::fs::File::create(&out).map_err(io)?;
        let log = std::fs::File::create(dir.join("log")).map_err(io)?;
        let program = std::env::current_exe().map_err(io)?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env("SM2TP_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .spawn()
            .map_err(io)?;
        let mut node = Self { child, dir: dir.clone(), smtp: SocketAddr::from(([127, 0, 0, 1], 0)) };
        node.smtp = soon("the node", listening(&out)).await?;
        Ok(node)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BenchNode {
    fn drop(&mut self) {
        // It is measured, not kept: what it still holds is of no use.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Usage {
    /// Reads `/proc`; zeros where there is none.
    pub(super) fn of(pid: u32) -> Self {
        let peak = std::fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        });
        Self { cpu_s: family(pid).into_iter().filter_map(cpu_s).sum(), memory_peak_kib: peak.unwrap_or(0) }
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
