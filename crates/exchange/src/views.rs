//! From models to what people see.

use std::collections::BTreeMap;

use kernel::{Amount, PricePerSecond, Seconds};
use market::Offer;
use metering::Fees;
use protocol::proof::ProofState;
use protocol::spec::DeviceClass;
use protocol::state::{DeviceState, JobState, LeaseState};
use protocol::view::{JobSummary, Kind, LeaseView, Meter, OfferView};
use store::{Job, LeaseRow};

use crate::desk::{Exchange, LeaseLive, Memory, NodeLive};
use crate::limits::Means;

/// What a lease has cost so far, posted or not.
pub(crate) fn spent(live: &LeaseLive) -> Amount {
    let lease = &live.lease;
    lease
        .fees
        .charge(lease.price, live.seconds())
        .map_or(lease.charged, |charge| charge.requester_pays)
        .max(lease.charged)
}

/// What a lease has earned its owner so far, posted or not.
pub(crate) fn earned(live: &LeaseLive) -> Amount {
    let lease = &live.lease;
    lease
        .fees
        .charge(lease.price, live.seconds())
        .map_or(lease.earned, |charge| charge.owner_gets)
        .max(lease.earned)
}

pub(crate) fn device_state(supply: market::Supply, hired: bool, maintained: bool) -> DeviceState {
    match supply {
        // A device whose node is silent is down even while its lease has not run out.
        market::Supply::Down => DeviceState::Down,
        market::Supply::Blocked => DeviceState::Blocked,
        _ if hired => DeviceState::Hired,
        _ if maintained => DeviceState::Maintenance,
        market::Supply::Paused => DeviceState::Paused,
        market::Supply::Closed => DeviceState::Closed,
        market::Supply::Offered => DeviceState::Idle,
    }
}

pub(crate) fn per_hour(fees: Fees, price: PricePerSecond) -> Amount {
    fees.per_hour(price).unwrap_or(Amount::MAX)
}

/// An offer as it stands in the book of a kind, and what it costs as the others.
pub(crate) fn offer_view(memory: &Memory, offer: &Offer, kind: Kind, fees: Fees) -> OfferView {
    let as_kind = |kind| memory.book.of(kind).get(offer.device);
    let reserved = as_kind(Kind::Reserved);
    let node = memory.nodes.get(&offer.node);
    let known = |value: u32| (value > 0).then_some(value);
    OfferView {
        device: offer.device,
        node: offer.node,
        node_name: node.map(|node| node.node.name.clone()).unwrap_or_default(),
        class: offer.class,
        model: offer.model.to_string(),
        device_memory_mib: offer.device_memory_mib,
        cpus: offer.cpus,
        memory_mib: offer.memory_mib,
        disk_mib: offer.disk_mib,
        country: offer.country.map(|country| country.to_string()),
        region: offer
            .country
            .and_then(market::Country::region)
            .map(|region| region.as_str().to_owned()),
        group: offer.group.as_deref().map(str::to_owned),
        cards: offer.cards,
        driver: offer.driver.is_known().then(|| offer.driver.to_string()),
        cuda: offer.cuda.is_known().then(|| offer.cuda.to_string()),
        up_mbit: known(offer.up_mbit),
        down_mbit: known(offer.down_mbit),
        watts: known(offer.watts),
        verified: offer.verified,
        min_duration: offer.min_duration,
        max_duration: offer.max_duration,
        reputation: offer.reputation,
        state: device_state(
            offer.supply,
            offer.holder.is_some(),
            node.is_some_and(|live| live.node.maintenance.is_some()),
        ),
        kind,
        price: offer.price,
        per_hour: per_hour(fees, offer.price),
        spot_per_hour: as_kind(Kind::Spot).map(|spot| per_hour(fees, spot.price)),
        reserved_per_hour: reserved.as_ref().map(|term| per_hour(fees, term.price)),
        reserved_min_term: reserved.map(|term| term.min_duration),
        proven: node.is_some_and(|live| {
            live.devices
                .iter()
                .any(|device| device.id == offer.device && device.proof.state == ProofState::Proven)
        }),
        online_since: node
            .and_then(|node: &NodeLive| node.link.as_ref())
            .map(|link| link.since),
    }
}

/// A job with its leases, as it stands with what is acknowledged but not yet posted.
fn summary(memory: &Memory, job: &Job, leases: &[LeaseRow]) -> JobSummary {
    let (mut each, mut total) = (BTreeMap::new(), Amount::ZERO);
    let mut newest = BTreeMap::new();
    for row in leases {
        let live = memory.leases.get(&row.lease.id);
        let own: &mut Seconds = each.entry(row.lease.member).or_default();
        *own = own.plus(live.map_or(row.lease.head.seconds, LeaseLive::seconds));
        newest.insert(row.lease.member, row);
        let cost = live.map_or(row.lease.charged, spent);
        total = total.checked_add(cost).unwrap_or(Amount::MAX);
    }
    let last = leases.last();
    let rate = newest.values().try_fold(Amount::ZERO, |sum, row| {
        sum.checked_add(per_hour(row.lease.fees, row.lease.price))
            .ok()
    });
    let devices = newest
        .values()
        .map(|row| row.lease.devices.len())
        .sum::<usize>();
    JobSummary {
        id: job.id,
        name: job.spec.name.trim().to_owned(),
        state: job.state,
        end: job.end.clone(),
        created_at: job.created_at,
        started_at: job.started_at,
        ended_at: job.ended_at,
        members: job.members,
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        device_model: last.map(|row| row.device_model.clone()),
        device_class: Some(job.spec.resources.class),
        node_name: last.map(|row| row.node_name.clone()),
        per_hour: last.map(|_| rate.unwrap_or(Amount::MAX)),
        seconds: each.values().copied().max().unwrap_or(Seconds::ZERO),
        spent: total,
        restarts: job.restarts,
        waits_until: None,
    }
}

pub(crate) fn lease_view(memory: &Memory, row: &LeaseRow) -> LeaseView {
    let lease = &row.lease;
    let live = memory.leases.get(&lease.id);
    LeaseView {
        id: lease.id,
        epoch: lease.epoch,
        state: lease.state,
        member: lease.member,
        node: lease.node,
        node_name: row.node_name.clone(),
        device: lease.device,
        devices: lease.devices.iter().map(|(device, _)| *device).collect(),
        device_model: row.device_model.clone(),
        kind: lease.kind,
        price: lease.price,
        granted_at: lease.granted_at,
        started_at: lease.started_at,
        ended_at: lease.ended_at,
        end: lease.end.clone(),
        seconds: live.map_or(lease.head.seconds, LeaseLive::seconds),
        charged: live.map_or(lease.charged, spent),
        refunded: lease.refunded,
        funded: lease.funded,
    }
}

/// How long `money` lasts at `rate`.
pub(crate) fn runway(money: Amount, rate: PricePerSecond) -> Option<Seconds> {
    let seconds = money.base().checked_div(rate.per_second().base())?;
    u64::try_from(seconds).ok().map(Seconds::new)
}

/// The meter of a set of live leases: those of an account, or the one of a job.
pub(crate) fn meter<'a>(leases: impl Iterator<Item = &'a LeaseLive>, means: Means) -> Meter {
    let (mut rate, mut total, mut unposted) = (PricePerSecond::ZERO, Amount::ZERO, Amount::ZERO);
    let mut running = false;
    for live in leases {
        if live.lease.state == LeaseState::Active {
            running = true;
            rate = rate
                .checked_add(live.lease.fees.rate(live.lease.price))
                .unwrap_or(rate);
        }
        let cost = spent(live);
        total = total.checked_add(cost).unwrap_or(Amount::MAX);
        let open = cost.minus_or_zero(live.lease.charged);
        unposted = unposted.checked_add(open).unwrap_or(Amount::MAX);
    }
    let money = means.lasting(unposted);
    Meter {
        rate,
        spent: total,
        available: means.available,
        held: means.held,
        runway: if running { runway(money, rate) } else { None },
    }
}

pub(crate) const fn is_gpu(class: DeviceClass) -> bool {
    matches!(class, DeviceClass::Gpu)
}

impl Exchange {
    /// A job with its leases, and until when it waits if it does.
    pub(crate) fn summary(&self, memory: &Memory, job: &Job, leases: &[LeaseRow]) -> JobSummary {
        let waits = job.state == JobState::Matching;
        let leased = leases
            .last()
            .and_then(|row| memory.device(row.lease.device));
        JobSummary {
            waits_until: waits
                .then(|| memory.room_until(job.id).or(self.waits_until(job)))
                .flatten(),
            device_class: leased
                .map_or_else(|| self.asked_class(job), |(_, device)| Some(device.class)),
            ..summary(memory, job, leases)
        }
    }

    /// The class that a job asks for. Its query chooses it, where it has one and does not ask for a GPU by other means.
    fn asked_class(&self, job: &Job) -> Option<DeviceClass> {
        let Ok(request) = self.request(&job.spec, job.wanted_device) else {
            return Some(job.spec.resources.class);
        };
        let class = |term: &market::Term| match &term.test {
            market::Test::Class(class) => Some(*class),
            market::Test::Between(market::Number::Vram, least, _) if *least > 0 => {
                Some(DeviceClass::Gpu)
            }
            _ => None,
        };
        request.filter.terms.iter().find_map(class)
    }

    pub(crate) fn fees(&self) -> Fees {
        self.inner.settings.fees()
    }
}
