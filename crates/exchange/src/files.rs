//! Files: bundles that jobs start from, artefacts that they leave. Both are named by what is in them or by an id of ours,
//! never by what somebody sent.

use std::path::{Path, PathBuf};

use kernel::{ArtefactId, JobId, LeaseId, Seconds};
use protocol::spec::{BUNDLE_BYTES_MAX, is_inner_path, is_sha256};
use protocol::view::{ArtefactView, BundleView, Scope};
use protocol::worker::{ARTEFACTS_MAX, CHECKPOINT_PREFIX, CheckpointFile, Phase};
use sha2::{Digest, Sha256};
use store::{Artefact, Stored};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::actor::Actor;
use crate::desk::{Exchange, file_error, secret_hash};
use crate::error::Error;

/// Bundles are kept for so long after their last upload, and while an unfinished job needs them.
const BUNDLE_DAYS: i64 = 7;
const TAR_BLOCK: usize = 512;
/// Pieces of an upload between two looks at the free space: 4 MiB.
const LOOK_EVERY: u64 = 64;

/// A received file before it has its place; removed when dropped without one.
struct Incoming {
    path: PathBuf,
    placed: bool,
    sha256: String,
    size_bytes: u64,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.placed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether this is a tar's first block: a header whose checksum is right, or the zeros at its end.
fn is_tar_block(block: &[u8]) -> bool {
    // The checksum counts its own eight bytes as spaces.
    let (Some(before), Some(own), Some(after)) = (
        block.get(..148),
        block.get(148..156),
        block.get(156..TAR_BLOCK),
    ) else {
        return false;
    };
    let sum: u32 = before.iter().chain(after).copied().map(u32::from).sum();
    let stated = str::from_utf8(own).unwrap_or_default();
    let stated = stated.trim_matches([' ', '\0']);
    let stated = u32::from_str_radix(stated, 8);
    block.iter().all(|byte| *byte == 0) || stated == Ok(sum.saturating_add(8 * 32))
}

impl Incoming {
    async fn begins_as_a_tar(&self) -> Result<bool, Error> {
        let failed = |source| file_error("reading a file", &self.path, source);
        let mut file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        let mut block = [0; TAR_BLOCK];
        match file.read_exact(&mut block).await {
            Ok(_) => Ok(is_tar_block(&block)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn place(mut self, target: &Path) -> Result<(), Error> {
        if let Some(folder) = target.parent() {
            tokio::fs::create_dir_all(folder)
                .await
                .map_err(|source| file_error("making a folder", folder, source))?;
        }
        tokio::fs::rename(&self.path, target)
            .await
            .map_err(|source| file_error("storing a file", target, source))?;
        self.placed = true;
        Ok(())
    }
}

impl Exchange {
    async fn receive(
        &self,
        mut body: impl AsyncRead + Unpin + Send,
        limit: u64,
    ) -> Result<Incoming, Error> {
        let path = self.data("incoming", &hex::encode(self.random::<16>()));
        let failed = |source| file_error("receiving a file", &path, source);
        self.check_free_space()?;
        let mut file = tokio::fs::File::create_new(&path).await.map_err(failed)?;
        let mut incoming = Incoming {
            path: path.clone(),
            placed: false,
            sha256: String::new(),
            size_bytes: 0,
        };
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
        for piece in 0_u64.. {
            if piece.is_multiple_of(LOOK_EVERY) {
                self.check_free_space()?;
            }
            let read = body.read(&mut buffer).await.map_err(|error| {
                Error::Conflict(format!("the upload broke off: {error}; send it again"))
            })?;
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
                break;
            };
            incoming.size_bytes = incoming
                .size_bytes
                .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            if incoming.size_bytes > limit {
                return Err(Error::TooLarge(format!(
                    "a file may have at most {limit} bytes"
                )));
            }
            hash.update(piece);
            file.write_all(piece).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        incoming.sha256 = hex::encode(hash.finalize());
        Ok(incoming)
    }

    /// The disk also holds the books (on SQLite): uploads leave it room.
    pub(crate) fn check_free_space(&self) -> Result<(), Error> {
        let folder = &self.inner.settings.data_dir;
        let found = rustix::fs::statvfs(folder)
            .map_err(|error| file_error("looking for free space", folder, error.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < self.inner.settings.disk_free_min_bytes {
            tracing::error!(free, "uploads are refused: the disk is nearly full");
            return Err(Error::Unavailable(
                "this server's disk is nearly full and takes no files at the moment; try again later",
            ));
        }
        Ok(())
    }

    /// Removes what uploads left that were cut off by the end of a process. Only for the process that serves: another
    /// one's uploads may be under way.
    pub fn clear_incoming(&self) {
        let folder = self.inner.settings.data_dir.join("incoming");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an old upload could not be removed");
            }
        }
    }

    /// Whether an account that has `others` may store so many bytes more.
    fn check_quota(&self, others: Stored, more: u64) -> Result<(), Error> {
        let settings = &self.inner.settings;
        if others.files >= settings.bundle_files_max {
            return Err(Error::TooLarge(format!(
                "your account has {} bundles, as many as it may; they are removed {BUNDLE_DAYS} days after the last upload",
                others.files
            )));
        }
        if others.bytes.saturating_add(more) > settings.bundle_quota_bytes {
            return Err(Error::TooLarge(format!(
                "your account's bundles may take {} bytes together, and {} are taken; they are removed {BUNDLE_DAYS} days after \
                 the last upload",
                settings.bundle_quota_bytes, others.bytes
            )));
        }
        Ok(())
    }

    /// Forgets bundles that were not uploaded for days and that no unfinished job names.
    pub(crate) async fn prune_bundles(&self) -> Result<(), Error> {
        let days = BUNDLE_DAYS.saturating_mul(86_400_000);
        let before = self.now().plus_millis(days.saturating_neg());
        let _turn = self.inner.shelf.lock().await;
        let mut tx = self.inner.store.begin().await?;
        let gone = tx.prune_bundles(before).await?;
        tx.commit().await?;
        for hash in gone {
            let path = self.data("bundles", &hash);
            if let Err(error) = tokio::fs::remove_file(&path).await {
                tracing::warn!(path = %path.display(), %error, "a bundle could not be removed");
            }
        }
        Ok(())
    }

    /// Stores a tar that jobs can start from, under its hash. The same content twice is one file.
    ///
    /// # Errors
    /// Too large for a bundle or for what the account may store, a full disk, or the key lacks `jobs`.
    pub async fn put_bundle(
        &self,
        actor: &Actor,
        body: impl AsyncRead + Unpin + Send,
    ) -> Result<BundleView, Error> {
        actor.require(Scope::Jobs)?;
        let stored = self.inner.store.bundles_of(actor.account).await?;
        self.check_quota(stored, 1)?;
        let incoming = self.receive(body, BUNDLE_BYTES_MAX).await?;
        if incoming.size_bytes == 0 {
            return Err(Error::invalid(
                "body",
                "the bundle is empty; send a tar file",
            ));
        }
        if !incoming.begins_as_a_tar().await? {
            return Err(Error::invalid(
                "body",
                "this is no tar file; make one with `tar -cf bundle.tar -C folder .`, without compression",
            ));
        }
        let (hash, size_bytes) = (incoming.sha256.clone(), incoming.size_bytes);
        let _turn = self.inner.shelf.lock().await;
        let mut tx = self.inner.store.begin().await?;
        // Again: others of the account may have arrived meanwhile. The same content is not counted twice.
        let others = tx.bundles_besides(actor.account, &hash).await?;
        self.check_quota(others, size_bytes)?;
        incoming.place(&self.data("bundles", &hash)).await?;
        tx.put_bundle(actor.account, &hash, size_bytes, self.now())
            .await?;
        tx.commit().await?;
        Ok(BundleView { hash, size_bytes })
    }

    fn lease_by_token(&self, token: &str) -> Result<(LeaseId, JobId, Option<String>), Error> {
        let hash = secret_hash(token);
        let memory = self.memory();
        memory
            .leases
            .values()
            .find(|live| live.lease.transfer_hash == hash)
            .map(|live| (live.lease.id, live.lease.job, live.spec.bundle.clone()))
            .ok_or(Error::Unauthenticated)
    }

    /// Where the bundle of the lease with this token lies.
    ///
    /// # Errors
    /// The token's lease is over, or its job has another bundle.
    pub async fn transfer_bundle(&self, token: &str, hash: &str) -> Result<PathBuf, Error> {
        let (_, _, bundle) = self.lease_by_token(token)?;
        if !is_sha256(hash) || bundle.as_deref() != Some(hash) {
            return Err(Error::NotFound("the bundle"));
        }
        let path = self.data("bundles", hash);
        match tokio::fs::try_exists(&path).await {
            Ok(true) => Ok(path),
            _ => Err(Error::NotFound("the bundle")),
        }
    }

    /// Takes a file that a job left.
    ///
    /// # Errors
    /// The lease is over, the path leaves its folder, too many or too large.
    pub async fn transfer_artefact(
        &self,
        token: &str,
        lease: LeaseId,
        path: &str,
        body: impl AsyncRead + Unpin + Send,
    ) -> Result<ArtefactView, Error> {
        let (owner, job, _) = self.lease_by_token(token)?;
        if owner != lease {
            return Err(Error::NotFound("the lease"));
        }
        if !is_inner_path(path) || path.chars().any(char::is_control) {
            return Err(Error::invalid(
                "path",
                "a relative path of at most 255 bytes without ..",
            ));
        }
        let stored = self.inner.store.artefacts(job).await?;
        let room = artefact_room(&stored, lease, path)?;
        let incoming = self.receive(body, room).await?;
        let mut tx = self.inner.store.begin().await?;
        // What it left is final with its end, however long the last file was on its way.
        if !tx.is_live(lease).await? {
            return Err(Error::Unauthenticated);
        }
        // Again: others of the lease may have arrived meanwhile.
        let stored = tx.artefacts(job).await?;
        if incoming.size_bytes > artefact_room(&stored, lease, path)? {
            return Err(Error::TooLarge(format!(
                "a job may leave at most {BUNDLE_BYTES_MAX} bytes"
            )));
        }
        let known = stored
            .iter()
            .find(|artefact| artefact.lease == lease && artefact.path == path)
            .map(|artefact| artefact.id);
        let id = known.unwrap_or_else(|| ArtefactId::new(self.now(), self.random()));
        let live = self
            .memory()
            .leases
            .get(&lease)
            .map(|live| live.lease.member);
        let artefact = Artefact {
            id,
            job,
            lease,
            member: live.unwrap_or(0),
            path: path.to_owned(),
            size_bytes: incoming.size_bytes,
            sha256: incoming.sha256.clone(),
        };
        let running = self.kept_while_running(lease);
        incoming.place(&self.artefact_path(job, id)).await?;
        tx.put_artefact(&artefact, self.now()).await?;
        if path.starts_with(CHECKPOINT_PREFIX)
            && let Some(seconds) = self.kept_by_checkpoint(lease)
        {
            tx.put_saved(lease, seconds).await?;
        }
        tx.commit().await?;
        if running {
            // Whoever looks at the job sees it at once; at its end all is told together.
            self.publish_job(job, None).await;
        }
        Ok(artefact_view(&artefact))
    }

    /// Whether the lease's process still runs while this file arrives.
    fn kept_while_running(&self, lease: LeaseId) -> bool {
        let memory = self.memory();
        let live = memory.leases.get(&lease);
        live.is_some_and(|live| live.phase != Some(Phase::Uploading))
    }

    /// Seconds of a lease that a checkpoint keeps which arrives now: those delivered so far, and all that there can be when
    /// the run is over.
    fn kept_by_checkpoint(&self, lease: LeaseId) -> Option<Seconds> {
        let memory = self.memory();
        let live = memory.leases.get(&lease)?;
        Some(match live.phase {
            Some(Phase::Uploading) => live.lease.funded,
            _ => live.seconds(),
        })
    }

    /// What a job that is to go on left under `checkpoint/` the last time it left something there.
    pub(crate) async fn checkpoint(
        &self,
        job: JobId,
        member: u32,
    ) -> Result<Vec<CheckpointFile>, Error> {
        let left = self.inner.store.artefacts(job).await?;
        let file = |artefact: &Artefact| CheckpointFile {
            path: artefact.path.clone(),
            size_bytes: artefact.size_bytes,
            sha256: artefact.sha256.clone(),
        };
        let last = checkpoint_of(&left, member, None);
        Ok(last.into_iter().map(file).collect())
    }

    /// Where a file of the checkpoint lies that the lease with this token goes on from.
    ///
    /// # Errors
    /// The lease is over, or its job left no such file.
    pub async fn transfer_checkpoint(
        &self,
        token: &str,
        lease: LeaseId,
        path: &str,
    ) -> Result<PathBuf, Error> {
        let (owner, job, _) = self.lease_by_token(token)?;
        let member = {
            let memory = self.memory();
            memory
                .leases
                .get(&owner)
                .map_or(0, |live| live.lease.member)
        };
        let left = self.inner.store.artefacts(job).await?;
        let found = checkpoint_of(&left, member, Some(lease))
            .into_iter()
            .find(|artefact| owner == lease && artefact.path == path);
        let id = found.ok_or(Error::NotFound("the file"))?.id;
        Ok(self.artefact_path(job, id))
    }

    pub(crate) fn artefact_path(&self, job: JobId, id: ArtefactId) -> PathBuf {
        self.data("artefacts", &job.to_string())
            .join(id.to_string())
    }

    /// A file that a job left: what it is, and where it lies.
    ///
    /// # Errors
    /// Not this account's job, or no such file.
    pub async fn artefact(
        &self,
        actor: &Actor,
        job: JobId,
        id: ArtefactId,
    ) -> Result<(ArtefactView, PathBuf), Error> {
        self.own_job(actor, job, Scope::Read).await?;
        let artefacts = self.inner.store.artefacts(job).await?;
        let artefact = artefacts
            .iter()
            .find(|artefact| artefact.id == id)
            .ok_or(Error::NotFound("the file"))?;
        Ok((artefact_view(artefact), self.artefact_path(job, id)))
    }
}

/// The files below `checkpoint/` of the member's newest lease that left any, but for those of the lease that asks. Ids of
/// leases rise with the time.
fn checkpoint_of(left: &[Artefact], member: u32, but: Option<LeaseId>) -> Vec<&Artefact> {
    let files = left
        .iter()
        .filter(|artefact| artefact.member == member)
        .filter(|artefact| artefact.path.starts_with(CHECKPOINT_PREFIX))
        .filter(|artefact| Some(artefact.lease) != but);
    let newest = files.clone().map(|artefact| artefact.lease).max();
    files
        .filter(|artefact| Some(artefact.lease) == newest)
        .take(ARTEFACTS_MAX)
        .collect()
}

/// How many bytes a lease may still leave, not counting what stands under this path.
fn artefact_room(stored: &[Artefact], lease: LeaseId, path: &str) -> Result<u64, Error> {
    let (mut files, mut bytes) = (0_usize, 0_u64);
    for other in stored.iter().filter(|a| a.lease == lease && a.path != path) {
        files = files.saturating_add(1);
        bytes = bytes.saturating_add(other.size_bytes);
    }
    if files >= ARTEFACTS_MAX {
        return Err(Error::TooLarge(format!(
            "a job may leave at most {ARTEFACTS_MAX} files"
        )));
    }
    Ok(BUNDLE_BYTES_MAX.saturating_sub(bytes))
}

pub(crate) fn artefact_view(artefact: &Artefact) -> ArtefactView {
    ArtefactView {
        id: artefact.id,
        member: artefact.member,
        path: artefact.path.clone(),
        size_bytes: artefact.size_bytes,
        sha256: artefact.sha256.clone(),
    }
}
