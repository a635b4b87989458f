//! What is given back without being asked for.

use exchange::Actor;
use kernel::{Amount, JobId, Seconds};
use protocol::invoice::RefundCause;
use protocol::money::{IncidentKind, RefundReason};
use protocol::notice::{Event, Notice};
use protocol::spec::DeviceClass;
use protocol::state::{JobState, RunEnd};
use protocol::view::Role;
use protocol::worker::{FromWorker, Phase};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
/// With the requester's quarter of a per cent.
const SECOND: f64 = 25_062.5;
const BOUND: &str = "[limits]\nloss_bound_seconds = 60\nwait_seconds = 86400";

async fn submit(world: &World, rita: &Actor, extra: &str) -> JobId {
    let job = world.exchange.submit(rita, spec(extra), None, None).await;
    job.expect("a job").summary.id
}

/// The worker falls silent with all that it ran.
async fn lose(world: &World, worker: &mut Worker) {
    worker.disconnect(world).await;
    worker.runs.clear();
    world.pass(8_000);
    world.tick().await;
}

async fn notices(world: &World, actor: &Actor, event: Event) -> Vec<Notice> {
    let all = world.exchange.notices(actor, None, 100).await.unwrap();
    let all = all.items.into_iter().map(|view| view.notice);
    all.filter(|notice| notice.event() == event).collect()
}

async fn admin(world: &World) -> Actor {
    let exchange = &world.exchange;
    exchange
        .admin_create_account(
            "ada@example.org",
            "long enough",
            "ada",
            &[Role::Admin],
            None,
        )
        .await
        .unwrap();
    exchange
        .actor_by_email("ada@example.org")
        .await
        .unwrap()
        .unwrap()
}

#[expect(clippy::cast_possible_truncation)]
fn cost(seconds: f64) -> i64 {
    (SECOND * seconds).ceil() as i64
}

#[tokio::test]
async fn seconds_lost_beyond_the_bound_are_given_back_and_the_owner_keeps_them() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        world.fill_treasury(100_000_000).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = submit(&world, &rita, BOUND).await;
        worker.start(&world).await;
        worker.work(&world, 100).await;
        lose(&world, &mut worker).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Matching);
        let refund = &view.refunds[0];
        assert_eq!(
            (refund.reason, refund.seconds, refund.owed),
            (RefundReason::LossBound, Seconds::new(40), Amount::ZERO)
        );
        // Exactly what these seconds cost: all so far less all before them.
        let amount = cost(100.0) - cost(60.0);
        assert_eq!(refund.amount.base(), amount);
        assert_eq!(view.leases[0].refunded.base(), amount);
        assert_eq!(notices(&world, &rita, Event::JobRefunded).await.len(), 1);
        let made = world.exchange.balance(&otto).await.unwrap();
        assert_eq!(made.withdrawable.base(), 2_493_750, "100 s, less the fee");
        // Its second lease loses less than the bound: nothing comes back.
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        world.tick().await;
        worker.start(&world).await;
        worker.work(&world, 60).await;
        lose(&world, &mut worker).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.leases.len(), 2);
        assert_eq!(view.refunds.len(), 1, "{:?}", view.refunds);
        world.exchange.prune().await.unwrap();
        let stopped = world.exchange.stop(&rita, job).await.unwrap();
        assert_eq!(stopped.summary.state, JobState::Stopped);
        let left = world.available(&rita).await;
        assert_eq!(left, 1_000_000_000 - cost(100.0) - cost(60.0) + amount);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
        // It stands on the job's invoice and on the month's.
        world.pass(1_000);
        for invoice in [
            world.exchange.job_invoice(&rita, job).await.unwrap(),
            world
                .exchange
                .month_invoice(&rita, "2026-11")
                .await
                .unwrap(),
        ] {
            let cause = RefundCause::Automatic {
                reason: RefundReason::LossBound,
                seconds: Seconds::new(40),
            };
            let lines: Vec<_> = invoice
                .refunds
                .iter()
                .map(|one| (one.cause.clone(), one.amount.base()))
                .collect();
            assert_eq!(lines, [(cause, amount)]);
            let charged = invoice.totals.charged.base();
            assert_eq!(charged - amount, 1_000_000_000 - left);
            let verdict = metering::invoice::verify(&invoice, None);
            assert!(verdict.fits, "{:?}", verdict.findings);
        }
    }
}

#[tokio::test]
async fn a_checkpoint_that_arrived_is_not_lost() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    world.fill_treasury(100_000_000).await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, BOUND).await;
    let (lease, epoch) = worker.start(&world).await;
    let token = worker.runs[0].assignment.transfer_token.clone();
    worker.work(&world, 90).await;
    let other = world
        .exchange
        .transfer_artefact(&token, lease, "model.bin", &b"x"[..])
        .await;
    other.expect("kept, and no checkpoint");
    world
        .exchange
        .transfer_artefact(&token, lease, "checkpoint/step", &b"90"[..])
        .await
        .expect("kept");
    worker.work(&world, 70).await;
    lose(&world, &mut worker).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    // 70 s since the checkpoint, of which 60 may be lost.
    assert_eq!(view.refunds[0].seconds, Seconds::new(10));
    // The next lease is drained: it ends its run, leaves a checkpoint, and loses nothing.
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    world.tick().await;
    let (second, again) = worker.start(&world).await;
    assert!(again > epoch);
    let token = worker.runs[0].assignment.transfer_token.clone();
    worker.work(&world, 100).await;
    let uploading = FromWorker::Preparing {
        lease: second,
        epoch: again,
        phase: Phase::Uploading,
        percent: None,
    };
    worker.send(&world, uploading).await.unwrap();
    world
        .exchange
        .transfer_artefact(&token, second, "checkpoint/step", &b"190"[..])
        .await
        .expect("kept");
    worker.end(&world, RunEnd::NodeDrained).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.refunds.len(), 1, "{:?}", view.refunds);
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_platform_cannot_pay_is_owed_and_paid_once_when_it_can() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let ada = admin(&world).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = submit(&world, &rita, BOUND).await;
        worker.start(&world).await;
        worker.work(&world, 100).await;
        lose(&world, &mut worker).await;
        let owed = world.exchange.job(&rita, job).await.unwrap().refunds;
        assert_eq!(owed[0].owed, owed[0].amount);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        let incidents = world.exchange.incidents(&ada).await.unwrap();
        assert_eq!(incidents[0].kind, IncidentKind::RefundOwed);
        // It cannot still.
        world.exchange.prune().await.unwrap();
        assert_eq!(
            world.exchange.job(&rita, job).await.unwrap().refunds[0].owed,
            owed[0].amount
        );
        world.fill_treasury(100_000_000).await;
        let before = world.available(&rita).await;
        for _ in 0..3 {
            world.exchange.prune().await.unwrap();
        }
        assert_eq!(world.available(&rita).await - before, owed[0].amount.base());
        let paid = world.exchange.job(&rita, job).await.unwrap().refunds;
        assert_eq!(paid[0].owed, Amount::ZERO);
        assert!(paid[0].paid_at.is_some());
        assert_eq!(notices(&world, &rita, Event::JobRefunded).await.len(), 2);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn refunds_do_not_empty_the_platforms_books_in_one_day() {
    let world = World::with("sqlite", |settings| {
        // One of them, and not a base unit more: no single refund passes the limit either.
        settings.refunds_per_day =
            Amount::try_from_base(2 * (cost(100.0) - cost(60.0)) - 1).unwrap();
    })
    .await;
    let (rita, otto) = world.people("10").await;
    world.fill_treasury(100_000_000).await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, BOUND).await;
    for _ in 0..2 {
        worker.start(&world).await;
        worker.work(&world, 100).await;
        lose(&world, &mut worker).await;
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        world.tick().await;
    }
    let refunds = world.exchange.job(&rita, job).await.unwrap().refunds;
    assert_eq!(refunds[0].owed, Amount::ZERO);
    assert_eq!(
        refunds[1].owed, refunds[1].amount,
        "the day's limit is used"
    );
    world.pass(86_400_000);
    world.exchange.prune().await.unwrap();
    let refunds = world.exchange.job(&rita, job).await.unwrap().refunds;
    assert_eq!(refunds[1].owed, Amount::ZERO, "the next day");
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
}

#[tokio::test]
async fn nobody_is_insured_against_a_machine_of_their_own() {
    let world = World::new("sqlite").await;
    let rita = world.account("rita", "10").await;
    world.fill_treasury(100_000_000).await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &rita).await;
    let job = submit(&world, &rita, BOUND).await;
    worker.start(&world).await;
    worker.work(&world, 100).await;
    lose(&world, &mut worker).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Matching);
    assert!(view.refunds.is_empty(), "{:?}", view.refunds);
}

#[tokio::test]
async fn a_machine_that_is_not_what_was_hired_ends_the_lease_and_gives_all_back() {
    type Device = (DeviceClass, &'static str, u64);
    let hired: Device = (DeviceClass::Gpu, "RTX 4090", 24_564);
    let others: [(Device, usize, &str); 3] = [
        ((DeviceClass::Gpu, "RTX 3060", 24_564), 2, "RTX 3060"),
        ((DeviceClass::Gpu, "RTX 4090", 12_282), 2, "12282 MiB"),
        (hired, 1, "not there any more"),
    ];
    for backend in backends() {
        for (other, devices, told) in others {
            let world = World::new(backend).await;
            let (rita, otto) = world.people("10").await;
            world.fill_treasury(100_000_000).await;
            let mut worker = Worker::new(1, PRICE);
            (worker.device, worker.devices) = (hired, 2);
            worker.join(&world, &otto).await;
            let gpu = "[resources]\nclass = 'gpu'\ncount = 2\n[limits]\nwait_seconds = 600";
            let job = submit(&world, &rita, gpu).await;
            worker.start(&world).await;
            worker.work(&world, 130).await;
            // The same card after a restart of its worker is the same card.
            worker.disconnect(&world).await;
            worker.connect(&world, None).await.unwrap();
            worker.work(&world, 1).await;
            let running = world.exchange.job(&rita, job).await.unwrap();
            assert_eq!(running.summary.state, JobState::Running);
            worker.disconnect(&world).await;
            (worker.device, worker.devices) = (other, devices);
            worker.connect(&world, None).await.unwrap();
            worker.beat(&world).await;
            assert!(worker.runs.is_empty(), "it was told that the lease is over");
            world.tick().await;
            let view = world.exchange.job(&rita, job).await.unwrap();
            let end = view.leases[0].end.clone().expect("over");
            assert!(end.sentence().contains(told), "{end:?}");
            assert!(matches!(end, RunEnd::SpecMissed { .. }));
            assert_eq!(view.summary.restarts, 0);
            assert_eq!(
                (view.refunds[0].reason, view.refunds[0].owed),
                (RefundReason::SpecMissed, Amount::ZERO)
            );
            assert_eq!(view.refunds[0].amount, view.leases[0].charged);
            assert!(!view.leases[0].charged.is_zero());
            let gave = world.exchange.balance(&otto).await.unwrap();
            assert_eq!(
                (gave.earned, gave.withdrawable),
                (Amount::ZERO, Amount::ZERO)
            );
            assert_eq!(notices(&world, &otto, Event::LeaseRefunded).await.len(), 1);
            world.exchange.stop(&rita, job).await.unwrap();
            assert_eq!(world.available(&rita).await, 1_000_000_000);
            assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
            assert_eq!(world.sum_of_books().await, 0);
        }
    }
}
