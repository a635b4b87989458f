//! Plans, posted to books: each moves what it says, once.

use kernel::{DisputeId, JobId, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::books::{Books, LedgerError};

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
        unmatured: Amount::ZERO,
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
fn what_waited_before_a_dispute_waits_after_it() {
    // Of 990 that are set aside, 600 had not matured; a refund takes of these first.
    let of = Contested {
        unmatured: amount(600),
        ..contested(1_000, 990, 990)
    };
    for (refund, waits, at_once) in [(0, 600, 390), (500, 105, 390), (800, 0, 198), (1_000, 0, 0)] {
        let given = of.given_back(amount(refund));
        assert_eq!(given, (amount(waits), amount(at_once)), "{refund}");
        let plan = of.rule(amount(refund), amount(1_000), Amount::ZERO);
        let plan = plan.expect("covered");
        let into = |book| {
            let sums = plan.iter().filter(|t| t.to == book);
            sums.map(|t| t.amount.base()).sum::<i64>()
        };
        assert_eq!(into(BookId::Earned(account(2))), waits, "{refund}");
        assert_eq!(into(BookId::Withdrawable(account(2))), at_once, "{refund}");
    }
}

#[test]
fn what_is_given_back_unasked_comes_from_who_is_to_give_it_and_once() {
    let refund = Refund {
        key: "refund:one",
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
