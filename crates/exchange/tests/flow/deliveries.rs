//! Receipts that come more than once, out of their order, late, and across restarts: what is billed is what was delivered.
//!
//! `IOG_SOAK_DELIVERIES` and `IOG_SOAK_SEED` choose how many and which; scripts/soak.sh runs a million.

use exchange::Actor;
use kernel::{JobId, Seconds};
use metering::Fees;
use metering::receipt::{public_key, verify_chain};
use protocol::state::{JobState, RunEnd};
use protocol::worker::FromWorker;

use crate::simulation::{Dice, length};
use crate::world::{Worker, World, backends, spec};

const WORKERS: u8 = 4;

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

struct Oracle {
    seconds: u64,
    price: i64,
    spent: i64,
}

/// By itself: nothing but seconds times price, and the two fees.
impl Oracle {
    fn check(&mut self, seconds: u64) -> (i64, i64) {
        let gross = i128::from(self.price) * i128::from(seconds);
        let fee = |up: i128| i64::try_from((gross * 25 + up) / 10_000).unwrap();
        let gross_base = i64::try_from(gross).unwrap();
        self.seconds += seconds;
        self.spent += gross_base + fee(9_999);
        (gross_base + fee(9_999), gross_base - fee(0))
    }
}

async fn run(backend: &str) {
    let (deliveries, seed) = (
        length("IOG_SOAK_DELIVERIES", 20_000),
        length("IOG_SOAK_SEED", 1),
    );
    let mut dice = Dice(seed);
    let mut world = World::with(backend, |settings| {
        settings.receipt_interval = Seconds::new(7);
        settings.escrow_window = Seconds::new(1_000);
    })
    .await;
    let credit = 10_000_000_000_000;
    let (rita, otto) = world.people("100000").await;
    let mut workers: Vec<Worker> = (1..=WORKERS)
        .map(|n| Worker::new(n, 20_000 + i64::from(n)))
        .collect();
    for worker in &mut workers {
        worker.join(&world, &otto).await;
    }
    let mut wires: Vec<Wire> = workers.iter().map(|_| Wire::default()).collect();
    let (mut arrived, mut restarts, mut jobs, mut earned) = (0, 0, 0_u64, 0);
    let mut oracle = Oracle {
        seconds: 0,
        price: 0,
        spent: 0,
    };
    while arrived < deliveries {
        let mut ids: Vec<JobId> = Vec::new();
        for _ in &workers {
            let job = world.exchange.submit(&rita, spec(""), None, None).await;
            ids.push(job.expect("a device is free").summary.id);
        }
        for worker in &mut workers {
            worker.start(&world).await;
        }
        let long = 20 + dice.roll(60);
        for _ in 0..long {
            world.pass(1_000);
            for (worker, wire) in workers.iter_mut().zip(&mut wires) {
                for run in &mut worker.runs {
                    run.seconds += u64::from(dice.roll(8) > 0);
                }
                wire.send(&worker.beat_message(), &mut dice);
                arrived += wire.arrive(&world, worker, &mut dice).await;
                // The socket is alive, whatever becomes of the rest.
                worker.beat(&world).await;
            }
            world.tick().await;
            if dice.roll(40) == 0 {
                world.crash().await;
                restarts += 1;
                for worker in &mut workers {
                    worker.connect(&world, None).await.expect("comes back");
                }
            }
        }
        for (worker, wire) in workers.iter_mut().zip(&mut wires) {
            worker.read();
            let run = worker.runs.last().expect("it runs still");
            let (job, delivered) = (run.assignment.job, run.seconds);
            oracle.price = run.assignment.price.per_second().base();
            worker.end(&world, RunEnd::Exited { code: 0 }).await;
            let (pays, gets) = oracle.check(delivered);
            earned += gets;
            let view = world.exchange.job(&rita, job).await.unwrap();
            assert_eq!(view.summary.state, JobState::Finished, "seed {seed}");
            assert_eq!(view.summary.seconds.get(), delivered, "seed {seed}, {job}");
            assert_eq!(view.summary.spent.base(), pays, "seed {seed}, {job}");
            // What is still on its way finds a lease that is over.
            for message in std::mem::take(&mut wire.0) {
                worker.send(&world, message).await.expect("is taken");
                arrived += 1;
            }
            worker.seen.clear();
            if jobs % 16 == 0 {
                check_chain(&world, &rita, job).await;
            }
            jobs += 1;
        }
        let balance = world.exchange.balance(&rita).await.unwrap();
        assert_eq!(balance.held.base(), 0);
        assert_eq!(
            balance.available.base(),
            credit - oracle.spent,
            "seed {seed}"
        );
        let made = world.exchange.balance(&otto).await.unwrap();
        assert_eq!(
            made.withdrawable.base() + made.earned.base(),
            earned,
            "seed {seed}"
        );
    }
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
    println!(
        "{backend}: {arrived} deliveries of {jobs} leases, {restarts} restarts, seed {seed}: {} s billed, as the oracle says",
        oracle.seconds
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
