//! The doors that another mail server asks at: bound, built and started.

use std::future::Future;

use sm2tp_doors::beside::{Held, Listener, Members, Place, Reporter, local, milter, policy, socketmap};
use sm2tp_doors::exports::{self, Exports, Route, Speaks};
use sm2tp_doors::smtp::Onward;
use sm2tp_doors::stops::Stops;
use sm2tp_doors::{House, logs, smtp};
use sm2tp_rules::Stream;
use sm2tp_rules::admit::Way;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::detour::Detour;
use sm2tp_store::ledger::SendLog;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{self, Config};
use crate::{Exit, Failure, outward};

/// What was bound.
#[derive(Default)]
pub struct Listeners {
    milter: Vec<Listener>,
    policy: Vec<Listener>,
    socketmap: Vec<Listener>,
    local: Vec<Listener>,
}

impl Listeners {
    /// Binds what the configuration names; adds to `listening` a line for each place.
    pub async fn bind(config: &Config, listening: &mut Vec<String>) -> Result<Self, Failure> {
        let policy = config.policy.as_ref().map_or(&[][..], |policy| &policy.listen);
        let milter = config.milter.as_ref().map_or(&[][..], |milter| &milter.listen);
        let socketmap = config.socketmap.as_ref().map_or(&[][..], |socketmap| &socketmap.listen);
        let local = config.local.as_ref().map_or(&[][..], |local| &local.listen);
        Ok(Self {
            milter: bind(milter, "milter", listening).await?,
            local: bind(local, "local", listening).await?,
            policy: bind(policy, "policy", listening).await?,
            socketmap: bind(socketmap, "socketmap", listening).await?,
        })
    }

    /// Starts the doors; `until` gives each the end of the node.
    pub fn start<U>(
        self,
        config: &Config,
        (house, onward): (&House, &Onward),
        rulebook: &Rulebook,
        stops: &Stops,
        until: impl Fn() -> U,
        doors: &mut JoinSet<()>,
    ) where
        U: Future<Output = ()> + Send + 'static,
    {
        if let Some(asked) = &config.policy {
            let door = policy::Door::new(house.clone(), policy_settings(asked), stops.clone());
            for listener in self.policy {
                doors.spawn(door.clone().serve(listener, until()));
            }
        }
        if let Some(asked) = &config.milter {
            let door = milter::Door::new(
                house.clone(),
                milter_settings(asked, reporter(config, house, onward)),
                stops.clone(),
            );
            for listener in self.milter {
                doors.spawn(door.clone().serve(listener, until()));
            }
        }
        if let Some(asked) = &config.local {
            let settings = local::Settings { stream: outward::stream_of(asked.stream), send_log: send_log(config) };
            let (api, keeping) = local::Local::new(house.clone(), rulebook.clone(), &settings, stops.clone());
            doors.spawn(keeping);
            for listener in self.local {
                doors.spawn(api.clone().serve(listener, until()));
            }
        }
        if let Some(exports) = &house.exports {
            doors.spawn(exports::run(exports.clone(), house.clone(), until()));
        }
        if let Some(asked) = &config.socketmap {
            let (tables, stream) = (asked.tables.iter().copied().map(table).collect(), stream_beside(config));
            let tables = socketmap::Tables::new(tables, rulebook.clone(), house.clone(), stream, &routes(config));
            for listener in self.socketmap {
                doors.spawn(tables.clone().serve(listener, until()));
            }
        }
    }
}

/// Lists as files, where the configuration names some.
pub fn exports(config: &Config) -> Option<Exports> {
    let asked = config.exports.as_ref()?;
    Some(Exports::new(exports::Settings {
        dir: asked.dir.clone(),
        files: asked.files.clone(),
        stream: stream_beside(config),
        routes: routes(config),
        every: asked.every,
        postmap: asked.postmap.clone(),
    }))
}

fn routes(config: &Config) -> Vec<Route> {
    config.relay.iter().flat_map(|relay| &relay.routes).map(route).collect()
}

fn route((domain, to): (&String, &config::NextHop)) -> Route {
    let speaks = match to.speaks {
        _ if to.login.is_some() => Speaks::Other,
        config::Speaks::Smtp => Speaks::Smtp,
        config::Speaks::Lmtp => Speaks::Lmtp,
        config::Speaks::Smtps => Speaks::Other,
    };
    let host = match &to.server.host {
        config::Host::Name(name) => name.clone(),
        config::Host::Ip(address) => address.to_string(),
    };
    Route { domain: domain.clone(), host, port: to.server.port, speaks }
}

/// Kind of the mail whose sender nobody knows here: that of the policy service.
fn stream_beside(config: &Config) -> Stream {
    config.policy.as_ref().map_or(Stream::Personal, |policy| outward::stream_of(policy.stream))
}

fn table(table: config::Table) -> socketmap::Table {
    match table {
        config::Table::Dsn => socketmap::Table::Dsn,
        config::Table::Access => socketmap::Table::Access,
        config::Table::Routes => socketmap::Table::Routes,
    }
}

fn policy_settings(asked: &config::Policy) -> policy::Settings {
    let detour = |filter: &config::Filter| Detour {
        to: filter.to.clone(),
        way: filter.senders.map(|senders| match senders {
            config::Senders::Normal => Way::Normal,
            config::Senders::Slow => Way::Slow,
        }),
        orgs: filter.orgs.clone(),
        streams: filter.streams.iter().map(|stream| outward::stream_of(*stream)).collect(),
    };
    policy::Settings {
        members: members(&asked.trusted_networks, asked.stream),
        held: held(asked.held),
        trace: match asked.trace {
            config::Switch::Off => policy::Trace::Off,
            config::Switch::On => policy::Trace::On,
        },
        detours: asked.filter.iter().map(detour).collect(),
    }
}

/// Who reports about recipients that are left out of a mail; nobody where this node sends nothing.
fn reporter(config: &Config, house: &House, onward: &Onward) -> Option<Reporter> {
    config.relay.as_ref().map(|_| Reporter { spool: house.spool.clone(), onward: onward.clone() })
}

fn milter_settings(asked: &config::Milter, reporter: Option<Reporter>) -> milter::Settings {
    milter::Settings {
        members: members(&asked.trusted_networks, asked.stream),
        decide: match asked.decide {
            config::Switch::On => milter::Decide::Yes,
            config::Switch::Off => milter::Decide::No,
        },
        held: held(asked.held),
        reporter,
    }
}

fn members(trusted: &[config::Network], stream: config::Stream) -> Members {
    Members { trusted: networks(trusted), stream: outward::stream_of(stream) }
}

fn held(held: config::Held) -> Held {
    match held {
        config::Held::Later => Held::Later,
        config::Held::Hold => Held::Hold,
    }
}

/// Starts to follow the logs that the configuration names.
pub fn follow_logs(
    config: &Config,
    offset_s: i64,
    house: &House,
    rulebook: &Rulebook,
    stopped: &watch::Receiver<bool>,
    doors: &mut JoinSet<()>,
) {
    let decides = |milter: &config::Milter| milter.decide == config::Switch::On;
    let is_asked = config.policy.is_some() || config.milter.as_ref().is_some_and(decides);
    let settings = logs::Settings {
        send_log: send_log(config),
        stream: stream_beside(config),
        members: logs::Members {
            trusted: networks(config.policy.as_ref().map_or(&[], |policy| &policy.trusted_networks)),
            asked: if is_asked { logs::Asked::AtSmtp } else { logs::Asked::Never },
        },
        offset_s,
    };
    for file in config.logs.iter().flat_map(|logs| &logs.follow) {
        let writer = file.format;
        let place = match &file.place {
            config::LogPlace::File(path) => logs::Place::File(path.clone()),
            config::LogPlace::Journal(folder) => logs::Place::Journal(folder.clone()),
        };
        let log = logs::Log { writer, place, smarthost: file.smarthost.clone() };
        doors.spawn(logs::follow(log, house.clone(), rulebook.clone(), settings.clone(), stopped.clone()));
    }
}

fn send_log(config: &Config) -> SendLog {
    if config.send_log_keep.is_zero() { SendLog::Off } else { SendLog::Keep }
}

/// The place that a mail server is told of: a Unix socket before TCP, because no other user of the machine reaches it.
pub fn preferred(places: &[config::Place]) -> Option<&config::Place> {
    places.iter().find(|place| matches!(place, config::Place::Unix(_))).or(places.first())
}

/// Membership in any of them, as doors ask for it.
pub fn networks(networks: &[config::Network]) -> smtp::Networks {
    let networks = networks.to_vec();
    std::sync::Arc::new(move |client| networks.iter().any(|network| network.contains(client)))
}

async fn bind(places: &[config::Place], door: &str, listening: &mut Vec<String>) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for place in places {
        let place = match place {
            config::Place::Tcp(address) => Place::Tcp(*address),
            config::Place::Unix(path) => Place::Unix(path.clone()),
        };
        let cannot = |error| Failure::new(Exit::Unavailable, format!("[{door}] cannot listen on {place}: {error}"));
        let listener = Listener::bind(&place).await.map_err(cannot)?;
        let bound = listener.place().map_err(cannot)?;
        listening.push(format!("{door} {bound}"));
        listeners.push(listener);
    }
    Ok(listeners)
}
