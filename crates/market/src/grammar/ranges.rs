//! Operators over ranges of a number, and whether anything is left when several terms hold at once.

use super::Fault;
use super::lexer::Op;
use super::values::Range;
use crate::filter::{Number, Term, Test};

/// The test of `number op values`.
pub(super) fn test(number: Number, op: Op, values: &[Range]) -> Result<Test, Fault> {
    // Only a price can be between two steps of the owner's; `=` then means the step below it.
    let whole = |range: &Range| (range.0.min(range.1), range.1);
    let (first, last) = values.first().copied().unwrap_or_default();
    let between = |min, max| Ok(Test::Between(number, min, max));
    match op {
        Op::Eq => between(first.min(last), last),
        Op::Ne => Ok(Test::Outside(number, first.min(last), last)),
        Op::Ge => between(first, u64::MAX),
        Op::Le => between(0, last),
        Op::Gt => between(last.saturating_add(1), u64::MAX),
        Op::Lt => match first.checked_sub(1) {
            Some(max) => between(0, max),
            None => Err(Fault::new(
                "nothing is below 0; write a larger number, or `<=`",
            )),
        },
        Op::In => Ok(Test::OneOf(number, values.iter().map(whole).collect())),
        Op::NotIn => Ok(Test::NoneOf(number, values.iter().map(whole).collect())),
    }
}

/// Whether a device can satisfy a new term and all earlier ones about the same number.
pub(super) fn agrees(earlier: &[Term], new: &Term) -> Result<(), Fault> {
    let Some((number, wanted)) = accepted(&new.test) else {
        return Ok(());
    };
    let (least, most) = natural(number);
    let mut left = meet(&[(least, most)], &wanted);
    if left.is_empty() {
        let range = if most == u64::MAX {
            format!("begins at {least}")
        } else {
            format!("goes from {least} to {most}")
        };
        let name = number.name();
        return Err(Fault::new(format!(
            "nothing can be `{new}`: `{name}` {range}; change the number"
        )));
    }
    for term in earlier {
        let Some((_, theirs)) = accepted(&term.test).filter(|(other, _)| *other == number) else {
            continue;
        };
        left = meet(&left, &theirs);
        if left.is_empty() {
            let alone = meet(&wanted, &theirs).is_empty();
            let all = if alone {
                ""
            } else {
                " and satisfy the terms before"
            };
            return Err(Fault::new(format!(
                "nothing can be both `{term}` and `{new}`{all}; change one of them"
            )));
        }
    }
    Ok(())
}

/// What offers can have at all.
const fn natural(number: Number) -> Range {
    match number {
        Number::Cards => (1, u64::MAX),
        Number::Reputation => (0, 100),
        Number::Verified => (0, 3),
        _ => (0, u64::MAX),
    }
}

/// What a test about a number accepts, in order and without overlaps.
fn accepted(test: &Test) -> Option<(Number, Vec<Range>)> {
    match test {
        Test::Between(number, min, max) => Some((*number, union(&[(*min, *max)]))),
        Test::Outside(number, min, max) => Some((*number, others(&union(&[(*min, *max)])))),
        Test::OneOf(number, ranges) => Some((*number, union(ranges))),
        Test::NoneOf(number, ranges) => Some((*number, others(&union(ranges)))),
        _ => None,
    }
}

fn union(ranges: &[Range]) -> Vec<Range> {
    let mut sorted: Vec<Range> = ranges
        .iter()
        .copied()
        .filter(|(min, max)| min <= max)
        .collect();
    sorted.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (min, max) in sorted {
        match joined.last_mut() {
            Some(last) if min <= last.1 => last.1 = last.1.max(max),
            _ => joined.push((min, max)),
        }
    }
    joined
}

/// Everything but these, which are in order and without overlaps.
fn others(ranges: &[Range]) -> Vec<Range> {
    let mut gaps = Vec::new();
    let mut from = Some(0);
    for (min, max) in ranges {
        if let Some((from, to)) = from.zip(min.checked_sub(1)).filter(|(from, to)| from <= to) {
            gaps.push((from, to));
        }
        from = max.checked_add(1);
    }
    gaps.extend(from.map(|from| (from, u64::MAX)));
    gaps
}

/// What is in both.
fn meet(a: &[Range], b: &[Range]) -> Vec<Range> {
    a.iter()
        .flat_map(|x| b.iter().map(|y| (x.0.max(y.0), x.1.min(y.1))))
        .filter(|(min, max)| min <= max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(ranges: &[Range], value: u64) -> bool {
        ranges
            .iter()
            .any(|(min, max)| (*min..=*max).contains(&value))
    }

    proptest! {
        #[test]
        fn sets_of_ranges_are_sets_of_numbers(
            a in prop::collection::vec((0_u64..12, 0_u64..12), 0..4),
            b in prop::collection::vec((0_u64..12, 0_u64..12), 0..4),
        ) {
            let (one, two) = (union(&a), union(&b));
            let (both, not) = (meet(&one, &two), others(&one));
            for value in (0..14).chain([u64::MAX]) {
                prop_assert_eq!(holds(&one, value), holds(&a, value));
                prop_assert_eq!(holds(&both, value), holds(&a, value) && holds(&b, value));
                prop_assert_eq!(holds(&not, value), !holds(&a, value));
            }
        }
    }
}
