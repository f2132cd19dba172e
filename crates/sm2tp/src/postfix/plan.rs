//! What a Postfix must say so that it asks this node: found settings in, changes with their reasons out.

use std::collections::BTreeMap;
use std::fmt;

/// What `postconf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// 3.7.11 as (3, 7).
    pub version: (u32, u32),
    pub queue_directory: String,
    /// Parameters of main.cf, with their defaults where they are asked for.
    pub main: BTreeMap<String, String>,
    /// `submission/inet` and its own parameters, for each service that runs smtpd.
    pub services: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where the node listens, as the configuration of the node has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    pub policy: Option<At>,
    /// Whether the policy service is asked at DATA, where it adds a field.
    pub trace: Trace,
    pub socketmap: Option<At>,
    pub milter: Option<At>,
}

/// As `trace` in the configuration of the node has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trace {
    #[default]
    Off,
    On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// `127.0.0.1:10040`.
    Tcp(String),
    /// The whole path.
    Unix(String),
}

/// One setting to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub place: Place,
    pub name: String,
    /// None: it is not set there now.
    pub old: Option<String>,
    pub new: String,
    pub why: &'static str,
}

/// Which file, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Main,
    /// A service of master.cf: `submission/inet`.
    Service(String),
}

/// The changes, and what a person must know or decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub notes: Vec<String>,
}

impl Place {
    /// The name of a parameter as postconf wants it.
    pub fn parameter(&self, name: &str) -> String {
        match self {
            Self::Main => name.to_owned(),
            Self::Service(service) => format!("{service}/{name}"),
        }
    }
}

impl fmt::Display for Change {
    /// The command that makes the change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = if self.place == Place::Main { "-e" } else { "-P" };
        write!(f, "postconf {flag} '{}={}'", self.place.parameter(&self.name), self.new.replace('\'', "'\\''"))
    }
}

/// What is missing. A second plan over what the first one wrote has no changes.
pub fn plan(found: &Found, sockets: &Sockets) -> Plan {
    let mut plan = Plan::default();
    if found.version < OLDEST {
        let (major, minor) = found.version;
        plan.notes
            .push(format!("Postfix {major}.{minor} is too old: it cannot be told to go on when the node is down"));
        return plan;
    }
    match &sockets.policy {
        Some(at) => ask_before_recipients(found, &at.for_postfix(found), sockets.trace, &mut plan),
        None => plan.notes.push("[policy] is not in the configuration of the node: no address will be stopped".into()),
    }
    if let Some(at) = &sockets.milter {
        tell_each_mail(found, &at.for_postfix(found), &mut plan);
    }
    match &sockets.socketmap {
        Some(at) => ask_what_later_means(found, &at.for_postfix(found), &mut plan),
        None => {
            plan.notes.push("[socketmap] is not in the configuration of the node: a \"later\" stays a \"later\"".into())
        }
    }
    plan
}

impl At {
    /// Processes of Postfix may be locked into its queue directory, and see paths from there.
    fn for_postfix(&self, found: &Found) -> String {
        match self {
            Self::Tcp(_) => self.whole(),
            Self::Unix(path) => {
                let inside = path.strip_prefix(&found.queue_directory).and_then(|rest| rest.strip_prefix('/'));
                inside.map_or_else(|| self.whole(), |inside| format!("unix:{inside}"))
            }
        }
    }

    /// As processes see it that are locked in nowhere.
    pub fn whole(&self) -> String {
        match self {
            Self::Tcp(address) => format!("inet:{address}"),
            Self::Unix(path) => format!("unix:{path}"),
        }
    }
}

/// Asks the policy service; when nobody answers, mail flows. `more`: further attributes, each behind a comma.
pub fn asking(socket: &str, more: &str) -> String {
    format!("check_policy_service {{ {socket}, timeout=5s, default_action=DUNNO{more} }}")
}

/// Tells the milter; when nobody answers, mail flows.
pub fn telling(socket: &str) -> String {
    format!("{{ {socket}, {MILTER_LIMITS}, default_action=accept }}")
}

/// The lists in which the policy service is asked: name, short name, why.
pub fn asked(trace: Trace) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ASKED.into_iter().chain(TRACED.into_iter().filter(move |_| trace == Trace::On))
}

fn ask_before_recipients(found: &Found, socket: &str, trace: Trace, plan: &mut Plan) {
    let ask = asking(socket, "");
    for list in asked(trace) {
        change_list(found, list, plan, |old| in_front(&ask, old, &format!("check_policy_service {{ {socket},")));
    }
    let delay = found.main.get(DELAY).cloned();
    push(
        plan,
        Place::Main,
        DELAY,
        delay,
        "no".into(),
        "the queue id is known when the node is asked, and stands in both logs",
    );
    if submissions(found).is_empty() {
        plan.notes.push(
            "No submission service is in master.cf, so the node is asked about all mail. It passes what neither logged in nor \
             comes from its trusted_networks."
                .into(),
        );
    }
}

/// In front of other milters: one that signs behind it signs what it adds.
fn tell_each_mail(found: &Found, socket: &str, plan: &mut Plan) {
    let tell = telling(socket);
    change_list(found, TOLD, plan, |old| in_front(&tell, old, &format!("{{ {socket},")));
}

/// Changes a list where mail is submitted, or in all of Postfix where no service is for that.
fn change_list(
    found: &Found,
    (name, short, why): (&'static str, &str, &'static str),
    plan: &mut Plan,
    change: impl Fn(&str) -> String,
) {
    let submissions = submissions(found);
    if submissions.is_empty() {
        let old = found.main.get(name).cloned().unwrap_or_default();
        push(plan, Place::Main, name, Some(old.clone()), change(&old), why);
    }
    for service in submissions {
        // postconf writes no spaces into master.cf, so the list stands in main.cf and the service names it.
        let own = found.services[service].get(name);
        let list = format!("sm2tp_{}_{short}", service.split('/').next().unwrap_or_default());
        let named = format!("${list}");
        let old = match own {
            Some(own) if *own == named => found.main.get(&list).cloned().unwrap_or_default(),
            Some(own) => own.clone(),
            None => found.main.get(name).cloned().unwrap_or_default(),
        };
        push(plan, Place::Main, &list, found.main.get(&list).cloned(), change(&old), why);
        push(plan, Place::Service(service.clone()), name, own.cloned(), named, THERE);
    }
}

fn submissions(found: &Found) -> Vec<&String> {
    found.services.keys().filter(|name| SUBMISSION.contains(&name.as_str())).collect()
}

/// The list with this in front, unless it is there already, as its beginning shows.
fn in_front(first: &str, list: &str, beginning: &str) -> String {
    match list.trim() {
        "" => first.to_owned(),
        list if list.contains(beginning) => list.to_owned(),
        list => format!("{first}, {list}"),
    }
}

fn ask_what_later_means(found: &Found, socket: &str, plan: &mut Plan) {
    let new = format!("socketmap:{socket}:dsn");
    let old = found.main.get(FILTER).cloned();
    let filter = match old.as_deref().map(str::trim) {
        Some(default) if default == format!("${DEFAULT_FILTER}") => {
            found.main.get(DEFAULT_FILTER).map(|text| text.trim())
        }
        own => own,
    };
    match filter {
        Some(theirs) if !theirs.is_empty() && theirs != new => plan.notes.push(format!(
            "{FILTER} is {theirs} already; Postfix takes one such filter, so yours stays and the node is not asked"
        )),
        _ => {
            let why = "a \"later\" that means \"never\" (La Poste's 421) comes back at once instead of after five days";
            push(plan, Place::Main, FILTER, old, new, why);
        }
    }
}

fn push(plan: &mut Plan, place: Place, name: &str, old: Option<String>, new: String, why: &'static str) {
    if old.as_ref() != Some(&new) {
        plan.changes.push(Change { place, name: name.to_owned(), old, new, why });
    }
}

/// `default_action` inside of braces; read in the release notes of 3.0.
const OLDEST: (u32, u32) = (3, 0);
const SUBMISSION: [&str; 3] = ["submission/inet", "submissions/inet", "smtps/inet"];
const ASKED: [(&str, &str, &str); 2] = [
    (
        "smtpd_recipient_restrictions",
        "recipients",
        "the node is asked about each recipient; when it is down, mail flows",
    ),
    ("smtpd_end_of_data_restrictions", "end_of_data", "the node is asked once more when the size of the mail is known"),
];
const TRACED: [(&str, &str, &str); 1] = [(
    "smtpd_data_restrictions",
    "data",
    "mail to one recipient gets a field by which its reports are known (trace in [policy])",
)];
const TOLD: (&str, &str, &str) = (
    "smtpd_milters",
    "milters",
    "the node is told each mail, and gives it a return path where its organisation wants that; when it is down, mail flows",
);
const MILTER_LIMITS: &str = "connect_timeout=5s, command_timeout=10s, content_timeout=30s";
const THERE: &str = "the list of the line above, for this service";
const DELAY: &str = "smtpd_delay_open_until_valid_rcpt";
const FILTER: &str = "smtp_delivery_status_filter";
/// What it stands for unless it is set.
const DEFAULT_FILTER: &str = "default_delivery_status_filter";
/// What is asked of `postconf` for main.cf.
pub const PARAMETERS: [&str; 9] = [
    "mail_version",
    "queue_directory",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_milters",
    DELAY,
    FILTER,
    DEFAULT_FILTER,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(services: &[(&str, &[(&str, &str)])]) -> Found {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Found {
            version: (3, 7),
            queue_directory: "/var/spool/postfix".into(),
            main: pairs(&[
                ("smtpd_recipient_restrictions", ""),
                ("smtpd_end_of_data_restrictions", ""),
                ("smtpd_delay_open_until_valid_rcpt", "yes"),
                ("smtp_delivery_status_filter", "$default_delivery_status_filter"),
                ("default_delivery_status_filter", ""),
            ]),
            services: services.iter().map(|(name, own)| ((*name).to_owned(), pairs(own))).collect(),
        }
    }

    fn sockets() -> Sockets {
        let unix = |name: &str| Some(At::Unix(format!("/var/spool/postfix/sm2tp/{name}.sock")));
        Sockets { policy: unix("policy"), trace: Trace::Off, socketmap: unix("map"), milter: None }
    }

    /// What it looks like when the changes were made.
    fn made(mut found: Found, plan: &Plan) -> Found {
        for change in &plan.changes {
            let place = match &change.place {
                Place::Main => &mut found.main,
                Place::Service(service) => found.services.get_mut(service).unwrap(),
            };
            place.insert(change.name.clone(), change.new.clone());
        }
        found
    }

    #[track_caller]
    fn check(found: Found, sockets: &Sockets, want: &[&str]) {
        let first = plan(&found, sockets);
        assert_eq!(first.changes.iter().map(Change::to_string).collect::<Vec<_>>(), want);
        assert_eq!(plan(&made(found, &first), sockets).changes, [], "a second time there is nothing to do");
    }

    #[test]
    fn a_plain_postfix_asks_in_main_cf() {
        let ask = "check_policy_service { unix:sm2tp/policy.sock, timeout=5s, default_action=DUNNO }";
        let rcpt = format!("postconf -e 'smtpd_recipient_restrictions={ask}'");
        let data = format!("postconf -e 'smtpd_end_of_data_restrictions={ask}'");
        let delay = "postconf -e 'smtpd_delay_open_until_valid_rcpt=no'";
        let filter = "postconf -e 'smtp_delivery_status_filter=socketmap:unix:sm2tp/map.sock:dsn'";
        check(found(&[("smtp/inet", &[])]), &sockets(), &[&rcpt, &data, delay, filter]);
        let at = |port: &str| Some(At::Tcp(format!("127.0.0.1:{port}")));
        let filter = "postconf -e 'smtp_delivery_status_filter=socketmap:inet:127.0.0.1:10041:dsn'";
        check(found(&[]), &Sockets { policy: None, socketmap: at("10041"), ..Sockets::default() }, &[filter]);
    }

    #[test]
    fn a_node_that_traces_is_asked_at_data_too() {
        let ask = "check_policy_service { unix:sm2tp/policy.sock, timeout=5s, default_action=DUNNO }";
        let tracing = Sockets { trace: Trace::On, socketmap: None, ..sockets() };
        let lists = ["smtpd_recipient_restrictions", "smtpd_end_of_data_restrictions", "smtpd_data_restrictions"];
        let mut want = lists.map(|list| format!("postconf -e '{list}={ask}'")).to_vec();
        want.push("postconf -e 'smtpd_delay_open_until_valid_rcpt=no'".into());
        check(found(&[]), &tracing, &want.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_milter_goes_in_front_of_those_that_are_there() {
        let tell = "{ unix:sm2tp/milter.sock, connect_timeout=5s, command_timeout=10s, content_timeout=30s, default_action=accept }";
        let socket = At::Unix("/var/spool/postfix/sm2tp/milter.sock".into());
        let alone = Sockets { milter: Some(socket), ..Sockets::default() };
        check(found(&[]), &alone, &[&format!("postconf -e 'smtpd_milters={tell}'")]);
        let own: &[(&str, &str)] = &[("smtpd_milters", "inet:localhost:8891")];
        let list = format!("postconf -e 'sm2tp_submission_milters={tell}, inet:localhost:8891'");
        let named = "postconf -P 'submission/inet/smtpd_milters=$sm2tp_submission_milters'";
        check(found(&[("submission/inet", own)]), &alone, &[&list, named]);
    }

    #[test]
    fn where_there_is_submission_only_that_asks_and_keeps_its_own_list() {
        let own: &[(&str, &str)] = &[("smtpd_recipient_restrictions", "permit_sasl_authenticated,reject")];
        let ask = "check_policy_service { unix:sm2tp/policy.sock, timeout=5s, default_action=DUNNO }";
        let rcpt = format!("postconf -e 'sm2tp_submission_recipients={ask}, permit_sasl_authenticated,reject'");
        let data = format!("postconf -e 'sm2tp_submission_end_of_data={ask}'");
        let want = [
            &rcpt,
            "postconf -P 'submission/inet/smtpd_recipient_restrictions=$sm2tp_submission_recipients'",
            &data,
            "postconf -P 'submission/inet/smtpd_end_of_data_restrictions=$sm2tp_submission_end_of_data'",
            "postconf -e 'smtpd_delay_open_until_valid_rcpt=no'",
        ];
        let policy_alone = Sockets { socketmap: None, ..sockets() };
        check(found(&[("smtp/inet", &[]), ("submission/inet", own)]), &policy_alone, &want);
    }

    #[test]
    fn a_filter_of_their_own_stays_and_what_is_missing_is_said() {
        let mut theirs = found(&[]);
        theirs.main.insert(FILTER.into(), "pcre:/etc/postfix/dsn".into());
        let plan = plan(&theirs, &Sockets { policy: None, ..sockets() });
        assert_eq!((plan.changes.len(), plan.notes.len()), (0, 2), "{plan:?}");
        assert!(plan.notes[1].contains("pcre:/etc/postfix/dsn"), "{plan:?}");
    }

    #[test]
    fn a_postfix_that_cannot_go_on_without_us_is_left_alone() {
        let plan = plan(&Found { version: (2, 11), ..found(&[]) }, &sockets());
        assert!(plan.changes.is_empty() && plan.notes[0].contains("2.11 is too old"), "{plan:?}");
    }
}
