//! The stand-in for the framework beside what mainnet has at 0x1.

use std::collections::{BTreeMap, BTreeSet};

use devchain::types::{Address, ModuleId};
use devchain::vm::{Vm, header};
use serde_json::Value;

use crate::{build, libraries};

/// Mainnet's interface of 0x1, by module.
fn mainnet() -> BTreeMap<String, Value> {
    let path = std::env::var("IOG_MOVE_ABI").unwrap_or_else(|_| {
        panic!("IOG_MOVE_ABI is not set: scripts/setup.sh test installs the file that it names")
    });
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let modules: Vec<Value> = serde_json::from_str(&text).unwrap();
    modules
        .into_iter()
        .map(|module| {
            let module = module.get("abi").cloned().unwrap_or(module);
            (module["name"].as_str().unwrap().to_owned(), module)
        })
        .collect()
}

fn list<'a>(module: &'a Value, what: &str) -> &'a Vec<Value> {
    module[what].as_array().unwrap()
}

/// Types with the addresses written short, and constraints and abilities in an order.
fn shape(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Array(values) => {
                let mut values: Vec<_> = values.iter().map(sorted).collect();
                if values.iter().all(Value::is_string) {
                    values.sort_by_key(|value| value.as_str().map(str::to_owned));
                }
                Value::Array(values)
            }
            Value::Object(fields) => {
                Value::Object(fields.iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
            }
            other => other.clone(),
        }
    }
    short(&sorted(value).to_string())
}

fn short(types: &str) -> String {
    types.replace(&format!("{}::", Address::FRAMEWORK.long()), "0x1::")
}

fn signature(function: &Value) -> String {
    // Not sorted: the order of parameters matters.
    short(&format!("{} -> {}", function["params"], function["return"]))
}

#[test]
fn the_stand_in_declares_what_mainnet_has() {
    let mainnet = mainnet();
    let built = build("0xcafe".parse().unwrap());
    let mut vm = Vm::start(&libraries(), built.framework.clone()).unwrap();
    let (mut functions, mut structs, mut faults) = (0, 0, Vec::new());
    for bytes in &built.framework {
        let id = header(bytes).unwrap().id;
        let ours = vm.abi(&id).unwrap().unwrap();
        let Some(theirs) = mainnet.get(&id.name) else {
            faults.push(format!("{id} is no module of mainnet"));
            continue;
        };
        for function in list(&ours, "exposed_functions") {
            // The VM wants an entry function or two that nobody else can call.
            if function["visibility"] != "public" {
                continue;
            }
            let name = &function["name"];
            let same = list(theirs, "exposed_functions")
                .iter()
                .find(|other| other["name"] == *name);
            match same {
                None => faults.push(format!("{id}::{name} is no function of mainnet")),
                Some(other)
                    if other["visibility"] != "public"
                        || other["is_entry"] != function["is_entry"]
                        || signature(other) != signature(function)
                        || shape(&other["generic_type_params"])
                            != shape(&function["generic_type_params"]) =>
                {
                    faults.push(format!(
                        "{id}::{name}: {} {}, on mainnet {} {}",
                        signature(function),
                        shape(&function["generic_type_params"]),
                        signature(other),
                        shape(&other["generic_type_params"])
                    ));
                }
                Some(_) => functions += 1,
            }
        }
        for declared in list(&ours, "structs") {
            let name = &declared["name"];
            let same = list(theirs, "structs")
                .iter()
                .find(|other| other["name"] == *name);
            match same {
                Some(other) if shape(&other["abilities"]) == shape(&declared["abilities"]) => {
                    structs += 1;
                }
                Some(other) => faults.push(format!(
                    "{id}::{name} has {}, on mainnet {}",
                    declared["abilities"], other["abilities"]
                )),
                None => faults.push(format!("{id}::{name} is no struct of mainnet")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{functions} functions and {structs} structs are as on mainnet");
    assert!(functions > 80 && structs > 20);
}

#[test]
fn the_package_uses_the_framework_and_itself_only() {
    let iog = "0xcafe".parse().unwrap();
    let built = build(iog);
    let framework: BTreeSet<ModuleId> = built
        .framework
        .iter()
        .map(|bytes| header(bytes).unwrap().id)
        .collect();
    for bytes in &built.modules {
        let header = header(bytes).unwrap();
        for used in &header.uses {
            assert!(
                used.address == iog || framework.contains(used),
                "{} uses {used}",
                header.id
            );
        }
    }
}
