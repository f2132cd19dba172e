//! The machine: disk, clock, files and who may read them, certificate, inotify.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{CreateFlags, init};
use rustix::fs::{Access, access};
use sm2tp_doors::now;
use sm2tp_doors::tls::{Certificates, renewed_by};
use sm2tp_store::alerts::Space;

use super::{Finding, Level};
use crate::config::{self, Config};
use crate::{open, show};

const PART: &str = "machine";

pub fn all(config: &Config, config_file: &Path) -> Vec<Finding> {
    let mut found = vec![disk(&config.data_dir)];
    found.push(clock(time_is_kept().as_deref(), now()));
    found.extend(data(&config.data_dir));
    found.extend(secrets(config).into_iter().filter_map(|path| secret(&path)));
    found.extend(configuration(config_file));
    found.extend(certificate(config));
    found.extend(logs(config));
    found
}

fn disk(dir: &Path) -> Finding {
    let about = dir.display().to_string();
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match Space::of(there) {
        Ok(Some(space)) => {
            let (level, key) = if space.is_low() { (Level::Fault, "disk-low") } else { (Level::Fine, "disk-fine") };
            Finding::new(PART, level, key, about).with("free", show_octets(space.free_octets))
        }
        Ok(None) => Finding::new(PART, Level::Note, "disk-unknown", about).with("why", "it does not count"),
        Err(error) => Finding::new(PART, Level::Note, "disk-unknown", about).with("why", error),
    }
}

/// Rounded, for a person.
fn show_octets(octets: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match octets / MIB {
        mib if mib < 10 * 1024 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib / 1024),
    }
}

/// What systemd says about the clock: `yes` or `no`.
fn time_is_kept() -> Option<String> {
    let said = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn clock(kept: Option<&str>, now: u64) -> Finding {
    let (level, key) = match kept {
        _ if now < BUILT_AFTER => (Level::Fault, "clock-past"),
        Some("yes") => (Level::Fine, "clock-fine"),
        Some("no") => (Level::Warning, "clock-alone"),
        _ => (Level::Note, "clock-unknown"),
    };
    Finding::new(PART, level, key, "clock").with("now", show::time(now))
}

/// The data directory is for the node alone.
fn data(dir: &Path) -> Vec<Finding> {
    let about = dir.display().to_string();
    let Ok(found) = fs::metadata(dir) else {
        return vec![Finding::new(PART, Level::Fault, "data-missing", about)];
    };
    let mut findings = Vec::new();
    if found.permissions().mode() & 0o007 != 0 {
        findings.push(Finding::new(PART, Level::Fault, "data-open", about.clone()));
    }
    if open::usable(dir).is_err() {
        findings.push(Finding::new(PART, Level::Fault, "data-closed", about.clone()));
    }
    // Of what root made there with a command, the node can write nothing.
    let others = children(dir).into_iter().find(|path| fs::metadata(path).is_ok_and(|it| it.uid() != found.uid()));
    if let Some(path) = others {
        findings.push(Finding::new(PART, Level::Fault, "data-foreign", path.display().to_string()));
    }
    if findings.is_empty() {
        findings.push(Finding::new(PART, Level::Fine, "data-fine", about));
    }
    findings
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).take(CHILDREN_MAX).collect()
}

/// Files that hold a secret, as far as there are any.
fn secrets(config: &Config) -> Vec<PathBuf> {
    let mut files = children(&config.data_dir.join("keys"));
    files.extend(children(&open::dkim(config)));
    files.extend(config.smtp.as_ref().and_then(|smtp| smtp.tls.as_ref()).map(|tls| tls.key.clone()));
    let hops = config.relay.iter().flat_map(|relay| relay.smarthost.iter().chain(relay.routes.values()));
    files.extend(hops.filter_map(|hop| hop.login.as_ref()).map(|login| login.password_file.clone()));
    files.extend(config.alerts.webhooks.iter().map(|hook| hook.secret_file.clone()));
    files.into_iter().filter(|path| path.is_file()).collect()
}

fn secret(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let about = path.display().to_string();
    (mode & 0o007 != 0)
        .then(|| Finding::new(PART, Level::Fault, "secret-open", about).with("mode", format!("{:o}", mode & 0o7777)))
}

/// Whoever can write it decides whose mail leaves.
fn configuration(file: &Path) -> Option<Finding> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o002 != 0).then(|| Finding::new(PART, Level::Fault, "config-open", file.display().to_string()))
}

fn certificate(config: &Config) -> Option<Finding> {
    let smtp = config.smtp.as_ref()?;
    let Some(files) = &smtp.tls else {
        // Behind a login there is a password, which nobody may say in clear.
        let needs = config.acme.is_none() && smtp.listen.iter().any(|at| !at.ip().is_loopback());
        return needs.then(|| Finding::new(PART, Level::Warning, "certificate-absent", config.hostname.clone()));
    };
    let about = files.certificate.display().to_string();
    let certificates = match Certificates::read(&files.certificate, &files.key) {
        Ok(certificates) => certificates,
        Err(error) => return Some(Finding::new(PART, Level::Fault, "certificate-broken", about).with("why", error)),
    };
    let Some((from, to)) = certificates.life() else {
        return Some(Finding::new(PART, Level::Fault, "certificate-broken", about).with("why", "no dates in it"));
    };
    let (level, key) = match now() {
        now if to <= now => (Level::Fault, "certificate-over"),
        now if now < from => (Level::Fault, "certificate-early"),
        _ if !certificates.names(&config.hostname) => (Level::Warning, "certificate-other"),
        now if renewed_by((from, to)) <= now => (Level::Warning, "certificate-soon"),
        _ => (Level::Fine, "certificate-fine"),
    };
    let found = Finding::new(PART, level, key, about);
    Some(found.with("to", show::time(to)).with("from", show::time(from)).with("host", &config.hostname))
}

/// Logs that are followed can be read, and one more of them could be watched.
fn logs(config: &Config) -> Vec<Finding> {
    let files = config.logs.iter().flat_map(|logs| &logs.follow).filter_map(|log| match &log.place {
        config::LogPlace::File(path) => Some(path),
        config::LogPlace::Journal(_) => None,
    });
    let files: Vec<&PathBuf> = files.collect();
    let mut found: Vec<Finding> = Vec::new();
    for path in &files {
        let about = path.display().to_string();
        if !path.exists() {
            found.push(Finding::new(PART, Level::Warning, "log-missing", about));
        } else if access(*path, Access::READ_OK).is_err() {
            found.push(Finding::new(PART, Level::Fault, "log-closed", about));
        }
    }
    if !files.is_empty()
        && let Err(error) = init(CreateFlags::CLOEXEC)
    {
        found.push(Finding::new(PART, Level::Warning, "inotify", "inotify").with("why", error));
    }
    found
}

/// No program of ours is older: 1 November 2026.
const BUILT_AFTER: u64 = 1_793_491_200;
/// Entries of a folder that are looked at.
const CHILDREN_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_believed_when_somebody_keeps_it() {
        let check = |kept, now| clock(kept, now).key;
        assert_eq!(check(Some("yes"), BUILT_AFTER), "clock-fine");
        assert_eq!(check(Some("no"), BUILT_AFTER), "clock-alone");
        assert_eq!(check(None, BUILT_AFTER), "clock-unknown");
        assert_eq!(check(Some("yes"), 86_400), "clock-past");
    }
}
