//! Receipts that come more than once, out of their order, late, and across restarts: what is billed is what was delivered.
//!
//! `IOG_SOAK_DELIVERIES` and `IOG_SOAK_SEED` choose how many and which; scripts/soak.sh runs a million.

use exchange::Actor;
use kernel::{Amount, JobId, Seconds};
use metering::Fees;
use metering::receipt::{public_key, verify_chain};
use protocol::state::{JobState, RunEnd};
use protocol::worker::FromWorker;

use crate::simulation::{Dice, length};
use crate::world::{Worker, World, backends, spec};

const WORKERS: u8 = 4;
const CREDIT_IO: &str = "100000";

/// Messages on their way, of one worker.
#[derive(Default)]
struct Wire(Vec<FromWorker>);

impl Wire {
    /// One message, one to five times.
    fn send(&mut self, message: &FromWorker, dice: &mut Dice) {
        for _ in 0..=dice.roll(5) {
            self.0.push(message.clone());
        }
    }

    /// Some of them, in any order.
    async fn arrive(&mut self, world: &World, worker: &mut Worker, dice: &mut Dice) -> u64 {
        let mut arrived = 0;
        let most = dice.roll(12);
        while arrived < most && !self.0.is_empty() {
            let at = usize::try_from(dice.roll(u64::try_from(self.0.len()).unwrap())).unwrap();
            let message = self.0.swap_remove(at);
            worker.send(world, message).await.expect("is taken");
            arrived += 1;
        }
        arrived
    }
}

/// By itself: nothing but seconds times price, and the two fees.
#[derive(Default)]
struct Oracle {
    seconds: u64,
    spent: i64,
    earned: i64,
}

impl Oracle {
    /// What a lease's requester pays, for so many seconds.
    fn lease(&mut self, price: i64, seconds: u64) -> i64 {
        let gross = i128::from(price) * i128::from(seconds);
        let base = |gross: i128| i64::try_from(gross).unwrap();
        let pays = base(gross + (gross * 25 + 9_999) / 10_000);
        self.seconds += seconds;
        self.spent += pays;
        self.earned += base(gross - gross * 25 / 10_000);
        pays
    }
}

struct Run {
    world: World,
    dice: Dice,
    rita: Actor,
    workers: Vec<(Worker, Wire)>,
    oracle: Oracle,
    arrived: u64,
    restarts: u64,
    jobs: u64,
}

impl Run {
    async fn new(backend: &str, seed: u64) -> (Self, Actor) {
        let world = World::with(backend, |settings| {
            settings.receipt_interval = Seconds::new(7);
            settings.escrow_window = Seconds::new(1_000);
        })
        .await;
        let (rita, otto) = world.people(CREDIT_IO).await;
        let mut workers = Vec::new();
        for n in 1..=WORKERS {
            let mut worker = Worker::new(n, 20_000 + i64::from(n));
            worker.join(&world, &otto).await;
            workers.push((worker, Wire::default()));
        }
        let run = Self {
            world,
            dice: Dice(seed),
            rita,
            workers,
            oracle: Oracle::default(),
            arrived: 0,
            restarts: 0,
            jobs: 0,
        };
        (run, otto)
    }

    /// A second of all workers, as it is heard of.
    async fn second(&mut self) {
        self.world.pass(1_000);
        let (world, dice) = (&self.world, &mut self.dice);
        for (worker, wire) in &mut self.workers {
            for run in &mut worker.runs {
                run.seconds += u64::from(dice.roll(8) > 0);
            }
            wire.send(&worker.beat_message(), dice);
            self.arrived += wire.arrive(world, worker, dice).await;
            // The socket is alive, whatever becomes of the rest.
            worker.beat(world).await;
        }
        self.world.tick().await;
        if self.dice.roll(40) == 0 {
            self.world.crash().await;
            self.restarts += 1;
            for (worker, _) in &mut self.workers {
                worker.connect(&self.world, None).await.expect("comes back");
            }
        }
    }

    /// All jobs end, each with its last receipt; and what is still on its way finds a lease that is over.
    async fn end(&mut self) {
        let world = &self.world;
        for (worker, wire) in &mut self.workers {
            worker.read();
            let run = worker.runs.last().expect("it runs still");
            let (job, delivered) = (run.assignment.job, run.seconds);
            let price = run.assignment.price.per_second().base();
            worker.end(world, RunEnd::Exited { code: 0 }).await;
            let pays = self.oracle.lease(price, delivered);
            let view = world.exchange.job(&self.rita, job).await.unwrap();
            assert_eq!(view.summary.state, JobState::Finished);
            assert_eq!(view.summary.seconds.get(), delivered, "{job}");
            assert_eq!(view.summary.spent.base(), pays, "{job}");
            for message in std::mem::take(&mut wire.0) {
                worker.send(world, message).await.expect("is taken");
                self.arrived += 1;
            }
            worker.seen.clear();
            if self.jobs.is_multiple_of(16) {
                check_chain(world, &self.rita, job).await;
            }
            self.jobs += 1;
        }
    }
}

async fn run(backend: &str) {
    let deliveries = length("IOG_SOAK_DELIVERIES", 20_000);
    let seed = length("IOG_SOAK_SEED", 1);
    let (mut run, otto) = Run::new(backend, seed).await;
    let credit = Amount::parse_io(CREDIT_IO).unwrap().base();
    while run.arrived < deliveries {
        for _ in 0..WORKERS {
            let job = run.world.exchange.submit(&run.rita, spec(""), None, None);
            job.await.expect("a device is free");
        }
        for (worker, _) in &mut run.workers {
            worker.start(&run.world).await;
        }
        for _ in 0..20 + run.dice.roll(60) {
            run.second().await;
        }
        run.end().await;
        let balance = run.world.exchange.balance(&run.rita).await.unwrap();
        assert_eq!(balance.held.base(), 0);
        assert_eq!(balance.available.base(), credit - run.oracle.spent);
        let made = run.world.exchange.balance(&otto).await.unwrap();
        let made = made.withdrawable.base() + made.earned.base();
        assert_eq!(made, run.oracle.earned);
    }
    assert_eq!(run.world.exchange.reconcile().await.unwrap(), 0);
    println!(
        "{backend}: {} deliveries of {} leases, {} restarts, seed {seed}: {} s billed, as the oracle says",
        run.arrived, run.jobs, run.restarts, run.oracle.seconds
    );
}

async fn check_chain(world: &World, rita: &Actor, job: JobId) {
    let receipts = world.exchange.receipts(rita, job).await.unwrap();
    let chain: Vec<_> = receipts.iter().map(|view| view.receipt.clone()).collect();
    let Some(first) = receipts.first() else {
        return;
    };
    let worker = public_key(&first.worker_key).unwrap();
    let platform = public_key(&first.platform_key).unwrap();
    let head = verify_chain(&chain, &worker, &platform).unwrap();
    let paid: i64 = receipts.iter().map(|view| view.charged.base()).sum();
    let fees = Fees {
        requester: world.settings.fee_requester,
        owner: world.settings.fee_owner,
    };
    let cost = fees.cost(chain[0].price, head.seconds);
    assert_eq!(paid, cost.base());
}

#[tokio::test]
async fn what_is_billed_is_what_was_delivered_however_it_arrives() {
    for backend in backends() {
        run(backend).await;
    }
}
