//! A whole node in a directory of its own, without a relay.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use sm2tp_doors::alerts::{Alerting, Language, Targets};
use sm2tp_doors::turned_away::TurnedAway;
use sm2tp_doors::web::{AskSts, FirstRun, Listing, Listings, Names, PublicUrl, Says, Setting, Sts, Wanted};
use sm2tp_doors::{Federation, House, control, follow, http, now};
use sm2tp_federation::belief::BeliefLimits;
use sm2tp_federation::descriptor::{self, Descriptor, LogKeyTerm, SignedDescriptor};
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_federation::publish::SealRules;
use sm2tp_federation::quota::QuotaLimits;
use sm2tp_federation::request::{self, RequestParts, SignatureTerm};
use sm2tp_federation::tags::Tag;
use sm2tp_proto::Address;
use sm2tp_proto::mta_sts::FetchFailure;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::watch::Limits;
use sm2tp_rules::{Cause, Classifier, Fate, Scope, Stream, Strength, suppress};
use sm2tp_store::accounts::{Accounts, Scram};
use sm2tp_store::alerts::Alerts;
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::exits::Paused;
use sm2tp_store::federated::{Federated, Peer, PeerState, Publisher};
use sm2tp_store::keys::Keys;
use sm2tp_store::ledger::{self, SendLog};
use sm2tp_store::senders::Mode;
use sm2tp_store::tokens::Tokens;
use sm2tp_store::told::{Answer, Told, Verdict, What};
use sm2tp_store::{Book, Ledger, Persons, Senders, Spool};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub struct Node {
    pub house: House,
    pub origin: String,
    stop: watch::Sender<bool>,
    told: AtomicU32,
}

/// A directory that goes with the test that made it.
pub struct TempDir(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TempDir {
    pub fn new() -> Self {
        let name = format!("sm2tp-doors-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Node {
    /// Opens a node and its HTTP door; nothing is followed yet.
    pub async fn start(dir: &TempDir, name: &str) -> Self {
        Self::start_with(dir, &dir.path().join("data"), name).await
    }

    /// The same with the keys in `dir` and all else in `data`.
    pub async fn start_with(dir: &TempDir, data: &Path, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let house = open(dir.path(), data, name, &authority).await;
        let (stop, mut stopped) = watch::channel(false);
        let (onward, _) = sm2tp_doors::smtp::Onward::new(1);
        let served = http::serve(
            listener,
            (house.clone(), onward),
            vec!["relay.example.org".into(), authority.clone()],
            sm2tp_doors::acme::Challenges::default(),
            (
                http::Pages {
                    lang: http::Lang::En,
                    scores: http::Scores::Off,
                    public: PublicUrl::new(PUBLIC),
                    names: names(),
                    sts: sts(),
                    exits: Vec::new(),
                    listings: listings(),
                    first_run: Some(FirstRun::new(FIRST_CODE, data.join("first-run-code"))),
                },
                http::Programs { metrics_from: Arc::new(|_| false), mail: None },
            ),
            async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            },
        );
        tokio::spawn(async move { served.await.unwrap() });
        Self { house, origin: format!("http://{authority}"), stop, told: AtomicU32::new(0) }
    }

    /// Begins to follow peers and to publish.
    pub fn follow(&self) {
        tokio::spawn(follow::run(self.house.clone(), self.stop.subscribe()));
    }

    pub fn key(&self) -> NodeKey {
        self.house.federation.publisher.own
    }

    pub async fn peers(&self) -> Vec<Peer> {
        self.house.federation.store.peers().await.unwrap()
    }

    pub async fn peer(&self, node: NodeKey) -> Option<Peer> {
        self.peers().await.into_iter().find(|peer| peer.node == node)
    }

    /// As after an accepted peering, without the way there.
    pub async fn befriend(&self, descriptor: &SignedDescriptor) {
        let described = descriptor.descriptor();
        let peer = Peer {
            read: true,
            weight: 1.0,
            ..Peer::new(described.node, &described.api, &described.name, PeerState::Accepted, now())
        };
        self.house.federation.store.take_descriptor(descriptor.clone(), None, now()).await.unwrap();
        self.house.federation.store.put_peer(peer).await.unwrap();
    }

    /// The server of a recipient says that there is no such user.
    pub async fn learns_dead(&self, address: &str) {
        self.hears(address, None, false).await;
    }

    /// The server of a recipient, at this provider, takes a mail or says that there is no such user.
    pub async fn hears(&self, address: &str, provider: Option<&str>, taken: bool) {
        let number = u64::from(self.told.fetch_add(1, Ordering::Relaxed)) + 1;
        let verdict = Verdict {
            cause: Cause::Address,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "test".into(),
            rules: None,
        };
        let mx = provider.map(|_| "aspmx.l.google.com".to_owned());
        let answer = Answer { provider: provider.map(str::to_owned), mx, ..Answer::default() };
        let what = match taken {
            true => What::Delivered { answer },
            false => {
                let answer = Answer { code: Some(550), text: "5.1.1 unknown".into(), verdict: Some(verdict), ..answer };
                What::Bounced { answer, expired: false }
            }
        };
        let told = Told {
            v: Told::VERSION,
            at: now(),
            org: "asso".into(),
            login: None,
            stream: Stream::Bulk,
            mail: number,
            message_id: None,
            mail_from: None,
            recipient: Some(address.into()),
            token: None,
            report: false,
            what,
        };
        let (book, publisher) = (self.house.book.clone(), self.house.federation.publisher.clone());
        let key = book.current_key().unwrap();
        let tagger = move |address: &Address| book.tag(address);
        let publish = move |sql: &mut dyn sm2tp_store::sql::Sql, told: &Told, event: &ledger::Event| {
            publisher.enqueue(sql, told, event, &key)
        };
        self.house.ledger.absorb("test", vec![(number, told)], SendLog::Off, tagger, publish).await.unwrap();
    }

    /// The tag under which this node keeps an address now.
    pub fn tag(&self, address: &str) -> Tag {
        self.house.book.tag(&Address::parse(address).unwrap()).unwrap().1
    }

    /// The tag of a domain now.
    pub fn domain_tag(&self, domain: &str) -> Tag {
        self.house.book.all_domain_tags(&sm2tp_proto::Domain::parse(domain).unwrap())[0].1
    }

    /// What the command line is answered about an address.
    pub async fn explains(&self, address: &str) -> serde_json::Value {
        let request = control::Request::Explain { address: address.into(), org: None, stream: None };
        self.answers(request).await
    }

    pub async fn answers(&self, request: control::Request) -> serde_json::Value {
        let (onward, _) = sm2tp_doors::smtp::Onward::new(1);
        control::answer(&self.house, &onward, request).await.unwrap()
    }

    /// What is said to somebody who wants to send there.
    pub fn decides(&self, address: &str, stream: Stream) -> suppress::Decision {
        use sm2tp_store::Bounce;
        let recipient = self.house.book.recipient(&Address::parse(address).unwrap(), "asso", now());
        suppress::decide(&recipient, stream, &self.house.book.limits("asso"), now(), 0.99)
    }

    /// A GET at this node, signed by `signer`, as it would be sent.
    pub fn signed(&self, signer: &Node, path: &str, created: u64, nonce: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.origin);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let authority = self.origin.strip_prefix("http://").unwrap();
        let parts = RequestParts { method: "GET", authority, path, query, body: &[] };
        let term = SignatureTerm { created, expires: created + 60, nonce };
        let log_key = signer.house.federation.keys().signer().key();
        let signed = request::sign(&log_key, &parts, &term).unwrap();
        client().get(url).header("signature-input", signed.signature_input).header("signature", signed.signature)
    }

    /// A good GET, with the status of its answer.
    pub async fn asks(&self, other: &Node, path: &str) -> reqwest::Response {
        let nonce = format!("nonce-{:08}", NEXT.fetch_add(1, Ordering::Relaxed));
        other.signed(self, path, now(), &nonce).send().await.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub async fn json(answer: reqwest::Response) -> serde_json::Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Looks until there is something, for at most half a minute.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let found = tokio::time::timeout(LONG, async {
        loop {
            tick.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

async fn open(dir: &Path, data: &Path, name: &str, authority: &str) -> House {
    let keys = Keys::open(&dir.join("keys"), now()).unwrap();
    let dkim = DkimKeys::open(&dir.join("keys/dkim")).unwrap();
    let spool = Spool::open(&data.join("spool"), name).unwrap();
    let ledger = Ledger::open(&ledger::path(data)).unwrap();
    let accounts = Accounts::load(ledger.clone(), Scram::Off).await.unwrap();
    let persons = Persons::load(ledger.clone()).await.unwrap();
    let (segments, belief) = (data.join("segments"), BeliefLimits::default());
    let store = Federated::open(ledger.clone(), &segments, keys.node_key(), belief).await.unwrap();
    let keys_of_recipients = keys.watch_secret();
    let limits = suppress::Limits::default();
    let book = Book::new(ledger.views().clone(), store.clone(), accounts.clone(), limits, &keys.tags);
    let publisher = Publisher {
        federated: store.clone(),
        views: ledger.views().clone(),
        own: keys.node_key(),
        log_key: keys.signer(),
        classifier: Rulebook::new(Classifier::shipped()),
        hold_down_s: 0,
        rules: SealRules::after(0),
    };
    let descriptor =
        describe(keys.node.as_ref().unwrap(), &keys.signer().key(), name, &format!("http://{authority}/fed/v1"));
    store.take_descriptor(descriptor.clone(), None, now()).await.unwrap();
    let federation = Federation {
        store,
        publisher,
        keys: Arc::new(Mutex::new(keys)),
        descriptor: Arc::new(RwLock::new(descriptor)),
        changing: Arc::default(),
        quotas: QuotaLimits::default(),
        private_peers: Arc::new(|_| false),
        poll: Duration::from_millis(100),
        head_wait: Duration::from_secs(3600),
    };
    let turned_away = TurnedAway::default();
    let alerting = ledger.clone();
    let watched = Limits::default();
    let senders = Senders::open(&ledger, Mode::Observe, watched, keys_of_recipients).await.unwrap();
    House {
        hostname: format!("{name}.example").into(),
        spool,
        ledger,
        accounts,
        persons,
        book,
        dkim,
        senders,
        private_webhooks: Arc::new(|_| false),
        days: sm2tp_doors::control::Days::default(),
        exits: Arc::new([exit(name)]),
        paused: Paused::open(data).unwrap(),
        settings: settings(),
        tokens: Tokens::load(alerting.clone()).await.unwrap(),
        federation,
        turned_away,
        meters: Arc::default(),
        detoured: Arc::default(),
        returns: None,
        alerts: Alerting::new(Alerts::new(alerting), Targets::default(), Language::English),
        confirm: None,
        exports: None,
    }
}

/// Several contacts with a peer, each of which waits for the disk, on a machine that compiles something else meanwhile.
const LONG: Duration = Duration::from_secs(180);

/// Where a browser reaches the pages through a web server.
pub const PUBLIC: &str = "https://relay.example.org";

/// What lets in the first person.
pub const FIRST_CODE: &str = "abcde-12345";

/// A block list that has one address on it, with a hostile word.
fn listings() -> Listings {
    Arc::new(|| {
        let listing = |says, text: &str| Listing {
            address: "192.0.2.1".parse().unwrap(),
            zone: "zen.example".into(),
            says,
            text: text.into(),
        };
        let listed = listing(Says::Listed, "<b>bad</b> see https://zen.example/192.0.2.1");
        let fine = listing(Says::Fine, "");
        Box::pin(async { Ok(vec![listed, fine]) })
    })
}

fn settings() -> Arc<[Setting]> {
    let setting = |key: &str, given: Option<&str>| Setting {
        section: "http".into(),
        key: key.into(),
        given: given.map(str::to_owned),
        default: Some("\"off\"".into()),
        example: None,
        about: "What <b>it</b> means.".into(),
        about_fr: "Ce que cela veut dire.".to_owned(),
    };
    [setting("listen", Some("[\"127.0.0.1:0\"]")), setting("public_score", None)].into()
}

/// A DNS that knows four records.
fn names() -> Names {
    Arc::new(|wanted, name| {
        let found = match (wanted, &name[..]) {
            (Wanted::Texts, "_dmarc.asso.example") => "v=DMARC1; p=reject",
            (Wanted::Texts, "_mta-sts.asso.example") => "v=STSv1; id=7",
            (Wanted::MailHosts, "asso.example") => "mx.asso.example",
            (Wanted::Hosts, "192.0.2.1") => "a.example",
            _ => "",
        };
        let found = Some(found.to_owned()).filter(|found| !found.is_empty());
        Box::pin(async { Ok(found.into_iter().collect()) })
    })
}

/// One domain whose policy cannot be had, one whose web server hangs, and others in order.
fn sts() -> AskSts {
    Arc::new(|domain| {
        Box::pin(async move {
            match &domain[..] {
                "asso.example" => Sts::Unfetched(FetchFailure::Status(404)),
                "hangs.example" => std::future::pending().await,
                "listed.example" => Sts::OthersEnforced(vec!["mx2.listed.example".into()]),
                _ => Sts::Fine,
            }
        })
    })
}

pub fn describe(
    node: &ed25519_dalek::SigningKey,
    log: &ed25519_dalek::SigningKey,
    name: &str,
    api: &str,
) -> SignedDescriptor {
    let term = LogKeyTerm { key: LogKey::of(log), not_before: now() - 86_400, not_after: now() + 86_400 };
    let described = Descriptor {
        node: NodeKey::of(node),
        seq: now(),
        name: name.into(),
        api: api.into(),
        contact: "postmaster@example.org".into(),
        log_keys: vec![term],
        revoked: vec![],
        peers: vec![],
        smtp: None,
        versions: vec![1],
        tag_schemes: vec![1],
        retention_days: 400,
        retired: false,
    };
    descriptor::sign(described, node).unwrap()
}

/// The one way out that the configuration has.
fn exit(name: &str) -> control::Exit {
    control::Exit {
        name: "default".into(),
        addresses: vec!["192.0.2.1".parse().unwrap()],
        hello: format!("{name}.example"),
    }
}
