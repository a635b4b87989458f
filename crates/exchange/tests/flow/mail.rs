//! E-mails: nothing but a question before the address is confirmed, and what each answer of the mail's host means.

use exchange::{Actor, Error, Letter, LetterId, Outcome, Posted};
use protocol::notice::{DeliveryError, NewWebhook, NotificationSettings, NotificationSettingsView};

use crate::world::{World, backends};

pub async fn wish(world: &World, actor: &Actor, email: bool) -> NotificationSettingsView {
    let wish = NotificationSettings {
        email,
        ..NotificationSettings::default()
    };
    let set = world.exchange.set_notification_settings(actor, wish);
    set.await.unwrap()
}

pub async fn due(world: &World) -> Vec<Letter> {
    world.exchange.due_letters(10, 10).await.unwrap()
}

pub async fn answer(world: &World, id: LetterId, posted: Posted) {
    world.exchange.letter_answered(id, posted).await.unwrap();
}

pub fn code(letter: &Letter) -> String {
    let link = letter
        .text
        .split_whitespace()
        .find(|word| word.contains("code="));
    link.unwrap().split_once("code=").unwrap().1.to_owned()
}

/// Something that is told by e-mail too.
async fn happen(world: &World, actor: &Actor) {
    let new = NewWebhook {
        url: "https://a.example/".into(),
        events: Vec::new(),
    };
    let exchange = &world.exchange;
    let id = exchange
        .create_webhook(actor, new)
        .await
        .unwrap()
        .webhook
        .id;
    let sent = exchange.test_webhook(actor, id).await.unwrap();
    let gone = Outcome::Answered {
        status: 410,
        retry_after: None,
    };
    exchange
        .webhook_answered(id, sent.notice, "https://a.example/", gone)
        .await
        .unwrap();
    exchange.delete_webhook(actor, id).await.unwrap();
}

#[tokio::test]
async fn an_address_is_asked_now_and_then_and_confirmed_by_its_letter_alone() {
    for backend in backends() {
        let mut world = World::with(backend, |settings| settings.email = true).await;
        let (rita, otto) = world.people("1").await;
        let view = wish(&world, &rita, true).await;
        assert_eq!(view.address_asked_at, Some(world.exchange.now()));
        happen(&world, &rita).await;
        let letters = due(&world).await;
        assert_eq!(letters.len(), 1, "the question and nothing else");
        let question = &letters[0];
        assert_eq!(question.id, LetterId::Question(rita.account));
        assert_eq!(question.to, "rita@example.org");
        let first = code(question);
        answer(&world, question.id, Posted::Deferred(451)).await;
        assert!(due(&world).await.is_empty());
        world.pass(11_000);
        assert_eq!(due(&world).await.len(), 1, "a busy host is asked again");
        answer(&world, question.id, Posted::Refused(550)).await;
        world.pass(50_000);
        assert!(due(&world).await.is_empty(), "one that refuses is not");
        let view = world.exchange.notification_settings(&rita).await.unwrap();
        assert_eq!(view.address_error, Some(DeliveryError::Status));

        // Once a minute, three times a day.
        world.exchange.ask_address(&rita).await.unwrap();
        let refused = world.exchange.ask_address(&rita).await;
        assert!(matches!(refused, Err(Error::Conflict(_))));
        world.pass(60_000);
        world.exchange.ask_address(&rita).await.unwrap();
        world.pass(60_000);
        let refused = world.exchange.ask_address(&rita).await;
        assert!(matches!(refused, Err(Error::Conflict(_))));
        world.pass(86_400_000);
        world.exchange.ask_address(&rita).await.unwrap();
        let question = due(&world).await.remove(0);
        answer(&world, question.id, Posted::Taken).await;
        assert!(due(&world).await.is_empty());

        let newest = code(&question);
        for (account, code) in [
            (rita.account, first.as_str()),
            (rita.account, ""),
            (otto.account, newest.as_str()),
        ] {
            let refused = world.exchange.confirm_address(account, code).await;
            assert!(matches!(refused, Err(Error::Conflict(_))), "{code}");
        }
        world.crash().await;
        world.pass(3 * 86_400_000);
        let late = world.exchange.confirm_address(rita.account, &newest).await;
        assert!(matches!(late, Err(Error::Conflict(_))), "after three days");
        world.exchange.ask_address(&rita).await.unwrap();
        let newest = code(&due(&world).await[0]);
        for _ in 0..2 {
            let confirmed = world.exchange.confirm_address(rita.account, &newest).await;
            confirmed.unwrap();
        }
        assert!(due(&world).await.is_empty());
        let refused = world.exchange.ask_address(&rita).await;
        assert!(
            matches!(refused, Err(Error::Conflict(_))),
            "it is confirmed"
        );
    }
}

#[tokio::test]
async fn a_letter_waits_for_its_host_and_ends_with_the_wish() {
    for backend in backends() {
        let world = World::with(backend, |settings| settings.email = true).await;
        let (rita, _) = world.people("1").await;
        wish(&world, &rita, true).await;
        let code = code(&due(&world).await[0]);
        let confirmed = world.exchange.confirm_address(rita.account, &code).await;
        confirmed.unwrap();
        happen(&world, &rita).await;
        let letter = due(&world).await.remove(0);
        assert!(letter.unsubscribe.is_some());
        let unreachable = Posted::Failed(DeliveryError::Unreachable);
        answer(&world, letter.id, unreachable).await;
        assert!(due(&world).await.is_empty());
        world.pass(11_000);
        let again = due(&world).await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].name, letter.name);
        answer(&world, letter.id, Posted::Taken).await;
        world.pass(86_400_000);
        assert!(due(&world).await.is_empty());

        // What waits when its person wants no more is not sent when they want it again.
        happen(&world, &rita).await;
        assert_eq!(due(&world).await.len(), 1);
        wish(&world, &rita, false).await;
        wish(&world, &rita, true).await;
        assert!(due(&world).await.is_empty());
        // A day's letters are bounded.
        for _ in 0..60 {
            happen(&world, &rita).await;
            world.pass(10_000);
        }
        let mut sent = 0;
        loop {
            let letters = due(&world).await;
            if letters.is_empty() {
                break;
            }
            for letter in letters {
                answer(&world, letter.id, Posted::Taken).await;
                sent += 1;
            }
        }
        // The one that was given up counts too.
        assert_eq!(sent, 49);
    }
}
