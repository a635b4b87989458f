//! The weekly earnings report: made, corrected, published once, proven.

use std::collections::BTreeMap;

use exchange::Actor;
use kernel::{JobId, LeaseId, Timestamp};
use protocol::money::ReportView;
use protocol::problem::Code;
use protocol::spec::DeviceClass;
use protocol::state::{JobState, RunEnd};
use settlement::proof::{Proof, ProofError, Standing};
use settlement::report::Heading;
use settlement::{Address, Chain, ChainError, Week};

use crate::double::{Double, io};
use crate::world::{Worker, World, backends, spec};

pub const PRICE: i64 = 25_000;
pub const DAY: i64 = 86_400_000;
pub const WEEK: i64 = 7 * DAY;

pub fn now(world: &World) -> Timestamp {
    kernel::Clock::now(&*world.clock)
}

pub fn week_of(world: &World) -> Week {
    Week::containing(now(world)).unwrap()
}

/// A round of both: the chain makes a block, the exchange looks. The chain may be away.
pub async fn round(world: &World, chain: &Double, millis: i64) {
    world.pass(millis);
    chain.block(millis);
    for done in [
        world.exchange.settle(chain).await,
        world.exchange.report_weeks(chain).await,
    ] {
        match done {
            Ok(()) | Err(exchange::Error::Chain(ChainError::Unreachable(_))) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

pub async fn rounds(world: &World, chain: &Double, count: u32) {
    for _ in 0..count {
        round(world, chain, 1_000).await;
    }
}

/// The chain's clock follows the test's.
pub fn same_time(world: &World, chain: &Double) {
    chain.with(|ledger| ledger.at = now(world).millis());
}

async fn back_online(world: &World, worker: &mut Worker) {
    worker.disconnect(world).await;
    worker.connect(world, None).await.unwrap();
    worker.beat(world).await;
    world.tick().await;
}

/// What fits the worker's device.
fn asked(worker: &Worker) -> &'static str {
    match worker.device.0 {
        DeviceClass::Gpu => "[resources]\nclass = 'gpu'\n[limits]\nwait_seconds = 600",
        DeviceClass::Cpu => "",
    }
}

async fn submit(world: &World, rita: &Actor, extra: &str) -> JobId {
    let job = world.exchange.submit(rita, spec(extra), None, None).await;
    job.expect("a job").summary.id
}

/// A job of so many seconds from begin to end.
pub async fn earn(world: &World, worker: &mut Worker, rita: &Actor, seconds: u64) -> LeaseId {
    back_online(world, worker).await;
    let job = submit(world, rita, asked(worker)).await;
    let (lease, _) = worker.start(world).await;
    worker.work(world, seconds).await;
    worker.end(world, RunEnd::Exited { code: 0 }).await;
    world.tick().await;
    let view = world.exchange.job(rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Finished);
    lease
}

/// All that an owner earned and still has here; in these tests nothing is paid out or spent.
pub async fn has(world: &World, owner: &Actor) -> i64 {
    let books = world.exchange.balance(owner).await.unwrap();
    [books.earned, books.withdrawable, books.disputed]
        .iter()
        .map(|amount| amount.base())
        .sum()
}

pub async fn reports(world: &World) -> Vec<ReportView> {
    let page = world.exchange.reports(None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.items
}

/// Each report counts once on the chain, and says what the database says.
pub async fn chain_has_all(world: &World, chain: &Double) -> BTreeMap<(u64, u64), Heading> {
    let there = chain.with(|ledger| ledger.reports.clone());
    let there: BTreeMap<(u64, u64), Heading> = there
        .into_iter()
        .map(|((week, version), heading)| ((week.day(), version), heading))
        .collect();
    let mut own = 0;
    for newest in reports(world).await {
        for view in world.exchange.report_versions(newest.week).await.unwrap() {
            let heading = there[&(view.week, view.version)];
            assert_eq!(
                (
                    view.root.as_str(),
                    view.total,
                    view.owners,
                    view.published_at.is_some()
                ),
                (
                    heading.root.to_string().as_str(),
                    heading.total,
                    heading.owners,
                    true
                )
            );
            assert!(view.transaction.is_some());
            own += 1;
        }
    }
    assert_eq!(own, there.len());
    there
}

#[tokio::test]
async fn weeks_that_were_missed_are_made_and_published_when_the_chain_says_that_they_are_over() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let (rita, otto) = world.people("50").await;
        let olga = world.account("olga", "0").await;
        let (mut one, mut two) = (Worker::new(1, PRICE), Worker::new(2, PRICE));
        one.join(&world, &otto).await;
        // Nothing was earned: there is no report, and none of weeks before the first.
        world.pass(2 * WEEK);
        same_time(&world, &chain);
        rounds(&world, &chain, 2).await;
        assert!(reports(&world).await.is_empty());
        let first = week_of(&world);
        earn(&world, &mut one, &rita, 65).await;
        let mut expected = vec![has(&world, &otto).await];
        assert!(expected[0] > 0);
        world.pass(WEEK);
        one.disconnect(&world).await;
        world.tick().await;
        two.join(&world, &olga).await;
        let wallet = format!("0x{:064x}", 1_000);
        world
            .exchange
            .set_payout_address(&olga, &wallet)
            .await
            .unwrap();
        earn(&world, &mut two, &rita, 5).await;
        two.disconnect(&world).await;
        world.tick().await;
        earn(&world, &mut one, &rita, 10).await;
        let all = has(&world, &otto).await + has(&world, &olga).await;
        expected.push(all - expected[0]);
        // A week in which nobody earned, and a part of the next.
        expected.push(0);
        world.pass(2 * WEEK);
        // By the chain's clock no week is over.
        rounds(&world, &chain, 2).await;
        assert!(reports(&world).await.is_empty());
        same_time(&world, &chain);
        rounds(&world, &chain, 6).await;
        let mut made = reports(&world).await;
        made.reverse();
        let totals: Vec<i64> = made.iter().map(|view| view.total.base()).collect();
        assert_eq!(totals, expected, "the sums of the books, week by week");
        let owners: Vec<u64> = made.iter().map(|view| view.owners).collect();
        assert_eq!(owners, [1, 2, 0]);
        assert_eq!(made[0].week, first.day());
        assert!(made.iter().all(|view| view.version == 1));
        chain_has_all(&world, &chain).await;
        assert_eq!(chain.with(|ledger| ledger.signed), 3);
        // Who has a payout address stands under it; who has none, under a name that nobody has the key of.
        let second = made[1].week;
        for (who, address) in [
            (&olga, wallet.parse().unwrap()),
            (&otto, Address::of_owner(otto.account)),
        ] {
            let file = world.exchange.earnings_proof(who, second, None).await;
            assert_eq!(file.unwrap().proof.owner, address);
        }
        // The page goes on before its last.
        let page = world.exchange.reports(None, 2).await.unwrap();
        let before = page.next.unwrap().parse().unwrap();
        let rest = world.exchange.reports(Some(before), 2).await.unwrap();
        assert_eq!(rest.items, [made[0].clone()]);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn what_is_taken_back_of_a_closed_week_makes_a_new_version_and_the_sums_are_the_books() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let (rita, otto) = world.people("50").await;
        let ann = crate::payouts::admin(&world, "ann").await;
        world.fill_treasury(100_000_000).await;
        let mut worker = Worker::new(1, PRICE);
        let gpu = (DeviceClass::Gpu, "RTX 4090", 24_564);
        worker.device = gpu;
        worker.join(&world, &otto).await;
        let contested = earn(&world, &mut worker, &rita, 130).await;
        let first = week_of(&world);
        // A lease over the end of the week.
        world.pass(first.ends_at().millis() - now(&world).millis() - 70_000);
        back_online(&world, &mut worker).await;
        let job = submit(&world, &rita, asked(&worker)).await;
        worker.start(&world).await;
        worker.work(&world, 300).await;
        // Its second week goes on: only the first is closed.
        same_time(&world, &chain);
        rounds(&world, &chain, 4).await;
        let made = reports(&world).await;
        assert_eq!((made.len(), made[0].week), (1, first.day()));
        let before = made[0].total.base();
        let stale = world
            .exchange
            .earnings_proof(&otto, first.day(), None)
            .await
            .unwrap()
            .proof;
        assert_eq!(stale.amount.base(), before);

        // A dispute alone takes nothing, and neither does one that is given up.
        let dispute = world
            .exchange
            .open_dispute(&rita, contested, 1, None, "slow", None)
            .await
            .unwrap();
        world
            .exchange
            .withdraw_dispute(&rita, dispute.id, None)
            .await
            .unwrap();
        rounds(&world, &chain, 4).await;
        assert_eq!(reports(&world).await[0].version, 1);
        // A ruling does: the owner's half of that receipt. The owner stands there under the name of before.
        let wallet = format!("0x{:064x}", 2_000);
        world
            .exchange
            .set_payout_address(&otto, &wallet)
            .await
            .unwrap();
        let dispute = world
            .exchange
            .open_dispute(&rita, contested, 2, None, "slow", None)
            .await
            .unwrap();
        let half = io(dispute.claimed.base() / 2);
        let had = has(&world, &otto).await;
        world
            .exchange
            .rule(&ann, dispute.id, half, "half", None)
            .await
            .unwrap();
        let took = had - has(&world, &otto).await;
        assert!(took > 0);
        rounds(&world, &chain, 4).await;
        let corrected = reports(&world).await.remove(0);
        assert_eq!(
            (corrected.version, corrected.total.base()),
            (2, before - took)
        );
        assert!(corrected.published_at.is_some());

        // The machine turns out to be another: what the lease earned is taken, of both weeks, of each what it earned in it.
        worker.disconnect(&world).await;
        worker.device = (DeviceClass::Gpu, "RTX 3060", 24_564);
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        world.tick().await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert!(matches!(
            view.leases[0].end,
            Some(RunEnd::SpecMissed { .. })
        ));
        world.exchange.stop(&rita, job).await.unwrap();
        rounds(&world, &chain, 4).await;
        let third = reports(&world).await.remove(0);
        assert_eq!(third.version, 3);
        assert_eq!(
            third.total.base(),
            has(&world, &otto).await,
            "of the second week nothing is left, so all that there is is of the first"
        );
        world.pass(WEEK);
        same_time(&world, &chain);
        rounds(&world, &chain, 4).await;
        let all = reports(&world).await;
        assert_eq!(
            (all.len(), all[0].total.base(), all[0].owners),
            (2, 0, 0),
            "the second week"
        );
        chain_has_all(&world, &chain).await;

        // What the owner kept is of version 1: it says which one counts.
        let compare = |proof: &Proof, there: Option<Heading>| {
            proof.compare(4, Double::new().contract(), there.as_ref(), 3)
        };
        let there = chain.report(first, Some(1)).await.unwrap();
        assert_eq!(
            compare(&stale, there),
            Ok(Standing::Corrected { newest: 3 })
        );
        let fresh = world
            .exchange
            .earnings_proof(&otto, first.day(), None)
            .await
            .unwrap();
        assert_eq!(fresh.name, format!("iog-earnings-{first}-v3"));
        let there = chain.report(first, Some(3)).await.unwrap();
        assert_eq!(compare(&fresh.proof, there), Ok(Standing::Current));
        assert_eq!(fresh.proof.owner, stale.owner);
        let mut changed = fresh.proof.clone();
        changed.amount = io(before);
        assert_eq!(compare(&changed, there), Err(ProofError::Broken));
        let old = world
            .exchange
            .earnings_proof(&otto, first.day(), Some(1))
            .await;
        assert_eq!(old.unwrap().proof, stale);

        // Who earned nothing has no proof, and a Tuesday has none.
        let refused = |actor: Actor, day: u64, version| {
            let exchange = world.exchange.clone();
            async move {
                let got = exchange.earnings_proof(&actor, day, version).await;
                got.unwrap_err().problem().code
            }
        };
        let (monday, rita) = (first.day(), rita.clone());
        assert_eq!(refused(rita.clone(), monday, None).await, Code::NotFound);
        assert_eq!(refused(rita, monday + 1, None).await, Code::Invalid);
        assert_eq!(refused(otto.clone(), monday, Some(9)).await, Code::NotFound);
        assert_eq!(refused(otto, monday + 70, None).await, Code::NotFound);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
    }
}
