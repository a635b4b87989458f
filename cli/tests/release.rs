//! `iog release`: a key is made once, and what it signs carries its signature.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use ed25519_dalek::{Signature, VerifyingKey};
use protocol::release::{Release, target};

fn iog(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iog"));
    command
        .arg("release")
        .args(arguments)
        .output()
        .expect("runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

#[test]
fn a_program_is_signed_with_a_key_of_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, program) = (folder.path().join("key"), folder.path().join("iog-worker"));
    fs::write(&program, b"a program").expect("writes");
    let made = iog(&["key", text(&key)]);
    assert!(made.status.success());
    assert_eq!(
        fs::metadata(&key).expect("is there").permissions().mode() & 0o777,
        0o600
    );
    // It is never written over.
    assert!(!iog(&["key", text(&key)]).status.success());

    let arguments = [
        "sign",
        text(&program),
        "--key",
        text(&key),
        "--version",
        "1.2.3",
    ];
    assert!(iog(&arguments).status.success());
    let written = fs::read(folder.path().join("iog-worker.release.json")).expect("is there");
    let release: Release = serde_json::from_slice(&written).expect("reads");
    assert!(release.is_formed());
    assert_eq!((release.version.as_str(), release.size_bytes), ("1.2.3", 9));
    assert_eq!(release.target, target());
    let public = String::from_utf8(made.stdout).expect("text");
    let public: [u8; 32] = hex::decode(public.trim())
        .expect("hex")
        .try_into()
        .expect("32 bytes");
    let signature = hex::decode(&release.signature).expect("hex");
    VerifyingKey::from_bytes(&public)
        .expect("a key")
        .verify_strict(
            &release.signed_bytes(),
            &Signature::from_slice(&signature).expect("a signature"),
        )
        .expect("signed");

    let wrong = [
        "sign",
        text(&program),
        "--key",
        text(&key),
        "--version",
        "1.2.3-rc1",
    ];
    assert!(!iog(&wrong).status.success());
}
