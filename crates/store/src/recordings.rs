//! What shells showed: which there are. What is in them are files beside the database.

use kernel::{AccountId, JobId, RecordingId, Timestamp};
use protocol::audit::RecordingView;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    pub id: RecordingId,
    pub job: JobId,
    pub member: u32,
    /// Who opened it.
    pub account: AccountId,
    pub program: String,
    pub opened_at: Timestamp,
    pub end: Option<RecordingEnd>,
}

/// Of a shell that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingEnd {
    pub at: Timestamp,
    pub size_bytes: u64,
    pub sha256: String,
    pub cut: bool,
}

fn recording(row: &AnyRow) -> Result<Recording, StoreError> {
    let cut = row.flag("cut")?;
    let end = match row.time_opt("closed_at")? {
        None => None,
        Some(at) => Some(RecordingEnd {
            at,
            size_bytes: row.unsigned("size_bytes")?,
            sha256: row.text("sha256")?,
            cut,
        }),
    };
    Ok(Recording {
        id: row.parse("id")?,
        job: row.parse("job")?,
        member: row.small("member")?,
        account: row.parse("account")?,
        program: row.text("program")?,
        opened_at: row.time("opened_at")?,
        end,
    })
}

impl Recording {
    pub fn view(self, by: String) -> RecordingView {
        let end = self.end.as_ref();
        RecordingView {
            id: self.id,
            member: self.member,
            by,
            program: self.program,
            opened_at: self.opened_at,
            closed_at: end.map(|end| end.at),
            size_bytes: end.map_or(0, |end| end.size_bytes),
            cut: end.is_some_and(|end| end.cut),
            sha256: self.end.map(|end| end.sha256),
        }
    }
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_recording(&mut self, of: &Recording) -> Result<(), StoreError> {
        query(
            "INSERT INTO recordings (id, job, member, account, program, opened_at, cut) VALUES ($1, $2, $3, $4, $5, $6, 0)",
        )
        .bind(of.id.to_string())
        .bind(of.job.to_string())
        .bind(i64::from(of.member))
        .bind(of.account.to_string())
        .bind(&of.program)
        .bind(of.opened_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn end_recording(
        &mut self,
        id: RecordingId,
        end: &RecordingEnd,
    ) -> Result<(), StoreError> {
        query("UPDATE recordings SET closed_at = $1, size_bytes = $2, sha256 = $3, cut = $4 WHERE id = $5")
            .bind(end.at.millis())
            .bind(count("size", end.size_bytes)?)
            .bind(&end.sha256)
            .bind(i64::from(end.cut))
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn delete_recording(&mut self, id: RecordingId) -> Result<(), StoreError> {
        query("DELETE FROM recordings WHERE id = $1")
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The bytes of a job's recordings; of those that are open, the most that they may become.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recorded_bytes(&mut self, job: JobId, open: u64) -> Result<u64, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(COALESCE(size_bytes, $1)), 0) AS BIGINT) AS n FROM recordings WHERE job = $2",
        )
        .bind(count("size", open)?)
        .bind(job.to_string())
        .fetch_one(self.connection())
        .await?;
        row.unsigned("n")
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn recording(&self, id: RecordingId) -> Result<Option<Recording>, StoreError> {
        self.one("SELECT * FROM recordings WHERE id = $1", id, recording)
            .await
    }

    /// A job's, newest first, with the e-mail addresses of those who opened them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recordings(
        &self,
        job: JobId,
        limit: u32,
    ) -> Result<Vec<RecordingView>, StoreError> {
        let rows = query(
            "SELECT r.*, a.email AS email FROM recordings r JOIN accounts a ON a.id = r.account WHERE r.job = $1 \
             ORDER BY r.id DESC LIMIT $2",
        )
        .bind(job.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| Ok(recording(row)?.view(row.text("email")?)))
            .collect()
    }

    /// Opened before a moment, or (`None`) those that no process closed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recordings_over(
        &self,
        opened_before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Recording>, StoreError> {
        let rows = query(
            "SELECT * FROM recordings WHERE ($1 >= 0 AND opened_at < $1) OR ($1 < 0 AND closed_at IS NULL) \
             ORDER BY opened_at LIMIT $2",
        )
        .bind(opened_before.map_or(-1, Timestamp::millis))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(recording).collect()
    }
}
