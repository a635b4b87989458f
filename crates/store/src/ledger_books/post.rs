//! Posting: linked transfers in one transaction, each the next of the chain.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use kernel::{Amount, Timestamp, TransferId};
use ledger::{After, BookId, LedgerError, Transfer, chain};
use protocol::money::EntryKind;
use sqlx::query;

use super::list;
use crate::db::{Backend, Store, StoreError, Tx};
use crate::row::{Columns, count};

/// Rows of one statement. Statements of these lengths are prepared once and kept, as are those of the usual few.
const LENGTHS: [usize; 2] = [1_000, 128];

/// Whether a statement of so many rows comes again often enough to be kept.
fn is_kept(rows: usize) -> bool {
    LENGTHS.contains(&rows) || rows <= 4
}

/// Rows by the statement: as many long ones as there are, then shorter ones, then the rest.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let fits = |length: &&usize| **length <= rows.len();
        let length = LENGTHS.iter().find(fits).copied().unwrap_or(rows.len());
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        (!piece.is_empty()).then_some(piece)
    })
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

/// The books of some transfers as the database calls them, each made once.
struct Names(HashMap<BookId, String>);

impl Names {
    fn of(transfers: &[(TransferId, Transfer)]) -> Self {
        let mut names = HashMap::with_capacity(transfers.len());
        for (_, transfer) in transfers {
            for book in [transfer.from, transfer.to] {
                names.entry(book).or_insert_with(|| book.to_string());
            }
        }
        Self(names)
    }

    /// Of a book of theirs.
    fn get(&self, book: BookId) -> &str {
        self.0.get(&book).map_or("", String::as_str)
    }
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
        let names = Names::of(transfers);
        let new = self.not_posted(transfers, &names).await?;
        if new.is_empty() {
            return Ok(0);
        }
        let before = self.balances_of(&names).await?;
        let known = |book| before.get(&book).copied().unwrap_or(0);
        let (after, changed) = ledger::run(known, new.iter().map(|(_, transfer)| *transfer))
            .map_err(|error| match error {
                LedgerError::Insufficient { .. } => StoreError::Insufficient,
                other => StoreError::corrupt("transfer", other),
            })?;
        // The books first: a transfer names two that there are.
        self.put_balances(&before, &changed, &names).await?;
        self.chain(&new, &after, &names, now).await?;
        Ok(new.len())
    }

    /// Those whose key is new.
    async fn not_posted<'a>(
        &mut self,
        transfers: &'a [(TransferId, Transfer)],
        names: &Names,
    ) -> Result<Vec<(TransferId, &'a Transfer)>, StoreError> {
        let mut posted: HashMap<String, (String, String, Amount)> = HashMap::new();
        for some in pieces(transfers) {
            let sql = format!(
                "SELECT key, from_book, to_book, amount FROM transfers WHERE key IN ({})",
                marks(self.backend, some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (_, transfer) in some {
                select = select.bind(&transfer.key);
            }
            for row in select.fetch_all(self.connection()).await? {
                posted.insert(
                    row.text("key")?,
                    (
                        row.text("from_book")?,
                        row.text("to_book")?,
                        row.amount("amount")?,
                    ),
                );
            }
        }
        let mut seen: HashMap<&str, &Transfer> = HashMap::with_capacity(transfers.len());
        let mut new = Vec::with_capacity(transfers.len());
        for (id, transfer) in transfers {
            let here = seen.get(transfer.key.as_str());
            let is_same = match (here, posted.get(&transfer.key)) {
                (Some(one), _) => {
                    (one.from, one.to, one.amount) == (transfer.from, transfer.to, transfer.amount)
                }
                (None, Some((from, to, amount))) => {
                    (
                        names.get(transfer.from),
                        names.get(transfer.to),
                        transfer.amount,
                    ) == (from.as_str(), to.as_str(), *amount)
                }
                (None, None) => {
                    seen.insert(&transfer.key, transfer);
                    new.push((*id, transfer));
                    continue;
                }
            };
            if !is_same {
                let reused = LedgerError::KeyReused(transfer.key.clone());
                return Err(StoreError::corrupt("transfer", reused));
            }
        }
        Ok(new)
    }

    async fn balances_of(&mut self, names: &Names) -> Result<HashMap<BookId, i64>, StoreError> {
        let names: Vec<&str> = names.0.values().map(String::as_str).collect();
        let mut balances = HashMap::with_capacity(names.len());
        for some in pieces(&names) {
            let sql = format!(
                "SELECT string_agg(id || ' ' || balance, ' ') AS held FROM books WHERE id IN ({})",
                marks(self.backend, some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for name in some {
                select = select.bind(*name);
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
        names: &Names,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut end = self.chain_end().await?;
        // A clock that was set back must not put a transfer before those that it follows.
        let at = now.max(end.at);
        let numbered: Vec<_> = new.iter().zip(after).collect();
        for some in pieces(&numbered) {
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
                    .bind(names.get(transfer.from))
                    .bind(names.get(transfer.to))
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
        before: &HashMap<BookId, i64>,
        changed: &BTreeMap<BookId, i64>,
        names: &Names,
    ) -> Result<(), StoreError> {
        let is_old = |(book, _): &(&BookId, &i64)| before.contains_key(*book);
        let (old, new): (Vec<_>, Vec<_>) = match self.backend {
            // Nobody else has written since this transaction began to read: SQLite would have refused the first write.
            Backend::Sqlite => (Vec::new(), changed.iter().collect()),
            Backend::Postgres => changed.iter().partition(is_old),
        };
        for some in pieces(&new) {
            let known = match self.backend {
                Backend::Sqlite => " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance",
                Backend::Postgres => "",
            };
            let sql = format!(
                "INSERT INTO books (id, balance, may_be_negative) VALUES {}{known}",
                rows(self.backend, some.len(), &[""; 3])
            );
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (book, balance) in some {
                insert = insert
                    .bind(names.get(**book))
                    .bind(**balance)
                    .bind(i64::from(book.may_be_negative()));
            }
            insert.execute(self.connection()).await?;
        }
        for some in pieces(&old) {
            // Only over what was read: a change by another process between the two is not overwritten.
            let sql = format!(
                "WITH v (id, before, after) AS (VALUES {}) UPDATE books SET balance = v.after FROM v \
                 WHERE books.id = v.id AND books.balance = v.before",
                rows(self.backend, some.len(), &["TEXT", "BIGINT", "BIGINT"])
            );
            let mut update = query(sqlx::AssertSqlSafe(sql)).persistent(is_kept(some.len()));
            for (book, balance) in some {
                update = update
                    .bind(names.get(**book))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_out_in_their_order_by_statements_that_are_kept_and_one_rest() {
        for (rows, lengths) in [
            (0, vec![]),
            (3, vec![3]),
            (128, vec![128]),
            (300, vec![128, 128, 44]),
            (2_131, vec![1_000, 1_000, 128, 3]),
        ] {
            let all: Vec<usize> = (0..rows).collect();
            let pieces: Vec<&[usize]> = pieces(&all).collect();
            assert_eq!(
                pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
                lengths
            );
            assert_eq!(pieces.concat(), all);
        }
    }
}
