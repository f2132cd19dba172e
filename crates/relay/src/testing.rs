//! A small name server on loopback for tests: it says what it is told, with or without the AD bit, or that it failed.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::tlsa::TLSA;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::dane::Tlsa;
use crate::dns::{Dns, IpUse, Resolvers, Trust};

/// What it knows. A name that is not in it does not exist.
#[derive(Default)]
pub struct Zone {
    records: HashMap<String, Vec<RData>>,
    secure: Vec<String>,
    failing: Vec<String>,
}

impl Zone {
    pub fn mx(self, domain: &str, preference: u16, host: &str) -> Self {
        self.add(domain, RData::MX(MX::new(preference, name(host))))
    }

    pub fn ip(self, host: &str, address: &str) -> Self {
        match address.parse().unwrap() {
            std::net::IpAddr::V4(address) => self.add(host, RData::A(A(address))),
            std::net::IpAddr::V6(address) => self.add(host, RData::AAAA(AAAA(address))),
        }
    }

    pub fn alias(self, from: &str, to: &str) -> Self {
        self.add(from, RData::CNAME(CNAME(name(to))))
    }

    pub fn text(self, owner: &str, text: &str) -> Self {
        // A string of a TXT record holds 255 octets.
        let strings = text.as_bytes().chunks(255).map(|part| String::from_utf8(part.to_vec()).unwrap()).collect();
        self.add(owner, RData::TXT(TXT::new(strings)))
    }

    pub fn tlsa(self, owner: &str, record: &Tlsa) -> Self {
        let data = TLSA::new(record.usage.into(), record.selector.into(), record.matching.into(), record.data.clone());
        self.add(owner, RData::TLSA(data))
    }

    /// These names are answered as validated.
    pub fn secure(mut self, names: &[&str]) -> Self {
        self.secure.extend(names.iter().map(|&owner| owner.to_owned()));
        self
    }

    /// This name is answered with SERVFAIL.
    pub fn failing(mut self, owner: &str) -> Self {
        self.failing.push(owner.to_owned());
        self
    }

    fn add(mut self, owner: &str, data: RData) -> Self {
        self.records.entry(owner.to_owned()).or_default().push(data);
        self
    }

    /// Serves it, and answers with a resolver that asks it.
    pub fn serve(self, trust: Trust, ip: IpUse) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server: SocketAddr = socket.local_addr().unwrap();
        let zone = Arc::new(self);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((count, client)) = socket.recv_from(&mut buffer) {
                let Ok(question) = Message::from_vec(&buffer[..count]) else { continue };
                let _ = socket.send_to(&zone.answer(&question).to_vec().unwrap(), client);
            }
        });
        Dns::new(&Resolvers { servers: vec![server], trust, ip }).unwrap()
    }

    fn answer(&self, question: &Message) -> Message {
        let query = question.queries[0].clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        let mut owner = text_of(query.name());
        answer.metadata.authentic_data = self.secure.contains(&owner);
        if self.failing.contains(&owner) {
            answer.metadata.response_code = ResponseCode::ServFail;
            return answer;
        }
        // As a resolver does: the whole chain of aliases, as far as it goes without biting its tail.
        for _ in 0..10 {
            let Some(records) = self.records.get(&owner) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            let fitting = records.iter().filter(|data| data.record_type() == query.query_type() || is_alias(data));
            answer.add_answers(fitting.map(|data| Record::from_rdata(name(&owner), 60, data.clone())));
            match records.iter().find(|data| is_alias(data)) {
                Some(RData::CNAME(next)) if query.query_type() != RecordType::CNAME => owner = text_of(&next.0),
                _ => break,
            }
        }
        answer
    }
}

fn is_alias(data: &RData) -> bool {
    matches!(data, RData::CNAME(_))
}

fn text_of(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}
