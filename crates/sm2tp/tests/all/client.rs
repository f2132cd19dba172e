//! An SMTP client that says exactly what its test wants, in clear and in TLS; and bare octets for other doors.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::programs::Certificate;

/// One connection.
pub struct Client {
    wire: BufReader<Box<dyn Wire>>,
    /// The same socket, while it is in clear.
    socket: TcpStream,
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Client {
    /// Connects and reads nothing yet.
    pub fn dial(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self { wire: BufReader::new(Box::new(socket.try_clone()?)), socket })
    }

    /// Connects, reads the banner and says EHLO.
    pub fn greet(address: SocketAddr) -> io::Result<Self> {
        let mut client = Self::dial(address)?;
        client.expect("220")?;
        client.say("EHLO client.example.org", "250")?;
        Ok(client)
    }

    /// Shakes hands after STARTTLS was answered. What was read before and not asked for is lost, as it must be.
    pub fn start_tls(self, certificate: &Certificate) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate.certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(certificate.name.clone()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = self.socket.try_clone().unwrap();
        Self { wire: BufReader::new(Box::new(StreamOwned::new(connection, socket))), socket: self.socket }
    }

    /// Writes these octets in one write.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let wire = self.wire.get_mut();
        wire.write_all(octets)?;
        wire.flush()
    }

    /// The next line of the server without its CRLF; none when it has closed the connection.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        match self.wire.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Err(error) if is_closed(&error) => return Ok(None),
            result => result?,
        };
        let text = String::from_utf8(line).map_err(|_| io::Error::other("a reply that is no text"))?;
        Ok(Some(text.strip_suffix("\r\n").ok_or_else(|| io::Error::other(format!("{text:?}")))?.to_owned()))
    }

    /// The next reply; of several lines the last one.
    pub fn reply(&mut self) -> io::Result<String> {
        loop {
            let line = self.line()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// Reads a reply that must begin so.
    pub fn expect(&mut self, begin: &str) -> io::Result<String> {
        let reply = self.reply()?;
        if reply.starts_with(begin) { Ok(reply) } else { Err(io::Error::other(format!("wanted {begin}, got {reply}"))) }
    }

    /// One command and its reply, which must begin so.
    pub fn say(&mut self, command: &str, begin: &str) -> io::Result<String> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.expect(begin)
    }

    /// One message, which must be taken. `content` with CRLF and its dots doubled.
    pub fn mail(&mut self, from: &str, to: &[&str], content: &str) -> io::Result<String> {
        self.say(&format!("MAIL FROM:<{from}>"), "250")?;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250")?;
        }
        self.say("DATA", "354")?;
        self.say(&format!("{content}\r\n."), "250")
    }
}

/// A short mail from start to end on a connection of its own.
#[track_caller]
pub fn send(address: SocketAddr, from: &str, to: &[&str], subject: &str) {
    try_send(address, from, to, subject).unwrap_or_else(|error| panic!("{subject} to {to:?}: {error}"));
}

/// As [`send`], to a node that may not want to.
pub fn try_send(address: SocketAddr, from: &str, to: &[&str], subject: &str) -> io::Result<()> {
    let mut client = Client::greet(address)?;
    client.mail(from, to, &format!("From: <{from}>\r\nSubject: {subject}\r\n\r\nhello"))?;
    client.say("QUIT", "221").map(drop)
}

/// `GET path`: all that the server sends until it closes.
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    rest_of(&stream)
}

/// `POST path` with a form: all that the server sends until it closes.
pub fn post(address: SocketAddr, path: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = form.len();
    let fields = "Connection: close\r\nContent-Type: application/x-www-form-urlencoded";
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{form}")
        .unwrap();
    rest_of(&stream)
}

/// Writes these octets, says that there are no more, and reads all that the server says until it closes.
pub fn exchange(address: SocketAddr, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || rest_of(&reading));
    let _ = stream.write_all(octets);
    let _ = stream.shutdown(Shutdown::Write);
    reader.join().unwrap()
}

/// What comes until the end. A reset says that the server closed while somebody was still talking.
fn rest_of(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// An address of this machine that is not loopback, where it has one. Nothing is sent.
pub fn outside_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

/// A server that closes with unread octets makes the system say so; TLS without a farewell likewise.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe)
}

const PATIENCE: Duration = Duration::from_secs(30);
