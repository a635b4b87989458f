//! Quotes that are held: honoured when the owner asks more, once, by their account, for their job, for a minute.

use std::collections::BTreeSet;

use exchange::{Actor, Error};
use kernel::{Amount, PricePerSecond, Seconds};
use protocol::problem::Code;
use protocol::view::{OfferFilter, QuoteLineKind, QuoteView};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

fn price(base: i64) -> PricePerSecond {
    PricePerSecond::from_amount(Amount::try_from_base(base).unwrap())
}

async fn held(world: &World, actor: &Actor) -> QuoteView {
    let quote = world
        .exchange
        .hold_quote(Some(actor), &spec(""), None)
        .await;
    quote.unwrap()
}

async fn used(world: &World, actor: &Actor, quote: &QuoteView) -> Result<i64, Error> {
    let job = world
        .exchange
        .submit_quoted(actor, spec(""), None, quote.id, None)
        .await?;
    Ok(job.leases[0].price.per_second().base())
}

fn refused(result: Result<i64, Error>, words: &str) {
    let problem = result.expect_err(words).problem();
    assert!(problem.detail.contains(words), "{}", problem.detail);
}

#[tokio::test]
async fn a_quote_is_honoured_after_the_owner_asked_more() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let quote = held(&world, &rita).await;
        let until = quote.valid_until.unwrap();
        assert_eq!(until.seconds_since(quote.quoted_at), Seconds::MINUTE);
        let device = quote.offer.device;
        let raise = world.exchange.set_price(&otto, device, price(PRICE * 2));
        raise.await.unwrap();
        assert_eq!(
            used(&world, &rita, &quote).await.unwrap(),
            PRICE,
            "{backend}"
        );
        refused(used(&world, &rita, &quote).await, "was used by another job");
        assert_eq!(world.sum_of_books().await, 0);

        // The same request again answers the same job, though its quote is used.
        let mut other = Worker::new(2, PRICE);
        other.join(&world, &otto).await;
        let quote = held(&world, &rita).await;
        let send = || {
            let exchange = &world.exchange;
            exchange.submit_quoted(&rita, spec(""), None, quote.id, Some("one"))
        };
        let (first, again) = (send().await.unwrap(), send().await.unwrap());
        assert_eq!(first.summary.id, again.summary.id);
        let bare = world.exchange.submit(&rita, spec(""), None, Some("one"));
        assert!(matches!(bare.await, Err(Error::IdempotencyMismatch)));
    }
}

#[tokio::test]
async fn a_lower_price_is_given_on() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    Worker::new(1, PRICE).join(&world, &otto).await;
    let quote = held(&world, &rita).await;
    let lower = world
        .exchange
        .set_price(&otto, quote.offer.device, price(PRICE / 2));
    lower.await.unwrap();
    assert_eq!(used(&world, &rita, &quote).await.unwrap(), PRICE / 2);
}

#[tokio::test]
async fn a_quote_is_for_its_account_its_job_and_its_minute() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let rob = world.account("rob", "10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let exchange = &world.exchange;
        let quote = held(&world, &rita).await;
        refused(used(&world, &rob, &quote).await, "was not found");
        let mut longer = spec("");
        longer.limits.duration_seconds += 1;
        let other = exchange.submit_quoted(&rita, longer, None, quote.id, None);
        let problem = other.await.unwrap_err().problem();
        assert!(problem.detail.contains("another job"), "{}", problem.detail);
        let named = Some(quote.offer.device);
        let other = exchange.submit_quoted(&rita, spec(""), named, quote.id, None);
        assert_eq!(other.await.unwrap_err().problem().code, Code::Conflict);
        // A refusal uses nothing up: with the last millisecond it still holds.
        world.pass(59_999);
        worker.beat(&world).await;
        assert_eq!(used(&world, &rita, &quote).await.unwrap(), PRICE);

        let mut second = Worker::new(2, PRICE);
        second.join(&world, &otto).await;
        let quote = held(&world, &rita).await;
        world.pass(60_000);
        second.beat(&world).await;
        refused(used(&world, &rita, &quote).await, "over");
        // Ten minutes later it is forgotten.
        world.pass(600_001);
        exchange.prune().await.unwrap();
        refused(used(&world, &rita, &quote).await, "was not found");
        let visitor = exchange.hold_quote(None, &spec(""), None).await;
        assert!(visitor.is_err() || visitor.unwrap().id.is_none());
    }
}

#[tokio::test]
async fn a_visitors_quote_is_told_and_not_kept() {
    let world = World::new("sqlite").await;
    let (_, otto) = world.people("10").await;
    Worker::new(1, PRICE).join(&world, &otto).await;
    let quote = world
        .exchange
        .hold_quote(None, &spec(""), None)
        .await
        .unwrap();
    assert_eq!((quote.id, quote.valid_until), (None, None));
}

#[tokio::test]
async fn a_slot_that_was_hired_is_replaced_at_the_quoted_total_or_refused() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let rob = world.account("rob", "10").await;
    let mut workers = Vec::new();
    for (n, price) in [(1, PRICE), (2, PRICE), (3, PRICE + 1)] {
        let mut worker = Worker::new(n, price);
        worker.join(&world, &otto).await;
        workers.push(worker);
    }
    let quotes = [held(&world, &rita).await, held(&world, &rita).await];
    assert_eq!(
        quotes[0].offer.node_name, "worker-1",
        "a quote takes no slot"
    );
    let submit = || world.exchange.submit(&rob, spec(""), None, None);
    submit().await.unwrap();
    let job = world
        .exchange
        .submit_quoted(&rita, spec(""), None, quotes[0].id, None)
        .await
        .unwrap();
    assert_eq!(
        job.leases[0].node_name, "worker-2",
        "as cheap as the quoted one"
    );
    // Only a dearer one is left.
    let broken = used(&world, &rita, &quotes[1])
        .await
        .expect_err("dearer")
        .problem();
    assert_eq!(broken.code, Code::Conflict);
    for words in ["Test CPU was hired by somebody else", "at most 0.90225 IO"] {
        assert!(broken.detail.contains(words), "{}", broken.detail);
    }
    assert!(world.exchange.offer(workers_free(&world)).is_some());
}

/// The device that is still free.
fn workers_free(world: &World) -> kernel::DeviceId {
    let idle = OfferFilter {
        idle: Some(true),
        ..OfferFilter::default()
    };
    let free = world.exchange.offers(&idle).unwrap();
    assert_eq!(free.matching, 1, "a refusal gives its slot back");
    free.offers[0].device
}

#[tokio::test]
async fn fifty_at_once_make_one_job_of_one_quote() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        for n in 1..=3 {
            Worker::new(n, PRICE).join(&world, &otto).await;
        }
        let quote = held(&world, &rita).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (exchange, rita) = (world.exchange.clone(), rita.clone());
            let id = quote.id;
            tasks.spawn(async move {
                exchange
                    .submit_quoted(&rita, spec(""), None, id, None)
                    .await
            });
        }
        let mut jobs = BTreeSet::new();
        while let Some(done) = tasks.join_next().await {
            match done.unwrap() {
                Ok(job) => _ = jobs.insert(job.summary.id),
                Err(error) => assert_eq!(error.problem().code, Code::Conflict, "{error}"),
            }
        }
        assert_eq!(jobs.len(), 1, "{backend}");
        assert_eq!(world.live_leases().await.len(), 1, "{backend}");
    }
}

#[tokio::test]
async fn an_account_has_so_many_open_quotes() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    Worker::new(1, PRICE).join(&world, &otto).await;
    let first = held(&world, &rita).await;
    let mut last = held(&world, &rita).await;
    for _ in 0..49 {
        world.pass(1);
        last = held(&world, &rita).await;
    }
    refused(used(&world, &rita, &first).await, "was not found");
    assert_eq!(used(&world, &rita, &last).await.unwrap(), PRICE);
}

#[tokio::test]
async fn the_lines_explain_the_price_and_scarcity_explains_and_costs_nothing() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let rob = world.account("rob", "10").await;
    let mut workers = Vec::new();
    for (n, price) in [(1, PRICE), (2, PRICE), (3, PRICE * 2)] {
        let mut worker = Worker::new(n, price);
        worker.group = (n == 3).then(|| "hall".to_owned());
        worker.join(&world, &otto).await;
        workers.push(worker);
    }
    let mut near = spec("");
    near.placement.filter = Some("group=hall".into());
    let quote = world
        .exchange
        .hold_quote(Some(&rita), &near, None)
        .await
        .unwrap();
    let lines: Vec<(QuoteLineKind, i64)> = quote
        .lines
        .iter()
        .map(|line| (line.kind, line.per_hour.base()))
        .collect();
    let hour = PRICE * 3_600;
    assert_eq!(
        lines,
        [
            (QuoteLineKind::Base, hour),
            (QuoteLineKind::Constraints, hour),
            (QuoteLineKind::Fee, hour / 200),
            (QuoteLineKind::Egress, 0),
        ]
    );
    let sum: i64 = lines.iter().map(|(_, amount)| amount).sum();
    assert_eq!(sum, quote.per_hour.base(), "the lines add up");
    assert!(
        quote.lines[2].text.contains("0.25 %"),
        "{:?}",
        quote.lines[2]
    );
    assert_eq!(quote.notes.len(), 4);
    assert_eq!((quote.scarcity.offered, quote.scarcity.hired), (3, 0));

    world.exchange.prune().await.unwrap();
    world
        .exchange
        .submit(&rob, spec(""), None, None)
        .await
        .unwrap();
    let scarcer = world
        .exchange
        .hold_quote(Some(&rita), &near, None)
        .await
        .unwrap();
    assert_eq!(scarcer.per_hour, quote.per_hour, "scarcity is no surcharge");
    assert_eq!(
        (scarcer.scarcity.percent, scarcer.scarcity.median_percent),
        (33, Some(0))
    );
    let index = world.exchange.prices().await.unwrap();
    assert_eq!(index[0].scarcity, scarcer.scarcity);
}

#[tokio::test]
async fn a_quote_of_several_nodes_is_honoured_together() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut workers = Vec::new();
    for n in 1..=3 {
        let mut worker = Worker::new(n, PRICE);
        worker.join(&world, &otto).await;
        workers.push(worker);
    }
    let mut two = spec("");
    two.placement.nodes = 2;
    let exchange = &world.exchange;
    let quote = exchange.hold_quote(Some(&rita), &two, None).await.unwrap();
    for offer in &quote.offers {
        let raise = exchange.set_price(&otto, offer.device, price(PRICE * 3));
        raise.await.unwrap();
    }
    let job = exchange.submit_quoted(&rita, two, None, quote.id, None);
    let job = job.await.unwrap();
    let mut prices: Vec<i64> = job
        .leases
        .iter()
        .map(|lease| lease.price.per_second().base())
        .collect();
    prices.sort_unstable();
    assert_eq!(prices, [PRICE, PRICE]);
    let took: BTreeSet<_> = job.leases.iter().map(|lease| lease.device).collect();
    let quoted: BTreeSet<_> = quote.offers.iter().map(|offer| offer.device).collect();
    assert_eq!(took, quoted);
}
