//! The local API, from each language that has a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::Node;
use crate::programs::run;
use crate::wait::{Folder, wait_until};

const LONG: Duration = Duration::from_secs(30);

#[path = "../../examples/local.rs"]
#[expect(dead_code, reason = "the example is a program, too")]
mod client;

fn interop(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/local").join(name).display().to_string()
}

fn node(folder: &Folder) -> (Node, PathBuf) {
    let socket = folder.join("local.sock");
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[local]\nlisten = [\"unix:{}\"]\nstream = \"bulk\"\n",
        socket.display()
    ));
    (node, socket)
}

#[test]
fn what_a_program_says_it_was_told_stops_the_next_mail_in_every_language() {
    let folder = Folder::new("local");
    let (mut node, socket) = node(&folder);
    let ask = |call: Value| client::ask(&socket, &call).unwrap();
    let may_i = |who: &str| ask(json!({ "may_i": { "recipient": who, "sender": "news@asso.test", "login": "lists" } }));
    assert_eq!(may_i("gone@dest.test"), json!({ "answer": "yes" }));
    let text = "550 5.1.1 <gone@dest.test>: Recipient address rejected: User unknown";
    let happened = json!({ "happened": {
        "recipient": "gone@dest.test", "result": "bounced", "text": text, "stage": "rcpt", "mx": "mx.dest.test", "login": "lists",
    } });
    let counted = ask(happened);
    assert_eq!(
        (&counted["answer"], &counted["cause"], &counted["fate"]),
        (&json!("counted"), &json!("address"), &json!("final"))
    );
    wait_until("a no", LONG, || may_i("gone@dest.test")["answer"] == "no");
    let no = may_i("gone@dest.test");
    assert_eq!((&no["answer"], &no["code"]), (&json!("no"), &json!(550)), "{no}");
    assert!(no["text"].as_str().unwrap().starts_with("not sent: earlier mail to this address was refused"), "{no}");

    let call =
        json!({ "may_i": { "recipient": "gone@dest.test", "sender": "news@asso.test", "login": "lists" } }).to_string();
    let socket_name = socket.display().to_string();
    for (program, script) in [("python3", "sm2tp_local.py"), ("php", "sm2tp_local.php"), ("sh", "sm2tp-local.sh")] {
        // On a busy machine an answer may come too late, and is a yes then.
        wait_until(program, LONG, || {
            let said = run(program, &[&interop(script), &socket_name, &call], "");
            serde_json::from_str::<Value>(&said).unwrap()["answer"] == "no"
        });
    }
    // A yes releases it again, as a delivery of the node itself would.
    let sent = json!({ "happened": { "recipient": "gone@dest.test", "result": "sent", "text": "250 2.0.0 Ok" } });
    assert_eq!(ask(sent), json!({ "answer": "counted", "cause": null, "fate": null, "rule": null }));
    assert_eq!(may_i("gone@dest.test")["answer"], "yes");

    assert!(client::may_i(&socket, "news@asso.test", "gone@dest.test"));
    node.kill();
    assert!(client::may_i(&socket, "news@asso.test", "gone@dest.test"), "a node that is down stops nothing (I8)");
}

#[test]
fn what_is_no_call_is_told_what_is_wrong_and_the_connection_goes_on() {
    let folder = Folder::new("local");
    let (_node, socket) = node(&folder);
    for (call, wrong) in [
        (json!({ "may_i": { "recipient": "nobody", "sender": "" } }), "\"nobody\" is no address"),
        (json!({ "may_we": {} }), "unknown variant `may_we`"),
        (
            json!({ "happened": { "recipient": "a@dest.test", "result": "bounced", "text": "no" } }),
            "a reply with its code",
        ),
    ] {
        let said = client::ask(&socket, &call).unwrap();
        assert_eq!(said["answer"], "error", "{said}");
        assert!(said["message"].as_str().unwrap().contains(wrong), "{said}");
    }
}
