//! What jobs leave behind: log, samples, artefacts; and the bundles they start from.

use std::collections::BTreeSet;

use kernel::{AccountId, ArtefactId, JobId, LeaseId, Timestamp};
use protocol::JobSpec;
use protocol::view::{LogLine, SampleData, Stream};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count, json};

#[derive(Debug, Clone)]
pub struct LogRow {
    pub job: JobId,
    pub lease: LeaseId,
    pub seq: u64,
    /// Bytes of the lease's log up to the end of this piece.
    pub log_end: u64,
    pub stream: Stream,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct SampleRow {
    pub job: JobId,
    pub lease: LeaseId,
    pub at: Timestamp,
    pub sample: SampleData,
}

#[derive(Debug, Clone)]
pub struct Artefact {
    pub id: ArtefactId,
    pub job: JobId,
    pub lease: LeaseId,
    /// The lease's member of the job.
    pub member: u32,
    pub path: String,
    pub size_bytes: u64,
    pub sha256: String,
}

impl LogRow {
    /// Whether it can be written at all; whatever fails later is the database's fault and may succeed the next time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub fn storable(&self) -> Result<(), StoreError> {
        count("seq", self.seq)?;
        count("log_end", self.log_end).map(drop)
    }
}

impl SampleRow {
    /// As [`LogRow::storable`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]
    pub fn storable(&self) -> Result<(), StoreError> {
        count("seq", self.sample.seq)?;
        json("sample", &self.sample).map(drop)
    }
}

/// Bundles of one account.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub files: u64,
    pub bytes: u64,
}

const ARTEFACTS_OF: &str = "SELECT a.*, l.member FROM artefacts a JOIN leases l ON l.id = a.lease \
                            WHERE a.job = $1 ORDER BY a.path, l.member, a.id";

const BUNDLES_BESIDES: &str = "SELECT COUNT(*) AS files, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes \
                               FROM bundles WHERE account = $1 AND hash <> $2";

fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    Ok(Stored {
        files: row.unsigned("files")?,
        bytes: row.unsigned("bytes")?,
    })
}

const fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Note => "note",
    }
}

fn stream(word: &str) -> Option<Stream> {
    [Stream::Stdout, Stream::Stderr, Stream::Note]
        .into_iter()
        .find(|stream| stream_word(*stream) == word)
}

fn artefact(row: &AnyRow) -> Result<Artefact, StoreError> {
    Ok(Artefact {
        id: row.parse("id")?,
        job: row.parse("job")?,
        lease: row.parse("lease")?,
        member: row.small("member")?,
        path: row.text("path")?,
        size_bytes: row.unsigned("size")?,
        sha256: row.text("sha256")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_logs(&mut self, rows: &[LogRow]) -> Result<(), StoreError> {
        for row in rows {
            query(
                "INSERT INTO job_logs (job, seq, lease, log_end, stream, text) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (job, seq) DO NOTHING",
            )
            .bind(row.job.to_string())
            .bind(count("seq", row.seq)?)
            .bind(row.lease.to_string())
            .bind(count("log_end", row.log_end)?)
            .bind(stream_word(row.stream))
            // Postgres has no zero character in TEXT.
            .bind(row.text.replace('\0', "\u{fffd}"))
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// A sample that is there already is passed over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_samples(&mut self, rows: &[SampleRow]) -> Result<(), StoreError> {
        for row in rows {
            query(
                "INSERT INTO job_samples (lease, seq, job, at, body) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (lease, seq) DO NOTHING",
            )
            .bind(row.lease.to_string())
            .bind(count("seq", row.sample.seq)?)
            .bind(row.job.to_string())
            .bind(row.at.millis())
            .bind(json("sample", &row.sample)?)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// A file sent twice by one lease replaces the first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_artefact(
        &mut self,
        artefact: &Artefact,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO artefacts (id, job, lease, path, size, sha256, stored_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (lease, path) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, \
             stored_at = excluded.stored_at",
        )
        .bind(artefact.id.to_string())
        .bind(artefact.job.to_string())
        .bind(artefact.lease.to_string())
        .bind(&artefact.path)
        .bind(count("size", artefact.size_bytes)?)
        .bind(&artefact.sha256)
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What an account stores besides the bundle with this hash.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bundles_besides(
        &mut self,
        account: AccountId,
        hash: &str,
    ) -> Result<Stored, StoreError> {
        let row = query(BUNDLES_BESIDES)
            .bind(account.to_string())
            .bind(hash)
            .fetch_one(self.connection())
            .await?;
        stored(&row)
    }

    /// Forgets bundles uploaded before a time that no unfinished job of their account names. Answers with the hashes
    /// that nobody stores any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune_bundles(&mut self, before: Timestamp) -> Result<Vec<String>, StoreError> {
        let old = query("SELECT account, hash FROM bundles WHERE uploaded_at < $1")
            .bind(before.millis())
            .fetch_all(self.connection())
            .await?;
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let named = self.bundles_named().await?;
        let mut gone = Vec::new();
        for row in &old {
            let bundle = (row.parse::<AccountId>("account")?, row.text("hash")?);
            if named.contains(&bundle) {
                continue;
            }
            let (account, hash) = bundle;
            query("DELETE FROM bundles WHERE account = $1 AND hash = $2")
                .bind(account.to_string())
                .bind(&hash)
                .execute(self.connection())
                .await?;
            let other = query("SELECT hash FROM bundles WHERE hash = $1 LIMIT 1")
                .bind(&hash)
                .fetch_optional(self.connection())
                .await?;
            if other.is_none() {
                gone.push(hash);
            }
        }
        Ok(gone)
    }

    /// The bundles that unfinished jobs start from.
    async fn bundles_named(&mut self) -> Result<BTreeSet<(AccountId, String)>, StoreError> {
        let rows = query(
            "SELECT account, spec FROM jobs WHERE state IN ('matching', 'starting', 'running')",
        )
        .fetch_all(self.connection())
        .await?;
        let mut named = BTreeSet::new();
        for row in &rows {
            let spec: JobSpec = row.json("spec")?;
            if let Some(hash) = spec.bundle {
                named.insert((row.parse("account")?, hash));
            }
        }
        Ok(named)
    }

    /// # Errors
    /// The database failed.
    pub async fn has_bundle(&mut self, account: AccountId, hash: &str) -> Result<bool, StoreError> {
        let row = query("SELECT hash FROM bundles WHERE account = $1 AND hash = $2")
            .bind(account.to_string())
            .bind(hash)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// # Errors
    /// The database failed.
    pub async fn artefacts(&mut self, job: JobId) -> Result<Vec<Artefact>, StoreError> {
        let rows = query(ARTEFACTS_OF)
            .bind(job.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(artefact).collect()
    }

    /// Sent again it is kept for longer.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_bundle(
        &mut self,
        account: AccountId,
        hash: &str,
        size_bytes: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO bundles (account, hash, size, uploaded_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account, hash) DO UPDATE SET uploaded_at = excluded.uploaded_at",
        )
        .bind(account.to_string())
        .bind(hash)
        .bind(count("size", size_bytes)?)
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// Pieces of a job's log after number `after`, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn logs(
        &self,
        job: JobId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, StoreError> {
        let rows = query(
            "SELECT g.seq, g.stream, g.text, l.member FROM job_logs g JOIN leases l ON l.id = g.lease \
             WHERE g.job = $1 AND g.seq > $2 ORDER BY g.seq LIMIT $3",
        )
            .bind(job.to_string())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LogLine {
                    seq: row.unsigned("seq")?,
                    member: row.small("member")?,
                    stream: row.word("stream", stream)?,
                    text: row.text("text")?,
                })
            })
            .collect()
    }

    /// Where a job's log ends: (last number over the job, bytes of this lease's log).
    ///
    /// # Errors
    /// The database failed.
    pub async fn log_end(&self, job: JobId, lease: LeaseId) -> Result<(u64, u64), StoreError> {
        let row = query(
            "SELECT COALESCE(MAX(seq), 0) AS seq, \
             COALESCE(MAX(CASE WHEN lease = $1 THEN log_end ELSE 0 END), 0) AS log_end FROM job_logs WHERE job = $2",
        )
        .bind(lease.to_string())
        .bind(job.to_string())
        .fetch_one(self.readers())
        .await?;
        Ok((row.unsigned("seq")?, row.unsigned("log_end")?))
    }

    /// # Errors
    /// The database failed.
    pub async fn last_sample_seq(&self, lease: LeaseId) -> Result<u64, StoreError> {
        let row = query("SELECT COALESCE(MAX(seq), 0) AS seq FROM job_samples WHERE lease = $1")
            .bind(lease.to_string())
            .fetch_one(self.readers())
            .await?;
        row.unsigned("seq")
    }

    /// # Errors
    /// The database failed.
    pub async fn artefacts(&self, job: JobId) -> Result<Vec<Artefact>, StoreError> {
        let rows = query(ARTEFACTS_OF)
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(artefact).collect()
    }

    /// What an account stores.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bundles_of(&self, account: AccountId) -> Result<Stored, StoreError> {
        let row = query(BUNDLES_BESIDES)
            .bind(account.to_string())
            .bind("")
            .fetch_one(self.readers())
            .await?;
        stored(&row)
    }
}
