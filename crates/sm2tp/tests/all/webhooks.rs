//! Webhooks of organisations and the live tail: what became of mail is told, signed, again where it was not taken, and to nobody
//! else.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::calls::call;
use crate::node::Node;
use crate::programs::program;
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

/// Somebody's program that is called, says what its path tells it to say, and writes down what came.
struct Receiver {
    folder: Folder,
    port: String,
    child: Child,
}

impl Receiver {
    fn start() -> Self {
        let folder = Folder::new("receiver");
        let calls = folder.join("calls").display().to_string();
        let mut child =
            Command::new(program("python3")).args(["-c", RECEIVER, &calls]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { folder, port: port.trim().to_owned(), child }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn calls(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        let calls = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        calls.filter(|call| call["path"] == path).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers with the status that stands first in the path.
const RECEIVER: &str = r#"
import sys, json, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        with open(sys.argv[1], "a") as calls:
            calls.write(json.dumps({"path": self.path, "body": json.loads(body), "raw": body, "id": self.headers["webhook-id"],
                "at": self.headers["webhook-timestamp"], "signature": self.headers["webhook-signature"]}) + "\n")
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// What the Standard Webhooks say, in another language than ours.
const VERIFY: &str = r#"
import sys, base64, hashlib, hmac
secret, id, at, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix("whsec_"))
print("v1," + base64.b64encode(hmac.new(key, f"{id}.{at}.{body}".encode(), hashlib.sha256).digest()).decode())
"#;

fn node(sink: &Sink, more: &str) -> Node {
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[http]\nlisten = [\"127.0.0.1:0\"]\n{more}\
         [relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    for org in ["asso", "other"] {
        node.ask(&["org", "add", org, "--domain", &format!("{org}.example")]);
    }
    node
}

fn token(node: &Node, org: &str) -> String {
    let made = node.ask(&["token", "new", "shop", "--role", "org-administrator", "--org", org, "--scope", "all"]);
    made["secret"].as_str().unwrap().to_owned()
}

#[track_caller]
fn send(node: &Node, token: &str, from: &str, to: &[&str]) {
    let mail = json!({ "from": from, "to": to, "text": "hello" });
    call(node.http(), "POST", "/api/v1/mails").token(token).json(&mail).send().json(202);
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn what_became_of_mail_is_told_signed_to_its_org_and_again_when_it_was_not_taken() {
    let sink = Sink::with(|to| to.starts_with("gone").then(|| "550 5.1.1 no such user".to_owned()));
    let node = node(&sink, "private_webhooks = [\"127.0.0.1/32\"]\n");
    let receiver = Receiver::start();
    let (own, other) = (token(&node, "asso"), token(&node, "other"));
    let new = |token: &str, url: &str, org: &str| {
        let wanted = json!({ "org": org, "url": url });
        call(node.http(), "POST", "/api/v1/webhooks").token(token).json(&wanted).send()
    };
    let made = new(&own, &receiver.url("/200/own"), "asso").json(201);
    new(&other, &receiver.url("/200/other"), "other").json(201);
    let broken = new(&own, &receiver.url("/503/own"), "asso").json(201)["webhook"]["id"].as_str().unwrap().to_owned();
    assert_eq!(new(&own, &receiver.url("/200/x"), "other").status, 404);
    assert_eq!(new(&own, "https://10.0.0.1/", "asso").status, 422);
    send(&node, &own, "shop@asso.example", &["jean@x.example", "gone@x.example"]);
    wait_until("both are told", PATIENCE, || receiver.calls("/200/own").len() == 2);
    let calls = receiver.calls("/200/own");
    let of = |kind: &str| calls.iter().find(|call| call["body"]["type"] == kind).unwrap().clone();
    let bounced = of("mail.bounced");
    let data = &bounced["body"]["data"];
    assert_eq!(
        (&data["recipient"], &data["bounce"]["type"], &data["bounce"]["code"]),
        (&json!("gone@x.example"), &json!("permanent"), &json!(550))
    );
    assert_eq!(of("mail.delivered")["body"]["data"]["recipient"], "jean@x.example");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let args = [text(&made["secret"]), text(&bounced["id"]), text(&bounced["at"]), text(&bounced["raw"])];
    let signed = Command::new(program("python3")).args(["-c", VERIFY]).args(&args).output().unwrap();
    assert_eq!(String::from_utf8(signed.stdout).unwrap().trim(), bounced["signature"]);
    // The other org heard nothing; the broken one waits, and comes again with the same id.
    assert!(receiver.calls("/200/other").is_empty());
    wait_until("the broken one was called again", PATIENCE, || {
        let calls = receiver.calls("/503/own");
        calls.iter().enumerate().any(|(at, call)| calls[..at].iter().any(|before| before["id"] == call["id"]))
    });
    let listed = node.ask(&["webhook", "list", "--org", "asso"]);
    let waits = |id: &str| listed.as_array().unwrap().iter().find(|hook| hook["id"] == id).unwrap()["waiting"].clone();
    assert_eq!((waits(&broken), waits(made["webhook"]["id"].as_str().unwrap())), (json!(2), json!(0)));
    assert_eq!(call(node.http(), "GET", &format!("/api/v1/webhooks/{broken}/dead")).token(&other).send().status, 404);
    node.ask(&["webhook", "remove", &broken]);
}

#[test]
fn without_a_word_in_the_configuration_this_machine_is_never_called() {
    let node = node(&Sink::start(), "");
    let receiver = Receiver::start();
    for url in
        [receiver.url("/200"), receiver.url("/200").replace("127.0.0.1", "localhost"), "https://[::1]/".to_owned()]
    {
        let said = node.run(&["webhook", "new", &url, "--org", "asso"]);
        assert_eq!(said.exit, 65, "{url}: {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn the_live_tail_shows_what_happens_to_who_may_see_it_and_no_recipient() {
    let node = node(&Sink::start(), "");
    let (own, other) = (token(&node, "asso"), token(&node, "other"));
    let mut stream = TcpStream::connect(node.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/v1/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().starts_with("HTTP/1.1 200"));
    assert!(lines.any(|line| line.starts_with(": the live tail")));
    send(&node, &other, "anna@other.example", &["marie@y.example"]);
    send(&node, &own, "shop@asso.example", &["jean@x.example"]);
    let mut seen = Vec::new();
    for line in lines {
        seen.push(line.clone());
        if line.contains("\"kind\":\"delivered\"") {
            break;
        }
    }
    let text = seen.join("\n");
    assert!(text.contains("\"domain\":\"x.example\"") && text.contains("event: happening"), "{text}");
    assert!(!text.contains("jean") && !text.contains("y.example"), "{text}");
    assert_eq!(call(node.http(), "GET", "/api/v1/tail?org=other").token(&own).send().status, 404);
}
