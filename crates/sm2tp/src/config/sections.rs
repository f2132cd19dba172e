//! Reads each section into its type: defaults, ranges, and what must hold between two keys.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use sm2tp_rules::evidence::SOFT_DAYS_MAX;
use sm2tp_rules::rate::{Per, Rate};
use sm2tp_rules::suppress::{Doubtful, Stopped};
use sm2tp_rules::{Stream as Kind, Streams};
use toml::Spanned;

use super::error::ConfigError;
use super::keys::{HOP, PORT};
use super::outward::{self, IpUse};
use super::reader::Section;
use super::values::{
    DAY, DURATION_MAX, GIB, HOUR, KIB, MIB, MINUTE, Wrong, duration, path, rate, show_duration, show_size, size, title,
    word,
};
use super::{
    Acme, AnySender, Config, Dkim, DkimSign, Dns, Federation, Http, Language, Local, LogFile, LogFormat, LogPlace,
    Logs, Network, Place, Relay, RelayTls, Returns, Seal, Smtp, Stream, Suppression, Switch, TlsFiles, alerts, belief,
    beside, directory, exports, net, store, watch,
};

pub(super) const LANGUAGES: &[(&str, Language)] = &[("en", Language::En), ("fr", Language::Fr)];

pub(super) const STREAMS: &[(&str, Stream)] = &[
    ("personal", Stream::Personal),
    ("transactional", Stream::Transactional),
    ("bulk", Stream::Bulk),
    ("forwarded", Stream::Forwarded),
];

const RELAY_TLS: &[(&str, RelayTls)] =
    &[("opportunistic", RelayTls::Opportunistic), ("off", RelayTls::Off), ("required", RelayTls::Required)];

pub(super) const SWITCH: &[(&str, Switch)] = &[("on", Switch::On), ("off", Switch::Off)];

const DKIM_SIGN: &[(&str, DkimSign)] =
    &[("both", DkimSign::Both), ("rsa", DkimSign::Rsa), ("ed25519", DkimSign::Ed25519), ("none", DkimSign::None)];

const ANY_SENDER: &[(&str, AnySender)] = &[("unlisted", AnySender::Unlisted), ("all", AnySender::All)];

const KINDS: &[(&str, Kind)] = &[
    ("personal", Kind::Personal),
    ("transactional", Kind::Transactional),
    ("bulk", Kind::Bulk),
    ("forwarded", Kind::Forwarded),
];

const DOUBTFUL: &[(&str, Doubtful)] =
    &[("hold", Doubtful::Hold), ("refuse", Doubtful::Refuse), ("send", Doubtful::Send)];

const STOPPED: &[(&str, Stopped)] = &[("refuse", Stopped::Refuse), ("report", Stopped::Report)];

/// As many as there are days to remember them.
const SOFT_LIMIT_MAX: u32 = SOFT_DAYS_MAX as u32;

const LOG_FORMATS: &[(&str, LogFormat)] = &[("postfix", LogFormat::Postfix), ("exim", LogFormat::Exim)];

/// A person who writes to an association of 150 in one mail stays below; a newsletter does not.
const BULK_FROM: Rate = Rate::new(200, Per::Hour);

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

const SECOND: Duration = Duration::from_secs(1);

/// A house full of people behind one address stays far below ten a second; at that rate, handshakes that are thrown away
/// cost a hundredth of a processor.
const CONNECTION_RATE: Rate = Rate::new(600, Per::Minute);

/// More sockets than a process is usually allowed to have open; a larger number is a slip of the finger.
const CONNECTIONS_MAX: u32 = 100_000;

/// Reads the whole file, whose names have been checked.
pub(super) fn config(top: &Section<'_>) -> Result<Config, ConfigError> {
    let hostname = top.text("hostname", net::hostname)?.ok_or_else(|| top.missing("hostname"))?;
    let mut doors = Doors::default();
    let acme = top.open("acme").map(|section| acme(&section)).transpose()?;
    let smtp = top.open("smtp").map(|section| smtp(&section, &mut doors, acme.as_ref())).transpose()?;
    let returns = top.open("returns").map(|section| returns(&section, &mut doors, smtp.as_ref())).transpose()?;
    let policy =
        top.open("policy").map(|section| beside::policy(&section, &mut doors, returns.as_ref())).transpose()?;
    Ok(Config {
        data_dir: top.text("data_dir", path)?.unwrap_or_else(|| "/var/lib/sm2tp".into()),
        language: top.text("language", word(LANGUAGES))?.unwrap_or(Language::En),
        send_log_keep: any(top, "send_log_keep", 30 * DAY)?,
        store: top.open("store").map(|section| store::store(&section)).transpose()?,
        smtp,
        acme,
        ldap: top.open("ldap").map(|section| directory::ldap(&section)).transpose()?,
        http: top.open("http").map(|section| http(&section, &mut doors)).transpose()?,
        relay: top.open("relay").map(|section| relay(&section)).transpose()?,
        dkim: dkim(&top.open_or_empty("dkim"))?,
        alerts: alerts::alerts(&top.open_or_empty("alerts"))?,
        dns: dns(&top.open_or_empty("dns"))?,
        federation: federation(&top.open_or_empty("federation"), &hostname)?,
        belief: belief::belief(&top.open_or_empty("belief"))?,
        suppression: suppression(&top.open_or_empty("suppression"))?,
        watch: watch::watch(&top.open_or_empty("watch"))?,
        socketmap: top.open("socketmap").map(|section| beside::socketmap(&section, &mut doors)).transpose()?,
        milter: top.open("milter").map(|section| beside::milter(&section, &mut doors, policy.as_ref())).transpose()?,
        policy,
        local: top.open("local").map(|section| local(&section)).transpose()?,
        logs: top.open("logs").map(|section| logs(&section)).transpose()?,
        exports: top.open("exports").map(|section| exports::exports(&section)).transpose()?,
        returns,
        hostname,
    })
}

/// The listen addresses that earlier sections took.
#[derive(Default)]
pub(super) struct Doors {
    taken: Vec<(SocketAddr, &'static str)>,
}

impl Doors {
    /// The addresses of `listen`, by default one on loopback with `default_port`; each only once in the whole file.
    fn listen(&mut self, section: &Section<'_>, default_port: u16) -> Result<Vec<SocketAddr>, ConfigError> {
        let default = || vec![Spanned::new(section.place("listen"), SocketAddr::from(([127, 0, 0, 1], default_port)))];
        let addresses = section.list("listen", net::listen)?.unwrap_or_else(default);
        if addresses.is_empty() {
            let wrong = Wrong::new("the list is empty", "at least one address; remove the section to close this door");
            return Err(section.wrong(section.place("listen"), "listen", &wrong));
        }
        for address in &addresses {
            self.take(section, "listen", *address.get_ref(), address.span())?;
        }
        Ok(addresses.into_iter().map(Spanned::into_inner).collect())
    }

    /// As [`Self::listen`], for doors that other programs of this machine use: sockets with a path may be among them.
    pub(super) fn places(&mut self, section: &Section<'_>, default_port: u16) -> Result<Vec<Place>, ConfigError> {
        let loopback = Place::Tcp(SocketAddr::from(([127, 0, 0, 1], default_port)));
        let default = || vec![Spanned::new(section.place("listen"), loopback)];
        let places = section.list("listen", net::place)?.unwrap_or_else(default);
        if places.is_empty() {
            let wrong = Wrong::new("the list is empty", "at least one address; remove the section to close this door");
            return Err(section.wrong(section.place("listen"), "listen", &wrong));
        }
        for place in &places {
            if let Place::Tcp(address) = place.get_ref() {
                self.take(section, "listen", *address, place.span())?;
            }
        }
        Ok(places.into_iter().map(Spanned::into_inner).collect())
    }

    /// The addresses of `key`, by default none.
    fn listen_too(&mut self, section: &Section<'_>, key: &'static str) -> Result<Vec<SocketAddr>, ConfigError> {
        let addresses = section.list(key, net::listen)?.unwrap_or_default();
        for address in &addresses {
            self.take(section, key, *address.get_ref(), address.span())?;
        }
        Ok(addresses.into_iter().map(Spanned::into_inner).collect())
    }

    fn take(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        new: SocketAddr,
        place: Range<usize>,
    ) -> Result<(), ConfigError> {
        if let Some((old, owner)) = self.taken.iter().find(|(old, _)| collide(*old, new)) {
            let wrong = Wrong::new(format!("{new} is taken by {old} in [{owner}]"), "each address and port once");
            return Err(section.wrong(place, key, &wrong));
        }
        self.taken.push((new, section.name()));
        Ok(())
    }
}

/// Whether the system would refuse to open both. Port 0 is a free port each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any && a.is_ipv4() == b.is_ipv4())
}

fn acme(section: &Section<'_>) -> Result<Acme, ConfigError> {
    Ok(Acme {
        directory: section.text("directory", net::https_url)?.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        contact: section.text("contact", net::mail_address)?,
        root: section.text("root", path)?,
    })
}

/// Ports for one kind of mail each.
fn ports(section: &Section<'_>, doors: &mut Doors) -> Result<Vec<(Stream, Vec<SocketAddr>)>, ConfigError> {
    let mut ports = Vec::new();
    for port in section.tables("listen_for", PORT.name)?.unwrap_or_default() {
        let stream = port.text("stream", word(STREAMS))?.ok_or_else(|| port.missing("stream"))?;
        if !port.has("listen") {
            return Err(port.missing("listen"));
        }
        ports.push((stream, doors.listen_too(&port, "listen")?));
    }
    Ok(ports)
}

fn smtp(section: &Section<'_>, doors: &mut Doors, acme: Option<&Acme>) -> Result<Smtp, ConfigError> {
    let smtp = Smtp {
        listen: doors.listen(section, 2525)?,
        listen_tls: doors.listen_too(section, "listen_tls")?,
        trusted_networks: networks(section, "trusted_networks")?,
        stream: section.text("stream", word(STREAMS))?.unwrap_or(Stream::Personal),
        listen_slow: doors.listen_too(section, "listen_slow")?,
        listen_for: ports(section, doors)?,
        bulk_from: section.text("bulk_from", rate)?.unwrap_or(BULK_FROM),
        proxy_protocol_from: networks(section, "proxy_protocol_from")?,
        xclient_from: networks(section, "xclient_from")?,
        xclient_login_from: networks(section, "xclient_login_from")?,
        tls: tls_files(section)?,
        scram: section.text("scram", word(SWITCH))?.unwrap_or(Switch::On),
        message_size_max: section.text("message_size_max", size(KIB..=GIB))?.unwrap_or(25 * MIB),
        recipients_max: count(section, "recipients_max", 50_000, 1000)?,
        mails_max: section.whole("mails_per_connection_max", 0..=999_999)?.filter(|max| 0 < *max),
        connections_max: count(section, "connections_max", CONNECTIONS_MAX, 500)?,
        connections_per_client_max: count(section, "connections_per_client_max", CONNECTIONS_MAX, 50)?,
        connection_rate_per_client_max: section
            .text("connection_rate_per_client_max", rate)?
            .unwrap_or(CONNECTION_RATE),
        command_timeout: within(section, "command_timeout", SECOND, DAY, 5 * MINUTE)?,
        memory_max: section.text("memory_max", size(KIB..=1024 * GIB))?.unwrap_or(256 * MIB),
    };
    if smtp.tls.is_none() && acme.is_none() && !smtp.listen_tls.is_empty() {
        let wrong = Wrong::new("no certificate for it", "together with tls_certificate and tls_key, or with [acme]");
        return Err(section.wrong(section.place("listen_tls"), "listen_tls", &wrong));
    }
    let is_front = |network: &Network| smtp.xclient_from.iter().any(|front| front.covers(network));
    if let Some(network) = smtp.xclient_login_from.iter().find(|network| !is_front(network)) {
        let wrong =
            Wrong::new(format!("\"{network}\" is not in xclient_from"), "networks of xclient_from, or parts of them");
        return Err(section.wrong(section.place("xclient_login_from"), "xclient_login_from", &wrong));
    }
    if smtp.memory_max < smtp.message_size_max {
        let set = if section.has("message_size_max") { "message_size_max" } else { "memory_max" };
        let (message, memory) = (show_size(smtp.message_size_max), show_size(smtp.memory_max));
        let what = format!("message_size_max ({message}) is more than memory_max ({memory})");
        return Err(section.wrong(section.place(set), set, &Wrong::new(what, "memory for at least one whole message")));
    }
    Ok(smtp)
}

/// Networks that are given something which strangers must not have.
fn networks(section: &Section<'_>, key: &'static str) -> Result<Vec<Network>, ConfigError> {
    let networks = section.list(key, net::trusted_network)?.unwrap_or_default();
    Ok(networks.into_iter().map(Spanned::into_inner).collect())
}

fn tls_files(section: &Section<'_>) -> Result<Option<TlsFiles>, ConfigError> {
    let lonely = |present, absent| {
        let wrong = Wrong::new(format!("missing beside `{present}`"), "both or none of them");
        section.wrong(section.place(present), absent, &wrong)
    };
    match (section.text("tls_certificate", path)?, section.text("tls_key", path)?) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(lonely("tls_certificate", "tls_key")),
        (None, Some(_)) => Err(lonely("tls_key", "tls_certificate")),
    }
}

fn http(section: &Section<'_>, doors: &mut Doors) -> Result<Http, ConfigError> {
    Ok(Http {
        listen: doors.listen(section, 8025)?,
        public_url: section.text("public_url", net::pages_url)?,
        public_score: section.text("public_score", word(SWITCH))?.unwrap_or(Switch::Off),
        metrics_from: match section.has("metrics_from") {
            true => networks(section, "metrics_from")?,
            false => Network::loopback(),
        },
        private_webhooks: networks(section, "private_webhooks")?,
    })
}

/// Whoever reaches it is believed, so it is no port.
fn local(section: &Section<'_>) -> Result<Local, ConfigError> {
    let places = section.list("listen", net::place)?.filter(|places| !places.is_empty());
    let places = places.ok_or_else(|| section.missing("listen"))?;
    if let Some(port) = places.iter().find(|place| matches!(place.get_ref(), Place::Tcp(_))) {
        let wrong = Wrong::new("who calls here is believed, and a port can be reached by every user", "Unix sockets");
        return Err(section.wrong(port.span(), "listen", &wrong));
    }
    Ok(Local {
        listen: places.into_iter().map(Spanned::into_inner).collect(),
        stream: section.text("stream", word(STREAMS))?.unwrap_or(Stream::Personal),
    })
}

fn relay(section: &Section<'_>) -> Result<Relay, ConfigError> {
    let port = section.whole("port", 1..=u32::from(u16::MAX))?.and_then(|port| u16::try_from(port).ok());
    let relay = Relay {
        smarthost: section.text_or_table("smarthost", HOP.name, outward::hop, outward::hop_with_login)?,
        port: port.unwrap_or(25),
        routes: outward::routes(section)?,
        exits: outward::exits(section)?,
        ip: section.text("ip", word(outward::IP_USES))?.unwrap_or(IpUse::V4First),
        connections_per_site_max: section.whole("connections_per_site_max", 1..=100)?.map(|count| count as usize),
        tls: section.text("tls", word(RELAY_TLS))?.unwrap_or(RelayTls::Opportunistic),
        tls_roots: section.text("tls_roots", path)?,
        tls_reports: section.text("tls_reports", word(SWITCH))?.unwrap_or(Switch::Off),
        private_web_servers: networks(section, "private_web_servers")?,
        // A wait of nothing would knock at a server that is down as fast as the processor can.
        retry_first: within(section, "retry_first", SECOND, 3650 * DAY, 5 * MINUTE)?,
        retry_max: within(section, "retry_max", SECOND, 3650 * DAY, 4 * HOUR)?,
        expire_personal: any(section, "expire_personal", 4 * DAY)?,
        expire_bulk: any(section, "expire_bulk", DAY)?,
        delay_notice: any(section, "delay_notice", 4 * HOUR)?,
        connect_timeout: within(section, "connect_timeout", SECOND, HOUR, 30)?,
        answer_timeout: within(section, "answer_timeout", SECOND, HOUR, 5 * MINUTE)?,
    };
    if relay.retry_max < relay.retry_first {
        let set = if section.has("retry_first") { "retry_first" } else { "retry_max" };
        let (first, longest) = (show_duration(relay.retry_first), show_duration(relay.retry_max));
        let what = format!("the first wait ({first}) is longer than the longest one ({longest})");
        let wrong = Wrong::new(what, "retry_first at most as long as retry_max");
        return Err(section.wrong(section.place(set), set, &wrong));
    }
    Ok(relay)
}

fn dkim(section: &Section<'_>) -> Result<Dkim, ConfigError> {
    Ok(Dkim {
        sign: section.text("sign", word(DKIM_SIGN))?.unwrap_or(DkimSign::Both),
        default: section.text("default", net::domain)?,
        any_sender: section.text("any_sender", word(ANY_SENDER))?.unwrap_or(AnySender::Unlisted),
        seal: section.text("seal", seal)?.unwrap_or(Seal::ByUs),
    })
}

fn seal(text: &str) -> Result<Seal, Wrong> {
    if text == "off" { Ok(Seal::Off) } else { net::domain(text).map(Seal::By) }
}

fn returns(section: &Section<'_>, doors: &mut Doors, smtp: Option<&Smtp>) -> Result<Returns, ConfigError> {
    let lmtp = doors.listen_too(section, "lmtp")?;
    if smtp.is_none() && !lmtp.is_empty() {
        let wrong = Wrong::new("there is no SMTP door whose limits it has", "together with a section [smtp]");
        return Err(section.wrong(section.place("lmtp"), "lmtp", &wrong));
    }
    Ok(Returns {
        domain: section.text("domain", net::domain)?.ok_or_else(|| section.missing("domain"))?,
        unsubscribe_url: section.text("unsubscribe_url", net::unsubscribe_url)?,
        lmtp,
        maildir: section.text("maildir", path)?,
        mbox: section.text("mbox", path)?,
    })
}

fn dns(section: &Section<'_>) -> Result<Dns, ConfigError> {
    let servers = section.list("servers", net::name_server)?.unwrap_or_default();
    let servers: Vec<SocketAddr> = servers.into_iter().map(Spanned::into_inner).collect();
    let validating = section.text("validating", word(SWITCH))?.unwrap_or(Switch::Off);
    // RFC 7672 §2.1.1: between here and a resolver elsewhere anybody may set the bit that says "validated".
    if validating == Switch::On && (servers.is_empty() || servers.iter().any(|server| !server.ip().is_loopback())) {
        let wrong = Wrong::new(
            "only a resolver on this machine can be trusted to validate",
            "\"on\" with servers = [\"127.0.0.1\"] or another address of this machine alone, where a validating resolver \
             such as unbound listens",
        );
        return Err(section.wrong(section.place("validating"), "validating", &wrong));
    }
    Ok(Dns { servers, validating })
}

fn federation(section: &Section<'_>, hostname: &str) -> Result<Federation, ConfigError> {
    Ok(Federation {
        name: section.text("name", title)?.unwrap_or_else(|| hostname.to_owned()),
        contact: section.text("contact", net::mail_address)?.unwrap_or_else(|| format!("postmaster@{hostname}")),
        url: section.text("url", net::federation_url)?,
        seal_after: section.text("seal_after", duration(Duration::ZERO..=DURATION_MAX))?,
        hold_down: any(section, "hold_down", DAY)?,
        private_peers: networks(section, "private_peers")?,
        poll: within(section, "poll", SECOND, DAY, 5 * MINUTE)?,
        head_wait: any(section, "head_wait", 10 * MINUTE)?,
        canary_share: section.share("canary_share")?.unwrap_or(0.02),
    })
}

fn suppression(section: &Section<'_>) -> Result<Suppression, ConfigError> {
    let sources = |key| Ok::<_, ConfigError>(section.whole(key, 1..=1000)?.unwrap_or(2));
    // No failure is remembered for longer (`rules::evidence`).
    let window = within(section, "soft_window", SECOND, SOFT_DAYS_MAX * DAY, 30 * DAY)?;
    let suppression = Suppression {
        hold_max: any(section, "hold_max", DAY)?,
        strict_streams: streams(section, "strict_streams")?,
        personal_retry_after: any(section, "personal_retry_after", DAY)?,
        hard_expiry: any(section, "hard_expiry", 400 * DAY)?,
        inactive_recheck: any(section, "inactive_recheck", 90 * DAY)?,
        ambiguous_spread: any(section, "ambiguous_spread", DAY)?,
        soft_limit: section.whole("soft_limit", 1..=SOFT_LIMIT_MAX)?.unwrap_or(5),
        soft_window: window,
        soft_spread: any(section, "soft_spread", 10 * DAY)?,
        soft_half_life: any(section, "soft_half_life", 14 * DAY)?,
        complaint_streams: streams(section, "complaint_streams")?,
        federated_streams: streams(section, "federated_streams")?,
        held_score: section.score("held_score")?.unwrap_or(0.75),
        suppressed_score: section.score("suppressed_score")?.unwrap_or(1.5),
        suppressed_sources: sources("suppressed_sources")?,
        doubtful: section.text("doubtful", word(DOUBTFUL))?.unwrap_or(Doubtful::Hold),
        delivery_fresh: any(section, "delivery_fresh", 30 * DAY)?,
        newer_sources: sources("newer_sources")?,
        stopped: section.text("stopped", word(STOPPED))?.unwrap_or(Stopped::Refuse),
        confirm_url: section.text("confirm_url", net::confirm_url)?,
    };
    if suppression.soft_window < suppression.soft_spread {
        let set = if section.has("soft_spread") { "soft_spread" } else { "soft_window" };
        let (spread, window) = (show_duration(suppression.soft_spread), show_duration(suppression.soft_window));
        let what = format!("failures within {window} are never spread over {spread}");
        let wrong = Wrong::new(what, "soft_spread at most as long as soft_window");
        return Err(section.wrong(section.place(set), set, &wrong));
    }
    if suppression.suppressed_score < suppression.held_score {
        let set = if section.has("held_score") { "held_score" } else { "suppressed_score" };
        let what = format!(
            "mail is doubtful from {} on, and stopped from {} on already",
            suppression.held_score, suppression.suppressed_score
        );
        let wrong = Wrong::new(what, "held_score at most as large as suppressed_score");
        return Err(section.wrong(section.place(set), set, &wrong));
    }
    Ok(suppression)
}

/// Kinds of mail; bulk mail where nothing is said.
fn streams(section: &Section<'_>, key: &'static str) -> Result<Streams, ConfigError> {
    let Some(named) = section.list(key, word(KINDS))? else { return Ok(Streams::one(Kind::Bulk)) };
    Ok(named.into_iter().fold(Streams::NONE, |all, kind| all.with(Streams::one(kind.into_inner()))))
}

fn logs(section: &Section<'_>) -> Result<Logs, ConfigError> {
    let files = section.tables("follow", "logs.follow")?.unwrap_or_default();
    if files.is_empty() {
        return Err(section.missing("follow"));
    }
    Ok(Logs { follow: files.iter().map(log_file).collect::<Result<_, _>>()? })
}

fn log_file(file: &Section<'_>) -> Result<LogFile, ConfigError> {
    let format = file.text("format", word(LOG_FORMATS))?.ok_or_else(|| file.missing("format"))?;
    let journal = file.text("journal", |text| if text == "system" { Ok(None) } else { path(text).map(Some) })?;
    let place = match (file.text("path", path)?, journal) {
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("a log is a file or in the journal", "path or journal, not both");
            return Err(file.wrong(file.place("journal"), "journal", &wrong));
        }
        (Some(path), None) => LogPlace::File(path),
        (None, Some(folder)) => LogPlace::Journal(folder),
        (None, None) => return Err(file.missing("path")),
    };
    Ok(LogFile { format, place, smarthost: file.text("smarthost", net::domain)? })
}

/// A number of things, at least one.
fn count(section: &Section<'_>, key: &'static str, largest: u32, default: u32) -> Result<usize, ConfigError> {
    Ok(section.whole(key, 1..=largest)?.unwrap_or(default) as usize)
}

/// A duration in a range; the longest and the default are in seconds.
pub(super) fn within(
    section: &Section<'_>,
    key: &'static str,
    shortest: Duration,
    longest_s: u64,
    default_s: u64,
) -> Result<Duration, ConfigError> {
    let range = shortest..=Duration::from_secs(longest_s);
    Ok(section.text(key, duration(range))?.unwrap_or(Duration::from_secs(default_s)))
}

/// A duration that may be nothing; the default is in seconds.
fn any(section: &Section<'_>, key: &'static str, default_s: u64) -> Result<Duration, ConfigError> {
    Ok(section.text(key, duration(Duration::ZERO..=DURATION_MAX))?.unwrap_or(Duration::from_secs(default_s)))
}
