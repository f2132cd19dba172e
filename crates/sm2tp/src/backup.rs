//! `sm2tp backup`, `sm2tp restore`, `sm2tp ledger verify`: a copy of a node while it runs, a node made of a copy, a copy that is
//! compared with itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use sm2tp_doors::now;
use sm2tp_store::backup::{self, BackupError, Source};
use sm2tp_store::{federated, ledger};

use crate::config::{self, Config};
use crate::{Exit, Failure, database, open, say, show};

/// Copies the node's data and the files of its configuration into an empty folder.
pub fn backup(config: &Config, config_file: &Path, target: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let copy = backup::backup(&config.data_dir, &database::source(config)?, target, now()).map_err(failure)?;
    // For a person to look at: a restored machine may have other names and addresses.
    let folder = target.join("config");
    fs::create_dir_all(&folder).map_err(|error| open::unusable(&folder, &error))?;
    for file in [config_file.to_owned(), open::own_rules(config_file), open::own_sites(config_file)] {
        if let (true, Some(name)) = (file.is_file(), file.file_name()) {
            fs::copy(&file, folder.join(name)).map_err(|error| open::unusable(&file, &error))?;
        }
    }
    if as_json {
        let told = json!({ "copy": target, "node": copy.node, "files": copy.entries.len(), "octets": copy.octets() });
        say(&told.to_string());
    } else {
        let (files, size) = (copy.entries.len(), config::show_size(copy.octets()));
        say(&format!(
            "{}: a whole copy, {files} files, {size}. It holds mail and keys: keep it as closed as the node.",
            target.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the data directory of a copy.
pub fn restore(config: &Config, copy: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    open::usable(&config.data_dir)?;
    let restored = backup::restore(copy, &config.data_dir, now()).map_err(failure)?;
    let made_at = restored.manifest.made_at;
    if as_json {
        let told = json!({
            "data_dir": config.data_dir, "node": restored.manifest.node, "made_at": made_at, "epoch": restored.epoch,
        });
        say(&told.to_string());
    } else {
        say(&format!(
            "{}: as it was on {}. Mail that left since then leaves again; mail that came since then is not here. To its peers this \
             node goes on in epoch {}. Its configuration is in {}; compare it with yours. Then: systemctl start sm2tp",
            config.data_dir.display(),
            show::time(made_at),
            restored.epoch,
            copy.join("config").display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares a copy of the ledger with itself: the node is not disturbed, and the copy goes afterwards.
pub fn verify(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    open::usable(&config.data_dir)?;
    let file = ledger::path(&config.data_dir);
    let from = database::source(config)?;
    if matches!(from, Source::File) && !file.exists() {
        return Err(failure(BackupError::NoNode { path: config.data_dir.clone() }));
    }
    let scratch = Scratch(config.data_dir.join(format!("verify-{}", std::process::id())));
    let copy = scratch.0.join("ledger.sqlite");
    match &from {
        Source::File => backup::copy_database(&file, &copy).map_err(failure)?,
        #[cfg(feature = "postgres")]
        Source::Shared(shared) => {
            fs::create_dir_all(&scratch.0).map_err(|error| open::unusable(&scratch.0, &error))?;
            sm2tp_store::transfer::to_file(shared, &copy).map_err(|error| failure(error.into()))?;
        }
    }
    let file = config.store.as_ref().map_or(file, |store| PathBuf::from(&store.database));
    // Before its views are made again.
    let segments = federated::verify_segments(&copy, &config.data_dir.join("segments"));
    let (segments, faults) = segments.map_err(|error| open::unusable(&file, &error))?;
    let found = ledger::verify(&copy).map_err(|error| open::unusable(&file, &error))?;
    let is_fine = found.damage.is_empty() && found.differing.is_empty() && faults.is_empty();
    if as_json {
        let differing = found.differing.iter().map(|(view, rows)| json!({ "view": view, "rows": rows }));
        let differing: Vec<_> = differing.collect();
        let told = json!({
            "ok": is_fine, "events": found.events, "damage": found.damage, "differing": differing,
            "segments": segments, "segments_unusable": faults,
        });
        say(&told.to_string());
    } else {
        found.damage.iter().for_each(|line| say(&format!("damaged: {line}")));
        for (view, rows) in &found.differing {
            say(&format!("{view}: {rows} rows are not what the events say; sm2tp ledger rebuild makes them again"));
        }
        faults.iter().for_each(|line| say(&format!("segment {line}")));
        let word = if is_fine { "all as it should be" } else { "not as it should be" };
        say(&format!("{}: {word}; {} events, {segments} segments", file.display(), found.events));
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::from(Exit::Input as u8) })
}

/// A folder that goes with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is told by the next look at the disk.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn failure(error: BackupError) -> Failure {
    let exit = match &error {
        BackupError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        BackupError::NotEmpty { .. } | BackupError::NoCopy { .. } | BackupError::Damaged { .. } => Exit::Input,
        BackupError::Newer { .. } => Exit::Input,
        BackupError::NoNode { .. } => Exit::Unavailable,
        _ => Exit::Temporary,
    };
    Failure::new(exit, error.to_string())
}
