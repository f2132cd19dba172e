//! `sm2tp org import`: logins with hashed passwords of another program, into an organisation.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use sm2tp_doors::control::Request;
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
    let lines = read(asked.file)?;
    let mut node = Node::new(config, config_file);
    let known = names(&node.ask(&Request::OrgList).await?);
    let (mut taken, mut kept, mut refused) = (0_u64, 0_u64, Vec::new());
    for (number, line) in lines {
        let Some((login, hash)) = fields(&line) else {
            refused.push((number, "no line like login:{SCHEME}hash".to_owned()));
            continue;
        };
        if known.contains(login) {
            kept += 1;
            continue;
        }
        let (login, hash) = (login.to_owned(), hash.to_owned());
        let request = Request::OrgLoginHashed { org: asked.org.to_owned(), login, hash, stream: asked.stream };
        match node.ask(&request).await {
            Ok(_) => taken += 1,
            Err(failure) if failure.exit == Exit::Input as u8 => refused.push((number, failure.message)),
            Err(failure) => return Err(failure),
        }
    }
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

/// All logins of the node.
fn names(orgs: &Value) -> BTreeSet<String> {
    let logins = orgs.as_array().into_iter().flatten().flat_map(|org| org["logins"].as_array().into_iter().flatten());
    logins.filter_map(|login| login["login"].as_str()).map(str::to_owned).collect()
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
