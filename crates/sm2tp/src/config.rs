//! The configuration file: its sections as plain types with defaults, or one error that says what to write instead.
//!
//! Nothing here opens a socket, asks DNS or looks whether a named file exists; that is for `check` and `serve`.

mod alerts;
mod belief;
mod beside;
mod directory;
mod error;
mod exports;
mod file;
mod keys;
mod net;
mod outward;
mod reader;
mod sections;
mod shown;
mod store;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use self::alerts::Alerts;
pub use self::belief::Belief;
pub use self::beside::{Filter, Held, Milter, Policy, Senders, Socketmap, Table};
pub use self::directory::{Find, Ldap};
pub use self::exports::Exports;
pub use self::shown::{EXAMPLE, settings};
pub use self::store::Store;
#[allow(unused_imports, reason = "the target that mutates it includes this module (fuzz/src/settings.rs)")]
pub use file::parse;
pub use file::{blame, load};
pub use net::{Host, Network, Place};
pub use outward::{Exit, IpUse, Login, NextHop, Speaks};
pub use reader::SCORES;
use sm2tp_rules::Streams;
use sm2tp_rules::rate::Rate;
use sm2tp_rules::suppress::{Doubtful, Stopped};
pub use watch::Watch;

/// The whole file: one field per section, so that it reads as the documentation does.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Full name of this machine in lower case, as it is said in EHLO.
    pub hostname: String,
    /// Where the spool, the database and the keys are.
    pub data_dir: PathBuf,
    /// Language of reports, and of pages where a browser asks for none.
    pub language: Language,
    /// How long the send log keeps who wrote to whom, in clear; zero keeps none.
    pub send_log_keep: Duration,
    /// A database that several machines share; `None`: a file in `data_dir`.
    pub store: Option<Store>,
    /// The SMTP door; `None`: closed.
    pub smtp: Option<Smtp>,
    /// Certificates for the SMTP door from an authority; `None`: from files, or none.
    pub acme: Option<Acme>,
    /// Logins that a directory knows.
    pub ldap: Option<Ldap>,
    /// The HTTP door; `None`: closed.
    pub http: Option<Http>,
    /// Delivery; `None`: the node is a bounce service only.
    pub relay: Option<Relay>,
    /// Signatures of what leaves.
    pub dkim: Dkim,
    /// Mail that comes back; `None`: none does.
    pub returns: Option<Returns>,
    /// Who is told of what goes wrong.
    pub alerts: Alerts,
    /// Name resolution.
    pub dns: Dns,
    /// What this node tells and believes others.
    pub federation: Federation,
    /// When addresses are stopped, and for how long.
    pub suppression: Suppression,
    pub belief: Belief,
    pub watch: Watch,
    /// The door for policy requests of another mail server.
    pub policy: Option<Policy>,
    /// The door for table look-ups of another mail server.
    pub socketmap: Option<Socketmap>,
    /// The door for milter clients.
    pub milter: Option<Milter>,
    /// The local API.
    pub local: Option<Local>,
    /// Logs of another mail server.
    pub logs: Option<Logs>,
    /// Lists as files.
    pub exports: Option<Exports>,
}

/// A language for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// French.
    Fr,
}

/// Kind of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// From one person to another.
    Personal,
    /// Caused by something the recipient did, such as a receipt.
    Transactional,
    /// Lists and newsletters.
    Bulk,
    /// Forwarded for a recipient who lives elsewhere.
    Forwarded,
}

/// `[smtp]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// At least one; port 0 is a free port.
    pub listen: Vec<SocketAddr>,
    /// Where a conversation begins with a TLS handshake; not empty only with `tls`.
    pub listen_tls: Vec<SocketAddr>,
    /// Clients that may send without a login, as org `local`.
    pub trusted_networks: Vec<Network>,
    /// Stream of mail from the trusted networks.
    pub stream: Stream,
    /// Addresses besides, whose mail goes slowly; port 0 is a free port.
    pub listen_slow: Vec<SocketAddr>,
    /// Addresses besides, for one kind of mail each; port 0 is a free port.
    pub listen_for: Vec<(Stream, Vec<SocketAddr>)>,
    /// Recipients of a sender from which it counts as a bulk sender, where nobody said what it is.
    pub bulk_from: Rate,
    /// Fronts that begin each connection with a PROXY protocol header.
    pub proxy_protocol_from: Vec<Network>,
    /// Fronts that may say XCLIENT.
    pub xclient_from: Vec<Network>,
    /// Those of them that may say who has logged in; each within `xclient_from`.
    pub xclient_login_from: Vec<Network>,
    /// Certificate and key; `None`: no STARTTLS.
    pub tls: Option<TlsFiles>,
    /// SCRAM-SHA-256: whether it is offered, and whether keys for it are kept.
    pub scram: Switch,
    /// Largest message, in octets; at most `memory_max`.
    pub message_size_max: u64,
    /// Recipients of one message.
    pub recipients_max: usize,
    /// Messages on one connection; none: as many as the client likes.
    pub mails_max: Option<u32>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections of one client address at a time.
    pub connections_per_client_max: usize,
    /// New connections of one client network; trusted networks and fronts have no such limit.
    pub connection_rate_per_client_max: Rate,
    /// Longest silence of a client.
    pub command_timeout: Duration,
    /// Bodies that are being received at a time, in octets together.
    pub memory_max: u64,
}

/// Something that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

/// `[acme]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Where the authority is asked (RFC 8555 §7.1.1).
    pub directory: String,
    /// Mail address that it may write to; `None`: that of the federation.
    pub contact: Option<String>,
    /// Root certificate of an authority that is not a public one.
    pub root: Option<PathBuf>,
}

/// Two PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// At least one; port 0 is a free port.
    pub listen: Vec<SocketAddr>,
    /// Where browsers reach the pages for persons through a web server; `None`: on this machine alone.
    pub public_url: Option<String>,
    /// Whether everybody may see how well mail of this node arrives.
    pub public_score: Switch,
    /// Who may read `/metrics`.
    pub metrics_from: Vec<Network>,
    /// Where webhooks of organisations may be besides the public Internet.
    pub private_webhooks: Vec<Network>,
}

/// `[relay]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Everything without a route leaves there; `None`: to the recipients' servers.
    pub smarthost: Option<NextHop>,
    /// TCP port of recipients' servers.
    pub port: u16,
    /// Servers for single recipient domains, by domain in lower case.
    pub routes: BTreeMap<String, NextHop>,
    /// The ways out; at least one.
    pub exits: Vec<Exit>,
    /// Which addresses of recipients' servers are used.
    pub ip: IpUse,
    /// Connections to the servers of one recipient site at a time.
    pub connections_per_site_max: Option<usize>,
    /// Encryption towards other servers.
    pub tls: RelayTls,
    /// Authorities besides those of the system, in PEM.
    pub tls_roots: Option<PathBuf>,
    /// Whether domains that ask for it are told how TLS to their servers went.
    pub tls_reports: Switch,
    pub private_web_servers: Vec<Network>,
    /// Wait after the first failure; doubled each time.
    pub retry_first: Duration,
    /// Longest wait between two attempts; at least `retry_first`.
    pub retry_max: Duration,
    /// How long personal, transactional and forwarded mail is tried.
    pub expire_personal: Duration,
    /// How long bulk mail is tried.
    pub expire_bulk: Duration,
    /// When a sender is told that its mail is late; nothing: never.
    pub delay_notice: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub answer_timeout: Duration,
}

/// Encryption towards other servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayTls {
    /// Where offered.
    Opportunistic,
    /// Never.
    Off,
    /// Always, or no delivery.
    Required,
}

/// `[dkim]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkim {
    /// Which signatures a mail gets, where there are keys.
    pub sign: DkimSign,
    /// Signs mail whose author's domain has no key.
    pub default: Option<String>,
    /// For whom mail of senders that may use any domain is signed.
    pub any_sender: AnySender,
    pub seal: Seal,
}

/// Who seals mail that is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// The default or the host name, where it has a key.
    ByUs,
    /// Nobody.
    Off,
    /// This domain.
    By(String),
}

/// Which signatures a mail gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimSign {
    /// One with RSA and one with Ed25519.
    Both,
    /// One with RSA.
    Rsa,
    /// One with Ed25519.
    Ed25519,
    /// None.
    None,
}

/// For which domains the mail of a sender that may use any is signed: of the trusted networks, of an org without domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnySender {
    /// For those that no org lists as its own.
    Unlisted,
    /// For all that have a key.
    All,
}

/// `[returns]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returns {
    /// Domain of the return paths, in lower case.
    pub domain: String,
    /// Where links to unsubscribe lead, without a slash at its end; `None`: no mail gets one.
    pub unsubscribe_url: Option<String>,
    /// Where reports come in by LMTP; not empty only with an SMTP door.
    pub lmtp: Vec<SocketAddr>,
    /// A mailbox into which another server puts reports, as a directory of files.
    pub maildir: Option<PathBuf>,
    /// The same as one file.
    pub mbox: Option<PathBuf>,
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Name servers to ask; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// They validate DNSSEC, and are on this machine.
    pub validating: Switch,
}

/// `[federation]`
#[derive(Debug, Clone, PartialEq)]
pub struct Federation {
    /// Shown to other administrators; by default the host name.
    pub name: String,
    /// Mail address of the people behind the node; by default its postmaster.
    pub contact: String,
    /// Public address of `/fed/v1`, without a slash at its end; `https`, or `http` on loopback.
    pub url: Option<String>,
    /// Replaces both waits before a segment is sealed.
    pub seal_after: Option<Duration>,
    /// How long a dead address is kept back, in case a delivery contradicts.
    pub hold_down: Duration,
    /// Networks in which peers may be although they are not of the public Internet.
    pub private_peers: Vec<Network>,
    /// Between two questions to a peer.
    pub poll: Duration,
    /// Longest wait for one's own head before the first seal after a start.
    pub head_wait: Duration,
    /// Share of mail held on federated evidence that is let through as a measurement, 0.0 to 1.0.
    pub canary_share: f64,
}

/// `[suppression]`
#[derive(Debug, Clone, PartialEq)]
pub struct Suppression {
    /// How long mail held on federated evidence waits for a person before it is returned.
    pub hold_max: Duration,
    /// Streams that do not try a dead address again before the failure expires.
    pub strict_streams: Streams,
    /// When mail of the other streams may.
    pub personal_retry_after: Duration,
    /// How long a hard failure is believed.
    pub hard_expiry: Duration,
    /// When an address that its provider has switched off is tried again.
    pub inactive_recheck: Duration,
    /// How far apart two refusals must be that say something about the address only together.
    pub ambiguous_spread: Duration,
    /// Soft failures that stop bulk mail, at most one counted a day.
    pub soft_limit: u32,
    /// Within this time.
    pub soft_window: Duration,
    /// And with at least this time between the first and the last; at most `soft_window`.
    pub soft_spread: Duration,
    /// In which time they lose half of their weight.
    pub soft_half_life: Duration,
    /// Streams that a complaint or an opt-out stops.
    pub complaint_streams: Streams,
    /// Streams for which the word of other nodes counts.
    pub federated_streams: Streams,
    /// Score of others' reports from which mail is doubtful; at most `suppressed_score`.
    pub held_score: f64,
    /// Score from which it is stopped, ...
    pub suppressed_score: f64,
    /// ... where so many independent nodes stand behind it.
    pub suppressed_sources: u32,
    /// What becomes of doubtful mail.
    pub doubtful: Doubtful,
    /// Independent nodes that overrule an own delivery when they report after it.
    pub newer_sources: u32,
    /// What the sender of a stopped mail gets.
    pub stopped: Stopped,
    /// Where recipients say that they want mail again, as they see it, without a slash at its end; `None`: nowhere.
    pub confirm_url: Option<String>,
    /// How long an own delivery beats what others say.
    pub delivery_fresh: Duration,
}

/// `[local]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// At least one Unix socket.
    pub listen: Vec<Place>,
    /// Stream of logins that this node does not know, and of calls that name none.
    pub stream: Stream,
}

/// `[logs]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// At least one.
    pub follow: Vec<LogFile>,
}

/// A log that another mail server writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Who writes it.
    pub format: LogFormat,
    pub place: LogPlace,
    /// The host to which that mail server gives all its mail, if it does.
    pub smarthost: Option<String>,
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    File(PathBuf),
    /// The journal of systemd: that of the system, or one in this folder.
    Journal(Option<PathBuf>),
}

/// The mail server that writes a log.
pub use sm2tp_proto::log::Writer as LogFormat;

/// Where a door is, as the file and the command line write it, or what is wrong with it.
pub fn place(text: &str) -> Result<Place, String> {
    net::place(text).map_err(|wrong| format!("{}; allowed: {}", wrong.what, wrong.allowed))
}

/// A size as the file and the command line write it, or what is wrong with it.
pub fn size(text: &str) -> Result<u64, String> {
    values::size(values::KIB..=values::GIB)(text).map_err(|wrong| format!("{}; allowed: {}", wrong.what, wrong.allowed))
}

/// A duration as the file and the command line write it, in seconds, or what is wrong with it.
pub fn duration_s(text: &str) -> Result<u64, String> {
    let read = values::duration(Duration::ZERO..=values::DURATION_MAX)(text);
    read.map(|duration| duration.as_secs()).map_err(|wrong| format!("{}; allowed: {}", wrong.what, wrong.allowed))
}

/// Seconds with units.
pub fn show_duration(seconds: u64) -> String {
    values::show_duration(Duration::from_secs(seconds))
}

/// Octets with a unit.
pub fn show_size(octets: u64) -> String {
    values::show_size(octets)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use toml::de::{DeTable, DeValue};

    use super::file::parse;
    use super::*;

    #[test]
    fn whatever_stands_in_the_file_the_answer_is_a_value() {
        crate::drive::drive("settings", 20_000, crate::settings::settings);
    }

    const SECTIONS: &str = "[smtp]\n[http]\n[relay]\n[policy]\n[socketmap]\n[milter]\n";

    /// A file of the repository, from wherever in it this crate is built.
    fn repository(name: &str) -> PathBuf {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join(name)).find(|p| p.exists());
        found.unwrap_or_else(|| panic!("{name} is not above {}", env!("CARGO_MANIFEST_DIR")))
    }

    fn example() -> String {
        std::fs::read_to_string(repository("docs/sm2tp.toml.example")).unwrap()
    }

    /// The example with every option taken out of its comment.
    fn uncommented() -> String {
        let option = |line: &&str| line[1..].starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
        let bare = |line: &str| {
            Some(line).filter(|line| line.starts_with('#')).filter(option).map(|line| line[1..].to_owned())
        };
        let text = example();
        text.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
    }

    fn valid(text: &str) -> Config {
        parse("f.toml", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn broken_files_give_exactly_the_error_beside_them() {
        let folder = repository("tests/bad-configs");
        let mut seen = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            seen.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
            let text = std::fs::read_to_string(path.with_extension("toml")).unwrap();
            let expected = std::fs::read_to_string(path.with_extension("error")).unwrap();
            let name = path.with_extension("toml").file_name().unwrap().to_str().unwrap().to_owned();
            let error = parse(&name, &text).map(|_| panic!("{name} is accepted")).unwrap_err();
            assert_eq!(format!("{error}\n"), expected, "\n{name} now gives:\n\n{error}\n\n");
        }
        assert!(20 <= seen.len(), "only {} in {}", seen.len(), folder.display());
    }

    #[test]
    fn a_host_name_is_enough() {
        let config = valid("hostname = \"Relay.Example.org\"");
        assert_eq!(config.hostname, "relay.example.org");
        assert_eq!(config.data_dir, Path::new("/var/lib/sm2tp"));
        assert!(config.smtp.is_none() && config.http.is_none() && config.relay.is_none());
        assert_eq!(config.federation.name, "relay.example.org");
        assert_eq!(config.federation.contact, "postmaster@relay.example.org");
    }

    #[test]
    fn the_example_gives_the_defaults() {
        let plain = valid(&format!("hostname = \"relay.example.org\"\n{SECTIONS}"));
        let shipped = valid(&example());
        assert_eq!(shipped, valid("hostname = \"relay.example.org\"\n[smtp]\n[http]\n[relay]\n"));
        // Of the two ways to find a person one is written.
        let mut full = valid(&uncommented().replace("\nname = \"uid=", "\n#name = \"uid="));
        assert!(full.ldap.take().is_some());
        assert!(full.store.take().is_some_and(|store| store.password_file.is_some()));
        assert!(full.acme.take().is_some_and(|acme| acme.root.is_some()));
        assert!(
            full.returns
                .take()
                .is_some_and(|returns| !returns.lmtp.is_empty() && returns.maildir.is_some() && returns.mbox.is_some())
        );
        let alerts = std::mem::take(&mut full.alerts);
        assert!(alerts.mail.len() == 1 && alerts.webhooks.len() == 1 && alerts.language == Some(Language::Fr));
        // These have no default, or one that is not worth showing.
        let (smtp, relay) = (full.smtp.as_mut().unwrap(), full.relay.as_mut().unwrap());
        assert_eq!(std::mem::take(&mut smtp.trusted_networks).len(), 2);
        assert_eq!(std::mem::take(&mut smtp.listen_tls).len(), 2);
        assert_eq!(std::mem::take(&mut smtp.listen_for).len(), 1);
        assert_eq!(std::mem::take(&mut smtp.listen_slow).len(), 1);
        for fronts in [&mut smtp.proxy_protocol_from, &mut smtp.xclient_from, &mut smtp.xclient_login_from] {
            assert_eq!(std::mem::take(fronts).len(), 1);
        }
        assert!(smtp.tls.take().is_some() && relay.smarthost.take().is_some());
        assert_eq!(std::mem::take(&mut relay.routes).len(), 2);
        assert_eq!(relay.exits.iter().map(|exit| exit.addresses.len()).collect::<Vec<_>>(), [2, 1]);
        relay.exits.clone_from(&plain.relay.as_ref().unwrap().exits);
        assert!(relay.tls_roots.take().is_some());
        assert_eq!(std::mem::take(&mut relay.private_web_servers).len(), 1);
        assert_eq!(std::mem::take(&mut full.dns.servers).len(), 1);
        assert!(full.dkim.default.take().is_some());
        assert_eq!(std::mem::replace(&mut full.dkim.seal, Seal::ByUs), Seal::By("relay.example.org".into()));
        assert_eq!(relay.connections_per_site_max.take(), Some(4));
        assert!(full.suppression.confirm_url.take().is_some() && full.watch.companies.take().is_some());
        assert!(full.http.as_mut().unwrap().public_url.take().is_some());
        assert!(full.federation.url.take().is_some() && full.federation.seal_after.take().is_some());
        assert_eq!(std::mem::take(&mut full.federation.private_peers).len(), 1);
        assert_eq!(std::mem::take(&mut full.http.as_mut().unwrap().private_webhooks).len(), 1);
        full.federation.name.clone_from(&plain.federation.name);
        full.federation.contact.clone_from(&plain.federation.contact);
        assert_eq!(full.local.take().unwrap().listen.len(), 1);
        assert_eq!(full.logs.take().unwrap().follow.len(), 1);
        assert_eq!(full.exports.take().unwrap().files.len(), 4);
        assert_eq!(std::mem::take(&mut full.policy.as_mut().unwrap().filter).len(), 1);
        assert_eq!(full, plain);
    }

    #[test]
    fn the_example_has_every_key_once_and_no_other() {
        let text = uncommented();
        let root = DeTable::parse(&text).unwrap().into_inner();
        let mut written = BTreeSet::new();
        for (key, value) in &root {
            match value.get_ref() {
                DeValue::Table(table) => {
                    written.extend(table.keys().map(|k| (key.get_ref().to_string(), k.get_ref().to_string())))
                }
                _ => assert!(written.insert((String::new(), key.get_ref().to_string()))),
            }
        }
        let known = |section: &keys::SectionKeys| {
            section.keys.iter().map(|(key, _)| (section.name.to_owned(), (*key).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(written, keys::SECTIONS.iter().flat_map(known).collect());
    }

    #[test]
    fn every_known_key_is_read_and_its_example_is_valid() {
        for section in keys::SECTIONS {
            let with = |value: &dyn Fn(&str, &str) -> String| {
                let lines: String = section.keys.iter().map(|(key, example)| value(key, example)).collect();
                let hostname = if section.name.is_empty() { "" } else { "hostname = \"a.example\"\n" };
                let header = if section.name.is_empty() { String::new() } else { format!("[{}]\n", section.name) };
                // Reports by LMTP come in under the limits of the SMTP door.
                let beside = if section.name == "returns" { "[smtp]\n" } else { "" };
                format!("{hostname}{header}{lines}{beside}")
            };
            // It stands instead of `base`.
            let is_other = |key: &str| (section.name, key) == ("ldap", "name");
            let fine = |key: &str, example: &str| {
                if is_other(key) { String::new() } else { format!("{key} = {example}\n") }
            };
            valid(&with(&fine));
            for (broken, _) in section.keys {
                // No option is a date, so a key that takes one is a key that nobody reads.
                let text = with(&|key, example| match key == *broken {
                    true => format!("{key} = 1979-05-27\n"),
                    false => fine(key, example),
                });
                let error = parse("f.toml", &text).unwrap_err();
                assert!(error.message.starts_with(&format!("`{broken}`")), "{error}");
                assert!(error.message.contains("not a date"), "{error}");
            }
        }
    }

    #[test]
    fn every_option_arrives_in_its_field() {
        let config = valid(
            r#"
            hostname = "a.example"
            language = "fr"
            [smtp]
            listen = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:2525"]
            trusted_networks = ["10.0.0.0/8", "192.0.2.1"]
            stream = "bulk"
            tls_certificate = "/c"
            tls_key = "/k"
            message_size_max = "1 MB"
            memory_max = "2MiB"
            command_timeout = "1m30s"
            [relay]
            smarthost = "Mail.example:587"
            source = ["192.0.2.1"]
            ip = "6-first"
            tls = "required"
            expire_bulk = "0s"
            [relay.routes]
            "Example.test" = "lmtp://[::1]:2601"
            [relay.routes."other.test"]
            to = "smtps://mail.test:465"
            login = "us"
            password_file = "/p"
            [[relay.exits]]
            name = "news"
            addresses = ["192.0.2.2"]
            streams = ["bulk"]
            [dns]
            servers = ["127.0.0.1", "[::1]:5353"]
            validating = "on"
            [federation]
            url = "http://127.0.0.1:8025/fed/v1/"
            seal_after = "1s"
            canary_share = 1
            "#,
        );
        assert_eq!(config.language, Language::Fr);
        let smtp = config.smtp.unwrap();
        assert_eq!(smtp.listen.len(), 3);
        assert_eq!(
            smtp.trusted_networks.iter().map(Network::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "192.0.2.1/32"]
        );
        assert_eq!(smtp.stream, Stream::Bulk);
        assert_eq!(smtp.tls, Some(TlsFiles { certificate: "/c".into(), key: "/k".into() }));
        assert_eq!((smtp.message_size_max, smtp.memory_max), (1_000_000, 2 * 1024 * 1024));
        assert_eq!(smtp.command_timeout, Duration::from_secs(90));
        let relay = config.relay.unwrap();
        assert_eq!(relay.smarthost.unwrap().server.to_string(), "mail.example:587");
        let lmtp = &relay.routes["example.test"];
        assert_eq!((lmtp.server.to_string(), lmtp.speaks), ("[::1]:2601".to_owned(), Speaks::Lmtp));
        let login = relay.routes["other.test"].login.as_ref().unwrap();
        assert_eq!((login.user.as_str(), login.password_file.to_str()), ("us", Some("/p")));
        assert_eq!(relay.exits.iter().map(|exit| exit.name.as_str()).collect::<Vec<_>>(), ["default", "news"]);
        assert_eq!(relay.exits[1].streams, [Stream::Bulk]);
        assert_eq!((relay.ip, config.dns.validating), (IpUse::V6First, Switch::On));
        assert_eq!(relay.tls, RelayTls::Required);
        assert_eq!(relay.expire_bulk, Duration::ZERO);
        assert_eq!(config.dns.servers, ["127.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
        assert_eq!(config.federation.url.as_deref(), Some("http://127.0.0.1:8025/fed/v1"));
        assert_eq!(config.federation.seal_after, Some(Duration::from_secs(1)));
        assert!((config.federation.canary_share - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_options_of_signatures_arrive_in_their_fields() {
        let text = "[dkim]\nsign = \"ed25519\"\ndefault = \"Relay.example\"\nany_sender = \"all\"";
        let dkim = valid(&format!("hostname = \"a.example\"\n{text}")).dkim;
        assert_eq!((dkim.sign, dkim.any_sender), (DkimSign::Ed25519, AnySender::All));
        assert_eq!((dkim.default.as_deref(), dkim.seal), (Some("relay.example"), Seal::ByUs));
        let seal = |word: &str| valid(&format!("hostname = \"a.example\"\n[dkim]\nseal = \"{word}\"")).dkim.seal;
        assert_eq!((seal("off"), seal("Seals.example")), (Seal::Off, Seal::By("seals.example".into())));
    }
}
