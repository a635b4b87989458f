//! Texts with numbers in them (JSON, CSV, plain): words are the same, numbers nearly.

use super::Unreadable;

/// Far above what rounding of a sum leaves around zero, far below what anybody reports.
const NOTHING: f64 = 1e-9;

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

/// A text's words and numbers. Brackets, commas and colons stand between them and count as words too.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace();
    let marks = |c: char| matches!(c, ',' | ';' | ':' | '[' | ']' | '{' | '}' | '(' | ')' | '=');
    text.split(between)
        .flat_map(move |part| part.split_inclusive(marks))
        .flat_map(move |part| {
            let end = part
                .len()
                .saturating_sub(usize::from(part.ends_with(marks)));
            let (word, mark) = part.split_at_checked(end).unwrap_or((part, ""));
            [word, mark]
        })
        .filter(|word| !word.is_empty())
}

fn number(word: &str) -> Option<f64> {
    word.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn is_near(one: f64, other: f64, permille: u32) -> bool {
    let largest = one.abs().max(other.abs());
    (one - other).abs() <= largest * f64::from(permille) / 1_000.0 + NOTHING
}

pub(super) fn difference(
    first: &[u8],
    again: &[u8],
    permille: u32,
) -> Result<Option<String>, Unreadable> {
    let again = text(again).map_err(Unreadable::Again)?;
    let first = text(first).map_err(Unreadable::First)?;
    let (mut left, mut right) = (words(first), words(again));
    for place in 1_u64.. {
        let same = match (left.next(), right.next()) {
            (None, None) => return Ok(None),
            (Some(one), Some(other)) => match (number(one), number(other)) {
                (Some(one), Some(other)) => is_near(one, other, permille),
                _ => one == other,
            },
            _ => return Ok(Some("one has more in it than the other".to_owned())),
        };
        if !same {
            return Ok(Some(format!("word {place} differs")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::{Compared, compare};
    use protocol::recompute::Tolerance;

    fn check(first: &str, again: &str) -> Compared {
        compare(
            first.as_bytes(),
            again.as_bytes(),
            Tolerance::Numbers { permille: 1 },
        )
    }

    #[test]
    fn small_noise_passes_and_another_number_or_word_does_not() {
        let one = "{\"loss\": [0.51234, 1e-12], \"name\": \"x\"}";
        assert_eq!(
            check(one, "{\"loss\":[0.51236,-3e-13],\"name\":\"x\"}"),
            Compared::Same
        );
        for other in [
            "{\"loss\": [0.52, 1e-12], \"name\": \"x\"}",
            "{\"loss\": [0.51234, 1e-12], \"name\": \"y\"}",
            "{\"loss\": [0.51234], \"name\": \"x\"}",
            "{\"loss\": [NaN, 1e-12], \"name\": \"x\"}",
            "",
        ] {
            assert!(matches!(check(one, other), Compared::Differ(_)), "{other}");
        }
        let noise = [0xff, 0xfe];
        let tolerance = Tolerance::Numbers { permille: 1 };
        assert!(matches!(
            compare(&noise, b"1", tolerance),
            Compared::Differ(_)
        ));
        assert!(matches!(
            compare(b"1", &noise, tolerance),
            Compared::Unreadable(_)
        ));
    }
}
