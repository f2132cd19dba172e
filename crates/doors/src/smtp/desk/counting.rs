//! What counts against the limits of an account; and what a mail server beside us asked about before, which counts once.

use sm2tp_proto::Address;
use sm2tp_proto::smtp::server::Answer;
use sm2tp_rules::admit::{self, Sender};
use sm2tp_rules::allowance::Holder;
use sm2tp_store::accounts::Account;

use super::Desk;
use crate::detoured::Pair;
use crate::now_us;

impl Desk {
    /// Asks the rules with what the account may do and has used.
    pub(super) fn measure(
        &self,
        account: &Account,
        ask: impl FnOnce(&mut [Holder<'_>]) -> Result<(), admit::Refusal>,
    ) -> Result<(), Answer> {
        let asked = self.shared.house.meters.ask(&self.shared.house.accounts, account, ask);
        asked.map_err(|refusal| self.stop(account, &refusal))
    }

    /// May a mail of this sender begin?
    pub(super) fn begins(&self, account: &Account, asked: &Sender<'_>, octets: Option<u64>) -> Result<(), Answer> {
        if self.may_be_detoured(account) && self.shared.house.detoured.is_from(asked.mail_from) {
            return admit::sender(asked).map_err(|refusal| self.stop(account, &refusal));
        }
        self.measure(account, |holders| admit::mail(asked, octets, holders, now_us()))
    }

    /// Whether this recipient was counted when its mail came in beside us.
    pub(super) fn is_counted(&self, account: &Account, recipient: &Address) -> bool {
        let pair = Pair::new(self.sender.as_ref(), recipient);
        self.may_be_detoured(account) && self.shared.house.detoured.came(pair)
    }

    /// Whether the client may be the mail server beside us: it is of a trusted network and has not logged in.
    fn may_be_detoured(&self, account: &Account) -> bool {
        account.login.is_none() && self.client.is_trusted(&self.shared.settings)
    }
}
