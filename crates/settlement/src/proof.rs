//! The file that an owner keeps: one line of a weekly report, and the hashes that lead from it to the root on the chain.

use kernel::Amount;
use serde::{Deserialize, Serialize};

use crate::digest::{Address, Digest};
use crate::report::{self, Earning, Heading, PROOF_MAX, Tree};
use crate::week::Week;

/// What the file calls itself.
pub const FORMAT: &str = "iog.earnings.v1";
/// No file of this form is longer.
pub const BYTES_MAX: usize = 16 * 1024;

/// Why a file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("this is no proof of earnings: {0}")]
    NotOne(String),
    #[error("it is called {0:?}; this page reads {FORMAT:?}")]
    Format(String),
    #[error("its line does not lead to its root: something in it was changed")]
    Broken,
    #[error("the chain has no report of this week in this version")]
    NotPublished,
    #[error(
        "the chain has another report of this week in this version: the file was not made from it"
    )]
    OtherRoot,
    #[error("it was made for contract {0}, and this is another")]
    OtherContract(Address),
    #[error("it was made for chain {got}, and this is chain {expected}")]
    OtherChain { got: u8, expected: u8 },
}

/// As the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    pub format: String,
    pub chain: u8,
    pub contract: Address,
    pub week: Week,
    /// Its Monday, for people.
    pub monday: String,
    pub version: u64,
    pub owner: Address,
    pub amount: Amount,
    /// Siblings from the leaf to the root.
    pub proof: Vec<Digest>,
    pub root: Digest,
    /// Of the whole report.
    pub total: Amount,
    pub owners: u64,
}

/// What a file that fits proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The chain says the same, and nothing newer.
    Current,
    /// The chain said it, and has corrected it since: the newest version counts.
    Corrected { newest: u64 },
}

impl Proof {
    /// Of one owner; `None` when nothing was earned.
    pub fn of(tree: &Tree, chain: u8, contract: Address, owner: &Address) -> Option<Self> {
        let (earning, proof) = tree.proof(owner)?;
        let heading = tree.heading();
        Some(Self {
            format: FORMAT.to_owned(),
            chain,
            contract,
            week: heading.week,
            monday: heading.week.to_string(),
            version: heading.version,
            owner: earning.owner,
            amount: earning.amount,
            proof,
            root: heading.root,
            total: heading.total,
            owners: heading.owners,
        })
    }

    /// Reads a file, and follows it to its root. Whether that root is the chain's is [`Proof::compare`]'s to say.
    ///
    /// # Errors
    /// It is no such file, or was changed.
    pub fn read(text: &str) -> Result<Self, ProofError> {
        if text.len() > BYTES_MAX {
            return Err(ProofError::NotOne(format!("longer than {BYTES_MAX} bytes")));
        }
        let proof: Self =
            serde_json::from_str(text).map_err(|error| ProofError::NotOne(error.to_string()))?;
        if proof.format != FORMAT {
            return Err(ProofError::Format(proof.format));
        }
        proof.check()?;
        Ok(proof)
    }

    /// # Errors
    /// [`ProofError::Broken`].
    pub fn check(&self) -> Result<(), ProofError> {
        let earning = Earning {
            owner: self.owner,
            amount: self.amount,
        };
        let fits = self.proof.len() <= PROOF_MAX
            && self.monday == self.week.to_string()
            && self.amount <= self.total
            && report::verify(self.week, self.version, &earning, &self.proof, &self.root);
        fits.then_some(()).ok_or(ProofError::Broken)
    }

    /// Whether it was made for this chain and this contract.
    ///
    /// # Errors
    /// [`ProofError::OtherChain`], [`ProofError::OtherContract`].
    pub fn belongs_to(&self, chain: u8, contract: Address) -> Result<(), ProofError> {
        if self.chain != chain {
            return Err(ProofError::OtherChain {
                got: self.chain,
                expected: chain,
            });
        }
        if self.contract != contract {
            return Err(ProofError::OtherContract(self.contract));
        }
        Ok(())
    }

    /// Against what the chain has: the report of this week in this version, and the number of the newest.
    ///
    /// # Errors
    /// A [`ProofError`] that says in what it differs.
    pub fn compare(
        &self,
        chain: u8,
        contract: Address,
        published: Option<&Heading>,
        newest: u64,
    ) -> Result<Standing, ProofError> {
        self.check()?;
        self.belongs_to(chain, contract)?;
        let published = published.ok_or(ProofError::NotPublished)?;
        let same = Heading {
            week: self.week,
            version: self.version,
            root: self.root,
            total: self.total,
            owners: self.owners,
        };
        if *published != same {
            return Err(ProofError::OtherRoot);
        }
        Ok(if newest > self.version {
            Standing::Corrected { newest }
        } else {
            Standing::Current
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contract() -> Address {
        Address::from_bytes([7; 32])
    }

    fn tree() -> Tree {
        let earnings = (1_u8..=5).map(|owner| Earning {
            owner: Address::from_bytes([owner; 32]),
            amount: Amount::try_from_base(i64::from(owner) * 10).expect("in range"),
        });
        Tree::try_new(Week::try_new(20_780).expect("a Monday"), 2, earnings).expect("a report")
    }

    fn proof() -> Proof {
        Proof::of(&tree(), 4, contract(), &Address::from_bytes([3; 32])).expect("there")
    }

    #[test]
    fn a_file_proves_what_the_chain_says() {
        let text = serde_json::to_string(&proof()).expect("json");
        let read = Proof::read(&text).expect("fits");
        let heading = *tree().heading();
        let compare = |published, newest| read.compare(4, contract(), published, newest);
        assert_eq!(compare(Some(&heading), 2), Ok(Standing::Current));
        assert_eq!(
            compare(Some(&heading), 3),
            Ok(Standing::Corrected { newest: 3 })
        );
        assert_eq!(compare(None, 1), Err(ProofError::NotPublished));
        let other = Heading {
            root: Digest::ZERO,
            ..heading
        };
        assert_eq!(compare(Some(&other), 2), Err(ProofError::OtherRoot));
        let other = Heading {
            owners: 6,
            ..heading
        };
        assert_eq!(compare(Some(&other), 2), Err(ProofError::OtherRoot));
        let elsewhere = read.compare(1, contract(), Some(&heading), 2);
        assert_eq!(
            elsewhere,
            Err(ProofError::OtherChain {
                got: 4,
                expected: 1
            })
        );
        let nobody = Address::from_bytes([9; 32]);
        assert_eq!(
            read.compare(4, nobody, Some(&heading), 2),
            Err(ProofError::OtherContract(contract()))
        );
        assert_eq!(Proof::of(&tree(), 4, contract(), &nobody), None);
    }

    #[test]
    fn changed_proof() {
        let fits = |change: fn(&mut Proof)| {
            let mut proof = proof();
            change(&mut proof);
            let text = serde_json::to_string(&proof).expect("json");
            Proof::read(&text).map(|_| ())
        };
        assert_eq!(fits(|_| ()), Ok(()));
        assert_eq!(
            fits(|p| p.amount = p.amount.checked_add(p.amount).expect("in range")),
            Err(ProofError::Broken)
        );
        assert_eq!(
            fits(|p| p.owner = Address::from_bytes([4; 32])),
            Err(ProofError::Broken)
        );
        assert_eq!(fits(|p| p.version = 1), Err(ProofError::Broken));
        assert_eq!(
            fits(|p| p.week = p.week.next().expect("a week")),
            Err(ProofError::Broken)
        );
        assert_eq!(
            fits(|p| p.monday = "2026-11-30".into()),
            Err(ProofError::Broken)
        );
        assert_eq!(fits(|p| p.root = Digest::ZERO), Err(ProofError::Broken));
        assert_eq!(fits(|p| p.total = Amount::ZERO), Err(ProofError::Broken));
        assert_eq!(fits(|p| p.proof.truncate(1)), Err(ProofError::Broken));
        assert_eq!(fits(|p| p.proof.reverse()), Err(ProofError::Broken));
        assert_eq!(
            fits(|p| p.format = "iog.invoice.v1".into()),
            Err(ProofError::Format("iog.invoice.v1".into()))
        );
    }

    #[test]
    fn what_is_no_proof() {
        let long = " ".repeat(BYTES_MAX + 1);
        for text in ["", "{}", "[]", "null", &long] {
            assert!(
                matches!(Proof::read(text), Err(ProofError::NotOne(_))),
                "{text:.20}"
            );
        }
        let more = serde_json::to_string(&proof())
            .expect("json")
            .replacen('{', "{\"x\":1,", 1);
        assert!(matches!(Proof::read(&more), Err(ProofError::NotOne(_))));
    }

    proptest! {
        #[test]
        fn no_changed_byte_passes(place in 0_usize..2_000, byte in 32_u8..127) {
            let text = serde_json::to_string(&proof()).expect("json");
            let mut bytes = text.clone().into_bytes();
            let at = place % bytes.len();
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).expect("ASCII");
            // Another spelling of the same may pass: a capital letter of a hash. For what is not hashed, the chain is asked.
            let passes = Proof::read(&changed).is_ok_and(|read| {
                read.compare(4, contract(), Some(tree().heading()), 2).is_ok() && read != proof()
            });
            prop_assert!(!passes, "{changed}");
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            prop_assert!(Proof::read(&text).is_err());
        }
    }
}
