//! Offers and requests as they are published, and back. What is published leaves out who asks and who holds a slot;
//! what a choice depends on survives both ways.

use kernel::{DeviceId, JobId, Timestamp};
use protocol::rent::ReservedRule;
use protocol::round::{BookOffer, Chosen, RoundOp, RoundRange, RoundRequest, RoundTerm, Standing};
use protocol::spec::DeviceClass;

use crate::books::{Books, Listing};
use crate::filter::{Filter, Number, Term, Test};
use crate::offer::{Offer, Supply, Version};
use crate::place::{Country, Region};
use crate::request::{Ask, Kind, Near, Request};

/// Something published that cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {value:?} is not known to this version; check with the version of the server that published it"
)]
pub struct Unreadable {
    pub what: &'static str,
    pub value: String,
}

fn unreadable(what: &'static str, value: &str) -> Unreadable {
    Unreadable {
        what,
        value: value.to_owned(),
    }
}

/// Stands for whoever has a slot: the public book tells only that somebody does.
pub(crate) fn somebody() -> JobId {
    JobId::new(Timestamp::from_millis(0), [0; 10])
}

/// A device as it stands in all books. `None`: in none.
pub fn published(books: &Books, device: DeviceId) -> Option<BookOffer> {
    let spot = books.of(Kind::Spot).get(device);
    let reserved = books.of(Kind::Reserved).get(device);
    Some(BookOffer {
        spot: spot.map(|spot| spot.price),
        reserved: reserved.map(|reserved| ReservedRule {
            price: reserved.price,
            min_term: reserved.min_duration,
        }),
        ..of_offer(&books.get(device)?)
    })
}

fn of_offer(offer: &Offer) -> BookOffer {
    BookOffer {
        device: offer.device,
        node: offer.node,
        owner: offer.owner,
        class: offer.class,
        model: offer.model.to_string(),
        vram_mib: offer.device_memory_mib,
        cards: offer.cards,
        driver: offer.driver.get(),
        cuda: offer.cuda.get(),
        cpus: offer.cpus,
        memory_mib: offer.memory_mib,
        disk_mib: offer.disk_mib,
        up_mbit: offer.up_mbit,
        down_mbit: offer.down_mbit,
        country: offer.country.map(|country| country.to_string()),
        group: offer.group.as_ref().map(ToString::to_string),
        reputation: offer.reputation,
        verified: offer.verified,
        watts: offer.watts,
        min_duration: offer.min_duration,
        max_duration: offer.max_duration,
        price: offer.price,
        joined_at: offer.joined_at,
        supply: match offer.supply {
            Supply::Offered => Standing::Offered,
            Supply::Paused => Standing::Paused,
            Supply::Down => Standing::Down,
            Supply::Blocked => Standing::Blocked,
            Supply::Closed => Standing::Closed,
        },
        spot: None,
        reserved: None,
        taken: offer.holder.is_some(),
    }
}

fn offer_of(book: &BookOffer) -> Result<Offer, Unreadable> {
    let country = book.country.as_deref().map(|code| {
        Country::parse(code)
            .filter(|country| country.as_str() == code)
            .ok_or_else(|| unreadable("the country", code))
    });
    Ok(Offer {
        device: book.device,
        node: book.node,
        owner: book.owner,
        class: book.class,
        model: book.model.as_str().into(),
        device_memory_mib: book.vram_mib,
        cards: book.cards,
        driver: Version::from_number(book.driver),
        cuda: Version::from_number(book.cuda),
        cpus: book.cpus,
        memory_mib: book.memory_mib,
        disk_mib: book.disk_mib,
        up_mbit: book.up_mbit,
        down_mbit: book.down_mbit,
        country: country.transpose()?,
        group: book.group.as_deref().map(Into::into),
        reputation: book.reputation,
        verified: book.verified,
        watts: book.watts,
        min_duration: book.min_duration,
        max_duration: book.max_duration,
        price: book.price,
        joined_at: book.joined_at,
        supply: match book.supply {
            Standing::Offered => Supply::Offered,
            Standing::Paused => Supply::Paused,
            Standing::Down => Supply::Down,
            Standing::Blocked => Supply::Blocked,
            Standing::Closed => Supply::Closed,
        },
        holder: book.taken.then(somebody),
    })
}

pub(crate) fn listing_of(book: &BookOffer) -> Result<Listing, Unreadable> {
    Ok(Listing {
        offer: offer_of(book)?,
        spot: book.spot,
        reserved: book.reserved,
    })
}

pub fn chosen(offer: &Offer) -> Chosen {
    Chosen {
        device: offer.device,
        node: offer.node,
        price: offer.price,
        reputation: offer.reputation,
        joined_at: offer.joined_at,
    }
}

pub(crate) fn published_term(test: &Test) -> RoundTerm {
    use RoundOp::{In, NotIn};
    let ranges = |op, ranges: &[(u64, u64)]| {
        let range = |(min, max): &(u64, u64)| RoundRange {
            min: *min,
            max: (*max < u64::MAX).then_some(*max),
        };
        (op, ranges.iter().map(range).collect(), Vec::new())
    };
    let values = |op, values: Vec<String>| (op, Vec::new(), values);
    let models = |models: &[Vec<String>]| models.iter().map(|words| words.join(" ")).collect();
    let countries = |all: &[Country]| all.iter().map(Country::to_string).collect();
    let regions = |all: &[Region]| {
        all.iter()
            .map(|region| region.as_str().to_owned())
            .collect()
    };
    let (op, ranges, values) = match test {
        Test::Between(_, min, max) => ranges(In, &[(*min, *max)]),
        Test::Outside(_, min, max) => ranges(NotIn, &[(*min, *max)]),
        Test::OneOf(_, any) => ranges(In, any),
        Test::NoneOf(_, none) => ranges(NotIn, none),
        Test::Model(any) => values(In, models(any)),
        Test::NotModel(none) => values(NotIn, models(none)),
        Test::Class(class) => values(In, vec![class.as_str().to_owned()]),
        Test::Country(any) => values(In, countries(any)),
        Test::NotCountry(none) => values(NotIn, countries(none)),
        Test::Region(any) => values(In, regions(any)),
        Test::NotRegion(none) => values(NotIn, regions(none)),
        Test::Group(any) => values(In, any.clone()),
        Test::NotGroup(none) => values(NotIn, none.clone()),
    };
    RoundTerm {
        field: test.field().to_owned(),
        op,
        ranges,
        values,
    }
}

fn each<T>(
    what: &'static str,
    values: &[String],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Unreadable> {
    let read = |value: &String| read(value).ok_or_else(|| unreadable(what, value));
    values.iter().map(read).collect()
}

fn test_of(term: &RoundTerm) -> Result<Test, Unreadable> {
    if let Some(number) = Number::ALL.into_iter().find(|n| n.name() == term.field) {
        let range = |range: &RoundRange| (range.min, range.max.unwrap_or(u64::MAX));
        let ranges: Vec<(u64, u64)> = term.ranges.iter().map(range).collect();
        return Ok(match (term.op, ranges.as_slice()) {
            (RoundOp::In, [(min, max)]) => Test::Between(number, *min, *max),
            (RoundOp::NotIn, [(min, max)]) => Test::Outside(number, *min, *max),
            (RoundOp::In, _) => Test::OneOf(number, ranges),
            (RoundOp::NotIn, _) => Test::NoneOf(number, ranges),
        });
    }
    let positive = term.op == RoundOp::In;
    let either = |yes: Test, no: Test| if positive { yes } else { no };
    let values = &term.values;
    Ok(match term.field.as_str() {
        "gpu" => {
            let words = |model: &String| {
                let words = model.split(' ').filter(|word| !word.is_empty());
                words.map(str::to_owned).collect::<Vec<_>>()
            };
            let models: Vec<Vec<String>> = values.iter().map(words).collect();
            either(Test::Model(models.clone()), Test::NotModel(models))
        }
        "class" => match (values.as_slice(), positive) {
            ([class], true) => Test::Class(
                DeviceClass::parse(class).ok_or_else(|| unreadable("the class", class))?,
            ),
            _ => return Err(unreadable("the class", &values.join(", "))),
        },
        "country" => {
            let countries = each("the country", values, Country::parse)?;
            either(
                Test::Country(countries.clone()),
                Test::NotCountry(countries),
            )
        }
        "region" => {
            let regions = each("the region", values, Region::parse)?;
            either(Test::Region(regions.clone()), Test::NotRegion(regions))
        }
        "group" => either(Test::Group(values.clone()), Test::NotGroup(values.clone())),
        other => return Err(unreadable("the field", other)),
    })
}

pub fn published_request(request: &Request) -> RoundRequest {
    let Request {
        filter,
        ask,
        device,
        avoid,
        most_together,
        newcomers_since,
    } = request;
    let Ask {
        count,
        nodes,
        near,
        spread,
        kind,
    } = ask;
    RoundRequest {
        terms: filter
            .terms
            .iter()
            .map(|term| published_term(&term.test))
            .collect(),
        count: *count,
        nodes: *nodes,
        near: near.as_str().to_owned(),
        spread: *spread,
        kind: kind.as_str().to_owned(),
        device: *device,
        avoid: avoid.clone(),
        most_together: *most_together,
        newcomers_since: *newcomers_since,
    }
}

/// # Errors
/// A word that this version does not know.
pub fn request_of(request: &RoundRequest) -> Result<Request, Unreadable> {
    let terms = request.terms.iter().map(|term| {
        Ok(Term {
            test: test_of(term)?,
            source: "query".to_owned(),
            text: String::new(),
        })
    });
    let near = Near::ALL.into_iter().find(|n| n.as_str() == request.near);
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == request.kind);
    Ok(Request {
        filter: Filter {
            terms: terms.collect::<Result<_, _>>()?,
        },
        ask: Ask {
            count: request.count,
            nodes: request.nodes,
            near: near.ok_or_else(|| unreadable("near", &request.near))?,
            spread: request.spread,
            kind: kind.ok_or_else(|| unreadable("kind", &request.kind))?,
        },
        device: request.device,
        avoid: request.avoid.clone(),
        most_together: request.most_together,
        newcomers_since: request.newcomers_since,
    })
}
