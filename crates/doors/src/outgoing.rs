//! How this node asks others over HTTP: directly, and never where an answer sends it.

use std::error::Error as _;

use reqwest::{ClientBuilder, redirect};

/// A client without its time limits, which whoever asks knows.
pub(crate) fn client() -> ClientBuilder {
    // The command installs it at start; asking again costs nothing and spares a panic to whoever embeds this.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(1)
        .user_agent(concat!("sm2tp/", env!("CARGO_PKG_VERSION")))
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
