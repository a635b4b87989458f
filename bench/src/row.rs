//! One figure beside another.

use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;

/// What a figure must reach.
pub enum Goal {
    /// At most this much of the unit.
    AtMost(f64),
    /// At least this share of the other.
    RatioAtLeast(f64),
    /// At most this share of the other.
    RatioAtMost(f64),
}

#[derive(Serialize)]
pub struct Row {
    pub name: &'static str,
    pub ours: f64,
    pub other: f64,
    pub other_name: &'static str,
    pub unit: &'static str,
    /// ours / other
    pub ratio: f64,
    pub goal: String,
    pub holds: bool,
    /// Seconds since 1970.
    pub at: u64,
    pub command: String,
}

impl Row {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark notes when it was taken"
    )]
    pub fn new(
        name: &'static str,
        unit: &'static str,
        ours: f64,
        other: (&'static str, f64),
        goal: &Goal,
    ) -> Self {
        let ratio = ours / other.1;
        let (words, holds) = match goal {
            Goal::AtMost(limit) => (format!("at most {limit} {unit}"), ours <= *limit),
            Goal::RatioAtLeast(share) => {
                (format!("at least {share} of the other"), ratio >= *share)
            }
            Goal::RatioAtMost(share) if *share >= 1.0 => {
                (format!("at most {share} times the other"), ratio <= *share)
            }
            Goal::RatioAtMost(share) => (
                format!("at most 1/{:.0} of the other", 1.0 / share),
                ratio <= *share,
            ),
        };
        Self {
            name,
            ours,
            other: other.1,
            other_name: other.0,
            unit,
            ratio,
            goal: words,
            holds,
            at: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            command: format!("make bench ({name})"),
        }
    }
}

/// Prints the table and appends the lines. What could not be measured is named with the reason, and has no line.
pub fn report(rows: &[Row], left_out: &[(&str, String)]) {
    println!(
        "{:<20} {:>12} {:>12}  {:<34} {:>7}  goal",
        "row", "ours", "other", "other is", "ratio"
    );
    for row in rows {
        println!(
            "{:<20} {:>9.2} {:<2} {:>9.2} {:<2}  {:<34} {:>7.2}  {} {}",
            row.name,
            row.ours,
            row.unit,
            row.other,
            row.unit,
            row.other_name,
            row.ratio,
            row.goal,
            if row.holds {
                "(holds)"
            } else {
                "(does not hold)"
            }
        );
    }
    for (name, why) in left_out {
        println!("{name:<20} left out: {why}");
    }
    if let Err(error) = append(rows) {
        eprintln!("target/bench/results.jsonl could not be written: {error}");
        std::process::exit(1);
    }
}

fn append(rows: &[Row]) -> std::io::Result<()> {
    std::fs::create_dir_all("target/bench")?;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open("target/bench/results.jsonl")?;
    for row in rows {
        serde_json::to_writer(&mut file, row)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// The value below which `share` of them lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a position in a list of hundreds"
    )]
    let position = ((values.len() as f64 - 1.0) * share).round() as usize;
    values.get(position).copied().unwrap_or(f64::NAN)
}
