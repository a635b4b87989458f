//! The chain itself: what is accepted, what is in which block, and what became of it.

mod development;
mod genesis;
mod rules;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use kernel::Clock;
use serde_json::Value;

pub use development::{apt_metadata, development_address, primary_store};
pub use rules::{GAS_UNIT, MAX_GAS, MAX_GAS_PRICE, MIN_GAS_PRICE, Refusal};

use crate::package::Toolkit;
use crate::store::{Batch, Block, Committed, Head, Kind, Store, StoreError, Waiting};
use crate::transaction::{Hash, Replay, SignedTransaction, sha3};
use crate::types::Address;
use crate::vm::{Call, Event, Libraries, Moment, Status, Vm, VmError};

/// As many transactions go into one block; the others wait for the next.
const BLOCK_LIMIT: usize = 1_000;
/// Seconds after its transaction's expiry for which a nonce is remembered.
const NONCE_MEMORY_S: u64 = 65;

/// The chain cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Vm(#[from] VmError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {error}", path.display())]
    Directory {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}")]
    Package(String),
}

/// Where a chain lives and what it starts with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data: PathBuf,
    /// The Move package that is published by the development account at the first start.
    pub package: Option<PathBuf>,
    /// The stand-in for the framework.
    pub standin: PathBuf,
    /// The package's own named address, which becomes the development account.
    pub named_address: String,
}

/// An accepted transaction that is in no block yet.
#[derive(Debug, Clone)]
struct Pending {
    transaction: SignedTransaction,
    hash: Hash,
    stalled: bool,
    /// Dropped at the next block, as one that expired.
    doomed: bool,
}

/// What is done with an accepted transaction when a fault was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Ordinary,
    /// Stays in the mempool until it expires or is released.
    Stall,
    /// Leaves the mempool without ever being executed.
    Expire,
}

/// What a call did, or would have done.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub success: bool,
    pub vm_status: String,
    pub gas_used: u64,
    pub events: Vec<Event>,
}

/// An accepted transaction, and the row that makes it durable (none when it was there already).
#[derive(Debug)]
pub struct Accepted {
    pub hash: Hash,
    pub row: Option<(u64, Waiting)>,
}

/// The chain in memory over its file.
pub struct Chain {
    vm: Vm,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    head: Head,
    accounts: HashMap<Address, u64>,
    nonces: BTreeMap<(Address, u64), u64>,
    waiting: BTreeMap<u64, Pending>,
    by_hash: HashMap<Hash, u64>,
    /// Which numbers and nonces of which sender are waiting.
    slots: BTreeMap<(Address, Replay), Hash>,
    arrivals: u64,
}

impl Chain {
    /// Opens a chain; the first time it is made: the framework's stand-in, APT, and the package with its `init_module`s.
    ///
    /// # Errors
    /// The libraries, the package or the file cannot be used.
    pub fn open(
        settings: &Settings,
        libraries: &Libraries,
        tools: &Toolkit,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ChainError> {
        std::fs::create_dir_all(&settings.data).map_err(|error| ChainError::Directory {
            path: settings.data.clone(),
            error,
        })?;
        let store = Store::open(&settings.data)?;
        let loaded = store.load()?;
        let mut chain = Self {
            vm: Vm::load(libraries, loaded.state)?,
            store: Arc::new(store),
            clock,
            head: loaded.head.unwrap_or(Head {
                height: 0,
                version: 0,
                micros: 0,
                ahead_micros: 0,
                accumulator: [0; 32],
            }),
            accounts: loaded.accounts.into_iter().collect(),
            nonces: loaded
                .nonces
                .into_iter()
                .map(|(owner, nonce, until)| ((owner, nonce), until))
                .collect(),
            waiting: BTreeMap::new(),
            by_hash: HashMap::new(),
            slots: BTreeMap::new(),
            arrivals: 0,
        };
        if loaded.head.is_none() {
            chain.genesis(settings, tools)?;
        } else if let Some(package) = &settings.package {
            chain.compare(package, settings, tools);
        }
        chain.restore(loaded.waiting)?;
        Ok(chain)
    }

    /// Takes the accepted transactions of before back in, unless a block has them already.
    fn restore(&mut self, rows: Vec<(u64, Waiting)>) -> Result<(), ChainError> {
        let mut batch = Batch::default();
        for (arrival, row) in rows {
            self.arrivals = self.arrivals.max(arrival);
            let read = SignedTransaction::read(&row.signed).ok();
            let known = match &read {
                Some(transaction) => self.store.by_hash(&transaction.hash())?.is_some(),
                None => true,
            };
            match read {
                Some(transaction) if !known => {
                    let hash = transaction.hash();
                    let stalled = row.stalled;
                    self.put(
                        arrival,
                        Pending {
                            transaction,
                            hash,
                            stalled,
                            doomed: false,
                        },
                    );
                }
                _ => batch.gone.push(arrival),
            }
        }
        Ok(self.store.commit(&batch)?)
    }

    /// The clock with what the ledger was moved ahead, and never back.
    fn now_micros(&self) -> u64 {
        let clock = u64::try_from(self.clock.now().millis()).unwrap_or_default() * 1_000;
        (clock + self.head.ahead_micros).max(self.head.micros + 1)
    }

    pub fn head(&self) -> Head {
        self.head
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// The next sequence number of an account; 0 for one that never sent anything.
    pub fn sequence_number(&self, account: Address) -> u64 {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// How many transactions wait for a block.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A transaction that waits.
    pub fn pending(&self, hash: &Hash) -> Option<&SignedTransaction> {
        let arrival = self.by_hash.get(hash)?;
        Some(&self.waiting.get(arrival)?.transaction)
    }

    /// Takes a transaction whose signatures were verified into the mempool. It is accepted when its row is on the disk.
    ///
    /// # Errors
    /// Why it can never be, or is not now, accepted.
    pub fn accept(
        &mut self,
        transaction: SignedTransaction,
        fate: Fate,
    ) -> Result<Accepted, Refusal> {
        let hash = transaction.hash();
        if self.by_hash.contains_key(&hash) {
            return Ok(Accepted { hash, row: None });
        }
        self.admit(&transaction)?;
        self.arrivals += 1;
        let stalled = fate == Fate::Stall;
        let row = Waiting {
            signed: transaction.bytes(),
            stalled,
        };
        let doomed = fate == Fate::Expire;
        self.put(
            self.arrivals,
            Pending {
                transaction,
                hash,
                stalled,
                doomed,
            },
        );
        Ok(Accepted {
            hash,
            row: Some((self.arrivals, row)),
        })
    }

    fn put(&mut self, arrival: u64, pending: Pending) {
        let raw = &pending.transaction.raw;
        self.slots.insert((raw.sender, raw.replay()), pending.hash);
        self.by_hash.insert(pending.hash, arrival);
        self.waiting.insert(arrival, pending);
    }

    fn take(&mut self, arrival: u64) -> Option<Pending> {
        let pending = self.waiting.remove(&arrival)?;
        let raw = &pending.transaction.raw;
        self.slots.remove(&(raw.sender, raw.replay()));
        self.by_hash.remove(&pending.hash);
        Some(pending)
    }

    /// Lets everything go on that a fault kept back, and tells how many that were.
    pub fn release(&mut self) -> usize {
        let mut released = 0;
        for pending in self.waiting.values_mut() {
            released += usize::from(std::mem::take(&mut pending.stalled));
        }
        released
    }

    /// Moves the ledger's time ahead; the next block has it.
    pub fn advance(&mut self, seconds: u64) {
        self.head.ahead_micros = self
            .head
            .ahead_micros
            .saturating_add(seconds.saturating_mul(1_000_000));
    }

    /// Makes a block of what waits and is due, and returns when it is on the disk.
    ///
    /// # Errors
    /// The file cannot be written: memory is then ahead of the disk and the process must end.
    pub fn produce(&mut self) -> Result<Head, ChainError> {
        let micros = self.now_micros();
        let mut head = Head {
            height: self.head.height + 1,
            micros,
            ..self.head
        };
        let block_hash = sha3(&[
            b"iog-devchain block",
            &head.accumulator,
            &head.height.to_be_bytes(),
            &micros.to_be_bytes(),
        ]);
        let mut batch = Batch::default();
        let first = head.version + 1;

        self.vm.enter(Moment {
            height: head.height,
            micros,
            hash: block_hash,
        });
        batch.state.extend(self.vm.state.accept());
        let metadata = sha3(&[b"iog-devchain block metadata", &block_hash]);
        let outcome = Outcome {
            success: true,
            vm_status: EXECUTED.into(),
            gas_used: 0,
            events: Vec::new(),
        };
        head.version += 1;
        let committed = seal(
            &mut head,
            Kind::BlockMetadata,
            metadata,
            outcome,
            changes_hash(&batch.state),
        );
        batch.transactions.push((committed, None));

        let seconds = micros / 1_000_000;
        for arrival in self.due(seconds, &mut batch) {
            let Some(pending) = self.take(arrival) else {
                continue;
            };
            batch.gone.push(arrival);
            self.run(&pending, &mut head, &mut batch);
        }
        self.forget_nonces(seconds, &mut batch);

        batch.block = Some(Block {
            height: head.height,
            hash: block_hash,
            micros,
            first,
            last: head.version,
        });
        batch.head = Some(head);
        self.store.commit(&batch)?;
        self.head = head;
        Ok(head)
    }

    /// The transactions of the next block in their order. Those that can never run any more leave the mempool.
    fn due(&mut self, seconds: u64, batch: &mut Batch) -> Vec<u64> {
        let mut due = Vec::new();
        let mut gone = Vec::new();
        let mut next: HashMap<Address, u64> = HashMap::new();
        // A sender's numbers may have arrived in any order: each round takes those whose turn it is.
        let mut later: BTreeMap<(Address, u64), u64> = BTreeMap::new();
        for (arrival, pending) in &self.waiting {
            let raw = &pending.transaction.raw;
            if raw.expiration_timestamp_secs <= seconds || pending.doomed {
                gone.push(*arrival);
            } else if !pending.stalled && due.len() < BLOCK_LIMIT {
                let Replay::Sequence(number) = raw.replay() else {
                    due.push(*arrival);
                    continue;
                };
                let turn = next
                    .entry(raw.sender)
                    .or_insert_with(|| self.accounts.get(&raw.sender).copied().unwrap_or_default());
                match number.cmp(turn) {
                    Ordering::Greater => {
                        later.insert((raw.sender, number), *arrival);
                    }
                    Ordering::Less => gone.push(*arrival),
                    Ordering::Equal => {
                        due.push(*arrival);
                        *turn += 1;
                        while let Some(arrival) = later.remove(&(raw.sender, *turn)) {
                            due.push(arrival);
                            *turn += 1;
                        }
                    }
                }
            }
        }
        for arrival in gone {
            if self.take(arrival).is_some() {
                batch.gone.push(arrival);
            }
        }
        due
    }

    fn run(&mut self, pending: &Pending, head: &mut Head, batch: &mut Batch) {
        let raw = &pending.transaction.raw;
        match raw.replay() {
            Replay::Sequence(number) => {
                self.accounts.insert(raw.sender, number + 1);
                batch.accounts.push((raw.sender, number + 1));
            }
            Replay::Nonce(nonce) => {
                let until = raw.expiration_timestamp_secs + NONCE_MEMORY_S;
                self.nonces.insert((raw.sender, nonce), until);
                batch.nonces.push((raw.sender, nonce, until));
            }
        }
        self.vm.enter_transaction(pending.hash);
        let outcome = self.execute(&pending.transaction);
        let changes = self.vm.state.accept();
        head.version += 1;
        let kind = Kind::User {
            signed: pending.transaction.bytes(),
        };
        let committed = seal(head, kind, pending.hash, outcome, changes_hash(&changes));
        batch.state.extend(changes);
        batch.transactions.push((committed, Some(raw.sender)));
    }

    fn execute(&mut self, transaction: &SignedTransaction) -> Outcome {
        let raw = &transaction.raw;
        let Some(function) = raw.entry_function() else {
            let vm_status =
                "Transaction Executed and Committed with Error FEATURE_UNDER_GATING".into();
            return Outcome {
                success: false,
                vm_status,
                gas_used: 0,
                events: Vec::new(),
            };
        };
        let call = Call {
            module: function.module.clone(),
            function: function.function.clone(),
            type_arguments: function.type_arguments.clone(),
            arguments: function.arguments.clone(),
        };
        let limit = raw.max_gas_amount.saturating_mul(GAS_UNIT);
        match self.vm.execute_with(&transaction.signers(), &call, limit) {
            Ok(done) => Outcome {
                success: true,
                vm_status: EXECUTED.into(),
                gas_used: done.gas_used.div_ceil(GAS_UNIT),
                events: done.events,
            },
            Err(failure) => {
                self.vm.discard();
                let gas_used = match failure.status {
                    Status::OutOfGas => raw.max_gas_amount,
                    _ => failure.gas_used.div_ceil(GAS_UNIT),
                };
                Outcome {
                    success: false,
                    vm_status: rules::words(&failure.status),
                    gas_used,
                    events: Vec::new(),
                }
            }
        }
    }

    /// What a transaction would do now. Its signatures are not looked at.
    ///
    /// # Errors
    /// It would not be accepted.
    pub fn simulate(&mut self, transaction: &SignedTransaction) -> Result<Outcome, Refusal> {
        self.admit(transaction)?;
        self.vm.enter_transaction(transaction.hash());
        let outcome = self.execute(transaction);
        self.vm.discard();
        Ok(outcome)
    }

    fn forget_nonces(&mut self, seconds: u64, batch: &mut Batch) {
        let old: Vec<(Address, u64)> = self
            .nonces
            .iter()
            .filter(|(_, until)| **until < seconds)
            .map(|(key, _)| *key)
            .collect();
        for key in old {
            self.nonces.remove(&key);
            batch.forgotten_nonces.push(key);
        }
    }

    /// Calls a view.
    ///
    /// # Errors
    /// The VM's words.
    pub fn view(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        self.vm
            .view(call)
            .map_err(|failure| rules::words(&failure.status))
    }

    /// The VM, to read from.
    pub fn vm(&mut self) -> &mut Vm {
        &mut self.vm
    }
}

const EXECUTED: &str = "Executed successfully";

fn changes_hash(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Hash {
    sha3(&[&bcs::to_bytes(changes).unwrap_or_default()])
}

/// Makes the record of the transaction at the head's version and chains its hash.
fn seal(
    head: &mut Head,
    kind: Kind,
    hash: Hash,
    outcome: Outcome,
    state_change_hash: Hash,
) -> Committed {
    let events: Vec<(String, String)> = outcome
        .events
        .into_iter()
        .map(|event| (event.tag, event.data.to_string()))
        .collect();
    let event_root_hash = sha3(&[&bcs::to_bytes(&events).unwrap_or_default()]);
    head.accumulator = sha3(&[
        &head.accumulator,
        &hash,
        &state_change_hash,
        &event_root_hash,
        &outcome.gas_used.to_be_bytes(),
        &[u8::from(outcome.success)],
    ]);
    Committed {
        version: head.version,
        height: head.height,
        micros: head.micros,
        hash,
        kind,
        success: outcome.success,
        vm_status: outcome.vm_status,
        gas_used: outcome.gas_used,
        events,
        state_change_hash,
        event_root_hash,
        accumulator: head.accumulator,
    }
}
