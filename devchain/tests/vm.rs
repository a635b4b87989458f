//! The VM behind its door: compile, publish, call, read; and what goes wrong is told apart.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::path::{Path, PathBuf};

use devchain::package::Toolkit;
use devchain::types::Address;
use devchain::vm::{Call, Libraries, Status, Vm};
use serde_json::json;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn tools() -> (Libraries, Toolkit) {
    let libraries = Libraries::find().unwrap_or_else(|error| panic!("{error}"));
    let tools = Toolkit::new(libraries.clone(), env!("CARGO_BIN_EXE_iog-devchain"));
    (libraries, tools)
}

fn publisher() -> Address {
    "0xcafe".parse().unwrap()
}

fn vm() -> Vm {
    let (libraries, tools) = tools();
    let standin = path("../contracts/standin");
    let built = tools
        .build(&path("tests/move"), &standin, &[("sample", publisher())])
        .unwrap();
    let mut vm = Vm::start(&libraries, built.framework).unwrap();
    vm.publish(publisher(), built.modules).unwrap();
    vm
}

fn mint(to: &str, amount: u64, note: &[u8]) -> Call {
    let to: Address = to.parse().unwrap();
    Call::parse("0xcafe::coin::mint")
        .unwrap()
        .argument(&to)
        .and_then(|call| call.argument(&amount))
        .and_then(|call| call.argument(&note))
        .unwrap()
}

#[test]
fn a_package_is_published_called_and_read() {
    let mut vm = vm();
    vm.advance(100);
    let done = vm
        .execute(&[publisher()], &mint("0xb0b", 70, b"one"))
        .unwrap();
    assert!(done.gas_used > 0);
    let minted: Vec<_> = done
        .events
        .iter()
        .filter(|event| event.tag == "0xcafe::coin::Minted")
        .map(|event| event.data.clone())
        .collect();
    assert_eq!(
        minted,
        [json!({"to": "0xb0b", "amount": "70", "note": "0x6f6e65", "at": "100"})]
    );
    let balance = Call::parse("0xcafe::coin::balance")
        .unwrap()
        .argument(&"0xb0b".parse::<Address>().unwrap())
        .unwrap();
    assert_eq!(vm.view(&balance).unwrap(), [json!("70")]);
    let minted = Call::parse("0xcafe::coin::minted")
        .unwrap()
        .argument(&b"one".to_vec())
        .unwrap();
    assert_eq!(vm.view(&minted).unwrap(), [json!(true), json!("1")]);
    let metadata = vm
        .view(&Call::parse("0xcafe::coin::metadata").unwrap())
        .unwrap();
    assert_eq!(
        metadata[0]["inner"].as_str().map(str::len),
        Some(66),
        "{metadata:?}"
    );
    let treasury = "0xcafe::coin::Treasury".parse().unwrap();
    let treasury = vm.resource(publisher(), &treasury).unwrap().unwrap();
    assert_eq!(treasury["count"], "1", "{treasury}");
    let abi = vm.abi(&"0xcafe::coin".parse().unwrap()).unwrap().unwrap();
    assert_eq!(abi["name"], "coin");
}

#[test]
fn what_fails_is_told_apart_and_changes_nothing() {
    let mut vm = vm();
    vm.execute(&[publisher()], &mint("0xb0b", 70, b"one"))
        .unwrap();
    let again = vm
        .execute(&[publisher()], &mint("0xb0b", 70, b"one"))
        .unwrap_err();
    assert_eq!(again.code(), Some(2), "{again}");
    let stranger = vm
        .execute(&["0x7".parse().unwrap()], &mint("0x7", 1, b"two"))
        .unwrap_err();
    assert_eq!(stranger.code(), Some(1), "{stranger}");
    let poor = vm
        .execute_with(&[publisher()], &mint("0x7", 1, b"two"), 10)
        .unwrap_err();
    assert_eq!(poor.status, Status::OutOfGas);
    let none = vm
        .execute(&[publisher()], &Call::parse("0xcafe::coin::none").unwrap())
        .unwrap_err();
    assert!(matches!(none.status, Status::Other(_)), "{none}");
    let minted = Call::parse("0xcafe::coin::minted")
        .unwrap()
        .argument(&b"two".to_vec())
        .unwrap();
    assert_eq!(vm.view(&minted).unwrap(), [json!(false), json!("1")]);
}

#[test]
fn unit_tests_run_with_coverage_and_a_compile_error_is_a_message() {
    let (_, tools) = tools();
    let standin = path("../contracts/standin");
    let tested = tools
        .test(
            &path("tests/move"),
            &standin,
            &[("sample", publisher())],
            "",
        )
        .unwrap();
    assert!(tested.passed);
    assert!(tested.output.contains("a_note_mints_once"));
    assert!(tested.coverage["coin"] > 5_000);

    let broken = tempfile::tempdir().unwrap();
    std::fs::create_dir(broken.path().join("sources")).unwrap();
    std::fs::write(
        broken.path().join("Move.toml"),
        "[package]\nname = \"Broken\"\nversion = \"0.1.0\"\n[addresses]\nsample = \"_\"\n",
    )
    .unwrap();
    std::fs::write(
        broken.path().join("sources/a.move"),
        "module sample::a { fun f(): u64 { true } }",
    )
    .unwrap();
    let error = tools
        .build(broken.path(), &standin, &[("sample", publisher())])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not compile") && error.contains("a.move"),
        "{error}"
    );
}
