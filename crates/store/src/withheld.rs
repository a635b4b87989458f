//! What was earned and does not mature before something is shown.

use kernel::{DeviceId, LeaseId, Timestamp};
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

/// Why what a lease earned does not mature yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// This device was not measured at the lease's end.
    Device(DeviceId),
    /// Its slices are to be drawn.
    Draw,
    /// One of its slices is computed again.
    Check,
}

impl Withheld {
    fn words(self) -> (&'static str, String) {
        match self {
            Self::Device(device) => ("device", device.to_string()),
            Self::Draw => ("draw", String::new()),
            Self::Check => ("check", String::new()),
        }
    }
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn withhold(
        &mut self,
        lease: LeaseId,
        cause: Withheld,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (cause, device) = cause.words();
        query(
            "INSERT INTO withheld (lease, cause, device, since) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (lease, cause, device) DO NOTHING",
        )
        .bind(lease.to_string())
        .bind(cause)
        .bind(device)
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn release(&mut self, lease: LeaseId, cause: Withheld) -> Result<(), StoreError> {
        let (cause, device) = cause.words();
        query("DELETE FROM withheld WHERE lease = $1 AND cause = $2 AND device = $3")
            .bind(lease.to_string())
            .bind(cause)
            .bind(device)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// None of a lease's devices is waited for any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_devices(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        query("DELETE FROM withheld WHERE lease = $1 AND cause = 'device'")
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn is_withheld(&mut self, lease: LeaseId) -> Result<bool, StoreError> {
        let row = query("SELECT 1 AS one FROM withheld WHERE lease = $1 LIMIT 1")
            .bind(lease.to_string())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// The leases that wait for a device to show itself.
    ///
    /// # Errors
    /// The database failed.
    pub async fn withheld_for(&mut self, device: DeviceId) -> Result<Vec<LeaseId>, StoreError> {
        let rows = query(
            "SELECT lease FROM withheld WHERE cause = 'device' AND device = $1 ORDER BY lease",
        )
        .bind(device.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.parse("lease")).collect()
    }
}

impl Store {
    /// Leases that have waited for a device since before a moment, the longest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn never_shown(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeaseId>, StoreError> {
        let rows = query(
            "SELECT DISTINCT lease, since FROM withheld WHERE cause = 'device' AND since < $1 \
             ORDER BY since, lease LIMIT $2",
        )
        .bind(before.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("lease")).collect()
    }
}
