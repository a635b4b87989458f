//! The contracts, as far as they can be shown without a chain: their unit tests and coverage, what their sources must say,
//! the stand-in beside mainnet's framework, the vectors that others compute too, and random calls through a real Move VM.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod framework;
mod machine;
mod sources;
mod vectors;

use std::path::{Path, PathBuf};

use devchain::package::{Built, Toolkit};
use devchain::types::Address;
use devchain::vm::Libraries;

/// The package's modules.
const MODULES: [&str; 5] = ["roles", "token", "settlement", "escrow", "reports"];
/// Coverage each module must reach, in hundredths of a percent of its instructions.
const COVERED_MIN: u32 = 9_000;

fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts")
}

fn libraries() -> Libraries {
    Libraries::find().unwrap_or_else(|error| panic!("{error}"))
}

fn tools() -> Toolkit {
    Toolkit::new(libraries(), env!("CARGO_BIN_EXE_iog-devchain"))
}

fn build(iog: Address) -> Built {
    tools()
        .build(&contracts(), &contracts().join("standin"), &[("iog", iog)])
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_unit_tests_pass_and_cover_each_module() {
    let iog = "0xcafe".parse().unwrap();
    let tested = tools()
        .test(
            &contracts(),
            &contracts().join("standin"),
            &[("iog", iog)],
            "",
        )
        .unwrap();
    assert!(tested.passed, "{}", tested.output);
    for module in MODULES {
        let ran = tested
            .output
            .matches(&format!("::{module}_tests::"))
            .count();
        let covered = *tested.coverage.get(module).unwrap_or(&0);
        println!(
            "{module}: {ran} tests, {}.{:02} % of instructions covered",
            covered / 100,
            covered % 100
        );
        assert!(ran > 0, "no test of {module} ran:\n{}", tested.output);
        assert!(
            covered >= COVERED_MIN,
            "{module} is covered to {covered} hundredths of a percent, {COVERED_MIN} are wanted"
        );
    }
}
