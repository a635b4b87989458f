//! What a device would earn, by what the market really hired.

use std::collections::BTreeMap;

use kernel::{Amount, DeviceId, PricePerSecond, Seconds};
use market::Supply;
use protocol::fleet::{SimulatorAsk, SimulatorLine, SimulatorView};
use protocol::spec::DeviceClass;

use crate::desk::Exchange;
use crate::error::Error;

/// With less to go by, nothing is told.
const LEASES_MIN: u32 = 5;
const HOURS_MIN: u64 = 24;
/// A device that stood for less says nothing.
const STOOD_MIN: Seconds = Seconds::new(3_600);
const WATTS_MAX: u64 = 100_000;
/// Watt-seconds of a kWh.
const KWH: i128 = 3_600_000;

/// A whole number within bounds; what is empty is `standard`.
fn whole(field: &str, text: &str, standard: u64, most: u64) -> Result<u64, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(standard);
    }
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| Error::invalid(field, format!("a whole number from 0 to {most}")))
}

fn money(field: &str, text: &str) -> Result<Amount, Error> {
    match text.trim() {
        "" => Ok(Amount::ZERO),
        text => Amount::parse_io(text).map_err(|error| Error::invalid(field, error.to_string())),
    }
}

/// What is typed, as numbers. Without a price it is the fair one's turn.
struct Typed {
    hours: u64,
    watts: u64,
    kwh: Amount,
    price: Option<PricePerSecond>,
}

/// Every bad field is named, not the first alone.
fn typed(ask: &SimulatorAsk) -> Result<Typed, Error> {
    let hours = whole("hours", &ask.hours, 24, 24);
    let watts = whole("watts", &ask.watts, 0, WATTS_MAX);
    let kwh = money("kwh", &ask.kwh);
    let price = match ask.per_hour.trim() {
        "" => Ok(None),
        text => money("per_hour", text).and_then(|amount| {
            let price = PricePerSecond::from_per_hour(amount);
            price
                .map(Some)
                .map_err(|error| Error::invalid("per_hour", error.to_string()))
        }),
    };
    match (hours, watts, kwh, price) {
        (Ok(hours), Ok(watts), Ok(kwh), Ok(price)) => Ok(Typed {
            hours,
            watts,
            kwh,
            price,
        }),
        (hours, watts, kwh, price) => {
            let bad = [price.err(), hours.err(), watts.err(), kwh.err()];
            let named = bad.into_iter().flatten().map(|error| match error {
                Error::Invalid(fields) => Ok(fields),
                other => Err(other),
            });
            let named: Vec<Vec<_>> = named.collect::<Result<_, _>>()?;
            Err(Error::Invalid(named.into_iter().flatten().collect()))
        }
    }
}

/// The share below which so many quarters of the devices stay, of shares in order.
fn quarter(shares: &[u32], quarters: usize) -> u32 {
    let last = shares.len().saturating_sub(1);
    let at = last.saturating_mul(quarters) / 4;
    shares.get(at).copied().unwrap_or(0)
}

impl Exchange {
    /// What a device would earn a day: a quarter of those of its model did worse, the middle, and a quarter better. `None`: no
    /// device of this model stands in the market.
    ///
    /// # Errors
    /// Bad fields are named.
    pub async fn simulate(&self, ask: &SimulatorAsk) -> Result<Option<SimulatorView>, Error> {
        let class = DeviceClass::parse(&ask.class).unwrap_or_default();
        let days: u32 = if ask.days == "30" { 30 } else { 7 };
        let Typed {
            hours,
            watts,
            kwh,
            price,
        } = typed(ask)?;
        let now = self.now();
        let since = now.minus(Seconds::new(u64::from(days).saturating_mul(86_400)));
        let hired = self
            .inner
            .store
            .hired(class, &ask.model, since, now)
            .await?;
        let hired: BTreeMap<DeviceId, _> = hired.iter().map(|row| (row.device, row)).collect();
        let stood: Vec<(DeviceId, Seconds)> = {
            let offers = self.memory().book.of_model(&ask.model);
            let own = offers.iter().filter(|offer| offer.class == class);
            // One that is offline may have stood; one that its owner keeps back now says nothing about the market.
            let standing =
                own.filter(|offer| matches!(offer.supply, Supply::Offered | Supply::Down));
            let stood =
                standing.map(|offer| (offer.device, now.seconds_since(offer.joined_at.max(since))));
            stood.filter(|(_, stood)| *stood >= STOOD_MIN).collect()
        };
        let fair = self.prices().await?.into_iter();
        let fair = fair
            .filter(|index| index.class == class && index.model == ask.model)
            .map(|index| self.price_within(index.fair))
            .next();
        let (price, is_fair_price) = match (price, fair) {
            (Some(price), _) => (price, false),
            (None, Some(fair)) => (fair, true),
            (None, None) => return Ok(None),
        };
        let mut view = SimulatorView {
            class,
            model: ask.model.clone(),
            price,
            is_fair_price,
            per_hour: price.per_hour().unwrap_or(Amount::MAX),
            days,
            hours_a_day: u32::try_from(hours).unwrap_or(24),
            devices: u32::try_from(stood.len()).unwrap_or(u32::MAX),
            device_hours: 0,
            hired_hours: 0,
            leases: 0,
            lines: None,
        };
        let mut shares = Vec::with_capacity(stood.len());
        let (mut all, mut worked) = (Seconds::ZERO, Seconds::ZERO);
        for (device, stood) in stood {
            let own = hired.get(&device);
            let seconds = own.map_or(Seconds::ZERO, |row| row.seconds.min(stood));
            view.leases = view.leases.saturating_add(own.map_or(0, |row| row.leases));
            (all, worked) = (all.plus(stood), worked.plus(seconds));
            let share = seconds.get().saturating_mul(1_000).checked_div(stood.get());
            shares.push(
                share
                    .and_then(|share| u32::try_from(share).ok())
                    .unwrap_or(0),
            );
        }
        view.device_hours = all.get() / 3_600;
        view.hired_hours = worked.get() / 3_600;
        shares.sort_unstable();
        if view.leases >= LEASES_MIN && view.device_hours >= HOURS_MIN {
            let line = |quarters| self.line(price, quarter(&shares, quarters), hours, watts, kwh);
            view.lines = Some([line(1), line(2), line(3)]);
        }
        Ok(Some(view))
    }

    fn line(
        &self,
        price: PricePerSecond,
        fill_per_mille: u32,
        hours: u64,
        watts: u64,
        kwh: Amount,
    ) -> SimulatorLine {
        let on = hours.saturating_mul(3_600);
        let seconds = on.saturating_mul(u64::from(fill_per_mille)) / 1_000;
        let gross = price.times(Seconds::new(seconds)).unwrap_or(Amount::MAX);
        let charge = self.fees().charge(price, Seconds::new(seconds));
        let gets = charge.map_or(gross, |charge| charge.owner_gets);
        // Rounded up: what power costs is not to look smaller than it is.
        let power = i128::from(kwh.base())
            .saturating_mul(i128::from(watts))
            .saturating_mul(i128::from(seconds))
            .saturating_add(KWH.saturating_sub(1))
            .checked_div(KWH)
            .and_then(|base| i64::try_from(base).ok())
            .and_then(|base| Amount::try_from_base(base).ok())
            .unwrap_or(Amount::MAX);
        SimulatorLine {
            fill_per_mille,
            gross,
            fee: gross.minus_or_zero(gets),
            power,
            net_base: gets.base().saturating_sub(power.base()),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::fleet::SimulatorAsk;

    use super::{Error, quarter, typed};

    #[test]
    fn every_field_that_cannot_be_read_is_named() {
        let ask = SimulatorAsk {
            per_hour: "abc".into(),
            hours: "25".into(),
            watts: "x".into(),
            kwh: "1,2".into(),
            ..SimulatorAsk::default()
        };
        let Err(Error::Invalid(fields)) = typed(&ask) else {
            panic!("none of it is a number");
        };
        let fields: Vec<_> = fields.iter().map(|bad| bad.field.as_str()).collect();
        assert_eq!(fields, ["per_hour", "hours", "watts", "kwh"]);
    }

    #[test]
    fn quarters_of_shares_in_order() {
        let shares = [0, 100, 200, 300, 400];
        assert_eq!([1, 2, 3].map(|n| quarter(&shares, n)), [100, 200, 300]);
        assert_eq!([1, 2, 3].map(|n| quarter(&[70], n)), [70; 3]);
        assert_eq!(quarter(&[], 2), 0);
    }
}
