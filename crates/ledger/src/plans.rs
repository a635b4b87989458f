//! What each event moves, as transfers with the keys under which they are posted once: earnings that mature, payouts,
//! deposits, disputes.

use kernel::{AccountId, Amount, DepositId, DisputeId, JobId, LeaseId, PayoutId, TransferId};
use protocol::money::{EntryKind, PayoutState};

use crate::books::{BookId, LedgerError, Transfer};

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

/// `part` of `whole`, of a smaller whole, rounded down; nothing of nothing.
fn share(part: Amount, of: Amount, whole: Amount) -> Amount {
    let share = i128::from(part.base())
        .saturating_mul(i128::from(of.base()))
        .checked_div(i128::from(whole.base()))
        .unwrap_or(0);
    i64::try_from(share)
        .ok()
        .and_then(|base| Amount::try_from_base(base).ok())
        .unwrap_or(Amount::ZERO)
}

/// What a refund took of each of a lease's receipts, the newest first; `left` is what rulings left the owner of each. A refund is
/// for a lease's last seconds, so it takes the newest first.
pub fn taken_of(left: &[Amount], refund: Amount) -> Vec<Amount> {
    let mut open = refund;
    let each = left.iter().map(|left| {
        let part = open.min(*left);
        open = open.minus_or_zero(part);
        part
    });
    each.collect()
}

/// What the platform gives out of its fees, and for the rest out of its treasury.
fn from_platform(
    amount: Amount,
    fees: Amount,
    treasury: Amount,
) -> Result<[(BookId, Amount); 2], LedgerError> {
    let from_fees = amount.min(fees);
    let from_treasury = amount.minus_or_zero(from_fees);
    if from_treasury > treasury {
        return Err(LedgerError::Insufficient {
            book: BookId::Treasury,
            amount: from_treasury,
        });
    }
    Ok([(BookId::Fees, from_fees), (BookId::Treasury, from_treasury)])
}

/// Something of a lease that is given back without being asked for; once a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund {
    pub lease: LeaseId,
    pub job: JobId,
    pub requester: AccountId,
    pub owner: AccountId,
    pub amount: Amount,
}

impl Refund {
    /// The owner's share of it: what it earned with `charged`, in proportion, rounded down.
    pub fn owner_share(&self, earned: Amount, charged: Amount) -> Amount {
        share(earned, self.amount, charged)
    }

    fn transfer(&self, part: &str, from: BookId, amount: Amount) -> Option<Transfer> {
        (!amount.is_zero()).then(|| Transfer {
            key: format!("refund:{}:{part}", self.lease),
            from,
            to: BookId::Available(self.requester),
            amount,
            kind: EntryKind::Refund,
            job: Some(self.job),
        })
    }

    /// The owner gives back: `earned` of what has not matured, `matured` of what has.
    pub fn owner_gives(&self, earned: Amount, matured: Amount) -> Vec<Transfer> {
        let parts = [
            ("earned", BookId::Earned(self.owner), earned),
            ("withdrawable", BookId::Withdrawable(self.owner), matured),
        ];
        let each = parts.into_iter();
        each.filter_map(|(part, from, amount)| self.transfer(part, from, amount))
            .collect()
    }

    /// The platform gives `owed`, all of it at once.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`]: `fees` and `treasury`, as they stand, do not cover it.
    pub fn platform_gives(
        &self,
        owed: Amount,
        fees: Amount,
        treasury: Amount,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let parts = from_platform(owed, fees, treasury)?;
        let each = ["fees", "treasury"].into_iter().zip(parts);
        Ok(each
            .filter_map(|(part, (from, amount))| self.transfer(part, from, amount))
            .collect())
    }
}

/// What a dispute is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested {
    pub id: DisputeId,
    pub requester: AccountId,
    pub owner: AccountId,
    pub job: JobId,
    /// What the receipt cost, and what of it the owner got.
    pub paid: Amount,
    pub owner_part: Amount,
    /// Of the owner's earnings, what is set aside.
    pub set_aside: Amount,
}

impl Contested {
    /// The owner's share of a part of what was paid, rounded down; the platform has the rest.
    pub fn owner_share(&self, of: Amount) -> Amount {
        share(self.owner_part, of, self.paid)
    }

    fn transfer(
        &self,
        part: &str,
        from: BookId,
        to: BookId,
        amount: Amount,
        kind: EntryKind,
    ) -> Option<Transfer> {
        let key = format!("dispute:{}:{part}", self.id);
        (!amount.is_zero()).then(|| Transfer::new(key, from, to, amount, kind).of(self.job))
    }

    /// Sets the owner's share aside until it is decided: `earned` of what has not matured, the rest of what has.
    pub fn open(&self, earned: Amount) -> Vec<Transfer> {
        let aside = BookId::Disputed(self.owner);
        let parts = [
            ("earned", BookId::Earned(self.owner), earned),
            (
                "withdrawable",
                BookId::Withdrawable(self.owner),
                self.set_aside.minus_or_zero(earned),
            ),
        ];
        let each = parts.into_iter().filter_map(|(part, from, amount)| {
            self.transfer(part, from, aside, amount, EntryKind::Disputed)
        });
        each.collect()
    }

    /// Gives `refund` back to the requester, the owner's share out of what is set aside, the platform's out of its fees
    /// and then its treasury; what is left of what was set aside is the owner's again.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`]: `fees` and `treasury`, as they stand, do not cover the platform's share.
    pub fn rule(
        &self,
        refund: Amount,
        fees: Amount,
        treasury: Amount,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let from_owner = self.owner_share(refund).min(self.set_aside);
        let platform = refund.minus_or_zero(from_owner);
        let [(_, from_fees), (_, from_treasury)] = from_platform(platform, fees, treasury)?;
        let (aside, back) = (
            BookId::Disputed(self.owner),
            BookId::Available(self.requester),
        );
        let owners = BookId::Withdrawable(self.owner);
        let left = self.set_aside.minus_or_zero(from_owner);
        let parts = [
            ("refund", aside, back, from_owner, EntryKind::Refund),
            ("fees", BookId::Fees, back, from_fees, EntryKind::Refund),
            (
                "treasury",
                BookId::Treasury,
                back,
                from_treasury,
                EntryKind::Refund,
            ),
            ("upheld", aside, owners, left, EntryKind::Upheld),
        ];
        let each = parts
            .into_iter()
            .filter_map(|(part, from, to, amount, kind)| {
                self.transfer(part, from, to, amount, kind)
            });
        Ok(each.collect())
    }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::books::Books;

    fn account(n: u8) -> AccountId {
        AccountId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn amount(base: i64) -> Amount {
        Amount::try_from_base(base).expect("in range")
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(1)
    }

    fn credit(to: BookId, base: i64) -> Transfer {
        Transfer::new(
            format!("in:{to}"),
            BookId::Outside,
            to,
            amount(base),
            EntryKind::Deposit,
        )
    }

    #[test]
    fn a_refund_takes_the_newest_receipts_first_and_no_more_than_they_brought() {
        let left = [amount(10), Amount::ZERO, amount(7)];
        let takes = |refund| {
            taken_of(&left, amount(refund))
                .iter()
                .map(|part| part.base())
                .collect::<Vec<_>>()
        };
        assert_eq!(takes(0), [0, 0, 0]);
        assert_eq!(takes(4), [4, 0, 0]);
        assert_eq!(takes(12), [10, 0, 2]);
        // What rounding of several rulings took beyond all receipts is of none.
        assert_eq!(takes(18), [10, 0, 7]);
        assert!(taken_of(&[], amount(5)).is_empty());
    }

    #[test]
    fn earnings_mature_once_and_go_out_or_come_back() {
        let (otto, lease) = (account(1), LeaseId::new(at(), [1; 10]));
        let mut books = Books::default();
        books
            .post(&[credit(BookId::Earned(otto), 100)])
            .expect("posts");
        assert_eq!(mature(otto, lease, amount(5), amount(5)), None);
        let first = mature(otto, lease, Amount::ZERO, amount(60)).expect("more");
        let second = mature(otto, lease, amount(60), amount(100)).expect("more");
        for transfer in [&first, &second, &first] {
            books.post(std::slice::from_ref(transfer)).expect("posts");
        }
        assert_eq!(books.balance(BookId::Withdrawable(otto)), 100);
        let spent = convert(otto, TransferId::new(at(), [1; 10]), amount(10));
        books.post(&[spent]).expect("posts");
        assert_eq!(books.balance(BookId::Available(otto)), 10);
        let (one, two) = (PayoutId::new(at(), [1; 10]), PayoutId::new(at(), [2; 10]));
        books
            .post(&[payout(one, otto, amount(50)), payout(two, otto, amount(40))])
            .expect("posts");
        assert_eq!(books.balance(BookId::PayoutsInTransit), 90);
        for state in PayoutState::ALL {
            let end = payout_end(one, otto, amount(50), *state);
            assert_eq!(end.is_some(), state.is_final(), "{state:?}");
        }
        let ends = [
            payout_end(one, otto, amount(50), PayoutState::Paid).expect("paid"),
            payout_end(two, otto, amount(40), PayoutState::Failed).expect("back"),
        ];
        for _ in 0..2 {
            books.post(&ends).expect("posts");
        }
        assert_eq!(books.balance(BookId::PayoutsInTransit), 0);
        assert_eq!(books.balance(BookId::Withdrawable(otto)), 40);
        assert_eq!(books.balance(BookId::Outside), -50);
        assert_eq!(books.sum(), 0);
    }

    #[test]
    fn a_deposit_is_credited_once_and_the_demo_stands_apart() {
        let rita = account(2);
        let id = |n| DepositId::new(at(), [n; 10]);
        let mut books = Books::default();
        let plan = [
            deposit_seen(id(1), amount(70)),
            deposit_end(id(1), rita, amount(70), false, true).expect("credits"),
            deposit_seen(id(2), amount(9)),
            deposit_end(id(2), rita, amount(9), false, false).expect("goes back"),
            deposit_end(id(3), rita, amount(5), true, true).expect("credits"),
        ];
        assert_eq!(deposit_end(id(4), rita, amount(5), true, false), None);
        for _ in 0..3 {
            books.post(&plan).expect("posts");
        }
        assert_eq!(books.balance(BookId::Available(rita)), 75);
        assert_eq!(books.balance(BookId::DepositsInTransit), 0);
        assert_eq!(books.balance(BookId::Outside), -70);
        assert_eq!(books.balance(BookId::DemoSource), -5);
        // The same deposit is not both credited and sent back.
        let refused = deposit_end(id(1), rita, amount(70), false, false).expect("goes back");
        assert_eq!(
            books.post(std::slice::from_ref(&refused)),
            Err(LedgerError::KeyReused(refused.key))
        );
    }

    #[test]
    fn a_channels_money_is_mirrored_until_the_chain_has_paid_it_all() {
        let (rita, otto) = (account(1), account(2));
        let channel = OfChannel {
            address: "0xc",
            requester: rita,
        };
        let lease = LeaseId::new(at(), [1; 10]);
        let mut books = Books::default();
        let earn = Transfer::new(
            "earn".into(),
            BookId::Available(rita),
            BookId::Earned(otto),
            amount(60),
            EntryKind::Charge,
        );
        let fee = Transfer::new(
            "fee".into(),
            BookId::Available(rita),
            BookId::Fees,
            amount(2),
            EntryKind::Fee,
        );
        let plan = [
            channel.locked("0xe:0", amount(100)),
            channel.locked("0xf:0", amount(10)),
            earn,
            fee,
            vouched(otto, lease, Amount::ZERO, amount(40)),
            vouched(otto, lease, amount(40), amount(20)),
            channel.redeemed("0xo", Some(otto), amount(40), amount(40)),
            channel.freed(Amount::ZERO, amount(8)),
            channel.freed(amount(8), amount(40)),
        ];
        for _ in 0..2 {
            books.post(&plan).expect("posts");
        }
        assert_eq!(books.balance(BookId::Channels), -22);
        assert_eq!(books.balance(BookId::Vouched(otto)), 20);
        let rest = [
            channel.redeemed("0xo", Some(otto), amount(60), amount(20)),
            channel.redeemed("0xv", None, amount(2), amount(2)),
        ];
        books.post(&rest).expect("posts");
        // The fee is in the vault now.
        assert_eq!(books.balance(BookId::Channels), 0);
        assert_eq!(books.balance(BookId::Outside), -2);
        assert_eq!(books.balance(BookId::Fees), 2);
        assert_eq!(books.balance(BookId::Available(rita)), 0);
        assert_eq!(books.sum(), 0);
        // No voucher pays what was not promised.
        let more = channel.redeemed("0xo", Some(otto), amount(61), amount(1));
        assert!(matches!(
            books.post(&[more]),
            Err(LedgerError::Insufficient { .. })
        ));
    }

    fn contested(paid: i64, owner_part: i64, set_aside: i64) -> Contested {
        Contested {
            id: DisputeId::new(at(), [1; 10]),
            requester: account(1),
            owner: account(2),
            job: JobId::new(at(), [1; 10]),
            paid: amount(paid),
            owner_part: amount(owner_part),
            set_aside: amount(set_aside),
        }
    }

    #[test]
    fn a_refund_comes_from_those_who_got_it() {
        let all = contested(1_000, 990, 990);
        assert_eq!(all.owner_share(amount(500)), amount(495));
        assert_eq!(all.owner_share(amount(1)), Amount::ZERO);
        let plan = all
            .rule(amount(500), amount(3), amount(2))
            .expect("covered");
        let parts: Vec<(i64, BookId)> = plan.iter().map(|t| (t.amount.base(), t.from)).collect();
        let aside = BookId::Disputed(account(2));
        assert_eq!(
            parts,
            [
                (495, aside),
                (3, BookId::Fees),
                (2, BookId::Treasury),
                (495, aside)
            ]
        );
        assert_eq!(plan[3].to, BookId::Withdrawable(account(2)));
        assert!(
            plan[..3]
                .iter()
                .all(|t| t.to == BookId::Available(account(1)))
        );
        assert_eq!(
            all.rule(amount(500), amount(3), amount(1)),
            Err(LedgerError::Insufficient {
                book: BookId::Treasury,
                amount: amount(2)
            })
        );
        // Decided for the owner.
        let upheld = all
            .rule(Amount::ZERO, Amount::ZERO, Amount::ZERO)
            .expect("nothing is owed");
        assert_eq!(upheld.len(), 1);
        assert_eq!(upheld[0].kind, EntryKind::Upheld);
    }

    #[test]
    fn what_is_given_back_unasked_comes_from_who_is_to_give_it_and_once() {
        let refund = Refund {
            lease: LeaseId::new(at(), [1; 10]),
            job: JobId::new(at(), [1; 10]),
            requester: account(1),
            owner: account(2),
            amount: amount(1_000),
        };
        assert_eq!(
            refund.owner_share(amount(1_990), amount(2_010)),
            amount(990)
        );
        assert_eq!(refund.owner_share(amount(5), Amount::ZERO), Amount::ZERO);
        let mut books = Books::default();
        let into = [
            credit(BookId::Earned(account(2)), 10),
            credit(BookId::Withdrawable(account(2)), 30),
            credit(BookId::Fees, 7),
            credit(BookId::Treasury, 1_000),
        ];
        books.post(&into).expect("posts");
        let owners = refund.owner_gives(amount(10), amount(30));
        let platforms = refund.platform_gives(amount(960), amount(7), amount(1_000));
        let platforms = platforms.expect("covered");
        for _ in 0..3 {
            books.post(&owners).expect("posts");
            books.post(&platforms).expect("posts");
        }
        assert_eq!(books.balance(BookId::Available(account(1))), 1_000);
        assert_eq!(books.balance(BookId::Fees), 0);
        assert_eq!(books.balance(BookId::Treasury), 47);
        assert_eq!(books.balance(BookId::Earned(account(2))), 0);
        assert_eq!(books.sum(), 0);
        assert_eq!(
            refund.platform_gives(amount(960), amount(7), amount(952)),
            Err(LedgerError::Insufficient {
                book: BookId::Treasury,
                amount: amount(953)
            })
        );
        assert_eq!(
            refund.owner_gives(Amount::ZERO, Amount::ZERO),
            Vec::<Transfer>::new()
        );
    }

    proptest! {
        /// The requester gets exactly the refund, the owner what is left, and no base unit more or less.
        #[test]
        fn a_ruling_moves_exactly_what_it_says(
            paid in 1_i64..1_000_000, part in 0.0_f64..=1.0, aside in 0.0_f64..=1.0, claim in 0.0_f64..=1.0,
            early in 0.0_f64..=1.0,
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let of = |whole: i64, share: f64| (whole as f64 * share) as i64;
            let owner_part = of(paid, part);
            let set_aside = of(owner_part, aside);
            let refund = of(paid, claim);
            let all = contested(paid, owner_part, set_aside);
            let earned = of(set_aside, early);
            let mut books = Books::default();
            let (owner, requester) = (account(2), account(1));
            books.post(&[
                credit(BookId::Earned(owner), earned + 1),
                credit(BookId::Withdrawable(owner), set_aside + 1),
                credit(BookId::Fees, 3),
                credit(BookId::Treasury, paid + 1),
            ]).expect("posts");
            books.post(&all.open(amount(earned))).expect("opens");
            prop_assert_eq!(books.balance(BookId::Disputed(owner)), set_aside);
            books.post(&all.rule(amount(refund), amount(3), amount(paid + 1)).expect("covered")).expect("rules");
            prop_assert_eq!(books.balance(BookId::Available(requester)), refund);
            prop_assert_eq!(books.balance(BookId::Disputed(owner)), 0);
            let owners = books.balance(BookId::Withdrawable(owner)) + books.balance(BookId::Earned(owner));
            let taken = all.owner_share(amount(refund)).base().min(set_aside);
            prop_assert_eq!(owners, earned + set_aside + 2 - taken);
            prop_assert_eq!(books.sum(), 0);
        }
    }
}
