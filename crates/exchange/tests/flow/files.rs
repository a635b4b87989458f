//! What is stored for people: bundles, artefacts, samples; and what is refused so that it stays little.

use exchange::Error;
use kernel::{Amount, Seconds};
use protocol::problem::Code;
use protocol::state::RunEnd;
use protocol::worker::{FromWorker, Metric, Sample};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const DAY_MS: i64 = 86_400_000;

/// So many blocks, the first of which is the header of a file with this name.
fn tar(name: &str, blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0; blocks * 512];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().copied().map(u32::from).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

#[tokio::test]
async fn a_bundle_is_a_tar() {
    let world = World::new("sqlite").await;
    let (rita, _) = world.people("10").await;
    let mut wrong = tar("a", 2);
    wrong[3] = 1;
    let zip = [&b"PK\x03\x04"[..], &[0; 2_000]].concat();
    for body in [b"hi".to_vec(), vec![0; 511], wrong, zip] {
        let refused = world.exchange.put_bundle(&rita, &body[..]).await;
        assert_eq!(refused.unwrap_err().problem().fields[0].field, "body");
    }
    for body in [tar("a", 1), vec![0; 1_024]] {
        world.exchange.put_bundle(&rita, &body[..]).await.unwrap();
    }
    let stored = world.exchange.settings().data_dir.join("bundles");
    assert_eq!(std::fs::read_dir(stored).unwrap().count(), 2);
}

#[tokio::test]
async fn an_account_stores_no_more_bundles_than_its_quota() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.bundle_quota_bytes = 5 * 512;
            settings.bundle_files_max = 3;
        })
        .await;
        let (rita, otto) = world.people("10").await;
        let put = async |who, name: &str, blocks| {
            world.exchange.put_bundle(who, &tar(name, blocks)[..]).await
        };
        let code = |result: Result<_, Error>| result.map(drop).map_err(|e| e.problem().code);
        put(&rita, "a", 2).await.unwrap();
        put(&rita, "a", 2).await.unwrap();
        assert_eq!(code(put(&rita, "e", 4).await), Err(Code::TooLarge));
        put(&rita, "b", 1).await.unwrap();
        put(&rita, "c", 1).await.unwrap();
        assert_eq!(code(put(&rita, "d", 1).await), Err(Code::TooLarge));
        put(&otto, "f", 3).await.unwrap();
        // Two at once do not pass where one would.
        let (a, b) = tokio::join!(put(&otto, "g", 2), put(&otto, "h", 2));
        assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    }
}

#[tokio::test]
async fn a_bundle_goes_after_a_week_unless_a_job_needs_it() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let kept = world.exchange.put_bundle(&rita, &tar("kept", 1)[..]).await;
        let kept = kept.unwrap().hash;
        let gone = world.exchange.put_bundle(&rita, &tar("gone", 1)[..]).await;
        let gone = gone.unwrap().hash;
        world
            .exchange
            .put_bundle(&otto, &tar("kept", 1)[..])
            .await
            .unwrap();
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let extra = format!("bundle = '{kept}'");
        world
            .exchange
            .submit(&rita, spec(&extra), None, None)
            .await
            .unwrap();
        world.pass(7 * DAY_MS + 1);
        world.exchange.prune().await.unwrap();
        let file = |hash: &str| {
            world
                .exchange
                .settings()
                .data_dir
                .join("bundles")
                .join(hash)
        };
        assert!(file(&kept).exists() && !file(&gone).exists());
        let extra = format!("bundle = '{gone}'");
        let refused = world.exchange.submit(&rita, spec(&extra), None, None).await;
        assert_eq!(refused.unwrap_err().problem().fields[0].field, "bundle");
    }
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_files() {
    let world = World::with("sqlite", |settings| {
        settings.disk_free_min_bytes = u64::MAX;
    })
    .await;
    let (rita, _) = world.people("10").await;
    let refused = world.exchange.put_bundle(&rita, &b"x"[..]).await;
    assert_eq!(refused.unwrap_err().problem().code, Code::Unavailable);
    let incoming = world.exchange.settings().data_dir.join("incoming");
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
    std::fs::write(incoming.join("left"), "x").unwrap();
    world.exchange.clear_incoming();
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
}

#[tokio::test]
async fn files_that_arrive_at_once_do_not_pass_the_number_that_is_allowed() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world.exchange.submit(&rita, spec(""), None, None).await;
    let job = job.unwrap().summary.id;
    let (lease, _) = worker.start(&world).await;
    let token = worker.runs[0].assignment.transfer_token.clone();
    let put = |n: usize| {
        let (exchange, token) = (world.exchange.clone(), token.clone());
        tokio::spawn(async move {
            let path = format!("f{n}");
            exchange
                .transfer_artefact(&token, lease, &path, &b"x"[..])
                .await
                .is_ok()
        })
    };
    for n in 0..254 {
        assert!(put(n).await.unwrap());
    }
    let mut accepted = 0;
    for task in (254..262).map(put).collect::<Vec<_>>() {
        accepted += usize::from(task.await.unwrap());
    }
    assert_eq!(accepted, 2);
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(view.artefacts.len(), 256);
}

#[tokio::test]
async fn a_long_job_is_drawn_in_few_points_and_its_metrics_come_first() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let wanted = spec("metrics = ['loss']");
        let job = world.exchange.submit(&rita, wanted, None, None).await;
        let job = job.unwrap().summary.id;
        let (lease, epoch) = worker.start(&world).await;
        for block in 0..63_u64 {
            world.pass(64_000);
            worker.beat(&world).await;
            let sample = |second: u64| Sample {
                seq: second,
                second,
                cpu_percent: 1.0,
                memory_mib: 1.0,
                gpu_percent: None,
                gpu_memory_mib: None,
                // Each 40th second and, in the beginning, each.
                metrics: if second.is_multiple_of(40) || second <= 100 {
                    vec![Metric {
                        name: "loss".into(),
                        value: 0.5,
                    }]
                } else {
                    Vec::new()
                },
            };
            let samples = (block * 64 + 1..=block * 64 + 64).map(sample).collect();
            let message = FromWorker::Samples {
                lease,
                epoch,
                samples,
            };
            worker.send(&world, message).await.unwrap();
        }
        let shown = world.exchange.samples(&rita, job).await.unwrap();
        let metrics = shown.iter().filter(|view| !view.data.metrics.is_empty());
        assert_eq!(metrics.count(), 198, "every one of them");
        assert!((500..=600).contains(&shown.len()), "{}", shown.len());
        assert!(
            shown
                .windows(2)
                .all(|pair| pair[0].data.seq < pair[1].data.seq)
        );
        assert_eq!(shown.last().unwrap().data.seq, 63 * 64);
    }
}

#[tokio::test]
async fn what_people_type_is_never_our_failure() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, 5_000_000_000_000_000);
        worker.join(&world, &otto).await;
        let long = || spec("limits = { duration_seconds = 2592000 }");
        let quote = world.exchange.quote(Some(&rita), &long(), None).await;
        assert_eq!(quote.unwrap().at_most, Amount::MAX);
        let refused = world.exchange.submit(&rita, long(), None, None).await;
        let problem = refused.unwrap_err().problem();
        assert_eq!(problem.code, Code::InsufficientFunds);
        let refused = world
            .exchange
            .sign_in("a\0@example.org", "long enough")
            .await;
        assert!(matches!(refused, Err(Error::WrongCredentials)));

        let device = world.exchange.nodes(&otto).await.unwrap()[0].devices[0].id;
        let cheap = kernel::PricePerSecond::from_amount(Amount::try_from_base(PRICE).unwrap());
        world
            .exchange
            .set_price(&otto, device, cheap)
            .await
            .unwrap();
        let job = world.exchange.submit(&rita, spec(""), None, None).await;
        let job = job.unwrap().summary.id;
        let page = world.exchange.logs(&rita, job, u64::MAX, 10).await.unwrap();
        assert_eq!(page.lines, []);
        worker.start(&world).await;
        let reason = "no\0such command".to_owned();
        worker.end(&world, RunEnd::FailedToStart { reason }).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.seconds, Seconds::ZERO);
    }
}
