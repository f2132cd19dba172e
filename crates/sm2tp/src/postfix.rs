//! `sm2tp postfix config`: prints the lines that make Postfix ask this node, and why; makes the changes, and takes them back.
//! `sm2tp postfix relay`: the same as an instance of its own.

mod instance;
mod plan;
mod relay;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::instance::{Instance, relay};
use self::plan::{At, Change, Found, PARAMETERS, Place, Plan, Sockets, Trace};
use crate::beside::preferred;
use crate::config::{self, Config};
use crate::{Exit, Failure, cli, say};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Print,
    Apply,
    Undo,
}

impl Mode {
    /// From the words of the command line, which takes one of them.
    pub fn of(apply: bool, undo: bool) -> Self {
        match (apply, undo) {
            (_, true) => Self::Undo,
            (true, false) => Self::Apply,
            (false, false) => Self::Print,
        }
    }
}

/// One change that was made, so that it can be taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    /// As postconf names it: `submission/inet/NAME` for master.cf.
    parameter: String,
    old: Option<String>,
    new: String,
}

/// The changes that Postfix lacks to ask this node, as commands.
pub fn missing(config: &Config, dir: &Path) -> Result<Vec<String>, Failure> {
    let plan = plan::plan(&Postfix { dir }.found()?, &sockets(config));
    Ok(plan.changes.iter().map(ToString::to_string).collect())
}

/// `sm2tp postfix …`.
pub fn command(config: &Config, asked: cli::Postfix, as_json: bool) -> Result<ExitCode, Failure> {
    match asked {
        cli::Postfix::Relay { dir, listen, queue, data, apply, undo } => {
            relay(config, &Instance { dir, listen, queue, data }, Mode::of(apply, undo), as_json)
        }
        cli::Postfix::Config { dir, apply, undo } => run(config, &dir, Mode::of(apply, undo), as_json),
    }
}

fn run(config: &Config, dir: &Path, mode: Mode, as_json: bool) -> Result<ExitCode, Failure> {
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
    let earlier = made_earlier(postfix.dir)?;
    let before = postfix.dir.join(BEFORE);
    fs::create_dir_all(&before).map_err(|error| cannot(&before, &error))?;
    let mut files = Vec::new();
    for name in ["main.cf", "master.cf"] {
        let path = postfix.dir.join(name);
        files.push((path.clone(), fs::read(&path).map_err(|error| cannot(&path, &error))?));
        // The copy is of the files without us: a second time it would be of what the first one made.
        if earlier.is_empty() {
            fs::copy(&path, before.join(name)).map_err(|error| cannot(&path, &error))?;
        }
    }
    let mut made = earlier.clone();
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
        // The failure itself is told. What an earlier run did can be taken back as before.
        for (path, octets) in &files {
            let _ = fs::write(path, octets);
        }
        let _ = match earlier.is_empty() {
            true => fs::remove_file(postfix.dir.join(MADE)).map_err(|error| cannot(postfix.dir, &error)),
            false => write_made(postfix.dir, &earlier),
        };
    })
}

/// Takes back what --apply did, but what somebody has changed since.
fn undo(postfix: &Postfix<'_>, as_json: bool) -> Result<ExitCode, Failure> {
    let made = made_earlier(postfix.dir)?;
    if made.is_empty() {
        let message = format!("{}: nothing was changed here by --apply", postfix.dir.display());
        return Err(Failure::new(Exit::Input, message));
    }
    // All are looked at before the first is taken back: a list that no service names any more is not in what postconf shows.
    let (mut ours, mut left) = (Vec::new(), Vec::new());
    for change in made.iter().rev() {
        match postfix.get(&change.parameter)?.as_deref() == Some(change.new.as_str()) {
            true => ours.push(change),
            false => left.push(change.parameter.clone()),
        }
    }
    let mut back = Vec::new();
    for change in ours {
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
        match parameter.rsplit_once('/') {
            Some((service, name)) if value.contains(char::is_whitespace) => self.set_with_spaces(service, name, value),
            Some(_) => self.postconf(&["-P", &format!("{parameter}={value}")]).map(drop),
            None => self.postconf(&["-e", &format!("{parameter}={value}")]).map(drop),
        }
    }

    /// `postconf -P` takes no spaces, though master.cf may have them in braces: then the whole entry is written. What stands
    /// there now is ours, and has none.
    fn set_with_spaces(&self, service: &str, name: &str, value: &str) -> Result<(), Failure> {
        let ours = self.get(&format!("{service}/{name}"))?.unwrap_or_default();
        let (entry, argument) = (self.postconf(&["-M", service])?, format!(" -o {name}={ours}"));
        let Some((before, behind)) = entry.trim_end().split_once(&argument) else {
            let message = format!("master.cf: -o {name} of {service} is not where it was; it was {name} = {value}");
            return Err(Failure::new(Exit::Input, message));
        };
        self.postconf(&["-M", "-e", &format!("{service}={before} -o {{{name}={value}}}{behind}")]).map(drop)
    }

    fn unset(&self, parameter: &str) -> Result<(), Failure> {
        let flag = if parameter.contains('/') { "-PX" } else { "-X" };
        self.postconf(&[flag, parameter]).map(drop)
    }

    fn check(&self) -> Result<(), Failure> {
        // Unlike postconf it takes no path from where we are.
        let dir = std::path::absolute(self.dir).map_err(|error| cannot(self.dir, &error))?;
        run_program(Command::new("postfix").arg("-c").arg(dir).arg("check")).map(drop)
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
        // Where nobody sits at a terminal, `postfix check` complains to the log alone.
        let said = if said.trim().is_empty() { "it failed, and said why in the mail log" } else { said.trim() };
        return Err(Failure::new(Exit::Unavailable, format!("{program}: {said}")));
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
        socketmap: config
            .socketmap
            .as_ref()
            .filter(|socketmap| socketmap.tables.contains(&config::Table::Dsn))
            .and_then(|socketmap| at(&socketmap.listen)),
        milter: config.milter.as_ref().and_then(|milter| at(&milter.listen)),
    }
}

fn made_earlier(dir: &Path) -> Result<Vec<Made>, Failure> {
    Ok(read_record(&dir.join(MADE))?.unwrap_or_default())
}

fn write_made(dir: &Path, made: &[Made]) -> Result<(), Failure> {
    write_record(&dir.join(MADE), made)
}

/// What an --apply noted for --undo; none where there was none.
fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Failure::new(Exit::Input, format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(path, &error)),
    }
}

fn write_record<T: Serialize + ?Sized>(path: &Path, made: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(made).expect("texts have a form in JSON");
    fs::write(path, text).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    let exit =
        if error.kind() == std::io::ErrorKind::PermissionDenied { Exit::NoPermission } else { Exit::Unavailable };
    Failure::new(exit, format!("{}: {error}", path.display()))
}

/// Both files as they were before the first --apply.
const BEFORE: &str = "before-sm2tp";
/// What --undo takes back.
const MADE: &str = "sm2tp-changes.json";
