//! Who may do what: sessions, keys, join tokens, identities.

use exchange::Error;
use protocol::live::Topic;
use protocol::problem::Code;
use protocol::view::Scope;
use protocol::worker::{FromWorker, Refusal};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;

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
