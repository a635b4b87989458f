//! Several devices together: cards on one node, nodes near each other, all or nothing.
//!
//! The rule: the nearest place that has room (one group before one country before one region before anywhere, as far
//! as the request allows); there the least total price; of equal totals the place that holds the best-ranked device. A
//! node counts with its best-ranked devices; with `spread`, each owner with its cheapest node.

use hashbrown::{HashMap, HashSet};
use kernel::{Amount, NodeId, PricePerSecond};

use crate::filter::base_units;
use crate::index::{Index, OPEN, Plan, Row, RowId, Stream};
use crate::request::{Near, Request};

/// Sums of many prices leave 64 bits.
type Cost = u128;

/// Where a gang was found, and its devices: node after node, the cheapest node first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub near: Near,
    pub rows: Vec<RowId>,
}

/// The most that one place has, when that is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fewer {
    pub nodes: u32,
    /// The least that as many as are wanted would ask together, when that is more than they may.
    pub too_dear: Option<PricePerSecond>,
}

/// A place and the cheapest nodes seen there so far, never more than are wanted.
struct Place {
    nodes: usize,
    total: Cost,
    /// The best-ranked device among them.
    first: RowId,
    /// The nodes, cheapest first, each by its best-ranked device. Kept only where a later node can push an earlier one
    /// out; else nodes come in the order of their cost, and the log tells which they were.
    members: Vec<(Cost, RowId)>,
}

struct Search<'a> {
    index: &'a Index,
    plan: &'a Plan<'a>,
    shelves: &'a [(u64, u32)],
    request: &'a Request,
    cards: usize,
    nodes: usize,
    /// Each node of a place costs at least as much as those seen before.
    in_order: bool,
}

/// The places of one round.
#[derive(Default)]
struct Round {
    places: Vec<Place>,
    /// Each node that was counted: its place and its best-ranked device.
    log: Vec<(usize, RowId)>,
    /// Places that may still win, as of the last look; those from `looked` on are newer.
    open: Vec<usize>,
    looked: usize,
    given_up: Vec<bool>,
    /// The cheapest complete place.
    best: Option<usize>,
}

pub(crate) fn find(index: &Index, request: &Request) -> Result<Found, Fewer> {
    let plan = index.plan(request.filter.terms.iter().map(|term| &term.test));
    let shelves = index.shelves(&request.filter);
    let size = |n: u32| usize::try_from(n.max(1)).unwrap_or(usize::MAX);
    let search = Search {
        index,
        plan: &plan,
        shelves: &shelves,
        request,
        cards: size(request.ask.count),
        nodes: size(request.ask.nodes),
        in_order: request.ask.count <= 1 && !request.ask.spread,
    };
    // One node is near to itself, wherever it is.
    let levels: &[Near] = if search.nodes == 1 {
        &[Near::Any]
    } else {
        &Near::ALL
    };
    let mut most = Fewer::default();
    for near in levels
        .iter()
        .filter(|near| search.nodes == 1 || **near <= request.ask.near)
    {
        match search.at(*near) {
            Ok(rows) => match search.too_dear(&rows) {
                None => return Ok(Found { near: *near, rows }),
                // A wider circle may be cheaper.
                Some(price) => {
                    most.nodes = request.ask.nodes.max(1);
                    most.too_dear = Some(most.too_dear.map_or(price, |least| least.min(price)));
                }
            },
            Err(fewer) => most.nodes = most.nodes.max(fewer.nodes),
        }
    }
    Err(most)
}

impl Search<'_> {
    fn at(&self, near: Near) -> Result<Vec<RowId>, Fewer> {
        let mut round = Round::default();
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let mut seen: HashSet<NodeId> = HashSet::new();
        let mut next_look = 0;
        let stream = Stream::new(self.index, self.plan.clone(), OPEN, self.shelves.into());
        for (n, id) in stream.enumerate() {
            let row = self.index.rows.get(id);
            let least = cost(row).saturating_mul(self.cards as Cost);
            if round.best.is_some() && n >= next_look {
                if self.is_settled(&mut round, least) {
                    break;
                }
                // A look at all places is paid for by as many offers.
                next_look = n + 32.max(round.open.len() / 4);
            }
            let Some(key) = place_of(near, row) else {
                continue;
            };
            let known = numbers.get(&key).copied();
            if known.map_or(self.is_hopeless(&round, least), |place| {
                round.given_up[place]
            }) || self.request.avoid.contains(&row.node)
                || !row.is_alone && !seen.insert(row.node)
            {
                continue;
            }
            let Some(total) = self.node_cost(id, row) else {
                continue;
            };
            let place = known.unwrap_or_else(|| {
                numbers.insert(key, round.places.len());
                round.new_place(id)
            });
            self.add(&mut round, place, total, id);
            let complete = round.places[place].nodes == self.nodes;
            if complete
                && round
                    .best
                    .is_none_or(|best| best == place || self.beats(&round, place, best))
            {
                round.best = Some(place);
                next_look = 0;
            }
        }
        if let Some(best) = round.best {
            return Ok(self.devices(&round, best));
        }
        let most = round.places.iter().map(|place| place.nodes).max();
        Err(Fewer {
            nodes: u32::try_from(most.unwrap_or(0)).unwrap_or(u32::MAX),
            too_dear: None,
        })
    }

    /// What devices ask together, when that is more than they may.
    fn too_dear(&self, rows: &[RowId]) -> Option<PricePerSecond> {
        let total: Cost = rows.iter().map(|id| cost(self.index.rows.get(*id))).sum();
        let most = base_units(self.request.most_together?);
        let price = || {
            let base = i64::try_from(total).ok().map(Amount::try_from_base);
            PricePerSecond::from_amount(base.and_then(Result::ok).unwrap_or(Amount::MAX))
        };
        (total > Cost::from(most)).then(price)
    }

    /// A place of which nothing was seen yet cannot win once so many nodes would cost as much as the best.
    fn is_hopeless(&self, round: &Round, least: Cost) -> bool {
        round.best.is_some_and(|best| {
            least.saturating_mul(self.nodes as Cost) >= round.places[best].total
        })
    }

    fn beats(&self, round: &Round, place: usize, best: usize) -> bool {
        let [place, best] = [place, best].map(|n| &round.places[n]);
        place.total < best.total
            || place.total == best.total
                && self.index.rank(place.first) < self.index.rank(best.first)
    }

    fn add(&self, round: &mut Round, n: usize, total: Cost, id: RowId) {
        let place = &mut round.places[n];
        if self.in_order {
            if place.nodes < self.nodes {
                place.nodes += 1;
                place.total += total;
                round.log.push((n, id));
            }
            return;
        }
        let rank = |id: RowId| self.index.rank(id);
        let owner = |id: RowId| self.index.rows.get(id).owner;
        if self.request.ask.spread
            && let Some(same) = place
                .members
                .iter()
                .position(|(_, other)| owner(*other) == owner(id))
        {
            let (cost, other) = place.members[same];
            if (cost, rank(other)) <= (total, rank(id)) {
                return;
            }
            place.members.remove(same);
        }
        let at = place
            .members
            .partition_point(|(cost, other)| (*cost, rank(*other)) < (total, rank(id)));
        place.members.insert(at, (total, id));
        place.members.truncate(self.nodes);
        place.nodes = place.members.len();
        place.total = place.members.iter().map(|(cost, _)| cost).sum();
        if let Some((_, first)) = place.members.iter().min_by_key(|(_, id)| rank(*id)) {
            place.first = *first;
        }
    }

    /// No less can a place come to cost, when each node yet unseen costs at least `least`.
    fn bound(&self, place: &Place, least: Cost) -> Cost {
        let missing = Cost::try_from(self.nodes.saturating_sub(place.nodes)).unwrap_or(Cost::MAX);
        let seen = if self.in_order {
            place.total
        } else {
            place
                .members
                .iter()
                .map(|(cost, _)| (*cost).min(least))
                .sum()
        };
        missing.saturating_mul(least).saturating_add(seen)
    }

    /// Whether no other place can still win; those that cannot are given up.
    fn is_settled(&self, round: &mut Round, least: Cost) -> bool {
        let Some(best) = round.best else { return false };
        round.open.extend(round.looked..round.places.len());
        round.looked = round.places.len();
        let total = round.places[best].total;
        let mut open = std::mem::take(&mut round.open);
        open.retain(|n| {
            let place = &round.places[*n];
            let bound = self.bound(place, least);
            let stays = bound < total
                || bound == total
                    && self.index.rank(place.first) < self.index.rank(round.places[best].first);
            round.given_up[*n] = !stays;
            stays
        });
        round.open = open;
        round.open.is_empty() && self.is_hopeless(round, least)
    }

    /// What a node costs, if it has as many devices as are wanted. `id`: the best-ranked of them.
    fn node_cost(&self, id: RowId, row: &Row) -> Option<Cost> {
        if self.cards == 1 {
            return Some(cost(row));
        }
        let devices = self.on_node(id)?;
        Some(
            devices
                .iter()
                .map(|id| cost(self.index.rows.get(*id)))
                .sum(),
        )
    }

    /// The best-ranked devices on the node of one of them.
    fn on_node(&self, id: RowId) -> Option<Vec<RowId>> {
        if self.cards == 1 {
            return Some(vec![id]);
        }
        let fits = |other: &RowId| {
            let row = self.index.rows.get(*other);
            row.is_open()
                && self.shelves.iter().any(|(_, shelf)| *shelf == row.shelf)
                && self.index.admits(self.plan, row)
        };
        let mut rows: Vec<RowId> = self
            .index
            .on_node(self.index.rows.get(id).node)
            .filter(fits)
            .collect();
        if rows.len() < self.cards {
            return None;
        }
        rows.sort_unstable_by_key(|id| self.index.rank(*id));
        rows.truncate(self.cards);
        Some(rows)
    }

    fn devices(&self, round: &Round, best: usize) -> Vec<RowId> {
        let nodes: Vec<RowId> = if self.in_order {
            round
                .log
                .iter()
                .filter(|(place, _)| *place == best)
                .map(|(_, id)| *id)
                .collect()
        } else {
            round.places[best]
                .members
                .iter()
                .map(|(_, id)| *id)
                .collect()
        };
        nodes
            .into_iter()
            .filter_map(|id| self.on_node(id))
            .flatten()
            .collect()
    }
}

impl Round {
    fn new_place(&mut self, first: RowId) -> usize {
        self.places.push(Place {
            nodes: 0,
            total: 0,
            first,
            members: Vec::new(),
        });
        self.given_up.push(false);
        self.places.len() - 1
    }
}

fn place_of(near: Near, row: &Row) -> Option<u32> {
    match near {
        Near::Group => (row.group > 0).then_some(row.group),
        Near::Country => (row.country > 0).then_some(u32::from(row.country)),
        Near::Region => row.region().map(|region| u32::from(region.number())),
        Near::Any => Some(0),
    }
}

fn cost(row: &Row) -> Cost {
    Cost::from(base_units(row.price))
}
