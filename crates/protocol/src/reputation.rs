//! A machine's reputation as it is stored and shown: what it did on each day, and what that comes to.

use kernel::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a machine did on one day (UTC). Whole numbers, summed: the order of events within a day is in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct DayFacts {
    /// Connected and answering.
    pub online_seconds: u64,
    /// Away without notice. Neither maintenance nor hours that its owner's schedule closes, nor those of a server that was down.
    pub offline_seconds: u64,
    /// Leases that delivered something and ended by no fault of the machine. Not those of its owner's own jobs.
    pub finished: u64,
    /// What these delivered.
    pub delivered_seconds: u64,
    /// Leases that ran and were lost with the machine.
    pub lost: u64,
    /// Leases that it ended because it shut down.
    pub drained: u64,
    /// Leases that it would not or could not start.
    pub refused: u64,
    /// Leases that ended because the machine was not what was hired.
    pub spec_missed: u64,
    pub challenges_passed: u64,
    pub challenges_failed: u64,
    /// Disputes that were decided against it.
    pub disputes_lost: u64,
}

/// What moves a reputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReputationInput {
    Online,
    Work,
    ChallengesPassed,
    Offline,
    /// Leases that were lost, ended by a shutdown, or refused.
    Interrupted,
    SpecMissed,
    ChallengesFailed,
    DisputesLost,
}

impl ReputationInput {
    pub const ALL: [Self; 8] = [
        Self::Online,
        Self::Work,
        Self::ChallengesPassed,
        Self::Offline,
        Self::Interrupted,
        Self::SpecMissed,
        Self::ChallengesFailed,
        Self::DisputesLost,
    ];

    /// Whether it raises a reputation.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Online | Self::Work | Self::ChallengesPassed)
    }
}

/// One input of a reputation as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReputationLine {
    pub input: ReputationInput,
    /// Its points after decay, in thousandths.
    pub milli_points: u64,
    /// What the reputation would lose or win without it, in hundredths: above zero it raises.
    pub effect_hundredths: i64,
}

/// A day of a machine, and its reputation at the end of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReputationDay {
    /// Its beginning, UTC.
    pub day: Timestamp,
    pub score_hundredths: u32,
    pub facts: DayFacts,
}

/// A machine's reputation with all that it is made of (docs/reputation.md): anyone can compute it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReputationView {
    pub node: NodeId,
    /// As the market knows it: 0 to 100, rounded down.
    pub reputation: u32,
    pub score_hundredths: u32,
    /// What raises it and what lowers it.
    pub lines: Vec<ReputationLine>,
    /// The last 180 days at most, oldest first.
    pub days: Vec<ReputationDay>,
}
