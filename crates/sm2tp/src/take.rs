//! `sm2tp report --take`: hands reports to the node, for mail servers that pass them to a command.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sm2tp_doors::control::Request;
use sm2tp_doors::returns::{self, REPORT_OCTETS_MAX};

use crate::config::Config;
use crate::{Exit, Failure, ask, open, say};

/// Takes each file, or standard input where none is named. Ends with success when all of them are on stable storage; a mail
/// server that runs this keeps the mail until then.
pub async fn run(
    config: &Config,
    config_file: &Path,
    recipient: Option<String>,
    files: Vec<PathBuf>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let contents = match files.is_empty() {
        true => vec![from_stdin()?],
        false => files.iter().map(|file| from_file(file)).collect::<Result<_, _>>()?,
    };
    for content in &contents {
        ask::ask(config, config_file, &Request::report(recipient.clone(), content)).await?;
    }
    if as_json {
        say(&serde_json::json!({ "taken": contents.len() }).to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn from_file(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return from_stdin();
    }
    File::open(path).and_then(read).map_err(|error| open::unusable(path, &error))
}

fn from_stdin() -> Result<Vec<u8>, Failure> {
    read(io::stdin().lock()).map_err(|error| Failure::new(Exit::Input, format!("standard input: {error}")))
}

/// The beginning says why a mail came back; the rest is the mail.
fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(REPORT_OCTETS_MAX as u64).read_to_end(&mut content)?;
    // Mail servers give mail to commands with the line ends of the machine; in a queue it has those of SMTP.
    Ok(returns::with_crlf(&content))
}
