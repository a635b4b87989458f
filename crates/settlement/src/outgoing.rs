//! The life of an outgoing transaction.
//!
//! ```text
//! signed → sent → seen → final (took effect, or failed)
//!    └──────┴──────┴───→ expired → absent
//! ```
//! The signed bytes are in the database before they are sent, so that after any crash the same transaction goes on, under the
//! same hash. A time-out says nothing. Another transaction for the same purpose may be signed only when this one is `absent` or
//! has failed: then it can never take effect, so there are never two that both could.

use std::collections::BTreeMap;
use std::fmt;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Address;

/// Between the two look-ups that prove absence, by the chain's own clock. A node's time passing the expiry is proof already, as
/// long as the node tells the truth about what it knows; the second look asks again.
pub const ABSENCE_MARGIN_MS: i64 = 10_000;

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outgoing {
    /// In the database; perhaps handed over by a process that died before it could say so.
    Signed,
    /// Handed over; no answer yet, or one that got lost.
    Sent,
    /// The chain has it and has not yet decided.
    Seen,
    /// It took effect.
    Landed { version: u64 },
    /// The chain ran it and it failed: nothing but the fee was spent.
    Failed { version: u64 },
    /// A node past its expiry does not know it. Asked once more.
    Expired { since: Timestamp },
    /// It can never land.
    Absent,
}

/// What the chain says of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The clock of the very node that answered, as of its answer.
    pub ledger_at: Timestamp,
    pub presence: Presence,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Unknown,
    Pending,
    Landed(Landing),
}

/// A transaction that the chain ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    pub version: u64,
    pub success: bool,
    /// The chain's words.
    pub status: String,
    pub gas_used: u64,
}

/// The chain says what cannot be: an incident, never to be mended by guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("the transaction was proven absent, and now it is at version {0}")]
    Risen(u64),
    #[error("the transaction was at version {had}, and now it is at version {got}")]
    Moved { had: u64, got: u64 },
    #[error("the transaction at version {0} succeeded and failed")]
    Both(u64),
}

impl Outgoing {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Seen => "seen",
            Self::Landed { .. } => "landed",
            Self::Failed { .. } => "failed",
            Self::Expired { .. } => "expired",
            Self::Absent => "absent",
        }
    }

    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Landed { .. } | Self::Failed { .. } | Self::Absent
        )
    }

    /// Another one may be signed in its place.
    pub const fn may_be_replaced(self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Absent)
    }

    /// The same bytes may be handed over, again too: a chain takes a hash once.
    pub const fn may_be_sent(self) -> bool {
        matches!(self, Self::Signed | Self::Sent | Self::Seen)
    }

    /// After the bytes were handed over, whatever the answer was.
    #[must_use]
    pub const fn sent(self) -> Self {
        match self {
            Self::Signed => Self::Sent,
            other => other,
        }
    }

    /// After a look-up of its hash.
    ///
    /// # Errors
    /// A [`Contradiction`] to what is known already.
    pub fn after(self, expires_at: Timestamp, sighting: &Sighting) -> Result<Self, Contradiction> {
        match (&sighting.presence, self) {
            (Presence::Landed(landing), state) => state.landed(landing),
            // What has landed stays so: a node that does not know it yet is behind.
            (_, Self::Landed { .. } | Self::Failed { .. } | Self::Absent) => Ok(self),
            (Presence::Pending, _) => Ok(Self::Seen),
            (Presence::Unknown, _) if sighting.ledger_at <= expires_at => Ok(self),
            (Presence::Unknown, Self::Expired { since }) => {
                let passed = sighting.ledger_at.millis_since(since);
                Ok(if passed >= ABSENCE_MARGIN_MS {
                    Self::Absent
                } else {
                    self
                })
            }
            (Presence::Unknown, _) => Ok(Self::Expired {
                since: sighting.ledger_at,
            }),
        }
    }

    fn landed(self, landing: &Landing) -> Result<Self, Contradiction> {
        let got = landing.version;
        let new = if landing.success {
            Self::Landed { version: got }
        } else {
            Self::Failed { version: got }
        };
        match self {
            Self::Absent => Err(Contradiction::Risen(got)),
            Self::Landed { version: had } | Self::Failed { version: had } if had != got => {
                Err(Contradiction::Moved { had, got })
            }
            Self::Landed { .. } | Self::Failed { .. } if self != new => {
                Err(Contradiction::Both(got))
            }
            _ => Ok(new),
        }
    }
}

impl fmt::Display for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An account that sends, and how many of its transactions may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    pub address: Address,
    pub most: usize,
}

/// Who sends the next `count` transactions: always the one with the most room. Fewer than asked when all are busy.
pub fn assign(
    senders: &[Sender],
    under_way: &BTreeMap<Address, usize>,
    count: usize,
) -> Vec<Address> {
    let mut room: Vec<(usize, Address)> = senders
        .iter()
        .map(|sender| {
            let busy = under_way.get(&sender.address).copied().unwrap_or(0);
            (sender.most.saturating_sub(busy), sender.address)
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let next = room.iter_mut().max_by_key(|(room, _)| *room);
        let Some((room, address)) = next.filter(|(room, _)| *room > 0) else {
            break;
        };
        *room = room.saturating_sub(1);
        chosen.push(*address);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXPIRES: Timestamp = Timestamp::from_millis(60_000);

    fn sighting(millis: i64, presence: Presence) -> Sighting {
        Sighting {
            ledger_at: Timestamp::from_millis(millis),
            presence,
        }
    }

    fn landing(version: u64, success: bool) -> Presence {
        Presence::Landed(Landing {
            version,
            success,
            status: String::new(),
            gas_used: 1,
        })
    }

    fn after(state: Outgoing, millis: i64, presence: Presence) -> Outgoing {
        state
            .after(EXPIRES, &sighting(millis, presence))
            .expect("no contradiction")
    }

    #[test]
    fn absence_needs_two_looks_past_the_expiry() {
        let sent = Outgoing::Signed.sent();
        assert_eq!(after(sent, 60_000, Presence::Unknown), Outgoing::Sent);
        let since = Timestamp::from_millis(60_001);
        let expired = after(sent, 60_001, Presence::Unknown);
        assert_eq!(expired, Outgoing::Expired { since });
        assert_eq!(after(expired, 70_000, Presence::Unknown), expired);
        // A node that is behind proves nothing, and takes nothing back.
        assert_eq!(after(expired, 10, Presence::Unknown), expired);
        assert_eq!(after(expired, 70_001, Presence::Unknown), Outgoing::Absent);
        assert_eq!(after(expired, 70_001, Presence::Pending), Outgoing::Seen);
        assert_eq!(
            after(expired, 70_001, landing(7, true)),
            Outgoing::Landed { version: 7 }
        );
    }

    #[test]
    fn one_that_was_never_marked_as_sent_is_looked_up_too() {
        // The process may have died between sending and saying so.
        assert_eq!(
            after(Outgoing::Signed, 5, landing(7, true)),
            Outgoing::Landed { version: 7 }
        );
        let since = Timestamp::from_millis(90_000);
        assert_eq!(
            after(Outgoing::Signed, 90_000, Presence::Unknown),
            Outgoing::Expired { since }
        );
    }

    #[test]
    fn only_what_can_never_take_effect_is_replaced() {
        let since = EXPIRES;
        let all = [
            (Outgoing::Signed, "signed", false, true, false),
            (Outgoing::Sent, "sent", false, true, false),
            (Outgoing::Seen, "seen", false, true, false),
            (
                Outgoing::Landed { version: 1 },
                "landed",
                false,
                false,
                true,
            ),
            (Outgoing::Failed { version: 1 }, "failed", true, false, true),
            (Outgoing::Expired { since }, "expired", false, false, false),
            (Outgoing::Absent, "absent", true, false, true),
        ];
        for (state, name, replaced, sent, is_final) in all {
            assert_eq!(state.to_string(), name);
            assert_eq!(state.may_be_replaced(), replaced, "{state}");
            assert_eq!(state.may_be_sent(), sent, "{state}");
            assert_eq!(state.is_final(), is_final, "{state}");
        }
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let wrong = |state: Outgoing, presence| state.after(EXPIRES, &sighting(1, presence));
        let landed = Outgoing::Landed { version: 7 };
        assert_eq!(
            wrong(Outgoing::Absent, landing(7, true)),
            Err(Contradiction::Risen(7))
        );
        let (had, got) = (7, 8);
        assert_eq!(
            wrong(landed, landing(8, true)),
            Err(Contradiction::Moved { had, got })
        );
        assert_eq!(
            wrong(landed, landing(7, false)),
            Err(Contradiction::Both(7))
        );
        assert_eq!(wrong(landed, landing(7, true)), Ok(landed));
        assert_eq!(wrong(landed, Presence::Unknown), Ok(landed));
        assert_eq!(
            wrong(Outgoing::Absent, Presence::Pending),
            Ok(Outgoing::Absent)
        );
    }

    #[test]
    fn a_state_is_kept_as_json() {
        let since = Timestamp::from_millis(60_001);
        for state in [
            Outgoing::Sent,
            Outgoing::Landed { version: 7 },
            Outgoing::Expired { since },
            Outgoing::Absent,
        ] {
            let text = serde_json::to_string(&state).expect("json");
            assert_eq!(
                serde_json::from_str::<Outgoing>(&text).expect("read"),
                state
            );
        }
    }

    #[test]
    fn whoever_has_room_sends() {
        let [a, b] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        let senders = [
            Sender {
                address: a,
                most: 1,
            },
            Sender {
                address: b,
                most: 3,
            },
        ];
        let busy = BTreeMap::from([(b, 1)]);
        let mut chosen = assign(&senders, &busy, 9);
        chosen.sort_unstable();
        assert_eq!(chosen, [a, b, b]);
        assert_eq!(assign(&senders, &busy, 1), [b]);
        assert_eq!(assign(&senders, &BTreeMap::from([(a, 1), (b, 5)]), 9), []);
    }

    /// A chain that loses, delays and lands as it likes, and nodes that are behind it.
    #[derive(Default)]
    struct Model {
        now: i64,
        /// When it expires, and at what time it landed.
        known: Vec<(i64, Option<i64>)>,
        pool: Vec<usize>,
    }

    impl Model {
        fn look(&self, number: usize, behind: i64) -> Sighting {
            let at = self.now.saturating_sub(behind);
            let presence = match self.known[number].1 {
                Some(landed) if landed <= at => {
                    landing(u64::try_from(number).expect("small"), true)
                }
                _ if self.pool.contains(&number) && behind == 0 => Presence::Pending,
                _ => Presence::Unknown,
            };
            sighting(at, presence)
        }
    }

    #[derive(Debug, Clone)]
    enum Deed {
        /// The bytes reach the chain, or get lost.
        Send {
            arrives: bool,
        },
        Advance(i64),
        Land,
        Look {
            behind: i64,
        },
        Replace,
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            any::<bool>().prop_map(|arrives| Deed::Send { arrives }),
            (1_i64..40_000).prop_map(Deed::Advance),
            Just(Deed::Land),
            (0_i64..90_000).prop_map(|behind| Deed::Look { behind }),
            Just(Deed::Look { behind: 0 }),
            Just(Deed::Replace),
        ];
        proptest::collection::vec(deed, 1..120)
    }

    proptest! {
        #[test]
        fn of_all_that_are_signed_for_one_purpose_at_most_one_lands(deeds in deeds()) {
            let mut chain = Model::default();
            let new = |chain: &mut Model| {
                chain.known.push((chain.now + 60_000, None));
                Outgoing::Signed
            };
            let mut state = new(&mut chain);
            for deed in deeds {
                let newest = chain.known.len() - 1;
                match deed {
                    Deed::Send { arrives } if state.may_be_sent() => {
                        state = state.sent();
                        let (expires, landed) = chain.known[newest];
                        if arrives && landed.is_none() && chain.now < expires {
                            chain.pool.push(newest);
                        }
                    }
                    Deed::Advance(millis) => chain.now += millis,
                    Deed::Land => {
                        for number in std::mem::take(&mut chain.pool) {
                            let (expires, landed) = &mut chain.known[number];
                            if chain.now < *expires && landed.is_none() {
                                *landed = Some(chain.now);
                            }
                        }
                    }
                    Deed::Look { behind } => {
                        let expires_at = Timestamp::from_millis(chain.known[newest].0);
                        state = state.after(expires_at, &chain.look(newest, behind)).expect("the chain is consistent");
                    }
                    Deed::Replace if state.may_be_replaced() => state = new(&mut chain),
                    Deed::Send { .. } | Deed::Replace => {}
                }
                let landed = chain.known.iter().filter(|(_, landed)| landed.is_some()).count();
                prop_assert!(landed <= 1, "{landed} landed");
            }
        }
    }
}
