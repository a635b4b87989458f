//! Random texts: read or refused, never a panic, and the canonical text is the same query.

use kernel::Amount;
use proptest::prelude::*;

use super::{ALL_IN_HOUR, good, read};
use crate::filter::{Number, Test};
use crate::grammar::{Ask, Query, QueryError, fields};

/// Pieces of queries, so that random ones come far.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<&str> = fields()
        .iter()
        .flat_map(|help| help.aliases.iter().copied().chain([help.name]))
        .collect();
    let signs = [
        "=", "==", "!=", ">=", "<=", ">", "<", "≥", "≠", " in ", " notin ", " not in ", "[", "]",
        "(", ")", ",", ", ", " ", " and ", "&&", "!", "&", "|", "\"", "'", "_", "/", "%", "$", ".",
        "or",
    ];
    let values = [
        "24",
        "0.9",
        "12.4",
        "550",
        "1h30m",
        "GB",
        "MiB",
        "IO/h",
        "/d",
        "W",
        "seen",
        "de",
        "fr",
        "United_States",
        "EU",
        "rtx",
        "4090",
        "'a b'",
        "\"c'd\"",
        "hall_3",
        "gpu",
        "cpu",
        "group",
        "spot",
        "owner",
        "ß",
        "İ",
        "64",
        "2",
    ];
    prop_oneof![
        prop::sample::select(names).prop_map(str::to_owned),
        prop::sample::select(signs.to_vec()).prop_map(str::to_owned),
        prop::sample::select(values.to_vec()).prop_map(str::to_owned),
    ]
}

fn term() -> impl Strategy<Value = String> {
    let written = [
        "rtx 4090",
        "gpu!=A100",
        "gpu in [h100, 'l 40']",
        "class=gpu",
        "vram>=8",
        "vram != 24 GB",
        "vram in [24, 48GB]",
        "cards≥2",
        "driver>=550.54",
        "cuda notin [11, 12.1]",
        "cpus>=4",
        "ram>=16gb",
        "disk>=0.1T",
        "up>100",
        "down>=1 Gbps",
        "rep>=90 %",
        "verified>=seen",
        "watts<=450",
        "price<=0.9 IO/h",
        "price!=21/d",
        "price in [0.1, 0.2/h]",
        "min_duration<=1h",
        "max_duration>=1 d 2 h",
        "duration=6h",
        "country notin [de, Hong_Kong]",
        "country!=uk",
        "region=eu",
        "region notin ['north america', as]",
        "group=Hall_3",
        "group!='a_\"b\"'",
        "group!=\"in\"",
        "count=2",
        "nodes=4",
        "near=group",
        "spread=owner",
        "kind=spot",
        "kind=on_demand",
        "'x_y' z",
        "ÄÖ ß",
        "\"a'\" '\"b'",
    ];
    prop::sample::select(written.to_vec()).prop_map(str::to_owned)
}

fn check(text: &str) -> Result<(), TestCaseError> {
    match read(text) {
        Ok(query) => check_canonical(&query),
        Err(error) => check_error(text, &error),
    }
}

fn check_error(text: &str, error: &QueryError) -> Result<(), TestCaseError> {
    let length = text.chars().count();
    prop_assert!(error.at < length && error.length > 0);
    prop_assert!(error.at.saturating_add(error.length) <= length, "{error:?}");
    prop_assert!(!error.message.is_empty());
    prop_assert_eq!(error.pointed(text).lines().count(), 2);
    Ok(())
}

fn check_canonical(query: &Query) -> Result<(), TestCaseError> {
    for term in &query.filter.terms {
        let again = good(&term.text);
        prop_assert_eq!(&again.filter.terms, std::slice::from_ref(term));
        prop_assert_eq!(again.placement, Ask::default());
    }
    prop_assert_eq!(&good(&query.to_string()), query);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_read_or_refused_at_a_place(text in prop::collection::vec(any::<char>(), 0..40)) {
        check(&String::from_iter(text))?;
    }

    #[test]
    fn any_pieces_are_read_or_refused_at_a_place(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        check(&text)?;
    }

    #[test]
    fn a_canonical_text_is_the_same_query(
        terms in prop::collection::vec((term(), prop::sample::select(vec![" ", ", ", " and ", "&&"])), 0..6),
    ) {
        let text: String = terms.iter().map(|(term, between)| [term.as_str(), between].concat()).collect();
        check(&text)?;
    }

    #[test]
    fn prices_are_compared_as_the_requester_pays_them(base in 0_i64..100_000, owner in 0_i64..30) {
        let hour = Amount::try_from_base(base).expect("small").to_io();
        let pays = owner.saturating_mul(ALL_IN_HOUR);
        let owner = u64::try_from(owner).expect("not negative");
        for (operator, holds) in [("<=", pays <= base), ("<", pays < base), (">=", pays >= base), (">", pays > base)] {
            let accepts = match read(&format!("price{operator}{hour}")).map(|query| query.filter.terms) {
                Err(error) => {
                    prop_assert!(error.message.contains("below 0"));
                    false
                }
                Ok(terms) => terms.iter().all(|term| match term.test {
                    Test::Between(Number::Price, min, max) => (min..=max).contains(&owner),
                    _ => false,
                }),
            };
            prop_assert_eq!(accepts, holds, "{} {} {}", pays, operator, base);
        }
    }
}
