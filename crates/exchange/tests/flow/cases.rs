use exchange::Error;
use kernel::{Amount, Seconds};
use metering::receipt::{public_key, verify_chain};
use protocol::live::Topic;
use protocol::problem::Code;
use protocol::state::{JobState, RunEnd};
use protocol::view::{JobEventKind, OfferFilter, Scope};
use protocol::worker::{FromWorker, Refusal, Stream, ToWorker};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

#[tokio::test]
async fn a_job_is_metered_paid_and_its_receipts_verify() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = (
            world.account("rita", "10").await,
            world.account("otto", "0").await,
        );
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let quote = world
            .exchange
            .quote(Some(&rita), &spec(""), None)
            .await
            .unwrap();
        assert!(quote.affordable);
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        assert_eq!(job.summary.state, JobState::Starting);
        worker.start(&world).await;
        worker.work(&world, 130).await;
        worker.end(&world, FINISHED).await;

        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(130))
        );
        // 130 s × 25,000 = 3,250,000, and 0.25 % of it on each side.
        assert_eq!(view.summary.spent.base(), 3_258_125);
        assert_eq!(world.available(&rita).await, 1_000_000_000 - 3_258_125);
        let balance = world.exchange.balance(&rita).await.unwrap();
        assert_eq!(balance.held, Amount::ZERO);
        assert_eq!(
            world.exchange.balance(&otto).await.unwrap().earned.base(),
            3_241_875
        );
        assert_eq!(world.sum_of_books().await, 0);

        let receipts = world
            .exchange
            .receipts(&rita, job.summary.id)
            .await
            .unwrap();
        let chain: Vec<_> = receipts.iter().map(|view| view.receipt.clone()).collect();
        assert_eq!(
            chain.iter().map(|r| r.seconds.get()).collect::<Vec<_>>(),
            [60, 120, 130]
        );
        let worker_key = public_key(&receipts[0].worker_key).unwrap();
        let platform_key = public_key(&receipts[0].platform_key).unwrap();
        let head = verify_chain(&chain, &worker_key, &platform_key).unwrap();
        assert!(head.last);
        let paid: i64 = receipts.iter().map(|view| view.charged.base()).sum();
        assert_eq!(paid, 3_258_125);
        let entries = world.exchange.entries(&rita, None, 50).await.unwrap();
        assert!(entries.items.len() >= 4, "{entries:?}");
        assert!(world.exchange.earnings(&otto).await.unwrap().earned.base() == 3_241_875);
        assert_eq!(world.exchange.network().await.unwrap().jobs_finished, 1);
    }
}

#[tokio::test]
async fn a_failed_start_costs_nothing_and_another_node_gets_the_job() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
    );
    let (mut first, mut second) = (Worker::new(1, PRICE), Worker::new(2, PRICE + 1));
    first.join(&world, &otto).await;
    second.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap();
    first.read();
    let run = &first.runs[0].assignment;
    let message = FromWorker::Rejected {
        lease: run.lease,
        epoch: run.epoch,
        reason: "no isolation".into(),
    };
    first.send(&world, message).await.unwrap();
    second.start(&world).await;
    second.work(&world, 3).await;
    let failed = RunEnd::FailedToStart {
        reason: "command not found.".into(),
    };
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(view.summary.state, JobState::Running);
    assert!(
        view.events
            .iter()
            .any(|event| event.kind == JobEventKind::Rejected)
    );
    second.end(&world, failed).await;
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(view.summary.state, JobState::Failed);
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_only_acknowledged_seconds_are_paid() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = (
            world.account("rita", "10").await,
            world.account("otto", "0").await,
        );
        let (mut first, mut second) = (Worker::new(1, PRICE), Worker::new(2, PRICE + 1));
        first.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        first.start(&world).await;
        first.work(&world, 20).await;
        second.join(&world, &otto).await;
        // Silence: 7 s are within the lease, the eighth is beyond it.
        for _ in 0..7 {
            world.pass(1_000);
            second.beat(&world).await;
            world.tick().await;
        }
        assert_eq!(
            world
                .exchange
                .job(&rita, job.summary.id)
                .await
                .unwrap()
                .summary
                .state,
            JobState::Running
        );
        world.pass(1_000);
        second.beat(&world).await;
        world.tick().await;
        second.start(&world).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.restarts),
            (JobState::Running, 1)
        );
        assert_eq!(
            view.leases[0].seconds,
            Seconds::new(20),
            "the silence is not billed"
        );
        assert_eq!(view.leases[1].epoch.get(), 2);

        // The first one wakes up and goes on as if nothing had happened.
        let stale = first.runs[0].assignment.clone();
        first.runs[0].seconds = 40;
        first.beat(&world).await;
        assert!(first.runs.is_empty(), "it is told that the lease is over");
        let (lease, epoch) = (stale.lease, stale.epoch);
        for message in [
            FromWorker::Log {
                lease,
                epoch,
                offset: 0,
                stream: Stream::Stdout,
                text: "late".into(),
            },
            FromWorker::Started {
                lease,
                epoch,
                elapsed_ms: 0,
            },
            FromWorker::Ended {
                lease,
                epoch,
                end: FINISHED,
                receipt: None,
            },
        ] {
            first.send(&world, message).await.unwrap();
            assert_eq!(
                first.seen.last(),
                Some(&ToWorker::LeaseRefused { lease, epoch })
            );
        }
        second.work(&world, 5).await;
        second.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(25))
        );
        assert_eq!(
            world
                .exchange
                .logs(&rita, job.summary.id, 0, 100)
                .await
                .unwrap()
                .lines,
            []
        );
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_killed_server_loses_no_second_and_bills_none_twice() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = (
            world.account("rita", "10").await,
            world.account("otto", "0").await,
        );
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 70).await;
        world.crash().await;
        // The process went on for ten seconds without a server.
        world.pass(10_000);
        worker.runs[0].seconds = 80;
        world.tick().await;
        worker.connect(&world, None).await.unwrap();
        worker.beat(&world).await;
        worker.work(&world, 20).await;
        worker.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(
            (view.summary.state, view.summary.seconds),
            (JobState::Finished, Seconds::new(100))
        );
        assert_eq!(view.summary.restarts, 0);
        assert_eq!(view.leases[0].charged.base(), 2_506_250);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn a_worker_that_forgot_its_lease_gives_the_job_back_at_once() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap();
    worker.start(&world).await;
    worker.work(&world, 3).await;
    worker.disconnect(&world).await;
    worker.runs.clear();
    worker.connect(&world, None).await.unwrap();
    worker.beat(&world).await;
    world.tick().await;
    worker.start(&world).await;
    let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
    assert_eq!(
        (view.summary.state, view.leases.len()),
        (JobState::Running, 2)
    );
}

#[tokio::test]
async fn fault_akash_node_1635_overdrawn_escrow_does_not_run_free() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.escrow_window = Seconds::new(40);
            settings.escrow_minimum = Seconds::new(10);
            settings.funds_low = Seconds::new(15);
        })
        .await;
        // 100 s at 25,000 and the fee: 2,506,250. One unit less pays for 99 s.
        let (rita, otto) = (
            world.account("rita", "0.02506249").await,
            world.account("otto", "0").await,
        );
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 120).await;
        assert_eq!(worker.runs[0].funded, 99);
        assert_eq!(
            worker.runs[0].seconds, 99,
            "the worker stops at what is paid for"
        );
        // A worker that does not stop is not paid for more.
        worker.runs[0].funded = 1_000;
        worker.work(&world, 20).await;
        worker.runs[0].seconds = 99;
        worker.end(&world, RunEnd::OutOfFunds).await;
        let view = world.exchange.job(&rita, job.summary.id).await.unwrap();
        assert_eq!(view.summary.state, JobState::Stopped);
        assert_eq!(view.summary.end, Some(RunEnd::OutOfFunds));
        assert_eq!(view.summary.seconds, Seconds::new(99));
        assert!(
            view.events
                .iter()
                .any(|event| event.kind == JobEventKind::FundsLow),
            "warned before"
        );
        let balance = world.exchange.balance(&rita).await.unwrap();
        assert!(balance.available.base() < 25_063, "{balance:?}");
        assert_eq!(balance.held, Amount::ZERO);
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn without_money_nothing_starts() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "0").await,
        world.account("otto", "0").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let refused = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .expect_err("no money");
    assert_eq!(refused.problem().code, Code::InsufficientFunds);
    assert!(
        !world
            .exchange
            .quote(Some(&rita), &spec(""), None)
            .await
            .unwrap()
            .affordable
    );
    let offers = world
        .exchange
        .offers(&OfferFilter {
            idle: Some(true),
            ..OfferFilter::default()
        })
        .unwrap();
    assert_eq!(offers.offers.len(), 1, "the slot is free again");
    assert!(
        world
            .exchange
            .jobs(&rita, None, 10)
            .await
            .unwrap()
            .items
            .is_empty(),
        "nothing was left behind"
    );
}

#[tokio::test]
async fn fault_skypilot_pr_9117_the_same_offer_is_not_sold_twice() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, rolf) = (
            world.account("rita", "500").await,
            world.account("rolf", "500").await,
        );
        let otto = world.account("otto", "0").await;
        let (mut cheap, mut dear) = (Worker::new(1, PRICE), Worker::new(2, PRICE + 1));
        cheap.join(&world, &otto).await;
        dear.join(&world, &otto).await;
        for round in 0..200 {
            let (a, b) = tokio::join!(
                world.exchange.submit(&rita, spec(""), None, None),
                world.exchange.submit(&rolf, spec(""), None, None),
            );
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_ne!(a.leases[0].device, b.leases[0].device, "round {round}");
            let third = world
                .exchange
                .submit(&rita, spec(""), None, None)
                .await
                .expect_err("both are hired");
            assert_eq!(third.problem().code, Code::NoMatch);
            assert_eq!(third.problem().fields[0].field, "free");
            for worker in [&mut cheap, &mut dear] {
                worker.start(&world).await;
                worker.end(&world, FINISHED).await;
                worker.beat(&world).await;
            }
        }
        assert_eq!(world.sum_of_books().await, 0);
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_job_and_another_body_is_refused() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = (
            world.account("rita", "10").await,
            world.account("otto", "0").await,
        );
        for n in 1..=3 {
            Worker::new(n, PRICE).join(&world, &otto).await;
        }
        let submits = (0..20).map(|_| {
            let (exchange, rita) = (world.exchange.clone(), rita.clone());
            tokio::spawn(async move { exchange.submit(&rita, spec(""), None, Some("k1")).await })
        });
        let mut ids = std::collections::BTreeSet::new();
        for submit in submits.collect::<Vec<_>>() {
            ids.insert(submit.await.unwrap().unwrap().summary.id);
        }
        assert_eq!(ids.len(), 1);
        let other = world
            .exchange
            .submit(&rita, spec("metrics = ['loss']"), None, Some("k1"))
            .await;
        assert!(
            matches!(other, Err(Error::IdempotencyMismatch)),
            "{other:?}"
        );
        let rows = world.exchange.jobs(&rita, None, 10).await.unwrap();
        assert_eq!(rows.items.len(), 1);
        let entries = world.exchange.entries(&rita, None, 50).await.unwrap();
        assert_eq!(entries.items.len(), 2, "one credit, one hold");
    }
}

#[tokio::test]
async fn a_stop_ends_a_job_and_returns_the_rest() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap()
        .summary
        .id;
    worker.start(&world).await;
    worker.work(&world, 5).await;
    world.exchange.stop(&rita, job).await.unwrap();
    worker.read();
    assert!(
        worker
            .seen
            .iter()
            .any(|message| matches!(message, ToWorker::Stop { .. }))
    );
    worker.end(&world, RunEnd::StoppedByUser).await;
    let view = world.exchange.job(&rita, job).await.unwrap();
    assert_eq!(
        (view.summary.state, view.summary.seconds),
        (JobState::Stopped, Seconds::new(5))
    );
    assert_eq!(
        world.available(&rita).await,
        1_000_000_000 - view.summary.spent.base()
    );
    let again = world
        .exchange
        .stop(&rita, job)
        .await
        .expect_err("it has ended");
    assert_eq!(again.problem().code, Code::Conflict);
}

#[tokio::test]
async fn a_stopped_job_whose_worker_is_lost_stays_stopped() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap()
        .summary
        .id;
    worker.start(&world).await;
    world.exchange.stop(&rita, job).await.unwrap();
    world.pass(8_000);
    world.tick().await;
    assert_eq!(
        world.exchange.job(&rita, job).await.unwrap().summary.state,
        JobState::Stopped
    );
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_anothers() {
    let world = World::new("sqlite").await;
    let (rita, otto, eve) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
        world.account("eve", "10").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let job = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .unwrap()
        .summary
        .id;
    worker.start(&world).await;
    let exchange = &world.exchange;
    let (node, device) = (
        worker.runs[0].assignment.node,
        worker.runs[0].assignment.device,
    );
    for stranger in [&eve, &otto] {
        assert!(matches!(
            exchange.job(stranger, job).await,
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            exchange.stop(stranger, job).await,
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            exchange.logs(stranger, job, 0, 1).await,
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            exchange.receipts(stranger, job).await,
            Err(Error::NotFound(_))
        ));
        assert!(
            !exchange
                .may_watch(Some(stranger), Topic::Job(job))
                .await
                .unwrap()
        );
    }
    for stranger in [&eve, &rita] {
        assert!(matches!(
            exchange.node(stranger, node).await,
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            exchange.set_paused(stranger, device, true).await,
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            exchange.remove_node(stranger, node).await,
            Err(Error::NotFound(_))
        ));
        assert!(
            !exchange
                .may_watch(Some(stranger), Topic::Node(node))
                .await
                .unwrap()
        );
    }
    assert!(!exchange.may_watch(None, Topic::Job(job)).await.unwrap());
    assert!(exchange.may_watch(None, Topic::Market).await.unwrap());
    assert!(
        matches!(
            exchange.remove_node(&otto, node).await,
            Err(Error::Conflict(_))
        ),
        "a job runs on it"
    );
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_no_more() {
    let world = World::new("sqlite").await;
    let rita = world.account("rita", "10").await;
    let made = world
        .exchange
        .create_key(&rita, "ci", &[Scope::Read])
        .await
        .unwrap();
    let key = world
        .exchange
        .actor_by_key(&made.secret)
        .await
        .unwrap()
        .unwrap();
    assert!(world.exchange.balance(&key).await.is_ok());
    for refused in [
        world
            .exchange
            .submit(&key, spec(""), None, None)
            .await
            .err(),
        world.exchange.create_join_token(&key).await.err(),
        world
            .exchange
            .create_key(&key, "more", &[Scope::Jobs])
            .await
            .err(),
        world.exchange.sign_out_everywhere(&key).await.err(),
    ] {
        assert_eq!(refused.unwrap().problem().code, Code::Forbidden);
    }
    assert!(
        world.exchange.keys(&rita).await.unwrap()[0]
            .last_used_at
            .is_some()
    );
    world.exchange.revoke_key(&rita, made.key.id).await.unwrap();
    assert!(
        world
            .exchange
            .actor_by_key(&made.secret)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn sessions_begin_and_end() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (account, secret) = world
            .exchange
            .sign_up(" New@Example.org ", "long enough", "New")
            .await
            .unwrap();
        assert_eq!(account.email, "new@example.org");
        let actor = world
            .exchange
            .actor_by_session(&secret.0)
            .await
            .unwrap()
            .unwrap();
        let (_, second) = world
            .exchange
            .sign_in("new@example.org", "long enough")
            .await
            .unwrap();
        for (email, password) in [
            ("new@example.org", "wrong"),
            ("nobody@example.org", "long enough"),
        ] {
            let refused = world.exchange.sign_in(email, password).await.err().unwrap();
            assert!(matches!(refused, Error::WrongCredentials));
        }
        let twice = world
            .exchange
            .sign_up("new@example.org", "long enough", "New")
            .await
            .err()
            .unwrap();
        assert!(matches!(twice, Error::Conflict(_)));
        world.exchange.sign_out(&actor).await.unwrap();
        assert!(
            world
                .exchange
                .actor_by_session(&secret.0)
                .await
                .unwrap()
                .is_none()
        );
        let actor = world
            .exchange
            .actor_by_session(&second.0)
            .await
            .unwrap()
            .unwrap();
        world.pass(15 * 86_400_000);
        assert!(
            world
                .exchange
                .actor_by_session(&second.0)
                .await
                .unwrap()
                .is_none(),
            "it is over after 14 days"
        );
        assert_eq!(world.exchange.sign_out_everywhere(&actor).await.unwrap(), 1);
        world.exchange.prune().await.unwrap();
    }
}

#[tokio::test]
async fn a_join_token_works_once_and_in_time() {
    for backend in backends() {
        let world = World::new(backend).await;
        let otto = world.account("otto", "0").await;
        let token = world.exchange.create_join_token(&otto).await.unwrap();
        let mut first = Worker::new(1, PRICE);
        first.connect(&world, Some(&token.token)).await.unwrap();
        let state = world
            .exchange
            .join_token_state(&otto, token.id)
            .await
            .unwrap();
        assert_eq!(
            state.used_by,
            first.session.as_ref().map(|session| session.node)
        );
        let refused = |result: Result<(), (Refusal, String)>| result.expect_err("refused").0;
        assert_eq!(
            refused(
                Worker::new(2, PRICE)
                    .connect(&world, Some(&token.token))
                    .await
            ),
            Refusal::JoinToken
        );
        assert_eq!(
            refused(Worker::new(2, PRICE).connect(&world, Some("join_x")).await),
            Refusal::JoinToken
        );
        assert_eq!(
            refused(Worker::new(2, PRICE).connect(&world, None).await),
            Refusal::UnknownNode
        );
        let late = world.exchange.create_join_token(&otto).await.unwrap();
        world.pass(3_600_001);
        assert_eq!(
            refused(
                Worker::new(2, PRICE)
                    .connect(&world, Some(&late.token))
                    .await
            ),
            Refusal::JoinToken
        );
    }
}

#[tokio::test]
async fn fault_io_net_april_2024_a_workers_word_is_not_its_identity() {
    let world = World::new("sqlite").await;
    let otto = world.account("otto", "0").await;
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let (sender, _inbox) = tokio::sync::mpsc::channel(8);
    let nonce = world.exchange.challenge();
    let captured = worker.hello(&nonce, None);
    // The same hello against another nonce, with another key, for another server: each is refused.
    let other_nonce = world.exchange.challenge();
    let refused = world
        .exchange
        .worker_hello(&other_nonce, captured.clone(), sender.clone())
        .await
        .err()
        .unwrap()
        .0;
    assert_eq!(refused, Refusal::Signature);
    let mut claimed = Worker::new(9, PRICE).hello(&nonce, None);
    claimed.public_key.clone_from(&captured.public_key);
    assert_eq!(
        world
            .exchange
            .worker_hello(&nonce, claimed, sender.clone())
            .await
            .err()
            .unwrap()
            .0,
        Refusal::Signature
    );
    let mut relayed = captured.clone();
    relayed.server = "https://evil.example".into();
    assert_eq!(
        world
            .exchange
            .worker_hello(&nonce, relayed, sender.clone())
            .await
            .err()
            .unwrap()
            .0,
        Refusal::Signature
    );
    // A second agent with the same key, while the first is alive.
    let twin = world
        .exchange
        .worker_hello(&nonce, captured.clone(), sender.clone())
        .await
        .err()
        .unwrap()
        .0;
    assert_eq!(twin, Refusal::Duplicate);
    // Silent for long enough, the newer connection takes over and the older one has no say.
    world.pass(4_000);
    assert!(
        world
            .exchange
            .worker_hello(&nonce, captured, sender)
            .await
            .is_ok()
    );
    let old = worker.session.clone().unwrap();
    let beat = FromWorker::Heartbeat {
        seq: 9,
        draining: false,
        load: protocol::worker::HostLoad::default(),
        leases: vec![],
    };
    assert!(matches!(
        world.exchange.worker_message(&old, beat).await,
        Err(Error::SupersededConnection)
    ));
}

#[tokio::test]
async fn logs_are_kept_once_in_order_whatever_is_sent_again() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = (
            world.account("rita", "10").await,
            world.account("otto", "0").await,
        );
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap()
            .summary
            .id;
        let (lease, epoch) = worker.start(&world).await;
        let log = |offset: u64, text: &str| FromWorker::Log {
            lease,
            epoch,
            offset,
            stream: Stream::Stdout,
            text: text.into(),
        };
        worker.send(&world, log(0, "one\n")).await.unwrap();
        worker.send(&world, log(0, "one\n")).await.unwrap();
        worker.send(&world, log(8, "gap\n")).await.unwrap();
        worker.send(&world, log(4, "t\u{0}o\n")).await.unwrap();
        world.tick().await;
        worker.read();
        assert!(worker.seen.contains(&ToWorker::LogAck {
            lease,
            epoch,
            offset: 8
        }));
        let page = world.exchange.logs(&rita, job, 0, 10).await.unwrap();
        let text: String = page.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, "one\nt\u{fffd}o\n");
        assert_eq!(
            world
                .exchange
                .logs(&rita, job, 1, 10)
                .await
                .unwrap()
                .lines
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn an_owner_sets_the_price_and_pauses() {
    let world = World::new("sqlite").await;
    let (rita, otto) = (
        world.account("rita", "10").await,
        world.account("otto", "0").await,
    );
    let mut worker = Worker::new(1, PRICE);
    worker.join(&world, &otto).await;
    let device = world.exchange.nodes(&otto).await.unwrap()[0].devices[0].id;
    let price = kernel::PricePerSecond::from_amount(Amount::try_from_base(7).unwrap());
    world
        .exchange
        .set_price(&otto, device, price)
        .await
        .unwrap();
    assert_eq!(world.exchange.offer(device).unwrap().price, price);
    world
        .exchange
        .set_paused(&otto, device, true)
        .await
        .unwrap();
    let refused = world
        .exchange
        .submit(&rita, spec(""), None, None)
        .await
        .expect_err("paused");
    assert_eq!(refused.problem().fields[0].field, "online");
    // The owner's choice outlives a reconnect.
    worker.disconnect(&world).await;
    worker.connect(&world, None).await.unwrap();
    let offer = world.exchange.offer(device).unwrap();
    assert_eq!(
        (offer.price, offer.state),
        (price, protocol::state::DeviceState::Paused)
    );
}

#[tokio::test]
async fn sqlite_keeps_what_it_acknowledged_through_a_power_loss() {
    let folder = tempfile::tempdir().unwrap();
    let store = store::Store::open(&format!("sqlite://{}/x.db", folder.path().display()))
        .await
        .unwrap();
    assert_eq!(store.sqlite_synchronous().await.unwrap(), 2, "FULL");
}
