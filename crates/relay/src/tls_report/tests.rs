//! Reports as they are written, and as they are sent: over midnight, to a web server that this test did not write.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use flate2::read::GzDecoder;
use sm2tp_proto::Domain;
use sm2tp_rules::tls::{Asked, Sts};
use sm2tp_store::exits::Paused;

use super::*;
use crate::connection::Patience;
use crate::dns::{IpUse, Trust};
use crate::exits::{Exit, Exits};
use crate::opening::{Broken, Opener, Wish};
use crate::route::{FoundBy, MxHost, Own, Site};
use crate::sts::Policies;
use crate::tally::Kind;
use crate::testing::Zone;
use crate::tls::{TlsClient, TlsUse};

fn counts() -> Vec<Counts> {
    let policy = Policy {
        kind: Kind::Sts,
        text: vec!["version: STSv1".into(), "mode: testing".into()],
        hosts: vec!["*.mail.company-y.example".into()],
    };
    let failure = Failure {
        kind: "certificate-expired".into(),
        host: Some("mx1.mail.company-y.example".into()),
        ip: Some("192.0.2.7".parse().unwrap()),
        from: Some("2001:db8::1".parse().unwrap()),
    };
    vec![Counts { policy, good: 5326, bad: 100, failures: vec![(failure, 100)] }]
}

fn unzipped(octets: &[u8]) -> Value {
    let mut text = String::new();
    GzDecoder::new(octets).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_report_reads_as_the_example_of_the_rfc() {
    let report = report("relay.example.org", "company-y.example", 16_892, &counts());
    let want = json!({
        "organization-name": "relay.example.org",
        "date-range": { "start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z" },
        "contact-info": "postmaster@relay.example.org",
        "report-id": "16892.company-y.example@relay.example.org",
        "policies": [{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing"],
                "policy-domain": "company-y.example",
                "mx-host": ["*.mail.company-y.example"],
            },
            "summary": { "total-successful-session-count": 5326, "total-failure-session-count": 100 },
            "failure-details": [{
                "result-type": "certificate-expired",
                "sending-mta-ip": "2001:db8::1",
                "receiving-mx-hostname": "mx1.mail.company-y.example",
                "receiving-ip": "192.0.2.7",
                "failed-session-count": 100,
            }],
        }],
    });
    assert_eq!(unzipped(&report.zipped), want);
    assert_eq!(report.name, "relay.example.org!company-y.example!1459468800!1459555199.json.gz");
}

#[test]
fn the_mail_says_what_it_is_and_must_not_be_stopped_by_broken_tls() {
    let report = report("relay.example.org", "company-y.example", 16_892, &counts());
    let mail = mail("relay.example.org", &Address::parse("tls@company-y.example").unwrap(), &report, 1_459_560_000);
    assert!(mail.is_report && mail.mail_from.is_none());
    // Header lines may be folded.
    let text = String::from_utf8(mail.content.to_vec()).unwrap().replace("\r\n\t", " ").replace("\r\n ", " ");
    for line in [
        "TLS-Report-Domain: company-y.example\r\n",
        "TLS-Report-Submitter: relay.example.org\r\n",
        "TLS-Required: No\r\n",
        "report-type=\"tlsrpt\"",
        "application/tlsrpt+gzip",
        "Report Domain: company-y.example",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// An HTTPS server: prints its port, then a line for each POST, which it answers with the codes of its arguments in turn, and
/// with 200 after the last one.
const SERVER: &str = r#"
import http.server, json, ssl, sys
codes = [int(code) for code in sys.argv[2:]]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(json.dumps({"path": self.path, "type": self.headers["Content-Type"], "host": self.headers["Host"],
                          "body": body.hex()}), flush=True)
        self.send_response(codes.pop(0) if codes else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

struct Web {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Web {
    /// With the certificate and key in this file.
    fn start(pem: &str, codes: &[&str]) -> Self {
        let mut python = Command::new("/usr/bin/python3");
        let python = python.args(["-c", SERVER, pem]).args(codes).stdout(Stdio::piped()).spawn();
        let mut process = python.expect("apt-get install python3");
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut web = Self { process, said, port: 0 };
        web.port = web.line().parse().unwrap();
        web
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn asked(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The report that a request brought.
fn posted(request: &Value) -> Value {
    let text = request["body"].as_str().unwrap();
    let octet = |at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    unzipped(&(0..text.len() / 2).map(octet).collect::<Vec<u8>>())
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sm2tp-tlsrpt-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A certificate for reports.test with its key, in one file.
    fn certificate(&self) -> PathBuf {
        let (both, key) = (self.0.join("both.pem"), self.0.join("key.pem"));
        let what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=reports.test \
                    -addext subjectAltName=DNS:reports.test -addext basicConstraints=critical,CA:FALSE";
        let mut openssl = Command::new("openssl");
        let openssl = openssl.args(what.split_whitespace()).arg("-keyout").arg(&key).arg("-out").arg(&both);
        assert!(openssl.output().expect("apt-get install openssl").status.success());
        fs::write(&both, [fs::read(&both).unwrap(), fs::read(&key).unwrap()].concat()).unwrap();
        both
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What counts and sends, with its counts in the folder, and who hears of mails.
fn desk(folder: &Folder, roots: Option<&PathBuf>, zone: Zone, counting: &Counting) -> (Desk, mpsc::Receiver<News>) {
    let (to_runner, heard) = mpsc::channel(10);
    let courier = Courier {
        dns: zone.serve(Trust::Nothing, IpUse::V4First),
        tls: TlsClient::new(roots.map(PathBuf::as_path)).unwrap().certified,
        reach: Reach::public_and(|address| address.is_loopback()),
        hostname: "relay.example.org".to_owned(),
        spool: Spool::open(&folder.0.join("spool"), "tlsrpt").unwrap(),
        to_runner,
    };
    let tally = counting.0.clone().unwrap();
    (Desk { tally, file: Some(folder.0.join("counts")), late_s: LATE_S, courier }, heard)
}

fn session(counting: &Counting, now: u64, domain: &str, bad: bool) {
    let failure = Failure {
        kind: "certificate-host-mismatch".into(),
        host: Some(format!("mx.{domain}")),
        ip: Some("192.0.2.7".parse().unwrap()),
        from: Some("192.0.2.1".parse().unwrap()),
    };
    let policy = || Policy { kind: Kind::None, text: Vec::new(), hosts: Vec::new() };
    counting.count_at(now, domain, policy, bad.then_some(failure));
}

fn on_day(counting: &Counting, day: u64) {
    *counting.0.as_ref().unwrap().lock().unwrap() = Tally::new(day);
}

/// An hour after midnight the reports go out.
const LATE_S: u64 = 3600;
/// 2026-11-25.
const DAY: u64 = 20_782;

#[tokio::test]
async fn a_day_is_posted_after_it_is_over_and_until_somebody_takes_it() {
    let folder = Folder::new("posted");
    let pem = folder.certificate();
    let mut web = Web::start(pem.to_str().unwrap(), &["503", "500"]);
    let port = web.port;
    let zone = || {
        Zone::default()
            .text("_smtp._tls.site.test", &format!("v=TLSRPTv1; rua=https://reports.test:{port}/v1/tls?a=b"))
            .ip("reports.test", "127.0.0.1")
    };
    let file = folder.0.join("counts");
    let counting = Counting::new(TlsReports::On, Some(&file));
    on_day(&counting, DAY);
    let (first, _heard) = desk(&folder, Some(&pem), zone(), &counting);
    let midnight = (DAY + 1) * DAY_S;
    session(&counting, midnight - 7200, "site.test", false);
    session(&counting, midnight - 3600, "site.test", true);
    session(&counting, midnight - 3600, "silent.test", true);
    // The day is not over.
    first.look(midnight - 2).await;
    session(&counting, midnight - 1, "site.test", true);
    // It is, and what comes now belongs to the next one, though nothing was sent yet.
    session(&counting, midnight, "site.test", false);
    first.look(midnight + LATE_S - 1).await;
    first.look(midnight + LATE_S).await;
    assert_eq!(web.asked()["path"], "/v1/tls?a=b");
    first.look(midnight + LATE_S + 599).await;
    first.look(midnight + LATE_S + 600).await;
    web.asked();
    drop(first);

    // A restart in between forgets nothing.
    let again = Counting::new(TlsReports::On, Some(&file));
    let (second, _heard) = desk(&folder, Some(&pem), zone(), &again);
    second.look(midnight + LATE_S + 1800).await;
    let asked = web.asked();
    assert_eq!(asked["type"], "application/tlsrpt+gzip");
    assert_eq!(asked["host"], format!("reports.test:{}", web.port));
    let report = posted(&asked);
    let range = json!({ "start-datetime": "2026-11-25T00:00:00Z", "end-datetime": "2026-11-25T23:59:59Z" });
    assert_eq!(report["date-range"], range);
    assert_eq!(report["report-id"], "20782.site.test@relay.example.org");
    let summary = json!({ "total-successful-session-count": 1, "total-failure-session-count": 2 });
    assert_eq!(report["policies"][0]["summary"], summary);
    let details = json!([{
        "result-type": "certificate-host-mismatch",
        "sending-mta-ip": "192.0.2.1",
        "receiving-mx-hostname": "mx.site.test",
        "receiving-ip": "192.0.2.7",
        "failed-session-count": 2,
    }]);
    assert_eq!(report["policies"][0]["failure-details"], details);
    // Taken: it is not sent again. The next day has what came after.
    second.look(midnight + LATE_S + DAY_S / 2).await;
    second.look(midnight + LATE_S + DAY_S).await;
    let report = posted(&web.asked());
    assert_eq!(report["date-range"]["start-datetime"], "2026-11-26T00:00:00Z");
    assert_eq!(report["policies"][0]["summary"]["total-successful-session-count"], 1);
}

#[tokio::test]
async fn the_first_place_that_takes_a_report_gets_it_and_nobody_waits_for_ever() {
    let folder = Folder::new("places");
    let pem = folder.certificate();
    let mut web = Web::start(pem.to_str().unwrap(), &["404"; 20]);
    let zone = Zone::default()
        .text(
            "_smtp._tls.both.test",
            &format!("v=TLSRPTv1; rua=https://reports.test:{}/,mailto:tls@both.test", web.port),
        )
        .text("_smtp._tls.web.test", &format!("v=TLSRPTv1; rua=https://reports.test:{}/web", web.port))
        // Nobody vouches for this name.
        .text("_smtp._tls.forged.test", &format!("v=TLSRPTv1; rua=https://other.test:{}/forged", web.port))
        .failing("_smtp._tls.broken.test")
        .ip("other.test", "127.0.0.1")
        .ip("reports.test", "127.0.0.1");
    let counting = Counting::new(TlsReports::On, None);
    on_day(&counting, DAY);
    let (desk, mut heard) = desk(&folder, Some(&pem), zone, &counting);
    for domain in ["both.test", "web.test", "forged.test", "broken.test"] {
        session(&counting, (DAY + 1) * DAY_S - 1, domain, true);
    }
    let mut posts = 0;
    // A look each five minutes, for two days.
    for look in 0..576 {
        desk.look((DAY + 1) * DAY_S + LATE_S + look * 300).await;
    }
    let left = desk.with(|tally| tally.due(u64::MAX));
    assert_eq!(left, None, "all are sent or given up");
    while posts < 9 {
        let path = web.asked()["path"].clone();
        assert!(path == "/" || path == "/web", "{path}");
        posts += 1;
    }
    let Some(News::Mail(queued, _)) = heard.recv().await else { panic!("no mail") };
    assert!(heard.try_recv().is_err(), "one mail");
    assert!(queued.mail.is_report && queued.mail.mail_from.is_none());
    let content = desk.courier.spool.content(queued.mail.id).await.unwrap();
    let text = String::from_utf8(content).unwrap();
    assert!(text.contains("TLS-Report-Domain: both.test\r\n") && text.contains("application/tlsrpt+gzip"), "{text}");
    drop(desk);
    web.process.kill().unwrap();
    assert_eq!(web.line(), "", "eight tries and the one before the mail, and no more");
}

#[tokio::test]
async fn a_report_never_goes_behind_this_machine_whatever_the_place_is_called() {
    let folder = Folder::new("behind");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut zone = Zone::default()
        .ip("four.test", "127.0.0.1")
        .ip("six.test", "::1")
        .ip("mapped.test", "::ffff:127.0.0.1")
        .ip("inside.test", "10.0.0.1")
        .alias("alias.test", "four.test");
    let places = [
        "four.test",
        "six.test",
        "mapped.test",
        "inside.test",
        "alias.test",
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ];
    for (number, place) in places.iter().enumerate() {
        zone = zone.text(&format!("_smtp._tls.d{number}.test"), &format!("v=TLSRPTv1; rua=https://{place}:{port}/"));
    }
    let counting = Counting::new(TlsReports::On, None);
    let (mut desk, _heard) = desk(&folder, None, zone, &counting);
    desk.courier.reach = Reach::public_and(|_| false);
    on_day(&counting, DAY);
    for number in 0..places.len() {
        session(&counting, DAY * DAY_S, &format!("d{number}.test"), true);
    }
    let now = (DAY + 1) * DAY_S;
    desk.with(|tally| tally.turn(DAY + 1));
    let mut tried = 0;
    while let Some(unsent) = desk.with(|tally| tally.due(now)) {
        let sent = desk.courier.send(&unsent, now).await;
        assert!(sent.as_ref().is_err_and(|why| why.contains("public address")), "{}: {sent:?}", unsent.domain);
        desk.with(|tally| tally.done(&unsent));
        tried += 1;
    }
    assert_eq!(tried, places.len());
    assert!(listener.accept().is_err(), "nobody called");
}

/// A server that reads a line before each of these answers but the first, hangs up after the last, and serves each list on a
/// connection of its own.
fn server(connections: &'static [&'static [&'static str]]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for answers in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream);
            for (number, answer) in answers.iter().enumerate() {
                if 0 < number {
                    lines.read_line(&mut String::new()).unwrap();
                }
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    port
}

/// What is counted when mx.old.test is met: whether that came about, and the one failure.
async fn counted(tls_use: TlsUse, port: u16) -> (bool, Failure) {
    let dns = Zone::default().ip("mx.old.test", "127.0.0.1").serve(Trust::Nothing, IpUse::V4First);
    let (tls, counting) = (TlsClient::new(None).unwrap(), Counting::new(TlsReports::On, None));
    let exit = Exit {
        name: "main".into(),
        addresses: vec![OURS.into()],
        hello: "relay.example.org".into(),
        weight: 1,
        orgs: Vec::new(),
        streams: Vec::new(),
    };
    let patience = Duration::from_secs(10);
    let opener = Opener {
        dns,
        policies: Policies::open(None, tls.certified.clone(), Reach::public_and(|_| true)),
        tls,
        tls_use,
        patience: Patience { connect: patience, answer: patience },
        exits: Exits::new(vec![exit], Paused::open(Path::new("/nowhere")).unwrap()),
        broken: Broken::default(),
        counting: counting.clone(),
        own: Own::default(),
    };
    let host = MxHost { name: "mx.old.test".into(), rank: 0, sts: Sts::Absent };
    let site = Site::found(vec![host], port, FoundBy::Dns);
    let domain = Domain::parse("old.test").unwrap();
    let exits = opener.exits.order("local", Stream::Personal);
    let wish = Wish { domain: &domain, asked: Asked::Nothing, exits: &exits };
    let is_open = opener.open(&site, wish).await.is_ok();
    let mut tally = counting.0.as_ref().unwrap().lock().unwrap();
    let tomorrow = tally.day + 1;
    tally.turn(tomorrow);
    let counts = tally.due(tomorrow * DAY_S).unwrap().counts;
    let [(failure, 1)] = &counts[0].failures[..] else { panic!("{counts:?}") };
    (is_open, failure.clone())
}

const OURS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

#[tokio::test]
async fn a_failure_is_counted_with_its_kind_and_both_ends_of_its_connection() {
    let failure = |kind: &str| Failure {
        kind: kind.to_owned(),
        host: Some("mx.old.test".to_owned()),
        ip: Some(Ipv4Addr::LOCALHOST.into()),
        from: Some(OURS.into()),
    };
    const PLAIN: &[&str] = &["220 mx.old.test\r\n", "250 mx.old.test\r\n"];
    // It offers TLS and hangs up in the handshake, and takes mail in clear after that.
    const BROKEN: &[&str] = &["220 mx.old.test\r\n", "250-mx.old.test\r\n250 STARTTLS\r\n", "220 go on\r\n"];
    let strict = counted(TlsUse::Required, server(&[PLAIN])).await;
    assert_eq!(strict, (false, failure("starttls-not-supported")));
    let open = counted(TlsUse::Opportunistic, server(&[PLAIN])).await;
    assert_eq!(open, (true, failure("starttls-not-supported")));
    let broken = counted(TlsUse::Opportunistic, server(&[BROKEN, PLAIN])).await;
    assert_eq!(broken, (true, failure("validation-failure")));
}
