//! Devices that are taken back from spot leases, and for whom.

use kernel::{DeviceId, JobId, LeaseId, PricePerSecond, Timestamp};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

/// A device that a job gets when the spot lease on it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    pub device: DeviceId,
    pub job: JobId,
    /// The spot lease that was given notice.
    pub lease: LeaseId,
    /// What the job pays at most.
    pub price: PricePerSecond,
    pub at: Timestamp,
    /// The end of the notice.
    pub until: Timestamp,
}

fn promise(row: &AnyRow) -> Result<Promise, StoreError> {
    Ok(Promise {
        device: row.parse("device")?,
        job: row.parse("job")?,
        lease: row.parse("lease")?,
        price: row.price("price")?,
        at: row.time("at")?,
        until: row.time("ends_at")?,
    })
}

impl Tx {
    /// Whatever was promised of the device, or to the job, before is void.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_promise(&mut self, promise: &Promise) -> Result<(), StoreError> {
        query("DELETE FROM promises WHERE device = $1 OR job = $2")
            .bind(promise.device.to_string())
            .bind(promise.job.to_string())
            .execute(self.connection())
            .await?;
        query("INSERT INTO promises (device, job, lease, price, at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(promise.device.to_string())
            .bind(promise.job.to_string())
            .bind(promise.lease.to_string())
            .bind(promise.price.per_second().base())
            .bind(promise.at.millis())
            .bind(promise.until.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// If the lease that makes room is over: until then it stands, whatever became of the job, so that a server which
    /// starts meanwhile knows that the lease was taken back and not lost.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_promise(&mut self, job: JobId) -> Result<(), StoreError> {
        query("DELETE FROM promises WHERE job = $1 AND lease NOT IN (SELECT id FROM leases WHERE live = 1)")
            .bind(job.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// A lease that was given notice is over: nobody needs to know of the notice, unless its job still waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_notice(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        query("DELETE FROM promises WHERE lease = $1 AND job IN (SELECT id FROM jobs WHERE queued_at IS NULL)")
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn promises(&self) -> Result<Vec<Promise>, StoreError> {
        let rows = query("SELECT * FROM promises ORDER BY device")
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(promise).collect()
    }
}
