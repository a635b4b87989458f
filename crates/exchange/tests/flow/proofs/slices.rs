//! Slices that are computed again elsewhere: made-up results are found out and given back, honest ones are not.

mod checks;

use exchange::{Actor, Error, NodeSession, Templates};
use kernel::{JobId, LeaseId, Seconds};
use proof::slices;
use protocol::money::{IncidentKind, RefundReason};
use protocol::proof::{ProofReason, ProofState};
use protocol::recompute::{CheckState, CheckView};
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
