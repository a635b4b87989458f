//! The official TypeScript client against the development chain: an independent check of both directions.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::process::Command;

use support::{Devchain, path};

#[test]
fn the_official_typescript_client_works() {
    let folder = path("tests/ts");
    assert!(
        folder.join("node_modules/@aptos-labs/ts-sdk").is_dir(),
        "Aptos's TypeScript client is not installed: run scripts/setup.sh test"
    );
    let data = tempfile::tempdir().unwrap();
    let chain = Devchain::start(data.path(), 100);
    let output = Command::new("node")
        .arg("client.mjs")
        .arg(format!("http://{}", chain.address))
        .current_dir(folder)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{words}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        words.lines().filter(|line| line.starts_with("ok ")).count(),
        12,
        "{words}"
    );
}
