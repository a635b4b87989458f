//! The geometry of charts: pure arithmetic from samples to SVG paths, the same on the server and in the browser.

use std::fmt::Write;

/// One sample: milliseconds and a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub at: f64,
    pub value: f64,
}

/// What a plot of some samples spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub from: f64,
    pub to: f64,
    pub low: f64,
    pub high: f64,
}

/// The drawing is this many units wide and high; the style sheet stretches it.
pub const SIZE: f64 = 100.0;

/// The next number of the form 1, 2, 2.5 or 5 times a power of ten: what a person would write on an axis.
pub fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let lead = value / power;
    let step = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|step| lead <= step + 1e-9)
        .unwrap_or(10.0);
    step * power
}

/// The next power of two, of bytes: it and its half are whole numbers of KiB, MiB or GiB, the units in which sizes are
/// written. A round number of bytes is none of these.
pub fn round_up_bytes(value: f64) -> f64 {
    let mut size = 1024.0;
    while size < value && value.is_finite() {
        size *= 2.0;
    }
    size
}

impl Span {
    /// From zero (or below, when a value is) to a round number above every value.
    pub fn of(samples: &[Sample]) -> Self {
        Self::rounded(samples, round_up)
    }

    /// The same for what is counted in other steps than tens.
    pub fn rounded(samples: &[Sample], round_up: fn(f64) -> f64) -> Self {
        let fold = |start: f64, pick: fn(f64, f64) -> f64| {
            samples.iter().map(|s| s.value).fold(start, pick)
        };
        let (low, high) = (fold(0.0, f64::min), fold(0.0, f64::max));
        Self {
            from: samples.first().map_or(0.0, |s| s.at),
            to: samples.last().map_or(1.0, |s| s.at),
            low: if low < 0.0 { -round_up(-low) } else { 0.0 },
            high: if high > 0.0 || low >= 0.0 {
                round_up(high)
            } else {
                0.0
            },
        }
    }

    fn x(&self, at: f64) -> f64 {
        let width = self.to - self.from;
        if width > 0.0 {
            (at - self.from) / width * SIZE
        } else {
            SIZE
        }
    }

    fn y(&self, value: f64) -> f64 {
        SIZE - (value - self.low) / (self.high - self.low) * SIZE
    }

    /// Top, middle and bottom of the axis.
    pub fn grid(&self) -> [f64; 3] {
        [self.high, f64::midpoint(self.low, self.high), self.low]
    }

    /// Where a sample stands, in units of [`SIZE`].
    pub fn place(&self, sample: &Sample) -> (f64, f64) {
        (self.x(sample.at), self.y(sample.value))
    }
}

/// At most `most` samples, evenly thinned; the last one is always kept.
pub fn thin(samples: &[Sample], most: usize) -> Vec<Sample> {
    if samples.len() <= most || most == 0 {
        return samples.to_vec();
    }
    let step = samples.len().div_ceil(most);
    samples.iter().rev().step_by(step).rev().copied().collect()
}

/// Samples stand this many times their usual distance apart where some between were not measured.
const FAR: f64 = 2.5;

/// The line through the samples. Where two are further apart than `gap`, than is usual and than their neighbours are,
/// the line is broken: what was not measured is not drawn. What was only thinned is.
pub fn path(samples: &[Sample], span: &Span, gap: f64) -> String {
    let drawn: Vec<&Sample> = samples.iter().filter(|s| s.value.is_finite()).collect();
    let steps: Vec<f64> = drawn
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    let gap = gap.max(FAR * median(&steps));
    // Old samples are thinned more than fresh ones, so what is usual is also asked of the neighbours.
    let step = |index: usize| steps.get(index).copied().unwrap_or(0.0);
    let is_joined = |index: usize| {
        let around = step(index.wrapping_sub(1)).max(step(index + 1));
        step(index) <= gap.max(FAR * around)
    };
    let mut d = String::with_capacity(drawn.len() * 12);
    for (index, sample) in drawn.into_iter().enumerate() {
        let (x, y) = span.place(sample);
        let joined = index > 0 && is_joined(index - 1);
        // Writing to a String cannot fail.
        _ = write!(d, "{}{x:.2} {y:.2}", if joined { "L" } else { "M" });
    }
    d
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The sample nearest to `share` (0 at the left edge, 1 at the right one).
pub fn nearest(samples: &[Sample], span: &Span, share: f64) -> Option<Sample> {
    let at = span.from + (span.to - span.from) * share.clamp(0.0, 1.0);
    let after = samples.partition_point(|s| s.at < at);
    let candidates = samples.get(after.saturating_sub(1)..samples.len().min(after + 1))?;
    candidates
        .iter()
        .copied()
        .min_by(|a, b| (a.at - at).abs().total_cmp(&(b.at - at).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[(f64, f64)]) -> Vec<Sample> {
        values
            .iter()
            .map(|&(at, value)| Sample { at, value })
            .collect()
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, round) in [
            (0.0, 1.0),
            (0.3, 0.5),
            (1.0, 1.0),
            (1.1, 2.0),
            (2.3, 2.5),
            (61.0, 100.0),
            (f64::NAN, 1.0),
        ] {
            assert!(
                (round_up(value) - round).abs() < 1e-9,
                "{value} → {}",
                round_up(value)
            );
        }
    }

    #[test]
    fn sizes_have_round_ticks_in_the_unit_in_which_they_are_written() {
        let mib = |value: f64| value * 1_048_576.0;
        let ticks = |most: f64| {
            let span = Span::rounded(&samples(&[(0.0, most)]), round_up_bytes);
            assert!(span.high >= most, "{most} is above the axis");
            span.grid()
                .map(|tick| crate::format::bytes(tick).replace('\u{a0}', " "))
        };
        assert_eq!(ticks(0.0), ["1 KiB", "512 B", "0 B"]);
        assert_eq!(ticks(mib(0.3)), ["512 KiB", "256 KiB", "0 B"]);
        assert_eq!(ticks(mib(1.0)), ["1 MiB", "512 KiB", "0 B"]);
        assert_eq!(ticks(mib(19.1)), ["32 MiB", "16 MiB", "0 B"]);
        assert_eq!(ticks(mib(32.0)), ["32 MiB", "16 MiB", "0 B"]);
        assert_eq!(ticks(mib(700.0)), ["1 GiB", "512 MiB", "0 B"]);
        assert_eq!(ticks(mib(23.5 * 1024.0)), ["32 GiB", "16 GiB", "0 B"]);
        assert_eq!(ticks(mib(1.5 * 1_048_576.0)), ["2 TiB", "1 TiB", "0 B"]);
        for wrong in [f64::NAN, f64::INFINITY, -1.0] {
            assert!((round_up_bytes(wrong) - 1024.0).abs() < 1e-9, "{wrong}");
        }
    }

    #[test]
    fn the_axis_starts_at_zero_unless_a_value_is_below() {
        let span = Span::of(&samples(&[(0.0, 40.0), (10.0, 90.0)]));
        assert_eq!((span.low, span.high), (0.0, 100.0));
        assert_eq!(format!("{:?}", span.grid()), "[100.0, 50.0, 0.0]");
        let span = Span::of(&samples(&[(0.0, -3.0), (1.0, -1.0)]));
        assert_eq!((span.low, span.high), (-5.0, 0.0));
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let samples = samples(&[(0.0, 0.0), (1.0, 1.0), (9.0, 1.0), (10.0, 0.5)]);
        let span = Span::of(&samples);
        assert_eq!(
            path(&samples, &span, 2.0),
            "M0.00 100.00L10.00 0.00M90.00 0.00L100.00 50.00"
        );
    }

    #[test]
    fn what_was_only_thinned_is_one_line() {
        // A job of hours: the oldest samples stand a minute apart, the freshest a second, and both are one line.
        let mut at = 0.0;
        let mut all = Vec::new();
        for step in [60_000.0, 30_000.0, 8_000.0, 4_000.0, 1_000.0] {
            for _ in 0..60 {
                at += step;
                all.push((at, 1.0));
            }
        }
        let thinned = samples(&all);
        let drawn = path(&thinned, &Span::of(&thinned), 5_000.0);
        assert_eq!(drawn.matches('M').count(), 1, "{drawn}");
        // What is missing in their midst is still a gap.
        all.drain(10..20);
        let missing = samples(&all);
        let drawn = path(&missing, &Span::of(&missing), 5_000.0);
        assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
    }

    #[test]
    fn one_sample_and_none_can_be_drawn() {
        let one = samples(&[(5.0, 1.0)]);
        assert_eq!(path(&one, &Span::of(&one), 1.0), "M100.00 0.00");
        assert_eq!(path(&[], &Span::of(&[]), 1.0), "");
        assert_eq!(nearest(&[], &Span::of(&[]), 0.5), None);
    }

    #[test]
    fn the_cursor_finds_the_nearest_sample() {
        let samples = samples(&[(0.0, 1.0), (4.0, 2.0), (10.0, 3.0)]);
        let span = Span::of(&samples);
        let value = |share| nearest(&samples, &span, share).map(|s| s.value);
        assert_eq!(value(0.0), Some(1.0));
        assert_eq!(value(0.3), Some(2.0));
        assert_eq!(value(0.9), Some(3.0));
        assert_eq!(value(7.0), Some(3.0));
    }

    #[test]
    fn thinning_keeps_the_last_sample() {
        let many: Vec<_> = (0..1000_u32)
            .map(|n| Sample {
                at: f64::from(n),
                value: 1.0,
            })
            .collect();
        let thinned = thin(&many, 300);
        assert!(thinned.len() <= 300);
        assert_eq!(thinned.last(), many.last());
        assert!(thinned.is_sorted_by(|a, b| a.at < b.at));
    }
}
