//! What each event moves, as transfers with the keys under which they are posted once: here earnings that mature, payouts
//! and deposits; escrow channels in `channels`, refunds and disputes in `refunds`.

mod channels;
mod refunds;
#[cfg(test)]
mod tests;

use kernel::{AccountId, Amount, DepositId, LeaseId, PayoutId, TransferId};
use protocol::money::{EntryKind, PayoutState};

use crate::books::{BookId, Transfer};

pub use channels::{OfChannel, vouched};
pub use refunds::{Contested, Refund, taken_of};

/// What of a lease's earnings is not withdrawable yet becomes it. The key counts by what was before.
pub fn mature(
    owner: AccountId,
    lease: LeaseId,
    matured: Amount,
    earned: Amount,
) -> Option<Transfer> {
    let more = earned.minus_or_zero(matured);
    (!more.is_zero()).then(|| {
        Transfer::new(
            format!("matured:{lease}:{}", matured.base()),
            BookId::Earned(owner),
            BookId::Withdrawable(owner),
            more,
            EntryKind::Matured,
        )
    })
}

/// Earnings that are spent here. Each has an id of its own, so the caller answers for doing it once.
pub fn convert(account: AccountId, id: TransferId, amount: Amount) -> Transfer {
    Transfer::new(
        format!("converted:{id}"),
        BookId::Withdrawable(account),
        BookId::Available(account),
        amount,
        EntryKind::Converted,
    )
}

/// A payout leaves its owner's book.
pub fn payout(id: PayoutId, account: AccountId, amount: Amount) -> Transfer {
    Transfer::new(
        format!("payout:{id}"),
        BookId::Withdrawable(account),
        BookId::PayoutsInTransit,
        amount,
        EntryKind::Payout,
    )
}

/// It has arrived, or it comes back; nothing while it is under way.
pub fn payout_end(
    id: PayoutId,
    account: AccountId,
    amount: Amount,
    state: PayoutState,
) -> Option<Transfer> {
    let (what, to, kind) = match state {
        PayoutState::Paid => ("paid", BookId::Outside, EntryKind::PaidOut),
        state if state.is_returned() => (
            "returned",
            BookId::Withdrawable(account),
            EntryKind::Returned,
        ),
        _ => return None,
    };
    let key = format!("{what}:{id}");
    Some(Transfer::new(
        key,
        BookId::PayoutsInTransit,
        to,
        amount,
        kind,
    ))
}

/// Something came in from outside; it is nobody's yet.
pub fn deposit_seen(id: DepositId, amount: Amount) -> Transfer {
    Transfer::new(
        format!("deposit_seen:{id}"),
        BookId::Outside,
        BookId::DepositsInTransit,
        amount,
        EntryKind::Deposit,
    )
}

/// A deposit is credited, or goes back. `demo`: the faucet's, which sees nothing come in.
pub fn deposit_end(
    id: DepositId,
    account: AccountId,
    amount: Amount,
    demo: bool,
    credited: bool,
) -> Option<Transfer> {
    let person = BookId::Available(account);
    let (from, to, kind) = match (demo, credited) {
        (true, true) => (BookId::DemoSource, person, EntryKind::DemoCredit),
        (true, false) => return None,
        (false, true) => (BookId::DepositsInTransit, person, EntryKind::Deposit),
        (false, false) => (
            BookId::DepositsInTransit,
            BookId::Outside,
            EntryKind::Returned,
        ),
    };
    Some(Transfer::new(
        format!("deposit:{id}"),
        from,
        to,
        amount,
        kind,
    ))
}
