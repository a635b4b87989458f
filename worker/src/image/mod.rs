//! Container images: pulled by digest from any registry, kept, unpacked.
//!
//! Owns: what is asked of a registry, which address it may have, what is checked before a byte is used, the cache.
//! Deliberately absent: running it (the sandbox does).
//!
//! Invariants: nothing is used whose SHA-256 is not the one that the name or the manifest says; a name in a job's
//! specification never makes this machine speak to its owner's own network; what a killed worker leaves half done is
//! never taken for whole.

mod address;
mod cache;
mod layer;
mod manifest;
mod registry;
mod room;
mod tree;
mod zstd;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use protocol::image::{ImageName, Version};
use tokio::time::Instant;

pub use cache::InUse;
pub use manifest::ImageConfig;

use cache::Cache;
use manifest::{Descriptor, Manifest, Read};
use registry::Registry;
use room::Room;

/// Compressed, all layers together: above it is the job's fault, whatever the machine's disk.
const LAYERS_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Unpacked.
const TREE_BYTES_MAX: u64 = 256 * 1024 * 1024 * 1024;
const LAYERS_MAX: usize = 256;
const LAYERS_AT_ONCE: usize = 3;
const PATIENCE: Duration = Duration::from_mins(1);
const MIB: u64 = 1024 * 1024;

/// Why an image cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    #[error("there is no image {0}")]
    NotFound(String),
    #[error(
        "{0} is not public, or does not exist: its registry asks for credentials, and a job has none to give"
    )]
    NeedsCredentials(String),
    #[error("the image is made for {there}, this machine is {here}")]
    WrongArchitecture { there: String, here: String },
    /// Something is not what its digest says.
    #[error("{0}")]
    Damaged(String),
    /// No honest image looks like this.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    TooLarge(String),
    #[error(
        "{0} stands in a private network; a job cannot make this machine speak to its owner's network"
    )]
    Private(String),
    /// Away or overloaded, perhaps not for long.
    #[error("{0}")]
    Unreachable(String),
    #[error("this machine has no room for it: {0}")]
    NoRoom(String),
    #[error("this worker's disk: {0}")]
    Disk(String),
}

impl PullError {
    /// Whether it would be the same on every machine, so that the job ends. Otherwise another machine may do better.
    pub const fn is_the_jobs_fault(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::NeedsCredentials(_)
            | Self::WrongArchitecture { .. }
            | Self::Damaged(_)
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::Private(_) => true,
            Self::Unreachable(_) | Self::NoRoom(_) | Self::Disk(_) => false,
        }
    }
}

impl From<std::io::Error> for PullError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

/// What the owner decides about images.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// Registries, as `host` or `host:port`, that jobs may pull from although they stand in the owner's network.
    pub own_registries: Vec<String>,
    /// The cache may take so much; `None`: half of what is free, 64 GiB at most.
    pub cache_bytes: Option<u64>,
    /// A registry that is away is waited for so long.
    pub patience: Option<Duration>,
}

/// How far a pull is: bytes that came and bytes that were unpacked, of both together.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub fn percent(&self) -> u8 {
        let total = self.total.load(Ordering::Relaxed).max(1);
        let done = self.done.load(Ordering::Relaxed).min(total);
        u8::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100)
    }

    fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take_back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn begin(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }
}

/// An unpacked image; kept in the cache at least as long as this lives.
#[derive(Debug)]
pub struct Image {
    /// Its root directory, read-only for whoever gets it.
    pub root: PathBuf,
    pub config: ImageConfig,
    /// A sentence for the job's log.
    pub remark: String,
    _in_use: InUse,
}

/// All images of this worker.
#[derive(Debug)]
pub struct Images {
    cache: Arc<Cache>,
    client: reqwest::Client,
    rules: Arc<address::Rules>,
    patience: Duration,
}

impl Images {
    /// Opens the cache in `directory` and removes what a killed worker left half done.
    ///
    /// # Errors
    /// The disk's, or no HTTP client can be made.
    pub fn open(directory: &Path, options: &ImageOptions) -> std::io::Result<Self> {
        let rules = Arc::new(address::Rules::new(&options.own_registries));
        let client = address::client(&rules).map_err(std::io::Error::other)?;
        Ok(Self {
            cache: Arc::new(Cache::open(directory, options.cache_bytes)?),
            client,
            rules,
            patience: options.patience.unwrap_or(PATIENCE),
        })
    }

    /// Has the image here, pulled, checked and unpacked. Dropping the future ends the pull; what is whole stays.
    ///
    /// # Errors
    /// [`PullError`], after a registry that is away was waited for.
    pub async fn pull(&self, name: &str, progress: &Arc<Progress>) -> Result<Image, PullError> {
        let name = ImageName::parse(name).map_err(|why| PullError::Invalid(why.to_owned()))?;
        let registry = Registry::new(&self.client, &self.rules, name, self.patience)?;
        let begun = Instant::now();
        let mut again = true;
        loop {
            match self.pull_once(&registry, progress, begun).await {
                // A kept layer that the disk has spoilt is gone now: it is fetched anew, once.
                Err(PullError::Damaged(why)) if again => {
                    tracing::warn!(why, "an image did not check out; pulling it once more");
                    again = false;
                }
                result => return result,
            }
        }
    }

    async fn pull_once(
        &self,
        registry: &Registry<'_>,
        progress: &Arc<Progress>,
        begun: Instant,
    ) -> Result<Image, PullError> {
        let (digest, manifest) = self.manifest(registry).await?;
        let _turn = self.cache.turn(&digest).await;
        let in_use = self.cache.hold(&digest);
        let full_name = ImageName {
            version: Version::Digest(digest.clone()),
            ..registry.name.clone()
        };
        if let Some((root, config)) = self.cache.tree(&digest) {
            return Ok(Image {
                root,
                config,
                remark: format!("Image {full_name}: kept here from an earlier job."),
                _in_use: in_use,
            });
        }
        let layers = &manifest.layers;
        let bytes = layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if layers.len() > LAYERS_MAX || bytes > LAYERS_BYTES_MAX {
            return Err(PullError::TooLarge(format!(
                "the image has {} layers of {} MiB together; at most {LAYERS_MAX} of {} are taken",
                layers.len(),
                bytes / MIB,
                LAYERS_BYTES_MAX / MIB
            )));
        }
        progress.begin(bytes.saturating_mul(2));
        let config = self.config(registry, &manifest).await?;
        let _layers_in_use: Vec<InUse> = layers
            .iter()
            .map(|layer| self.cache.hold(&layer.digest))
            .collect();
        let (known, missing): (Vec<_>, Vec<_>) = layers
            .iter()
            .partition(|layer| self.cache.has_blob(&layer.digest, layer.size));
        for layer in &known {
            progress.add(layer.size);
        }
        let wanted = missing
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        let room = make_room(&self.cache, wanted).await?;
        // Boxed: the compiler does not see through a stream of borrowing futures.
        let downloads: Vec<BoxFuture<'_, Result<PathBuf, PullError>>> = missing
            .iter()
            .map(|layer| self.blob(registry, layer, progress, Some(&room)).boxed())
            .collect();
        futures::stream::iter(downloads)
            .buffer_unordered(LAYERS_AT_ONCE)
            .try_collect::<Vec<PathBuf>>()
            .await?;
        drop(room);
        let (root, entries) = self.unpack(&digest, layers, &config, progress).await?;
        let remark = format!(
            "Image {full_name}: {} MiB in {} layers, {} of them kept here from earlier jobs; {entries} files; ready in {:.1} s.",
            bytes.div_ceil(MIB),
            layers.len(),
            known.len(),
            begun.elapsed().as_secs_f64()
        );
        Ok(Image {
            root,
            config,
            remark,
            _in_use: in_use,
        })
    }

    /// The manifest for this machine, and its digest. What is named by digest and kept needs no registry.
    async fn manifest(&self, registry: &Registry<'_>) -> Result<(String, Manifest), PullError> {
        let (mut digest, mut bytes) = match &registry.name.version {
            Version::Digest(digest) => {
                (digest.clone(), self.manifest_bytes(registry, digest).await?)
            }
            Version::Tag(tag) => {
                let (digest, bytes) = registry.manifest(tag).await?;
                // For the next job, which may name it by its digest.
                self.cache.keep_small(&digest, &bytes)?;
                (digest, bytes)
            }
        };
        for _ in 0..2 {
            match manifest::read(&bytes)? {
                Read::Image(manifest) => return Ok((digest, manifest)),
                Read::Index(choice) => {
                    bytes = self.manifest_bytes(registry, &choice.digest).await?;
                    digest = choice.digest;
                }
            }
        }
        Err(PullError::Invalid(
            "the image is an index of indexes".to_owned(),
        ))
    }

    async fn manifest_bytes(
        &self,
        registry: &Registry<'_>,
        digest: &str,
    ) -> Result<Vec<u8>, PullError> {
        if let Some(bytes) = self.cache.small(digest) {
            return Ok(bytes);
        }
        let (_, bytes) = registry.manifest(&format!("sha256:{digest}")).await?;
        if manifest::digest_of(&bytes) != digest {
            return Err(PullError::Damaged(format!(
                "what came for the manifest {digest} has another digest"
            )));
        }
        self.cache.keep_small(digest, &bytes)?;
        Ok(bytes)
    }

    async fn config(
        &self,
        registry: &Registry<'_>,
        manifest: &Manifest,
    ) -> Result<ImageConfig, PullError> {
        let wanted = &manifest.config;
        if wanted.size > manifest::CONFIG_BYTES_MAX {
            return Err(PullError::TooLarge(format!(
                "the image's configuration has {} bytes",
                wanted.size
            )));
        }
        let bytes = if let Some(bytes) = self.cache.small(&wanted.digest) {
            bytes
        } else {
            let path = self
                .blob(registry, wanted, &Progress::default(), None)
                .await?;
            std::fs::read(path)?
        };
        let config = manifest::read_config(&bytes)?;
        if config.diff_ids.len() != manifest.layers.len() {
            return Err(PullError::Invalid(
                "the image's configuration names another number of layers than its manifest"
                    .to_owned(),
            ));
        }
        Ok(config)
    }

    /// One blob, in the cache. Two jobs that want the same one fetch it once.
    async fn blob(
        &self,
        registry: &Registry<'_>,
        blob: &Descriptor,
        progress: &Progress,
        room: Option<&Arc<Room>>,
    ) -> Result<PathBuf, PullError> {
        let _turn = self.cache.turn(&blob.digest).await;
        let path = self.cache.blob(&blob.digest);
        if self.cache.has_blob(&blob.digest, blob.size) {
            progress.add(blob.size);
            if let Some(room) = room {
                room.give_back(blob.size);
            }
            return Ok(path);
        }
        let mut part = self.cache.part(&blob.digest, room)?;
        registry.blob(blob, &mut part, progress).await?;
        tokio::task::spawn_blocking(move || part.finish())
            .await
            .map_err(|error| PullError::Disk(error.to_string()))??;
        Ok(path)
    }

    async fn unpack(
        &self,
        digest: &str,
        layers: &[Descriptor],
        config: &ImageConfig,
        progress: &Arc<Progress>,
    ) -> Result<(PathBuf, u64), PullError> {
        // What it takes is not known before; the least used goes first.
        let guess = layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        let room = match make_room(&self.cache, guess.saturating_mul(3)).await {
            Err(PullError::NoRoom(_)) => make_room(&self.cache, guess).await?,
            other => other?,
        };
        let stop = StopFlag(Arc::new(AtomicBool::new(false)));
        let work = layer::Work {
            layers: layers
                .iter()
                .map(|layer| (layer.clone(), self.cache.blob(&layer.digest)))
                .zip(config.diff_ids.iter().cloned())
                .map(|((layer, path), diff)| (layer, path, diff))
                .collect(),
            room,
            most: TREE_BYTES_MAX,
            stop: Arc::clone(&stop.0),
            progress: Arc::clone(progress),
        };
        let (cache, digest, config) = (Arc::clone(&self.cache), digest.to_owned(), config.clone());
        let unpacked =
            tokio::task::spawn_blocking(move || cache.grow_tree(&digest, &config, &work));
        unpacked
            .await
            .map_err(|error| PullError::Disk(error.to_string()))?
    }
}

/// Whole trees may have to be removed for it: on another thread than those that answer the exchange.
async fn make_room(cache: &Arc<Cache>, bytes: u64) -> Result<Arc<Room>, PullError> {
    let cache = Arc::clone(cache);
    tokio::task::spawn_blocking(move || cache.make_room(bytes).map(Arc::new))
        .await
        .map_err(|error| PullError::Disk(error.to_string()))?
}

/// Ends work on another thread when the one who waits for it is gone.
struct StopFlag(Arc<AtomicBool>);

impl Drop for StopFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_while_room_is_made() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = Arc::new(Cache::open(dir.path(), None).expect("open"));
        let mut made = std::pin::pin!(make_room(&cache, 1));
        assert!(futures::poll!(&mut made).is_pending(), "on another thread");
        made.await.expect("room");
    }
}
