//! "Did you mean": the nearest of some known words.

/// More changes than this are another word.
const NEAR: usize = 2;

/// The known word nearest to a typed one, if it is near. Half of a word must be right: two changes make anything of `ab`.
pub(super) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let length = typed.chars().count();
    let limit = NEAR.min(length / 2);
    known
        // Without this a word as long as a query would be compared with every known one.
        .filter(|word| word.chars().count().abs_diff(length) <= limit)
        .map(|word| (distance(&typed, word), word))
        .filter(|(changes, _)| *changes <= limit)
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, word)| word)
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (1..=to.chars().count()).collect();
    for (above, x) in from.chars().enumerate() {
        // The table's row for `x`, computed in place: `diagonal` is the old cell to the left.
        let (mut diagonal, mut left) = (above, above.saturating_add(1));
        for (cell, y) in row.iter_mut().zip(to.chars()) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            let best = replaced.min(left.min(*cell).saturating_add(1));
            diagonal = *cell;
            (*cell, left) = (best, best);
        }
    }
    row.last().copied().unwrap_or_else(|| from.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_known_ones() {
        for (from, to, changes) in [
            ("vram", "vram", 0),
            ("vrm", "vram", 1),
            ("kitten", "sitting", 3),
            ("pirce", "price", 2),
            ("", "abc", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(from, to), changes, "{from} {to}");
            assert_eq!(distance(to, from), changes, "{to} {from}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = || ["vram", "up", "price"].into_iter();
        assert_eq!(nearest("VRM", known()), Some("vram"));
        assert_eq!(nearest("pirce", known()), Some("price"));
        assert_eq!(nearest("ab", known()), None);
        assert_eq!(nearest("colour", known()), None);
    }
}
