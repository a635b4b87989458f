//! Why nothing fits: what each constraint removed, and the smallest change that would help.

use std::fmt;

use kernel::{Amount, PricePerSecond};
use protocol::problem::FieldProblem;

use crate::filter::{Number, Term, Test};
use crate::gang::Fewer;
use crate::index::{Index, LIVE, MASK_WORDS, Mask, OPEN, Plan, Row, RowId, WORD, lanes_of};
use crate::offer::{Rank, Supply};
use crate::request::{Near, Request};

/// The change of one constraint that lets the nearest offer match, and what that offer asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// What that offer has.
    pub has: String,
    /// It asks more than was to be paid, and of those that do it is the cheapest.
    pub too_dear: bool,
    /// The owner's price.
    pub price: PricePerSecond,
    /// What an hour of it costs: the owner's price, until [`NoMatch::priced`] adds what there is to add.
    pub per_hour: Amount,
}

/// One constraint's share in an empty answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The field of the specification or of the query.
    pub field: String,
    /// Offers that fail it, whatever else they fail.
    pub offers: u32,
    /// Offers that fail it and nothing else: so many would match without it.
    pub alone: u32,
    pub nearest: Option<Nearest>,
}

/// Why nothing fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMatch {
    pub considered: u32,
    /// In the order of the request; those that removed nothing are left out.
    pub removed: Vec<Removed>,
    /// Several devices were asked for together.
    pub together: Option<Together>,
}

/// What was asked for together, and the most nodes that one place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Together {
    pub count: u32,
    pub nodes: u32,
    pub near: Near,
    pub most: u32,
    /// There are enough; this is the least they ask together, which is more than they may.
    pub too_dear: Option<PricePerSecond>,
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, nodes, near) = (self.count, self.nodes, self.near.as_str());
        if let Some(price) = self.too_dear {
            let price = price.to_io_per_hour();
            return write!(
                f,
                "the cheapest that match ask {price} IO/h together before the fee, which is more than the limit price"
            );
        }
        if nodes <= 1 {
            return write!(f, "no node has {count} free devices that match");
        }
        write!(f, "{nodes} nodes")?;
        if count > 1 {
            write!(f, " with {count} free devices each")?;
        }
        match self.near {
            Near::Any => write!(f, " were asked for, and {} match", self.most),
            Near::Group => write!(
                f,
                " of one group were asked for, and the most that match in one are {}; only nodes whose owners name a \
                 group count, near=any looks everywhere",
                self.most
            ),
            Near::Country | Near::Region => write!(
                f,
                " of one {near} were asked for, and the most that match in one are {}; near=any looks everywhere",
                self.most
            ),
        }
    }
}

/// What stands between a request and an offer.
enum Hurdle<'a> {
    Device,
    Term(&'a Term),
    /// It does not stand in the market, and why.
    Shut(Supply),
    /// Its node did not refuse this job before.
    NotRefused,
    /// Nobody else has it.
    Free,
}

impl Hurdle<'_> {
    fn field(&self) -> &str {
        match self {
            Self::Device => "device",
            Self::Term(term) if term.source == "query" => term.test.field(),
            Self::Term(term) => &term.source,
            Self::Shut(supply) => supply.shut().unwrap_or_default(),
            Self::NotRefused => "refused_before",
            Self::Free => "free",
        }
    }
}

/// The count of a hurdle so far, with the nearest of the offers that fail it alone.
#[derive(Default)]
struct Tally {
    offers: u32,
    alone: u32,
    nearest: Option<(u64, Rank, RowId)>,
}

struct Explainer<'a> {
    index: &'a Index,
    request: &'a Request,
    hurdles: Vec<Hurdle<'a>>,
    plans: Vec<Plan<'a>>,
    tallies: Vec<Tally>,
}

pub(crate) fn explain(index: &Index, request: &Request, fewer: Option<Fewer>) -> NoMatch {
    let mut hurdles = Vec::new();
    hurdles.extend(request.device.map(|_| Hurdle::Device));
    hurdles.extend(request.filter.terms.iter().map(Hurdle::Term));
    let reasons = Supply::ALL.iter().filter(|supply| supply.shut().is_some());
    hurdles.extend(reasons.map(|supply| Hurdle::Shut(*supply)));
    hurdles.extend([Hurdle::NotRefused, Hurdle::Free]);
    let plans = hurdles.iter().map(|hurdle| match hurdle {
        Hurdle::Term(term) => index.plan(std::iter::once(&term.test)),
        _ => index.plan(std::iter::empty()),
    });
    let mut explainer = Explainer {
        index,
        request,
        plans: plans.collect(),
        tallies: hurdles.iter().map(|_| Tally::default()).collect(),
        hurdles,
    };
    for (_, shelf) in index.all_shelves() {
        explainer.shelf(*shelf);
    }
    let removed = explainer.hurdles.iter().zip(&explainer.tallies);
    NoMatch {
        considered: u32::try_from(index.rows.len()).unwrap_or(u32::MAX),
        removed: removed
            .filter(|(_, tally)| tally.offers > 0)
            .map(|(hurdle, tally)| explainer.removed(hurdle, tally))
            .collect(),
        together: fewer.map(|fewer| Together {
            count: request.ask.count.max(1),
            nodes: request.ask.nodes.max(1),
            near: request.ask.near,
            most: fewer.nodes,
            too_dear: fewer.too_dear,
        }),
    }
}

impl Explainer<'_> {
    fn shelf(&mut self, shelf: u32) {
        let name = self
            .index
            .model(shelf)
            .map(|name| crate::names::words(name))
            .unwrap_or_default();
        let named = |models: &[Vec<String>]| {
            models
                .iter()
                .any(|written| crate::names::names_model(written, &name))
        };
        let whole: Vec<Option<bool>> = self
            .hurdles
            .iter()
            .map(|hurdle| match hurdle {
                Hurdle::Term(Term {
                    test: Test::Model(models),
                    ..
                }) => Some(named(models)),
                Hurdle::Term(Term {
                    test: Test::NotModel(models),
                    ..
                }) => Some(!named(models)),
                _ => None,
            })
            .collect();
        let nothing = self.index.plan(std::iter::empty());
        for page in self.index.pages(shelf) {
            let ((live, _), (open, _)) = (page.mask(LIVE, &nothing), page.mask(OPEN, &nothing));
            let mut failing: Vec<Mask> = Vec::with_capacity(self.hurdles.len());
            for ((hurdle, plan), whole) in self.hurdles.iter().zip(&self.plans).zip(&whole) {
                let passing = match (whole, hurdle) {
                    (Some(true), _) => live,
                    (Some(false), _) => [0; MASK_WORDS],
                    (None, Hurdle::Term(_)) => self.index.lanes(page, LIVE, plan),
                    (None, Hurdle::NotRefused) if self.request.avoid.is_empty() => live,
                    (None, Hurdle::Device | Hurdle::NotRefused) => {
                        self.index
                            .passing(page, live, |row| self.clears(hurdle, row))
                    }
                    // What is open is both offered and free; only the others are looked at.
                    (None, Hurdle::Shut(_) | Hurdle::Free) => {
                        let shut = std::array::from_fn(|n| live[n] & !open[n]);
                        let clear = self
                            .index
                            .passing(page, shut, |row| self.clears(hurdle, row));
                        std::array::from_fn(|n| open[n] | clear[n])
                    }
                };
                failing.push(std::array::from_fn(|n| live[n] & !passing[n]));
            }
            self.count(page, &failing);
        }
    }

    fn clears(&self, hurdle: &Hurdle<'_>, row: &Row) -> bool {
        match hurdle {
            Hurdle::Device => self.request.device == Some(row.device),
            Hurdle::Shut(supply) => row.supply != *supply,
            Hurdle::NotRefused => !self.request.avoid.contains(&row.node),
            Hurdle::Free => !row.held,
            Hurdle::Term(_) => true,
        }
    }

    fn count(&mut self, page: &crate::index::Page, failing: &[Mask]) {
        // Lanes that fail exactly one hurdle: those seen once and never again.
        let (mut once, mut again): (Mask, Mask) = ([0; MASK_WORDS], [0; MASK_WORDS]);
        for mask in failing {
            for n in 0..MASK_WORDS {
                again[n] |= once[n] & mask[n];
                once[n] |= mask[n];
            }
        }
        for (hurdle, mask) in failing.iter().enumerate() {
            for n in 0..MASK_WORDS {
                let alone = mask[n] & once[n] & !again[n];
                self.tallies[hurdle].offers += mask[n].count_ones();
                self.tallies[hurdle].alone += alone.count_ones();
                for lane in lanes_of(alone) {
                    self.nearer(hurdle, page.row_of(n * WORD + lane));
                }
            }
        }
    }

    fn nearer(&mut self, hurdle: usize, id: RowId) {
        let row = self.index.rows.get(id);
        let distance = match &self.hurdles[hurdle] {
            Hurdle::Term(term) => distance(&term.test, row),
            _ => 0,
        };
        let found = (distance, row.rank(), id);
        let nearest = &mut self.tallies[hurdle].nearest;
        if nearest.is_none_or(|nearest| (found.0, found.1) < (nearest.0, nearest.1)) {
            *nearest = Some(found);
        }
    }

    fn removed(&self, hurdle: &Hurdle<'_>, tally: &Tally) -> Removed {
        Removed {
            field: hurdle.field().to_owned(),
            offers: tally.offers,
            alone: tally.alone,
            nearest: tally.nearest.map(|(_, _, id)| {
                let price = self.index.rows.get(id).price;
                let base = crate::filter::base_units(price);
                Nearest {
                    has: self.has(hurdle, id),
                    too_dear: matches!(hurdle, Hurdle::Term(Term { test: Test::Between(Number::Price, _, most), .. }) if base > *most),
                    price,
                    per_hour: price.per_hour().unwrap_or(Amount::MAX),
                }
            }),
        }
    }

    fn has(&self, hurdle: &Hurdle<'_>, id: RowId) -> String {
        let offer = self.index.offer(id);
        let Hurdle::Term(term) = hurdle else {
            return offer.model.to_string();
        };
        term.test.has(&offer)
    }
}

/// How far a row is from passing: the difference of numbers; what is not known is farther than all that is.
fn distance(test: &Test, row: &Row) -> u64 {
    let apart = |number: Number, ranges: &[(u64, u64)]| {
        let value = row.number(number)?;
        let from = |(min, max): &(u64, u64)| {
            if value < *min {
                min - value
            } else {
                value.saturating_sub(*max)
            }
        };
        ranges.iter().map(from).min()
    };
    match test {
        Test::Between(number, min, max) => apart(*number, &[(*min, *max)]).unwrap_or(u64::MAX),
        Test::OneOf(number, ranges) => apart(*number, ranges).unwrap_or(u64::MAX),
        _ => 0,
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alone > 0 {
            write!(f, "without it {} would match", self.alone)?;
        }
        if let Some(nearest) = &self.nearest {
            let price = nearest.per_hour.to_io();
            match self.field.as_str() {
                "free" => write!(f, "; all of them are hired, try again soon")?,
                "paused" => write!(f, "; its owner has paused it")?,
                "closed" => write!(f, "; outside the hours in which its owner rents it out")?,
                "offline" => write!(f, "; its machine is not connected, or takes no new job")?,
                "blocked" => write!(f, "; its machine cannot isolate jobs")?,
                "device" | "refused_before" => {}
                _ if nearest.too_dear => write!(f, "; the cheapest costs {price} IO/h")?,
                "price" => write!(f, "; the nearest costs {price} IO/h")?,
                _ => write!(f, "; the nearest has {} at {price} IO/h", nearest.has)?,
            }
        }
        Ok(())
    }
}

impl NoMatch {
    /// Nothing was asked, or there is nothing.
    pub const NOTHING: Self = Self {
        considered: 0,
        removed: Vec::new(),
        together: None,
    };

    /// With what the requester pays in place of the owners' prices; fees are not the market's business.
    #[must_use]
    pub fn priced(mut self, per_hour: impl Fn(PricePerSecond) -> Amount) -> Self {
        for removed in &mut self.removed {
            if let Some(nearest) = &mut removed.nearest {
                nearest.per_hour = per_hour(nearest.price);
            }
        }
        self
    }

    /// One message a constraint that removed offers; those that would help alone come first.
    pub fn fields(&self) -> Vec<FieldProblem> {
        let mut removed: Vec<&Removed> = self.removed.iter().collect();
        // What only time can change comes after what the asker can, and a hired device is nearer than one that is off.
        let shut = |field: &str| {
            Supply::ALL
                .iter()
                .any(|supply| supply.shut() == Some(field))
        };
        let late = |field: &str| match field {
            "free" => 1,
            field if shut(field) => 2,
            _ => 0,
        };
        removed.sort_by_key(|removed| {
            (
                removed.alone == 0,
                late(&removed.field),
                std::cmp::Reverse(removed.alone),
            )
        });
        let each = removed.into_iter().map(|removed| {
            let mut message = format!("removes {} of {} offers", removed.offers, self.considered);
            let help = removed.to_string();
            // Of several devices together, one that would match without it is no answer.
            if !help.is_empty() && self.together.is_none() {
                message = format!("{message}; {help}");
            }
            FieldProblem::new(removed.field.clone(), message)
        });
        let together = self.together.map(|together| {
            let field = match together {
                Together {
                    too_dear: Some(_), ..
                } => "limits.max_price_per_hour",
                Together { nodes: 2.., .. } => "nodes",
                _ => "count",
            };
            FieldProblem::new(field, together.to_string())
        });
        together.into_iter().chain(each).collect()
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        if self.considered == 0 {
            return "Nothing is offered in this way at the moment: no worker is connected, or none is rented out as this kind.".into();
        }
        if let Some(together) = self.together {
            return format!("Not enough together: {together}.");
        }
        match self.fields().first() {
            Some(first) => format!("No offer matches: {} {}.", first.field, first.message),
            None => "No offer matches.".into(),
        }
    }
}
