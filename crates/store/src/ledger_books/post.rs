//! Posting: linked transfers in one transaction, each the next of the chain.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use hashbrown::HashMap;
use kernel::{Amount, Timestamp, TransferId};
use ledger::{After, BookId, LedgerError, Transfer, chain};
use protocol::money::EntryKind;
use serde::{Serialize, Serializer};
use sqlx::query;
use sqlx::{SqlSafeStr, SqlStr};

use super::read::CHAIN_END;
use super::{ChainEnd, chain_end};
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

/// The elements of an array, bound as one text: rows `j` of a `key`, the place counted from [`first_place`], and a `value`.
/// Each bound by itself would cost more than what is asked of it.
fn elements(backend: Backend, parameter: u8) -> String {
    match backend {
        Backend::Sqlite => format!("json_each(${parameter}) AS j"),
        Backend::Postgres => format!(
            "json_array_elements_text(CAST(${parameter} AS json)) WITH ORDINALITY AS j (value, key)"
        ),
    }
}

const fn first_place(backend: Backend) -> usize {
    match backend {
        Backend::Sqlite => 0,
        Backend::Postgres => 1,
    }
}

/// An array of texts as one text.
fn array(texts: &[impl AsRef<str>]) -> Result<String, StoreError> {
    let mut json = serde_json::Serializer::new(Vec::new());
    json.collect_seq(texts.iter().map(AsRef::as_ref))
        .map_err(|error| StoreError::corrupt("text", error))?;
    text(json.into_inner())
}

/// Names and what belongs to each as one text.
fn object<'a>(
    pairs: impl IntoIterator<Item = (&'a str, impl Serialize)>,
) -> Result<String, StoreError> {
    let mut json = serde_json::Serializer::new(Vec::new());
    json.collect_map(pairs)
        .map_err(|error| StoreError::corrupt("text", error))?;
    text(json.into_inner())
}

fn text(json: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(json).map_err(|error| StoreError::corrupt("text", error))
}

/// `($1, $2), ($3, $4)`: so many rows of so many values. For SQLite `?`, in the order in which they are bound: a parameter
/// that has a name is looked up among all those before it each time that it is bound.
fn rows(backend: Backend, count: usize, columns: usize) -> String {
    let mut sql = String::new();
    for row in 0..count {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            let n = row
                .saturating_mul(columns)
                .saturating_add(column)
                .saturating_add(1);
            _ = match backend {
                Backend::Sqlite => write!(sql, "{comma}?"),
                Backend::Postgres => write!(sql, "{comma}${n}"),
            };
        }
        sql.push(')');
    }
    sql
}

/// The statement that writes so many transfers; those that come again and again are made once.
fn insert_of(backend: Backend, count: usize) -> SqlStr {
    static LONG: [OnceLock<String>; 2 * LENGTHS.len()] =
        [const { OnceLock::new() }; 2 * LENGTHS.len()];
    let make = || {
        // On SQLite a statement that may stop half-way, leaving what it wrote, need not remember how to undo it. Nobody
        // commits after an error: see [`Tx::commit`].
        let insert = match backend {
            Backend::Sqlite => "INSERT OR FAIL",
            Backend::Postgres => "INSERT",
        };
        format!(
            "{insert} INTO transfers (id, key, from_book, to_book, amount, kind, job, at, seq, from_after, to_after, hash) VALUES {}",
            rows(backend, count, 12)
        )
    };
    let place = LENGTHS.iter().position(|length| *length == count);
    let own = match backend {
        Backend::Sqlite => 0,
        Backend::Postgres => LENGTHS.len(),
    };
    match place.and_then(|place| LONG.get(place.saturating_add(own))) {
        Some(long) => long.get_or_init(make).as_str().into_sql_str(),
        None => sqlx::AssertSqlSafe(make()).into_sql_str(),
    }
}

/// The books of some transfers, each with the name that the database knows it by and what it held before.
struct Involved {
    places: HashMap<BookId, usize>,
    names: Vec<String>,
    /// `None`: there is no such book yet.
    before: Vec<Option<i64>>,
    /// The places of each transfer's two.
    of_each: Vec<(usize, usize)>,
}

/// A transfer that was not posted before, with the names of its books.
struct New<'a> {
    id: TransferId,
    transfer: &'a Transfer,
    from: &'a str,
    to: &'a str,
}

impl Involved {
    fn of(transfers: &[(TransferId, Transfer)]) -> Self {
        let mut places = HashMap::with_capacity(transfers.len().saturating_mul(2));
        let mut names = Vec::with_capacity(transfers.len());
        let mut place = |book: BookId| {
            *places.entry(book).or_insert_with(|| {
                names.push(book.to_string());
                names.len().saturating_sub(1)
            })
        };
        let of_each = transfers
            .iter()
            .map(|(_, transfer)| (place(transfer.from), place(transfer.to)))
            .collect();
        let before = vec![None; names.len()];
        Self {
            places,
            names,
            before,
            of_each,
        }
    }

    fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    fn place(&self, book: BookId) -> Option<usize> {
        self.places.get(&book).copied()
    }

    fn before(&self, book: BookId) -> Option<i64> {
        self.before.get(self.place(book)?).copied().flatten()
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
        // Until it has ended well: who drops it half-way must not commit either.
        let was_spoilt = self.is_spoilt();
        self.set_spoilt(true);
        let posted = self.post_linked(transfers, now).await;
        if !matches!(posted, Err(StoreError::Sql(_) | StoreError::Stale)) {
            self.set_spoilt(was_spoilt);
        }
        posted
    }

    async fn post_linked(
        &mut self,
        transfers: &[(TransferId, Transfer)],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut books = Involved::of(transfers);
        let (posted, end) = self.read_before(&mut books, transfers).await?;
        let new = self.not_posted(transfers, posted, &books).await?;
        if new.is_empty() {
            return Ok(0);
        }
        let known = |book| books.before(book).unwrap_or(0);
        let transfers = new.iter().map(|new| new.transfer);
        let (after, changed) = ledger::run(known, transfers).map_err(|error| match error {
            LedgerError::Insufficient { .. } => StoreError::Insufficient,
            other => StoreError::corrupt("transfer", other),
        })?;
        self.put_balances(&changed, &books).await?;
        self.chain(end, &new, &after, now).await?;
        Ok(new.len())
    }

    /// What is there before a posting, in one question: what its books hold, how many of its keys were posted, and the end
    /// of the chain.
    async fn read_before(
        &mut self,
        books: &mut Involved,
        transfers: &[(TransferId, Transfer)],
    ) -> Result<(u64, ChainEnd), StoreError> {
        let keys: Vec<&str> = transfers.iter().map(|(_, t)| t.key.as_str()).collect();
        // One row for all: a row costs more than what it says.
        let sql = format!(
            "SELECT (SELECT string_agg(j.key || ' ' || b.balance, ' ') FROM {} CROSS JOIN books AS b WHERE b.id = j.value) AS held, \
             (SELECT COUNT(*) FROM {} CROSS JOIN transfers AS t WHERE t.key = j.value) AS posted, e.seq, e.hash, e.at \
             FROM (SELECT 1 AS n) AS one LEFT JOIN ({CHAIN_END}) AS e ON one.n = 1",
            elements(self.backend, 1),
            elements(self.backend, 2),
        );
        let select = query(sqlx::AssertSqlSafe(sql))
            .bind(array(&books.names)?)
            .bind(array(&keys)?);
        let row = select.fetch_one(self.connection()).await?;
        let held = row.text_opt("held")?.unwrap_or_default();
        let mut words = held.split(' ');
        while let (Some(place), Some(balance)) = (words.next(), words.next()) {
            let place: Option<usize> = place.parse().ok();
            let place = place.and_then(|place| place.checked_sub(first_place(self.backend)));
            let balance = balance
                .parse()
                .map_err(|error| StoreError::corrupt("balance", error))?;
            let before = place.and_then(|place| books.before.get_mut(place));
            *before.ok_or_else(|| StoreError::corrupt("balance", &held))? = Some(balance);
        }
        let end = match row.text_opt("hash")? {
            Some(_) => chain_end(&row)?,
            None => ChainEnd::BEGIN,
        };
        Ok((row.unsigned("posted")?, end))
    }

    /// Those whose key is new. `posted`: so many are not.
    async fn not_posted<'a>(
        &mut self,
        transfers: &'a [(TransferId, Transfer)],
        posted: u64,
        books: &'a Involved,
    ) -> Result<Vec<New<'a>>, StoreError> {
        let known = if posted == 0 {
            HashMap::new()
        } else {
            self.posted(transfers).await?
        };
        let mut seen: HashMap<&str, &Transfer> = HashMap::with_capacity(transfers.len());
        let mut new = Vec::with_capacity(transfers.len());
        for ((id, transfer), (from, to)) in transfers.iter().zip(&books.of_each) {
            let (from, to) = (books.name(*from), books.name(*to));
            let here = seen.get(transfer.key.as_str());
            let is_same = match (here, known.get(&transfer.key)) {
                (Some(one), _) => {
                    (one.from, one.to, one.amount) == (transfer.from, transfer.to, transfer.amount)
                }
                (None, Some((known_from, known_to, amount))) => {
                    (from, to, transfer.amount) == (known_from.as_str(), known_to.as_str(), *amount)
                }
                (None, None) => {
                    seen.insert(&transfer.key, transfer);
                    new.push(New {
                        id: *id,
                        transfer,
                        from,
                        to,
                    });
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

    /// Those that were posted, by key.
    async fn posted(
        &mut self,
        transfers: &[(TransferId, Transfer)],
    ) -> Result<HashMap<String, (String, String, Amount)>, StoreError> {
        let keys: Vec<&str> = transfers.iter().map(|(_, t)| t.key.as_str()).collect();
        let sql = format!(
            "SELECT t.key, t.from_book, t.to_book, t.amount FROM {} CROSS JOIN transfers AS t WHERE t.key = j.value",
            elements(self.backend, 1)
        );
        let select = query(sqlx::AssertSqlSafe(sql)).bind(array(&keys)?);
        let rows = select.fetch_all(self.connection()).await?;
        let posted = rows.iter().map(|row| {
            let books = (row.text("from_book")?, row.text("to_book")?);
            Ok((row.text("key")?, (books.0, books.1, row.amount("amount")?)))
        });
        posted.collect()
    }

    /// Writes the transfers as the next of the chain.
    async fn chain(
        &mut self,
        mut end: ChainEnd,
        new: &[New<'_>],
        after: &[After],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A clock that was set back must not put a transfer before those that it follows.
        let at = now.max(end.at);
        let numbered: Vec<_> = new.iter().zip(after).collect();
        for some in pieces(&numbered) {
            let sql = insert_of(self.backend, some.len());
            let mut insert = query(sql).persistent(is_kept(some.len()));
            for (new, after) in some {
                let transfer = new.transfer;
                end.seq = end.seq.saturating_add(1);
                end.hash =
                    chain::hash_named(end.hash, end.seq, at, new.id, transfer, (new.from, new.to));
                insert = insert
                    .bind(new.id.to_string())
                    .bind(&transfer.key)
                    .bind(new.from)
                    .bind(new.to)
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
        changed: &HashMap<BookId, i64>,
        books: &Involved,
    ) -> Result<(), StoreError> {
        let mut new: [Vec<(&str, i64)>; 2] = [Vec::new(), Vec::new()];
        let mut old: Vec<(&str, [i64; 2])> = Vec::new();
        for (book, after) in changed {
            let name = books.place(*book).map_or("", |place| books.name(place));
            match books
                .before(*book)
                .filter(|_| self.backend == Backend::Postgres)
            {
                Some(before) => old.push((name, [before, *after])),
                // On SQLite whether there is one or not. Nobody else has written since this transaction began to read: it
                // would have refused the first write.
                None => new[usize::from(book.may_be_negative())].push((name, *after)),
            }
        }
        for (may_be_negative, mut books) in (0_i64..).zip(new) {
            if books.is_empty() {
                continue;
            }
            // In order: they lie so in the database, and two processes that add the same ones do not wait in a circle.
            books.sort_unstable();
            let sql = match self.backend {
                Backend::Sqlite => {
                    "INSERT INTO books (id, balance, may_be_negative) SELECT j.key, j.value, $2 FROM json_each($1) AS j \
                     WHERE true ON CONFLICT (id) DO UPDATE SET balance = excluded.balance"
                }
                Backend::Postgres => {
                    "INSERT INTO books (id, balance, may_be_negative) SELECT j.key, CAST(j.value AS BIGINT), $2 \
                     FROM json_each_text(CAST($1 AS json)) AS j"
                }
            };
            let insert = query(sql).bind(object(books)?).bind(may_be_negative);
            insert.execute(self.connection()).await?;
        }
        if old.is_empty() {
            return Ok(());
        }
        // Only over what was read: a change by another process between the two is not overwritten.
        let count = old.len();
        old.sort_unstable();
        let sql = "UPDATE books SET balance = CAST(j.value ->> 1 AS BIGINT) FROM json_each(CAST($1 AS json)) AS j \
                   WHERE books.id = j.key AND books.balance = CAST(j.value ->> 0 AS BIGINT)";
        let update = query(sql).bind(object(old)?);
        let done = update.execute(self.connection()).await?;
        if done.rows_affected() != u64::try_from(count).unwrap_or(u64::MAX) {
            return Err(StoreError::Stale);
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
            let id: TransferId = row.parse("id")?;
            let at = row.time("at")?.max(end.at);
            end.seq = end.seq.saturating_add(1);
            // A book is read from one spelling alone, so these are the names that it would be written with.
            let names = (from.as_str(), to.as_str());
            end.hash = chain::hash_named(end.hash, end.seq, at, id, &transfer, names);
            end.at = at;
            let mut moved = |book: String, by: i64| {
                let balance = balances.entry(book).or_default();
                *balance = balance.saturating_add(by);
                *balance
            };
            let from_after = moved(from, amount.base().saturating_neg());
            let to_after = moved(to, amount.base());
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
