//! What an account is told: with its cause or not at all, once, and to nobody else.

use exchange::{Actor, Error};
use kernel::{Amount, Seconds};
use protocol::live::Topic;
use protocol::money::Limits;
use protocol::notice::{Event, Notice, NotificationSettings};
use protocol::state::{JobState, RunEnd};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

async fn told(world: &World, actor: &Actor) -> Vec<Notice> {
    let page = world.exchange.notices(actor, None, 200).await.unwrap();
    page.items
        .into_iter()
        .rev()
        .map(|view| view.notice)
        .collect()
}

async fn events(world: &World, actor: &Actor) -> Vec<Event> {
    told(world, actor).await.iter().map(Notice::event).collect()
}

#[tokio::test]
async fn a_job_tells_of_its_start_and_its_end_and_survives_a_crash() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let mut watcher = world
            .exchange
            .live()
            .subscribe(Topic::Account(rita.account), None);
        let submit = world.exchange.submit(&rita, spec(""), None, None);
        let job = submit.await.unwrap().summary;
        assert!(told(&world, &rita).await.is_empty());
        worker.start(&world).await;
        worker.work(&world, 5).await;
        worker.end(&world, RunEnd::Exited { code: 3 }).await;
        world.tick().await;

        let all = told(&world, &rita).await;
        let started = Notice::JobStarted {
            job: job.id,
            name: "test".into(),
            restarts: 0,
        };
        assert_eq!(all[0], started);
        let Notice::JobEnded { state, cost, .. } = &all[1] else {
            panic!("{all:?}");
        };
        // 5 s × 25,000 and 0.25 % of it.
        assert_eq!((*state, cost.base()), (JobState::Failed, 125_313));
        assert_eq!(all.len(), 2);
        let mut unread = None;
        while let Ok(frame) = watcher.frames.try_recv() {
            let frame: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
            unread = frame["frame"]["data"]["notices"]["unread"]
                .as_u64()
                .or(unread);
        }
        assert_eq!(unread, Some(1), "that it began is listed, but calls nobody");

        world.crash().await;
        assert_eq!(told(&world, &rita).await, all);
        assert!(told(&world, &otto).await.is_empty());
        let exchange = &world.exchange;
        assert_eq!(exchange.unread_notices(&rita).await.unwrap(), 1);
        let page = exchange.notices(&rita, None, 1).await.unwrap();
        let newest = page.items[0].id;
        assert_eq!(page.next, Some(newest.to_string()));
        let older = exchange.notices(&rita, Some(newest), 5).await.unwrap();
        assert_eq!((older.items.len(), older.next), (1, None));
        let first = older.items[0].id;
        assert_eq!(exchange.read_notices(&otto, None).await.unwrap(), 0);
        assert_eq!(exchange.read_notices(&rita, Some(first)).await.unwrap(), 1);
        assert_eq!(exchange.read_notices(&rita, Some(newest)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn the_end_of_the_money_is_told_before_and_when_it_comes() {
    for backend in backends() {
        let world = World::new(backend).await;
        // 75 s' worth: enough to start, and low from the start.
        let (rita, otto) = world.people("0.01879688").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let submit = world.exchange.submit(&rita, spec(""), None, None);
        submit.await.unwrap();
        worker.start(&world).await;
        worker.work(&world, 75).await;
        worker.end(&world, RunEnd::OutOfFunds).await;
        let all = events(&world, &rita).await;
        let of = |event| all.iter().filter(|e| **e == event).count();
        assert_eq!(of(Event::JobFundsLow), 1, "{all:?}");
        assert_eq!(of(Event::JobOutOfFunds), 1, "{all:?}");
        assert_eq!(of(Event::JobEnded), 1, "{all:?}");
        let notices = told(&world, &rita).await;
        let cost = notices.iter().find_map(|notice| match notice {
            Notice::JobOutOfFunds { cost, .. } => Some(cost.base()),
            _ => None,
        });
        assert_eq!(cost, Some(1_879_688));
    }
}

#[tokio::test]
async fn an_account_says_how_it_wants_to_be_told() {
    for backend in backends() {
        let world = World::with(backend, |settings| settings.email = true).await;
        let (rita, otto) = world.people("1").await;
        let exchange = &world.exchange;
        let view = exchange.notification_settings(&rita).await.unwrap();
        assert_eq!(view.settings, NotificationSettings::default());
        assert!(view.email_available && !view.settings.email);
        assert_eq!(view.address, "rita@example.org");
        let wish = NotificationSettings {
            email: true,
            runway_seconds: vec![Seconds::new(60), Seconds::HOUR],
            ..NotificationSettings::default()
        };
        let set = exchange
            .set_notification_settings(&rita, wish)
            .await
            .unwrap();
        let sorted = [Seconds::HOUR, Seconds::new(60)];
        assert_eq!(set.settings.runway_seconds, sorted);
        let kept = exchange.notification_settings(&rita).await.unwrap();
        assert_eq!(kept, set);
        let other = exchange.notification_settings(&otto).await.unwrap();
        assert_eq!(other.settings, NotificationSettings::default());
        let wrong = NotificationSettings {
            runway_seconds: vec![Seconds::new(5)],
            ..NotificationSettings::default()
        };
        let refused = exchange.set_notification_settings(&rita, wrong).await;
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }
}

async fn warnings(world: &World, actor: &Actor) -> Vec<(u64, i64)> {
    let now = world.exchange.now();
    let notices = told(world, actor).await;
    let warned = notices.into_iter().filter_map(|notice| match notice {
        Notice::BalanceRunway {
            threshold_seconds,
            runway_seconds,
            ends_at,
            ..
        } => {
            let left = i64::try_from(runway_seconds.get()).unwrap();
            assert!(left < i64::try_from(threshold_seconds.get()).unwrap());
            let passed = ends_at.millis_since(now) / 1_000;
            assert!((0..=left).contains(&passed), "{passed} of {left}");
            Some((threshold_seconds.get(), left))
        }
        _ => None,
    });
    warned.collect()
}

#[tokio::test]
async fn what_is_kept_or_beyond_a_budget_makes_nothing_last() {
    let all = Amount::parse_io("10").unwrap();
    let spend = Amount::parse_io("0.2").unwrap();
    let keep = Limits {
        keep: Some(all.minus_or_zero(spend)),
        ..Limits::default()
    };
    let budget = Limits {
        per_day: Some(spend),
        ..Limits::default()
    };
    for backend in backends() {
        for limits in [keep, budget] {
            let world = World::new(backend).await;
            let (rita, otto) = world.people("10").await;
            let mut worker = Worker::new(1, PRICE);
            worker.join(&world, &otto).await;
            let submit = world.exchange.submit(&rita, spec(""), None, None);
            submit.await.unwrap();
            worker.start(&world).await;
            worker.work(&world, 5).await;
            assert!(warnings(&world, &rita).await.is_empty(), "11 hours' worth");
            // Said in mid-run, it is looked at at once.
            world.exchange.set_limits(&rita, limits).await.unwrap();
            worker.work(&world, 5).await;
            let told = warnings(&world, &rita).await;
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].0, 3_600);
        }
    }
}

#[tokio::test]
async fn a_balance_that_runs_out_is_told_once_a_threshold() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        // 798 s' worth.
        let (rita, otto) = world.people("0.2").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let submit = world.exchange.submit(&rita, spec(""), None, None);
        submit.await.unwrap();
        worker.start(&world).await;
        worker.work(&world, 5).await;
        world.tick().await;
        let first = warnings(&world, &rita).await;
        assert_eq!(first.len(), 1, "two at once are one: {first:?}");
        assert_eq!(first[0].0, 3_600);
        worker.work(&world, 150).await;
        assert_eq!(warnings(&world, &rita).await.len(), 1);
        worker.work(&world, 60).await;
        let second = warnings(&world, &rita).await;
        assert_eq!(second.len(), 2);
        let (threshold, left) = second[1];
        assert_eq!(threshold, 600);
        assert!((588..600).contains(&left), "at once: {left}");

        // A threshold of one's own is looked at when it is chosen, and a restart forgets nothing.
        let mine = NotificationSettings {
            runway_seconds: vec![Seconds::new(590), Seconds::new(60)],
            ..NotificationSettings::default()
        };
        let set = world.exchange.set_notification_settings(&rita, mine);
        set.await.unwrap();
        worker.work(&world, 5).await;
        let third = warnings(&world, &rita).await;
        assert_eq!(third.len(), 3);
        assert_eq!(third[2].0, 590);
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        worker.work(&world, 10).await;
        assert_eq!(warnings(&world, &rita).await.len(), 3);
        // The owner spends nothing.
        assert!(warnings(&world, &otto).await.is_empty());
    }
}

/// A short job, such as the check of a slice, is over before the balance is, and buries nothing else that an account is told.
#[tokio::test]
async fn work_that_ends_before_the_money_does_warns_of_nothing() {
    for backend in backends() {
        let world = World::new(backend).await;
        // 798 s' worth.
        let (rita, otto) = world.people("0.2").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let short = spec("[limits]\nduration_seconds = 700");
        let submit = world.exchange.submit(&rita, short, None, None);
        submit.await.unwrap();
        worker.start(&world).await;
        worker.work(&world, 100).await;
        assert!(warnings(&world, &rita).await.is_empty());
        // Together they cost twice as much, and the second would go on.
        let mut second = Worker::new(2, PRICE);
        second.join(&world, &otto).await;
        let submit = world.exchange.submit(&rita, spec(""), None, None);
        submit.await.unwrap();
        second.start(&world).await;
        for _ in 0..3 {
            second.work(&world, 2).await;
            worker.beat(&world).await;
        }
        let told = warnings(&world, &rita).await;
        assert_eq!(told.len(), 1, "{told:?}");
        let (threshold, left) = told[0];
        assert_eq!(threshold, 600);
        assert!((330..=360).contains(&left), "{left}");
    }
}
