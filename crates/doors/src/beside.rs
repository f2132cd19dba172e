//! Sockets on which a mail server beside us asks: how a connection is taken, bounded, read and answered is the same for
//! all of them; what is asked differs.

mod counted;
mod desk;
pub mod local;
pub mod milter;
pub mod policy;
mod reported;
pub mod socketmap;

pub(crate) use self::desk::verdict;
pub use self::desk::{Held, Members};
pub use self::reported::Reporter;

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::patience::Patience;

/// Where a mail server may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Tcp(SocketAddr),
    /// A Unix socket; a file of this name that is there already is replaced.
    Unix(PathBuf),
}

/// A bound [`Place`].
pub struct Listener(Bound);

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What is said on one connection.
trait Conversation: Send + 'static {
    type Error: Error + Send;

    fn feed(&mut self, octets: &[u8]);

    /// What follows from the next whole question, if it is there.
    fn answer(&mut self) -> impl Future<Output = Result<Next, Self::Error>> + Send;
}

/// What follows from what was read.
enum Next {
    /// Nothing yet.
    More,
    /// Perhaps without a word.
    Say(Vec<u8>),
    Close,
}

impl Listener {
    /// # Errors
    /// Where the place cannot be listened on.
    pub async fn bind(place: &Place) -> io::Result<Self> {
        Ok(Self(match place {
            Place::Tcp(address) => Bound::Tcp(TcpListener::bind(address).await?),
            Place::Unix(path) => Bound::Unix(socket(path)?),
        }))
    }

    /// The place that was bound, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn place(&self) -> io::Result<Place> {
        match &self.0 {
            Bound::Tcp(listener) => listener.local_addr().map(Place::Tcp),
            Bound::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Place::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
            }
        }
    }

    async fn accept(&self) -> io::Result<Connection> {
        match &self.0 {
            Bound::Tcp(listener) => listener.accept().await.map(|(stream, _)| Connection::Tcp(stream)),
            Bound::Unix(listener) => listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The socket belongs to the group of its directory where that has the set-group-id bit, so `chgrp postfix` and
/// `chmod 2750` on the directory let Postfix in and nobody else.
fn socket(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves one listener until `stop` is done; conversations end then too, in the middle of a question where one is asked:
/// the mail server connects again, and asks again or goes on without us.
async fn serve<C: Conversation>(
    listener: Listener,
    door: &'static str,
    begin: impl Fn() -> C + Send,
    stop: impl Future<Output = ()> + Send,
) {
    let mut stop = pin!(stop);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut patience = Patience::new(door);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(connection) => {
                    // Without a place it is closed at once: a mail server that waits for us is worse than one that goes on.
                    let Ok(place) = places.clone().try_acquire_owned() else { continue };
                    let conversation = begin();
                    connections.spawn(async move {
                        let _place = place;
                        match connection {
                            Connection::Tcp(stream) => {
                                // Answers are short and waited for.
                                let _ = stream.set_nodelay(true);
                                talk(stream, conversation, door).await;
                            }
                            Connection::Unix(stream) => talk(stream, conversation, door).await,
                        }
                    });
                }
                Err(error) => patience.wait(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => return,
        }
    }
}

async fn talk<C: Conversation>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    mut with: C,
    door: &'static str,
) {
    let mut octets = vec![0; READ_OCTETS];
    loop {
        let Ok(Ok(count @ 1..)) = timeout(IDLE_MAX, stream.read(&mut octets)).await else { return };
        with.feed(&octets[..count]);
        let mut answers = Vec::new();
        loop {
            match with.answer().await {
                Ok(Next::Say(answer)) => answers.extend(answer),
                Ok(Next::More) => break,
                Ok(Next::Close) => return,
                Err(error) => {
                    return tracing::warn!(door, %error, "a connection was closed: what it said is no question");
                }
            }
        }
        if !answers.is_empty() && !matches!(timeout(WRITE_MAX, stream.write_all(&answers)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Postfix has 100 processes of a kind unless it is told otherwise, and each keeps one connection.
const CONNECTIONS_MAX: usize = 1000;
const READ_OCTETS: usize = 16 * 1024;
/// Postfix closes what was idle for 300 s (`smtpd_policy_service_max_idle`).
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Whoever asks and does not read the answer.
const WRITE_MAX: Duration = Duration::from_secs(10);
