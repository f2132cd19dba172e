//! Libraries and tools with which programs really send, servers with odd manners, and people who look for holes.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::send;
use crate::node::{Node, said};
use crate::programs::{Certificate, need_root, program, run};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

/// A node with TLS on both ports and the login anna of good.test, and what it delivers to.
fn node_and_sink(certificate: &Certificate, trusted: &str) -> (Node, Sink, SocketAddr) {
    let (sink, tls) = (Sink::start(), free_address());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"{tls}\"]\n{}\
         trusted_networks = [{trusted}]\n[relay]\nsmarthost = \"{}\"\n",
        certificate.config(),
        sink.address
    ));
    node.add_login("anna", "correct horse", "good.test", "personal");
    (node, sink, tls)
}

/// Each recipient got one mail, with this subject and all its octets.
#[track_caller]
fn check(node: &Node, sink: &Sink, recipients: usize, subject: &str, end: &str) {
    node.wait_for_empty_queue();
    let mut to: Vec<String> = sink.mails().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    let count = to.len();
    to.dedup();
    assert_eq!((count, to.len()), (recipients, recipients), "{to:?}");
    for mail in sink.take() {
        let text = mail.text();
        assert!(text.contains(subject) && text.trim_end().ends_with(end), "{text}");
    }
}

const AIOSMTPLIB: &str = r#"
import asyncio, ssl, sys
import aiosmtplib
port, tls_port, certificate = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False
body = "Subject: from aiosmtplib\r\nFrom: anna@good.test\r\n\r\nun café\r\n.\r\n..deux\r\nfin\r\n".encode()

async def one(number):
    implicit = number % 2 == 0
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=tls_port if implicit else port, use_tls=implicit,
                             start_tls=False, tls_context=context, timeout=20)
    await client.connect()
    if not implicit:
        await client.starttls(tls_context=context)
    await client.login("anna", "correct horse")
    for mail in range(5):
        errors, _ = await client.sendmail("anna@good.test", ["u%d-%d@d%d.test" % (number, mail, mail)], body)
        assert errors == {}, errors
    try:
        await client.sendmail("boss@bank.test", ["x@y.test"], body)
        raise SystemExit("bank.test was taken")
    except aiosmtplib.SMTPSenderRefused as refusal:
        assert refusal.code == 550, refusal
    await client.quit()

async def all():
    await asyncio.gather(*[one(number) for number in range(8)])

asyncio.run(all())
print("done")
"#;

#[test]
fn eight_connections_of_aiosmtplib_send_at_once() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink, tls) = node_and_sink(&certificate, "");
    let (port, tls, file) =
        (node.smtp().port().to_string(), tls.port().to_string(), certificate.certificate.display().to_string());
    // Debian's Python, for which Debian's package is.
    let python = said(Command::new("/usr/bin/python3").args(["-c", AIOSMTPLIB, &port, &tls, &file]), "");
    let install = "Install it: apt-get install --no-install-recommends python3-aiosmtplib";
    assert!(!python.stderr.contains("No module named 'aiosmtplib'"), "aiosmtplib is missing. {install}");
    assert_eq!((python.exit, python.stdout.trim()), (0, "done"), "{}", python.stderr);
    check(&node, &sink, 40, "Subject: from aiosmtplib\r\n", "un café\r\n.\r\n..deux\r\nfin");
}

const NODEMAILER: &str = r#"
const nodemailer = require("nodemailer");
const fs = require("fs");
const [port, tlsPort, certificate] = process.argv.slice(-3);
const common = {
  host: "127.0.0.1", auth: { user: "anna", pass: "correct horse" },
  tls: { ca: fs.readFileSync(certificate), servername: "relay.example.org" },
};
(async () => {
  for (const way of [{ port, requireTLS: true, pool: true }, { port: tlsPort, secure: true }]) {
    const transport = nodemailer.createTransport({ ...common, ...way });
    await transport.verify();
    for (let number = 0; number < 5; number++) {
      const info = await transport.sendMail({
        from: "Anna <anna@good.test>", to: [`a${number}-${way.port}@d.test`, `b${number}-${way.port}@e.test`],
        subject: "from nodemailer", text: "un café\n.\n..deux\nfin\n", dsn: { id: "m" + number, return: "headers", notify: "never" },
      });
      if (info.accepted.length !== 2) throw new Error(JSON.stringify(info));
    }
    const refused = await transport.sendMail({ from: "boss@bank.test", to: "x@y.test", text: "x" }).catch((error) => error);
    if (refused.responseCode !== 550) throw new Error("bank.test: " + JSON.stringify(refused));
    transport.close();
  }
  console.log("done");
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn nodemailer_sends_with_starttls_and_with_tls_from_the_start() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink, tls) = node_and_sink(&certificate, "");
    let folder = Folder::new("nodemailer");
    let script = folder.write("send.js", NODEMAILER).display().to_string();
    let (port, tls, file) =
        (node.smtp().port().to_string(), tls.port().to_string(), certificate.certificate.display().to_string());
    let ran = said(
        Command::new(program("node")).env("NODE_PATH", "/usr/share/nodejs").args([&script, &port, &tls, &file]),
        "",
    );
    let install = "Install it: apt-get install --no-install-recommends node-nodemailer";
    assert!(!ran.stderr.contains("Cannot find module 'nodemailer'"), "nodemailer is missing. {install}");
    assert_eq!((ran.exit, ran.stdout.trim()), (0, "done"), "{}", ran.stderr);
    check(&node, &sink, 20, "Subject: from nodemailer\r\n", "fin");
}

/// smtp-sink of Postfix with these flags; it writes each mail to a file.
struct PostfixSink {
    address: SocketAddr,
    folder: Folder,
    process: Child,
}

impl PostfixSink {
    fn start(flags: &[&str]) -> Self {
        let (folder, address) = (Folder::new("smtp-sink"), free_address());
        // As root it wants to be somebody else, who must be able to write there.
        need_root();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let template = folder.join("%M%S.").display().to_string();
        let mut command = Command::new(program("smtp-sink"));
        command.args(flags).args(["-u", "nobody", "-d", &template]).arg(format!("inet:{address}")).arg("100");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("smtp-sink listens", Duration::from_secs(20), || TcpStream::connect(address).is_ok());
        Self { address, folder, process }
    }

    fn mails(&self) -> usize {
        let files = fs::read_dir(self.folder.path()).unwrap().flatten();
        files.filter(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.contains("Subject: odd"))).count()
    }
}

impl Drop for PostfixSink {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn servers_with_old_and_odd_manners_get_their_mail_once() {
    let manners: [&[&str]; 6] = [
        &[],
        &["-8", "-p"], // neither 8BITMIME nor PIPELINING
        &["-e"],       // no ESMTP: only HELO
        &["-E", "-F"], // no enhanced codes, no XFORWARD
        &["-w", "1"],  // thinks for a second before it answers DATA
        &["-h", "a.very.long.name.of.a.host.that.somebody.gave.to.a.server.test"],
    ];
    for flags in manners {
        let sink = PostfixSink::start(flags);
        let node = Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
             [relay]\nsmarthost = \"{}\"\n",
            sink.address
        ));
        for number in 0..4 {
            send(node.smtp(), "anna@good.test", &[&format!("u{number}@d.test")], "odd");
        }
        node.wait_for_empty_queue();
        assert_eq!(sink.mails(), 4, "smtp-sink {}", flags.join(" "));
        assert!(!node.log().contains("ERROR"), "{}", node.log());
    }
}

#[test]
fn servers_that_refuse_or_hang_up_at_any_command_leave_the_mail_in_the_queue_or_report_it() {
    // -q: hangs up there; -r: refuses for now; -f: for good. Of each command once.
    for (flag, commands) in [("-q", "mail,rcpt,data,."), ("-r", "mail,rcpt,data,."), ("-f", "rcpt,.")] {
        for command in commands.split(',') {
            let sink = PostfixSink::start(&["-B", "554 5.7.1 Not here", flag, command]);
            let good = Sink::start();
            let node = Node::start(&format!(
                "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
                 [relay]\nroutes = {{ \"d.test\" = \"{}\", \"good.test\" = \"{}\" }}\nretry_first = \"1s\"\nretry_max = \"1s\"\n",
                sink.address, good.address
            ));
            send(node.smtp(), "anna@good.test", &["bob@d.test"], "odd");
            if flag == "-f" {
                let report = good.mail_to("anna@good.test").text();
                assert!(report.contains("Action: failed"), "{flag} {command}: {report}");
            } else {
                wait_until(
                    &format!("smtp-sink {flag} {command}: an attempt is noted"),
                    Duration::from_secs(20),
                    || node.queue().iter().any(|row| row["attempts"].as_u64() >= Some(2)),
                );
                assert!(good.mails().is_empty(), "no report before its time");
            }
            assert!(!node.log().contains("panicked"), "{}", node.log());
        }
    }
}

#[test]
fn smtp_source_with_odd_flags_is_served() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink, _) = node_and_sink(&certificate, "\"127.0.0.1\"");
    let server = format!("inet:{}", node.smtp());
    let ways: [&[&str]; 3] = [
        &["-d", "-s", "3", "-m", "12"],          // a connection for all
        &["-r", "4", "-m", "3"],                 // several recipients
        &["-l", "200000", "-m", "3", "-s", "3"], // long ones
    ];
    let mut wanted = 0;
    for (flags, count) in ways.into_iter().zip([12, 12, 3]) {
        let fixed = ["-N", "-f", "anna@good.test", "-t", "bob@d.test", &server];
        run("smtp-source", &[flags, &fixed[..]].concat(), "");
        node.wait_for_empty_queue();
        wanted += count;
        let got: usize = sink.mails().iter().map(|mail| mail.to.len()).sum();
        assert_eq!(got, wanted, "smtp-source {}", flags.join(" "));
    }
    // -o: says neither HELO nor EHLO, which RFC 5321 §4.1.1.1 wants first.
    let rude = said(
        Command::new(program("smtp-source")).args(["-o", "-f", "anna@good.test", "-t", "bob@d.test", &server]),
        "",
    );
    assert!(rude.exit != 0 && rude.stderr.contains("503 5.5.1"), "{}", rude.stderr);
}

#[test]
fn nmap_finds_no_open_relay() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink, _) = node_and_sink(&certificate, "");
    let port = node.smtp().port().to_string();
    let args = ["-Pn", "-n", "-sT", "-p", &port, "--script", "+smtp-open-relay,+smtp-commands", "127.0.0.1"];
    let said = run("nmap", &args, "");
    assert!(said.contains("smtp-open-relay"), "the script did not run: {said}");
    assert!(said.contains("doesn't seem to be an open relay") || said.contains("authentication needed"), "{said}");
    assert!(sink.mails().is_empty() && node.queue().is_empty(), "{said}");
}

#[test]
fn testssl_finds_no_old_protocol_and_no_weak_cipher() {
    let certificate = Certificate::new("relay.example.org");
    let (node, _sink, tls) = node_and_sink(&certificate, "");
    let folder = Folder::new("testssl");
    for (name, way, address) in [("tls", &[][..], tls), ("starttls", &["--starttls", "smtp"][..], node.smtp())] {
        let file = folder.join(&format!("{name}.csv")).display().to_string();
        let fixed = ["--quiet", "--warnings", "off", "--color", "0", "-p", "-s", "--csvfile", &file];
        let mut command = Command::new(program("testssl"));
        // It asks nobody outside: the address is given, and so is the name.
        said(command.args(way).args(fixed).args(["--nodns", "none", &address.to_string()]), "");
        let found = fs::read_to_string(&file).unwrap_or_default();
        let line = |id: &str| found.lines().find(|line| line.starts_with(&format!("\"{id}\""))).unwrap_or_default();
        for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1"] {
            assert!(line(old).contains("not offered"), "{name}: {old}: {found}");
        }
        for new in ["TLS1_2", "TLS1_3"] {
            assert!(line(new).contains("offered") && !line(new).contains("not offered"), "{name}: {new}: {found}");
        }
        for weak in
            ["cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA"]
        {
            assert!(line(weak).contains("not offered"), "{name}: {weak}: {found}");
        }
    }
}
