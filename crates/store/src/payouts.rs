//! Deposits, payouts, and what two admins decide about payouts.

use kernel::{AccountId, Amount, ApprovalId, DepositId, PayoutId, Timestamp};
use protocol::money::{
    ApprovalAction, ApprovalView, DepositState, DepositView, PayoutState, PayoutView,
};
use settlement::tax::Rate;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, before, either};

/// Money that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    pub id: DepositId,
    pub account: AccountId,
    pub amount: Amount,
    pub state: DepositState,
    pub demo: bool,
    /// What it is called outside; the same is credited once.
    pub reference: Option<String>,
    pub requested_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    pub decided_by: Option<AccountId>,
    pub note: String,
}

impl Deposit {
    pub fn view(&self, email: Option<String>) -> DepositView {
        DepositView {
            id: self.id,
            account: self.account,
            email,
            amount: self.amount,
            state: self.state,
            demo: self.demo,
            requested_at: self.requested_at,
            decided_at: self.decided_at,
            reference: self.reference.clone(),
            note: self.note.clone(),
        }
    }
}

/// Earnings on their way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    pub id: PayoutId,
    pub account: AccountId,
    pub amount: Amount,
    pub address: String,
    pub state: PayoutState,
    pub requested_at: Timestamp,
    pub changed_at: Timestamp,
    pub changed_by: Option<AccountId>,
    pub reference: Option<String>,
    pub note: String,
    /// What one IO was worth when it arrived, if that was known.
    pub rate: Option<Rate>,
}

impl Payout {
    pub fn view(&self, email: Option<String>) -> PayoutView {
        PayoutView {
            id: self.id,
            account: self.account,
            email,
            amount: self.amount,
            address: self.address.clone(),
            state: self.state,
            requested_at: self.requested_at,
            changed_at: self.changed_at,
            reference: self.reference.clone(),
            note: self.note.clone(),
        }
    }
}

/// One admin proposes, another confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub id: ApprovalId,
    pub action: ApprovalAction,
    pub payout: PayoutId,
    pub reason: String,
    pub proposed_by: AccountId,
    pub proposed_at: Timestamp,
    pub confirmed_by: Option<AccountId>,
    pub decided_at: Option<Timestamp>,
    pub dropped: bool,
}

fn deposit(row: &AnyRow) -> Result<Deposit, StoreError> {
    Ok(Deposit {
        id: row.parse("id")?,
        account: row.parse("account")?,
        amount: row.amount("amount")?,
        state: row.word("state", DepositState::parse)?,
        demo: row.flag("demo")?,
        reference: row.text_opt("reference")?,
        requested_at: row.time("requested_at")?,
        decided_at: row.time_opt("decided_at")?,
        decided_by: row.parse_opt("decided_by")?,
        note: row.text("note")?,
    })
}

pub(crate) fn payout(row: &AnyRow) -> Result<Payout, StoreError> {
    let currency = row.text_opt("rate_currency")?;
    let rate = currency
        .zip(row.int_opt("rate_millionths")?)
        .map(|(currency, millionths)| Rate::try_new(&currency, millionths));
    Ok(Payout {
        id: row.parse("id")?,
        account: row.parse("account")?,
        amount: row.amount("amount")?,
        address: row.text("address")?,
        state: row.word("state", PayoutState::parse)?,
        requested_at: row.time("requested_at")?,
        changed_at: row.time("changed_at")?,
        changed_by: row.parse_opt("changed_by")?,
        reference: row.text_opt("reference")?,
        note: row.text("note")?,
        rate: rate
            .transpose()
            .map_err(|error| StoreError::corrupt("rate_currency", error))?,
    })
}

fn approval(row: &AnyRow) -> Result<Approval, StoreError> {
    Ok(Approval {
        id: row.parse("id")?,
        action: row.word("action", ApprovalAction::parse)?,
        payout: row.parse("payout")?,
        reason: row.text("reason")?,
        proposed_by: row.parse("proposed_by")?,
        proposed_at: row.time("proposed_at")?,
        confirmed_by: row.parse_opt("confirmed_by")?,
        decided_at: row.time_opt("decided_at")?,
        dropped: row.flag("dropped")?,
    })
}

const NAMED_APPROVALS: &str = "SELECT x.*, p.email AS proposer, c.email AS confirmer FROM approvals x \
     JOIN accounts p ON p.id = x.proposed_by LEFT JOIN accounts c ON c.id = x.confirmed_by";

fn named_approval(row: &AnyRow) -> Result<ApprovalView, StoreError> {
    let own = approval(row)?;
    Ok(ApprovalView {
        id: own.id,
        action: own.action,
        payout: own.payout,
        reason: own.reason,
        proposed_by: row.text("proposer")?,
        proposed_at: own.proposed_at,
        confirmed_by: row.text_opt("confirmer")?,
        decided_at: own.decided_at,
        dropped: own.dropped,
    })
}

impl Tx {
    /// # Errors
    /// A conflict: the same reference, or another open request of the account.
    pub async fn insert_deposit(&mut self, new: &Deposit) -> Result<(), StoreError> {
        query(
            "INSERT INTO deposits (id, account, amount, state, demo, reference, requested_at, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.id.to_string())
        .bind(new.account.to_string())
        .bind(new.amount.base())
        .bind(new.state.as_str())
        .bind(i64::from(new.demo))
        .bind(&new.reference)
        .bind(new.requested_at.millis())
        .bind(&new.note)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn update_deposit(&mut self, changed: &Deposit) -> Result<(), StoreError> {
        query("UPDATE deposits SET state = $1, decided_at = $2, decided_by = $3, note = $4, reference = $5 WHERE id = $6")
            .bind(changed.state.as_str())
            .bind(changed.decided_at.map(Timestamp::millis))
            .bind(changed.decided_by.map(|by| by.to_string()))
            .bind(&changed.note)
            .bind(changed.reference.as_deref())
            .bind(changed.id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn deposit(&mut self, id: DepositId) -> Result<Option<Deposit>, StoreError> {
        self.one("SELECT * FROM deposits WHERE id = $1", id, deposit)
            .await
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_payout(&mut self, new: &Payout) -> Result<(), StoreError> {
        query(
            "INSERT INTO payouts (id, account, amount, address, state, requested_at, changed_at, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.id.to_string())
        .bind(new.account.to_string())
        .bind(new.amount.base())
        .bind(&new.address)
        .bind(new.state.as_str())
        .bind(new.requested_at.millis())
        .bind(new.changed_at.millis())
        .bind(&new.note)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// A conflict: the reference stands for another payout.
    pub async fn update_payout(&mut self, changed: &Payout) -> Result<(), StoreError> {
        query(
            "UPDATE payouts SET state = $1, changed_at = $2, changed_by = $3, reference = $4, note = $5, rate_currency = $6, \
             rate_millionths = $7 WHERE id = $8",
        )
        .bind(changed.state.as_str())
        .bind(changed.changed_at.millis())
        .bind(changed.changed_by.map(|by| by.to_string()))
        .bind(&changed.reference)
        .bind(&changed.note)
        .bind(changed.rate.map(|rate| rate.currency()))
        .bind(changed.rate.map(|rate| rate.millionths()))
        .bind(changed.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn payout(&mut self, id: PayoutId) -> Result<Option<Payout>, StoreError> {
        self.one("SELECT * FROM payouts WHERE id = $1", id, payout)
            .await
    }

    /// How many payouts of an account are not over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_open_payouts(&mut self, account: AccountId) -> Result<u64, StoreError> {
        let row = query(
            "SELECT COUNT(*) AS n FROM payouts WHERE account = $1 AND state IN ('requested', 'approved', 'frozen', 'sent')",
        )
        .bind(account.to_string())
        .fetch_one(self.connection())
        .await?;
        row.unsigned("n")
    }

    /// # Errors
    /// A conflict: something is proposed for the payout already.
    pub async fn insert_approval(&mut self, new: &Approval) -> Result<(), StoreError> {
        query(
            "INSERT INTO approvals (id, action, payout, reason, proposed_by, proposed_at, dropped) \
             VALUES ($1, $2, $3, $4, $5, $6, 0)",
        )
        .bind(new.id.to_string())
        .bind(new.action.as_str())
        .bind(new.payout.to_string())
        .bind(&new.reason)
        .bind(new.proposed_by.to_string())
        .bind(new.proposed_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Proposals that nobody confirmed in their time are dropped.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_old_approvals(
        &mut self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE approvals SET dropped = 1, decided_at = $1 WHERE decided_at IS NULL AND dropped = 0 AND proposed_at <= $2",
        )
        .bind(now.millis())
        .bind(before.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed, or the same person confirms.
    pub async fn decide_approval(&mut self, decided: &Approval) -> Result<(), StoreError> {
        query(
            "UPDATE approvals SET confirmed_by = $1, decided_at = $2, dropped = $3 WHERE id = $4",
        )
        .bind(decided.confirmed_by.map(|by| by.to_string()))
        .bind(decided.decided_at.map(Timestamp::millis))
        .bind(i64::from(decided.dropped))
        .bind(decided.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn approval(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.one("SELECT * FROM approvals WHERE id = $1", id, approval)
            .await
    }
}

impl Store {
    /// An account's deposits, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn deposits(
        &self,
        account: AccountId,
        from: Option<DepositId>,
        limit: u32,
    ) -> Result<Vec<Deposit>, StoreError> {
        let rows = query(
            "SELECT * FROM deposits WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(account.to_string())
        .bind(before(from, DepositId::PREFIX))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(deposit).collect()
    }

    /// Of all accounts, with their e-mail addresses: what is to be decided first, then newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_deposits(&self, limit: u32) -> Result<Vec<DepositView>, StoreError> {
        let rows = query(
            "SELECT d.*, a.email FROM deposits d JOIN accounts a ON a.id = d.account \
             ORDER BY CASE d.state WHEN 'requested' THEN 0 ELSE 1 END, d.id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let view = |row: &AnyRow| Ok(deposit(row)?.view(Some(row.text("email")?)));
        rows.iter().map(view).collect()
    }

    /// Of all accounts, newest first: those that are open, those that are not, or both.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_deposits(
        &self,
        open: Option<bool>,
        from: Option<DepositId>,
        limit: u32,
    ) -> Result<Vec<DepositView>, StoreError> {
        let rows = query(
            "SELECT d.*, a.email FROM deposits d JOIN accounts a ON a.id = d.account WHERE d.id < $1 \
             AND ($2 = 2 OR $2 = CASE WHEN d.state IN ('requested', 'in_transit') THEN 1 ELSE 0 END) ORDER BY d.id DESC LIMIT $3",
        )
        .bind(before(from, DepositId::PREFIX))
        .bind(either(open))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let view = |row: &AnyRow| Ok(deposit(row)?.view(Some(row.text("email")?)));
        rows.iter().map(view).collect()
    }

    /// An account's payouts, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn payouts(
        &self,
        account: AccountId,
        from: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        let rows =
            query("SELECT * FROM payouts WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(account.to_string())
                .bind(before(from, PayoutId::PREFIX))
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(payout).collect()
    }

    /// Of all accounts, with their e-mail addresses: those that are not over first, then newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_payouts(&self, limit: u32) -> Result<Vec<PayoutView>, StoreError> {
        let rows = query(
            "SELECT p.*, a.email FROM payouts p JOIN accounts a ON a.id = p.account ORDER BY \
             CASE WHEN p.state IN ('requested', 'approved', 'frozen', 'sent') THEN 0 ELSE 1 END, p.id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let view = |row: &AnyRow| Ok(payout(row)?.view(Some(row.text("email")?)));
        rows.iter().map(view).collect()
    }

    /// Of all accounts, newest first: those that are open, those that are not, or both.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_payouts(
        &self,
        open: Option<bool>,
        from: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<PayoutView>, StoreError> {
        let rows = query(
            "SELECT p.*, a.email FROM payouts p JOIN accounts a ON a.id = p.account WHERE p.id < $1 \
             AND ($2 = 2 OR $2 = CASE WHEN p.state IN ('requested', 'approved', 'frozen', 'sent') THEN 1 ELSE 0 END) ORDER BY p.id DESC LIMIT $3",
        )
        .bind(before(from, PayoutId::PREFIX))
        .bind(either(open))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let view = |row: &AnyRow| Ok(payout(row)?.view(Some(row.text("email")?)));
        rows.iter().map(view).collect()
    }

    /// One, with its account's e-mail address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn payout(&self, id: PayoutId) -> Result<Option<(Payout, String)>, StoreError> {
        let sql = "SELECT p.*, a.email FROM payouts p JOIN accounts a ON a.id = p.account WHERE p.id = $1";
        let read = |row: &AnyRow| Ok((payout(row)?, row.text("email")?));
        self.one(sql, id, read).await
    }

    /// All that was paid out to an account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn paid_out(&self, account: AccountId) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payouts WHERE account = $1 AND state = 'paid'",
        )
        .bind(account.to_string())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }

    /// What an account's payouts that are not over come to.
    ///
    /// # Errors
    /// The database failed.
    pub async fn payouts_open_of(&self, account: AccountId) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payouts \
             WHERE account = $1 AND state IN ('requested', 'approved', 'frozen', 'sent')",
        )
        .bind(account.to_string())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }

    /// What all payouts that are not over come to.
    ///
    /// # Errors
    /// The database failed.
    pub async fn payouts_open_total(&self) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payouts \
             WHERE state IN ('requested', 'approved', 'frozen', 'sent')",
        )
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }

    /// What admins proposed, newest first, with their names.
    ///
    /// # Errors
    /// The database failed.
    pub async fn approvals(&self, limit: u32) -> Result<Vec<ApprovalView>, StoreError> {
        let sql = format!("{NAMED_APPROVALS} ORDER BY x.id DESC LIMIT $1");
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(named_approval).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalView>, StoreError> {
        let sql = format!("{NAMED_APPROVALS} WHERE x.id = $1");
        let row = query(sqlx::AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(named_approval).transpose()
    }
}
