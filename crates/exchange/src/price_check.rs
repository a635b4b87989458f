//! What a price would mean for an owner's device, before it is set.

use kernel::{DeviceId, PricePerSecond, Seconds, Timestamp};
use market::{Offer, Supply};
use protocol::view::{FillView, PriceCheckView, RankView};
use store::{Device, Hired};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::views::per_hour;

/// Leases of seven days say how well a price fills.
const SPAN: Seconds = Seconds::new(7 * 86_400);
/// With less to go by, no fill is told.
const LEASES_MIN: u32 = 5;
const HOURS_MIN: u64 = 24;

/// Devices of the same model that ask at most the price: how long they stood, and how long they were hired.
#[derive(Default)]
struct Fill {
    devices: u32,
    stood: Seconds,
    hired: Seconds,
    leases: u32,
}

impl Fill {
    fn is_enough(&self) -> bool {
        self.leases >= LEASES_MIN && self.stood.get() >= HOURS_MIN.saturating_mul(3_600)
    }

    /// Of a thousand seconds, so many were hired.
    fn per_mille(&self) -> Option<u32> {
        let hired = self.hired.get().saturating_mul(1_000);
        let share = hired.checked_div(self.stood.get())?.min(1_000);
        u32::try_from(share).ok().filter(|_| self.is_enough())
    }
}

impl Exchange {
    /// The rank of a price among the offers of the device's model, the fair price beside it, and what devices at that
    /// price or below were hired for in the last seven days.
    ///
    /// # Errors
    /// Not this account's device, or one that its machine no longer has.
    pub async fn price_check(
        &self,
        actor: &Actor,
        id: DeviceId,
        price: PricePerSecond,
    ) -> Result<PriceCheckView, Error> {
        let device = self.own_device(actor, id)?;
        let now = self.now();
        let since = now.minus(SPAN);
        let store = &self.inner.store;
        let hired = store.hired(device.class, &device.model, since, now).await?;
        let index = self.prices().await?.into_iter();
        let index = index
            .filter(|index| index.class == device.class)
            .find(|index| index.model == device.model);
        let offers = self.memory().book.of_model(&device.model);
        let own = offers.iter().find(|offer| offer.device == id);
        let own = own.ok_or(Error::NotFound("the device"))?;
        let mine = Offer {
            price,
            ..own.clone()
        };
        let others: Vec<&Offer> = offers
            .iter()
            .filter(|offer| offer.class == device.class && offer.device != id)
            .collect();
        let fill = fill(&device, price, &offers, &hired, since, now);
        let day = fill.per_mille().map(|share| {
            let seconds = u64::from(share).saturating_mul(86_400) / 1_000;
            let charge = self.fees().charge(price, Seconds::new(seconds));
            charge.map_or(kernel::Amount::MAX, |charge| charge.owner_gets)
        });
        // An owner compares owners' prices; the index is told as the requester pays.
        let fair = index.as_ref().map(|index| {
            let price = self.price_within(index.fair);
            price.per_hour().unwrap_or(kernel::Amount::MAX)
        });
        let hour = price.per_hour().unwrap_or(kernel::Amount::MAX);
        Ok(PriceCheckView {
            device: id,
            price,
            per_hour: hour,
            all_in_per_hour: per_hour(self.fees(), price),
            open: rank(&mine, others.iter().filter(|offer| offer.is_open())),
            standing: rank(
                &mine,
                others
                    .iter()
                    .filter(|offer| offer.supply == Supply::Offered),
            ),
            fair,
            samples: index.map_or(0, |index| index.asks.saturating_add(index.trades)),
            above_fair_per_mille: fair.and_then(|fair| {
                let above = hour.base().saturating_sub(fair.base());
                above.saturating_mul(1_000).checked_div(fair.base())
            }),
            income_per_day: day,
            fill: FillView {
                per_mille: fill.per_mille(),
                devices: fill.devices,
                device_hours: fill.stood.get() / 3_600,
                hired_hours: fill.hired.get() / 3_600,
                leases: fill.leases,
            },
        })
    }
}

fn rank<'a>(mine: &Offer, others: impl Iterator<Item = &'a &'a Offer>) -> RankView {
    let (mut place, mut of) = (1_u32, 1_u32);
    for other in others {
        of = of.saturating_add(1);
        if other.rank() < mine.rank() {
            place = place.saturating_add(1);
        }
    }
    RankView { rank: place, of }
}

/// A device counts with the price that it asks now (this one with the price in question), from when its machine joined.
/// That a machine was away is not known: it counts as not hired.
fn fill(
    device: &Device,
    price: PricePerSecond,
    offers: &[Offer],
    hired: &[Hired],
    since: Timestamp,
    now: Timestamp,
) -> Fill {
    let mut fill = Fill::default();
    let counted = offers
        .iter()
        .filter(|offer| offer.class == device.class)
        .filter(|offer| offer.device == device.id || offer.price <= price);
    for offer in counted {
        let stood = now.seconds_since(offer.joined_at.max(since));
        let own = hired.iter().find(|row| row.device == offer.device);
        fill.devices = fill.devices.saturating_add(1);
        fill.stood = fill.stood.plus(stood);
        if let Some(row) = own {
            fill.hired = fill.hired.plus(row.seconds.min(stood));
            fill.leases = fill.leases.saturating_add(row.leases);
        }
    }
    fill
}
