//! Commands of this program about the node, run as the user who owns its data: root writes /etc, and nobody but that user the data.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use serde_json::Value;
use sm2tp_store::keys;

use crate::config::Config;
use crate::{Exit, Failure, open};

/// Runs them with the configuration that was just written.
pub struct Commands {
    program: PathBuf,
    config_file: PathBuf,
    /// Whom to be: the numbers of the data directory's owner and group, where that is not who runs this.
    user: Option<(u32, u32)>,
}

impl Commands {
    pub fn new(config: &Config, config_file: &Path) -> Result<Self, Failure> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| Failure::new(Exit::Temporary, format!("this program: {error}")))?;
        if geteuid().is_root() && !config.data_dir.exists() {
            let message = format!("{}: not there yet; {}", config.data_dir.display(), open::INSTALLED);
            return Err(Failure::new(Exit::NoPermission, message));
        }
        let owner = std::fs::metadata(&config.data_dir).ok().map(|found| (found.uid(), found.gid()));
        let user = owner.filter(|(owner, _)| geteuid().is_root() && *owner != 0);
        Ok(Self { program, config_file: config_file.to_owned(), user })
    }

    /// Whom they run as, where that is not who runs this.
    pub fn user(&self) -> Option<u32> {
        self.user.map(|(user, _)| user)
    }

    /// The command with these words, about this configuration or another one.
    pub fn command(&self, words: &[&str], config_file: Option<&Path>) -> Command {
        let mut command = match self.user {
            None => Command::new(&self.program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                let own = [format!("--reuid={user}"), format!("--regid={group}"), "--init-groups".into(), "--".into()];
                command.args(own).arg(&self.program);
                command
            }
        };
        command.args(words).arg("--config").arg(config_file.unwrap_or(&self.config_file));
        command
    }

    /// Runs a command that must succeed, with `input` on its standard input, and gives what it says in JSON. A node that was never
    /// started knows nothing, which is null.
    pub fn run(&self, words: &[&str], input: &str) -> Result<Value, Failure> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let cannot =
            |error: std::io::Error| Failure::new(Exit::Temporary, format!("sm2tp {}: {error}", words.join(" ")));
        let mut command = self.command(&words, None);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(cannot)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it has ended, and says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(cannot)?;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match output.status.code() {
            Some(0) => Ok(said),
            Some(69) => Ok(Value::Null),
            code => {
                let message = said["message"]
                    .as_str()
                    .map_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned(), ToOwned::to_owned);
                let exit = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Temporary as u8);
                Err(Failure { exit, message: format!("sm2tp {}: {message}", words.join(" ")) })
            }
        }
    }
}

/// A password that nobody guesses and that can be read over the telephone: 24 letters and digits of 32, so 120 bits.
pub fn password() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let random = keys::random().map_err(|error| open::unusable(Path::new("/dev/random"), &error))?;
    let letters = random.iter().take(24).map(|octet| char::from(LETTERS[usize::from(octet % 32)]));
    let letters: Vec<char> = letters.collect();
    Ok(letters.chunks(6).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}
