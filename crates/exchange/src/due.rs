//! When something must be looked at next: what is due is found without looking at the rest.

use std::collections::BTreeMap;

use kernel::{LeaseId, NodeId, Timestamp};

use crate::desk::{LeaseLive, Memory};

/// Moments are told apart as finely as ticks are.
const STEP_MS: i64 = 250;

/// Keys by the moment at which they are due. Each belongs to something that remembers the moment of its valid entry
/// ([`Due::step`]), so that an entry that was overtaken by an earlier one is known and dropped.
#[derive(Debug)]
pub(crate) struct Due<K> {
    steps: BTreeMap<i64, Vec<K>>,
}

impl<K> Default for Due<K> {
    fn default() -> Self {
        Self {
            steps: BTreeMap::new(),
        }
    }
}

impl<K> Due<K> {
    /// The step of a moment: never after it.
    pub const fn step(at: Timestamp) -> i64 {
        at.millis().div_euclid(STEP_MS)
    }

    pub fn put(&mut self, step: i64, key: K) {
        self.steps.entry(step).or_default().push(key);
    }

    /// Takes all that is due, with the step of each entry, the earliest first. What is put back while they are looked at
    /// comes with the next call.
    pub fn take(&mut self, now: Timestamp) -> Vec<(i64, K)> {
        let mut taken = Vec::new();
        while let Some(entry) = self.steps.first_entry()
            && *entry.key() <= Self::step(now)
        {
            let (step, keys) = entry.remove_entry();
            taken.extend(keys.into_iter().map(|key| (step, key)));
        }
        taken
    }
}

impl Memory {
    /// Has a lease looked at, at a moment at the latest.
    pub fn look_at(&mut self, id: LeaseId, at: Timestamp) {
        let step = Due::<LeaseId>::step(at);
        if let Some(live) = self.leases.get_mut(&id)
            && live.look > step
        {
            live.look = step;
            self.due.put(step, id);
        }
    }

    /// The same for a node that is connected.
    pub fn look_at_node(&mut self, id: NodeId, at: Timestamp) {
        let step = Due::<NodeId>::step(at);
        let node = self.nodes.get_mut(&id);
        if let Some(link) = node.and_then(|live| live.link.as_mut())
            && link.look > step
        {
            link.look = step;
            self.due_nodes.put(step, id);
        }
    }

    /// Whether a lease lives as long as its node is heard: the node's newest heartbeat renewed it. Its expiry needs no look
    /// of its own then; heartbeats move it on before it comes.
    pub fn is_renewed(&self, live: &LeaseLive) -> bool {
        let link = self.nodes.get(&live.lease.node);
        link.and_then(|node| node.link.as_ref())
            .is_some_and(|link| !link.silent && live.expires >= link.renewed_until)
    }

    /// Has those of a node's leases looked at when they expire that do so before a moment: nothing renews them any more.
    pub fn look_when_over(&mut self, node: NodeId, before: Timestamp) {
        let ids = self.of_node.get(&node).into_iter().flatten();
        let over = ids.filter_map(|id| self.leases.get(id).map(|live| (*id, live.expires)));
        let over: Vec<_> = over.filter(|(_, expires)| *expires < before).collect();
        for (id, expires) in over {
            self.look_at(id, expires);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn what_is_due_comes_in_order_and_never_late() {
        let mut due = Due::default();
        for (key, millis) in [(1, 1_000), (2, 1_100), (3, 999), (4, 5_000), (5, -1)] {
            due.put(Due::<i32>::step(at(millis)), key);
        }
        let keys =
            |taken: Vec<(i64, i32)>| taken.into_iter().map(|(_, key)| key).collect::<Vec<_>>();
        assert_eq!(keys(due.take(at(998))), [5, 3]);
        assert_eq!(
            keys(due.take(at(1_000))),
            [1, 2],
            "early, at most by a step"
        );
        assert!(due.take(at(4_999)).is_empty());
        // Again what is looked at again.
        due.put(Due::<i32>::step(at(4_999)), 6);
        assert_eq!(due.take(at(9_000)), [(19, 6), (20, 4)]);
        assert!(due.take(at(i64::MAX)).is_empty());
    }
}
