//! One number over all rows of a table, whatever their order: databases sort text differently.

use sha2::{Digest, Sha256};

use super::Value;

/// The sum of the rows' SHA-256, each taken as four numbers. A row that is missing, doubled or changed changes it; it guards
/// against mistakes, not against somebody who searches for rows that cancel each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TableDigest {
    pub(super) rows: u64,
    sum: [u64; 4],
}

impl TableDigest {
    pub(super) fn add(&mut self, row: &[Value]) {
        let mut hasher = Sha256::new();
        for value in row {
            // A tag and a length before each: ("ab", "c") is not ("a", "bc"), and nothing is not an empty text.
            match value {
                Value::Int(None) | Value::Text(None) => hasher.update([0]),
                Value::Int(Some(number)) => {
                    hasher.update([1]);
                    hasher.update(number.to_be_bytes());
                }
                Value::Text(Some(text)) => {
                    hasher.update([2]);
                    hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
                    hasher.update(text.as_bytes());
                }
            }
        }
        let hash: [u8; 32] = hasher.finalize().into();
        for (sum, piece) in self.sum.iter_mut().zip(hash.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*piece));
        }
        self.rows = self.rows.saturating_add(1);
    }

    pub(super) fn hex(&self) -> String {
        let [a, b, c, d] = self.sum;
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }

    fn digest(rows: &[&[Value]]) -> TableDigest {
        let mut digest = TableDigest::default();
        for row in rows {
            digest.add(row);
        }
        digest
    }

    #[test]
    fn order_does_not_count_and_everything_else_does() {
        let (a, b) = (
            [text("a"), Value::Int(Some(1))],
            [text("b"), Value::Int(None)],
        );
        let both = digest(&[&a, &b]);
        assert_eq!(both, digest(&[&b, &a]));
        assert_ne!(both, digest(&[&a]));
        assert_ne!(both, digest(&[&a, &b, &b]));
        assert_ne!(both, digest(&[&a, &[text("b"), Value::Int(Some(0))]]));
        // Pairs that cancel out where rows are combined bit by bit.
        assert_ne!(digest(&[&a, &a]), digest(&[&b, &b]));
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let words = |a, b| digest(&[&[text(a), text(b)]]);
        assert_ne!(words("ab", "c"), words("a", "bc"));
        assert_ne!(digest(&[&[text("")]]), digest(&[&[Value::Text(None)]]));
        assert_ne!(digest(&[&[text("1")]]), digest(&[&[Value::Int(Some(1))]]));
    }
}
