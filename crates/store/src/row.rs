//! Reading columns as the house's types; what cannot be read is named, never defaulted.

use std::fmt::Display;
use std::str::FromStr;

use kernel::{Amount, BasisPoints, Energy, Epoch, PricePerSecond, Seconds, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::db::StoreError;

/// Columns of one row, by name.
pub trait Columns {
    fn text(&self, column: &'static str) -> Result<String, StoreError>;
    fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError>;
    fn int(&self, column: &'static str) -> Result<i64, StoreError>;
    fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError>;

    fn parse<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?
            .parse()
            .map_err(|error| StoreError::corrupt(column, error))
    }

    fn parse_opt<T: FromStr<Err: Display>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.text_opt(column)?
            .map(|text| {
                text.parse()
                    .map_err(|error| StoreError::corrupt(column, error))
            })
            .transpose()
    }

    /// By one of the `parse(&str) -> Option<Self>` of the enums that are stored as words.
    fn word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| StoreError::corrupt(column, text))
    }

    fn words<T>(
        &self,
        column: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let text = self.text(column)?;
        text.split_whitespace()
            .map(|word| parse(word).ok_or_else(|| StoreError::corrupt(column, &text)))
            .collect()
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|error| StoreError::corrupt(column, error))
    }

    fn json_opt<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.text_opt(column)?
            .map(|text| {
                serde_json::from_str(&text).map_err(|error| StoreError::corrupt(column, error))
            })
            .transpose()
    }

    fn unsigned(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|error| StoreError::corrupt(column, error))
    }

    fn small(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|error| StoreError::corrupt(column, error))
    }

    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    fn time_opt(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.int_opt(column)?.map(Timestamp::from_millis))
    }

    fn seconds(&self, column: &'static str) -> Result<Seconds, StoreError> {
        self.unsigned(column).map(Seconds::new)
    }

    fn energy_opt(&self, column: &'static str) -> Result<Option<Energy>, StoreError> {
        let energy = |millijoules: i64| {
            u64::try_from(millijoules)
                .map_err(|error| StoreError::corrupt(column, error))
                .and_then(|millijoules| {
                    Energy::try_new(millijoules).map_err(|error| StoreError::corrupt(column, error))
                })
        };
        self.int_opt(column)?.map(energy).transpose()
    }

    fn epoch(&self, column: &'static str) -> Result<Epoch, StoreError> {
        self.unsigned(column).map(Epoch::new)
    }

    fn amount(&self, column: &'static str) -> Result<Amount, StoreError> {
        Amount::try_from_base(self.int(column)?).map_err(|error| StoreError::corrupt(column, error))
    }

    fn amount_opt(&self, column: &'static str) -> Result<Option<Amount>, StoreError> {
        let read =
            |base| Amount::try_from_base(base).map_err(|error| StoreError::corrupt(column, error));
        self.int_opt(column)?.map(read).transpose()
    }

    fn price(&self, column: &'static str) -> Result<PricePerSecond, StoreError> {
        self.amount(column).map(PricePerSecond::from_amount)
    }

    fn basis_points(&self, column: &'static str) -> Result<BasisPoints, StoreError> {
        u16::try_from(self.int(column)?)
            .map_err(|error| StoreError::corrupt(column, error))
            .and_then(|points| {
                BasisPoints::try_new(points).map_err(|error| StoreError::corrupt(column, error))
            })
    }
}

impl Columns for AnyRow {
    fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// How a value is stored.
pub fn json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// Counts are kept below 2^63 by their sources; a larger one is refused instead of wrapped.
pub fn count(what: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| StoreError::corrupt(what, error))
}

/// From where a list, newest first, goes on: before an id or, without one, from its begin. Ids are written with the digits
/// 0 to f.
pub fn before<T: Display>(id: Option<T>, prefix: &str) -> String {
    id.map_or_else(|| format!("{prefix}_g"), |id| id.to_string())
}

/// A filter that may be absent, as a number that a statement compares: 2 for both.
pub const fn either(flag: Option<bool>) -> i64 {
    match flag {
        None => 2,
        Some(false) => 0,
        Some(true) => 1,
    }
}
