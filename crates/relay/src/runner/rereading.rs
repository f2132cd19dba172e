//! Mails that a person changed: what the queue had of them is void, and what the spool has of them is read beside the runner,
//! which goes on delivering. The few mails of one domain may lie among a million others.

use std::collections::BTreeSet;

use sm2tp_store::spool::{Spool, Stub};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{LOAD_AGAIN, News, PAGE_MAILS};

/// The mails to be read, and those that are being read.
#[derive(Debug, Default)]
pub(super) struct Rereading {
    wanted: BTreeSet<u64>,
    under_way: bool,
}

impl Rereading {
    pub(super) fn want(&mut self, mails: impl IntoIterator<Item = u64>) {
        self.wanted.extend(mails);
    }

    /// The next ones to read, in order; none while others are being read, or where there are none.
    pub(super) fn begin(&mut self) -> Option<Vec<u64>> {
        if self.under_way || self.wanted.is_empty() {
            return None;
        }
        let mails: Vec<u64> = self.wanted.iter().take(READ_AT_ONCE).copied().collect();
        mails.iter().for_each(|mail| _ = self.wanted.remove(mail));
        self.under_way = true;
        Some(mails)
    }

    /// They were read. What was changed once more meanwhile is old, and is read again.
    pub(super) fn ended(&mut self, stubs: &mut Vec<Stub>) {
        self.under_way = false;
        stubs.retain(|stub| !self.wanted.contains(&stub.mail));
    }
}

/// Reads these mails, which are in order, and tells the runner.
pub(super) async fn read(spool: Spool, mails: Vec<u64>, to_runner: mpsc::Sender<News>) {
    let mut found = Vec::new();
    for (first, last) in stretches(&mails) {
        let mut after = first.saturating_sub(1);
        loop {
            match spool.stubs(after, last, PAGE_MAILS).await {
                Ok(Some((page_last, stubs))) => {
                    found.extend(stubs.into_iter().filter(|stub| mails.binary_search(&stub.mail).is_ok()));
                    after = page_last;
                }
                Ok(None) => break,
                // Without its rows a mail would wait for the next start: better to wait for the disk.
                Err(error) => {
                    tracing::error!(%error, "changed mails cannot be read; they wait");
                    sleep(LOAD_AGAIN).await;
                }
            }
        }
    }
    // The runner may have stopped.
    let _ = to_runner.send(News::Reread(found)).await;
}

/// The first and the last of those that lie near each other.
fn stretches(mails: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let near = mails.chunk_by(|one, next| next - one <= NEAR);
    near.filter_map(|mails| Some((*mails.first()?, *mails.last()?)))
}

/// Mails of one step. They hear nothing of what is said to the runner until all of them are read.
const READ_AT_ONCE: usize = 1000;
/// Beyond that, asking once more costs less than reading what lies between.
const NEAR: u64 = 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sm2tp_proto::Domain;
    use sm2tp_rules::Stream;
    use sm2tp_store::spool::Lane;

    use super::*;

    fn stub(mail: u64) -> Stub {
        Stub {
            mail,
            index: 0,
            org: Arc::from("a"),
            stream: Stream::Bulk,
            domain: Domain::parse("x.example").unwrap(),
            lane: Lane::Normal,
            next_at: 0,
            octets: 1,
            slow: None,
            tls_waived: false,
        }
    }

    #[test]
    fn what_is_changed_while_it_is_read_is_read_once_more_and_the_first_answer_is_not_believed() {
        let mut rereading = Rereading::default();
        assert_eq!(rereading.begin(), None);
        rereading.want([7, 3, 5]);
        assert_eq!(rereading.begin(), Some(vec![3, 5, 7]));
        rereading.want([5, 9]);
        assert_eq!(rereading.begin(), None, "one step at a time");
        let mut stubs = vec![stub(3), stub(5), stub(7)];
        rereading.ended(&mut stubs);
        assert_eq!(stubs.iter().map(|stub| stub.mail).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(rereading.begin(), Some(vec![5, 9]));
        rereading.ended(&mut Vec::new());
        rereading.want(0..READ_AT_ONCE as u64 + 1);
        assert_eq!(rereading.begin().map(|mails| mails.len()), Some(READ_AT_ONCE));
    }

    #[test]
    fn what_lies_between_rare_mails_is_not_read() {
        let stretches: Vec<_> = stretches(&[1, 2, 10, 500_000, 999_990, 1_000_000]).collect();
        assert_eq!(stretches, [(1, 10), (500_000, 500_000), (999_990, 1_000_000)]);
    }
}
