//! What the memory holds of a node: its devices, its present connection, and how each device is offered.

use std::sync::Arc;

use kernel::Timestamp;
use market::{Country, Hours, Listing, Offer, Supply, Version};
use protocol::spec::DeviceClass;
use protocol::worker::{HostLoad, ToWorker};
use store::{Device, Node};
use tokio::sync::mpsc;

use crate::proofs::{level, may_be_hired};

pub(crate) struct NodeLive {
    pub node: Node,
    pub devices: Vec<Device>,
    pub link: Option<Link>,
    pub draining: bool,
    /// Since when it says so on its present connection, that it drains or that it does not.
    pub draining_since: Timestamp,
    pub load: Option<HostLoad>,
    /// Its GPUs may be hired before they have shown what they are.
    pub unproven_gpus: bool,
}

/// A node's present connection.
pub(crate) struct Link {
    pub connection: u64,
    pub sender: mpsc::Sender<ToWorker>,
    pub since: Timestamp,
    pub last_beat: Timestamp,
    /// Leases stop being renewed for good when the node is silent for their life; so does its offer.
    pub silent: bool,
    /// Up to when its newest heartbeat renewed leases.
    pub renewed_until: Timestamp,
    /// The step at which it is looked at next; as late as can be where none is set.
    pub look: i64,
}

impl NodeLive {
    pub fn supply(&self, device: &Device, now: Timestamp) -> Supply {
        let linked = self.link.as_ref().is_some_and(|link| !link.silent) && !self.draining;
        if !linked || !device.present {
            Supply::Down
        } else if !self.node.host.isolation_problems.is_empty()
            || !may_be_hired(device, self.unproven_gpus)
        {
            Supply::Blocked
        } else if device.paused || self.node.maintenance.is_some() {
            Supply::Paused
        } else if matches!(
            Hours::at(device.rules.schedule.as_ref(), now),
            Hours::Closed { .. }
        ) {
            Supply::Closed
        } else {
            Supply::Offered
        }
    }

    /// How a device stands in the books, were all of its host free.
    pub fn listing(&self, device: &Device, now: Timestamp) -> Listing {
        Listing::of(self.offer(device, now), &device.rules, now)
    }

    fn offer(&self, device: &Device, now: Timestamp) -> Offer {
        let (node, host) = (&self.node, &self.node.host);
        let version =
            |text: &Option<String>| text.as_deref().and_then(Version::parse).unwrap_or_default();
        let same = |other: &&Device| other.present && other.model == device.model;
        Offer {
            device: device.id,
            node: node.id,
            owner: node.owner,
            class: device.class,
            model: device.model.as_str().into(),
            // A CPU's memory is the host's; only cards have their own.
            device_memory_mib: match device.class {
                DeviceClass::Gpu => device.memory_mib,
                DeviceClass::Cpu => 0,
            },
            cards: u32::try_from(self.devices.iter().filter(same).count()).unwrap_or(u32::MAX),
            driver: version(&device.details.driver),
            cuda: version(&device.details.cuda),
            cpus: host.cpus,
            memory_mib: host.memory_mib,
            disk_mib: host.disk_mib,
            up_mbit: host.up_mbit.unwrap_or(0),
            down_mbit: host.down_mbit.unwrap_or(0),
            country: node.country.as_deref().and_then(Country::known),
            group: host.group.as_deref().map(group),
            reputation: node.reputation,
            verified: level(device, now),
            watts: device.details.watts.unwrap_or(0),
            min_duration: device.rules.min_duration,
            max_duration: device.rules.max_duration,
            price: device.price,
            joined_at: node.joined_at,
            supply: self.supply(device, now),
            holder: None,
        }
    }
}

/// A group's name as queries are read: they know no capital letters, and `_` is a blank to them.
fn group(name: &str) -> Arc<str> {
    name.trim().to_lowercase().replace('_', " ").into()
}
