//! Posting: linked transfers in one transaction, each the next of the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use kernel::{Amount, Timestamp, TransferId};
use ledger::{After, BookId, LedgerError, Transfer, chain};
use protocol::money::EntryKind;
use sqlx::query;

use super::list;
use crate::db::{Backend, Store, StoreError, Tx};
use crate::row::{Columns, count};

/// Rows of one statement. A statement of so many is prepared once and kept.
const ROWS: usize = 128;

/// Whether a statement of so many rows comes again often enough to be kept: the full ones, and the usual few.
const fn is_kept(rows: usize) -> bool {
    rows == ROWS || rows <= 4
}

/// `$1, $2, $3`; for SQLite `?, ?, ?`, in the order in which they are bound: a parameter that has a name is looked up among
/// all those before it each time that it is bound.
fn marks(backend: Backend, count: usize) -> String {
    match backend {
        Backend::Sqlite => vec!["?"; count].join(", "),
        Backend::Postgres => list(count),
    }
}

/// `($1, $2), ($3, $4)`: so many rows of so many values, each cast to its type where Postgres could not know it.
fn rows(backend: Backend, count: usize, casts: &[&str]) -> String {
    let mut sql = String::new();
    let mut n = 0_usize;
    for row in 0..count {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for (column, cast) in casts.iter().enumerate() {
            n = n.saturating_add(1);
            let comma = if column == 0 { "" } else { ", " };
            let mark = match backend {
                Backend::Sqlite => "?".to_owned(),
                Backend::Postgres => format!("${n}"),
            };
            _ = match *cast {
                "" => write!(sql, "{comma}{mark}"),
                cast => write!(sql, "{comma}CAST({mark} AS {cast})"),
            };
        }
        sql.push(')');
    }
    sql
}

impl Tx {
    /// Posts linked transfers under new ids: all of them or none, whatever else the transaction holds. Those whose key was
    /// posted before are passed over. Answers how many were new.
    ///
    /// # Errors
    /// [`StoreError::Insufficient`] when a book would fall below zero, then nothing was written; a key that stands for
    /// another transfer; [`StoreError::Stale`] when another process changed one of the books meanwhile: roll back.
    pub async fn post_all(
        &mut self,
        transfers: &[(TransferId, Transfer)],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        if transfers.is_empty() {
            return Ok(0);
        }
        let new = self.not_posted(transfers).await?;
        if new.is_empty() {
            return Ok(0);
        }
        let books: BTreeSet<BookId> = new
            .iter()
            .flat_map(|(_, transfer)| [transfer.from, transfer.to])
            .collect();
        let before = self.balances_of(&books).await?;
        let known = |book| before.get(&book).copied().unwrap_or(0);
        let (after, changed) = ledger::run(known, new.iter().map(|(_, transfer)| *transfer))
            .map_err(|error| match error {
                LedgerError::Insufficient { .. } => StoreError::Insufficient,
                other => StoreError::corrupt("transfer", other),
            })?;
        // The books first: a transfer names two that there are.
        self.put_balances(&before, &changed).await?;
        self.chain(&new, &after, now).await?;
        Ok(new.len())
    }

    /// Those whose key is new.
    async fn not_posted<'a>(
        &mut self,
        transfers: &'a [(TransferId, Transfer)],
    ) -> Result<Vec<(TransferId, &'a Transfer)>, StoreError> {
        let mut known: BTreeMap<String, (String, String, Amount)> = BTreeMap::new();
        for some in transfers.chunks(ROWS) {
            let sql = format!(
                "SELECT key, from_book, to_book, amount FROM transfers WHERE key IN ({})",
                marks(self.backend, some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (_, transfer) in some {
                select = select.bind(&transfer.key);
            }
            for row in select.fetch_all(self.connection()).await? {
                known.insert(
                    row.text("key")?,
                    (
                        row.text("from_book")?,
                        row.text("to_book")?,
                        row.amount("amount")?,
                    ),
                );
            }
        }
        let mut new = Vec::with_capacity(transfers.len());
        for (id, transfer) in transfers {
            let this = || {
                let (from, to) = (transfer.from.to_string(), transfer.to.to_string());
                (from, to, transfer.amount)
            };
            match known.get(&transfer.key) {
                Some(posted) if *posted != this() => {
                    let reused = LedgerError::KeyReused(transfer.key.clone());
                    return Err(StoreError::corrupt("transfer", reused));
                }
                Some(_) => {}
                None => {
                    known.insert(transfer.key.clone(), this());
                    new.push((*id, transfer));
                }
            }
        }
        Ok(new)
    }

    async fn balances_of(
        &mut self,
        books: &BTreeSet<BookId>,
    ) -> Result<BTreeMap<BookId, i64>, StoreError> {
        let names: Vec<(BookId, String)> =
            books.iter().map(|book| (*book, book.to_string())).collect();
        let mut balances = BTreeMap::new();
        for some in names.chunks(ROWS) {
            let sql = format!(
                "SELECT string_agg(id || ' ' || balance, ' ') AS held FROM books WHERE id IN ({})",
                marks(self.backend, some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (_, name) in some {
                select = select.bind(name);
            }
            // One row for all of them: a row costs more than what it says. No book's name has a space.
            let row = select.fetch_one(self.connection()).await?;
            let held = row.text_opt("held")?.unwrap_or_default();
            let mut words = held.split(' ');
            while let (Some(book), Some(balance)) = (words.next(), words.next()) {
                let book = book.parse::<BookId>();
                let balance = balance.parse::<i64>();
                balances.insert(
                    book.map_err(|error| StoreError::corrupt("book", error))?,
                    balance.map_err(|error| StoreError::corrupt("balance", error))?,
                );
            }
        }
        Ok(balances)
    }

    /// Writes the transfers as the next of the chain.
    async fn chain(
        &mut self,
        new: &[(TransferId, &Transfer)],
        after: &[After],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut end = self.chain_end().await?;
        // A clock that was set back must not put a transfer before those that it follows.
        let at = now.max(end.at);
        let numbered: Vec<_> = new.iter().zip(after).collect();
        for some in numbered.chunks(ROWS) {
            let sql = format!(
                "INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) VALUES {}",
                rows(self.backend, some.len(), &[""; 12])
            );
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for ((id, transfer), after) in some {
                end.seq = end.seq.saturating_add(1);
                end.hash = chain::hash(end.hash, end.seq, at, *id, transfer);
                insert = insert
                    .bind(id.to_string())
                    .bind(&transfer.key)
                    .bind(transfer.from.to_string())
                    .bind(transfer.to.to_string())
                    .bind(transfer.amount.base())
                    .bind(transfer.kind.as_str())
                    .bind(transfer.job.map(|job| job.to_string()))
                    .bind(at.millis())
                    .bind(count("seq", end.seq)?)
                    .bind(after.from)
                    .bind(after.to)
                    .bind(end.hash.to_string());
            }
            insert.execute(self.connection()).await?;
        }
        Ok(())
    }

    async fn put_balances(
        &mut self,
        before: &BTreeMap<BookId, i64>,
        changed: &BTreeMap<BookId, i64>,
    ) -> Result<(), StoreError> {
        let (old, new): (Vec<_>, Vec<_>) = changed
            .iter()
            .partition(|(book, _)| before.contains_key(*book));
        for some in new.chunks(ROWS) {
            let sql = format!(
                "INSERT INTO books (id, balance, may_be_negative) VALUES {}",
                rows(self.backend, some.len(), &[""; 3])
            );
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (book, balance) in some {
                insert = insert
                    .bind(book.to_string())
                    .bind(**balance)
                    .bind(i64::from(book.may_be_negative()));
            }
            insert.execute(self.connection()).await?;
        }
        for some in old.chunks(ROWS) {
            // Only over what was read: a change by another process between the two is not overwritten.
            let sql = format!(
                "WITH v (id, before, after) AS (VALUES {}) UPDATE books SET balance = v.after FROM v \
                 WHERE books.id = v.id AND books.balance = v.before",
                rows(self.backend, some.len(), &["TEXT", "BIGINT", "BIGINT"])
            );
            let mut update = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (book, balance) in some {
                update = update
                    .bind(book.to_string())
                    .bind(before.get(*book).copied().unwrap_or(0))
                    .bind(**balance);
            }
            let done = update.execute(self.connection()).await?;
            if done.rows_affected() != u64::try_from(some.len()).unwrap_or(u64::MAX) {
                return Err(StoreError::Stale);
            }
        }
        Ok(())
    }

    /// Numbers and chains what was posted before there was a chain, in the order of their ids.
    async fn number_transfers(&mut self) -> Result<(), StoreError> {
        let old = query(
            "SELECT id, key, from_book, to_book, amount, kind, job, at FROM transfers WHERE seq IS NULL ORDER BY at, id",
        )
        .fetch_all(self.connection())
        .await?;
        if old.is_empty() {
            return Ok(());
        }
        let mut end = self.chain_end().await?;
        let mut balances: BTreeMap<String, i64> = BTreeMap::new();
        for row in &old {
            let (from, to) = (row.text("from_book")?, row.text("to_book")?);
            let amount = row.amount("amount")?;
            let book = |text: &str| {
                text.parse::<BookId>()
                    .map_err(|error| StoreError::corrupt("book", error))
            };
            let transfer = Transfer {
                key: row.text("key")?,
                from: book(&from)?,
                to: book(&to)?,
                amount,
                kind: row.word("kind", EntryKind::parse)?,
                job: row.parse_opt("job")?,
            };
            let mut moved = |book: String, by: i64| {
                let balance = balances.entry(book).or_default();
                *balance = balance.saturating_add(by);
                *balance
            };
            let from_after = moved(from, amount.base().saturating_neg());
            let to_after = moved(to, amount.base());
            let id: TransferId = row.parse("id")?;
            let at = row.time("at")?.max(end.at);
            end.seq = end.seq.saturating_add(1);
            end.hash = chain::hash(end.hash, end.seq, at, id, &transfer);
            end.at = at;
            query("UPDATE transfers SET seq = $1, at = $2, from_after = $3, to_after = $4, hash = $5 WHERE id = $6")
                .bind(count("seq", end.seq)?)
                .bind(at.millis())
                .bind(from_after)
                .bind(to_after)
                .bind(end.hash.to_string())
                .bind(id.to_string())
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }
}

impl Store {
    /// Numbers transfers that were posted before the chain was, and keeps what is posted from being changed: the second
    /// in the database itself, where no program of ours is asked.
    pub(crate) async fn prepare_ledger(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let guards: &[&'static str] = match self.backend() {
            Backend::Sqlite => &[
                "CREATE TRIGGER IF NOT EXISTS transfers_stay BEFORE UPDATE ON transfers WHEN OLD.seq IS NOT NULL \
                 BEGIN SELECT RAISE(ABORT, 'a transfer is never changed'); END",
                "CREATE TRIGGER IF NOT EXISTS transfers_remain BEFORE DELETE ON transfers \
                 BEGIN SELECT RAISE(ABORT, 'a transfer is never deleted'); END",
                "CREATE TRIGGER IF NOT EXISTS receipts_stay BEFORE UPDATE ON receipts \
                 BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END",
                "CREATE TRIGGER IF NOT EXISTS receipts_remain BEFORE DELETE ON receipts \
                 BEGIN SELECT RAISE(ABORT, 'a receipt is never deleted'); END",
            ],
            Backend::Postgres => &[
                "CREATE OR REPLACE FUNCTION iog_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE EXCEPTION 'what is posted is never changed'; END $$",
                "CREATE OR REPLACE TRIGGER transfers_stay BEFORE UPDATE ON transfers FOR EACH ROW \
                 WHEN (OLD.seq IS NOT NULL) EXECUTE FUNCTION iog_stays()",
                "CREATE OR REPLACE TRIGGER transfers_remain BEFORE DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION iog_stays()",
                "CREATE OR REPLACE TRIGGER receipts_stay BEFORE UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION iog_stays()",
                "CREATE OR REPLACE TRIGGER receipts_remain BEFORE DELETE ON receipts FOR EACH ROW EXECUTE FUNCTION iog_stays()",
            ],
        };
        if self.backend() == Backend::Postgres {
            // Two that start at once would both make them.
            // The lock answers with nothing that has a type here.
            query("SELECT COUNT(*) AS n FROM (SELECT pg_advisory_xact_lock(4917)) locked")
                .execute(tx.connection())
                .await?;
        }
        for guard in guards {
            query(*guard).execute(tx.connection()).await?;
        }
        tx.number_transfers().await?;
        tx.commit().await
    }
}
