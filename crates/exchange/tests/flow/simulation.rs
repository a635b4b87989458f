//! Many workers and requesters, random deeds, one seed a run: whatever happens, the books hold.

use kernel::{Amount, Seconds};
use protocol::state::{JobState, RunEnd};

use crate::world::{Worker, World, spec};

/// A small generator of its own: the same seed is the same run on every machine and version.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn run(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::with("sqlite", |settings| {
        settings.escrow_window = Seconds::new(20);
        settings.escrow_minimum = Seconds::new(5);
        settings.funds_low = Seconds::new(8);
        settings.receipt_interval = Seconds::new(7);
    })
    .await;
    let requesters = [
        world.account("rita", "0.02").await,
        world.account("rolf", "0.05").await,
    ];
    let otto = world.account("otto", "0").await;
    let mut workers: Vec<Worker> = (1..=3)
        .map(|n| Worker::new(n, 20_000 + i64::from(n)))
        .collect();
    for worker in &mut workers {
        worker.join(&world, &otto).await;
    }
    for _ in 0..120 {
        let (who, which) = (dice.roll(2), usize::try_from(dice.roll(3)).unwrap());
        let requester = &requesters[usize::try_from(who).unwrap()];
        let worker = &mut workers[which];
        match dice.roll(12) {
            0 | 1 => {
                // Refused when nothing is free or the money is gone; both are fine.
                let _ = world.exchange.submit(requester, spec(""), None, None).await;
            }
            2 => {
                if let Some(job) = world
                    .exchange
                    .jobs(requester, None, 1)
                    .await
                    .unwrap()
                    .items
                    .first()
                {
                    let _ = world.exchange.stop(requester, job.id).await;
                }
            }
            3 => worker.disconnect(&world).await,
            4 => {
                if worker.session.is_none() {
                    if dice.roll(2) == 0 {
                        worker.runs.clear();
                    }
                    let _ = worker.connect(&world, None).await;
                }
            }
            5 => {
                world.crash().await;
                for worker in &mut workers {
                    worker.session = None;
                }
            }
            6 => {
                worker.read();
                if !worker.runs.is_empty() && worker.session.is_some() {
                    let end = if dice.roll(2) == 0 {
                        RunEnd::Exited { code: 0 }
                    } else {
                        RunEnd::OutOfMemory { limit_mib: 1 }
                    };
                    worker.end(&world, end).await;
                }
            }
            7 => world.pass(i64::try_from(dice.roll(9_000)).unwrap()),
            8 => {
                worker.read();
                if !worker.runs.is_empty() && worker.session.is_some() {
                    worker.start(&world).await;
                }
            }
            _ => {
                let seconds = dice.roll(6);
                worker.read();
                worker.work(&world, seconds).await;
            }
        }
        world.tick().await;
        check(&world, &requesters, seed).await;
    }
    assert!(
        crate::rounds::check_all(&world.exchange).await > 0,
        "seed {seed}"
    );
}

async fn check(world: &World, requesters: &[exchange::Actor; 2], seed: u64) {
    assert_eq!(world.sum_of_books().await, 0, "seed {seed}");
    for (actor, credit) in requesters.iter().zip([2_000_000, 5_000_000]) {
        let balance = world.exchange.balance(actor).await.unwrap();
        let jobs = world.exchange.jobs(actor, None, 100).await.unwrap().items;
        let mut charged = 0;
        for job in &jobs {
            let receipts = world.exchange.receipts(actor, job.id).await.unwrap();
            charged += receipts
                .iter()
                .map(|receipt| receipt.charged.base())
                .sum::<i64>();
        }
        let total = balance.available.base() + balance.held.base() + charged;
        assert_eq!(
            total, credit,
            "seed {seed}: what was credited is available, held or receipted"
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

/// `IOG_SEEDS` runs more of them.
#[tokio::test]
async fn whatever_happens_the_books_hold() {
    let seeds = std::env::var("IOG_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12);
    for seed in 1..=seeds {
        run(seed).await;
    }
}
