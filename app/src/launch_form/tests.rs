//! The form: what its texts become, and what is said of those that cannot be read.

use protocol::spec::Port;

use super::*;

fn words(text: &str) -> Vec<String> {
    split_command(text).expect("closed quotes")
}

#[test]
fn a_command_is_split_like_in_a_shell() {
    assert_eq!(
        words("python3 train.py  --lr 0.1"),
        ["python3", "train.py", "--lr", "0.1"]
    );
    assert_eq!(
        words(r#"sh -c "echo \"a b\" c" '' "#),
        ["sh", "-c", r#"echo "a b" c"#, ""]
    );
    assert_eq!(words(r"echo 'it'\''s' a\ b"), ["echo", "it's", "a b"]);
    assert_eq!(words("a \\\n b"), ["a", "b"]);
    assert_eq!(words("  \n"), Vec::<String>::new());
    assert!(split_command("echo 'open").is_err());
}

#[test]
fn a_command_survives_its_text() {
    let command: Vec<String> = [
        "sh",
        "-c",
        "echo \"it's $HOME\"\nfor n in 1 2; do echo $n; done\n",
        "",
        "a=b",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(words(&join_command(&command)), command);
}

#[test]
fn a_filled_form_is_a_valid_specification() {
    let form = LaunchForm {
        name: " digits ".into(),
        command: "python3 train.py".into(),
        env: "A=1\r\n\r\nB=x=y".into(),
        file_path: "train.py".into(),
        file_content: "print(1)\r\nprint(2)\r\n".into(),
        metrics: "loss, accuracy，f1".into(),
        class: "cpu".into(),
        minutes: "10".into(),
        max_price: "1.5".into(),
        countries: "ch de".into(),
        ..LaunchForm::default()
    };
    let spec = form.spec().expect("valid");
    assert_eq!(spec.name, "digits");
    assert_eq!(spec.env["B"], "x=y");
    assert_eq!(spec.files[0].content, "print(1)\nprint(2)\n");
    assert_eq!(spec.metrics, ["loss", "accuracy", "f1"]);
    assert_eq!(spec.limits.duration_seconds, 600);
    assert_eq!(spec.placement.countries, ["CH", "DE"]);
    assert_eq!(LaunchForm::of(&spec).spec(), Ok(spec));
}

#[test]
fn ports_keep_their_names_and_health() {
    let form = LaunchForm {
        name: "ports".into(),
        command: "true".into(),
        class: "cpu".into(),
        ports: "8888, 8000 public name=\"OpenAI, by 'us'\" health=/health，9000 name=Ray".into(),
        ..LaunchForm::default()
    };
    let spec = form.spec().expect("valid");
    let port = |port, name: Option<&str>, public, health: Option<&str>| Port {
        port,
        name: name.map(str::to_owned),
        public,
        health: health.map(str::to_owned),
    };
    let wanted = [
        port(8_888, None, false, None),
        port(8_000, Some("OpenAI, by 'us'"), true, Some("/health")),
        port(9_000, Some("Ray"), false, None),
    ];
    assert_eq!(spec.ports, wanted);
    assert_eq!(LaunchForm::of(&spec).spec(), Ok(spec));
    for wrong in [
        "public",
        "8888 private",
        "8888 name='open",
        "name=first 8888",
    ] {
        let form = LaunchForm {
            ports: wrong.into(),
            ..form.clone()
        };
        let problem = form.spec().expect_err(wrong);
        assert_eq!(problem.fields[0].field, "ports", "{wrong}");
    }
}

#[test]
fn where_the_nodes_stand_is_said_in_the_query() {
    let form = LaunchForm {
        name: "gang".into(),
        command: "true".into(),
        class: "gpu".into(),
        nodes: "4".into(),
        count: "2".into(),
        near: "group".into(),
        spread: "owner".into(),
        ..LaunchForm::default()
    };
    let spec = form.spec().expect("valid");
    assert_eq!((spec.placement.nodes, spec.resources.count), (4, 2));
    let filter = spec.placement.filter.as_deref();
    assert_eq!(filter, Some("class=gpu near=group spread=owner"));
    let form = LaunchForm {
        filter: "vram>=24".into(),
        spread: String::new(),
        ..form
    };
    let spec = form.spec().expect("valid");
    assert_eq!(
        spec.placement.filter.as_deref(),
        Some("vram>=24 near=group")
    );
}

#[test]
fn each_bad_field_has_its_message() {
    let form = LaunchForm {
        command: "echo 'x".into(),
        env: "novalue".into(),
        file_content: "x".into(),
        cpus: "many".into(),
        max_price: "free".into(),
        class: "tpu".into(),
        ..LaunchForm::default()
    };
    let problem = form.spec().expect_err("bad");
    let fields: Vec<_> = problem.fields.iter().map(|p| p.field.as_str()).collect();
    for field in [
        "name",
        "command",
        "env",
        "files",
        "resources.cpus",
        "resources.class",
        "limits.max_price_per_hour",
    ] {
        assert_eq!(
            fields.iter().filter(|f| **f == field).count(),
            1,
            "{field} in {fields:?}"
        );
    }
    assert!(
        fields
            .iter()
            .all(|field| FIELDS.iter().any(|(known, _)| field.starts_with(known))),
        "{fields:?}"
    );
}
