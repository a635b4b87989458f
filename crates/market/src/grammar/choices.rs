//! Values that are names: places, classes, and the few words that a placement knows.

use protocol::spec::DeviceClass;

use super::{Fault, suggest};
use crate::names::words;
use crate::place::{Country, Region};
use crate::request::{Kind, Near};

/// Characters in the name of a group.
const LONGEST_GROUP: usize = 64;

/// English names of countries, as [`words`], that nodes are most often in. Any other is written by its two letters.
const COUNTRIES: [(&str, &str); 71] = [
    ("argentina", "AR"),
    ("australia", "AU"),
    ("austria", "AT"),
    ("belgium", "BE"),
    ("brazil", "BR"),
    ("bulgaria", "BG"),
    ("canada", "CA"),
    ("chile", "CL"),
    ("china", "CN"),
    ("colombia", "CO"),
    ("croatia", "HR"),
    ("cyprus", "CY"),
    ("czech republic", "CZ"),
    ("czechia", "CZ"),
    ("denmark", "DK"),
    ("egypt", "EG"),
    ("england", "GB"),
    ("estonia", "EE"),
    ("finland", "FI"),
    ("france", "FR"),
    ("germany", "DE"),
    ("great britain", "GB"),
    ("greece", "GR"),
    ("holland", "NL"),
    ("hong kong", "HK"),
    ("hungary", "HU"),
    ("iceland", "IS"),
    ("india", "IN"),
    ("indonesia", "ID"),
    ("ireland", "IE"),
    ("israel", "IL"),
    ("italy", "IT"),
    ("japan", "JP"),
    ("kazakhstan", "KZ"),
    ("kenya", "KE"),
    ("latvia", "LV"),
    ("lithuania", "LT"),
    ("luxembourg", "LU"),
    ("malaysia", "MY"),
    ("mexico", "MX"),
    ("moldova", "MD"),
    ("netherlands", "NL"),
    ("new zealand", "NZ"),
    ("nigeria", "NG"),
    ("norway", "NO"),
    ("philippines", "PH"),
    ("poland", "PL"),
    ("portugal", "PT"),
    ("romania", "RO"),
    ("russia", "RU"),
    ("saudi arabia", "SA"),
    ("serbia", "RS"),
    ("singapore", "SG"),
    ("slovakia", "SK"),
    ("slovenia", "SI"),
    ("south africa", "ZA"),
    ("south korea", "KR"),
    ("spain", "ES"),
    ("sweden", "SE"),
    ("switzerland", "CH"),
    ("taiwan", "TW"),
    ("thailand", "TH"),
    ("turkey", "TR"),
    ("uk", "GB"),
    ("ukraine", "UA"),
    ("united arab emirates", "AE"),
    ("united kingdom", "GB"),
    ("united states", "US"),
    ("united states of america", "US"),
    ("usa", "US"),
    ("vietnam", "VN"),
];

const REGIONS: [&str; 6] = [
    "africa",
    "asia",
    "europe",
    "north america",
    "oceania",
    "south america",
];

/// One of a few words; blanks and `-` in it do not count.
pub(super) fn choice<T: Copy>(name: &str, text: &str, known: &[(&str, T)]) -> Result<T, Fault> {
    let key = |text: &str| text.to_lowercase().replace([' ', '-'], "");
    let typed = key(text);
    if let Some((_, value)) = known.iter().find(|(word, _)| key(word) == typed) {
        return Ok(*value);
    }
    let all: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let near = suggest::nearest(text, all.iter().copied());
    Err(Fault::new(format!(
        "`{name}` is one of {}, not `{text}`",
        all.join(", ")
    ))
    .did_you_mean(near))
}

pub(super) fn class(text: &str) -> Result<DeviceClass, Fault> {
    choice(
        "class",
        text,
        &[DeviceClass::Gpu, DeviceClass::Cpu].map(|class| (class.as_str(), class)),
    )
}

pub(super) fn near(text: &str) -> Result<Near, Fault> {
    let all = [Near::Group, Near::Country, Near::Region, Near::Any];
    choice("near", text, &all.map(|near| (near.as_str(), near)))
}

pub(super) fn spread(text: &str) -> Result<bool, Fault> {
    choice("spread", text, &[("owner", true), ("none", false)])
}

pub(super) fn kind(text: &str) -> Result<Kind, Fault> {
    let all = [Kind::OnDemand, Kind::Spot, Kind::Reserved];
    choice("kind", text, &all.map(|kind| (kind.as_str(), kind)))
}

pub(super) fn model(text: &str) -> Result<Vec<String>, Fault> {
    let words = words(text);
    if words.is_empty() {
        return Err(Fault::new(
            "this names no model; write a part of its name, as in `gpu=rtx_4090`",
        ));
    }
    Ok(words)
}

pub(super) fn group(text: &str) -> Result<String, Fault> {
    // As a machine's group is noted when it joins: also where quotes kept the `_`.
    let name = text.replace('_', " ").trim().to_lowercase();
    match name.chars().count() {
        0 => Err(Fault::new(
            "a group has a name; write it, as in `group=hall_3`",
        )),
        1..=LONGEST_GROUP => Ok(name),
        _ => Err(Fault::new(format!(
            "a group's name has at most {LONGEST_GROUP} characters; write a shorter one"
        ))),
    }
}

fn known_country(text: &str) -> Option<Country> {
    let name = words(text).join(" ");
    let named = COUNTRIES.iter().find(|(known, _)| *known == name);
    let code = named.map_or(text, |(_, code)| code);
    Country::known(code)
}

pub(super) fn country(text: &str) -> Result<Country, Fault> {
    let unknown = || {
        let fault = Fault::new(format!(
            "`{text}` is no known country; write its two letters, as in `country=de`"
        ));
        match Region::parse(text) {
            Some(region) => {
                fault.hint(format!("for the region write `region={}`", region.as_str()))
            }
            None => fault.did_you_mean(suggest::nearest(
                text,
                COUNTRIES.iter().map(|(name, _)| *name),
            )),
        }
    };
    known_country(text).ok_or_else(unknown)
}

pub(super) fn region(text: &str) -> Result<Region, Fault> {
    let unknown = || {
        let codes = Region::ALL.map(Region::as_str).join(", ");
        let fault = Fault::new(format!("`{text}` is no region; write one of {codes}"));
        match known_country(text) {
            Some(country) => fault.hint(format!("for the country write `country={country}`")),
            None => fault.did_you_mean(suggest::nearest(text, REGIONS.into_iter())),
        }
    };
    Region::parse(text).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_country_is_one() {
        for (name, code) in COUNTRIES {
            assert_eq!(country(name).ok(), Country::parse(code), "{name}");
            assert_eq!(words(name).join(" "), name);
        }
        for region in REGIONS {
            assert!(Region::parse(region).is_some(), "{region}");
        }
    }
}
