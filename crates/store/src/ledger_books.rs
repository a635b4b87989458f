//! Books and transfers: posting in groups, balances now and then, the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use kernel::{AccountId, Amount, JobId, Timestamp, TransferId};
use ledger::chain::{self, NO_PREVIOUS, TransferHash};
use ledger::{After, BookId, LedgerError, Transfer};
use protocol::money::{BookView, EntryKind, MovedView};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Backend, Store, StoreError, Tx};
use crate::receipts::Period;
use crate::row::{Columns, count};

/// Rows of one statement: twelve values each, and SQLite takes 32,766 of them.
const ROWS: usize = 500;

/// A transfer as it was posted.
#[derive(Debug, Clone)]
pub struct EntryRow {
    pub id: TransferId,
    pub at: Timestamp,
    pub kind: EntryKind,
    pub amount: Amount,
    pub from_book: String,
    pub to_book: String,
    pub job: Option<JobId>,
    pub key: String,
    pub seq: u64,
    pub from_after: i64,
    pub to_after: i64,
    pub hash: String,
}

/// Where the chain of transfers ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainEnd {
    pub seq: u64,
    pub hash: TransferHash,
    pub at: Timestamp,
}

impl ChainEnd {
    pub const BEGIN: Self = Self {
        seq: 0,
        hash: NO_PREVIOUS,
        at: Timestamp::from_millis(0),
    };
}

fn entry(row: &AnyRow) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        id: row.parse("id")?,
        at: row.time("at")?,
        kind: row.word("kind", EntryKind::parse)?,
        amount: row.amount("amount")?,
        from_book: row.text("from_book")?,
        to_book: row.text("to_book")?,
        job: row.parse_opt("job")?,
        key: row.text("key")?,
        seq: row.unsigned("seq")?,
        from_after: row.int("from_after")?,
        to_after: row.int("to_after")?,
        hash: row.text("hash")?,
    })
}

impl EntryRow {
    /// The transfer that it is of.
    ///
    /// # Errors
    /// A stored name of a book that is none.
    pub fn transfer(&self) -> Result<Transfer, StoreError> {
        let book = |text: &str| {
            text.parse::<BookId>()
                .map_err(|error| StoreError::corrupt("book", error))
        };
        Ok(Transfer {
            key: self.key.clone(),
            from: book(&self.from_book)?,
            to: book(&self.to_book)?,
            amount: self.amount,
            kind: self.kind,
            job: self.job,
        })
    }
}

/// `($1, $2), ($3, $4)`: so many rows of so many values, each cast to its type where Postgres could not know it.
fn rows(count: usize, casts: &[&str]) -> String {
    let mut sql = String::new();
    let mut n = 0_usize;
    for row in 0..count {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for (column, cast) in casts.iter().enumerate() {
            n = n.saturating_add(1);
            let comma = if column == 0 { "" } else { ", " };
            _ = match *cast {
                "" => write!(sql, "{comma}${n}"),
                cast => write!(sql, "{comma}CAST(${n} AS {cast})"),
            };
        }
        sql.push(')');
    }
    sql
}

/// `$1, $2, $3`
fn list(count: usize) -> String {
    let each = (1..=count).map(|n| format!("${n}"));
    each.collect::<Vec<_>>().join(", ")
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
                list(some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(some.len() <= 4);
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
                "SELECT id, balance FROM books WHERE id IN ({})",
                list(some.len())
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(some.len() <= 6);
            for (_, name) in some {
                select = select.bind(name);
            }
            for row in select.fetch_all(self.connection()).await? {
                let book = row.parse("id")?;
                balances.insert(book, row.int("balance")?);
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
                rows(some.len(), &[""; 12])
            );
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(some.len() <= 3);
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
                rows(some.len(), &[""; 3])
            );
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(some.len() <= 2);
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
                rows(some.len(), &["TEXT", "BIGINT", "BIGINT"])
            );
            let mut update = query(sqlx::AssertSqlSafe(sql)).persistent(some.len() <= 4);
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

    /// Where the chain of transfers ends, those of this transaction among them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn chain_end(&mut self) -> Result<ChainEnd, StoreError> {
        let row = query(CHAIN_END).fetch_optional(self.connection()).await?;
        row.as_ref().map_or(Ok(ChainEnd::BEGIN), chain_end)
    }

    /// # Errors
    /// The database failed.
    pub async fn balance(&mut self, book: BookId) -> Result<Amount, StoreError> {
        let row = query("SELECT balance FROM books WHERE id = $1")
            .bind(book.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map_or(Ok(Amount::ZERO), |row| row.amount("balance"))
    }

    /// Of an account: each of its books, with what this transaction changed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balances(&mut self, account: AccountId) -> Result<Balances, StoreError> {
        balances(self.connection(), account).await
    }

    /// What left a book for some purposes since a moment, and what reached it for others.
    ///
    /// # Errors
    /// The database failed.
    pub async fn moved_since(
        &mut self,
        book: BookId,
        out: &[EntryKind],
        back: &[EntryKind],
        since: Timestamp,
    ) -> Result<(Amount, Amount), StoreError> {
        let words = |kinds: &[EntryKind]| {
            let each = kinds.iter().map(|kind| format!("'{}'", kind.as_str()));
            each.collect::<Vec<_>>().join(", ")
        };
        let sum = |column: &str, kinds: &[EntryKind]| {
            format!(
                "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers \
                 WHERE {column} = $1 AND at >= $2 AND kind IN ({})",
                words(kinds)
            )
        };
        let mut totals = [Amount::ZERO; 2];
        for (total, sql) in totals
            .iter_mut()
            .zip([sum("from_book", out), sum("to_book", back)])
        {
            let row = query(sqlx::AssertSqlSafe(sql))
                .bind(book.to_string())
                .bind(since.millis())
                .fetch_one(self.connection())
                .await?;
            *total = row.amount("total")?;
        }
        let [out, back] = totals;
        Ok((out, back))
    }
}

async fn balances(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<Balances, StoreError> {
    let books = BookId::of(account).map(|book| book.to_string());
    let rows = query("SELECT id, balance FROM books WHERE id IN ($1, $2, $3, $4, $5)")
        .bind(&books[0])
        .bind(&books[1])
        .bind(&books[2])
        .bind(&books[3])
        .bind(&books[4])
        .fetch_all(connection)
        .await?;
    let mut all = [Amount::ZERO; 5];
    for row in rows {
        let id = row.text("id")?;
        for (book, balance) in books.iter().zip(&mut all) {
            if *book == id {
                *balance = row.amount("balance")?;
            }
        }
    }
    let [available, held, earned, withdrawable, disputed] = all;
    Ok(Balances {
        available,
        held,
        earned,
        withdrawable,
        disputed,
    })
}

const CHAIN_END: &str =
    "SELECT seq, hash, at FROM transfers WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1";

fn chain_end(row: &AnyRow) -> Result<ChainEnd, StoreError> {
    let hash = row.text("hash")?;
    Ok(ChainEnd {
        seq: row.unsigned("seq")?,
        hash: TransferHash::parse(&hash).ok_or_else(|| StoreError::corrupt("hash", hash))?,
        at: row.time("at")?,
    })
}

/// Totals of all books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookTotals {
    pub books: u64,
    pub persons: i64,
    pub platform: i64,
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

    /// Of an account: each of its books.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balances(&self, account: AccountId) -> Result<Balances, StoreError> {
        let mut reader = self.readers().acquire().await?;
        balances(&mut reader, account).await
    }

    /// What a book held at a moment, base units: what its newest transfer up to then left it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balance_at(&self, book: BookId, at: Timestamp) -> Result<i64, StoreError> {
        self.left(&book.to_string(), at, i64::MAX).await
    }

    /// What the newest transfer up to a moment, and up to a number, left a book.
    async fn left(&self, book: &str, at: Timestamp, seq: i64) -> Result<i64, StoreError> {
        let mut newest = (0, 0);
        for (column, after) in [("from_book", "from_after"), ("to_book", "to_after")] {
            let sql = format!(
                "SELECT seq, {after} AS held FROM transfers WHERE {column} = $1 AND at <= $2 AND seq <= $3 \
                 ORDER BY at DESC, seq DESC LIMIT 1"
            );
            let row = query(sqlx::AssertSqlSafe(sql))
                .bind(book)
                .bind(at.millis())
                .bind(seq)
                .fetch_optional(self.readers())
                .await?;
            if let Some(row) = row {
                newest = newest.max((row.int("seq")?, row.int("held")?));
            }
        }
        Ok(newest.1)
    }

    /// What the last transfer up to a number left a book, by its name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balance_before(&self, book: &str, seq: u64) -> Result<i64, StoreError> {
        let Ok(last) = i64::try_from(seq) else {
            return Ok(0);
        };
        let row = query("SELECT at FROM transfers WHERE seq = $1")
            .bind(last)
            .fetch_optional(self.readers())
            .await?;
        match row {
            Some(row) => self.left(book, row.time("at")?, last).await,
            None => Ok(0),
        }
    }

    /// For the inspector: books whose name, or whose owner's address, begins with a text; the platform's without one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_books(&self, search: &str, limit: u32) -> Result<Vec<BookView>, StoreError> {
        let like = match search {
            "" => "platform:%".to_owned(),
            text => format!("{}%", text.replace(['%', '_'], "")),
        };
        // An id's underscore would be any character to LIKE; without it, what is after it is compared exactly.
        let rows = query(
            "SELECT b.id, b.balance, a.email FROM books b LEFT JOIN accounts a ON b.id LIKE '%:' || a.id \
             WHERE REPLACE(b.id, '_', '') LIKE $1 OR REPLACE(a.email, '_', '') LIKE $2 OR REPLACE(a.id, '_', '') LIKE $3 \
             ORDER BY b.id LIMIT $4",
        )
        .bind(&like)
        .bind(&like)
        .bind(&like)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(BookView {
                    book: row.text("id")?,
                    balance: row.int("balance")?,
                    email: row.text_opt("email")?,
                })
            })
            .collect()
    }

    /// The number of the last transfer up to a moment; 0 before the first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn seq_at(&self, at: Timestamp) -> Result<u64, StoreError> {
        // Numbers and times rise together: halving finds the border in a few looks, and needs no index of its own.
        let row = query("SELECT COALESCE(MAX(seq), 0) AS last FROM transfers")
            .fetch_one(self.readers())
            .await?;
        let (mut before, mut border) = (0_i64, row.int("last")?.saturating_add(1));
        while before.saturating_add(1) < border {
            let middle = before.midpoint(border);
            let row = query("SELECT at FROM transfers WHERE seq = $1")
                .bind(middle)
                .fetch_one(self.readers())
                .await?;
            if row.time("at")? <= at {
                before = middle;
            } else {
                border = middle;
            }
        }
        u64::try_from(before).map_err(|error| StoreError::corrupt("seq", error))
    }

    /// Of all books: zero, or the books lie.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sum_of_books(&self) -> Result<i64, StoreError> {
        let row = query("SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) AS total FROM books")
            .fetch_one(self.readers())
            .await?;
        row.int("total")
    }

    /// All books and the end of the chain, of one moment.
    ///
    /// # Errors
    /// The database failed.
    pub async fn book_totals(&self) -> Result<(BookTotals, ChainEnd), StoreError> {
        let mut tx = self.begin().await?;
        let row = query(
            "SELECT CAST(COUNT(*) AS BIGINT) AS books, \
             CAST(COALESCE(SUM(CASE WHEN id LIKE 'platform:%' THEN 0 ELSE balance END), 0) AS BIGINT) AS persons, \
             CAST(COALESCE(SUM(CASE WHEN id LIKE 'platform:%' THEN balance ELSE 0 END), 0) AS BIGINT) AS platform FROM books",
        )
        .fetch_one(tx.connection())
        .await?;
        let totals = BookTotals {
            books: row.unsigned("books")?,
            persons: row.int("persons")?,
            platform: row.int("platform")?,
        };
        let end = tx.chain_end().await?;
        Ok((totals, end))
    }

    /// Where the chain of transfers ends.
    ///
    /// # Errors
    /// The database failed.
    pub async fn chain_end(&self) -> Result<ChainEnd, StoreError> {
        let row = query(CHAIN_END).fetch_optional(self.readers()).await?;
        row.as_ref().map_or(Ok(ChainEnd::BEGIN), chain_end)
    }

    /// Whether a transfer with this key was posted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn was_posted(&self, key: &str) -> Result<bool, StoreError> {
        let row = query("SELECT id FROM transfers WHERE key = $1")
            .bind(key)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.is_some())
    }

    /// What moved in an account's books, newest first, from before `before`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn entries(
        &self,
        account: AccountId,
        before: Option<TransferId>,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let before = before.map_or_else(|| "tr_g".to_owned(), |id| id.to_string());
        let books = BookId::of(account).map(|book| book.to_string());
        let own = list(6)
            .split_once(", ")
            .map_or(String::new(), |(_, rest)| rest.to_owned());
        let sql = format!(
            "SELECT * FROM transfers WHERE id < $1 AND (from_book IN ({own}) OR to_book IN ({own})) ORDER BY id DESC LIMIT $7"
        );
        let mut select = query(sqlx::AssertSqlSafe(sql)).bind(before);
        for book in &books {
            select = select.bind(book);
        }
        let rows = select
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// What moved in an account's books in a period, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn entries_in(
        &self,
        account: AccountId,
        period: Period,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let books = BookId::of(account).map(|book| book.to_string());
        let own = list(6)
            .split_once(", ")
            .map_or(String::new(), |(_, rest)| rest.to_owned());
        let sql = format!(
            "SELECT * FROM transfers WHERE at >= $1 AND (from_book IN ({own}) OR to_book IN ({own})) AND at < $7 \
             ORDER BY id LIMIT $8"
        );
        let mut select = query(sqlx::AssertSqlSafe(sql)).bind(period.from.millis());
        for book in &books {
            select = select.bind(book);
        }
        let rows = select
            .bind(period.until.millis())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn transfer(&self, id: TransferId) -> Result<Option<EntryRow>, StoreError> {
        self.one("SELECT * FROM transfers WHERE id = $1", id, entry)
            .await
    }

    /// What came to an account and what left it, by purpose, after one moment and up to another. Moves between its own
    /// books are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn moved(
        &self,
        account: AccountId,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<MovedView>, StoreError> {
        let own = list(5);
        let sum = |came: &str, went: &str, here: &str, there: &str| {
            format!(
                "SELECT kind, {came} AS came, {went} AS went FROM transfers WHERE {here} IN ({own}) \
                 AND {there} NOT IN ({own}) AND at > $6 AND at <= $7"
            )
        };
        let sql = format!(
            "SELECT kind, CAST(SUM(came) AS BIGINT) AS came, CAST(SUM(went) AS BIGINT) AS went FROM ({} UNION ALL {}) x \
             GROUP BY kind ORDER BY kind",
            sum("amount", "0", "to_book", "from_book"),
            sum("0", "amount", "from_book", "to_book"),
        );
        let mut select = query(sqlx::AssertSqlSafe(sql));
        for book in BookId::of(account) {
            select = select.bind(book.to_string());
        }
        let rows = select
            .bind(after.millis())
            .bind(until.millis())
            .fetch_all(self.readers())
            .await?;
        let read = |row: &AnyRow| {
            Ok(MovedView {
                kind: row.word("kind", EntryKind::parse)?,
                came: row.amount("came")?,
                went: row.amount("went")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Transfers after a number, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn transfers_after(&self, seq: u64, limit: u32) -> Result<Vec<EntryRow>, StoreError> {
        let rows = query("SELECT * FROM transfers WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(i64::try_from(seq).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// For the inspector: transfers of a book, a job or under a key, or all, newest first, from before a number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_transfers(
        &self,
        book: Option<BookId>,
        job: Option<JobId>,
        key: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let before = before.and_then(|seq| i64::try_from(seq).ok());
        let rows = query(
            "SELECT * FROM transfers WHERE seq < $1 AND ($2 = '' OR from_book = $2 OR to_book = $2) \
             AND ($3 = '' OR job = $3) AND ($4 = '' OR key = $4) ORDER BY seq DESC LIMIT $5",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(book.map(|book| book.to_string()).unwrap_or_default())
        .bind(job.map(|job| job.to_string()).unwrap_or_default())
        .bind(key.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(entry).collect()
    }

    /// What reached a book since a moment, for one purpose.
    ///
    /// # Errors
    /// The database failed.
    pub async fn received_since(
        &self,
        book: BookId,
        kind: EntryKind,
        since: Timestamp,
    ) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers \
             WHERE to_book = $1 AND at >= $2 AND kind = $3",
        )
        .bind(book.to_string())
        .bind(since.millis())
        .bind(kind.as_str())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }
}

/// What is in a person's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    pub available: Amount,
    pub held: Amount,
    pub earned: Amount,
    pub withdrawable: Amount,
    pub disputed: Amount,
}

impl Tx {
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
