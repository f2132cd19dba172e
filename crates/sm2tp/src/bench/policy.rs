//! `sm2tp bench policy`: how many questions a policy service answers in a second, of this node or of any other program; and
//! with `--smtp`, how long a mail server takes for a recipient, so that one that asks can be held against one that does not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::node::{BenchNode, Place, Usage};
use super::{Times, load, trouble};
use crate::{Exit, Failure};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyArgs {
    /// Questions in all.
    #[arg(long, default_value_t = 200_000)]
    questions: u64,
    /// Connections that ask at the same time, each waiting for its answer, as processes of Postfix do.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Another policy service: an address with port, or `unix:` and a path.
    #[arg(long, value_name = "PLACE")]
    policy: Option<String>,
    /// The process of that service, whose CPU time is counted with that of its children.
    #[arg(long, requires = "policy")]
    pid: Option<u32>,
    /// Name recipients to a mail server instead, on one connection, and measure its answers to RCPT TO.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "policy")]
    smtp: Option<SocketAddr>,
}

/// One measurement. Times of answers in microseconds.
#[derive(Debug, Serialize)]
struct Figures {
    questions: u64,
    connections: u64,
    elapsed_s: f64,
    per_s: f64,
    /// Of the service alone; 0 where its process was not named.
    cpu_s: f64,
    per_cpu_s: f64,
    median_us: f64,
    p99_us: f64,
}

/// Measures once and prints the figures.
pub async fn policy(args: PolicyArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let figures = match (&args.smtp, &args.policy) {
        (Some(server), _) => {
            let began = Instant::now();
            let took = recipients(*server, args.questions).await.map_err(|error| trouble("the mail server", &error))?;
            figures(&PolicyArgs { connections: 1, ..args }, took, began.elapsed(), 0.0)
        }
        (None, Some(place)) => asked(&args, &service(place)?, args.pid).await?,
        (None, None) => of_this_program(&args).await?,
    };
    crate::tell(&figures, &words(&figures), as_json)
}

enum Service {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

fn service(place: &str) -> Result<Service, Failure> {
    match place.strip_prefix("unix:") {
        Some(path) => Ok(Service::Unix(path.into())),
        None => place.parse().map(Service::Tcp).map_err(|error| Failure::new(Exit::Input, format!("{place}: {error}"))),
    }
}

async fn of_this_program(args: &PolicyArgs) -> Result<Figures, Failure> {
    // Nothing is sent, so that nothing listens there.
    let place = Place::new(None, SocketAddr::from(([127, 0, 0, 1], 9)))?;
    let (file, socket) = (place.config(), place.dir.join("policy.sock"));
    let text = std::fs::read_to_string(&file).map_err(|error| trouble("the configuration", &error))?;
    let text = format!("{text}[policy]\nlisten = [\"unix:{}\"]\n", socket.display());
    std::fs::write(&file, text).map_err(|error| trouble("the configuration", &error))?;
    let node = BenchNode::start(place).await?;
    asked(args, &Service::Unix(socket), Some(node.pid())).await
}

async fn asked(args: &PolicyArgs, service: &Service, pid: Option<u32>) -> Result<Figures, Failure> {
    let cpu_s = || pid.map_or(0.0, |pid| Usage::of(pid).cpu_s);
    let each = args.questions / args.connections.max(1);
    let (before, began) = (cpu_s(), Instant::now());
    let mut asking = JoinSet::new();
    for first in (0..args.connections).map(|connection| connection * each) {
        match service {
            Service::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| trouble("the service", &error))?;
                stream.set_nodelay(true).map_err(|error| trouble("the service", &error))?;
                asking.spawn(ask(stream, first, each));
            }
            Service::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| trouble("the service", &error))?;
                asking.spawn(ask(stream, first, each));
            }
        }
    }
    let mut took = Vec::new();
    while let Some(asked) = asking.join_next().await {
        let asked = asked.map_err(|error| trouble("a connection", &error))?;
        took.extend(asked.map_err(|error| trouble("the service", &error))?);
    }
    Ok(figures(args, took, began.elapsed(), cpu_s() - before))
}

/// Asks one question after the other, each about another recipient; answers with how long each took.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    first: u64,
    count: u64,
) -> std::io::Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut answer = [0; 4096];
    for n in first..first + count {
        let (question, began) = (question(n), Instant::now());
        stream.write_all(question.as_bytes()).await?;
        let mut read = 0;
        while !answer[..read].ends_with(b"\n\n") {
            match stream.read(&mut answer[read..]).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                octets => read += octets,
            }
        }
        took.push(began.elapsed());
    }
    Ok(took)
}

/// As Postfix 3.7 asks at RCPT; ten recipients are one mail.
fn question(n: u64) -> String {
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=127.0.0.1\n\
         client_name=localhost\nclient_port=41000\nreverse_client_name=localhost\nserver_address=127.0.0.1\n\
         server_port=587\nhelo_name=client.bench.example\nsender=sender@bench.example\nrecipient=user{n}@d{}.example\n\
         recipient_count=0\nqueue_id=4fXbTq0{n}\ninstance=5974.6b0225fc.{}.0\nsize=10240\netrn_domain=\nstress=\n\
         sasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\n\
         ccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_256_GCM_SHA384\n\
         encryption_keysize=256\npolicy_context=\n\n",
        n % 1000,
        n / 10
    )
}

/// Names recipients, fifty a mail, and takes each mail back.
async fn recipients(server: SocketAddr, count: u64) -> std::io::Result<Vec<Duration>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut server = BufReader::new(stream);
    load::expect(&mut server, '2').await?;
    say_to(&mut server, "EHLO client.bench.example").await?;
    let mut took = Vec::new();
    for n in 0..count {
        if n.is_multiple_of(RECIPIENTS_OF_A_MAIL) {
            say_to(&mut server, "RSET").await?;
            say_to(&mut server, "MAIL FROM:<sender@bench.example>").await?;
        }
        let began = Instant::now();
        say_to(&mut server, &format!("RCPT TO:<user{n}@d{}.example>", n % 1000)).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

async fn say_to(server: &mut BufReader<TcpStream>, command: &str) -> std::io::Result<()> {
    server.write_all(format!("{command}\r\n").as_bytes()).await?;
    load::expect(server, '2').await
}

fn figures(args: &PolicyArgs, took: Vec<Duration>, elapsed: Duration, cpu_s: f64) -> Figures {
    let questions = took.len() as u64;
    let times = Times::of(took.into_iter());
    let per = |seconds: f64| if 0.0 < seconds { questions as f64 / seconds } else { 0.0 };
    Figures {
        questions,
        connections: args.connections,
        elapsed_s: elapsed.as_secs_f64(),
        per_s: per(elapsed.as_secs_f64()),
        cpu_s,
        per_cpu_s: per(cpu_s),
        median_us: times.median,
        p99_us: times.p99,
    }
}

fn words(figures: &Figures) -> String {
    format!(
        "{} answers in {:.1} s: {:.0} a second, {:.0} in a second of CPU\n\
         an answer took {:.0} us at the median, {:.0} us in 99 of 100 ({} connections)",
        figures.questions,
        figures.elapsed_s,
        figures.per_s,
        figures.per_cpu_s,
        figures.median_us,
        figures.p99_us,
        figures.connections
    )
}

const RECIPIENTS_OF_A_MAIL: u64 = 50;
