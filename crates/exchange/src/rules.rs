//! What owners set: prices of each kind of rent, prices that follow the index, hours.

use std::collections::BTreeMap;

use kernel::{AccountId, Amount, DeviceId, NodeId, PricePerSecond, Timestamp};
use market::fair::{Ask, Trade, fair};
use market::{HOURS_STEP, Hours, Supply};
use protocol::spec::DeviceClass;
use protocol::view::{NodeView, RulesChange, Scope};
use store::{Device, TradeRow};

use crate::actor::Actor;
use crate::desk::{Exchange, Memory};
use crate::error::Error;

/// What an owner changes about a device; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct DeviceChange {
    pub price: Option<PricePerSecond>,
    pub paused: Option<bool>,
    pub rules: RulesChange,
}

impl Exchange {
    pub(crate) fn own_device(&self, actor: &Actor, id: DeviceId) -> Result<Device, Error> {
        actor.require(Scope::Nodes)?;
        let memory = self.memory();
        memory
            .device(id)
            .filter(|(node, _)| node.node.owner == actor.account)
            .map(|(_, device)| device.clone())
            .ok_or(Error::NotFound("the device"))
    }

    /// Sets prices, pause and rules of a device, all of them or none; running leases keep what they have.
    ///
    /// # Errors
    /// Not this account's device; prices or rules that cannot be followed are named.
    pub async fn change_device(
        &self,
        actor: &Actor,
        id: DeviceId,
        change: DeviceChange,
    ) -> Result<NodeView, Error> {
        // What is read here is written back whole: a change of another field must not come in between.
        let _turn = self.inner.desk.lock().await;
        let mut device = self.own_device(actor, id)?;
        let ruled = !change.rules.is_empty();
        device.price = change.price.unwrap_or(device.price);
        device.paused = change.paused.unwrap_or(device.paused);
        device.rules = change
            .rules
            .applied(device.rules)
            .map_err(|problem| Error::Invalid(vec![problem]))?;
        if ruled || change.price.is_some() {
            let problems = device.rules.problems(device.price);
            if !problems.is_empty() {
                return Err(Error::Invalid(problems));
            }
        }
        if let Some(auto) = device.rules.auto {
            device.price = device.price.clamp(auto.floor, auto.ceiling);
        }
        self.write_devices(std::slice::from_ref(&device)).await?;
        self.own_node(actor.account, device.node).await
    }

    /// The price for the next hire; a running one keeps its own.
    ///
    /// # Errors
    /// Not this account's device.
    pub async fn set_price(
        &self,
        actor: &Actor,
        device: DeviceId,
        price: PricePerSecond,
    ) -> Result<NodeView, Error> {
        let change = DeviceChange {
            price: Some(price),
            ..DeviceChange::default()
        };
        self.change_device(actor, device, change).await
    }

    /// Takes a device out of the market, or puts it back. A running job goes on.
    ///
    /// # Errors
    /// Not this account's device.
    pub async fn set_paused(
        &self,
        actor: &Actor,
        device: DeviceId,
        paused: bool,
    ) -> Result<NodeView, Error> {
        let change = DeviceChange {
            paused: Some(paused),
            ..DeviceChange::default()
        };
        self.change_device(actor, device, change).await
    }

    /// Writes what owners set, and tells the market. The caller holds the desk.
    pub(crate) async fn write_devices(&self, devices: &[Device]) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        for device in devices {
            tx.set_device(device).await?;
        }
        tx.commit().await?;
        let mut nodes: Vec<NodeId> = devices.iter().map(|device| device.node).collect();
        nodes.dedup();
        {
            let mut memory = self.memory();
            for device in devices {
                let live = memory.nodes.get_mut(&device.node);
                let kept = live.and_then(|live| {
                    let mut own = live.devices.iter_mut();
                    own.find(|kept| kept.id == device.id)
                });
                if let Some(kept) = kept {
                    (kept.price, kept.paused) = (device.price, device.paused);
                    kept.rules.clone_from(&device.rules);
                }
            }
            for node in &nodes {
                memory.refresh_offers(*node);
            }
        }
        for node in nodes {
            self.publish_node(node);
        }
        Ok(())
    }

    /// Moves the prices that follow the index, after it was noted. What they follow is made by the owners who set their
    /// prices themselves: prices that followed one another would run away. Where all follow, they stay.
    pub(crate) async fn follow_index(&self, trades: &[TradeRow]) -> Result<(), Error> {
        let _turn = self.inner.desk.lock().await;
        let moved = followers(&self.memory(), trades);
        if moved.is_empty() {
            return Ok(());
        }
        tracing::info!(devices = moved.len(), "prices follow the index");
        self.write_devices(&moved).await
    }

    /// As time passes, windows of schedules open and close, and what is left of them shrinks.
    pub(crate) fn refresh_hours(&self) {
        let now = self.now();
        let nodes: Vec<NodeId> = {
            let mut memory = self.memory();
            memory.now = now;
            if now.seconds_since(memory.hours_at) < HOURS_STEP {
                return;
            }
            memory.hours_at = now;
            let scheduled = memory.nodes.values().filter(|live| {
                let mut devices = live.devices.iter();
                devices.any(|device| device.present && device.rules.schedule.is_some())
            });
            let scheduled: Vec<NodeId> = scheduled.map(|live| live.node.id).collect();
            let mut changed = Vec::new();
            for node in scheduled {
                let before = supplies(&memory, node);
                memory.refresh_offers(node);
                if supplies(&memory, node) != before {
                    changed.push(node);
                }
            }
            changed
        };
        for node in nodes {
            self.publish_node(node);
        }
    }
}

fn supplies(memory: &Memory, node: NodeId) -> Vec<Option<Supply>> {
    let devices = memory.nodes.get(&node).map(|live| &live.devices);
    let devices = devices.into_iter().flatten();
    devices
        .map(|device| memory.book.get(device.id).map(|offer| offer.supply))
        .collect()
}

/// Within the hours of a device: until when. Outside of them: when they begin.
pub(crate) fn hours_until(device: &Device, now: Timestamp) -> Option<Timestamp> {
    match Hours::at(device.rules.schedule.as_ref(), now) {
        Hours::Always => None,
        Hours::Open { until } | Hours::Closed { until } => Some(until),
    }
}

/// Whether a device is within its hours, whatever else keeps it from the market.
pub(crate) fn in_hours(device: &Device, now: Timestamp) -> bool {
    !matches!(
        Hours::at(device.rules.schedule.as_ref(), now),
        Hours::Closed { .. }
    )
}

/// The devices whose price follows the index to another place, with that price.
fn followers(memory: &Memory, trades: &[TradeRow]) -> Vec<Device> {
    let mut by_model: BTreeMap<(DeviceClass, &str), Vec<&Device>> = BTreeMap::new();
    for device in memory.nodes.values().flat_map(|live| &live.devices) {
        if device.present && device.rules.auto.is_some() {
            let own = by_model.entry((device.class, &device.model)).or_default();
            own.push(device);
        }
    }
    let mut moved = Vec::new();
    for ((class, model), devices) in by_model {
        let Some(index) = set_by_owners(memory, class, model, &devices, trades) else {
            continue;
        };
        let followed = devices.into_iter().filter_map(|device| {
            let price = followed(index, device)?;
            (price != device.price).then(|| Device {
                price,
                ..device.clone()
            })
        });
        moved.extend(followed);
    }
    moved.sort_by_key(|device| (device.node, device.id));
    moved
}

/// The index of a model without the owners that follow it.
fn set_by_owners(
    memory: &Memory,
    class: DeviceClass,
    model: &str,
    followers: &[&Device],
    trades: &[TradeRow],
) -> Option<PricePerSecond> {
    let owner = |device: &&Device| memory.nodes.get(&device.node).map(|live| live.node.owner);
    let mut following: Vec<_> = followers.iter().filter_map(owner).collect();
    following.sort_unstable();
    let sets = |owner: &AccountId| following.binary_search(owner).is_err();
    let offers = memory.book.of_model(model).into_iter().filter(|offer| {
        offer.class == class && offer.supply == Supply::Offered && sets(&offer.owner)
    });
    let asks = offers.map(|offer| Ask {
        owner: offer.owner,
        price: offer.price,
    });
    let own = trades
        .iter()
        .filter(|row| row.class == class && row.model == model && sets(&row.owner));
    let trades = own.map(|row| Trade {
        owner: row.owner,
        requester: row.requester,
        price: row.price,
        at: row.at,
    });
    fair(asks, trades).map(|index| index.price)
}

/// Rounded down to whole base units a second, within the owner's bounds.
fn followed(index: PricePerSecond, device: &Device) -> Option<PricePerSecond> {
    let auto = device.rules.auto?;
    let base = index.per_second().base();
    let share = base.saturating_mul(i64::from(auto.percent)) / 100;
    let price = Amount::try_from_base(share).map_or(auto.ceiling, PricePerSecond::from_amount);
    Some(price.clamp(auto.floor, auto.ceiling))
}
