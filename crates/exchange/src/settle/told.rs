//! What people are told of escrow channels, each time in the transaction of its cause.

use kernel::{AccountId, Amount};
use protocol::money::{ChannelState, ChannelStep};
use protocol::notice::Notice;
use settlement::Address;
use store::{ChannelRow, Tx};

use crate::desk::Exchange;
use crate::error::Error;

impl Exchange {
    pub(super) async fn tell_channel(
        &self,
        tx: &mut Tx,
        row: &ChannelRow,
        step: ChannelStep,
        amount: Option<Amount>,
    ) -> Result<(), Error> {
        let notice = Notice::ChannelUpdated {
            channel: row.address.to_string(),
            step,
            amount,
            until: row.closing_until.filter(|_| step == ChannelStep::Closing),
        };
        self.notify(tx, row.account, notice).await?;
        Ok(())
    }

    /// All whom a channel that is being closed, or is closed, still owes something.
    pub(super) async fn tell_owners(&self, tx: &mut Tx, row: &ChannelRow) -> Result<(), Error> {
        for (owner, payee, open) in tx.open_vouchers(row.address).await? {
            self.tell_owner(tx, row, owner, payee, open).await?;
        }
        Ok(())
    }

    pub(crate) async fn tell_owner(
        &self,
        tx: &mut Tx,
        row: &ChannelRow,
        owner: AccountId,
        payee: Address,
        open: Amount,
    ) -> Result<(), Error> {
        let notice = Notice::VoucherUpdated {
            channel: row.address.to_string(),
            payee: payee.to_string(),
            state: row.state,
            open,
            until: row
                .closing_until
                .filter(|_| row.state == ChannelState::Closing),
        };
        self.notify(tx, owner, notice).await?;
        Ok(())
    }
}
