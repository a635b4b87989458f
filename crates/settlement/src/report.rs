//! The weekly earnings report: who earned how much, as one hash on the chain, and a proof for each owner.
//!
//! Leaf: SHA3-256 of `0x00`, week, version, the owner's address, amount; numbers are u64, little endian. Node: SHA3-256 of
//! `0x01` and its two children, the smaller first. A node without a sibling is carried up as it is. Leaves stand in the order of
//! their owners. The root of no leaves is 32 zero bytes. The contract `reports` computes the same.

use std::collections::BTreeMap;

use kernel::{Amount, MoneyError};
use serde::{Deserialize, Serialize};

use crate::digest::{Address, Digest};
use crate::week::Week;

/// More siblings than any tree of owners has; a longer proof is refused unread.
pub const PROOF_MAX: usize = 64;

/// What one owner earned in a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earning {
    pub owner: Address,
    pub amount: Amount,
}

/// Why a report cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("a report's versions begin at 1")]
    Version,
    #[error("{0} earned nothing; only who earned stands in a report")]
    Nothing(Address),
    #[error("the earnings add up to more than all IO there can ever be")]
    TooMuch(#[from] MoneyError),
}

/// One version of a week's report, without its lines: what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    pub week: Week,
    /// 1, 2, 3 …; a later one corrects those before.
    pub version: u64,
    pub root: Digest,
    pub total: Amount,
    pub owners: u64,
}

/// A report with all its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    heading: Heading,
    /// In the order of their owners.
    earnings: Vec<Earning>,
    /// Leaves first; the last one holds the root, unless there are no leaves.
    levels: Vec<Vec<Digest>>,
}

/// An amount as chains write it. One is never negative.
pub(crate) fn units(amount: Amount) -> u64 {
    amount.base().unsigned_abs()
}

/// The hash of one owner's line.
pub fn leaf(week: Week, version: u64, earning: &Earning) -> Digest {
    Digest::of(&[
        &[0],
        &week.day().to_le_bytes(),
        &version.to_le_bytes(),
        earning.owner.as_bytes(),
        &units(earning.amount).to_le_bytes(),
    ])
}

fn node(a: &Digest, b: &Digest) -> Digest {
    let (left, right) = if a <= b { (a, b) } else { (b, a) };
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root that follows from a leaf and its siblings, the lowest first.
pub fn root_from(leaf: Digest, proof: &[Digest]) -> Digest {
    proof
        .iter()
        .fold(leaf, |hash, sibling| node(&hash, sibling))
}

/// Whether the line stands in the report with this root.
pub fn verify(
    week: Week,
    version: u64,
    earning: &Earning,
    proof: &[Digest],
    root: &Digest,
) -> bool {
    proof.len() <= PROOF_MAX && root_from(leaf(week, version, earning), proof) == *root
}

impl Tree {
    /// Sums of one owner are added up.
    ///
    /// # Errors
    /// A version 0; an owner who earned nothing; more than all IO there can be.
    pub fn try_new(
        week: Week,
        version: u64,
        earnings: impl IntoIterator<Item = Earning>,
    ) -> Result<Self, ReportError> {
        if version == 0 {
            return Err(ReportError::Version);
        }
        let mut owners: BTreeMap<Address, Amount> = BTreeMap::new();
        let mut total = Amount::ZERO;
        for Earning { owner, amount } in earnings {
            if amount.is_zero() {
                return Err(ReportError::Nothing(owner));
            }
            total = total.checked_add(amount)?;
            let sum = owners.entry(owner).or_default();
            *sum = sum.checked_add(amount)?;
        }
        let earnings: Vec<Earning> = owners
            .into_iter()
            .map(|(owner, amount)| Earning { owner, amount })
            .collect();
        let levels = levels(earnings.iter().map(|line| leaf(week, version, line)));
        let heading = Heading {
            week,
            version,
            root: root(&levels),
            total,
            owners: u64::try_from(earnings.len()).unwrap_or(u64::MAX),
        };
        Ok(Self {
            heading,
            earnings,
            levels,
        })
    }

    pub const fn heading(&self) -> &Heading {
        &self.heading
    }

    pub fn earnings(&self) -> &[Earning] {
        &self.earnings
    }

    /// What an owner earned, and the siblings that lead from there to the root.
    pub fn proof(&self, owner: &Address) -> Option<(Earning, Vec<Digest>)> {
        let found = self.earnings.binary_search_by_key(owner, |line| line.owner);
        let mut at = found.ok()?;
        let earning = *self.earnings.get(at)?;
        let mut siblings = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            // The last of an odd level has none and is carried up.
            siblings.extend(level.get(at ^ 1));
            at >>= 1;
        }
        Some((earning, siblings))
    }

    /// The same lines as a later version; `None` when `published` says them already.
    ///
    /// # Errors
    /// As [`Tree::try_new`].
    pub fn after(self, published: &Heading) -> Result<Option<Self>, ReportError> {
        let week = self.heading.week;
        let same = Self::try_new(week, published.version, self.earnings)?;
        if same.heading == *published {
            return Ok(None);
        }
        let next = published.version.checked_add(1);
        Self::try_new(week, next.ok_or(ReportError::Version)?, same.earnings).map(Some)
    }
}

fn levels(leaves: impl Iterator<Item = Digest>) -> Vec<Vec<Digest>> {
    let mut levels = vec![leaves.collect::<Vec<Digest>>()];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let above = below.chunks(2).filter_map(|pair| match pair {
            [left, right] => Some(node(left, right)),
            [alone] => Some(*alone),
            _ => None,
        });
        let above = above.collect();
        levels.push(above);
    }
    levels
}

fn root(levels: &[Vec<Digest>]) -> Digest {
    let top = levels.last().and_then(|level| level.first());
    top.copied().unwrap_or(Digest::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEEK: u64 = 20_780;

    fn week() -> Week {
        Week::try_new(WEEK).expect("a Monday")
    }

    fn earning(owner: u8, base: i64) -> Earning {
        Earning {
            owner: Address::from_bytes([owner; 32]),
            amount: Amount::try_from_base(base).expect("in range"),
        }
    }

    fn tree(earnings: &[Earning]) -> Tree {
        Tree::try_new(week(), 1, earnings.iter().copied()).expect("a report")
    }

    #[test]
    fn nobody_earned() {
        let empty = tree(&[]);
        assert_eq!(empty.heading().root, Digest::ZERO);
        assert_eq!(
            (empty.heading().owners, empty.heading().total),
            (0, Amount::ZERO)
        );
        assert_eq!(empty.proof(&Address::from_bytes([1; 32])), None);
    }

    #[test]
    fn one_owner_is_the_root() {
        let line = earning(1, 5);
        let tree = tree(&[line]);
        assert_eq!(tree.heading().root, leaf(week(), 1, &line));
        assert_eq!(tree.proof(&line.owner), Some((line, vec![])));
    }

    #[test]
    fn the_odd_one_is_carried_up() {
        let lines = [earning(1, 1), earning(2, 2), earning(3, 3)];
        let [a, b, c] = lines.map(|line| leaf(week(), 1, &line));
        let tree = tree(&lines);
        assert_eq!(tree.heading().root, node(&node(&a, &b), &c));
        let (_, siblings) = tree.proof(&lines[2].owner).expect("there");
        assert_eq!(siblings, [node(&a, &b)]);
    }

    #[test]
    fn what_is_refused() {
        let new =
            |version, lines: &[Earning]| Tree::try_new(week(), version, lines.iter().copied());
        assert_eq!(new(0, &[]), Err(ReportError::Version));
        let nothing = earning(1, 0);
        assert_eq!(new(1, &[nothing]), Err(ReportError::Nothing(nothing.owner)));
        let all = earning(1, Amount::MAX.base());
        assert_eq!(
            new(1, &[all, earning(2, 1)]),
            Err(ReportError::TooMuch(MoneyError::TooLarge))
        );
    }

    #[test]
    fn a_correction_is_a_new_version_and_the_same_report_is_none() {
        let first = tree(&[earning(1, 5), earning(2, 7)]);
        let published = *first.heading();
        assert_eq!(first.after(&published), Ok(None));
        let corrected = tree(&[earning(1, 5), earning(2, 8)]);
        let second = corrected
            .after(&published)
            .expect("a report")
            .expect("it differs");
        assert_eq!(second.heading().version, 2);
        let again = tree(&[earning(1, 5), earning(2, 8)]);
        assert_eq!(again.after(second.heading()), Ok(None));
        // Back to what the first one said is a third version, not the first again.
        let back = tree(&[earning(1, 5), earning(2, 7)]);
        let third = back
            .after(second.heading())
            .expect("a report")
            .expect("it differs");
        assert_eq!(third.heading().version, 3);
        assert_ne!(third.heading().root, published.root);
    }

    fn any_earnings() -> impl Strategy<Value = Vec<Earning>> {
        let line = (any::<[u8; 32]>(), 1..=1_000_000_000_i64).prop_map(|(owner, base)| Earning {
            owner: Address::from_bytes(owner),
            amount: Amount::try_from_base(base).expect("in range"),
        });
        proptest::collection::vec(line, 1..70)
    }

    proptest! {
        #[test]
        fn every_line_is_proven_and_no_other(earnings in any_earnings(), version in 1_u64..9) {
            let tree = Tree::try_new(week(), version, earnings.iter().copied()).expect("a report");
            let root = tree.heading().root;
            for line in tree.earnings() {
                let (found, siblings) = tree.proof(&line.owner).expect("there");
                prop_assert_eq!(found, *line);
                prop_assert!(verify(week(), version, line, &siblings, &root));
                let more = Earning { amount: Amount::try_from_base(line.amount.base() + 1).expect("in range"), ..*line };
                prop_assert!(!verify(week(), version, &more, &siblings, &root));
                prop_assert!(!verify(week(), version + 1, line, &siblings, &root));
                let next = week().next().expect("a week");
                prop_assert!(!verify(next, version, line, &siblings, &root));
                for at in 0..siblings.len() {
                    let mut changed = siblings.clone();
                    let mut bytes = *changed[at].as_bytes();
                    bytes[at % 32] ^= 1;
                    changed[at] = Digest::from_bytes(bytes);
                    prop_assert!(!verify(week(), version, line, &changed, &root));
                    let mut short = siblings.clone();
                    short.remove(at);
                    prop_assert!(!verify(week(), version, line, &short, &root));
                }
            }
        }

        #[test]
        fn order_and_splitting_change_nothing(earnings in any_earnings(), seed in any::<u64>()) {
            let whole = tree(&earnings);
            let mut shuffled: Vec<Earning> = Vec::new();
            for (at, line) in earnings.iter().enumerate() {
                let part = line.amount.base() / 2;
                let position = usize::try_from(seed).unwrap_or(0).wrapping_mul(at + 1) % (shuffled.len() + 1);
                let halves = [part, line.amount.base() - part];
                for base in halves.into_iter().filter(|base| *base > 0) {
                    shuffled.insert(position, Earning { amount: Amount::try_from_base(base).expect("in range"), ..*line });
                }
            }
            prop_assert_eq!(tree(&shuffled), whole);
        }

        #[test]
        fn the_total_is_the_sum_of_the_leaves(earnings in any_earnings()) {
            let tree = tree(&earnings);
            let sum: i64 = tree.earnings().iter().map(|line| line.amount.base()).sum();
            prop_assert_eq!(sum, tree.heading().total.base());
            prop_assert!(tree.earnings().is_sorted_by(|a, b| a.owner < b.owner));
        }
    }

    #[test]
    fn a_node_is_no_leaf() {
        // Without the first byte, two hashes could be passed off as an owner's line.
        let lines = [earning(1, 1), earning(2, 2)];
        let inner = tree(&lines).heading().root;
        let [a, b] = lines.map(|line| leaf(week(), 1, &line));
        assert_ne!(Digest::of(&[a.as_bytes(), b.as_bytes()]), inner);
        assert!(!verify(
            week(),
            1,
            &lines[0],
            &vec![a; PROOF_MAX + 1],
            &inner
        ));
    }
}
