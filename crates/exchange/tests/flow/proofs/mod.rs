//! Devices show what they are; forged ones are never hired.

mod ends;
mod forged;
mod prover;
mod slices;

use kernel::Timestamp;
use protocol::proof::{Outcome, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use protocol::state::JobState;
use protocol::view::{NodeDeviceView, OfferFilter};

use crate::world::{Worker, World, backends, spec};
use exchange::Actor;
use prover::{CARD, Way, answer, world};

const GPU_JOB: &str = "[resources]\nclass = 'gpu'\n[limits]\nwait_seconds = 86400";

fn card(n: u8) -> Worker {
    let mut worker = Worker::new(n, 25_000);
    worker.device = CARD;
    worker
}

/// Cards that can be hired now.
fn rentable(world: &World) -> u32 {
    let filter = OfferFilter {
        idle: Some(true),
        class: Some(DeviceClass::Gpu),
        ..OfferFilter::default()
    };
    world.exchange.offers(&filter).unwrap().matching
}

async fn device(world: &World, owner: &Actor, node: usize) -> NodeDeviceView {
    let nodes = world.exchange.nodes(owner).await.unwrap();
    nodes[node].devices[0].clone()
}

async fn standing(world: &World, owner: &Actor, node: usize) -> (ProofState, Option<ProofReason>) {
    let proof = device(world, owner, node).await.proof;
    (proof.state, proof.reason)
}

#[tokio::test]
async fn a_card_is_hired_only_after_it_has_shown_what_it_is() {
    for backend in backends() {
        let world = world(backend).await;
        let (rita, otto) = world.people("1000").await;
        let mut worker = card(1);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(GPU_JOB), None, None)
            .await;
        let job = job.unwrap().summary;
        assert_eq!((rentable(&world), job.state), (0, JobState::Matching));
        assert_eq!(
            standing(&world, &otto, 0).await,
            (ProofState::Claimed, None)
        );
        let network = world.exchange.network().await.unwrap();
        assert_eq!((network.gpus_claimed, network.gpus_proven), (1, 0));

        let talks = answer(&world, &mut worker, &Way::Honest).await;
        assert_eq!(talks.len(), 1);
        assert_eq!(talks[0].1, Some(Outcome::Passed));
        let shown = device(&world, &otto, 0).await;
        assert_eq!((shown.proof.state, shown.verified), (ProofState::Proven, 2));
        assert_eq!(world.exchange.network().await.unwrap().gpus_proven, 1);
        world.tick().await;
        worker.start(&world).await;
        assert_eq!(
            world
                .exchange
                .job(&rita, job.id)
                .await
                .unwrap()
                .summary
                .state,
            JobState::Running
        );

        // Whoever does not say that it prepares is measured at its start.
        let measured = answer(&world, &mut worker, &Way::Honest).await;
        assert_eq!(measured[0].1, Some(Outcome::Passed));
        // Hired: for as long as it is, nobody asks any more.
        for _ in 0..200 {
            worker.work(&world, 1).await;
            world.pass(60_000);
            worker.beat(&world).await;
            world.exchange.prove().await.unwrap();
        }
        let asked = worker
            .seen
            .iter()
            .any(|m| matches!(m, protocol::worker::ToWorker::Prove { .. }));
        assert!(!asked, "a hired card was challenged");
        assert_eq!(standing(&world, &otto, 0).await.0, ProofState::Proven);

        // What was asked and answered can be computed again by anyone.
        let node = world.exchange.nodes(&otto).await.unwrap()[0].id;
        let kept = world.exchange.challenges(&otto, node).await.unwrap();
        // Two: that of the market, and the measurement in the lease.
        let market = kept.iter().find(|over| over.record.lease.is_none());
        let market = market.expect("kept");
        let record = &market.record;
        assert_eq!((kept.len(), market.outcome), (2, Outcome::Passed));
        let binding = proof::Binding {
            challenge: market.id,
            node_key: &record.node_key,
            device_uuid: &record.device_uuid,
        };
        let key = |seed: &str, purpose| proof::Key::new(&binding, seed, purpose);
        let task = protocol::proof::FillTask {
            blocks: record.blocks,
            passes: record.passes,
            sweeps: record.sweeps,
        };
        let blocks =
            proof::fill::filled(key(&record.seed, proof::key::Purpose::Fill), task, || true);
        let sweeps = proof::sweep::Sweeps::of(
            &record.read_key,
            task.sweeps,
            |text| proof::sweep::key(&binding, text),
            |key| proof::sweep::answers(key, blocks.as_deref().unwrap()),
            || true,
        );
        let roots = sweeps.unwrap().roots();
        assert_eq!(proof::sweep::digest(&roots), record.reads_root);
        assert_eq!((task.sweeps, record.groups.len()), (3, 9));
        assert_eq!(record.swept, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert!(
            world.exchange.challenges(&rita, node).await.is_err(),
            "it is the owner's"
        );
    }
}

#[tokio::test]
async fn a_hire_ends_a_challenge_without_blame() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    worker.join(&world, &otto).await;
    answer(&world, &mut worker, &Way::Honest).await;
    let before = device(&world, &otto, 0).await.proof;
    // The next one begins; before it is answered the card is hired.
    world.pass(2 * 3_600_000);
    worker.beat(&world).await;
    world.exchange.prove().await.unwrap();
    worker.read();
    let challenge = worker.seen.iter().find_map(|message| match message {
        protocol::worker::ToWorker::Prove { challenge, .. } => Some(*challenge),
        _ => None,
    });
    let job = world
        .exchange
        .submit(&rita, spec(GPU_JOB), None, None)
        .await
        .unwrap();
    assert_ne!(
        job.summary.state,
        JobState::Matching,
        "a card that is challenged can be hired"
    );
    worker.start(&world).await;
    worker.read();
    let told = worker.seen.iter().any(|message| {
        matches!(message, protocol::worker::ToWorker::Prove {
            challenge: of,
            ask: protocol::proof::Ask::Over { outcome: Outcome::Aborted, .. },
        } if Some(*of) == challenge)
    });
    assert!(told, "the worker is told");
    for _ in 0..10 {
        worker.work(&world, 1).await;
        world.exchange.prove().await.unwrap();
    }
    assert_eq!(device(&world, &otto, 0).await.proof, before);
}

#[tokio::test]
async fn silence_costs_the_proof_after_three_times_and_passing_brings_it_back() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut worker = card(1);
    worker.join(&world, &otto).await;
    answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(rentable(&world), 1);
    // The hour passes, then each silence of a minute brings the next question within two.
    let mut strikes = Vec::new();
    world.pass(2 * 3_600_000);
    for _ in 0..3 {
        worker.beat(&world).await;
        answer(&world, &mut worker, &Way::Silent).await;
        for _ in 0..31 {
            world.pass(2_000);
            worker.beat(&world).await;
        }
        world.exchange.prove().await.unwrap();
        let proof = device(&world, &otto, 0).await.proof;
        strikes.push((proof.state, proof.strikes));
        for _ in 0..80 {
            world.pass(2_000);
            worker.beat(&world).await;
        }
    }
    assert_eq!(
        strikes,
        [
            (ProofState::Proven, 1),
            (ProofState::Proven, 2),
            (ProofState::Failed, 0)
        ]
    );
    assert_eq!(rentable(&world), 0);
    world.pass(3 * 3_600_000);
    worker.beat(&world).await;
    let talks = answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(talks[0].1, Some(Outcome::Passed));
    assert_eq!(rentable(&world), 1);
    // After two weeks without a fault: the highest level.
    assert_eq!(device(&world, &otto, 0).await.verified, 2);
    world.pass(15 * 86_400_000);
    worker.beat(&world).await;
    answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(device(&world, &otto, 0).await.verified, 3);
    assert!(device(&world, &otto, 0).await.proof.challenged_at > Some(Timestamp::from_millis(0)));
}

#[tokio::test]
async fn what_was_shown_counts_only_for_what_was_said_then() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut worker = card(1);
    worker.join(&world, &otto).await;
    answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(rentable(&world), 1);
    worker.disconnect(&world).await;
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    assert_eq!(rentable(&world), 1, "the same card after a new connection");
    worker.disconnect(&world).await;
    worker.device = (DeviceClass::Gpu, "NVIDIA H100 80GB HBM3", 81_559);
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    assert_eq!(rentable(&world), 0, "another card under the same name");
    answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(rentable(&world), 1);
    assert_eq!(standing(&world, &otto, 0).await, (ProofState::Proven, None));
}
