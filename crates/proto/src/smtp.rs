//! SMTP as values (RFC 5321): lines and replies go in, what to do next comes out; sockets and clocks stay outside.

pub mod bdat;
pub mod client;
mod command;
pub mod data;
pub mod line;
pub mod params;
mod refusal;
pub mod server;
pub mod xclient;

use std::fmt;

use zeroize::Zeroizing;

pub use command::{Body, MailParams};
pub use data::{RECEIVED_MAX, count_received, dot_stuff};
pub use params::{MailOptions, Notify, Orcpt, RcptOptions, Ret};
pub use refusal::Refusal;

/// A password on its way to the check: never shown by `Debug`, wiped from memory when dropped.
///
/// The base64 text it came in lies in the line and in the buffers of the socket, which nobody wipes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password itself; for the check of the login alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
