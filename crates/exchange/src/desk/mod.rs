//! The desk: what an [`Exchange`] is made of, and how it starts. Its memory, the index over the database, is in
//! [`memory`], with what it holds of a lease in [`lease`] and of a node in [`node`]; files that hold keys are in [`keys`].

mod keys;
mod lease;
mod memory;
mod node;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::SigningKey;
use kernel::{Clock, Timestamp};
use protocol::money::ProofView;
use store::{RoundHead, Store};
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::explorer::Sums;
use crate::live::LiveHub;
use crate::ports::Entropy;
use crate::settings::Settings;
use crate::settle::Watched;

use keys::platform_key;
pub(crate) use keys::secret_key_file;
pub(crate) use lease::{LeaseLive, Stopping, UPLOAD_ALLOWANCE_MS};
pub(crate) use memory::Memory;
pub(crate) use node::{Link, NodeLive};

const EXPORTS_AT_ONCE: usize = 2;

/// The application. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Exchange {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub settings: Settings,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub key: SigningKey,
    pub live: LiveHub,
    /// When this process took over from the one before.
    pub opened_at: Timestamp,
    memory: Mutex<Memory>,
    /// What was seen of endpoints.
    pub boards: crate::endpoints::Boards,
    /// Commands that change a lease run one after the other: each reads, writes and commits before the next.
    pub desk: tokio::sync::Mutex<()>,
    /// Bundles are stored and removed one after the other, each with its row.
    pub shelf: tokio::sync::Mutex<()>,
    /// Who writes what the memory holds of logs and samples.
    pub flushing: tokio::sync::Mutex<()>,
    /// Where the record of rounds ends, as far as it is known. Taken within a transaction, and held until it is over.
    pub record: tokio::sync::Mutex<Option<RoundHead>>,
    /// A replay hashes a whole book: one at a time.
    pub replaying: Semaphore,
    /// Invoices and exports hold what they tell in memory: a few at once.
    pub exporting: Semaphore,
    /// One round with the chain at a time.
    pub settling: tokio::sync::Mutex<()>,
    /// One look of the reconciler at a time.
    pub reconciling: tokio::sync::Mutex<()>,
    /// The newest proof of the books.
    pub proof: tokio::sync::Mutex<Option<ProofView>>,
    /// Who reached what of jobs within the hour, as far as it is in the audit log.
    pub reached: Mutex<crate::doors::Reached>,
    /// What the chain told last.
    pub watched: std::sync::RwLock<Watched>,
    /// The newest sums over all payouts and jobs.
    pub sums: tokio::sync::Mutex<Option<Sums>>,
    /// Password hashing is made slow on purpose; more at once would starve everything else.
    pub hashing: Semaphore,
}

impl Exchange {
    /// Opens the database, brings it up to date, reads or makes the platform's key, rebuilds the index.
    ///
    /// # Errors
    /// The database or the data directory cannot be used; the message names it.
    pub async fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        for folder in ["", "bundles", "artefacts", "incoming", "recordings"] {
            let path = settings.data_dir.join(folder);
            std::fs::create_dir_all(&path)
                .map_err(|source| file_error("making the data directory", &path, source))?;
        }
        let key = platform_key(&settings.data_dir.join("platform.key"), entropy.as_ref())?;
        let store = Store::open(&settings.database_url).await?;
        let mut boot = [0; 8];
        entropy.fill(&mut boot);
        let inner = Inner {
            settings,
            store,
            opened_at: clock.now(),
            clock,
            entropy,
            key,
            live: LiveHub::new(hex::encode(boot)),
            memory: Mutex::default(),
            boards: crate::endpoints::Boards::default(),
            desk: tokio::sync::Mutex::default(),
            shelf: tokio::sync::Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            record: tokio::sync::Mutex::default(),
            replaying: Semaphore::new(1),
            exporting: Semaphore::new(EXPORTS_AT_ONCE),
            settling: tokio::sync::Mutex::default(),
            reconciling: tokio::sync::Mutex::default(),
            proof: tokio::sync::Mutex::default(),
            reached: Mutex::default(),
            watched: std::sync::RwLock::default(),
            sums: tokio::sync::Mutex::default(),
            hashing: Semaphore::new(2),
        };
        let exchange = Self {
            inner: Arc::new(inner),
        };
        exchange.rebuild().await?;
        exchange.learn_scarcity().await?;
        Ok(exchange)
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub fn live(&self) -> &LiveHub {
        &self.inner.live
    }

    /// The platform's public key, 64 hexadecimal digits.
    pub fn platform_key(&self) -> String {
        hex::encode(self.inner.key.verifying_key().as_bytes())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.inner.store.ping().await?)
    }

    /// Writes what is still in memory and closes the database. Leases stay as they are.
    pub async fn shutdown(&self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last log lines and samples could not be written");
        }
        self.inner.store.close().await;
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.entropy.fill(&mut bytes);
        bytes
    }

    /// A new secret: 32 random bytes as hexadecimal digits behind a prefix that tells what it is.
    pub(crate) fn secret(&self, prefix: &str) -> String {
        format!("{prefix}{}", hex::encode(self.random::<32>()))
    }

    pub(crate) fn data(&self, folder: &str, name: &str) -> PathBuf {
        self.inner.settings.data_dir.join(folder).join(name)
    }
}

/// What is stored of a secret.
pub(crate) fn secret_hash(secret: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(secret.as_bytes()))
}

pub(crate) fn file_error(what: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what,
        path: path.display().to_string(),
        source,
    }
}
