//! Mail that is another one for each recipient (`marking`): one transaction each, on the same connection.

use std::sync::Arc;

use sm2tp_store::spool::Recipient;

use super::{Open, Worker, hang_up};
use crate::body::Body;
use crate::connection::{Outgoing, Trouble};
use crate::marking::{Marked, Marks};
use crate::now;
use crate::queue::Job;
use crate::settle::{At, Settled};

/// There is no way to the site; the runner has been told.
pub(super) struct Over;

impl Worker {
    /// Serves the recipients of a job one by one. Each is recorded before the next one is spoken of, so that a crash sends
    /// to one of them again and not to all. Gives the connection back, if there is one.
    pub(super) async fn one_by_one(
        &self,
        mut open: Option<Open>,
        job: &Job,
        content: &Arc<Body>,
        marks: &Marks<'_>,
        sent: &mut u32,
    ) -> Result<Option<Open>, Over> {
        let mut total = Settled::default();
        for (place, recipient) in job.recipients.iter().enumerate() {
            if total.slowed {
                // The pace of the site is for the runner; the others are due as they were.
                total.deferred.extend(job.recipients.iter().skip(place).cloned());
                break;
            }
            let rest = || Job { recipients: job.recipients[place..].to_vec(), ..job.clone() };
            match self.one(&mut open, job, recipient, content, marks).await {
                Ok(Some(settled)) => {
                    total.deferred.extend(settled.deferred);
                    total.taken |= settled.taken;
                    total.slowed |= settled.slowed;
                }
                Ok(None) => {
                    let settled = self.cannot_sign(&rest()).await;
                    total.deferred.extend(settled.deferred);
                    self.shared.record(settled.changes).await;
                    break;
                }
                Err(trouble) => {
                    self.unreachable(&rest(), trouble, total.deferred).await;
                    return Err(Over);
                }
            }
            *sent = if open.is_some() { *sent + 1 } else { 0 };
            if self.site.limits.mails_per_connection_max <= *sent {
                *sent = 0;
                hang_up(open.take()).await;
            }
        }
        self.settled(job, total).await;
        Ok(open)
    }

    /// One recipient; none where the mail cannot be signed.
    async fn one(
        &self,
        open: &mut Option<Open>,
        job: &Job,
        recipient: &Recipient,
        content: &Arc<Body>,
        marks: &Marks<'_>,
    ) -> Result<Option<Settled>, Trouble> {
        let Some(marked) = marks.mark(job, recipient, now()) else { return Ok(None) };
        let Ok(fields) = self.shared.signer.sign_with(&job.mail, content, &marked.fields).await else {
            return Ok(None);
        };
        let attempt = self.attempt(open.take(), &marked.job, Outgoing { fields: &fields, content }).await?;
        let at = At { mx: Some(&attempt.mx), exit: attempt.exit.as_deref(), hop: attempt.hop };
        let single = Job { recipients: vec![recipient.clone()], ..job.clone() };
        let mut settled = self.shared.rules(self.site.relays, |rules| {
            let mut settled = rules.settle(&single, at, &attempt.heard);
            rules.report(&single, &mut settled, content);
            settled
        });
        *open = attempt.open;
        Marked::remember(&marked, &mut settled.changes);
        self.shared.record(std::mem::take(&mut settled.changes)).await;
        Ok(Some(settled))
    }
}
