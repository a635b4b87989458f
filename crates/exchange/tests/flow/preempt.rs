//! Spot jobs are taken back with a notice, for the job that pays and for nobody else; their checkpoint goes with them.

use exchange::{Actor, Error};
use kernel::{DeviceId, JobId};
use protocol::state::{JobState, LeaseState, RunEnd};
use protocol::view::{JobEventKind, JobView, Kind};
use protocol::worker::{FromWorker, StopReason, ToWorker};

use crate::kinds::{asking, device, price, rules};
use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 20_000;

struct Scene {
    world: World,
    rita: Actor,
    sam: Actor,
    otto: Actor,
    worker: Worker,
    device: DeviceId,
    spot: JobId,
}

/// One machine, with a spot job of Sam on it that has run for five seconds.
async fn scene(backend: &str) -> Scene {
    let world = World::new(backend).await;
    let (rita, otto) = world.people("10").await;
    let sam = world.account("sam", "10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let device = device(&world, &otto, "worker-1").await;
    let offers = rules(serde_json::json!({ "spot_per_hour": "0.36" }));
    world
        .exchange
        .change_device(&otto, device, offers)
        .await
        .unwrap();
    let mut job = asking("kind=spot");
    job.limits.max_restarts = 0;
    let spot = world.exchange.submit(&sam, job, None, None).await.unwrap();
    worker.start(&world).await;
    worker.work(&world, 5).await;
    Scene {
        world,
        rita,
        sam,
        otto,
        worker,
        device,
        spot: spot.summary.id,
    }
}

impl Scene {
    async fn job(&self, actor: &Actor, id: JobId) -> JobView {
        self.world.exchange.job(actor, id).await.unwrap()
    }

    async fn submit(&self) -> JobView {
        let exchange = &self.world.exchange;
        exchange
            .submit(&self.rita, spec(""), None, None)
            .await
            .unwrap()
    }

    /// The last order to stop that its worker heard: why, and how long it has.
    fn order(&mut self) -> Option<(StopReason, u64)> {
        self.worker.read();
        let orders = self.worker.seen.iter().rev();
        let mut orders = orders.filter_map(|message| match message {
            ToWorker::Stop {
                reason, grace_ms, ..
            } => Some((*reason, *grace_ms)),
            _ => None,
        });
        orders.next()
    }

    /// How many promises stand in the database.
    async fn promises(&self) -> usize {
        let store = store::Store::open(&self.world.settings.database_url).await;
        store.unwrap().promises().await.unwrap().len()
    }

    /// The spot job writes what it has, and is over.
    async fn leave(&mut self) {
        self.worker.end(&self.world, RunEnd::Preempted).await;
        self.world.tick().await;
        self.worker.read();
    }
}

pub fn has(view: &JobView, kind: JobEventKind) -> usize {
    view.events
        .iter()
        .filter(|event| event.kind == kind)
        .count()
}

#[tokio::test]
async fn a_spot_job_is_given_notice_and_goes_back_to_waiting() {
    for backend in backends() {
        let mut scene = scene(backend).await;
        let exchange = &scene.world.exchange;
        let quote = exchange
            .hold_quote(Some(&scene.rita), &spec(""), None)
            .await;
        let quote = quote.unwrap();
        assert_eq!(quote.makes_room, Some(kernel::Seconds::new(120)));
        assert_eq!(quote.id, None, "what is not free is not promised");
        let full = scene.submit().await;
        assert_eq!(full.summary.state, JobState::Matching);
        let told = full.events.last().unwrap();
        assert_eq!(told.kind, JobEventKind::MakingRoom);
        let now = scene.world.exchange.now();
        let room = full.summary.waits_until.unwrap();
        assert_eq!(
            room.millis_since(now),
            120_000,
            "thirty seconds of notice, and ninety for its files"
        );
        assert_eq!(scene.order(), Some((StopReason::Preempted, 30_000)));
        let sam = scene.sam.clone();
        let spot = scene.job(&sam, scene.spot).await;
        assert_eq!(spot.summary.state, JobState::Running, "it has its notice");
        assert_eq!(has(&spot, JobEventKind::Notice), 1);

        // It goes on within its notice, and is paid for; nobody else is told to go, nobody else gets the slot.
        scene.worker.work(&scene.world, 20).await;
        let third = scene
            .world
            .exchange
            .submit(&scene.rita, spec(""), None, None)
            .await;
        assert!(
            matches!(third, Err(Error::NoMatch(_))),
            "the slot is promised"
        );
        let mut order = spec("");
        order.limits.wait_seconds = 600;
        let third = scene
            .world
            .exchange
            .submit(&scene.rita, order, None, None)
            .await
            .unwrap();
        scene.leave().await;
        let rita = scene.rita.clone();
        let full = scene.job(&rita, full.summary.id).await;
        assert_eq!(full.summary.state, JobState::Starting);
        assert_eq!(
            (full.leases[0].price, full.leases[0].kind),
            (price(PRICE), Kind::OnDemand)
        );
        let third = scene.job(&rita, third.summary.id).await;
        assert_eq!(third.summary.state, JobState::Matching, "it came later");
        let spot = scene.job(&sam, scene.spot).await;
        assert_eq!(
            (spot.summary.state, spot.summary.restarts),
            (JobState::Matching, 0),
            "no restart, though it may have none"
        );
        assert_eq!(has(&spot, JobEventKind::Preempted), 1);
        assert_eq!(spot.leases[0].end, Some(RunEnd::Preempted));
        assert_eq!(spot.leases[0].seconds.get(), 25, "delivered seconds alone");
        assert_eq!(scene.world.sum_of_books().await, 0);

        // As a spot job it comes back when there is room again.
        let mut other = Worker::new(2, PRICE * 2);
        other.join(&scene.world, &scene.otto).await;
        let second = device(&scene.world, &scene.otto, "worker-2").await;
        let offers = rules(serde_json::json!({ "spot_per_hour": "0.36" }));
        let order = third.summary.id;
        scene.world.exchange.stop(&rita, order).await.unwrap();
        scene
            .world
            .exchange
            .change_device(&scene.otto, second, offers)
            .await
            .unwrap();
        scene.world.tick().await;
        let spot = scene.job(&sam, scene.spot).await;
        assert_eq!(spot.summary.state, JobState::Starting);
        assert_eq!(
            (spot.leases[1].device, spot.leases[1].kind),
            (second, Kind::Spot)
        );
    }
}

#[tokio::test]
async fn a_notice_survives_the_death_of_the_server() {
    for backend in backends() {
        let mut scene = scene(backend).await;
        let full = scene.submit().await.summary.id;
        // Before its worker heard of it.
        scene.world.crash().await;
        scene.worker.seen.clear();
        scene.worker.connect(&scene.world, None).await.unwrap();
        scene.worker.beat(&scene.world).await;
        assert_eq!(scene.order(), Some((StopReason::Preempted, 30_000)));
        // And between the end of the one and the start of the other.
        scene.worker.end(&scene.world, RunEnd::Preempted).await;
        scene.world.crash().await;
        scene.worker.connect(&scene.world, None).await.unwrap();
        let third = scene
            .world
            .exchange
            .submit(&scene.rita, spec(""), None, None)
            .await;
        assert!(matches!(third, Err(Error::NoMatch(_))));
        scene.world.tick().await;
        let rita = scene.rita.clone();
        let full = scene.job(&rita, full).await;
        let lease = full.leases.last().unwrap();
        assert_eq!(lease.device, scene.device);
        let spot = scene.job(&scene.sam, scene.spot).await;
        assert_eq!(spot.summary.state, JobState::Matching);
    }
}

#[tokio::test]
async fn a_worker_that_does_not_obey_is_ended_in_time() {
    let mut scene = scene("sqlite").await;
    let full = scene.submit().await.summary.id;
    let mut waited = 0;
    while scene.job(&scene.rita, full).await.summary.state == JobState::Matching {
        scene.worker.work(&scene.world, 1).await;
        waited += 1;
        assert!(waited <= 121, "it waits no longer than it was told");
    }
    let spot = scene.job(&scene.sam, scene.spot).await;
    let lease = &spot.leases[0];
    assert_eq!(lease.state, LeaseState::Ended);
    assert!(
        (30..=37).contains(&lease.seconds.get()),
        "five seconds, its notice, and no more: {}",
        lease.seconds.get()
    );
}

#[tokio::test]
async fn a_slot_is_free_again_when_the_job_it_was_promised_to_is_stopped() {
    let mut scene = scene("sqlite").await;
    let full = scene.submit().await.summary.id;
    let rita = scene.rita.clone();
    scene.world.exchange.stop(&rita, full).await.unwrap();
    scene.worker.read();
    scene.leave().await;
    let spot = scene.job(&scene.sam, scene.spot).await;
    assert_eq!(
        (spot.summary.state, spot.leases.len()),
        (JobState::Starting, 2),
        "the spot job has it again"
    );
}

#[tokio::test]
async fn the_spot_lease_that_pays_least_makes_room_and_only_for_money() {
    let mut scene = scene("sqlite").await;
    let mut other = Worker::new(2, PRICE * 2);
    other.join(&scene.world, &scene.otto).await;
    let second = device(&scene.world, &scene.otto, "worker-2").await;
    let exchange = scene.world.exchange.clone();
    let cheaper = rules(serde_json::json!({ "spot_per_hour": "0.18" }));
    exchange
        .change_device(&scene.otto, second, cheaper)
        .await
        .unwrap();
    let least = exchange
        .submit(&scene.sam, asking("kind=spot"), None, None)
        .await
        .unwrap();
    other.start(&scene.world).await;
    // A limit that only the first machine's price meets: the dearer spot lease makes room.
    let mut limited = spec("");
    limited.limits.max_price_per_hour = Some("0.8".into());
    let poor = scene.world.account("paul", "0").await;
    let refused = exchange.submit(&poor, limited.clone(), None, None).await;
    assert!(matches!(refused, Err(Error::InsufficientFunds { .. })));
    assert_eq!(scene.order(), None, "nobody goes for one who cannot pay");
    let spot = exchange
        .submit(&scene.rita, asking("kind=spot"), None, None)
        .await;
    assert!(
        matches!(spot, Err(Error::NoMatch(_))),
        "nor for another spot job"
    );
    let any = exchange
        .submit(&scene.rita, spec(""), None, None)
        .await
        .unwrap();
    assert_eq!(any.summary.state, JobState::Matching);
    let noticed = scene.job(&scene.sam, least.summary.id).await;
    assert_eq!(has(&noticed, JobEventKind::Notice), 1, "it pays least");
    let first = exchange
        .submit(&scene.rita, limited, None, None)
        .await
        .unwrap();
    assert_eq!(first.summary.state, JobState::Matching);
    assert_eq!(scene.order(), Some((StopReason::Preempted, 30_000)));
    // The owner asks more meanwhile: what stood when the notice was given is what is paid.
    exchange
        .set_price(&scene.otto, second, price(PRICE * 3))
        .await
        .unwrap();
    other.read();
    other.end(&scene.world, RunEnd::Preempted).await;
    scene.world.tick().await;
    let any = scene.job(&scene.rita, any.summary.id).await;
    assert_eq!(
        (any.leases[0].device, any.leases[0].price),
        (second, price(PRICE * 2))
    );
}

#[tokio::test]
async fn a_promise_waits_for_a_machine_that_comes_back_after_a_start() {
    for comes_back in [true, false] {
        let mut scene = scene("sqlite").await;
        let full = scene.submit().await.summary.id;
        let rita = scene.rita.clone();
        // The spot job's worker is away for longer than the server waits for it: its lease is lost, the device is down.
        scene.world.crash().await;
        scene.worker.runs.clear();
        let grace = i64::try_from(scene.world.settings.startup_grace_ms).unwrap();
        scene.world.pass(grace + 1_000);
        scene.world.tick().await;
        let spot = scene.job(&scene.sam, scene.spot).await;
        assert_eq!(spot.leases[0].state, LeaseState::Ended);
        let waits = scene.job(&rita, full).await;
        assert_eq!(waits.summary.state, JobState::Matching, "{waits:?}");
        if comes_back {
            scene.worker.connect(&scene.world, None).await.unwrap();
            scene.worker.beat(&scene.world).await;
            scene.world.tick().await;
            let full = scene.job(&rita, full).await;
            assert_eq!(full.leases[0].device, scene.device);
        } else {
            scene.world.pass(121_000);
            scene.world.tick().await;
            let full = scene.job(&rita, full).await;
            assert_eq!(full.summary.state, JobState::Failed);
        }
    }
}

#[tokio::test]
async fn the_same_money_sends_one_spot_job_away_and_not_two() {
    let mut scene = scene("sqlite").await;
    let mut other = Worker::new(2, PRICE);
    other.join(&scene.world, &scene.otto).await;
    let second = device(&scene.world, &scene.otto, "worker-2").await;
    let exchange = scene.world.exchange.clone();
    let offers = rules(serde_json::json!({ "spot_per_hour": "0.36" }));
    exchange
        .change_device(&scene.otto, second, offers)
        .await
        .unwrap();
    exchange
        .submit(&scene.sam, asking("kind=spot"), None, None)
        .await
        .unwrap();
    other.start(&scene.world).await;
    // A minute costs 0.01203.
    let poor = scene.world.account("paul", "0.02").await;
    let first = exchange.submit(&poor, spec(""), None, None).await.unwrap();
    assert_eq!(first.summary.state, JobState::Matching);
    let refused = exchange.submit(&poor, spec(""), None, None).await;
    assert!(
        matches!(refused, Err(Error::InsufficientFunds { .. })),
        "{refused:?}"
    );
    exchange.stop(&poor, first.summary.id).await.unwrap();
    assert_eq!(
        exchange.balance(&poor).await.unwrap().available.to_io(),
        "0.02",
        "what was set aside is its own again"
    );
    assert_eq!(scene.world.sum_of_books().await, 0);
    scene.leave().await;
}

/// What it was told that it pays at most holds as long as it waits, also when the promised device falls away, and after a start.
#[tokio::test]
async fn a_promise_that_falls_away_still_bounds_the_price() {
    for backend in backends() {
        let mut scene = scene(backend).await;
        let rita = scene.rita.clone();
        let mut order = spec("");
        order.limits.wait_seconds = 3_600;
        let exchange = scene.world.exchange.clone();
        let full = exchange.submit(&rita, order, None, None).await.unwrap();
        let full = full.summary.id;
        scene.world.tick().await;
        let told = scene.job(&rita, full).await;
        assert_eq!(has(&told, JobEventKind::MakingRoom), 1);
        // Its owner takes the device out of the market before it is free.
        exchange
            .set_paused(&scene.otto, scene.device, true)
            .await
            .unwrap();
        scene.leave().await;
        assert_eq!(scene.promises().await, 0, "{backend}");
        let mut dear = Worker::new(2, PRICE * 2);
        dear.join(&scene.world, &scene.otto).await;
        scene.world.tick().await;
        let waits = scene.job(&rita, full).await;
        assert_eq!(waits.summary.state, JobState::Matching, "{backend}");
        scene.world.crash().await;
        dear.connect(&scene.world, None).await.unwrap();
        dear.beat(&scene.world).await;
        scene.world.tick().await;
        let waits = scene.job(&rita, full).await;
        assert_eq!(waits.summary.state, JobState::Matching, "{backend}");
        // For what it was told it is placed, and what it pays is in its lease from then on.
        let mut cheap = Worker::new(3, PRICE);
        cheap.join(&scene.world, &scene.otto).await;
        scene.world.tick().await;
        let placed = scene.job(&rita, full).await;
        assert_eq!(placed.leases[0].price, price(PRICE));
        assert_eq!(scene.world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_promise_to_a_job_that_is_over_does_not_outlive_a_start() {
    let mut scene = scene("sqlite").await;
    let full = scene.submit().await.summary.id;
    let rita = scene.rita.clone();
    scene.world.exchange.stop(&rita, full).await.unwrap();
    // Before the next tick.
    scene.world.crash().await;
    scene.worker.connect(&scene.world, None).await.unwrap();
    scene
        .worker
        .end(&scene.world, RunEnd::Exited { code: 0 })
        .await;
    let next = scene.submit().await;
    assert_eq!(next.summary.state, JobState::Starting, "{next:?}");
}

/// Whoever stopped the job that room was made for: the spot job was sent away, and did not lose its machine.
#[tokio::test]
async fn a_notice_counts_after_its_job_is_stopped_and_the_server_started_again() {
    for backend in backends() {
        let mut scene = scene(backend).await;
        let full = scene.submit().await.summary.id;
        let rita = scene.rita.clone();
        scene.world.exchange.stop(&rita, full).await.unwrap();
        scene.world.tick().await;
        scene.world.crash().await;
        // Its machine obeyed meanwhile, and says so.
        scene.worker.connect(&scene.world, None).await.unwrap();
        scene.worker.end(&scene.world, RunEnd::Preempted).await;
        let spot = scene.job(&scene.sam, scene.spot).await;
        assert_eq!(spot.leases[0].end, Some(RunEnd::Preempted), "{spot:?}");
        assert_eq!(spot.summary.restarts, 0);
    }
}

#[tokio::test]
async fn what_a_whole_spot_lease_pays_counts_and_not_one_of_its_devices() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let sam = world.account("sam", "10").await;
    // Two cards of one machine at 0.36 each are dearer than one of another at 0.54.
    let mut two = Worker::new(1, PRICE);
    two.devices = 2;
    two.join(&world, &otto).await;
    let exchange = world.exchange.clone();
    let offers = rules(serde_json::json!({ "spot_per_hour": "0.36" }));
    for node in exchange.nodes(&otto).await.unwrap() {
        for device in node.devices {
            exchange
                .change_device(&otto, device.id, offers.clone())
                .await
                .unwrap();
        }
    }
    let pair = exchange
        .submit(&sam, asking("kind=spot count=2"), None, None)
        .await
        .unwrap();
    two.start(&world).await;
    let mut one = Worker::new(2, PRICE);
    one.join(&world, &otto).await;
    let second = device(&world, &otto, "worker-2").await;
    let offers = rules(serde_json::json!({ "spot_per_hour": "0.54" }));
    exchange.change_device(&otto, second, offers).await.unwrap();
    let single = exchange
        .submit(&sam, asking("kind=spot"), None, None)
        .await
        .unwrap();
    one.start(&world).await;
    exchange.submit(&rita, spec(""), None, None).await.unwrap();
    let notices = async |id| has(&exchange.job(&sam, id).await.unwrap(), JobEventKind::Notice);
    assert_eq!(notices(single.summary.id).await, 1);
    assert_eq!(notices(pair.summary.id).await, 0);
}

#[tokio::test]
async fn a_checkpoint_is_there_again_in_the_next_lease() {
    let mut scene = scene("sqlite").await;
    let exchange = scene.world.exchange.clone();
    scene.submit().await;
    scene.worker.read();
    let first = scene.worker.runs[0].assignment.clone();
    assert!(first.checkpoint.is_empty());
    let put = async |token: &str, lease, path: &str, text: &'static [u8]| {
        let body = std::io::Cursor::new(text);
        exchange
            .transfer_artefact(token, lease, path, body)
            .await
            .unwrap();
    };
    let token = &first.transfer_token;
    put(token, first.lease, "checkpoint/step", b"25").await;
    put(token, first.lease, "result.txt", b"none yet").await;
    scene.leave().await;
    // What took its place is soon done.
    scene.worker.start(&scene.world).await;
    scene
        .worker
        .end(&scene.world, RunEnd::Exited { code: 0 })
        .await;
    scene.world.tick().await;
    scene.worker.read();
    let again = scene.worker.runs.last().unwrap().assignment.clone();
    assert_eq!(again.job, first.job);
    let paths: Vec<&str> = again.checkpoint.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["checkpoint/step"]);
    let fetch = async |token: &str, lease, path: &str| {
        let found = exchange.transfer_checkpoint(token, lease, path).await;
        found.map(|path| std::fs::read_to_string(path).unwrap())
    };
    let (token, lease) = (&again.transfer_token, again.lease);
    assert_eq!(fetch(token, lease, "checkpoint/step").await.unwrap(), "25");
    // What it writes itself does not hide what it came from.
    put(token, lease, "checkpoint/step", b"26").await;
    assert_eq!(fetch(token, lease, "checkpoint/step").await.unwrap(), "25");
    for (token, lease, path) in [
        (token, lease, "result.txt"),
        (token, first.lease, "checkpoint/step"),
        (&first.transfer_token, first.lease, "checkpoint/step"),
    ] {
        assert!(fetch(token, lease, path).await.is_err(), "{path}");
    }
    // A worker that says of itself that it was preempted is not believed.
    let (lease, epoch) = scene.worker.start(&scene.world).await;
    let end = FromWorker::Ended {
        lease,
        epoch,
        end: RunEnd::Preempted,
        receipt: None,
    };
    scene.worker.send(&scene.world, end).await.unwrap();
    let spot = scene.job(&scene.sam, scene.spot).await;
    assert_eq!(
        spot.summary.state,
        JobState::Failed,
        "lost, and it may not restart"
    );
}
