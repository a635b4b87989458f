//! The fair price of a model: the median of what was paid lately and of what is asked now.
//!
//! So that nobody makes it alone: an owner's asks count once, with the lowest; what one requester paid one owner counts
//! once, with the latest. Of two middle samples the lower one is the median.

use std::collections::BTreeMap;

use kernel::{AccountId, PricePerSecond, Timestamp};

/// An offer that stands, hired or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub owner: AccountId,
    pub price: PricePerSecond,
}

/// A lease that delivered something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    pub owner: AccountId,
    pub requester: AccountId,
    pub price: PricePerSecond,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fair {
    pub price: PricePerSecond,
    /// How many samples it is made of.
    pub asks: u32,
    pub trades: u32,
}

/// `None`: there is neither an ask nor a trade.
pub fn fair(
    asks: impl IntoIterator<Item = Ask>,
    trades: impl IntoIterator<Item = Trade>,
) -> Option<Fair> {
    let mut lowest: BTreeMap<AccountId, PricePerSecond> = BTreeMap::new();
    for ask in asks {
        let price = lowest.entry(ask.owner).or_insert(ask.price);
        *price = ask.price.min(*price);
    }
    let mut latest: BTreeMap<(AccountId, AccountId), Trade> = BTreeMap::new();
    // What somebody pays himself is no price.
    for trade in trades
        .into_iter()
        .filter(|trade| trade.owner != trade.requester)
    {
        let known = latest
            .entry((trade.owner, trade.requester))
            .or_insert(trade);
        if trade.at > known.at {
            *known = trade;
        }
    }
    let mut samples: Vec<PricePerSecond> = lowest
        .values()
        .copied()
        .chain(latest.values().map(|trade| trade.price))
        .collect();
    samples.sort_unstable();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Some(Fair {
        price: *samples.get(samples.len().checked_sub(1)? / 2)?,
        asks: count(lowest.len()),
        trades: count(latest.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Amount;
    use proptest::prelude::*;

    fn account(n: u8) -> AccountId {
        AccountId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn ask(owner: u8, base: i64) -> Ask {
        Ask {
            owner: account(owner),
            price: price(base),
        }
    }

    fn trade(owner: u8, requester: u8, base: i64, at: i64) -> Trade {
        Trade {
            owner: account(owner),
            requester: account(requester),
            price: price(base),
            at: Timestamp::from_millis(at),
        }
    }

    fn price(base: i64) -> PricePerSecond {
        PricePerSecond::from_amount(Amount::try_from_base(base).expect("in range"))
    }

    #[test]
    fn nobody_makes_the_price_alone() {
        let honest = [ask(1, 100), ask(2, 110), ask(3, 120)];
        let many = (0..1_000).map(|_| ask(4, 9_000));
        let found = fair(honest.into_iter().chain(many), [trade(5, 6, 105, 1)]).expect("samples");
        assert_eq!((found.price, found.asks, found.trades), (price(110), 4, 1));
        // Back and forth between two, and with oneself.
        let wash = (0..1_000)
            .map(|n| trade(4, 7, 9_000, n))
            .chain([trade(4, 4, 9_000, 1)]);
        let found = fair(honest, wash).expect("samples");
        assert_eq!((found.price, found.trades), (price(110), 1));
        assert_eq!(fair([], []), None);
    }

    #[test]
    fn the_latest_trade_of_a_pair_counts() {
        let found = fair(
            [],
            [
                trade(1, 2, 300, 5),
                trade(1, 2, 100, 9),
                trade(1, 2, 200, 7),
            ],
        )
        .expect("a trade");
        assert_eq!(found.price, price(100));
    }

    proptest! {
        #[test]
        fn it_lies_between_what_was_asked_and_paid(asks in prop::collection::vec((0u8..9, 1i64..100), 0..20), trades in prop::collection::vec((0u8..9, 0u8..9, 1i64..100, 0i64..9), 0..20)) {
            let found = fair(asks.iter().map(|(o, p)| ask(*o, *p)), trades.iter().map(|(o, r, p, at)| trade(*o, *r, *p, *at)));
            if let Some(found) = found {
                let prices = asks.iter().map(|(_, p)| *p).chain(trades.iter().map(|(_, _, p, _)| *p));
                prop_assert!(prices.clone().min() <= Some(found.price.per_second().base()));
                prop_assert!(prices.max() >= Some(found.price.per_second().base()));
            }
        }
    }
}
