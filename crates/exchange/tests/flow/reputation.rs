//! Reputation: what machines did is counted, anyone computes the same from it, and newcomers have their turn.

use exchange::Actor;
use kernel::NodeId;
use market::reputation::Reputation;
use protocol::fleet::UptimeSpan;
use protocol::reputation::{ReputationInput, ReputationView};
use protocol::state::RunEnd;
use protocol::worker::{FromWorker, Phase};

use crate::rounds::check_all;
use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Minutes in which the server is up; a worker that is given beats.
async fn minutes(world: &World, worker: &mut Worker, minutes: i64) {
    for _ in 0..minutes / 5 {
        world.pass(5 * MINUTE);
        worker.beat(world).await;
        world.exchange.prune().await.unwrap();
    }
}

async fn told(world: &World, owner: &Actor, node: NodeId) -> ReputationView {
    let view = world.exchange.reputation(owner, node).await.unwrap();
    // Whoever has the facts computes the same, to the hundredth.
    let mut again = Reputation::default();
    for day in &view.days {
        again = again.after(&day.facts);
        assert_eq!(again.hundredths(), day.score_hundredths, "{day:?}");
    }
    assert_eq!(again.lines(), view.lines);
    assert_eq!(
        (again.score(), again.hundredths()),
        (view.reputation, view.score_hundredths)
    );
    view
}

#[tokio::test]
async fn being_there_counts_and_a_server_that_was_down_does_not() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        assert_eq!(told(&world, &otto, node).await.score_hundredths, 6_000);
        world.exchange.prune().await.unwrap();
        minutes(&world, &mut worker, 4 * 60).await;
        let here = told(&world, &otto, node).await;
        assert!(here.score_hundredths > 6_000);
        let facts = here.days[0].facts;
        assert!(
            (3 * 3_600..=4 * 3_600).contains(&facts.online_seconds),
            "{facts:?}"
        );
        assert_eq!(facts.offline_seconds, 0);

        // Nobody else sees it.
        assert!(world.exchange.reputation(&rita, node).await.is_err());

        // A server that was down knows of nobody.
        world.pass(3 * HOUR);
        world.crash().await;
        world.exchange.prune().await.unwrap();
        assert_eq!(
            told(&world, &otto, node).await.days[0]
                .facts
                .offline_seconds,
            0
        );

        // The machine stays away for more than two days; both midnights are made up.
        worker.session = None;
        minutes(&world, &mut worker, 10 * 60).await;
        let away = told(&world, &otto, node).await;
        let offline = away.days[0].facts.offline_seconds;
        assert!((3 * 3_600..=11 * 3_600).contains(&offline), "{offline}");
        assert!(away.score_hundredths < here.score_hundredths);
        world.pass(50 * HOUR);
        world.exchange.prune().await.unwrap();
        let later = told(&world, &otto, node).await;
        assert_eq!(later.days.len(), away.days.len() + 2);
        assert!(later.score_hundredths.abs_diff(6_000) <= away.score_hundredths.abs_diff(6_000));
        let view = world.exchange.node(&otto, node).await.unwrap();
        assert_eq!(view.reputation, later.reputation);
    }
}

#[tokio::test]
async fn what_was_before_a_machine_joined_is_no_absence() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (_, otto) = world.people("10").await;
        // The platform is up at the beginning of an hour already, for twenty minutes.
        world.pass(HOUR - world.exchange.now().millis() % HOUR);
        for _ in 0..5 {
            world.exchange.prune().await.unwrap();
            world.pass(5 * MINUTE);
        }
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        let known = async || {
            let view = world.exchange.uptime(&otto, node).await.unwrap();
            let sum = |spans: &[UptimeSpan]| {
                spans.iter().fold((0, 0), |(up, online), span| {
                    (up + span.up_seconds, online + span.online_seconds)
                })
            };
            assert_eq!(sum(&view.days), sum(&view.hours));
            sum(&view.days)
        };
        assert_eq!(known().await, (0, 0), "nothing is known yet");
        world.exchange.prune().await.unwrap();
        minutes(&world, &mut worker, 10).await;
        assert_eq!(known().await, (600, 600));
        // From the next hour on absence counts.
        minutes(&world, &mut worker, 30).await;
        worker.disconnect(&world).await;
        minutes(&world, &mut worker, 60).await;
        let (up, online) = known().await;
        assert!(up >= online + 1_800, "{up} {online}");
    }
}

#[tokio::test]
async fn work_raises_it_and_lost_or_refused_work_lowers_it() {
    for backend in backends() {
        let world = World::new(backend).await;
        let rita = world.account("rita", "10").await;
        let otto = world.account("otto", "10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let node = worker.session.as_ref().unwrap().node;
        let hire = async |who: &Actor| {
            world
                .exchange
                .submit(who, spec(""), None, None)
                .await
                .unwrap()
        };
        let hour = async || {
            world.pass(HOUR);
            world.exchange.prune().await.unwrap();
            told(&world, &otto, node).await
        };
        hire(&rita).await;
        worker.start(&world).await;
        worker.work(&world, 20).await;
        worker.end(&world, RunEnd::Exited { code: 1 }).await;
        let view = hour().await;
        let facts = view.days.last().unwrap().facts;
        assert_eq!((facts.finished, facts.delivered_seconds), (1, 20));
        assert_eq!((facts.lost, facts.refused), (0, 0));
        let line = view
            .lines
            .iter()
            .find(|line| line.input == ReputationInput::Work);
        assert!(line.unwrap().effect_hundredths > 0);

        // Whoever hires their own machine says nothing about it.
        worker.beat(&world).await;
        hire(&otto).await;
        worker.start(&world).await;
        worker.work(&world, 5).await;
        worker.end(&world, RunEnd::Exited { code: 0 }).await;
        assert_eq!(hour().await.days.last().unwrap().facts.finished, 1);

        // The registry that the requester named is away; then it says no by itself.
        let mut view = told(&world, &otto, node).await;
        for (pulls, refused) in [(true, 0), (false, 1)] {
            worker.beat(&world).await;
            hire(&rita).await;
            worker.read();
            let run = &worker.runs.last().unwrap().assignment;
            let (lease, epoch) = (run.lease, run.epoch);
            if pulls {
                let message = FromWorker::Preparing {
                    lease,
                    epoch,
                    phase: Phase::Pulling,
                    percent: Some(0),
                };
                worker.send(&world, message).await.unwrap();
            }
            worker.reject(&world, "it cannot be had here").await;
            view = hour().await;
            assert_eq!(view.days.last().unwrap().facts.refused, refused);
        }

        // It dies with a job.
        worker.beat(&world).await;
        hire(&rita).await;
        worker.start(&world).await;
        worker.work(&world, 3).await;
        worker.disconnect(&world).await;
        world.pass(10_000);
        world.tick().await;
        let dead = hour().await;
        let facts = dead.days.last().unwrap().facts;
        assert_eq!((facts.lost, facts.refused, facts.finished), (1, 1, 1));
        assert!(dead.score_hundredths < view.score_hundredths);
        let line = dead
            .lines
            .iter()
            .find(|line| line.input == ReputationInput::Interrupted);
        assert!(line.unwrap().effect_hundredths < -300, "{:?}", dead.lines);
    }
}

/// Of equal prices the older machine is the better one, but one round in ten is the newcomers'; each replays as it was.
#[tokio::test]
async fn newcomers_have_their_turn_and_rounds_replay() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let mut old = Worker::new(1, PRICE);
        old.join(&world, &otto).await;
        world.pass(15 * 24 * HOUR);
        old.beat(&world).await;
        let mut new = Worker::new(2, PRICE);
        new.join(&world, &otto).await;
        let mut dear = Worker::new(3, PRICE + 1);
        dear.join(&world, &otto).await;
        let newcomer = new.session.as_ref().unwrap().node;
        let veteran = old.session.as_ref().unwrap().node;
        let (mut turns, mut others) = (0, 0);
        for _ in 0..40 {
            for worker in [&mut old, &mut new, &mut dear] {
                worker.beat(&world).await;
            }
            let job = world
                .exchange
                .submit(&rita, spec(""), None, None)
                .await
                .unwrap();
            let page = world.exchange.rounds(None, 1).await.unwrap();
            let round = &page.items[0].round;
            let turn = market::is_newcomers_turn(&round.previous);
            assert_eq!(round.request.newcomers_since.is_some(), turn);
            let (expected, winner) = if turn {
                turns += 1;
                (newcomer, &mut new)
            } else {
                others += 1;
                (veteran, &mut old)
            };
            assert_eq!(job.leases[0].node, expected);
            assert_eq!(round.chosen[0].price.per_second().base(), PRICE);
            winner.read();
            winner.end(&world, RunEnd::Exited { code: 1 }).await;
        }
        assert!(turns > 0 && others > turns, "{turns} of {}", turns + others);
        assert_eq!(check_all(&world.exchange).await, 40);
    }
}
