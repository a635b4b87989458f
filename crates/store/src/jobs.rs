//! Jobs, their events, their holds.

use kernel::{AccountId, DeviceId, Epoch, HoldId, JobId, PricePerSecond, Timestamp};
use ledger::Hold;
use protocol::JobSpec;
use protocol::spec::DeviceClass;
use protocol::state::{JobState, RunEnd};
use protocol::view::{JobEvent, JobEventKind};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::leases::LeaseRow;
use crate::row::{Columns, count, json};

#[derive(Debug, Clone)]
pub struct Job {
    pub id: JobId,
    pub account: AccountId,
    pub spec: JobSpec,
    pub state: JobState,
    /// How it ends, as soon as that is known: of a job with several members before the last of them has stopped.
    pub end: Option<RunEnd>,
    /// Nodes it runs on, all or none.
    pub members: u32,
    pub epoch: Epoch,
    pub restarts: u32,
    pub stop_requested: bool,
    /// The requester chose this device and no other.
    pub wanted_device: Option<DeviceId>,
    /// What it was told that it pays at most, when a spot job was given notice for it: until it has its place.
    pub promised: Option<PricePerSecond>,
    pub created_at: Timestamp,
    /// Since when it looks for devices: for all its members, or for one that was lost while the others run.
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// A job with its last lease, as lists show it.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub job: Job,
    pub lease: Option<LeaseRow>,
    pub class: DeviceClass,
}

/// What an idempotent submission answers again.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct JobAnswer {
    pub job: JobId,
}

fn job(row: &AnyRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.parse("id")?,
        account: row.parse("account")?,
        spec: row.json("spec")?,
        state: row.word("state", JobState::parse)?,
        end: row.json_opt("ending")?,
        members: row.small("members")?,
        epoch: row.epoch("epoch")?,
        restarts: row.small("restarts")?,
        stop_requested: row.flag("stop_requested")?,
        wanted_device: row.parse_opt("wanted_device")?,
        promised: row.amount_opt("promised")?.map(PricePerSecond::from_amount),
        created_at: row.time("created_at")?,
        queued_at: row.time_opt("queued_at")?,
        started_at: row.time_opt("started_at")?,
        ended_at: row.time_opt("ended_at")?,
    })
}

fn hold(row: &AnyRow) -> Result<Hold, StoreError> {
    Ok(Hold {
        id: row.parse::<HoldId>("id")?,
        account: row.parse("account")?,
        job: row.parse("job")?,
        reserved: row.amount("reserved")?,
        paid: row.amount("paid")?,
        returned: row.amount("returned")?,
        expires_at: row.time_opt("expires_at")?,
        released: row.flag("released")?,
    })
}

impl Tx {
    /// How many jobs of an account look for devices, those of this transaction too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_waiting(&mut self, account: AccountId) -> Result<u64, StoreError> {
        let row =
            query("SELECT COUNT(*) AS n FROM jobs WHERE account = $1 AND queued_at IS NOT NULL")
                .bind(account.to_string())
                .fetch_one(self.connection())
                .await?;
        row.unsigned("n")
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_job(&mut self, job: &Job) -> Result<(), StoreError> {
        query(
            "INSERT INTO jobs (id, account, name, spec, state, epoch, restarts, stop_requested, wanted_device, \
             created_at, queued_at, members) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(job.id.to_string())
        .bind(job.account.to_string())
        .bind(job.spec.name.trim().to_owned())
        .bind(json("spec", &job.spec)?)
        .bind(job.state.as_str())
        .bind(count("epoch", job.epoch.get())?)
        .bind(i64::from(job.restarts))
        .bind(i64::from(job.stop_requested))
        .bind(job.wanted_device.map(|device| device.to_string()))
        .bind(job.created_at.millis())
        .bind(job.queued_at.map(Timestamp::millis))
        .bind(i64::from(job.members))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Writes all that changes of a job after its submission.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_job(&mut self, job: &Job) -> Result<(), StoreError> {
        let ending = job
            .end
            .as_ref()
            .map(|end| json("ending", end))
            .transpose()?;
        query(
            "UPDATE jobs SET state = $1, ending = $2, epoch = $3, restarts = $4, stop_requested = $5, \
             queued_at = $6, started_at = $7, ended_at = $8, promised = $9 WHERE id = $10",
        )
        .bind(job.state.as_str())
        .bind(ending)
        .bind(count("epoch", job.epoch.get())?)
        .bind(i64::from(job.restarts))
        .bind(i64::from(job.stop_requested))
        .bind(job.queued_at.map(Timestamp::millis))
        .bind(job.started_at.map(Timestamp::millis))
        .bind(job.ended_at.map(Timestamp::millis))
        .bind(job.promised.map(|price| price.per_second().base()))
        .bind(job.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed, or there is no such job.
    pub async fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = query("SELECT * FROM jobs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(job).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn add_event(&mut self, job: JobId, event: &JobEvent) -> Result<(), StoreError> {
        query(
            "INSERT INTO job_events (job, seq, at, kind, detail) \
             SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4 FROM job_events WHERE job = $5",
        )
        .bind(job.to_string())
        .bind(event.at.millis())
        .bind(event.kind.as_str())
        // Workers give reasons; Postgres has no zero character in TEXT.
        .bind(event.detail.replace('\0', "\u{fffd}"))
        .bind(job.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn hold(&mut self, job: JobId) -> Result<Option<Hold>, StoreError> {
        let row = query("SELECT * FROM holds WHERE job = $1")
            .bind(job.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(hold).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn put_hold(&mut self, hold: &Hold) -> Result<(), StoreError> {
        query(
            "INSERT INTO holds (id, account, job, reserved, paid, released, returned, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (id) DO UPDATE SET reserved = excluded.reserved, paid = excluded.paid, \
             released = excluded.released, returned = excluded.returned, expires_at = excluded.expires_at",
        )
        .bind(hold.id.to_string())
        .bind(hold.account.to_string())
        .bind(hold.job.to_string())
        .bind(hold.reserved.base())
        .bind(hold.paid.base())
        .bind(i64::from(hold.released))
        .bind(hold.returned.base())
        .bind(hold.expires_at.map(Timestamp::millis))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// Jobs whose hold nothing used until its time was over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn holds_to_expire(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let rows = query(
            "SELECT job FROM holds WHERE expires_at <= $1 AND released = 0 ORDER BY expires_at, id",
        )
        .bind(now.millis())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("job")).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = query("SELECT * FROM jobs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(job).transpose()
    }

    /// An account's jobs, newest first, from before `before`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn jobs(
        &self,
        account: AccountId,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        // The prefix is followed by hexadecimal digits only, so "job_g" is after every id.
        let before = before.map_or_else(|| "job_g".to_owned(), |id| id.to_string());
        let rows =
            query("SELECT * FROM jobs WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(account.to_string())
                .bind(before)
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(job).collect()
    }

    /// Jobs that look for devices, for all of their members or for one that was lost; oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_jobs(&self) -> Result<Vec<Job>, StoreError> {
        let rows = query("SELECT * FROM jobs WHERE queued_at IS NOT NULL ORDER BY queued_at, id")
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(job).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn events(&self, job: JobId) -> Result<Vec<JobEvent>, StoreError> {
        let rows = query("SELECT at, kind, detail FROM job_events WHERE job = $1 ORDER BY seq")
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(JobEvent {
                    at: row.time("at")?,
                    kind: row.word("kind", JobEventKind::parse)?,
                    detail: row.text("detail")?,
                })
            })
            .collect()
    }

    /// How many jobs are in a state, over all accounts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_jobs(&self, state: JobState) -> Result<u32, StoreError> {
        let row = query("SELECT COUNT(*) AS n FROM jobs WHERE state = $1")
            .bind(state.as_str())
            .fetch_one(self.readers())
            .await?;
        row.small("n")
    }
}
