//! What escrow channels and the vouchers on them move.

use kernel::{AccountId, Amount, LeaseId};
use protocol::money::EntryKind;

use crate::books::{BookId, Transfer};

/// Of an escrow channel: what moves in the books when something happens to it. Its address is part of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfChannel<'a> {
    pub address: &'a str,
    pub requester: AccountId,
}

impl OfChannel<'_> {
    /// Money was locked in it, under what the chain calls that event: the requester's to spend.
    pub fn locked(&self, event: &str, amount: Amount) -> Transfer {
        Transfer::new(
            format!("locked:{event}"),
            BookId::Channels,
            BookId::Available(self.requester),
            amount,
            EntryKind::Locked,
        )
    }

    /// It is being closed: what no voucher promises leaves the balance, and the chain pays it back. The key counts by what left
    /// before.
    pub fn freed(&self, before: Amount, amount: Amount) -> Transfer {
        Transfer::new(
            format!("freed:{}:{}", self.address, before.base()),
            BookId::Available(self.requester),
            BookId::Channels,
            amount,
            EntryKind::Unlocked,
        )
    }

    /// The chain paid on a voucher, which now has brought `cumulative`: to an owner, or (`owner` is absent) into the vault.
    pub fn redeemed(
        &self,
        payee: &str,
        owner: Option<AccountId>,
        cumulative: Amount,
        paid: Amount,
    ) -> Transfer {
        Transfer::new(
            format!("redeemed:{}:{payee}:{}", self.address, cumulative.base()),
            owner.map_or(BookId::Outside, BookId::Vouched),
            BookId::Channels,
            paid,
            EntryKind::Redeemed,
        )
    }
}

/// What a lease earned and a voucher promises. The key counts by what had matured before.
pub fn vouched(owner: AccountId, lease: LeaseId, matured: Amount, amount: Amount) -> Transfer {
    Transfer::new(
        format!("vouched:{lease}:{}", matured.base()),
        BookId::Earned(owner),
        BookId::Vouched(owner),
        amount,
        EntryKind::Vouched,
    )
}
