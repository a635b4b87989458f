//! Slices that were drawn to be computed again, and how far that is.

use kernel::{JobId, LeaseId, NodeId};
use protocol::recompute::{CheckState, CheckView};
use protocol::state::RunEnd;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, json};

fn check(row: &AnyRow) -> Result<CheckView, StoreError> {
    Ok(CheckView {
        job: row.parse("job")?,
        slice: row.small("slice")?,
        lease: row.parse("lease")?,
        path: row.text("path")?,
        sha256: row.text("sha256")?,
        draw: row.text("draw")?,
        drawn_at: row.time("drawn_at")?,
        state: row.word("state", CheckState::parse)?,
        second: row.parse_opt("second")?,
        third: row.parse_opt("third")?,
        detail: row.text("detail")?,
        ended_at: row.time_opt("ended_at")?,
    })
}

impl Tx {
    /// # Errors
    /// The slice was drawn before ([`StoreError::is_conflict`]), or the database failed.
    pub async fn insert_check(&mut self, new: &CheckView) -> Result<(), StoreError> {
        query(
            "INSERT INTO recomputations (job, slice, lease, path, sha256, draw, drawn_at, state) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.job.to_string())
        .bind(i64::from(new.slice))
        .bind(new.lease.to_string())
        .bind(&new.path)
        .bind(&new.sha256)
        .bind(&new.draw)
        .bind(new.drawn_at.millis())
        .bind(new.state.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn check(&mut self, job: JobId, slice: u32) -> Result<Option<CheckView>, StoreError> {
        let row = query("SELECT * FROM recomputations WHERE job = $1 AND slice = $2")
            .bind(job.to_string())
            .bind(i64::from(slice))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(check).transpose()
    }

    /// Writes how far a check is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_check(&mut self, of: &CheckView) -> Result<(), StoreError> {
        query(
            "UPDATE recomputations SET state = $1, second = $2, third = $3, detail = $4, ended_at = $5 \
             WHERE job = $6 AND slice = $7",
        )
        .bind(of.state.as_str())
        .bind(of.second.map(|job| job.to_string()))
        .bind(of.third.map(|job| job.to_string()))
        .bind(&of.detail)
        .bind(of.ended_at.map(kernel::Timestamp::millis))
        .bind(of.job.to_string())
        .bind(i64::from(of.slice))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A job that was to compute a slice again brought no result, and another is sent for it.
    ///
    /// # Errors
    /// The job is known as such ([`StoreError::is_conflict`]), or the database failed.
    pub async fn add_failed_check(
        &mut self,
        of: &CheckView,
        again: JobId,
    ) -> Result<(), StoreError> {
        query("INSERT INTO recomputations_failed (again, job, slice) VALUES ($1, $2, $3)")
            .bind(again.to_string())
            .bind(of.job.to_string())
            .bind(i64::from(of.slice))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Whether slices of a lease are still being checked.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_checked(&mut self, lease: LeaseId) -> Result<bool, StoreError> {
        let row = query(
            "SELECT 1 AS one FROM recomputations WHERE lease = $1 AND ended_at IS NULL LIMIT 1",
        )
        .bind(lease.to_string())
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// The leases of a job that wait for the draw.
    ///
    /// # Errors
    /// The database failed.
    pub async fn undrawn(&mut self, job: JobId) -> Result<Vec<LeaseId>, StoreError> {
        let rows = query(
            "SELECT w.lease FROM withheld w JOIN leases l ON l.id = w.lease WHERE w.cause = 'draw' AND l.job = $1 \
             ORDER BY w.lease",
        )
        .bind(job.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.parse("lease")).collect()
    }

    /// A lease that is over turns out to have been less than was hired.
    ///
    /// # Errors
    /// The database failed.
    pub async fn found_wrong(&mut self, lease: LeaseId, end: &RunEnd) -> Result<(), StoreError> {
        query("UPDATE leases SET ending = $1 WHERE id = $2 AND live = 0")
            .bind(json("ending", end)?)
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// Jobs that are over and whose slices are to be drawn.
    ///
    /// # Errors
    /// The database failed.
    pub async fn jobs_to_draw(&self, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let rows = query(
            "SELECT DISTINCT j.id FROM withheld w JOIN leases l ON l.id = w.lease JOIN jobs j ON j.id = l.job \
             WHERE w.cause = 'draw' AND j.ended_at IS NOT NULL ORDER BY j.id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// Checks of which something is to be done: they were drawn, or the job that they wait for is over. The oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_checks(&self, limit: u32) -> Result<Vec<CheckView>, StoreError> {
        let rows = query(
            "SELECT c.* FROM recomputations c LEFT JOIN jobs j ON j.id = COALESCE(c.third, c.second) \
             WHERE c.ended_at IS NULL AND (c.state = 'drawn' OR j.ended_at IS NOT NULL) \
             ORDER BY c.drawn_at, c.job, c.slice LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(check).collect()
    }

    /// Checks that are not over, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_checks(&self) -> Result<Vec<CheckView>, StoreError> {
        let rows = query(
            "SELECT * FROM recomputations WHERE ended_at IS NULL ORDER BY drawn_at, job, slice",
        )
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(check).collect()
    }

    /// The jobs that were to compute a slice again, brought no result and were followed by another.
    ///
    /// # Errors
    /// The database failed.
    pub async fn failed_checks(&self, job: JobId, slice: u32) -> Result<Vec<JobId>, StoreError> {
        let rows = query(
            "SELECT again FROM recomputations_failed WHERE job = $1 AND slice = $2 ORDER BY again",
        )
        .bind(job.to_string())
        .bind(i64::from(slice))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("again")).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn checks_of_job(&self, job: JobId) -> Result<Vec<CheckView>, StoreError> {
        let rows = query("SELECT * FROM recomputations WHERE job = $1 ORDER BY slice")
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(check).collect()
    }

    /// Checks of what a node delivered, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn checks_of_node(
        &self,
        node: NodeId,
        limit: u32,
    ) -> Result<Vec<CheckView>, StoreError> {
        let rows = query(
            "SELECT c.* FROM recomputations c JOIN leases l ON l.id = c.lease WHERE l.node = $1 \
             ORDER BY c.drawn_at DESC, c.job DESC, c.slice LIMIT $2",
        )
        .bind(node.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(check).collect()
    }
}
