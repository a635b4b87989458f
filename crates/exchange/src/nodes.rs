//! The owner's side: join tokens, nodes, prices.

use kernel::{AccountId, Amount, DeviceId, JoinTokenId, NodeId, Timestamp};
use market::reputation::START_HUNDREDTHS;
use market::{Kind, Supply};
use protocol::audit::AuditAction;
use protocol::proof::ProofState;
use protocol::view::{
    EarnCheck, EarnRule, JoinTokenState, JoinTokenView, NodeDeviceView, NodeView, Scope,
};
use store::{Device, JoinToken};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::{Exchange, Memory, NodeLive, secret_hash};
use crate::error::Error;
use crate::proofs::{level, may_be_hired};
use crate::rules::{hours_until, in_hours};
use crate::views::{device_state, earned, per_hour};

/// The one line to copy: fetches the worker, checks it and joins. Either of two programs that a bare system may have.
pub fn join_line(server: &str, token: &str) -> String {
    let script = format!("{server}/install.sh");
    format!("(curl -fsSL {script} || wget -qO- {script}) | sh -s -- --token {token}")
}

impl Exchange {
    /// A one-time invitation for a worker, and the one line to copy.
    ///
    /// # Errors
    /// The key lacks `nodes`.
    pub async fn create_join_token(&self, actor: &Actor) -> Result<JoinTokenView, Error> {
        actor.require(Scope::Nodes)?;
        let now = self.now();
        let token = self.secret("join_");
        let row = JoinToken {
            id: JoinTokenId::new(now, self.random()),
            owner: actor.account,
            expires_at: now.plus(self.inner.settings.join_token_ttl),
            used_by: None,
        };
        let mut tx = self.inner.store.begin().await?;
        tx.insert_join_token(&row, &secret_hash(&token), now)
            .await?;
        let act = Act::by(actor, AuditAction::JoinTokenMade, row.id);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        let command = join_line(&self.inner.settings.public_url, &token);
        Ok(JoinTokenView {
            id: row.id,
            token,
            command,
            expires_at: row.expires_at,
        })
    }

    /// # Errors
    /// Not this account's token.
    pub async fn join_token_state(
        &self,
        actor: &Actor,
        id: JoinTokenId,
    ) -> Result<JoinTokenState, Error> {
        actor.require(Scope::Nodes)?;
        match self.inner.store.join_token(id).await? {
            Some(token) if token.owner == actor.account => Ok(JoinTokenState {
                id,
                expires_at: token.expires_at,
                used_by: token.used_by,
            }),
            _ => Err(Error::NotFound("the join token")),
        }
    }

    /// The account's nodes, oldest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn nodes(&self, actor: &Actor) -> Result<Vec<NodeView>, Error> {
        actor.require(Scope::Read)?;
        self.nodes_of(actor.account).await
    }

    async fn nodes_of(&self, owner: AccountId) -> Result<Vec<NodeView>, Error> {
        let posted = self.inner.store.earned_by_device(owner).await?;
        let mut views: Vec<NodeView> = {
            let memory = self.memory();
            let own = memory
                .nodes
                .values()
                .filter(|live| live.node.owner == owner);
            own.map(|live| self.view(&memory, live)).collect()
        };
        views.sort_by_key(|view| view.id);
        for device in views.iter_mut().flat_map(|view| &mut view.devices) {
            let sum = posted
                .iter()
                .find(|(id, _, _)| *id == device.id)
                .map_or(Amount::ZERO, |(_, _, amount)| *amount);
            device.earned = device.earned.checked_add(sum).unwrap_or(sum);
        }
        Ok(views)
    }

    /// # Errors
    /// Not this account's node.
    pub async fn node(&self, actor: &Actor, id: NodeId) -> Result<NodeView, Error> {
        actor.require(Scope::Read)?;
        self.own_node(actor.account, id).await
    }

    pub(crate) async fn own_node(&self, owner: AccountId, id: NodeId) -> Result<NodeView, Error> {
        let nodes = self.nodes_of(owner).await?;
        nodes
            .into_iter()
            .find(|node| node.id == id)
            .ok_or(Error::NotFound("the node"))
    }

    /// As its watchers see it; what was earned before is not told again here.
    pub(crate) fn node_view(&self, id: NodeId) -> Option<NodeView> {
        let memory = self.memory();
        memory.nodes.get(&id).map(|live| self.view(&memory, live))
    }

    fn view(&self, memory: &Memory, live: &NodeLive) -> NodeView {
        let node = &live.node;
        NodeView {
            id: node.id,
            name: node.name.clone(),
            online: live.link.as_ref().is_some_and(|link| !link.silent),
            draining: live.draining,
            standing: live.standing(),
            maintenance: node.maintenance,
            country: node.country.clone(),
            reputation: node.reputation,
            agent_version: node.agent_version.clone(),
            host: node.host.clone(),
            public_key: node.public_key.clone(),
            joined_at: node.joined_at,
            last_seen: live
                .link
                .as_ref()
                .map(|link| link.last_beat)
                .or(node.last_seen),
            devices: live
                .devices
                .iter()
                .filter(|d| d.present)
                .map(|d| self.device_view(memory, live, d))
                .collect(),
            cpu_percent: live.load.map(|load| load.cpu_percent),
            memory_used_mib: live.load.map(|load| load.memory_used_mib),
        }
    }

    fn device_view(&self, memory: &Memory, live: &NodeLive, device: &Device) -> NodeDeviceView {
        let lease = memory.lease_on_device(device.id);
        let now = self.now();
        let supply = live.supply(device, now);
        NodeDeviceView {
            id: device.id,
            class: device.class,
            model: device.model.clone(),
            memory_mib: device.memory_mib,
            uuid: device.uuid.clone(),
            state: device_state(supply, lease.is_some(), live.node.maintenance.is_some()),
            price: device.price,
            per_hour: per_hour(self.fees(), device.price),
            rules: device.rules.clone(),
            hours_until: hours_until(device, now),
            in_hours: in_hours(device, now),
            job: lease.map(|lease| lease.lease.job),
            earned: lease.map_or(Amount::ZERO, |lease| {
                let open = earned(lease).minus_or_zero(lease.lease.earned);
                lease.lease.share(device.id, open)
            }),
            checks: checks(memory, live, device, now, lease.is_some()),
            verified: level(device, now),
            proof: device.proof.clone(),
        }
    }

    /// Ends a node's enrolment for good. Its worker is sent away at its next connection.
    ///
    /// # Errors
    /// Not this account's node; a conflict while a job runs on it.
    pub async fn remove_node(&self, actor: &Actor, id: NodeId) -> Result<(), Error> {
        actor.require(Scope::Nodes)?;
        let _turn = self.inner.desk.lock().await;
        {
            let memory = self.memory();
            let own = memory
                .nodes
                .get(&id)
                .is_some_and(|live| live.node.owner == actor.account);
            if !own {
                return Err(Error::NotFound("the node"));
            }
            if memory.leases.values().any(|live| live.lease.node == id) {
                return Err(Error::Conflict(
                    "a job runs on this node; pause its devices and wait until it has ended".into(),
                ));
            }
        }
        let mut tx = self.inner.store.begin().await?;
        tx.remove_node(id, self.now()).await?;
        let act = Act::by(actor, AuditAction::NodeRemoved, id);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        let devices = {
            let mut memory = self.memory();
            // Dropping the link closes the worker's queue, and with it the connection.
            let live = memory.nodes.remove(&id);
            memory.look_when_over(id, Timestamp::from_millis(i64::MAX));
            let devices: Vec<DeviceId> = live
                .map(|live| live.devices.iter().map(|d| d.id).collect())
                .unwrap_or_default();
            for device in &devices {
                memory.book.remove(*device);
            }
            memory.left(id);
            devices
        };
        for device in devices {
            self.publish_offer(device);
        }
        Ok(())
    }
}

/// Each rule that a device must pass to earn, with the fix where it does not.
fn checks(
    memory: &Memory,
    live: &NodeLive,
    device: &Device,
    now: Timestamp,
    hired: bool,
) -> Vec<EarnCheck> {
    let supply = live.supply(device, now);
    let check = |rule, pass: bool, fix: &str| EarnCheck {
        rule,
        pass,
        fix: if pass { String::new() } else { fix.to_owned() },
        numbers: Vec::new(),
    };
    let connected = live.link.as_ref().is_some_and(|link| !link.silent) && !live.draining;
    let place = memory.book.of(Kind::OnDemand).place(device.id);
    let (rank, of) = place.unwrap_or_default();
    let reputation = live.node.reputation;
    let problems = live.node.host.isolation_problems.join("; ");
    vec![
        check(
            EarnRule::Connected,
            connected,
            "start the worker on this machine: iog-worker run",
        ),
        check(EarnRule::Isolation, problems.is_empty(), &problems),
        check(
            EarnRule::Proven,
            may_be_hired(device, live.unproven_gpus),
            match device.proof.state {
                ProofState::Claimed if device.proof.reason.is_none() => {
                    "it is challenged within seconds; keep the worker running"
                }
                _ => &device.proof.detail,
            },
        ),
        check(
            EarnRule::NotMaintained,
            live.node.maintenance.is_none(),
            "end the maintenance of this machine",
        ),
        check(
            EarnRule::NotPaused,
            !device.paused,
            "resume the device below",
        ),
        check(
            EarnRule::InHours,
            in_hours(device, now),
            "outside the hours of its schedule; it is offered again when they begin",
        ),
        check(
            EarnRule::Priced,
            !device.price.per_second().is_zero(),
            "a price of zero earns nothing; set one",
        ),
        EarnCheck {
            numbers: if place.is_some() {
                vec![rank, of]
            } else {
                Vec::new()
            },
            ..check(
                EarnRule::Market,
                hired
                    || place
                        .is_some_and(|(rank, of)| rank.saturating_mul(2) <= of.saturating_add(1)),
                if place.is_some() {
                    "most free offers of this model are cheaper; a lower price is hired sooner"
                } else {
                    "pass the rules above first"
                },
            )
        },
        EarnCheck {
            numbers: vec![reputation],
            ..check(
                EarnRule::Reputation,
                reputation >= START_HUNDREDTHS / 100,
                "jobs that ask for a least reputation pass it by; the machine's page says what lowered it",
            )
        },
        check(
            EarnRule::Hired,
            hired,
            if supply == Supply::Offered {
                "waiting for a job; the cheapest fitting offer is hired first"
            } else {
                "pass the rules above first"
            },
        ),
    ]
}
