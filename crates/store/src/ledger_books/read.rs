//! Reading: balances now and then, entries, what the inspector shows.

use std::collections::BTreeMap;

use kernel::{AccountId, Amount, JobId, Timestamp, TransferId};
use ledger::BookId;
use protocol::money::{BookView, EntryKind, MovedView};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use sqlx::query;

use super::{ChainEnd, EntryRow, chain_end, entry, list};
use crate::db::{Store, StoreError, Tx};
use crate::receipts::Period;
use crate::row::{Columns, before};

/// Of one question.
pub(crate) const ACCOUNTS: usize = 250;

async fn jobs_paid_since(
    connection: &mut AnyConnection,
    account: AccountId,
    since: Timestamp,
) -> Result<Amount, StoreError> {
    let row = query(
        "SELECT CAST(COALESCE((SELECT SUM(amount) FROM transfers \
             WHERE from_book = $1 AND at >= $2 AND kind IN ('charge', 'fee')), 0) AS BIGINT) AS went, \
         CAST(COALESCE((SELECT SUM(t.amount) FROM transfers t JOIN jobs j ON j.id = t.job \
             WHERE t.to_book = $3 AND t.at >= $4 AND t.kind = 'refund' AND j.created_at >= $5), 0) AS BIGINT) AS back",
    )
    .bind(BookId::Held(account).to_string())
    .bind(since.millis())
    .bind(BookId::Available(account).to_string())
    .bind(since.millis())
    .bind(since.millis())
    .fetch_one(connection)
    .await?;
    Ok(row.amount("went")?.minus_or_zero(row.amount("back")?))
}

async fn balances(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<Balances, StoreError> {
    let books = BookId::of(account).map(|book| book.to_string());
    let rows = query("SELECT id, balance FROM books WHERE id IN ($1, $2, $3, $4, $5, $6)")
        .bind(&books[0])
        .bind(&books[1])
        .bind(&books[2])
        .bind(&books[3])
        .bind(&books[4])
        .bind(&books[5])
        .fetch_all(connection)
        .await?;
    let mut all = [Amount::ZERO; 6];
    for row in rows {
        let id = row.text("id")?;
        for (book, balance) in books.iter().zip(&mut all) {
            if *book == id {
                *balance = row.amount("balance")?;
            }
        }
    }
    let [available, held, earned, withdrawable, disputed, vouched] = all;
    Ok(Balances {
        available,
        held,
        earned,
        withdrawable,
        disputed,
        vouched,
    })
}

pub(super) const CHAIN_END: &str =
    "SELECT seq, hash, at FROM transfers WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1";

/// Totals of all books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookTotals {
    pub books: u64,
    pub persons: i64,
    pub platform: i64,
}

/// What is in a person's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    pub available: Amount,
    pub held: Amount,
    pub earned: Amount,
    pub withdrawable: Amount,
    pub disputed: Amount,
    pub vouched: Amount,
}

impl Tx {
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
        let base = self.signed_balance(book).await?;
        Amount::try_from_base(base).map_err(|error| StoreError::corrupt("balance", error))
    }

    /// Of one that may be negative too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn signed_balance(&mut self, book: BookId) -> Result<i64, StoreError> {
        let row = query("SELECT balance FROM books WHERE id = $1")
            .bind(book.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map_or(Ok(0), |row| row.int("balance"))
    }

    /// Of an account: each of its books, with what this transaction changed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balances(&mut self, account: AccountId) -> Result<Balances, StoreError> {
        balances(self.connection(), account).await
    }

    /// As [`Store::jobs_paid_since`], with what this transaction changed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn jobs_paid_since(
        &mut self,
        account: AccountId,
        since: Timestamp,
    ) -> Result<Amount, StoreError> {
        jobs_paid_since(self.connection(), account, since).await
    }
}

impl Store {
    /// Of an account: each of its books.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balances(&self, account: AccountId) -> Result<Balances, StoreError> {
        let mut reader = self.readers().acquire().await?;
        balances(&mut reader, account).await
    }

    /// What an account paid for seconds since a moment, less what came back of jobs that were submitted since: what comes back for
    /// an earlier one was spent before, and makes no room now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn jobs_paid_since(
        &self,
        account: AccountId,
        since: Timestamp,
    ) -> Result<Amount, StoreError> {
        let mut reader = self.readers().acquire().await?;
        jobs_paid_since(&mut reader, account, since).await
    }

    /// Of many accounts: what is available, and what is held.
    ///
    /// # Errors
    /// The database failed.
    pub async fn money_of(
        &self,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, (Amount, Amount)>, StoreError> {
        let mut money = BTreeMap::new();
        for some in accounts.chunks(ACCOUNTS) {
            let sql = format!(
                "SELECT id, balance FROM books WHERE id IN ({})",
                list(some.len().saturating_mul(2))
            );
            let mut select = query(sqlx::AssertSqlSafe(sql)).persistent(false);
            for account in some {
                select = select
                    .bind(BookId::Available(*account).to_string())
                    .bind(BookId::Held(*account).to_string());
            }
            for row in select.fetch_all(self.readers()).await? {
                let balance = row.amount("balance")?;
                match row.parse("id")? {
                    BookId::Available(account) => {
                        money
                            .entry(account)
                            .or_insert((Amount::ZERO, Amount::ZERO))
                            .0 = balance;
                    }
                    BookId::Held(account) => {
                        money
                            .entry(account)
                            .or_insert((Amount::ZERO, Amount::ZERO))
                            .1 = balance;
                    }
                    _ => {}
                }
            }
        }
        Ok(money)
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

    /// What moved in an account's books, newest first, from before `from`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn entries(
        &self,
        account: AccountId,
        from: Option<TransferId>,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let books = BookId::of(account).map(|book| book.to_string());
        let own = list(7)
            .split_once(", ")
            .map_or(String::new(), |(_, rest)| rest.to_owned());
        let sql = format!(
            "SELECT * FROM transfers WHERE id < $1 AND (from_book IN ({own}) OR to_book IN ({own})) ORDER BY id DESC LIMIT $8"
        );
        let mut select = query(sqlx::AssertSqlSafe(sql)).bind(before(from, TransferId::PREFIX));
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
        let own = list(7)
            .split_once(", ")
            .map_or(String::new(), |(_, rest)| rest.to_owned());
        let sql = format!(
            "SELECT * FROM transfers WHERE at >= $1 AND (from_book IN ({own}) OR to_book IN ({own})) AND at < $8 \
             ORDER BY id LIMIT $9"
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

    /// What came to an account and what left it in a period, by purpose. Moves between its own books are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn moved(
        &self,
        account: AccountId,
        period: Period,
    ) -> Result<Vec<MovedView>, StoreError> {
        let own = list(6);
        let sum = |came: &str, went: &str, here: &str, there: &str| {
            format!(
                "SELECT kind, {came} AS came, {went} AS went FROM transfers WHERE {here} IN ({own}) \
                 AND {there} NOT IN ({own}) AND at >= $7 AND at < $8"
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
            .bind(period.from.millis())
            .bind(period.until.millis())
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
