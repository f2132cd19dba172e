//! The local API of SM2TP (docs/local.md) from Rust. As a program: `local SOCKET CALL`, where CALL is JSON.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Makes one call.
///
/// # Errors
/// Where nobody answers at the socket within five seconds.
pub fn ask(socket: &Path, call: &Value) -> io::Result<Value> {
    let mut connection = UnixStream::connect(socket)?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(format!("{call}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// True where the node does not answer: it must not stop your mail (I8).
pub fn may_i(socket: &Path, sender: &str, recipient: &str) -> bool {
    let said = ask(socket, &json!({ "may_i": { "recipient": recipient, "sender": sender } }));
    said.is_err() || said.is_ok_and(|said| said["answer"] != "no" && said["answer"] != "later")
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [socket, sender, recipient] => println!("{}", may_i(Path::new(socket), sender, recipient)),
        [socket, call] => println!("{}", ask(Path::new(socket), &serde_json::from_str(call)?)?),
        _ => eprintln!("local SOCKET CALL, or local SOCKET SENDER RECIPIENT"),
    }
    Ok(())
}
