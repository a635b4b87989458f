//! The audit log: appended to, read, and never anything else.

use std::collections::BTreeMap;

use kernel::{AccountId, NodeId, Timestamp};
use protocol::audit::{
    ActorKind, AuditAction, AuditActor, AuditEntry, AuditSubject, AuditView, NO_PREVIOUS,
    SubjectKind,
};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, query};

use crate::db::{Backend, Store, StoreError, Tx};
use crate::row::{Columns, count};

/// An act that is not in the log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditAct {
    pub actor: AuditActor,
    pub action: AuditAction,
    pub subject: AuditSubject,
    pub account: Option<AccountId>,
    pub detail: BTreeMap<String, String>,
}

/// Where the log ends, or was read to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEnd {
    pub position: u64,
    pub hash: String,
    pub at: Timestamp,
}

impl AuditEnd {
    pub fn begin() -> Self {
        Self {
            position: 0,
            hash: NO_PREVIOUS.to_owned(),
            at: Timestamp::from_millis(0),
        }
    }
}

/// An entry as it stands in the database, whatever somebody may have made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub position: u64,
    pub at: Timestamp,
    pub previous: String,
    pub hash: String,
    /// `None`: a word in it is none of ours.
    pub entry: Option<AuditEntry>,
}

/// Which entries; what is empty holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// What this account did or what concerns it.
    pub own: Option<AccountId>,
    /// An account's, key's or node's id, or a kind of actors.
    pub actor: String,
    pub action: Option<AuditAction>,
    /// What it was done to, or the account concerned.
    pub subject: String,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub before: Option<u64>,
}

fn entry(row: &AnyRow) -> Result<AuditEntry, StoreError> {
    let account = |column| -> Result<Option<AccountId>, StoreError> {
        if row.text(column)?.is_empty() {
            Ok(None)
        } else {
            row.parse(column).map(Some)
        }
    };
    Ok(AuditEntry {
        position: row.unsigned("position")?,
        at: row.time("at")?,
        actor: AuditActor {
            kind: row.word("actor_kind", ActorKind::parse)?,
            account: account("actor_account")?,
            id: row.text("actor_id")?,
        },
        action: row.word("action", AuditAction::parse)?,
        subject: AuditSubject {
            kind: row.word("subject_kind", SubjectKind::parse)?,
            id: row.text("subject")?,
        },
        account: account("account")?,
        detail: row.json("detail")?,
        previous: row.text("previous")?,
        hash: row.text("hash")?,
    })
}

fn raw(row: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        position: row.unsigned("position")?,
        at: row.time("at")?,
        previous: row.text("previous")?,
        hash: row.text("hash")?,
        entry: entry(row).ok(),
    })
}

const END: &str = "SELECT position, hash, at FROM audit_entries ORDER BY position DESC LIMIT 1";

fn end(row: Option<&AnyRow>) -> Result<AuditEnd, StoreError> {
    let Some(row) = row else {
        return Ok(AuditEnd::begin());
    };
    Ok(AuditEnd {
        position: row.unsigned("position")?,
        hash: row.text("hash")?,
        at: row.time("at")?,
    })
}

impl Tx {
    /// Writes an act as the next entry. Who appends at the same time in another process waits until this transaction ends.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit(&mut self, act: &AuditAct, now: Timestamp) -> Result<(), StoreError> {
        if self.backend == Backend::Postgres {
            // The lock answers with nothing that has a type here.
            query("SELECT COUNT(*) AS n FROM (SELECT pg_advisory_xact_lock(4918)) locked")
                .execute(self.connection())
                .await?;
        }
        let row = query(END).fetch_optional(self.connection()).await?;
        let last = end(row.as_ref())?;
        let mut entry = AuditEntry {
            position: last.position.saturating_add(1),
            // A clock that was set back must not put an entry before those that it follows.
            at: now.max(last.at),
            actor: act.actor.clone(),
            action: act.action,
            subject: act.subject.clone(),
            account: act.account,
            detail: act.detail.clone(),
            previous: last.hash,
            hash: String::new(),
        };
        entry.hash = entry.digest();
        let account =
            |id: Option<AccountId>| id.map(|account| account.to_string()).unwrap_or_default();
        query(
            "INSERT INTO audit_entries (position, at, actor_kind, actor_account, actor_id, action, subject_kind, subject, \
             account, detail, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(count("position", entry.position)?)
        .bind(entry.at.millis())
        .bind(entry.actor.kind.as_str())
        .bind(account(entry.actor.account))
        .bind(&entry.actor.id)
        .bind(entry.action.as_str())
        .bind(entry.subject.kind.as_str())
        .bind(&entry.subject.id)
        .bind(account(entry.account))
        .bind(entry.detail_text())
        .bind(&entry.previous)
        .bind(&entry.hash)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How far a reading has come: the one that goes on, or the one that begins again and again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_audit_checked(
        &mut self,
        reading: &'static str,
        end: &AuditEnd,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO ledger_checks (id, seq, hash, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at",
        )
        .bind(reading)
        .bind(count("position", end.position)?)
        .bind(&end.hash)
        .bind(end.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// Keeps entries from being changed, in the database itself, where no program of ours is asked.
    pub(crate) async fn prepare_audit(&self) -> Result<(), StoreError> {
        let guards: [&'static str; 2] = match self.backend() {
            Backend::Sqlite => [
                "CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit_entries \
                 BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is never changed'); END",
                "CREATE TRIGGER IF NOT EXISTS audit_remains BEFORE DELETE ON audit_entries \
                 BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is never deleted'); END",
            ],
            Backend::Postgres => [
                "CREATE OR REPLACE TRIGGER audit_stays BEFORE UPDATE ON audit_entries FOR EACH ROW EXECUTE FUNCTION iog_stays()",
                "CREATE OR REPLACE TRIGGER audit_remains BEFORE DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION iog_stays()",
            ],
        };
        let mut tx = self.begin().await?;
        if self.backend() == Backend::Postgres {
            // Two that start at once would both make them.
            query("SELECT COUNT(*) AS n FROM (SELECT pg_advisory_xact_lock(4918)) locked")
                .execute(tx.connection())
                .await?;
        }
        for guard in guards {
            query(guard).execute(tx.connection()).await?;
        }
        tx.commit().await
    }

    /// Newest first, with the actors' e-mail addresses. Those that somebody made unreadable are left out; the reconciler
    /// names them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit_entries(
        &self,
        of: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<AuditView>, StoreError> {
        // An account's own are few among all: the database finds them by their index.
        let own = match of.own {
            Some(_) => "(e.actor_account = $8 OR e.account = $8)",
            None => "$8 = ''",
        };
        let sql = format!(
            "SELECT e.*, a.email AS email FROM audit_entries e LEFT JOIN accounts a ON a.id = e.actor_account \
             WHERE e.position < $1 AND ($2 = '' OR e.actor_account = $2 OR e.actor_id = $2 OR e.actor_kind = $2) \
             AND ($3 = '' OR e.action = $3) AND ($4 = '' OR e.subject = $4 OR e.account = $4) AND e.at >= $5 AND e.at < $6 \
             AND {own} ORDER BY e.position DESC LIMIT $7"
        );
        let before = of.before.and_then(|before| i64::try_from(before).ok());
        let rows = query(AssertSqlSafe(sql))
            .bind(before.unwrap_or(i64::MAX))
            .bind(&of.actor)
            .bind(of.action.map(AuditAction::as_str).unwrap_or_default())
            .bind(&of.subject)
            .bind(of.from.map_or(i64::MIN, Timestamp::millis))
            .bind(of.to.map_or(i64::MAX, Timestamp::millis))
            .bind(i64::from(limit))
            .bind(of.own.map(|own| own.to_string()).unwrap_or_default())
            .fetch_all(self.readers())
            .await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Ok(entry) = entry(row) {
                let who = row.text_opt("email")?;
                views.push(AuditView { entry, who });
            }
        }
        Ok(views)
    }

    /// Machines of which the log said last that they take no jobs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit_declining(&self) -> Result<Vec<NodeId>, StoreError> {
        let sql = "SELECT n.id AS id FROM nodes n WHERE $1 = (SELECT e.action FROM audit_entries e \
                   WHERE e.subject = n.id AND e.action IN ($1, $2) ORDER BY e.position DESC LIMIT 1)";
        let rows = query(sql)
            .bind(AuditAction::NodeTakesNoJobs.as_str())
            .bind(AuditAction::NodeTakesJobs.as_str())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// Entries after a position, oldest first, as they stand there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows =
            query("SELECT * FROM audit_entries WHERE position > $1 ORDER BY position LIMIT $2")
                .bind(i64::try_from(position).unwrap_or(i64::MAX))
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(raw).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        let row = query(END).fetch_optional(self.readers()).await?;
        end(row.as_ref())
    }

    /// Up to where a reading has come.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit_checked(&self, reading: &'static str) -> Result<AuditEnd, StoreError> {
        let row = query("SELECT seq AS position, hash, at FROM ledger_checks WHERE id = $1")
            .bind(reading)
            .fetch_optional(self.readers())
            .await?;
        end(row.as_ref())
    }
}
