//! The weekly earnings report while chain and process fail; and what a payout keeps for its owner's taxes.

use exchange::PayoutMove;
use kernel::LeaseId;
use protocol::money::{IncidentKind, PayoutState};
use settlement::report::Earning;
use settlement::tax::Rate;
use settlement::{Address, Tree};

use crate::double::{Double, Fault, dice, io};
use crate::weekly::{
    DAY, PRICE, WEEK, chain_has_all, earn, has, now, reports, round, rounds, same_time, week_of,
};
use crate::world::{Worker, World, backends};

#[tokio::test]
async fn each_version_is_published_once_under_any_fault_and_whenever_the_process_dies() {
    for backend in backends() {
        let mut world = World::with(backend, |settings| {
            settings.dispute_window = kernel::Seconds::new(60 * 86_400);
        })
        .await;
        let chain = Double::new();
        let (rita, otto) = world.people("50").await;
        let ann = crate::payouts::admin(&world, "ann").await;
        world.fill_treasury(100_000_000).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let (mut roll, faults) = (dice(7), Fault::ALL);
        let mut leases: Vec<LeaseId> = Vec::new();
        for week in 0..8 {
            if week < 6 {
                leases.push(earn(&world, &mut worker, &rita, 65).await);
                worker.disconnect(&world).await;
            }
            let next = week_of(&world).next().unwrap();
            for _ in 0..12 {
                let fault = faults[usize::try_from(roll(6)).unwrap()];
                chain.with(|ledger| ledger.faults.push(fault));
                if roll(4) == 0 {
                    world.crash().await;
                }
                let millis = if roll(3) == 0 { 70_000 } else { 1_000 };
                round(&world, &chain, millis).await;
            }
            // Of the week before something is given back, sooner or later.
            if let Some(lease) = leases.len().checked_sub(2).and_then(|n| leases.get(n)) {
                let open = world
                    .exchange
                    .open_dispute(&rita, *lease, 1, None, "slow", None);
                if let Ok(dispute) = open.await {
                    let half = io(dispute.claimed.base() / 2);
                    let ruled = world.exchange.rule(&ann, dispute.id, half, "half", None);
                    ruled.await.unwrap();
                }
            }
            world.pass(next.starts_at().millis() - now(&world).millis() + DAY);
            same_time(&world, &chain);
        }
        chain.with(|ledger| ledger.faults.clear());
        for n in 0..60 {
            round(&world, &chain, if n % 3 == 0 { 70_000 } else { 1_000 }).await;
        }
        let there = chain_has_all(&world, &chain).await;
        let corrections = there.keys().filter(|(_, version)| *version > 1).count();
        assert!(there.len() >= 8 && corrections >= 4, "{there:?}");
        let sum: i64 = reports(&world)
            .await
            .iter()
            .map(|view| view.total.base())
            .sum();
        assert_eq!(sum, has(&world, &otto).await);
        let signed = chain.with(|ledger| ledger.signed);
        assert!(
            signed > u64::try_from(there.len()).unwrap(),
            "no fault made it sign again"
        );
        println!(
            "{backend}: {} versions, {corrections} of them corrections, {signed} transactions signed",
            there.len()
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_process_that_dies_between_signing_and_sending_sends_the_same_bytes() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let chain = Double::new();
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        earn(&world, &mut worker, &rita, 5).await;
        world.pass(WEEK);
        same_time(&world, &chain);
        chain.with(|ledger| ledger.faults.push(Fault::Away));
        round(&world, &chain, 1_000).await;
        let seen = chain.with(|ledger| (ledger.signed, ledger.pending.len()));
        assert_eq!(seen, (1, 0), "signed, and nobody has it");
        world.crash().await;
        rounds(&world, &chain, 4).await;
        assert_eq!(chain.with(|ledger| ledger.signed), 1);
        assert_eq!(chain_has_all(&world, &chain).await.len(), 1);
    }
}

#[tokio::test]
async fn what_the_chain_has_otherwise_is_an_incident_and_the_books_are_the_next_version() {
    let world = World::new("sqlite").await;
    let chain = Double::new();
    let ann = crate::payouts::admin(&world, "ann").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    earn(&world, &mut worker, &rita, 5).await;
    let week = week_of(&world);
    world.pass(WEEK);
    same_time(&world, &chain);
    // As after a backup that is older than the chain: the same was published, and the books know nothing of it.
    let owner = Address::of_owner(otto.account);
    let line = |base| Earning {
        owner,
        amount: io(base),
    };
    let same = Tree::try_new(week, 1, [line(has(&world, &otto).await)]).unwrap();
    chain.publish(*same.heading());
    rounds(&world, &chain, 3).await;
    let made = reports(&world).await;
    assert_eq!(made[0].root, same.heading().root.to_string());
    assert!(made[0].published_at.is_some());
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
    assert_eq!(chain.with(|ledger| ledger.signed), 0);
    // Somebody else's second version: it stands as an incident until the books are the newest again.
    let other = Tree::try_new(week, 2, [line(1)]).unwrap();
    chain.publish(*other.heading());
    rounds(&world, &chain, 1).await;
    assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
    let incidents = world.exchange.incidents(&ann).await.unwrap();
    assert_eq!(incidents[0].kind, IncidentKind::OnChain);
    assert!(incidents[0].subject.starts_with("report: "));
}

#[tokio::test]
async fn a_payout_keeps_the_rate_of_its_day() {
    for backend in backends() {
        let mut world = World::with(backend, |settings| {
            settings.io_rate = Some(Rate::try_new("EUR", 2_000_000).unwrap());
        })
        .await;
        let ann = crate::payouts::admin(&world, "ann").await;
        let otto = world.account("otto", "10").await;
        world.make_withdrawable(&otto, 500_000_000).await;
        for (n, rate) in [(1, None), (2, Rate::try_new("USD", 250_000).ok())] {
            let wallet = format!("0x{n:064x}00").replacen("0x00", "0x", 1);
            let payout = world
                .exchange
                .request_payout(&otto, io(150_000_000), Some(&wallet), None)
                .await
                .unwrap();
            let send = PayoutMove::Send {
                reference: format!("=by hand {n}"),
            };
            for step in [PayoutMove::Approve, send, PayoutMove::Confirm] {
                world
                    .exchange
                    .move_payout(&ann, payout.id, step, None)
                    .await
                    .unwrap();
            }
            let paid = world.exchange.payout(&otto, payout.id).await.unwrap();
            assert_eq!(paid.state, PayoutState::Paid);
            // A rate that is set later changes nothing of what was paid.
            world.settings.io_rate = rate;
            world.crash().await;
            world.pass(1_000);
        }
        let table = world.exchange.tax_table(&otto, 2026).await.unwrap();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect())
            .collect();
        assert_eq!(rows[0][2..6], ["1.50", "2.00", "EUR", "3.00"]);
        assert_eq!(rows[1][2..6], ["1.50", "", "", ""]);
        assert_eq!(
            (rows.len(), rows[0][7]),
            (2, ""),
            "what people wrote is not in it"
        );
        let other = world.exchange.tax_table(&otto, 2025).await.unwrap();
        assert_eq!(other.lines().count(), 1);
        assert!(world.exchange.tax_table(&otto, 0).await.is_err());
        let not_his = world.exchange.tax_table(&ann, 2026).await.unwrap();
        assert_eq!(not_his.lines().count(), 1);
    }
}
