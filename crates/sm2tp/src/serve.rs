//! `sm2tp serve`: read the configuration, bind, build, say what listens, run, drain.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use sm2tp_doors::acme::{self, Challenges, Renewal};
use sm2tp_doors::alerts::Watched;
use sm2tp_doors::directory::Directory;
use sm2tp_doors::smtp::{Handed, Onward};
use sm2tp_doors::stops::Stops;
use sm2tp_doors::tls::{Again, Certificates};
use sm2tp_doors::{House, api, control, follow, held, http, machines, returns, senders, smtp};
use sm2tp_proto::smtp::server::ScramOffer;
use sm2tp_relay::{Language, Relay, Returning, Settings, StartError, TlsReports, TlsUse, Tools};
use sm2tp_rules::Stream;
use sm2tp_rules::admit::Way;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::retry::Schedule;
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::outbox::Outbox;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::again::HangUps;
use crate::beside::{self, networks};
use crate::config::{self, Config};
use crate::directory::directory;
use crate::open::{self, Opened};
use crate::rules::Follower;
use crate::service::{self, Manager};
use crate::{Exit, Failure, alerts, companies, database, outward, pages, say};

/// Reads the configuration and refuses what this version would silently ignore.
pub fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(|error| Failure::new(Exit::Configuration, error.to_string().trim_end()))
}

/// `sm2tp check`: everything that can be known without starting.
pub fn check(path: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let config = load(path)?;
    if let Some(files) = config.smtp.as_ref().and_then(|smtp| smtp.tls.as_ref()) {
        certificates(files, path)?;
    }
    if let Some(relay) = &config.relay {
        outward::hops(relay, path)?;
    }
    alerts::targets(&config, path)?;
    if let Some(ldap) = &config.ldap {
        directory(ldap, path)?;
    }
    database::check(&config)?;
    open::usable(&config.data_dir)?;
    let keys = open::dkim(&config);
    let mut notes = Vec::new();
    if keys.exists() {
        DkimKeys::read(&keys).map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    } else if let Some(domain) = &config.dkim.default {
        notes.push(format!("[dkim] default = \"{domain}\" has no key yet: sm2tp dkim new {domain}"));
    }
    open::sites(&config, path)?;
    config.watch.companies.as_deref().map(companies::read).transpose()?;
    let misses = open::classifier(path)?.example_misses();
    if as_json {
        let found = json!({
            "ok": true,
            "hostname": config.hostname,
            "rules_shadowed": misses.len(),
            "notes": notes,
        });
        say(&found.to_string());
    } else {
        say(&format!("{}: fine, for {}", path.display(), config.hostname));
        notes.iter().for_each(|note| say(&format!("note: {note}")));
        for miss in misses {
            say(&format!(
                "note: {}: the example of rule {} is now understood by rule {}",
                miss.origin, miss.rule, miss.hit
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the node until it is told to stop. `offset_s`: seconds east of Greenwich, for logs whose times have no zone.
pub async fn serve(config: Config, config_file: &Path, offset_s: i64) -> Result<ExitCode, Failure> {
    log();
    let manager = Manager::of_environment();
    let opening = manager.opening();
    let mut hang_ups = HangUps::heard(config_file)?;
    // A limit on the size of files (RLIMIT_FSIZE) shall be an error of a write, not the end of the process.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ))
        .map_err(|error| Failure::new(Exit::Temporary, format!("signals: {error}")))?;
    database::awaited(&config).await?;
    // Bound before anything is opened: a port that is taken shall not leave a half-made data directory.
    let (mut listeners, mut listening) = (Listeners::default(), Vec::new());
    for (listen, word, entry) in smtp_doors(&config) {
        let bound = bind(Some(listen), word, &mut listening).await?;
        listeners.smtp.extend(bound.into_iter().map(|listener| (listener, entry)));
    }
    listeners.http = bind(config.http.as_ref().map(|http| &http.listen[..]), "http", &mut listening).await?;
    let beside = beside::Listeners::bind(&config, &mut listening).await?;
    let Opened { house, rulebook, lock: _lock } = open::open(&config, config_file).await?;
    listening.iter().for_each(|line| say(line));
    let (stopping, stopped) = watch::channel(false);
    let (onward, handed) = Onward::new(HANDED_OVER_MAX);
    // Before anything runs that a wrong certificate would cut off.
    let certificates = config.smtp.as_ref().map(|asked| certificates_of(&config, config_file, asked));
    let certificates = certificates.transpose()?.flatten();
    let relay = start_relay(&config, config_file, &house, rulebook.clone())?;
    let mut doors = JoinSet::new();
    doors.spawn(Follower::new(config_file, rulebook.clone()).run(hang_ups.reader(), until(&stopped)));
    doors.spawn(hand_over(relay.clone(), handed));
    if let Some(file) = &config.watch.companies {
        let follower = companies::Follower::start(file, &house.senders)?;
        doors.spawn(follower.run(hang_ups.reader(), until(&stopped)));
    }
    let directory = config.ldap.as_ref().map(|ldap| directory(ldap, config_file)).transpose()?;
    start_alerts(&config, &house, &onward, certificates.clone(), &stopped, &mut doors);
    let stops = Stops::start(house.ledger.clone());
    beside.start(&config, (&house, &onward), &rulebook, &stops, || until(&stopped), &mut doors);
    beside::follow_logs(&config, offset_s, &house, &rulebook, &stopped, &mut doors);
    let first_run = pages::first_run(&config, &house.persons)?;
    let (again, pages) = (hang_ups.reader(), pages::of(&config, first_run));
    let parts = Parts { listeners, stops, certificates, again, directory, pages };
    start_doors(&config, &house, &onward, parts, &stopped, &mut doors)?;
    start_returns(&config, &house, &onward, rulebook, &stopped, &mut doors);
    let outbox = Outbox {
        spool: house.spool.clone(),
        ledger: house.ledger.clone(),
        book: house.book.clone(),
        publisher: house.federation.publisher.clone(),
        senders: house.senders.clone(),
        send_log_s: config.send_log_keep.as_secs(),
    };
    let (outbox_stopping, outbox_stopped) = watch::channel(false);
    let carrying = tokio::spawn(outbox.run(outbox_stopped));
    drop(onward);
    doors.spawn(hang_ups.run(manager.clone(), until(&stopped)));
    watch_over(&manager, &house, &stopped, &mut doors);
    tracing::info!(hostname = %config.hostname, data = %config.data_dir.display(), "the node runs");
    // Heard from here on: who reads "ready" may end the node at once.
    let ending = ending()?;
    say("ready");
    drop(opening);
    manager.ready(&config.hostname);

    ending.await;
    manager.stopping();
    tracing::info!("stopping: no new mail, what is under way may end");
    // First the doors, then the relay that they fed, last the ledger that both told. Receivers may be gone already.
    let _ = stopping.send(true);
    while doors.join_next().await.is_some() {}
    if let Some(relay) = relay {
        relay.stop().await;
    }
    let _ = outbox_stopping.send(true);
    let _ = carrying.await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// What was bound, with how a conversation begins there.
#[derive(Default)]
struct Listeners {
    smtp: Vec<(TcpListener, smtp::Entry)>,
    http: Vec<TcpListener>,
}

/// What the doors are made of.
struct Parts {
    listeners: Listeners,
    stops: Stops,
    certificates: Option<Arc<Certificates>>,
    /// Asks that the files of the certificates be read again.
    again: Again,
    directory: Option<Directory>,
    pages: http::Pages,
}

fn start_doors(
    config: &Config,
    house: &House,
    onward: &Onward,
    Parts { listeners, stops, certificates, again, directory, pages }: Parts,
    stopped: &watch::Receiver<bool>,
    doors: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let challenges = Challenges::default();
    let mut mail = None;
    if let Some(asked) = &config.smtp {
        let settings = smtp_settings(config, asked, (certificates.as_ref(), directory))?;
        let door = smtp::Door::new(house.clone(), onward.clone(), settings, stops);
        mail = Some(door.clone());
        for (listener, entry) in listeners.smtp {
            let (door, stop) = (door.clone(), until(stopped));
            doors.spawn(async move { said(door.serve(listener, entry, stop).await, "SMTP") });
        }
        if let (Some(certificates), Some(acme)) = (&certificates, &config.acme) {
            let renewal = Renewal::new(acme_settings(config, acme), challenges.clone());
            doors.spawn(renewal.run(certificates.clone(), until(stopped)));
        }
        if let Some(certificates) = certificates {
            doors.spawn(certificates.follow(again, until(stopped)));
        }
    }
    for listener in listeners.http {
        let (house, authority, stop) = (house.clone(), authorities(house), until(stopped));
        let challenges = challenges.clone();
        let programs = http::Programs {
            metrics_from: networks(config.http.as_ref().map_or(&[], |http| &http.metrics_from)),
            mail: mail.clone(),
        };
        let shown = (pages.clone(), programs);
        let serving = http::serve(listener, (house, onward.clone()), authority, challenges, shown, stop);
        doors.spawn(async move { said(serving.await, "HTTP") });
    }
    // Bound before the node says that it is ready: a command that comes then must find it.
    let (socket, stop) = (config.data_dir.join("control.sock"), until(stopped));
    let listener = control::listen(&socket)
        .map_err(|error| Failure::new(Exit::Unavailable, format!("{}: {error}", socket.display())))?;
    let (at_control, to_senders, of_held, onward) = (house.clone(), onward.clone(), onward.clone(), onward.clone());
    doors.spawn(async move {
        tokio::select! {
            () = control::serve(listener, at_control, onward) => {}
            () = stop => {}
        }
    });
    doors.spawn(senders::run(house.clone(), to_senders, stopped.clone()));
    doors.spawn(held::run(house.clone(), of_held, stopped.clone()));
    doors.spawn(api::call_webhooks(house.clone(), house.private_webhooks.clone(), stopped.clone()));
    doors.spawn(machines::run(house.clone(), stopped.clone()));
    let (house, stop) = (house.clone(), stopped.clone());
    doors.spawn(follow::run(house, stop));
    Ok(())
}

/// What counts the mail that comes back, and what reads it from mailboxes.
fn start_returns(
    config: &Config,
    house: &House,
    onward: &Onward,
    rulebook: Rulebook,
    stopped: &watch::Receiver<bool>,
    doors: &mut JoinSet<()>,
) {
    let (Some(back), Some(asked)) = (&house.returns, &config.returns) else { return };
    let language = match config.language {
        config::Language::En => returns::Language::English,
        config::Language::Fr => returns::Language::French,
    };
    let (house, back, onward) = (house.clone(), back.clone(), onward.clone());
    let boxes = returns::Boxes { maildir: asked.maildir.clone(), mbox: asked.mbox.clone() };
    if boxes.maildir.is_some() || boxes.mbox.is_some() {
        doors.spawn(returns::follow(back.clone(), boxes, stopped.clone()));
    }
    doors.spawn(returns::keep(back.clone(), stopped.clone()));
    doors.spawn(returns::run(returns::Counting { house, back, rulebook, onward, language }, stopped.clone()));
}

/// Tells the manager that the node lives, where it wants to hear it.
fn watch_over(manager: &Manager, house: &House, stopped: &watch::Receiver<bool>, doors: &mut JoinSet<()>) {
    let Some(within) = service::watchdog() else { return };
    let (house, stop) = (house.clone(), until(stopped));
    let watched = manager.clone().watched(within, move || {
        let house = house.clone();
        async move { house.answers().await.all() }
    });
    doors.spawn(async move {
        tokio::select! {
            () = watched => {}
            () = stop => {}
        }
    });
}

/// What looks for trouble and tells people and programs.
fn start_alerts(
    config: &Config,
    house: &House,
    onward: &Onward,
    certificates: Option<Arc<Certificates>>,
    stopped: &watch::Receiver<bool>,
    doors: &mut JoinSet<()>,
) {
    let watched = Watched { data_dir: config.data_dir.clone(), certificates };
    doors.spawn(sm2tp_doors::alerts::run(house.clone(), onward.clone(), watched, stopped.clone()));
    doors.spawn(sm2tp_doors::alerts::post(house.clone(), stopped.clone()));
}

/// Takes accepted mail to the relay, and what people changed.
async fn hand_over(relay: Option<Relay>, mut handed: Handed) {
    let Some(relay) = relay else { return };
    loop {
        tokio::select! {
            mail = handed.mails.recv() => match mail {
                Some((queued, content)) => relay.queued(queued, content).await,
                None => return,
            },
            Some(mails) = handed.changed.recv() => relay.changed(mails).await,
            Some(to) = handed.looks.recv() => relay.sites(to).await,
            Some(()) = handed.exits.recv() => relay.exits_changed().await,
        }
    }
}

fn start_relay(
    config: &Config,
    config_file: &Path,
    house: &House,
    rulebook: Rulebook,
) -> Result<Option<Relay>, Failure> {
    let Some(asked) = &config.relay else { return Ok(None) };
    let (smarthost, routes) = outward::hops(asked, config_file)?;
    let settings = Settings {
        hostname: config.hostname.clone(),
        language: match config.language {
            config::Language::En => Language::English,
            config::Language::Fr => Language::French,
        },
        smarthost,
        routes,
        port: asked.port,
        resolvers: outward::resolvers(config),
        exits: asked.exits.iter().map(|exit| outward::exit(exit, &config.hostname)).collect(),
        own: outward::own(config),
        tls_roots: asked.tls_roots.clone(),
        policies: Some(config.data_dir.join("mta-sts")),
        tls_reports: match asked.tls_reports {
            config::Switch::On => TlsReports::On,
            config::Switch::Off => TlsReports::Off,
        },
        reach: outward::reach(config),
        tls_counts: Some(config.data_dir.join("tls-counts.json")),
        tls: match asked.tls {
            config::RelayTls::Off => TlsUse::Off,
            config::RelayTls::Opportunistic => TlsUse::Opportunistic,
            config::RelayTls::Required => TlsUse::Required,
        },
        connections_max: RELAY_CONNECTIONS_MAX,
        sites: open::sites(config, config_file)?,
        delay_notice_s: Some(asked.delay_notice.as_secs()).filter(|seconds| 0 < *seconds),
        schedule: Schedule {
            first_s: asked.retry_first.as_secs(),
            max_s: asked.retry_max.as_secs(),
            expire_personal_s: asked.expire_personal.as_secs(),
            expire_bulk_s: asked.expire_bulk.as_secs(),
        },
        connect_timeout: asked.connect_timeout,
        answer_timeout: asked.answer_timeout,
        memory_max: RELAY_MEMORY_MAX,
        signing: outward::signing(config, house),
    };
    let breakers = house.ledger.breakers().clone();
    let (spool, accounts, dkim) = (house.spool.clone(), house.accounts.clone(), house.dkim.clone());
    let returning = house.returns.as_ref().map(|back| Returning {
        domain: back.domain.clone(),
        returns: back.returns.clone(),
        book: house.book.clone(),
        unsubscribe_url: back.unsubscribe_url.clone(),
    });
    let paused = house.paused.clone();
    let relay = Relay::start(settings, Tools { spool, rulebook, breakers, accounts, dkim, paused, returning });
    relay.map(Some).map_err(|error| {
        let message = match &error {
            StartError::Roots { .. } => {
                let (message, help) = (format!("`tls_roots` in [relay]: {error}"), "certificates in PEM");
                config::blame(config_file, &["relay", "tls_roots"], &message, help).to_string()
            }
            _ => error.to_string(),
        };
        Failure::new(Exit::Configuration, message)
    })
}

/// The listeners of the SMTP door, with the word that says where each is.
fn smtp_doors(config: &Config) -> Vec<(&[SocketAddr], &'static str, smtp::Entry)> {
    let lmtp = config.returns.as_ref().map_or(&[][..], |returns| &returns.lmtp);
    config.smtp.as_ref().map_or_else(Vec::new, |smtp| {
        let mut doors = vec![
            (&smtp.listen[..], "smtp", smtp::Entry::Clear(smtp::Port::default())),
            (&smtp.listen_tls[..], "smtps", smtp::Entry::Tls),
            (lmtp, "lmtp", smtp::Entry::Lmtp),
            (&smtp.listen_slow[..], "smtp-slow", smtp::Entry::Clear(smtp::Port { way: Way::Slow, stream: None })),
        ];
        for (stream, listen) in &smtp.listen_for {
            let stream = outward::stream_of(*stream);
            let word = match stream {
                Stream::Personal => "smtp-personal",
                Stream::Transactional => "smtp-transactional",
                Stream::Bulk => "smtp-bulk",
                Stream::Forwarded => "smtp-forwarded",
            };
            let port = smtp::Port { stream: Some(stream), ..smtp::Port::default() };
            doors.push((&listen[..], word, smtp::Entry::Clear(port)));
        }
        doors
    })
}

/// From files, or from an authority.
fn certificates_of(
    config: &Config,
    config_file: &Path,
    smtp: &config::Smtp,
) -> Result<Option<Arc<Certificates>>, Failure> {
    match (&smtp.tls, &config.acme) {
        (Some(files), _) => certificates(files, config_file).map(Some),
        (None, Some(acme)) => {
            let failure = |error: &dyn std::fmt::Display| Failure::new(Exit::Temporary, error.to_string());
            let pair = acme::prepare(&acme_settings(config, acme)).map_err(|error| failure(&error))?;
            Certificates::read(&pair, &pair).map(Some).map_err(|error| failure(&error))
        }
        (None, None) => Ok(None),
    }
}

fn acme_settings(config: &Config, acme: &config::Acme) -> acme::Settings {
    acme::Settings {
        directory: acme.directory.clone(),
        contact: acme.contact.clone().unwrap_or_else(|| config.federation.contact.clone()),
        root: acme.root.clone(),
        hostname: config.hostname.clone(),
        dir: config.data_dir.join("acme"),
    }
}

fn certificates(files: &config::TlsFiles, config_file: &Path) -> Result<Arc<Certificates>, Failure> {
    Certificates::read(&files.certificate, &files.key).map_err(|error| {
        let key = if error.path() == Some(&files.key) { "tls_key" } else { "tls_certificate" };
        let help = "PEM files that the user of the node may read, the certificate with its chain and the key that goes with it";
        let blamed = config::blame(config_file, &["smtp", key], &format!("`{key}` in [smtp]: {error}"), help);
        Failure::new(Exit::Configuration, blamed.to_string())
    })
}

fn smtp_settings(
    config: &Config,
    asked: &config::Smtp,
    (certificates, directory): (Option<&Arc<Certificates>>, Option<Directory>),
) -> Result<smtp::Settings, Failure> {
    let tls = certificates.map(Certificates::acceptor).transpose();
    Ok(smtp::Settings {
        hostname: config.hostname.clone(),
        octets_max: asked.message_size_max,
        recipients_max: asked.recipients_max,
        mails_max: asked.mails_max,
        connections_max: asked.connections_max,
        connections_per_client_max: asked.connections_per_client_max,
        connection_rate_per_client_max: asked.connection_rate_per_client_max,
        command_timeout: asked.command_timeout,
        memory_max: asked.memory_max,
        trusted: networks(&asked.trusted_networks),
        fronts: smtp::Fronts {
            proxy_protocol: networks(&asked.proxy_protocol_from),
            xclient: networks(&asked.xclient_from),
            vouching: networks(&asked.xclient_login_from),
        },
        trusted_stream: outward::stream_of(asked.stream),
        bulk_from: asked.bulk_from,
        // A directory has no keys for it, and a client that may choose it does not try anything else.
        scram: match (asked.scram, &directory) {
            (config::Switch::On, None) => ScramOffer::Yes,
            _ => ScramOffer::No,
        },
        directory,
        tls: tls.map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?,
        hold_s: config.suppression.hold_max.as_secs(),
    })
}

/// Adds to `listening` a line for each address.
async fn bind(
    addresses: Option<&[SocketAddr]>,
    door: &str,
    listening: &mut Vec<String>,
) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for address in addresses.unwrap_or_default() {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(Exit::Unavailable, format!("[{door}] cannot listen on {address}: {error}"))
        })?;
        let bound = listener.local_addr().unwrap_or(*address);
        // Whoever starts a node with port 0 reads here which one it got.
        listening.push(format!("{door} {bound}"));
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Host and port of this node's own `/fed/v1`, as request signatures cover them.
fn authorities(house: &House) -> Vec<String> {
    let own = house.federation.own();
    let api = &own.descriptor().api;
    let rest = api.split_once("://").map_or(api.as_str(), |(_, rest)| rest);
    vec![rest.split('/').next().unwrap_or_default().to_owned()]
}

/// Done when the node stops.
fn until(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopped = stopped.clone();
    async move { drop(stopped.wait_for(|stopped| *stopped).await) }
}

fn said(result: std::io::Result<()>, door: &str) {
    if let Err(error) = result {
        tracing::error!(%error, door, "a door failed");
    }
}

/// Done when somebody wants the node to end. Signals are heard from the call on, not only once it is awaited.
fn ending() -> Result<impl Future<Output = ()>, Failure> {
    let trouble = |error: std::io::Error| Failure::new(Exit::Temporary, format!("signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(trouble)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(trouble)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Logs to standard error, which the journal keeps; `SM2TP_LOG=debug` shows more.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SM2TP_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

/// Linux on all machines that Debian builds for, MIPS apart.
const SIGXFSZ: i32 = 25;
/// Mails between the SMTP door and the relay; each is at most one message, and the door waits when it is full.
const HANDED_OVER_MAX: usize = 64;
/// Open connections to all sites together: each is a socket and a task.
const RELAY_CONNECTIONS_MAX: usize = 200;
/// Contents that wait in memory for their first attempt; more are read from the spool.
const RELAY_MEMORY_MAX: usize = 256 * 1024 * 1024;
