//! Saved searches: an alert when an offer begins to match, once, and again only after it had left.

use exchange::{Actor, Error};
use kernel::{Amount, PricePerSecond};
use protocol::problem::Code;
use protocol::view::SearchView;

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

async fn one(world: &World, actor: &Actor) -> SearchView {
    let mut all = world.exchange.searches(actor).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Lets so much time pass with the workers alive that a look is due.
async fn look(world: &World, workers: &mut [&mut Worker]) {
    world.pass(3_000);
    for worker in workers {
        worker.beat(world).await;
    }
    world.tick().await;
}

#[tokio::test]
async fn an_alert_is_raised_once_and_again_after_it_left() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut known = Worker::new(1, PRICE);
        known.join(&world, &otto).await;
        let saved = world
            .exchange
            .save_search(&rita, "Cheap ones", "class=cpu price<=0.5");
        assert_eq!(saved.await.unwrap().matching, 0);
        let settle = 30_000;
        world.pass(settle);
        look(&world, &mut [&mut known]).await;
        assert_eq!(one(&world, &rita).await.unseen, 0, "too dear");

        let mut cheap = Worker::new(2, 10_000);
        cheap.join(&world, &otto).await;
        look(&world, &mut [&mut known, &mut cheap]).await;
        let alerted = one(&world, &rita).await;
        let alert = alerted.alert.clone().unwrap();
        assert_eq!((alerted.unseen, alerted.matching), (1, 1), "{backend}");
        assert_eq!(
            (alert.node_name.as_str(), alert.at),
            ("worker-2", world.exchange.now())
        );
        assert_eq!(
            alert.per_hour.base(),
            10_025 * 3_600,
            "as the requester pays"
        );
        assert_eq!(world.exchange.unseen_alerts(&rita).await.unwrap(), 1);
        assert_eq!(world.exchange.unseen_alerts(&otto).await.unwrap(), 0);

        // Another change of the book, and a restart: nothing new.
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        look(&world, &mut [&mut known, &mut cheap]).await;
        assert_eq!(one(&world, &rita).await.matching, 0, "it is hired by now");
        let run = cheap.start(&world).await;
        world.crash().await;
        known.connect(&world, None).await.unwrap();
        cheap.connect(&world, None).await.unwrap();
        world.pass(settle);
        look(&world, &mut [&mut known, &mut cheap]).await;
        assert_eq!(one(&world, &rita).await.unseen, 1);
        assert!(run.1.get() > 0);

        let seen = world.exchange.change_search(&rita, alerted.id, None, true);
        assert_eq!(seen.await.unwrap().unseen, 0);
        world.exchange.stop(&rita, job.summary.id).await.unwrap();
        cheap.read();
        cheap
            .end(&world, protocol::state::RunEnd::StoppedByUser)
            .await;
        look(&world, &mut [&mut known, &mut cheap]).await;
        assert_eq!(one(&world, &rita).await.unseen, 1, "free again: {backend}");
        look(&world, &mut [&mut known, &mut cheap]).await;
        assert_eq!(one(&world, &rita).await.unseen, 1, "and told once");
    }
}

#[tokio::test]
async fn a_price_that_falls_begins_to_match() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let save = world.exchange.save_search(&rita, "x", "price<=0.5");
    save.await.unwrap();
    world.pass(30_000);
    look(&world, &mut [&mut worker]).await;
    let offers = world
        .exchange
        .offers(&protocol::view::OfferFilter::default());
    let device = offers.unwrap().offers[0].device;
    let price = PricePerSecond::from_amount(Amount::try_from_base(9_000).unwrap());
    world
        .exchange
        .set_price(&otto, device, price)
        .await
        .unwrap();
    look(&world, &mut [&mut worker]).await;
    assert_eq!(one(&world, &rita).await.unseen, 1);
}

#[tokio::test]
async fn searches_are_bounded_and_their_accounts_own() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let exchange = &world.exchange;
        for (name, q, field) in [
            ("", "vram>=1", "name"),
            ("x", " ", "q"),
            ("x", "vrm>=1", "q"),
        ] {
            let refused = exchange.save_search(&rita, name, q).await.unwrap_err();
            assert_eq!(refused.problem().fields[0].field, field);
        }
        let first = exchange.save_search(&rita, "one", "vram>=1").await.unwrap();
        for _ in 1..20 {
            exchange
                .save_search(&rita, "more", "vram>=1")
                .await
                .unwrap();
        }
        let many = exchange.save_search(&rita, "more", "vram>=1").await;
        assert_eq!(many.unwrap_err().problem().code, Code::Conflict);
        let name = Some("renamed");
        for refused in [
            exchange
                .change_search(&otto, first.id, name, false)
                .await
                .err(),
            exchange.delete_search(&otto, first.id).await.err(),
        ] {
            assert!(matches!(refused, Some(Error::NotFound(_))));
        }
        let renamed = exchange
            .change_search(&rita, first.id, name, false)
            .await
            .unwrap();
        assert_eq!(renamed.name, "renamed");
        exchange.delete_search(&rita, first.id).await.unwrap();
        assert_eq!(exchange.searches(&rita).await.unwrap().len(), 19);
        assert!(exchange.searches(&otto).await.unwrap().is_empty());
    }
}
