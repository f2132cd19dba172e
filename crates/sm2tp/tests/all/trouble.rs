//! A machine in trouble, for real: a full disk, no more files, files that may not grow. Mail waits, and then goes on.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, send, try_send};
use crate::node::{Node, said};
use crate::programs::{program, run};
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

/// A small file system in memory; it goes with the value.
struct SmallDisk(Folder);

impl SmallDisk {
    #[track_caller]
    fn new(size: &str) -> Self {
        let folder = Folder::new("disk");
        let at = folder.path().display().to_string();
        let mounted = said(Command::new(program("mount")).args(["-t", "tmpfs", "-o", size, "tmpfs", &at]), "");
        assert_eq!(
            mounted.exit, 0,
            "this test fills a disk of its own and needs to mount it: run the tests as root, in a container with \
             CAP_SYS_ADMIN. mount says: {}",
            mounted.stderr
        );
        Self(folder)
    }

    /// Fills the disk until `free` octets are left; answers with the file that does it.
    fn fill(&self, free: usize) -> Ballast {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).unwrap();
        let piece = vec![b'x'; 4096];
        while file.write_all(&piece).is_ok() {}
        let len = file.metadata().unwrap().len().saturating_sub(free as u64);
        file.set_len(len).unwrap();
        Ballast(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that still has a file there does not keep the next test from starting.
        said(Command::new(program("umount")).arg("-l").arg(self.0.path()), "");
    }
}

struct Ballast(std::path::PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A sink that puts everything off until it is told not to.
fn moody_sink() -> (Sink, Arc<AtomicBool>) {
    let takes = Arc::new(AtomicBool::new(false));
    let asked = takes.clone();
    let sink = Sink::with(move |_| (!asked.load(Ordering::Relaxed)).then(|| "451 4.7.1 Later".to_owned()));
    (sink, takes)
}

fn config(sink: &Sink) -> String {
    format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\nretry_first = \"1s\"\nretry_max = \"2s\"\n",
        sink.address
    )
}

/// Octets that many mails have in all.
fn body(count: usize) -> String {
    format!("Subject: long\r\n\r\n{}", format!("{}\r\n", "x".repeat(78)).repeat(count / 80))
}

#[test]
fn a_full_disk_refuses_new_mail_and_the_queue_goes_on() {
    let disk = SmallDisk::new("size=64m");
    let (sink, takes) = moody_sink();
    let mut node = Node::prepare(&config(&sink));
    symlink(disk.0.path(), node.data()).unwrap();
    node.serve();
    for number in 0..20 {
        send(node.smtp(), "anna@good.test", &[&format!("u{number}@d.test")], "before");
    }
    {
        let _ballast = disk.fill(16 * 1024 * 1024);
        let refused = try_send(node.smtp(), "anna@good.test", &["late@d.test"], "late").unwrap_err().to_string();
        assert!(refused.contains("452 4.3.1"), "{refused}");
        takes.store(true, Ordering::Relaxed);
        // What is left is enough for the results: delivery makes the room that accepting needs.
        node.wait_for_empty_queue();
        assert_eq!(sink.take().len(), 20, "each mail once");
    }
    takes.store(false, Ordering::Relaxed);
    send(node.smtp(), "anna@good.test", &["after@d.test"], "after");
    {
        // To the last octet: now not even results can be recorded, or only some.
        let _ballast = disk.fill(0);
        takes.store(true, Ordering::Relaxed);
        sink.mail_to("after@d.test");
        let refused = try_send(node.smtp(), "anna@good.test", &["late@d.test"], "late").unwrap_err().to_string();
        assert!(refused.contains("452 4.3."), "{refused}");
    }
    node.wait_for_empty_queue();
    send(node.smtp(), "anna@good.test", &["again@d.test"], "again");
    sink.mail_to("again@d.test");
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 2, "nothing twice although results had to wait, and nothing that was refused");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn a_node_starts_on_a_disk_that_is_nearly_full_and_empties_its_queue() {
    let disk = SmallDisk::new("size=64m");
    let (sink, takes) = moody_sink();
    let mut node = Node::prepare(&config(&sink));
    symlink(disk.0.path(), node.data()).unwrap();
    node.serve();
    send(node.smtp(), "anna@good.test", &["bob@d.test"], "before");
    node.kill();
    let _ballast = disk.fill(512 * 1024);
    node.serve();
    takes.store(true, Ordering::Relaxed);
    sink.mail_to("bob@d.test");
    node.wait_for_empty_queue();
    let refused = try_send(node.smtp(), "anna@good.test", &["late@d.test"], "late").unwrap_err().to_string();
    assert!(refused.contains("452 4.3.1"), "{refused}");
}

#[test]
fn a_node_without_free_files_neither_spins_nor_loses_mail() {
    let (sink, takes) = moody_sink();
    let node = Node::start(
        &format!("{}\n", config(&sink))
            .replace("trusted_networks", "connections_per_client_max = 500\nconnections_max = 500\ntrusted_networks"),
    );
    send(node.smtp(), "anna@good.test", &["bob@d.test"], "before");
    let pid = node.pid().to_string();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit(&pid, &format!("--nofile={}:500", files + 20));
    // As many as the backlog takes; most of them are never accepted.
    let crowd: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(node.smtp()).unwrap()).collect();
    wait_until("the files are used up", Duration::from_secs(20), || node.log().contains("could not be accepted"));
    let (began, before) = (Instant::now(), ticks(&pid));
    wait_until("a second passes", Duration::from_secs(10), || Duration::from_secs(1) <= began.elapsed());
    let used = ticks(&pid) - before;
    assert!(used < 50, "{used} hundredths of a second of work in a second of waiting");
    let lines = node.log().lines().filter(|line| line.contains("could not be accepted")).count();
    assert!(lines < 10, "{lines} lines about one trouble:\n{}", node.log());
    drop(crowd);
    wait_until("mail is taken again", Duration::from_secs(20), || {
        try_send(node.smtp(), "anna@good.test", &["after@d.test"], "after").is_ok()
    });
    takes.store(true, Ordering::Relaxed);
    sink.mail_to("after@d.test");
    // Its content could not be read meanwhile: it is tried again after a minute, or when a person says so.
    node.run(&["queue", "retry", "1"]);
    sink.mail_to("bob@d.test");
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 2);
}

#[test]
fn a_file_that_may_not_grow_refuses_the_mail_and_keeps_the_others() {
    let (sink, takes) = moody_sink();
    let node = Node::start(&config(&sink));
    let first = body(3_000_000);
    let mail = |to: &str, content: &str| -> std::io::Result<()> {
        let mut client = Client::greet(node.smtp())?;
        client.mail("anna@good.test", &[to], content).map(drop)
    };
    mail("one@d.test", &first).unwrap();
    // The second one fits in part: the write is cut short by the system itself.
    let pid = node.pid().to_string();
    limit(&pid, "--fsize=4194304:unlimited");
    let refused = mail("two@d.test", &first).unwrap_err().to_string();
    assert!(refused.contains("452 4.3.1"), "{refused}");
    mail("three@d.test", &body(500_000)).expect("a small one still fits");
    limit(&pid, "--fsize=unlimited:unlimited");
    mail("four@d.test", &first).unwrap();
    takes.store(true, Ordering::Relaxed);
    for (to, content) in [("one@d.test", &first), ("three@d.test", &body(500_000)), ("four@d.test", &first)] {
        let text = sink.mail_to(to).text();
        assert!(text.trim_end().ends_with(content.trim_end()), "{} octets arrived for {to}", text.len());
    }
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 3, "what was refused is not delivered");
}

/// Sets a limit of a running process (prlimit of util-linux).
fn limit(pid: &str, limit: &str) {
    run("prlimit", &["--pid", pid, limit], "");
}

/// Hundredths of a second that a process has worked: user and system time of proc(5).
fn ticks(pid: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
