//! Who is at the other end, as far as it may be believed: itself, or somebody of whom a declared front speaks.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sm2tp_proto::proxy::{Header, HeaderReader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Refused, Settings, Shared};
use crate::turned_away::Reason;

/// Some networks.
pub type Networks = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Servers that speak for clients of their own, and are believed what they say of them.
#[derive(Clone)]
pub struct Fronts {
    /// Begin each connection with a PROXY protocol header.
    pub proxy_protocol: Networks,
    /// May say XCLIENT.
    pub xclient: Networks,
    /// May say with XCLIENT that a client has logged in with them.
    pub vouching: Networks,
}

/// One client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// The other end of the connection.
    peer: IpAddr,
    named: Named,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// It speaks for itself.
    Itself,
    /// A front speaks for this address; none where the front does not know it.
    By(Option<IpAddr>),
}

impl Client {
    /// One that speaks for itself, or has not said yet that it does not.
    pub(super) fn itself(peer: IpAddr) -> Self {
        Self { peer, named: Named::Itself }
    }

    /// Who has connected: reads the header of a front that sends one.
    ///
    /// # Errors
    /// Where it does not come in time, or is none: what follows could be anything.
    pub(super) async fn of(stream: &mut TcpStream, peer: IpAddr, settings: &Settings) -> io::Result<Self> {
        if !(settings.fronts.proxy_protocol)(peer) {
            return Ok(Self::itself(peer));
        }
        let header = timeout(HEADER.min(settings.command_timeout), header(stream)).await;
        let named = match header.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            Header::Client { source, .. } => Some(source.ip()),
            Header::Nobody => None,
        };
        Ok(Self { peer, named: Named::By(named) })
    }

    /// The client of whom this one speaks by XCLIENT; none where it does not know.
    pub(super) fn speaking_for(self, client: Option<IpAddr>) -> Self {
        Self { peer: self.peer, named: Named::By(client.map(|address| address.to_canonical())) }
    }

    pub(super) fn is_itself(self) -> bool {
        self.named == Named::Itself
    }

    /// The other end of the connection.
    pub(super) fn peer(self) -> IpAddr {
        self.peer
    }

    /// To count and to log by: of a client that nobody knows, its front's.
    pub(super) fn address(self) -> IpAddr {
        self.known().unwrap_or(self.peer)
    }

    /// Its address, where it is known.
    pub(super) fn known(self) -> Option<IpAddr> {
        match self.named {
            Named::Itself => Some(self.peer),
            Named::By(address) => address,
        }
    }

    /// May send without a login.
    ///
    /// What a front says of an address counts, but for addresses by which it would become trusted itself: its own, and
    /// those of its machine. A front that hides its clients (NAT, a wrong setting, LOCAL) would make an open relay.
    pub(super) fn is_trusted(self, settings: &Settings) -> bool {
        match self.named {
            Named::Itself => (settings.trusted)(self.peer),
            Named::By(None) => false,
            Named::By(Some(address)) => {
                let is_front = address == self.peer || self.is_front(address, settings);
                !is_front && !address.is_loopback() && !address.is_unspecified() && (settings.trusted)(address)
            }
        }
    }

    /// Many people are behind its address: their guesses and connections are not one client's.
    pub(super) fn is_shared(self, settings: &Settings) -> bool {
        let address = self.address();
        (settings.trusted)(address) || self.is_front(address, settings)
    }

    /// On this machine, where nobody else hears a password. Not behind a front: who knows what lies before that.
    pub(super) fn is_local(self) -> bool {
        self.named == Named::Itself && self.peer.is_loopback()
    }

    /// XCLIENT may be said. Behind the PROXY protocol it may not: two fronts could contradict each other.
    pub(super) fn may_speak_for_others(self, settings: &Settings) -> bool {
        let is_front = (settings.fronts.xclient)(self.peer);
        is_front && !(settings.fronts.proxy_protocol)(self.peer)
    }

    /// XCLIENT may say who has logged in.
    pub(super) fn may_vouch(self, settings: &Settings) -> bool {
        self.may_speak_for_others(settings) && (settings.fronts.vouching)(self.peer)
    }

    fn is_front(self, address: IpAddr, settings: &Settings) -> bool {
        (settings.fronts.proxy_protocol)(address) || (settings.fronts.xclient)(address)
    }
}

/// One customer of a provider has one IPv4 address and 2^64 of IPv6.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

/// Not one octet more than the header: a handshake may follow.
async fn header(stream: &mut TcpStream) -> io::Result<Header> {
    let mut reader = HeaderReader::new();
    let mut buffer = [0; 256];
    loop {
        let wanted = reader.wanted().min(buffer.len());
        let count = stream.read(&mut buffer[..wanted]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = reader.push(&buffer[..count]);
        if let Some(header) = header.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            return Ok(header);
        }
    }
}

/// The place of one connection among those of its client.
pub(super) struct Place {
    shared: Arc<Shared>,
    client: IpAddr,
}

impl Place {
    /// A front has as many as the door: its clients are counted.
    ///
    /// # Errors
    /// Where the client has as many as it may.
    pub(super) fn take(shared: &Arc<Shared>, client: Client) -> Result<Self, Refused> {
        let settings = &shared.settings;
        let address = client.address();
        let len_max = match client.is_front(address, settings) {
            true => settings.connections_max,
            false => settings.connections_per_client_max,
        };
        let key = network(address);
        let mut clients = shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(key).or_default();
        if len_max <= *count {
            return Err(shared.refuse(Reason::ClientFull, client.address()));
        }
        *count += 1;
        Ok(Self { shared: shared.clone(), client: key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// A front sends its header with the connection.
const HEADER: Duration = Duration::from_secs(10);
