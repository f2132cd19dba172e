//! A name server on loopback for what a test says: lines as in a zone file, the root as the zone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;

/// A running name server; it stops when it is dropped.
pub struct Names {
    pub address: SocketAddr,
    _runtime: Runtime,
    _server: Server<Catalog>,
}

impl Names {
    /// Each line is an owner, a type (MX, A, AAAA, CNAME, PTR, TXT) and its data.
    pub fn serve(lines: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut zone =
            InMemoryZoneHandler::<TokioRuntimeProvider>::empty(Name::root(), ZoneType::Primary, AxfrPolicy::Deny);
        let ns = name("ns.test");
        let soa = RData::SOA(SOA::new(ns.clone(), ns, 1, 3600, 600, 86_400, 1));
        assert!(zone.upsert_mut(Record::from_rdata(Name::root(), 1, soa), 1));
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (owner, rest) = line.split_once(' ').unwrap();
            let (kind, data) = rest.split_once(' ').unwrap();
            // A time to live of a second: what a test changes is seen.
            assert!(zone.upsert_mut(Record::from_rdata(name(owner), 1, record(kind, data)), 1), "{line}");
        }
        let (address, server) = runtime.block_on(async {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, crate::wait::free_port())).await.unwrap();
            let address = udp.local_addr().unwrap();
            let mut catalog = Catalog::new();
            catalog.upsert(LowerName::from(Name::root()), vec![Arc::new(zone)]);
            let mut server = Server::new(catalog);
            server.register_socket(udp);
            server.register_listener(TcpListener::bind(address).await.unwrap(), Duration::from_secs(5), 64);
            (address, server)
        });
        Self { address, _runtime: runtime, _server: server }
    }

    /// The section that makes a node ask here.
    pub fn config(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\n", self.address)
    }
}

fn record(kind: &str, data: &str) -> RData {
    match kind {
        "A" => RData::A(A(data.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(data.parse().unwrap())),
        "PTR" => RData::PTR(PTR(name(data))),
        "CNAME" => RData::CNAME(CNAME(name(data))),
        // A string of a TXT record holds 255 octets.
        "TXT" => RData::TXT(TXT::new(data.as_bytes().chunks(255).map(text).collect())),
        "MX" => {
            let (preference, host) = data.split_once(' ').unwrap();
            RData::MX(MX::new(preference.parse().unwrap(), name(host)))
        }
        _ => panic!("{kind}"),
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}
