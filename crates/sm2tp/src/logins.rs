//! `sm2tp org import`: logins with hashed passwords of another program, into an organisation.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sm2tp_doors::control::{HashedLogin, IMPORT_LOGINS_MAX, Request};
use sm2tp_rules::Stream;

use crate::ask::Node;
use crate::config::Config;
use crate::{Exit, Failure, say};

/// Whom the logins are for.
pub struct Import<'a> {
    pub org: &'a str,
    pub stream: Option<Stream>,
    pub file: Option<&'a Path>,
}

/// Takes over what can be checked, and says of the rest why not. A login that there is stays as it is.
pub async fn import(
    config: &Config,
    config_file: &Path,
    asked: Import<'_>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let (mut logins, mut refused) = (Vec::new(), Vec::new());
    for (line, text) in read(asked.file)? {
        match fields(&text) {
            Some((login, hash)) => {
                logins.push(HashedLogin { line, login: login.to_owned(), hash: hash.to_owned() });
            }
            None => refused.push((line, "no line like login:{SCHEME}hash".to_owned())),
        }
    }
    let mut node = Node::new(config, config_file);
    let (mut taken, mut kept) = (0, 0);
    for part in logins.chunks(IMPORT_LOGINS_MAX) {
        let request = Request::OrgImport { org: asked.org.to_owned(), logins: part.to_vec(), stream: asked.stream };
        let told = node.ask(&request).await?;
        taken += told["taken"].as_u64().unwrap_or_default();
        kept += told["kept"].as_u64().unwrap_or_default();
        refused.extend(told["refused"].as_array().into_iter().flatten().map(line_and_why));
    }
    refused.sort();
    if as_json {
        let list: Vec<Value> = refused.iter().map(|(line, why)| json!({ "line": line, "why": why })).collect();
        say(&json!({ "org": asked.org, "taken": taken, "kept": kept, "refused": list }).to_string());
    } else {
        refused.iter().for_each(|(line, why)| say(&format!("line {line}: {why}")));
        say(&format!(
            "{taken} logins of {} taken over, {kept} were there and stay, {} refused",
            asked.org,
            refused.len()
        ));
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Input as u8) })
}

fn line_and_why(refused: &Value) -> (usize, String) {
    let line = refused["line"].as_u64().and_then(|line| usize::try_from(line).ok());
    (line.unwrap_or_default(), refused["why"].as_str().unwrap_or_default().to_owned())
}

/// A passwd-file of Dovecot has more fields behind; a hash has no colon.
fn fields(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(':');
    let (login, hash) = (fields.next()?.trim(), fields.next()?.trim());
    (!login.is_empty() && !hash.is_empty()).then_some((login, hash))
}

/// The lines with their numbers, without empty ones and remarks.
fn read(file: Option<&Path>) -> Result<Vec<(usize, String)>, Failure> {
    let place = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let wrong = |error: io::Error| Failure::new(Exit::Input, format!("{place}: {error}"));
    let input: Box<dyn Read> = match file {
        Some(path) => Box::new(File::open(path).map_err(wrong)?),
        None => Box::new(io::stdin()),
    };
    let mut lines = Vec::new();
    for (at, line) in BufReader::new(input.take(OCTETS_MAX)).lines().enumerate() {
        let line = line.map_err(wrong)?;
        if !line.trim().is_empty() && !line.starts_with('#') {
            lines.push((at + 1, line));
        }
    }
    Ok(lines)
}

/// Half a million logins.
const OCTETS_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_behind_the_hash_are_for_others() {
        assert_eq!(
            fields("anna@asso.example:{SHA512-CRYPT}$6$x$y:1000:1000::/home/anna"),
            Some(("anna@asso.example", "{SHA512-CRYPT}$6$x$y"))
        );
        assert_eq!(fields("anna:$6$x$y"), Some(("anna", "$6$x$y")));
        assert_eq!(fields("anna"), None);
        assert_eq!(fields(":x"), None);
    }
}
