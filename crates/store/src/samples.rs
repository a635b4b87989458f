//! A job's samples, thinned by the database: a month of seconds is never loaded to draw a few hundred points.

use kernel::{JobId, LeaseId};
use sqlx::query;

use crate::db::{Store, StoreError};
use crate::output::SampleRow;
use crate::row::{Columns, count};

/// An empty list of metrics is not written at all, and no other text stands in a sample before it.
const WITH_METRICS: &str = "body LIKE '%\"metrics\":%'";
const WITHOUT_METRICS: &str = "body NOT LIKE '%\"metrics\":%'";

/// How many samples a job has, over its leases.
#[derive(Default)]
struct Extent {
    leases: u64,
    /// The sum of the leases' last numbers.
    span: u64,
    with: u64,
    without: u64,
}

impl Extent {
    /// So many numbers fall into one point that at most `points` remain. Each lease has a point at its end.
    fn width(&self, rows: u64, points: u64) -> u64 {
        if rows <= points {
            return 1;
        }
        let points = points.saturating_sub(self.leases).max(1);
        self.span.div_ceil(points).max(1)
    }
}

impl Store {
    /// At most about `points` of a job's samples in time's order: those with metrics first, the rest where room is left.
    ///
    /// # Errors
    /// The database failed.
    pub async fn samples(&self, job: JobId, points: u64) -> Result<Vec<SampleRow>, StoreError> {
        let extent = self.extent(job).await?;
        let width = extent.width(extent.with, points);
        let mut rows = self.thinned(job, WITH_METRICS, width).await?;
        let chosen = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let room = points.saturating_sub(chosen);
        if room > extent.leases || extent.without <= room {
            let width = extent.width(extent.without, room);
            rows.extend(self.thinned(job, WITHOUT_METRICS, width).await?);
            rows.sort_by_key(|row| (row.at, row.lease, row.sample.seq));
        }
        Ok(rows)
    }

    async fn extent(&self, job: JobId) -> Result<Extent, StoreError> {
        let sql = format!(
            "SELECT MAX(seq) AS last, CAST(SUM(CASE WHEN {WITH_METRICS} THEN 1 ELSE 0 END) AS BIGINT) AS with_metrics, \
             COUNT(*) AS n FROM job_samples WHERE job = $1 GROUP BY lease"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(job.to_string())
            .fetch_all(self.readers())
            .await?;
        let mut extent = Extent::default();
        for row in &rows {
            let with = row.unsigned("with_metrics")?;
            extent.leases = extent.leases.saturating_add(1);
            extent.span = extent.span.saturating_add(row.unsigned("last")?);
            extent.with = extent.with.saturating_add(with);
            let without = row.unsigned("n")?.saturating_sub(with);
            extent.without = extent.without.saturating_add(without);
        }
        Ok(extent)
    }

    /// The last sample of each `width` numbers that fulfils a condition of ours.
    async fn thinned(
        &self,
        job: JobId,
        condition: &'static str,
        width: u64,
    ) -> Result<Vec<SampleRow>, StoreError> {
        let sql = format!(
            "SELECT s.lease, s.at, s.body FROM job_samples s JOIN \
             (SELECT lease, MAX(seq) AS seq FROM job_samples WHERE job = $1 AND {condition} GROUP BY lease, seq / $2) p \
             ON p.lease = s.lease AND p.seq = s.seq ORDER BY s.at, s.lease, s.seq"
        );
        let rows = query(sqlx::AssertSqlSafe(sql))
            .bind(job.to_string())
            .bind(count("width", width)?)
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(SampleRow {
                    job,
                    lease: row.parse::<LeaseId>("lease")?,
                    at: row.time("at")?,
                    sample: row.json("body")?,
                })
            })
            .collect()
    }
}
