//! Books and transfers.

use kernel::{AccountId, Amount, JobId, Timestamp, TransferId};
use ledger::{BookId, Transfer};
use protocol::view::EntryKind;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

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
}

impl Tx {
    /// Posts a transfer under a new id. `false`: its key was posted before, and nothing was changed.
    ///
    /// # Errors
    /// [`StoreError::Insufficient`] when the book it leaves would fall below zero; then roll back.
    pub async fn post(
        &mut self,
        id: TransferId,
        transfer: &Transfer,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        query(
            "INSERT INTO books (id, balance, may_be_negative) VALUES ($1, 0, $2), ($3, 0, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(transfer.from.to_string())
        .bind(i64::from(transfer.from.may_be_negative()))
        .bind(transfer.to.to_string())
        .bind(i64::from(transfer.to.may_be_negative()))
        .execute(self.connection())
        .await?;
        let inserted = query(
            "INSERT INTO transfers (id, key, from_book, to_book, amount, kind, job, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(&transfer.key)
        .bind(transfer.from.to_string())
        .bind(transfer.to.to_string())
        .bind(transfer.amount.base())
        .bind(transfer.kind.as_str())
        .bind(transfer.job.map(|job| job.to_string()))
        .bind(now.millis())
        .execute(self.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        let base = transfer.amount.base();
        let took = query("UPDATE books SET balance = balance - $1 WHERE id = $2 AND (may_be_negative = 1 OR balance >= $3)")
            .bind(base)
            .bind(transfer.from.to_string())
            .bind(base)
            .execute(self.connection())
            .await?;
        if took.rows_affected() != 1 {
            return Err(StoreError::Insufficient);
        }
        query("UPDATE books SET balance = balance + $1 WHERE id = $2")
            .bind(base)
            .bind(transfer.to.to_string())
            .execute(self.connection())
            .await?;
        Ok(true)
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
}

impl Store {
    /// Available, held and earned of an account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn balances(&self, account: AccountId) -> Result<[Amount; 3], StoreError> {
        let books = [
            BookId::Available(account),
            BookId::Held(account),
            BookId::Earned(account),
        ]
        .map(|book| book.to_string());
        let rows = query("SELECT id, balance FROM books WHERE id IN ($1, $2, $3)")
            .bind(&books[0])
            .bind(&books[1])
            .bind(&books[2])
            .fetch_all(self.readers())
            .await?;
        let mut balances = [Amount::ZERO; 3];
        for row in rows {
            let id = row.text("id")?;
            for (book, balance) in books.iter().zip(&mut balances) {
                if *book == id {
                    *balance = row.amount("balance")?;
                }
            }
        }
        Ok(balances)
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
        let [available, held, earned] = [
            BookId::Available(account),
            BookId::Held(account),
            BookId::Earned(account),
        ]
        .map(|book| book.to_string());
        let rows = query(
            "SELECT * FROM transfers WHERE id < $1 AND \
             (from_book IN ($2, $3, $4) OR to_book IN ($5, $6, $7)) ORDER BY id DESC LIMIT $8",
        )
        .bind(before)
        .bind(&available)
        .bind(&held)
        .bind(&earned)
        .bind(&available)
        .bind(&held)
        .bind(&earned)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(EntryRow {
                    id: row.parse("id")?,
                    at: row.time("at")?,
                    kind: row.word("kind", EntryKind::parse)?,
                    amount: row.amount("amount")?,
                    from_book: row.text("from_book")?,
                    to_book: row.text("to_book")?,
                    job: row.parse_opt("job")?,
                })
            })
            .collect()
    }

    /// What reached a book since a moment.
    ///
    /// # Errors
    /// The database failed.
    pub async fn received_since(
        &self,
        book: BookId,
        since: Timestamp,
    ) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfers WHERE to_book = $1 AND at >= $2",
        )
        .bind(book.to_string())
        .bind(since.millis())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }
}
