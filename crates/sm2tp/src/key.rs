//! `sm2tp key`: the keys by which other nodes know this one, and what is signed where the node key is.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sm2tp_doors::control::{OfKeys, Request};
use sm2tp_federation::descriptor::{self, DESCRIPTOR_OCTETS_MAX, Descriptor};

use crate::cli::Key;
use crate::config::Config;
use crate::show::time;
use crate::{Exit, Failure, ask, say};

/// Does what was asked, and prints what came of it.
pub async fn run(config: &Config, config_file: &Path, command: Key, as_json: bool) -> Result<ExitCode, Failure> {
    let request = Request::Key { wanted: wanted(&command)? };
    let value = ask::ask(config, config_file, &request).await?;
    let text = match &command {
        // It is given to another program, or to a file.
        Key::Export { .. } => value["payload"].as_str().unwrap_or_default().to_owned(),
        Key::Import { .. } if value["own"] == false => {
            format!("The descriptor of node {} was taken.", value["fingerprint"].as_str().unwrap_or_default())
        }
        Key::Import { .. } => "Peers hear it with their next question.".to_owned(),
        Key::Offline { file } => format!(
            "The node key is in {} and no more in the data directory. Carry the file away.\n{}",
            file.display(),
            keys(&value)
        ),
        _ => keys(&value),
    };
    say(if as_json { value.to_string() } else { text }.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `sm2tp key sign`: no node is asked.
pub fn sign(node_key: &Path, file: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let wrong = |what: &str| Failure::new(Exit::Input, what.to_owned());
    let seed = std::fs::read_to_string(node_key).map_err(|error| unreadable(node_key, &error))?;
    let seed = hex(seed.trim()).ok_or_else(|| wrong("the file of the key does not hold 64 hexadecimal digits"))?;
    let payload = STANDARD.decode(read(file)?.trim()).map_err(|_| wrong("that is not what key export printed"))?;
    let wanted: Descriptor =
        serde_json::from_slice(&payload).map_err(|error| wrong(&format!("that is no descriptor: {error}")))?;
    let signed = descriptor::sign(wanted, &SigningKey::from_bytes(&seed)).map_err(|error| wrong(&error.to_string()))?;
    match as_json {
        true => say(&json!({ "descriptor": signed.text() }).to_string()),
        false => say(signed.text()),
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(command: &Key) -> Result<OfKeys, Failure> {
    let wait_s = |hours: u64, now: bool| if now { 0 } else { hours.saturating_mul(3600) };
    Ok(match command {
        Key::Show => OfKeys::Show,
        Key::Rotate { wait, now } => OfKeys::Rotate { wait_s: wait_s(*wait, *now) },
        Key::Revoke { after } => OfKeys::Revoke { after: *after },
        Key::Tag { wait, now } => OfKeys::Tag { wait_s: wait_s(*wait, *now) },
        Key::Found => OfKeys::Found,
        Key::Join { key_id } => OfKeys::Join { key_id: key_id.clone() },
        Key::Offline { file } => OfKeys::Offline { file: whole(file)? },
        Key::Online { file } => OfKeys::Online { file: whole(file)? },
        Key::Export { retired } => OfKeys::Export { retired: *retired },
        Key::Import { file } => OfKeys::Import { text: read(file)? },
        Key::Sign { .. } => return Err(Failure::new(Exit::Usage, "this command asks no node")),
    })
}

/// The node may stand in another directory.
fn whole(file: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(file).map_err(|error| unreadable(file, &error))
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(READ_MAX).read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|file| file.take(READ_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| unreadable(file, &error))?;
    // `key sign --json` writes it so.
    let from_json = serde_json::from_str::<Value>(&text).ok();
    let inside = from_json.and_then(|value| ["descriptor", "payload"].iter().find_map(|key| plain(&value, key)));
    Ok(inside.unwrap_or(text))
}

/// A descriptor has a payload too, beside its signature: that is whole already.
fn plain(value: &Value, key: &str) -> Option<String> {
    value["sig"].is_null().then(|| value[key].as_str().map(str::to_owned)).flatten()
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Input, format!("{}: {error}", file.display()))
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (octet, at) in octets.iter_mut().zip((0..64).step_by(2)) {
        *octet = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(octets)
}

fn keys(value: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = |value: &Value| time(value.as_u64().unwrap_or(0));
    let mut out = format!("Node {} ({})\n", word(&value["node"]), word(&value["fingerprint"]));
    let mut line = |text: String| _ = writeln!(out, "{text}");
    if value["retired"] == true {
        line("It is closed for ever: its last descriptor was imported.".into());
    }
    if value["node_key"] == "elsewhere" {
        line("Its key is not on this machine.".into());
    }
    if value["waits_for_signature"] == true {
        line("Something is to be signed: sm2tp key export, key sign, key import.".into());
    }
    for key in value["log_keys"].as_array().into_iter().flatten() {
        let revoked = key["revoked_after"].as_str().map(|after| format!(", revoked after {after}"));
        line(format!(
            "Log key {} ({}): {} to {}{}",
            word(&key["key"]),
            word(&key["state"]),
            time(&key["not_before"]),
            time(&key["not_after"]),
            revoked.unwrap_or_default()
        ));
    }
    for key in value["tag_keys"].as_array().into_iter().flatten() {
        let (id, state) = (word(&key["key_id"]), word(&key["state"]));
        line(format!("Tag key {id} ({state}): {} to {}", time(&key["not_before"]), time(&key["not_after"])));
    }
    if let Some(at) = value["tag_key_lapses_at"].as_u64() {
        _ = writeln!(out, "{}", lapses(at));
    }
    out
}

/// That the federation has no next tag key.
pub fn lapses(at: u64) -> String {
    format!(
        "No tag key is known for the time after {}: nothing new is told to others then. Its founder makes the next one; if that node \
         does not come back, docs/node-keys.md says what to do.",
        time(at)
    )
}

/// A signed descriptor in JSON, and some white space.
const READ_MAX: u64 = 2 * DESCRIPTOR_OCTETS_MAX as u64;
