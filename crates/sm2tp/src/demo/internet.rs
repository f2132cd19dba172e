//! The small Internet of the demonstration: name server and recipient servers on loopback, and what they received.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::mailserver;
use super::people::Directory;
use super::providers::{Manner, NULL_MX, PROVIDERS};
use super::zone::Zone;

/// All servers; they stop when it is dropped.
pub struct Internet {
    pub dns: SocketAddr,
    /// The port of every recipient server.
    pub port: u16,
    pub world: Arc<World>,
    asleep: Vec<(Host, TcpSocket)>,
    servers: JoinSet<()>,
    _zone: Zone,
}

/// A recipient server.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    pub name: &'static str,
    pub manner: Manner,
}

/// What the servers know and remember.
pub struct World {
    pub directory: Directory,
    received: Mutex<Received>,
    /// When a greylisting server first heard of a recipient.
    greylist: Mutex<HashMap<String, Instant>>,
}

/// What the servers truly took.
#[derive(Debug, Default, Clone)]
pub struct Received {
    /// How many times each (X-Demo-Id, recipient) came.
    pub copies: HashMap<(String, String), u32>,
    /// Mails with reports that the senders' own servers took.
    pub reports: u64,
    /// Each (X-Demo-Id, recipient) that such a report says was not delivered.
    pub reported: HashSet<(String, String)>,
}

impl Internet {
    /// Binds everything, and serves all but the servers that are down at first.
    ///
    /// # Errors
    /// Where loopback has no free port, or not the addresses of 127.0.0.0/8.
    pub async fn start(directory: Directory) -> anyhow::Result<Self> {
        let hosts = hosts();
        let zone = Zone::serve(&hosts.iter().map(|(name, (address, _))| (*name, *address)).collect()).await?;
        let (port, sockets) = bind_all(&hosts)?;
        let world = Arc::new(World { directory, received: Mutex::default(), greylist: Mutex::default() });
        let mut internet =
            Self { dns: zone.address, port, world, asleep: Vec::new(), servers: JoinSet::new(), _zone: zone };
        for (host, socket) in sockets {
            if host.manner == Manner::DownAtFirst {
                internet.asleep.push((host, socket));
            } else {
                internet.servers.spawn(serve(host, socket.listen(BACKLOG)?, internet.world.clone()));
            }
        }
        Ok(internet)
    }

    /// From now on the servers that are down have [`DOWN`] left.
    pub fn begin_day(&mut self) {
        for (host, socket) in self.asleep.drain(..) {
            let world = self.world.clone();
            self.servers.spawn(async move {
                sleep(DOWN).await;
                match socket.listen(BACKLOG) {
                    Ok(listener) => serve(host, listener, world).await,
                    Err(error) => eprintln!("demo: {} stays down: {error}", host.name),
                }
            });
        }
    }
}

impl World {
    /// Whether a greylisting server still sends this recipient's mail away.
    pub fn greylists(&self, recipient: &str) -> bool {
        let mut seen = self.greylist.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *seen.entry(recipient.to_owned()).or_insert_with(Instant::now);
        first.elapsed() < GREYLISTED_FOR
    }

    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(host: Host, listener: TcpListener, world: Arc<World>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let world = world.clone();
                    // A client that breaks off is no news for a mail server.
                    connections.spawn(async move { drop(mailserver::converse(stream, host, &world).await) });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Each host once, with an address of its own in 127.1.0.0/24.
fn hosts() -> BTreeMap<&'static str, (Ipv4Addr, Manner)> {
    let mut hosts = BTreeMap::new();
    for provider in PROVIDERS {
        for host in provider.hosts.iter().filter(|host| **host != NULL_MX) {
            let number = u8::try_from(hosts.len() + 1).unwrap_or(u8::MAX);
            hosts.entry(*host).or_insert((Ipv4Addr::new(127, 1, 0, number), provider.manner));
        }
    }
    hosts
}

type Bound = Vec<(Host, TcpSocket)>;

/// One port that is free on all addresses: the relay knows a single port for recipient servers, as there is on the
/// real Internet. A server that is down has its socket too, so that nobody takes the port meanwhile.
fn bind_all(hosts: &BTreeMap<&'static str, (Ipv4Addr, Manner)>) -> anyhow::Result<(u16, Bound)> {
    let Some((first, _)) = hosts.values().next() else { bail!("no recipient server") };
    'port: for _ in 0..20 {
        let port = std::net::TcpListener::bind((*first, 0)).with_context(|| format!("{first}"))?.local_addr()?.port();
        let mut bound = Vec::new();
        for (name, (address, manner)) in hosts {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            if socket.bind(SocketAddr::new((*address).into(), port)).is_err() {
                continue 'port;
            }
            bound.push((Host { name, manner: *manner }, socket));
        }
        return Ok((port, bound));
    }
    bail!("no port is free on all of 127.1.0.1 to 127.1.0.{}", hosts.len())
}

const BACKLOG: u32 = 128;
/// How long the servers that are down at first stay so.
const DOWN: Duration = Duration::from_secs(8);
const GREYLISTED_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::people::populate;
    use crate::demo::providers;
    use hickory_server::proto::op::{Message, Query};
    use hickory_server::proto::rr::{Name, RData, RecordType};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UdpSocket};

    async fn ask(dns: SocketAddr, name: &str, kind: RecordType) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(&question.to_vec().unwrap(), dns).await.unwrap();
        let mut answer = vec![0; 4096];
        let count = socket.recv(&mut answer).await.unwrap();
        Message::from_vec(&answer[..count]).unwrap()
    }

    #[tokio::test]
    async fn a_mail_finds_its_server_and_unknown_people_are_refused_in_its_words() {
        let (directory, lists) = populate();
        let internet = Internet::start(directory).await.unwrap();
        let answer = ask(internet.dns, "free.example.", RecordType::MX).await;
        let hosts: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(hosts, ["0 mx1.free.fr.", "10 mx2.free.fr."]);
        let answer = ask(internet.dns, "mx1.free.fr.", RecordType::A).await;
        let RData::A(address) = answer.answers[0].data else { panic!("{answer:?}") };

        let alive = lists.people.iter().find(|address| address.ends_with("@free.example")).unwrap();
        let dialogue = format!(
            "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@free.example>\r\nRCPT TO:<{alive}>\r\nDATA\r\n\
             X-Demo-Id: 1\r\n\r\nhello\r\n.\r\nQUIT\r\n"
        );
        let mut stream = TcpStream::connect((address.0, internet.port)).await.unwrap();
        stream.write_all(dialogue.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        let unknown = providers::of("free.example").unwrap().unknown.to("nobody@free.example");
        assert!(said.contains(&format!("\r\n{unknown}\r\n250 2.1.5 Ok\r\n354 ")), "{said}");
        assert_eq!(internet.world.received().copies.get(&("1".into(), alive.clone())), Some(&1));
    }

    #[tokio::test]
    async fn a_domain_that_does_not_exist_is_told_from_one_without_mail() {
        let internet = Internet::start(Directory::default()).await.unwrap();
        let answer = ask(internet.dns, "disparu.example.", RecordType::MX).await;
        assert_eq!(answer.response_code.to_str(), "Non-Existent Domain");
        let answer = ask(internet.dns, "sans-courrier.test.", RecordType::MX).await;
        assert_eq!(answer.answers[0].data.to_string(), "0 .");
        let answer = ask(internet.dns, "mx1.free.fr.", RecordType::AAAA).await;
        assert_eq!((answer.response_code.to_str(), answer.answers.len()), ("No Error", 0));
    }
}
