//! The chain on disk: one file (redb), in which each block is one transaction that is flushed before anybody hears of it.
//!
//! Whatever moment the process is killed at, the file holds whole blocks and every accepted transaction that was answered.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::transaction::Hash;
use crate::types::Address;
use crate::vm::{Change, Event, State};

/// The VM's keys.
const STATE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("state");
/// Version to [`Committed`].
const TRANSACTIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("transactions");
/// Hash to version.
const HASHES: TableDefinition<&[u8], u64> = TableDefinition::new("hashes");
/// Sender and version.
const SENDERS: TableDefinition<(&[u8], u64), ()> = TableDefinition::new("senders");
/// Height to [`Block`].
const BLOCKS: TableDefinition<u64, &[u8]> = TableDefinition::new("blocks");
/// Address to its next sequence number.
const ACCOUNTS: TableDefinition<&[u8], u64> = TableDefinition::new("accounts");
/// Address and nonce to the second after which the nonce may come again.
const NONCES: TableDefinition<(&[u8], u64), u64> = TableDefinition::new("nonces");
/// Accepted and not yet in a block, by order of arrival: [`Waiting`].
const WAITING: TableDefinition<u64, &[u8]> = TableDefinition::new("waiting");
/// One row: [`Head`].
const HEAD: TableDefinition<&str, &[u8]> = TableDefinition::new("head");
const HEAD_KEY: &str = "head";

/// The store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the chain's file: {0}")]
    Database(#[from] redb::Error),
    #[error("the chain's file holds what this version cannot read: {0}")]
    Format(#[from] bcs::Error),
}

macro_rules! from {
    ($($error:ident),*) => { $(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        }
    )* };
}
from!(
    DatabaseError,
    TransactionError,
    TableError,
    StorageError,
    CommitError,
    SetDurabilityError
);

/// Where the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub height: u64,
    pub version: u64,
    pub micros: u64,
    /// By how much the ledger's time was moved ahead of the clock.
    pub ahead_micros: u64,
    /// Chains the hashes of all transactions.
    pub accumulator: Hash,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub height: u64,
    pub hash: Hash,
    pub micros: u64,
    pub first: u64,
    pub last: u64,
}

/// What a transaction was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Genesis,
    BlockMetadata,
    User { signed: Vec<u8> },
}

/// A transaction with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub version: u64,
    pub height: u64,
    pub micros: u64,
    pub hash: Hash,
    pub kind: Kind,
    pub success: bool,
    pub vm_status: String,
    pub gas_used: u64,
    /// Type and data as JSON.
    pub events: Vec<(String, String)>,
    pub state_change_hash: Hash,
    pub event_root_hash: Hash,
    pub accumulator: Hash,
}

impl Committed {
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.events.iter().map(|(tag, data)| Event {
            tag: tag.clone(),
            data: serde_json::from_str(data).unwrap_or_default(),
        })
    }
}

/// A transaction that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub signed: Vec<u8>,
    /// Kept back by a fault until it expires or is released.
    pub stalled: bool,
}

/// Everything a block changes.
#[derive(Debug, Default)]
pub struct Batch {
    pub state: Vec<Change>,
    pub transactions: Vec<(Committed, Option<Address>)>,
    pub accounts: Vec<(Address, u64)>,
    pub nonces: Vec<(Address, u64, u64)>,
    pub forgotten_nonces: Vec<(Address, u64)>,
    pub waiting: Vec<(u64, Waiting)>,
    pub gone: Vec<u64>,
    pub block: Option<Block>,
    pub head: Option<Head>,
}

/// What is in memory while the chain runs.
#[derive(Debug, Default)]
pub struct Loaded {
    pub head: Option<Head>,
    pub state: State,
    pub accounts: Vec<(Address, u64)>,
    pub nonces: Vec<(Address, u64, u64)>,
    pub waiting: Vec<(u64, Waiting)>,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

fn address(bytes: &[u8]) -> Address {
    bytes.try_into().map(Address).unwrap_or_default()
}

impl Store {
    /// Opens or creates the chain's file in a directory that exists.
    ///
    /// # Errors
    /// The file is in use, no chain's, or cannot be written.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let database = Database::create(directory.join("chain.redb"))?;
        let store = Self { database };
        // So that reading never meets a table that is not there.
        let write = store.database.begin_write()?;
        write.open_table(STATE)?;
        write.open_table(TRANSACTIONS)?;
        write.open_table(HASHES)?;
        write.open_table(SENDERS)?;
        write.open_table(BLOCKS)?;
        write.open_table(ACCOUNTS)?;
        write.open_table(NONCES)?;
        write.open_table(WAITING)?;
        write.open_table(HEAD)?;
        write.commit()?;
        Ok(store)
    }

    /// # Errors
    /// The file cannot be read.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let read = self.database.begin_read()?;
        let mut loaded = Loaded::default();
        if let Some(head) = read.open_table(HEAD)?.get(HEAD_KEY)? {
            loaded.head = Some(bcs::from_bytes(head.value())?);
        }
        let mut entries = Vec::new();
        for row in read.open_table(STATE)?.iter()? {
            let (key, value) = row?;
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        loaded.state = State::from_entries(entries);
        for row in read.open_table(ACCOUNTS)?.iter()? {
            let (key, next) = row?;
            loaded.accounts.push((address(key.value()), next.value()));
        }
        for row in read.open_table(NONCES)?.iter()? {
            let (key, until) = row?;
            let (owner, nonce) = key.value();
            loaded.nonces.push((address(owner), nonce, until.value()));
        }
        for row in read.open_table(WAITING)?.iter()? {
            let (arrival, waiting) = row?;
            loaded
                .waiting
                .push((arrival.value(), bcs::from_bytes(waiting.value())?));
        }
        Ok(loaded)
    }

    /// Writes all of it or nothing, and returns when it is on the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        {
            let mut state = write.open_table(STATE)?;
            for (key, value) in &batch.state {
                match value {
                    Some(value) => state.insert(key.as_slice(), value.as_slice())?,
                    None => state.remove(key.as_slice())?,
                };
            }
            let mut transactions = write.open_table(TRANSACTIONS)?;
            let mut hashes = write.open_table(HASHES)?;
            let mut senders = write.open_table(SENDERS)?;
            for (committed, sender) in &batch.transactions {
                transactions.insert(committed.version, bcs::to_bytes(committed)?.as_slice())?;
                hashes.insert(committed.hash.as_slice(), committed.version)?;
                if let Some(sender) = sender {
                    senders.insert((sender.0.as_slice(), committed.version), ())?;
                }
            }
            let mut accounts = write.open_table(ACCOUNTS)?;
            for (owner, next) in &batch.accounts {
                accounts.insert(owner.0.as_slice(), *next)?;
            }
            let mut nonces = write.open_table(NONCES)?;
            for (owner, nonce) in &batch.forgotten_nonces {
                nonces.remove((owner.0.as_slice(), *nonce))?;
            }
            for (owner, nonce, until) in &batch.nonces {
                nonces.insert((owner.0.as_slice(), *nonce), *until)?;
            }
            let mut waiting = write.open_table(WAITING)?;
            for (arrival, entry) in &batch.waiting {
                waiting.insert(*arrival, bcs::to_bytes(entry)?.as_slice())?;
            }
            for arrival in &batch.gone {
                waiting.remove(*arrival)?;
            }
            if let Some(block) = &batch.block {
                write
                    .open_table(BLOCKS)?
                    .insert(block.height, bcs::to_bytes(block)?.as_slice())?;
            }
            if let Some(head) = &batch.head {
                write
                    .open_table(HEAD)?
                    .insert(HEAD_KEY, bcs::to_bytes(head)?.as_slice())?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// # Errors
    /// The file cannot be read.
    pub fn by_version(&self, version: u64) -> Result<Option<Committed>, StoreError> {
        let read = self.database.begin_read()?;
        match read.open_table(TRANSACTIONS)?.get(version)? {
            Some(bytes) => Ok(Some(bcs::from_bytes(bytes.value())?)),
            None => Ok(None),
        }
    }

    /// # Errors
    /// The file cannot be read.
    pub fn by_hash(&self, hash: &Hash) -> Result<Option<Committed>, StoreError> {
        let read = self.database.begin_read()?;
        let version = read
            .open_table(HASHES)?
            .get(hash.as_slice())?
            .map(|found| found.value());
        match version {
            Some(version) => self.by_version(version),
            None => Ok(None),
        }
    }

    /// Transactions from a version on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn range(&self, start: u64, limit: usize) -> Result<Vec<Committed>, StoreError> {
        let read = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in read.open_table(TRANSACTIONS)?.range(start..)?.take(limit) {
            found.push(bcs::from_bytes(row?.1.value())?);
        }
        Ok(found)
    }

    /// The newest transactions that somebody sent, and genesis, oldest first. It looks back over a day of empty blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn latest_of_people(&self, limit: usize) -> Result<Vec<Committed>, StoreError> {
        const LOOK_BACK: usize = 100_000;
        let read = self.database.begin_read()?;
        let mut found: Vec<Committed> = Vec::new();
        for row in read.open_table(TRANSACTIONS)?.iter()?.rev().take(LOOK_BACK) {
            let committed: Committed = bcs::from_bytes(row?.1.value())?;
            if committed.kind != Kind::BlockMetadata {
                found.push(committed);
                if found.len() == limit {
                    break;
                }
            }
        }
        found.reverse();
        Ok(found)
    }

    /// What an account sent. Without a start, the newest; always oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn by_sender(
        &self,
        sender: Address,
        skip: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Committed>, StoreError> {
        let read = self.database.begin_read()?;
        let owner = sender.0.as_slice();
        let table = read.open_table(SENDERS)?;
        let rows = table.range((owner, 0)..=(owner, u64::MAX))?;
        let mut versions = Vec::new();
        if let Some(skip) = skip {
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            for row in rows.skip(skip).take(limit) {
                versions.push(row?.0.value().1);
            }
        } else {
            for row in rows.rev().take(limit) {
                versions.push(row?.0.value().1);
            }
            versions.reverse();
        }
        let mut found = Vec::new();
        for version in versions {
            found.extend(self.by_version(version)?);
        }
        Ok(found)
    }

    /// # Errors
    /// The file cannot be read.
    pub fn block(&self, height: u64) -> Result<Option<Block>, StoreError> {
        let read = self.database.begin_read()?;
        match read.open_table(BLOCKS)?.get(height)? {
            Some(bytes) => Ok(Some(bcs::from_bytes(bytes.value())?)),
            None => Ok(None),
        }
    }
}
