//! The check of a proof against the chain itself, for whoever has the file: a browser or a terminal. It asks a node of Aptos and
//! trusts nobody between; the caller carries questions and answers, so nothing here touches a network.
//!
//! In this order: which chain the node serves, the week's newest version, the report of the proof's version, and the contract's
//! own `verify` of the line.

use kernel::Amount;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::digest::Address;
use crate::proof::{Proof, ProofError, Standing};
use crate::report::Heading;

/// A node's answers to these questions are far shorter.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a check says nothing, or what is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("the chain's node answers with something else than was asked for ({0})")]
    Answer(String),
}

/// What to ask a node; its path comes after the node's address with `/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub path: &'static str,
    /// JSON to POST; absent: a GET.
    pub body: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Chain,
    Newest,
    Report { newest: u64 },
    Line { newest: u64, report: Heading },
}

/// A check under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    proof: Proof,
    step: Step,
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There is another question.
    More(Box<Check>),
    Done(Standing),
}

#[derive(Deserialize)]
struct Ledger {
    chain_id: u8,
}

impl Check {
    /// Reads the file and follows it to its root. `home`: the chain and the contract that whoever asks goes by, where they know
    /// them; without, those that the file names.
    ///
    /// # Errors
    /// It is no such file, or was changed; it is of another chain or contract.
    pub fn begin(text: &str, home: Option<(u8, Address)>) -> Result<Self, ProofError> {
        let proof = Proof::read(text)?;
        if let Some((chain, contract)) = home {
            proof.belongs_to(chain, contract)?;
        }
        Ok(Self {
            proof,
            step: Step::Chain,
        })
    }

    pub const fn proof(&self) -> &Proof {
        &self.proof
    }

    pub fn question(&self) -> Question {
        let proof = &self.proof;
        let (week, version) = (proof.week.day().to_string(), proof.version.to_string());
        let view = |name: &str, arguments: Value| Question {
            path: "/view",
            body: Some(
                json!({
                    "function": format!("{}::reports::{name}", proof.contract),
                    "type_arguments": [],
                    "arguments": arguments,
                })
                .to_string(),
            ),
        };
        match self.step {
            Step::Chain => Question {
                path: "/",
                body: None,
            },
            Step::Newest => view("latest", json!([week])),
            Step::Report { .. } => view("report", json!([week, version])),
            Step::Line { .. } => {
                let (owner, amount) = (proof.owner, proof.amount.base().to_string());
                view("verify", json!([week, version, owner, amount, proof.proof]))
            }
        }
    }

    /// Goes on with the node's answer to [`Check::question`].
    ///
    /// # Errors
    /// The file proves nothing, or the answer is none.
    pub fn answered(self, text: &str) -> Result<Progress, CheckError> {
        let Self { proof, step } = self;
        if text.len() > ANSWER_BYTES_MAX {
            return Err(CheckError::Answer("too long".to_owned()));
        }
        let step = match step {
            Step::Chain => {
                let ledger: Ledger = read(text)?;
                proof.belongs_to(ledger.chain_id, proof.contract)?;
                Step::Newest
            }
            Step::Newest => {
                let [newest]: [Value; 1] = read(text)?;
                let newest = number(&newest)?;
                if newest < proof.version {
                    return Err(ProofError::NotPublished.into());
                }
                Step::Report { newest }
            }
            Step::Report { newest } => {
                let [root, total, owners]: [Value; 3] = read(text)?;
                let total = i64::try_from(number(&total)?).ok();
                let total = total.and_then(|base| Amount::try_from_base(base).ok());
                let report = Heading {
                    week: proof.week,
                    version: proof.version,
                    root: serde_json::from_value(root).map_err(|error| no_answer(&error))?,
                    total: total.ok_or_else(|| no_answer(&"a total that is none"))?,
                    owners: number(&owners)?,
                };
                proof.compare(proof.chain, proof.contract, Some(&report), newest)?;
                Step::Line { newest, report }
            }
            Step::Line { newest, report } => {
                let [is_there]: [bool; 1] = read(text)?;
                if !is_there {
                    return Err(no_answer(&"the contract knows the root and not the line"));
                }
                let (chain, contract) = (proof.chain, proof.contract);
                let standing = proof.compare(chain, contract, Some(&report), newest)?;
                return Ok(Progress::Done(standing));
            }
        };
        Ok(Progress::More(Box::new(Self { proof, step })))
    }
}

fn no_answer(why: &dyn std::fmt::Display) -> CheckError {
    CheckError::Answer(why.to_string())
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, CheckError> {
    serde_json::from_str(text).map_err(|error| no_answer(&error))
}

/// The chain writes u64 as text.
fn number(value: &Value) -> Result<u64, CheckError> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.ok_or_else(|| no_answer(&"no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Earning, Tree};
    use crate::week::Week;

    fn tree(version: u64) -> Tree {
        let earnings = (1_u8..=3).map(|owner| Earning {
            owner: Address::from_bytes([owner; 32]),
            amount: Amount::try_from_base(i64::from(owner) * 10).expect("in range"),
        });
        Tree::try_new(Week::try_new(20_773).expect("a Monday"), version, earnings)
            .expect("a report")
    }

    fn contract() -> Address {
        Address::from_bytes([9; 32])
    }

    fn file(version: u64) -> String {
        let owner = Address::from_bytes([2; 32]);
        let proof = Proof::of(&tree(version), 4, contract(), &owner).expect("there");
        serde_json::to_string(&proof).expect("json")
    }

    /// A chain that has the first two versions.
    fn node(question: &Question) -> String {
        let Some(body) = &question.body else {
            assert_eq!(question.path, "/");
            return json!({ "chain_id": 4, "ledger_version": "7" }).to_string();
        };
        assert_eq!(question.path, "/view");
        let body: Value = serde_json::from_str(body).expect("json");
        let arguments = &body["arguments"];
        let version = |at: usize| {
            arguments[at]
                .as_str()
                .expect("text")
                .parse()
                .expect("a number")
        };
        let function = body["function"].as_str().expect("a name");
        let name = function.strip_prefix(&format!("{}::reports::", contract()));
        match name.expect("our contract") {
            "latest" => json!(["2"]),
            "report" => {
                let heading = *tree(version(1)).heading();
                let total = heading.total.base().to_string();
                json!([heading.root, total, heading.owners.to_string()])
            }
            "verify" => {
                let owner = serde_json::from_value(arguments[2].clone()).expect("an address");
                let (line, proof) = tree(version(1)).proof(&owner).expect("there");
                let amount = line.amount.base().to_string();
                json!([json!(proof) == arguments[4] && json!(amount) == arguments[3]])
            }
            other => panic!("{other}"),
        }
        .to_string()
    }

    fn run(text: &str, home: Option<(u8, Address)>) -> Result<Standing, CheckError> {
        let mut check = Check::begin(text, home)?;
        for _ in 0..4 {
            let answer = node(&check.question());
            match check.answered(&answer)? {
                Progress::More(next) => check = *next,
                Progress::Done(standing) => return Ok(standing),
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn a_proof_is_right_or_a_newer_version_counts() {
        let home = Some((4, contract()));
        for home in [home, None] {
            assert_eq!(run(&file(2), home), Ok(Standing::Current));
            assert_eq!(run(&file(1), home), Ok(Standing::Corrected { newest: 2 }));
            let missing = Err(ProofError::NotPublished.into());
            assert_eq!(run(&file(3), home), missing);
        }
    }

    /// Made by a program in another language.
    #[test]
    fn the_example_fits_in_itself() {
        let text = include_str!("../../../examples/earnings.json");
        let check = Check::begin(text, None).expect("fits");
        assert_eq!(check.proof().owners, 5);
        assert_eq!(
            serde_json::to_string_pretty(check.proof()).expect("JSON"),
            text.trim_end()
        );
    }

    #[test]
    fn a_changed_proof_is_refused_before_anybody_is_asked() {
        let changed = file(2).replace("\"amount\":\"20\"", "\"amount\":\"21\"");
        assert_ne!(changed, file(2));
        let refused = Check::begin(&changed, None).expect_err("changed");
        assert_eq!(refused, ProofError::Broken);
        assert!(refused.to_string().contains("something in it was changed"));
        // Changed with its root: it fits in itself, and the chain has another.
        let mut proof: Proof = serde_json::from_str(&file(2)).expect("json");
        let line = Earning {
            owner: proof.owner,
            amount: Amount::try_from_base(21).expect("in range"),
        };
        proof.amount = line.amount;
        let leaf = crate::report::leaf(proof.week, proof.version, &line);
        proof.root = crate::report::root_from(leaf, &proof.proof);
        let text = serde_json::to_string(&proof).expect("json");
        assert_eq!(run(&text, None), Err(ProofError::OtherRoot.into()));
    }

    #[test]
    fn another_chain_and_another_contract_are_named() {
        let other = Address::from_bytes([8; 32]);
        let of = |home| run(&file(2), Some(home));
        let expected = ProofError::OtherChain {
            got: 4,
            expected: 1,
        };
        assert_eq!(of((1, contract())), Err(expected.into()));
        let expected = ProofError::OtherContract(contract());
        assert_eq!(of((4, other)), Err(expected.into()));
        // The node serves another chain than the file is of.
        let check = Check::begin(&file(2), None).expect("fits");
        let answer = check.answered(r#"{"chain_id": 2}"#).expect_err("other");
        let expected = ProofError::OtherChain {
            got: 4,
            expected: 2,
        };
        assert_eq!(answer, expected.into());
    }

    #[test]
    fn what_is_no_answer_says_nothing_of_the_file() {
        let long = "1".repeat(ANSWER_BYTES_MAX + 1);
        let good = |check: &Check| node(&check.question());
        for step in 0..4 {
            let mut check = Check::begin(&file(2), None).expect("fits");
            for _ in 0..step {
                let answer = good(&check);
                let Ok(Progress::More(next)) = check.answered(&answer) else {
                    panic!("it goes on");
                };
                check = *next;
            }
            for wrong in ["", "{}", "[]", "[true, 1]", "[\"x\", 1, 2]", &long] {
                let answer = check.clone().answered(wrong);
                assert!(
                    matches!(answer, Err(CheckError::Answer(_))),
                    "{step} {wrong}"
                );
            }
            if step == 3 {
                let answer = check.answered("[false]");
                assert!(matches!(answer, Err(CheckError::Answer(_))));
            }
        }
    }
}
