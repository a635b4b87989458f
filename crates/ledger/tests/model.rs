//! Random operations on the books beside a model that knows nothing of transfers: it adds and subtracts what each operation
//! means. After each of them the two agree, all books sum to zero, and nobody is below zero.
//!
//! `IOG_SOAK_LEDGER_OPS` and `IOG_SOAK_SEED` choose how many and which; scripts/soak.sh runs a million.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, VecDeque};

use kernel::{
    AccountId, Amount, DepositId, DisputeId, HoldId, JobId, LeaseId, PayoutId, Timestamp,
    TransferId,
};
use ledger::plans::{self, Contested, Refund};
use ledger::{BookId, Books, Hold, LedgerError, Payment, Transfer};
use protocol::money::{EntryKind, PayoutState};

const PEOPLE: u64 = 6;
/// So many plans are remembered, to be sent again.
const REMEMBERED: usize = 400;
/// Holds, leases, payouts and disputes that are open at once.
const OPEN_MAX: usize = 24;

fn length(name: &str, short: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(short, |text| text.parse().unwrap())
}

/// The same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn below(&mut self, most: i64) -> i64 {
        i64::try_from(self.roll(u64::try_from(most.max(1)).unwrap())).unwrap()
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(of).unwrap())).unwrap()
    }
}

fn at() -> Timestamp {
    Timestamp::from_millis(1)
}

fn bytes(n: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn person(n: u64) -> AccountId {
    AccountId::new(at(), bytes(n))
}

fn amount(base: i64) -> Amount {
    Amount::try_from_base(base).unwrap()
}

/// What somebody holds, by the meaning of the words alone.
type Model = BTreeMap<BookId, i64>;

struct OpenHold {
    hold: Hold,
    who: u64,
    /// By the model.
    left: i64,
}

struct OpenLease {
    id: LeaseId,
    owner: u64,
    earned: i64,
    matured: i64,
    /// What was paid for it, and what came back.
    charged: i64,
    who: u64,
    receipts: u64,
    refunded: bool,
}

struct OpenDispute {
    of: Contested,
    lease: LeaseId,
    owner: u64,
}

#[derive(Default)]
struct Run {
    books: Books,
    model: Model,
    next: u64,
    holds: Vec<OpenHold>,
    leases: Vec<OpenLease>,
    payouts: Vec<(PayoutId, u64, i64)>,
    disputes: Vec<OpenDispute>,
    deposits: Vec<(DepositId, u64, i64)>,
    posted: VecDeque<Vec<Transfer>>,
    refused: u64,
}

fn available(n: u64) -> BookId {
    BookId::Available(person(n))
}

impl Run {
    fn id(&mut self) -> [u8; 10] {
        self.next += 1;
        bytes(self.next)
    }

    fn held(&self, book: BookId) -> i64 {
        self.model.get(&book).copied().unwrap_or(0)
    }

    /// Posts a plan of which the model says what it moves: `from` loses what `to` gets, one after the other; refused as a
    /// whole where somebody would be below zero.
    fn post(&mut self, plan: Vec<Transfer>, moves: &[(BookId, BookId, i64)]) -> bool {
        let mut after = self.model.clone();
        let mut fits = true;
        for (from, to, base) in moves {
            *after.entry(*from).or_default() -= base;
            *after.entry(*to).or_default() += base;
            let mirror = matches!(from, BookId::Outside | BookId::DemoSource);
            fits &= mirror || after[from] >= 0;
        }
        let done = self.books.post(&plan);
        assert_eq!(done.is_ok(), fits, "{plan:?} {done:?}");
        if fits {
            self.model = after;
            if !plan.is_empty() {
                self.posted.push_back(plan);
            }
            if self.posted.len() > REMEMBERED {
                self.posted.pop_front();
            }
        } else {
            assert!(matches!(done, Err(LedgerError::Insufficient { .. })));
            self.refused += 1;
        }
        fits
    }

    /// Of what moved; the whole once in a while.
    fn check(&self, all: bool) {
        assert_eq!(self.books.sum(), 0);
        for (book, base) in &self.model {
            if all || book.owner().is_none() {
                assert_eq!(self.books.balance(*book), *base, "{book}");
            }
            assert!(*base >= 0 || book.may_be_negative(), "{book}");
        }
    }

    fn deposit(&mut self, dice: &mut Dice) {
        let (who, base) = (dice.roll(PEOPLE), 1 + dice.below(5_000));
        let id = DepositId::new(at(), self.id());
        if dice.roll(3) == 0 {
            let plan = plans::deposit_end(id, person(who), amount(base), true, true);
            let moves = [(BookId::DemoSource, available(who), base)];
            self.post(plan.into_iter().collect(), &moves);
            return;
        }
        let plan = vec![plans::deposit_seen(id, amount(base))];
        self.post(plan, &[(BookId::Outside, BookId::DepositsInTransit, base)]);
        self.deposits.push((id, who, base));
    }

    fn end_deposit(&mut self, dice: &mut Dice) {
        if self.deposits.is_empty() {
            return;
        }
        let at = dice.pick(self.deposits.len());
        let (id, who, base) = self.deposits.swap_remove(at);
        let credited = dice.roll(4) > 0;
        let plan = plans::deposit_end(id, person(who), amount(base), false, credited);
        let to = if credited {
            available(who)
        } else {
            BookId::Outside
        };
        self.post(
            plan.into_iter().collect(),
            &[(BookId::DepositsInTransit, to, base)],
        );
    }

    fn add(&mut self, dice: &mut Dice) {
        if self.holds.len() < OPEN_MAX && (self.holds.is_empty() || dice.roll(3) == 0) {
            let (who, hold, job) = (dice.roll(PEOPLE), self.id(), self.id());
            let hold = Hold::new(HoldId::new(at(), hold), person(who), JobId::new(at(), job));
            self.holds.push(OpenHold { hold, who, left: 0 });
        }
        let which = dice.pick(self.holds.len());
        let base = dice.below(800);
        let (mut hold, who) = (self.holds[which].hold.clone(), self.holds[which].who);
        let plan = hold.add(amount(base)).unwrap();
        let moves = [(available(who), BookId::Held(person(who)), base)];
        if self.post(plan, &moves) {
            self.holds[which].hold = hold;
            self.holds[which].left += base;
        }
    }

    fn pay(&mut self, dice: &mut Dice) {
        if self.holds.is_empty() {
            return;
        }
        let which = dice.pick(self.holds.len());
        let who = self.holds[which].who;
        if self.leases.len() < OPEN_MAX && (self.leases.is_empty() || dice.roll(4) == 0) {
            let id = LeaseId::new(at(), self.id());
            self.leases.push(OpenLease {
                id,
                owner: dice.roll(PEOPLE),
                earned: 0,
                matured: 0,
                charged: 0,
                who,
                receipts: 0,
                refunded: false,
            });
        }
        let own: Vec<usize> = (0..self.leases.len())
            .filter(|n| self.leases[*n].who == who)
            .collect();
        if own.is_empty() {
            return;
        }
        let lease = own[dice.pick(own.len())];
        let (owner_gets, fee) = (dice.below(200), dice.below(20));
        let to = self.leases[lease].owner;
        let mut hold = self.holds[which].hold.clone();
        let plan = hold.pay(Payment {
            lease: self.leases[lease].id,
            receipt: self.leases[lease].receipts,
            owner: person(to),
            owner_gets: amount(owner_gets),
            platform_gets: amount(fee),
        });
        let left = self.holds[which].left;
        assert_eq!(plan.is_ok(), owner_gets + fee <= left, "{left} {plan:?}");
        let Ok(plan) = plan else {
            self.refused += 1;
            return;
        };
        let held = BookId::Held(person(who));
        let moves = [
            (held, BookId::Earned(person(to)), owner_gets),
            (held, BookId::Fees, fee),
        ];
        assert!(self.post(plan, &moves), "what is held is there");
        self.holds[which].hold = hold;
        self.holds[which].left -= owner_gets + fee;
        let lease = &mut self.leases[lease];
        lease.receipts += 1;
        lease.earned += owner_gets;
        lease.charged += owner_gets + fee;
    }

    /// Gives back what is left of a hold: for good, or until more is set aside.
    fn give_back(&mut self, dice: &mut Dice) {
        if self.holds.is_empty() {
            return;
        }
        let which = dice.pick(self.holds.len());
        let (who, left) = (self.holds[which].who, self.holds[which].left);
        let moves = [(BookId::Held(person(who)), available(who), left)];
        if dice.roll(2) == 0 {
            let mut over = self.holds.swap_remove(which).hold;
            let plan = over.release();
            assert_eq!(plan.is_empty(), left == 0);
            assert!(self.post(plan, &moves));
            assert_eq!(over.add(amount(1)), Err(LedgerError::HoldReleased));
            assert_eq!(over.release(), []);
            return;
        }
        let time = i64::try_from(dice.roll(100)).unwrap();
        let mut hold = self.holds[which].hold.clone();
        hold.expires_at = (dice.roll(5) > 0).then_some(Timestamp::from_millis(time));
        let over = hold.expires_at.is_some() && time <= 50;
        let plan = hold.expire(Timestamp::from_millis(50)).unwrap();
        assert_eq!(!plan.is_empty(), over && left > 0);
        self.holds[which].hold = hold;
        if over {
            assert!(self.post(plan, &moves));
            self.holds[which].left = 0;
        }
    }

    fn mature(&mut self, dice: &mut Dice) {
        if self.leases.is_empty() {
            return;
        }
        let which = dice.pick(self.leases.len());
        let lease = &self.leases[which];
        let (owner, more) = (person(lease.owner), lease.earned - lease.matured);
        let plan = plans::mature(owner, lease.id, amount(lease.matured), amount(lease.earned));
        assert_eq!(plan.is_some(), more > 0);
        let moves = [(BookId::Earned(owner), BookId::Withdrawable(owner), more)];
        assert!(self.post(plan.into_iter().collect(), &moves));
        self.leases[which].matured = self.leases[which].earned;
        // What disputes set aside of it would have matured, too.
        let lease = self.leases[which].id;
        let disputes = self.disputes.iter_mut();
        for dispute in disputes.filter(|dispute| dispute.lease == lease) {
            dispute.of.unmatured = Amount::ZERO;
        }
    }

    /// Earnings are spent here, or leave.
    fn take_out(&mut self, dice: &mut Dice) {
        let (who, base) = (dice.roll(PEOPLE), 1 + dice.below(400));
        let withdrawable = BookId::Withdrawable(person(who));
        if dice.roll(2) == 0 {
            let id = TransferId::new(at(), self.id());
            let plan = vec![plans::convert(person(who), id, amount(base))];
            self.post(plan, &[(withdrawable, available(who), base)]);
            return;
        }
        let id = PayoutId::new(at(), self.id());
        let plan = vec![plans::payout(id, person(who), amount(base))];
        if self.post(plan, &[(withdrawable, BookId::PayoutsInTransit, base)]) {
            self.payouts.push((id, who, base));
        }
    }

    fn end_payout(&mut self, dice: &mut Dice) {
        if self.payouts.is_empty() {
            return;
        }
        let which = dice.pick(self.payouts.len());
        let (id, who, base) = self.payouts[which];
        let state = PayoutState::ALL[dice.pick(PayoutState::ALL.len())];
        let plan = plans::payout_end(id, person(who), amount(base), state);
        let to = match state {
            PayoutState::Paid => BookId::Outside,
            PayoutState::Failed | PayoutState::Cancelled | PayoutState::Refused => {
                BookId::Withdrawable(person(who))
            }
            _ => {
                assert_eq!(plan, None);
                return;
            }
        };
        let plan = plan.into_iter().collect();
        assert!(self.post(plan, &[(BookId::PayoutsInTransit, to, base)]));
        self.payouts.swap_remove(which);
    }

    fn contest(&mut self, dice: &mut Dice) {
        if self.leases.is_empty() || self.disputes.len() >= OPEN_MAX {
            return;
        }
        let which = dice.pick(self.leases.len());
        if self.leases[which].charged == 0 || self.leases[which].refunded {
            return;
        }
        let (dispute, job) = (self.id(), self.id());
        let lease = &self.leases[which];
        let owner = person(lease.owner);
        // What was earned with it may have been taken before: set aside is what is there.
        let open = lease.earned - lease.matured;
        let share = 1 + dice.below(lease.charged);
        let of = Contested {
            id: DisputeId::new(at(), dispute),
            requester: person(lease.who),
            owner,
            job: JobId::new(at(), job),
            paid: amount(lease.charged),
            owner_part: amount(lease.earned.min(lease.charged)),
            set_aside: Amount::ZERO,
            unmatured: Amount::ZERO,
        };
        let part = of.owner_share(amount(share)).base();
        let from_earned = part.min(open);
        let from_rest = (part - from_earned).min(self.held(BookId::Withdrawable(owner)));
        let of = Contested {
            set_aside: amount(from_earned + from_rest),
            unmatured: amount(from_earned),
            ..of
        };
        let aside = BookId::Disputed(owner);
        let moves = [
            (BookId::Earned(owner), aside, from_earned),
            (BookId::Withdrawable(owner), aside, from_rest),
        ];
        let plan = of.open(amount(from_earned));
        assert!(self.post(plan, &moves));
        let lease = &mut self.leases[which];
        lease.matured += from_earned;
        lease.refunded = true;
        let (owner, lease) = (lease.owner, lease.id);
        self.disputes.push(OpenDispute { of, lease, owner });
    }

    fn rule(&mut self, dice: &mut Dice) {
        if self.disputes.is_empty() {
            return;
        }
        let which = dice.pick(self.disputes.len());
        let (of, owner) = (self.disputes[which].of, self.disputes[which].owner);
        let refund = dice.below(of.paid.base() + 1);
        let (fees, treasury) = (self.held(BookId::Fees), self.held(BookId::Treasury));
        let plan = of.rule(amount(refund), amount(fees), amount(treasury));
        let from_owner = of
            .owner_share(amount(refund))
            .base()
            .min(of.set_aside.base());
        let from_fees = (refund - from_owner).min(fees);
        let from_treasury = refund - from_owner - from_fees;
        assert_eq!(plan.is_ok(), from_treasury <= treasury);
        let Ok(plan) = plan else {
            self.refused += 1;
            return;
        };
        let (aside, back) = (
            BookId::Disputed(person(owner)),
            BookId::Available(of.requester),
        );
        // A refund takes first of what had not matured; what is left of that waits again.
        let waits = (of.unmatured.base() - from_owner).max(0);
        let moves = [
            (aside, back, from_owner),
            (BookId::Fees, back, from_fees),
            (BookId::Treasury, back, from_treasury),
            (
                aside,
                BookId::Withdrawable(person(owner)),
                of.set_aside.base() - from_owner - waits,
            ),
            (aside, BookId::Earned(person(owner)), waits),
        ];
        assert!(self.post(plan, &moves));
        let dispute = self.disputes.swap_remove(which);
        let mut leases = self.leases.iter_mut();
        if let Some(lease) = leases.find(|lease| lease.id == dispute.lease) {
            lease.matured -= waits;
        }
    }

    fn refund(&mut self, dice: &mut Dice) {
        if self.leases.is_empty() {
            return;
        }
        let which = dice.pick(self.leases.len());
        let job = JobId::new(at(), self.id());
        let lease = &self.leases[which];
        if lease.refunded || lease.charged == 0 {
            return;
        }
        let (owner, back) = (person(lease.owner), available(lease.who));
        let key = format!("refund:{}", lease.id);
        let refund = Refund {
            key: &key,
            job,
            requester: person(lease.who),
            owner,
            amount: amount(1 + dice.below(lease.charged)),
        };
        let share = refund.owner_share(amount(lease.earned), amount(lease.charged));
        let from_earned = share.base().min(lease.earned - lease.matured);
        let there = self.held(BookId::Withdrawable(owner));
        let from_rest = (share.base() - from_earned).min(there);
        let owed = refund.amount.base() - from_earned - from_rest;
        let (fees, treasury) = (self.held(BookId::Fees), self.held(BookId::Treasury));
        let moves = [
            (BookId::Earned(owner), back, from_earned),
            (BookId::Withdrawable(owner), back, from_rest),
        ];
        let plan = refund.owner_gives(amount(from_earned), amount(from_rest));
        assert!(self.post(plan, &moves));
        self.leases[which].matured += from_earned;
        self.leases[which].refunded = true;
        let plan = refund.platform_gives(amount(owed), amount(fees), amount(treasury));
        assert_eq!(plan.is_ok(), owed <= fees + treasury);
        if let Ok(plan) = plan {
            let moves = [
                (BookId::Fees, back, owed.min(fees)),
                (BookId::Treasury, back, owed - owed.min(fees)),
            ];
            assert!(self.post(plan, &moves));
        }
    }

    /// What was posted before comes again, and once under its key something else.
    fn again(&mut self, dice: &mut Dice) {
        if self.posted.is_empty() {
            return;
        }
        let plan = self.posted[dice.pick(self.posted.len())].clone();
        assert_eq!(self.books.post(&plan), Ok(()));
        let mut other = plan[dice.pick(plan.len())].clone();
        other.amount = amount(other.amount.base() + 1);
        let reused = LedgerError::KeyReused(other.key.clone());
        assert_eq!(self.books.post(&[other]), Err(reused));
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.roll(20) {
            0 | 1 => self.deposit(dice),
            2 | 3 => self.end_deposit(dice),
            4 | 5 => self.add(dice),
            6..=9 => self.pay(dice),
            10 | 11 => self.give_back(dice),
            12 => self.mature(dice),
            13 => self.take_out(dice),
            14 => self.end_payout(dice),
            15 => self.contest(dice),
            16 => self.rule(dice),
            17 => self.refund(dice),
            18 => {
                // A lease that is over is forgotten here; what it earned and did not mature stays earned.
                if self.leases.len() == OPEN_MAX {
                    let which = dice.pick(self.leases.len());
                    self.leases.swap_remove(which);
                }
            }
            _ => self.again(dice),
        }
    }
}

#[test]
fn random_operations_do_what_the_model_says() {
    let operations = length("IOG_SOAK_LEDGER_OPS", 100_000);
    let seed = length("IOG_SOAK_SEED", 1);
    let mut dice = Dice(seed);
    let mut run = Run::default();
    for book in [BookId::Fees, BookId::Treasury] {
        let give = Transfer {
            key: format!("seed:{book}"),
            from: BookId::Outside,
            to: book,
            amount: amount(50),
            kind: EntryKind::Deposit,
            job: None,
        };
        run.post(vec![give], &[(BookId::Outside, book, 50)]);
    }
    for n in 0..operations {
        run.step(&mut dice);
        run.check(n % 64 == 0);
    }
    run.check(true);
    let refused = run.refused;
    assert!(refused > operations / 100, "{refused} refusals test little");
    println!(
        "{operations} operations, seed {seed}: {refused} refused as the model says, 0 violations"
    );
}
