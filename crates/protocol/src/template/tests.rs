use std::collections::BTreeMap;

use super::{Expected, Given, Template, TemplateLaunch, Way};
use crate::template::Both;

const GOOD: &str = r#"
format = 1
kind = "rendering"
version = "1"
licence = "Apache-2.0"
files = ["render.py"]
title = { en = "Frames", zh = "帧" }
summary = { en = "Renders", zh = "渲染" }
[[inputs]]
name = "frames"
type = "integer"
default = 4
min = 1
max = 64
label = { en = "Frames", zh = "帧数" }
[[inputs]]
name = "scene"
type = "text"
default = "scene.pov"
label = { en = "Scene", zh = "场景" }
[[inputs]]
name = "price"
type = "text"
default = ""
optional = true
label = { en = "Price", zh = "价格" }
[[inputs]]
name = "rate"
type = "decimal"
default = 0.1
min = 0.001
max = 1
label = { en = "Rate", zh = "率" }
[[inputs]]
name = "nodes"
type = "choice"
default = "a"
choices = [{ value = "a", label = { en = "A", zh = "甲" } }, { value = "b", label = { en = "B", zh = "乙" } }]
label = { en = "Letter", zh = "字母" }
[spec]
name = "Render {{scene}}"
command = ["python3", "render.py", "{{scene}}", "--rate={{rate}}", "{{nodes}}"]
[spec.env]
FRAMES = "{{frames}}"
[spec.placement]
nodes = "{{frames}}"
[spec.limits]
max_price_per_hour = "{{price}}"
[small]
needs = { en = "Python", zh = "Python" }
expected = { fixed_seconds = 2, each_milliseconds = 1500, of = "frames", basis = { en = "One core", zh = "单核" } }
[gpu]
min_vram_gib = 8
image = "ghcr.io/me/render:1"
needs = { en = "A card", zh = "显卡" }
spec = { env = { DEVICE = "cuda" } }
"#;

fn read(text: &str) -> Result<Template, Vec<String>> {
    let file = |name: &str| match name {
        "template.toml" => Some(text.to_owned()),
        "README.md" => Some("# Frames".to_owned()),
        "render.py" => Some("print()".to_owned()),
        _ => None,
    };
    Template::read("templates/frames", file)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn good() -> Template {
    read(GOOD).expect("it is right")
}

fn given(pairs: &[(&str, &str)]) -> Given {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(pair).collect()
}

#[test]
fn a_filled_template_is_an_ordinary_job() {
    let template = good();
    let spec = template.fill(Way::Small, &Given::new()).expect("defaults");
    assert_eq!(spec.name, "Render scene.pov");
    assert_eq!(spec.env["FRAMES"], "4");
    assert_eq!(spec.placement.nodes, 4);
    assert_eq!(spec.limits.max_price_per_hour, None, "left empty, left out");
    assert_eq!(spec.files[0].content, "print()");
    assert_eq!(spec.image, None, "the node's own programs");
    let gpu = template
        .fill(Way::Gpu, &given(&[("price", "2.5")]))
        .expect("fits");
    assert_eq!(gpu.resources.class.as_str(), "gpu");
    assert_eq!(gpu.resources.device_memory_mib, 8 * 1_024);
    assert_eq!(gpu.image.as_deref(), Some("ghcr.io/me/render:1"));
    assert_eq!(gpu.env["DEVICE"], "cuda");
    assert_eq!(gpu.env["FRAMES"], "4", "tables are joined");
    assert_eq!(gpu.limits.max_price_per_hour.as_deref(), Some("2.5"));
}

#[test]
fn a_value_is_one_argument_whatever_stands_in_it() {
    let evil = "a; rm -rf / \" '{{frames}}' $(id) `id`";
    let spec = good()
        .fill(Way::Small, &given(&[("scene", evil)]))
        .expect("it is only a text");
    assert_eq!(
        spec.command,
        ["python3", "render.py", evil, "--rate=0.1", "a"],
        "not split, not expanded, and a placeholder in a value is not one"
    );
    assert_eq!(spec.command.len(), 5);
    let keys: Vec<_> = spec.env.keys().collect();
    assert_eq!(keys, ["FRAMES"], "no variable was added");
}

#[test]
fn what_is_not_taken_is_named() {
    let template = good();
    let refused = |pairs: &[(&str, &str)]| {
        let problems = template
            .fill(Way::Small, &given(pairs))
            .expect_err("refused");
        let named = problems.into_iter().map(|p| (p.field, p.message));
        named.collect::<BTreeMap<_, _>>()
    };
    let found = refused(&[
        ("frames", "65"),
        ("rate", "0.0009"),
        ("nodes", "c"),
        ("scene", "two\nlines"),
        ("other", "1"),
    ]);
    assert_eq!(found["inputs.frames"], "a whole number from 1 to 64");
    assert_eq!(found["inputs.rate"], "a number from 0.001 to 1");
    assert_eq!(found["inputs.nodes"], "one of: a, b");
    assert_eq!(found["inputs.scene"], "at most 200 characters on one line");
    assert_eq!(found["inputs.other"], "this template does not ask for it");
    assert!(refused(&[("scene", "")]).contains_key("inputs.scene"));
    for bad in ["1e9", "-1", "1.0000000001", ".5", "5.", "٣"] {
        assert!(
            refused(&[("rate", bad)]).contains_key("inputs.rate"),
            "{bad}"
        );
    }
    // What the specification itself refuses is said too.
    assert!(refused(&[("price", "free")]).contains_key("limits.max_price_per_hour"));
}

/// What is wrong when the text is changed so.
fn complaints(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let errors = read(&GOOD.replacen(from, to, 1)).expect_err("it is wrong");
    errors.join("\n")
}

#[test]
fn a_mistake_is_told_with_file_key_and_what_to_do() {
    let told = |from, to, said: &str| {
        let found = complaints(from, to);
        assert!(found.contains(said), "{to}: {found}");
    };
    told(
        "format = 1",
        "format = 2",
        "templates/frames/template.toml: format: this version reads format 1",
    );
    told("kind = \"rendering\"", "kind = \"game\"", "line 3");
    told("version = \"1\"", "versions = \"1\"", "versions");
    told(
        "files = [\"render.py\"]",
        "files = [\"more.py\"]",
        "files[0]: there is no text file more.py",
    );
    told(
        "files = [\"render.py\"]",
        "files = [\"../x\"]",
        "files[0]: a relative path",
    );
    told(
        "default = 4",
        "default = 0",
        "inputs[0].default: not an answer that it would take: a whole number from 1 to 64",
    );
    told(
        "max = 64\n",
        "",
        "inputs[0].min: give a number its min and its max",
    );
    told(
        "name = \"scene\"",
        "name = \"frames\"",
        "inputs[1].name: two inputs have this name",
    );
    told(
        "FRAMES = \"{{frames}}\"",
        "FRAMES = \"{{frame}}\"",
        "spec.env.FRAMES: {{frame}} is no input",
    );
    told(
        "FRAMES = \"{{frames}}\"",
        "FRAMES = \"{{frames\"",
        "spec.env.FRAMES: `{{` without `}}`",
    );
    told(
        "\"--rate={{rate}}\", ",
        "",
        "inputs[3].name: nothing in [spec] names it",
    );
    told(
        "max = 64",
        "max = 65",
        "spec.placement.nodes: a whole number from 1 to 64 (with frames = 65)",
    );
    told(
        "of = \"frames\"",
        "of = \"scene\"",
        "small.expected.of: the name of an integer input",
    );
    told(
        "min_vram_gib = 8",
        "cuda = \"12\"",
        "gpu.min_vram_gib: say how much memory",
    );
    told("zh = \"帧\"", "zh = \"\"", "title.zh: 1 to 80 characters");
    let errors = Template::read("templates/Bad Name", |_| None).expect_err("nothing is there");
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn expected_time_is_shared_by_the_nodes() {
    let expected = Expected {
        fixed_seconds: 2,
        each_milliseconds: 1_500,
        of: Some("frames".to_owned()),
        basis: Both {
            en: String::new(),
            zh: String::new(),
        },
    };
    assert_eq!(expected.seconds(10, 1).get(), 17);
    assert_eq!(expected.seconds(10, 4).get(), 6);
    assert_eq!(expected.seconds(u64::MAX, 0).get(), u64::MAX);
    let template = good();
    let small = template.setup(Way::Small).expect("there");
    assert_eq!(template.count(small, &given(&[("frames", "12")])), 12);
    assert_eq!(template.count(small, &Given::new()), 4);
}

#[test]
fn words_find_a_template_in_both_languages() {
    let template = good();
    assert!(template.has_words("frames RENDER"));
    assert!(template.has_words("渲染"));
    assert!(!template.has_words("frames training"));
}

#[test]
fn a_launch_takes_numbers_as_they_are_and_sets_limits() {
    let text = r#"{"inputs": {"frames": 3, "rate": 0.5, "scene": "x"}, "duration_seconds": 90, "max_price_per_hour": "2"}"#;
    let launch: TemplateLaunch = serde_json::from_str(text).expect("readable");
    let spec = good().job(&launch).expect("fits");
    assert_eq!(spec.env["FRAMES"], "3");
    assert_eq!(spec.command[3], "--rate=0.5");
    assert_eq!(spec.limits.duration_seconds, 90);
    assert_eq!(spec.limits.max_price_per_hour.as_deref(), Some("2"));
    let launch = TemplateLaunch {
        duration_seconds: Some(0),
        ..launch
    };
    let problems = good().job(&launch).expect_err("no time");
    assert_eq!(problems[0].field, "limits.duration_seconds");
    for wrong in [
        r#"{"inputs": {"a": []}}"#,
        r#"{"ways": "gpu"}"#,
        r#"{"way": "tpu"}"#,
    ] {
        assert!(
            serde_json::from_str::<TemplateLaunch>(wrong).is_err(),
            "{wrong}"
        );
    }
}
