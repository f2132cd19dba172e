//! The socket itself: who may ask, and one JSON line each way.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::access::{self, Asker};
use super::{Reply, Request, reply};
use crate::House;
use crate::patience::Patience;
use crate::smtp::Onward;

/// Makes the socket.
///
/// # Errors
/// Where it cannot be made.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    // What a node that was killed left behind; the lock on the data directory says that no other one runs.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until the task is dropped.
pub async fn serve(listener: UnixListener, house: House, onward: Onward) {
    let mut patience = Patience::new("control");
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Without this door a person could not even look at what is wrong.
            Err(error) => {
                patience.wait(&error).await;
                continue;
            }
        };
        let (house, onward) = (house.clone(), onward.clone());
        tokio::spawn(async move {
            if let Err(error) = talk(stream, &house, &onward).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
}

/// Asks a node at its socket.
///
/// # Errors
/// Where no node answers there.
pub async fn ask(path: &Path, request: &Request) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(path).await?;
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

async fn talk(stream: UnixStream, house: &House, onward: &Onward) -> io::Result<()> {
    let user = stream.peer_cred().map_or_else(|_| String::new(), |user| format!("uid {}", user.uid()));
    let asker = Asker::command_line(&user);
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    // One request a connection: nothing to bound but its size and its time.
    timeout(REQUEST_TIME, BufReader::new(read.take(REQUEST_OCTETS_MAX)).read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => reply(access::answered(house, onward, &asker, request).await),
        Err(error) => Reply::Error { exit: 64, message: format!("the request is not understood: {error}") },
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await
}

const REQUEST_TIME: Duration = Duration::from_secs(10);
/// The longest request is a report, in base64.
const REQUEST_OCTETS_MAX: u64 = 2 * 1024 * 1024;
