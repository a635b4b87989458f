//! What workers do and say, and how the exchange hears it.

use protocol::state::JobStep;

use super::{
    After, Commit, EPOCHS, Guard, LEASES, Message, Model, Run, State, WORKER_LIFE, job_of, small,
};

impl Model {
    /// The worker gets what it is to run.
    pub(super) fn assign(mut state: State, lease: usize) -> After {
        let Some(device) = state.device_of(lease) else {
            state.assigned[lease] = None;
            return Ok(Some(state));
        };
        let worker = &mut state.workers[device];
        if worker.paused || !worker.linked {
            return Ok(None);
        }
        let Some(left) = state.assigned[lease].take() else {
            return Ok(None);
        };
        if left == 0 {
            // Its time was over on the way.
            return Ok(Some(state));
        }
        if worker.run.is_some_and(|run| !run.over) {
            return Err("a device runs one job at a time".into());
        }
        worker.run = Some(Run {
            lease: small(lease),
            left,
            over: false,
        });
        Ok(Some(state))
    }

    /// The lease that a message counts for, if any.
    pub(super) fn meant(&self, state: &State, lease: u8) -> Result<Option<usize>, String> {
        let lease = usize::from(lease);
        let Some(memory) = &state.memory else {
            return Ok(None);
        };
        if self.has(Guard::Epoch) {
            return Ok(memory.leases[lease].map(|_| lease));
        }
        let job = job_of(lease);
        let any = (job * EPOCHS..(job + 1) * EPOCHS).find(|own| memory.leases[*own].is_some());
        match any {
            Some(other) if other != lease => Err("a worker acts through its own lease".into()),
            same => Ok(same),
        }
    }

    /// `heartbeat`: renewed, or refused and ended.
    pub(super) fn beat(&mut self, mut state: State, worker: usize) -> After {
        let own = state.workers[worker];
        let (Some(run), true, false) = (own.run, own.linked, own.paused) else {
            return Ok(None);
        };
        let renewed = self.meant(&state, run.lease)?;
        if let Some(lease) = renewed {
            self.renew(&mut state, lease);
        }
        state.workers[worker].run = renewed.map(|_| Run {
            left: WORKER_LIFE,
            ..run
        });
        Ok(Some(state))
    }

    pub(super) fn renew(&self, state: &mut State, lease: usize) {
        let left = self.life();
        let live = state.memory.as_mut().and_then(|m| m.leases[lease].as_mut());
        if let Some(live) = live {
            live.left = left;
        }
    }

    /// While nobody serves, nobody gives the slot away: the work goes on.
    pub(super) fn refused(mut state: State, worker: usize) -> Option<State> {
        let own = &mut state.workers[worker];
        let run = own.run.as_mut()?;
        if state.memory.is_some() || own.paused {
            return None;
        }
        run.left = WORKER_LIFE;
        Some(state)
    }

    pub(super) fn finish(mut state: State, worker: usize) -> Option<State> {
        let own = &mut state.workers[worker];
        let run = own.run.as_mut()?;
        if own.paused {
            return None;
        }
        run.over = true;
        Some(state)
    }

    /// `ended`: closed, or refused; repeated until it is one of them.
    pub(super) fn say_ended(&mut self, mut state: State, worker: usize, commit: Commit) -> After {
        let own = state.workers[worker];
        let (Some(run), true, false) = (own.run.filter(|run| run.over), own.linked, own.paused)
        else {
            return Ok(None);
        };
        let Some(lease) = self.meant(&state, run.lease)? else {
            state.workers[worker].run = None;
            return Ok(Some(state));
        };
        let closed = commit == Commit::Known && state.device_of(lease).is_some();
        let mut after = self.end_lease(state, lease, JobStep::Finish, commit)?;
        if let Some(after) = after.as_mut().filter(|_| closed) {
            after.workers[worker].run = None;
        }
        Ok(after)
    }

    /// `worker_hello`: what it claims is compared with what we know.
    pub(super) fn connect(&mut self, mut state: State, worker: usize) -> After {
        let own = &mut state.workers[worker];
        let Some(memory) = state.memory.as_mut().filter(|_| !own.linked && !own.paused) else {
            return Ok(None);
        };
        own.linked = true;
        let claimed = own.run.map(|run| usize::from(run.lease));
        let claimed = claimed.filter(|lease| memory.leases[*lease].is_some());
        if let Some(live) = claimed.and_then(|lease| memory.leases[lease].as_mut()) {
            live.left = self.life();
        } else {
            own.run = None;
        }
        let forgotten: Vec<usize> = (0..LEASES)
            .filter(|lease| Some(*lease) != claimed)
            .filter(|lease| {
                memory.leases[*lease].is_some_and(|live| usize::from(live.device) == worker)
            })
            .collect();
        let mut state = Some(state);
        for lease in forgotten {
            let Some(before) = state else { break };
            state = self.end_lease(before, lease, JobStep::Lost, Commit::Known)?;
        }
        Ok(state)
    }

    pub(super) fn disconnect(mut state: State, worker: usize) -> Option<State> {
        if !std::mem::take(&mut state.workers[worker].linked) {
            return None;
        }
        for lease in 0..LEASES {
            if state.device_of(lease) == Some(worker) {
                state.assigned[lease] = None;
            }
        }
        Some(state)
    }

    pub(super) fn pause(mut state: State, worker: usize, paused: bool) -> State {
        state.workers[worker].paused = paused;
        state
    }

    /// A message leaves its worker and is not heard for now.
    pub(super) fn hold_up(mut state: State, worker: usize, end: bool) -> Option<State> {
        let own = state.workers[worker];
        let run = own.run.filter(|run| run.over == end && !own.paused)?;
        if state.late.is_some() {
            return None;
        }
        state.late = Some(Message {
            lease: run.lease,
            end,
        });
        Some(state)
    }

    pub(super) fn late(&mut self, mut state: State, commit: Commit) -> After {
        let Some(message) = state.late.take() else {
            return Ok(None);
        };
        let Some(lease) = self.meant(&state, message.lease)? else {
            return Ok(Some(state));
        };
        if message.end {
            return self.end_lease(state, lease, JobStep::Finish, commit);
        }
        self.renew(&mut state, lease);
        Ok(Some(state))
    }
}
