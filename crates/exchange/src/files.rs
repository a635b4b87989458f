//! Files: bundles that jobs start from, artefacts that they leave. Both are named by what is in them or by an id of ours,
//! never by what somebody sent.

use std::path::{Path, PathBuf};

use kernel::{ArtefactId, JobId, LeaseId};
use protocol::spec::{BUNDLE_BYTES_MAX, is_inner_path, is_sha256};
use protocol::view::{ArtefactView, BundleView, Scope};
use protocol::worker::ARTEFACTS_MAX;
use sha2::{Digest, Sha256};
use store::Artefact;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::actor::Actor;
use crate::desk::{Exchange, file_error, secret_hash};
use crate::error::Error;

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

impl Incoming {
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
        let mut file = tokio::fs::File::create_new(&path).await.map_err(failed)?;
        let mut incoming = Incoming {
            path: path.clone(),
            placed: false,
            sha256: String::new(),
            size_bytes: 0,
        };
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
        loop {
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

    /// Stores a tar that jobs can start from, under its hash. The same content twice is one file.
    ///
    /// # Errors
    /// Too large, or the key lacks `jobs`.
    pub async fn put_bundle(
        &self,
        actor: &Actor,
        body: impl AsyncRead + Unpin + Send,
    ) -> Result<BundleView, Error> {
        actor.require(Scope::Jobs)?;
        let incoming = self.receive(body, BUNDLE_BYTES_MAX).await?;
        if incoming.size_bytes == 0 {
            return Err(Error::invalid(
                "body",
                "the bundle is empty; send a tar file",
            ));
        }
        let (hash, size_bytes) = (incoming.sha256.clone(), incoming.size_bytes);
        incoming.place(&self.data("bundles", &hash)).await?;
        let mut tx = self.inner.store.begin().await?;
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
        let of_lease = || stored.iter().filter(|artefact| artefact.lease == lease);
        if of_lease().filter(|artefact| artefact.path != path).count() >= ARTEFACTS_MAX {
            return Err(Error::TooLarge(format!(
                "a job may leave at most {ARTEFACTS_MAX} files"
            )));
        }
        let used = of_lease()
            .filter(|artefact| artefact.path != path)
            .fold(0_u64, |sum, artefact| {
                sum.saturating_add(artefact.size_bytes)
            });
        let incoming = self
            .receive(body, BUNDLE_BYTES_MAX.saturating_sub(used))
            .await?;
        let known = of_lease()
            .find(|artefact| artefact.path == path)
            .map(|artefact| artefact.id);
        let id = known.unwrap_or_else(|| ArtefactId::new(self.now(), self.random()));
        let artefact = Artefact {
            id,
            job,
            lease,
            path: path.to_owned(),
            size_bytes: incoming.size_bytes,
            sha256: incoming.sha256.clone(),
        };
        incoming.place(&self.artefact_path(job, id)).await?;
        let mut tx = self.inner.store.begin().await?;
        tx.put_artefact(&artefact, self.now()).await?;
        tx.commit().await?;
        Ok(artefact_view(&artefact))
    }

    fn artefact_path(&self, job: JobId, id: ArtefactId) -> PathBuf {
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

pub(crate) fn artefact_view(artefact: &Artefact) -> ArtefactView {
    ArtefactView {
        id: artefact.id,
        path: artefact.path.clone(),
        size_bytes: artefact.size_bytes,
        sha256: artefact.sha256.clone(),
    }
}
