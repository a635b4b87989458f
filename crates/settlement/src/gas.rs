//! What a transaction may cost.

/// Why a transaction is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GasError {
    #[error(
        "it would use {needed} units of gas, and at most {ceiling} are allowed; smaller batches need less"
    )]
    Units { needed: u64, ceiling: u64 },
    #[error(
        "a unit of gas costs {asked} now, and at most {ceiling} is allowed; wait, or raise the ceiling"
    )]
    Price { asked: u64, ceiling: u64 },
}

/// As much as may be spent on one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    pub units: u64,
    /// The chain's smallest coins for one unit.
    pub price: u64,
}

/// What a transaction is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gas {
    pub units: u64,
    pub price: u64,
}

impl Ceiling {
    /// Half as much again as a trial run used, since payees who are new when it lands cost more than those who are not; never
    /// more than the ceiling.
    ///
    /// # Errors
    /// A [`GasError`] when the trial run alone, or the chain's price, is above it.
    pub fn admit(&self, used: u64, price: u64) -> Result<Gas, GasError> {
        if used > self.units {
            return Err(GasError::Units {
                needed: used,
                ceiling: self.units,
            });
        }
        if price > self.price {
            return Err(GasError::Price {
                asked: price,
                ceiling: self.price,
            });
        }
        let units = used.saturating_add(used.div_ceil(2)).min(self.units);
        Ok(Gas { units, price })
    }
}

impl Gas {
    /// The most that it can cost, in the chain's smallest coins.
    pub const fn fee_max(&self) -> u64 {
        self.units.saturating_mul(self.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_costs_no_more_than_the_ceiling() {
        let ceiling = Ceiling {
            units: 1_000,
            price: 150,
        };
        assert_eq!(
            ceiling.admit(7, 100),
            Ok(Gas {
                units: 11,
                price: 100
            })
        );
        assert_eq!(
            ceiling.admit(900, 150),
            Ok(Gas {
                units: 1_000,
                price: 150
            })
        );
        let (needed, asked) = (1_001, 151);
        assert_eq!(
            ceiling.admit(1_001, 1),
            Err(GasError::Units {
                needed,
                ceiling: 1_000
            })
        );
        assert_eq!(
            ceiling.admit(1, 151),
            Err(GasError::Price {
                asked,
                ceiling: 150
            })
        );
        assert_eq!(
            Gas {
                units: 11,
                price: 100
            }
            .fee_max(),
            1_100
        );
    }
}
