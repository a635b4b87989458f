//! The measurement at a lease's end cannot be left out: who reports the end first, or never tells of it, is paid after it, or not.

use kernel::LeaseId;
use protocol::proof::Outcome;
use protocol::state::{JobState, RunEnd};
use protocol::worker::{FromWorker, Phase};

use super::prover::{Way, answer, world};
use super::{GPU_JOB, card};
use crate::world::{Worker, World, spec};

const DONE: RunEnd = RunEnd::Exited { code: 0 };

async fn tell(world: &World, worker: &mut Worker, phase: Phase) {
    worker.read();
    let run = &worker.runs.last().unwrap().assignment;
    let message = FromWorker::Preparing {
        lease: run.lease,
        epoch: run.epoch,
        phase,
        percent: None,
    };
    worker.send(world, message).await.unwrap();
}

/// A card that is proven, hired, and has been measured at its start.
async fn hired(
    world: &World,
    worker: &mut Worker,
    otto: &exchange::Actor,
    rita: &exchange::Actor,
) -> LeaseId {
    worker.join(world, otto).await;
    answer(world, worker, &Way::Honest).await;
    let job = world.exchange.submit(rita, spec(GPU_JOB), None, None).await;
    job.unwrap();
    let (lease, _) = worker.start(world).await;
    let measured = answer(world, worker, &Way::Honest).await;
    assert_eq!(
        measured[0].1,
        Some(Outcome::Passed),
        "also without a word of preparing"
    );
    lease
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dodge {
    /// Never says that it keeps files.
    SkipsThePhase,
    /// Says so, and that it ended before it answers; then not a word.
    EndsFirst,
    /// Says so while the process still runs, and is measured then.
    TellsEarly,
    /// Is asked, and its lease runs out.
    Vanishes,
}

#[tokio::test]
async fn forged_ends_before_the_measurement_are_not_paid() {
    for dodge in [
        Dodge::SkipsThePhase,
        Dodge::EndsFirst,
        Dodge::TellsEarly,
        Dodge::Vanishes,
    ] {
        let world = world("sqlite").await;
        world.fill_treasury(1_000_000_000).await;
        let (rita, otto) = world.people("1000").await;
        let mut worker = card(1);
        let lease = hired(&world, &mut worker, &otto, &rita).await;
        if dodge == Dodge::TellsEarly {
            tell(&world, &mut worker, Phase::Uploading).await;
            let early = answer(&world, &mut worker, &Way::Honest).await;
            assert_eq!(early[0].1, Some(Outcome::Passed));
        }
        // Long enough that a part is posted, and given back.
        worker.work(&world, 90).await;
        if matches!(dodge, Dodge::EndsFirst | Dodge::Vanishes) {
            tell(&world, &mut worker, Phase::Uploading).await;
        }
        if dodge != Dodge::Vanishes {
            worker.say_ended(&world, lease, DONE).await;
            worker.say_ended(&world, lease, DONE).await;
            assert_eq!(worker.runs.len(), 1, "{dodge:?}: it is not closed");
        }
        match dodge {
            Dodge::SkipsThePhase | Dodge::TellsEarly => {
                let asked = answer(&world, &mut worker, &Way::Noise).await;
                assert_eq!(asked[0].1, Some(Outcome::Failed), "{dodge:?}");
            }
            Dodge::EndsFirst => {
                for _ in 0..31 {
                    world.pass(2_000);
                    worker.beat(&world).await;
                    world.exchange.prove().await.unwrap();
                }
            }
            Dodge::Vanishes => {
                world.pass(20_000);
                world.tick().await;
            }
        }
        let balance = world.exchange.balance(&rita).await.unwrap();
        let all = balance.available.base() + balance.held.base();
        assert_eq!(all, 100_000_000_000, "{dodge:?}: all was given back");
        world.tick().await;
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn an_honest_end_that_overtakes_its_measurement_is_paid_after_it() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    let lease = hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 5).await;
    tell(&world, &mut worker, Phase::Uploading).await;
    worker.say_ended(&world, lease, DONE).await;
    assert_eq!(worker.runs.len(), 1, "it waits");
    let measured = answer(&world, &mut worker, &Way::Honest).await;
    assert_eq!(measured[0].1, Some(Outcome::Passed));
    worker.end(&world, DONE).await;
    let jobs = world.exchange.jobs(&rita, None, 1).await.unwrap().items;
    assert_eq!(jobs[0].state, JobState::Finished);
    assert!(jobs[0].spent.base() > 0);
}
