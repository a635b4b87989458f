//! The price index: what a model costs, how that is known, and how it was.

use std::collections::BTreeMap;

use kernel::{Amount, PricePerSecond, Seconds, Timestamp};
use market::fair::{Ask, Fair, Trade, fair};
use market::{Offer, Supply};
use metering::Fees;
use protocol::spec::DeviceClass;
use protocol::view::{BookLevelView, ModelPriceView, ModelView, PricePointView, ScarcityView};
use store::{PricePoint, TradeRow};

use crate::desk::{Exchange, Memory};
use crate::error::Error;
use crate::views::per_hour;

/// Trades count for the index for so long.
const RECENT: Seconds = Seconds::new(86_400);
/// The index is noted so often, and its history is kept for so long.
const NOTE_EVERY: Seconds = Seconds::new(300);
const KEEP: Seconds = Seconds::new(90 * 86_400);
/// Points of one chart.
const POINTS: u32 = 2_016;
/// Price levels of an order book that is shown.
const LEVELS: usize = 20;

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How many per cent are hired, rounded down.
fn share(offered: u32, hired: u32) -> u32 {
    hired.saturating_mul(100).checked_div(offered).unwrap_or(0)
}

impl Memory {
    /// So many of a model stand in the market and are hired: how that compares.
    pub fn scarcity_of(
        &self,
        class: DeviceClass,
        model: &str,
        offered: u32,
        hired: u32,
    ) -> ScarcityView {
        ScarcityView {
            offered,
            hired,
            percent: share(offered, hired),
            median_percent: self.scarce.get(&(class, model.to_owned())).copied(),
        }
    }
}

/// A model as one class, and its standing offers in the order of choice.
struct Standing {
    class: DeviceClass,
    model: String,
    offers: Vec<Offer>,
}

fn standing(memory: &Memory, model: &str) -> Vec<Standing> {
    let mut classes: BTreeMap<DeviceClass, Vec<Offer>> = BTreeMap::new();
    for offer in memory.book.of_model(model) {
        if offer.supply == Supply::Offered {
            classes.entry(offer.class).or_default().push(offer);
        }
    }
    let of_class = |(class, offers)| Standing {
        class,
        model: model.to_owned(),
        offers,
    };
    classes.into_iter().map(of_class).collect()
}

/// What a model is worth in its owner's hands, by what is asked and was paid for it. `None`: nothing is known.
pub(crate) fn fair_ask(
    memory: &Memory,
    class: DeviceClass,
    model: &str,
    trades: &[TradeRow],
) -> Option<PricePerSecond> {
    let known = standing(memory, model)
        .into_iter()
        .find(|standing| standing.class == class);
    let standing = known.unwrap_or_else(|| Standing {
        class,
        model: model.to_owned(),
        offers: Vec::new(),
    });
    standing.fair(trades).map(|fair| fair.price)
}

impl Standing {
    fn fair(&self, trades: &[TradeRow]) -> Option<Fair> {
        let asks = self.offers.iter().map(|offer| Ask {
            owner: offer.owner,
            price: offer.price,
        });
        let own = trades
            .iter()
            .filter(|row| row.class == self.class && row.model == self.model);
        let trades = own.map(|row| Trade {
            owner: row.owner,
            requester: row.requester,
            price: row.price,
            at: row.at,
        });
        fair(asks, trades)
    }

    fn price(&self, memory: &Memory, trades: &[TradeRow], fees: Fees) -> ModelPriceView {
        let fair = self.fair(trades);
        let prices: Vec<PricePerSecond> = self.offers.iter().map(|offer| offer.price).collect();
        let (offered, hired) = (count(prices.len()), self.hired());
        let hour = |price: PricePerSecond| per_hour(fees, price);
        let at = |index: usize| prices.get(index).copied().map_or(Amount::ZERO, hour);
        ModelPriceView {
            class: self.class,
            model: self.model.clone(),
            offers: offered,
            idle: offered.saturating_sub(hired),
            lowest: at(0),
            // The lower of two middle ones; the order of choice is that of the price.
            median: at(prices.len().saturating_sub(1) / 2),
            fair: fair.map_or(Amount::ZERO, |fair| hour(fair.price)),
            asks: fair.map_or(0, |fair| fair.asks),
            trades: fair.map_or(0, |fair| fair.trades),
            scarcity: memory.scarcity_of(self.class, &self.model, offered, hired),
        }
    }

    fn hired(&self) -> u32 {
        let hired = self.offers.iter().filter(|offer| offer.holder.is_some());
        count(hired.count())
    }

    /// `None`: nothing is known of its price.
    fn point(&self, trades: &[TradeRow], at: Timestamp) -> Option<PricePoint> {
        let fair = self.fair(trades)?;
        Some(PricePoint {
            class: self.class,
            model: self.model.clone(),
            at,
            fair: fair.price,
            lowest: self.offers.first().map(|offer| offer.price),
            asks: fair.asks,
            trades: fair.trades,
            offered: count(self.offers.len()),
            hired: self.hired(),
        })
    }
}

impl Exchange {
    pub(crate) async fn recent_trades(&self) -> Result<Vec<TradeRow>, Error> {
        Ok(self.inner.store.trades(self.now().minus(RECENT)).await?)
    }

    /// The price index of each model that is offered now, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prices(&self) -> Result<Vec<ModelPriceView>, Error> {
        let trades = self.recent_trades().await?;
        let memory = self.memory();
        let models = memory.book.models();
        let all = models.iter().flat_map(|model| standing(&memory, model));
        Ok(all
            .map(|standing| standing.price(&memory, &trades, self.fees()))
            .collect())
    }

    /// How a model's index was: a point every five minutes, as far back as 90 days.
    ///
    /// # Errors
    /// The database failed.
    pub async fn price_history(
        &self,
        class: DeviceClass,
        model: &str,
        span: Seconds,
    ) -> Result<Vec<PricePointView>, Error> {
        let since = self.now().minus(span.min(KEEP));
        let fees = self.fees();
        let points = self
            .inner
            .store
            .price_points(class, model, since, POINTS)
            .await?;
        Ok(points
            .into_iter()
            .map(|point| PricePointView {
                at: point.at,
                fair: per_hour(fees, point.fair),
                lowest: point.lowest.map(|price| per_hour(fees, price)),
                samples: point.asks.saturating_add(point.trades),
            })
            .collect())
    }

    /// One model: its index, its history and its order book. `None`: it was never offered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn model(
        &self,
        class: DeviceClass,
        model: &str,
        span: Seconds,
    ) -> Result<Option<ModelView>, Error> {
        let trades = self.recent_trades().await?;
        let history = self.price_history(class, model, span).await?;
        let now = {
            let memory = self.memory();
            let own = standing(&memory, model)
                .into_iter()
                .find(|standing| standing.class == class);
            own.map(|standing| {
                let price = standing.price(&memory, &trades, self.fees());
                (price, self.levels(&standing.offers))
            })
        };
        if now.is_none() && history.is_empty() {
            return Ok(None);
        }
        let (price, asks) = now.unzip();
        Ok(Some(ModelView {
            class,
            model: model.to_owned(),
            price,
            asks: asks.unwrap_or_default(),
            history,
        }))
    }

    /// The cheapest price levels, all-in.
    fn levels(&self, offers: &[Offer]) -> Vec<BookLevelView> {
        let fees = self.fees();
        let mut levels: Vec<BookLevelView> = Vec::new();
        for offer in offers {
            let price = per_hour(fees, offer.price);
            let idle = u32::from(offer.holder.is_none());
            if let Some(level) = levels.last_mut().filter(|level| level.per_hour == price) {
                level.offers = level.offers.saturating_add(1);
                level.idle = level.idle.saturating_add(idle);
            } else if levels.len() == LEVELS {
                break;
            } else {
                levels.push(BookLevelView {
                    per_hour: price,
                    offers: 1,
                    idle,
                });
            }
        }
        levels
    }

    /// Notes the index of each model when it is time to, and forgets what is too old.
    pub(crate) async fn note_prices(&self) -> Result<(), Error> {
        let now = self.now();
        let last = self.inner.store.last_price_point().await?;
        if last.is_some_and(|last| now.seconds_since(last) < NOTE_EVERY) {
            return Ok(());
        }
        let trades = self.recent_trades().await?;
        let points: Vec<PricePoint> = {
            let memory = self.memory();
            let models = memory.book.models();
            let all = models.iter().flat_map(|model| standing(&memory, model));
            all.filter_map(|standing| standing.point(&trades, now))
                .collect()
        };
        if points.is_empty() {
            return Ok(());
        }
        let mut tx = self.inner.store.begin().await?;
        for point in &points {
            tx.insert_price_point(point).await?;
        }
        tx.forget_price_points(now.minus(KEEP)).await?;
        tx.commit().await?;
        self.learn_scarcity().await?;
        self.follow_index(&trades).await
    }

    /// Reads how scarce each model was in the last 24 hours.
    pub(crate) async fn learn_scarcity(&self) -> Result<(), Error> {
        let noted = self
            .inner
            .store
            .scarcities(self.now().minus(RECENT))
            .await?;
        let mut shares: BTreeMap<(DeviceClass, String), Vec<u32>> = BTreeMap::new();
        for (class, model, offered, hired) in noted {
            let percent = share(offered, hired);
            shares.entry((class, model)).or_default().push(percent);
        }
        let medians = shares.into_iter().filter_map(|(model, mut shares)| {
            shares.sort_unstable();
            // The lower of two middle ones, as with prices.
            let median = shares.get(shares.len().saturating_sub(1) / 2)?;
            Some((model, *median))
        });
        let medians = medians.collect();
        self.memory().scarce = medians;
        Ok(())
    }
}
