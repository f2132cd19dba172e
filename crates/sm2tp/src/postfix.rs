//! `sm2tp postfix config`: prints the lines that make Postfix ask this node, and why; makes the changes, and takes them back.
//! `sm2tp postfix relay`: the same as an instance of its own.

mod plan;
mod relay;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::plan::{At, Change, Found, PARAMETERS, Place, Plan, Sockets, Trace};
use crate::beside::preferred;
use crate::config::{self, Config};
use crate::{Exit, Failure, say};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Print,
    Apply,
    Undo,
}

/// One change that was made, so that it can be taken back.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// As postconf names it: `submission/inet/NAME` for master.cf.
    parameter: String,
    old: Option<String>,
    new: String,
}

pub fn run(config: &Config, dir: &Path, mode: Mode, as_json: bool) -> Result<ExitCode, Failure> {
    let postfix = Postfix { dir };
    if mode == Mode::Undo {
        return undo(&postfix, as_json);
    }
    let plan = plan::plan(&postfix.found()?, &sockets(config));
    if mode == Mode::Apply && !plan.changes.is_empty() {
        apply(&postfix, &plan.changes)?;
    }
    show(&plan, dir, mode, as_json);
    Ok(ExitCode::SUCCESS)
}

/// Where an instance is to be, and where it listens.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dir: PathBuf,
    pub listen: SocketAddr,
    pub queue: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

/// Prints the files of a relay beside the first Postfix, or makes them.
pub fn relay(config: &Config, instance: &Instance, mode: Mode, as_json: bool) -> Result<ExitCode, Failure> {
    let (machine, sockets) = (machine(config, instance)?, sockets(config));
    let files = [("main.cf", relay::main_cf(&machine, &sockets)), ("master.cf", relay::master_cf(machine.listen))];
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

fn machine(config: &Config, instance: &Instance) -> Result<relay::Machine, Failure> {
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
    Ok(relay::Machine {
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
fn make(dir: &Path, machine: &relay::Machine, files: &[(&str, String)]) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    for (name, _) in files {
        let path = dir.join(name);
        if path.exists() {
            return Err(Failure::new(Exit::Input, format!("{}: is there already, and stays as it is", path.display())));
        }
    }
    for folder in [&machine.queue_directory, &machine.data_directory] {
        fs::create_dir_all(folder).map_err(|error| cannot(Path::new(folder), &error))?;
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
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        readable(&path, 0o644)?;
    }
    Postfix { dir }.check()
}

fn show(plan: &Plan, dir: &Path, mode: Mode, as_json: bool) {
    let applied = mode == Mode::Apply && !plan.changes.is_empty();
    if as_json {
        let changes = plan.changes.iter().map(|change| {
            let file = if change.place == Place::Main { "main.cf" } else { "master.cf" };
            let parameter = change.place.parameter(&change.name);
            json!({ "file": file, "parameter": parameter, "old": change.old, "new": change.new, "why": change.why })
        });
        let changes: Vec<_> = changes.collect();
        return say(&json!({ "changes": changes, "notes": plan.notes, "applied": applied }).to_string());
    }
    for change in &plan.changes {
        say(&format!("# {}\n{change}", change.why));
    }
    match (plan.changes.is_empty(), applied) {
        (true, _) => say("Nothing to change: Postfix asks this node already, as far as it can."),
        (false, false) => say("\nNothing was changed. With --apply these commands are run; then: postfix reload"),
        (false, true) => say(&format!(
            "\nDone and checked. Now: postfix reload\nTo take it back: sm2tp postfix config --undo. main.cf and master.cf as \
             they were are in {}",
            dir.join(BEFORE).display()
        )),
    }
    plan.notes.iter().for_each(|note| say(&format!("note: {note}")));
}

/// Copies both files, makes the changes and lets Postfix look at them; where it does not like them, they go back.
fn apply(postfix: &Postfix<'_>, changes: &[Change]) -> Result<(), Failure> {
    let before = postfix.dir.join(BEFORE);
    fs::create_dir_all(&before).map_err(|error| cannot(&before, &error))?;
    for name in ["main.cf", "master.cf"] {
        let (from, to) = (postfix.dir.join(name), before.join(name));
        fs::copy(&from, &to).map_err(|error| cannot(&from, &error))?;
    }
    let mut made = made_earlier(postfix.dir)?;
    for change in changes {
        let parameter = change.place.parameter(&change.name);
        // What was there before the first time is what --undo brings back.
        match made.iter_mut().find(|made| made.parameter == parameter) {
            Some(earlier) => earlier.new.clone_from(&change.new),
            None => made.push(Made { parameter, old: postfix.explicit(change)?, new: change.new.clone() }),
        }
    }
    // Before the first change, so that a machine that stops in the middle can be put back, too.
    write_made(postfix.dir, &made)?;
    let changed = changes.iter().try_for_each(|change| postfix.set(&change.place.parameter(&change.name), &change.new));
    changed.and_then(|()| postfix.check()).inspect_err(|_| {
        for name in ["main.cf", "master.cf"] {
            // The failure itself is told; the copy stays where a person finds it.
            let _ = fs::copy(before.join(name), postfix.dir.join(name));
        }
        let _ = fs::remove_file(postfix.dir.join(MADE));
    })
}

/// Takes back what --apply did, but what somebody has changed since.
fn undo(postfix: &Postfix<'_>, as_json: bool) -> Result<ExitCode, Failure> {
    let made = made_earlier(postfix.dir)?;
    if made.is_empty() {
        let message = format!("{}: nothing was changed here by --apply", postfix.dir.display());
        return Err(Failure::new(Exit::Input, message));
    }
    let (mut back, mut left) = (Vec::new(), Vec::new());
    for change in made.iter().rev() {
        if postfix.get(&change.parameter)?.as_deref() != Some(change.new.as_str()) {
            left.push(change.parameter.clone());
            continue;
        }
        match &change.old {
            Some(old) => postfix.set(&change.parameter, old)?,
            None => postfix.unset(&change.parameter)?,
        }
        back.push(change.parameter.clone());
    }
    postfix.check()?;
    let record = postfix.dir.join(MADE);
    fs::remove_file(&record).map_err(|error| cannot(&record, &error))?;
    if as_json {
        say(&json!({ "undone": back, "left": left }).to_string());
    } else {
        back.iter().for_each(|parameter| say(&format!("back as it was: {parameter}")));
        left.iter().for_each(|parameter| say(&format!("left, because somebody has changed it since: {parameter}")));
        say("Now: postfix reload");
    }
    Ok(ExitCode::SUCCESS)
}

/// A configuration folder, looked at and changed by Postfix's own `postconf`.
struct Postfix<'a> {
    dir: &'a Path,
}

impl Postfix<'_> {
    fn found(&self) -> Result<Found, Failure> {
        let mut main: BTreeMap<String, String> = pairs(&self.postconf(&PARAMETERS)?).collect();
        // Lists of ours that an earlier run wrote.
        main.extend(pairs(&self.postconf(&["-n"])?).filter(|(name, _)| name.starts_with("sm2tp_")));
        let version = main.remove("mail_version").unwrap_or_default();
        let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        let mut services: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for line in self.postconf(&["-M"])?.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [name, kind, .., "smtpd"] = fields[..fields.len().min(8)] {
                services.entry(format!("{name}/{kind}")).or_default();
            }
        }
        for (path, value) in pairs(&self.postconf(&["-P"])?) {
            let Some((service, name)) = path.rsplit_once('/') else { continue };
            if let Some(own) = services.get_mut(service) {
                own.insert(name.to_owned(), value);
            }
        }
        Ok(Found {
            version: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
            queue_directory: main.remove("queue_directory").unwrap_or_default(),
            main,
            services,
        })
    }

    /// The value as it is set where the change is made, without a default.
    fn explicit(&self, change: &Change) -> Result<Option<String>, Failure> {
        match &change.place {
            Place::Main => {
                Ok(pairs(&self.postconf(&["-n"])?).find(|(name, _)| *name == change.name).map(|(_, value)| value))
            }
            Place::Service(_) => Ok(change.old.clone()),
        }
    }

    fn get(&self, parameter: &str) -> Result<Option<String>, Failure> {
        let all = if parameter.contains('/') { self.postconf(&["-P"])? } else { self.postconf(&["-n"])? };
        Ok(pairs(&all).find(|(name, _)| name == parameter).map(|(_, value)| value))
    }

    fn set(&self, parameter: &str, value: &str) -> Result<(), Failure> {
        let flag = if parameter.contains('/') { "-P" } else { "-e" };
        self.postconf(&[flag, &format!("{parameter}={value}")]).map(drop)
    }

    fn unset(&self, parameter: &str) -> Result<(), Failure> {
        let flag = if parameter.contains('/') { "-PX" } else { "-X" };
        self.postconf(&[flag, parameter]).map(drop)
    }

    fn check(&self) -> Result<(), Failure> {
        run_program(Command::new("postfix").arg("-c").arg(self.dir).arg("check")).map(drop)
    }

    fn postconf(&self, args: &[&str]) -> Result<String, Failure> {
        run_program(Command::new("postconf").arg("-c").arg(self.dir).args(args))
    }
}

/// Standard output of a program of Postfix, which must succeed.
fn run_program(command: &mut Command) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        Failure::new(Exit::Unavailable, format!("{program} cannot be run: {error}; is Postfix on this machine?"))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(Exit::Unavailable, format!("{program}: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `name = value` lines.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
}

/// The place of each door at which Postfix is to ask.
fn sockets(config: &Config) -> Sockets {
    let at = |places: &[config::Place]| {
        preferred(places).map(|place| match place {
            config::Place::Tcp(address) => At::Tcp(address.to_string()),
            config::Place::Unix(path) => At::Unix(path.display().to_string()),
        })
    };
    Sockets {
        policy: config.policy.as_ref().and_then(|policy| at(&policy.listen)),
        trace: match config.policy.as_ref().map(|policy| policy.trace) {
            Some(config::Switch::On) => Trace::On,
            _ => Trace::Off,
        },
        socketmap: config.socketmap.as_ref().and_then(|socketmap| at(&socketmap.listen)),
        milter: config.milter.as_ref().and_then(|milter| at(&milter.listen)),
    }
}

fn made_earlier(dir: &Path) -> Result<Vec<Made>, Failure> {
    let path = dir.join(MADE);
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| Failure::new(Exit::Input, format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(cannot(&path, &error)),
    }
}

fn write_made(dir: &Path, made: &[Made]) -> Result<(), Failure> {
    let path: PathBuf = dir.join(MADE);
    let text = serde_json::to_string_pretty(made).expect("texts have a form in JSON");
    fs::write(&path, text).map_err(|error| cannot(&path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    let exit =
        if error.kind() == std::io::ErrorKind::PermissionDenied { Exit::NoPermission } else { Exit::Unavailable };
    Failure::new(exit, format!("{}: {error}", path.display()))
}

/// Both files as they were before the last --apply.
const BEFORE: &str = "before-sm2tp";
/// What --undo takes back.
const MADE: &str = "sm2tp-changes.json";
