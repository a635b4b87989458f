//! What devices have shown: their state, and each challenge that is over.

use kernel::{DeviceId, NodeId, Timestamp};
use protocol::proof::{ChallengeView, DeviceProof, Outcome, ProofReason};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, json};

fn challenge(row: &AnyRow) -> Result<ChallengeView, StoreError> {
    Ok(ChallengeView {
        id: row.parse("id")?,
        device: row.parse("device")?,
        started_at: row.time("started_at")?,
        ended_at: row.time("ended_at")?,
        outcome: row.word("outcome", Outcome::parse)?,
        reason: row
            .text_opt("reason")?
            .map(|text| {
                ProofReason::parse(&text).ok_or_else(|| StoreError::corrupt("reason", text))
            })
            .transpose()?,
        detail: row.text("detail")?,
        record: row.json("record")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_proof(
        &mut self,
        node: NodeId,
        over: &ChallengeView,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO challenges (id, node, device, record, started_at, ended_at, outcome, reason, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(over.id.to_string())
        .bind(node.to_string())
        .bind(over.device.to_string())
        .bind(json("record", &over.record)?)
        .bind(over.started_at.millis())
        .bind(over.ended_at.millis())
        .bind(over.outcome.as_str())
        .bind(over.reason.map(ProofReason::as_str))
        .bind(&over.detail)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn set_proof(
        &mut self,
        device: DeviceId,
        proof: &DeviceProof,
    ) -> Result<(), StoreError> {
        query("UPDATE devices SET proof = $1 WHERE id = $2")
            .bind(json("proof", proof)?)
            .bind(device.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn prune_challenges(&mut self, before: Timestamp) -> Result<(), StoreError> {
        query("DELETE FROM challenges WHERE ended_at < $1")
            .bind(before.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// The newest challenges of a node, the newest first: at most so many, none that ended before a moment.
    ///
    /// # Errors
    /// The database failed.
    pub async fn challenges_of_node(
        &self,
        node: NodeId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<ChallengeView>, StoreError> {
        let rows = query(
            "SELECT * FROM challenges WHERE node = $1 AND ended_at >= $2 ORDER BY ended_at DESC, id DESC LIMIT $3",
        )
        .bind(node.to_string())
        .bind(since.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(challenge).collect()
    }
}
