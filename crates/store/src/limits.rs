//! What accounts let their jobs spend, and what they spent by day.

use std::collections::BTreeMap;

use kernel::{AccountId, Amount, LeaseId, Timestamp};
use ledger::BookId;
use protocol::money::{DayView, Limits};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::ledger_books::{ACCOUNTS, list};
use crate::row::Columns;

const DAY_MS: i64 = 86_400_000;

/// What a lease earned, and how much of it has become withdrawable or was promised by vouchers; what its requester was charged,
/// was given back, and how much of the difference is accounted for with the requester's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maturity {
    pub owner: AccountId,
    pub earned: Amount,
    pub matured: Amount,
    pub account: AccountId,
    pub charged: Amount,
    pub refunded: Amount,
    pub cleared: Amount,
}

fn limits(row: &AnyRow) -> Result<Limits, StoreError> {
    let amount = |column| -> Result<Option<Amount>, StoreError> {
        row.int_opt(column)?.map(|_| row.amount(column)).transpose()
    };
    Ok(Limits {
        keep: amount("keep")?,
        per_day: amount("per_day")?,
        per_month: amount("per_month")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn limits(&mut self, account: AccountId) -> Result<Limits, StoreError> {
        let row = query("SELECT keep, per_day, per_month FROM spend_limits WHERE account = $1")
            .bind(account.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map_or(Ok(Limits::default()), |row| limits(&row))
    }

    /// # Errors
    /// The database failed.
    pub async fn put_limits(
        &mut self,
        account: AccountId,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO spend_limits (account, keep, per_day, per_month) VALUES ($1, $2, $3, $4) ON CONFLICT (account) \
             DO UPDATE SET keep = excluded.keep, per_day = excluded.per_day, per_month = excluded.per_month",
        )
        .bind(account.to_string())
        .bind(limits.keep.map(Amount::base))
        .bind(limits.per_day.map(Amount::base))
        .bind(limits.per_month.map(Amount::base))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How far a lease's earnings have matured, those of this transaction among them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn maturity(&mut self, lease: LeaseId) -> Result<Option<Maturity>, StoreError> {
        let row = query("SELECT owner, earned, matured, account, charged, refunded, cleared FROM leases WHERE id = $1")
            .bind(lease.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| {
            Ok(Maturity {
                owner: row.parse("owner")?,
                earned: row.amount("earned")?,
                matured: row.amount("matured")?,
                account: row.parse("account")?,
                charged: row.amount("charged")?,
                refunded: row.amount("refunded")?,
                cleared: row.amount("cleared")?,
            })
        })
        .transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn put_matured(
        &mut self,
        lease: LeaseId,
        matured: Amount,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query("UPDATE leases SET matured = $1, matured_at = $2 WHERE id = $3")
            .bind(matured.base())
            .bind(now.millis())
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn put_cleared(&mut self, lease: LeaseId, cleared: Amount) -> Result<(), StoreError> {
        query("UPDATE leases SET cleared = $1 WHERE id = $2")
            .bind(cleared.base())
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn add_refunded(&mut self, lease: LeaseId, more: Amount) -> Result<(), StoreError> {
        query("UPDATE leases SET refunded = refunded + $1 WHERE id = $2")
            .bind(more.base())
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// Of many accounts: what they let their jobs spend, of those who said.
    ///
    /// # Errors
    /// The database failed.
    pub async fn limits_of(
        &self,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Limits>, StoreError> {
        let mut all = BTreeMap::new();
        for some in accounts.chunks(ACCOUNTS) {
            let sql = format!(
                "SELECT account, keep, per_day, per_month FROM spend_limits WHERE account IN ({})",
                list(some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(false);
            for account in some {
                select = select.bind(account.to_string());
            }
            for row in select.fetch_all(self.readers()).await? {
                all.insert(row.parse("account")?, limits(&row)?);
            }
        }
        Ok(all)
    }

    /// Leases that are over and of whose earnings something has not matured, and that nothing withholds.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases_to_mature(&self, limit: u32) -> Result<Vec<LeaseId>, StoreError> {
        let rows = query(
            "SELECT id FROM leases WHERE live = 0 AND matured < earned \
             AND NOT EXISTS (SELECT 1 FROM withheld w WHERE w.lease = leases.id) LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// What an owner's books gave back to requesters.
    ///
    /// # Errors
    /// The database failed.
    pub async fn given_back(&self, account: AccountId) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers \
             WHERE from_book IN ($1, $2, $3) AND kind = 'refund'",
        )
        .bind(BookId::Disputed(account).to_string())
        .bind(BookId::Withdrawable(account).to_string())
        .bind(BookId::Earned(account).to_string())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }

    /// What an account spent and earned on each day (UTC) since a moment, oldest first; days without either are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn by_day(
        &self,
        account: AccountId,
        since: Timestamp,
    ) -> Result<Vec<DayView>, StoreError> {
        let day = format!("at / {DAY_MS}");
        let sql = format!(
            "SELECT day, CAST(SUM(spent) AS BIGINT) AS spent, CAST(SUM(refunded) AS BIGINT) AS refunded, \
                    CAST(SUM(earned) AS BIGINT) AS earned FROM ( \
                SELECT {day} AS day, SUM(amount) AS spent, 0 AS refunded, 0 AS earned FROM transfers \
                    WHERE from_book = $1 AND at >= $2 AND kind IN ('charge', 'fee') GROUP BY {day} \
                UNION ALL SELECT {day}, 0, SUM(amount), 0 FROM transfers \
                    WHERE to_book = $3 AND at >= $2 AND kind = 'refund' GROUP BY {day} \
                UNION ALL SELECT {day}, 0, 0, SUM(amount) FROM transfers \
                    WHERE to_book = $4 AND at >= $2 AND kind = 'charge' GROUP BY {day} \
             ) x GROUP BY day ORDER BY day"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(BookId::Held(account).to_string())
            .bind(since.millis())
            .bind(BookId::Available(account).to_string())
            .bind(BookId::Earned(account).to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                let day = row.int("day")?.saturating_mul(DAY_MS);
                Ok(DayView {
                    day: Timestamp::from_millis(day),
                    spent: row.amount("spent")?,
                    refunded: row.amount("refunded")?,
                    earned: row.amount("earned")?,
                })
            })
            .collect()
    }
}
