//! A mail to oneself that never leaves the machine: through a node with the new configuration, in a folder that goes
//! afterwards, to a mailbox on loopback.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::answers::Answers;
use super::commands::Commands;
use crate::config::Config;
use crate::{Exit, Failure, open};

/// Answers whether the mail came signed.
pub fn run(config: &Config, config_file: &Path, answers: &Answers, commands: &Commands) -> Result<bool, Failure> {
    let trouble = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Exit::Unavailable, format!("the trial: {what}: {error}"))
    };
    let place = Place::new().map_err(|error| trouble("its folder", &error))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| trouble("its mailbox", &error))?;
    let mailbox = listener.local_addr().map_err(|error| trouble("its mailbox", &error))?;
    let file = place.prepare(config, config_file, mailbox, commands).map_err(|error| trouble("its folder", &error))?;
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            // A node that hangs up comes again.
            if let Ok(mail) = take(stream) {
                let _ = told.send(mail);
            }
        }
    });
    let mut node = Running::start(commands, &file).map_err(|error| trouble("the node", &error))?;
    let smtp = node.ready().map_err(|error| trouble("the node", &error))?;
    let from = format!("postmaster@{}", answers.domain);
    send(smtp, &from, &answers.admin).map_err(|error| trouble("the mail", &error))?;
    let mail = hears
        .recv_timeout(ARRIVAL_MAX)
        .map_err(|_| trouble("the mail", &format!("it did not arrive\n{}", node.log())))?;
    Ok(mail.contains("DKIM-Signature:") && mail.contains(&format!("d={}", answers.domain)))
}

/// A folder that goes with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("sm2tp-setup-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// The new configuration with another data directory, a free port and one way out: to the mailbox. Signing keys are copied.
    fn prepare(
        &self,
        config: &Config,
        config_file: &Path,
        mailbox: SocketAddr,
        commands: &Commands,
    ) -> io::Result<PathBuf> {
        let data = self.0.join("data");
        fs::create_dir_all(data.join("keys/dkim"))?;
        for key in fs::read_dir(open::dkim(config))?.flatten() {
            fs::copy(key.path(), data.join("keys/dkim").join(key.file_name()))?;
        }
        let text = format!(
            "hostname = {:?}\ndata_dir = {data:?}\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
             [relay]\nsmarthost = \"{mailbox}\"\ntls = \"off\"\n[dns]\nservers = [\"127.0.0.1:9\"]\n",
            config.hostname
        );
        let file = self.0.join("sm2tp.toml");
        fs::write(&file, text)?;
        for own in [open::own_rules, open::own_sites] {
            let _ = fs::copy(own(config_file), own(&file));
        }
        self.give(commands)?;
        Ok(file)
    }

    /// The node runs as its own user, who owns what it writes.
    fn give(&self, commands: &Commands) -> io::Result<()> {
        let Some(user) = commands.user() else { return Ok(()) };
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700))?;
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)?.flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { chown(entry.path(), Some(user), None)? }
            }
            chown(&folder, Some(user), None)?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A node that ends with the value.
struct Running(Child, PathBuf);

impl Running {
    fn start(commands: &Commands, file: &Path) -> io::Result<Self> {
        let log = file.with_file_name("log");
        let mut command = commands.command(&["serve"], Some(file));
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        Ok(Self(command.spawn()?, log))
    }

    /// Waits until it listens; answers with its SMTP port.
    fn ready(&mut self) -> io::Result<SocketAddr> {
        let stdout = self.0.stdout.take().ok_or_else(|| io::Error::other("it says nothing"))?;
        let mut smtp = None;
        for line in BufReader::new(stdout).lines() {
            match line?.split_once(' ') {
                Some(("smtp", at)) => smtp = at.parse().ok(),
                Some(_) => {}
                None => return smtp.ok_or_else(|| io::Error::other("it has no SMTP door")),
            }
        }
        Err(io::Error::other(format!("it ended\n{}", self.log())))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.1).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All that it knows goes with its folder.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn send(smtp: SocketAddr, from: &str, to: &str) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&smtp, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let content = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: Trial of SM2TP\r\nMessage-ID: <trial@sm2tp.invalid>\r\n\r\nIt works.\r\n.\r\n"
    );
    let steps = [
        (String::new(), "220"),
        ("EHLO localhost\r\n".to_owned(), "250"),
        (format!("MAIL FROM:<{from}>\r\n"), "250"),
        (format!("RCPT TO:<{to}>\r\n"), "250"),
        ("DATA\r\n".to_owned(), "354"),
        (content, "250"),
    ];
    for (said, expected) in steps {
        stream.write_all(said.as_bytes())?;
        let answer = answer(&mut answers)?;
        if !answer.starts_with(expected) {
            return Err(io::Error::other(answer));
        }
    }
    Ok(())
}

/// The last line of an answer.
fn answer(from: &mut impl BufRead) -> io::Result<String> {
    loop {
        let line = line(from)?;
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.take(LINE_OCTETS_MAX).read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

/// A mailbox server for one mail of our own node.
fn take(stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    stream.write_all(b"220 trial ESMTP\r\n")?;
    let mut mail = String::new();
    loop {
        let command = line(&mut lines)?;
        match command.get(..4).unwrap_or_default() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                loop {
                    let line = line(&mut lines)?;
                    if line == "." {
                        break;
                    }
                    if MAIL_OCTETS_MAX < mail.len() {
                        return Err(io::Error::other("more than was sent"));
                    }
                    mail += &format!("{line}\n");
                }
                stream.write_all(b"250 2.0.0 taken\r\n")?;
                return Ok(mail);
            }
            _ => stream.write_all(b"250 2.0.0 ok\r\n")?,
        }
    }
}

/// A node opens in less than a second; a busy machine takes longer.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(30);
const LINE_OCTETS_MAX: u64 = 4096;
/// The mail that is sent has some hundred octets, and signatures.
const MAIL_OCTETS_MAX: usize = 64 * 1024;
