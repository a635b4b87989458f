//! What jobs leave behind: log, samples, artefacts; and the bundles they start from.

use kernel::{AccountId, ArtefactId, JobId, LeaseId, Timestamp};
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
             ON CONFLICT (account, hash) DO NOTHING",
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
        let rows = query("SELECT seq, stream, text FROM job_logs WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(job.to_string())
            .bind(count("after", after)?)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LogLine {
                    seq: row.unsigned("seq")?,
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

    /// A job's samples in time's order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn samples(&self, job: JobId) -> Result<Vec<SampleRow>, StoreError> {
        let rows =
            query("SELECT lease, job, at, body FROM job_samples WHERE job = $1 ORDER BY at, seq")
                .bind(job.to_string())
                .fetch_all(self.readers())
                .await?;
        rows.iter()
            .map(|row| {
                Ok(SampleRow {
                    job: row.parse("job")?,
                    lease: row.parse("lease")?,
                    at: row.time("at")?,
                    sample: row.json("body")?,
                })
            })
            .collect()
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
        let rows = query("SELECT * FROM artefacts WHERE job = $1 ORDER BY path, id")
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(artefact).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn has_bundle(&self, account: AccountId, hash: &str) -> Result<bool, StoreError> {
        let row = query("SELECT hash FROM bundles WHERE account = $1 AND hash = $2")
            .bind(account.to_string())
            .bind(hash)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.is_some())
    }
}
