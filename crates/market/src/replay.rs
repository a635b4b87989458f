//! A round again: the same book, the same request, and whether the same devices win.

use kernel::PricePerSecond;
use protocol::round::{
    BookChange, BookOffer, Chosen, ReplayCheck, ReplayStep, Round, RoundRecord, Snapshot,
};

use crate::books::{Books, Listing};
use crate::offer::Offer;
use crate::public::{Unreadable, chosen, listing_of, request_of, somebody};
use crate::request::{NEWCOMER, Request, is_newcomers_turn};
use crate::root::Digest;

/// What the hash of a round begins with; another form of rounds gets another word.
const DOMAIN: &[u8] = b"iog-round-v1\n";

/// The hash that the next round holds: over the round as JSON.
///
/// # Errors
/// Never for a round that was made here; a serializer may fail by its type.
pub fn hash_of(round: &Round) -> Result<Digest, serde_json::Error> {
    Ok(Digest::of(&[DOMAIN, &serde_json::to_vec(round)?]))
}

/// A book that was put together again from what is published.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    book: Books,
}

impl Replica {
    /// # Errors
    /// An offer that this version cannot read.
    pub fn of<'a>(offers: impl IntoIterator<Item = &'a BookOffer>) -> Result<Self, Unreadable> {
        let offers: Vec<Listing> = offers
            .into_iter()
            .map(listing_of)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            book: offers.into_iter().collect(),
        })
    }

    /// # Errors
    /// An offer that this version cannot read.
    pub fn apply(&mut self, change: &BookChange) -> Result<(), Unreadable> {
        match change {
            BookChange::Put(offer) => {
                let listing = listing_of(offer)?;
                self.book.put(&listing);
                let offer = listing.offer;
                // A known device keeps its holder in a book; what is published says it anew.
                match offer.holder {
                    Some(job) => self.book.set_holder(offer.device, job),
                    None => _ = self.book.free(offer.device, somebody()),
                }
            }
            BookChange::Remove(device) => _ = self.book.remove(*device),
            BookChange::Take(device) => self.book.set_holder(*device, somebody()),
            BookChange::Free(device) => _ = self.book.free(*device, somebody()),
        }
        Ok(())
    }

    pub fn root(&mut self) -> Digest {
        self.book.root()
    }

    /// The snapshot that it was made of, before any change.
    pub fn check_snapshot(&mut self, snapshot: &Snapshot) -> ReplayStep {
        ReplayStep {
            what: ReplayCheck::Snapshot,
            stated: snapshot.root.clone(),
            found: self.root().to_string(),
        }
    }

    /// The round over this book: its hash, its root and its winners as they are found here.
    ///
    /// # Errors
    /// A request that this version cannot read.
    pub fn check(&mut self, record: &RoundRecord) -> Result<Vec<ReplayStep>, Unreadable> {
        let round = &record.round;
        let asked = round.nearer.iter().chain([&round.request]);
        let mut asked: Vec<Request> = asked.map(request_of).collect::<Result<_, _>>()?;
        // Newcomers who were asked out of their turn, or who are none, were not to be asked.
        let turn = is_newcomers_turn(&round.previous).then(|| round.at.minus(NEWCOMER));
        asked.retain(|request| {
            request
                .newcomers_since
                .is_none_or(|since| Some(since) == turn)
        });
        let winners = winners(&self.book, &asked);
        let step = |what, stated: &str, found: String| ReplayStep {
            what,
            stated: stated.to_owned(),
            found,
        };
        let hash = hash_of(round).map_or_else(|error| error.to_string(), |hash| hash.to_string());
        Ok(vec![
            step(ReplayCheck::Hash, &record.hash, hash),
            step(ReplayCheck::Root, &round.root, self.root().to_string()),
            step(
                ReplayCheck::Winners,
                &listed(&round.chosen),
                listed(&winners),
            ),
        ])
    }
}

/// Whom a book gives to the first of the requests that it has an answer to.
fn winners(book: &Books, asked: &[Request]) -> Vec<Chosen> {
    let found = asked.iter().find(|request| book.has(request));
    let choice = found.and_then(|request| book.choose(request).ok());
    choice.map_or_else(Vec::new, |choice| {
        choice.offers.iter().map(chosen).collect()
    })
}

fn listed(all: &[Chosen]) -> String {
    if all.is_empty() {
        return "nobody".to_owned();
    }
    let one = |chosen: &Chosen| {
        format!(
            "{} on {} at {} base units a second",
            chosen.device,
            chosen.node,
            chosen.price.per_second().base()
        )
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What stood between one offer and one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hurdle {
    /// As [`protocol::round::MissedGroup::field`] lists them.
    pub field: &'static str,
    pub asked: String,
    pub had: String,
    pub price_to_win: Option<PricePerSecond>,
    /// It fitted and was free, and another ranked before it.
    pub outranked: bool,
}

/// How one offer did in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance {
    /// It met all conditions, free or not.
    pub fitted: bool,
    pub won: bool,
    /// Everything that was in the way; empty when it won.
    pub hurdles: Vec<Hurdle>,
}

/// Why the device of an offer did not win a round, whose request was read with [`request_of`]. `None`: it was not in the book.
pub fn chance(listing: Option<&Listing>, request: &Request, round: &Round) -> Chance {
    let nowhere = |field| Chance {
        fitted: false,
        won: false,
        hurdles: vec![plain(field, String::new(), String::new())],
    };
    let Some(listing) = listing else {
        return nowhere("unlisted");
    };
    let Some(offer) = &listing.as_kind(request.ask.kind) else {
        return nowhere("kind");
    };
    if round.chosen.iter().any(|won| won.device == offer.device) {
        return Chance {
            fitted: true,
            won: true,
            hurdles: Vec::new(),
        };
    }
    let mut hurdles = unmet(offer, request);
    let fitted = hurdles.is_empty();
    hurdles.extend(closed(offer));
    if hurdles.is_empty() {
        hurdles.push(outranked(offer, request, round));
    }
    Chance {
        fitted,
        won: false,
        hurdles,
    }
}

fn plain(field: &'static str, asked: String, had: String) -> Hurdle {
    Hurdle {
        field,
        asked,
        had,
        price_to_win: None,
        outranked: false,
    }
}

/// Conditions that it does not meet.
fn unmet(offer: &Offer, request: &Request) -> Vec<Hurdle> {
    let mut unmet = Vec::new();
    if request.device.is_some_and(|device| device != offer.device) {
        unmet.push(plain("another_device", String::new(), String::new()));
    }
    if request.avoid.contains(&offer.node) {
        unmet.push(plain("refused_before", String::new(), String::new()));
    }
    if let Some(since) = request
        .newcomers_since
        .filter(|since| offer.joined_at < *since)
    {
        unmet.push(plain(
            "newcomers",
            since.to_string(),
            offer.joined_at.to_string(),
        ));
    }
    for term in &request.filter.terms {
        if term.test.accepts(offer) {
            continue;
        }
        let mut hurdle = plain(
            term.test.field(),
            term.test.sentence(),
            term.test.has(offer),
        );
        if let crate::filter::Test::Between(crate::filter::Number::Price, _, most) = term.test {
            hurdle.price_to_win = i64::try_from(most)
                .ok()
                .and_then(|base| kernel::Amount::try_from_base(base).ok())
                .map(PricePerSecond::from_amount);
        }
        // Two conditions on one field are one thing to the owner: the first says enough.
        if unmet.iter().all(|known| known.field != hurdle.field) {
            unmet.push(hurdle);
        }
    }
    unmet
}

/// Why it could not be had, whatever was asked.
fn closed(offer: &Offer) -> Option<Hurdle> {
    let hired = offer.holder.is_some().then_some("hired");
    let field = offer.supply.shut().or(hired)?;
    Some(plain(field, String::new(), String::new()))
}

/// It fitted and was free: what made another the better one.
fn outranked(offer: &Offer, request: &Request, round: &Round) -> Hurdle {
    let of = |field, asked: String, had: String| Hurdle {
        outranked: true,
        ..plain(field, asked, had)
    };
    let winner = match round.chosen.as_slice() {
        [winner] if request.ask.is_single() => winner,
        _ => return of("place", String::new(), String::new()),
    };
    let hour = |price: PricePerSecond| format!("{} IO/h", price.to_io_per_hour());
    let rank = |price| {
        let mut own = offer.clone();
        own.price = price;
        own.rank()
    };
    let mut other = offer.clone();
    (other.device, other.node) = (winner.device, winner.node);
    (other.price, other.reputation, other.joined_at) =
        (winner.price, winner.reputation, winner.joined_at);
    let mut hurdle = if winner.price < offer.price {
        of("price", hour(winner.price), hour(offer.price))
    } else if winner.reputation > offer.reputation {
        of(
            "reputation",
            winner.reputation.to_string(),
            offer.reputation.to_string(),
        )
    } else if winner.joined_at < offer.joined_at {
        of(
            "joined_at",
            winner.joined_at.to_string(),
            offer.joined_at.to_string(),
        )
    } else {
        of("id", winner.device.to_string(), offer.device.to_string())
    };
    // The winner's own price wins where the rest of the rank is better; else it takes one base unit less.
    hurdle.price_to_win = if rank(winner.price) < other.rank() {
        Some(winner.price)
    } else {
        let less = winner.price.per_second().base().checked_sub(1);
        less.and_then(|base| kernel::Amount::try_from_base(base).ok())
            .map(PricePerSecond::from_amount)
    };
    hurdle
}

/// A device's published offer, as [`chance`] asks for it.
///
/// # Errors
/// An offer that this version cannot read.
pub fn readable(offer: &BookOffer) -> Result<Listing, Unreadable> {
    listing_of(offer)
}

/// For those who keep only one device's offer: as [`Replica::apply`] does for all.
///
/// # Errors
/// An offer that this version cannot read.
pub fn follow(listing: &mut Option<Listing>, change: &BookChange) -> Result<(), Unreadable> {
    match change {
        BookChange::Put(put) => *listing = Some(listing_of(put)?),
        BookChange::Remove(_) => *listing = None,
        BookChange::Take(_) => {
            if let Some(listing) = listing {
                listing.offer.holder = Some(somebody());
            }
        }
        BookChange::Free(_) => {
            if let Some(listing) = listing {
                listing.offer.holder = None;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
