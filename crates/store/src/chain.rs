//! What goes out over a chain, and how far the chain's events are in the books.

use std::fmt;
use std::str::FromStr;

use kernel::{Amount, DeedId, DepositId, PayoutId, Timestamp};
use settlement::chain::Signed;
use settlement::{Address, Batch, Digest, Line, Outgoing, Tag, Week};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::payouts::{Payout, payout};
use crate::row::{Columns, count};

/// What a transaction is for. Of those for one purpose only one can ever take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The batch with this id.
    Payouts(Digest),
    /// What a person's wallet signed.
    Deed(DeedId),
    /// A voucher of this channel, for this payee, up to this sum.
    Redeem(Address, Address, Amount),
    /// A version of a week's report.
    Report { week: Week, version: u64 },
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payouts(batch) => write!(f, "payouts:{batch}"),
            Self::Deed(deed) => write!(f, "deed:{deed}"),
            Self::Redeem(channel, payee, sum) => {
                write!(f, "redeem:{channel}:{payee}:{}", sum.base())
            }
            Self::Report { week, version } => write!(f, "report:{}:{version}", week.day()),
        }
    }
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let voucher = |rest: &str| {
            let (channel, rest) = rest.split_once(':')?;
            let (payee, sum) = rest.split_once(':')?;
            let sum = Amount::try_from_base(sum.parse().ok()?).ok()?;
            Some(Self::Redeem(
                channel.parse().ok()?,
                payee.parse().ok()?,
                sum,
            ))
        };
        let report = |rest: &str| {
            let (week, version) = rest.split_once(':')?;
            let week = Week::try_new(week.parse().ok()?).ok()?;
            let version = version.parse().ok()?;
            Some(Self::Report { week, version })
        };
        let read = text.split_once(':').and_then(|(kind, rest)| match kind {
            "payouts" => rest.parse().ok().map(Self::Payouts),
            "deed" => rest.parse().ok().map(Self::Deed),
            "redeem" => voucher(rest),
            "report" => report(rest),
            _ => None,
        });
        read.ok_or_else(|| format!("{text:?} is no purpose of a transaction"))
    }
}

/// A signed transaction and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRow {
    pub hash: Digest,
    pub purpose: Purpose,
    pub attempt: u32,
    pub sender: Address,
    pub signed: Vec<u8>,
    pub expires_at: Timestamp,
    pub fee_max: u64,
    pub state: Outgoing,
    pub made_at: Timestamp,
    pub changed_at: Timestamp,
    pub gas_used: Option<u64>,
    pub status: String,
}

/// A batch and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    pub id: Digest,
    pub total: Amount,
    pub lines: u32,
    pub made_at: Timestamp,
    pub transaction: Option<Digest>,
    pub paid: Option<u32>,
    pub skipped: Option<u32>,
    pub settled_at: Option<Timestamp>,
}

/// A deposit for nobody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    pub id: DepositId,
    pub reference: String,
    pub sender: Address,
    pub tag: Option<Tag>,
    pub amount: Amount,
    pub at: Timestamp,
}

/// Where the chain and the books differ, or a transaction does not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFault {
    pub subject: String,
    pub expected: String,
    pub found: String,
}

pub(crate) fn outgoing(row: &AnyRow) -> Result<OutgoingRow, StoreError> {
    let signed = row.text("signed")?;
    Ok(OutgoingRow {
        hash: row.parse("hash")?,
        purpose: row.parse("purpose")?,
        attempt: row.small("attempt")?,
        sender: row.parse("sender")?,
        signed: hex_bytes("signed", &signed)?,
        expires_at: row.time("expires_at")?,
        fee_max: row.unsigned("fee_max")?,
        state: row.json("state")?,
        made_at: row.time("made_at")?,
        changed_at: row.time("changed_at")?,
        gas_used: row
            .int_opt("gas_used")?
            .map(|gas| u64::try_from(gas).map_err(|error| StoreError::corrupt("gas_used", error)))
            .transpose()?,
        status: row.text("status")?,
    })
}

fn hex_bytes(what: &'static str, text: &str) -> Result<Vec<u8>, StoreError> {
    hex::decode(text).map_err(|error| StoreError::corrupt(what, error))
}

pub(crate) fn batch(row: &AnyRow) -> Result<BatchRow, StoreError> {
    let small = |column: &'static str| {
        row.int_opt(column)?
            .map(|n| u32::try_from(n).map_err(|error| StoreError::corrupt(column, error)))
            .transpose()
    };
    Ok(BatchRow {
        id: row.parse("id")?,
        total: row.amount("total")?,
        lines: row.small("lines")?,
        made_at: row.time("made_at")?,
        transaction: row.parse_opt("transaction_hash")?,
        paid: small("paid")?,
        skipped: small("skipped")?,
        settled_at: row.time_opt("settled_at")?,
    })
}

fn unclaimed(row: &AnyRow) -> Result<Unclaimed, StoreError> {
    let tag = row.text_opt("tag")?.map(|tag| {
        let bytes = hex_bytes("tag", &tag)?;
        Tag::try_from(bytes.as_slice()).map_err(|error| StoreError::corrupt("tag", error))
    });
    Ok(Unclaimed {
        id: row.parse("id")?,
        reference: row.text("reference")?,
        sender: row.parse("sender")?,
        tag: tag.transpose()?,
        amount: row.amount("amount")?,
        at: row.time("at")?,
    })
}

fn line(row: &AnyRow) -> Result<Line, StoreError> {
    Ok(Line {
        payout: row.parse("id")?,
        payee: row.parse("address")?,
        amount: row.amount("amount")?,
    })
}

impl Tx {
    /// Where to read a contract's events on; 0 when none was read.
    ///
    /// # Errors
    /// The database failed.
    pub async fn chain_cursor(&mut self, contract: &str) -> Result<u64, StoreError> {
        let sql = "SELECT next FROM chain_cursors WHERE contract = $1";
        let next = self.one(sql, contract, |row| row.unsigned("next")).await?;
        Ok(next.unwrap_or(0))
    }

    /// # Errors
    /// The database failed.
    pub async fn put_chain_cursor(&mut self, contract: &str, next: u64) -> Result<(), StoreError> {
        query(
            "INSERT INTO chain_cursors (contract, next) VALUES ($1, $2) \
             ON CONFLICT (contract) DO UPDATE SET next = excluded.next",
        )
        .bind(contract)
        .bind(count("next", next)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// A conflict: another one for the purpose may still take effect.
    pub async fn insert_outgoing(
        &mut self,
        signed: &Signed,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO outgoing (hash, purpose, attempt, sender, signed, expires_at, fee_max, state, may_land, over, made_at, \
             changed_at, status) VALUES ($1, $2, (SELECT COUNT(*) + 1 FROM outgoing WHERE purpose = $3), $4, $5, $6, $7, $8, 1, 0, \
             $9, $10, '')",
        )
        .bind(signed.hash.to_string())
        .bind(purpose.to_string())
        .bind(purpose.to_string())
        .bind(signed.sender.to_string())
        .bind(hex::encode(&signed.bytes))
        .bind(signed.expires_at.millis())
        .bind(count("fee_max", signed.fee_max)?)
        .bind(state_text(Outgoing::Signed)?)
        .bind(now.millis())
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn update_outgoing(&mut self, changed: &OutgoingRow) -> Result<(), StoreError> {
        let gas = changed.gas_used.map(|gas| count("gas_used", gas));
        query(
            "UPDATE outgoing SET state = $1, may_land = $2, over = $3, changed_at = $4, gas_used = $5, status = $6 WHERE hash = $7",
        )
        .bind(state_text(changed.state)?)
        .bind(i64::from(!changed.state.may_be_replaced()))
        .bind(i64::from(changed.state.is_final()))
        .bind(changed.changed_at.millis())
        .bind(gas.transpose()?)
        .bind(&changed.status)
        .bind(changed.hash.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn outgoing(&mut self, hash: Digest) -> Result<Option<OutgoingRow>, StoreError> {
        self.one("SELECT * FROM outgoing WHERE hash = $1", hash, outgoing)
            .await
    }

    /// # Errors
    /// A conflict: the batch is there already.
    pub async fn insert_batch(&mut self, new: &Batch, now: Timestamp) -> Result<(), StoreError> {
        let lines = i64::try_from(new.lines().len());
        query("INSERT INTO payout_batches (id, total, lines, made_at) VALUES ($1, $2, $3, $4)")
            .bind(new.id().to_string())
            .bind(new.total().base())
            .bind(lines.map_err(|error| StoreError::corrupt("lines", error))?)
            .bind(now.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// A conflict: another payout is this line.
    pub async fn put_line(
        &mut self,
        payout: PayoutId,
        batch: Digest,
        line: u64,
    ) -> Result<(), StoreError> {
        query("UPDATE payouts SET batch = $1, line = $2 WHERE id = $3 AND batch IS NULL")
            .bind(batch.to_string())
            .bind(count("line", line)?)
            .bind(payout.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn batch(&mut self, id: Digest) -> Result<Option<BatchRow>, StoreError> {
        self.one("SELECT * FROM payout_batches WHERE id = $1", id, batch)
            .await
    }

    /// Its payouts in the order of its lines.
    ///
    /// # Errors
    /// The database failed.
    pub async fn batch_payouts(&mut self, id: Digest) -> Result<Vec<Payout>, StoreError> {
        let rows = query("SELECT * FROM payouts WHERE batch = $1 ORDER BY line")
            .bind(id.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(payout).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn settle_batch(&mut self, settled: &BatchRow) -> Result<(), StoreError> {
        query(
            "UPDATE payout_batches SET transaction_hash = $1, paid = $2, skipped = $3, settled_at = $4 WHERE id = $5",
        )
        .bind(settled.transaction.map(|hash| hash.to_string()))
        .bind(settled.paid.map(i64::from))
        .bind(settled.skipped.map(i64::from))
        .bind(settled.settled_at.map(Timestamp::millis))
        .bind(settled.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Whether what came in under this reference is in the books.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_deposit_known(&mut self, reference: &str) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM deposits WHERE reference = $1 UNION ALL SELECT id FROM unclaimed_deposits WHERE reference = $1";
        let found = query(sql).bind(reference);
        Ok(found.fetch_optional(self.connection()).await?.is_some())
    }

    /// Whether a payout went out over the chain, which then says what becomes of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_in_batch(&mut self, payout: PayoutId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM payouts WHERE id = $1 AND batch IS NOT NULL";
        let found = query(sql).bind(payout.to_string());
        Ok(found.fetch_optional(self.connection()).await?.is_some())
    }

    /// # Errors
    /// A conflict: its reference is there already.
    pub async fn insert_unclaimed(&mut self, new: &Unclaimed) -> Result<(), StoreError> {
        query(
            "INSERT INTO unclaimed_deposits (id, reference, sender, tag, amount, at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.id.to_string())
        .bind(&new.reference)
        .bind(new.sender.to_string())
        .bind(new.tag.map(|tag| hex::encode(tag.as_bytes())))
        .bind(new.amount.base())
        .bind(new.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// It is somebody's now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_unclaimed(&mut self, id: DepositId) -> Result<Option<Unclaimed>, StoreError> {
        let sql = "DELETE FROM unclaimed_deposits WHERE id = $1 RETURNING *";
        self.one(sql, id, unclaimed).await
    }

    /// Something is wrong, as it was found now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_chain_fault(
        &mut self,
        fault: &ChainFault,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO chain_faults (subject, expected, found, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (subject) DO UPDATE SET expected = excluded.expected, found = excluded.found, at = excluded.at",
        )
        .bind(&fault.subject)
        .bind(&fault.expected)
        .bind(&fault.found)
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// It is right again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_chain_fault(&mut self, subject: &str) -> Result<(), StoreError> {
        query("DELETE FROM chain_faults WHERE subject = $1")
            .bind(subject)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn state_text(state: Outgoing) -> Result<String, StoreError> {
    serde_json::to_string(&state).map_err(|error| StoreError::corrupt("state", error))
}

impl Store {
    /// Those of which something may still become, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_outgoing(&self) -> Result<Vec<OutgoingRow>, StoreError> {
        let rows = query("SELECT * FROM outgoing WHERE over = 0 ORDER BY made_at, hash")
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(outgoing).collect()
    }

    /// The newest transaction for a purpose.
    ///
    /// # Errors
    /// The database failed.
    pub async fn newest_outgoing(
        &self,
        purpose: Purpose,
    ) -> Result<Option<OutgoingRow>, StoreError> {
        let sql = "SELECT * FROM outgoing WHERE purpose = $1 ORDER BY attempt DESC LIMIT 1";
        self.one(sql, purpose, outgoing).await
    }

    /// Batches of which the chain has not told the end, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        let rows =
            query("SELECT * FROM payout_batches WHERE settled_at IS NULL ORDER BY made_at, id")
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(batch).collect()
    }

    /// The lines of a batch, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn batch_lines(&self, id: Digest) -> Result<Vec<Line>, StoreError> {
        let rows = query("SELECT id, address, amount FROM payouts WHERE batch = $1 ORDER BY line")
            .bind(id.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(line).collect()
    }

    /// Payouts that wait for a batch, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn approved_lines(&self, limit: u32) -> Result<Vec<Line>, StoreError> {
        let rows = query(
            "SELECT id, address, amount FROM payouts WHERE state = 'approved' AND batch IS NULL ORDER BY id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(line).collect()
    }

    /// Payouts of at most so much that nobody has approved, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn requested_payouts(
        &self,
        most: Amount,
        limit: u32,
    ) -> Result<Vec<PayoutId>, StoreError> {
        let rows = query(
            "SELECT id FROM payouts WHERE state = 'requested' AND amount <= $1 ORDER BY id LIMIT $2",
        )
        .bind(most.base())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// What came in for nobody, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unclaimed(&self, limit: u32) -> Result<Vec<Unclaimed>, StoreError> {
        let rows = query("SELECT * FROM unclaimed_deposits ORDER BY at, id LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(unclaimed).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn chain_faults(&self) -> Result<Vec<ChainFault>, StoreError> {
        let rows = query("SELECT * FROM chain_faults ORDER BY subject")
            .fetch_all(self.readers())
            .await?;
        let read = |row: &AnyRow| {
            Ok(ChainFault {
                subject: row.text("subject")?,
                expected: row.text("expected")?,
                found: row.text("found")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
