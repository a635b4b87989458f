//! A worker that answers challenges: honestly, or in one of the ways of a cheat.

use ed25519_dalek::{Signer, SigningKey};
use exchange::Challenges;
use kernel::{ChallengeId, Seconds};
use proof::Binding;
use proof::fill;
use proof::key::{Key, Purpose};
use proof::plan::Bounds;
use proof::product::{self, Factors, Product};
use proof::sweep::{self, Sweeps};
use protocol::proof::{Answer, Ask, Figures, Outcome, Task, Unanswered, product_bytes};
use protocol::spec::DeviceClass;
use protocol::worker::{FromWorker, ToWorker};

use crate::world::{Worker, World};

/// Small, so that a plain computer answers at once.
pub async fn world(backend: &str) -> World {
    World::with(backend, |settings| {
        settings.unproven_gpus = false;
        settings.challenges = Some(Challenges {
            every: Seconds::HOUR,
            bounds: Bounds {
                blocks_max: 130,
                sweeps_max: 3,
                size_max: 24,
            },
        });
    })
    .await
}

pub const CARD: (DeviceClass, &str, u64) = (DeviceClass::Gpu, "NVIDIA GeForce RTX 4090", 24_564);

#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    Honest,
    /// It has half of the memory and guesses the rest.
    HalfMemory,
    /// It keeps one word of each block.
    OneWord,
    /// It sends roots of nothing and computes what it is asked to open.
    ComputesLater,
    /// It reads its memory once, under keys that it has guessed before there were roots.
    GuessesKeys,
    /// It makes up one sweep of the three.
    SweepLess,
    /// It leaves one root out.
    RootLess,
    /// Its product is of noise.
    Noise,
    /// A factor is left out.
    FactorLess,
    /// Each answer takes so long.
    Slow(i64),
    /// The sweeps alone take so long: its blocks lie in the machine's own memory.
    SlowSweeps(i64),
    /// What it answered to an older challenge, or what another answered.
    Replays(Vec<Answer>),
    /// Nothing at all.
    Silent,
    /// It says that it is hired.
    SaysHired,
    Software,
}

/// One talk from the worker's side.
pub struct Talk {
    pub challenge: ChallengeId,
    pub task: Task,
    node_key: String,
    sweeps: Sweeps,
    product: Option<Product>,
    pub answers: Vec<Answer>,
}

impl Talk {
    fn binding(&self) -> Binding<'_> {
        Binding {
            challenge: self.challenge,
            node_key: &self.node_key,
            device_uuid: &self.task.device_uuid,
        }
    }

    fn answer(&mut self, ask: &Ask, way: &Way, signing: &SigningKey) -> Answer {
        let at = self.answers.len();
        if let Way::Replays(old) = way
            && let Some(Answer::Echo { .. }) | None = old.first()
            && at > 0
            && let Some(answer) = old.get(at)
        {
            return answer.clone();
        }
        let key = |seed: &str, purpose| Key::new(&self.binding(), seed, purpose);
        match ask {
            Ask::Echo { payload, .. } => Answer::Echo {
                payload: payload.clone(),
            },
            Ask::Fill => Answer::Filled,
            Ask::Sweep { key: asked } => {
                let filled =
                    fill::filled(key(&self.task.seed, Purpose::Fill), self.task.fill, || true);
                let mut filled = filled.unwrap();
                if *way == Way::OneWord {
                    for words in &mut filled {
                        words[1..].fill(0);
                    }
                }
                let mut number = 0;
                let one = |key| {
                    let mut words = sweep::answers(key, &filled);
                    if *way == Way::HalfMemory {
                        words
                            .iter_mut()
                            .skip(1)
                            .step_by(2)
                            .for_each(|word| *word = 0);
                    }
                    if *way == Way::SweepLess && number == 1 {
                        words.fill(7);
                    }
                    number += 1;
                    words
                };
                let next = |text: &str| match way {
                    Way::GuessesKeys if text != asked => Key([1, 2, 3, 4]),
                    _ => sweep::key(&self.binding(), text),
                };
                let many = self.task.fill.sweeps;
                let real = Sweeps::of(asked, many, next, one, || true).unwrap();
                let mut roots = real.roots();
                match way {
                    Way::ComputesLater => roots.fill(format!("{:064x}", 1)),
                    Way::RootLess => roots.truncate(2),
                    _ => {}
                }
                self.sweeps = real;
                Answer::Swept { roots }
            }
            Ask::OpenSweeps { places } => Answer::OpenedSweeps {
                openings: self.sweeps.open(places),
                figures: Figures::default(),
            },
            Ask::Multiply { key } => {
                let factors = Factors::new(&self.binding(), key);
                let mut task = self.task.product;
                if *way == Way::FactorLess {
                    task.factors -= 1;
                }
                let mut words = product::rows(&factors, task, || true).unwrap().concat();
                if *way == Way::Noise {
                    words = (0..)
                        .zip(&words)
                        .map(|(at, _)| Key([1, 2, 3, 4]).word(at, 9))
                        .collect();
                }
                let product = Product::of(words, task.size);
                let root = product.root();
                self.product = Some(product);
                let signed = product_bytes(self.challenge, &self.task.device_uuid, &root);
                let signature = hex::encode(signing.sign(&signed).to_bytes());
                Answer::Product { root, signature }
            }
            Ask::OpenRows { rows } => Answer::OpenedRows {
                openings: self.product.as_ref().unwrap().open(rows),
            },
            Ask::Over { .. } => unreachable!("nobody asks any more"),
        }
    }
}

/// What was asked of a worker and not looked at yet.
fn asked(worker: &mut Worker) -> Vec<(ChallengeId, Ask)> {
    worker.read();
    let (asks, others): (Vec<ToWorker>, Vec<ToWorker>) = worker
        .seen
        .drain(..)
        .partition(|message| matches!(message, ToWorker::Prove { .. }));
    worker.seen = others;
    let ask = |message| match message {
        ToWorker::Prove { challenge, ask } => Some((challenge, ask)),
        _ => None,
    };
    asks.into_iter().filter_map(ask).collect()
}

/// Answers until nobody asks any more: the talks, and how each ended.
pub async fn answer(world: &World, worker: &mut Worker, way: &Way) -> Vec<(Talk, Option<Outcome>)> {
    let node_key = hex::encode(worker.key.verifying_key().as_bytes());
    let mut talks: Vec<(Talk, Option<Outcome>)> = Vec::new();
    for _ in 0..20 {
        world.exchange.prove().await.unwrap();
        let asks = asked(worker);
        if asks.is_empty() {
            break;
        }
        for (challenge, ask) in asks {
            if let Ask::Echo { task, .. } = &ask {
                talks.push((
                    Talk {
                        challenge,
                        task: (**task).clone(),
                        node_key: node_key.clone(),
                        sweeps: Sweeps::default(),
                        product: None,
                        answers: Vec::new(),
                    },
                    None,
                ));
            }
            let Some((talk, outcome)) = talks
                .iter_mut()
                .find(|(talk, _)| talk.challenge == challenge)
            else {
                continue;
            };
            if let Ask::Over { outcome: how, .. } = ask {
                *outcome = Some(how);
                continue;
            }
            let answer = match way {
                Way::Silent => continue,
                Way::SaysHired => Answer::Ended {
                    why: Unanswered::Hired,
                    reason: String::new(),
                },
                Way::Software => Answer::Ended {
                    why: Unanswered::Software,
                    reason: "llvmpipe".into(),
                },
                _ => talk.answer(&ask, way, &worker.key),
            };
            talk.answers.push(answer.clone());
            match way {
                Way::Slow(millis) => world.pass(*millis),
                Way::SlowSweeps(millis) if matches!(ask, Ask::Sweep { .. }) => {
                    world.pass(*millis);
                }
                _ => {}
            }
            let message = FromWorker::Proof {
                challenge,
                answer: Box::new(answer),
            };
            worker.send(world, message).await.unwrap();
        }
    }
    talks
}
