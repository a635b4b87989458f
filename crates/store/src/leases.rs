//! Leases and their receipts.

use kernel::{
    AccountId, Amount, DeviceId, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp,
};
use metering::{Fees, Head};
use protocol::rent::Kind;
use protocol::state::{LeaseState, RunEnd};
use protocol::view::Receipt;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, before, count, json};

/// A device as it was when the lease was given for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromisedDevice {
    pub device: DeviceId,
    pub model: String,
    pub memory_mib: u64,
    /// It had shown what it is, and is held to it until it is paid.
    #[serde(default)]
    pub proven: bool,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub id: LeaseId,
    pub job: JobId,
    pub account: AccountId,
    pub epoch: Epoch,
    /// Which of the job's nodes this is the lease of, from 0.
    pub member: u32,
    pub node: NodeId,
    /// The first of its devices; it stands for all in receipts.
    pub device: DeviceId,
    /// All its devices, and what each asks.
    pub devices: Vec<(DeviceId, PricePerSecond)>,
    /// What was hired. Empty for leases of before this was noted.
    pub promised: Vec<PromisedDevice>,
    pub owner: AccountId,
    pub kind: Kind,
    /// Of all its devices together.
    pub price: PricePerSecond,
    /// As they were when the lease was given; a later vote does not change a running job.
    pub fees: Fees,
    pub state: LeaseState,
    pub end: Option<RunEnd>,
    /// Seconds that are paid for.
    pub funded: Seconds,
    /// SHA-256 of the transfer token.
    pub transfer_hash: String,
    /// The last countersigned receipt.
    pub head: Head,
    /// What the requester paid so far, fee included.
    pub charged: Amount,
    /// What the owner got so far.
    pub earned: Amount,
    /// What came back of what was paid. Only the database's is true: it changes after the lease is over, too.
    pub refunded: Amount,
    pub granted_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl Lease {
    pub fn is_live(&self) -> bool {
        self.state != LeaseState::Ended
    }

    /// How people call the member of a job of several; empty for a job of one.
    pub fn named_member(&self, members: u32) -> String {
        if members > 1 {
            format!("node {}", self.member)
        } else {
            String::new()
        }
    }

    pub fn has_device(&self, device: DeviceId) -> bool {
        self.devices.iter().any(|(own, _)| *own == device)
    }

    /// What of an amount that the lease earned is one device's: by what each asks, rounded down; the first has the rest.
    pub fn share(&self, device: DeviceId, amount: Amount) -> Amount {
        let total = i128::from(self.price.per_second().base());
        let part = |price: PricePerSecond| {
            let part = i128::from(amount.base())
                .saturating_mul(i128::from(price.per_second().base()))
                .checked_div(total)
                .unwrap_or(0);
            i64::try_from(part)
                .ok()
                .and_then(|base| Amount::try_from_base(base).ok())
                .unwrap_or(Amount::ZERO)
        };
        let others = self.devices.iter().filter(|(own, _)| *own != self.device);
        if device == self.device {
            return others.fold(amount, |rest, (_, price)| rest.minus_or_zero(part(*price)));
        }
        self.devices
            .iter()
            .find(|(own, _)| *own == device)
            .map_or(Amount::ZERO, |(_, price)| part(*price))
    }
}

/// A lease with the names that people see.
#[derive(Debug, Clone)]
pub struct LeaseRow {
    pub lease: Lease,
    pub node_name: String,
    pub device_model: String,
}

/// One lease of a job, as far as its members go.
#[derive(Debug, Clone)]
pub struct MemberLease {
    pub member: u32,
    pub live: bool,
    pub end: Option<RunEnd>,
}

fn lease(row: &AnyRow) -> Result<Lease, StoreError> {
    Ok(Lease {
        id: row.parse("id")?,
        job: row.parse("job")?,
        account: row.parse("account")?,
        epoch: row.epoch("epoch")?,
        member: row.small("member")?,
        node: row.parse("node")?,
        device: row.parse("device")?,
        devices: row.json("devices")?,
        promised: row.json("promised")?,
        owner: row.parse("owner")?,
        kind: row.word("kind", Kind::parse)?,
        price: row.price("price")?,
        fees: Fees {
            requester: row.basis_points("fee_requester")?,
            owner: row.basis_points("fee_owner")?,
        },
        state: row.word("state", LeaseState::parse)?,
        end: row.json_opt("ending")?,
        funded: row.seconds("funded")?,
        transfer_hash: row.text("transfer_hash")?,
        head: Head {
            seq: row.unsigned("head_seq")?,
            hash: row.text("head_hash")?,
            seconds: row.seconds("seconds")?,
            energy: row.energy_opt("energy_mj")?,
            last: row.flag("head_last")?,
        },
        charged: row.amount("charged")?,
        earned: row.amount("earned")?,
        refunded: row.amount("refunded")?,
        granted_at: row.time("granted_at")?,
        started_at: row.time_opt("started_at")?,
        ended_at: row.time_opt("ended_at")?,
    })
}

pub(crate) fn named(row: &AnyRow) -> Result<LeaseRow, StoreError> {
    Ok(LeaseRow {
        lease: lease(row)?,
        node_name: row.text("node_name")?,
        device_model: row.text("device_model")?,
    })
}

impl Tx {
    /// What a receipt adds to a device's sums. Of several devices in one lease one may lose a base unit to another, as
    /// their shares are rounded: `earned` may be less than nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_earned(
        &mut self,
        device: DeviceId,
        seconds: Seconds,
        earned: Amount,
    ) -> Result<(), StoreError> {
        query("UPDATE devices SET seconds = seconds + $1, earned = earned + $2 WHERE id = $3")
            .bind(count("seconds", seconds.get())?)
            .bind(earned.base())
            .bind(device.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// All leases of a job that there ever were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn members_of(&mut self, job: JobId) -> Result<Vec<MemberLease>, StoreError> {
        let rows = query("SELECT member, live, ending FROM leases WHERE job = $1 ORDER BY epoch")
            .bind(job.to_string())
            .fetch_all(self.connection())
            .await?;
        let member = |row: &AnyRow| {
            Ok(MemberLease {
                member: row.small("member")?,
                live: row.flag("live")?,
                end: row.json_opt("ending")?,
            })
        };
        rows.iter().map(member).collect()
    }

    /// # Errors
    /// A conflict when one of the devices or the job's member has a live lease.
    pub async fn insert_lease(&mut self, lease: &Lease) -> Result<(), StoreError> {
        query(
            "INSERT INTO leases (id, job, account, epoch, node, device, owner, price, fee_requester, fee_owner, state, \
             live, funded, transfer_hash, head_seq, head_hash, seconds, head_last, charged, earned, granted_at, \
             member, device_count, devices, kind, promised) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13, 0, $14, 0, 0, 0, 0, $15, $16, $17, $18, \
             $19, $20)",
        )
        .bind(lease.id.to_string())
        .bind(lease.job.to_string())
        .bind(lease.account.to_string())
        .bind(count("epoch", lease.epoch.get())?)
        .bind(lease.node.to_string())
        .bind(lease.device.to_string())
        .bind(lease.owner.to_string())
        .bind(lease.price.per_second().base())
        .bind(i64::from(lease.fees.requester.get()))
        .bind(i64::from(lease.fees.owner.get()))
        .bind(lease.state.as_str())
        .bind(count("funded", lease.funded.get())?)
        .bind(&lease.transfer_hash)
        .bind(&lease.head.hash)
        .bind(lease.granted_at.millis())
        .bind(i64::from(lease.member))
        .bind(count(
            "device_count",
            u64::try_from(lease.devices.len()).unwrap_or(u64::MAX),
        )?)
        .bind(json("devices", &lease.devices)?)
        .bind(lease.kind.as_str())
        .bind(json("promised", &lease.promised)?)
        .execute(self.connection())
        .await?;
        let rows: Vec<String> = (2..)
            .take(lease.devices.len())
            .map(|n| format!("($1, ${n}, 1)"))
            .collect();
        let sql = format!(
            "INSERT INTO lease_devices (lease, device, live) VALUES {}",
            rows.join(", ")
        );
        let mut insert = query(sqlx::AssertSqlSafe(sql)).bind(lease.id.to_string());
        for (device, _) in &lease.devices {
            insert = insert.bind(device.to_string());
        }
        insert.execute(self.connection()).await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn is_live(&mut self, lease: LeaseId) -> Result<bool, StoreError> {
        let row = query("SELECT live FROM leases WHERE id = $1")
            .bind(lease.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map_or(Ok(false), |row| row.flag("live"))
    }

    /// Writes all that changes of a live lease after it was given.
    ///
    /// # Errors
    /// [`StoreError::Over`] when it has ended, whatever the caller believed; the database failed.
    pub async fn update_lease(&mut self, lease: &Lease) -> Result<(), StoreError> {
        let ending = lease
            .end
            .as_ref()
            .map(|end| json("ending", end))
            .transpose()?;
        let energy = lease
            .head
            .energy
            .map(|energy| count("energy_mj", energy.millijoules()))
            .transpose()?;
        let done = query(
            "UPDATE leases SET state = $1, live = $2, ending = $3, funded = $4, head_seq = $5, head_hash = $6, \
             seconds = $7, head_last = $8, charged = $9, earned = $10, started_at = $11, ended_at = $12, energy_mj = $13 \
             WHERE id = $14 AND live = 1",
        )
        .bind(lease.state.as_str())
        .bind(i64::from(lease.is_live()))
        .bind(ending)
        .bind(count("funded", lease.funded.get())?)
        .bind(count("head_seq", lease.head.seq)?)
        .bind(&lease.head.hash)
        .bind(count("seconds", lease.head.seconds.get())?)
        .bind(i64::from(lease.head.last))
        .bind(lease.charged.base())
        .bind(lease.earned.base())
        .bind(lease.started_at.map(Timestamp::millis))
        .bind(lease.ended_at.map(Timestamp::millis))
        .bind(energy)
        .bind(lease.id.to_string())
        .execute(self.connection())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Over);
        }
        if !lease.is_live() {
            query("UPDATE lease_devices SET live = 0 WHERE lease = $1")
                .bind(lease.id.to_string())
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Posted `now`, or when the one before it was, if the clock went back since: a lease's receipts are posted one after the other.
    ///
    /// # Errors
    /// A conflict when the number was posted before.
    pub async fn insert_receipt(
        &mut self,
        receipt: &Receipt,
        hash: &str,
        charged: Amount,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = query("SELECT posted_at FROM receipts WHERE lease = $1 AND seq = $2")
            .bind(receipt.lease.to_string())
            .bind(count("seq", receipt.seq.saturating_sub(1))?)
            .fetch_optional(self.connection())
            .await?;
        let before = before.map(|row| row.time("posted_at")).transpose()?;
        let posted_at = before.map_or(now, |before| before.max(now));
        query("INSERT INTO receipts (lease, seq, body, hash, charged, posted_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(receipt.lease.to_string())
            .bind(count("seq", receipt.seq)?)
            .bind(json("receipt", receipt)?)
            .bind(hash)
            .bind(charged.base())
            .bind(posted_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

pub(crate) const NAMED: &str = "SELECT l.*, n.name AS node_name, d.model AS device_model \
                     FROM leases l JOIN nodes n ON n.id = l.node JOIN devices d ON d.id = l.device";

impl Store {
    /// # Errors
    /// The database failed.
    pub async fn live_leases(&self) -> Result<Vec<Lease>, StoreError> {
        let rows = query("SELECT * FROM leases WHERE live = 1 ORDER BY id")
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(lease).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        let row = query("SELECT * FROM leases WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(lease).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn live_lease_on(&self, device: DeviceId) -> Result<Option<Lease>, StoreError> {
        let row = query(
            "SELECT l.* FROM leases l JOIN lease_devices d ON d.lease = l.id WHERE d.device = $1 AND d.live = 1",
        )
            .bind(device.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(lease).transpose()
    }

    /// A job's leases, first to last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases_of_job(&self, job: JobId) -> Result<Vec<LeaseRow>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{NAMED} WHERE l.job = $1 ORDER BY l.epoch"));
        let rows = query(sql)
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(named).collect()
    }

    /// The leases of a machine, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases_of_node(
        &self,
        node: NodeId,
        from: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{NAMED} WHERE l.node = $1 AND l.id < $2 ORDER BY l.id DESC LIMIT $3"
        ));
        let rows = query(sql)
            .bind(node.to_string())
            .bind(before(from, LeaseId::PREFIX))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(named).collect()
    }

    /// All leases of an account's jobs with ids from `first` to `last`, for a page of its list.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases_of_account(
        &self,
        account: AccountId,
        first: JobId,
        last: JobId,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{NAMED} WHERE l.account = $1 AND l.job >= $2 AND l.job <= $3 ORDER BY l.job, l.epoch"
        ));
        let rows = query(sql)
            .bind(account.to_string())
            .bind(first.to_string())
            .bind(last.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(named).collect()
    }

    /// An owner's leases, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases_of_owner(
        &self,
        owner: AccountId,
        limit: u32,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!(
            "{NAMED} WHERE l.owner = $1 ORDER BY l.id DESC LIMIT $2"
        ));
        let rows = query(sql)
            .bind(owner.to_string())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(named).collect()
    }

    /// Seconds delivered and money earned by each device of an owner, receipted; those that delivered anything.
    ///
    /// # Errors
    /// The database failed.
    pub async fn earned_by_device(
        &self,
        owner: AccountId,
    ) -> Result<Vec<(DeviceId, Seconds, Amount)>, StoreError> {
        let rows = query(
            "SELECT d.id, d.seconds, d.earned FROM devices d JOIN nodes n ON n.id = d.node \
             WHERE n.owner = $1 AND d.seconds > 0 ORDER BY d.id",
        )
        .bind(owner.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.parse("id")?,
                    row.seconds("seconds")?,
                    row.amount("earned")?,
                ))
            })
            .collect()
    }

    /// All seconds that were ever delivered and receipted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn seconds_delivered(&self) -> Result<Seconds, StoreError> {
        let row = query("SELECT CAST(COALESCE(SUM(seconds), 0) AS BIGINT) AS seconds FROM leases")
            .fetch_one(self.readers())
            .await?;
        row.seconds("seconds")
    }
}
