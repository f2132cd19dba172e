//! `/metrics`: what Prometheus itself says of it, who may read it, and whether its page names what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::calls::call;
use crate::client::send;
use crate::node::{Node, said};
use crate::programs::program;
use crate::sink::Sink;
use crate::wait::wait_until;

fn node(sink: &Sink) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1/32\"]\n\
         [http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nsmarthost = \"{}\"\n",
        sink.address
    ))
}

#[test]
fn prometheus_finds_nothing_wrong_with_the_metrics_and_nobody_is_in_them() {
    let sink = Sink::start();
    let node = node(&sink);
    send(node.smtp(), "anna@asso.example", &["jean@x.example", "marie@x.example"], "x");
    let delivered = "sm2tp_happenings_total{kind=\"delivered\",cause=\"\",stream=\"personal\"} 2\n";
    let mut text = String::new();
    wait_until("both deliveries are counted", Duration::from_secs(20), || {
        text = call(node.http(), "GET", "/metrics").send().body;
        text.contains(delivered)
    });
    for name in ["anna", "jean", "marie", "@", "x.example"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    let mut promtool = Command::new(program("promtool"));
    let checked = said(promtool.args(["check", "metrics"]), &text);
    assert_eq!((checked.exit, &checked.stdout[..], &checked.stderr[..]), (0, "", ""), "{text}");
    let families = |text: &str| {
        text.lines()
            .filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let table = page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let named: BTreeSet<String> =
        table.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    assert_eq!(families(&text), named, "docs/metrics.md names what /metrics says");
}

#[test]
fn metrics_are_for_the_machine_itself_and_not_for_what_a_proxy_passes_on() {
    let mut node = Node::prepare("hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n");
    node.serve();
    let asked = || call(node.http(), "GET", "/metrics");
    assert_eq!(asked().send().status, 200);
    assert_eq!(asked().header("X-Forwarded-For", "192.0.2.1").send().status, 403);
    assert_eq!(asked().header("Host", "metrics.evil.example").send().status, 403);
    let closed = "hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\nmetrics_from = []\n";
    let node = Node::start(closed);
    assert_eq!(call(node.http(), "GET", "/metrics").send().status, 403);
}

#[test]
fn the_alert_rules_say_what_they_should_and_the_dashboard_asks_for_what_there_is() {
    let folder = root().join("contrib/prometheus");
    let check = |args: &[&str]| said(Command::new(program("promtool")).args(args).current_dir(&folder), "");
    let checked = check(&["check", "rules", "sm2tp.rules.yml"]);
    assert_eq!(checked.exit, 0, "{}{}", checked.stdout, checked.stderr);
    let tested = check(&["test", "rules", "sm2tp.rules.test.yml"]);
    assert_eq!(tested.exit, 0, "{}{}", tested.stdout, tested.stderr);
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    for file in ["contrib/grafana/sm2tp.json", "contrib/prometheus/sm2tp.rules.yml"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in
            text.split(|c| !is_name(c)).filter(|word| word.starts_with("sm2tp_") || word.starts_with("process_"))
        {
            assert!(page.contains(&format!("`{word}`")), "{file} asks for {word}, which there is not");
        }
    }
    let dashboard = std::fs::read_to_string(root().join("contrib/grafana/sm2tp.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
