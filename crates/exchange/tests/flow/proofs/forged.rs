//! Ways to be hired without having the card. None works.

use kernel::{ChallengeId, Epoch, LeaseId};
use protocol::proof::{Answer, Ask, Opening, Outcome, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use protocol::state::{JobState, RunEnd};
use protocol::worker::{FromWorker, Phase, ToWorker};

use super::prover::{Way, answer, world};
use super::{GPU_JOB, card, rentable, standing};
use crate::world::{Worker, backends, spec};

fn preparing(lease: LeaseId, epoch: Epoch, phase: Phase) -> FromWorker {
    FromWorker::Preparing {
        lease,
        epoch,
        phase,
        percent: None,
    }
}

#[tokio::test]
async fn forged_answers_of_each_kind_leave_the_card_unhired() {
    for backend in backends() {
        let world = world(backend).await;
        let (_, otto) = world.people("0").await;
        let late = (ProofState::Claimed, Some(ProofReason::TooSlow));
        let failed = |reason| (ProofState::Failed, Some(reason));
        let ways = [
            (
                Way::HalfMemory,
                Some(Outcome::Failed),
                failed(ProofReason::WrongReads),
            ),
            (
                Way::OneWord,
                Some(Outcome::Failed),
                failed(ProofReason::WrongReads),
            ),
            (
                Way::GuessesKeys,
                Some(Outcome::Failed),
                failed(ProofReason::WrongReads),
            ),
            (
                Way::SweepLess,
                Some(Outcome::Failed),
                failed(ProofReason::WrongReads),
            ),
            (
                Way::RootLess,
                Some(Outcome::Failed),
                failed(ProofReason::Malformed),
            ),
            (
                Way::ComputesLater,
                Some(Outcome::Failed),
                failed(ProofReason::Malformed),
            ),
            (
                Way::SlowSweeps(5_000),
                Some(Outcome::Missed),
                (ProofState::Claimed, Some(ProofReason::TooSlow)),
            ),
            (
                Way::Noise,
                Some(Outcome::Failed),
                failed(ProofReason::WrongProduct),
            ),
            (
                Way::FactorLess,
                Some(Outcome::Failed),
                failed(ProofReason::WrongProduct),
            ),
            (Way::Slow(11_000), Some(Outcome::Missed), late),
            (Way::Silent, None, (ProofState::Claimed, None)),
            (
                Way::SaysHired,
                Some(Outcome::Missed),
                (ProofState::Claimed, Some(ProofReason::NoAnswer)),
            ),
            (
                Way::Software,
                Some(Outcome::Unable),
                failed(ProofReason::Software),
            ),
        ];
        for (n, (way, outcome, stands)) in (0_u8..).zip(ways) {
            // Nodes stand in the order in which they came.
            world.pass(5);
            let mut worker = card(n + 1);
            worker.join(&world, &otto).await;
            let talks = answer(&world, &mut worker, &way).await;
            assert_eq!(talks.first().and_then(|(_, how)| *how), outcome, "{way:?}");
            assert_eq!(
                standing(&world, &otto, usize::from(n)).await,
                stands,
                "{way:?}"
            );
            assert_eq!(rentable(&world), 0, "{way:?}");
        }
    }
}

#[tokio::test]
async fn forged_replays_of_own_and_others_answers_are_wrong() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut honest = card(1);
    honest.join(&world, &otto).await;
    let talks = answer(&world, &mut honest, &Way::Honest).await;
    assert_eq!(rentable(&world), 1);
    let old = talks[0].0.answers.clone();
    let mut thief = card(2);
    thief.join(&world, &otto).await;
    let stolen = answer(&world, &mut thief, &Way::Replays(old.clone())).await;
    assert_eq!(stolen[0].1, Some(Outcome::Failed));
    assert_eq!(rentable(&world), 1);
    // Its own of an hour ago.
    world.pass(2 * 3_600_000);
    honest.beat(&world).await;
    let again = answer(&world, &mut honest, &Way::Replays(old)).await;
    assert_eq!(again[0].1, Some(Outcome::Failed));
    assert_eq!(rentable(&world), 0);
}

#[tokio::test]
async fn forged_identities_are_refused_at_the_door() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let cases = [
        (
            "NVIDIA GeForce RTX 4090",
            49_140,
            (ProofState::Failed, Some(ProofReason::Inconsistent)),
        ),
        (
            "NVIDIA H100 80GB HBM3",
            24_564,
            (ProofState::Failed, Some(ProofReason::Inconsistent)),
        ),
        (
            "RTX 9090 Ultra",
            24_564,
            (ProofState::Claimed, Some(ProofReason::UnknownModel)),
        ),
    ];
    for (n, (model, memory, stands)) in (0_u8..).zip(cases) {
        world.pass(5);
        let mut worker = card(n + 1);
        worker.device = (DeviceClass::Gpu, model, memory);
        worker.join(&world, &otto).await;
        let talks = answer(&world, &mut worker, &Way::Honest).await;
        assert!(talks.is_empty(), "{model} is not even asked");
        assert_eq!(
            standing(&world, &otto, usize::from(n)).await,
            stands,
            "{model}"
        );
    }
    assert_eq!(rentable(&world), 0);
}

#[tokio::test]
async fn forged_eight_cards_are_all_asked_at_the_same_moment() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut worker = card(1);
    worker.device = (DeviceClass::Gpu, "NVIDIA H100 80GB HBM3", 81_559);
    worker.devices = 8;
    worker.join(&world, &otto).await;
    // One real card answers one after the other: the last waits for the seven before.
    let talks = answer(&world, &mut worker, &Way::Slow(2_000)).await;
    assert_eq!(talks.len(), 8, "all at once");
    assert!(
        talks.iter().all(|(_, how)| *how == Some(Outcome::Missed)),
        "the line of eight is too slow"
    );
    assert_eq!(rentable(&world), 0);
}

#[tokio::test]
async fn forged_clones_of_a_card_fail_and_the_real_one_stays() {
    for backend in backends() {
        let world = world(backend).await;
        let (_, otto) = world.people("0").await;
        let mallory = world.account("mallory", "0").await;
        let mut real = card(1);
        real.uuid = Some("GPU-real".into());
        real.join(&world, &otto).await;
        answer(&world, &mut real, &Way::Honest).await;
        assert_eq!(rentable(&world), 1);
        let mut clone = card(2);
        clone.uuid = Some("GPU-real".into());
        clone.join(&world, &mallory).await;
        let suspect = (ProofState::Suspect, Some(ProofReason::SameDevice));
        assert_eq!(standing(&world, &otto, 0).await, suspect);
        assert_eq!(standing(&world, &mallory, 0).await, suspect);
        assert_eq!(rentable(&world), 0);
        // The clone has a card of that kind, and would pass; but the one that was proven is asked first.
        let early = answer(&world, &mut clone, &Way::Honest).await;
        assert!(early.is_empty(), "it is not its turn");
        real.beat(&world).await;
        answer(&world, &mut real, &Way::Honest).await;
        assert_eq!(standing(&world, &otto, 0).await, (ProofState::Proven, None));
        let refused = (ProofState::Failed, Some(ProofReason::SameDevice));
        assert_eq!(standing(&world, &mallory, 0).await, refused);
        assert_eq!(rentable(&world), 1);
        // Coming back changes nothing, for neither; nor does a restart of the exchange.
        clone.disconnect(&world).await;
        clone.connect(&world, None).await.unwrap();
        clone.beat(&world).await;
        assert_eq!(rentable(&world), 1);
        world.pass(3 * 3_600_000);
        real.beat(&world).await;
        clone.beat(&world).await;
        let late = answer(&world, &mut clone, &Way::Honest).await;
        assert_eq!(late.len(), 1, "it may try again, hours later");
        assert_eq!(
            standing(&world, &mallory, 0).await,
            refused,
            "as long as the real one is there"
        );
        assert_eq!(standing(&world, &otto, 0).await.0, ProofState::Proven);
    }
}

#[tokio::test]
async fn a_card_that_moves_to_another_machine_proves_itself_there() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut old = card(1);
    old.uuid = Some("GPU-moves".into());
    old.join(&world, &otto).await;
    answer(&world, &mut old, &Way::Honest).await;
    old.disconnect(&world).await;
    world.pass(5);
    let mut new = card(2);
    new.uuid = Some("GPU-moves".into());
    new.join(&world, &otto).await;
    answer(&world, &mut new, &Way::Honest).await;
    assert_eq!(standing(&world, &otto, 1).await, (ProofState::Proven, None));
    assert_eq!(standing(&world, &otto, 0).await.0, ProofState::Failed);
    assert_eq!(rentable(&world), 1);
}

/// The challenges that a worker was asked and has not looked at.
fn asked(worker: &mut Worker) -> Vec<ChallengeId> {
    worker.read();
    let asks = worker.seen.drain(..).filter_map(|message| match message {
        ToWorker::Prove {
            challenge,
            ask: Ask::Echo { .. },
        } => Some(challenge),
        _ => None,
    });
    asks.collect()
}

/// A hundred thousand answers by ten who have no card, know the words of the protocol, and guess, replay and mix, day after day.
#[tokio::test]
async fn forged_answers_by_the_hundred_thousand_make_nothing_rentable() {
    let world = world("sqlite").await;
    let (_, otto) = world.people("0").await;
    let mut honest = card(1);
    honest.join(&world, &otto).await;
    let old = answer(&world, &mut honest, &Way::Honest).await[0]
        .0
        .answers
        .clone();
    let mut forgers = Vec::new();
    for n in 2..12 {
        let mut forger = card(n);
        forger.devices = 2;
        forger.join(&world, &otto).await;
        forgers.push(forger);
    }
    let key = proof::Key([4, 3, 2, 1]);
    let (mut sent, mut opened) = (0_u32, 0_usize);
    for day in 0..20_u32 {
        // Whoever has failed is asked again hours later.
        world.pass(3 * 3_600_000);
        honest.beat(&world).await;
        for forger in &mut forgers {
            forger.seen.clear();
            forger.beat(&world).await;
        }
        answer(&world, &mut honest, &Way::Honest).await;
        let live: Vec<Vec<ChallengeId>> = forgers.iter_mut().map(asked).collect();
        opened += live.iter().map(Vec::len).sum::<usize>();
        for round in 0..500_u32 {
            for (n, forger) in (0_u32..).zip(&mut forgers) {
                let draw = |at: u32| {
                    usize::try_from(key.word((day * 500 + round) * 16 + n, at) >> 8).unwrap()
                };
                let of = match draw(0) % 3 {
                    0 => draw(1) % live.len(),
                    _ => usize::try_from(n).unwrap(),
                };
                // Another's, an invented one, and most often its own.
                let challenge = match live[of].get(draw(2) % 3) {
                    Some(challenge) => *challenge,
                    None => ChallengeId::from_bytes([u8::try_from(draw(3) % 256).unwrap(); 16]),
                };
                let root = format!("{:064x}", draw(4));
                let opening = Opening {
                    index: 0,
                    words: "00".repeat(256),
                    path: vec![root.clone()],
                };
                let signature = "0".repeat(128);
                let forged = match draw(5) % 7 {
                    0 => Answer::Filled,
                    1 => Answer::Swept {
                        roots: vec![root; 3],
                    },
                    2 => Answer::Product { root, signature },
                    3 => Answer::OpenedRows {
                        openings: vec![opening; draw(7) % 20],
                    },
                    _ => old[draw(6) % old.len()].clone(),
                };
                let message = FromWorker::Proof {
                    challenge,
                    answer: Box::new(forged),
                };
                forger.send(&world, message).await.unwrap();
                sent += 1;
            }
        }
        world.exchange.prove().await.unwrap();
        assert_eq!(rentable(&world), 1, "after {sent} forged answers");
    }
    assert_eq!(sent, 100_000);
    assert!(opened > 200, "{opened} challenges were forged");
    let nodes = world.exchange.nodes(&otto).await.unwrap();
    let devices: Vec<_> = nodes.iter().flat_map(|node| &node.devices).collect();
    let proven = devices
        .iter()
        .filter(|device| device.proof.state == ProofState::Proven);
    assert_eq!(
        (devices.len(), proven.count()),
        (21, 1),
        "only the card that is one"
    );
}

/// A card that is swapped, or lent out, after it was proven: the measurement in the job sees it, the lease is given back by itself.
#[tokio::test]
async fn forged_cards_in_a_job_are_refunded_by_themselves() {
    for (at, way) in [
        (Phase::Fetching, Way::Slow(2_000)),
        (Phase::Uploading, Way::Noise),
        (Phase::Uploading, Way::Software),
    ] {
        let world = world("sqlite").await;
        world.fill_treasury(1_000_000_000).await;
        let (rita, otto) = world.people("1000").await;
        let mut worker = card(1);
        worker.join(&world, &otto).await;
        answer(&world, &mut worker, &Way::Honest).await;
        let job = world
            .exchange
            .submit(&rita, spec(GPU_JOB), None, None)
            .await
            .unwrap()
            .summary
            .id;
        worker.read();
        let (lease, epoch) = {
            let run = worker.runs.last().unwrap();
            (run.assignment.lease, run.assignment.epoch)
        };
        let phase = |phase| preparing(lease, epoch, phase);
        worker.send(&world, phase(Phase::Fetching)).await.unwrap();
        let first = if at == Phase::Fetching {
            &way
        } else {
            &Way::Honest
        };
        let measured = answer(&world, &mut worker, first).await;
        assert_eq!(measured.len(), 1, "measured before it starts");
        assert_eq!(measured[0].0.task.lease, Some(lease));
        if at == Phase::Uploading {
            assert_eq!(measured[0].1, Some(Outcome::Passed));
            worker.start(&world).await;
            worker.work(&world, 20).await;
            worker.send(&world, phase(Phase::Uploading)).await.unwrap();
            answer(&world, &mut worker, &way).await;
        }
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(
            view.summary.state,
            JobState::Matching,
            "{way:?}: it goes on elsewhere"
        );
        let balance = world.exchange.balance(&rita).await.unwrap();
        let all = balance.available.base() + balance.held.base();
        assert_eq!(all, 100_000_000_000, "{way:?}: all was given back");
        world.tick().await;
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn an_honest_card_is_measured_in_its_job_and_paid() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    worker.join(&world, &otto).await;
    answer(&world, &mut worker, &Way::Honest).await;
    let job = world
        .exchange
        .submit(&rita, spec(GPU_JOB), None, None)
        .await
        .unwrap()
        .summary
        .id;
    let (lease, epoch) = {
        worker.read();
        let run = worker.runs.last().unwrap();
        (run.assignment.lease, run.assignment.epoch)
    };
    for phase in [Phase::Fetching, Phase::Isolating] {
        worker
            .send(&world, preparing(lease, epoch, phase))
            .await
            .unwrap();
    }
    assert_eq!(
        answer(&world, &mut worker, &Way::Honest).await[0].1,
        Some(Outcome::Passed)
    );
    worker.start(&world).await;
    worker.work(&world, 5).await;
    worker
        .send(&world, preparing(lease, epoch, Phase::Uploading))
        .await
        .unwrap();
    assert_eq!(
        answer(&world, &mut worker, &Way::Honest).await[0].1,
        Some(Outcome::Passed)
    );
    worker.end(&world, RunEnd::Exited { code: 0 }).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Finished);
    let node = world.exchange.nodes(&otto).await.unwrap()[0].id;
    let kept = world.exchange.challenges(&otto, node).await.unwrap();
    assert_eq!(
        kept.iter()
            .filter(|over| over.record.lease == Some(lease))
            .count(),
        2
    );
    assert!(
        kept.iter()
            .all(|over| over.record.product_signature.len() == 128)
    );
}
