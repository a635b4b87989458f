//! What an account lets its jobs spend.

use exchange::Error;
use protocol::money::Limits;

use crate::payouts::{FINISHED, PRICE, admin, in_order, io, worked};
use crate::world::{Worker, World, backends, spec};

#[tokio::test]
async fn a_job_stops_before_it_takes_what_is_to_be_kept() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("1").await;
        let exchange = &world.exchange;
        // For 300 seconds, and no more.
        let limits = Limits {
            keep: Some(io(100_000_000 - 300 * 25_063)),
            ..Limits::default()
        };
        let keep = limits;
        exchange.set_limits(&rita, keep).await.unwrap();
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        worker.start(&world).await;
        assert_eq!(worker.runs[0].funded, 300);
        worker.work(&world, 200).await;
        // What is kept makes nothing last.
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert_eq!(lasts.map(kernel::Seconds::get), Some(100));
        let day = exchange.limits(&rita).await.unwrap().today;
        let limits = |per_day| Limits {
            per_day,
            ..Limits::default()
        };
        let budget = day.checked_add(io(30 * 25_063)).unwrap();
        exchange
            .set_limits(&rita, limits(Some(budget)))
            .await
            .unwrap();
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert_eq!(
            lasts.map(kernel::Seconds::get),
            Some(130),
            "nor what is beyond the day's budget"
        );
        exchange.set_limits(&rita, limits(None)).await.unwrap();
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert!(lasts.is_some_and(|lasts| lasts.get() > 3_000), "{lasts:?}");
        exchange.set_limits(&rita, keep).await.unwrap();
        assert_eq!(worker.runs[0].funded, 300, "nothing is added");
        worker.end(&world, FINISHED).await;
        let left = exchange.limits(&rita).await.unwrap();
        assert_eq!(left.today, left.month);
        assert_eq!(left.today, io(200 * 25_000 + 200 * 25_000 / 400));
        // A budget of which that much is spent leaves less than a minute.
        let limits = Limits {
            per_day: Some(io(200 * 25_063 + 59 * 25_000)),
            ..Limits::default()
        };
        exchange.set_limits(&rita, limits).await.unwrap();
        let refused = exchange.submit(&rita, spec(""), None, None).await;
        assert!(
            matches!(refused, Err(Error::OverLimit { .. })),
            "{refused:?}"
        );
        world.pass(86_400_000);
        worker.beat(&world).await;
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        let days = exchange.by_day(&rita, 2).await.unwrap();
        assert_eq!(days.len(), 2);
        assert_eq!(days[0].spent, io(200 * 25_000 + 200 * 25_000 / 400));
        in_order(&world).await;
    }
}

#[tokio::test]
async fn what_comes_back_of_an_earlier_day_makes_no_room_today() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let one = admin(&world, "ann").await;
        world.fill_treasury(10_000_000).await;
        let exchange = &world.exchange;
        let first = worked(&world, &rita, &otto).await;
        world.pass(86_400_000);
        // Cheaper than the one of the day before.
        let mut worker = Worker::new(2, PRICE - 1);
        worker.join(&world, &otto).await;
        let job = exchange.submit(&rita, spec(""), None, None).await;
        job.unwrap();
        let (second, _) = worker.start(&world).await;
        worker.work(&world, 130).await;
        worker.end(&world, FINISHED).await;
        let give_back = async |lease| {
            let dispute = exchange
                .open_dispute(&rita, lease, 1, None, "slow", None)
                .await;
            let dispute = dispute.unwrap();
            let ruled = exchange.rule(&one, dispute.id, dispute.claimed, "so it was", None);
            ruled.await.unwrap();
            dispute.claimed.base()
        };
        let today = async || exchange.limits(&rita).await.unwrap().today;
        let spent = today().await;
        assert!(!spent.is_zero());
        give_back(first).await;
        assert_eq!(today().await, spent, "it was spent yesterday");
        let back = give_back(second).await;
        assert_eq!(today().await, io(spent.base() - back));
        in_order(&world).await;
    }
}
