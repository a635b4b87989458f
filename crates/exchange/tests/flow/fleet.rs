//! An owner's machines together: maintenance that drains, prices of many, what ran, and what one would earn.

use exchange::{Actor, AuditQuery, Error, PriceMove};
use kernel::{Amount, PricePerSecond, Seconds};
use protocol::audit::{ActorKind, AuditAction, AuditEntry};
use protocol::fleet::{SimulatorAsk, Standing};
use protocol::spec::DeviceClass;
use protocol::state::{DeviceState, JobState, RunEnd};
use protocol::view::EarnRule;
use protocol::worker::{AskChosen, FromWorker, StopReason, ToWorker};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

async fn hears_of_maintenance(world: &World, worker: &mut Worker) -> bool {
    let session = worker.session.clone().unwrap();
    let beat = worker.beat_message();
    let answers = world.exchange.worker_message(&session, beat).await.unwrap();
    answers.iter().any(|answer| {
        matches!(
            answer,
            ToWorker::Renewed {
                maintenance: true,
                ..
            }
        )
    })
}

#[tokio::test]
async fn a_device_without_a_price_is_offered_at_the_fair_one_and_says_so() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let asked = |worker: &Worker| match &worker.session.as_ref().unwrap().welcome {
            ToWorker::Welcome { asks, .. } => {
                let ask = &asks[0];
                (ask.price.per_second().base(), ask.chosen)
            }
            other => panic!("{other:?}"),
        };
        // Nothing is known of the model.
        let mut first = Worker::new(1, 0);
        first.device = (DeviceClass::Cpu, "Unknown CPU", 8_000);
        first.join(&world, &rita).await;
        assert_eq!(asked(&first), (2_500, AskChosen::ByPlatform));

        let mut known = Worker::new(2, PRICE);
        known.join(&world, &rita).await;
        assert_eq!(asked(&known), (PRICE, AskChosen::ByOwner));
        let mut unpriced = Worker::new(3, 0);
        unpriced.join(&world, &otto).await;
        assert_eq!(asked(&unpriced), (PRICE, AskChosen::ByMarket));
        // Who asks next to nothing does not so hire a newcomer for that.
        let mut cheap = Worker::new(7, 1);
        cheap.device = (DeviceClass::Cpu, "Cheap CPU", 8_000);
        cheap.join(&world, &rita).await;
        let mut newcomer = Worker::new(8, 0);
        newcomer.device = (DeviceClass::Cpu, "Cheap CPU", 8_000);
        newcomer.join(&world, &otto).await;
        assert_eq!(asked(&newcomer), (2_500, AskChosen::ByMarket));
        let node = unpriced.session.as_ref().unwrap().node;
        let view = world.exchange.node(&otto, node).await.unwrap();
        assert_eq!(view.devices[0].price.per_second().base(), PRICE);

        // From then on it stands, whatever the market does.
        let device = view.devices[0].id;
        let own = PricePerSecond::from_amount(Amount::try_from_base(PRICE * 3).unwrap());
        world.exchange.set_price(&otto, device, own).await.unwrap();
        unpriced.disconnect(&world).await;
        unpriced.connect(&world, None).await.unwrap();
        assert_eq!(asked(&unpriced), (PRICE * 3, AskChosen::ByOwner));
    }
}

#[tokio::test]
async fn maintenance_sends_nothing_new_and_lets_run_what_runs() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        let hire = async |world: &World| world.exchange.submit(&rita, spec(""), None, None).await;
        let job = hire(&world).await.unwrap().summary.id;
        worker.start(&world).await;

        let other = world
            .exchange
            .set_maintenance(&rita, node, true, None)
            .await;
        assert!(matches!(other, Err(Error::NotFound(_))));
        let view = world
            .exchange
            .set_maintenance(&otto, node, true, None)
            .await
            .unwrap();
        assert_eq!(view.standing, Standing::Maintenance);
        assert_eq!(view.devices[0].state, DeviceState::Hired);
        worker.work(&world, 3).await;
        worker.end(&world, RunEnd::Exited { code: 0 }).await;
        let state = world.exchange.job(&rita, job).await.unwrap().summary.state;
        assert_eq!(state, JobState::Finished);
        assert!(matches!(hire(&world).await, Err(Error::NoMatch(_))));
        let offer = world.exchange.offer(view.devices[0].id).unwrap();
        assert_eq!(offer.state, DeviceState::Maintenance);

        // It is in the database, and a worker that comes back does not end it.
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        let view = world.exchange.node(&otto, node).await.unwrap();
        assert_eq!(view.standing, Standing::Maintenance);
        let failed = |rule| {
            view.devices[0]
                .checks
                .iter()
                .any(|check| check.rule == rule && !check.pass)
        };
        assert!(failed(EarnRule::NotMaintained));
        // The machine hears of it, so that it can say why its own switch is not enough.
        assert!(hears_of_maintenance(&world, &mut worker).await);
        assert!(matches!(hire(&world).await, Err(Error::NoMatch(_))));
        world
            .exchange
            .set_maintenance(&otto, node, false, None)
            .await
            .unwrap();

        assert!(!hears_of_maintenance(&world, &mut worker).await);

        // Until a time: then what still runs is stopped, and goes on elsewhere.
        let job = hire(&world).await.unwrap().summary.id;
        worker.start(&world).await;
        let soon = Some(Seconds::new(2));
        world
            .exchange
            .set_maintenance(&otto, node, true, soon)
            .await
            .unwrap();
        worker.work(&world, 1).await;
        world.exchange.prune().await.unwrap();
        let told = |worker: &Worker| {
            let drained = |message: &ToWorker| {
                matches!(
                    message,
                    ToWorker::Stop {
                        reason: StopReason::Drained,
                        ..
                    }
                )
            };
            worker.seen.iter().any(drained)
        };
        assert!(!told(&worker));
        worker.work(&world, 2).await;
        world.exchange.prune().await.unwrap();
        worker.read();
        assert!(told(&worker));
        worker.end(&world, RunEnd::NodeDrained).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Matching);
        let wrong = world
            .exchange
            .set_maintenance(&otto, node, true, Some(Seconds::new(31 * 86_400)))
            .await;
        assert!(matches!(wrong, Err(Error::Invalid(_))));
        let ran = world.exchange.node_leases(&otto, node, None).await.unwrap();
        let ends: Vec<_> = ran
            .items
            .iter()
            .map(|lease| lease.end.clone().unwrap())
            .collect();
        assert_eq!(ends, [RunEnd::NodeDrained, RunEnd::Exited { code: 0 }]);
        assert!(world.exchange.node_leases(&rita, node, None).await.is_err());
    }
}

/// What the audit log says of the machine's own switch, oldest first.
async fn switches(world: &World, otto: &Actor) -> Vec<AuditEntry> {
    let asked = AuditQuery::default();
    let all = world.exchange.own_audit(otto, &asked, 100).await;
    let mut found: Vec<AuditEntry> = all
        .unwrap()
        .items
        .into_iter()
        .map(|view| view.entry)
        .filter(|entry| {
            let own = [AuditAction::NodeTakesNoJobs, AuditAction::NodeTakesJobs];
            own.contains(&entry.action)
        })
        .collect();
    found.reverse();
    found
}

/// So many seconds of heartbeats that say whether the machine takes no jobs; once a minute is looked after it, as the server does.
async fn say(world: &World, worker: &mut Worker, declines: bool, seconds: u64) {
    for second in 1..=seconds {
        world.pass(1_000);
        let mut beat = worker.beat_message();
        if let FromWorker::Heartbeat { draining, .. } = &mut beat {
            *draining = declines;
        }
        worker.send(world, beat).await.unwrap();
        if second % 60 == 0 {
            world.exchange.prune().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_machines_own_switch_is_noted_once_for_each_change_and_a_worker_that_stops_is_not() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (_, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        say(&world, &mut worker, false, 180).await;
        assert!(switches(&world, &otto).await.is_empty());

        // A worker that stops: it says so until it leaves, and comes back.
        say(&world, &mut worker, true, 80).await;
        worker.disconnect(&world).await;
        world.pass(300_000);
        world.exchange.prune().await.unwrap();
        worker.connect(&world, None).await.unwrap();
        say(&world, &mut worker, false, 300).await;
        assert!(switches(&world, &otto).await.is_empty());

        let begun = world.exchange.now();
        say(&world, &mut worker, true, 600).await;
        let noted = switches(&world, &otto).await;
        assert_eq!(noted.len(), 1);
        let entry = &noted[0];
        assert_eq!(entry.action, AuditAction::NodeTakesNoJobs);
        assert_eq!(entry.actor.kind, ActorKind::Node);
        assert_eq!(entry.actor.account, Some(otto.account));
        assert_eq!(entry.actor.id, node.to_string());
        assert_eq!(entry.subject.id, node.to_string());
        assert_eq!(entry.detail["since"], begun.plus_millis(1_000).to_string());

        // Neither a new connection nor a restart of the server is a change.
        worker.disconnect(&world).await;
        worker.connect(&world, None).await.unwrap();
        say(&world, &mut worker, true, 300).await;
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        say(&world, &mut worker, true, 300).await;
        assert_eq!(switches(&world, &otto).await.len(), 1);

        // One that was off while the server was is noted when it is back.
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        say(&world, &mut worker, false, 300).await;
        let noted = switches(&world, &otto).await;
        let actions: Vec<AuditAction> = noted.iter().map(|entry| entry.action).collect();
        assert_eq!(
            actions,
            [AuditAction::NodeTakesNoJobs, AuditAction::NodeTakesJobs]
        );
        // What goes to and fro is no state.
        for turn in 0..20 {
            say(&world, &mut worker, turn % 2 == 0, 60).await;
        }
        assert_eq!(switches(&world, &otto).await.len(), 2);
    }
}

#[tokio::test]
async fn prices_of_many_change_together_or_not_at_all() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut workers = [Worker::new(1, PRICE), Worker::new(2, PRICE + 5)];
        for worker in &mut workers {
            worker.join(&world, &otto).await;
        }
        let mut foreign = Worker::new(3, PRICE);
        foreign.join(&world, &rita).await;
        let prices = async |of: &exchange::Actor| -> Vec<i64> {
            let nodes = world.exchange.nodes(of).await.unwrap();
            let devices = nodes.iter().flat_map(|node| &node.devices);
            let prices = devices.map(|device| device.price.per_second().base());
            let mut prices: Vec<i64> = prices.collect();
            prices.sort_unstable();
            prices
        };
        let ids = async |of: &exchange::Actor| -> Vec<kernel::DeviceId> {
            let nodes = world.exchange.nodes(of).await.unwrap();
            nodes
                .iter()
                .flat_map(|node| &node.devices)
                .map(|device| device.id)
                .collect()
        };
        let own = ids(&otto).await;
        world
            .exchange
            .change_prices(&otto, &own, PriceMove::By(-10))
            .await
            .unwrap();
        assert_eq!(prices(&otto).await, [22_500, 22_504]);
        let all = [own.clone(), ids(&rita).await].concat();
        let refused = world
            .exchange
            .change_prices(&otto, &all, PriceMove::By(10))
            .await;
        assert!(matches!(refused, Err(Error::NotFound(_))));
        for wrong in [PriceMove::By(-101), PriceMove::By(i32::MAX)] {
            let refused = world.exchange.change_prices(&otto, &own, wrong).await;
            // What is below nothing is no price; what is very dear is one.
            assert_eq!(
                refused.is_err(),
                matches!(wrong, PriceMove::By(percent) if percent < 0)
            );
        }
        assert!(
            world
                .exchange
                .change_prices(&otto, &[], PriceMove::By(1))
                .await
                .is_err()
        );
        let to = world.exchange.nodes(&rita).await.unwrap()[0].devices[0].price;
        world
            .exchange
            .change_prices(&otto, &own, PriceMove::To(to))
            .await
            .unwrap();
        assert_eq!(prices(&otto).await, [PRICE, PRICE]);
    }
}

#[tokio::test]
async fn the_simulator_goes_by_what_was_hired_and_says_when_that_is_too_little() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let ask = SimulatorAsk {
            model: "Test CPU".into(),
            class: "cpu".into(),
            watts: "1000".into(),
            kwh: "1".into(),
            ..SimulatorAsk::default()
        };
        world.pass(2 * 3_600_000);
        worker.beat(&world).await;
        let few = world.exchange.simulate(&ask).await.unwrap().unwrap();
        assert_eq!((few.devices, few.device_hours, few.lines), (1, 2, None));
        for _ in 0..5 {
            worker.beat(&world).await;
            world
                .exchange
                .submit(&rita, spec(""), None, None)
                .await
                .unwrap();
            worker.start(&world).await;
            worker.work(&world, 20).await;
            worker.end(&world, RunEnd::Exited { code: 0 }).await;
        }
        world.pass(23 * 3_600_000);
        worker.beat(&world).await;
        let view = world.exchange.simulate(&ask).await.unwrap().unwrap();
        assert_eq!(
            (view.devices, view.leases, view.is_fair_price),
            (1, 5, true)
        );
        let [low, middle, high] = view.lines.unwrap();
        assert_eq!((low, high), (middle, middle));
        // 100 of some 90,000 seconds: one of a thousand; 86 seconds of a day.
        assert_eq!((low.fill_per_mille, low.gross.base()), (1, 86 * PRICE));
        assert_eq!(low.fee.base(), 86 * PRICE / 400);
        // A kilowatt for 86 seconds, at one IO for a kWh, rounded up.
        assert_eq!(low.power.base(), 2_388_889);
        assert_eq!(
            low.net_base,
            low.gross.base() - low.fee.base() - low.power.base()
        );
        let wrong = SimulatorAsk {
            hours: "25".into(),
            ..ask.clone()
        };
        assert!(matches!(
            world.exchange.simulate(&wrong).await,
            Err(Error::Invalid(_))
        ));
        let none = SimulatorAsk {
            model: "none".into(),
            ..ask
        };
        assert_eq!(world.exchange.simulate(&none).await.unwrap(), None);
    }
}
