//! What an account was told, how it wants to be told, and its webhooks.

use leptos::prelude::*;
use protocol::notice::NewWebhookView;

use crate::fault::Fault;

/// What a plain form leaves for the page, to show it once.
#[cfg(feature = "ssr")]
pub(crate) const SECRET_FLASH: &str = "iog_webhook";

/// Up to the newest that the page showed, so that what came since stays unread.
#[server(prefix = "/fn", endpoint = "read-notices")]
pub async fn read_notices(up_to: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let up_to = super::parse_id(&up_to)?;
    super::exchange()?.read_notices(&actor, Some(up_to)).await?;
    super::answer_form("/notices");
    Ok(())
}

/// `runway`: times such as `24h 1h 10m`. A box that is not ticked is absent.
#[server(prefix = "/fn", endpoint = "notifications")]
pub async fn set_notifications(
    #[server(default)] email: String,
    language: String,
    runway: String,
) -> Result<(), Fault> {
    use protocol::notice::{Language, NotificationSettings};

    let actor = super::actor().await?;
    let settings = NotificationSettings {
        email: !email.is_empty(),
        language: Language::parse(&language).unwrap_or_default(),
        runway_seconds: read_times(&runway)?,
    };
    super::exchange()?
        .set_notification_settings(&actor, settings)
        .await
        .map_err(in_the_form)?;
    super::answer_form("/notifications");
    Ok(())
}

/// The field as the form calls it.
#[cfg(feature = "ssr")]
fn in_the_form(error: exchange::Error) -> Fault {
    let mut problem = error.problem();
    for field in &mut problem.fields {
        if field.field.starts_with("runway_seconds") {
            field.field = "runway".into();
        }
    }
    problem.into()
}

#[cfg(feature = "ssr")]
fn read_times(text: &str) -> Result<Vec<kernel::Seconds>, Fault> {
    let wrong = || protocol::Problem::field("runway", "times such as 24h 1h 10m");
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let unit = match word.get(digits.len()..) {
                Some("d") => 86_400,
                Some("h") => 3_600,
                Some("m" | "min") => 60,
                Some("s") => 1,
                _ => return Err(wrong().into()),
            };
            let number: u64 = digits.parse().map_err(|_| wrong())?;
            Ok(kernel::Seconds::new(number.saturating_mul(unit)))
        })
        .collect()
}

/// `events`: the names that are ticked; none means all.
#[server(prefix = "/fn", endpoint = "make-webhook")]
pub async fn make_webhook(
    url: String,
    #[server(default)] events: Vec<String>,
) -> Result<NewWebhookView, Fault> {
    use protocol::notice::{Event, NewWebhook};

    let actor = super::actor().await?;
    let events: Result<Vec<Event>, String> = events
        .iter()
        .map(|name| Event::parse(name).ok_or_else(|| format!("`{name}` is no event")))
        .collect();
    let events = events.map_err(|why| protocol::Problem::field("events", why))?;
    let made = super::exchange()?
        .create_webhook(&actor, NewWebhook { url, events })
        .await?;
    super::flash("/notifications", SECRET_FLASH, &made.secret);
    Ok(made)
}

#[server(prefix = "/fn", endpoint = "switch-webhook")]
pub async fn switch_webhook(id: String, enabled: bool) -> Result<(), Fault> {
    use protocol::notice::WebhookChange;

    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    let change = WebhookChange {
        enabled: Some(enabled),
        ..WebhookChange::default()
    };
    super::exchange()?
        .change_webhook(&actor, id, change)
        .await?;
    super::answer_form("/notifications");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "rotate-webhook")]
pub async fn rotate_webhook(id: String) -> Result<NewWebhookView, Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    let made = super::exchange()?.rotate_webhook_secret(&actor, id).await?;
    super::flash("/notifications", SECRET_FLASH, &made.secret);
    Ok(made)
}

#[server(prefix = "/fn", endpoint = "delete-webhook")]
pub async fn delete_webhook(id: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let id = super::parse_id(&id)?;
    super::exchange()?.delete_webhook(&actor, id).await?;
    super::answer_form("/notifications");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "test-webhook")]
pub async fn test_webhook(id: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let hook = super::parse_id(&id)?;
    super::exchange()?.test_webhook(&actor, hook).await?;
    super::answer_form(&format!("/notifications?webhook={hook}"));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "redeliver")]
pub async fn redeliver(id: String, notice: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let hook = super::parse_id(&id)?;
    let notice = super::parse_id(&notice)?;
    super::exchange()?.redeliver(&actor, hook, notice).await?;
    super::answer_form(&format!("/notifications?webhook={hook}"));
    Ok(())
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::read_times;

    #[test]
    fn times_are_read_with_their_units() {
        let read = |text: &str| -> Option<Vec<u64>> {
            let times = read_times(text).ok()?;
            Some(times.iter().map(|time| time.get()).collect())
        };
        assert_eq!(
            read("1d, 2h 10m 5min 30s"),
            Some(vec![86_400, 7_200, 600, 300, 30])
        );
        assert_eq!(read(" "), Some(vec![]));
        for wrong in ["1", "h", "1x", "-1h", "1.5h"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
