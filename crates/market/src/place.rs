//! Where nodes are: countries and the regions they lie in.

use std::fmt;
use std::sync::LazyLock;

use protocol::country;

/// A two-letter country code (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// One that there is, so that a region has it. Who says where something stands, or asks for it, is read by this; `UK` is GB.
    pub fn known(text: &str) -> Option<Self> {
        country::known(text).and_then(Self::parse)
    }

    /// Two letters, upper or lower case, whether or not there is such a country: what was written down before is read so.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.trim().as_bytes().try_into().ok()?;
        let upper = letters.map(|letter| letter.to_ascii_uppercase());
        upper
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(upper))
    }

    pub fn as_str(&self) -> &str {
        // Two ASCII letters, by the only constructors.
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// 1 to 676.
    pub(crate) fn code(self) -> u16 {
        let [first, second] = self.0.map(|letter| u16::from(letter.saturating_sub(b'A')));
        first
            .saturating_mul(26)
            .saturating_add(second)
            .saturating_add(1)
    }

    pub(crate) fn of_code(code: u16) -> Option<Self> {
        let code = code.checked_sub(1).filter(|code| *code < 26 * 26)?;
        let letter = |n: u16| u8::try_from(n).map_or(b'?', |n| b'A'.saturating_add(n));
        Some(Self([letter(code / 26), letter(code % 26)]))
    }

    pub fn region(self) -> Option<Region> {
        /// By code; made once, since an index asks it for each of its offers.
        static REGIONS: LazyLock<Vec<Option<Region>>> = LazyLock::new(|| {
            let mut regions = vec![None; 26 * 26 + 1];
            for region in Region::ALL {
                for country in region.countries().split(' ').filter_map(Country::parse) {
                    if let Some(entry) = regions.get_mut(usize::from(country.code())) {
                        *entry = Some(region);
                    }
                }
            }
            regions
        });
        REGIONS.get(usize::from(self.code())).copied().flatten()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A continent, as far as networks care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    Africa,
    Asia,
    Europe,
    NorthAmerica,
    Oceania,
    SouthAmerica,
}

impl Region {
    pub const ALL: [Self; 6] = [
        Self::Africa,
        Self::Asia,
        Self::Europe,
        Self::NorthAmerica,
        Self::Oceania,
        Self::SouthAmerica,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Africa => "AF",
            Self::Asia => "AS",
            Self::Europe => "EU",
            Self::NorthAmerica => "NA",
            Self::Oceania => "OC",
            Self::SouthAmerica => "SA",
        }
    }

    /// The code, or the English name.
    pub fn parse(text: &str) -> Option<Self> {
        match crate::names::words(text).join(" ").as_str() {
            "af" | "africa" => Some(Self::Africa),
            "as" | "asia" => Some(Self::Asia),
            "eu" | "europe" => Some(Self::Europe),
            "na" | "north america" | "northamerica" => Some(Self::NorthAmerica),
            "oc" | "oceania" => Some(Self::Oceania),
            "sa" | "south america" | "southamerica" => Some(Self::SouthAmerica),
            _ => None,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    const fn countries(self) -> &'static str {
        match self {
            Self::Africa => country::AFRICA,
            Self::Asia => country::ASIA,
            Self::Europe => country::EUROPE,
            Self::NorthAmerica => country::NORTH_AMERICA,
            Self::Oceania => country::OCEANIA,
            Self::SouthAmerica => country::SOUTH_AMERICA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_has_one_code_and_at_most_one_region() {
        for first in b'A'..=b'Z' {
            for second in b'A'..=b'Z' {
                let country = Country([first, second]);
                assert_eq!(Country::of_code(country.code()), Some(country));
                let regions = Region::ALL
                    .iter()
                    .filter(|r| r.countries().split(' ').any(|c| c == country.as_str()));
                assert!(regions.count() <= 1, "{country}");
            }
        }
        assert_eq!(Country::of_code(0), None);
        assert_eq!(Country::of_code(26 * 26 + 1), None);
        assert_eq!(
            Country::parse("ch").and_then(Country::region),
            Some(Region::Europe)
        );
        assert_eq!(
            Country::parse("us").and_then(Country::region),
            Some(Region::NorthAmerica)
        );
        assert_eq!(Country::parse("Deu"), None);
        for (written, code) in [("uk", "GB"), ("EL", "GR"), ("CH", "CH")] {
            assert_eq!(Country::known(written), Country::parse(code), "{written}");
            assert!(Country::known(written).and_then(Country::region).is_some());
        }
        assert_eq!(Country::known("XX"), None);
        assert_eq!(Region::parse("North_America"), Some(Region::NorthAmerica));
    }
}
