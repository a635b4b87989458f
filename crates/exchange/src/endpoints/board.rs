//! Who of an endpoint's members gets the next request, and what was seen of them. Pure: the time is an argument.

use std::collections::{BTreeMap, VecDeque};

use kernel::LeaseId;

/// So many failures in a row and a member gets no more requests, until a look at its health succeeds.
pub const FAILURES_MAX: u32 = 3;
/// Answers that the latencies are taken of.
const LATENCIES_KEPT: usize = 512;
/// Tokens a second are those of so long.
const PACE_WINDOW_MS: u64 = 60_000;
const PACES_KEPT: usize = 4_096;
/// A member that has much to do and says something so often is well, however late it answers a look.
const SAYS_WITHIN_MS: u64 = 120_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    lease: LeaseId,
    under_way: u32,
    failures: u32,
    /// Never seen well: it may still load its model.
    well: bool,
    /// The number of the request that it was given last.
    given: u64,
    /// When it answered something last, or a piece of it.
    said_ms: u64,
}

/// How a request ended, as far as its member is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answered, whatever it answered.
    Answered {
        /// To its first byte.
        first_ms: u64,
        /// In all, tokens that it said.
        tokens: u64,
    },
    /// It could not be reached, or broke off.
    Failed,
    /// There was no room for the request, or no answer in time: whoever asks too much fills its queue. Whether it is ill a look tells.
    Late,
    /// Who asked went away: nobody is to blame.
    Left,
}

/// What a look at a member's health has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Well,
    /// It refused, broke off, or says itself that it is not well.
    Ill,
    /// There was no answer in time. `crowded`: others hold so many connections into it that it may have had no turn.
    Late {
        crowded: bool,
    },
}

#[derive(Debug, Clone, Default)]
pub struct Board {
    members: BTreeMap<u32, Member>,
    given: u64,
    pub requests: u64,
    pub failed: u64,
    pub retried: u64,
    pub tokens: u64,
    latencies: VecDeque<u64>,
    /// When an answer was whole, and its tokens.
    paces: VecDeque<(u64, u64)>,
    told: Told,
}

/// What people were told last: who is well, and what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    well: Vec<(u32, bool)>,
    asked: [u64; 4],
}

impl Board {
    /// These run now: others are forgotten; new ones, and those that were replaced, are not known to be well yet.
    pub fn have(&mut self, members: &[(u32, LeaseId)]) {
        self.members
            .retain(|member, of| members.contains(&(*member, of.lease)));
        for (member, lease) in members {
            self.members.entry(*member).or_insert(Member {
                lease: *lease,
                under_way: 0,
                failures: 0,
                well: false,
                given: 0,
                said_ms: 0,
            });
        }
    }

    /// The one for the next request: of the well ones that were not tried, the one with least to do; of several the one that was
    /// given one longest ago. Where none is well, one that is not known to be ill.
    pub fn pick(&mut self, tried: &[u32]) -> Option<u32> {
        let free = |well: bool| {
            let fit = self.members.iter().filter(|(member, of)| {
                !tried.contains(member) && of.failures < FAILURES_MAX && of.well == well
            });
            fit.min_by_key(|(_, of)| (of.under_way, of.given))
                .map(|(member, _)| *member)
        };
        let member = free(true).or_else(|| free(false))?;
        self.given = self.given.saturating_add(1);
        let given = self.given;
        let of = self.members.get_mut(&member)?;
        of.under_way = of.under_way.saturating_add(1);
        of.given = given;
        if tried.is_empty() {
            self.requests = self.requests.saturating_add(1);
        } else {
            self.retried = self.retried.saturating_add(1);
        }
        Some(member)
    }

    pub fn ended(&mut self, member: u32, heard: Heard, now_ms: u64) {
        if let Some(of) = self.members.get_mut(&member) {
            of.under_way = of.under_way.saturating_sub(1);
            match heard {
                Heard::Answered { .. } => {
                    (of.failures, of.well, of.said_ms) = (0, true, now_ms);
                }
                Heard::Failed => of.failures = of.failures.saturating_add(1),
                Heard::Late | Heard::Left => {}
            }
        }
        if let Heard::Answered { first_ms, tokens } = heard {
            self.tokens = self.tokens.saturating_add(tokens);
            keep(&mut self.latencies, first_ms, LATENCIES_KEPT);
            keep(&mut self.paces, (now_ms, tokens), PACES_KEPT);
        }
    }

    /// Nobody could answer.
    pub fn refused(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// An answer of a member begins, or goes on.
    pub fn says(&mut self, member: u32, now_ms: u64) {
        if let Some(of) = self.members.get_mut(&member) {
            of.said_ms = now_ms;
        }
    }

    /// A look at a member's health. One that is late only because of what it has to do is not ill: who floods an endpoint would take
    /// its members from everybody.
    pub fn looked(&mut self, member: u32, look: Look, now_ms: u64) {
        let Some(of) = self.members.get_mut(&member) else {
            return;
        };
        let busy = match look {
            Look::Late { crowded } => crowded || of.under_way > 0,
            Look::Well | Look::Ill => false,
        };
        let says = of.said_ms.saturating_add(SAYS_WITHIN_MS) > now_ms;
        if look == Look::Well {
            (of.failures, of.well, of.said_ms) = (0, true, now_ms);
        } else if !(busy && of.well && says) {
            of.failures = of.failures.saturating_add(1);
            of.well &= of.failures < FAILURES_MAX;
        }
    }

    /// Each member: whether it is well, and how much it has to do.
    pub fn members(&self) -> impl Iterator<Item = (u32, bool, u32)> {
        let seen = |(member, of): (&u32, &Member)| {
            let well = of.well && of.failures < FAILURES_MAX;
            (*member, well, of.under_way)
        };
        self.members.iter().map(seen)
    }

    /// Whether there is something to tell since this was asked last.
    pub fn news(&mut self) -> bool {
        let well = self.members().map(|(member, well, _)| (member, well));
        let now = Told {
            well: well.collect(),
            asked: [self.requests, self.failed, self.retried, self.tokens],
        };
        let news = now != self.told;
        self.told = now;
        news
    }

    /// Milliseconds to the first byte that so many of a hundred answers did not need longer for.
    pub fn latency(&self, percent: usize) -> Option<u64> {
        let mut sorted: Vec<u64> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let at = last.saturating_mul(percent).div_ceil(100);
        sorted.get(at).copied()
    }

    /// Tenths of a token a second, over the last minute, or since its first answer.
    pub fn pace_tenths(&self, now_ms: u64) -> u64 {
        let from = now_ms.saturating_sub(PACE_WINDOW_MS);
        let recent = self.paces.iter().filter(|(at, _)| *at >= from);
        let (mut first, mut tokens) = (now_ms, 0_u64);
        for (at, said) in recent {
            first = first.min(*at);
            tokens = tokens.saturating_add(*said);
        }
        let span = now_ms.saturating_sub(first).clamp(1_000, PACE_WINDOW_MS);
        tokens.saturating_mul(10_000) / span
    }
}

fn keep<T>(row: &mut VecDeque<T>, value: T, most: usize) {
    if row.len() >= most {
        row.pop_front();
    }
    row.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Heard = Heard::Answered {
        first_ms: 10,
        tokens: 5,
    };

    fn lease(millis: i64) -> LeaseId {
        LeaseId::new(kernel::Timestamp::from_millis(millis), [0; 10])
    }

    fn board(members: &[u32]) -> Board {
        let mut board = Board::default();
        let leased: Vec<_> = members.iter().map(|member| (*member, lease(1))).collect();
        board.have(&leased);
        for member in members {
            board.looked(*member, Look::Well, 1);
        }
        board
    }

    /// A flood at one endpoint takes no member from those who ask it besides.
    #[test]
    fn fault_a_member_that_is_asked_too_much_is_not_ill() {
        let crowded = Look::Late { crowded: true };
        let mut board = board(&[0]);
        for second in 1..60 {
            board.pick(&[]);
            board.ended(0, Heard::Late, second * 1_000);
            board.looked(0, crowded, second * 1_000);
        }
        assert_eq!(board.members().next(), Some((0, true, 0)));
        assert_eq!(board.pick(&[]), Some(0));
        // With one long answer under way it may have no turn for a look either.
        board.says(0, 60_000);
        for second in 61..170 {
            board.looked(0, Look::Late { crowded: false }, second * 1_000);
        }
        assert_eq!(board.members().next(), Some((0, true, 1)));
        // One that says nothing to anybody for two minutes hangs.
        for second in 180..183 {
            board.looked(0, crowded, second * 1_000);
        }
        assert_eq!(board.pick(&[]), None);
    }

    #[test]
    fn who_has_nothing_to_do_and_is_late_or_who_breaks_off_is_ill() {
        for look in [Look::Late { crowded: false }, Look::Ill] {
            let mut board = board(&[0]);
            for _ in 0..FAILURES_MAX {
                board.looked(0, look, 2);
            }
            assert_eq!(board.pick(&[]), None, "{look:?}");
        }
        let mut board = board(&[0]);
        for _ in 0..FAILURES_MAX {
            board.pick(&[]);
            board.ended(0, Heard::Failed, 2);
        }
        assert_eq!(board.pick(&[]), None);
    }

    #[test]
    fn the_one_with_least_to_do_gets_the_next() {
        let mut board = board(&[0, 1, 2]);
        let first: Vec<_> = (0..3).filter_map(|_| board.pick(&[])).collect();
        assert_eq!(first, [0, 1, 2], "each one");
        board.ended(1, GOOD, 1);
        assert_eq!(board.pick(&[]), Some(1), "it is free again");
        board.ended(0, GOOD, 2);
        board.ended(1, GOOD, 2);
        assert_eq!(board.pick(&[]), Some(0), "it waited longest");
        assert_eq!(board.requests, 5);
    }

    #[test]
    fn what_changed_is_news_once() {
        let mut board = board(&[0, 1]);
        assert!(board.news(), "both are well");
        board.looked(0, Look::Well, 1);
        assert!(!board.news());
        board.looked(0, Look::Ill, 1);
        assert!(!board.news(), "once is no illness");
        for _ in 0..FAILURES_MAX {
            board.looked(0, Look::Ill, 1);
        }
        assert!(board.news() && !board.news());
        board.pick(&[]);
        assert!(board.news() && !board.news());
    }

    #[test]
    fn who_fails_gets_no_more_until_it_is_well() {
        let mut board = board(&[0, 1]);
        for _ in 0..FAILURES_MAX {
            board.looked(0, Look::Ill, 1);
        }
        for _ in 0..4 {
            assert_eq!(board.pick(&[]), Some(1));
        }
        assert_eq!(board.pick(&[1]), None, "no other is well");
        board.looked(0, Look::Well, 1);
        assert_eq!(board.pick(&[]), Some(0));
        // A request that fails counts as well, and is tried elsewhere.
        board.ended(0, Heard::Failed, 1);
        assert_eq!(board.pick(&[0]), Some(1));
        assert_eq!(board.retried, 1);
        let seen: Vec<_> = board.members().collect();
        assert_eq!(seen, [(0, true, 0), (1, true, 5)]);
    }

    #[test]
    fn one_that_still_loads_is_asked_only_when_no_other_is_there() {
        let mut board = board(&[0]);
        board.have(&[(0, lease(1)), (1, lease(1))]);
        for _ in 0..3 {
            assert_eq!(board.pick(&[]), Some(0));
        }
        // Another machine in its place is not known to be well; better than nobody it is.
        board.have(&[(0, lease(2)), (1, lease(1))]);
        assert!(board.members().all(|(_, well, _)| !well));
        assert!(board.pick(&[]).is_some());
        board.have(&[]);
        assert_eq!(board.pick(&[]), None);
        board.ended(0, GOOD, 5);
        assert_eq!(
            board.members().count(),
            0,
            "a late answer brings nobody back"
        );
    }

    #[test]
    fn figures_are_of_what_was_answered() {
        let mut board = board(&[0]);
        assert_eq!((board.latency(50), board.pace_tenths(0)), (None, 0));
        for n in 1..=100 {
            board.pick(&[]);
            let heard = Heard::Answered {
                first_ms: n,
                tokens: 10,
            };
            board.ended(0, heard, n * 1_000);
        }
        board.ended(0, Heard::Left, 100_000);
        board.refused();
        assert_eq!((board.latency(50), board.latency(95)), (Some(51), Some(96)));
        assert_eq!((board.tokens, board.failed), (1_000, 1));
        // 61 answers of ten tokens in the last minute.
        assert_eq!(board.pace_tenths(100_000), 101);
        assert_eq!(board.pace_tenths(1_000_000), 0);
    }
}
