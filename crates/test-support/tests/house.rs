//! The arrows of ARCHITECTURE.md, read from the manifests: who depends on whom, and nobody on anyone else.

use std::collections::BTreeMap;
use std::process::Command;

/// Ordinary dependencies inside the house. A dependency that only tests have is free.
const ARROWS: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("protocol", &["kernel"]),
    ("market", &["kernel", "protocol"]),
    ("ledger", &["kernel", "protocol"]),
    ("metering", &["kernel", "protocol"]),
    ("proof", &["kernel", "protocol"]),
    ("settlement", &["kernel"]),
    ("sealed", &[]),
    ("chain-aptos", &["kernel", "settlement"]),
    (
        "store",
        &["kernel", "ledger", "metering", "protocol", "settlement"],
    ),
    (
        "exchange",
        &[
            "kernel",
            "ledger",
            "market",
            "metering",
            "proof",
            "protocol",
            "sealed",
            "settlement",
            "store",
        ],
    ),
    ("app", &["exchange", "kernel", "protocol"]),
    (
        "server",
        &[
            "app",
            "chain-aptos",
            "exchange",
            "kernel",
            "protocol",
            "settlement",
        ],
    ),
    ("gpu-probe", &["proof", "protocol"]),
    (
        "worker",
        &[
            "gpu-probe",
            "kernel",
            "metering",
            "proof",
            "protocol",
            "sealed",
        ],
    ),
    (
        "cli",
        &[
            "chain-aptos",
            "kernel",
            "metering",
            "protocol",
            "settlement",
        ],
    ),
    ("verify", &["metering", "protocol", "settlement"]),
    ("devchain", &["kernel"]),
    (
        "test-support",
        &["kernel", "metering", "protocol", "worker"],
    ),
    (
        "bench",
        &[
            "exchange",
            "kernel",
            "ledger",
            "market",
            "metering",
            "protocol",
            "settlement",
            "store",
            "test-support",
        ],
    ),
];

#[test]
fn no_arrow_points_where_the_map_has_none() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is new: put it on the map and into this test"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let ordinary = dependency["kind"].is_null();
            if ordinary && names.contains(&to) {
                assert!(
                    may.contains(&to),
                    "{name} must not depend on {to} (ARCHITECTURE.md, who may know whom)"
                );
            }
        }
    }
    assert!(names.len() >= 11, "the workspace was not read: {names:?}");
}
