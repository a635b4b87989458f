//! What was paid, and the price index as it was.

use kernel::{AccountId, Amount, DeviceId, LeaseId, PricePerSecond, Seconds, Timestamp};
use protocol::spec::DeviceClass;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count};

/// A lease that delivered something.
#[derive(Debug, Clone)]
pub struct TradeRow {
    pub class: DeviceClass,
    pub model: String,
    pub owner: AccountId,
    pub requester: AccountId,
    pub price: PricePerSecond,
    pub at: Timestamp,
}

/// How much of a device was hired.
#[derive(Debug, Clone)]
pub struct Hired {
    pub device: DeviceId,
    /// Delivered and receipted.
    pub seconds: Seconds,
    pub leases: u32,
}

/// The index of one model at one time.
#[derive(Debug, Clone)]
pub struct PricePoint {
    pub class: DeviceClass,
    pub model: String,
    pub at: Timestamp,
    pub fair: PricePerSecond,
    /// The cheapest ask, if there was one.
    pub lowest: Option<PricePerSecond>,
    pub asks: u32,
    pub trades: u32,
    /// Devices that stood in the market, and how many of them were hired.
    pub offered: u32,
    pub hired: u32,
}

/// One device of a lease, at what it asked itself.
fn trade(row: &AnyRow) -> Result<(LeaseId, TradeRow), StoreError> {
    let device: DeviceId = row.parse("device")?;
    let asked: Vec<(DeviceId, PricePerSecond)> = row.json("devices")?;
    let own = asked.iter().find(|(id, _)| *id == device);
    let trade = TradeRow {
        class: row.word("class", DeviceClass::parse)?,
        model: row.text("model")?,
        owner: row.parse("owner")?,
        requester: row.parse("account")?,
        price: own.map_or_else(|| row.price("price"), |(_, price)| Ok(*price))?,
        at: row.time("granted_at")?,
    };
    Ok((row.parse("id")?, trade))
}

/// Of the devices of one model in one lease.
fn average(alike: &[(LeaseId, TradeRow)]) -> Option<TradeRow> {
    let (_, first) = alike.first()?;
    let total = PricePerSecond::total(alike.iter().map(|(_, trade)| trade.price));
    let count = i64::try_from(alike.len()).ok()?;
    let each = total.per_second().base().checked_div(count)?;
    Some(TradeRow {
        price: PricePerSecond::from_amount(Amount::try_from_base(each).ok()?),
        ..first.clone()
    })
}

fn point(row: &AnyRow) -> Result<PricePoint, StoreError> {
    let lowest = row.int_opt("lowest")?;
    Ok(PricePoint {
        class: row.word("class", DeviceClass::parse)?,
        model: row.text("model")?,
        at: row.time("at")?,
        fair: row.price("fair")?,
        lowest: lowest.map(|_| row.price("lowest")).transpose()?,
        asks: row.small("asks")?,
        trades: row.small("trades")?,
        offered: row.small("offered")?,
        hired: row.small("hired")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_price_point(&mut self, point: &PricePoint) -> Result<(), StoreError> {
        query(
            "INSERT INTO market_prices (class, model, at, fair, lowest, asks, trades, offered, hired) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (class, model, at) DO NOTHING",
        )
        .bind(point.class.as_str())
        .bind(&point.model)
        .bind(point.at.millis())
        .bind(point.fair.per_second().base())
        .bind(point.lowest.map(|price| price.per_second().base()))
        .bind(i64::from(point.asks))
        .bind(i64::from(point.trades))
        .bind(i64::from(point.offered))
        .bind(i64::from(point.hired))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn forget_price_points(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query("DELETE FROM market_prices WHERE at < $1")
            .bind(before.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// On-demand leases since a time that delivered something: what spot jobs pay is for another thing. Each lease is one
    /// trade for each model that it has: of several devices of one model, what one of them cost on average.
    ///
    /// # Errors
    /// The database failed.
    pub async fn trades(&self, since: Timestamp) -> Result<Vec<TradeRow>, StoreError> {
        let rows = query(
            "SELECT l.id, d.id AS device, d.class, d.model, l.owner, l.account, l.price, l.devices, l.granted_at \
             FROM leases l JOIN lease_devices x ON x.lease = l.id JOIN devices d ON d.id = x.device \
             WHERE l.granted_at >= $1 AND l.seconds > 0 AND l.kind = 'on-demand' ORDER BY l.id, d.class, d.model",
        )
        .bind(since.millis())
        .fetch_all(self.readers())
        .await?;
        let each: Vec<(LeaseId, TradeRow)> = rows.iter().map(trade).collect::<Result<_, _>>()?;
        let alike = each.chunk_by(|(lease, one), (other_lease, other)| {
            (lease, one.class, &one.model) == (other_lease, other.class, &other.model)
        });
        Ok(alike.filter_map(average).collect())
    }

    /// What each device of a model delivered since a time. Of a lease that is older, no more than can have been since.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hired(
        &self,
        class: DeviceClass,
        model: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Hired>, StoreError> {
        let rows = query(
            "SELECT x.device, CAST(COUNT(*) AS BIGINT) AS leases, CAST(SUM(CASE \
             WHEN l.granted_at >= $3 THEN l.seconds \
             WHEN l.seconds * 1000 > COALESCE(l.ended_at, $4) - $3 THEN (COALESCE(l.ended_at, $4) - $3) / 1000 \
             ELSE l.seconds END) AS BIGINT) AS seconds FROM leases l JOIN lease_devices x ON x.lease = l.id \
             JOIN devices d ON d.id = x.device WHERE d.class = $1 AND d.model = $2 AND COALESCE(l.ended_at, $4) >= $3 \
             AND l.seconds > 0 GROUP BY x.device",
        )
        .bind(class.as_str())
        .bind(model)
        .bind(since.millis())
        .bind(now.millis())
        .fetch_all(self.readers())
        .await?;
        let hired = |row: &AnyRow| {
            Ok(Hired {
                device: row.parse("device")?,
                seconds: row.seconds("seconds")?,
                leases: row.small("leases")?,
            })
        };
        rows.iter().map(hired).collect()
    }

    /// The newest point there is, of any model.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_price_point(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = query("SELECT MAX(at) AS at FROM market_prices")
            .fetch_one(self.readers())
            .await?;
        row.time_opt("at")
    }

    /// How many of each model were offered and hired, at each time since.
    ///
    /// # Errors
    /// The database failed.
    pub async fn scarcities(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(DeviceClass, String, u32, u32)>, StoreError> {
        let rows = query(
            "SELECT class, model, offered, hired FROM market_prices WHERE at >= $1 AND offered > 0",
        )
        .bind(since.millis())
        .fetch_all(self.readers())
        .await?;
        let read = |row: &AnyRow| {
            Ok((
                row.word("class", DeviceClass::parse)?,
                row.text("model")?,
                row.small("offered")?,
                row.small("hired")?,
            ))
        };
        rows.iter().map(read).collect()
    }

    /// A model's points since a time, oldest first: the newest `limit` of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn price_points(
        &self,
        class: DeviceClass,
        model: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<PricePoint>, StoreError> {
        let rows = query(
            "SELECT * FROM market_prices WHERE class = $1 AND model = $2 AND at >= $3 ORDER BY at DESC LIMIT $4",
        )
        .bind(class.as_str())
        .bind(model)
        .bind(since.millis())
        .bind(count("limit", u64::from(limit))?)
        .fetch_all(self.readers())
        .await?;
        rows.iter().rev().map(point).collect()
    }
}
