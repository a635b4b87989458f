//! Join tokens, nodes, devices.

use std::fmt::Display;
use std::str::FromStr;

use futures::TryStreamExt;
use kernel::{AccountId, Amount, DeviceId, JoinTokenId, NodeId, PricePerSecond, Timestamp};
use protocol::fleet::Maintenance;
use protocol::proof::DeviceProof;
use protocol::spec::DeviceClass;
use protocol::view::DeviceRules;
use protocol::worker::{DeviceDetails, HostFacts};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count, json};

#[derive(Debug, Clone)]
pub struct JoinToken {
    pub id: JoinTokenId,
    pub owner: AccountId,
    pub expires_at: Timestamp,
    pub used_by: Option<NodeId>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub id: NodeId,
    pub owner: AccountId,
    pub public_key: String,
    pub name: String,
    pub country: Option<String>,
    pub reputation: u32,
    pub agent_version: String,
    pub host: HostFacts,
    pub joined_at: Timestamp,
    pub last_seen: Option<Timestamp>,
    pub removed: bool,
    /// Its owner keeps it from new work.
    pub maintenance: Option<Maintenance>,
}

/// A time of nought stands for none.
fn maintenance(stops_at: i64) -> Maintenance {
    Maintenance {
        stops_at: (stops_at > 0).then(|| Timestamp::from_millis(stops_at)),
    }
}

#[derive(Debug, Clone)]
pub struct Device {
    pub id: DeviceId,
    pub node: NodeId,
    pub uuid: String,
    pub class: DeviceClass,
    pub model: String,
    pub memory_mib: u64,
    pub details: DeviceDetails,
    pub price: PricePerSecond,
    pub rules: DeviceRules,
    pub paused: bool,
    /// Reported by its node when that last connected.
    pub present: bool,
    pub proof: DeviceProof,
}

fn join_token(row: &AnyRow) -> Result<JoinToken, StoreError> {
    Ok(JoinToken {
        id: row.parse("id")?,
        owner: row.parse("owner")?,
        expires_at: row.time("expires_at")?,
        used_by: row.parse_opt("used_by")?,
    })
}

fn node(row: &AnyRow) -> Result<Node, StoreError> {
    Ok(Node {
        id: row.parse("id")?,
        owner: row.parse("owner")?,
        public_key: row.text("public_key")?,
        name: row.text("name")?,
        country: row.text_opt("country")?,
        reputation: row.small("reputation")?,
        agent_version: row.text("agent_version")?,
        host: row.json("host")?,
        joined_at: row.time("joined_at")?,
        last_seen: row.time_opt("last_seen")?,
        removed: row.int_opt("removed_at")?.is_some(),
        maintenance: row.int_opt("maintenance")?.map(maintenance),
    })
}

fn device(row: &AnyRow) -> Result<Device, StoreError> {
    Ok(Device {
        id: row.parse("id")?,
        node: row.parse("node")?,
        uuid: row.text("uuid")?,
        class: row.word("class", DeviceClass::parse)?,
        model: row.text("model")?,
        memory_mib: row.unsigned("memory_mib")?,
        details: row.json("details")?,
        rules: row.json("rules")?,
        price: row.price("price")?,
        paused: row.flag("paused")?,
        present: row.flag("present")?,
        proof: row.json("proof")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_join_token(
        &mut self,
        token: &JoinToken,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query("INSERT INTO join_tokens (id, owner, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(token.id.to_string())
            .bind(token.owner.to_string())
            .bind(token_hash)
            .bind(now.millis())
            .bind(token.expires_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn join_token_by_hash(
        &mut self,
        token_hash: &str,
    ) -> Result<Option<JoinToken>, StoreError> {
        let row = query("SELECT * FROM join_tokens WHERE token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(join_token).transpose()
    }

    /// `false`: used meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn use_join_token(
        &mut self,
        token: JoinTokenId,
        node: NodeId,
    ) -> Result<bool, StoreError> {
        let done = query("UPDATE join_tokens SET used_by = $1 WHERE id = $2 AND used_by IS NULL")
            .bind(node.to_string())
            .bind(token.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// # Errors
    /// The database failed.
    pub async fn insert_node(&mut self, node: &Node) -> Result<(), StoreError> {
        query(
            "INSERT INTO nodes (id, owner, public_key, name, country, reputation, agent_version, host, joined_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(node.id.to_string())
        .bind(node.owner.to_string())
        .bind(&node.public_key)
        .bind(&node.name)
        .bind(node.country.clone())
        .bind(i64::from(node.reputation))
        .bind(&node.agent_version)
        .bind(json("host", &node.host)?)
        .bind(node.joined_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What a node says of itself when it connects.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_node(&mut self, node: &Node) -> Result<(), StoreError> {
        query(
            "UPDATE nodes SET name = $1, country = $2, agent_version = $3, host = $4, last_seen = $5 WHERE id = $6",
        )
        .bind(&node.name)
        .bind(node.country.clone())
        .bind(&node.agent_version)
        .bind(json("host", &node.host)?)
        .bind(node.last_seen.map(Timestamp::millis))
        .bind(node.id.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn node_seen(&mut self, node: NodeId, at: Timestamp) -> Result<(), StoreError> {
        query("UPDATE nodes SET last_seen = $1 WHERE id = $2")
            .bind(at.millis())
            .bind(node.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn set_maintenance(
        &mut self,
        node: NodeId,
        maintenance: Option<Maintenance>,
    ) -> Result<(), StoreError> {
        let stops_at = maintenance.map(|own| own.stops_at.map_or(0, Timestamp::millis));
        query("UPDATE nodes SET maintenance = $1 WHERE id = $2")
            .bind(stops_at)
            .bind(node.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn remove_node(&mut self, node: NodeId, now: Timestamp) -> Result<(), StoreError> {
        query("UPDATE nodes SET removed_at = $1 WHERE id = $2 AND removed_at IS NULL")
            .bind(now.millis())
            .bind(node.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Adds a device or updates what its node reports of it; price, rules and pause are the owner's and stay.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_device(&mut self, device: &Device) -> Result<(), StoreError> {
        query(
            "INSERT INTO devices (id, node, uuid, class, model, memory_mib, price, paused, present, details, rules, proof) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (node, uuid) DO UPDATE SET class = excluded.class, model = excluded.model, \
             memory_mib = excluded.memory_mib, present = excluded.present, details = excluded.details, proof = excluded.proof",
        )
        .bind(device.id.to_string())
        .bind(device.node.to_string())
        .bind(&device.uuid)
        .bind(device.class.as_str())
        .bind(&device.model)
        .bind(count("memory_mib", device.memory_mib)?)
        .bind(device.price.per_second().base())
        .bind(i64::from(device.paused))
        .bind(i64::from(device.present))
        .bind(json("details", &device.details)?)
        .bind(json("rules", &device.rules)?)
        .bind(json("proof", &device.proof)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The devices of other nodes that bear a UUID now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claims_of(&mut self, uuid: &str, but: NodeId) -> Result<Vec<Device>, StoreError> {
        let rows = query(
            "SELECT d.* FROM devices d JOIN nodes n ON n.id = d.node \
             WHERE d.uuid = $1 AND d.node <> $2 AND d.present = 1 AND n.removed_at IS NULL ORDER BY d.id",
        )
        .bind(uuid)
        .bind(but.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(device).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn devices_absent(&mut self, node: NodeId) -> Result<(), StoreError> {
        query("UPDATE devices SET present = 0 WHERE node = $1")
            .bind(node.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn devices_of(&mut self, node: NodeId) -> Result<Vec<Device>, StoreError> {
        let rows = query("SELECT * FROM devices WHERE node = $1 ORDER BY id")
            .bind(node.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(device).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn set_device(&mut self, device: &Device) -> Result<(), StoreError> {
        query("UPDATE devices SET price = $1, paused = $2, rules = $3 WHERE id = $4")
            .bind(device.price.per_second().base())
            .bind(i64::from(device.paused))
            .bind(json("rules", &device.rules)?)
            .bind(device.id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// The UUIDs that devices of more than one node bear.
    ///
    /// # Errors
    /// The database failed.
    pub async fn shared_uuids(&self) -> Result<Vec<(String, NodeId, DeviceId)>, StoreError> {
        let rows = query(
            "SELECT uuid, node, id FROM devices WHERE present = 1 AND uuid IN \
             (SELECT uuid FROM devices WHERE present = 1 GROUP BY uuid HAVING COUNT(*) > 1)",
        )
        .fetch_all(self.readers())
        .await?;
        let one = |row: &AnyRow| Ok((row.text("uuid")?, row.parse("node")?, row.parse("id")?));
        rows.iter().map(one).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn join_token(&self, id: JoinTokenId) -> Result<Option<JoinToken>, StoreError> {
        let row = query("SELECT * FROM join_tokens WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(join_token).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn node_by_key(&self, public_key: &str) -> Result<Option<Node>, StoreError> {
        let row = query("SELECT * FROM nodes WHERE public_key = $1")
            .bind(public_key)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(node).transpose()
    }

    /// The public key of a node, also of a removed one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn node_key(&self, id: NodeId) -> Result<Option<String>, StoreError> {
        let row = query("SELECT public_key FROM nodes WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(|row| row.text("public_key")).transpose()
    }

    /// All nodes that were not removed, in no order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.packed(ALL_NODES, packed_node).await
    }

    /// All devices that their nodes reported when they last connected, in no order; those of removed nodes too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_devices(&self) -> Result<Vec<Device>, StoreError> {
        self.packed(ALL_DEVICES, packed_device).await
    }

    /// Rows that come as one text each: see [`SEPARATOR`].
    async fn packed<T>(
        &self,
        sql: &'static str,
        read: fn(&mut Packed<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = query(sql).bind(SEPARATOR.to_string()).fetch(self.readers());
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let text: &str = row.try_get(0)?;
            let mut packed = Packed(text.split(SEPARATOR));
            all.push(read(&mut packed)?);
            if packed.0.next().is_some() {
                return Err(StoreError::corrupt("row", "a text holds a separator"));
            }
        }
        Ok(all)
    }
}

/// Between the columns of a row that is read as one text. A start reads a million rows, and what a row costs is by its
/// columns; texts of people hold no control characters (admission refuses them, and JSON escapes them).
const SEPARATOR: char = '\u{1f}';

const ALL_NODES: &str = "SELECT n.id || x.s || n.owner || x.s || n.public_key || x.s || n.name || x.s || COALESCE(n.country, '') || x.s || \
    CAST(n.reputation AS TEXT) || x.s || n.agent_version || x.s || n.host || x.s || CAST(n.joined_at AS TEXT) || x.s || \
    COALESCE(CAST(n.last_seen AS TEXT), '') || x.s || COALESCE(CAST(n.maintenance AS TEXT), '') \
    FROM nodes n CROSS JOIN (SELECT CAST($1 AS TEXT) AS s) x WHERE n.removed_at IS NULL";

const ALL_DEVICES: &str = "SELECT d.id || x.s || d.node || x.s || d.uuid || x.s || d.class || x.s || d.model || x.s || \
    CAST(d.memory_mib AS TEXT) || x.s || d.details || x.s || d.rules || x.s || CAST(d.price AS TEXT) || x.s || \
    CAST(d.paused AS TEXT) || x.s || d.proof \
    FROM devices d CROSS JOIN (SELECT CAST($1 AS TEXT) AS s) x WHERE d.present = 1";

/// The columns of one row, in their order.
struct Packed<'a>(std::str::Split<'a, char>);

impl<'a> Packed<'a> {
    fn text(&mut self, column: &'static str) -> Result<&'a str, StoreError> {
        self.0
            .next()
            .ok_or_else(|| StoreError::corrupt(column, "is missing"))
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?
            .parse()
            .map_err(|error| StoreError::corrupt(column, error))
    }

    /// What is empty was NULL.
    fn optional(&mut self, column: &'static str) -> Result<Option<&'a str>, StoreError> {
        Ok(Some(self.text(column)?).filter(|text| !text.is_empty()))
    }

    /// Most devices have none of what such a column may hold.
    fn json<T: DeserializeOwned + Default>(
        &mut self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        match self.text(column)? {
            "{}" => Ok(T::default()),
            text => serde_json::from_str(text).map_err(|error| StoreError::corrupt(column, error)),
        }
    }
}

fn packed_node(row: &mut Packed<'_>) -> Result<Node, StoreError> {
    Ok(Node {
        id: row.parse("id")?,
        owner: row.parse("owner")?,
        public_key: row.text("public_key")?.to_owned(),
        name: row.text("name")?.to_owned(),
        country: row.optional("country")?.map(str::to_owned),
        reputation: row.parse("reputation")?,
        agent_version: row.text("agent_version")?.to_owned(),
        host: serde_json::from_str(row.text("host")?)
            .map_err(|error| StoreError::corrupt("host", error))?,
        joined_at: Timestamp::from_millis(row.parse("joined_at")?),
        last_seen: row
            .optional("last_seen")?
            .map(str::parse)
            .transpose()
            .map_err(|error| StoreError::corrupt("last_seen", error))?
            .map(Timestamp::from_millis),
        removed: false,
        maintenance: row
            .optional("maintenance")?
            .map(str::parse)
            .transpose()
            .map_err(|error| StoreError::corrupt("maintenance", error))?
            .map(maintenance),
    })
}

fn packed_device(row: &mut Packed<'_>) -> Result<Device, StoreError> {
    Ok(Device {
        id: row.parse("id")?,
        node: row.parse("node")?,
        uuid: row.text("uuid")?.to_owned(),
        class: DeviceClass::parse(row.text("class")?)
            .ok_or_else(|| StoreError::corrupt("class", "is unknown"))?,
        model: row.text("model")?.to_owned(),
        memory_mib: row.parse("memory_mib")?,
        details: row.json("details")?,
        rules: row.json("rules")?,
        price: Amount::try_from_base(row.parse("price")?)
            .map(PricePerSecond::from_amount)
            .map_err(|error| StoreError::corrupt("price", error))?,
        paused: row.text("paused")? != "0",
        present: true,
        proof: row.json("proof")?,
    })
}
