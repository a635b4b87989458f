//! How long a machine was there, as a strip of bars: the higher, the longer.

use std::fmt::Write;

use leptos::prelude::*;
use protocol::fleet::UptimeSpan;

use crate::components::Parts;
use crate::i18n::{Words, fill};

/// Of a bar, and from one to the next.
const WIDTH: usize = 8;
const STEP: usize = 10;
const HEIGHT: u64 = 24;
/// What is not expected is a line at the bottom.
const LINE: u64 = 2;
/// From so many thousandths on it was there, or nearly so.
const GOOD: u64 = 995;
const FAIR: u64 = 900;

/// A share in per cent with one decimal place; of several spans together.
pub fn share(spans: &[UptimeSpan]) -> Option<String> {
    let sum = |of: fn(&UptimeSpan) -> u64| spans.iter().map(of).fold(0_u64, u64::saturating_add);
    let online = sum(|span| span.online_seconds);
    let expected = online.saturating_add(sum(UptimeSpan::offline_seconds));
    let share = online.saturating_mul(1_000).checked_div(expected)?;
    Some(format!("{}.{} %", share / 10, share % 10))
}

/// `label` has two gaps: the share, and how many spans had absence. `places`: as many bars there are at most; the newest is the last.
pub fn strip(
    spans: &[UptimeSpan],
    places: usize,
    label: &'static str,
    t: &'static Words,
) -> AnyView {
    let Some(whole) = share(spans) else {
        return view! { <p class="hint">{t.strip_none()}</p> }.into_any();
    };
    let absent = spans
        .iter()
        .filter(|span| span.per_mille().is_some_and(|share| share < GOOD));
    let label = fill(label, &[&whole, &absent.count().to_string()]);
    let tones = ["tone-ok", "tone-warn", "tone-bad", "tone-idle"];
    let mut paths = [const { String::new() }; 4];
    let first = places.saturating_sub(spans.len());
    // Before it joined nothing was expected of it either.
    for n in 0..first {
        let (x, y) = (n.saturating_mul(STEP), HEIGHT.saturating_sub(LINE));
        if let Some(path) = paths.last_mut() {
            _ = write!(path, "M{x} {y}h{WIDTH}v{LINE}h-{WIDTH}z");
        }
    }
    for (n, span) in spans.iter().enumerate() {
        let (path, height) = match span.per_mille() {
            Some(share) => {
                let tone = if share >= GOOD {
                    0
                } else if share >= FAIR {
                    1
                } else {
                    2
                };
                (tone, (HEIGHT.saturating_mul(share) / 1_000).max(LINE))
            }
            None => (3, LINE),
        };
        let (x, y) = (
            first.saturating_add(n).saturating_mul(STEP),
            HEIGHT.saturating_sub(height),
        );
        if let Some(path) = paths.get_mut(path) {
            _ = write!(path, "M{x} {y}h{WIDTH}v{height}h-{WIDTH}z");
        }
    }
    let paths = tones
        .into_iter()
        .zip(paths)
        .filter(|(_, path)| !path.is_empty())
        .map(|(tone, path)| view! { <path class=tone d=path fill="currentColor"/> })
        .parts();
    let size = format!("0 0 {} {HEIGHT}", places.saturating_mul(STEP));
    view! { <svg class="strip" viewBox=size preserveAspectRatio="none" role="img" aria-label=label>{paths}</svg> }
        .into_any()
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;

    fn span(up: u64, online: u64, away: u64) -> UptimeSpan {
        UptimeSpan {
            from: Timestamp::from_millis(0),
            up_seconds: up,
            online_seconds: online,
            away_seconds: away,
        }
    }

    #[test]
    fn what_was_not_expected_does_not_lower_the_share() {
        let spans = [
            span(86_400, 86_400, 0),
            span(86_400, 0, 86_400),
            span(0, 0, 0),
        ];
        assert_eq!(share(&spans).as_deref(), Some("100.0 %"));
        assert_eq!(share(&[span(1_000, 900, 0)]).as_deref(), Some("90.0 %"));
        assert_eq!(share(&[span(0, 0, 0)]), None);
    }
}
