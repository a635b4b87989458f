//! Slices that are computed again elsewhere: made-up results are found out and given back, honest ones are not.

use exchange::{Actor, Error, NodeSession, Templates};
use kernel::{JobId, LeaseId, Seconds};
use proof::slices;
use protocol::money::{IncidentKind, RefundReason};
use protocol::proof::{ProofReason, ProofState};
use protocol::recompute::{CheckState, CheckView};
use protocol::spec::{Placement, Resources};
use protocol::state::{JobState, RunEnd};
use protocol::worker::Assignment;
use tokio::io::AsyncWriteExt;

use crate::world::{Worker, World, backends, spec};

const DONE: RunEnd = RunEnd::Exited { code: 0 };
/// Of two slices, each drawn.
const JOB: &str = "[limits]\nmax_restarts = 0\n[recompute]\npercent = 100\nslices = 2\noutput = 'part-{slice}.txt'\nseconds = 60\n\
                   [recompute.tolerance]\nkind = 'numbers'\npermille = 1";

/// The same, as a template's own program: nothing of it is the requester's.
const TEMPLATE: &str = "format = 1\nkind = 'rendering'\nversion = '1'\nlicence = 'Apache-2.0'\n\
                        [title]\nen = 'Slices'\nzh = '切片'\n[summary]\nen = 'Slices.'\nzh = '切片。'\n\
                        [small.needs]\nen = 'Anything.'\nzh = '任意。'\n[spec]\nname = 'test'\ncommand = ['true']\n\
                        [spec.limits]\nmax_restarts = 0\n[spec.recompute]\npercent = 100\nslices = 2\noutput = 'part-{slice}.txt'\n\
                        seconds = 60\n[spec.recompute.tolerance]\nkind = 'numbers'\npermille = 1\n";

fn templates() -> Templates {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("slices");
    std::fs::create_dir(&own).unwrap();
    for (name, text) in [
        ("template.toml", TEMPLATE),
        ("README.md", "# Slices\n"),
        ("README.zh.md", "# 切片\n"),
    ] {
        std::fs::write(own.join(name), text).unwrap();
    }
    Templates::with_folder(folder.path()).unwrap()
}

/// What a machine leaves of a slice.
fn honest(slice: u32) -> String {
    format!("loss={}\n", 0.5 + f64::from(slice))
}

/// The same as another processor rounds it.
fn rounded(slice: u32) -> String {
    format!("loss={}\n", 0.500_000_1 + f64::from(slice))
}

fn forged(_: u32) -> String {
    "loss=0.1\n".to_owned()
}

fn other_lie(_: u32) -> String {
    "loss=0.2\n".to_owned()
}

type Makes = fn(u32) -> String;

async fn leave(world: &World, to: &Assignment, path: &str, text: String) {
    world
        .exchange
        .transfer_artefact(&to.transfer_token, to.lease, path, text.as_bytes())
        .await
        .unwrap();
}

/// Its owner's machines, each with what it makes of a slice; the cheapest computes first.
struct Market {
    world: World,
    rita: Actor,
    owners: Vec<Actor>,
    workers: Vec<Worker>,
    makes: Vec<Makes>,
}

impl Market {
    async fn open(backend: &str, makes: &[Makes]) -> Self {
        Self::with(backend, makes, templates()).await
    }

    async fn with(backend: &str, makes: &[Makes], templates: Templates) -> Self {
        let world = World::with(backend, |settings| settings.templates = templates).await;
        world.fill_treasury(1_000_000_000).await;
        let rita = world.account("rita", "1000").await;
        let (mut owners, mut workers) = (Vec::new(), Vec::new());
        for (n, _) in (1_u8..).zip(makes) {
            let owner = world.account(&format!("otto{n}"), "0").await;
            let mut worker = Worker::new(n, 20_000 + i64::from(n) * 1_000);
            worker.join(&world, &owner).await;
            owners.push(owner);
            workers.push(worker);
        }
        Self {
            world,
            rita,
            owners,
            workers,
            makes: makes.to_vec(),
        }
    }

    /// The job runs on the first machine, and is over.
    async fn deliver(&mut self) -> (JobId, LeaseId) {
        self.deliver_of(JOB).await
    }

    async fn deliver_of(&mut self, job: &str) -> (JobId, LeaseId) {
        let sent = self
            .world
            .exchange
            .submit(&self.rita, spec(job), None, None);
        let job = sent.await.unwrap().summary.id;
        let worker = &mut self.workers[0];
        let (lease, _) = worker.start(&self.world).await;
        worker.work(&self.world, 30).await;
        let assignment = worker.runs[0].assignment.clone();
        assert_eq!(assignment.job, job);
        for slice in 0..2 {
            let text = self.makes[0](slice);
            leave(&self.world, &assignment, &format!("part-{slice}.txt"), text).await;
        }
        worker.end(&self.world, DONE).await;
        (job, lease)
    }

    async fn pass(&mut self, crash: bool) {
        self.world.pass(2_000);
        if crash {
            self.world.crash().await;
            for worker in &mut self.workers {
                worker.session = None::<NodeSession>;
                worker.connect(&self.world, None).await.unwrap();
            }
        }
        for worker in &mut self.workers {
            worker.beat(&self.world).await;
        }
        self.world.tick().await;
    }

    /// Time goes on and each machine does what it is asked, until all that was drawn is judged.
    async fn settle(&mut self, job: JobId, crash: bool) -> Vec<CheckView> {
        for _ in 0..60 {
            self.pass(crash).await;
            for at in 0..self.workers.len() {
                let worker = &mut self.workers[at];
                worker.read();
                if let Some(to) = worker.runs.first().map(|run| run.assignment.clone()) {
                    let slice: u32 = to.spec.env["SLICE"].parse().unwrap();
                    assert_ne!(to.job, job);
                    assert!(to.spec.recompute.is_none(), "a check is not checked");
                    worker.start(&self.world).await;
                    worker.work(&self.world, 1).await;
                    leave(
                        &self.world,
                        &to,
                        &format!("part-{slice}.txt"),
                        self.makes[at](slice),
                    )
                    .await;
                    worker.end(&self.world, DONE).await;
                }
            }
            let checks = self.checks(job).await;
            if !checks.is_empty() && checks.iter().all(|check| check.state.is_over()) {
                return checks;
            }
        }
        panic!("not judged: {:?}", self.checks(job).await);
    }

    async fn checks(&self, job: JobId) -> Vec<CheckView> {
        self.world
            .exchange
            .job(&self.rita, job)
            .await
            .unwrap()
            .checks
    }

    /// What an owner has, withheld or not.
    async fn has(&self, owner: usize) -> i64 {
        let balance = self
            .world
            .exchange
            .balance(&self.owners[owner])
            .await
            .unwrap();
        balance.withdrawable.base() + balance.earned.base()
    }

    async fn state(&self, owner: usize) -> (ProofState, Option<ProofReason>) {
        super::standing(&self.world, &self.owners[owner], 0).await
    }

    async fn is_sound(&self) {
        self.world.exchange.prune().await.unwrap();
        assert_eq!(self.world.exchange.reconcile().await.unwrap(), 0);
        assert_eq!(self.world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn forged_slices_are_found_out_and_given_back() {
    for backend in backends() {
        for crash in [false, true] {
            let mut market = Market::open(backend, &[forged, honest, rounded]).await;
            let (job, lease) = market.deliver().await;
            let made = market
                .world
                .exchange
                .balance(&market.owners[0])
                .await
                .unwrap();
            assert_eq!(made.withdrawable.base(), 0, "it waits for the draw");
            let paid = market.world.exchange.job(&market.rita, job).await.unwrap();
            assert!(paid.leases[0].charged.base() > 0);
            // A crash between any two steps changes nothing.
            let checks = market.settle(job, crash).await;
            let states: Vec<CheckState> = checks.iter().map(|check| check.state).collect();
            assert_eq!(states, [CheckState::FirstAlone; 2]);
            let view = market.world.exchange.job(&market.rita, job).await.unwrap();
            assert_eq!(view.summary.state, JobState::Finished);
            assert_eq!(view.refunds.len(), 1, "once for both slices");
            assert_eq!(view.refunds[0].reason, RefundReason::WrongSlice);
            assert_eq!(view.refunds[0].seconds, Seconds::new(30));
            assert_eq!(view.leases[0].refunded, view.leases[0].charged);
            assert!(matches!(
                view.leases[0].end,
                Some(RunEnd::SpecMissed { .. })
            ));
            assert_eq!(market.has(0).await, 0);
            let wrong = (ProofState::Failed, Some(ProofReason::WrongSlice));
            assert_eq!(market.state(0).await, wrong);
            for honest in [1, 2] {
                assert!(market.has(honest).await > 0, "who checked is paid");
                assert_ne!(market.state(honest).await.0, ProofState::Failed);
            }
            // Its owner sees it, and nobody else does; each slice has two jobs and no more.
            let node = market
                .world
                .exchange
                .nodes(&market.owners[0])
                .await
                .unwrap()[0]
                .id;
            let shown = market
                .world
                .exchange
                .checks_of_node(&market.owners[0], node);
            assert_eq!(shown.await.unwrap().len(), 2);
            let hidden = market
                .world
                .exchange
                .checks_of_node(&market.owners[1], node);
            assert!(hidden.await.is_err());
            let jobs = market
                .world
                .exchange
                .jobs(&market.rita, None, 100)
                .await
                .unwrap();
            assert_eq!(jobs.items.len(), 5);
            // The draw follows from a signature that anyone can check, over the very file.
            let key = hex::decode(market.world.exchange.platform_key()).unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap();
            for check in &checks {
                assert_eq!(check.lease, lease);
                let signature: [u8; 64] = hex::decode(&check.draw).unwrap().try_into().unwrap();
                let bytes = slices::draw_bytes(job, check.slice, &check.sha256);
                let verified = key.verify_strict(&bytes, &signature.into());
                verified.unwrap();
            }
            market.is_sound().await;
        }
    }
}

/// A program that sees that it is checked, and leaves then what no honest machine delivered before.
#[tokio::test]
async fn fault_a_requesters_own_program_costs_no_owner() {
    let makes: [Makes; 3] = [forged, honest, rounded];
    let mut market = Market::with("sqlite", &makes, Templates::shipped()).await;
    let (job, _) = market.deliver().await;
    let checks = market.settle(job, false).await;
    for check in &checks {
        assert_eq!(check.state, CheckState::Undecided);
        assert!(check.detail.contains("the requester's own"), "{check:?}");
    }
    let view = market.world.exchange.job(&market.rita, job).await.unwrap();
    assert!(view.refunds.is_empty());
    assert!(market.has(0).await > 0, "it is paid");
    assert_ne!(market.state(0).await.0, ProofState::Failed);
    market.is_sound().await;
}

/// A file that begins before the end and arrives after the draw replaces nothing.
#[tokio::test]
async fn forged_results_that_are_replaced_after_the_draw_are_found_out() {
    let mut market = Market::open("sqlite", &[forged, honest, rounded]).await;
    let sent = market
        .world
        .exchange
        .submit(&market.rita, spec(JOB), None, None);
    let job = sent.await.unwrap().summary.id;
    let worker = &mut market.workers[0];
    worker.start(&market.world).await;
    worker.work(&market.world, 30).await;
    let to = worker.runs[0].assignment.clone();
    for slice in 0..2 {
        leave(
            &market.world,
            &to,
            &format!("part-{slice}.txt"),
            forged(slice),
        )
        .await;
    }
    let mut slow = Vec::new();
    for slice in 0..2_u32 {
        let (mut say, hear) = tokio::io::duplex(1_024);
        say.write_all(honest(slice).as_bytes()).await.unwrap();
        let (exchange, to) = (market.world.exchange.clone(), to.clone());
        let sending = tokio::spawn(async move {
            let path = format!("part-{slice}.txt");
            exchange
                .transfer_artefact(&to.transfer_token, to.lease, &path, hear)
                .await
        });
        slow.push((say, sending));
    }
    tokio::task::yield_now().await;
    market.workers[0].end(&market.world, DONE).await;
    market.pass(false).await;
    for (say, sending) in slow {
        drop(say);
        assert!(matches!(
            sending.await.unwrap(),
            Err(Error::Unauthenticated)
        ));
    }
    let checks = market.settle(job, false).await;
    assert!(
        checks
            .iter()
            .all(|check| check.state == CheckState::FirstAlone)
    );
    assert_eq!(market.has(0).await, 0);
    market.is_sound().await;
}

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
async fn honest_machines_that_round_differently_are_paid() {
    let mut market = Market::open("sqlite", &[honest, rounded]).await;
    let (job, _) = market.deliver().await;
    let checks = market.settle(job, false).await;
    assert!(
        checks
            .iter()
            .all(|check| check.state == CheckState::Same && check.third.is_none())
    );
    let made = market
        .world
        .exchange
        .balance(&market.owners[0])
        .await
        .unwrap();
    assert!(
        made.withdrawable.base() > 0 && made.earned.base() == 0,
        "it waits no longer"
    );
    for owner in [0, 1] {
        assert_ne!(market.state(owner).await.0, ProofState::Failed);
    }
    market.is_sound().await;
}

#[tokio::test]
async fn forged_second_results_do_not_hurt_the_first() {
    let mut market = Market::open("sqlite", &[honest, forged, rounded]).await;
    let (job, _) = market.deliver().await;
    let checks = market.settle(job, false).await;
    // Both are checked at once: one of them by the machine that lies.
    let states = |state| checks.iter().filter(|check| check.state == state).count();
    assert_eq!(
        (states(CheckState::SecondAlone), states(CheckState::Same)),
        (1, 1)
    );
    let wrong = checks
        .iter()
        .find(|check| check.state == CheckState::SecondAlone);
    assert!(market.has(0).await > 0);
    assert_ne!(market.state(0).await.0, ProofState::Failed);
    assert_eq!(market.state(1).await.0, ProofState::Failed);
    let second = wrong.unwrap().second.unwrap();
    let view = market
        .world
        .exchange
        .job(&market.rita, second)
        .await
        .unwrap();
    assert_eq!(view.leases[0].refunded, view.leases[0].charged);
    market.is_sound().await;
}

#[tokio::test]
async fn three_that_differ_are_an_incident_and_nobody_is_blamed() {
    let mut market = Market::open("sqlite", &[honest, forged, other_lie]).await;
    let (job, _) = market.deliver().await;
    let checks = market.settle(job, false).await;
    assert!(
        checks
            .iter()
            .all(|check| check.state == CheckState::AllDiffer)
    );
    for owner in [0, 1, 2] {
        assert!(market.has(owner).await > 0);
        assert_ne!(market.state(owner).await.0, ProofState::Failed);
    }
    let admin = [protocol::view::Role::Admin];
    let made = market.world.exchange.admin_create_account(
        "ada@example.org",
        "long enough",
        "ada",
        &admin,
        None,
    );
    made.await.unwrap();
    let ada = market
        .world
        .exchange
        .actor_by_email("ada@example.org")
        .await
        .unwrap()
        .unwrap();
    let incidents = market.world.exchange.incidents(&ada).await.unwrap();
    let own = incidents
        .iter()
        .filter(|one| one.kind == IncidentKind::Slices);
    assert_eq!(own.count(), 2);
    // Nobody has looked at it yet: it does not heal by itself.
    market.world.exchange.reconcile().await.unwrap();
    let after = market.world.exchange.incidents(&ada).await.unwrap();
    let stands = after
        .iter()
        .filter(|one| one.kind == IncidentKind::Slices && one.gone_at.is_none());
    assert_eq!(stands.count(), 2);
    assert_eq!(market.world.sum_of_books().await, 0);
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

/// A machine that was lost, and of which the loss bound gave back a part, has made its slice up: the rest comes back as well.
#[tokio::test]
async fn fault_what_was_given_back_for_a_loss_keeps_nobody_from_the_rest() {
    for backend in backends() {
        let mut market = Market::open(backend, &[forged, honest, rounded, honest]).await;
        let text = JOB.replace(
            "max_restarts = 0",
            "max_restarts = 1\nmax_price_per_hour = '2'\nloss_bound_seconds = 60",
        );
        let sent = market
            .world
            .exchange
            .submit(&market.rita, spec(&text), None, None);
        let job = sent.await.unwrap().summary.id;
        let worker = &mut market.workers[0];
        let (lease, _) = worker.start(&market.world).await;
        worker.work(&market.world, 200).await;
        let to = worker.runs[0].assignment.clone();
        leave(&market.world, &to, "part-0.txt", forged(0)).await;
        worker.disconnect(&market.world).await;
        worker.runs.clear();
        market.world.pass(8_000);
        market.world.tick().await;
        let view = market.world.exchange.job(&market.rita, job).await.unwrap();
        assert_eq!(view.refunds.len(), 1);
        assert_eq!(view.refunds[0].reason, RefundReason::LossBound);
        // Another goes on with what is left.
        for at in 1..4 {
            market.workers[at]
                .connect(&market.world, None)
                .await
                .unwrap();
            market.workers[at].beat(&market.world).await;
        }
        market.world.tick().await;
        for at in 1..4 {
            market.workers[at].read();
        }
        let next = (1..4).find(|at| !market.workers[*at].runs.is_empty());
        let next = next.expect("it goes on elsewhere");
        let worker = &mut market.workers[next];
        worker.start(&market.world).await;
        worker.work(&market.world, 30).await;
        let to = worker.runs[0].assignment.clone();
        leave(&market.world, &to, "part-1.txt", honest(1)).await;
        worker.end(&market.world, DONE).await;
        let checks = market.settle(job, false).await;
        let blamed = checks.iter().find(|check| check.lease == lease);
        assert_eq!(blamed.unwrap().state, CheckState::FirstAlone);
        let view = market.world.exchange.job(&market.rita, job).await.unwrap();
        let of_lease: Vec<_> = view
            .refunds
            .iter()
            .filter(|one| one.lease == lease)
            .collect();
        let reasons: Vec<_> = of_lease.iter().map(|one| one.reason).collect();
        assert_eq!(reasons, [RefundReason::LossBound, RefundReason::WrongSlice]);
        let first = view.leases.iter().find(|one| one.id == lease).unwrap();
        let sum: i64 = of_lease.iter().map(|one| one.amount.base()).sum();
        assert_eq!(sum, first.charged.base(), "all of it, and no more");
        assert_eq!(first.refunded, first.charged);
        market.is_sound().await;
    }
}
