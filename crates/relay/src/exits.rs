//! The ways out of this machine: local addresses, each with the name that its reverse DNS gives.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sm2tp_rules::Stream;
use sm2tp_rules::exits::{self, Facts};
use sm2tp_store::exits::Paused;

use crate::queue::Shut;
use crate::route::Site;

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub name: Arc<str>,
    /// The first of each family is used; empty: what the system chooses.
    pub addresses: Vec<IpAddr>,
    /// Our name in EHLO.
    pub hello: String,
    pub weight: u32,
    /// For these organisations alone; empty: for all.
    pub orgs: Vec<String>,
    /// For these kinds of mail alone; empty: for all.
    pub streams: Vec<Stream>,
}

/// All ways out.
pub struct Exits {
    /// Each, and whether a person was told that the system does not let us send from it.
    all: Vec<(Exit, AtomicBool)>,
    paused: Paused,
}

/// What an exit sends from to an address of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    System,
    From(IpAddr),
    /// It has no address of this family.
    Nowhere,
}

impl Exits {
    #[must_use]
    pub fn new(exits: Vec<Exit>, paused: Paused) -> Self {
        Self { all: exits.into_iter().map(|exit| (exit, AtomicBool::new(false))).collect(), paused }
    }

    /// The exits for this mail, the one to use first. Those that a person paused are left out, unless there would be none: such
    /// mail waits in the queue, and what is on a connection already goes on.
    #[must_use]
    pub fn order(&self, org: &str, stream: Stream) -> Vec<&Exit> {
        if let [(only, _)] = &self.all[..] {
            return vec![only];
        }
        let facts: Vec<Facts<'_>> = self.all.iter().map(|(exit, _)| exit.facts()).collect();
        let order = exits::order(&facts, org, stream);
        let mut may: Vec<&Exit> =
            order.into_iter().filter_map(|place| self.all.get(place)).map(|(exit, _)| exit).collect();
        let paused = self.paused.list();
        let is_open = |exit: &Exit| paused.iter().all(|pause| *pause.exit != *exit.name);
        if !paused.is_empty() && may.iter().any(|exit| is_open(exit)) {
            may.retain(|exit| is_open(exit));
        }
        may
    }

    /// Those that a person paused, as the queue knows them.
    #[must_use]
    pub fn shut(&self) -> Shut {
        let paused = self.paused.list();
        let is_shut = |exit: &Exit| paused.iter().any(|pause| *pause.exit == *exit.name);
        let shut = self.all.iter().map(|(exit, _)| exit).filter(|exit| is_shut(exit));
        let exits: Vec<_> = shut.map(|exit| exit.name.clone()).collect();
        Shut { only: self.all.len() == 1 && !exits.is_empty(), exits }
    }

    /// The site as it is met from the exit of this mail: what a site thinks of one exit says nothing about another, so
    /// each has its own connections and its own pace there.
    #[must_use]
    pub fn site(&self, site: &Arc<Site>, org: &str, stream: Stream) -> Arc<Site> {
        match self.order(org, stream).first() {
            Some(exit) if 1 < self.all.len() => Arc::new(site.leaving_by(&exit.name)),
            _ => site.clone(),
        }
    }

    /// The system does not let us send from this exit: a person is told, once until it works again.
    pub fn is_shut(&self, exit: &Exit, address: Option<IpAddr>) {
        let told = self.all.iter().find(|(known, _)| known.name == exit.name).map(|(_, told)| told);
        if told.is_some_and(|told| !told.swap(true, Ordering::Relaxed)) {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            tracing::error!(exit = %exit.name, address, "this machine does not have the exit's address any more; its mail leaves through another exit, or waits");
        }
    }

    pub fn is_open(&self, exit: &Exit) {
        if let Some((_, told)) = self.all.iter().find(|(known, _)| known.name == exit.name) {
            told.store(false, Ordering::Relaxed);
        }
    }
}

impl Exit {
    fn facts(&self) -> Facts<'_> {
        Facts { name: &self.name, weight: self.weight, orgs: &self.orgs, streams: &self.streams }
    }

    /// Whom to send from to such an address.
    #[must_use]
    pub fn source(&self, to: IpAddr) -> Source {
        if self.addresses.is_empty() {
            return Source::System;
        }
        let own = self.addresses.iter().find(|own| own.is_ipv4() == to.is_ipv4());
        own.map_or(Source::Nowhere, |own| Source::From(*own))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn exit(name: &str, orgs: &[&str]) -> Exit {
        Exit {
            name: name.into(),
            addresses: Vec::new(),
            hello: "a.example.org".into(),
            weight: 1,
            orgs: orgs.iter().map(|&org| org.to_owned()).collect(),
            streams: Vec::new(),
        }
    }

    #[test]
    fn each_exit_has_its_own_place_at_a_site() {
        let site = Arc::new(Site::found(Vec::new(), 25, crate::route::FoundBy::Dns));
        let new = |exits| Exits::new(exits, Paused::open(Path::new("/nowhere")).unwrap());
        let two = new(vec![exit("a", &[]), exit("b", &["asso"])]);
        let key = |exits: &Exits, org| exits.site(&site, org, Stream::Bulk).key.to_string();
        assert_eq!((key(&two, "other"), key(&two, "asso")), (":25@a".to_owned(), ":25@b".to_owned()));
        assert_eq!(key(&new(vec![exit("a", &[])]), "other"), ":25", "one exit needs no name");
    }

    #[test]
    fn an_exit_that_is_paused_is_left_out_where_the_mail_may_use_another() {
        let folder = std::env::temp_dir().join(format!("sm2tp-exits-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let paused = Paused::open(&folder).unwrap();
        let exits = Exits::new(vec![exit("a", &[]), exit("b", &[]), exit("own", &["asso"])], paused.clone());
        let names = |org: &str| {
            let mut names: Vec<_> = exits.order(org, Stream::Bulk).iter().map(|exit| exit.name.to_string()).collect();
            names.sort();
            names
        };
        paused.pause("a", "", 1).unwrap();
        paused.pause("own", "", 1).unwrap();
        assert_eq!(names("other"), ["b"]);
        assert_eq!(names("asso"), ["own"], "it has no other; its mail waits");
        assert_eq!(exits.shut(), Shut { exits: vec!["a".into(), "own".into()], only: false });
        paused.resume("a").unwrap();
        assert_eq!(names("other"), ["a", "b"]);
        let one = Exits::new(vec![exit("own", &[])], paused);
        assert!(one.shut().only);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_exit_sends_from_its_own_family_or_not_at_all() {
        let exit = |addresses: &[&str]| Exit {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..exit("a", &[])
        };
        let (four, six): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(exit(&[]).source(six), Source::System);
        assert_eq!(exit(&["192.0.2.9"]).source(four), Source::From("192.0.2.9".parse().unwrap()));
        assert_eq!(exit(&["192.0.2.9"]).source(six), Source::Nowhere);
        let both = exit(&["2001:db8::9", "192.0.2.9"]);
        assert_eq!(both.source(six), Source::From("2001:db8::9".parse().unwrap()));
    }
}
