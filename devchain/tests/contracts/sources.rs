//! What the sources must say: numbered requirements that tests name, and abort codes that are explained, used and tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::{MODULES, contracts};

fn read(path: &str) -> String {
    fs::read_to_string(contracts().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn source(module: &str) -> String {
    read(&format!("sources/{module}.move"))
}

fn tests(module: &str) -> String {
    read(&format!("tests/{module}_tests.move"))
}

/// The numbers of the requirements in a module's head.
fn requirements(source: &str) -> Vec<u32> {
    source
        .lines()
        .take_while(|line| line.starts_with("///"))
        .filter_map(|line| line.strip_prefix("/// R")?.split_once('.')?.0.parse().ok())
        .collect()
}

/// Each test's name, and the requirements it carries in front: `r5_r6_bad_lines_…`.
fn named(tests: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut lines = tests.lines().map(str::trim);
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        if line != "#[test]" {
            continue;
        }
        let declared = lines
            .by_ref()
            .find(|line| !line.starts_with("#["))
            .unwrap_or_default();
        let name = declared
            .strip_prefix("fun ")
            .and_then(|rest| rest.split('(').next())
            .unwrap_or_else(|| panic!("no function after #[test]: {declared}"));
        let numbers = name
            .split('_')
            .map_while(|word| word.strip_prefix('r')?.parse().ok())
            .collect();
        found.insert(name.to_owned(), numbers);
    }
    found
}

/// `const E_NAME: u64 = 7;` with the line before it.
fn codes(source: &str) -> Vec<(String, u64, String)> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let (name, value) = pair[1]
                .strip_prefix("const ")
                .filter(|rest| rest.starts_with("E_"))?
                .split_once(": u64 = ")?;
            Some((
                name.to_owned(),
                value.trim_end_matches(';').parse().unwrap(),
                pair[0].to_owned(),
            ))
        })
        .collect()
}

#[test]
fn each_requirement_is_named_by_a_test_and_each_test_names_one() {
    for module in MODULES {
        let required = requirements(&source(module));
        let expected: Vec<u32> = (1..).take(required.len()).collect();
        assert!(!required.is_empty(), "{module} opens with no requirements");
        assert_eq!(required, expected, "{module}: numbers with gaps");
        let named = named(&tests(module));
        for (name, numbers) in &named {
            assert!(
                !numbers.is_empty() && numbers.iter().all(|number| required.contains(number)),
                "{module}: test {name} names no requirement of its module"
            );
        }
        for number in required {
            assert!(
                named.values().any(|numbers| numbers.contains(&number)),
                "{module}: no test is named r{number}_…"
            );
        }
    }
}

#[test]
fn each_abort_code_is_explained_used_and_tested() {
    for module in MODULES {
        let (source, tests) = (source(module), tests(module));
        let codes = codes(&source);
        let numbers: Vec<u64> = codes.iter().map(|(_, number, _)| *number).collect();
        let expected: Vec<u64> = (1..).take(codes.len()).collect();
        assert!(!codes.is_empty(), "{module} has no abort codes");
        assert_eq!(numbers, expected, "{module}: not numbered 1, 2, 3 …");
        for (name, _, above) in codes {
            assert!(
                above.starts_with("/// ") && above.ends_with('.'),
                "{module}::{name} is not explained: {above:?}"
            );
            assert!(
                source.matches(&format!(", {name})")).count() > 0,
                "{module}::{name} is used by no check"
            );
            let words = |line: &str| {
                line.contains("/// Aborts with ")
                    && line
                        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .any(|word| word == name)
            };
            assert!(
                source.lines().any(words),
                "{module}::{name} is named by no function's \"Aborts with\""
            );
            assert!(
                tests.contains(&format!("abort_code = {module}::{name})")),
                "{module}::{name} is caused by no test"
            );
        }
        for check in source.split("assert!(").skip(1) {
            let check = check.split(';').next().unwrap_or_default();
            assert!(
                check
                    .rsplit(',')
                    .next()
                    .is_some_and(|code| code.trim().starts_with("E_")),
                "{module}: a check without an abort code of its own: {check}"
            );
        }
    }
}

#[test]
fn each_public_function_says_what_it_does_and_what_it_aborts_with() {
    for module in MODULES {
        let source = source(module);
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let public = ["public ", "package "]
                .iter()
                .any(|word| line.starts_with(word));
            if !public || lines[at - 1] == "#[test_only]" || lines[at - 2] == "#[test_only]" {
                continue;
            }
            let words: Vec<_> = lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("///") || line.starts_with("#["))
                .filter(|line| line.starts_with("///"))
                .collect();
            assert!(!words.is_empty(), "{module}: not documented: {line}");
            if line.contains(" entry ") {
                assert!(
                    words
                        .iter()
                        .any(|words| words.starts_with("/// Aborts with ")),
                    "{module}: says not what it aborts with: {line}"
                );
            }
        }
    }
}
