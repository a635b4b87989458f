//! One challenge on its thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_probe::{Card, ProbeError};
use kernel::ChallengeId;
use proof::fill::{self, Block};
use proof::key::Purpose;
use proof::product::{self, Factors, Product};
use proof::sweep::{self, Sweeps};
use proof::{Binding, Key};
use protocol::proof::{Answer, Ask, Figures, SWEEPS_MAX, Task, Unanswered};
use tokio::sync::mpsc;

use super::{Target, bench, refusal};

/// The CPU is asked for a moment; a server that wants more of it is refused.
const CPU_BLOCKS_MAX: u32 = 4_096;
const CPU_SIZE_MAX: u32 = 512;
const FACTORS_MAX: u32 = 64;
const PASSES_MAX: u32 = 64;

pub(super) struct Bound {
    pub challenge: ChallengeId,
    pub node_key: String,
    pub task: Task,
    pub target: Target,
    pub folder: PathBuf,
    pub wanted: Arc<AtomicBool>,
}

enum Device {
    Cpu(Vec<Block>),
    Card(Box<Card>),
}

/// What is kept from one question to the next.
#[derive(Default)]
struct Kept {
    device: Option<Device>,
    /// Of a CPU; a card keeps its own.
    sweeps: Sweeps,
    product: Option<Product>,
}

impl Bound {
    /// Answers until nobody asks any more.
    pub fn answer_all(
        self,
        mut asks: mpsc::Receiver<Ask>,
        answers: &mpsc::Sender<(ChallengeId, Answer)>,
    ) {
        let mut kept = Kept::default();
        while let Some(ask) = asks.blocking_recv() {
            let answer = match self.answer(&mut kept, ask) {
                Ok(answer) => answer,
                Err(ProbeError::Stopped) => return,
                Err(error) => refusal(why(&error), &error.to_string()),
            };
            let over = matches!(answer, Answer::Ended { .. });
            if answers.blocking_send((self.challenge, answer)).is_err() || over {
                return;
            }
        }
    }

    fn answer(&self, kept: &mut Kept, ask: Ask) -> Result<Answer, ProbeError> {
        let go_on = || self.wanted.load(Ordering::Relaxed);
        Ok(match ask {
            // Both are the agent's to answer.
            Ask::Echo { .. } | Ask::Over { .. } => return Err(ProbeError::Stopped),
            Ask::Fill => {
                let key = self.key(&self.task.seed, Purpose::Fill);
                kept.device = Some(self.filled(key, &go_on)?);
                Answer::Filled
            }
            Ask::Sweep { key } => {
                let next = |text: &str| sweep::key(&self.binding(), text);
                let roots = match kept.device.as_mut() {
                    Some(Device::Cpu(blocks)) => {
                        let one = |key| sweep::answers(key, blocks);
                        let many = self.task.fill.sweeps;
                        kept.sweeps =
                            Sweeps::of(&key, many, next, one, go_on).ok_or(ProbeError::Stopped)?;
                        kept.sweeps.roots()
                    }
                    Some(Device::Card(card)) => card.sweep(&key, &next, &go_on)?,
                    None => return Err(unasked()),
                };
                Answer::Swept { roots }
            }
            Ask::OpenSweeps { places } => {
                let openings = match kept.device.as_ref() {
                    Some(Device::Cpu(_)) => kept.sweeps.open(&places),
                    Some(Device::Card(card)) => card.open_sweeps(&places)?,
                    None => return Err(unasked()),
                };
                let figures = self.figures(kept);
                Answer::OpenedSweeps { openings, figures }
            }
            Ask::Multiply { key } => {
                let factors = Factors::new(&self.binding(), &key);
                let task = self.task.product;
                let words = match (kept.device.take(), &self.target) {
                    (Some(Device::Card(mut card)), _) => {
                        card.release();
                        card.multiply(&factors, task, &go_on)?
                    }
                    // Within a lease nothing was filled before.
                    (_, Target::Card(wanted)) => {
                        Card::open(wanted)?.multiply(&factors, task, &go_on)?
                    }
                    (_, Target::Cpu) => product::rows(&factors, task, go_on)
                        .ok_or(ProbeError::Stopped)?
                        .concat(),
                };
                let product = Product::of(words, task.size);
                let root = product.root();
                kept.product = Some(product);
                // The agent signs it: the key is not this thread's.
                Answer::Product {
                    root,
                    signature: String::new(),
                }
            }
            Ask::OpenRows { rows } => Answer::OpenedRows {
                openings: kept.product.take().ok_or_else(unasked)?.open(&rows),
            },
        })
    }

    fn filled(&self, key: Key, go_on: &dyn Fn() -> bool) -> Result<Device, ProbeError> {
        let Task { fill, product, .. } = &self.task;
        let too_much =
            fill.passes > PASSES_MAX || fill.sweeps > SWEEPS_MAX || product.factors > FACTORS_MAX;
        match &self.target {
            _ if too_much => Err(ProbeError::Driver(
                "more is asked than belief allows".into(),
            )),
            Target::Cpu if fill.blocks > CPU_BLOCKS_MAX || product.size > CPU_SIZE_MAX => Err(
                ProbeError::Driver("more is asked of a CPU than it gives".into()),
            ),
            Target::Cpu => fill::filled(key, *fill, go_on)
                .map(Device::Cpu)
                .ok_or(ProbeError::Stopped),
            Target::Card(wanted) => {
                let mut card = Card::open(wanted)?;
                card.fill(key, *fill, go_on)?;
                Ok(Device::Card(Box::new(card)))
            }
        }
    }

    fn figures(&self, kept: &Kept) -> Figures {
        let mut figures = bench::host(&self.folder);
        if let Some(Device::Card(card)) = &kept.device
            && let Ok((to, from)) = card.copy_speeds(&bench::micros)
        {
            figures.to_device = Some(to);
            figures.from_device = Some(from);
        }
        figures
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            challenge: self.challenge,
            node_key: &self.node_key,
            device_uuid: &self.task.device_uuid,
        }
    }

    fn key(&self, seed: &str, purpose: Purpose) -> Key {
        Key::new(&self.binding(), seed, purpose)
    }
}

fn unasked() -> ProbeError {
    ProbeError::Driver("the exchange asked out of turn".to_owned())
}

const fn why(error: &ProbeError) -> Unanswered {
    match error {
        ProbeError::Software(_) => Unanswered::Software,
        _ => Unanswered::Unable,
    }
}
