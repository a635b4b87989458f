//! Who computes a slice again, and what becomes of a check that waits, fails or is stopped.

use kernel::{JobId, Seconds};
use protocol::proof::ProofState;
use protocol::recompute::{CheckState, CheckView};
use protocol::spec::{Placement, Resources};
use protocol::state::RunEnd;

use super::{DONE, JOB, Makes, Market, forged, honest, leave, rounded};
use crate::world::{Worker, backends, spec};

/// Checks that nobody can run do not keep others from theirs.
#[tokio::test]
async fn checks_that_wait_stand_in_nobodys_way() {
    let mut market = Market::open("sqlite", &[honest, rounded]).await;
    let (job, _) = market.deliver().await;
    market.pass(false).await;
    // As many as are looked at in one round, drawn before, whose second machines never come.
    let store = store::Store::open(&market.world.settings.database_url)
        .await
        .unwrap();
    let one = market.checks(job).await[0].clone();
    let waiting = market.world.exchange.submit(
        &market.rita,
        spec("[resources]\nmodel = 'none'\n[limits]\nwait_seconds = 86400"),
        None,
        None,
    );
    let waiting = waiting.await.unwrap().summary.id;
    let mut tx = store.begin().await.unwrap();
    for slice in 0..250 {
        let check = CheckView {
            slice: 1_000 + slice,
            drawn_at: one.drawn_at.minus(Seconds::new(60)),
            state: CheckState::Second,
            second: Some(waiting),
            third: None,
            ended_at: None,
            ..one.clone()
        };
        tx.insert_check(&check).await.unwrap();
    }
    tx.commit().await.unwrap();
    store.close().await;
    for _ in 0..30 {
        market.pass(false).await;
        let worker = &mut market.workers[1];
        worker.read();
        if let Some(to) = worker.runs.first().map(|run| run.assignment.clone()) {
            let slice: u32 = to.spec.env["SLICE"].parse().unwrap();
            worker.start(&market.world).await;
            worker.work(&market.world, 1).await;
            leave(
                &market.world,
                &to,
                &format!("part-{slice}.txt"),
                rounded(slice),
            )
            .await;
            market.workers[1].end(&market.world, DONE).await;
        }
    }
    let own = market.checks(job).await;
    let judged = own
        .iter()
        .filter(|check| check.slice < 2 && check.state == CheckState::Same);
    assert_eq!(judged.count(), 2);
}

#[tokio::test]
async fn a_check_that_nobody_can_run_blames_nobody() {
    // The only other machine is the requester's own: it judges nobody.
    let mut market = Market::open("sqlite", &[forged]).await;
    let mut own = Worker::new(9, 30_000);
    own.join(&market.world, &market.rita).await;
    let (job, _) = market.deliver().await;
    for _ in 0..5 {
        market.pass(false).await;
        own.beat(&market.world).await;
    }
    own.read();
    assert!(own.runs.is_empty());
    assert!(market.workers[0].runs.is_empty(), "nobody checks itself");
    market.world.pass(3_700_000);
    for _ in 0..5 {
        market.pass(false).await;
    }
    let checks = market.checks(job).await;
    assert!(
        checks
            .iter()
            .all(|check| check.state == CheckState::Undecided),
        "{checks:?}"
    );
    let made = market
        .world
        .exchange
        .balance(&market.owners[0])
        .await
        .unwrap();
    assert!(made.withdrawable.base() > 0, "it is paid");
    assert_ne!(market.state(0).await.0, ProofState::Failed);
    market.is_sound().await;
}

/// Whom the requester asked for is no reason to check there: it may be in league with them.
#[tokio::test]
async fn fault_a_requesters_wishes_choose_who_checks() {
    for backend in backends() {
        let mut market = Market::open(backend, &[honest]).await;
        let owner = market.world.account("other", "0").await;
        let mut other = Worker::new(2, 25_000);
        other.device.1 = "Other CPU";
        other.join(&market.world, &owner).await;
        market.owners.push(owner);
        market.workers.push(other);
        market.makes.push(rounded);
        // Only the first is such a machine, so cheap, and so large.
        let wishes = format!(
            "{}\n[resources]\nmodel = 'Test CPU'\nmemory_mib = 1500\n[placement]\ncountries = ['CH']\nfilter = 'gpu=test_cpu'",
            JOB.replace(
                "max_restarts = 0",
                "max_restarts = 0\nmax_price_per_hour = '0.8'"
            ),
        );
        let (job, lease) = market.deliver_of(&wishes).await;
        let checks = market.settle(job, false).await;
        for check in &checks {
            assert_eq!(check.state, CheckState::Same, "{check:?}");
            let again = check.second.unwrap();
            let view = market.world.exchange.job(&market.rita, again).await;
            let view = view.unwrap();
            let theirs = market.world.exchange.nodes(&market.owners[1]).await;
            assert_eq!(view.leases[0].node, theirs.unwrap()[0].id);
            assert_ne!(view.leases[0].id, lease);
            // What the template says of its program, and twice what was paid.
            assert_eq!(view.spec.placement, Placement::default());
            assert_eq!(view.spec.resources, Resources::default());
        }
        market.is_sound().await;
    }
}

/// How a check's job ends on a machine.
#[derive(Clone, Copy)]
enum Way {
    Fails,
    LeavesNothing,
    IsLost,
}

/// One slice's checks go on until they are over; `how` says what a machine does with its first check.
async fn with_failures(market: &mut Market, job: JobId, how: &[Option<Way>]) -> Vec<CheckView> {
    let mut how = how.to_vec();
    for _ in 0..120 {
        market.pass(false).await;
        for (at, way) in how.iter_mut().enumerate() {
            let worker = &mut market.workers[at];
            worker.read();
            let Some(to) = worker.runs.first().map(|run| run.assignment.clone()) else {
                continue;
            };
            worker.start(&market.world).await;
            worker.work(&market.world, 1).await;
            match *way {
                Some(Way::Fails) => worker.end(&market.world, RunEnd::Exited { code: 1 }).await,
                Some(Way::LeavesNothing) => worker.end(&market.world, DONE).await,
                Some(Way::IsLost) => {
                    worker.disconnect(&market.world).await;
                    worker.runs.clear();
                    *way = None;
                }
                None => {
                    let slice: u32 = to.spec.env["SLICE"].parse().unwrap();
                    let text = market.makes[at](slice);
                    leave(&market.world, &to, &format!("part-{slice}.txt"), text).await;
                    market.workers[at].end(&market.world, DONE).await;
                }
            }
        }
        let checks = market.checks(job).await;
        if !checks.is_empty() && checks.iter().all(|check| check.state.is_over()) {
            return checks;
        }
    }
    panic!("not judged: {:?}", market.checks(job).await);
}

fn one_slice() -> String {
    JOB.replace("slices = 2", "slices = 1")
}

#[tokio::test]
async fn fault_a_check_that_fails_is_tried_on_another_owners_machine() {
    for backend in backends() {
        for way in [Way::Fails, Way::LeavesNothing, Way::IsLost] {
            let mut market = Market::open(backend, &[honest, honest]).await;
            let (job, _) = market.deliver_of(&one_slice()).await;
            market.pass(false).await;
            // Another one comes when the check is on the second machine already.
            let owner = market.world.account("late", "0").await;
            let mut late = Worker::new(3, 23_000);
            late.join(&market.world, &owner).await;
            market.owners.push(owner);
            market.workers.push(late);
            market.makes.push(rounded);
            let checks = with_failures(&mut market, job, &[None, Some(way), None]).await;
            assert_eq!(checks[0].state, CheckState::Same, "{:?}", checks[0]);
            let view = market
                .world
                .exchange
                .job(&market.rita, checks[0].second.unwrap());
            let theirs = market.world.exchange.nodes(&market.owners[2]).await;
            assert_eq!(view.await.unwrap().leases[0].node, theirs.unwrap()[0].id);
            let made = market.world.exchange.balance(&market.owners[0]).await;
            assert!(made.unwrap().withdrawable.base() > 0, "it is paid");
            market.is_sound().await;
        }
    }
}

#[tokio::test]
async fn a_check_that_fails_everywhere_ends_without_a_word() {
    let makes: [Makes; 6] = [forged, honest, honest, honest, honest, honest];
    let mut market = Market::open("sqlite", &makes).await;
    let (job, _) = market.deliver_of(&one_slice()).await;
    let fails = Some(Way::Fails);
    let how = [None, fails, fails, fails, fails, fails];
    let checks = with_failures(&mut market, job, &how).await;
    assert_eq!(checks[0].state, CheckState::Undecided, "{:?}", checks[0]);
    let jobs = market.world.exchange.jobs(&market.rita, None, 100).await;
    assert_eq!(jobs.unwrap().items.len(), 1 + 3, "three machines, no more");
    let made = market.world.exchange.balance(&market.owners[0]).await;
    assert!(made.unwrap().withdrawable.base() > 0, "it is paid");
    assert_ne!(market.state(0).await.0, ProofState::Failed);
    market.is_sound().await;
}

/// Who pays for a check could end it wherever it does not like who computes.
#[tokio::test]
async fn a_check_that_its_requester_stops_is_not_sent_elsewhere() {
    let mut market = Market::open("sqlite", &[honest, honest, honest]).await;
    let (job, _) = market.deliver_of(&one_slice()).await;
    market.pass(false).await;
    market.pass(false).await;
    let second = market.checks(job).await[0].second.unwrap();
    let stopped = market.world.exchange.stop(&market.rita, second).await;
    stopped.unwrap();
    let ends = Some(Way::Fails);
    let checks = with_failures(&mut market, job, &[None, ends, ends]).await;
    assert_eq!(checks[0].state, CheckState::Undecided);
    assert_eq!(checks[0].second, Some(second));
    market.is_sound().await;
}
