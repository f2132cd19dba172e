//! Two nodes that exchange their keys, as their administrators do it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::node::Node;
use crate::wait::wait_until;

/// The section of a node whose HTTP door is there, with all waits short and no canaries.
pub fn federation(http: SocketAddr) -> String {
    format!(
        "[federation]\nurl = \"http://{http}/fed/v1\"\nseal_after = \"1s\"\nhold_down = \"1s\"\npoll = \"1s\"\n\
         head_wait = \"1s\"\ncanary_share = 0.0\n"
    )
}

/// `b` asks, `a` accepts, and both know.
pub fn peer(a: &Node, b: &Node) {
    let invited = b.ask(&["peer", "invite", &format!("http://{}/fed/v1", a.http())]);
    let asking = &a.ask(&["peer", "list"])["peers"][0];
    assert_eq!(asking["fingerprint"], invited["own_fingerprint"], "what is compared by voice");
    let name = asking["name"].as_str().unwrap().to_owned();
    a.ask(&["peer", "accept", "--yes", &name]);
    for node in [a, b] {
        wait_until("the peering stands", Duration::from_secs(20), || {
            node.ask(&["peer", "list"])["peers"][0]["state"] == "accepted"
        });
    }
}
