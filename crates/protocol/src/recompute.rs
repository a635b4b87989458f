//! Slices of a job's work that are computed again on another owner's machine, so that nobody is paid for made-up results.
//! docs/proof.md has the argument.

use kernel::{JobId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::problem::FieldProblem;
use crate::spec::is_inner_path;

/// Slices of one job.
pub const SLICES_MAX: u32 = 10_000;
/// How far two results may be apart, in thousandths.
pub const PERMILLE_MAX: u32 = 500;
/// A slice's own time.
pub const SLICE_SECONDS_MAX: u64 = 86_400;
/// However many are drawn: so many of one job are computed again.
pub const CHECKS_MAX: usize = 32;

/// What of a specification's work may be computed again. The requester pays for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Recompute {
    /// Of a hundred slices so many are drawn. 0: none.
    pub percent: u32,
    /// The work falls into so many slices, numbered from `first` on.
    pub slices: u32,
    #[serde(default)]
    pub first: u32,
    /// The file that a slice leaves below the output: `frames/{slice}.png`; `{slice:4}` is filled with zeroes to four digits.
    pub output: String,
    /// The variable that asks the command for one slice alone, by its number.
    #[serde(default = "variable")]
    pub variable: String,
    /// One slice takes at most so long.
    #[serde(default = "seconds")]
    pub seconds: u64,
    pub tolerance: Tolerance,
}

fn variable() -> String {
    "SLICE".to_owned()
}

const fn seconds() -> u64 {
    600
}

/// When two results count as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tolerance {
    /// Byte for byte.
    Exact,
    /// PNG pictures: their colours are off by at most so many thousandths of the whole range in the mean, and by eight times as many in
    /// each of 64 parts.
    Pixels { permille: u32 },
    /// Texts: their words are the same, their numbers differ by at most so many thousandths.
    Numbers { permille: u32 },
}

impl Recompute {
    /// The file of a slice.
    pub fn path(&self, slice: u32) -> String {
        let Some((before, rest)) = self.output.split_once("{slice") else {
            return self.output.clone();
        };
        let Some((width, after)) = rest.split_once('}') else {
            return self.output.clone();
        };
        let width = width.strip_prefix(':').and_then(|width| width.parse().ok());
        format!(
            "{before}{slice:0width$}{after}",
            width = width.unwrap_or(0_usize).min(20)
        )
    }

    /// Their numbers.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.slices)
    }

    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut that = |holds: bool, field: &str, message: &str| {
            if !holds {
                problems.push(FieldProblem::new(format!("recompute.{field}"), message));
            }
        };
        that(
            self.percent <= 100,
            "percent",
            "a whole number from 0 to 100",
        );
        that(
            (1..=SLICES_MAX).contains(&self.slices),
            "slices",
            "a whole number from 1 to 10000",
        );
        that(
            (1..=SLICE_SECONDS_MAX).contains(&self.seconds),
            "seconds",
            "a whole number from 1 to 86400",
        );
        let (one, other) = (self.path(1), self.path(2));
        that(
            one != other && is_inner_path(&one) && self.output.matches("{slice").count() == 1,
            "output",
            "a relative path with {slice}, or {slice:4}, once in it",
        );
        let variable = &self.variable;
        let plain = variable
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b == b'_');
        that(
            plain && (1..=64).contains(&variable.len()) && !variable.starts_with("IOG_"),
            "variable",
            "capital letters and _ only, not IOG_ first, at most 64",
        );
        let permille = match self.tolerance {
            Tolerance::Exact => 1,
            Tolerance::Pixels { permille } | Tolerance::Numbers { permille } => permille,
        };
        that(
            (1..=PERMILLE_MAX).contains(&permille),
            "tolerance.permille",
            "a whole number from 1 to 500",
        );
        problems
    }
}

/// How far the check of a slice is, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Drawn; its second job is not sent yet.
    Drawn,
    /// A second owner's machine computes it.
    Second,
    /// The two differ: a third owner's machine computes it.
    Third,
    /// The second result is the first.
    Same,
    /// The third agrees with the second: the first was made up.
    FirstAlone,
    /// The third agrees with the first.
    SecondAlone,
    /// All three differ.
    AllDiffer,
    /// It could not be computed again, or the third could not decide.
    Undecided,
}

impl CheckState {
    pub const ALL: [Self; 8] = [
        Self::Drawn,
        Self::Second,
        Self::Third,
        Self::Same,
        Self::FirstAlone,
        Self::SecondAlone,
        Self::AllDiffer,
        Self::Undecided,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Second => "second",
            Self::Third => "third",
            Self::Same => "same",
            Self::FirstAlone => "first_alone",
            Self::SecondAlone => "second_alone",
            Self::AllDiffer => "all_differ",
            Self::Undecided => "undecided",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Drawn | Self::Second | Self::Third)
    }
}

/// A slice that was drawn to be computed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckView {
    pub job: JobId,
    pub slice: u32,
    /// Who delivered it, in which file, with which hash.
    pub lease: LeaseId,
    pub path: String,
    pub sha256: String,
    /// The platform's signature over `iog.recompute.v1`, job, slice and hash, a line each: the draw follows from it.
    pub draw: String,
    pub drawn_at: Timestamp,
    pub state: CheckState,
    /// The jobs that computed it again.
    pub second: Option<JobId>,
    pub third: Option<JobId>,
    pub detail: String,
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recompute(output: &str) -> Recompute {
        Recompute {
            percent: 2,
            slices: 12,
            first: 0,
            output: output.into(),
            variable: variable(),
            seconds: seconds(),
            tolerance: Tolerance::Exact,
        }
    }

    #[test]
    fn a_slice_has_its_file_and_a_bad_pattern_is_named() {
        assert_eq!(recompute("frames/{slice:4}.png").path(7), "frames/0007.png");
        assert_eq!(recompute("part-{slice}.json").path(12), "part-12.json");
        assert!(recompute("a/{slice:4}.png").problems().is_empty());
        for bad in [
            "a.png",
            "../{slice}",
            "{slice}{slice}",
            "{slice",
            "/{slice}",
        ] {
            let problems = recompute(bad).problems();
            let named = problems
                .iter()
                .any(|problem| problem.field == "recompute.output");
            assert!(named, "{bad}");
        }
        let wild = Recompute {
            percent: 101,
            slices: 0,
            seconds: 0,
            variable: "IOG_X".into(),
            tolerance: Tolerance::Pixels { permille: 0 },
            ..recompute("{slice}")
        };
        assert_eq!(wild.problems().len(), 5);
    }
}
