//! Which specifications are taken, and which field is named when one is not.

use super::*;

fn spec() -> JobSpec {
    from_toml("name = 'x'\ncommand = ['true']").expect("valid")
}

fn fields(change: impl FnOnce(&mut JobSpec)) -> Vec<String> {
    let mut spec = spec();
    change(&mut spec);
    spec.problems()
        .into_iter()
        .map(|problem| problem.field)
        .collect()
}

#[test]
fn the_shortest_specification_has_sane_defaults() {
    let spec = spec();
    assert_eq!(spec.resources.class, DeviceClass::Cpu);
    assert_eq!(spec.duration(), Seconds::HOUR);
    assert_eq!(spec.max_price(), None);
}

#[test]
fn each_bad_field_is_named() {
    assert_eq!(fields(|s| s.name = " ".into()), ["name"]);
    assert_eq!(fields(|s| s.command.clear()), ["command"]);
    assert_eq!(fields(|s| s.command.push("a\0b".into())), ["command[1]"]);
    assert_eq!(
        fields(|s| {
            s.env.insert("IOG_X".into(), String::new());
        }),
        ["env.IOG_X"]
    );
    assert_eq!(
        fields(|s| {
            s.env.insert("LD_PRELOAD".into(), "x".into());
        }),
        ["env.LD_PRELOAD"]
    );
    assert_eq!(fields(|s| s.bundle = Some("ABC".into())), ["bundle"]);
    assert_eq!(fields(|s| s.image = Some("Not/AName".into())), ["image"]);
    assert_eq!(
        fields(|s| s.resources.memory_mib = 0),
        ["resources.memory_mib"]
    );
    let file = |path: &str| InlineFile {
        path: path.to_owned(),
        content: String::new(),
    };
    assert_eq!(
        fields(|s| s.files = vec![file("a/b"), file("a"), file("ab")]),
        ["files[1].path"]
    );
    assert_eq!(
        fields(|s| s.limits.duration_seconds = 0),
        ["limits.duration_seconds"]
    );
    for wrong in [0, 59, DURATION_MAX.get() + 1] {
        assert_eq!(
            fields(|s| s.limits.loss_bound_seconds = Some(wrong)),
            ["limits.loss_bound_seconds"]
        );
    }
    assert!(fields(|s| s.limits.loss_bound_seconds = Some(60)).is_empty());
    assert_eq!(
        fields(|s| s.limits.max_price_per_hour = Some("free".into())),
        ["limits.max_price_per_hour"]
    );
    assert_eq!(
        fields(|s| s.limits.max_price_per_hour = Some("0".into())),
        ["limits.max_price_per_hour"]
    );
    assert_eq!(
        fields(|s| s.placement.countries = ["ch", "CH", "UK", "XX"].map(str::to_owned).to_vec()),
        ["placement.countries[0]", "placement.countries[3]"]
    );
    assert_eq!(fields(|s| s.metrics.push("a b".into())), ["metrics[0]"]);
}

#[test]
fn an_image_may_say_itself_what_it_runs() {
    let spec = from_toml("name = 'x'\nimage = 'busybox:1'").expect("valid");
    assert!(spec.command.is_empty());
    assert!(from_toml("name = 'x'").is_err());
    assert!(from_toml("name = 'x'\nimage = 'busybox'\ncommand = ['']").is_err());
}

#[test]
fn no_path_leaves_its_directory() {
    for bad in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        "a\\b",
        "a\0",
    ] {
        assert!(!is_inner_path(bad), "{bad:?}");
    }
    for good in ["a", "a/b.py", ".hidden", "a..b"] {
        assert!(is_inner_path(good), "{good:?}");
    }
}

#[test]
fn unknown_fields_are_refused_by_name() {
    let error = from_toml("name = 'x'\ncommand = ['true']\ngpus = 3").expect_err("unknown");
    assert!(error[0].message.contains("gpus"), "{error:?}");
}
