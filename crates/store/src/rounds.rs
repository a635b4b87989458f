//! Matching rounds, and the book as it was at each of them: snapshots in pages, and one row for each change.

use std::fmt::Write;

use kernel::{DeviceId, JobId, Timestamp};
use protocol::round::{BookOffer, BookStep, Round, RoundRecord, Snapshot};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count, json};

/// Rows of one statement.
const ROWS: usize = 100;

/// Where the chain of rounds and the log of the book end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoundHead {
    /// 0: there was none yet.
    pub number: u64,
    pub hash: String,
    /// The last step that is written.
    pub step: u64,
}

/// What of the record is old enough to go.
#[derive(Debug, Clone, Copy)]
pub struct Forget {
    /// Rounds before this time.
    pub before: Timestamp,
    /// Rounds and steps up to these, however young they are.
    pub up_to_round: u64,
    pub up_to_step: u64,
}

fn record(row: &AnyRow) -> Result<RoundRecord, StoreError> {
    Ok(RoundRecord {
        hash: row.text("hash")?,
        round: row.json("body")?,
    })
}

fn snapshot(row: &AnyRow) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        step: row.unsigned("step")?,
        at: row.time("at")?,
        offers: row.unsigned("offers")?,
        root: row.text("root")?,
        pages: row.small("pages")?,
    })
}

fn change(row: &AnyRow) -> Result<BookStep, StoreError> {
    Ok(BookStep {
        step: row.unsigned("step")?,
        change: row.json("body")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn round_head(&mut self) -> Result<RoundHead, StoreError> {
        let last = query("SELECT number, hash FROM market_rounds ORDER BY number DESC LIMIT 1")
            .fetch_optional(self.connection())
            .await?;
        let steps = query(
            "SELECT (SELECT MAX(step) FROM book_changes) AS changed, (SELECT MAX(step) FROM book_snapshots) AS kept",
        )
        .fetch_one(self.connection())
        .await?;
        let step = steps.int_opt("changed")?.max(steps.int_opt("kept")?);
        let step = step.map_or(Ok(0), u64::try_from);
        let mut head = RoundHead {
            step: step.map_err(|error| StoreError::corrupt("step", error))?,
            ..RoundHead::default()
        };
        if let Some(row) = last {
            head.number = row.unsigned("number")?;
            head.hash = row.text("hash")?;
        }
        Ok(head)
    }

    /// # Errors
    /// A conflict when another process has written a round of this number.
    pub async fn insert_round(
        &mut self,
        record: &RoundRecord,
        job: Option<JobId>,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO market_rounds (number, at, step, job, hash, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(count("number", record.round.number)?)
        .bind(record.round.at.millis())
        .bind(count("step", record.round.step)?)
        .bind(job.map(|job| job.to_string()))
        .bind(&record.hash)
        .bind(json("round", &record.round)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// A conflict when a step was written before.
    pub async fn insert_book_steps(&mut self, steps: &[BookStep]) -> Result<(), StoreError> {
        for rows in steps.chunks(ROWS) {
            let mut sql = String::from("INSERT INTO book_changes (step, device, body) VALUES ");
            for n in 0..rows.len() {
                let comma = if n == 0 { "" } else { ", " };
                let (a, b, c) = (3 * n + 1, 3 * n + 2, 3 * n + 3);
                _ = write!(sql, "{comma}(${a}, ${b}, ${c})");
            }
            // Of a hundred lengths only the commonest is worth keeping prepared.
            let mut insert = query(sqlx::AssertSqlSafe(sql)).persistent(rows.len() == 1);
            for row in rows {
                insert = insert
                    .bind(count("step", row.step)?)
                    .bind(row.change.device().to_string())
                    .bind(json("change", &row.change)?);
            }
            insert.execute(self.connection()).await?;
        }
        Ok(())
    }

    /// One page of a snapshot; its offers by their devices' ids, and never none. Pages are written before their snapshot: what
    /// a process left of one that it did not finish gives way.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_book_page(
        &mut self,
        step: u64,
        page: u32,
        offers: &[BookOffer],
    ) -> Result<(), StoreError> {
        let first = offers.first().map(|offer| offer.device.to_string());
        query(
            "INSERT INTO book_pages (step, page, first_device, body) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (step, page) DO UPDATE SET first_device = excluded.first_device, body = excluded.body",
        )
        .bind(count("step", step)?)
        .bind(i64::from(page))
        .bind(first.unwrap_or_default())
        .bind(json("offers", &offers)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// After all of its pages.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        // An unfinished one at this step may have had more.
        query("DELETE FROM book_pages WHERE step = $1 AND page >= $2")
            .bind(count("step", snapshot.step)?)
            .bind(i64::from(snapshot.pages))
            .execute(self.connection())
            .await?;
        query("INSERT INTO book_snapshots (step, at, offers, root, pages) VALUES ($1, $2, $3, $4, $5)")
            .bind(count("step", snapshot.step)?)
            .bind(snapshot.at.millis())
            .bind(count("offers", snapshot.offers)?)
            .bind(&snapshot.root)
            .bind(i64::from(snapshot.pages))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets old rounds, never the newest, and what of the book no round that is left needs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_rounds(&mut self, forget: &Forget) -> Result<(), StoreError> {
        query(
            "DELETE FROM market_rounds WHERE (at < $1 OR number <= $2 OR step <= $3) \
             AND number < (SELECT MAX(number) FROM market_rounds)",
        )
        .bind(forget.before.millis())
        .bind(count("number", forget.up_to_round)?)
        .bind(count("step", forget.up_to_step)?)
        .execute(self.connection())
        .await?;
        // The newest snapshot that is not newer than the oldest round: all before it is of no more use. Where rounds are
        // rare and the book changes much, the newest round's book goes too, and the round alone stays.
        let row = query(
            "SELECT MAX(step) AS step FROM book_snapshots WHERE step <= $1 OR step <= \
             COALESCE((SELECT MIN(step) FROM market_rounds), (SELECT MAX(step) FROM book_snapshots))",
        )
        .bind(count("step", forget.up_to_step)?)
        .fetch_one(self.connection())
        .await?;
        let Some(oldest) = row.int_opt("step")? else {
            return Ok(());
        };
        for sql in [
            "DELETE FROM book_changes WHERE step <= $1",
            "DELETE FROM book_snapshots WHERE step < $1",
            // Those of a snapshot under way are newer than the oldest that is needed.
            "DELETE FROM book_pages WHERE step < $1",
        ] {
            query(sql).bind(oldest).execute(self.connection()).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Rounds before a number, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rounds(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RoundRecord>, StoreError> {
        // Beyond what a database can count there is nothing.
        let before = before.and_then(|before| i64::try_from(before).ok());
        let before = before.unwrap_or(i64::MAX);
        let rows = query(
            "SELECT hash, body FROM market_rounds WHERE number < $1 ORDER BY number DESC LIMIT $2",
        )
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(record).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn round(&self, number: u64) -> Result<Option<RoundRecord>, StoreError> {
        let Ok(number) = i64::try_from(number) else {
            return Ok(None);
        };
        let row = query("SELECT hash, body FROM market_rounds WHERE number = $1")
            .bind(number)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// Rounds since a time, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rounds_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Round>, StoreError> {
        let rows =
            query("SELECT body FROM market_rounds WHERE at >= $1 ORDER BY number DESC LIMIT $2")
                .bind(since.millis())
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(|row| row.json("body")).collect()
    }

    /// The numbers of a job's rounds, oldest first; the newest `limit` of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rounds_of_job(&self, job: JobId, limit: u32) -> Result<Vec<u64>, StoreError> {
        let rows =
            query("SELECT number FROM market_rounds WHERE job = $1 ORDER BY number DESC LIMIT $2")
                .bind(job.to_string())
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter()
            .rev()
            .map(|row| row.unsigned("number"))
            .collect()
    }

    /// The newest snapshot that is not newer than a step.
    ///
    /// # Errors
    /// The database failed.
    pub async fn snapshot_at(&self, step: u64) -> Result<Option<Snapshot>, StoreError> {
        let row = query("SELECT * FROM book_snapshots WHERE step <= $1 ORDER BY step DESC LIMIT 1")
            .bind(i64::try_from(step).unwrap_or(i64::MAX))
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(snapshot).transpose()
    }

    /// Snapshots after a step, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn snapshots_after(
        &self,
        step: u64,
        limit: u32,
    ) -> Result<Vec<Snapshot>, StoreError> {
        let rows =
            query("SELECT * FROM book_snapshots WHERE step > $1 ORDER BY step DESC LIMIT $2")
                .bind(count("step", step)?)
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        rows.iter().map(snapshot).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn book_page(&self, step: u64, page: u32) -> Result<Vec<BookOffer>, StoreError> {
        let row = query("SELECT body FROM book_pages WHERE step = $1 AND page = $2")
            .bind(count("step", step)?)
            .bind(i64::from(page))
            .fetch_optional(self.readers())
            .await?;
        row.map_or(Ok(Vec::new()), |row| row.json("body"))
    }

    /// A device's offer in a snapshot.
    ///
    /// # Errors
    /// The database failed.
    pub async fn offer_in_snapshot(
        &self,
        step: u64,
        device: DeviceId,
    ) -> Result<Option<BookOffer>, StoreError> {
        let row = query(
            "SELECT body FROM book_pages WHERE step = $1 AND first_device <= $2 ORDER BY page DESC LIMIT 1",
        )
        .bind(count("step", step)?)
        .bind(device.to_string())
        .fetch_optional(self.readers())
        .await?;
        let offers: Vec<BookOffer> = row.map_or(Ok(Vec::new()), |row| row.json("body"))?;
        Ok(offers.into_iter().find(|offer| offer.device == device))
    }

    /// Changes after one step and up to another, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn book_steps(
        &self,
        after: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<BookStep>, StoreError> {
        let rows = query(
            "SELECT step, body FROM book_changes WHERE step > $1 AND step <= $2 ORDER BY step LIMIT $3",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(count("step", to)?)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(change).collect()
    }

    /// A device's changes after a step, in order: the newest `limit` of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn steps_of_device(
        &self,
        device: DeviceId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<BookStep>, StoreError> {
        let rows = query(
            "SELECT step, body FROM book_changes WHERE device = $1 AND step > $2 ORDER BY step DESC LIMIT $3",
        )
        .bind(device.to_string())
        .bind(count("step", after)?)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().rev().map(change).collect()
    }
}
