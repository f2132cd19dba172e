//! What stands around: the node itself, port 25, the mail server beside it, peers.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sm2tp_doors::control::{self, Request};
use sm2tp_doors::now;
use sm2tp_relay::Lookups;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use super::exits::Way;
use super::{Doctor, Finding, Level};
use crate::config::{Config, Place};
use crate::{database, exim, postfix, show};

/// What the running node says; null where it does not run.
#[derive(Debug, Default)]
pub struct Node {
    pub orgs: Value,
    pub dkim: Value,
    peers: Value,
}

/// The database that several machines share, and the machines.
pub fn database(config: &Config) -> Vec<Finding> {
    let (Some(store), Some(asked)) = (&config.store, database::machines(config)) else { return Vec::new() };
    let machines = match asked {
        Ok(machines) => machines,
        Err(why) => {
            return vec![Finding::new("node", Level::Fault, "database-away", &store.database).with("why", why)];
        }
    };
    let mut found =
        vec![Finding::new("node", Level::Fine, "database-fine", &store.database).with("machines", machines.len())];
    let silent = machines.into_iter().filter(|machine| machine.seen_at.saturating_add(SILENT_S) < now());
    found.extend(silent.map(|machine| {
        Finding::new("node", Level::Warning, "machine-silent", machine.host).with("since", show::time(machine.seen_at))
    }));
    found
}

/// Asks the node, and knocks at its doors.
pub async fn node(config: &Config, found: &mut Vec<Finding>) -> Node {
    let socket = config.data_dir.join("control.sock");
    let ask = async |request: Request| {
        let asked = timeout(PATIENCE, control::ask(&socket, &request)).await;
        match asked {
            Ok(Ok(control::Reply::Ok(value))) => Some(value),
            _ => None,
        }
    };
    let Some(orgs) = ask(Request::OrgList).await else {
        found.push(Finding::new("node", Level::Fault, "node-down", socket.display().to_string()));
        return Node::default();
    };
    found.push(Finding::new("node", Level::Fine, "node-fine", &config.hostname));
    for (word, address) in tcp_doors(config) {
        if timeout(PATIENCE, TcpStream::connect(address)).await.is_ok_and(|open| open.is_ok()) {
            continue;
        }
        found.push(Finding::new("node", Level::Fault, "door-closed", address.to_string()).with("door", word));
    }
    for (word, path) in unix_doors(config) {
        if timeout(PATIENCE, UnixStream::connect(path)).await.is_ok_and(|open| open.is_ok()) {
            continue;
        }
        found.push(Finding::new("node", Level::Fault, "door-closed", path.display().to_string()).with("door", word));
    }
    let dkim = ask(Request::DkimList { domain: None }).await.unwrap_or_default();
    let peers = ask(Request::PeerList).await.unwrap_or_default();
    Node { orgs, dkim, peers }
}

/// Addresses that can be knocked at: with port 0 nobody knows which one it became.
fn tcp_doors(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let smtp = config.smtp.iter().flat_map(|smtp| smtp.listen.iter().chain(&smtp.listen_tls)).map(|at| ("smtp", *at));
    let http = config.http.iter().flat_map(|http| &http.listen).map(|at| ("http", *at));
    let beside = places(config).into_iter().filter_map(|(word, place)| match place {
        Place::Tcp(at) => Some((word, *at)),
        Place::Unix(_) => None,
    });
    let reached = smtp.chain(http).chain(beside).map(|(word, mut at)| {
        if at.ip().is_unspecified() {
            at.set_ip(if at.is_ipv4() {
                IpAddr::from([127, 0, 0, 1])
            } else {
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16])
            });
        }
        (word, at)
    });
    reached.filter(|(_, at)| at.port() != 0).collect()
}

fn unix_doors(config: &Config) -> Vec<(&'static str, &Path)> {
    let places = places(config).into_iter().filter_map(|(word, place)| match place {
        Place::Tcp(_) => None,
        Place::Unix(path) => Some((word, path.as_path())),
    });
    places.collect()
}

/// Where a mail server asks.
fn places(config: &Config) -> Vec<(&'static str, &Place)> {
    let policy = config.policy.iter().flat_map(|it| &it.listen).map(|place| ("policy", place));
    let socketmap = config.socketmap.iter().flat_map(|it| &it.listen).map(|place| ("socketmap", place));
    let milter = config.milter.iter().flat_map(|it| &it.listen).map(|place| ("milter", place));
    policy.chain(socketmap).chain(milter).collect()
}

/// Whether a mail server elsewhere greets us, from each exit.
pub async fn port_25(config: &Config, dns: &Lookups, probe: &str, ways: &[Way]) -> Vec<Finding> {
    let Some(relay) = &config.relay else { return Vec::new() };
    if ways.is_empty() {
        return Vec::new();
    }
    let hosts = match dns.mail_hosts(probe).await {
        Ok(hosts) if !hosts.is_empty() => hosts,
        _ => return vec![Finding::new("exit", Level::Note, "probe-unknown", probe)],
    };
    let mut targets = Vec::new();
    for host in hosts.iter().take(HOSTS_MAX) {
        targets.extend(dns.addresses(host).await.into_iter().map(|address| SocketAddr::new(address, relay.port)));
    }
    let mut found = Vec::new();
    for way in ways {
        let mut last = None;
        for target in targets
            .iter()
            .filter(|target| way.address.is_none_or(|own| own.is_ipv4() == target.is_ipv4()))
            .take(TRIES_MAX)
        {
            last = Some((*target, greeting(way.address, *target).await));
            if matches!(last, Some((_, Ok(_)))) {
                break;
            }
        }
        let about = way.address.map_or_else(|| way.exit.clone(), |address| address.to_string());
        let Some((target, heard)) = last else {
            found.push(Finding::new("exit", Level::Note, "probe-unknown", probe));
            continue;
        };
        let (level, key, text) = match heard {
            Ok(text) if text.starts_with("220") => (Level::Fine, "port-fine", text),
            Ok(text) => (Level::Warning, "port-refused", text),
            Err(why) => (Level::Fault, "port-closed", why),
        };
        found.push(Finding::new("exit", level, key, about).with("target", target).with("text", text));
    }
    found
}

/// The first line of a mail server; that is all that is wanted of it.
async fn greeting(from: Option<IpAddr>, to: SocketAddr) -> Result<String, String> {
    let socket =
        if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(|error| error.to_string())?;
    if let Some(own) = from {
        socket.bind(SocketAddr::new(own, 0)).map_err(|error| format!("{own}: {error}"))?;
    }
    let connected = timeout(CONNECT_MAX, socket.connect(to)).await.map_err(|_| "no answer".to_owned())?;
    let mut stream = connected.map_err(|error| error.to_string())?;
    let mut octets = [0; 512];
    let length =
        timeout(CONNECT_MAX, stream.read(&mut octets)).await.map_err(|_| "connected, and then silence".to_owned())?;
    let length = length.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&octets[..length]);
    Ok(text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|letter| !letter.is_control())
        .take(GREETING_MAX)
        .collect())
}

/// Whether Postfix says what it must say to ask this node, and whether Exim names its socket.
pub fn mail_server(config: &Config, asked: &Doctor) -> Vec<Finding> {
    if places(config).is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if asked.postfix.join("main.cf").exists() {
        found.push(match postfix::missing(config, &asked.postfix) {
            Ok(missing) if missing.is_empty() => Finding::new("beside", Level::Fine, "postfix-fine", "postfix"),
            Ok(missing) => {
                Finding::new("beside", Level::Warning, "postfix-missing", "postfix").with("changes", missing.join("; "))
            }
            Err(failure) => {
                Finding::new("beside", Level::Note, "postfix-unknown", "postfix").with("why", failure.message)
            }
        });
    }
    found.extend(asked.exim.clone().or_else(exim_file).and_then(|file| exim(config, &file)));
    if found.is_empty() {
        found.push(Finding::new("beside", Level::Warning, "beside-nobody", "postfix, exim"));
    }
    found
}

/// The configuration that Exim reads, as it says itself; none where there is no Exim.
fn exim_file() -> Option<PathBuf> {
    let said = |program: &&str| Command::new(program).arg("-bV").output().ok().filter(|said| said.status.success());
    let said = ["/usr/sbin/exim4", "/usr/sbin/exim"].iter().find_map(said)?;
    let said = String::from_utf8_lossy(&said.stdout);
    said.lines().find_map(|line| line.strip_prefix("Configuration file is ")).map(|path| path.trim().into())
}

/// What Exim must say is in its own language: it is looked for the socket alone.
fn exim(config: &Config, file: &Path) -> Option<Finding> {
    let sockets: Vec<String> = config.policy.as_ref()?.listen.iter().map(exim::socket).collect();
    let finding = |level, key| Finding::new("beside", level, key, file.display().to_string());
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(why) => return Some(finding(Level::Note, "exim-unknown").with("why", why)),
    };
    let said: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let is_named = sockets.iter().any(|socket| said.iter().any(|line| line.contains(socket)));
    Some(match is_named {
        true => finding(Level::Fine, "exim-fine"),
        false => finding(Level::Warning, "exim-missing").with("socket", sockets.join(", ")),
    })
}

/// Peers that do not answer, or are not believed.
pub fn peers(node: &Node) -> Vec<Finding> {
    let peers = node.peers["peers"].as_array().into_iter().flatten();
    peers.filter(|peer| peer["state"] == "accepted").map(peer).collect()
}

fn peer(peer: &Value) -> Finding {
    let name = peer["name"].as_str().unwrap_or_default();
    let finding = |level, key| Finding::new("peers", level, key, name);
    if peer["contradicts_itself"] == true {
        return finding(Level::Fault, "peer-contradicts");
    }
    if !peer["quarantined_since"].is_null() {
        return finding(Level::Warning, "peer-quarantined");
    }
    if let Some(trouble) = peer["trouble"].as_str() {
        return finding(Level::Warning, "peer-trouble").with("why", trouble);
    }
    match peer["lag_s"].as_u64() {
        Some(lag) if lag <= LAG_MAX_S => finding(Level::Fine, "peer-fine"),
        Some(lag) => finding(Level::Warning, "peer-late").with("hours", lag / 3600),
        None => finding(Level::Note, "peer-new"),
    }
}

/// A node of this machine answers at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// A machine says every ten seconds that it lives.
const SILENT_S: u64 = 60;
/// Some servers let strangers wait for their greeting on purpose.
const CONNECT_MAX: Duration = Duration::from_secs(15);
const HOSTS_MAX: usize = 2;
const TRIES_MAX: usize = 2;
const GREETING_MAX: usize = 200;
/// Peers are asked every few minutes; a night of maintenance is no trouble.
const LAG_MAX_S: u64 = 86_400;
