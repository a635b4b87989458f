//! What machines measure: each second counts once, whatever is said again and whoever crashes, and what is missing is known.

use exchange::Error;
use kernel::{NodeId, Timestamp};
use protocol::notice::Notice;
use protocol::telemetry::{Batch, DeviceEvent, Field, Happening, Reading, Values};
use protocol::worker::{FromWorker, ToWorker};

use crate::world::{Worker, World, backends, spec};

const SERIES: &str = "0a1b2c3d-00000001";

fn second(world: &World, seq: u64, uuid: &str) -> Batch {
    Batch {
        seq,
        at: Timestamp::from_millis(world.now_ms()),
        host: Values::from([(Field::HostCpu, 10.0)]),
        devices: vec![Reading {
            gpu: 0,
            uuid: uuid.to_owned(),
            values: Values::from([(Field::GpuUtil, 50.0), (Field::FbUsed, 9.3e18)]),
        }],
        events: Vec::new(),
    }
}

async fn say(world: &World, worker: &mut Worker, batches: Vec<Batch>) {
    let message = FromWorker::Telemetry {
        series: SERIES.to_owned(),
        batches,
    };
    worker.send(world, message).await.expect("is taken");
}

/// Up to where it is acknowledged.
fn acknowledged(worker: &mut Worker) -> Option<u64> {
    worker.read();
    let acks = worker.seen.iter().filter_map(|message| match message {
        ToWorker::TelemetryAck { seq, .. } => Some(*seq),
        _ => None,
    });
    acks.max()
}

/// Received, missing, and of how many seconds the device's minutes are made.
async fn stands(world: &World, owner: &exchange::Actor, node: NodeId) -> (u64, u64, u32) {
    let view = world.exchange.node_telemetry(owner, node, 1).await.unwrap();
    let head = &view.series[0];
    let minutes = view.devices.iter().flat_map(|device| &device.minutes);
    let n = minutes.filter_map(|minute| minute.values.get(&Field::GpuUtil));
    (head.received, head.missing, n.map(|stat| stat.n).sum())
}

#[tokio::test]
async fn seconds_count_once_through_repeats_and_crashes_and_gaps_are_known() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, 25_000);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        let view = world.exchange.node(&otto, node).await.unwrap();
        let uuid = view.devices[0].uuid.clone();
        let some = |world: &World, from: u64, to: u64| -> Vec<Batch> {
            (from..=to).map(|seq| second(world, seq, &uuid)).collect()
        };

        say(&world, &mut worker, some(&world, 1, 30)).await;
        world.tick().await;
        assert_eq!(acknowledged(&mut worker), None, "not yet written");
        assert_eq!(
            stands(&world, &otto, node).await,
            (30, 0, 30),
            "and yet shown"
        );
        world.pass(20_000);
        world.tick().await;
        assert_eq!(acknowledged(&mut worker), Some(30));

        // Said again with more; then the server dies before it wrote the more.
        say(&world, &mut worker, some(&world, 20, 40)).await;
        assert_eq!(stands(&world, &otto, node).await, (40, 0, 40));
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        say(&world, &mut worker, some(&world, 25, 45)).await;
        assert_eq!(stands(&world, &otto, node).await, (45, 0, 45));
        // Numbers that never come.
        say(&world, &mut worker, some(&world, 51, 51)).await;
        world.pass(20_000);
        world.tick().await;
        assert_eq!(acknowledged(&mut worker), Some(51));
        assert_eq!(stands(&world, &otto, node).await, (46, 5, 46));
        world.crash().await;
        assert_eq!(stands(&world, &otto, node).await, (46, 5, 46));

        let text = world.exchange.node_metrics(&otto, node).unwrap();
        assert_eq!(text, "", "nobody has said anything to this process");
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        say(&world, &mut worker, some(&world, 52, 52)).await;
        let text = world.exchange.node_metrics(&otto, node).unwrap();
        assert!(
            text.contains("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\""),
            "{text}"
        );
        assert!(!text.contains("FB_USED"), "a sentinel: {text}");
        for hours in [0, 25] {
            let asked = world.exchange.node_telemetry(&otto, node, hours).await;
            assert!(matches!(asked, Err(Error::Invalid(_))), "{hours}");
        }
        let other = world.exchange.node_telemetry(&rita, node, 1).await;
        assert!(matches!(other, Err(Error::NotFound(_))));
        assert!(world.exchange.node_metrics(&rita, node).is_err());
        // What is none of ours is passed over.
        let odd = FromWorker::Telemetry {
            series: "x'; --".into(),
            batches: some(&world, 99, 99),
        };
        worker.send(&world, odd).await.unwrap();
        assert_eq!(stands(&world, &otto, node).await.0, 47);
    }
}

#[tokio::test]
async fn a_fault_is_kept_at_once_and_calls_the_owner_once_an_hour() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, 25_000);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        let view = world.exchange.node(&otto, node).await.unwrap();
        let uuid = view.devices[0].uuid.clone();
        let before = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        world.pass(1_000);
        let event = |world: &World, seq: u64, uuid: &str, what| Batch {
            seq,
            at: Timestamp::from_millis(world.now_ms()),
            events: vec![DeviceEvent {
                uuid: uuid.to_owned(),
                at: Timestamp::from_millis(world.now_ms()),
                what,
            }],
            ..Batch::default()
        };
        let lost = Happening::Xid { code: 79 };
        let said = vec![
            event(&world, 1, &uuid, lost),
            event(&world, 2, &uuid, lost),
            event(&world, 3, &uuid, Happening::Xid { code: 31 }),
            event(&world, 4, "GPU-of-another", lost),
        ];
        say(&world, &mut worker, said).await;
        world.tick().await;
        assert_eq!(acknowledged(&mut worker), Some(4), "without waiting");
        let faults = async || {
            let told = world.exchange.notices(&otto, None, 50).await.unwrap();
            let faults = told.items.into_iter().filter_map(|view| match view.notice {
                Notice::DeviceFault { fault, .. } => Some(fault),
                _ => None,
            });
            faults.collect::<Vec<_>>()
        };
        assert_eq!(faults().await, [lost]);
        // Who hired the device sees what happened to it, and to it alone.
        world.pass(1_000);
        let seen = world
            .exchange
            .job_telemetry(&rita, before.summary.id)
            .await
            .unwrap();
        let kinds: Vec<Happening> = seen.leases[0].events.iter().map(|e| e.event.what).collect();
        assert_eq!(kinds, [Happening::Xid { code: 31 }, lost, lost]);
        assert!(
            world
                .exchange
                .job_telemetry(&otto, before.summary.id)
                .await
                .is_err()
        );

        worker.work(&world, 3).await;
        world.pass(3_600_000);
        say(
            &world,
            &mut worker,
            vec![event(&world, 5, &uuid, Happening::Lost)],
        )
        .await;
        world.tick().await;
        assert_eq!(faults().await, [Happening::Lost, lost]);
    }
}
