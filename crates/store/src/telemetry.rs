//! What machines measured, by the minute, and what happened to their devices.

use kernel::{NodeId, Timestamp};
use protocol::telemetry::{DeviceEvent, MinuteView, SeriesView, Stats, merge};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count, json};

pub const MINUTE_MS: i64 = 60_000;

fn minute(row: &AnyRow) -> Result<MinuteView, StoreError> {
    let at = row.int("minute")?.saturating_mul(MINUTE_MS);
    Ok(MinuteView {
        at: Timestamp::from_millis(at),
        values: row.json("body")?,
    })
}

fn series(row: &AnyRow) -> Result<SeriesView, StoreError> {
    Ok(SeriesView {
        series: row.text("series")?,
        seq: row.unsigned("seq")?,
        received: row.unsigned("received")?,
        missing: row.unsigned("missing")?,
        at: row.time("at")?,
    })
}

impl Tx {
    /// Adds to what is known of a minute.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_minute(
        &mut self,
        node: NodeId,
        uuid: &str,
        minute: i64,
        more: &Stats,
    ) -> Result<(), StoreError> {
        let known = query(
            "SELECT body FROM telemetry_minutes WHERE node = $1 AND uuid = $2 AND minute = $3",
        )
        .bind(node.to_string())
        .bind(uuid)
        .bind(minute)
        .fetch_optional(self.connection())
        .await?;
        let mut stats: Stats = match known {
            Some(row) => row.json("body")?,
            None => Stats::new(),
        };
        merge(&mut stats, more);
        query(
            "INSERT INTO telemetry_minutes (node, uuid, minute, body) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (node, uuid, minute) DO UPDATE SET body = excluded.body",
        )
        .bind(node.to_string())
        .bind(uuid)
        .bind(minute)
        .bind(json("minute", &stats)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn put_series(
        &mut self,
        node: NodeId,
        series: &SeriesView,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO telemetry_series (node, series, seq, received, missing, at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (node, series) DO UPDATE SET seq = excluded.seq, received = excluded.received, \
             missing = excluded.missing, at = excluded.at",
        )
        .bind(node.to_string())
        .bind(&series.series)
        .bind(count("seq", series.seq)?)
        .bind(count("received", series.received)?)
        .bind(count("missing", series.missing)?)
        .bind(series.at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_device_event(
        &mut self,
        node: NodeId,
        series: &str,
        (seq, place): (u64, u64),
        event: &DeviceEvent,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO device_events (node, series, seq, place, uuid, at, body) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (node, series, seq, place) DO NOTHING",
        )
        .bind(node.to_string())
        .bind(series)
        .bind(count("seq", seq)?)
        .bind(count("place", place)?)
        .bind(&event.uuid)
        .bind(event.at.millis())
        .bind(json("event", event)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets minutes, events and series that are older.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune_telemetry(
        &mut self,
        minutes: Timestamp,
        events: Timestamp,
    ) -> Result<(), StoreError> {
        query("DELETE FROM telemetry_minutes WHERE minute < $1")
            .bind(minutes.millis().div_euclid(MINUTE_MS))
            .execute(self.connection())
            .await?;
        query("DELETE FROM device_events WHERE at < $1")
            .bind(events.millis())
            .execute(self.connection())
            .await?;
        query("DELETE FROM telemetry_series WHERE at < $1")
            .bind(events.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// The minutes of a device from one on, before another, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn telemetry_minutes(
        &self,
        node: NodeId,
        uuid: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<MinuteView>, StoreError> {
        let rows = query(
            "SELECT minute, body FROM telemetry_minutes WHERE node = $1 AND uuid = $2 AND minute >= $3 AND minute < $4 \
             ORDER BY minute",
        )
        .bind(node.to_string())
        .bind(uuid)
        .bind(from)
        .bind(to)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(minute).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn telemetry_series(&self, node: NodeId) -> Result<Vec<SeriesView>, StoreError> {
        let rows = query("SELECT * FROM telemetry_series WHERE node = $1 ORDER BY at, series")
            .bind(node.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(series).collect()
    }

    /// What happened to a machine's devices within a time, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn device_events(
        &self,
        node: NodeId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<DeviceEvent>, StoreError> {
        let rows = query(
            "SELECT body FROM device_events WHERE node = $1 AND at >= $2 AND at < $3 \
             ORDER BY at DESC, series DESC, seq DESC, place DESC LIMIT $4",
        )
        .bind(node.to_string())
        .bind(from.millis())
        .bind(to.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.json("body")).collect()
    }
}
