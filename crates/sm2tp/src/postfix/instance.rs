//! `sm2tp postfix relay`: a Postfix instance of its own, printed, made, and taken away.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::relay::{Machine, main_cf, master_cf};
use super::{Mode, Postfix, cannot, read_record, run_program, sockets, write_record};
use crate::config::Config;
use crate::{Exit, Failure, say};

/// Where an instance is to be, and where it listens.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dir: PathBuf,
    pub listen: SocketAddr,
    pub queue: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

/// What --apply made.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// That were not there before.
    folders: Vec<PathBuf>,
    /// Names and texts.
    files: Vec<(String, String)>,
}

/// Prints the files of a relay beside the first Postfix, or makes them.
pub fn relay(config: &Config, instance: &Instance, mode: Mode, as_json: bool) -> Result<ExitCode, Failure> {
    if mode == Mode::Undo {
        return undo(instance, as_json);
    }
    let (machine, sockets) = (machine(config, instance)?, sockets(config));
    let files = [("main.cf", main_cf(&machine, &sockets)), ("master.cf", master_cf(machine.listen))];
    let dir = instance.dir.display();
    if mode == Mode::Apply {
        make(&instance.dir, &machine, &files)?;
    }
    let then = format!("postfix -c {dir} start");
    if as_json {
        let listed = files.iter().map(|(name, text)| json!({ "path": format!("{dir}/{name}"), "text": text }));
        let listed: Vec<_> = listed.collect();
        say(&json!({ "files": listed, "then": then, "applied": mode == Mode::Apply }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if mode == Mode::Apply {
        say(&format!("{dir}/main.cf and master.cf are there, and Postfix finds nothing wrong. Now: {then}"));
    } else {
        files.iter().for_each(|(name, text)| say(&format!("# {dir}/{name}\n{text}")));
        say(&format!("# Nothing was made. With --apply it is; then: {then}"));
    }
    say(&format!(
        "# With the first Postfix at each start: postconf -e 'multi_instance_wrapper=${{command_directory}}/postmulti -p --' \
         'multi_instance_enable=yes' 'multi_instance_directories={dir}'"
    ));
    Ok(ExitCode::SUCCESS)
}

fn machine(config: &Config, instance: &Instance) -> Result<Machine, Failure> {
    let name = instance.dir.file_name().map(|name| name.to_string_lossy().into_owned()).filter(|name| is_plain(name));
    let message =
        || format!("{}: the last part names the instance, with letters, digits and -", instance.dir.display());
    let name = name.ok_or_else(|| Failure::new(Exit::Input, message()))?;
    let place = |given: &Option<PathBuf>, parent: &str| match given {
        Some(path) => path.display().to_string(),
        None => format!("{parent}/{name}"),
    };
    let daemons = run_program(Command::new("postconf").args(["-dh", "daemon_directory"]))?;
    // Whoever brings reports speaks to a port that is open for it.
    let smtp = config.smtp.as_ref().and_then(|smtp| smtp.listen.iter().find(|at| at.port() != 0));
    let returns = config.returns.as_ref().zip(smtp).map(|(returns, at)| (returns.domain.clone(), *at));
    Ok(Machine {
        queue_directory: place(&instance.queue, "/var/spool"),
        data_directory: place(&instance.data, "/var/lib"),
        daemon_directory: daemons.trim().to_owned(),
        hostname: config.hostname.clone(),
        listen: instance.listen,
        returns,
        name,
    })
}

/// A name that Postfix takes, and that stands in its log without confusing who reads it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// Writes the files where none are, makes the folders, and lets Postfix look at them.
fn make(dir: &Path, machine: &Machine, files: &[(&str, String)]) -> Result<(), Failure> {
    for (name, _) in files {
        let path = dir.join(name);
        if path.exists() {
            return Err(Failure::new(Exit::Input, format!("{}: is there already, and stays as it is", path.display())));
        }
    }
    let mut made = Made { folders: Vec::new(), files: Vec::new() };
    for folder in [dir, Path::new(&machine.queue_directory), Path::new(&machine.data_directory)] {
        // A folder that was there may hold what is not ours: --undo leaves it.
        if !folder.exists() {
            made.folders.push(folder.to_owned());
        }
        fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    }
    // Processes of Postfix change users, whatever the umask of whoever runs this.
    let readable = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| cannot(path, &error))
    };
    readable(dir, 0o755)?;
    readable(Path::new(&machine.queue_directory), 0o755)?;
    readable(Path::new(&machine.data_directory), 0o700)?;
    let owner = run_program(Command::new("postconf").args(["-h", "mail_owner"]))?;
    run_program(Command::new("chown").arg(owner.trim()).arg(&machine.data_directory))?;
    made.files.extend(files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())));
    write_record(&dir.join(MADE), &made)?;
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        readable(&path, 0o644)?;
    }
    Postfix { dir }.check()
}

/// Takes away what --apply made, where no mail is lost by it.
fn undo(instance: &Instance, as_json: bool) -> Result<ExitCode, Failure> {
    let (dir, record) = (instance.dir.as_path(), instance.dir.join(MADE));
    let message = || format!("{}: nothing was made here by --apply", dir.display());
    let made: Made = read_record(&record)?.ok_or_else(|| Failure::new(Exit::Input, message()))?;
    // Somebody has put work into it.
    let is_changed =
        |(name, text): &&(String, String)| fs::read_to_string(dir.join(name)).is_ok_and(|now| now != *text);
    if let Some((name, _)) = made.files.iter().find(is_changed) {
        let path = dir.join(name);
        let message = format!("{} was changed since --apply, so all stays: remove it yourself", path.display());
        return Err(Failure::new(Exit::Input, message));
    }
    let queue = idle(dir)?;
    let mut gone = Vec::new();
    // The folder of main.cf is last: what somebody else put into it stays.
    let folders = made.folders.iter().filter(|folder| *folder != dir);
    let files = made.files.iter().map(|(name, _)| dir.join(name)).chain([record]);
    for folder in folders {
        remove(folder, fs::remove_dir_all(folder), &mut gone)?;
    }
    for file in files {
        remove(&file, fs::remove_file(&file), &mut gone)?;
    }
    if made.folders.iter().any(|folder| folder == dir) && fs::remove_dir(dir).is_ok() {
        gone.push(dir.to_owned());
    }
    let left: Vec<&Path> = [dir, &queue].into_iter().filter(|folder| folder.exists()).collect();
    if as_json {
        say(&json!({ "undone": gone, "left": left }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    gone.iter().for_each(|path| say(&format!("removed: {}", path.display())));
    left.iter().for_each(|path| {
        say(&format!("left, because --apply found it there, or something else is in it: {}", path.display()))
    });
    say(
        "# If the first Postfix starts it: postconf -e 'multi_instance_directories=' (or without this folder), then postfix reload",
    );
    Ok(ExitCode::SUCCESS)
}

/// The queue directory of an instance that does not run and has no mail.
fn idle(dir: &Path) -> Result<PathBuf, Failure> {
    let queue = run_program(Command::new("postconf").arg("-c").arg(dir).args(["-h", "queue_directory"]))?;
    let queue = PathBuf::from(queue.trim());
    let status = Command::new("postfix").arg("-c").arg(dir).arg("status").output();
    if status.is_ok_and(|status| status.status.success()) {
        let message = format!("it runs: first postfix -c {} stop", dir.display());
        return Err(Failure::new(Exit::Temporary, message));
    }
    let waiting: usize = MAIL.iter().map(|name| mails(&queue.join(name), DEPTH_MAX)).sum();
    if 0 < waiting {
        let message = format!(
            "{waiting} mails wait in {}: start it and let them leave, or remove them with postsuper -c {} -d ALL {}",
            queue.display(),
            dir.display(),
            MAIL.join(" ")
        );
        return Err(Failure::new(Exit::Temporary, message));
    }
    Ok(queue)
}

/// Files in a folder of a queue and in those below it.
fn mails(folder: &Path, depth: usize) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() && 0 < depth => mails(&entry.path(), depth - 1),
            Ok(kind) => usize::from(kind.is_file()),
            Err(_) => 0,
        })
        .sum()
}

fn remove(path: &Path, removed: std::io::Result<()>, gone: &mut Vec<PathBuf>) -> Result<(), Failure> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(path, &error)),
        _ => gone.push(path.to_owned()),
    }
    Ok(())
}

/// What was made, so that it can be taken away.
const MADE: &str = "sm2tp-relay.json";
/// Where Postfix keeps mail; what is in the others belongs to a mail in one of these.
const MAIL: [&str; 5] = ["maildrop", "incoming", "active", "deferred", "hold"];
/// `hash_queue_depth` is two at most in practice, and 16 at the very most.
const DEPTH_MAX: usize = 16;
