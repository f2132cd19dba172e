//! A node under test: its directory, its process, and the commands that an administrator would type.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait::{Folder, wait_for};

pub const SM2TP: &str = env!("CARGO_BIN_EXE_sm2tp");

/// What a command left.
#[derive(Debug)]
pub struct Said {
    /// The exit code; -1 for a process that a signal ended.
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A node with its directory, which goes with it.
pub struct Node {
    pub folder: Folder,
    pub config: PathBuf,
    process: Option<Process>,
}

struct Process {
    child: Child,
    /// Kept open: a node whose reader is gone could not say anything more.
    _stdout: BufReader<ChildStdout>,
    /// Where each door is that the node said, by its word.
    doors: HashMap<String, String>,
}

impl Node {
    /// A node with this configuration, running. The key `data_dir` is added.
    pub fn start(config: &str) -> Self {
        let mut node = Self::prepare(config);
        node.serve();
        node
    }

    /// Writes the configuration; nothing runs.
    pub fn prepare(config: &str) -> Self {
        let folder = Folder::new("node");
        let text = format!("data_dir = {:?}\n{config}", folder.join("data").display().to_string());
        let config = folder.write("sm2tp.toml", &text);
        Self { folder, config, process: None }
    }

    /// Starts `sm2tp serve` and waits until it is ready.
    #[track_caller]
    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// As [`Node::serve`], with these in its environment.
    #[track_caller]
    pub fn serve_with(&mut self, environment: &[(&str, &str)]) {
        if let Err(status) = self.try_serve(environment) {
            panic!("the node did not start ({status}):\n{}", self.log());
        }
    }

    fn try_serve(&mut self, environment: &[(&str, &str)]) -> Result<(), ExitStatus> {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut child = Command::new(SM2TP)
            .args(["serve", "--config"])
            .arg(&self.config)
            .env_remove("SM2TP_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut doors = HashMap::new();
        let mut line = String::new();
        loop {
            line.clear();
            if stdout.read_line(&mut line).unwrap() == 0 {
                return Err(child.wait().unwrap());
            }
            match line.trim().split_once(' ') {
                Some((door, at)) => doors.insert(door.to_owned(), at.to_owned()),
                None if line.trim() == "ready" => break,
                None => panic!("the node says {line:?}"),
            };
        }
        self.process = Some(Process { child, _stdout: stdout, doors });
        Ok(())
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    /// The last address of this door.
    #[track_caller]
    fn door(&self, word: &str) -> SocketAddr {
        let at = self.process().doors.get(word).unwrap_or_else(|| panic!("the node has no {word}"));
        at.parse().unwrap()
    }

    pub fn smtp(&self) -> SocketAddr {
        self.door("smtp")
    }

    /// Where mail of one kind comes in.
    pub fn smtp_for(&self, stream: &str) -> SocketAddr {
        self.door(&format!("smtp-{stream}"))
    }

    /// Where a conversation begins with a handshake.
    pub fn smtps(&self) -> SocketAddr {
        self.door("smtps")
    }

    /// Where reports come in by LMTP.
    pub fn lmtp(&self) -> SocketAddr {
        self.door("lmtp")
    }

    pub fn policy(&self) -> SocketAddr {
        self.door("policy")
    }

    pub fn socketmap(&self) -> SocketAddr {
        self.door("socketmap")
    }

    pub fn http(&self) -> SocketAddr {
        self.door("http")
    }

    pub fn pid(&self) -> u32 {
        self.process().child.id()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// SIGKILL, as in a power cut.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the node runs");
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// SIGHUP: read files again.
    pub fn hang_up(&self) {
        let pid = self.process().child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// SIGTERM; answers with how it ended and how long that took.
    pub fn terminate(&mut self, longest: Duration) -> (ExitStatus, Duration) {
        let mut process = self.process.take().expect("the node runs");
        let began = Instant::now();
        let pid = process.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait_for("the node ends", longest, || process.child.try_wait().unwrap());
        (status, began.elapsed())
    }

    /// Runs a command about this node.
    pub fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    /// Runs a command about this node, with something on its standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Said {
        let mut command = Command::new(SM2TP);
        command.args(args).arg("--config").arg(&self.config);
        said(&mut command, input)
    }

    /// Runs a command that must succeed, and reads the JSON that it prints.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> Value {
        self.ask_with(args, "")
    }

    #[track_caller]
    pub fn ask_with(&self, args: &[&str], input: &str) -> Value {
        let said = self.run_with(&[args, &["--json"]].concat(), input);
        assert_eq!(said.exit, 0, "sm2tp {}: {}{}", args.join(" "), said.stdout, said.stderr);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
    }

    /// Adds an org with one domain and one login.
    #[track_caller]
    pub fn add_login(&self, login: &str, password: &str, domain: &str, stream: &str) {
        self.ask(&["org", "add", &format!("org-{login}"), "--domain", domain]);
        let org = format!("org-{login}");
        self.ask_with(&["org", "login", login, "--org", &org, "--stream", stream], password);
    }

    /// The decision for one kind of mail, as `explain` gives it.
    #[track_caller]
    pub fn decision(&self, address: &str, stream: &str) -> Value {
        self.ask(&["explain", address, "--stream", stream])["decisions"][0].clone()
    }

    /// What waits, as `queue list` gives it.
    #[track_caller]
    pub fn queue(&self) -> Vec<Value> {
        self.ask(&["queue", "list", "--limit", "10000"]).as_array().unwrap().clone()
    }

    #[track_caller]
    pub fn wait_for_empty_queue(&self) {
        wait_for("the queue is empty", Duration::from_secs(20), || self.queue().is_empty().then_some(()));
    }

    /// What the node wrote to standard error since it was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// From here on the peak of the memory is counted anew; answers with the memory now, in KiB.
    pub fn memory_peak_reset_kib(&self) -> u64 {
        // proc(5): 5 sets the peak to the present size.
        fs::write(format!("/proc/{}/clear_refs", self.process().child.id()), "5").unwrap();
        self.memory_peak_kib()
    }

    /// The largest memory that the process had, in KiB.
    pub fn memory_peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process().child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The answer to `GET path`, header and body.
    pub fn get(&self, path: &str) -> String {
        crate::client::get(self.http(), path)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_SHOWN);
            eprintln!(
                "--- log of the node at {}\n{}",
                self.config.display(),
                String::from_utf8_lossy(&log.as_bytes()[from..])
            );
        }
    }
}

/// Runs a command to its end.
pub fn said(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that does not read all of it has ended, which is its right.
    let writing = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    Said {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `sm2tp` with a configuration file and nothing else.
pub fn sm2tp(args: &[&str], config: &Path) -> Said {
    said(Command::new(SM2TP).args(args).arg("--config").arg(config), "")
}

const LOG_SHOWN: usize = 8000;
