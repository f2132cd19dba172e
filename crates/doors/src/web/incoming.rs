//! What protects mail to a domain: how its MTA-STS is now (RFC 8461), said on the page of the DNS.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sm2tp_proto::mta_sts::FetchFailure;
use tokio::time::timeout;

use super::frame::Frame;
use crate::http::Shared;
use crate::reason::{self, Piece};

/// Looks at the MTA-STS of a domain: the doors know no resolver. Its web server is asked at addresses of the public Internet
/// only, and at those that the configuration names: whose domain it is decides where its name leads.
pub type AskSts = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Sts> + Send>> + Send + Sync>;

/// What the record, the web server and the mail servers of a domain say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sts {
    /// The DNS does not answer.
    Silent,
    /// No record: nothing is asked of those who send to it.
    Absent,
    /// More than one record, or one without its number.
    Broken,
    /// The web server of the policy has no address.
    NoHost,
    Unfetched(FetchFailure),
    /// The policy says that there is none.
    Off,
    /// These take the mail and are not in the policy.
    OthersEnforced(Vec<String>),
    OthersInTest(Vec<String>),
    Testing,
    Fine,
}

/// How it is, with its lamp; and what a library said about it.
pub(super) struct Found {
    pub class: &'static str,
    pub word: String,
    pub why: Vec<Piece>,
}

/// Asks, and waits no longer than a person in front of a page does.
pub(super) async fn look(domain: &str, shared: &Shared, f: &Frame) -> Found {
    let said = |class, key: &str| Found { class, word: f.w(key), why: Vec::new() };
    let others = |class, key: &str, hosts: &[String]| {
        let word = f.s(key, "hosts", &hosts.join(", "));
        Found { class, word, why: Vec::new() }
    };
    let Ok(sts) = timeout(LOOK_MAX, (shared.sts)(domain.to_owned())).await else {
        return said("light-amber", "sts-late");
    };
    match &sts {
        Sts::Silent => said("light-amber", "sts-silent"),
        Sts::Absent => said("light-amber", "sts-absent"),
        Sts::Broken => said("light-slow", "sts-broken"),
        Sts::NoHost => said("light-slow", "sts-no-host"),
        Sts::Unfetched(failure) => Found { why: reason::said(failure, f.lang), ..said("light-slow", "sts-unfetched") },
        Sts::Off => said("light-fair", "sts-off"),
        Sts::OthersEnforced(hosts) => others("light-slow", "sts-others-enforced", hosts),
        Sts::OthersInTest(hosts) => others("light-amber", "sts-others-testing", hosts),
        Sts::Testing => said("light-fair", "sts-testing"),
        Sts::Fine => said("light-green", "sts-fine"),
    }
}

/// The command line waits for a minute, as who sends does (RFC 8461 §3.3); nobody does so in front of a page.
const LOOK_MAX: Duration = Duration::from_secs(6);
