//! Alerts: a person is told by mail and a program by webhook, once; what cannot be told brings about nothing more.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::send;
use crate::mta::Postfix;
use crate::node::Node;
use crate::programs::program;
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

/// Somebody else's program that is called: it checks each signature by itself and writes down what came.
struct Receiver {
    folder: Folder,
    port: String,
    child: Child,
}

impl Receiver {
    fn start() -> Self {
        let folder = Folder::new("receiver");
        let calls = folder.join("calls").display().to_string();
        let mut child = Command::new(program("python3"))
            .args(["-c", RECEIVER, SECRET, &calls])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { folder, port: port.trim().to_owned(), child }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn secret_file(&self) -> PathBuf {
        let file = self.folder.write("secret", &format!("whsec_{SECRET}\n"));
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// What came to a path, in order.
    fn calls(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        calls.filter(|call| call["path"] == path).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn admins() -> Postfix {
    Postfix::with_files(
        "mx.admin.test",
        "virtual_mailbox_domains = admin.test\nvirtual_mailbox_base = {dir}/mail\n\
         virtual_mailbox_maps = texthash:{dir}/users\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n",
        &[("users", "anna@admin.test anna/\n")],
    )
}

/// `alerts` stands in the section.
fn config(sink: &Sink, admins: &Postfix, alerts: &str) -> String {
    format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ \"refusing.test\" = \"{0}\", \"dead.test\" = \"{0}\", \"admin.test\" = \"{1}\" }}\n\
         [alerts]\n{alerts}",
        sink.address, admins.address
    )
}

#[test]
fn an_exit_that_is_listed_is_told_once_and_signed_also_after_a_restart() {
    let sink = Sink::with(|to| {
        let refusal = match to.ends_with("@refusing.test") {
            true => {
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using lists.example; \
                     https://lists.example/query/192.0.2.1"
            }
            false => "550 5.1.1 User unknown",
        };
        Some(refusal.to_owned())
    });
    let (admins, receiver) = (admins(), Receiver::start());
    let webhook = format!("{{ url = \"{}\", secret_file = {:?} }}", receiver.url("/hook"), receiver.secret_file());
    let who = "mail = [\"anna@admin.test\", \"nobody@dead.test\"]\n";
    let mut node = Node::start(&config(&sink, &admins, &format!("{who}webhook = [{webhook}]\nlanguage = \"fr\"\n")));
    let long = Duration::from_secs(60);

    send(node.smtp(), "", &["x@refusing.test"], "one");
    wait_until("a person and a program are told", long, || {
        admins.mailbox("anna").len() == 1 && receiver.calls("/hook").len() == 2
    });
    let mail = &admins.mailbox("anna")[0];
    assert!(mail.contains("Return-Path: <>") && mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    assert!(
        mail.contains("https://lists.example/query/192.0.2.1") && mail.contains("Cette page dit pourquoi"),
        "{mail}"
    );
    assert!(!mail.contains("x@refusing.test"), "{mail}");
    // The first call got a 503: the second is the same message, signed anew.
    let calls = receiver.calls("/hook");
    assert_eq!((&calls[0]["valid"], &calls[1]["valid"]), (&true.into(), &true.into()), "{calls:?}");
    assert_eq!(calls[0]["id"], calls[1]["id"]);
    let event = &calls[1]["event"];
    assert_eq!((&event["type"], &event["data"]["turn"]), (&"alert.opened".into(), &"opened".into()));
    assert_eq!(event["data"]["finding"]["link"], "https://lists.example/query/192.0.2.1");

    // The mail that nobody takes is given up without a word to anybody, and is no incident.
    wait_until("the other alert is given up", long, || node.queue().iter().all(|mail| mail["domain"] != "dead.test"));
    assert!(node.terminate(long).0.success());
    node.serve();
    send(node.smtp(), "", &["y@refusing.test"], "two");
    wait_until("it is the same incident", long, || {
        node.ask(&["queue", "retry", "--all"]);
        node.ask(&["alerts", "list"])["incidents"][0]["finding"]["count"].as_u64() >= Some(2)
    });
    let listed = node.ask(&["alerts", "list"]);
    assert_eq!((listed["incidents"].as_array().unwrap().len(), &listed["not_taken"]), (1, &Value::Array(vec![])));
    assert_eq!((admins.mailbox("anna").len(), receiver.calls("/hook").len()), (1, 2));
    let told = node.run(&["alerts", "list"]).stdout;
    assert!(told.contains("refuses this node's address: since ") && told.contains("  told at "), "{told}");
}

#[test]
fn a_test_says_who_was_told_and_follows_nobody_elsewhere() {
    let (sink, admins, receiver) = (Sink::start(), admins(), Receiver::start());
    let secret = receiver.secret_file();
    let webhook = |path| format!("{{ url = \"{}\", secret_file = {secret:?} }}", receiver.url(path));
    let all = format!(
        "mail = [\"anna@admin.test\"]\nwebhook = [{}, {}, {}]\n",
        webhook("/ok"),
        webhook("/elsewhere"),
        webhook("/gone")
    );
    let node = Node::start(&config(&sink, &admins, &all));
    let said = node.run(&["alerts", "test", "--json"]);
    let tried: Vec<Value> = serde_json::from_str(&said.stdout).unwrap();
    let ok: Vec<&Value> = tried.iter().map(|tried| &tried["ok"]).collect();
    assert_eq!(ok, [true, true, false, false], "{tried:?}");
    assert_eq!(said.exit, 69, "somebody was not told");
    assert!(tried[2]["said"].as_str().unwrap().contains("not followed"), "{tried:?}");
    assert_eq!(receiver.calls("/ok").len(), 1, "a redirect leads nowhere");
    assert_eq!(receiver.calls("/ok")[0]["event"]["type"], "alert.test");
    assert_eq!(receiver.calls("/ok")[0]["valid"], true);
    wait_until("the mail arrives", Duration::from_secs(30), || admins.mailbox("anna").len() == 1);
    assert!(admins.mailbox("anna")[0].contains("[relay.example.org] This is a test"));
    let told = node.run(&["alerts", "list"]).stdout;
    assert!(told.starts_with("Nothing is wrong, as far as this node knows."), "{told}");

    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let check = node.run(&["check"]);
    assert_eq!(check.exit, 78);
    assert!(
        check.stderr.contains("others may read it (mode 0644)") && check.stderr.contains("webhook = ["),
        "{}",
        check.stderr
    );
}

/// 24 octets in base64.
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Checks `webhook-signature` with Python's own hmac, as standardwebhooks.com describes it.
const RECEIVER: &str = r#"
import base64, hashlib, hmac, http.server, json, sys, time
secret, calls = base64.b64decode(sys.argv[1]), sys.argv[2]
seen = set()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        mid, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = b"%s.%s.%s" % (mid.encode(), at.encode(), body)
        want = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        valid = hmac.compare_digest(want, self.headers["webhook-signature"]) and abs(time.time() - int(at)) < 300
        call = {"path": self.path, "id": mid, "valid": valid, "event": json.loads(body)}
        with open(calls, "a") as f: f.write(json.dumps(call) + "\n")
        first = self.path == "/hook" and self.path not in seen
        seen.add(self.path)
        self.send_response({"/elsewhere": 302, "/gone": 410}.get(self.path, 503 if first else 204))
        if self.path == "/elsewhere": self.send_header("location", "/ok")
        self.send_header("content-length", "0")
        self.end_headers()
    do_GET = do_POST
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;
