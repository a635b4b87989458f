//! How long machines were connected, and what their reputation is made of.

use std::collections::BTreeMap;

use kernel::{NodeId, Seconds, Timestamp};
use protocol::proof::Outcome;
use protocol::reputation::{DayFacts, ReputationDay};
use protocol::state::RunEnd;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, json};

pub const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 24;
const DAY_MS: i64 = 86_400_000;

/// Days since 1970.
pub const fn day_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(DAY_MS)
}

/// What of an hour is known of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeHour {
    pub hour: i64,
    pub online_ms: i64,
    pub away_ms: i64,
    /// How long the platform was up in it; what is left of that was absence.
    pub up_ms: i64,
}

/// A day of a machine as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReputationRow {
    pub node: NodeId,
    pub day: i64,
    pub score: u32,
    pub facts: DayFacts,
    pub sums: [u64; 8],
}

fn reputation(row: &AnyRow) -> Result<ReputationRow, StoreError> {
    Ok(ReputationRow {
        node: row.parse("node")?,
        day: row.int("day")?,
        score: row.small("score")?,
        facts: row.json("facts")?,
        sums: row.json("sums")?,
    })
}

fn seconds(millis: i64) -> u64 {
    u64::try_from(millis / 1_000).unwrap_or(0)
}

/// What a lease's end says of its machine.
fn lease_facts(row: &AnyRow, facts: &mut DayFacts) -> Result<(), StoreError> {
    let Some(end) = row.json_opt::<RunEnd>("ending")? else {
        return Ok(());
    };
    let delivered = row.seconds("seconds")?;
    let one = |count: &mut u64| *count = count.saturating_add(1);
    match end {
        _ if row.flag("refused")? => one(&mut facts.refused),
        RunEnd::SpecMissed { .. } => one(&mut facts.spec_missed),
        RunEnd::NodeDrained => one(&mut facts.drained),
        // One that never ran may be one that its worker never heard of.
        RunEnd::LeaseLost if row.time_opt("started_at")?.is_some() => one(&mut facts.lost),
        RunEnd::LeaseLost => {}
        // Whoever hires their own machine says nothing about it.
        _ if row.text("account")? == row.text("owner")? => {}
        _ if delivered > Seconds::ZERO => {
            one(&mut facts.finished);
            facts.delivered_seconds = facts.delivered_seconds.saturating_add(delivered.get());
        }
        _ => {}
    }
    Ok(())
}

impl Tx {
    /// Adds to an hour in which the platform was up.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_platform_hour(&mut self, hour: i64, up_ms: i64) -> Result<(), StoreError> {
        query(
            "INSERT INTO platform_hours (hour, up_ms) VALUES ($1, $2) \
             ON CONFLICT (hour) DO UPDATE SET up_ms = platform_hours.up_ms + excluded.up_ms",
        )
        .bind(hour)
        .bind(up_ms)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Adds to an hour of a machine.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_node_hour(&mut self, node: NodeId, add: NodeHour) -> Result<(), StoreError> {
        query(
            "INSERT INTO node_hours (node, hour, online_ms, away_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (node, hour) DO UPDATE SET online_ms = node_hours.online_ms + excluded.online_ms, \
             away_ms = node_hours.away_ms + excluded.away_ms",
        )
        .bind(node.to_string())
        .bind(add.hour)
        .bind(add.online_ms)
        .bind(add.away_ms)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets hours and days that nobody asks for any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_node_hours(
        &mut self,
        before_hour: i64,
        before_day: i64,
    ) -> Result<(), StoreError> {
        for (sql, before) in [
            ("DELETE FROM node_hours WHERE hour < $1", before_hour),
            ("DELETE FROM platform_hours WHERE hour < $1", before_hour),
            ("DELETE FROM node_reputation WHERE day < $1", before_day),
        ] {
            query(sql).bind(before).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn put_reputation(&mut self, row: &ReputationRow) -> Result<(), StoreError> {
        query(
            "INSERT INTO node_reputation (node, day, score, facts, sums) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (node, day) DO UPDATE SET score = excluded.score, facts = excluded.facts, sums = excluded.sums",
        )
        .bind(row.node.to_string())
        .bind(row.day)
        .bind(i64::from(row.score))
        .bind(json("facts", &row.facts)?)
        .bind(json("sums", &row.sums)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn set_node_reputation(
        &mut self,
        node: NodeId,
        reputation: u32,
    ) -> Result<(), StoreError> {
        query("UPDATE nodes SET reputation = $1 WHERE id = $2")
            .bind(i64::from(reputation))
            .bind(node.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Marks a lease that its machine would not or could not start.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_refused(&mut self, lease: kernel::LeaseId) -> Result<(), StoreError> {
        query("UPDATE leases SET refused = 1 WHERE id = $1")
            .bind(lease.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// The newest row of each machine before a day.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reputations_before(&self, day: i64) -> Result<Vec<ReputationRow>, StoreError> {
        let rows = query(
            "SELECT r.* FROM node_reputation r JOIN (SELECT node, MAX(day) AS day FROM node_reputation WHERE day < $1 \
             GROUP BY node) m ON m.node = r.node AND m.day = r.day",
        )
        .bind(day)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(reputation).collect()
    }

    /// A machine's days, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reputation_days(
        &self,
        node: NodeId,
        since: i64,
    ) -> Result<Vec<(ReputationDay, [u64; 8])>, StoreError> {
        let rows =
            query("SELECT * FROM node_reputation WHERE node = $1 AND day >= $2 ORDER BY day")
                .bind(node.to_string())
                .bind(since)
                .fetch_all(self.readers())
                .await?;
        let day = |row: &AnyRow| {
            let row = reputation(row)?;
            let day = ReputationDay {
                day: Timestamp::from_millis(row.day.saturating_mul(DAY_MS)),
                score_hundredths: row.score,
                facts: row.facts,
            };
            Ok((day, row.sums))
        };
        rows.iter().map(day).collect()
    }

    /// What each machine did on each day since a day. `joined`: when each joined; of others nothing is told.
    ///
    /// # Errors
    /// The database failed.
    pub async fn day_facts(
        &self,
        joined: &BTreeMap<NodeId, Timestamp>,
        since: i64,
    ) -> Result<BTreeMap<(NodeId, i64), DayFacts>, StoreError> {
        let mut facts: BTreeMap<(NodeId, i64), DayFacts> = BTreeMap::new();
        self.uptime_facts(joined, since, &mut facts).await?;
        let from = since.saturating_mul(DAY_MS);
        let rows = query(
            "SELECT node, ending, refused, started_at, seconds, ended_at, account, owner FROM leases WHERE ended_at >= $1",
        )
        .bind(from)
        .fetch_all(self.readers())
        .await?;
        for row in &rows {
            let (node, at) = (row.parse("node")?, row.time("ended_at")?);
            lease_facts(row, facts.entry((node, day_of(at))).or_default())?;
        }
        let rows = query(
            "SELECT l.node, d.decided_at FROM disputes d JOIN leases l ON l.id = d.lease \
             WHERE d.state = 'refunded' AND d.decided_at >= $1",
        )
        .bind(from)
        .fetch_all(self.readers())
        .await?;
        for row in &rows {
            let (node, at) = (row.parse("node")?, row.time("decided_at")?);
            let own = facts.entry((node, day_of(at))).or_default();
            own.disputes_lost = own.disputes_lost.saturating_add(1);
        }
        let rows = query(
            "SELECT node, ended_at, outcome FROM challenges WHERE ended_at >= $1 AND outcome IN ('passed', 'failed')",
        )
        .bind(from)
        .fetch_all(self.readers())
        .await?;
        for row in &rows {
            let (node, at) = (row.parse("node")?, row.time("ended_at")?);
            let own: &mut DayFacts = facts.entry((node, day_of(at))).or_default();
            let count = match row.word("outcome", Outcome::parse)? {
                Outcome::Passed => &mut own.challenges_passed,
                _ => &mut own.challenges_failed,
            };
            *count = count.saturating_add(1);
        }
        facts.retain(|(node, _), _| joined.contains_key(node));
        Ok(facts)
    }

    async fn uptime_facts(
        &self,
        joined: &BTreeMap<NodeId, Timestamp>,
        since: i64,
        facts: &mut BTreeMap<(NodeId, i64), DayFacts>,
    ) -> Result<(), StoreError> {
        let first = since.saturating_mul(HOURS);
        let rows = query("SELECT hour, up_ms FROM platform_hours WHERE hour >= $1")
            .bind(first)
            .fetch_all(self.readers())
            .await?;
        let mut up = Vec::with_capacity(rows.len());
        for row in &rows {
            up.push((row.int("hour")?, row.int("up_ms")?));
        }
        let rows = query(
            "SELECT node, hour / 24 AS day, CAST(SUM(online_ms) AS BIGINT) AS online_ms, CAST(SUM(away_ms) AS BIGINT) AS away_ms \
             FROM node_hours WHERE hour >= $1 GROUP BY node, hour / 24",
        )
        .bind(first)
        .fetch_all(self.readers())
        .await?;
        let mut known: BTreeMap<(NodeId, i64), (i64, i64)> = BTreeMap::new();
        for row in &rows {
            let own = (row.int("online_ms")?, row.int("away_ms")?);
            known.insert((row.parse("node")?, row.int("day")?), own);
        }
        let mut days: BTreeMap<i64, i64> = BTreeMap::new();
        for (hour, up_ms) in &up {
            let day = days.entry(hour.div_euclid(HOURS)).or_default();
            *day = day.saturating_add(*up_ms);
        }
        for (node, joined) in joined {
            let joined_hour = joined.millis().div_euclid(HOUR_MS);
            for (day, up_ms) in days.range(day_of(*joined)..) {
                let mut up_ms = *up_ms;
                if *day == day_of(*joined) {
                    // From the hour after it joined; before, nobody expected it.
                    let own = up
                        .iter()
                        .filter(|(hour, _)| hour.div_euclid(HOURS) == *day && *hour > joined_hour);
                    up_ms = own.fold(0, |sum, (_, up_ms)| sum.saturating_add(*up_ms));
                }
                let (online, away) = known.get(&(*node, *day)).copied().unwrap_or_default();
                let offline = up_ms.saturating_sub(online).saturating_sub(away).max(0);
                let own = facts.entry((*node, *day)).or_default();
                own.online_seconds = seconds(online);
                own.offline_seconds = seconds(offline);
            }
        }
        Ok(())
    }

    /// Spans of so many hours of an account's machines since an hour, oldest first, as far as the platform was up in them. A span is
    /// named by how many of its kind have been since 1970. Of the hour in which a machine joined only its presence is known: the platform
    /// was up before, and nobody expected it then.
    ///
    /// # Errors
    /// The database failed.
    pub async fn node_hours(
        &self,
        owner: kernel::AccountId,
        since: i64,
        hours: i64,
    ) -> Result<BTreeMap<NodeId, Vec<NodeHour>>, StoreError> {
        let sum = |column: &str| format!("CAST(SUM({column}) AS BIGINT)");
        let up = format!(
            "CASE WHEN p.hour = n.joined_at / {HOUR_MS} \
             THEN COALESCE(h.online_ms, 0) + COALESCE(h.away_ms, 0) ELSE p.up_ms END"
        );
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT n.id AS node, p.hour / {hours} AS span, {} AS up_ms, {} AS online_ms, {} AS away_ms \
             FROM nodes n CROSS JOIN platform_hours p LEFT JOIN node_hours h ON h.node = n.id AND h.hour = p.hour \
             WHERE n.owner = $1 AND n.removed_at IS NULL AND p.hour >= $2 AND p.hour >= n.joined_at / {HOUR_MS} \
             GROUP BY n.id, p.hour / {hours} ORDER BY span",
            sum(&up),
            sum("COALESCE(h.online_ms, 0)"),
            sum("COALESCE(h.away_ms, 0)"),
        ));
        let rows = query(sql)
            .bind(owner.to_string())
            .bind(since)
            .fetch_all(self.readers())
            .await?;
        let mut spans: BTreeMap<NodeId, Vec<NodeHour>> = BTreeMap::new();
        for row in &rows {
            spans.entry(row.parse("node")?).or_default().push(NodeHour {
                hour: row.int("span")?,
                online_ms: row.int("online_ms")?,
                away_ms: row.int("away_ms")?,
                up_ms: row.int("up_ms")?,
            });
        }
        Ok(spans)
    }
}
