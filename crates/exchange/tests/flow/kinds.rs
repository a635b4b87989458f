//! Kinds of rent and what owners set: spot and reserved prices, prices that follow the index, hours, the price check.

use exchange::{DeviceChange, Error};
use kernel::{Amount, DeviceId, PricePerSecond, Seconds};
use protocol::state::{DeviceState, JobState, RunEnd};
use protocol::view::{Kind, OfferFilter, RulesChange};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 20_000;

pub fn price(base: i64) -> PricePerSecond {
    PricePerSecond::from_amount(Amount::try_from_base(base).unwrap())
}

pub fn rules(json: serde_json::Value) -> DeviceChange {
    DeviceChange {
        rules: serde_json::from_value::<RulesChange>(json).unwrap(),
        ..DeviceChange::default()
    }
}

pub fn asking(filter: &str) -> protocol::JobSpec {
    let mut spec = spec("");
    spec.placement.filter = Some(filter.into());
    spec
}

/// The device of the one machine with this name.
pub async fn device(world: &World, owner: &exchange::Actor, name: &str) -> DeviceId {
    let nodes = world.exchange.nodes(owner).await.unwrap();
    let node = nodes.iter().find(|node| node.name == name).unwrap();
    node.devices[0].id
}

#[tokio::test]
async fn each_kind_has_its_own_prices_and_one_slot_has_one_winner() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut cheap = Worker::new(1, PRICE);
        cheap.join(&world, &otto).await;
        let mut dear = Worker::new(2, PRICE * 2);
        dear.join(&world, &otto).await;
        let (one, two) = (
            device(&world, &otto, "worker-1").await,
            device(&world, &otto, "worker-2").await,
        );
        let exchange = &world.exchange;
        let none = exchange
            .quote(Some(&rita), &asking("kind=spot"), None)
            .await;
        assert!(matches!(none, Err(Error::NoMatch(_))), "nobody offers spot");
        // The dear machine is the cheaper one as spot, and the only one for a term.
        let spot = |text: &str| rules(serde_json::json!({ "spot_per_hour": text }));
        exchange
            .change_device(&otto, one, spot("0.54"))
            .await
            .unwrap();
        let second = rules(serde_json::json!({
            "spot_per_hour": "0.36",
            "reserved": { "per_hour": "0.45", "min_term": 7_200 },
        }));
        exchange.change_device(&otto, two, second).await.unwrap();
        let listed = |filter: OfferFilter| {
            let offers = exchange.offers(&filter).unwrap().offers;
            let row = |offer: &protocol::view::OfferView| (offer.device, offer.price);
            offers.iter().map(row).collect::<Vec<_>>()
        };
        let query = |q: &str| OfferFilter {
            q: Some(q.into()),
            ..OfferFilter::default()
        };
        let kind = |kind| OfferFilter {
            kind: Some(kind),
            ..OfferFilter::default()
        };
        assert_eq!(
            listed(OfferFilter::default()),
            [(one, price(PRICE)), (two, price(PRICE * 2))]
        );
        let as_spot = [(two, price(10_000)), (one, price(15_000))];
        assert_eq!(listed(query("kind=spot")), as_spot);
        assert_eq!(listed(kind(Kind::Spot)), as_spot);
        assert_eq!(listed(kind(Kind::Reserved)), [(two, price(12_500))]);
        let offer = &exchange.offers(&OfferFilter::default()).unwrap().offers[1];
        assert_eq!(
            (offer.spot_per_hour, offer.reserved_min_term),
            (
                Some(Amount::parse_io("0.3609").unwrap()),
                Some(Seconds::new(7_200))
            ),
            "all-in, a quarter percent more"
        );

        // A term is at least what the owner says.
        let mut term = asking("kind=reserved");
        let short = exchange.quote(Some(&rita), &term, None).await;
        let Err(Error::NoMatch(why)) = short else {
            panic!("an hour is too short a term");
        };
        assert_eq!(why.fields()[0].field, "limits.duration_seconds");
        term.limits.duration_seconds = 7_200;
        let quote = exchange.quote(Some(&rita), &term, None).await.unwrap();
        assert_eq!(
            (quote.offer.kind, quote.offer.price),
            (Kind::Reserved, price(12_500))
        );

        let job = exchange
            .submit(&rita, asking("kind=spot"), None, None)
            .await
            .unwrap();
        let lease = &job.leases[0];
        assert_eq!(
            (lease.device, lease.kind, lease.price),
            (two, Kind::Spot, price(10_000))
        );
        // Taken in all books, after a restart too: only a notice to the spot job makes room.
        let quote = exchange.quote(Some(&rita), &term, None).await.unwrap();
        assert!(quote.makes_room.is_some());
        dear.start(&world).await;
        world.crash().await;
        for worker in [&mut cheap, &mut dear] {
            worker.connect(&world, None).await.unwrap();
        }
        let exchange = &world.exchange;
        let quote = exchange.quote(Some(&rita), &term, None).await.unwrap();
        assert!(quote.makes_room.is_some());
        dear.work(&world, 3).await;
        dear.end(&world, RunEnd::Exited { code: 0 }).await;
        let exchange = &world.exchange;
        let job = exchange.submit(&rita, term, None, None).await.unwrap();
        assert_eq!(job.leases[0].kind, Kind::Reserved);
        assert_eq!(
            exchange.prices().await.unwrap()[0].trades,
            0,
            "what a spot job paid is no price of an on-demand one"
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn an_owner_changes_what_is_given_and_nothing_else() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let id = device(&world, &otto, "worker-1").await;
    let exchange = &world.exchange;
    let first = rules(serde_json::json!({ "max_duration": 600, "spot_per_hour": "0.4" }));
    let refused = exchange.change_device(&rita, id, first.clone()).await;
    assert!(matches!(refused, Err(Error::NotFound(_))));
    exchange.change_device(&otto, id, first).await.unwrap();
    let both = DeviceChange {
        paused: Some(true),
        ..rules(serde_json::json!({ "min_duration": 60 }))
    };
    let node = exchange.change_device(&otto, id, both).await.unwrap();
    let set = &node.devices[0];
    assert_eq!(set.state, DeviceState::Paused);
    assert_eq!(
        (set.rules.min_duration, set.rules.max_duration),
        (Seconds::new(60), Some(Seconds::new(600)))
    );
    // 0.4 IO an hour are 11,111.1 base units a second: what is stored is told.
    assert_eq!(set.rules.spot, Some(price(11_111)));
    // All or nothing: the price would do, the rules would not.
    let wrong = DeviceChange {
        price: Some(price(11_110)),
        paused: Some(false),
        ..DeviceChange::default()
    };
    let Err(Error::Invalid(fields)) = exchange.change_device(&otto, id, wrong).await else {
        panic!("spot would be dearer than on demand");
    };
    assert_eq!(fields[0].field, "rules.spot_per_hour");
    let none = rules(serde_json::json!({ "max_duration": null, "spot_per_hour": null }));
    let node = exchange.change_device(&otto, id, none).await.unwrap();
    let set = &node.devices[0];
    assert_eq!((set.rules.max_duration, set.rules.spot), (None, None));
    assert_eq!(
        (set.state, set.price),
        (DeviceState::Paused, price(PRICE)),
        "nothing of what was refused was done"
    );
}

#[tokio::test]
async fn a_price_follows_the_index_within_its_bounds() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let olga = world.account("olga", "0").await;
        let mut follows = Worker::new(1, PRICE);
        follows.join(&world, &otto).await;
        let mut leads = Worker::new(2, PRICE * 2);
        leads.join(&world, &olga).await;
        let (mine, theirs) = (
            device(&world, &otto, "worker-1").await,
            device(&world, &olga, "worker-2").await,
        );
        let exchange = &world.exchange;
        let auto = rules(serde_json::json!({
            "auto": { "percent": 95, "floor_per_hour": "0.36", "ceiling_per_hour": "1.08" },
            "spot_per_hour": "0.72",
        }));
        exchange.change_device(&otto, mine, auto).await.unwrap();
        let job = exchange.submit(&rita, spec(""), None, None).await.unwrap();
        let asked = || exchange.offer(mine).unwrap().price;
        let note = async || {
            world.pass(300_000);
            exchange.prune().await.unwrap();
        };
        note().await;
        assert_eq!(asked(), price(30_000), "95 % of 40,000, at most 30,000");
        let spot = exchange.offer(mine).unwrap().spot_per_hour.unwrap();
        assert_eq!(spot, Amount::parse_io("0.7218").unwrap());
        exchange
            .set_price(&olga, theirs, price(20_000))
            .await
            .unwrap();
        note().await;
        assert_eq!(asked(), price(19_000));
        assert_eq!(
            exchange.offer(mine).unwrap().spot_per_hour,
            Some(Amount::parse_io("0.68571").unwrap()),
            "spot is never dearer than on demand"
        );
        exchange.set_price(&olga, theirs, price(100)).await.unwrap();
        note().await;
        assert_eq!(asked(), price(10_000), "not below the floor");
        let view = exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            view.leases[0].price,
            price(PRICE),
            "a lease that runs keeps its price"
        );
        // Nobody is left who sets a price: it does not follow itself to the floor.
        exchange
            .set_price(&olga, theirs, price(20_000))
            .await
            .unwrap();
        note().await;
        assert_eq!(asked(), price(19_000));
        exchange.set_paused(&olga, theirs, true).await.unwrap();
        for _ in 0..3 {
            note().await;
        }
        assert_eq!(asked(), price(19_000));
    }
}

/// The test's clock begins on a Wednesday at 11:06:40 UTC.
#[tokio::test]
async fn a_device_takes_jobs_that_end_before_its_hours_do() {
    let mut world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let id = device(&world, &otto, "worker-1").await;
    // 13:00 to 15:00 at UTC+1, so until 14:00 UTC, in two windows that touch; and Thursday over midnight.
    let hours = rules(
        serde_json::json!({ "schedule": { "utc_offset_minutes": 60, "windows": [
        { "day": "wed", "from": 780, "to": 840 },
        { "day": "wed", "from": 840, "to": 900 },
        { "day": "thu", "from": 1_380, "to": 60 },
    ] } }),
    );
    let node = world
        .exchange
        .change_device(&otto, id, hours)
        .await
        .unwrap();
    let noon = "2026-11-18T12:00:00Z".parse().unwrap();
    assert_eq!(
        (node.devices[0].state, node.devices[0].hours_until),
        (DeviceState::Closed, Some(noon)),
        "free again at noon"
    );
    let hours = |hours: u64| {
        let mut spec = spec("");
        spec.limits.duration_seconds = hours * 3_600;
        spec
    };
    let placed = |world: &World, spec| {
        let (exchange, rita) = (world.exchange.clone(), rita.clone());
        async move { exchange.submit(&rita, spec, None, None).await }
    };
    assert!(placed(&world, hours(1)).await.is_err());
    world.pass(noon.millis_since(world.exchange.now()));
    worker.beat(&world).await;
    world.tick().await;
    let Err(Error::NoMatch(why)) = placed(&world, hours(2)).await else {
        panic!("it would end after the hours do");
    };
    assert_eq!(why.fields()[0].field, "limits.duration_seconds");
    let job = placed(&world, hours(1)).await.unwrap();
    assert_eq!(job.summary.state, JobState::Starting);
    worker.start(&world).await;
    worker.end(&world, RunEnd::Exited { code: 0 }).await;
    // An hour later there is less than an hour left; a restart knows it, too.
    world.pass(3_600_000);
    world.crash().await;
    worker.connect(&world, None).await.unwrap();
    world.tick().await;
    assert!(placed(&world, hours(1)).await.is_err());
    let mut short = spec("");
    short.limits.duration_seconds = 3_500;
    placed(&world, short).await.unwrap();
    worker.start(&world).await;
    worker.end(&world, RunEnd::Exited { code: 0 }).await;
    world.pass(3_600_000);
    worker.beat(&world).await;
    world.tick().await;
    let offer = world.exchange.offer(id).unwrap();
    assert_eq!(offer.state, DeviceState::Closed);
    let always = rules(serde_json::json!({ "schedule": null }));
    world
        .exchange
        .change_device(&otto, id, always)
        .await
        .unwrap();
    placed(&world, hours(24)).await.unwrap();
}

#[tokio::test]
async fn a_price_is_checked_before_it_is_set() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let olga = world.account("olga", "0").await;
        let mut mine = Worker::new(1, PRICE * 3);
        mine.join(&world, &otto).await;
        let mut theirs = Worker::new(2, PRICE);
        theirs.join(&world, &olga).await;
        let mut dear = Worker::new(3, PRICE * 2);
        dear.join(&world, &olga).await;
        let id = device(&world, &otto, "worker-1").await;
        let exchange = &world.exchange;
        let check = async |base: i64| exchange.price_check(&otto, id, price(base)).await.unwrap();
        assert!(matches!(
            exchange.price_check(&olga, id, price(1)).await,
            Err(Error::NotFound(_))
        ));
        let first = check(PRICE).await;
        assert_eq!(
            (first.open.rank, first.open.of),
            (2, 3),
            "of equal price the one that is longer here"
        );
        assert_eq!((first.fill.per_mille, first.income_per_day), (None, None));
        // Six hours of work in two days, in six leases, on the cheapest one.
        for _ in 0..6 {
            exchange.submit(&rita, spec(""), None, None).await.unwrap();
            theirs.read();
            let (lease, epoch) = theirs.start(&world).await;
            world.pass(3_600_000);
            for run in &mut theirs.runs {
                run.seconds = 3_600.min(run.funded);
            }
            for worker in [&mut mine, &mut dear, &mut theirs] {
                worker.beat(&world).await;
            }
            _ = (lease, epoch);
            theirs.end(&world, RunEnd::Exited { code: 0 }).await;
        }
        world.pass(42 * 3_600_000);
        for worker in [&mut mine, &mut dear, &mut theirs] {
            worker.beat(&world).await;
        }
        let second = check(PRICE).await;
        assert_eq!((second.fill.leases, second.fill.devices), (6, 2));
        assert_eq!(second.fill.device_hours, 96);
        let fill = second.fill.per_mille.unwrap();
        assert_eq!(u64::from(fill), second.fill.hired_hours * 1_000 / 96);
        let income = second.income_per_day.unwrap().base();
        let whole = PRICE * i64::from(fill) * 86_400 / 1_000;
        assert!(
            (whole * 99 / 100..whole).contains(&income),
            "less the owner's fee"
        );
        assert_eq!(second.above_fair_per_mille, Some(0));
        let third = check(PRICE / 2).await;
        assert_eq!((third.open.rank, third.standing.rank), (1, 1));
        assert_eq!(third.above_fair_per_mille, Some(-500));
        assert_eq!(third.fill.per_mille, None, "too few leases so cheap");
    }
}
