//! Submitting, paying, stopping.

use exchange::{Actor, Error};
use kernel::{Amount, JobId, Seconds};
use metering::receipt::{public_key, verify_chain};
use protocol::problem::Code;
use protocol::state::{JobState, RunEnd};
use protocol::view::{JobEventKind, OfferFilter};
use protocol::worker::ToWorker;

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

#[tokio::test]
async fn a_job_is_metered_paid_and_its_receipts_verify() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let quote = world
            .exchange
            .quote(Some(&rita), &spec(""), None)
            .await
            .unwrap();
        assert!(quote.affordable);
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        assert_eq!(job.summary.state, JobState::Starting);
        worker.start(&world).await;
        worker.work(&world, 130).await;
        worker.end(&world, FINISHED).await;

        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(130))
        );
        // 130 s × 25,000 = 3,250,000, and 0.25 % of it on each side.
        assert_eq!(view.summary.spent.base(), 3_258_125);
        assert_eq!(world.available(&rita).await, 1_000_000_000 - 3_258_125);
        let balance = world.exchange.balance(&rita).await.unwrap();
        assert_eq!(balance.held, Amount::ZERO);
        let made = world.exchange.balance(&otto).await.unwrap();
        assert_eq!(made.withdrawable.base(), 3_241_875, "the lease is over");
        assert_eq!(made.earned, Amount::ZERO);
        let earnings = world.exchange.earnings(&otto).await.unwrap();
        assert_eq!(earnings.earned.base(), 3_241_875);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);

        let receipts = world
            .exchange
            .receipts(&rita, job.summary.id)
            .await
            .unwrap();
        let chain: Vec<_> = receipts.iter().map(|view| view.receipt.clone()).collect();
        assert_eq!(
            chain.iter().map(|r| r.seconds.get()).collect::<Vec<_>>(),
            [60, 120, 130]
        );
        let worker_key = public_key(&receipts[0].worker_key).unwrap();
        let platform_key = public_key(&receipts[0].platform_key).unwrap();
        let head = verify_chain(&chain, &worker_key, &platform_key).unwrap();
        assert!(head.last);
        let paid: i64 = receipts.iter().map(|view| view.charged.base()).sum();
        assert_eq!(paid, 3_258_125);
        let entries = world.exchange.entries(&rita, None, 50).await.unwrap();
        assert!(entries.items.len() >= 4, "{entries:?}");
        assert!(world.exchange.earnings(&otto).await.unwrap().earned.base() == 3_241_875);
        assert_eq!(world.exchange.network().await.unwrap().jobs_finished, 1);
    }
}

async fn runs_a_minute_at_most(world: &World) -> (Actor, Worker, JobId) {
    let (rita, otto) = world.people("50").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(world, &otto).await;
    let limited = spec("limits = { duration_seconds = 60 }");
    let job = world.exchange.submit(&rita, limited, None, None);
    let job = job.await.unwrap().summary.id;
    worker.start(world).await;
    (rita, worker, job)
}

#[tokio::test]
async fn a_job_that_had_its_time_is_not_told_that_the_money_ran_out() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, mut worker, job) = runs_a_minute_at_most(&world).await;
        worker.work(&world, 20).await;
        // It goes on elsewhere, with what its time limit leaves: only the paid seconds tell the second worker of that.
        worker.end(&world, RunEnd::NodeDrained).await;
        world.exchange.tick().await.unwrap();
        worker.start(&world).await;
        worker.work(&world, 60).await;
        assert_eq!(worker.runs[0].funded, 40);
        worker.end(&world, RunEnd::OutOfFunds).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.end, Some(RunEnd::TimeLimit { seconds: 60 }));
        assert_eq!(view.summary.seconds, Seconds::new(60));
        let told = world.exchange.notices(&rita, None, 50).await.unwrap();
        assert!(
            !format!("{told:?}").contains("JobOutOfFunds"),
            "no alarm about money: {told:?}"
        );
    }
}

/// More was set aside than its worker heard of before the line was cut.
#[tokio::test]
async fn a_job_that_ends_long_before_its_limit_has_not_met_it() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, mut worker, job) = runs_a_minute_at_most(&world).await;
        worker.work(&world, 30).await;
        worker.end(&world, RunEnd::OutOfFunds).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.end, Some(RunEnd::OutOfFunds));
    }
}

#[tokio::test]
async fn fault_akash_node_1635_overdrawn_escrow_does_not_run_free() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.escrow_window = Seconds::new(40);
            settings.escrow_minimum = Seconds::new(10);
            settings.funds_low = Seconds::new(15);
        })
        .await;
        // 100 s at 25,000 and the fee: 2,506,250. One unit less pays for 99 s.
        let (rita, otto) = world.people("0.02506249").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 120).await;
        assert_eq!(worker.runs[0].funded, 99);
        assert_eq!(
            worker.runs[0].seconds, 99,
            "the worker stops at what is paid for"
        );
        // A worker that does not stop is not paid for more.
        worker.runs[0].funded = 1_000;
        worker.work(&world, 20).await;
        worker.runs[0].seconds = 99;
        worker.end(&world, RunEnd::OutOfFunds).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(view.summary.state, JobState::Stopped);
        assert_eq!(view.summary.end, Some(RunEnd::OutOfFunds));
        assert_eq!(view.summary.seconds, Seconds::new(99));
        assert!(
            view.events
                .iter()
                .any(|event| event.kind == JobEventKind::FundsLow),
            "warned before"
        );
        let balance = world.exchange.balance(&rita).await.unwrap();
        assert!(balance.available.base() < 25_063, "{balance:?}");
        assert_eq!(balance.held, Amount::ZERO);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn without_money_nothing_starts() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("0").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let refused = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .expect_err("no money");
    assert_eq!(refused.problem().code, Code::InsufficientFunds);
    assert!(
        !world
            .exchange
            .quote(Some(&rita), &spec(""), None)
            .await
            .unwrap()
            .affordable
    );
    let offers = world
        .exchange
        .offers(&OfferFilter {
            idle: Some(true),
            ..OfferFilter::default()
        })
        .unwrap();
    assert_eq!(offers.offers.len(), 1, "the slot is free again");
    assert!(
        world
            .exchange
            .jobs(&rita, None, 10)
            .await
            .unwrap()
            .items
            .is_empty(),
        "nothing was left behind"
    );
}

#[tokio::test]
async fn fault_skypilot_pr_9117_the_same_offer_is_not_sold_twice() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, rolf) = (
            world.account("rita", "500").await,
            world.account("rolf", "500").await,
        );
        let otto = world.account("otto", "0").await;
        let (mut cheap, mut dear) = (Worker::new(1, PRICE), Worker::new(2, PRICE + 1));
        cheap.join(&world, &otto).await;
        dear.join(&world, &otto).await;
        for round in 0..200 {
            let (a, b) = tokio::join!(
                world.exchange.submit(&rita, spec(""), None, None),
                world.exchange.submit(&rolf, spec(""), None, None),
            );
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_ne!(a.leases[0].device, b.leases[0].device, "round {round}");
            let third = world
                .exchange
                .submit(&rita, spec(""), None, None)
                .await
                .expect_err("both are hired");
            assert_eq!(third.problem().code, Code::NoMatch);
            assert_eq!(third.problem().fields[0].field, "free");
            for worker in [&mut cheap, &mut dear] {
                worker.start(&world).await;
                worker.end(&world, FINISHED).await;
                worker.beat(&world).await;
            }
        }
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_job_and_another_body_is_refused() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        for n in 1..=3 {
            Worker::new(n, PRICE).join(&world, &otto).await;
        }
        let submits = (0..20).map(|_| {
            let (exchange, rita) = (world.exchange.clone(), rita.clone());
            tokio::spawn(async move { exchange.submit(&rita, spec(""), None, Some("k1")).await })
        });
        let mut ids = std::collections::BTreeSet::new();
        for submit in submits.collect::<Vec<_>>() {
            ids.insert(submit.await.unwrap().unwrap().summary.id);
        }
        assert_eq!(ids.len(), 1);
        let other = world
            .exchange
            .submit(&rita, spec("metrics = ['loss']"), None, Some("k1"))
            .await;
        assert!(
            matches!(other, Err(Error::IdempotencyMismatch)),
            "{other:?}"
        );
        let rows = world.exchange.jobs(&rita, None, 10).await.unwrap();
        assert_eq!(rows.items.len(), 1);
        let entries = world.exchange.entries(&rita, None, 50).await.unwrap();
        assert_eq!(entries.items.len(), 2, "one credit, one hold");
    }
}

#[tokio::test]
async fn a_stop_ends_a_job_and_returns_the_rest() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap()
        .summary
        .id;
    worker.start(&world).await;
    worker.work(&world, 5).await;
    world.exchange.stop(&rita, job).await.unwrap();
    worker.read();
    assert!(
        worker
            .seen
            .iter()
            .any(|message| matches!(message, ToWorker::Stop { .. }))
    );
    worker.end(&world, RunEnd::StoppedByUser).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(
        (view.summary.state, view.summary.seconds),
        (JobState::Stopped, Seconds::new(5))
    );
    assert_eq!(
        world.available(&rita).await,
        1_000_000_000 - view.summary.spent.base()
    );
    let again = world
        .exchange
        .stop(&rita, job)
        .await
        .expect_err("it has ended");
    assert_eq!(again.problem().code, Code::Conflict);
}

#[tokio::test]
async fn money_that_no_lease_uses_goes_back_while_the_job_waits_on() {
    for backend in backends() {
        let mut world = World::with(backend, |settings| {
            settings.requeue_patience = Seconds::new(30);
        })
        .await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let waits = spec("[limits]\nwait_seconds = 86400\nmax_restarts = 3");
        let job = world.exchange.submit(&rita, waits, None, None).await;
        let job = job.unwrap().summary.id;
        worker.start(&world).await;
        worker.work(&world, 5).await;
        let held = world.exchange.balance(&rita).await.unwrap().held;
        assert!(!held.is_zero());
        // As long as it runs, nothing expires.
        worker.work(&world, 40).await;
        assert!(!world.exchange.balance(&rita).await.unwrap().held.is_zero());
        worker.disconnect(&world).await;
        worker.runs.clear();
        world.pass(8_000);
        world.tick().await;
        let lost = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(lost.summary.state, JobState::Matching);
        let spent = lost.summary.spent.base();
        world.pass(29_000);
        world.tick().await;
        let before = world.exchange.balance(&rita).await.unwrap();
        assert!(!before.held.is_zero(), "another place is hoped for");
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        // A process that dies in between changes nothing.
        world.crash().await;
        world.pass(1_500);
        for _ in 0..3 {
            world.tick().await;
        }
        let after = world.exchange.balance(&rita).await.unwrap();
        assert_eq!(after.held, Amount::ZERO);
        assert_eq!(after.available.base(), 1_000_000_000 - spent);
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Matching, "it waits on");
        let told = view.events.last().unwrap();
        assert!(told.detail.contains("free again"), "{told:?}");
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        // Its turn comes: money is set aside anew, and the job runs to its end.
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        world.tick().await;
        worker.start(&world).await;
        worker.work(&world, 7).await;
        worker.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Finished);
        assert_eq!(view.summary.seconds, Seconds::new(52));
        let end = world.exchange.balance(&rita).await.unwrap();
        assert_eq!(end.held, Amount::ZERO);
        assert_eq!(
            end.available.base(),
            1_000_000_000 - view.summary.spent.base()
        );
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
    }
}
