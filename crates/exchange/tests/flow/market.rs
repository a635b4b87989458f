//! The market as the use cases ask it: queries, gangs, owners' rules, and one slot one winner.

use std::collections::BTreeSet;
use std::sync::Arc;

use exchange::Error;
use kernel::Seconds;
use protocol::problem::Code;
use protocol::state::{DeviceState, JobState};
use protocol::view::{DeviceRules, OfferFilter};

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
        "4 nodes were asked for, and the most that match in one place are 3."
    );
    let refused = exchange
        .submit(&rita, gang, None, None)
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.fields[0].field, "placement.filter");

    let mut job = spec("");
    job.placement.filter = Some("group=hall_b".into());
    let job = exchange.submit(&rita, job, None, None).await.unwrap();
    assert_eq!(
        job.leases[0].node_name, "worker-2",
        "the cheapest of its hall"
    );
    assert_eq!(listed("group=hall_b").offers[0].state, DeviceState::Hired);
}

#[tokio::test]
async fn owners_say_which_lengths_of_jobs_they_take() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let exchange = &world.exchange;
    let device = exchange.offers(&OfferFilter::default()).unwrap().offers[0].device;
    let rules = |min, max| DeviceRules {
        min_duration: Seconds::new(min),
        max_duration: Some(Seconds::new(max)),
    };
    assert!(
        exchange
            .set_rules(&rita, device, rules(0, 60))
            .await
            .is_err()
    );
    assert!(
        exchange
            .set_rules(&otto, device, rules(61, 60))
            .await
            .is_err()
    );
    exchange
        .set_rules(&otto, device, rules(0, 60))
        .await
        .unwrap();
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
