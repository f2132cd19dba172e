//! Sets and verdicts, beside those of a program that shares no line with ours: dkimpy (Debian's python3-dkim).

use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sm2tp_rules::seal::{Chain, Validation};
use sm2tp_store::dkim::Source;

use super::arrival::{verified, wanted};
use super::*;
use crate::dns::{IpUse, Resolvers, Trust};
use crate::testing::Zone;

#[path = "../../../../../fuzz/src/drive.rs"]
mod drive;

/// Does what each job says, and answers with a list of results: a message in hexadecimal digits, or a verdict in words.
const DKIMPY: &str = r#"
import sys, json, dkim
asked = json.load(sys.stdin)
txt = lambda name, timeout=5: asked["records"].get(name.decode().rstrip("."), "").encode() or None
def work(job):
    message = bytes.fromhex(job["message"])
    at = [job[key].encode() for key in ("selector", "domain", "pem") if key in job]
    if job["do"] == "sign":
        line = dkim.sign(message, *at, canonicalize=(b"relaxed", b"relaxed"),
                         signature_algorithm=b"rsa-sha256", include_headers=[b"from", b"to", b"subject"])
        return (line + message).hex()
    if job["do"] == "seal":
        found = b"Authentication-Results: list.example; " + job["found"].encode() + b"\r\n"
        lines = dkim.arc_sign(found + message, *at, srv_id=b"list.example")
        return (b"".join(lines) + message).hex()
    arc = dkim.ARC(message, timeout=5)
    if job["do"] == "alone":
        # RFC 8617 5.1.2: as if the last set were the only one.
        others = [header for header in arc.headers[3:] if header[0].lower() not in dkim.ARC.ARC_HEADERS]
        arc.headers = arc.headers[:3] + others
        last, headers = arc.sorted_arc_headers()
        found = arc.verify_instance(headers, last, dnsfunc=txt)
        return "%s %s %s" % (found["cv"].decode(), found["ams-valid"], found["as-valid"])
    cv, sets, why = arc.verify(dnsfunc=txt)
    return "%s %d" % ((cv or b"ended").decode(), len(sets))
print(json.dumps([work(job) for job in asked["jobs"]]))
"#;

struct World {
    folder: PathBuf,
    keys: DkimKeys,
    records: Value,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    /// An author, a mailing list that seals with dkimpy, and this node, each with an RSA key.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sm2tp-arc-{name}-{}", std::process::id()));
        let keys = DkimKeys::open(&folder).unwrap();
        let mut records = json!({});
        for domain in ["author.example", "list.example", "relay.node.example"] {
            let source = Source::Random(&[Algorithm::Rsa]);
            let made = keys.create(&Domain::parse(domain).unwrap(), Some("s"), &source, 1).unwrap();
            let record = made[0].record().unwrap();
            records[record.name] = record.value.into();
        }
        Self { folder, keys, records }
    }

    fn zone(&self) -> Zone {
        let records = self.records.as_object().unwrap();
        records.iter().fold(Zone::default(), |zone, (name, text)| zone.text(name, text.as_str().unwrap()))
    }

    /// The node, asking such a DNS.
    fn sealer(zone: Zone) -> Sealer {
        Sealer::new(zone.serve(Trust::Nothing, IpUse::V4First), Sealing::ByUs)
    }

    fn dkimpy(&self, jobs: &[Value]) -> Vec<String> {
        let input = json!({ "records": self.records, "jobs": jobs }).to_string();
        let mut python = Command::new("/usr/bin/python3");
        let python = python.args(["-c", DKIMPY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut python = python.expect("apt-get install python3 python3-dkim python3-authres");
        let mut stdin = python.stdin.take().unwrap();
        let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = python.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        assert!(output.status.success(), "apt-get install python3 python3-dkim python3-authres");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn by(&self, what: &str, domain: &str, message: &[u8], found: &str) -> Value {
        let pem = std::fs::read_to_string(self.folder.join(format!("s._domainkey.{domain}.pem"))).unwrap();
        json!({ "do": what, "message": hex(message), "domain": domain, "selector": "s", "pem": pem, "found": found })
    }

    /// Signed by its author.
    fn signed(&self, message: &[u8]) -> Vec<u8> {
        unhex(&self.dkimpy(&[self.by("sign", "author.example", message, "")])[0])
    }

    /// Sealed by the list.
    fn listed(&self, message: &[u8], found: &str) -> Vec<u8> {
        unhex(&self.dkimpy(&[self.by("seal", "list.example", message, found)])[0])
    }

    fn verdicts(&self, what: &str, messages: &[Vec<u8>]) -> Vec<String> {
        let jobs: Vec<_> = messages.iter().map(|message| json!({ "do": what, "message": hex(message) })).collect();
        self.dkimpy(&jobs)
    }

    /// The message as it leaves this node.
    async fn sealed(&self, sealer: &Sealer, message: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let key = sealer.key(&self.keys, None, "relay.node.example", |_| Owner::Nobody)?;
        let (body, signed) = (Body::read(message.to_vec()), Fields::default());
        let hostname = "relay.node.example".to_owned();
        let set = sealer.seal(key, hostname, &body, &signed).await.unwrap()?;
        let mut whole = [&set, message].concat();
        // What the server sees: the last line always ends.
        if !whole.ends_with(b"\r\n") {
            whole.extend_from_slice(b"\r\n");
        }
        Ok(whole)
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The value of the topmost field of this name, unfolded.
#[track_caller]
fn top(message: &[u8], name: &str) -> String {
    let fields = header::fields(message).unwrap();
    let field = fields.iter().find(|field| field.name == name).unwrap();
    String::from_utf8_lossy(field.value).split_whitespace().collect::<Vec<_>>().join(" ")
}

const PLAIN: &[u8] = b"From: a@author.example\r\nTo: b@b.example\r\nSubject: s\r\n\r\ntext  \r\n \r\n";

#[tokio::test]
async fn a_first_seal_verifies_whatever_the_message_looks_like() {
    let (world, mut messages, mut sealed) = (World::new("first"), Vec::new(), Vec::new());
    let header = "From: Anna <a@author.example>\r\nTo: b@b.example\r\nSubject: s\r\n";
    for body in
        ["", "\r\n", " ", "\t \r\n\r\n", "text", "text\r\n \r\n", "a  b\t c \r\n\r\n\r\n", ".\r\n..\r\n", "\u{e9}\r\n"]
    {
        messages.push(format!("{header}\r\n{body}"));
    }
    for more in [
        "subject: folded\r\n\tand\r\n  again \t \r\n",
        "Cc:\r\n c@c.example\r\nTo: d@d.example\r\n",
        "List-Id: <l>\r\nX: y\r\n",
    ] {
        messages.push(format!("{more}{header}\r\ntext\r\n"));
    }
    let sealer = World::sealer(world.zone());
    for message in &messages {
        sealed.push(world.sealed(&sealer, message.as_bytes()).await.unwrap());
    }
    for (message, verdict) in messages.iter().zip(world.verdicts("verify", &sealed)) {
        assert_eq!(verdict, "pass 1", "{message:?}");
    }
    assert_eq!(top(&sealed[0], "ARC-Authentication-Results"), "i=1; relay.node.example; arc=none; dkim=none");
    let seal = top(&sealed[0], "ARC-Seal");
    assert!(seal.starts_with("i=1; a=rsa-sha256; cv=none; d=relay.node.example; s=s; t="), "{seal}");
    let whole = String::from_utf8_lossy(&sealed[0]);
    assert!(whole.lines().all(|line| line.len() <= 78), "{whole}");
}

#[tokio::test]
async fn what_the_author_signed_is_told_and_what_a_list_sealed_goes_on() {
    let world = World::new("chain");
    let sealer = World::sealer(world.zone());
    // Relaxed, and with an end that the library alone would get wrong.
    let signed = world.signed(PLAIN);
    let first = world.sealed(&sealer, &signed).await.unwrap();
    let results = top(&first, "ARC-Authentication-Results");
    let want = "i=1; relay.node.example; arc=none; dkim=pass header.d=author.example header.s=s header.b=\"";
    assert!(results.starts_with(want), "{results}");
    assert!(
        top(&first, "ARC-Message-Signature").contains("DKIM-Signature;"),
        "{}",
        top(&first, "ARC-Message-Signature")
    );

    let listed = world.listed(&signed, "dkim=pass header.d=author.example");
    let second = world.sealed(&sealer, &listed).await.unwrap();
    assert!(top(&second, "ARC-Seal").starts_with("i=2; a=rsa-sha256; cv=pass;"), "{}", top(&second, "ARC-Seal"));
    assert!(top(&second, "ARC-Authentication-Results").starts_with("i=2; relay.node.example; arc=pass; dkim=pass "));
    // Ours, between two of dkimpy's, and one more.
    let third = world.listed(&second, "arc=pass");
    let fourth = world.sealed(&sealer, &third).await.unwrap();
    assert_eq!(world.verdicts("verify", &[first, second, third, fourth]), ["pass 1", "pass 2", "pass 3", "pass 4"]);
}

#[tokio::test]
async fn a_broken_chain_is_marked_once_and_never_sealed_as_good() {
    let world = World::new("broken");
    let sealer = World::sealer(world.zone());
    let good = String::from_utf8(world.listed(&world.signed(PLAIN), "dkim=pass")).unwrap();
    let (seal, signature) = ("ARC-Seal: i=1;", "ARC-Message-Signature: i=1;");
    assert!(
        good.contains(seal) && good.contains(signature) && good.contains("\r\nARC-Authentication-Results: i=1; "),
        "{good}"
    );
    let broken = [
        good.replace("text  \r\n", "test\r\n"),
        good.replace("Subject: s", "Subject: t"),
        good.replace("i=1; list.example; dkim=pass", "i=1; list.example; dkim=fail"),
        good.replace(signature, "X-Gone: i=1;"),
        good.replace(seal, "X-Gone: i=1;"),
        good.replace("ARC-Authentication-Results:", "X-Gone:"),
        good.replace("cv=none", "cv=pass"),
        good.replace(seal, "ARC-Seal: i=2;"),
        good.replace(seal, "ARC-Seal: i=1; h=from;"),
        good.replace(seal, "ARC-Seal: a=rsa-sha1; i=1;"),
        format!("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=x.example; s=s; b=AAAA\r\n{good}"),
    ];
    let mut marked = Vec::new();
    for message in &broken {
        assert_ne!(*message, good);
        let sealed = world.sealed(&sealer, message.as_bytes()).await;
        let sealed = sealed.unwrap_or_else(|why| panic!("{why:?}: {message}"));
        assert!(top(&sealed, "ARC-Seal").contains("; cv=fail;"), "{message}");
        assert!(top(&sealed, "ARC-Authentication-Results").contains("; arc=fail;"), "{message}");
        marked.push(sealed);
    }
    // What covers this set alone can be verified, whatever the others look like.
    assert_eq!(world.verdicts("alone", &marked), vec!["fail True True"; marked.len()]);
    for message in &marked {
        assert_eq!(world.sealed(&sealer, message).await, Err(Unsealed::Ended), "{}", String::from_utf8_lossy(message));
    }
    let nothing = good.replace("ARC-", "X-").replace("X-Seal: i=1;", "ARC-Seal: i=x;");
    assert_eq!(world.sealed(&sealer, nothing.as_bytes()).await, Err(Unsealed::NoInstance));
}

#[tokio::test]
async fn what_the_dns_does_not_say_is_not_claimed() {
    let world = World::new("dns");
    let listed = world.listed(&world.signed(PLAIN), "dkim=pass");
    let without = |name: &str| {
        let records = world.records.as_object().unwrap().iter().filter(|(owner, _)| *owner != name);
        records.fold(Zone::default(), |zone, (owner, text)| zone.text(owner, text.as_str().unwrap()))
    };
    let (author, list) = ("s._domainkey.author.example", "s._domainkey.list.example");
    // Whether the chain is good is not known: somebody behind us may find out.
    assert_eq!(world.sealed(&World::sealer(without(list).failing(list)), &listed).await, Err(Unsealed::Unknown));
    let sealer = World::sealer(without(author).failing(author));
    let results = top(&world.sealed(&sealer, &listed).await.unwrap(), "ARC-Authentication-Results");
    assert!(results.contains("arc=pass; dkim=temperror header.d=author.example"), "{results}");
    // That there is no key is known.
    let sealed = world.sealed(&World::sealer(without(list)), &listed).await.unwrap();
    assert!(top(&sealed, "ARC-Seal").contains("cv=fail"));
    let sealed = world.sealed(&World::sealer(without(author)), &listed).await.unwrap();
    let results = top(&sealed, "ARC-Authentication-Results");
    assert!(top(&sealed, "ARC-Seal").contains("cv=pass") && results.contains("dkim=permerror"), "{results}");
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_not_waited_for() {
    let world = World::new("silent");
    let listed = world.listed(PLAIN, "dkim=none");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolvers = Resolvers { servers: vec![socket.local_addr().unwrap()], ..Resolvers::default() };
    let mut sealer = Sealer::new(Dns::new(&resolvers).unwrap(), Sealing::ByUs);
    sealer.patience = Duration::from_millis(50);
    assert_eq!(world.sealed(&sealer, &listed).await, Err(Unsealed::Unknown));
}

#[tokio::test]
async fn nothing_that_a_message_says_gets_into_our_words() {
    let world = World::new("words");
    let signature =
        |domain: &str| format!("DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=x; h=from; bh=AAAA; b=AAAAAAAA\r\n");
    let hostile = ["a(b.example", "a\"b.example", "a=b.example", "\u{e9}.example", &"x".repeat(300)];
    let fields: String = hostile.iter().map(|domain| signature(domain)).collect();
    let many = signature("many.example").repeat(20);
    let unread = "DKIM-Signature: v=1; nothing\r\n".repeat(5);
    let message = [unread.as_bytes(), fields.as_bytes(), many.as_bytes(), PLAIN].concat();
    let sealed = world.sealed(&World::sealer(world.zone()), &message).await.unwrap();
    let results = top(&sealed, "ARC-Authentication-Results");
    assert_eq!(results.matches("dkim=").count(), arrival::SIGNATURES_MAX, "{results}");
    let said = "; dkim=fail header.s=x header.b=\"AAAAAAAA\"";
    assert!(results.matches(said).count() == hostile.len() && !results.contains("b.example"), "{results}");
    assert_eq!(world.verdicts("verify", &[sealed]), ["pass 1"]);
}

#[tokio::test]
async fn what_nobody_means_is_left_as_it_is() {
    let world = World::new("odd");
    let sealer = World::sealer(world.zone());
    let from = "From: a@author.example\r\n";
    let signature =
        |names: &str| format!("DKIM-Signature: v=1; a=rsa-sha256; d=d.example; s=x; h={names}; bh=AA; b=AA\r\n");
    let odd = [
        "Subject: nobody wrote it\r\n\r\n".to_owned(),
        format!("{from}no field\r\n\r\n"),
        format!("{from}Subject: form\u{c}feed\r\n\r\n"),
        format!("{from}{}\r\n", "X: y\r\n".repeat(1001)),
        format!("{from}X: {}\r\n\r\n", "y".repeat(257 * 1024)),
        format!("{}{from}\r\n", signature(&vec!["from"; 1001].join(":"))),
        format!("{}{from}\r\n", signature("from").repeat(51)),
        format!("{from}{}\r\n", "To: b@b.example\r\n".repeat(101)),
    ];
    for message in &odd {
        let sealed = world.sealed(&sealer, message.as_bytes()).await;
        assert_eq!(sealed, Err(Unsealed::Unreadable), "{}", &message[..message.len().min(200)]);
    }
}

#[tokio::test]
async fn a_chain_ends_at_fifty_sets() {
    let world = World::new("fifty");
    let sealer = World::sealer(world.zone());
    let mut message = PLAIN.to_vec();
    for count in 1..=50 {
        message = world.sealed(&sealer, &message).await.unwrap_or_else(|why| panic!("{count}: {why:?}"));
    }
    assert_eq!(world.verdicts("verify", &[message.clone()]), ["pass 50"]);
    assert_eq!(world.sealed(&sealer, &message).await, Err(Unsealed::Full));
}

#[tokio::test]
async fn what_is_changed_behind_us_does_not_verify() {
    let world = World::new("changed");
    let sealed = world.sealed(&World::sealer(world.zone()), &world.signed(PLAIN)).await.unwrap();
    let good = String::from_utf8(sealed).unwrap();
    let bad = [
        good.replace("Subject: s", "Subject: t"),
        good.replace("text  \r\n", "test\r\n"),
        good.replace("To: b@b.example", "To: b@b.example\r\nFrom: boss@bank.example"),
        good.replace("dkim=pass", "dkim=fail"),
        good.replace("cv=none", "cv=pass"),
        format!("Reply-To: x@x.example\r\n{good}"),
    ];
    let fine = [good.clone(), format!("Received: by x\r\nDKIM-Signature: v=1; of the next server\r\n{good}")];
    let messages: Vec<_> = bad.iter().chain(&fine).map(|text| text.clone().into_bytes()).collect();
    let verdicts = world.verdicts("verify", &messages);
    let want: Vec<_> = bad.iter().map(|_| "fail 1").chain(fine.iter().map(|_| "pass 1")).collect();
    assert_eq!(verdicts, want, "{good}");
}

#[test]
fn whatever_comes_is_sealed_so_that_it_verifies_or_is_left_alone() {
    let world = World::new("mutated");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let library = runtime.block_on(async { World::sealer(Zone::default()).library });
    let key = world.keys.signing("relay.node.example", 2)[0].clone();
    let record = world.records["s._domainkey.relay.node.example"].as_str().unwrap().to_owned();
    // Every name has our key: what is not ours does not verify, but is tried.
    let read = |content: &[u8]| {
        let mut keys = Keys::default();
        wanted(content)?.into_iter().for_each(|name| keys.add(name, Ok(vec![record.clone()])));
        let chain = runtime.block_on(verified(content, &keys, &library))?.chain;
        Some((keys, chain))
    };
    drive::drive("arc", ROUNDS, |octets| {
        // The door takes no other line ends.
        let text = String::from_utf8_lossy(octets).replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n");
        let Some((keys, chain)) = read(text.as_bytes()) else { return };
        assert!(!matches!(chain, Chain::Valid { .. } | Chain::Unknown), "{chain:?}");
        let set = runtime.block_on(set(&key, "relay.node.example", text.as_bytes(), b"", &keys, &library)).unwrap();
        let Ok(set) = set else { return };
        let lines = String::from_utf8(set).unwrap();
        assert!(lines.is_ascii() && lines.lines().all(|line| line.len() <= 998), "{lines}");
        assert_eq!(header::fields(lines.as_bytes()).unwrap().len(), 3, "{lines}");
        let want = match seal::next(chain).unwrap().validation {
            Validation::None => Chain::Valid { last: 1 },
            Validation::Pass | Validation::Fail => Chain::Ended,
        };
        assert_eq!(read(format!("{lines}{text}").as_bytes()).map(|(_, chain)| chain), Some(want), "{lines}{text}");
    });
}

/// Each makes two signatures and verifies more.
const ROUNDS: u64 = 2_000;
