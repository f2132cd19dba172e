//! Child processes that never outlive the demonstration, and never make it wait without end.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A child process; killed when it is dropped.
pub struct Process(Child);

impl Process {
    /// Starts our own program; what it prints is appended to two files, or to one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn start(args: &[&str], stdout: &Path, stderr: &Path) -> std::io::Result<Self> {
        let append = |path| File::options().create(true).append(true).open(path);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).stdin(Stdio::null()).stdout(append(stdout)?).stderr(append(stderr)?);
        command.spawn().map(Self)
    }

    /// How it ended; none while it runs.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Waits for its end; none where it still runs after `limit`.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn wait(&mut self, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || deadline < Instant::now() {
                return Ok(ended);
            }
            sleep(LOOK).await;
        }
    }

    /// Asks it to go (SIGTERM), and kills what does not.
    pub async fn stop(mut self, limit: Duration) {
        // The shell's own kill: std has no SIGTERM, and /bin/kill is in a package that may be missing.
        let kill = format!("kill -TERM {}", self.0.id());
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        // What cannot be waited for is killed when it is dropped, now.
        let _ = self.wait(limit).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail for a child that has ended, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The standard library cannot tell us when a child ends.
const LOOK: Duration = Duration::from_millis(10);
