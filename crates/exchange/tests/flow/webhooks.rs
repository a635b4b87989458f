//! Webhooks: what is due to whom, what an answer means, and when one is switched off.

use base64::Engine;
use exchange::{Actor, Error, Outcome, Parcel};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{Seconds, WebhookId};
use protocol::notice::{
    DeliveryError, DeliveryState, DeliveryView, Event, NewWebhook, NewWebhookView, Notice,
    WebhookChange,
};
use protocol::state::RunEnd;
use protocol::view::Scope;
use sha2::Sha256;

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const TAKEN: Outcome = answered(204);

const fn answered(status: u16) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
    }
}

async fn hook(world: &World, actor: &Actor, url: &str, events: &[Event]) -> NewWebhookView {
    let new = NewWebhook {
        url: url.into(),
        events: events.to_vec(),
    };
    world.exchange.create_webhook(actor, new).await.unwrap()
}

async fn due(world: &World) -> Vec<Parcel> {
    let mut all = Vec::new();
    for failing in [false, true] {
        all.extend(
            world
                .exchange
                .due_webhooks(failing, 100, 100)
                .await
                .unwrap(),
        );
    }
    all
}

/// Answers all that is due; how many that were.
async fn answer(world: &World, outcome: Outcome) -> usize {
    let due = due(world).await;
    for parcel in &due {
        let noted =
            world
                .exchange
                .webhook_answered(parcel.webhook, parcel.notice, &parcel.url, outcome);
        noted.await.unwrap();
    }
    due.len()
}

async fn deliveries(world: &World, actor: &Actor, id: WebhookId) -> Vec<DeliveryView> {
    let page = world.exchange.webhook_deliveries(actor, id, None, 100);
    page.await.unwrap().items
}

/// As a receiver would compute it.
fn signature(secret: &str, id: &str, at: &str, body: &str) -> String {
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap()
        .chain_update(format!("{id}.{at}.{body}"));
    format!("v1,{}", base64.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn each_webhook_gets_what_it_listens_to_and_nothing_of_others() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("100").await;
        let all = hook(&world, &rita, "https://a.example/", &[]).await.webhook;
        let ended = hook(&world, &rita, "https://b.example/", &[Event::JobEnded])
            .await
            .webhook;
        let off = hook(&world, &rita, "https://c.example/", &[]).await.webhook;
        let other = hook(&world, &otto, "https://d.example/", &[]).await.webhook;
        let switch_off = WebhookChange {
            enabled: Some(false),
            ..WebhookChange::default()
        };
        let changed = world.exchange.change_webhook(&rita, off.id, switch_off);
        assert!(!changed.await.unwrap().enabled);

        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let submit = world.exchange.submit(&rita, spec(""), None, None);
        let job = submit.await.unwrap().summary.id;
        worker.start(&world).await;
        worker.work(&world, 5).await;
        worker.end(&world, RunEnd::Exited { code: 0 }).await;

        let mut due = due(&world).await;
        due.sort_by_key(|parcel| (parcel.webhook, parcel.notice));
        let to: Vec<WebhookId> = due.iter().map(|parcel| parcel.webhook).collect();
        assert_eq!(to, [all.id, all.id, ended.id]);
        let bodies: Vec<serde_json::Value> = due
            .iter()
            .map(|parcel| serde_json::from_str(&parcel.body).unwrap())
            .collect();
        assert_eq!(bodies[0]["type"], "job.started");
        assert_eq!(bodies[1]["type"], "job.ended");
        assert_eq!(bodies[1], bodies[2]);
        assert_eq!(bodies[1]["data"]["job"], job.to_string());
        assert_eq!(bodies[1]["data"]["cost"], "125313");
        assert!(bodies[1]["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(due[0].url, "https://a.example/");

        assert_eq!(answer(&world, TAKEN).await, 3);
        assert!(self::due(&world).await.is_empty());
        let went = deliveries(&world, &rita, ended.id).await;
        assert_eq!(went.len(), 1);
        assert_eq!(
            (went[0].event, went[0].state, went[0].attempts),
            (Event::JobEnded, DeliveryState::Delivered, 1)
        );
        assert_eq!((went[0].status, went[0].error), (Some(204), None));
        let theirs = world.exchange.webhook_deliveries(&rita, other.id, None, 10);
        assert!(matches!(theirs.await, Err(Error::NotFound(_))));
        assert_eq!(world.exchange.webhooks(&otto).await.unwrap(), [other]);
    }
}

#[tokio::test]
async fn a_replaced_secret_signs_for_a_day_beside_the_new_one() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, _) = world.people("1").await;
        let first = hook(&world, &rita, "https://a.example/", &[]).await;
        let id = first.webhook.id;
        let second = world
            .exchange
            .rotate_webhook_secret(&rita, id)
            .await
            .unwrap();
        assert_ne!(first.secret, second.secret);
        // Neither secret is kept anywhere: both are computed again.
        world.crash().await;
        for (passed, secrets) in [(0, vec![&second, &first]), (86_400_000, vec![&second])] {
            world.pass(passed);
            world.exchange.test_webhook(&rita, id).await.unwrap();
            let due = due(&world).await;
            let parcel = due.last().unwrap();
            let [(_, notice), (_, at), (_, signatures)] =
                parcel.headers(world.exchange.now()).unwrap();
            let expected: Vec<String> = secrets
                .iter()
                .map(|made| signature(&made.secret, &notice, &at, &parcel.body))
                .collect();
            assert_eq!(signatures, expected.join(" "));
            answer(&world, TAKEN).await;
        }
    }
}

#[tokio::test]
async fn what_fails_is_tried_for_a_day_and_then_the_webhook_is_off() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, _) = world.people("1").await;
        let id = hook(&world, &rita, "https://a.example/", &[])
            .await
            .webhook
            .id;
        let other = hook(
            &world,
            &rita,
            "https://b.example/",
            &[Event::WebhookDisabled],
        )
        .await;
        world.exchange.test_webhook(&rita, id).await.unwrap();
        let failed = Outcome::Failed(DeliveryError::Timeout);
        assert_eq!(answer(&world, failed).await, 1);
        assert!(due(&world).await.is_empty(), "not at once");
        world.crash().await;
        let waiting = deliveries(&world, &rita, id).await.remove(0);
        assert_eq!(waiting.state, DeliveryState::Waiting);
        assert_eq!(
            (waiting.attempts, waiting.error),
            (1, Some(DeliveryError::Timeout))
        );
        let pause = waiting.next_at.unwrap().millis_since(world.exchange.now());
        assert!((9_000..=11_000).contains(&pause), "{pause}");
        world.pass(pause);
        assert_eq!(due(&world).await.len(), 1);
        assert_eq!(answer(&world, answered(500)).await, 1);

        // A success in between ends the count.
        world.pass(40_000);
        assert_eq!(answer(&world, TAKEN).await, 1);
        assert_eq!(
            world
                .exchange
                .webhook(&rita, id)
                .await
                .unwrap()
                .failing_since,
            None
        );

        world.exchange.test_webhook(&rita, id).await.unwrap();
        let began = world.exchange.now();
        let mut attempts = 0;
        while world.exchange.webhook(&rita, id).await.unwrap().enabled {
            attempts += answer(&world, answered(503)).await;
            world.pass(60_000);
            assert!(world.exchange.now().seconds_since(began) < Seconds::new(3 * 86_400));
        }
        assert!(world.exchange.now().seconds_since(began) >= Seconds::DAY);
        assert_eq!(attempts, 10);
        let gone = deliveries(&world, &rita, id).await.remove(0);
        assert_eq!(
            (gone.state, gone.status),
            (DeliveryState::Failed, Some(503))
        );
        let told = world
            .exchange
            .notices(&rita, None, 1)
            .await
            .unwrap()
            .items
            .remove(0);
        let Notice::WebhookDisabled {
            webhook,
            error,
            failing_since,
            ..
        } = told.notice
        else {
            panic!("{told:?}");
        };
        assert_eq!(
            (webhook, error, failing_since),
            (id, DeliveryError::Status, began)
        );
        // The other one hears of it; this one hears of nothing.
        let due = due(&world).await;
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].webhook, other.webhook.id);
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, _) = world.people("1").await;
        let id = hook(&world, &rita, "https://a.example/", &[])
            .await
            .webhook
            .id;
        for _ in 0..3 {
            world.exchange.test_webhook(&rita, id).await.unwrap();
        }
        let first = due(&world).await.remove(0);
        let noted = world
            .exchange
            .webhook_answered(id, first.notice, &first.url, answered(410));
        noted.await.unwrap();
        assert!(!world.exchange.webhook(&rita, id).await.unwrap().enabled);
        assert!(due(&world).await.is_empty());
        let all = deliveries(&world, &rita, id).await;
        let states: Vec<_> = all.iter().map(|own| (own.state, own.error)).collect();
        let off = (DeliveryState::Failed, Some(DeliveryError::SwitchedOff));
        let gone = (DeliveryState::Failed, Some(DeliveryError::Status));
        assert_eq!(states, [off, off, gone]);
        // An answer that comes late changes nothing any more.
        let late = world
            .exchange
            .webhook_answered(id, all[0].notice, &first.url, TAKEN);
        late.await.unwrap();
        assert_eq!(deliveries(&world, &rita, id).await, all);

        let refused = world.exchange.test_webhook(&rita, id).await;
        assert!(matches!(refused, Err(Error::Conflict(_))));
        let refused = world.exchange.redeliver(&rita, id, all[0].notice).await;
        assert!(matches!(refused, Err(Error::Conflict(_))));
        let on = WebhookChange {
            enabled: Some(true),
            ..WebhookChange::default()
        };
        let view = world.exchange.change_webhook(&rita, id, on).await.unwrap();
        assert_eq!((view.enabled, view.failing_since), (true, None));
        let again = world
            .exchange
            .redeliver(&rita, id, all[0].notice)
            .await
            .unwrap();
        assert_eq!((again.state, again.attempts), (DeliveryState::Waiting, 0));
        let parcels = due(&world).await;
        assert_eq!(parcels.len(), 1);
        assert_eq!(parcels[0].notice, all[0].notice);
        world.exchange.delete_webhook(&rita, id).await.unwrap();
        assert!(due(&world).await.is_empty());
        let gone = world
            .exchange
            .webhook_answered(id, all[0].notice, &first.url, TAKEN);
        gone.await.unwrap();
    }
}

#[tokio::test]
async fn what_an_old_address_answers_says_nothing_of_the_new_one() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, _) = world.people("1").await;
        let id = hook(&world, &rita, "https://a.example/", &[])
            .await
            .webhook
            .id;
        for _ in 0..2 {
            world.exchange.test_webhook(&rita, id).await.unwrap();
        }
        // They set out, and their owner names another address before they are back.
        let sent = due(&world).await;
        let moved = WebhookChange {
            url: Some("https://b.example/".into()),
            ..WebhookChange::default()
        };
        let changed = world.exchange.change_webhook(&rita, id, moved).await;
        let changed = changed.unwrap();
        let back = async |parcel: &Parcel, outcome| {
            let noted = world
                .exchange
                .webhook_answered(id, parcel.notice, &parcel.url, outcome);
            noted.await.unwrap();
        };
        let failed = Outcome::Failed(DeliveryError::Timeout);
        for outcome in [answered(410), answered(500), failed] {
            back(&sent[0], outcome).await;
        }
        assert_eq!(world.exchange.webhook(&rita, id).await.unwrap(), changed);
        let again = due(&world).await;
        assert_eq!(again.len(), 2, "they are still due");
        assert!(
            again
                .iter()
                .all(|parcel| parcel.url == "https://b.example/")
        );
        // The new one fails, and that the old one took the other does not mend it.
        back(&again[0], answered(500)).await;
        back(&sent[1], TAKEN).await;
        let hook = world.exchange.webhook(&rita, id).await.unwrap();
        assert!(hook.failing_since.is_some());
        let states = deliveries(&world, &rita, id).await;
        let taken = states.iter().find(|own| own.notice == sent[1].notice);
        assert_eq!(taken.unwrap().state, DeliveryState::Delivered);
    }
}

#[tokio::test]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let world = World::new("sqlite").await;
    let (rita, _) = world.people("1").await;
    let id = hook(&world, &rita, "https://a.example/", &[])
        .await
        .webhook
        .id;
    world.exchange.test_webhook(&rita, id).await.unwrap();
    let busy = Outcome::Answered {
        status: 429,
        retry_after: Some(Seconds::HOUR),
    };
    assert_eq!(answer(&world, busy).await, 1);
    world.pass(3_599_999);
    assert!(due(&world).await.is_empty());
    world.pass(1);
    assert_eq!(due(&world).await.len(), 1);
}

#[tokio::test]
async fn who_may_and_how_many() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("1").await;
        let exchange = &world.exchange;
        let made = exchange
            .create_key(&rita, "all", &[Scope::Read, Scope::Jobs, Scope::Nodes])
            .await
            .unwrap();
        let key = exchange.actor_by_key(&made.secret).await.unwrap().unwrap();
        let id = hook(&world, &rita, "https://a.example/", &[])
            .await
            .webhook
            .id;
        let sent = exchange.test_webhook(&rita, id).await.unwrap();
        assert_eq!(exchange.webhooks(&key).await.unwrap().len(), 1);
        assert_eq!(deliveries(&world, &key, id).await.len(), 1);
        let new = || NewWebhook {
            url: "https://b.example/".into(),
            events: Vec::new(),
        };
        let change = WebhookChange::default;
        let forbidden = |error: Option<Error>| matches!(error, Some(Error::Forbidden(_)));
        assert!(forbidden(exchange.create_webhook(&key, new()).await.err()));
        assert!(forbidden(
            exchange.change_webhook(&key, id, change()).await.err()
        ));
        assert!(forbidden(
            exchange.rotate_webhook_secret(&key, id).await.err()
        ));
        assert!(forbidden(exchange.test_webhook(&key, id).await.err()));
        assert!(forbidden(
            exchange.redeliver(&key, id, sent.notice).await.err()
        ));
        assert!(forbidden(exchange.delete_webhook(&key, id).await.err()));
        let unknown = |error: Option<Error>| matches!(error, Some(Error::NotFound(_)));
        assert!(unknown(exchange.webhook(&otto, id).await.err()));
        assert!(unknown(
            exchange.change_webhook(&otto, id, change()).await.err()
        ));
        assert!(unknown(
            exchange.rotate_webhook_secret(&otto, id).await.err()
        ));
        assert!(unknown(exchange.test_webhook(&otto, id).await.err()));
        assert!(unknown(
            exchange.redeliver(&otto, id, sent.notice).await.err()
        ));
        assert!(unknown(exchange.delete_webhook(&otto, id).await.err()));

        for _ in 1..10 {
            exchange.create_webhook(&rita, new()).await.unwrap();
        }
        let eleventh = exchange.create_webhook(&rita, new()).await;
        assert!(matches!(eleventh, Err(Error::Conflict(_))));
        for _ in 1..10 {
            exchange.test_webhook(&rita, id).await.unwrap();
        }
        let eleventh = exchange.test_webhook(&rita, id).await;
        assert!(matches!(eleventh, Err(Error::Conflict(_))));
        world.pass(60_001);
        exchange.test_webhook(&rita, id).await.unwrap();
        let home = WebhookChange {
            url: Some("https://127.0.0.1/".into()),
            ..WebhookChange::default()
        };
        let refused = exchange.change_webhook(&rita, id, home).await;
        assert!(matches!(refused, Err(Error::Invalid(fields)) if fields[0].field == "url"));
    }
}
