//! How this node asks others over HTTP: directly, and never where an answer sends it.

use std::error::Error;
use std::io;

use reqwest::{ClientBuilder, redirect};
use thiserror::Error as ThisError;

use crate::follow::Unresolved;

/// Why a server gave no answer, or none whole.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{kind}{}", kind.says_all().then(String::new).unwrap_or_else(|| format!(" ({said})")))]
pub struct NoAnswer {
    pub kind: Silence,
    /// Whether there was a connection.
    pub met: Met,
    /// In the words of the system or a library, without what it was doing.
    pub said: String,
}

/// Whether a server took a connection before it gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    Yes,
    No,
}

/// What kind of trouble it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum Silence {
    #[error("no answer in time")]
    Late,
    #[error("its name is not found in the DNS")]
    NoName,
    /// Its name leads to no address that may be asked.
    #[error("its name leads to no public address; [federation] private_peers would allow others")]
    NoPublicAddress,
    #[error("nobody listens there")]
    Refused,
    #[error("the connection broke")]
    Broken,
    #[error("there is no way to it")]
    NoWay,
    #[error("its certificate is not accepted")]
    Certificate,
    /// What answers speaks something else, or no version of TLS that we know.
    #[error("no encrypted connection was made with what answers there")]
    Tls,
    #[error("no answer that can be read")]
    Other,
}

impl Silence {
    /// Whether the words of the library would say it a second time.
    fn says_all(self) -> bool {
        self == Self::NoPublicAddress
    }
}

/// A client without its time limits, which whoever asks knows.
pub(crate) fn client() -> ClientBuilder {
    nameless().http1_only().user_agent(concat!("sm2tp/", env!("CARGO_PKG_VERSION")))
}

/// The same for those who are known by their signature, and ask ten thousand times a day: over HTTP/2 where the other side speaks it.
pub(crate) fn nameless() -> ClientBuilder {
    // The command installs it at start; asking again costs nothing and spares a panic to whoever embeds this.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().pool_max_idle_per_host(1)
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let met = if error.is_connect() { Met::No } else { Met::Yes };
        let kind = if error.is_timeout() { Silence::Late } else { kind(&error) };
        Self { kind, met, said: innermost(&error) }
    }
}

/// The first source that says it.
fn kind(error: &reqwest::Error) -> Silence {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(kind) = of_name(inner).or_else(|| inner.downcast_ref::<io::Error>().and_then(of_network)) {
            return kind;
        }
        source = inner.source();
    }
    Silence::Other
}

fn of_name(error: &(dyn Error + 'static)) -> Option<Silence> {
    Some(match error.downcast_ref::<Unresolved>()? {
        Unresolved::System(_) => Silence::NoName,
        Unresolved::NoPublicAddress => Silence::NoPublicAddress,
    })
}

fn of_network(error: &io::Error) -> Option<Silence> {
    use io::ErrorKind as Kind;
    if let Some(kind) = of_tls(error) {
        return Some(kind);
    }
    Some(match error.kind() {
        Kind::ConnectionRefused => Silence::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => Silence::Broken,
        Kind::TimedOut => Silence::Late,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Silence::NoWay,
        _ => return None,
    })
}

/// An error of TLS is inside of one of the network, or of two.
fn of_tls(error: &io::Error) -> Option<Silence> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Some(Silence::Certificate)
        }
        Some(_) => Some(Silence::Tls),
        None => inner.downcast_ref::<io::Error>().and_then(of_tls),
    }
}

/// What the system or a library says at the bottom: what stands above it is "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn Error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// An error with its sources in one line: reqwest says "error sending request" and hides the reason behind it.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
