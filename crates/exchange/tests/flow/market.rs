//! The market as the use cases ask it: queries, gangs, owners' rules, and one slot one winner.

use std::collections::BTreeSet;
use std::sync::Arc;

use exchange::Error;
use kernel::Seconds;
use protocol::problem::Code;
use protocol::state::{DeviceState, JobState};
use protocol::view::{JobEventKind, OfferFilter};

use crate::kinds::rules;
use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

fn asking(q: &str) -> OfferFilter {
    OfferFilter {
        q: Some(q.into()),
        ..OfferFilter::default()
    }
}

#[tokio::test]
async fn the_same_query_lists_quotes_and_places() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut workers: Vec<Worker> = (1..=4)
        .map(|n| Worker::new(n, PRICE * i64::from(n)))
        .collect();
    for (n, worker) in workers.iter_mut().enumerate() {
        worker.group = Some(if n < 1 {
            "Hall_A".into()
        } else {
            "Hall_B".into()
        });
        worker.join(&world, &otto).await;
    }
    let exchange = &world.exchange;
    let listed = |q: &str| exchange.offers(&asking(q)).unwrap();
    assert_eq!(listed("group=hall_b country=CH").matching, 3);
    assert_eq!(listed("class=cpu memory<1").matching, 0);
    // All-in: 0.90 IO/h and the fee of a quarter percent.
    assert_eq!(listed("price<=0.9").matching, 0);
    assert_eq!(listed("price<=0.91").matching, 1);
    // An empty list says what emptied it; one that is not has nothing to say.
    let why = exchange.why_none(&asking("price<=0.9")).unwrap();
    assert_eq!((why.len(), why[0].field.as_str()), (1, "price"));
    assert!(
        why[0].message.contains("the cheapest costs 0.90225 IO/h"),
        "{}",
        why[0].message
    );
    assert!(
        exchange
            .why_none(&asking("price<=0.91"))
            .unwrap()
            .is_empty()
    );
    assert!(exchange.why_none(&asking("kind=spot")).unwrap().is_empty());
    let page = exchange
        .offers(&OfferFilter {
            limit: Some(3),
            offset: Some(2),
            ..asking("class=cpu")
        })
        .unwrap();
    assert_eq!((page.offers.len(), page.matching, page.next), (2, 4, None));
    let bad = exchange
        .offers(&asking("class=cpu vrm>=1"))
        .unwrap_err()
        .problem();
    assert_eq!(bad.code, Code::Invalid);
    assert!(
        bad.fields[0].message.starts_with("character 11: "),
        "{}",
        bad.fields[0].message
    );

    // Three nodes of one hall before cheaper ones farther apart.
    let mut gang = spec("");
    gang.placement.filter = Some("nodes=3 near=group".into());
    let quote = exchange.quote(Some(&rita), &gang, None).await.unwrap();
    assert_eq!((quote.offers.len(), quote.near.as_str()), (3, "group"));
    assert!(
        quote
            .offers
            .iter()
            .all(|offer| offer.group.as_deref() == Some("hall b"))
    );
    assert!(quote.per_hour > quote.offers[2].per_hour);
    gang.placement.filter = Some("nodes=4 near=group".into());
    let none = exchange.quote(Some(&rita), &gang, None).await.unwrap_err();
    assert_eq!(
        none.to_string(),
        "Not enough together: 4 nodes of one group were asked for, and the most that match in one are 3; only nodes whose \
         owners name a group count, near=any looks everywhere."
    );
    let refused = exchange
        .submit(&rita, gang, None, None)
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.fields[0].field, "nodes");

    let mut job = spec("");
    job.placement.filter = Some("group=hall_b".into());
    let job = exchange.submit(&rita, job, None, None).await.unwrap();
    assert_eq!(
        job.leases[0].node_name, "worker-2",
        "the cheapest of its hall"
    );
    assert_eq!(listed("group=hall_b").offers[0].state, DeviceState::Hired);
    // What is out of bounds is refused, not bent.
    let field = |filter: &OfferFilter| {
        let refused = exchange.offers(filter).unwrap_err().problem();
        refused.fields[0].field.clone()
    };
    for limit in [0, 100_000] {
        let filter = OfferFilter {
            limit: Some(limit),
            ..OfferFilter::default()
        };
        assert_eq!(field(&filter), "limit");
    }
    assert_eq!(field(&asking("nodes=65")), "q");
}

#[tokio::test]
async fn owners_say_which_lengths_of_jobs_they_take() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let exchange = &world.exchange;
    let device = exchange.offers(&OfferFilter::default()).unwrap().offers[0].device;
    let rules =
        |min: u64, max: u64| rules(serde_json::json!({ "min_duration": min, "max_duration": max }));
    let refused = exchange.change_device(&rita, device, rules(0, 60)).await;
    assert!(refused.is_err());
    let refused = exchange.change_device(&otto, device, rules(61, 60)).await;
    assert!(refused.is_err());
    let set = exchange.change_device(&otto, device, rules(0, 60)).await;
    set.unwrap();
    let mut long = spec("");
    long.limits.duration_seconds = 61;
    let Err(Error::NoMatch(no)) = exchange.submit(&rita, long.clone(), None, None).await else {
        panic!("too long for this owner");
    };
    assert_eq!(no.fields()[0].field, "limits.duration_seconds");
    long.limits.duration_seconds = 60;
    let job = exchange.submit(&rita, long, None, None).await.unwrap();
    assert_eq!(job.summary.state, JobState::Starting);
}

/// fault_skypilot_9117: the same offer is never sold twice, however many ask at once and whenever the server dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_skypilot_9117_ten_thousand_requests_over_five_hundred_slots() {
    for backend in backends() {
        let (slots, requests) = (500_usize, 10_000_usize);
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("100000").await;
        let mut workers = Vec::new();
        for n in 0..slots {
            let mut worker = Worker::numbered(n, PRICE);
            worker.join(&world, &otto).await;
            workers.push(worker);
        }
        // Half of the requests; then the process dies in the midst of them, and another one takes the rest.
        rush(&world, &rita, requests / 2, Some(slots / 2)).await;
        for worker in &mut workers {
            worker.read();
        }
        world.crash().await;
        for worker in &mut workers {
            // A lease that was committed as the process died never reached its worker: it is given back here.
            worker.connect(&world, None).await.unwrap();
        }
        rush(&world, &rita, requests / 2, None).await;
        let leases = world.live_leases().await;
        let devices: BTreeSet<_> = leases.iter().map(|(_, device)| device.clone()).collect();
        let jobs: BTreeSet<_> = leases.iter().map(|(job, _)| job.clone()).collect();
        assert_eq!(
            (devices.len(), jobs.len()),
            (slots, slots),
            "{backend}: each slot once, all of them"
        );
        assert_eq!(leases.len(), slots, "{backend}");
        assert_eq!(world.sum_of_books().await, 0, "{backend}");
    }
}

/// So many submissions at once; stops listening after some successes, as a process that is killed does.
async fn rush(world: &World, actor: &exchange::Actor, requests: usize, until: Option<usize>) {
    let (exchange, actor) = (world.exchange.clone(), Arc::new(actor.clone()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let (exchange, actor) = (exchange.clone(), actor.clone());
        tasks.spawn(async move { exchange.submit(&actor, spec(""), None, None).await });
    }
    let mut won = 0;
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            Ok(_) => won += 1,
            Err(Error::NoMatch(_)) => {}
            Err(Error::Conflict(reason)) => assert!(reason.contains("too fast"), "{reason}"),
            Err(other) => panic!("{other}"),
        }
        if Some(won) == until {
            tasks.abort_all();
            return;
        }
    }
}

/// A limit order: it waits, costs nothing, is placed when a price falls to its limit, and expires when none does.
#[tokio::test]
async fn an_order_waits_for_its_price_and_expires() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let exchange = &world.exchange;
        let device = exchange.offers(&OfferFilter::default()).unwrap().offers[0].device;
        let mut order = spec("");
        order.limits.wait_seconds = 600;
        order.placement.filter = Some("price<=0.5".into());
        let first = exchange
            .submit(&rita, order.clone(), None, Some("one"))
            .await
            .unwrap();
        let same = exchange
            .submit(&rita, order.clone(), None, Some("one"))
            .await
            .unwrap();
        assert_eq!(
            first.summary.id, same.summary.id,
            "one order, however often it is sent"
        );
        assert_eq!(first.summary.state, JobState::Matching);
        assert_eq!(
            first.summary.waits_until,
            Some(exchange.now().plus(Seconds::new(600)))
        );
        let orders = exchange.orders(&rita, None, 100).await.unwrap().items;
        assert!(orders[0].why.contains("price"), "{}", orders[0].why);
        assert!(
            exchange
                .orders(&otto, None, 100)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        assert_eq!(
            world.available(&rita).await,
            1_000_000_000,
            "nothing is set aside while it waits"
        );
        world.tick().await;
        assert_eq!(
            exchange.orders(&rita, None, 100).await.unwrap().items.len(),
            1
        );

        // The owner comes down to it: placed with the next tick, at the owner's price.
        let cheaper =
            kernel::PricePerSecond::from_amount(kernel::Amount::try_from_base(10_000).unwrap());
        exchange.set_price(&otto, device, cheaper).await.unwrap();
        world.tick().await;
        let job = exchange.job(&rita, first.summary.id).await.unwrap();
        assert_eq!(
            (job.summary.state, job.leases[0].price),
            (JobState::Starting, cheaper)
        );

        // Nobody comes down to this one.
        order.placement.filter = Some("price<=0.1".into());
        let second = exchange
            .submit(&rita, order.clone(), None, None)
            .await
            .unwrap();
        worker.read();
        world.pass(599_000);
        worker.beat(&world).await;
        world.tick().await;
        assert_eq!(
            exchange.orders(&rita, None, 100).await.unwrap().items.len(),
            1
        );
        world.pass(1_000);
        worker.beat(&world).await;
        world.tick().await;
        let job = exchange.job(&rita, second.summary.id).await.unwrap();
        assert_eq!(job.summary.state, JobState::Failed);
        assert!(job.summary.end.unwrap().sentence().contains("price"));

        // A limit comes back as it was typed, not as the owner's price within it.
        order.placement.filter = None;
        order.limits.max_price_per_hour = Some("0.0123".into());
        order.limits.wait_seconds = 1;
        let third = exchange
            .submit(&rita, order.clone(), None, None)
            .await
            .unwrap();
        worker.read();
        world.pass(1_000);
        worker.beat(&world).await;
        world.tick().await;
        let job = exchange.job(&rita, third.summary.id).await.unwrap();
        let why = job.summary.end.unwrap().sentence();
        assert!(
            why.ends_with("It may cost at most 0.0123 IO per hour."),
            "{why}"
        );
        assert_eq!(world.sum_of_books().await, 0);
        order.limits.wait_seconds = 0;
        assert!(matches!(
            exchange.submit(&rita, order, None, None).await,
            Err(Error::NoMatch(_))
        ));
    }
}

/// The list of orders goes on where a page ended, also when the last one on it has its place meanwhile.
#[tokio::test]
async fn orders_come_a_page_at_a_time() {
    let world = World::new("sqlite").await;
    let (rita, _) = world.people("10").await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        let mut order = spec("");
        order.limits.wait_seconds = 600;
        let job = world.exchange.submit(&rita, order, None, None).await;
        sent.push(job.unwrap().summary.id);
        world.pass(1_000);
    }
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = world.exchange.orders(&rita, after, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        listed.extend(page.items.iter().map(|order| order.job));
        let Some(next) = page.next else { break };
        after = Some(next.parse().unwrap());
        let last = *listed.last().unwrap();
        world.exchange.stop(&rita, last).await.unwrap();
    }
    assert_eq!(listed, sent);
    assert!("5".parse::<exchange::OrderPlace>().is_err());
}

/// An order counts for as long as it was to wait: what comes later is not hired, also when nobody looked in between.
#[tokio::test]
async fn an_order_is_not_filled_after_its_time() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut order = spec("");
        order.limits.wait_seconds = 600;
        let job = world.exchange.submit(&rita, order, None, None).await;
        let job = job.unwrap().summary.id;
        world.tick().await;
        world.pass(600_000);
        world.crash().await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        world.tick().await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.state, JobState::Failed, "{backend}");
        assert!(view.leases.is_empty());
        let why = view.summary.end.unwrap().sentence();
        assert!(
            why.ends_with("after the time that it was to wait."),
            "{why}"
        );
        assert_eq!(world.sum_of_books().await, 0);
        crate::rounds::check_all(&world.exchange).await;
    }
}

/// Where a machine stands is one of the countries that there are, so that whoever asks for one finds it.
#[tokio::test]
async fn a_machine_stands_in_a_country_that_there_is() {
    let world = World::new("sqlite").await;
    let (_, otto) = world.people("10").await;
    let listed = |country: &str| {
        let filter = OfferFilter {
            country: Some(country.to_owned()),
            ..OfferFilter::default()
        };
        world.exchange.offers(&filter).map(|found| found.matching)
    };
    let mut worker = Worker::new(1, PRICE);
    worker.country = "XX";
    let token = world.exchange.create_join_token(&otto).await.unwrap();
    let refused = worker.connect(&world, Some(&token.token)).await;
    assert!(refused.unwrap_err().1.contains("country"));
    worker.country = "UK";
    worker.join(&world, &otto).await;
    for asked in ["UK", "gb"] {
        assert_eq!(listed(asked).unwrap(), 1, "{asked}");
    }
    assert!(matches!(listed("XX"), Err(Error::Invalid(_))));
    // It is let in again whatever its folder says, as long as it is two letters: it only stands nowhere then.
    worker.disconnect(&world).await;
    worker.country = "XX";
    worker.connect(&world, None).await.unwrap();
    assert_eq!(listed("GB").unwrap(), 0);
}

/// The index is made of what was paid and what is asked, is noted every five minutes and charted.
#[tokio::test]
async fn the_price_index_is_noted_and_kept() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let olga = world.account("olga", "0").await;
        let mut first = Worker::new(1, 10_000);
        first.join(&world, &otto).await;
        let mut second = Worker::new(2, 30_000);
        second.join(&world, &olga).await;
        let exchange = &world.exchange;
        exchange.prune().await.unwrap();
        let class = protocol::spec::DeviceClass::Cpu;
        let week = Seconds::new(7 * 86_400);
        let before = exchange
            .model(class, "Test CPU", week)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(before.history.len(), 1);
        let price = before.price.unwrap();
        assert_eq!(
            (price.asks, price.trades, price.offers, price.idle),
            (2, 0, 2, 2)
        );
        assert_eq!(price.fair, price.lowest, "the lower of two");
        assert_eq!(before.asks.len(), 2);

        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        first.start(&world).await;
        first.work(&world, 5).await;
        first
            .end(&world, protocol::state::RunEnd::Exited { code: 0 })
            .await;
        // Now the owner asks more; what was paid counts still.
        let device = exchange.offers(&OfferFilter::default()).unwrap().offers[0].device;
        let dear =
            kernel::PricePerSecond::from_amount(kernel::Amount::try_from_base(90_000).unwrap());
        exchange.set_price(&otto, device, dear).await.unwrap();
        exchange.prune().await.unwrap();
        world.pass(300_000);
        exchange.prune().await.unwrap();
        let after = exchange
            .model(class, "Test CPU", week)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(after.history.len(), 2, "one in five minutes");
        let price = after.price.unwrap();
        assert_eq!((price.asks, price.trades), (2, 1));
        assert_eq!(
            price.fair.base(),
            30_075 * 3_600,
            "the median of 10,000 paid, 30,000 and 90,000 asked, with the fee"
        );
        assert_eq!(exchange.prices().await.unwrap().len(), 1);
        assert!(
            exchange
                .model(class, "No such", week)
                .await
                .unwrap()
                .is_none()
        );
        world.pass(91 * 86_400_000);
        exchange.prune().await.unwrap();
        let history = exchange
            .price_history(class, "Test CPU", Seconds::new(u64::MAX))
            .await
            .unwrap();
        assert_eq!(history.len(), 1, "what is older than 90 days is forgotten");
    }
}

/// Two devices of one host share its memory: the second is offered with what the first job left.
#[tokio::test]
async fn a_host_is_not_sold_twice_over_its_devices() {
    let mut world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.devices = 2;
    worker.join(&world, &otto).await;
    let mut large = spec("");
    (large.resources.memory_mib, large.resources.disk_mib) = (5_000, 100);
    world
        .exchange
        .submit(&rita, large.clone(), None, None)
        .await
        .unwrap();
    let Err(Error::NoMatch(no)) = world
        .exchange
        .submit(&rita, large.clone(), None, None)
        .await
    else {
        panic!("8,000 MiB do not hold 2 x 5,100");
    };
    assert_eq!(no.fields()[0].field, "resources.memory_mib");
    let listed = |world: &World| {
        world
            .exchange
            .offers(&asking("memory>=7"))
            .unwrap()
            .matching
    };
    assert_eq!(
        listed(&world),
        1,
        "the hired one shows its host, the free one what is left"
    );
    worker.start(&world).await;
    // The same after a restart.
    world.crash().await;
    worker.connect(&world, None).await.unwrap();
    assert_eq!(listed(&world), 1);
    large.resources.memory_mib = 2_000;
    world
        .exchange
        .submit(&rita, large.clone(), None, None)
        .await
        .unwrap();
    assert_eq!(listed(&world), 0, "each sees what the other one has");
}

/// A job whose node was lost and for which only a dearer one is free says so, once, on its page and in the orders.
#[tokio::test]
async fn a_job_that_lost_its_node_says_why_it_waits() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut cheap = Worker::new(1, PRICE);
    cheap.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap();
    cheap.start(&world).await;
    cheap.disconnect(&world).await;
    for _ in 0..12 {
        world.pass(1_000);
        world.tick().await;
    }
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    let told = view.events.last().unwrap();
    assert_eq!(
        told.kind,
        JobEventKind::Waiting,
        "nobody else is there at all"
    );
    let mut dear = Worker::new(2, PRICE * 2);
    dear.join(&world, &otto).await;
    for _ in 0..12 {
        world.pass(1_000);
        dear.beat(&world).await;
        world.tick().await;
    }
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(view.summary.state, JobState::Matching);
    let told = view
        .events
        .iter()
        .filter(|event| event.kind == JobEventKind::Waiting);
    let told: Vec<&str> = told.map(|event| event.detail.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let orders = world.exchange.orders(&rita, None, 100).await.unwrap().items;
    assert!(
        orders[0].why.contains("the cheapest costs"),
        "{}",
        orders[0].why
    );
}

/// An order says the class that its query asks for, not the one that a specification has when nobody wrote it.
#[tokio::test]
async fn an_order_shows_the_class_it_asks_for() {
    use protocol::spec::DeviceClass;
    let world = World::new("sqlite").await;
    let (rita, _) = world.people("10").await;
    for (filter, class) in [
        (Some("class=gpu"), Some(DeviceClass::Gpu)),
        (Some("vram>=24"), Some(DeviceClass::Gpu)),
        (Some("price<=0.5"), None),
        (None, Some(DeviceClass::Cpu)),
    ] {
        let mut order = spec("");
        order.limits.wait_seconds = 600;
        order.placement.filter = filter.map(str::to_owned);
        let job = world.exchange.submit(&rita, order, None, None).await;
        assert_eq!(job.unwrap().summary.device_class, class, "{filter:?}");
    }
}
