//! Many workers and requesters, random deeds, one seed a run: partitions, messages that come late, twice and out of order,
//! processes that die, clocks that are set forward and back. Whatever happens, the books hold, no second is billed twice, and a
//! lease that is over stays as it was.
//!
//! `IOG_SEEDS` runs more seeds, `IOG_SEED_FIRST` begins elsewhere; scripts/soak.sh runs ten thousand.

use std::collections::BTreeMap;

use exchange::{Actor, Error};
use kernel::{AccountId, Amount, LeaseId, Seconds};
use protocol::money::IncidentKind;
use protocol::state::{JobState, RunEnd};
use protocol::worker::FromWorker;
use store::Store;

use crate::world::{Worker, World, spec};

/// A small generator of its own: the same seed is the same run on every machine and version.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn millis(&mut self, most: u64) -> i64 {
        i64::try_from(self.roll(most)).unwrap()
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(of).unwrap())).unwrap()
    }
}

/// How long a proof is: short in each run of the tests, longer where somebody says so.
pub fn length(name: &str, short: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(short, |text| text.parse().unwrap())
}

const CREDIT: [(&str, &str, i64); 2] = [("rita", "0.02", 2_000_000), ("rolf", "0.05", 5_000_000)];

/// A worker, and what it sent while nobody could hear it.
struct Node {
    worker: Worker,
    cut: bool,
    unsent: Vec<FromWorker>,
}

impl Node {
    /// Delivers seconds as its own clock goes, whether or not anybody hears of them: a worker that was paused past its lease
    /// and does not know is the worst one.
    async fn work(&mut self, sim: &Sim, seconds: u64) {
        if !self.cut {
            self.worker.read();
            self.worker.work(&sim.world, seconds).await;
            return;
        }
        for _ in 0..seconds {
            sim.world.pass(1_000);
            self.worker.deliver();
            let message = self.worker.beat_message();
            self.unsent.push(message);
            sim.world.tick().await;
        }
    }

    /// What was on its way arrives: in its order or in none, some of it twice, some never.
    async fn heal(&mut self, sim: &Sim, dice: &mut Dice) {
        self.cut = false;
        let mut late = std::mem::take(&mut self.unsent);
        if dice.roll(2) == 0 {
            for at in (1..late.len()).rev() {
                late.swap(at, dice.pick(at + 1));
            }
        }
        for message in late {
            for _ in 0..dice.roll(4) {
                match self.worker.send(&sim.world, message.clone()).await {
                    Ok(()) | Err(Error::SupersededConnection) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

struct Sim {
    seed: u64,
    world: World,
    store: Store,
    requesters: Vec<Actor>,
    owner: Actor,
    /// What was charged and earned by leases that are over, and their seconds.
    over: BTreeMap<LeaseId, (Amount, Amount, Seconds)>,
}

async fn run(seed: u64) {
    let mut dice = Dice(seed);
    let world = World::with("sqlite", |settings| {
        settings.escrow_window = Seconds::new(20);
        settings.escrow_minimum = Seconds::new(5);
        settings.funds_low = Seconds::new(8);
        settings.receipt_interval = Seconds::new(7);
        settings.requeue_patience = Seconds::new(25);
    })
    .await;
    let mut requesters = Vec::new();
    for (name, credit, _) in CREDIT {
        requesters.push(world.account(name, credit).await);
    }
    let owner = world.account("otto", "0").await;
    if seed.is_multiple_of(2) {
        world.fill_treasury(1_000_000).await;
    }
    let store = Store::open(&world.settings.database_url).await.unwrap();
    let mut nodes = Vec::new();
    for n in 1..=3 {
        let mut worker = Worker::new(n, 20_000 + i64::from(n));
        worker.join(&world, &owner).await;
        nodes.push(Node {
            worker,
            cut: false,
            unsent: Vec::new(),
        });
    }
    let mut sim = Sim {
        seed,
        world,
        store,
        requesters,
        owner,
        over: BTreeMap::new(),
    };
    for _ in 0..120 {
        let which = dice.pick(nodes.len());
        sim.deed(&mut nodes, which, &mut dice).await;
        sim.world.tick().await;
        sim.check(&nodes).await;
    }
    assert!(
        crate::rounds::check_all(&sim.world.exchange).await > 0,
        "seed {seed}"
    );
    sim.store.close().await;
}

impl Sim {
    async fn deed(&mut self, nodes: &mut [Node], which: usize, dice: &mut Dice) {
        let requester = &self.requesters[dice.pick(self.requesters.len())];
        let exchange = &self.world.exchange;
        let node = &mut nodes[which];
        match dice.roll(16) {
            0 | 1 => {
                let wishes = [
                    "",
                    "[limits]\nwait_seconds = 60",
                    "[limits]\nwait_seconds = 600\nloss_bound_seconds = 60",
                ];
                let wish = spec(wishes[dice.pick(wishes.len())]);
                // Refused when nothing is free or the money is gone; both are fine.
                let _ = exchange.submit(requester, wish, None, None).await;
            }
            2 => {
                let jobs = exchange.jobs(requester, None, 1).await.unwrap();
                if let Some(job) = jobs.items.first() {
                    let _ = exchange.stop(requester, job.id).await;
                }
            }
            3 => {
                node.worker.disconnect(&self.world).await;
                node.cut = false;
                node.unsent.clear();
            }
            4 => {
                if node.worker.session.is_none() {
                    if dice.roll(2) == 0 {
                        node.worker.runs.clear();
                    }
                    let _ = node.worker.connect(&self.world, None).await;
                }
            }
            5 => {
                self.world.crash().await;
                for node in nodes {
                    node.worker.session = None;
                    node.cut = false;
                    node.unsent.clear();
                }
            }
            6 => {
                node.worker.read();
                if !node.cut && !node.worker.runs.is_empty() && node.worker.session.is_some() {
                    let end = match dice.roll(3) {
                        0 => RunEnd::OutOfMemory { limit_mib: 1 },
                        1 => RunEnd::NodeDrained,
                        _ => RunEnd::Exited { code: 0 },
                    };
                    node.worker.end(&self.world, end).await;
                }
            }
            7 => self.world.pass(dice.millis(9_000)),
            8 => {
                node.worker.read();
                if !node.cut && !node.worker.runs.is_empty() && node.worker.session.is_some() {
                    node.worker.start(&self.world).await;
                }
            }
            9 => node.cut = node.worker.session.is_some(),
            10 => node.heal(self, dice).await,
            // A clock is set: mostly by little, now and then by an hour.
            11 => {
                let by = match dice.roll(8) {
                    0 => 3_600_000,
                    1 => -3_600_000,
                    _ => dice.millis(6_000) - 3_000,
                };
                self.world.pass(by);
            }
            _ => node.work(self, dice.roll(6)).await,
        }
    }

    async fn check(&mut self, nodes: &[Node]) {
        let seed = self.seed;
        // Books, holds, receipts, leases, refunds against each other; what is owed is owed.
        let differences = self.store.differences().await.unwrap();
        let differ = |of: &&store::Difference| of.kind != IncidentKind::RefundOwed;
        let wrong: Vec<_> = differences.iter().filter(differ).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
        let owner: AccountId = self.owner.account;
        for row in self.store.leases_of_owner(owner, 1_000).await.unwrap() {
            let lease = row.lease;
            let cost = lease.fees.cost(lease.price, lease.head.seconds);
            assert_eq!(lease.charged, cost, "seed {seed}: {}", lease.id);
            let of = |node: &Node| node.worker.delivered.get(&lease.id).copied();
            let most = nodes.iter().find_map(of).unwrap_or(0);
            assert!(
                lease.head.seconds.get() <= most,
                "seed {seed}: {} was billed for {} s and delivered {most}",
                lease.id,
                lease.head.seconds.get()
            );
            if lease.ended_at.is_some() {
                let now = (lease.charged, lease.earned, lease.head.seconds);
                let then = self.over.entry(lease.id).or_insert(now);
                assert_eq!(*then, now, "seed {seed}: {} is over", lease.id);
            }
        }
        for (actor, (_, _, credit)) in self.requesters.iter().zip(CREDIT) {
            let balance = self.world.exchange.balance(actor).await.unwrap();
            let jobs = self.world.exchange.jobs(actor, None, 100).await.unwrap();
            let jobs = jobs.items;
            let mut paid = 0;
            for job in &jobs {
                for row in self.store.leases_of_job(job.id).await.unwrap() {
                    paid += row.lease.charged.base() - row.lease.refunded.base();
                }
            }
            let total = balance.available.base() + balance.held.base() + paid;
            assert_eq!(
                total, credit,
                "seed {seed}: what was credited is available, held or paid"
            );
            if jobs.iter().all(|job| job.state.is_final()) {
                assert_eq!(
                    balance.held,
                    Amount::ZERO,
                    "seed {seed}: nothing is held for nothing"
                );
            }
            let live = jobs
                .iter()
                .filter(|job| matches!(job.state, JobState::Starting | JobState::Running))
                .count();
            assert!(live <= 3, "seed {seed}: more leases than devices");
        }
    }
}

#[tokio::test]
async fn whatever_happens_the_books_hold() {
    let (first, seeds) = (length("IOG_SEED_FIRST", 1), length("IOG_SEEDS", 20));
    for seed in first..first + seeds {
        run(seed).await;
    }
    println!("seeds {first} to {}: 0 violations", first + seeds - 1);
}
