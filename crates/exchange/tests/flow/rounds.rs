//! Rounds: what the market was asked is written down, anyone finds the same winners again, and nobody can alter it unseen.

use exchange::{Error, Exchange, Replayer};
use protocol::round::{BookPage, Occasion, ReplayCheck, ReplayStep, RoundView};
use protocol::state::{JobState, RunEnd};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

/// As somebody else does it: with what is published, through JSON.
async fn downloaded(exchange: &Exchange, number: u64) -> (RoundView, Vec<BookPage>) {
    let mut pages: Vec<BookPage> = Vec::new();
    let mut after = None;
    loop {
        let page = exchange.round_book(number, after.as_deref()).await.unwrap();
        let page: BookPage = serde_json::from_str(&serde_json::to_string(&page).unwrap()).unwrap();
        after.clone_from(&page.next);
        pages.push(page);
        if after.is_none() {
            break;
        }
    }
    (exchange.round(number).await.unwrap(), pages)
}

fn replayed(view: &RoundView, pages: &[BookPage]) -> Result<Vec<ReplayStep>, Error> {
    let mut replayer = Replayer::begin(view);
    for page in pages {
        replayer.add(page)?;
    }
    replayer.finish(view)
}

fn differing(steps: &[ReplayStep]) -> Vec<ReplayCheck> {
    let differing = steps.iter().filter(|step| !step.holds());
    differing.map(|step| step.what).collect()
}

/// All rounds that there are, each replayed by the server and by somebody else, and the chain between them.
pub async fn check_all(exchange: &Exchange) -> u64 {
    let mut before = None;
    let (mut count, mut newer): (u64, Option<RoundView>) = (0, None);
    loop {
        let page = exchange.rounds(before, 7).await.unwrap();
        for record in page.items {
            let number = record.round.number;
            let (view, steps) = exchange.replay(number).await.unwrap();
            assert_eq!(differing(&steps), [], "round {number}: {steps:?}");
            assert_eq!(view.record, record);
            let (view, pages) = downloaded(exchange, number).await;
            assert_eq!(replayed(&view, &pages).unwrap(), steps);
            if let Some(newer) = &newer {
                assert_eq!(newer.record.round.previous, record.hash);
                assert_eq!(newer.record.round.number, number + 1);
            }
            newer = Some(view);
            count += 1;
        }
        match page.next {
            Some(next) => before = Some(next.parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(newer.map_or(1, |first| first.record.round.number), 1);
    count
}

#[tokio::test]
async fn a_round_is_written_for_each_answer_that_somebody_hears() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut cheap = Worker::new(1, PRICE);
        let mut dear = Worker::new(2, PRICE + 1);
        cheap.join(&world, &otto).await;
        dear.join(&world, &otto).await;
        let newest = async |world: &World| {
            let page = world.exchange.rounds(None, 1).await.unwrap();
            page.items.into_iter().next().map(|record| record.round)
        };
        assert_eq!(newest(&world).await, None);

        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        let first = newest(&world).await.unwrap();
        assert_eq!(
            (first.number, first.occasion, first.offers),
            (1, Occasion::Submitted, 2)
        );
        assert_eq!(first.chosen[0].device, job.leases[0].device);
        assert_eq!(first.chosen[0].price, job.leases[0].price);
        assert_eq!(
            world
                .exchange
                .job(&rita, job.summary.id)
                .await
                .unwrap()
                .rounds,
            [1]
        );

        // A refusal that was heard, and a quote that commits to nothing.
        let proud = spec("[placement]\nfilter = 'reputation>=100'");
        assert!(matches!(
            world
                .exchange
                .submit(&rita, proud.clone(), None, None)
                .await,
            Err(Error::NoMatch(_))
        ));
        assert!(
            world
                .exchange
                .quote(Some(&rita), &spec(""), None)
                .await
                .is_ok()
        );
        let second = newest(&world).await.unwrap();
        assert_eq!((second.number, second.chosen.len()), (2, 0));
        assert_eq!(
            second.previous,
            world.exchange.round(1).await.unwrap().record.hash
        );

        // A job that waits: one round when it came, none while it is looked at, one when its turn comes.
        let second_job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        let waiting = spec("[limits]\nwait_seconds = 3600");
        let waits = world
            .exchange
            .submit(&rita, waiting, None, None)
            .await
            .unwrap();
        assert_eq!(waits.summary.state, JobState::Matching);
        cheap.start(&world).await;
        dear.start(&world).await;
        for _ in 0..20 {
            world.pass(250);
            cheap.beat(&world).await;
            dear.beat(&world).await;
            world.tick().await;
        }
        assert_eq!(newest(&world).await.unwrap().number, 4);
        dear.end(&world, RunEnd::Exited { code: 0 }).await;
        world.tick().await;
        let fifth = newest(&world).await.unwrap();
        assert_eq!((fifth.number, fifth.occasion), (5, Occasion::Waiting));
        assert_eq!(
            world
                .exchange
                .job(&rita, waits.summary.id)
                .await
                .unwrap()
                .rounds,
            [4, 5]
        );
        assert_eq!(second_job.rounds, [3]);

        // A lost node: one round that finds nothing, however long it waits.
        dear.read();
        cheap.disconnect(&world).await;
        for _ in 0..60 {
            world.pass(250);
            dear.beat(&world).await;
            world.tick().await;
        }
        let lost = newest(&world).await.unwrap();
        assert_eq!(
            (lost.number, lost.occasion, lost.chosen.len()),
            (6, Occasion::Restarted, 0)
        );

        world.crash().await;
        dear.session = None;
        dear.connect(&world, None).await.unwrap();
        dear.beat(&world).await;
        world.tick().await;
        assert!(
            world
                .exchange
                .submit(&rita, proud, None, None)
                .await
                .is_err()
        );
        assert_eq!(check_all(&world.exchange).await, 7, "{backend}");

        // Nothing of it tells who asked.
        let published = serde_json::to_string(&downloaded(&world.exchange, 5).await).unwrap();
        for secret in [
            rita.account.to_string(),
            waits.summary.id.to_string(),
            "job_".into(),
        ] {
            assert!(!published.contains(&secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn what_is_altered_is_seen() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut workers: Vec<Worker> = (1..=4)
        .map(|n| Worker::new(n, PRICE + i64::from(n)))
        .collect();
    world.tick().await;
    for worker in &mut workers {
        worker.join(&world, &otto).await;
    }
    for _ in 0..3 {
        world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
    }
    let exchange = &world.exchange;
    let (view, pages) = downloaded(exchange, 3).await;
    assert_eq!(differing(&replayed(&view, &pages).unwrap()), []);
    assert!(view.changes > 0);

    // The winner was somebody else's.
    let mut other = view.clone();
    other.record.round.chosen[0].device =
        exchange.round(1).await.unwrap().record.round.chosen[0].device;
    assert_eq!(
        differing(&replayed(&other, &pages).unwrap()),
        [ReplayCheck::Hash, ReplayCheck::Winners]
    );
    // A round before it was rewritten.
    let mut rewritten = view.clone();
    rewritten.before = Some("1".repeat(64));
    assert_eq!(
        differing(&replayed(&rewritten, &pages).unwrap()),
        [ReplayCheck::Previous]
    );
    // An offer or a change of the book.
    let mut dearer = pages.clone();
    let mut changed = false;
    for change in dearer.iter_mut().flat_map(|page| &mut page.changes) {
        if let protocol::round::BookChange::Put(offer) = &mut change.change {
            offer.reputation += 1;
            changed = true;
        }
    }
    assert!(changed);
    assert!(differing(&replayed(&view, &dearer).unwrap()).contains(&ReplayCheck::Root));
    // A change left out.
    let mut shorter = pages;
    let last = shorter.last_mut().unwrap();
    last.changes.remove(0);
    assert!(matches!(replayed(&view, &shorter), Err(Error::Conflict(_))));
    assert!(exchange.round(99).await.is_err());
    assert!(exchange.round_book(3, Some("page:x")).await.is_err());
}

#[tokio::test]
async fn old_rounds_go_and_those_that_stay_can_be_replayed() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let refused = spec("[placement]\nfilter = 'reputation>=100'");
        for day in 0..10 {
            if day % 3 == 0 {
                world.crash().await;
                worker.session = None;
            }
            worker.connect(&world, None).await.unwrap();
            worker.beat(&world).await;
            world.tick().await;
            assert!(
                world
                    .exchange
                    .submit(&rita, refused.clone(), None, None)
                    .await
                    .is_err()
            );
            world.pass(86_400_000);
            world.tick().await;
        }
        world.exchange.prune().await.unwrap();
        let kept = world.exchange.rounds(None, 100).await.unwrap().items;
        let numbers: Vec<u64> = kept.iter().map(|record| record.round.number).collect();
        assert_eq!(numbers, [10, 9, 8, 7, 6, 5, 4], "{backend}: seven days");
        for number in numbers {
            let (view, steps) = world.exchange.replay(number).await.unwrap();
            assert_eq!(differing(&steps), []);
            assert_eq!(view.before.is_none(), number == 4);
        }
        // Long after: the newest stays, so that the chain goes on.
        world.pass(30 * 86_400_000);
        world.exchange.prune().await.unwrap();
        world.crash().await;
        assert!(
            world
                .exchange
                .submit(&rita, refused, None, None)
                .await
                .is_err()
        );
        let kept = world.exchange.rounds(None, 100).await.unwrap().items;
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].round.previous, kept[1].hash);
        assert_eq!(differing(&world.exchange.replay(11).await.unwrap().1), []);
    }
}

/// A market that changes all day and is asked nothing: the last round must not keep each change since.
#[tokio::test]
async fn the_book_is_bounded_though_no_round_comes() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let refused = spec("[placement]\nfilter = 'reputation>=100'");
        let refused = world.exchange.submit(&rita, refused, None, None).await;
        assert!(refused.is_err());
        worker.disconnect(&world).await;
        worker.connect(&world, None).await.unwrap();
        world.tick().await;
        let store = store::Store::open(&world.settings.database_url)
            .await
            .unwrap();
        let last = store.book_steps(0, u64::MAX >> 1, 1_000).await.unwrap();
        let last = last.last().unwrap().step;
        let mut tx = store.begin().await.unwrap();
        tx.insert_snapshot(&protocol::round::Snapshot {
            step: last,
            at: world.exchange.now(),
            offers: 0,
            root: String::new(),
            pages: 0,
        })
        .await
        .unwrap();
        let forget = |up_to_step| store::Forget {
            before: kernel::Timestamp::from_millis(0),
            up_to_round: 0,
            up_to_step,
        };
        tx.forget_rounds(&forget(0)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(
            world.exchange.replay(1).await.is_ok(),
            "its book is still there"
        );
        let mut tx = store.begin().await.unwrap();
        tx.forget_rounds(&forget(last)).await.unwrap();
        tx.commit().await.unwrap();
        let left = store.book_steps(0, u64::MAX >> 1, 1_000).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        let kept = world.exchange.rounds(None, 10).await.unwrap().items;
        assert_eq!(kept.len(), 1, "the chain goes on");
        assert!(world.exchange.replay(1).await.is_err(), "without its book");
    }
}

/// Pages are written before their snapshot. A process that dies in between leaves some at the step at which the next begins.
#[tokio::test]
async fn an_unfinished_snapshot_keeps_no_record_from_being_opened() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let refused = spec("[placement]\nfilter = 'reputation>=100'");
        let answer = world.exchange.submit(&rita, refused.clone(), None, None);
        assert!(answer.await.is_err());
        let store = store::Store::open(&world.settings.database_url)
            .await
            .unwrap();
        let mut tx = store.begin().await.unwrap();
        let next = tx.round_head().await.unwrap().step + 1;
        let round = world.exchange.round(1).await.unwrap();
        let old = store.book_page(round.snapshot.step, 0).await.unwrap();
        assert_eq!(old.len(), 1);
        // More pages than the book that follows has, and others.
        for page in 0..3 {
            tx.insert_book_page(next, page, &[]).await.unwrap();
        }
        tx.commit().await.unwrap();
        world.crash().await;
        worker.session = None;
        world.exchange.open_record().await.unwrap();
        worker.connect(&world, None).await.unwrap();
        world.tick().await;
        let answer = world.exchange.submit(&rita, refused, None, None);
        assert!(answer.await.is_err());
        let view = world.exchange.round(2).await.unwrap();
        assert_eq!((view.snapshot.step, view.snapshot.pages), (next, 1));
        let device = old[0].device;
        let found = store.offer_in_snapshot(next, device).await.unwrap();
        assert_eq!(found.map(|offer| offer.device), Some(device), "{backend}");
        assert_eq!(check_all(&world.exchange).await, 2);
    }
}

#[tokio::test]
async fn an_owner_is_told_what_a_device_missed_and_why() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut cheap = Worker::new(1, PRICE);
        let mut dear = Worker::new(2, PRICE + 500);
        world.tick().await;
        cheap.join(&world, &otto).await;
        world.pass(1_000);
        dear.join(&world, &otto).await;
        let nodes = world.exchange.nodes(&otto).await.unwrap();
        let device = |worker: &Worker| {
            let own = nodes.iter().find(|node| node.name == worker.name);
            own.unwrap().devices[0].id
        };
        let (winner, loser) = (device(&cheap), device(&dear));
        let refused = spec("[placement]\nfilter = 'reputation>=100'");
        let exchange = world.exchange.clone();
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        assert!(
            exchange
                .submit(&rita, refused.clone(), None, None)
                .await
                .is_err()
        );

        let missed = exchange.missed(&otto, loser).await.unwrap();
        assert_eq!((missed.rounds, missed.fitted, missed.won), (2, 1, 0));
        let group = |field: &str| {
            let mut groups = missed.missed.iter();
            groups.find(|group| group.field == field).cloned()
        };
        let price = group("price").unwrap();
        assert!(price.outranked && price.rounds == 1 && price.alone == 1);
        assert_eq!(price.examples[0].number, 1);
        // Same reputation, joined later: the winner's price is not enough, one unit less is.
        assert_eq!(
            price.examples[0].price_to_win.unwrap().per_second().base(),
            PRICE - 1
        );
        let reputation = group("reputation").unwrap();
        assert_eq!(
            (reputation.rounds, reputation.alone, reputation.outranked),
            (1, 1, false)
        );
        assert_eq!(reputation.examples[0].asked, "100 or more");

        let winners = exchange.missed(&otto, winner).await.unwrap();
        assert_eq!((winners.won, winners.rounds), (1, 2));
        assert!(winners.missed.iter().any(|group| group.field == "hired"));

        // Paused, then after a crash: each at its time.
        exchange.set_paused(&otto, loser, true).await.unwrap();
        assert!(exchange.submit(&rita, spec(""), None, None).await.is_err());
        world.crash().await;
        assert!(
            world
                .exchange
                .submit(&rita, spec(""), None, None)
                .await
                .is_err()
        );
        let missed = world.exchange.missed(&otto, loser).await.unwrap();
        let fields = |missed: &protocol::round::MissedView| {
            let groups = missed.missed.iter();
            groups
                .map(|group| (group.field.clone(), group.rounds))
                .collect::<Vec<_>>()
        };
        assert_eq!(missed.rounds, 4);
        for field in ["paused", "offline", "price", "reputation"] {
            assert!(
                fields(&missed).contains(&(field.to_owned(), 1)),
                "{:?}",
                fields(&missed)
            );
        }
        world.pass(86_400_001);
        let quiet = world.exchange.missed(&otto, loser).await.unwrap();
        assert_eq!((quiet.rounds, quiet.missed.len()), (0, 0));
        assert!(
            world.exchange.missed(&rita, loser).await.is_err(),
            "the owner alone"
        );
    }
}

#[tokio::test]
async fn a_job_at_a_held_quote_is_a_round_where_the_market_says_the_same() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let (mut one, mut two) = (Worker::new(1, PRICE), Worker::new(2, PRICE * 2));
    one.join(&world, &otto).await;
    two.join(&world, &otto).await;
    let exchange = &world.exchange;
    let quote = exchange.hold_quote(Some(&rita), &spec(""), None).await;
    let quote = quote.unwrap().id;
    let job = exchange
        .submit_quoted(&rita, spec(""), None, quote, None)
        .await;
    let job = job.unwrap().summary.id;
    let first = exchange.rounds(None, 1).await.unwrap().items;
    let [record] = &first[..] else {
        panic!("one round for {job}: {first:?}")
    };
    assert_eq!(record.round.chosen.len(), 1);
    assert_eq!(check_all(exchange).await, 1);
}
