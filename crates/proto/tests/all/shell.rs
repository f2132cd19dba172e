//! A server without sockets: the smallest shell around the pure session, with fixed rules.
//!
//! Its rules, which a real server has to be configured for when the same dialogues run against it:
//! login `anna` with password `secretive`; senders at `bad.test` are refused with 550 5.7.1, recipients at `refused.test`
//! with 550 5.1.1 and at `later.test` with 451 4.3.0; everything else is taken.

use sm2tp_proto::smtp::Refusal;
use sm2tp_proto::smtp::bdat::ChunkReader;
use sm2tp_proto::smtp::data::DataReader;
use sm2tp_proto::smtp::line::LineBuffer;
use sm2tp_proto::smtp::server::{Answer, Ask, Envelope, Offers, ScramMaterial, Session, Step};
use sm2tp_proto::{Enhanced, scram};

pub struct Shell {
    session: Option<Session>,
    lines: LineBuffer,
    data: Option<DataReader>,
    chunk: Option<ChunkReader>,
    octets_max: u64,
    pub handshake: bool,
    pub closed: bool,
    pub out: Vec<u8>,
    pub messages: Vec<(Envelope, Vec<u8>)>,
    /// The most octets that line buffer, readers and session held at once.
    pub held_max: usize,
}

impl Shell {
    pub fn open(offers: Offers) -> Self {
        let octets_max = offers.octets_max;
        let (session, out) = Session::open(offers);
        Self {
            session: Some(session),
            lines: LineBuffer::new(),
            data: None,
            chunk: None,
            octets_max,
            handshake: false,
            closed: false,
            out,
            messages: Vec::new(),
            held_max: 0,
        }
    }

    /// One read of the socket.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.closed && !self.handshake {
            let used = match (&self.data, &self.chunk) {
                (Some(_), _) => self.read_data(bytes),
                (None, Some(_)) => self.read_chunk(bytes),
                (None, None) => self.read_line(bytes),
            };
            bytes = &bytes[used..];
            let held = self.lines.held()
                + self.data.as_ref().map_or(0, DataReader::held)
                + self.chunk.as_ref().map_or(0, ChunkReader::held)
                + self.session.as_ref().map_or(0, Session::held);
            self.held_max = self.held_max.max(held);
        }
    }

    pub fn start_tls(&mut self) {
        assert!(std::mem::take(&mut self.handshake), "no handshake was due");
        self.session = self.session.take().map(Session::tls_started);
        self.lines = LineBuffer::new();
    }

    fn read_line(&mut self, bytes: &[u8]) -> usize {
        let progress = self.lines.push(bytes);
        if let Some(line) = progress.line {
            self.step(|session| match line {
                Ok(line) => session.line(&line),
                Err(error) => session.bad_line(error),
            });
        }
        progress.consumed
    }

    fn read_data(&mut self, bytes: &[u8]) -> usize {
        let mut reader = self.data.take().unwrap();
        let progress = reader.push(bytes);
        if progress.done {
            self.step(|session| session.data(reader.into_message()));
        } else {
            self.data = Some(reader);
        }
        progress.consumed
    }

    fn read_chunk(&mut self, bytes: &[u8]) -> usize {
        let mut reader = self.chunk.take().unwrap();
        let progress = reader.push(bytes);
        if progress.done {
            self.step(|session| session.chunk(reader));
        } else {
            self.chunk = Some(reader);
        }
        progress.consumed
    }

    fn step(&mut self, call: impl FnOnce(Session) -> (Session, Step)) {
        let (mut session, mut step) = call(self.session.take().unwrap());
        while let Step::Ask(ask) = step {
            let answer = self.decide(ask);
            (session, step) = session.answer(answer);
        }
        self.session = Some(session);
        match step {
            Step::Reply(reply) => self.out.extend(reply),
            Step::StartTls(reply) => {
                self.out.extend(reply);
                self.handshake = true;
            }
            Step::ReadData(reply) => {
                self.out.extend(reply);
                self.data = Some(DataReader::new(self.octets_max));
            }
            Step::ReadChunk(reader) => self.chunk = Some(reader),
            Step::Close(reply) => {
                self.out.extend(reply);
                self.closed = true;
            }
            Step::Ask(_) => unreachable!(),
        }
    }

    fn decide(&mut self, ask: Ask) -> Answer {
        let no = |code, enhanced, text: &str| Answer::No(Refusal::new(code, enhanced, text));
        match ask {
            Ask::Login { login, password } if login == "anna" && password.reveal() == "secretive" => Answer::Yes,
            Ask::ScramKeys { login } => {
                let keys = scram::Keys::pretended(&login, &[1; 32], 4096);
                Answer::Scram(Box::new(ScramMaterial { keys, fresh: [2; 18] }))
            }
            Ask::Proved { login } if login == "anna" => Answer::Yes,
            Ask::Login { .. } | Ask::Proved { .. } | Ask::Disproved { .. } => {
                no(535, Enhanced(5, 7, 8), "Login or password wrong")
            }
            Ask::Front { told } => match told.login.value() {
                Some(login) if login != "anna" => no(550, Enhanced(5, 7, 0), "This login is not known here"),
                _ => Answer::Yes,
            },
            Ask::Sender { path: Some(path), .. } if path.domain().as_str() == "bad.test" => {
                no(550, Enhanced(5, 7, 1), "Sender refused")
            }
            Ask::Recipient { path, .. } if path.domain().as_str() == "refused.test" => {
                no(550, Enhanced(5, 1, 1), "No such user")
            }
            Ask::Recipient { path, .. } if path.domain().as_str() == "later.test" => {
                no(451, Enhanced(4, 3, 0), "Later")
            }
            Ask::Message { envelope, content } => {
                assert!(!envelope.recipients.is_empty());
                self.messages.push((envelope, content));
                Answer::YesSaying("queued".into())
            }
            Ask::Sender { .. } | Ask::Recipient { .. } => Answer::Yes,
        }
    }
}
