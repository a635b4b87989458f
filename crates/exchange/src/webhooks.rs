//! Webhooks: where an account wants its notices posted. `deliver` does it.

use hmac::{Hmac, KeyInit, Mac};
use kernel::reach::is_reachable;
use kernel::{NoticeId, Seconds, Timestamp, WebhookId};
use protocol::audit::AuditAction;
use protocol::notice::{
    DeliveryError, DeliveryState, DeliveryView, Event, NewWebhook, NewWebhookView, Notice, URL_MAX,
    WEBHOOKS_MAX, WebhookChange, WebhookView,
};
use protocol::view::{Page, Scope};
use sha2::Sha256;
use store::{Delivery, Target, Tx, Webhook};
use url::{Host, Url};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::notify::QUEUE_MAX;

/// A replaced secret signs beside the new one for so long.
const PREVIOUS_KEPT: Seconds = Seconds::DAY;
/// Whoever asks for more makes us knock at somebody's door.
const TESTS_A_MINUTE: u32 = 10;

fn view(hook: Webhook) -> WebhookView {
    WebhookView {
        id: hook.id,
        url: hook.url,
        events: hook.events,
        created_at: hook.created_at,
        enabled: hook.enabled,
        failing_since: hook.failing_since,
    }
}

fn delivery_view(delivery: &Delivery, event: Event) -> DeliveryView {
    DeliveryView {
        notice: delivery.notice,
        event,
        state: delivery.state,
        attempts: delivery.attempts,
        created_at: delivery.created_at,
        next_at: (delivery.state == DeliveryState::Waiting).then_some(delivery.next_at),
        ended_at: delivery.ended_at,
        status: delivery.status,
        error: delivery.error,
    }
}

fn bad_url(message: &str) -> Error {
    Error::invalid("url", message)
}

/// As it is kept: what the parser made of it is what will be asked. `local`: this machine and plain HTTP to it are fine.
fn checked_url(text: &str, local: bool) -> Result<String, Error> {
    let mut url = Url::parse(text.trim())
        .map_err(|_| bad_url("an address such as https://example.com/iog"))?;
    let (known, home) = match url.host() {
        Some(Host::Ipv4(ip)) => (is_reachable(ip.into(), local), ip.is_loopback()),
        Some(Host::Ipv6(ip)) => (is_reachable(ip.into(), local), ip.is_loopback()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let home = name == "localhost" || name.ends_with(".localhost");
            (!home || local, home)
        }
        None => (false, false),
    };
    let secure = url.scheme() == "https" || url.scheme() == "http" && home && local;
    if !secure {
        return Err(bad_url(
            "it has to begin with https://, so that nobody on the way can read or change what is sent",
        ));
    }
    if !known {
        return Err(bad_url(
            "an address that the whole world can reach, not one of a private network or of this machine",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_url(
            "without a name and a password; the signature shows that it comes from here",
        ));
    }
    url.set_fragment(None);
    let kept = url.to_string();
    if kept.len() > URL_MAX {
        return Err(bad_url("at most 2048 characters"));
    }
    Ok(kept)
}

/// Each once, in the order of [`Event::ALL`]; all of them is the same as none.
fn checked_events(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_unstable();
    events.dedup();
    if events.len() == Event::ALL.len() {
        events.clear();
    }
    events
}

/// # Errors
/// Never: the algorithm takes keys of any length.
pub(crate) fn mac(key: &[u8], text: &[u8]) -> Result<[u8; 32], Error> {
    let mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Error::Internal(error.to_string()))?
        .chain_update(text);
    Ok(mac.finalize().into_bytes().into())
}

/// As links carry it.
pub(crate) fn url_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn own(tx: &mut Tx, actor: &Actor, id: WebhookId) -> Result<Webhook, Error> {
    let hook = tx.webhook(id).await?;
    hook.filter(|hook| hook.account == actor.account)
        .ok_or(Error::NotFound("the webhook"))
}

fn switched_off() -> Error {
    Error::Conflict("this webhook is switched off; switch it on first".into())
}

impl Exchange {
    /// The key of a webhook's signatures.
    pub(crate) fn webhook_key(&self, id: WebhookId, salt: &str) -> Result<[u8; 32], Error> {
        self.derived("webhook", &format!("{id}\n{salt}"))
    }

    /// A secret that is computed whenever it is needed, and kept nowhere.
    pub(crate) fn derived(&self, purpose: &str, what: &str) -> Result<[u8; 32], Error> {
        let key = self.inner.key.to_bytes();
        mac(&key, format!("iog {purpose}\n{what}").as_bytes())
    }

    fn new_salt(&self) -> String {
        hex::encode(self.random::<16>())
    }

    fn with_secret(&self, hook: Webhook) -> Result<NewWebhookView, Error> {
        let secret = format!("whsec_{}", base64(&self.webhook_key(hook.id, &hook.salt)?));
        Ok(NewWebhookView {
            webhook: view(hook),
            secret,
        })
    }

    /// The account's, the oldest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn webhooks(&self, actor: &Actor) -> Result<Vec<WebhookView>, Error> {
        actor.require(Scope::Read)?;
        let hooks = self.inner.store.webhooks(actor.account).await?;
        Ok(hooks.into_iter().map(view).collect())
    }

    async fn own_webhook(&self, actor: &Actor, id: WebhookId) -> Result<Webhook, Error> {
        actor.require(Scope::Read)?;
        let hook = self.inner.store.webhook(id).await?;
        hook.filter(|hook| hook.account == actor.account)
            .ok_or(Error::NotFound("the webhook"))
    }

    /// # Errors
    /// Not this account's.
    pub async fn webhook(&self, actor: &Actor, id: WebhookId) -> Result<WebhookView, Error> {
        Ok(view(self.own_webhook(actor, id).await?))
    }

    /// From now on the account's notices are posted there. The secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// An address that may not be posted to; more than an account may have; not with an API key, since what it made
    /// would go on when it is revoked.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        new: NewWebhook,
    ) -> Result<NewWebhookView, Error> {
        actor.require_person()?;
        let now = self.now();
        let hook = Webhook {
            id: WebhookId::new(now, self.random()),
            account: actor.account,
            url: checked_url(&new.url, self.inner.settings.webhooks_local)?,
            events: checked_events(new.events),
            salt: self.new_salt(),
            previous: None,
            created_at: now,
            enabled: true,
            failing_since: None,
        };
        let mut tx = self.inner.store.begin().await?;
        if tx.webhooks(actor.account).await?.len() >= WEBHOOKS_MAX {
            return Err(Error::Conflict(format!(
                "an account has {WEBHOOKS_MAX} webhooks; delete one first"
            )));
        }
        tx.insert_webhook(&hook).await?;
        let act = Act::by(actor, AuditAction::WebhookCreated, hook.id);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        self.with_secret(hook)
    }

    /// Another address or other events, on or off. What waits goes to the new address; switched off, it is given up.
    ///
    /// # Errors
    /// Not this account's; an address that may not be posted to; not with an API key.
    pub async fn change_webhook(
        &self,
        actor: &Actor,
        id: WebhookId,
        change: WebhookChange,
    ) -> Result<WebhookView, Error> {
        actor.require_person()?;
        let local = self.inner.settings.webhooks_local;
        let url = change.url.map(|url| checked_url(&url, local)).transpose()?;
        let mut tx = self.inner.store.begin().await?;
        let mut hook = own(&mut tx, actor, id).await?;
        let was = hook.clone();
        hook.url = url.unwrap_or(hook.url);
        hook.events = change.events.map_or(hook.events, checked_events);
        hook.enabled = change.enabled.unwrap_or(hook.enabled);
        if hook.url != was.url || hook.enabled != was.enabled {
            hook.failing_since = None;
        }
        tx.update_webhook(&hook).await?;
        if !hook.enabled {
            let target = Target::Webhook(id);
            tx.give_up_waiting(hook.account, target, DeliveryError::SwitchedOff, self.now())
                .await?;
        }
        let act = Act::by(actor, AuditAction::WebhookChanged, id);
        let on = if hook.enabled { "yes" } else { "no" };
        self.audit(&mut tx, act.with("enabled", on)).await?;
        tx.commit().await?;
        Ok(view(hook))
    }

    /// A new secret, shown this once. For a day the old one signs too.
    ///
    /// # Errors
    /// Not this account's; not with an API key.
    pub async fn rotate_webhook_secret(
        &self,
        actor: &Actor,
        id: WebhookId,
    ) -> Result<NewWebhookView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let mut hook = own(&mut tx, actor, id).await?;
        let until = self.now().plus(PREVIOUS_KEPT);
        let salt = std::mem::replace(&mut hook.salt, self.new_salt());
        hook.previous = Some((salt, until));
        tx.update_webhook(&hook).await?;
        let act = Act::by(actor, AuditAction::WebhookSecretRotated, id);
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        self.with_secret(hook)
    }

    /// With what was on its way to it.
    ///
    /// # Errors
    /// Not this account's; not with an API key.
    pub async fn delete_webhook(&self, actor: &Actor, id: WebhookId) -> Result<(), Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let hook = own(&mut tx, actor, id).await?;
        tx.delete_webhook(&hook).await?;
        let act = Act::by(actor, AuditAction::WebhookDeleted, id);
        self.audit(&mut tx, act).await?;
        Ok(tx.commit().await?)
    }

    /// Sends it a notice that means nothing, whatever it listens to.
    ///
    /// # Errors
    /// Not this account's; switched off; too many; not with an API key.
    pub async fn test_webhook(&self, actor: &Actor, id: WebhookId) -> Result<DeliveryView, Error> {
        actor.require_person()?;
        let row = self.notice_row(actor.account, Notice::WebhookTest { webhook: id });
        let target = Target::Webhook(id);
        let mut tx = self.inner.store.begin().await?;
        if !own(&mut tx, actor, id).await?.enabled {
            return Err(switched_off());
        }
        let minute_ago = row.at.minus(Seconds::MINUTE);
        let tests = tx
            .notices_since(actor.account, Event::WebhookTest, minute_ago)
            .await?;
        if tests >= TESTS_A_MINUTE || tx.waiting(target).await? >= QUEUE_MAX {
            return Err(Error::Conflict(format!(
                "{TESTS_A_MINUTE} tests a minute are enough, and those that wait go first; try again later"
            )));
        }
        tx.insert_notice(&row).await?;
        tx.enqueue(&row, target).await?;
        let delivery = tx.delivery(actor.account, row.id, target).await?;
        tx.commit().await?;
        let delivery = delivery.ok_or(Error::NotFound("the delivery"))?;
        Ok(delivery_view(&delivery, Event::WebhookTest))
    }

    /// What went to it in the last week, newest first.
    ///
    /// # Errors
    /// Not this account's.
    pub async fn webhook_deliveries(
        &self,
        actor: &Actor,
        id: WebhookId,
        before: Option<NoticeId>,
        limit: u32,
    ) -> Result<Page<DeliveryView>, Error> {
        let hook = self.own_webhook(actor, id).await?;
        let limit = limit.clamp(1, 200);
        let rows = self.inner.store.deliveries(&hook, before, limit).await?;
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = rows.last().map(|(delivery, _)| delivery.notice.to_string());
        Ok(Page {
            next: last.filter(|_| full),
            items: rows
                .into_iter()
                .map(|(delivery, event)| delivery_view(&delivery, event))
                .collect(),
        })
    }

    /// Sends one again, now and with all its attempts; under the same id as before.
    ///
    /// # Errors
    /// Not this account's, or forgotten by now; the webhook is switched off; not with an API key.
    pub async fn redeliver(
        &self,
        actor: &Actor,
        id: WebhookId,
        notice: NoticeId,
    ) -> Result<DeliveryView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let hook = own(&mut tx, actor, id).await?;
        let target = Target::Webhook(id);
        let delivery = tx.delivery(actor.account, notice, target).await?;
        let mut delivery = delivery.ok_or(Error::NotFound("the delivery"))?;
        if !hook.enabled {
            return Err(switched_off());
        }
        // The timestamp is of the moment of sending; nothing else distinguishes it from the first time.
        delivery.state = DeliveryState::Waiting;
        delivery.attempts = 0;
        delivery.next_at = self.now();
        delivery.ended_at = None;
        tx.update_delivery(&delivery).await?;
        tx.commit().await?;
        let row = self.inner.store.notice(actor.account, notice).await?;
        let row = row.ok_or(Error::NotFound("the delivery"))?;
        Ok(delivery_view(&delivery, row.notice.event()))
    }
}

/// Those whose signatures count now: the newest first.
pub(crate) fn salts(
    salt: String,
    previous: Option<(String, Timestamp)>,
    now: Timestamp,
) -> Vec<String> {
    let old = previous.filter(|(_, until)| now < *until);
    std::iter::once(salt)
        .chain(old.map(|(salt, _)| salt))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_it_will_be_asked() {
        let kept = |text: &str| checked_url(text, false).ok();
        assert_eq!(
            kept(" https://EXAMPLE.com/a?b=c#d ").as_deref(),
            Some("https://example.com/a?b=c")
        );
        assert_eq!(
            kept("https://münchen.example:8443").as_deref(),
            Some("https://xn--mnchen-3ya.example:8443/")
        );
        assert_eq!(
            kept("https://1.1.1.1/").as_deref(),
            Some("https://1.1.1.1/")
        );
        for refused in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://localhost/",
            "https://a.localhost./",
            "https://127.0.0.1/",
            // Other ways to write loopback and the metadata's address.
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0251.0376.0251.0376/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
        ] {
            assert_eq!(kept(refused), None, "{refused}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_MAX));
        assert_eq!(kept(&long), None);
    }

    #[test]
    fn on_ones_own_machine_plain_http_leads_home_and_nowhere_else() {
        let kept = |text: &str| checked_url(text, true).is_ok();
        assert!(kept("http://127.0.0.1:9000/a") && kept("http://localhost:9000/"));
        assert!(kept("http://[::1]:9000/") && kept("https://example.com/"));
        for refused in [
            "http://example.com/",
            "http://10.0.0.1/",
            "https://10.0.0.1/",
        ] {
            assert!(!kept(refused), "{refused}");
        }
    }

    #[test]
    fn all_events_are_the_same_as_none() {
        assert!(checked_events(Event::ALL.to_vec()).is_empty());
        let twice = vec![Event::JobEnded, Event::JobStarted, Event::JobEnded];
        assert_eq!(checked_events(twice), [Event::JobStarted, Event::JobEnded]);
    }

    #[test]
    fn a_signature_is_as_rfc_4231_has_it() {
        // Its second case.
        let made = mac(b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(
            hex::encode(made),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
