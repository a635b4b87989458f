//! What queries mean.

mod random;
mod wrong;

use kernel::{Amount, PricePerSecond};
use protocol::spec::DeviceClass;

use super::*;
use crate::filter::{Number, Test};
use crate::names::words;
use crate::offer::Version;
use crate::place::{Country, Region};
use crate::request::{Kind, Near};

/// An hour costs the requester the owner's price and a tenth of it.
const ALL_IN_HOUR: i64 = 3_960;

fn read(text: &str) -> Result<Query, QueryError> {
    let at_most = |hour: Amount| {
        PricePerSecond::from_amount(
            Amount::try_from_base(hour.base() / ALL_IN_HOUR).expect("smaller than an amount"),
        )
    };
    parse(text, &Prices { at_most: &at_most })
}

fn good(text: &str) -> Query {
    read(text).unwrap_or_else(|error| panic!("{error}\n{}", error.pointed(text)))
}

fn tests(text: &str) -> Vec<Test> {
    good(text)
        .filter
        .terms
        .into_iter()
        .map(|term| term.test)
        .collect()
}

fn models(written: &[&str]) -> Vec<Vec<String>> {
    written.iter().map(|written| words(written)).collect()
}

fn countries(codes: &[&str]) -> Vec<Country> {
    codes
        .iter()
        .filter_map(|code| Country::parse(code))
        .collect()
}

const GIB: u64 = 1_024;
const MAX: u64 = u64::MAX;

#[test]
fn one_term_is_one_test() {
    use Number::{
        Cards, Cpus, Cuda, Disk, Down, Driver, MaxDuration, Memory, MinDuration, Reputation, Up,
        Verified, Vram, Watts,
    };
    let version = |major, minor| u64::from(Version::new(major, minor).get());
    let group = |name: &str| vec![name.to_owned()];
    let table = [
        // Models.
        ("gpu=RTX_4090", Test::model("rtx 4090")),
        ("model == 'rtx 4090'", Test::model("rtx 4090")),
        ("gpu = rtx 4090", Test::model("rtx 4090")),
        ("rtx 4090", Test::model("rtx 4090")),
        ("\"RTX 4090\" ti", Test::model("rtx 4090 ti")),
        ("gpu!=h100", Test::NotModel(models(&["h100"]))),
        (
            "gpu in [rtx_4090, 'a 100', h 100]",
            Test::Model(models(&["rtx 4090", "a 100", "h 100"])),
        ),
        ("NAME NOT IN (a, b)", Test::NotModel(models(&["a", "b"]))),
        ("gpu in rtx 4090", Test::model("rtx 4090")),
        ("class=GPU", Test::Class(DeviceClass::Gpu)),
        // Sizes: half a GiB more or less is the same card.
        ("vram>=24", Test::Between(Vram, 24 * GIB - 512, MAX)),
        ("vram ≥ 24 GB", Test::Between(Vram, 24 * GIB - 512, MAX)),
        (
            "vram=24gib",
            Test::Between(Vram, 24 * GIB - 512, 24 * GIB + 511),
        ),
        ("vram<=24", Test::Between(Vram, 0, 24 * GIB + 511)),
        ("vram>24", Test::Between(Vram, 24 * GIB + 512, MAX)),
        ("vram<24", Test::Between(Vram, 0, 24 * GIB - 513)),
        (
            "vram!=24",
            Test::Outside(Vram, 24 * GIB - 512, 24 * GIB + 511),
        ),
        (
            "vram≠24",
            Test::Outside(Vram, 24 * GIB - 512, 24 * GIB + 511),
        ),
        ("gpu_ram>=24564MiB", Test::Between(Vram, 24_564, MAX)),
        ("vram=512M", Test::Between(Vram, 512, 512)),
        ("vram<512 mb", Test::Between(Vram, 0, 511)),
        ("vram>=1.5", Test::Between(Vram, 1_024, MAX)),
        ("vram>=1", Test::Between(Vram, 512, MAX)),
        // Around less than one it would be nothing.
        ("vram>=0.5", Test::Between(Vram, 512, MAX)),
        ("vram<0.5", Test::Between(Vram, 0, 511)),
        ("vram<=0.25", Test::Between(Vram, 0, 256)),
        ("vram>0", Test::Between(Vram, 1, MAX)),
        ("vram=0", Test::Between(Vram, 0, 0)),
        (
            "vram in [24, 48 GB]",
            Test::OneOf(Vram, vec![(24_064, 25_087), (48_640, 49_663)]),
        ),
        ("vram notin 24", Test::NoneOf(Vram, vec![(24_064, 25_087)])),
        ("ram>=0.25T", Test::Between(Memory, 256 * GIB - 512, MAX)),
        ("storage<=2TB", Test::Between(Disk, 0, 2_048 * GIB + 511)),
        // Counts, levels, watts.
        ("num_gpus>=4", Test::Between(Cards, 4, MAX)),
        ("cores>16", Test::Between(Cpus, 17, MAX)),
        ("rep>=90", Test::Between(Reputation, 90, MAX)),
        ("reputation >= 90 %", Test::Between(Reputation, 90, MAX)),
        ("verified>=challenged", Test::Between(Verified, 2, MAX)),
        (
            "verified in [Seen, 3]",
            Test::OneOf(Verified, vec![(1, 1), (3, 3)]),
        ),
        ("power<=0.35kW", Test::Between(Watts, 0, 350)),
        ("watts<450 w", Test::Between(Watts, 0, 449)),
        // Versions.
        (
            "driver>=550.54.15",
            Test::Between(Driver, version(550, 54), MAX),
        ),
        (
            "cuda=12.4",
            Test::Between(Cuda, version(12, 4), version(12, 4)),
        ),
        (
            "cuda=12",
            Test::Between(Cuda, version(12, 0), version(12, 999)),
        ),
        ("cuda>=12", Test::Between(Cuda, version(12, 0), MAX)),
        ("cuda<=12", Test::Between(Cuda, 0, version(12, 999))),
        ("cuda>12", Test::Between(Cuda, version(13, 0), MAX)),
        ("cuda<12", Test::Between(Cuda, 0, version(11, 999))),
        // Rates.
        ("up>=100", Test::Between(Up, 100, MAX)),
        ("inet_down>=1.5Gbps", Test::Between(Down, 1_500, MAX)),
        ("download >= 1 Gbit / s", Test::Between(Down, 1_000, MAX)),
        ("upload<=2500kbit/s", Test::Between(Up, 0, 3)),
        // Lengths of time.
        ("min_duration<=90m", Test::Between(MinDuration, 0, 5_400)),
        (
            "max-duration>=1h30m",
            Test::Between(MaxDuration, 5_400, MAX),
        ),
        (
            "max_duration >= 1 h 30 min",
            Test::Between(MaxDuration, 5_400, MAX),
        ),
        (
            "max_duration>=1w 2d",
            Test::Between(MaxDuration, 777_600, MAX),
        ),
        ("max_duration>=1.5h", Test::Between(MaxDuration, 5_400, MAX)),
        ("min_duration=30s", Test::Between(MinDuration, 30, 30)),
        // Places.
        ("country=de", Test::Country(countries(&["DE"]))),
        ("country=EL", Test::Country(countries(&["GR"]))),
        ("country=United_States", Test::Country(countries(&["US"]))),
        (
            "country = united arab emirates",
            Test::Country(countries(&["AE"])),
        ),
        ("country=\"South Korea\"", Test::Country(countries(&["KR"]))),
        ("country!=in", Test::NotCountry(countries(&["IN"]))),
        (
            "country notin [UK, usa, In, as]",
            Test::NotCountry(countries(&["GB", "US", "IN", "AS"])),
        ),
        ("region=eu", Test::Region(vec![Region::Europe])),
        (
            "region = north america",
            Test::Region(vec![Region::NorthAmerica]),
        ),
        (
            "region not in [AS, South_America]",
            Test::NotRegion(vec![Region::Asia, Region::SouthAmerica]),
        ),
        ("group=Hall_3", Test::Group(group("hall 3"))),
        ("group='Hall_3'", Test::Group(group("hall 3"))),
        ("group!=\"hall_3 \"", Test::NotGroup(group("hall 3"))),
        (
            "group!='R&D, \"west\"'",
            Test::NotGroup(group("r&d, \"west\"")),
        ),
    ];
    for (text, test) in table {
        assert_eq!(tests(text), [test], "{text}");
    }
}

#[test]
fn terms_hold_together() {
    let wanted = [
        Test::model("rtx 4090"),
        Test::Between(Number::Vram, 24_064, MAX),
        Test::Between(Number::Reputation, 90, MAX),
        Test::NotCountry(countries(&["DE", "FR"])),
    ];
    for text in [
        "rtx 4090 vram>=24 reputation>=90 country notin [de, fr]",
        "gpu=RTX_4090, vram >= 24, rep>=90, country not in (DE,FR)",
        "RTX_4090 and vram>=24 && rep>=90 AND country notin [Germany, France],",
        "gpu=rtx_4090,vram>=24,rep>=90,country notin [de,fr]",
        "\trtx\n4090\u{a0}vram≥24GB rep≥90% country notin [de,fr]",
    ] {
        assert_eq!(tests(text), wanted, "{text}");
    }
    assert_eq!(tests("vram>=24, country=de, 4090").len(), 3);
    // The words behind a value are a model, wherever they stand.
    assert_eq!(
        tests("vram>=16 t4 country=de 4090"),
        [
            Test::Between(Number::Vram, 15_872, MAX),
            Test::model("t4"),
            Test::Country(countries(&["DE"])),
            Test::model("4090"),
        ]
    );
    // The job's length is inside what the offer takes. "4090 d" is no second part of it.
    assert_eq!(
        tests("duration=6h 4090 d"),
        [
            Test::Between(Number::MinDuration, 0, 21_600),
            Test::Between(Number::MaxDuration, 21_600, MAX),
            Test::model("4090 d"),
        ]
    );
    assert_eq!(good(" , and && "), Query::default());
}

#[test]
fn the_placement_is_no_filter() {
    let query = good("count=2 nodes=4 near=Country spread=owner type=on_demand vram>=24");
    assert_eq!(query.filter.terms.len(), 1);
    let ask = Ask {
        count: 2,
        nodes: 4,
        near: Near::Country,
        spread: true,
        kind: Kind::OnDemand,
    };
    assert_eq!(query.placement, ask);
    assert_eq!(good("count=64 nodes=64").placement.nodes, 64);
    assert_eq!(good("kind = on demand").placement, Ask::default());
    assert_eq!(
        good("kind=Spot spread=none near=any").placement.kind,
        Kind::Spot
    );
    assert_eq!(good("kind=reserved").placement.kind, Kind::Reserved);
}

#[test]
fn a_price_is_what_the_requester_pays_an_hour() {
    let between = |min, max| [Test::Between(Number::Price, min, max)];
    // 90,000,000 base units an hour are 22,727 and a bit of the owner's.
    for text in [
        "price<=0.9",
        "dph<=0.9/h",
        "price <= 0.9 IO/h",
        "price<=0.9 io per hour",
        "price_per_hour<=0.9_IO_/_h",
        "price<=0.00025/s",
        "price<=21.6/d",
        "price<0.9",
    ] {
        assert_eq!(tests(text), between(0, 22_727), "{text}");
    }
    assert_eq!(tests("price>=0.9"), between(22_728, MAX));
    assert_eq!(tests("price>0.9"), between(22_728, MAX));
    // No owner's price comes to exactly this: the nearest below it.
    assert_eq!(tests("price=0.9"), between(22_727, 22_727));
    assert_eq!(
        tests("price!=0.9"),
        [Test::Outside(Number::Price, 22_727, 22_727)]
    );
    // A day of 190,081 base units is an hour of 7,920 and a bit: two of the owner's cost less.
    assert_eq!(tests("price<0.00190081/d"), between(0, 2));
    assert_eq!(tests("price<0.0019008/d"), between(0, 1));
    // Two base units a second, to the unit.
    assert_eq!(tests("price=0.0000792"), between(2, 2));
    assert_eq!(tests("price<0.0000792"), between(0, 1));
    assert_eq!(tests("price<=0.0000792"), between(0, 2));
    assert_eq!(tests("price>=0.0000792"), between(2, MAX));
    assert_eq!(tests("price>0.0000792"), between(3, MAX));
    assert_eq!(tests("price>=0"), between(0, MAX));
    assert_eq!(tests("price!=0"), [Test::Outside(Number::Price, 0, 0)]);
}

#[test]
fn texts_are_canonical() {
    for (text, canonical) in [
        ("Rtx 4090, GPU_RAM ≥ 24 gb", "gpu=Rtx_4090 vram>=24gb"),
        (
            "country NOT IN (de,'South Korea')",
            "country notin [de, South_Korea]",
        ),
        ("country in de", "country in [de]"),
        (
            "group='a_b' group!=\"c's\" group!='and'",
            "group=\"a_b\" group!=\"c's\" group!=\"and\"",
        ),
        ("\"a'b\" 'c\"d'", "gpu='a b c\"d'"),
        (
            "duration = 1 h 30 m",
            "min_duration<=1h30m max_duration>=1h30m",
        ),
        (
            "type=spot rep>=90 % near=any count=2",
            "reputation>=90% count=2 kind=spot",
        ),
        ("count=1", ""),
    ] {
        let query = good(text);
        assert_eq!(query.to_string(), canonical, "{text}");
        assert_eq!(good(canonical), query, "{text}");
    }
    assert!(
        good("vram>=24")
            .filter
            .terms
            .iter()
            .all(|term| term.source == "query")
    );
}

#[test]
fn every_example_is_one() {
    for help in fields() {
        let query = good(help.example);
        let field = query.filter.terms.first().map(|term| term.test.field());
        if let Some(field) = field.filter(|_| help.name != "duration") {
            assert_eq!(field, help.name);
        }
        for alias in help.aliases {
            assert_eq!(
                good(&help.example.replacen(help.name, alias, 1)),
                query,
                "{alias}"
            );
        }
        let value = help.example.rsplit(['=', '[']).next().unwrap_or_default();
        let value = value.split([',', ']']).next().unwrap_or_default();
        for operator in help.operators.split(' ') {
            good(&format!("{} {operator} {value}", help.name));
        }
    }
}
