//! What workers do and fail to do, and what becomes of their jobs.

use exchange::Error;
use kernel::{Amount, Seconds};
use protocol::state::{JobState, RunEnd};
use protocol::tunnel::Door;
use protocol::view::JobEventKind;
use protocol::worker::{FromWorker, Stream, ToWorker};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

#[tokio::test]
async fn a_failed_start_costs_nothing_and_another_node_gets_the_job() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let (mut first, mut second) = (Worker::new(1, PRICE), Worker::new(2, PRICE));
    first.join(&world, &otto).await;
    // Of two that cost the same the older one is taken.
    world.pass(1);
    second.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap();
    first.read();
    first.reject(&world, "no isolation").await;
    second.start(&world).await;
    second.work(&world, 3).await;
    let failed = RunEnd::FailedToStart {
        reason: "command not found.".into(),
    };
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(view.summary.state, JobState::Running);
    assert!(
        view.events
            .iter()
            .any(|event| event.kind == JobEventKind::Rejected)
    );
    second.end(&world, failed).await;
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(view.summary.state, JobState::Failed);
}

#[tokio::test]
async fn who_asks_into_one_job_too_often_does_not_end_its_machines_line() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world.exchange.submit(&rita, spec(""), None, None).await;
    let id = job.unwrap().summary.id;
    worker.start(&world).await;
    worker.work(&world, 3).await;
    let place = world.exchange.place_of(id, 0).expect("it runs");
    // The worker takes nothing, and more come than it has room for.
    let knock = || world.exchange.knock(&place, "00", Door::Port { port: 80 });
    let refused = (0..1_000).map(|_| knock()).filter_map(Result::err);
    let refused: Vec<_> = refused.collect();
    assert!(!refused.is_empty() && refused.len() < 1_000);
    assert!(refused.iter().all(|error| matches!(error, Error::Busy(_))));
    // There was still room for what the machine has to be told, and it is on the same line.
    world.exchange.stop(&rita, id).await.unwrap();
    worker.read();
    assert!(knock().is_ok());
}

#[tokio::test]
async fn a_lease_that_heartbeats_leave_out_is_over_and_one_that_they_name_lives() {
    for (backend, named) in backends().into_iter().flat_map(|b| [(b, 1), (b, 2)]) {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("20").await;
        let mut worker = Worker::new(1, PRICE);
        worker.devices = 2;
        worker.join(&world, &otto).await;
        let mut jobs = Vec::new();
        for _ in 0..2 {
            let submitted = world.exchange.submit(&rita, spec(""), None, None).await;
            jobs.push(submitted.unwrap().summary.id);
            worker.start(&world).await;
        }
        worker.work(&world, 20).await;
        // It goes on with the first alone, and may name it twice: as many as there are is not all of them.
        worker.runs.pop();
        for second in 1..=10 {
            world.pass(1_000);
            worker.deliver();
            let mut message = worker.beat_message();
            if let FromWorker::Heartbeat { leases, .. } = &mut message {
                *leases = vec![leases.clone(); named].concat();
            }
            worker.send(&world, message).await.unwrap();
            world.tick().await;
            worker.runs.truncate(1);
            // 7 s are within the lease, the eighth is beyond it; then its job begins anew.
            let mut restarts = Vec::new();
            for job in &jobs {
                let view = world.exchange.job(&rita, *job).await.unwrap();
                restarts.push(view.summary.restarts);
            }
            assert_eq!(restarts, [0, u32::from(second >= 8)], "second {second}");
        }
    }
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_only_acknowledged_seconds_are_paid() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let (mut first, mut second) = (Worker::new(1, PRICE), Worker::new(2, PRICE));
        first.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        first.start(&world).await;
        first.work(&world, 20).await;
        second.join(&world, &otto).await;
        // Silence: 7 s are within the lease, the eighth is beyond it.
        for _ in 0..7 {
            world.pass(1_000);
            second.beat(&world).await;
            world.tick().await;
        }
        assert_eq!(
            world
                .exchange
                .job(&rita, job.summary.id)
                .await
                .unwrap()
                .summary
                .state,
            JobState::Running
        );
        world.pass(1_000);
        second.beat(&world).await;
        world.tick().await;
        second.start(&world).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.restarts),
            (JobState::Running, 1)
        );
        assert_eq!(
            view.leases[0].seconds,
            Seconds::new(20),
            "the silence is not billed"
        );
        assert_eq!(view.leases[1].epoch.get(), 2);

        // The first one wakes up and goes on as if nothing had happened.
        let stale = first.runs[0].assignment.clone();
        first.runs[0].seconds = 40;
        first.beat(&world).await;
        assert!(first.runs.is_empty(), "it is told that the lease is over");
        let (lease, epoch) = (stale.lease, stale.epoch);
        for message in [
            FromWorker::Log {
                lease,
                epoch,
                offset: 0,
                stream: Stream::Stdout,
                text: "late".into(),
            },
            FromWorker::Started {
                lease,
                epoch,
                elapsed_ms: 0,
            },
            FromWorker::Ended {
                lease,
                epoch,
                end: FINISHED,
                receipt: None,
            },
        ] {
            first.send(&world, message).await.unwrap();
            assert_eq!(
                first.seen.last(),
                Some(&ToWorker::LeaseRefused { lease, epoch })
            );
        }
        second.work(&world, 5).await;
        second.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(25))
        );
        assert_eq!(
            world
                .exchange
                .logs(&rita, job.summary.id, 0, 100)
                .await
                .unwrap()
                .lines,
            []
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_killed_server_loses_no_second_and_bills_none_twice() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 70).await;
        world.crash().await;
        // The process went on for ten seconds without a server.
        world.pass(10_000);
        worker.runs[0].seconds = 80;
        world.tick().await;
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        worker.work(&world, 20).await;
        worker.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(100))
        );
        assert_eq!(view.summary.restarts, 0);
        assert_eq!(view.leases[0].charged.base(), 2_506_250);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_worker_that_forgot_its_lease_gives_the_job_back_at_once() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap();
    worker.start(&world).await;
    worker.work(&world, 3).await;
    worker.disconnect(&world).await;
    worker.runs.clear();
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    world.tick().await;
    worker.start(&world).await;
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(
        (view.summary.state, view.leases.len()),
        (JobState::Running, 2)
    );
}

#[tokio::test]
async fn a_lease_that_its_worker_never_heard_of_is_no_restart() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let mut once = spec("");
        once.limits.max_restarts = 0;
        let job = world
            .exchange
            .submit(&rita, once, None, None)
            .await
            .unwrap();
        // The word of the lease dies with the server.
        world.pass(5);
        world.crash().await;
        worker.disconnect(&world).await;
        worker.runs.clear();
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        world.tick().await;
        worker.start(&world).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.leases.len(), view.summary.restarts),
            (JobState::Running, 2, 0)
        );
        // What it heard of and forgot counts as before.
        worker.disconnect(&world).await;
        worker.runs.clear();
        worker.connect(&world, None).await.unwrap();
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(view.summary.state, JobState::Failed);
    }
}

#[tokio::test]
async fn a_stopped_job_whose_worker_is_lost_stays_stopped() {
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
    world.exchange.stop(&rita, job).await.unwrap();
    world.pass(8_000);
    world.tick().await;
    assert_eq!(
        world.exchange.job(&rita, job).await.unwrap().summary.state,
        JobState::Stopped
    );
}

#[tokio::test]
async fn logs_are_kept_once_in_order_whatever_is_sent_again() {
    for backend in backends() {
        let world = World::new(backend).await;
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
        let (lease, epoch) = worker.start(&world).await;
        let log = |offset: u64, text: &str| FromWorker::Log {
            lease,
            epoch,
            offset,
            stream: Stream::Stdout,
            text: text.into(),
        };
        worker.send(&world, log(0, "one\n")).await.unwrap();
        worker.send(&world, log(0, "one\n")).await.unwrap();
        worker.send(&world, log(8, "gap\n")).await.unwrap();
        worker.send(&world, log(4, "t\u{0}o\n")).await.unwrap();
        world.tick().await;
        worker.read();
        assert!(worker.seen.contains(&ToWorker::LogAck {
            lease,
            epoch,
            offset: 8
        }));
        let page = world.exchange.logs(&rita, job, 0, 10).await.unwrap();
        let text: String = page.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, "one\nt\u{fffd}o\n");
        assert_eq!(
            world
                .exchange
                .logs(&rita, job, 1, 10)
                .await
                .unwrap()
                .lines
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn an_owner_sets_the_price_and_pauses() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let device = world.exchange.nodes(&otto).await.unwrap()[0].devices[0].id;
    let price = kernel::PricePerSecond::from_amount(Amount::try_from_base(7).unwrap());
    world
        .exchange
        .set_price(&otto, device, price)
        .await
        .unwrap();
    assert_eq!(world.exchange.offer(device).unwrap().price, price);
    world
        .exchange
        .set_paused(&otto, device, true)
        .await
        .unwrap();
    let refused = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .expect_err("paused");
    assert_eq!(refused.problem().fields[0].field, "paused");
    // The owner's choice outlives a reconnect.
    worker.disconnect(&world).await;
    worker.connect(&world, None).await.unwrap();
    let offer = world.exchange.offer(device).unwrap();
    assert_eq!(
        (offer.price, offer.state),
        (price, protocol::state::DeviceState::Paused)
    );
}

#[tokio::test]
async fn a_worker_that_says_the_requester_stopped_the_job_is_not_believed() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let submitted = world.exchange.submit(&rita, spec(""), None, None).await;
    let job = submitted.unwrap().summary.id;
    worker.start(&world).await;
    worker.work(&world, 2).await;
    let (lease, epoch) = {
        let run = &worker.runs[0].assignment;
        (run.lease, run.epoch)
    };
    let end = RunEnd::StoppedByUser;
    let message = FromWorker::Ended {
        lease,
        epoch,
        end,
        receipt: None,
    };
    worker.send(&world, message).await.unwrap();
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert!(!view.summary.state.is_final(), "{:?}", view.summary);
    assert_eq!(view.leases[0].end, Some(RunEnd::LeaseLost));
    assert_eq!(view.summary.restarts, 1);
}
