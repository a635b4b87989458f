//! Queries that cannot be read: where, and what is said.

use super::{read, tests};

#[test]
fn wrong_queries_say_where_and_what_to_write() {
    let table = [
        // Fields.
        ("vrm>=24", 0, "there is no field `vrm`"),
        ("rtx 4090 foo=3", 9, "the fields are gpu, class, vram"),
        ("24<=vram", 0, "the field stands first"),
        (">=24", 0, "a field is missing before `>=`"),
        ("vram>=24<=48", 8, "a field is missing before `<=`"),
        ("in [de, fr]", 0, "a field is missing before `in`"),
        (
            "country=de not in [fr]",
            11,
            "a field is missing before `notin`",
        ),
        ("rtx 4090 vram", 9, "an operator is missing"),
        ("vram 24", 0, "write a term such as `vram>=24`"),
        ("gpu:4090", 0, "write `gpu=4090`"),
        // Operators.
        ("vram=>24", 4, "`>=`"),
        ("vram=<24", 4, "`<=`"),
        ("vram<>24", 4, "`!=`"),
        ("vram!24", 4, "`!=` or `notin`"),
        ("vram>= >=24", 7, "two operators"),
        ("gpu>=h100", 3, "`gpu` takes only = != in notin"),
        ("class!=gpu", 5, "`class` takes only ="),
        ("count>=2", 5, "write it like `count=2`"),
        ("near in [group]", 5, "`near` takes only ="),
        ("vram>=24 & cards=2", 9, "write `&&` or a blank"),
        ("a100 | h100", 5, "either-or is written as a list"),
        ("a100 or h100", 5, "either-or is a list"),
        ("not vram>=24", 0, "`not` stands only before `in`"),
        // Values.
        ("vram>=", 4, "a value is missing after `>=`"),
        ("gpu=, vram>=24", 3, "a value is missing after `=`"),
        ("gpu= vram>=24", 3, "a value is missing after `=`"),
        ("rep>=90 country in", 16, "a value is missing after `in`"),
        ("vram>=many", 6, "a number is expected"),
        ("vram>=-1", 6, "a number is expected"),
        ("vram>=1.2.3", 6, "`1.2.3` is no number"),
        ("vram>=1.0000000001", 6, "more than 9 decimals"),
        ("vram>=24kg", 6, "`kg` is no unit"),
        ("vram>=24000", 6, "from 0 to 4096 GiB"),
        ("vram<0", 0, "nothing is below 0"),
        (
            "disk>=99999999999999999999999999",
            6,
            "from 0 to 1048576 GiB",
        ),
        ("cards=2.5", 6, "a whole number from 0 to 1024"),
        ("cards=0", 0, "`cards` begins at 1"),
        ("reputation>=101", 12, "from 0 to 100"),
        ("reputation>100", 0, "goes from 0 to 100"),
        ("verified=4", 9, "from 0 to 3"),
        ("verified=chalenged", 9, "claimed, seen, challenged, proven"),
        ("watts<=200kW", 7, "from 0 to 100000 W"),
        ("up>=100MB/s", 4, "write Mbit/s"),
        ("up>=100Tbit", 4, "`tbit` is no unit"),
        ("down>=99999Gbps", 6, "from 0 to 10000000 Mbit/s"),
        ("cuda>=latest", 6, "`latest` is no version"),
        ("cuda>=12.1000", 6, "the second below 1000"),
        ("driver>=.5", 8, "`.5` is no version"),
        ("price<=$0.9", 7, "prices are in IO"),
        ("price<=0.9usd", 7, "prices are in IO"),
        ("price<=0.9/month", 7, "IO/h, IO/s or IO/d"),
        ("price<=cheap", 7, "not a number"),
        ("price<=-1", 7, "price<=0.9/h"),
        ("price<=0.000000001", 7, "8 decimals"),
        ("price<=900000000", 7, "800,000,000"),
        ("price<=1000000/s", 7, "800,000,000"),
        ("price<0", 0, "nothing is below 0"),
        ("duration=6", 9, "no length of time"),
        ("duration>=6h", 8, "`duration` takes only ="),
        ("duration=30m1h", 9, "90m, 6h, 2d or 1h30m"),
        ("min_duration<=1month", 14, "no length of time"),
        ("max_duration>=11y", 14, "no length of time"),
        ("max_duration>=1000w", 14, "from 0s to 3650d"),
        ("country=zz", 8, "write its two letters"),
        ("country=Germny", 8, "`Germny` is no known country"),
        ("country in [de, EU]", 16, "`EU` is no known country"),
        ("region=mars", 7, "write one of AF, AS, EU"),
        ("region=de", 7, "`de` is no region"),
        ("class=tpu", 6, "`class` is one of gpu, cpu"),
        ("group=''", 6, "a group has a name"),
        ("gpu='--'", 4, "names no model"),
        ("--", 0, "names no model"),
        // Quotes, brackets, lists.
        ("gpu='rtx 4090", 4, "this quote is not closed"),
        ("group=bob's", 9, "a quoted text stands alone"),
        ("group='a'b", 9, "a quoted text stands alone"),
        ("group='a\nb'", 6, "on one line"),
        ("vram\u{7}>=24", 4, "cannot be read"),
        ("(vram>=24)", 0, "brackets are only for lists"),
        ("vram=[24, 48]", 5, "a list stands behind `in`"),
        ("count=[2]", 6, "one value without brackets"),
        ("country in []", 12, "a value is missing in the list"),
        ("country in [de,,fr]", 15, "a value is missing in the list"),
        ("country in [de, fr", 11, "not closed; write `]`"),
        ("country in [de, fr)", 18, "ends with `]`"),
        (
            "country in (de fr vram>=24",
            22,
            "goes on with `,` or ends with `)`",
        ),
        ("vram in [24 48]", 9, "`48` is no unit"),
        ("gpu in ['a' b]", 12, "goes on with `,`"),
        // Commas that would silently be something else.
        ("country=de,fr", 11, "`country in [de, fr]`"),
        ("country!=de,fr", 12, "`country notin [de, fr]`"),
        ("country in de, fr", 15, "`country in [de, fr]`"),
        ("rtx 4090, h100", 10, "`gpu in [rtx_4090, h100]`"),
        ("vram>=24,564", 9, "a comma ends the term"),
        ("price<=0,9", 9, "a comma ends the term"),
        ("gpu!=rtx 4090", 9, "write `gpu!=rtx_4090`"),
        // The whole.
        ("count=2 count=2", 8, "`count` is said twice"),
        ("kind=spot vram>=8 type=spot", 18, "`kind` is said twice"),
        ("duration=1h duration=2h", 12, "`duration` is said twice"),
        ("count=65", 6, "from 1 to 64"),
        ("nodes=0", 6, "from 1 to 64"),
        ("vram>=24 nodes=65", 15, "from 1 to 64"),
        ("near=galaxy", 5, "group, country, region, any"),
        ("spread=yes", 7, "owner, none"),
        ("kind=spott", 5, "on-demand, spot, reserved"),
        (
            "vram>=48 gpu=a100 vram<=24",
            18,
            "nothing can be both `vram>=48` and `vram<=24`",
        ),
        ("cuda=12 cuda!=12", 8, "nothing can be both"),
        (
            "vram in [24, 48] vram!=24 vram<40",
            26,
            "both `vram!=24` and `vram<40` and satisfy the terms before",
        ),
        (
            "duration=6h max_duration<=1h",
            12,
            "`max_duration>=6h` and `max_duration<=1h`",
        ),
    ];
    for (text, at, part) in table {
        let error = read(text).expect_err(text);
        assert_eq!(error.at, at, "{error}\n{}", error.pointed(text));
        assert!(error.message.contains(part), "{text}: {error}");
    }
}

#[test]
fn near_words_are_suggested() {
    for (text, hint) in [
        ("vrm>=24", "did you mean `vram`?"),
        ("Reputaton>=9", "did you mean `reputation`?"),
        ("verified=chalenged", "did you mean `challenged`?"),
        ("country=Germny", "did you mean `germany`?"),
        ("country=EU", "for the region write `region=EU`"),
        ("region=eurpoe", "did you mean `europe`?"),
        ("region=de", "for the country write `country=DE`"),
        ("kind=spott", "did you mean `spot`?"),
        ("duration=6", "a unit is missing: did you mean `6h`?"),
        ("vram>=24564", "did you mean `24564MiB`?"),
        (
            "price<=0,9",
            "numbers are written without commas: 24564, and 0.9 with a point",
        ),
        (
            "count>=2",
            "for nodes that have at least 2 cards write `cards>=2`",
        ),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!(error.hint.as_deref(), Some(hint), "{text}");
    }
}

#[test]
fn an_error_points_at_its_place() {
    let text = "größe\tvrm>=24";
    let error = read(text).expect_err("no such field");
    assert_eq!(error.pointed(text), "größe vrm>=24\n      ^^^");
    let shown = error.to_string();
    assert!(
        shown.starts_with("character 7: there is no field `vrm`"),
        "{shown}"
    );
    assert!(shown.ends_with("(did you mean `vram`?)"), "{shown}");
}

#[test]
fn what_is_too_much_is_refused() {
    let terms = |count: usize| vec!["gpu=a"; count].join(" ");
    assert_eq!(tests(&terms(64)).len(), 64);
    let error = read(&terms(65)).expect_err("a term too many");
    assert_eq!((error.at, error.length), (64 * 6, 5));
    assert!(error.message.contains("at most 64 terms"), "{error}");

    let list = |count: usize| format!("gpu in [{}]", vec!["a"; count].join(","));
    assert_eq!(tests(&list(64)).len(), 1);
    let error = read(&list(65)).expect_err("a value too many");
    assert_eq!(error.at, 8 + 64 * 2);
    assert!(error.message.contains("at most 64 values"), "{error}");

    assert!(read(&"ü".repeat(1_000)).is_ok());
    let error = read(&format!("{}x", "ü".repeat(1_000))).expect_err("a byte too many");
    assert_eq!((error.at, error.length), (1_000, 1));
    assert!(error.message.contains("at most 2000 bytes"), "{error}");

    let group = |length: usize| format!("group={}", "ü".repeat(length));
    assert!(read(&group(64)).is_ok());
    let error = read(&group(65)).expect_err("a character too many");
    assert!(error.message.contains("at most 64 characters"), "{error}");
}
