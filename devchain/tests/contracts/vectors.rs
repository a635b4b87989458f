//! `contracts/tests/vectors.json`: what Python computed must be what the modules compute.

use std::fs;
use std::process::Command;

use devchain::types::Address;
use devchain::vm::{Call, Vm};
use serde_json::{Value, json};

use crate::{build, contracts, libraries};

pub fn vectors() -> Value {
    let text = fs::read_to_string(contracts().join("tests/vectors.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

pub fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn siblings(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(bytes).collect()
}

/// The package at the vectors' address, at the time of the first publication.
fn published(vectors: &Value) -> Vm {
    let iog = address(&vectors["addresses"]["iog"]);
    let built = build(iog);
    let mut vm = Vm::start(&libraries(), built.framework).unwrap();
    // 2026-11-26: the vectors' week is over.
    vm.advance(1_795_728_000);
    vm.publish(iog, built.modules).unwrap();
    vm
}

fn call(function: &str) -> Call {
    Call::parse(&format!("0xcafe::{function}")).unwrap()
}

fn one(vm: &mut Vm, call: &Call) -> Value {
    vm.view(call)
        .unwrap_or_else(|error| panic!("{}: {error}", call.function))
        .remove(0)
}

fn same_bytes(found: &Value, expected: &Value) {
    assert_eq!(bytes(found), bytes(expected));
}

#[test]
fn the_file_is_what_the_script_computes() {
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| Command::new(python).arg("--version").output().is_ok())
        .unwrap();
    let checked = Command::new(python)
        .arg(contracts().join("tests/vectors.py"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn leaves_nodes_and_reports() {
    let vectors = vectors();
    let mut vm = published(&vectors);
    let leaf = &vectors["leaf"];
    let computed = call("reports::leaf")
        .argument(&number(&leaf["week"]))
        .and_then(|call| call.argument(&number(&leaf["version"])))
        .and_then(|call| call.argument(&address(&leaf["owner"])))
        .and_then(|call| call.argument(&number(&leaf["amount"])))
        .unwrap();
    same_bytes(&one(&mut vm, &computed), &leaf["hash"]);
    let node = &vectors["node"];
    let computed = call("reports::node")
        .argument(&bytes(&node["a"]))
        .and_then(|call| call.argument(&bytes(&node["b"])))
        .unwrap();
    same_bytes(&one(&mut vm, &computed), &node["hash"]);

    let iog = address(&vectors["addresses"]["iog"]);
    let add = call("roles::add_reporter").argument(&iog).unwrap();
    vm.execute(&[iog], &add).unwrap();
    for report in vectors["reports"].as_array().unwrap() {
        let (week, version) = (number(&report["week"]), number(&report["version"]));
        let publish = call("reports::publish")
            .argument(&week)
            .and_then(|call| call.argument(&version))
            .and_then(|call| call.argument(&bytes(&report["root"])))
            .and_then(|call| call.argument(&number(&report["total"])))
            .and_then(|call| call.argument(&number(&report["owners"])))
            .unwrap();
        vm.execute(&[iog], &publish).unwrap();
        for line in report["lines"].as_array().unwrap() {
            let verify = |amount: u64| {
                call("reports::verify")
                    .argument(&week)
                    .and_then(|call| call.argument(&version))
                    .and_then(|call| call.argument(&address(&line["owner"])))
                    .and_then(|call| call.argument(&amount))
                    .and_then(|call| call.argument(&siblings(&line["proof"])))
                    .unwrap()
            };
            let amount = number(&line["amount"]);
            assert_eq!(one(&mut vm, &verify(amount)), json!(true), "{line}");
            assert_eq!(one(&mut vm, &verify(amount + 1)), json!(false), "{line}");
        }
    }
}

#[test]
fn addresses_and_the_package_hash() {
    let vectors = vectors();
    let mut vm = published(&vectors);
    let addresses = &vectors["addresses"];
    for (function, name) in [
        ("token::vesting_address", "vesting"),
        ("settlement::vault_address", "vault"),
        ("escrow::escrow_address", "escrow"),
        ("roles::keeper", "keeper"),
    ] {
        let found = one(&mut vm, &call(function));
        assert_eq!(address(&found), address(&addresses[name]), "{name}");
    }
    let metadata = one(&mut vm, &call("token::metadata"));
    assert_eq!(address(&metadata["inner"]), address(&addresses["metadata"]));
    let channel = call("escrow::channel_address")
        .argument(&address(&addresses["renter"]))
        .and_then(|call| call.argument(&number(&addresses["number"])))
        .unwrap();
    assert_eq!(
        address(&one(&mut vm, &channel)),
        address(&addresses["channel"])
    );
    let store = Call::parse("0x1::primary_fungible_store::primary_store_address")
        .and_then(|mut call| {
            call.type_arguments
                .push("0x1::fungible_asset::Metadata".parse()?);
            Ok(call)
        })
        .unwrap()
        .argument(&address(&addresses["renter"]))
        .and_then(|call| call.argument(&address(&addresses["metadata"])))
        .unwrap();
    assert_eq!(
        address(&one(&mut vm, &store)),
        address(&addresses["renter_store"])
    );
    let package = &vectors["package_hash"];
    let hash = call("roles::package_hash")
        .argument(&bytes(&package["metadata"]))
        .and_then(|call| call.argument(&siblings(&package["code"])))
        .unwrap();
    same_bytes(&one(&mut vm, &hash), &package["hash"]);
}

#[test]
fn a_voucher_signed_elsewhere_is_redeemed() {
    let vectors = vectors();
    let mut vm = published(&vectors);
    let (addresses, voucher) = (&vectors["addresses"], &vectors["voucher"]);
    let (iog, renter) = (address(&addresses["iog"]), address(&addresses["renter"]));
    let (channel, payee) = (address(&voucher["channel"]), address(&voucher["payee"]));
    let cumulative = number(&voucher["cumulative"]);
    let message = call("escrow::voucher_bytes")
        .argument(&channel)
        .and_then(|call| call.argument(&payee))
        .and_then(|call| call.argument(&cumulative))
        .unwrap();
    same_bytes(&one(&mut vm, &message), &voucher["bytes"]);

    let mut transfer = Call::parse("0x1::primary_fungible_store::transfer").unwrap();
    transfer
        .type_arguments
        .push("0x1::fungible_asset::Metadata".parse().unwrap());
    let transfer = transfer
        .argument(&address(&addresses["metadata"]))
        .and_then(|call| call.argument(&renter))
        .and_then(|call| call.argument(&cumulative))
        .unwrap();
    vm.execute(&[iog], &transfer).unwrap();
    let open = call("escrow::open")
        .argument(&number(&addresses["number"]))
        .and_then(|call| call.argument(&bytes(&voucher["voucher_key"])))
        .and_then(|call| call.argument(&cumulative))
        .unwrap();
    vm.execute(&[renter], &open).unwrap();
    let redeem = |signature: Vec<u8>| {
        call("escrow::redeem")
            .argument(&channel)
            .and_then(|call| call.argument(&payee))
            .and_then(|call| call.argument(&cumulative))
            .and_then(|call| call.argument(&signature))
            .unwrap()
    };
    let signature = bytes(&voucher["signature"]);
    let mut forged = signature.clone();
    forged[0] ^= 1;
    let stranger = "0x5742".parse().unwrap();
    assert_eq!(
        vm.execute(&[stranger], &redeem(forged)).unwrap_err().code(),
        Some(10)
    );
    let done = vm.execute(&[stranger], &redeem(signature)).unwrap();
    let redeemed = done
        .events
        .iter()
        .find(|event| event.tag == "0xcafe::escrow::Redeemed")
        .unwrap();
    assert_eq!(redeemed.data["paid"], cumulative.to_string());
    assert_eq!(address(&redeemed.data["payee"]), payee);
}
