//! Exits that a person paused: mail moves to another one that it may use, or waits where it is.

use std::sync::Arc;

use sm2tp_rules::Stream;

use super::scheduled::Place;
use super::turns::Turns;
use super::{Queue, Todo};
use crate::route::{Site, SiteKey};

/// Exits that are paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shut {
    pub exits: Vec<Arc<str>>,
    /// There is only one exit, and it is among them: sites do not name it.
    pub only: bool,
}

impl Shut {
    /// Whether nothing may be sent to a site as it is met now.
    pub(super) fn holds(&self, site: &Site) -> bool {
        match &site.exit {
            Some(exit) => self.exits.contains(exit),
            None => self.only,
        }
    }
}

impl Queue {
    /// A person paused exits, or lets mail leave by them again. `site_of` says how a site is met now with mail of an org and a
    /// stream. No attempt is counted for mail that finds no other exit: nobody was asked.
    pub fn exits_changed(
        &mut self,
        shut: Shut,
        site_of: impl Fn(&Arc<Site>, &str, Stream) -> Arc<Site>,
        now: u64,
    ) -> Vec<Todo> {
        self.shut = shut;
        for id in self.queues.ids() {
            let Some(queue) = self.queues.find_mut(id) else { continue };
            let Place::At(before) = &queue.place else { continue };
            let Some(turns) = self.sites.get_mut(before) else { continue };
            let mut site = site_of(&turns.site, &queue.key.org, queue.key.stream);
            if queue.key.tls_waived && site.key != *before {
                site = Arc::new(site.tls_waived());
            }
            if site.key == *before {
                continue;
            }
            turns.remove(id, &queue.key, queue.due.len());
            queue.place = Place::At(site.key.clone());
            let turns = self.sites.entry(site.key.clone()).or_insert_with(|| Turns::new(site));
            turns.add(id, &queue.key, queue.due.len());
        }
        // A site that nothing waits for, and no connection will tell of, is forgotten here.
        self.sites.retain(|_, turns| !turns.is_idle() || turns.connections != 0 || !turns.pace.is_untroubled());
        let mut all: Vec<SiteKey> = self.sites.keys().cloned().collect();
        all.sort();
        all.iter().flat_map(|site| self.connect(site, now)).collect()
    }
}
