//! A node of the demonstration: its configuration, its process, and the commands an administrator would type.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use super::process::Process;
use super::status::{self, QueuedRow, Status};

/// A node and the child process that it runs in.
pub struct Node {
    pub hostname: String,
    pub http: SocketAddr,
    pub submission: SocketAddr,
    dir: PathBuf,
    config: String,
    log: PathBuf,
    process: Option<Process>,
}

/// Where a node is to find the demonstration's Internet.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    pub dns: SocketAddr,
    pub port: u16,
}

impl Node {
    /// Writes the configuration of node `letter`; nothing runs yet.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(letter: &str, dir: &Path, listen: [SocketAddr; 2], surroundings: Surroundings) -> anyhow::Result<Self> {
        let [submission, http] = listen;
        let hostname = format!("relay-{letter}.example");
        let config = dir.join(format!("{letter}.toml"));
        let data_dir = dir.join(letter);
        fs::create_dir(&data_dir)?;
        let Surroundings { dns, port } = surroundings;
        let text = CONFIG
            .replace("{hostname}", &hostname)
            .replace("{data_dir}", &data_dir.display().to_string())
            .replace("{submission}", &submission.to_string())
            .replace("{http}", &http.to_string())
            .replace("{port}", &port.to_string())
            .replace("{dns}", &dns.to_string());
        fs::write(&config, text)?;
        let config = config.display().to_string();
        let log = dir.join(format!("{letter}.log"));
        Ok(Self { hostname, http, submission, dir: dir.to_owned(), config, log, process: None })
    }

    /// Starts `sm2tp serve` and waits until it answers.
    ///
    /// # Errors
    /// With the end of its log, where it does not.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let process = Process::start(&["serve", "--config", &self.config], &self.log, &self.log)
            .context("the node's process cannot be started")?;
        let process = self.process.insert(process);
        let deadline = Instant::now() + START_MAX;
        while status::fetch(self.http).await.is_err() {
            if process.ended()?.is_some() || deadline < Instant::now() {
                bail!("node {} does not start; the end of its log:\n{}", self.hostname, end_of(&self.log));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The node goes as in a power cut: SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and SIGKILL for a node that does not go.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(STOP_MAX).await;
        }
    }

    /// `sm2tp org add`.
    ///
    /// # Errors
    /// What the command said.
    pub async fn add_org(&self, org: &str, domain: &str) -> anyhow::Result<()> {
        self.cli(&["org", "add", org, "--domain", domain]).await.map(drop)
    }

    /// `sm2tp org login`, with the password in a file that only we can read.
    ///
    /// # Errors
    /// What the command said.
    pub async fn add_login(&self, login: &str, org: &str, stream: &str, password: &str) -> anyhow::Result<()> {
        let file = self.dir.join(format!("{login}.password"));
        fs::write(&file, password)?;
        let file = file.display().to_string();
        self.cli(&["org", "login", login, "--org", org, "--stream", stream, "--password-file", &file]).await.map(drop)
    }

    /// `sm2tp peer invite`, sent to the other node.
    ///
    /// # Errors
    /// What the command said.
    pub async fn invite(&self, other: &Node) -> anyhow::Result<()> {
        self.cli(&["peer", "invite", &format!("http://{}/fed/v1", other.http)]).await.map(drop)
    }

    /// `sm2tp peer accept --yes`, after the other node's invitation has come.
    ///
    /// # Errors
    /// What the command said.
    pub async fn accept(&self, other: &Node) -> anyhow::Result<()> {
        self.cli(&["peer", "accept", "--yes", &other.hostname]).await.map(drop)
    }

    /// `sm2tp queue list`.
    ///
    /// # Errors
    /// What the command said, or what it printed where that is no list.
    pub async fn queue(&self) -> anyhow::Result<Vec<QueuedRow>> {
        let text = self.cli(&["queue", "list", "--json", "--limit", QUEUE_MAX]).await?;
        serde_json::from_str(&text).with_context(|| format!("`sm2tp queue list --json` printed {text:.200}"))
    }

    /// The numbers of the status page.
    ///
    /// # Errors
    /// Where the node does not answer.
    pub async fn status(&self) -> anyhow::Result<Status> {
        status::fetch(self.http).await
    }

    /// Runs a command as an administrator does, and gives what it printed.
    async fn cli(&self, args: &[&str]) -> anyhow::Result<String> {
        let shown = format!("`sm2tp {}`", args.join(" "));
        let [stdout, stderr] = ["stdout", "stderr"].map(|end| self.log.with_extension(end));
        for file in [&stdout, &stderr] {
            fs::write(file, "")?;
        }
        let mut process = Process::start(&[args, &["--config", &self.config]].concat(), &stdout, &stderr)?;
        let Some(status) = process.wait(COMMAND_MAX).await? else { bail!("{shown} does not end") };
        if !status.success() {
            bail!("{shown} on {}: {}\n{}{}", self.hostname, how(status), end_of(&stdout), end_of(&stderr));
        }
        Ok(fs::read_to_string(&stdout)?)
    }
}

/// Free ports of 127.0.0.1, all different. Another program could take one before a node does; then the node says so.
///
/// # Errors
/// Where there are none.
pub fn free_ports<const COUNT: usize>() -> anyhow::Result<[SocketAddr; COUNT]> {
    let mut held = Vec::new();
    let mut free = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    for address in &mut free {
        let listener = TcpListener::bind(*address).context("no port of 127.0.0.1 is free")?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(free)
}

fn how(status: ExitStatus) -> String {
    status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"))
}

/// The last lines of a file.
fn end_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// A day in half a minute: what takes hours in a real node takes seconds here.
const CONFIG: &str = r#"hostname = "{hostname}"
data_dir = "{data_dir}"

[smtp]
listen = ["{submission}"]

[http]
listen = ["{http}"]

[relay]
port = {port}
retry_first = "1s"
retry_max = "3s"
expire_personal = "20s"
expire_bulk = "12s"
connect_timeout = "5s"
answer_timeout = "20s"

[dns]
servers = ["{dns}"]

[federation]
url = "http://{http}/fed/v1"
seal_after = "1s"
hold_down = "1s"
poll = "1s"
head_wait = "1s"

[suppression]
hold_max = "8s"

# Of its letters one in ten is meant to bounce: to the watch its senders are thieves.
[watch]
mode = "observe"
"#;

/// More than the day has recipients.
const QUEUE_MAX: &str = "10000";
const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(5);
const COMMAND_MAX: Duration = Duration::from_secs(20);
const LINES_SHOWN: usize = 15;
