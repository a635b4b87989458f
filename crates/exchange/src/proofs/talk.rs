//! One challenge as it goes: what was asked, what was answered, how long it took.

use ed25519_dalek::{Signature, VerifyingKey};
use kernel::{ChallengeId, DeviceId, LeaseId, NodeId, Timestamp};
use proof::check::{self, ROWS_OPENED, SweepCheck, Timings};
use proof::key::Purpose;
use proof::plan::Bounds;
use proof::product::{Factors, Freivalds};
use proof::{Band, Binding, Fault, Key, sweep};
use protocol::proof::{
    Answer, Ask, FillTask, Opening as Leaf, Outcome, Place, ProductTask, ProofReason, Record, Task,
    Unanswered, product_bytes,
};
use store::Device;

/// No step takes longer, whatever the model.
const STEP_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Echo,
    Fill,
    Sweep,
    OpenSweeps,
    Multiply,
    OpenRows,
    Answered,
}

#[derive(Clone)]
pub(super) struct Talk {
    pub challenge: ChallengeId,
    pub node: NodeId,
    pub connection: u64,
    pub device: DeviceId,
    pub started_at: Timestamp,
    pub deadline: Timestamp,
    pub record: Record,
    band: Option<&'static Band>,
    fill: FillTask,
    product: ProductTask,
    payload: String,
    step: Step,
    asked_at: Timestamp,
    /// Of the sweeps; what is stored of them is one hash.
    roots: Vec<String>,
    places: Vec<Place>,
    reads: Vec<Leaf>,
    rows: Vec<Leaf>,
    /// What ended it before its time.
    fault: Option<(Outcome, Fault)>,
}

pub(super) struct Opening<'a> {
    pub challenge: ChallengeId,
    pub node: NodeId,
    pub connection: u64,
    pub device: &'a Device,
    /// A measurement within this lease.
    pub lease: Option<LeaseId>,
    pub node_key: &'a str,
    pub band: Option<&'static Band>,
    pub bounds: Bounds,
    pub seed: String,
    pub payload: String,
    pub now: Timestamp,
}

fn secret(hex_digits: &str) -> Key {
    let mut bytes = [0; 32];
    // Our own text: it is always read.
    let _ = hex::decode_to_slice(hex_digits, &mut bytes);
    Key::secret(&bytes)
}

impl Talk {
    pub fn new(opening: Opening<'_>) -> Self {
        let device = opening.device;
        let (fill, product) = proof::plan::tasks(
            device.class,
            device.memory_mib,
            opening.band,
            opening.bounds,
        );
        Self {
            challenge: opening.challenge,
            node: opening.node,
            connection: opening.connection,
            device: device.id,
            started_at: opening.now,
            deadline: opening.now.plus_millis(STEP_MS),
            record: Record {
                node_key: opening.node_key.to_owned(),
                device_uuid: device.uuid.clone(),
                model: device.model.clone(),
                memory_mib: device.memory_mib,
                seed: opening.seed,
                blocks: fill.blocks,
                passes: fill.passes,
                sweeps: fill.sweeps,
                size: product.size,
                factors: product.factors,
                lease: opening.lease,
                ..Record::default()
            },
            band: opening.band,
            fill,
            product,
            payload: opening.payload,
            step: Step::Echo,
            asked_at: opening.now,
            roots: Vec::new(),
            places: Vec::new(),
            reads: Vec::new(),
            rows: Vec::new(),
            fault: None,
        }
    }

    pub fn first(&self) -> Ask {
        Ask::Echo {
            task: Box::new(Task {
                lease: self.record.lease,
                device_uuid: self.record.device_uuid.clone(),
                seed: self.record.seed.clone(),
                fill: self.fill,
                product: self.product,
            }),
            payload: self.payload.clone(),
        }
    }

    pub fn is_answered(&self) -> bool {
        self.step == Step::Answered
    }

    /// Takes an answer; what to ask next. `draw` gives 64 random hex digits.
    pub fn answered(
        &mut self,
        answer: Answer,
        now: Timestamp,
        draw: &mut dyn FnMut() -> String,
    ) -> Option<Ask> {
        let took = u64::try_from(now.millis_since(self.asked_at)).unwrap_or(0);
        let ask = match (self.step, answer) {
            (_, Answer::Ended { why, reason }) => return self.ended(why, &reason),
            (Step::Echo, Answer::Echo { payload }) => {
                if payload != self.payload {
                    return self.malformed("the echo is not what was sent");
                }
                let bits = u64::try_from(self.payload.len())
                    .unwrap_or(0)
                    .saturating_mul(16);
                self.record.echo_ms = took;
                self.record.network_kbit = bits / took.max(1);
                if self.record.lease.is_some() {
                    self.multiply(draw)
                } else {
                    self.step = Step::Fill;
                    Ask::Fill
                }
            }
            (Step::Fill, Answer::Filled) => {
                self.record.fill_ms = took;
                self.record.read_key = draw();
                self.step = Step::Sweep;
                Ask::Sweep {
                    key: self.record.read_key.clone(),
                }
            }
            (Step::Sweep, Answer::Swept { roots }) => {
                self.record.read_ms = took;
                self.record.reads_root = sweep::digest(&roots);
                self.roots = roots;
                self.record.reads_secret = draw();
                let of = secret(&self.record.reads_secret);
                let FillTask { blocks, sweeps, .. } = self.fill;
                self.places = check::places(of, sweep::groups(blocks), sweeps);
                let places = self.places.iter();
                self.record.groups = places.clone().map(|place| place.group).collect();
                self.record.swept = places.map(|place| place.sweep).collect();
                self.step = Step::OpenSweeps;
                Ask::OpenSweeps {
                    places: self.places.clone(),
                }
            }
            (Step::OpenSweeps, Answer::OpenedSweeps { openings, figures }) => {
                self.reads = openings;
                self.record.figures = figures;
                self.multiply(draw)
            }
            (Step::Multiply, Answer::Product { root, signature }) => {
                self.record.product_signature = signature;
                self.record.product_ms = took;
                self.record.gflops = check::gflops(self.product, took);
                self.record.product_root = root;
                self.record.product_secret = draw();
                let of = secret(&self.record.product_secret);
                self.record.rows = check::sample(of, self.product.size, ROWS_OPENED);
                self.step = Step::OpenRows;
                Ask::OpenRows {
                    rows: self.record.rows.clone(),
                }
            }
            (Step::OpenRows, Answer::OpenedRows { openings }) => {
                self.rows = openings;
                self.step = Step::Answered;
                return None;
            }
            _ => return self.malformed("an answer to another question"),
        };
        self.asked_at = now;
        self.deadline = now.plus_millis(STEP_MS);
        Some(ask)
    }

    fn multiply(&mut self, draw: &mut dyn FnMut() -> String) -> Ask {
        self.record.product_key = draw();
        self.step = Step::Multiply;
        Ask::Multiply {
            key: self.record.product_key.clone(),
        }
    }

    fn malformed(&mut self, detail: &str) -> Option<Ask> {
        let fault = Fault {
            reason: ProofReason::Malformed,
            detail: detail.to_owned(),
        };
        self.fault = Some((Outcome::Failed, fault));
        self.step = Step::Answered;
        None
    }

    fn ended(&mut self, why: Unanswered, reason: &str) -> Option<Ask> {
        let (outcome, kind) = match why {
            // A device that is hired is spared before its worker knows; so this one is not. It counts as silence: else a worker could
            // say so for ever.
            Unanswered::Hired | Unanswered::Leaving => (Outcome::Missed, ProofReason::NoAnswer),
            Unanswered::Software => (Outcome::Unable, ProofReason::Software),
            Unanswered::Unable => (Outcome::Unable, ProofReason::Unable),
        };
        let plain: String = reason.chars().filter(|c| !c.is_control()).collect();
        let fault = Fault {
            reason: kind,
            detail: plain,
        };
        self.fault = Some((outcome, fault));
        self.step = Step::Answered;
        None
    }

    /// Whether the worker signed its product.
    fn is_signed(&self) -> bool {
        let Record {
            node_key,
            device_uuid,
            product_root,
            product_signature,
            ..
        } = &self.record;
        let bytes = product_bytes(self.challenge, device_uuid, product_root);
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        hex::decode_to_slice(node_key, &mut key).is_ok()
            && hex::decode_to_slice(product_signature, &mut signature).is_ok()
            && VerifyingKey::from_bytes(&key).is_ok_and(|key| {
                key.verify_strict(&bytes, &Signature::from_bytes(&signature))
                    .is_ok()
            })
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            challenge: self.challenge,
            node_key: &self.record.node_key,
            device_uuid: &self.record.device_uuid,
        }
    }

    /// Whether what was answered is right and came in time. Takes a while.
    pub fn judge(&mut self) -> Result<(), (Outcome, Fault)> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let record = &self.record;
        let wrong = |fault| (Outcome::Failed, fault);
        let sweeps = SweepCheck {
            key: Key::new(&self.binding(), &record.seed, Purpose::Fill),
            sweeps: &sweep::keys(&self.binding(), &record.read_key, &self.roots),
            task: self.fill,
            roots: &self.roots,
            places: &self.places,
            secret: secret(&record.reads_secret),
        };
        if record.lease.is_none() {
            check::sweeps(&sweeps, &self.reads).map_err(wrong)?;
        }
        if !self.is_signed() {
            return Err(wrong(Fault {
                reason: ProofReason::Malformed,
                detail: "the product is not signed by its worker".to_owned(),
            }));
        }
        let factors = Factors::new(&self.binding(), &record.product_key);
        let freivalds = Freivalds::new(&factors, self.product, secret(&record.product_secret));
        check::rows(
            &freivalds,
            self.product,
            &record.product_root,
            &record.rows,
            &self.rows,
        )
        .map_err(wrong)?;
        let Some(band) = self.band else {
            return Ok(());
        };
        let took = Timings {
            fill_ms: record.fill_ms,
            read_ms: record.read_ms,
            product_ms: record.product_ms,
        };
        // Right but late may be the line's fault once or twice.
        check::pace(band, self.fill, self.product, took).map_err(|fault| match fault.reason {
            ProofReason::TooSlow => (Outcome::Missed, fault),
            _ => (Outcome::Failed, fault),
        })
    }
}
