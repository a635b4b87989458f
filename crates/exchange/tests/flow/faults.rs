//! What went wrong once, or was found to be able to: each case holds one fault at bay.

use kernel::{Amount, JobId, PricePerSecond, Seconds};
use protocol::state::{JobState, RunEnd};
use protocol::view::JobEventKind;
use protocol::worker::{FromWorker, Metric, Phase, Sample, Stream, ToWorker};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

async fn submit(world: &World, who: &exchange::Actor, extra: &str) -> JobId {
    let job = world.exchange.submit(who, spec(extra), None, None).await;
    job.unwrap().summary.id
}

async fn state(world: &World, who: &exchange::Actor, job: JobId) -> JobState {
    world.exchange.job(who, job).await.unwrap().summary.state
}

fn sample(seq: u64) -> Sample {
    Sample {
        seq,
        second: seq,
        cpu_percent: 1.0,
        memory_mib: 1.0,
        gpu_percent: None,
        gpu_memory_mib: None,
        metrics: Vec::new(),
    }
}

#[tokio::test]
async fn a_sample_with_an_absurd_number_stops_nobody() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = submit(&world, &rita, "metrics = ['loss']").await;
        let (lease, epoch) = worker.start(&world).await;
        let metric = |value| Metric {
            name: "loss".into(),
            value,
        };
        let mut honest = sample(1);
        honest.metrics = vec![metric(0.5), metric(0.6)];
        let mut endless = sample(2);
        endless.gpu_percent = Some(f32::INFINITY);
        let samples = vec![honest, endless, sample(u64::MAX), sample(3_600), sample(3)];
        let message = FromWorker::Samples {
            lease,
            epoch,
            samples,
        };
        worker.send(&world, message).await.unwrap();
        let empty = FromWorker::Log {
            lease,
            epoch,
            offset: 0,
            stream: Stream::Stdout,
            text: String::new(),
        };
        worker.send(&world, empty).await.unwrap();
        world.tick().await;
        worker.end(&world, FINISHED).await;
        let kept = world.exchange.samples(&rita, job).await.unwrap();
        let numbers: Vec<u64> = kept.iter().map(|view| view.data.seq).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(kept[0].data.metrics, [metric(0.5)]);
        let page = world.exchange.logs(&rita, job, 0, 10).await.unwrap();
        assert_eq!(page.lines, []);
        assert_eq!(state(&world, &rita, job).await, JobState::Finished);
    }
}

#[tokio::test]
async fn a_worker_that_ignores_a_stop_is_not_paid_for_it_and_loses_the_lease() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    worker.start(&world).await;
    worker.work(&world, 5).await;
    world.exchange.stop(&rita, job).await.unwrap();
    // It goes on delivering and signing as if nothing had been said.
    worker.work(&world, 120).await;
    assert!(worker.runs.is_empty(), "the lease is over");
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Stopped);
    assert_eq!(view.summary.end, Some(RunEnd::StoppedByUser));
    // Five, the grace of ten, and two for the way.
    assert_eq!(view.summary.seconds, Seconds::new(17));
    assert_eq!(world.sum_of_books().await, 0);
}

#[tokio::test]
async fn a_last_receipt_for_too_much_does_not_void_what_was_acknowledged() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    worker.start(&world).await;
    worker.work(&world, 5).await;
    worker.runs[0].seconds = 500;
    worker.end(&world, FINISHED).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.seconds, Seconds::new(5));
}

#[tokio::test]
async fn a_lease_that_is_never_begun_goes_to_another_node() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let (mut idle, mut other) = (Worker::new(1, PRICE), Worker::new(2, PRICE));
    idle.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    idle.read();
    other.join(&world, &otto).await;
    for _ in 0..=180 {
        world.pass(5_000);
        idle.beat(&world).await;
        other.beat(&world).await;
        world.tick().await;
    }
    other.start(&world).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Running);
    assert_ne!(view.leases[0].node, view.leases[1].node);
    let told = view
        .events
        .iter()
        .find(|e| e.kind == JobEventKind::Rejected);
    assert!(told.unwrap().detail.contains("15 minutes"), "{told:?}");
}

#[tokio::test]
async fn a_lost_node_does_not_make_the_job_dearer_than_was_promised() {
    let world = World::with("sqlite", |settings| {
        settings.requeue_patience = Seconds::new(30);
    })
    .await;
    let (rita, otto) = world.people("10").await;
    let (mut first, mut dear) = (Worker::new(1, PRICE), Worker::new(2, PRICE + 1));
    first.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    first.start(&world).await;
    first.work(&world, 3).await;
    dear.join(&world, &otto).await;
    for _ in 0..45 {
        world.pass(1_000);
        dear.beat(&world).await;
        world.tick().await;
    }
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.leases.len(), 1, "the dearer offer was not taken");
    let Some(RunEnd::NoCapacity { reason }) = view.summary.end else {
        panic!("{:?}", view.summary);
    };
    assert!(reason.contains("at most 0.90225 IO per hour"), "{reason}");
}

#[tokio::test]
async fn a_late_start_voids_no_second_and_none_is_paid_before_it() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    worker.read();
    // It runs, but its first word of it is lost.
    worker.work(&world, 20).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.seconds, Seconds::ZERO);
    worker.start(&world).await;
    worker.work(&world, 2).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.seconds, Seconds::new(22));
    worker.end(&world, FINISHED).await;
    assert_eq!(state(&world, &rita, job).await, JobState::Finished);
}

#[tokio::test]
async fn a_slot_that_only_the_database_knows_to_be_taken_is_passed_over() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let beside = world.beside().await;
        let mut twin = Worker::new(1, PRICE);
        twin.connect(&beside, None).await.unwrap();
        twin.beat(&beside).await;
        let job = submit(&beside, &rita, "").await;
        let refused = world.exchange.submit(&rita, spec(""), None, None).await;
        let problem = refused.expect_err("taken").problem();
        assert_eq!(
            problem.code,
            protocol::problem::Code::NoMatch,
            "{problem:?}"
        );
        // The lease that was found runs out like any other, and the job goes on.
        for _ in 0..9 {
            world.pass(1_000);
            worker.beat(&world).await;
            world.tick().await;
        }
        worker.start(&world).await;
        assert_eq!(state(&world, &rita, job).await, JobState::Running);

        // Ended there, still live here: the end is not made twice, and memory learns of it.
        beside.exchange.shutdown().await;
        let beside = world.beside().await;
        twin.connect(&beside, None).await.unwrap();
        worker.beat(&world).await;
        let moved = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(
            moved.summary.restarts, 2,
            "the twin had forgotten the lease"
        );
        world.pass(8_000);
        let failed = world.exchange.tick().await.expect_err("it is over already");
        assert!(failed.to_string().contains("ended already"), "{failed}");
        world.tick().await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.restarts, 2);
        assert_eq!(world.sum_of_books().await, 0);
        world.crash().await;
    }
}

#[tokio::test]
async fn a_lease_of_a_removed_node_does_not_keep_the_server_from_starting() {
    let mut world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let node = world.exchange.nodes(&otto).await.unwrap()[0].id;
    let beside = world.beside().await;
    let mut twin = Worker::new(1, PRICE);
    twin.connect(&beside, None).await.unwrap();
    twin.beat(&beside).await;
    let job = submit(&beside, &rita, "").await;
    world.exchange.remove_node(&otto, node).await.unwrap();
    world.crash().await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Matching);
    assert_eq!(view.leases[0].end, Some(RunEnd::LeaseLost));
}

#[tokio::test]
async fn a_reconnect_repeats_how_much_is_paid_for() {
    let world = World::with("sqlite", |settings| {
        settings.escrow_window = Seconds::new(40);
        settings.escrow_minimum = Seconds::new(10);
    })
    .await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    submit(&world, &rita, "").await;
    worker.start(&world).await;
    worker.work(&world, 19).await;
    assert_eq!(worker.runs[0].funded, 40);
    // The 20th second brings the next window, but the line is cut before the word of it arrives.
    world.pass(1_000);
    worker.runs[0].seconds += 1;
    worker.beat(&world).await;
    world.tick().await;
    worker.disconnect(&world).await;
    worker.connect(&world, None).await.unwrap();
    worker.read();
    assert_eq!(worker.runs[0].funded, 60);
}

#[tokio::test]
async fn a_worker_whose_queue_is_full_is_let_go_and_comes_back() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    let (lease, epoch) = worker.start(&world).await;
    let session = worker.session.clone().unwrap();
    // It speaks but does not listen.
    let mut gone = false;
    for offset in 0..140 {
        let message = FromWorker::Log {
            lease,
            epoch,
            offset,
            stream: Stream::Stdout,
            text: "x".into(),
        };
        let answer = world.exchange.worker_message(&session, message).await;
        gone |= matches!(answer, Err(exchange::Error::SupersededConnection));
        assert!(
            !matches!(&answer, Ok(said) if said.iter().any(|m| matches!(m, ToWorker::LeaseRefused { .. }))),
            "its lease lives"
        );
        world.tick().await;
    }
    assert!(gone, "the connection is dropped, not the message alone");
    worker.disconnect(&world).await;
    worker.connect(&world, None).await.unwrap();
    worker.work(&world, 2).await;
    assert_eq!(state(&world, &rita, job).await, JobState::Running);
}

#[tokio::test]
async fn steps_of_preparation_are_told_once() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    worker.read();
    let (lease, epoch) = {
        let run = &worker.runs[0].assignment;
        (run.lease, run.epoch)
    };
    for _ in 0..5 {
        for phase in [Phase::Isolating, Phase::Fetching, Phase::Uploading] {
            let message = FromWorker::Preparing {
                lease,
                epoch,
                phase,
                percent: None,
            };
            worker.send(&world, message).await.unwrap();
        }
    }
    let events = world.exchange.job(&rita, job).await.unwrap().events;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds[2..],
        [JobEventKind::Isolating, JobEventKind::Uploading]
    );
}

#[tokio::test]
async fn a_pull_is_one_event_and_its_percent_only_grows() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    worker.read();
    let (lease, epoch) = {
        let run = &worker.runs[0].assignment;
        (run.lease, run.epoch)
    };
    for (phase, percent, shown) in [
        (Phase::Pulling, Some(0), Some(0)),
        (Phase::Pulling, Some(34), Some(34)),
        (Phase::Pulling, Some(12), Some(34)),
        (Phase::Fetching, Some(99), Some(34)),
        (Phase::Pulling, Some(250), Some(100)),
        (Phase::Isolating, Some(7), None),
        (Phase::Pulling, Some(40), None),
    ] {
        let message = FromWorker::Preparing {
            lease,
            epoch,
            phase,
            percent,
        };
        worker.send(&world, message).await.unwrap();
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.pulled_percent, shown, "{phase:?} {percent:?}");
    }
    let events = world.exchange.job(&rita, job).await.unwrap().events;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[2..], [JobEventKind::Pulling, JobEventKind::Isolating]);
}

#[tokio::test]
async fn a_reader_who_leaves_takes_no_log_with_him() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = submit(&world, &rita, "").await;
    let (lease, epoch) = worker.start(&world).await;
    for offset in 0..60 {
        let message = FromWorker::Log {
            lease,
            epoch,
            offset,
            stream: Stream::Stdout,
            text: "x".into(),
        };
        worker.send(&world, message).await.unwrap();
        let leaves = tokio::time::sleep(std::time::Duration::from_micros(offset * 25));
        tokio::select! {
            biased;
            () = leaves => {}
            page = world.exchange.logs(&rita, job, 0, 100) => drop(page.unwrap()),
        }
    }
    world.tick().await;
    let page = world.exchange.logs(&rita, job, 0, 100).await.unwrap();
    assert_eq!(page.lines.len(), 60);
}

#[tokio::test]
async fn a_pause_and_a_price_at_once_both_hold() {
    let world = World::new("sqlite").await;
    let (_, otto) = world.people("10").await;
    Worker::new(1, PRICE).join(&world, &otto).await;
    let device = world.exchange.nodes(&otto).await.unwrap()[0].devices[0].id;
    let price = PricePerSecond::from_amount(Amount::try_from_base(7).unwrap());
    let (a, b) = tokio::join!(
        world.exchange.set_paused(&otto, device, true),
        world.exchange.set_price(&otto, device, price),
    );
    a.unwrap();
    b.unwrap();
    let node = &world.exchange.nodes(&otto).await.unwrap()[0];
    assert!(!node.devices[0].checks.iter().all(|check| check.pass));
    let offer = world.exchange.offer(device).unwrap();
    assert_eq!(
        (offer.price, offer.state),
        (price, protocol::state::DeviceState::Paused)
    );
}
