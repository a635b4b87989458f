//! Jobs on several nodes and several devices.

use kernel::{JobId, Seconds};
use proptest::prelude::*;
use protocol::state::{JobState, RunEnd};
use protocol::view::JobEventKind;
use protocol::worker::{StopReason, ToWorker};

use crate::preempt::has;
use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

async fn gang(world: &World, otto: &exchange::Actor, prices: &[i64]) -> Vec<Worker> {
    let mut workers = Vec::new();
    for (n, price) in prices.iter().enumerate() {
        let mut worker = Worker::numbered(n, *price);
        worker.join(world, otto).await;
        // Who joined earlier is chosen first at one price.
        world.pass(10);
        workers.push(worker);
    }
    workers
}

async fn submit(world: &World, who: &exchange::Actor, extra: &str) -> JobId {
    let job = world.exchange.submit(who, spec(extra), None, None).await;
    job.unwrap().summary.id
}

async fn work(world: &World, workers: &mut [Worker], seconds: u64) {
    for _ in 0..seconds {
        world.pass(1_000);
        for worker in workers.iter_mut() {
            for run in &mut worker.runs {
                run.seconds = (run.seconds + 1).min(run.funded);
            }
            worker.beat(world).await;
        }
        world.tick().await;
        workers.iter_mut().for_each(Worker::read);
    }
}

async fn start(world: &World, workers: &mut [Worker]) {
    for worker in workers {
        worker.read();
        if !worker.runs.is_empty() {
            worker.start(world).await;
        }
    }
}

#[tokio::test]
async fn a_gang_gets_all_its_nodes_or_none_and_is_billed_for_each() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let mut workers = gang(&world, &otto, &[PRICE, PRICE * 2, PRICE * 3]).await;
        let four = world
            .exchange
            .submit(&rita, spec("[placement]\nnodes = 4"), None, None)
            .await;
        assert!(four.is_err(), "three nodes are no four");
        assert_eq!(world.live_leases().await, []);
        let job = submit(&world, &rita, "[placement]\nfilter = 'nodes=3'").await;
        start(&world, &mut workers).await;
        let members: Vec<(u32, u32)> = workers
            .iter()
            .map(|worker| {
                let a = &worker.runs[0].assignment;
                (a.member, a.members)
            })
            .collect();
        assert_eq!(members, [(0, 3), (1, 3), (2, 3)], "the cheapest node first");
        work(&world, &mut workers, 70).await;
        // One finishes early; the job goes on until all have.
        workers[1].end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Running);
        work(&world, &mut workers, 10).await;
        workers[0].end(&world, FINISHED).await;
        workers[2].end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Finished);
        assert_eq!(view.summary.end, Some(FINISHED));
        assert_eq!(view.summary.seconds, Seconds::new(80));
        assert_eq!(view.summary.devices, 3);
        let delivered: Vec<u64> = view
            .leases
            .iter()
            .map(|lease| lease.seconds.get())
            .collect();
        assert_eq!(delivered, [80, 70, 80]);
        // 80 + 2 × 70 + 3 × 80 seconds at the price, and a fee of a quarter of a percent of each.
        let gross = PRICE * (80 + 2 * 70 + 3 * 80);
        assert_eq!(view.summary.spent.base(), gross + gross / 400);
        let held = world.exchange.balance(&rita).await.unwrap().held;
        assert!(held.is_zero(), "the rest of the hold came back");
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn fault_skypilot_3907_a_dead_node_of_a_gang_is_replaced_alone() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let mut workers = gang(&world, &otto, &[PRICE, PRICE, PRICE]).await;
        let filter = "[placement]\nfilter = 'nodes=2 near=country'";
        let job = submit(&world, &rita, filter).await;
        start(&world, &mut workers).await;
        work(&world, &mut workers, 20).await;
        let healthy = workers[0].runs[0].assignment.lease;
        workers[1].disconnect(&world).await;
        workers[1].runs.clear();
        work(&world, &mut workers, 10).await;
        // The spare has the lost member, the healthy one never stopped, and the server may die in between.
        world.crash().await;
        for n in [0, 2] {
            workers[n].connect(&world, None).await.unwrap();
            workers[n].beat(&world).await;
        }
        assert_eq!(workers[0].runs[0].assignment.lease, healthy);
        let spare = &workers[2].runs[0].assignment;
        assert_eq!((spare.member, spare.members), (1, 2));
        start(&world, &mut workers[2..]).await;
        work(&world, &mut workers, 10).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Running);
        assert_eq!(view.summary.restarts, 1);
        workers[0].end(&world, FINISHED).await;
        workers[2].end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Finished);
        assert_eq!(view.leases.len(), 3);
        assert!(view.leases[0].seconds >= Seconds::new(39), "it ran through");
        assert_eq!(world.sum_of_books().await, 0);
        assert!(crate::rounds::check_all(&world.exchange).await > 0);
    }
}

#[tokio::test]
async fn a_member_that_fails_ends_the_job_and_the_others_are_stopped() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("100").await;
    let mut workers = gang(&world, &otto, &[PRICE, PRICE]).await;
    let job = submit(&world, &rita, "[placement]\nnodes = 2").await;
    start(&world, &mut workers).await;
    work(&world, &mut workers, 5).await;
    workers[0].end(&world, RunEnd::Exited { code: 3 }).await;
    workers[1].read();
    let told = workers[1].seen.iter().any(|message| {
        matches!(
            message,
            ToWorker::Stop {
                reason: StopReason::JobOver,
                ..
            }
        )
    });
    assert!(told, "the other member is stopped");
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert!(!view.summary.state.is_final(), "it still runs somewhere");
    workers[1].end(&world, RunEnd::JobOver).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Failed);
    assert_eq!(view.summary.end, Some(RunEnd::Exited { code: 3 }));
    let ended = view
        .events
        .iter()
        .filter(|event| event.kind == JobEventKind::MemberEnded);
    let told: Vec<&str> = ended.map(|event| event.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "node 0: The command ended with exit code 3.",
            "node 1: Another of the job's nodes ended it."
        ]
    );
    assert_eq!(world.sum_of_books().await, 0);
}

#[tokio::test]
async fn several_devices_of_one_node_are_one_lease_and_each_is_taken() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let mut worker = Worker::new(1, PRICE);
        worker.devices = 3;
        worker.join(&world, &otto).await;
        let job = submit(&world, &rita, "[resources]\ncount = 2").await;
        worker.start(&world).await;
        let uuids: Vec<&str> = worker.runs[0].assignment.device_uuids().collect();
        assert_eq!(uuids.len(), 2);
        let again = spec("[resources]\ncount = 2");
        let refused = world.exchange.submit(&rita, again, None, None).await;
        assert!(refused.is_err(), "one device is left");
        worker.work(&world, 10).await;
        let earned = world.exchange.earnings(&otto).await.unwrap();
        let each: Vec<i64> = earned.devices.iter().map(|d| d.earned.base()).collect();
        worker.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.devices, 2);
        assert_eq!(view.leases[0].devices.len(), 2);
        let gross = 2 * PRICE * 10;
        assert_eq!(view.summary.spent.base(), gross + gross / 400);
        let earned = world.exchange.earnings(&otto).await.unwrap();
        let after: Vec<i64> = earned.devices.iter().map(|d| d.earned.base()).collect();
        assert_eq!(after.iter().sum::<i64>(), gross - gross / 400);
        assert_eq!(after.len(), 2, "{each:?} {after:?}");
        let model = world.exchange.prices().await.unwrap().remove(0);
        assert_eq!(
            (model.trades, model.asks),
            (1, 1),
            "one trade, however many devices"
        );
        assert_eq!(model.fair.base(), 90_225_000, "of one device, not of both");
        let three = submit(&world, &rita, "[resources]\ncount = 3").await;
        assert_eq!(world.live_leases().await.len(), 1, "{three}");
        assert_eq!(world.sum_of_books().await, 0);
        assert!(crate::rounds::check_all(&world.exchange).await > 0);
    }
}

#[tokio::test]
async fn the_limit_price_is_for_all_devices_together() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("100").await;
    // 0.9 IO an hour each before the fee, 1.8 together.
    let _workers = gang(&world, &otto, &[PRICE, PRICE]).await;
    let dear = spec("[limits]\nmax_price_per_hour = '1.5'\n[placement]\nnodes = 2");
    let error = world.exchange.submit(&rita, dear, None, None).await;
    let why = error.unwrap_err().to_string();
    assert!(why.contains("ask 1.80 IO/h together"), "{why}");
    let enough = "[limits]\nmax_price_per_hour = '1.9'\n[placement]\nnodes = 2";
    submit(&world, &rita, enough).await;
}

#[tokio::test]
async fn a_gang_without_money_for_all_starts_nowhere_and_is_stopped_in_time() {
    let world = World::new("sqlite").await;
    // Enough for some minutes of one node, not for the least window of two.
    let (rita, otto) = world.people("0.04").await;
    let mut workers = gang(&world, &otto, &[PRICE, PRICE]).await;
    let two = "[placement]\nnodes = 2";
    let job = world.exchange.submit(&rita, spec(two), None, None).await;
    let refused = match job {
        Err(_) => true,
        Ok(view) => {
            start(&world, &mut workers).await;
            work(&world, &mut workers, 120).await;
            let funded: u64 = workers
                .iter()
                .flat_map(|w| &w.runs)
                .map(|run| run.funded)
                .sum();
            let cost = i64::try_from(funded).unwrap() * PRICE;
            assert!(
                cost + cost / 400 <= 4_000_000,
                "{} is paid for twice",
                view.summary.id
            );
            false
        }
    };
    assert!(world.available(&rita).await >= 0);
    assert!(refused || world.sum_of_books().await == 0);
    assert_eq!(world.sum_of_books().await, 0);
}

/// What one member takes more than the others would end the job earlier than its money does.
#[tokio::test]
async fn the_last_money_of_a_gang_lasts_equally_long_for_all() {
    for backend in backends() {
        let world = World::new(backend).await;
        // For 798 seconds of both; ten minutes are set aside at first.
        let (rita, otto) = world.people("0.4").await;
        let mut workers = gang(&world, &otto, &[PRICE, PRICE]).await;
        let job = submit(&world, &rita, "[placement]\nnodes = 2").await;
        start(&world, &mut workers).await;
        work(&world, &mut workers, 320).await;
        let funded = |workers: &[Worker]| -> Vec<u64> {
            workers.iter().map(|worker| worker.runs[0].funded).collect()
        };
        assert_eq!(funded(&workers), [798, 798]);
        work(&world, &mut workers, 500).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        let delivered: Vec<u64> = view.leases.iter().map(|l| l.seconds.get()).collect();
        assert_eq!(delivered, [798, 798]);
        assert_eq!(
            has(&view, JobEventKind::FundsLow),
            1,
            "it is said once, not once a node"
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

/// What can happen to a gang.
#[derive(Debug, Clone)]
enum Act {
    Work(u64),
    Finish(usize),
    Fail(usize),
    Die(usize),
    Return(usize),
    Crash,
    Stop,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1u64..40).prop_map(Act::Work),
        2 => (0usize..5).prop_map(Act::Finish),
        1 => (0usize..5).prop_map(Act::Fail),
        3 => (0usize..5).prop_map(Act::Die),
        3 => (0usize..5).prop_map(Act::Return),
        1 => Just(Act::Crash),
        1 => Just(Act::Stop),
    ];
    prop::collection::vec(act, 1..14)
}

/// Whatever happens: books sum to zero, nobody is below zero, no member has two places, a job that is over has none,
/// and one that is not is looked after (it runs, or it waits).
async fn survives(acts: Vec<Act>) {
    let mut world = World::new("sqlite").await;
    let (rita, otto) = world.people("0.2").await;
    let mut workers = gang(&world, &otto, &[PRICE, PRICE, PRICE * 2, PRICE, PRICE * 3]).await;
    let job = submit(&world, &rita, "[placement]\nnodes = 3").await;
    for act in acts {
        match act {
            Act::Work(seconds) => {
                for _ in 0..seconds {
                    for worker in workers.iter_mut().filter(|w| w.session.is_some()) {
                        worker.read();
                        let fresh = worker.runs.last().is_some_and(|run| run.seconds == 0);
                        if fresh {
                            worker.start(&world).await;
                        }
                    }
                    work(&world, &mut workers, 1).await;
                }
            }
            Act::Finish(n) if workers[n].session.is_some() => {
                workers[n].end(&world, FINISHED).await;
            }
            Act::Fail(n) if workers[n].session.is_some() => {
                workers[n].end(&world, RunEnd::Exited { code: 1 }).await;
            }
            Act::Die(n) => {
                workers[n].disconnect(&world).await;
                workers[n].runs.clear();
            }
            Act::Return(n) if workers[n].session.is_none() => {
                _ = workers[n].connect(&world, None).await;
            }
            Act::Crash => {
                world.crash().await;
                for worker in &mut workers {
                    if worker.session.take().is_some() {
                        worker.connect(&world, None).await.unwrap();
                    }
                }
            }
            Act::Stop => _ = world.exchange.stop(&rita, job).await,
            Act::Finish(_) | Act::Fail(_) | Act::Return(_) => {}
        }
        assert_eq!(world.sum_of_books().await, 0);
        assert!(world.available(&rita).await >= 0);
        let view = world.exchange.job(&rita, job).await.unwrap();
        let live = world.live_leases().await.len();
        if view.summary.state.is_final() {
            assert_eq!(live, 0, "{:?}", view.summary);
            assert!(world.exchange.balance(&rita).await.unwrap().held.is_zero());
        } else {
            let waits = !world
                .exchange
                .orders(&rita, None, 1)
                .await
                .unwrap()
                .items
                .is_empty();
            assert!(live > 0 || waits, "nobody looks after {:?}", view.summary);
        }
    }
    // Left alone for an hour, it comes to an end and nothing stays hired.
    for worker in &mut workers {
        worker.disconnect(&world).await;
    }
    for _ in 0..90 {
        world.pass(60_000);
        world.tick().await;
    }
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert!(view.summary.state.is_final(), "{:?}", view.summary);
    assert_eq!(world.live_leases().await, []);
    assert_eq!(world.sum_of_books().await, 0);
    assert!(crate::rounds::check_all(&world.exchange).await > 0);
}

#[test]
fn whatever_happens_to_a_gang_its_books_and_leases_are_in_order() {
    let cases = std::env::var("IOG_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(24);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    proptest!(config, |(acts in acts())| {
        runtime.block_on(survives(acts));
    });
}
