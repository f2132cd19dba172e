//! What the program says and with which exit code it ends when it cannot do what it was told (sysexits(3)).

use std::net::TcpListener;

use crate::node::{Node, sm2tp};
use crate::wait::{Folder, free_address};

/// Runs `serve` with this configuration, which must fail so; answers with what was said.
#[track_caller]
fn refused(command: &str, text: &str, exit: i32) -> String {
    let folder = Folder::new("config");
    let data = folder.join("data").display().to_string();
    let path = folder.write("sm2tp.toml", &format!("data_dir = {data:?}\n{text}"));
    let said = sm2tp(&[command], &path);
    assert_eq!(said.exit, exit, "{command}: {}{}", said.stdout, said.stderr);
    said.stderr.replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_a_caret() {
    for command in ["serve", "check"] {
        let text = "hostname = \"relay.example.org\"\n[smtp]\nlistne = [\"127.0.0.1:0\"]\n[relay]\n";
        let said = refused(command, text, 78);
        assert!(said.starts_with("FILE:4:1: unknown key `listne` in [smtp]\n"), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[2..4], ["4 | listne = [\"127.0.0.1:0\"]", "  | ^^^^^^"], "{said}");
        assert!(said.contains("did you mean `listen`?"), "{said}");
    }
}

#[test]
fn a_door_that_would_take_mail_for_nobody_is_refused() {
    // A door that takes mail with nobody behind it that delivers.
    assert!(
        refused("serve", "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n", 78)
            .contains("[relay]")
    );
}

#[test]
fn a_missing_file_and_a_missing_host_name_say_what_to_write() {
    let folder = Folder::new("config");
    let said = sm2tp(&["serve"], &folder.join("nothing.toml"));
    assert_eq!(said.exit, 78);
    assert!(said.stderr.contains("nothing.toml"), "{}", said.stderr);
    assert!(refused("check", "", 78).contains("hostname"));
}

#[test]
fn a_certificate_that_is_not_there_is_named_before_anything_listens() {
    let text = "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
        tls_certificate = \"/nowhere/certificate.pem\"\ntls_key = \"/nowhere/key.pem\"\n[relay]\n";
    for command in ["check", "serve"] {
        let said = refused(command, text, 78);
        assert!(said.starts_with("FILE:5:19: `tls_certificate` in [smtp]: /nowhere/certificate.pem: "), "{said}");
        let lines: Vec<_> = said.lines().collect();
        let marked =
            ["5 | tls_certificate = \"/nowhere/certificate.pem\"", "  |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^"];
        assert_eq!(lines[2..4], marked, "{said}");
    }
}

#[test]
fn a_password_file_that_is_not_there_is_shown_with_its_line_and_a_caret() {
    let login = "login = \"us\", password_file = \"/nowhere/password\"";
    for (relay, place) in [
        (format!("smarthost = {{ to = \"smtp://mail.test:587\", {login} }}\n"), "FILE:4:74: "),
        (format!("[relay.routes]\n\"Some.test\" = {{ to = \"smtp://mail.test:587\", {login} }}\n"), "FILE:5:76: "),
    ] {
        for command in ["check", "serve"] {
            let said = refused(command, &format!("hostname = \"relay.example.org\"\n[relay]\n{relay}"), 78);
            assert!(
                said.starts_with(&format!("{place}`password_file` in [relay]: /nowhere/password: No such")),
                "{said}"
            );
            assert!(said.contains("  | ") && said.contains("^^^^^^^^^^^^^^^^^^^\n"), "{said}");
        }
    }
    let said = refused("serve", "hostname = \"a.example\"\n[relay]\ntls_roots = \"/nowhere/roots.pem\"\n", 78);
    assert!(said.starts_with("FILE:4:13: `tls_roots` in [relay]: /nowhere/roots.pem: "), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for section in ["smtp", "http"] {
        let said = refused(
            "serve",
            &format!("hostname = \"a.example\"\n[relay]\n[{section}]\nlisten = [\"{address}\"]\n"),
            69,
        );
        assert!(said.contains(&address.to_string()) && said.contains(section), "{said}");
    }
}

#[test]
fn two_nodes_do_not_share_a_directory() {
    let node = Node::start("hostname = \"relay.example.org\"\n");
    let said = node.run(&["serve"]);
    assert_eq!(said.exit, 75, "{}", said.stderr);
    assert!(said.stderr.contains("another sm2tp"), "{}", said.stderr);
    // The first one goes on.
    assert!(node.queue().is_empty());
}

#[test]
fn a_host_name_is_enough_to_start_and_to_stop() {
    let mut node = Node::start("hostname = \"relay.example.org\"\n");
    let said = node.run(&["check"]);
    assert_eq!((said.exit, said.stderr.as_str()), (0, ""));
    assert!(said.stdout.contains("relay.example.org"), "{}", said.stdout);
    let (status, _) = node.terminate(std::time::Duration::from_secs(10));
    assert!(status.success(), "{status}: {}", node.log());
}

#[test]
fn a_node_comes_back_on_its_ports_at_once() {
    let (smtp, http) = (free_address(), free_address());
    let config = format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"{smtp}\"]\n[http]\nlisten = [\"{http}\"]\n[relay]\n"
    );
    let mut node = Node::start(&config);
    for _ in 0..3 {
        // Somebody is in the middle of a dialogue each time.
        let _client = crate::client::Client::greet(node.smtp()).unwrap();
        node.kill();
        node.serve();
        assert_eq!((node.smtp(), node.http()), (smtp, http));
    }
}

#[test]
fn words_that_are_no_command_are_usage_errors() {
    let folder = Folder::new("config");
    let config = folder.write("sm2tp.toml", "hostname = \"relay.example.org\"\n");
    for words in [&["frobnicate"][..], &["queue", "frobnicate"], &["queue", "show"], &["explain"], &["serve", "--now"]]
    {
        let said = sm2tp(words, &config);
        assert_eq!(said.exit, 64, "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains("Usage:"), "{words:?}: {}", said.stderr);
    }
    let said = sm2tp(&["--help"], &config);
    assert_eq!((said.exit, said.stderr.as_str()), (0, ""));
}
