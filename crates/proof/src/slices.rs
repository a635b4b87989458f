//! A slice of a job's work that is computed again on another owner's machine: the draw, and the comparison of two results.
//!
//! A draw follows from the platform's signature over what was delivered. Nobody else can make that signature, so a worker cannot know
//! of a draw before its file is fixed; and whoever has the platform's public key can check it afterwards.

mod numbers;
mod picture;

use kernel::JobId;
use protocol::recompute::Tolerance;
use sha2::{Digest, Sha256};

/// A result of more bytes is not compared.
pub const BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// What the platform signs for a draw. `sha256`: of the file, 64 hexadecimal digits.
pub fn draw_bytes(job: JobId, slice: u32, sha256: &str) -> Vec<u8> {
    format!("iog.recompute.v1\n{job}\n{slice}\n{sha256}\n").into_bytes()
}

/// A number that follows from the signature; the lower ones are drawn first.
pub fn draw_of(signature: &[u8]) -> u64 {
    let digest = Sha256::digest(signature);
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether a slice is computed again when so many of a hundred are.
pub fn is_drawn(draw: u64, percent: u32) -> bool {
    (u128::from(draw).saturating_mul(100) >> 64) < u128::from(percent)
}

/// What two results have of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    Same,
    Differ(String),
    /// A result that cannot be read is nobody's proof of anything but itself.
    Unreadable(String),
}

/// Whether a result is the one that another machine has, as far as the tolerance goes. Two equal files are the same whatever is in
/// them; a first result that cannot be read, beside a second one that can, differs.
pub fn compare(first: &[u8], again: &[u8], tolerance: Tolerance) -> Compared {
    if first == again {
        return Compared::Same;
    }
    let compared = match tolerance {
        Tolerance::Exact => Ok(Some("the files are not the same".to_owned())),
        Tolerance::Pixels { permille } => picture::difference(first, again, permille),
        Tolerance::Numbers { permille } => numbers::difference(first, again, permille),
    };
    match compared {
        Ok(None) => Compared::Same,
        Ok(Some(how)) => Compared::Differ(how),
        Err(Unreadable::First(why)) => {
            Compared::Differ(format!("the result cannot be read: {why}"))
        }
        Err(Unreadable::Again(why)) => Compared::Unreadable(why),
    }
}

/// Which of the two cannot be read. The second is looked at first.
enum Unreadable {
    First(String),
    Again(String),
}

/// Who stands alone, when a third machine has computed what two disagree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    First,
    Second,
    /// The third agrees with both or could not be read: nobody is blamed.
    Nobody,
    /// All three differ.
    All,
}

/// What a third result says, compared with the first and with the second.
pub const fn judge(first: &Compared, second: &Compared) -> Alone {
    match (first, second) {
        (Compared::Same, Compared::Differ(_)) => Alone::Second,
        (Compared::Differ(_), Compared::Same) => Alone::First,
        (Compared::Differ(_), Compared::Differ(_)) => Alone::All,
        _ => Alone::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_as_many_as_are_asked_for_and_follow_from_the_signature_alone() {
        for percent in [0, 2, 50, 100] {
            let drawn = (0_u32..4_000)
                .filter(|n| is_drawn(draw_of(&n.to_be_bytes()), percent))
                .count();
            let expected = usize::try_from(percent * 40).unwrap();
            assert!(drawn.abs_diff(expected) <= 100, "{percent} %: {drawn}");
        }
        assert!(!is_drawn(0, 0) && is_drawn(u64::MAX, 100) && is_drawn(0, 1));
        assert_eq!(draw_of(b"x"), draw_of(b"x"));
    }

    #[test]
    fn the_one_that_stands_alone_is_found_and_nobody_else_is_blamed() {
        let same = Compared::Same;
        let differs = Compared::Differ(String::new());
        let unreadable = Compared::Unreadable(String::new());
        assert_eq!(judge(&differs, &same), Alone::First);
        assert_eq!(judge(&same, &differs), Alone::Second);
        assert_eq!(judge(&differs, &differs), Alone::All);
        for (first, second) in [
            (&same, &same),
            (&unreadable, &unreadable),
            (&unreadable, &same),
        ] {
            assert_eq!(judge(first, second), Alone::Nobody);
        }
    }

    #[test]
    fn exact_files_are_the_same_byte_for_byte() {
        assert_eq!(compare(b"a", b"a", Tolerance::Exact), Compared::Same);
        assert!(matches!(
            compare(b"a", b"b", Tolerance::Exact),
            Compared::Differ(_)
        ));
    }
}
