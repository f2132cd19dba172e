//! `sm2tp opensmtpd filter`: stands between OpenSMTPD and the policy service. OpenSMTPD ends when a filter ends, so this one goes
//! on until OpenSMTPD itself is gone, whatever happens to the node: what cannot be asked, or is not answered in time, passes.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use sm2tp_proto::smtpd_filter::{Asked, Sessions, Step, answer};

use crate::beside::preferred;
use crate::config::{self, Config, Place};
use crate::{Failure, cli, say, serve};

pub fn run(asked: cli::Opensmtpd, config_file: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    match asked {
        cli::Opensmtpd::Config => config(&serve::load(config_file)?, as_json),
        cli::Opensmtpd::Filter { socket, context } => Ok(filter(socket, &context, config_file)),
    }
}

/// Prints the lines of smtpd.conf that make OpenSMTPD ask this node.
fn config(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let place = config.policy.as_ref().and_then(|policy| preferred(&policy.listen));
    let place = place.ok_or_else(|| Failure::new(crate::Exit::Configuration, NO_DOOR))?;
    let program = std::env::current_exe().map_or_else(|_| "sm2tp".to_owned(), |path| path.display().to_string());
    let filter = format!("filter \"sm2tp\" proc-exec \"{program} opensmtpd filter --socket {place}\"");
    let listen = "listen on … port 587 tls-require auth filter \"sm2tp\"";
    if as_json {
        say(&json!({ "filter": filter, "listen": listen }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "# In smtpd.conf. The user of filters (_smtpd, opensmtpd on Debian) must reach the socket.\n{filter}\n\n\
         # And at each line that takes the mail of your people:\n{listen}"
    ));
    Ok(ExitCode::SUCCESS)
}

/// The filter. `place` is where the policy service is; without it, the configuration says so. One that cannot be read makes
/// no filter that ends, but one that lets all pass.
fn filter(place: Option<Place>, context: &str, config_file: &Path) -> ExitCode {
    let place = place.or_else(|| {
        let config = config::load(config_file).map_err(|error| eprintln!("sm2tp: all mail passes: {error}")).ok()?;
        let place = config.policy.as_ref().and_then(|policy| preferred(&policy.listen)).cloned();
        if place.is_none() {
            eprintln!("sm2tp: all mail passes: {NO_DOOR}");
        }
        place
    });
    let (door, mut sessions) = (Arc::new(Door::new(place)), Sessions::default());
    let mut input = io::stdin().lock();
    while let Some(line) = next_line(&mut input) {
        match sessions.line(&line, context) {
            Step::Nothing => {}
            Step::Say(text) => tell(&text),
            Step::Ask { asked, question } => door.ask(asked, question),
        }
    }
    // OpenSMTPD is gone.
    ExitCode::SUCCESS
}

/// Where questions go.
struct Door {
    place: Option<Place>,
    /// Questions on their way, some of them perhaps for ever.
    asking: AtomicUsize,
    /// Nothing is asked until then: the last question was not answered.
    silent_until: Mutex<Option<Instant>>,
}

impl Door {
    fn new(place: Option<Place>) -> Self {
        Self { place, asking: AtomicUsize::new(0), silent_until: Mutex::new(None) }
    }

    /// Answers when the policy service has, or in time without it. Other conversations go on meanwhile.
    fn ask(self: &Arc<Self>, asked: Asked, question: String) {
        let passed = answer(&asked, "");
        let silent = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = silent.is_some_and(|until| Instant::now() < until);
        let is_full = ASKING_MAX <= self.asking.load(Ordering::Relaxed);
        let (Some(place), false) = (self.place.clone(), is_silent || is_full) else { return tell(&passed) };
        self.asking.fetch_add(1, Ordering::Relaxed);
        let door = self.clone();
        let started = thread::Builder::new().spawn(move || door.wait(&place, &asked, question));
        if started.is_err() {
            self.asking.fetch_sub(1, Ordering::Relaxed);
            tell(&passed);
        }
    }

    fn wait(self: Arc<Self>, place: &Place, asked: &Asked, question: String) {
        let (to, answered) = mpsc::channel();
        let (door, at) = (self.clone(), place.clone());
        // On a thread of its own: a socket whose program hangs may hold up who connects, without an end.
        let started = thread::Builder::new().spawn(move || {
            let _ = to.send(exchange(&at, &question));
            door.asking.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            self.asking.fetch_sub(1, Ordering::Relaxed);
        }
        let said = match answered.recv_timeout(ANSWER_MAX) {
            Ok(Ok(said)) => said,
            // Nobody is there: the next question costs nothing either.
            Ok(Err(error)) if !is_patience(&error) => String::new(),
            Ok(Err(_)) | Err(_) => {
                let until = Instant::now() + SILENCE;
                *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                eprintln!("sm2tp: {place} does not answer; mail passes");
                String::new()
            }
        };
        tell(&answer(asked, &said));
    }
}

/// Whether somebody was there and said nothing.
fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// One question and its answer, on a connection of their own.
fn exchange(place: &Place, question: &str) -> io::Result<String> {
    match place {
        Place::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            spoken(&stream, question, || stream.shutdown(Shutdown::Write))
        }
        Place::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, ANSWER_MAX)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            spoken(&stream, question, || stream.shutdown(Shutdown::Write))
        }
    }
}

fn spoken<S>(stream: &S, question: &str, end: impl FnOnce() -> io::Result<()>) -> io::Result<String>
where
    for<'a> &'a S: Read + Write,
{
    let (mut to, from) = (stream, stream);
    to.write_all(question.as_bytes())?;
    end()?;
    let mut answer = Vec::new();
    from.take(ANSWER_OCTETS_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whole lines: several threads write.
fn tell(text: &str) {
    let mut output = io::stdout().lock();
    // Where nobody reads any more, the input ends, too.
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// The next line without its end; none where the input ends. What is too long to be one of OpenSMTPD is passed over.
fn next_line(input: &mut impl BufRead) -> Option<String> {
    let (mut line, mut is_rest) = (Vec::new(), false);
    loop {
        line.clear();
        match input.by_ref().take(LINE_OCTETS_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line.ends_with(b"\n") && !is_rest => {
                return Some(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
            }
            Ok(_) => is_rest = !line.ends_with(b"\n"),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

const NO_DOOR: &str = "there is no section [policy], so nobody could answer OpenSMTPD";
/// The node itself gives up after a tenth of that.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long mail passes unasked after a question was not answered: else each recipient would wait.
const SILENCE: Duration = Duration::from_secs(5);
/// Each takes two threads.
const ASKING_MAX: usize = 64;
/// Longer than any text of a refusal.
const ANSWER_OCTETS_MAX: u64 = 8 * 1024;
/// Longer than any line of OpenSMTPD but the contents of mails, which are not asked for.
const LINE_OCTETS_MAX: u64 = 64 * 1024;
