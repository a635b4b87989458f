//! Letting workers in: who they are, what they bring, and what becomes of it when they leave.

use ed25519_dalek::{Signature, VerifyingKey};
use kernel::{DeviceId, LeaseId, NodeId, PricePerSecond};
use protocol::audit::{ActorKind, AuditAction};
use protocol::country;
use protocol::proof::DeviceProof;
use protocol::state::LeaseState;
use protocol::worker::{
    AskChosen, DEVICES_PER_NODE_MAX, DeviceAsk, DeviceFacts, Hello, PROTOCOL_VERSION, Refusal,
    ToWorker, hello_bytes,
};
use store::{Device, Node, TradeRow};
use tokio::sync::mpsc;

use crate::audit::Act;
use crate::billing::fund_message;
use crate::desk::{Exchange, Link, NodeLive, secret_hash};
use crate::error::Error;
use crate::leases::LeaseEnd;
use crate::prices::fair_ask;
use crate::proofs::renamed;
use crate::refunds::{fell, spec_missed};

/// A node that has proven who it is, on one connection.
#[derive(Debug, Clone)]
pub struct NodeSession {
    pub node: NodeId,
    pub connection: u64,
    pub welcome: ToWorker,
}

const TEXT_MAX: usize = 200;
const GROUP_MAX: usize = 64;
const START_REPUTATION: u32 = 60;
/// For a second of a model of which the market knows no price, where its owner named none.
const FIRST_PRICE_BASE: i64 = 2_500;

type Refused = (Refusal, String);

fn refuse<T>(reason: Refusal, message: impl Into<String>) -> Result<T, Refused> {
    Err((reason, message.into()))
}

/// What a hello says must have sane sizes before anything is made of it.
fn check_hello(hello: &Hello) -> Result<(), Refused> {
    let texts = [
        &hello.name,
        &hello.agent_version,
        &hello.host.os,
        &hello.host.kernel,
    ];
    let plain = |text: &str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
    if hello.name.trim().is_empty() || !texts.iter().all(|text| plain(text)) {
        return refuse(
            Refusal::Malformed,
            "name, version and host texts have 1 to 200 characters on one line",
        );
    }
    // One that joined before countries were looked up is let in, as a machine that does not say where it stands.
    let joins = hello.join_token.is_some();
    let wrong = |text: &str| text.len() != 2 || joins && country::known(text).is_none();
    if hello.country.as_deref().is_some_and(wrong) {
        return refuse(
            Refusal::Malformed,
            "the country is two letters of one that there is, such as CH",
        );
    }
    let group = hello.host.group.as_deref().unwrap_or("none");
    if group.trim().is_empty() || group.chars().count() > GROUP_MAX || !plain(group) {
        return refuse(
            Refusal::Malformed,
            "the latency group is a name of 1 to 64 characters on one line",
        );
    }
    if hello.devices.is_empty() || hello.devices.len() > DEVICES_PER_NODE_MAX {
        return refuse(Refusal::Malformed, "a node has 1 to 64 devices");
    }
    let mut uuids: Vec<&str> = hello
        .devices
        .iter()
        .map(|device| device.uuid.as_str())
        .collect();
    uuids.sort_unstable();
    uuids.dedup();
    let named = hello
        .devices
        .iter()
        .all(|d| plain(&d.uuid) && plain(&d.model) && !d.uuid.is_empty() && !d.model.is_empty());
    if uuids.len() != hello.devices.len() || !named {
        return refuse(
            Refusal::Malformed,
            "each device has a UUID of its own and a model",
        );
    }
    let memory_max = 1 << 40;
    if hello.devices.iter().any(|d| d.memory_mib > memory_max)
        || hello.host.memory_mib > memory_max
        || hello.host.disk_mib > memory_max
    {
        return refuse(Refusal::Malformed, "a size is beyond belief");
    }
    if hello.host.isolation_problems.len() > 50
        || hello
            .host
            .isolation_problems
            .iter()
            .any(|p| p.len() > 1_000)
    {
        return refuse(
            Refusal::Malformed,
            "too many or too long isolation problems",
        );
    }
    Ok(())
}

/// Where a worker says that it stands, by the code that the market looks for.
fn country_of(hello: &Hello) -> Option<String> {
    let code = hello.country.as_deref().and_then(country::known);
    code.map(str::to_owned)
}

fn check_signature(hello: &Hello, nonce: &str, origins: &[String]) -> Result<(), Refused> {
    if hello.protocol != PROTOCOL_VERSION {
        return refuse(
            Refusal::Protocol,
            format!(
                "this server speaks version {PROTOCOL_VERSION}, the worker {}; update the older one",
                hello.protocol
            ),
        );
    }
    if !origins.contains(&hello.server) {
        return refuse(
            Refusal::Signature,
            format!(
                "the worker dialled {}, which is not an address of this server; use {}",
                hello.server,
                origins.join(" or ")
            ),
        );
    }
    let bytes = |text: &str, out: &mut [u8]| hex::decode_to_slice(text, out).is_ok();
    let (mut key, mut signature) = ([0; 32], [0; 64]);
    let read = bytes(&hello.public_key, &mut key) && bytes(&hello.signature, &mut signature);
    // One spelling of a key only: it is a unique column.
    let lower = hello.public_key.bytes().all(|b| !b.is_ascii_uppercase());
    let token_hash = secret_hash(hello.join_token.as_deref().unwrap_or(""));
    let signed = hello_bytes(&hello.server, nonce, &hello.public_key, &token_hash);
    let valid = read
        && lower
        && VerifyingKey::from_bytes(&key).is_ok_and(|key| {
            key.verify_strict(&signed, &Signature::from_bytes(&signature))
                .is_ok()
        });
    if valid {
        Ok(())
    } else {
        refuse(
            Refusal::Signature,
            "the signature does not fit the key, the nonce or this server",
        )
    }
}

impl Exchange {
    /// A nonce for one connection.
    pub fn challenge(&self) -> String {
        self.secret("")
    }

    /// Lets a worker in: checks its signature, enrols it with a join token or recognises its key, takes over its
    /// devices, and compares the leases that it claims with ours.
    ///
    /// # Errors
    /// Why not, for the worker and the person who reads its log.
    pub async fn worker_hello(
        &self,
        nonce: &str,
        hello: Hello,
        sender: mpsc::Sender<ToWorker>,
    ) -> Result<NodeSession, Refused> {
        check_signature(&hello, nonce, &self.inner.settings.origins)?;
        check_hello(&hello)?;
        let ours = |error: Error| {
            tracing::error!(%error, "a worker could not be let in");
            (
                Refusal::Limits,
                "something failed on our side; try again".to_owned(),
            )
        };
        let _turn = self.inner.desk.lock().await;
        let known = self
            .inner
            .store
            .node_by_key(&hello.public_key)
            .await
            .map_err(|error| ours(error.into()))?;
        let node = match known {
            Some(node) if node.removed => {
                return refuse(Refusal::Removed, "this node is no longer of its account");
            }
            Some(node) => {
                if let Some(token) = &hello.join_token {
                    self.check_rejoin(token, &node).await?;
                }
                node
            }
            None => self.enrol(&hello).await?,
        };
        self.refuse_duplicate(node.id)?;
        self.welcome(node, &hello, sender).await.map_err(ours)
    }

    /// A known key with a token is a repeated `join` line: fine with a token of the same owner, a mistake otherwise.
    async fn check_rejoin(&self, token: &str, node: &Node) -> Result<(), Refused> {
        let found = async {
            let mut tx = self.inner.store.begin().await?;
            tx.join_token_by_hash(&secret_hash(token)).await
        };
        match found.await {
            Ok(Some(token)) if token.owner == node.owner => Ok(()),
            Ok(_) => refuse(
                Refusal::JoinToken,
                "this worker is enrolled already, and the token is not of its owner",
            ),
            Err(error) => {
                tracing::error!(%error, "a join token could not be read");
                refuse(Refusal::Limits, "something failed on our side; try again")
            }
        }
    }

    async fn enrol(&self, hello: &Hello) -> Result<Node, Refused> {
        let Some(token) = &hello.join_token else {
            return refuse(Refusal::UnknownNode, "this worker is not enrolled here");
        };
        self.try_enrol(hello, token).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a worker could not be enrolled");
            refuse(Refusal::Limits, "something failed on our side; try again")
        })
    }

    async fn try_enrol(&self, hello: &Hello, token: &str) -> Result<Result<Node, Refused>, Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let found = tx.join_token_by_hash(&secret_hash(token)).await?;
        let Some(token) = found.filter(|token| token.used_by.is_none() && token.expires_at > now)
        else {
            return Ok(refuse(
                Refusal::JoinToken,
                "the join token is unknown, used or expired",
            ));
        };
        let node = Node {
            id: NodeId::new(now, self.random()),
            owner: token.owner,
            public_key: hello.public_key.clone(),
            name: hello.name.trim().to_owned(),
            country: country_of(hello),
            reputation: START_REPUTATION,
            agent_version: hello.agent_version.clone(),
            host: hello.host.clone(),
            joined_at: now,
            last_seen: None,
            removed: false,
            maintenance: None,
        };
        tx.insert_node(&node).await?;
        if !tx.use_join_token(token.id, node.id).await? {
            return Ok(refuse(
                Refusal::JoinToken,
                "the join token was used meanwhile",
            ));
        }
        let owner = Some(node.owner);
        let act = Act::by_other(
            ActorKind::Node,
            node.id,
            AuditAction::NodeJoined,
            node.id,
            owner,
        )
        .with("join_token", token.id)
        .with("name", &node.name);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        tracing::info!(node = %node.id, owner = %node.owner, "a node was enrolled");
        Ok(Ok(node))
    }

    /// A second agent with the same key is refused while the first is alive; a connection that went silent gives way.
    fn refuse_duplicate(&self, node: NodeId) -> Result<(), Refused> {
        let now = self.now();
        let alive_ms =
            i64::try_from(self.inner.settings.heartbeat_ms.saturating_mul(3)).unwrap_or(i64::MAX);
        let memory = self.memory();
        let link = memory.nodes.get(&node).and_then(|live| live.link.as_ref());
        match link {
            Some(link)
                if !link.sender.is_closed() && now.millis_since(link.last_beat) < alive_ms =>
            {
                refuse(
                    Refusal::Duplicate,
                    "a worker with this identity is connected already; two agents must not share a state folder",
                )
            }
            _ => Ok(()),
        }
    }

    fn knows_all(&self, node: NodeId, devices: &[DeviceFacts]) -> bool {
        let memory = self.memory();
        let live = memory.nodes.get(&node);
        let known = |facts: &DeviceFacts| {
            live.is_some_and(|live| live.devices.iter().any(|device| device.uuid == facts.uuid))
        };
        devices.iter().all(known)
    }

    /// What each device of a hello is offered for. A price that stands stays, whatever the hello says.
    fn asks(
        &self,
        hello: &Hello,
        known: &[Device],
        trades: &[TradeRow],
    ) -> Result<Vec<DeviceAsk>, Error> {
        let first = PricePerSecond::from_amount(kernel::Amount::try_from_base(FIRST_PRICE_BASE)?);
        let memory = self.memory();
        let ask = |facts: &DeviceFacts| {
            let model = facts.model.trim();
            let before = known.iter().find(|known| known.uuid == facts.uuid);
            let named = hello.price.filter(|price| !price.per_second().is_zero());
            let owners = before.map(|known| known.price).or(named);
            let (price, chosen) = match owners {
                Some(price) => (price, AskChosen::ByOwner),
                None => match fair_ask(&memory, facts.class, model, trades) {
                    // A newcomer is offered for no less by what somebody asks: who asks next to nothing would hire it for that.
                    Some(fair) => (fair.max(first), AskChosen::ByMarket),
                    None => (first, AskChosen::ByPlatform),
                },
            };
            DeviceAsk {
                model: model.to_owned(),
                price,
                chosen,
            }
        };
        Ok(hello.devices.iter().map(ask).collect())
    }

    async fn welcome(
        &self,
        mut node: Node,
        hello: &Hello,
        sender: mpsc::Sender<ToWorker>,
    ) -> Result<NodeSession, Error> {
        let now = self.now();
        node.name = hello.name.trim().to_owned();
        node.country = country_of(hello);
        node.agent_version.clone_from(&hello.agent_version);
        node.host = hello.host.clone();
        node.last_seen = Some(now);
        // All trades of a day are much to read, and only a new device's price follows from them.
        let trades = if hello.price.is_some() || self.knows_all(node.id, &hello.devices) {
            Vec::new()
        } else {
            self.recent_trades().await?
        };
        let mut tx = self.inner.store.begin().await?;
        tx.update_node(&node).await?;
        let known = tx.devices_of(node.id).await?;
        tx.devices_absent(node.id).await?;
        let asks = self.asks(hello, &known, &trades)?;
        for (facts, ask) in std::iter::zip(&hello.devices, &asks) {
            let mut device = Device {
                id: DeviceId::new(now, self.random()),
                node: node.id,
                uuid: facts.uuid.clone(),
                class: facts.class,
                model: ask.model.clone(),
                memory_mib: facts.memory_mib,
                details: facts.details.clone(),
                rules: protocol::view::DeviceRules::default(),
                price: ask.price,
                paused: false,
                present: true,
                proof: DeviceProof::default(),
            };
            let before = known.iter().find(|known| known.uuid == device.uuid);
            device.proof = renamed(before, &device, now);
            tx.put_device(&device).await?;
        }
        let mut devices = tx.devices_of(node.id).await?;
        let claims = Self::claims(&mut tx, &mut devices).await?;
        tx.commit().await?;
        let settings = &self.inner.settings;
        let welcome = ToWorker::Welcome {
            node: node.id,
            node_name: node.name.clone(),
            heartbeat_ms: settings.heartbeat_ms,
            lease_ttl_ms: settings.lease_ttl_ms,
            server_down_grace_ms: settings.server_down_grace_ms,
            platform_key: self.platform_key(),
            telemetry: true,
            asks,
        };
        let id = node.id;
        let (connection, forgotten) = {
            let mut memory = self.memory();
            memory.connections = memory.connections.saturating_add(1);
            let connection = memory.connections;
            let link = Link {
                connection,
                sender,
                since: now,
                last_beat: now,
                silent: false,
                renewed_until: now.plus_millis(settings.lease_life_ms()),
                look: i64::MAX,
            };
            for claim in &hello.leases {
                let ours = memory.leases.get(&claim.lease);
                let (lease, epoch) = (claim.lease, claim.epoch);
                if !ours.is_some_and(|live| live.lease.node == id && live.lease.epoch == epoch) {
                    // The queue is new and larger than what a hello can claim.
                    let _ = link
                        .sender
                        .try_send(ToWorker::LeaseRefused { lease, epoch });
                }
            }
            let claimed = |lease: LeaseId| hello.leases.iter().any(|claim| claim.lease == lease);
            let of_node = memory.of_node.get(&id).cloned().unwrap_or_default();
            let mut forgotten = Vec::new();
            for lease in of_node {
                let Some(live) = memory.leases.get_mut(&lease) else {
                    continue;
                };
                let proof = |id| {
                    let own = devices.iter().find(|device| device.id == id);
                    own.map(|device| &device.proof)
                };
                let missed = spec_missed(&live.lease, &devices);
                if let Some(why) = missed.or_else(|| fell(&live.lease, proof)) {
                    forgotten.push((live.lease.id, LeaseEnd::SpecMissed(why)));
                } else if claimed(live.lease.id) {
                    live.expires = now.plus_millis(settings.lease_life_ms());
                    // The message that told it of more may have been lost with its last connection.
                    _ = link.sender.try_send(fund_message(&live.lease));
                } else {
                    let unheard = live.lease.state == LeaseState::Granted
                        && live.lease.granted_at < self.inner.opened_at;
                    let end = if unheard {
                        LeaseEnd::Unheard
                    } else {
                        LeaseEnd::Lost
                    };
                    forgotten.push((live.lease.id, end));
                }
            }
            memory.nodes.insert(
                id,
                NodeLive {
                    node,
                    devices,
                    link: Some(link),
                    draining: false,
                    draining_since: now,
                    load: None,
                    unproven_gpus: settings.unproven_gpus,
                },
            );
            memory.claimed(&claims);
            memory.ask_soon(id);
            let renewed_until = now.plus_millis(settings.lease_life_ms());
            memory.look_at_node(id, renewed_until);
            memory.look_when_over(id, renewed_until);
            memory.refresh_offers(id);
            (connection, forgotten)
        };
        // A worker that came back without a lease, or with another machine, has lost its work; no need to wait for the lease to run out.
        for (lease, end) in forgotten {
            self.end_lease(lease, end, None).await?;
        }
        tracing::info!(node = %id, connection, "a worker connected");
        self.publish_node(id);
        for claim in &claims {
            self.publish_node(claim.node);
        }
        Ok(NodeSession {
            node: id,
            connection,
            welcome,
        })
    }

    /// The connection is over; the node's offers are down until it returns. Its leases run until they expire.
    pub async fn worker_gone(&self, session: &NodeSession) {
        let now = self.now();
        let gone = {
            let mut memory = self.memory();
            let Some(live) = memory.nodes.get_mut(&session.node) else {
                return;
            };
            // None: we dropped it ourselves.
            let current = live
                .link
                .as_ref()
                .is_none_or(|link| link.connection == session.connection);
            if current {
                live.node.last_seen = Some(now);
                memory.unlink(session.node);
            }
            current
        };
        if !gone {
            return;
        }
        self.line_gone(session.node);
        tracing::info!(node = %session.node, connection = session.connection, "a worker disconnected");
        let written = async {
            let mut tx = self.inner.store.begin().await?;
            tx.node_seen(session.node, now).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::error!(node = %session.node, %error, "the time a node was last seen could not be written");
        }
        self.publish_node(session.node);
    }
}
