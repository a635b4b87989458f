//! Disputes on receipts, and what is said in them.

use kernel::{AccountId, Amount, DisputeId, JobId, LeaseId, Timestamp};
use protocol::money::{DisputeState, EvidenceView, Party};
use protocol::view::Receipt;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, before, count, either};

/// What a requester says is wrong with one receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    pub id: DisputeId,
    pub account: AccountId,
    pub owner: AccountId,
    pub job: JobId,
    pub lease: LeaseId,
    pub seq: u64,
    /// What the receipt cost, and what of it the owner got.
    pub paid: Amount,
    pub owner_part: Amount,
    pub claimed: Amount,
    /// Of the owner's earnings, what waits for the ruling.
    pub set_aside: Amount,
    /// Of that, what had not matured and still would not have.
    pub unmatured: Amount,
    pub refunded: Amount,
    pub state: DisputeState,
    pub opened_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    pub decided_by: Option<AccountId>,
    pub ruling: String,
}

fn dispute(row: &AnyRow) -> Result<Dispute, StoreError> {
    Ok(Dispute {
        id: row.parse("id")?,
        account: row.parse("account")?,
        owner: row.parse("owner")?,
        job: row.parse("job")?,
        lease: row.parse("lease")?,
        seq: row.unsigned("seq")?,
        paid: row.amount("paid")?,
        owner_part: row.amount("owner_part")?,
        claimed: row.amount("claimed")?,
        set_aside: row.amount("set_aside")?,
        unmatured: row.amount("unmatured")?,
        refunded: row.amount("refunded")?,
        state: row.word("state", DisputeState::parse)?,
        opened_at: row.time("opened_at")?,
        decided_at: row.time_opt("decided_at")?,
        decided_by: row.parse_opt("decided_by")?,
        ruling: row.text("ruling")?,
    })
}

const WITH_SIDES: &str = "SELECT d.*, r.email AS requester_email, o.email AS owner_email FROM disputes d \
     JOIN accounts r ON r.id = d.account JOIN accounts o ON o.id = d.owner";

fn with_sides(row: &AnyRow) -> Result<(Dispute, [String; 2]), StoreError> {
    let sides = [row.text("requester_email")?, row.text("owner_email")?];
    Ok((dispute(row)?, sides))
}

fn evidence(row: &AnyRow) -> Result<EvidenceView, StoreError> {
    Ok(EvidenceView {
        by: row.word("party", Party::parse)?,
        at: row.time("at")?,
        text: row.text("body")?,
    })
}

impl Tx {
    /// # Errors
    /// A conflict: the receipt was contested before.
    pub async fn insert_dispute(&mut self, new: &Dispute) -> Result<(), StoreError> {
        query(
            "INSERT INTO disputes (id, account, owner, job, lease, seq, paid, owner_part, claimed, set_aside, refunded, \
             state, opened_at, ruling, unmatured) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(new.id.to_string())
        .bind(new.account.to_string())
        .bind(new.owner.to_string())
        .bind(new.job.to_string())
        .bind(new.lease.to_string())
        .bind(count("seq", new.seq)?)
        .bind(new.paid.base())
        .bind(new.owner_part.base())
        .bind(new.claimed.base())
        .bind(new.set_aside.base())
        .bind(new.refunded.base())
        .bind(new.state.as_str())
        .bind(new.opened_at.millis())
        .bind(&new.ruling)
        .bind(new.unmatured.base())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn update_dispute(&mut self, changed: &Dispute) -> Result<(), StoreError> {
        query(
            "UPDATE disputes SET state = $1, refunded = $2, decided_at = $3, decided_by = $4, ruling = $5 WHERE id = $6",
        )
        .bind(changed.state.as_str())
        .bind(changed.refunded.base())
        .bind(changed.decided_at.map(Timestamp::millis))
        .bind(changed.decided_by.map(|by| by.to_string()))
        .bind(&changed.ruling)
        .bind(changed.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What a lease earned has matured: what open disputes set aside of it would have, too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mature_disputed(&mut self, lease: LeaseId) -> Result<(), StoreError> {
        query("UPDATE disputes SET unmatured = 0 WHERE lease = $1 AND state = 'open' AND unmatured > 0")
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn dispute(&mut self, id: DisputeId) -> Result<Option<Dispute>, StoreError> {
        self.one("SELECT * FROM disputes WHERE id = $1", id, dispute)
            .await
    }

    /// About the receipts of one lease.
    ///
    /// # Errors
    /// The database failed.
    pub async fn disputes_of_lease(&mut self, lease: LeaseId) -> Result<Vec<Dispute>, StoreError> {
        let rows = query("SELECT * FROM disputes WHERE lease = $1 ORDER BY id")
            .bind(lease.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(dispute).collect()
    }

    /// How many an account has open.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_open_disputes(&mut self, account: AccountId) -> Result<u64, StoreError> {
        let row = query("SELECT COUNT(*) AS n FROM disputes WHERE account = $1 AND state = 'open'")
            .bind(account.to_string())
            .fetch_one(self.connection())
            .await?;
        row.unsigned("n")
    }

    /// Adds what somebody says. Answers how much was said before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_evidence(
        &mut self,
        dispute: DisputeId,
        by: Option<AccountId>,
        said: &EvidenceView,
    ) -> Result<u64, StoreError> {
        let row = query("SELECT COUNT(*) AS n FROM dispute_evidence WHERE dispute = $1")
            .bind(dispute.to_string())
            .fetch_one(self.connection())
            .await?;
        let before = row.unsigned("n")?;
        query(
            "INSERT INTO dispute_evidence (dispute, seq, party, account, at, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(dispute.to_string())
        .bind(count("seq", before.saturating_add(1))?)
        .bind(said.by.as_str())
        .bind(by.map(|by| by.to_string()))
        .bind(said.at.millis())
        .bind(&said.text)
        .execute(self.connection())
        .await?;
        Ok(before)
    }

    /// A receipt and the one before it, with what each charged.
    ///
    /// # Errors
    /// The database failed.
    pub async fn receipt_pair(
        &mut self,
        lease: LeaseId,
        seq: u64,
    ) -> Result<Vec<(Receipt, Amount, Timestamp)>, StoreError> {
        let rows = query(
            "SELECT body, charged, posted_at FROM receipts WHERE lease = $1 AND seq IN ($2, $3) ORDER BY seq DESC",
        )
        .bind(lease.to_string())
        .bind(count("seq", seq)?)
        .bind(count("seq", seq.saturating_sub(1))?)
        .fetch_all(self.connection())
        .await?;
        let read = |row: &AnyRow| {
            Ok((
                row.json("body")?,
                row.amount("charged")?,
                row.time("posted_at")?,
            ))
        };
        rows.iter().map(read).collect()
    }
}

impl Store {
    /// Those that an account opened, or that are about its devices; newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn disputes(
        &self,
        account: AccountId,
        from: Option<DisputeId>,
        limit: u32,
    ) -> Result<Vec<Dispute>, StoreError> {
        let rows = query(
            "SELECT * FROM disputes WHERE (account = $1 OR owner = $1) AND id < $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(account.to_string())
        .bind(before(from, DisputeId::PREFIX))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(dispute).collect()
    }

    /// Of all accounts: the open ones first, then newest first, with the e-mail addresses of requester and owner.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_disputes(
        &self,
        limit: u32,
    ) -> Result<Vec<(Dispute, [String; 2])>, StoreError> {
        let sql = format!(
            "{WITH_SIDES} ORDER BY CASE d.state WHEN 'open' THEN 0 ELSE 1 END, d.id DESC LIMIT $1"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(with_sides).collect()
    }

    /// Of all accounts, newest first: the open ones, the decided ones, or both.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_disputes(
        &self,
        open: Option<bool>,
        from: Option<DisputeId>,
        limit: u32,
    ) -> Result<Vec<(Dispute, [String; 2])>, StoreError> {
        let sql = format!(
            "{WITH_SIDES} WHERE d.id < $1 AND ($2 = 2 OR $2 = CASE d.state WHEN 'open' THEN 1 ELSE 0 END) \
             ORDER BY d.id DESC LIMIT $3"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(before(from, DisputeId::PREFIX))
            .bind(either(open))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(with_sides).collect()
    }

    /// One, with the e-mail addresses of requester and owner.
    ///
    /// # Errors
    /// The database failed.
    pub async fn dispute(
        &self,
        id: DisputeId,
    ) -> Result<Option<(Dispute, [String; 2])>, StoreError> {
        let row = query(sqlx::AssertSqlSafe(format!("{WITH_SIDES} WHERE d.id = $1")))
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(with_sides).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn evidence(&self, dispute: DisputeId) -> Result<Vec<EvidenceView>, StoreError> {
        let rows =
            query("SELECT party, at, body FROM dispute_evidence WHERE dispute = $1 ORDER BY seq")
                .bind(dispute.to_string())
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(evidence).collect()
    }
}
