//! What systemd is told of a node (sd_notify(3)): that it is ready, lives, reads files again, ends. A datagram to the socket
//! that it names; nothing is linked.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The manager that started this process; without one nobody is told anything.
#[derive(Debug, Clone, Default)]
pub struct Manager(Option<Arc<UnixDatagram>>);

/// While this lives, the manager is told that the start goes on.
#[derive(Debug)]
pub struct Opening(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Manager {
    /// The one that `NOTIFY_SOCKET` names.
    pub fn of_environment() -> Self {
        let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
            return Self::default();
        };
        match connect(&place) {
            Ok(socket) => Self(Some(Arc::new(socket))),
            Err(error) => {
                tracing::warn!(%error, ?place, "the service manager cannot be told anything");
                Self::default()
            }
        }
    }

    /// Until the answer is dropped, the start may last longer than the manager would wait: a queue of a million mails, or a
    /// ledger that makes its views again.
    pub fn opening(&self) -> Opening {
        if self.0.is_none() {
            return Opening(None);
        }
        let (manager, (done, waiting)) = (self.clone(), mpsc::channel());
        let telling = move || {
            for _ in 0..OPENING_TOLD_MAX {
                let more = EXTENDED_BY.as_micros();
                manager.tell(&format!("EXTEND_TIMEOUT_USEC={more}\nSTATUS=opening the queue and the ledger"));
                if waiting.recv_timeout(OPENING_TOLD_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without the thread a slow start may be cut off, as without this whole function.
        let thread = std::thread::Builder::new().name("opening".into()).spawn(telling);
        Opening(thread.ok().map(|thread| (done, thread)))
    }

    /// The doors listen, and files are as they should be; `status` is a line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// Files are read again, until the next [`Manager::ready`].
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=no new mail, what is under way may end");
    }

    /// Says that the node lives, for as long as `answers` comes to a yes in time. It is asked three times within `within`,
    /// after which the manager restarts the node.
    pub async fn watched<F: Future<Output = bool>>(self, within: Duration, answers: impl Fn() -> F) {
        let part = within / 3;
        loop {
            match tokio::time::timeout(part, answers()).await {
                Ok(true) => self.tell("WATCHDOG=1"),
                Ok(false) | Err(_) => tracing::error!(
                    "the queue or the ledger does not answer; if that lasts, systemd starts the node again"
                ),
            }
            tokio::time::sleep(part).await;
        }
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(%error, state, "the service manager was not told");
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some((done, thread)) = self.0.take() else { return };
        drop(done);
        // Joined, so that what it says last does not come after READY=1.
        let _ = thread.join();
    }
}

/// Within which time the manager wants to hear that the node lives; none: it does not ask.
pub fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var_os(name);
    watchdog_of(number("WATCHDOG_USEC").as_deref(), number("WATCHDOG_PID").as_deref(), std::process::id())
}

/// sd_watchdog_enabled(3): a process that the number does not name is not meant.
fn watchdog_of(interval: Option<&OsStr>, process: Option<&OsStr>, own: u32) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    let is_meant = process.is_none_or(|process| number(process) == Some(own.into()));
    interval.and_then(number).filter(|us| 0 < *us && is_meant).map(Duration::from_micros)
}

fn connect(place: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(place)?)?;
    // A manager that does not read must not hang the node.
    socket.set_write_timeout(Some(TELLING_MAX))?;
    Ok(socket)
}

/// A path, or after `@` a name that is in no directory.
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(place),
        _ => {
            let place: OsString = place.to_owned();
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{place:?} is neither /… nor @…")))
        }
    }
}

/// Much more often than `EXTENDED_BY`, for a machine that is busy.
const OPENING_TOLD_EVERY: Duration = Duration::from_secs(10);
const EXTENDED_BY: Duration = Duration::from_secs(60);
/// Two hours: what opens longer hangs, and the manager may end it.
const OPENING_TOLD_MAX: u32 = 720;
/// The manager of a busy machine reads late; nothing that is told is worth more than that.
const TELLING_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A manager that listens at a name of no directory, for this process alone.
    fn listening(name: &str) -> (UnixDatagram, Manager) {
        let name = format!("sm2tp-{name}-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let socket = connect(OsStr::new(&format!("@{name}"))).unwrap();
        (listener, Manager(Some(Arc::new(socket))))
    }

    fn heard(listener: &UnixDatagram) -> String {
        let mut octets = [0; 512];
        let length = listener.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    }

    #[track_caller]
    fn check(interval: Option<&str>, process: Option<&str>, expected: Option<Duration>) {
        assert_eq!(watchdog_of(interval.map(OsStr::new), process.map(OsStr::new), 77), expected);
    }

    #[test]
    fn the_watchdog_wants_to_hear_of_the_process_that_it_names() {
        check(None, None, None);
        check(Some("30000000"), None, Some(Duration::from_secs(30)));
        check(Some("30000000"), Some("77"), Some(Duration::from_secs(30)));
        check(Some("30000000"), Some("78"), None);
        check(Some("30000000"), Some(""), None);
        check(Some("0"), None, None);
        check(Some("-1"), None, None);
        check(Some("soon"), None, None);
    }

    #[test]
    fn places_are_paths_and_names_of_no_directory() {
        assert_eq!(
            address(OsStr::new("/run/systemd/notify")).unwrap().as_pathname().unwrap().as_os_str(),
            "/run/systemd/notify"
        );
        assert_eq!(address(OsStr::new("@manager")).unwrap().as_abstract_name(), Some(&b"manager"[..]));
        assert!(address(OsStr::new("vsock:2:1234")).is_err());
        assert!(address(OsStr::new("")).is_err());
    }

    #[test]
    fn a_long_start_is_told_until_it_is_over() {
        let (listener, manager) = listening("opening");
        let opening = manager.opening();
        assert!(heard(&listener).starts_with("EXTEND_TIMEOUT_USEC=60000000\n"));
        drop(opening);
        manager.ready("two\nlines");
        assert_eq!(heard(&listener), "READY=1\nSTATUS=two lines");
    }

    #[test]
    fn nobody_hears_of_a_life_while_there_is_no_answer() {
        let (listener, manager) = listening("watched");
        let asked = Arc::new(AtomicU32::new(0));
        let answers = {
            let asked = asked.clone();
            move || {
                let time = asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    match time {
                        0 | 3 => true,
                        1 => false,
                        _ => std::future::pending().await,
                    }
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let watched = manager.watched(Duration::from_millis(60), answers);
            let fifth = async {
                while asked.load(Ordering::Relaxed) < 5 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = watched => {}
                () = fifth => {}
            }
        });
        let said: Vec<String> = (0..2).map(|_| heard(&listener)).collect();
        assert_eq!(said, ["WATCHDOG=1"; 2]);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.recv(&mut [0; 8]).is_err(), "asked five times, answered twice");
    }
}
