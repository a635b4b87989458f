//! The measurement at a lease's end cannot be left out: who reports the end first, or never tells of it, is paid after it, or not.

use kernel::LeaseId;
use protocol::proof::{DeviceProof, Outcome, ProofReason, ProofState};
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

/// Its end is told before it was measured: it waits, is measured, and is over then.
async fn ends_honestly(world: &World, worker: &mut Worker, lease: LeaseId, end: RunEnd) {
    worker.say_ended(world, lease, end.clone()).await;
    assert_eq!(worker.runs.len(), 1, "it waits");
    let measured = answer(world, worker, &Way::Honest).await;
    assert_eq!(measured[0].1, Some(Outcome::Passed));
    worker.end(world, end).await;
}

async fn is_paid(world: &World, rita: &exchange::Actor) {
    let jobs = world.exchange.jobs(rita, None, 1).await.unwrap().items;
    assert_eq!(jobs[0].state, JobState::Finished);
    assert!(jobs[0].spent.base() > 0);
    assert_eq!(world.sum_of_books().await, 0);
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
    /// Gives the job back as if it had never begun.
    GivesBack,
    /// Says that it is drained, and shows noise.
    Drains,
    /// Ends when its requester stops it, and shows noise.
    IsStopped,
    /// Goes on after its requester stopped it.
    NeverStops,
    /// Describes its card otherwise in mid-run, so that nobody measures it as what it was.
    Renames,
    /// Has an accomplice's machine show the same card in mid-run, so that it is not known which of them is to be measured.
    IsCloned,
    /// The same; and its accomplice's machine stays, where its own does not answer.
    CloneStays,
}

#[tokio::test]
async fn forged_ends_before_the_measurement_are_not_paid() {
    for dodge in [
        Dodge::SkipsThePhase,
        Dodge::EndsFirst,
        Dodge::TellsEarly,
        Dodge::Vanishes,
        Dodge::GivesBack,
        Dodge::Drains,
        Dodge::IsStopped,
        Dodge::NeverStops,
        Dodge::Renames,
        Dodge::IsCloned,
        Dodge::CloneStays,
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
        worker.work(&world, 60).await;
        if matches!(dodge, Dodge::IsCloned | Dodge::CloneStays) {
            let mut clone = clone_of(&worker);
            let mallory = world.account("mallory", "0").await;
            clone.join(&world, &mallory).await;
            let suspect = (ProofState::Suspect, Some(ProofReason::SameDevice));
            assert_eq!(super::standing(&world, &otto, 0).await, suspect);
            answer(&world, &mut clone, &Way::Honest).await;
        }
        worker.work(&world, 30).await;
        if matches!(dodge, Dodge::EndsFirst | Dodge::Vanishes) {
            tell(&world, &mut worker, Phase::Uploading).await;
        }
        if matches!(dodge, Dodge::IsStopped | Dodge::NeverStops) {
            let job = worker.runs[0].assignment.job;
            world.exchange.stop(&rita, job).await.unwrap();
        }
        let end = match dodge {
            Dodge::Drains => RunEnd::NodeDrained,
            Dodge::IsStopped => RunEnd::StoppedByUser,
            _ => DONE,
        };
        if !matches!(
            dodge,
            Dodge::Vanishes | Dodge::GivesBack | Dodge::NeverStops | Dodge::Renames
        ) {
            worker.say_ended(&world, lease, end.clone()).await;
            worker.say_ended(&world, lease, end).await;
            assert_eq!(worker.runs.len(), 1, "{dodge:?}: it is not closed");
        }
        match dodge {
            Dodge::SkipsThePhase
            | Dodge::TellsEarly
            | Dodge::Drains
            | Dodge::IsStopped
            | Dodge::IsCloned => {
                let asked = answer(&world, &mut worker, &Way::Noise).await;
                assert_eq!(asked[0].1, Some(Outcome::Failed), "{dodge:?}");
            }
            Dodge::EndsFirst | Dodge::CloneStays => {
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
            Dodge::Renames => {
                worker.device.2 += 1;
                worker.disconnect(&world).await;
                worker.connect(&world, None).await.unwrap();
            }
            Dodge::GivesBack => worker.reject(&world, "no more").await,
            Dodge::NeverStops => worker.work(&world, 125).await,
        }
        worker.beat(&world).await;
        assert!(worker.runs.is_empty(), "{dodge:?}: it is over");
        let balance = world.exchange.balance(&rita).await.unwrap();
        let all = balance.available.base() + balance.held.base();
        assert_eq!(all, 100_000_000_000, "{dodge:?}: all was given back");
        world.tick().await;
        assert_eq!(world.sum_of_books().await, 0);
    }
}

/// Another machine that says it has that worker's card.
fn clone_of(worker: &Worker) -> Worker {
    let mut clone = card(2);
    clone.uuid = Some(format!("CPU-{}", worker.name));
    clone
}

/// A rival shows its card's UUID in mid-run: it is measured at its end all the same, and paid.
#[tokio::test]
async fn a_card_that_somebody_clones_in_mid_run_is_measured_and_paid() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    let lease = hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 30).await;
    let mallory = world.account("mallory", "0").await;
    let mut clone = clone_of(&worker);
    clone.join(&world, &mallory).await;
    worker.work(&world, 30).await;
    ends_honestly(&world, &mut worker, lease, DONE).await;
    is_paid(&world, &rita).await;
}

#[tokio::test]
async fn an_honest_end_that_overtakes_its_measurement_is_paid_after_it() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    let lease = hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 5).await;
    tell(&world, &mut worker, Phase::Uploading).await;
    ends_honestly(&world, &mut worker, lease, DONE).await;
    is_paid(&world, &rita).await;
}

/// A slice of another job was wrong meanwhile. That is no word about what the card is: it shows it, and is paid for this one.
#[tokio::test]
async fn a_card_that_is_blamed_for_another_jobs_slice_is_measured_and_paid_for_this_one() {
    let mut world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    let lease = hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 30).await;
    let device = world.exchange.nodes(&otto).await.unwrap()[0].devices[0].id;
    let store = store::Store::open(&world.settings.database_url)
        .await
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    let blamed = DeviceProof {
        state: ProofState::Failed,
        reason: Some(ProofReason::WrongSlice),
        ..DeviceProof::default()
    };
    tx.set_proof(device, &blamed).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    world.crash().await;
    worker.session = None;
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    ends_honestly(&world, &mut worker, lease, DONE).await;
    let made = world.exchange.balance(&otto).await.unwrap();
    assert!(made.withdrawable.base() > 0, "it is paid");
    let stands = super::standing(&world, &otto, 0).await;
    assert_eq!(stands, (ProofState::Failed, Some(ProofReason::WrongSlice)));
    assert_eq!(world.sum_of_books().await, 0);
}

#[tokio::test]
async fn a_drained_end_is_paid_after_its_measurement() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    let lease = hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 30).await;
    ends_honestly(&world, &mut worker, lease, RunEnd::NodeDrained).await;
    let balance = world.exchange.balance(&otto).await.unwrap();
    assert_eq!(balance.withdrawable.base(), 30 * 24_937 + 15);
}

/// The machine is gone in mid-run, before it was asked anything.
async fn lost(world: &World, worker: &mut Worker) {
    worker.disconnect(world).await;
    worker.runs.clear();
    world.pass(8_000);
    world.tick().await;
}

/// Its worker comes back and shows itself.
async fn returns(world: &World, worker: &mut Worker, way: &Way) -> Option<Outcome> {
    worker.connect(world, None).await.unwrap();
    worker.beat(world).await;
    // Before it has shown anything, nobody hires it.
    world.tick().await;
    worker.read();
    assert!(worker.runs.is_empty());
    answer(world, worker, way).await[0].1
}

#[tokio::test]
async fn a_lost_lease_is_paid_when_its_card_has_shown_itself_again() {
    for backend in crate::world::backends() {
        let mut world = world(backend).await;
        let (rita, otto) = world.people("1000").await;
        let mut worker = card(1);
        hired(&world, &mut worker, &otto, &rita).await;
        worker.work(&world, 90).await;
        lost(&world, &mut worker).await;
        assert_eq!(
            super::standing(&world, &otto, 0).await.0,
            ProofState::Claimed
        );
        // Also a new process knows it, and does not pay of its own accord.
        world.crash().await;
        world.exchange.prune().await.unwrap();
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        let made = world.exchange.balance(&otto).await.unwrap();
        assert_eq!(made.withdrawable.base(), 0);
        let shown = returns(&world, &mut worker, &Way::Honest).await;
        assert_eq!(shown, Some(Outcome::Passed));
        let made = world.exchange.balance(&otto).await.unwrap();
        assert_eq!(made.withdrawable.base(), 90 * 24_937 + 45);
        assert_eq!(
            super::standing(&world, &otto, 0).await.0,
            ProofState::Proven
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

/// It comes back under its old UUID as a card that it really is.
#[tokio::test]
async fn forged_cards_that_come_back_as_a_lesser_one_are_not_paid() {
    let world = world("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    hired(&world, &mut worker, &otto, &rita).await;
    worker.work(&world, 90).await;
    lost(&world, &mut worker).await;
    worker.device = (worker.device.0, "NVIDIA GeForce RTX 4070", 12_282);
    let shown = returns(&world, &mut worker, &Way::Honest).await;
    assert_eq!(shown, Some(Outcome::Passed), "it is what it says now");
    let balance = world.exchange.balance(&rita).await.unwrap();
    let all = balance.available.base() + balance.held.base();
    assert_eq!(all, 100_000_000_000, "all was given back");
    let kept = world.exchange.balance(&otto).await.unwrap();
    assert_eq!(kept.withdrawable.base() + kept.earned.base(), 0);
    assert_eq!(world.sum_of_books().await, 0);
}

#[tokio::test]
async fn forged_cards_that_vanish_in_mid_run_are_not_paid_since_their_last_full_hour() {
    for (comes_back, hour) in [(true, false), (false, false), (true, true)] {
        let world = world("sqlite").await;
        let (rita, otto) = world.people("1000").await;
        let mut worker = card(1);
        hired(&world, &mut worker, &otto, &rita).await;
        worker.work(&world, 5).await;
        if hour {
            for _ in 0..60 {
                world.pass(60_000);
                worker.runs[0].seconds += 60;
                worker.beat(&world).await;
                world.tick().await;
                worker.read();
            }
        }
        worker.work(&world, 60).await;
        lost(&world, &mut worker).await;
        if comes_back {
            let shown = returns(&world, &mut worker, &Way::Noise).await;
            assert_eq!(shown, Some(Outcome::Failed));
        } else {
            world.pass(7 * 86_400_000);
            world.exchange.prune().await.unwrap();
            let balance = world.exchange.balance(&rita).await.unwrap();
            let all = balance.available.base() + balance.held.base();
            assert!(all < 100_000_000_000, "it may still come back");
            world.pass(60_000);
            world.exchange.prune().await.unwrap();
        }
        let balance = world.exchange.balance(&rita).await.unwrap();
        let paid = 100_000_000_000 - balance.available.base() - balance.held.base();
        let kept = world.exchange.balance(&otto).await.unwrap();
        if hour {
            assert_eq!(paid, 3_600 * 25_062 + 1_800, "the full hour stays paid");
            assert!(kept.withdrawable.base() > 0);
        } else {
            assert_eq!(paid, 0, "all was given back");
            assert_eq!(kept.withdrawable.base() + kept.earned.base(), 0);
        }
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

/// The loss bound gave back what went beyond it; the card never shows itself, and the rest comes back as well.
#[tokio::test]
async fn fault_a_loss_bound_keeps_nothing_for_a_card_that_did_not_show_itself() {
    let world = world("sqlite").await;
    world.fill_treasury(1_000_000_000).await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = card(1);
    worker.join(&world, &otto).await;
    answer(&world, &mut worker, &Way::Honest).await;
    let bound = format!("{GPU_JOB}\nloss_bound_seconds = 60");
    let job = world.exchange.submit(&rita, spec(&bound), None, None).await;
    let job = job.unwrap().summary.id;
    worker.start(&world).await;
    answer(&world, &mut worker, &Way::Honest).await;
    worker.work(&world, 90).await;
    lost(&world, &mut worker).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.refunds.len(), 1);
    assert_eq!(view.refunds[0].seconds, kernel::Seconds::new(30));
    let shown = returns(&world, &mut worker, &Way::Noise).await;
    assert_eq!(shown, Some(Outcome::Failed));
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.refunds.len(), 2, "once for each reason");
    assert_eq!(view.leases[0].refunded, view.leases[0].charged);
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
    assert_eq!(world.sum_of_books().await, 0);
}

#[tokio::test]
async fn forged_seconds_after_a_stop_and_of_the_preparation_are_not_paid() {
    let world = crate::world::World::new("sqlite").await;
    let (rita, otto) = world.people("1000").await;
    let mut worker = Worker::new(1, 25_000);
    worker.join(&world, &otto).await;
    let job = world.exchange.submit(&rita, spec(""), None, None).await;
    let job = job.unwrap().summary.id;
    worker.read();
    for _ in 0..30 {
        world.pass(2_000);
        worker.beat(&world).await;
        world.tick().await;
    }
    worker.start(&world).await;
    worker.work(&world, 20).await;
    world.exchange.stop(&rita, job).await.unwrap();
    // It goes on as if it had not been told.
    worker.work(&world, 130).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.summary.state, JobState::Stopped);
    let paid = view.leases[0].seconds.get();
    // Ran and delivered; the stop's grace; what messages may be late.
    assert!((20..=20 + 10 + 12).contains(&paid), "{paid} s were paid");
}
