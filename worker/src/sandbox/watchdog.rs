//! When a job must be frozen, asked to stop, killed. Pure: it is told the time and answers what to do.
//!
//! The lease is the hard limit. One second before it ends the job is frozen, at its end everything is killed, because
//! the exchange gives the job to another node soon after. A stop (requested, out of funds, out of time) is
//! polite: SIGTERM, then after the grace SIGKILL to the job's process, so that artefacts can still be packed.

use super::report::StopReason;

/// The job is frozen this long before its lease ends.
pub const FREEZE_BEFORE_MS: u64 = 1_000;
/// After a polite kill the sandbox has this long to pack artefacts before it is killed whole.
pub const PACKING_MS: u64 = 60_000;
/// After a polite kill process 1 has this long to say that the job has ended; it may be held up, by the job too.
pub const END_WITHIN_MS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Freeze,
    Thaw,
    /// SIGTERM to the job's process.
    Terminate,
    /// SIGKILL to the job's process; the sandbox then packs the artefacts and ends.
    KillJob,
    /// SIGKILL to all of the sandbox, at once.
    KillAll,
}

#[derive(Debug)]
pub struct Watchdog {
    lease_until: u64,
    started_at: Option<u64>,
    funded: Option<u64>,
    time_limit: Option<u64>,
    grace: u64,
    stop: Option<Stop>,
    frozen: bool,
    job_ended_at: Option<u64>,
    killed_all: bool,
}

#[derive(Debug, Clone, Copy)]
struct Stop {
    reason: StopReason,
    terminated: bool,
    kill_at: u64,
    killed: bool,
}

impl Watchdog {
    pub const fn new(
        lease_until: u64,
        funded: Option<u64>,
        time_limit: Option<u64>,
        grace: u64,
    ) -> Self {
        Self {
            lease_until,
            started_at: None,
            funded,
            time_limit,
            grace,
            stop: None,
            frozen: false,
            job_ended_at: None,
            killed_all: false,
        }
    }

    pub const fn started(&mut self, now: u64) {
        self.started_at = Some(now);
    }

    pub const fn started_at(&self) -> Option<u64> {
        self.started_at
    }

    /// The job's own process is gone; only packing remains.
    pub const fn job_ended(&mut self, now: u64) {
        self.job_ended_at = Some(now);
    }

    pub const fn job_ended_at(&self) -> Option<u64> {
        self.job_ended_at
    }

    /// A lease is only ever made longer: an old message that comes late must not shorten it.
    pub fn renew(&mut self, until: u64) {
        self.lease_until = self.lease_until.max(until);
    }

    /// Paid time is cumulative and counted from the start.
    pub fn fund(&mut self, ms: u64) {
        self.funded = self.funded.map(|funded| funded.max(ms));
    }

    /// The first reason stands; a second stop may only shorten the grace. A job that has ended by itself is not stopped
    /// any more: what remains is packing, and its end stays its own.
    pub fn stop(&mut self, reason: StopReason, grace: u64, now: u64) {
        if self.job_ended_at.is_some() {
            return;
        }
        let kill_at = now.saturating_add(grace);
        match &mut self.stop {
            Some(stop) => {
                stop.kill_at = stop.kill_at.min(kill_at);
            }
            None => {
                self.stop = Some(Stop {
                    reason,
                    terminated: false,
                    kill_at,
                    killed: false,
                });
            }
        }
    }

    /// Ends everything now.
    pub fn kill_all(&mut self, reason: StopReason, now: u64) {
        self.stop(reason, 0, now);
        self.lease_until = 0;
    }

    pub fn stopped_for(&self) -> Option<StopReason> {
        self.stop.map(|stop| stop.reason)
    }

    /// What to do at `now`, in order.
    pub fn due(&mut self, now: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.killed_all {
            return actions;
        }
        let packing_over = self
            .job_ended_at
            .is_some_and(|at| now >= at.saturating_add(PACKING_MS));
        let kill_overdue = self.job_ended_at.is_none()
            && self.stop.is_some_and(|stop| {
                stop.killed && now >= stop.kill_at.saturating_add(END_WITHIN_MS)
            });
        if now >= self.lease_until || packing_over || kill_overdue {
            if now >= self.lease_until && self.stop.is_none() {
                self.stop(StopReason::Lease, 0, now);
            }
            self.killed_all = true;
            actions.push(Action::KillAll);
            return actions;
        }
        let freeze = now >= self.lease_until.saturating_sub(FREEZE_BEFORE_MS);
        if freeze != self.frozen {
            self.frozen = freeze;
            actions.push(if freeze { Action::Freeze } else { Action::Thaw });
        }
        self.plan_limits(now);
        self.carry_out_stop(now, &mut actions);
        actions
    }

    fn plan_limits(&mut self, now: u64) {
        if self.stop.is_some() || self.job_ended_at.is_some() {
            return;
        }
        // What is paid for never goes beyond the time limit: where the two fall together, it is the limit that ends the job.
        for (at, reason) in [
            (self.time_limit_ends(), StopReason::TimeLimit),
            (self.funds_end(), StopReason::Funds),
        ] {
            let Some(at) = at else { continue };
            if now >= at.saturating_sub(self.limit_grace()) {
                self.stop = Some(Stop {
                    reason,
                    terminated: false,
                    kill_at: at,
                    killed: false,
                });
                return;
            }
        }
    }

    fn carry_out_stop(&mut self, now: u64, actions: &mut Vec<Action>) {
        let frozen = self.frozen;
        if self.job_ended_at.is_some() || self.started_at.is_none() {
            // Nothing runs yet or any more: a stop before the start ends the whole sandbox.
            if self.stop.is_some() && self.started_at.is_none() {
                self.killed_all = true;
                actions.push(Action::KillAll);
            }
            return;
        }
        let Some(stop) = &mut self.stop else { return };
        if !stop.terminated && !frozen {
            stop.terminated = true;
            if now < stop.kill_at {
                actions.push(Action::Terminate);
            }
        }
        if !stop.killed && now >= stop.kill_at {
            stop.killed = true;
            stop.kill_at = now;
            // A frozen process cannot die; and it has no lease to go on packing under.
            actions.push(if frozen {
                Action::KillAll
            } else {
                Action::KillJob
            });
            self.killed_all = frozen;
        }
    }

    fn funds_end(&self) -> Option<u64> {
        Some(self.started_at?.saturating_add(self.funded?))
    }

    fn time_limit_ends(&self) -> Option<u64> {
        Some(self.started_at?.saturating_add(self.time_limit?))
    }

    /// A limit that is short gets a short grace: at most a fifth of it.
    fn limit_grace(&self) -> u64 {
        let shortest = self
            .funded
            .into_iter()
            .chain(self.time_limit)
            .min()
            .unwrap_or(u64::MAX);
        self.grace.min(shortest / 5)
    }

    /// When to look again.
    pub fn next(&self) -> u64 {
        if self.killed_all {
            return u64::MAX;
        }
        let mut at = vec![self.lease_until];
        if !self.frozen {
            at.push(self.lease_until.saturating_sub(FREEZE_BEFORE_MS));
        }
        if let Some(ended) = self.job_ended_at {
            at.push(ended.saturating_add(PACKING_MS));
        } else if let Some(stop) = self.stop {
            at.push(if stop.killed {
                stop.kill_at.saturating_add(END_WITHIN_MS)
            } else {
                stop.kill_at
            });
        } else {
            let limits = self.funds_end().into_iter().chain(self.time_limit_ends());
            at.extend(limits.map(|end| end.saturating_sub(self.limit_grace())));
        }
        at.into_iter().min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(lease: u64, funded: Option<u64>, limit: Option<u64>) -> Watchdog {
        let mut dog = Watchdog::new(lease, funded, limit, 10_000);
        dog.started(0);
        dog
    }

    /// Runs the clock by the watchdog's own wake-ups; answers what it did and when.
    fn run(dog: &mut Watchdog, until: u64) -> Vec<(u64, Action)> {
        let mut done = Vec::new();
        let mut now = 0;
        while now <= until {
            done.extend(dog.due(now).into_iter().map(|action| (now, action)));
            now = dog.next().max(now + 1);
        }
        done
    }

    #[test]
    fn silence_freezes_a_second_before_the_lease_ends_and_kills_at_its_end() {
        let mut dog = running(6_000, None, None);
        assert_eq!(
            run(&mut dog, 20_000),
            [(5_000, Action::Freeze), (6_000, Action::KillAll)]
        );
        assert_eq!(dog.stopped_for(), Some(StopReason::Lease));
    }

    #[test]
    fn a_renewal_thaws_and_an_old_one_changes_nothing() {
        let mut dog = running(6_000, None, None);
        assert_eq!(dog.due(5_500), [Action::Freeze]);
        dog.renew(11_000);
        dog.renew(5_000);
        assert_eq!(dog.due(5_600), [Action::Thaw]);
        assert_eq!(
            run(&mut dog, 20_000),
            [(10_000, Action::Freeze), (11_000, Action::KillAll)]
        );
    }

    #[test]
    fn funds_end_politely_and_never_later_than_paid() {
        let mut dog = running(1_000_000, Some(60_000), None);
        assert_eq!(
            run(&mut dog, 65_000),
            [(50_000, Action::Terminate), (60_000, Action::KillJob)]
        );
        assert_eq!(dog.stopped_for(), Some(StopReason::Funds));
    }

    #[test]
    fn a_short_limit_gets_a_short_grace() {
        let mut dog = running(1_000_000, None, Some(1_000));
        assert_eq!(
            run(&mut dog, 10_000),
            [(800, Action::Terminate), (1_000, Action::KillJob)]
        );
        assert_eq!(dog.stopped_for(), Some(StopReason::TimeLimit));
    }

    #[test]
    fn what_is_paid_up_to_the_limit_ends_by_the_limit() {
        let mut dog = running(1_000_000, Some(60_000), Some(60_000));
        assert_eq!(
            run(&mut dog, 65_000),
            [(50_000, Action::Terminate), (60_000, Action::KillJob)]
        );
        assert_eq!(dog.stopped_for(), Some(StopReason::TimeLimit));
        let mut poor = running(1_000_000, Some(59_000), Some(60_000));
        run(&mut poor, 65_000);
        assert_eq!(poor.stopped_for(), Some(StopReason::Funds));
    }

    #[test]
    fn more_funds_move_the_end() {
        let mut dog = running(1_000_000, Some(60_000), None);
        dog.fund(120_000);
        dog.fund(1);
        assert_eq!(run(&mut dog, 115_000), [(110_000, Action::Terminate)]);
    }

    #[test]
    fn packing_is_bounded() {
        let mut dog = running(1_000_000, None, None);
        dog.job_ended(100);
        assert_eq!(
            run(&mut dog, 200_000),
            [(100 + PACKING_MS, Action::KillAll)]
        );
        assert_eq!(dog.stopped_for(), None, "the job itself had ended well");
    }

    #[test]
    fn a_stop_while_packing_does_not_rename_an_end_but_a_lost_agent_ends_it() {
        let mut dog = running(1_000_000, None, None);
        dog.job_ended(100);
        dog.stop(StopReason::Drain, 0, 200);
        assert_eq!(dog.due(200), []);
        assert_eq!(dog.stopped_for(), None);
        dog.kill_all(StopReason::AgentLost, 300);
        assert_eq!(dog.due(300), [Action::KillAll]);
    }

    #[test]
    fn a_kill_that_is_not_followed_by_an_end_becomes_a_hard_one() {
        let mut dog = running(1_000_000, None, None);
        dog.stop(StopReason::Requested, 0, 0);
        assert_eq!(
            run(&mut dog, 200_000),
            [(0, Action::KillJob), (END_WITHIN_MS, Action::KillAll)]
        );
        let mut dog = running(1_000_000, None, None);
        dog.stop(StopReason::Requested, 0, 0);
        assert_eq!(dog.due(0), [Action::KillJob]);
        dog.job_ended(100);
        assert_eq!(dog.due(END_WITHIN_MS + 1), [], "it packs");
    }

    #[test]
    fn a_stop_before_the_start_ends_the_sandbox() {
        let mut dog = Watchdog::new(6_000, None, None, 10_000);
        dog.stop(StopReason::Requested, 10_000, 5);
        assert_eq!(dog.due(5), [Action::KillAll]);
    }
}
