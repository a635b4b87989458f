//! The states of money under way, and what may happen to each.

use serde::{Deserialize, Serialize};

/// A step that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {from} cannot {step}")]
pub struct WrongStep {
    pub what: &'static str,
    pub from: &'static str,
    pub step: &'static str,
}

/// A table of states: which step takes from where to where, and how a refusal calls it. Whatever it does not hold is
/// refused.
macro_rules! steps {
    ($what:literal: $state:ident by $step:ident {
        $($name:ident ($words:literal): $($from:ident)|+ => $to:ident,)*
    }) => {
        impl $state {
            /// # Errors
            /// [`WrongStep`] names the state and the step.
            pub const fn step(self, step: $step) -> Result<Self, WrongStep> {
                match (self, step) {
                    $(($(Self::$from)|+, $step::$name) => Ok(Self::$to),)*
                    (from, step) => Err(WrongStep {
                        what: $what,
                        from: from.as_str(),
                        step: match step {
                            $($step::$name => $words,)*
                        },
                    }),
                }
            }
        }
    };
}

/// How far a deposit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DepositState {
    /// Asked of the demo's faucet; an admin decides.
    Requested,
    /// Seen outside, not yet certain.
    InTransit,
    Credited,
    Refused,
}

words!(DepositState {
    Requested = "requested",
    InTransit = "in_transit",
    Credited = "credited",
    Refused = "refused",
});

/// What happens to a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepositStep {
    /// An admin gives it, or the outside says that it is certain.
    Credit,
    Refuse,
}

steps!("deposit": DepositState by DepositStep {
    Credit ("be credited"): Requested | InTransit => Credited,
    Refuse ("be refused"): Requested | InTransit => Refused,
});

/// How far a payout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    /// An admin looks at it.
    Requested,
    /// It goes out next.
    Approved,
    /// Two admins hold it back.
    Frozen,
    /// Handed over; not yet certain.
    Sent,
    Paid,
    /// It could not be paid; the money is back.
    Failed,
    /// Its owner took it back.
    Cancelled,
    /// An admin refused it; the money is back.
    Refused,
}

words!(PayoutState {
    Requested = "requested",
    Approved = "approved",
    Frozen = "frozen",
    Sent = "sent",
    Paid = "paid",
    Failed = "failed",
    Cancelled = "cancelled",
    Refused = "refused",
});

/// What happens to a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutStep {
    Approve,
    Freeze,
    Thaw,
    Send,
    Confirm,
    Fail,
    Cancel,
    Refuse,
}

/// What an admin, or the chain, does with a payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum PayoutMove {
    Approve,
    /// Handed over under this name; one name pays one payout.
    Send {
        /// What the transaction is called outside, at most 120 characters.
        reference: String,
    },
    /// It has arrived.
    Confirm,
    /// It could not be paid; the money goes back.
    Fail {
        why: String,
    },
    /// It will not be paid; the money goes back.
    Refuse {
        why: String,
    },
}

impl PayoutState {
    /// Nothing happens to it any more.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Paid | Self::Failed | Self::Cancelled | Self::Refused
        )
    }

    /// Its money went back to its owner.
    pub const fn is_returned(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Refused)
    }
}

steps!("payout": PayoutState by PayoutStep {
    Approve ("be approved"): Requested => Approved,
    Freeze ("be frozen"): Requested | Approved => Frozen,
    Thaw ("be thawed"): Frozen => Requested,
    Send ("be sent"): Approved => Sent,
    Confirm ("be confirmed"): Sent => Paid,
    Fail ("fail"): Sent => Failed,
    Cancel ("be cancelled"): Requested | Approved => Cancelled,
    Refuse ("be refused"): Requested | Approved | Frozen => Refused,
});

/// What two admins decide together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAction {
    FreezePayout,
    ThawPayout,
}

words!(ApprovalAction {
    FreezePayout = "freeze_payout",
    ThawPayout = "thaw_payout",
});

/// How far a dispute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    Open,
    /// Decided for the requester, in full or in part.
    Refunded,
    /// Decided for the owner.
    Rejected,
    /// The requester took it back.
    Withdrawn,
}

words!(DisputeState {
    Open = "open",
    Refunded = "refunded",
    Rejected = "rejected",
    Withdrawn = "withdrawn",
});

/// What happens to a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeStep {
    Refund,
    Reject,
    Withdraw,
}

steps!("dispute": DisputeState by DisputeStep {
    Refund ("be refunded"): Open => Refunded,
    Reject ("be rejected"): Open => Rejected,
    Withdraw ("be withdrawn"): Open => Withdrawn,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payout_goes_one_way_and_a_frozen_one_is_not_paid() {
        use PayoutState as State;
        use PayoutStep as Step;
        let steps = [
            Step::Approve,
            Step::Freeze,
            Step::Thaw,
            Step::Send,
            Step::Confirm,
            Step::Fail,
            Step::Cancel,
            Step::Refuse,
        ];
        let allowed: Vec<(&str, usize)> = State::ALL
            .iter()
            .map(|state| {
                let of = steps.iter().filter(|step| state.step(**step).is_ok());
                (state.as_str(), of.count())
            })
            .collect();
        assert_eq!(
            allowed,
            [
                ("requested", 4),
                ("approved", 4),
                ("frozen", 2),
                ("sent", 2),
                ("paid", 0),
                ("failed", 0),
                ("cancelled", 0),
                ("refused", 0)
            ]
        );
        for state in State::ALL {
            let none = steps.iter().all(|step| state.step(*step).is_err());
            assert_eq!(state.is_final(), none);
            assert!(state.is_final() || !state.is_returned());
        }
        let frozen = State::Approved.step(Step::Freeze);
        assert_eq!(frozen, Ok(State::Frozen));
        let error = State::Frozen.step(Step::Send).expect_err("frozen");
        assert_eq!(error.to_string(), "a payout that is frozen cannot be sent");
        assert!(!State::Paid.is_returned() && State::Failed.is_returned());
    }

    #[test]
    fn what_is_decided_stays_so() {
        for state in DisputeState::ALL {
            for step in [
                DisputeStep::Refund,
                DisputeStep::Reject,
                DisputeStep::Withdraw,
            ] {
                assert_eq!(state.step(step).is_ok(), *state == DisputeState::Open);
            }
        }
        for state in DepositState::ALL {
            for step in [DepositStep::Credit, DepositStep::Refuse] {
                let open = matches!(state, DepositState::Requested | DepositState::InTransit);
                assert_eq!(state.step(step).is_ok(), open);
            }
        }
        assert_eq!(
            DisputeState::Open.step(DisputeStep::Reject),
            Ok(DisputeState::Rejected)
        );
        assert_eq!(
            DepositState::Requested.step(DepositStep::Credit),
            Ok(DepositState::Credited)
        );
    }
}
