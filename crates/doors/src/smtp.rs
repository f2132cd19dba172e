//! The SMTP door: listens, bounds who may knock how often, and gives each connection to a shell of its own.

mod bcc;
mod client;
mod company;
mod connection;
mod deadline;
mod desk;
mod limits;
mod reading;
mod trace;
mod volume;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sm2tp_proto::smtp::server::ScramOffer;
use sm2tp_rules::admit::Way;
use sm2tp_rules::rate::Rate;
use sm2tp_rules::sites::SiteState;
use sm2tp_rules::{Stream, allowance, guess};
use sm2tp_store::accounts::Account;
use sm2tp_store::spool::Queued;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use self::client::{Client, Place};
pub use self::client::{Fronts, Networks};
use self::company::Company;
use self::connection::Connection;
pub(crate) use self::desk::{HandedIn, NotTaken};
pub(crate) use self::limits::Guard;
use self::limits::{Knocks, Reports};
use self::reading::Memory;
use self::volume::Volumes;
use crate::directory::{Directory, Person, Unavailable};
use crate::patience::Patience;
use crate::stops::Stops;
use crate::turned_away::Reason;
use crate::{House, now};

/// How the door is set up.
#[derive(Clone)]
pub struct Settings {
    pub hostname: String,
    pub octets_max: u64,
    pub recipients_max: usize,
    /// Messages on one connection (RFC 9422); none: as many as the client likes.
    pub mails_max: Option<u32>,
    pub connections_max: usize,
    pub connections_per_client_max: usize,
    /// New connections from one client network; trusted networks and fronts have no such limit.
    pub connection_rate_per_client_max: Rate,
    pub command_timeout: Duration,
    /// Octets of all messages that are being received at once.
    pub memory_max: u64,
    /// Clients that may send without a login, as org `local`.
    pub trusted: Networks,
    pub fronts: Fronts,
    /// Stream of what they send.
    pub trusted_stream: Stream,
    /// Recipients of a sender that nobody declared to be a bulk sender, and is none.
    pub bulk_from: Rate,
    pub tls: Option<TlsAcceptor>,
    /// Whether AUTH offers SCRAM-SHA-256; the accounts must keep its keys.
    pub scram: ScramOffer,
    /// Seconds that mail held on federated evidence waits for a person.
    pub hold_s: u64,
    /// Who knows the logins that the accounts do not have; none: nobody.
    pub directory: Option<Directory>,
}

/// Where accepted mail goes, and what people changed.
#[derive(Clone)]
pub struct Onward {
    /// A mail that is on stable storage, with its content. Waits when the relay is behind.
    pub mails: mpsc::Sender<(Queued, Bytes)>,
    /// The numbers of mails that a person moved or dropped.
    pub changed: mpsc::Sender<Vec<u64>>,
    /// Who looks at the sites that mail is for.
    pub looks: mpsc::Sender<oneshot::Sender<Vec<SiteState>>>,
    /// A person paused an exit, or lets mail leave by it again.
    pub exits: mpsc::Sender<()>,
}

/// The other ends of an [`Onward`].
pub struct Handed {
    pub mails: mpsc::Receiver<(Queued, Bytes)>,
    pub changed: mpsc::Receiver<Vec<u64>>,
    pub looks: mpsc::Receiver<oneshot::Sender<Vec<SiteState>>>,
    pub exits: mpsc::Receiver<()>,
}

impl Onward {
    /// Both ends. At most `waiting_max` mails, and as many changes, wait between them.
    #[must_use]
    pub fn new(waiting_max: usize) -> (Self, Handed) {
        let (mails, accepted) = mpsc::channel(waiting_max);
        let (changes, changed) = mpsc::channel(waiting_max);
        let (look, looks) = mpsc::channel(waiting_max);
        let (exit, exits) = mpsc::channel(waiting_max);
        let onward = Self { mails, changed: changes, looks: look, exits: exit };
        (onward, Handed { mails: accepted, changed, looks, exits })
    }
}

/// What all connections of the door share.
pub(crate) struct Shared {
    pub house: House,
    pub onward: Onward,
    pub settings: Settings,
    pub stops: Stops,
    company: Company,
    guard: Guard,
    knocks: Knocks,
    reports: Reports,
    /// Reading a stranger's mail takes a core its time; more at once than this would only queue elsewhere.
    readers: Semaphore,
    volumes: Volumes,
    permits: Arc<Semaphore>,
    memory: Memory,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

/// The SMTP door: all its listeners together, because its limits hold for all of them. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

/// What a port is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Port {
    /// One kind of mail; none: all.
    pub stream: Option<Stream>,
    /// How its mail goes, unless the sender watch says worse.
    pub way: Way,
}

/// How a conversation begins on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// In clear; STARTTLS where there is a certificate.
    Clear(Port),
    /// With a handshake (RFC 8314 §3.3).
    Tls,
    /// LMTP, in clear, for reports alone.
    Lmtp,
}

impl Door {
    #[must_use]
    pub fn new(house: House, onward: Onward, settings: Settings, stops: Stops) -> Self {
        let (rate, bulk_from) = (settings.connection_rate_per_client_max, settings.bulk_from);
        let permits = Arc::new(Semaphore::new(settings.connections_max));
        let memory = Memory::new(settings.memory_max);
        Self(Arc::new(Shared {
            house,
            onward,
            settings,
            stops,
            company: Company::default(),
            guard: Guard::new(guess::Limits::default()),
            knocks: Knocks::new(rate),
            reports: Reports::default(),
            readers: Semaphore::new(READERS_MAX),
            volumes: Volumes::new(bulk_from),
            permits,
            memory,
            clients: Mutex::default(),
        }))
    }

    /// Serves one listener until `stop` is done, then lets transactions that are under way end.
    ///
    /// # Errors
    /// Where the listener itself fails; trouble with one client is that client's.
    pub async fn serve(
        self,
        listener: TcpListener,
        entry: Entry,
        stop: impl Future<Output = ()> + Send,
    ) -> std::io::Result<()> {
        let (closing, closed) = watch::channel(false);
        let mut stop = pin!(stop);
        let mut connections = JoinSet::new();
        let mut patience = Patience::new("SMTP");
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        connections.spawn(admit(stream, from.ip(), entry, self.0.clone(), closed.clone()));
                    }
                    Err(error) => patience.wait(&error).await,
                },
                Some(_) = connections.join_next() => {}
                () = &mut stop => break,
            }
        }
        drop(listener);
        // The receivers are in the connections; with none left there is nobody to tell.
        let _ = closing.send(true);
        let ended = timeout(DRAIN, async { while connections.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!(
                "some SMTP clients did not end in time and were cut off; what was not answered 250 they send again"
            );
        }
        Ok(())
    }
}

async fn admit(mut stream: TcpStream, peer: IpAddr, entry: Entry, shared: Arc<Shared>, closed: watch::Receiver<bool>) {
    let peer = peer.to_canonical();
    // A front speaks for its clients: whose connection it is stands in its header, or comes with XCLIENT.
    if let Err(refused) = shared.knock(Client::itself(peer)) {
        return refused.tell(stream, entry, &shared).await;
    }
    let Ok(_permit) = shared.permits.clone().try_acquire_owned() else {
        return shared.refuse(Reason::DoorFull, peer).tell(stream, entry, &shared).await;
    };
    let client = match Client::of(&mut stream, peer, &shared.settings).await {
        Ok(client) => client,
        Err(error) => {
            return tracing::warn!(front = %peer, %error, "a front of proxy_protocol_from did not say for whom it speaks");
        }
    };
    let taken = match client.is_itself() {
        true => Place::take(&shared, client),
        false => shared.knock(client).and_then(|()| Place::take(&shared, client)),
    };
    let place = match taken {
        Ok(place) => place,
        Err(refused) => return refused.tell(stream, entry, &shared).await,
    };
    if let Err(error) = Connection::new(shared.clone(), client, place, closed).run(stream, entry).await {
        tracing::debug!(client = %client.address(), %error, "an SMTP connection ended early");
    }
}

/// A connection that is not taken, and was counted.
struct Refused {
    words: String,
}

impl Shared {
    /// Whose login this is, if the password is right. The node's own logins come first; a directory cannot have them too.
    async fn verify(&self, login: &str, password: &str) -> Result<Option<(Account, Option<Person>)>, Unavailable> {
        let accounts = &self.house.accounts;
        match &self.settings.directory {
            Some(directory) if accounts.account(login).is_none() => {
                let person = directory.verify(login, password, now()).await?;
                Ok(person.and_then(|person| Some((self.account_of(login, &person)?, Some(person)))))
            }
            _ => Ok(accounts.verify(login, password, now()).await.map(|account| (account, None))),
        }
    }

    /// The account of a person of the directory, in its organisation as it is now.
    fn account_of(&self, login: &str, person: &Person) -> Option<Account> {
        self.settings.directory.as_ref()?.account(&self.house.accounts, login, person)
    }

    /// A client is at the door: does it come too often?
    fn knock(&self, client: Client) -> Result<(), Refused> {
        if client.is_shared(&self.settings) {
            return Ok(());
        }
        self.knocks.take(client.address()).map_err(|wait_s| {
            let refused = self.refuse(Reason::ClientFast, client.address());
            Refused { words: format!("{} in {}", refused.words, allowance::wait(wait_s)) }
        })
    }

    /// Counts a connection that is not taken.
    fn refuse(&self, reason: Reason, client: IpAddr) -> Refused {
        self.house.turned_away.count(reason, client);
        let words = match reason {
            Reason::DoorFull => "Too many connections, try again later".to_owned(),
            Reason::ClientFull => "Too many connections of this client, try again later".to_owned(),
            Reason::ClientFast => {
                let rate = self.settings.connection_rate_per_client_max.of("connections");
                format!("This client may open {rate}, try again")
            }
        };
        Refused { words }
    }
}

impl Refused {
    /// Who waits for a handshake understands no words: there the connection ends.
    async fn tell(self, stream: TcpStream, entry: Entry, shared: &Shared) {
        if entry != Entry::Tls {
            let refusal = format!("421 4.7.0 {} {}\r\n", shared.settings.hostname, self.words);
            turn_away(stream, refusal.as_bytes()).await;
        }
    }
}

/// Says why and closes; a client that does not listen is not waited for.
async fn turn_away(mut stream: TcpStream, refusal: &[u8]) {
    let _ = timeout(TURN_AWAY, async {
        stream.write_all(refusal).await?;
        stream.shutdown().await
    })
    .await;
}

/// Mails of strangers that are read at once, to tell a machine's report from what a person wrote.
const READERS_MAX: usize = 2;
const TURN_AWAY: Duration = Duration::from_secs(5);
/// How long transactions under way may take when the node stops.
const DRAIN: Duration = Duration::from_secs(10);
