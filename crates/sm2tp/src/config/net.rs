//! Values of the network: listen addresses, networks, host names, addresses of other servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::values::{Wrong, quoted};

/// A range of IP addresses in CIDR notation, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub addr: IpAddr,
    /// How many leading bits are fixed: at most 32 for IPv4, at most 128 for IPv6.
    pub prefix: u8,
}

impl Network {
    /// This machine.
    pub fn loopback() -> Vec<Self> {
        let one = |addr: IpAddr| Self { addr, prefix: if addr.is_ipv4() { 32 } else { 128 } };
        vec![one(Ipv4Addr::LOCALHOST.into()), one(Ipv6Addr::LOCALHOST.into())]
    }

    /// Whether `ip` lies in the network. An IPv4 client that came in over an IPv6 socket counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.addr.is_ipv4() && masked(ip, self.prefix) == self.addr
    }
}

impl Network {
    /// Whether all of `other` lies in this network.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.addr)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address.
    pub host: Host,
    /// TCP port, never 0.
    pub port: u16,
}

/// Where a mail server on this machine or beside it asks us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Tcp(SocketAddr),
    /// A Unix socket, by its whole path.
    Unix(PathBuf),
}

/// How another server is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name for the resolver, in lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
        }
    }
}

/// Reads an address to listen on; port 0 lets the system choose one.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    const ALLOWED: &str = "an IP address and a port, such as 127.0.0.1:2525 or [::1]:2525; 0.0.0.0 and [::] stand for all \
                           addresses of the machine";
    text.parse().map_err(|_| no_socket_address(text, ALLOWED))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads a place to be asked at: an address with port, or `unix:` and a path.
pub(super) fn place(text: &str) -> Result<Place, Wrong> {
    const ALLOWED: &str = "an IP address and a port, such as 127.0.0.1:10040, or unix: and the whole path of a socket, such as \
                           unix:/var/spool/postfix/sm2tp/policy.sock";
    let Some(path) = text.strip_prefix("unix:") else {
        return text.parse().map(Place::Tcp).map_err(|_| no_socket_address(text, ALLOWED));
    };
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(Wrong::new(format!("{} has no whole path of a file", quoted(text)), ALLOWED));
    }
    // sockaddr_un has room for 108 octets with the zero at their end.
    if UNIX_PATH_OCTETS_MAX < path.len() {
        return Err(Wrong::new(format!("the path has more than {UNIX_PATH_OCTETS_MAX} octets"), ALLOWED));
    }
    Ok(Place::Unix(path.into()))
}

const UNIX_PATH_OCTETS_MAX: usize = 107;

/// Reads the address of a name server; its port is 53 unless another one is written.
pub(super) fn name_server(text: &str) -> Result<SocketAddr, Wrong> {
    const ALLOWED: &str = "an IP address, where needed with a port, such as 192.0.2.53, 127.0.0.1:5353 or [::1]:5353";
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 53));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(no_socket_address(text, ALLOWED)),
    }
}

fn no_socket_address(text: &str, allowed: &str) -> Wrong {
    let what = if text.parse::<IpAddr>().is_ok() { "has no port" } else { "is not an IP address with a port" };
    Wrong::new(format!("{} {what}", quoted(text)), allowed)
}

/// Reads a local address to send from.
pub(super) fn source(text: &str) -> Result<IpAddr, Wrong> {
    match text.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => Ok(ip),
        _ => {
            let allowed = "an IP address of this machine without a port; leave the key out to let the system choose";
            Err(Wrong::new(format!("{} is not an address to send from", quoted(text)), allowed))
        }
    }
}

/// This machine.
pub(super) fn loopback() -> Vec<Network> {
    let v4 = Network { addr: IpAddr::from([127, 0, 0, 1]), prefix: 32 };
    vec![v4, Network { addr: Ipv6Addr::LOCALHOST.into(), prefix: 128 }]
}

/// Reads a network whose clients may send without a login.
pub(super) fn trusted_network(text: &str) -> Result<Network, Wrong> {
    const ALLOWED: &str = "a network such as 192.0.2.0/24 or 2001:db8::/32, or a single address";
    // Half of the Internet in one line is a mistake that makes an open relay; 10.0.0.0/8 and fc00::/7 are the
    // largest private networks.
    const PREFIX_V4_MIN: u8 = 8;
    const PREFIX_V6_MIN: u8 = 7;
    let (addr, prefix) = match text.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().map_err(|_| Wrong::new(format!("{} is not a network", quoted(text)), ALLOWED))?;
    let (bits, prefix_min) = if addr.is_ipv4() { (32, PREFIX_V4_MIN) } else { (128, PREFIX_V6_MIN) };
    let prefix = match prefix.map(|prefix| if prefix.starts_with('+') { None } else { prefix.parse::<u8>().ok() }) {
        None => bits,
        Some(Some(prefix)) if prefix <= bits => prefix,
        Some(_) => {
            let what = format!("{} has no valid length after the slash", quoted(text));
            return Err(Wrong::new(what, format!("a length of {prefix_min} to {bits} here")));
        }
    };
    if prefix < prefix_min {
        let what = format!("{} would make an open relay: too many strangers could send without a login", quoted(text));
        return Err(Wrong::new(what, format!("a length of at least {prefix_min} here")));
    }
    let meant = Network { addr: masked(addr, prefix), prefix };
    if addr.to_canonical() != addr {
        let what = format!("{} is an IPv4 network written as IPv6", quoted(text));
        return Err(Wrong::new(what, "IPv4 networks in their own notation, such as 192.0.2.0/24"));
    }
    if meant.addr != addr {
        let what = format!("{} has host bits set, after the first {prefix}", quoted(text));
        return Err(Wrong::new(what, format!("\"{meant}\" for the network, \"{addr}/{bits}\" for that address alone")));
    }
    Ok(meant)
}

fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((addr.to_bits() & mask).into())
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & mask))
        }
    }
}

/// Reads the full name of this machine. A name without a dot would be refused by half of the world in EHLO
/// (RFC 5321 §2.3.5 wants a fully qualified one).
pub(super) fn hostname(text: &str) -> Result<String, Wrong> {
    let name = domain(text)?;
    if name.contains('.') {
        return Ok(name);
    }
    let what = format!("{} is not the full name of a machine", quoted(text));
    Err(Wrong::new(what, "a name with its domain, as `hostname -f` prints it"))
}

/// Reads a domain name into lower case.
pub(super) fn domain(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "letters, digits and hyphens with dots between them, at most 253 characters";
    if !text.is_ascii() {
        let what = format!("{} has letters that are not ASCII", quoted(text));
        return Err(Wrong::new(what, "the ASCII form of the name, with xn-- before such parts"));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(Wrong::new(format!("{} is an address, not a name", quoted(text)), ALLOWED));
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last_is_number = text.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if 253 < text.len() || last_is_number || !text.split('.').all(label_ok) {
        return Err(Wrong::new(format!("{} is not a domain name", quoted(text)), ALLOWED));
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads name or address and port of another server.
pub(super) fn host_port(text: &str) -> Result<HostPort, Wrong> {
    const ALLOWED: &str =
        "name or IP address, a colon and a port, such as mail.example.org:25, 127.0.0.1:25 or [::1]:25";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    if text.parse::<IpAddr>().is_ok() {
        return Err(wrong("has no port"));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        let port = Some(address.port()).filter(|port| *port != 0).ok_or_else(|| wrong("has no valid port"))?;
        return Ok(HostPort { host: Host::Ip(address.ip()), port });
    }
    let (name, port) = text.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    let name = domain(name).map_err(|_| wrong("is not a server"))?;
    let port = port_number(port).ok_or_else(|| wrong("has no valid port"))?;
    Ok(HostPort { host: Host::Name(name), port })
}

fn port_number(text: &str) -> Option<u16> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|port| *port != 0)
}

/// Reads the address of something that is asked over HTTPS.
pub(super) fn https_url(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "https://, the name of a server, and a path";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let rest = text.strip_prefix("https://").ok_or_else(|| wrong("is not an https address"))?;
    url_host(rest.split('/').next().unwrap_or_default()).ok_or_else(|| wrong("names no server"))?;
    match rest.bytes().all(|octet| octet.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(wrong("has characters that no address has")),
    }
}

/// Reads the address under which other nodes reach the federation interface, without a slash at its end.
pub(super) fn federation_url(text: &str) -> Result<String, Wrong> {
    public_url(text, "/fed/v1", "would send the federation in clear over the network")
}

/// Reads the address to which links in mail lead, without a slash at its end.
pub(super) fn unsubscribe_url(text: &str) -> Result<String, Wrong> {
    public_url(text, "/unsubscribe", "would be followed in clear, and by nobody (RFC 8058 asks for https)")
}

/// Reads where a program listens for alerts: with a query, because some receivers put a key there.
pub(super) fn webhook_url(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str =
        "https://, the name of a server, and a path; http:// only for 127.0.0.0/8, [::1] and localhost";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(wrong("is not an https address")),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = url_host(authority).ok_or_else(|| wrong("names no server"))?;
    if !secure && !is_loopback(&host) {
        return Err(wrong("would send alerts in clear over the network"));
    }
    match rest.bytes().all(|b| b.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&b)) {
        true => Ok(text.to_owned()),
        false => Err(wrong("has characters that no address has")),
    }
}

/// Where recipients say that they want mail again.
pub(super) fn confirm_url(text: &str) -> Result<String, Wrong> {
    public_url(text, "/confirm", "would be followed in clear")
}

/// Reads where browsers reach the pages for persons: a host without a path, since a cookie is for a whole host.
pub(super) fn pages_url(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str =
        "https:// and the name of a server, without a path; http:// only for 127.0.0.0/8, [::1] and localhost";
    let wrong = |what: &str| Wrong::new(format!("{} {what}", quoted(text)), ALLOWED);
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(wrong("is not an https address")),
    };
    let authority = rest.trim_end_matches('/');
    if authority.contains(['/', '?', '#']) {
        return Err(wrong("has a path"));
    }
    let host = url_host(authority).ok_or_else(|| wrong("names no server"))?;
    if !secure && !is_loopback(&host) {
        return Err(wrong("would send passwords in clear over the network"));
    }
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

/// An address of this node as others see it, which ends in `ending`; `in_clear` says what is wrong with http.
fn public_url(text: &str, ending: &str, in_clear: &str) -> Result<String, Wrong> {
    let wrong = |what: &str| {
        let allowed = format!("https://, the name of a server, and a path that ends in {ending}");
        Wrong::new(format!("{} {what}", quoted(text)), allowed)
    };
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(wrong("is not an https address")),
    };
    let rest = rest.trim_end_matches('/');
    let authority = rest.split('/').next().unwrap_or_default();
    let host = url_host(authority).ok_or_else(|| wrong("names no server"))?;
    if !secure && !is_loopback(&host) {
        let what = format!("{} {in_clear}", quoted(text));
        return Err(Wrong::new(what, "https://; http:// only for 127.0.0.0/8, [::1] and localhost"));
    }
    let path = &rest[authority.len()..];
    if !path.ends_with(ending) || path.bytes().any(|b| !b.is_ascii_graphic() || b"?#\"<>\\^`{|}".contains(&b)) {
        return Err(wrong(&format!("does not end in {ending}")));
    }
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{}{path}", authority.to_ascii_lowercase()))
}

pub(super) fn url_host(authority: &str) -> Option<Host> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port_number(port).is_none()) {
        return None;
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into()));
    }
    match host.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => Some(Host::Ip(ip.into())),
        Err(_) => domain(host).ok().map(Host::Name),
    }
}

pub(super) fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Ip(ip) => ip.is_loopback(),
    }
}

/// Reads a mail address at which a person is reached.
pub(super) fn mail_address(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new(format!("{} is not a mail address", quoted(text)), "name@domain");
    let (local, domain_part) = text.rsplit_once('@').ok_or_else(wrong)?;
    let local_ok =
        (1..=64).contains(&local.len()) && !local.contains(|c: char| c.is_control() || " <>@\",;".contains(c));
    if !local_ok {
        return Err(wrong());
    }
    Ok(format!("{local}@{}", domain(domain_part).map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_network(text: &str, inside: &[&str], outside: &[&str]) {
        let network = trusted_network(text).unwrap_or_else(|wrong| panic!("{}", wrong.what));
        for ip in inside {
            assert!(network.contains(ip.parse().unwrap()), "{ip} is in {text}");
        }
        for ip in outside {
            assert!(!network.contains(ip.parse().unwrap()), "{ip} is not in {text}");
        }
    }

    #[test]
    fn networks_hold_their_own_addresses_only() {
        check_network(
            "192.0.2.0/25",
            &["192.0.2.0", "192.0.2.127", "::ffff:192.0.2.1"],
            &["192.0.2.128", "192.0.1.255"],
        );
        check_network("10.0.0.0/8", &["10.255.255.255"], &["11.0.0.0", "::10.0.0.1"]);
        check_network("192.0.2.1", &["192.0.2.1"], &["192.0.2.0", "192.0.2.2"]);
        check_network("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::", "192.0.2.1"]);
        check_network("::1", &["::1"], &["::2", "::ffff:0.0.0.1", "127.0.0.1"]);
        check_network("fc00::/7", &["fd00::1"], &["fe80::1"]);
    }

    #[test]
    fn networks_that_are_none_are_refused() {
        for text in
            ["", "/", "/24", "192.0.2.0/", "192.0.2.0/+24", "192.0.2.0/-1", "192.0.2.0/256", "::1/129", "10.0.0/8"]
        {
            assert!(trusted_network(text).is_err(), "{text}");
        }
        for text in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "::ffff:10.0.0.0/104", "10.0.0.1/8"] {
            assert!(trusted_network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names() {
        for text in ["a.example", "xn--exmple-cua.fr", "1.example", "a-b.c-d.example", &"a.".repeat(126)[..251]] {
            assert!(hostname(text).is_ok(), "{text}");
        }
        for text in
            ["", ".", "a.", ".a", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "1.2.3.4", "1.2"]
        {
            assert!(hostname(text).is_err(), "{text}");
        }
        assert!(hostname(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(hostname(&format!("{}b", "a.".repeat(127))).is_err());
        assert!(domain("localhost").is_ok() && hostname("localhost").is_err());
    }

    #[test]
    fn servers() {
        for text in ["127.0.0.1:25", "[::1]:25", "mail.example.org:25", "localhost:2600"] {
            assert_eq!(host_port(text).map(|server| server.to_string()).as_deref(), Ok(text));
        }
        for text in
            ["", ":25", "a", "a:", "a:0", "a:65536", "a:+25", "::1", "[::1]", "[::1]:0", "a:b:25", "1.2.3:25", "::1:25"]
        {
            assert!(host_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn federation_addresses() {
        for text in ["https://a.example/fed/v1", "https://a.example:8443/x/fed/v1", "https://192.0.2.1/fed/v1"] {
            assert_eq!(federation_url(text).as_deref(), Ok(text));
        }
        for text in ["http://127.8.9.1:1/fed/v1", "http://[::1]:8025/fed/v1", "http://localhost/fed/v1"] {
            assert_eq!(federation_url(text).as_deref(), Ok(text));
        }
        assert_eq!(federation_url("https://A.Example/fed/v1/").as_deref(), Ok("https://a.example/fed/v1"));
        for text in [
            "http://a.example/fed/v1",
            "http://10.0.0.1/fed/v1",
            "http://localhost.example/fed/v1",
            "http://localhost@a.example/fed/v1",
            "http://127.0.0.1.a.example/fed/v1",
            "http://[::2]/fed/v1",
            "https:///fed/v1",
            "https://a.example:0/fed/v1",
            "https://a.example:/fed/v1",
            "https://u@a.example/fed/v1",
            "https://a.example/fed/v1?a=/fed/v1",
            "https://a.example/ /fed/v1",
            "https://a.example#/fed/v1",
            "https://a.example",
            "https://",
            "ftp://a.example/fed/v1",
        ] {
            assert!(federation_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_webhooks() {
        for text in
            ["https://hooks.example.org/a?key=b", "http://127.0.0.1:8080/", "http://[::1]:1/x", "https://h.example"]
        {
            assert_eq!(webhook_url(text).as_deref(), Ok(text));
        }
        let bad = [
            "",
            "hooks.example.org",
            "http://hooks.example.org/",
            "https://",
            "https://a b/",
            "https://u@h.example/",
            "https://h.example/#x",
        ];
        for text in bad {
            assert!(webhook_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mail_addresses() {
        assert_eq!(mail_address("Post.Master+x@Example.org").as_deref(), Ok("Post.Master+x@example.org"));
        for text in ["", "a", "@b", "a@", "a b@c.d", "a@b@c", "a@b_c", "<a@b.c>", "a\n@b.c"] {
            assert!(mail_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pages_have_a_host_without_a_path() {
        for text in ["https://a.example", "https://a.example:8443", "http://127.0.0.1:8025", "http://[::1]:1"] {
            assert_eq!(pages_url(text).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(pages_url("https://A.Example/").as_deref(), Ok("https://a.example"));
        for text in [
            "http://a.example",
            "https://a.example/x",
            "https://",
            "a.example",
            "https://a.example?x",
            "https://u@a.example",
        ] {
            assert!(pages_url(text).is_err(), "{text}");
        }
    }
}
