//! How this node asks others over HTTP: directly, and never where an answer sends it.

use std::error::Error;
use std::io;

use reqwest::{ClientBuilder, redirect};
use thiserror::Error as ThisError;

use crate::follow::Unresolved;

/// Why a server gave no answer, or none whole.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{said}")]
pub struct NoAnswer {
    pub kind: Silence,
    /// In the words of the library.
    pub said: String,
}

/// What kind of trouble it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    Late,
    NoName,
    /// Its name leads to no address that may be asked.
    NoPublicAddress,
    Refused,
    Broken,
    NoWay,
    Certificate,
    Other,
}

/// A client without its time limits, which whoever asks knows.
pub(crate) fn client() -> ClientBuilder {
    nameless().user_agent(concat!("sm2tp/", env!("CARGO_PKG_VERSION")))
}

/// The same for those who are known by their signature, and ask ten thousand times a day.
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
        Self { kind: if error.is_timeout() { Silence::Late } else { kind(&error) }, said: chain(&error) }
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
    // An error of TLS is inside of one of the network.
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Some(Silence::Certificate);
    }
    Some(match error.kind() {
        Kind::ConnectionRefused => Silence::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => Silence::Broken,
        Kind::TimedOut => Silence::Late,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Silence::NoWay,
        _ => return None,
    })
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
