//! Who has a slot, model-checked: every state into which two devices, two jobs, a database, an exchange that dies,
//! workers that stand still and messages that come late can get while two things go wrong. The steps are those of
//! `leases`, `recover.rs`, `tick`, `workers.rs` and `admission.rs`, one commit each; the slots are a real
//! `market::Book`, the jobs' states `protocol::state`. Change the rules there and here.
//!
//! Shown: never two live leases on a slot; a job never runs twice at a time, nor a device for two; a lease is billed
//! once, and by its own worker, so that no second of a device is billed to two; and whatever happened, a slot can be had
//! again without a restart. Each guard is taken away once, and the search finds what it guards against.

mod model;
mod shop;

use std::collections::HashMap;

use model::{Guard, Model, State, Step};

/// What was found: a broken promise and the way there, or how much was looked at.
#[derive(Debug)]
enum Found {
    Holds { states: usize },
    Broken { promise: String, way: Vec<Step> },
}

struct Search {
    model: Model,
    /// Every state once, in the order in which it was found, with the state and the step that led to it.
    states: Vec<State>,
    from: Vec<(u32, Step)>,
    known: HashMap<State, u32>,
    /// Backwards, along steps on which nothing goes wrong: which states lead to this one.
    back: Vec<Vec<u32>>,
}

impl Search {
    fn all(without: Option<Guard>) -> Found {
        let first = State::default();
        let mut search = Self {
            model: Model::new(without),
            states: vec![first.clone()],
            from: vec![(0, Step::Tick)],
            known: HashMap::from([(first, 0)]),
            back: vec![Vec::new()],
        };
        let mut next = 0;
        while let Some(state) = search.states.get(next).cloned() {
            for step in Step::all() {
                match search.model.step(&state, step) {
                    Ok(Some(after)) => search.meet(next, step, after),
                    Ok(None) => {}
                    Err(promise) => {
                        let mut way = search.way(next);
                        way.push(step);
                        return Found::Broken { promise, way };
                    }
                }
            }
            next += 1;
        }
        search.slots_come_back()
    }

    fn meet(&mut self, before: usize, step: Step, after: State) {
        let before = u32::try_from(before).unwrap();
        let new = u32::try_from(self.states.len()).unwrap();
        let id = *self.known.entry(after.clone()).or_insert(new);
        if id == new {
            self.states.push(after);
            self.from.push((before, step));
            self.back.push(Vec::new());
        }
        if step.is_fair() {
            self.back[id as usize].push(before);
        }
    }

    fn way(&self, mut state: usize) -> Vec<Step> {
        let mut way = Vec::new();
        while state != 0 {
            let (before, step) = self.from[state];
            way.push(step);
            state = before as usize;
        }
        way.reverse();
        way
    }

    /// From every state each slot can be free again, in the book and in the database, without a further fault.
    fn slots_come_back(self) -> Found {
        for device in 0..model::DEVICES {
            let free = |state: &State| state.is_free(device);
            let mut leads: Vec<bool> = self.states.iter().map(free).collect();
            let mut line: Vec<u32> = (0..u32::try_from(leads.len()).unwrap())
                .filter(|id| leads[*id as usize])
                .collect();
            while let Some(id) = line.pop() {
                for before in &self.back[id as usize] {
                    if !std::mem::replace(&mut leads[*before as usize], true) {
                        line.push(*before);
                    }
                }
            }
            if let Some(stuck) = leads.iter().position(|leads| !leads) {
                return Found::Broken {
                    promise: format!("device {device} can be had again"),
                    way: self.way(stuck),
                };
            }
        }
        Found::Holds {
            states: self.states.len(),
        }
    }
}

#[test]
fn every_reachable_state_keeps_the_promises() {
    match Search::all(None) {
        // Far fewer would mean that the model has lost something.
        Found::Holds { states } => assert!(states > 1_000_000, "{states}"),
        Found::Broken { promise, way } => panic!("not kept: {promise}\n{way:#?}"),
    }
}

/// Without this guard the search must find that promise broken.
#[track_caller]
fn found_without(guard: Guard, expected: &str) {
    match Search::all(Some(guard)) {
        Found::Broken { promise, .. } => assert!(promise.contains(expected), "{promise}"),
        Found::Holds { states } => panic!("{states} states, and nothing was found"),
    }
}

#[test]
fn without_the_unique_key_a_slot_is_sold_twice() {
    found_without(Guard::UniqueKey, "one live lease on a slot");
}

#[test]
fn without_the_epoch_a_stale_worker_acts() {
    found_without(Guard::Epoch, "acts through its own lease");
}

#[test]
fn without_the_check_that_a_lease_lives_it_is_billed_twice() {
    found_without(Guard::EndedOnce, "billed once");
}

#[test]
fn without_the_margin_a_job_runs_twice_at_a_time() {
    found_without(Guard::Margin, "at a time");
}

#[test]
fn without_reading_doubtful_leases_anew_a_slot_is_lost() {
    found_without(Guard::Doubts, "can be had again");
}
