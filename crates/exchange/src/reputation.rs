//! How long machines are there, and what reputation follows from what they did (docs/reputation.md).

use std::collections::BTreeMap;

use kernel::{NodeId, Timestamp};
use market::Hours;
use market::reputation::Reputation;
use protocol::reputation::{DayFacts, ReputationView};
use protocol::view::Scope;
use store::{HOUR_MS, NodeHour, ReputationRow, day_of};

use crate::actor::Actor;
use crate::desk::{Exchange, NodeLive};
use crate::error::Error;

/// Longer than this between two notes the platform itself was away: nothing is known of that time.
const GAP_MS: i64 = 600_000;
/// After a machine was seen last its schedule says for so long whether it is away with notice.
const REMEMBERED_MS: i64 = 2 * 86_400_000;
/// Hours of machines are kept for so many days, and their reputation's days for so many.
pub(crate) const HOURS_KEPT_DAYS: i64 = 40;
const DAYS_KEPT: i64 = 180;
/// Machines whose reputation is written in one transaction.
const AT_ONCE: usize = 200;

/// A span of milliseconds since 1970.
type Span = (i64, i64);

const fn hour_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(HOUR_MS)
}

/// The pieces of a span by hour.
fn by_hour((from, to): Span) -> impl Iterator<Item = (i64, i64)> {
    let hours = from.div_euclid(HOUR_MS)..=to.div_euclid(HOUR_MS);
    hours.filter_map(move |hour| {
        let begin = hour.saturating_mul(HOUR_MS);
        let end = begin.saturating_add(HOUR_MS);
        let millis = to.min(end).saturating_sub(from.max(begin));
        (millis > 0).then_some((hour, millis))
    })
}

impl NodeLive {
    /// Of a span, how long it was connected; and whether the rest of it, or all while it drains, is absence with notice.
    fn presence(&self, (from, to): Span, now: Timestamp) -> (Span, bool) {
        let seen = |at: Timestamp| at.millis().clamp(from, to);
        let online = match &self.link {
            Some(link) if link.silent => (seen(link.since), seen(link.last_beat)),
            Some(link) => (seen(link.since), to),
            None => (from, self.node.last_seen.map_or(from, seen)),
        };
        let excused = self.draining || self.node.maintenance.is_some() || self.is_excused(now);
        (online, excused)
    }

    /// Its owner said so: it is outside the hours of all its devices.
    fn is_excused(&self, now: Timestamp) -> bool {
        let fresh = self
            .node
            .last_seen
            .is_some_and(|seen| now.millis_since(seen) < REMEMBERED_MS);
        let mut present = self.devices.iter().filter(|device| device.present);
        let closed = |device: &store::Device| {
            let hours = Hours::at(device.rules.schedule.as_ref(), now);
            matches!(hours, Hours::Closed { .. })
        };
        fresh && self.devices.iter().any(|device| device.present) && present.all(closed)
    }
}

impl Exchange {
    /// Notes how long each machine was connected since the last time. A server that was down knows of nobody.
    pub(crate) async fn note_uptime(&self) -> Result<(), Error> {
        let now = self.now();
        let (last, hours) = {
            let mut memory = self.memory();
            let last = memory.uptime_at.replace(now);
            let span = last.map(|last| (last.millis(), now.millis()));
            let span = span.filter(|(from, to)| from < to && to.saturating_sub(*from) <= GAP_MS);
            let Some(span) = span else {
                return Ok(());
            };
            let mut hours = Vec::new();
            for live in memory.nodes.values() {
                let ((from, to), excused) = live.presence(span, now);
                let mut own: BTreeMap<i64, NodeHour> = BTreeMap::new();
                let mut add = |span: Span, away: bool| {
                    for (hour, millis) in by_hour(span) {
                        let own = own.entry(hour).or_insert(NodeHour {
                            hour,
                            ..NodeHour::default()
                        });
                        let part = if away {
                            &mut own.away_ms
                        } else {
                            &mut own.online_ms
                        };
                        *part = part.saturating_add(millis);
                    }
                };
                // One that drains is there, but not for hire: that speaks neither for it nor against it.
                add((from, to), live.draining || live.node.maintenance.is_some());
                if excused {
                    add((span.0, from), true);
                    add((to, span.1), true);
                }
                hours.extend(own.into_values().map(|own| (live.node.id, own)));
            }
            (span, hours)
        };
        let mut tx = self.inner.store.begin().await?;
        for (hour, millis) in by_hour(last) {
            tx.add_platform_hour(hour, millis).await?;
        }
        for (node, hour) in hours {
            tx.add_node_hour(node, hour).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Each hour: what the facts of today and yesterday make of each machine's reputation. Days that were missed are made up.
    pub(crate) async fn note_reputations(&self) -> Result<(), Error> {
        let now = self.now();
        let hour = hour_of(now);
        if self.memory().reputed_hour == Some(hour) {
            return Ok(());
        }
        let joined: BTreeMap<NodeId, Timestamp> = {
            let memory = self.memory();
            let nodes = memory.nodes.values();
            nodes
                .map(|live| (live.node.id, live.node.joined_at))
                .collect()
        };
        let today = day_of(now);
        let oldest = today.saturating_sub(HOURS_KEPT_DAYS);
        // Yesterday's last hour was not over when it was computed last.
        let store = &self.inner.store;
        let before = store.reputations_before(today.saturating_sub(1)).await?;
        let before: BTreeMap<NodeId, ReputationRow> =
            before.into_iter().map(|row| (row.node, row)).collect();
        let begins = |node: &NodeId, joined: &Timestamp| {
            before
                .get(node)
                .map_or(day_of(*joined), |row| row.day.saturating_add(1))
        };
        let first = joined.iter().map(|(node, at)| begins(node, at)).min();
        let first = first.unwrap_or(today).max(oldest);
        let facts = store.day_facts(&joined, first).await?;
        let mut rows: Vec<Vec<ReputationRow>> = Vec::with_capacity(joined.len());
        for (node, at) in &joined {
            let known = before.get(node);
            let mut standing =
                known.map_or_else(Reputation::default, |row| Reputation::of(row.sums));
            let mut own = Vec::new();
            for day in begins(node, at)..=today {
                let facts = facts.get(&(*node, day)).copied().unwrap_or_default();
                standing = standing.after(&facts);
                // So long ago nobody asks, but time went by.
                if day >= oldest {
                    own.push(row(*node, day, facts, standing));
                }
            }
            rows.push(own);
        }
        for some in rows.chunks(AT_ONCE) {
            self.write_reputations(some).await?;
        }
        let mut tx = store.begin().await?;
        let oldest_hour = oldest.saturating_mul(24);
        tx.forget_node_hours(oldest_hour, today.saturating_sub(DAYS_KEPT))
            .await?;
        tx.commit().await?;
        self.memory().reputed_hour = Some(hour);
        Ok(())
    }

    /// Each machine with its days; the last one is what counts.
    async fn write_reputations(&self, machines: &[Vec<ReputationRow>]) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        for row in machines.iter().flatten() {
            tx.put_reputation(row).await?;
        }
        let newest = machines.iter().filter_map(|days| days.last());
        let newest: Vec<(NodeId, u32)> = newest.map(|row| (row.node, row.score / 100)).collect();
        let changed: Vec<(NodeId, u32)> = {
            let memory = self.memory();
            let is_new = |(node, score): &&(NodeId, u32)| {
                let live = memory.nodes.get(node);
                live.is_some_and(|live| live.node.reputation != *score)
            };
            newest.iter().filter(is_new).copied().collect()
        };
        for (node, score) in &changed {
            tx.set_node_reputation(*node, *score).await?;
        }
        tx.commit().await?;
        {
            let mut memory = self.memory();
            for (node, score) in &changed {
                if let Some(live) = memory.nodes.get_mut(node) {
                    live.node.reputation = *score;
                }
                memory.refresh_offers(*node);
            }
        }
        for (node, _) in changed {
            self.publish_node(node);
        }
        Ok(())
    }

    /// An own machine's reputation, with all that it is made of.
    ///
    /// # Errors
    /// Not this account's node.
    pub async fn reputation(&self, actor: &Actor, id: NodeId) -> Result<ReputationView, Error> {
        actor.require(Scope::Read)?;
        self.check_own(actor, id)?;
        let since = day_of(self.now()).saturating_sub(DAYS_KEPT);
        let days = self.inner.store.reputation_days(id, since).await?;
        // Until the first hour is over nothing is known of it.
        let standing = days
            .last()
            .map_or_else(Reputation::default, |(_, sums)| Reputation::of(*sums));
        Ok(ReputationView {
            node: id,
            reputation: standing.score(),
            score_hundredths: standing.hundredths(),
            lines: standing.lines(),
            days: days.into_iter().map(|(day, _)| day).collect(),
        })
    }
}

fn row(node: NodeId, day: i64, facts: DayFacts, standing: Reputation) -> ReputationRow {
    ReputationRow {
        node,
        day,
        score: standing.hundredths(),
        facts,
        sums: standing.sums(),
    }
}
