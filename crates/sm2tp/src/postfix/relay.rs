//! A Postfix instance that is a relay beside the first one: its two files as text, from what this machine has and what the
//! node listens on.

use std::net::SocketAddr;

use super::plan::{Sockets, asked, asking, telling};

/// What the instance needs to know of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Of the instance.
    pub queue_directory: String,
    /// Of the instance.
    pub data_directory: String,
    /// Of the package.
    pub daemon_directory: String,
    /// What the log calls the instance.
    pub name: String,
    /// As it is said in EHLO.
    pub hostname: String,
    pub listen: SocketAddr,
    /// Where mail to return paths of the node goes, with their domain.
    pub returns: Option<(String, SocketAddr)>,
}

/// The text of main.cf.
#[must_use]
pub fn main_cf(machine: &Machine, sockets: &Sockets) -> String {
    let Machine { queue_directory, data_directory, daemon_directory, name, hostname, .. } = machine;
    let mut text = format!(
        "# A relay of its own beside the first Postfix: sm2tp postfix relay.\n\
         compatibility_level = 3.6\nmyhostname = {hostname}\nsyslog_name = {name}\nqueue_directory = {queue_directory}\n\
         data_directory = {data_directory}\ndaemon_directory = {daemon_directory}\nmulti_instance_name = {name}\n\
         multi_instance_enable = yes\n\
         # It delivers nothing here, and takes mail of this machine's networks only.\n\
         mydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\n\
         local_transport = error:5.1.1 no mailbox is here\nmynetworks = 127.0.0.0/8 [::1]/128\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\nbiff = no\n\
         # What the first Postfix says of a mail (smtp_send_xforward_command) stands in the log: its queue id and its client.\n\
         smtpd_authorized_xforward_hosts = 127.0.0.0/8 [::1]/128\n\
         # A queue id that never comes again, known when the node is asked.\n\
         enable_long_queue_ids = yes\nsmtpd_delay_open_until_valid_rcpt = no\n\
         smtp_tls_security_level = may\n"
    );
    // Nothing here is locked into the queue directory, so that whole paths are right.
    if let Some(at) = &sockets.policy {
        let ask = asking(&at.whole(), ", policy_context=relay");
        text += "# The node is asked about each recipient and each mail; when it is down, mail flows.\n";
        for (list, ..) in asked(sockets.trace) {
            text += &format!("{list} = {ask}\n");
        }
    }
    if let Some(at) = &sockets.milter {
        text += "# Return paths of the node; a milter that signs goes behind it.\n";
        text += &format!("smtpd_milters = {}\n", telling(&at.whole()));
    }
    if let Some(at) = &sockets.socketmap {
        text += "# A \"later\" that means \"never\" comes back at once.\n";
        text += &format!("smtp_delivery_status_filter = socketmap:{}:dsn\n", at.whole());
    }
    if let Some((domain, at)) = &machine.returns {
        text += "# Reports to return paths of the node are for the node.\n";
        text += &format!("transport_maps = inline:{{ {domain}=smtp:[{}]:{} }}\n", at.ip(), at.port());
    }
    text
}

/// The text of master.cf: what a relay needs, and no more.
#[must_use]
pub fn master_cf(listen: SocketAddr) -> String {
    let address = match listen {
        SocketAddr::V4(_) => listen.to_string(),
        SocketAddr::V6(v6) => format!("[{}]:{}", v6.ip(), v6.port()),
    };
    format!("{address} inet n - n - - smtpd\n{SERVICES}")
}

const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

#[cfg(test)]
mod tests {
    use super::super::plan::{At, Trace};
    use super::*;

    #[test]
    fn the_relay_asks_what_the_node_offers_and_says_who_it_is() {
        let machine = Machine {
            queue_directory: "/var/spool/postfix-relay".into(),
            data_directory: "/var/lib/postfix-relay".into(),
            daemon_directory: "/usr/lib/postfix/sbin".into(),
            name: "postfix-relay".into(),
            hostname: "relay.example.org".into(),
            listen: "127.0.0.1:2525".parse().unwrap(),
            returns: Some(("returns.example.org".into(), "127.0.0.1:2526".parse().unwrap())),
        };
        let text = main_cf(&machine, &Sockets::default());
        assert!(text.contains("\nsyslog_name = postfix-relay\n") && !text.contains("check_policy_service"), "{text}");
        let sockets = Sockets {
            policy: Some(At::Unix("/run/sm2tp/policy.sock".into())),
            trace: Trace::Off,
            socketmap: Some(At::Tcp("127.0.0.1:10041".into())),
            milter: Some(At::Unix("/run/sm2tp/milter.sock".into())),
        };
        let text = main_cf(&machine, &sockets);
        let ask = "check_policy_service { unix:/run/sm2tp/policy.sock, timeout=5s, default_action=DUNNO, policy_context=relay }";
        for line in [
            format!("\nsmtpd_recipient_restrictions = {ask}\nsmtpd_end_of_data_restrictions = {ask}\n"),
            "\nsmtpd_milters = { unix:/run/sm2tp/milter.sock, connect_timeout=5s".into(),
            "\nsmtp_delivery_status_filter = socketmap:inet:127.0.0.1:10041:dsn\n".into(),
            "\ntransport_maps = inline:{ returns.example.org=smtp:[127.0.0.1]:2526 }\n".into(),
        ] {
            assert!(text.contains(&line), "{line} is missing in {text}");
        }
        assert!(master_cf("[::1]:2525".parse().unwrap()).starts_with("[::1]:2525 inet n - n - - smtpd\n"));
    }
}
