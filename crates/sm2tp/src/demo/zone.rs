//! The DNS of the demonstration: one server on loopback that answers for the whole tree and asks nobody.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, MX, SOA};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

use super::providers::PROVIDERS;

/// A running name server; it stops when it is dropped.
pub struct Zone {
    pub address: SocketAddr,
    _server: Server<Catalog>,
}

impl Zone {
    /// Serves the MX of all domains and the addresses of all `hosts`, over UDP and TCP on one free port.
    ///
    /// # Errors
    /// Where no port is free, or a name of the table is none.
    pub async fn serve(hosts: &BTreeMap<&'static str, Ipv4Addr>) -> anyhow::Result<Self> {
        let (udp, tcp) = sockets().await?;
        let address = udp.local_addr()?;
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::from(Name::root()), vec![Arc::new(records(hosts)?)]);
        let mut server = Server::new(catalog);
        server.register_socket(udp);
        server.register_listener(tcp, QUESTION_TIMEOUT, ANSWERS_WAITING_MAX);
        Ok(Self { address, _server: server })
    }
}

/// The same port twice: a resolver that gets a cut answer asks again over TCP.
async fn sockets() -> anyhow::Result<(UdpSocket, TcpListener)> {
    for _ in 0..20 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no UDP port on 127.0.0.1")?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
            return Ok((udp, tcp));
        }
    }
    bail!("no port of 127.0.0.1 is free for both UDP and TCP")
}

/// The zone is the root: a name that is not in it does not exist.
fn records(hosts: &BTreeMap<&'static str, Ipv4Addr>) -> anyhow::Result<InMemoryZoneHandler<TokioRuntimeProvider>> {
    let mut zone = InMemoryZoneHandler::empty(Name::root(), ZoneType::Primary, AxfrPolicy::Deny);
    let ns = name("ns.demo.test")?;
    let mut put = |owner: &str, data: RData| -> anyhow::Result<()> {
        if !zone.upsert_mut(Record::from_rdata(name(owner)?, TTL_S, data), 1) {
            bail!("the record of {owner} does not fit into the zone");
        }
        Ok(())
    };
    put(".", RData::SOA(SOA::new(ns.clone(), ns, 1, 3600, 600, 86_400, TTL_S)))?;
    for provider in PROVIDERS {
        for (rank, host) in provider.hosts.iter().enumerate() {
            let preference = u16::try_from(rank * 10)?;
            put(provider.domain, RData::MX(MX::new(preference, name(host)?)))?;
        }
    }
    for (host, address) in hosts {
        put(host, RData::A(A(*address)))?;
    }
    Ok(zone)
}

fn name(text: &str) -> anyhow::Result<Name> {
    let mut name = Name::from_ascii(text).with_context(|| format!("{text} is not a name"))?;
    name.set_fqdn(true);
    Ok(name)
}

const TTL_S: u32 = 300;
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers that wait for a slow reader of one TCP connection.
const ANSWERS_WAITING_MAX: usize = 64;
