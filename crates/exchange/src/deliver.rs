//! How notices leave the house: what is due, what an answer means, when to try again. The server has the connections.

use kernel::{NoticeId, Seconds, Timestamp, WebhookId};
use protocol::notice::{DeliveryError, DeliveryState, Notice};
use serde::Serialize;
use store::{DueWebhook, Target};

use crate::desk::Exchange;
use crate::error::Error;
use crate::webhooks::{base64, mac, salts};

/// From an attempt to the next, in seconds. Together they last for more than a day: what fails so long switches the
/// webhook off, and whoever repairs theirs within the day has lost nothing.
const PAUSES: [u64; 9] = [10, 30, 120, 600, 1_800, 7_200, 18_000, 43_200, 43_200];
/// A receiver may ask for more patience, but not for more than this.
const PATIENCE_MAX: Seconds = Seconds::new(43_200);
/// A webhook to which nothing got through for so long is switched off.
const FAILING_MAX: Seconds = Seconds::DAY;
const GONE: u16 = 410;

/// One notice for one webhook.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub webhook: WebhookId,
    pub notice: NoticeId,
    pub url: String,
    pub body: String,
    keys: Vec<[u8; 32]>,
}

impl Parcel {
    /// The headers, signed for the moment of sending: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    ///
    /// # Errors
    /// Never: see [`mac`].
    pub fn headers(&self, now: Timestamp) -> Result<[(&'static str, String); 3], Error> {
        let at = now.millis().div_euclid(1_000).to_string();
        let signed = format!("{}.{at}.{}", self.notice, self.body);
        let signatures: Result<Vec<String>, Error> = self
            .keys
            .iter()
            .map(|key| Ok(format!("v1,{}", base64(&mac(key, signed.as_bytes())?))))
            .collect();
        Ok([
            ("webhook-id", self.notice.to_string()),
            ("webhook-timestamp", at),
            ("webhook-signature", signatures?.join(" ")),
        ])
    }
}

/// How a receiver took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answered {
        status: u16,
        /// For how long it asks to be left alone.
        retry_after: Option<Seconds>,
    },
    Failed(DeliveryError),
}

impl Outcome {
    const fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(status),
            Self::Failed(_) => None,
        }
    }

    /// `None`: it got through.
    const fn error(self) -> Option<DeliveryError> {
        match self {
            Self::Answered {
                status: 200..=299, ..
            } => None,
            Self::Answered { .. } => Some(DeliveryError::Status),
            Self::Failed(error) => Some(error),
        }
    }
}

/// How long until the next attempt after so many; `None`: there is none. `jitter` spreads what failed together over a
/// fifth of the pause.
pub(crate) fn pause(attempts: u32, retry_after: Option<Seconds>, jitter: u16) -> Option<Seconds> {
    let at = usize::try_from(attempts.saturating_sub(1)).ok()?;
    let pause = *PAUSES.get(at)?;
    let spread = pause.saturating_mul(u64::from(jitter)) / u64::from(u16::MAX) / 5;
    let pause = Seconds::new(pause.saturating_sub(pause / 10).saturating_add(spread));
    Some(pause.max(retry_after.unwrap_or_default().min(PATIENCE_MAX)))
}

/// What a webhook is sent.
#[derive(Serialize)]
struct Body<'a> {
    timestamp: Timestamp,
    #[serde(flatten)]
    notice: &'a Notice,
}

impl Exchange {
    fn parcel(&self, due: DueWebhook) -> Result<Parcel, Error> {
        let body = Body {
            timestamp: due.notice.at,
            notice: &due.notice.notice,
        };
        let body = serde_json::to_string(&body)
            .map_err(|error| Error::Internal(format!("writing a notice: {error}")))?;
        let keys: Result<Vec<[u8; 32]>, Error> = salts(due.salt, due.previous, self.now())
            .iter()
            .map(|salt| self.webhook_key(due.webhook, salt))
            .collect();
        Ok(Parcel {
            webhook: due.webhook,
            notice: due.notice.id,
            url: due.url,
            body,
            keys: keys?,
        })
    }

    /// What is to be sent now, to the webhooks that work or to those that fail; to each at most `each`. They stay due
    /// until [`Self::webhook_answered`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_webhooks(
        &self,
        failing: bool,
        each: u32,
        limit: u32,
    ) -> Result<Vec<Parcel>, Error> {
        let now = self.now();
        let due = self.inner.store.due_webhooks(now, failing, each, limit);
        due.await?.into_iter().map(|due| self.parcel(due)).collect()
    }

    /// Notes how an attempt ended at `url`, and what follows from it for its webhook. Where its owner has named another address since,
    /// what the old one answered says nothing of the webhook: unless it took the notice, that stays due, for the new one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn webhook_answered(
        &self,
        webhook: WebhookId,
        notice: NoticeId,
        url: &str,
        outcome: Outcome,
    ) -> Result<(), Error> {
        let now = self.now();
        let target = Target::Webhook(webhook);
        let mut tx = self.inner.store.begin().await?;
        // It may have been deleted or switched off meanwhile.
        let Some(mut hook) = tx.webhook(webhook).await? else {
            return Ok(());
        };
        let delivery = tx.delivery(hook.account, notice, target).await?;
        let Some(mut delivery) = delivery.filter(|own| own.state == DeliveryState::Waiting) else {
            return Ok(());
        };
        let is_current = hook.url == url;
        if !is_current && outcome.error().is_some() {
            return Ok(());
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.status = outcome.status();
        delivery.error = outcome.error();
        let retry_after = match outcome {
            Outcome::Answered { retry_after, .. } => retry_after,
            Outcome::Failed(_) => None,
        };
        let jitter = u16::from_be_bytes(self.random());
        let again = pause(delivery.attempts, retry_after, jitter);
        delivery.ended_at = Some(now);
        let Some(error) = delivery.error else {
            delivery.state = DeliveryState::Delivered;
            tx.update_delivery(&delivery).await?;
            if is_current && hook.failing_since.take().is_some() {
                tx.update_webhook(&hook).await?;
            }
            return Ok(tx.commit().await?);
        };
        let since = *hook.failing_since.get_or_insert(now);
        let gone = delivery.status == Some(GONE) || now.seconds_since(since) >= FAILING_MAX;
        if let (Some(again), false) = (again, gone) {
            delivery.ended_at = None;
            delivery.next_at = now.plus(again);
        } else {
            delivery.state = DeliveryState::Failed;
        }
        tx.update_delivery(&delivery).await?;
        hook.enabled = !gone;
        tx.update_webhook(&hook).await?;
        if gone {
            tx.give_up_waiting(hook.account, target, DeliveryError::SwitchedOff, now)
                .await?;
            let notice = Notice::WebhookDisabled {
                webhook,
                url: hook.url,
                failing_since: since,
                error,
            };
            self.notify(&mut tx, hook.account, notice).await?;
        }
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_outlast_a_day_and_are_spread() {
        let mut least = 0;
        for attempt in 1..=9 {
            let [early, late] = [0, u16::MAX].map(|jitter| pause(attempt, None, jitter).unwrap());
            let middle = PAUSES[usize::try_from(attempt).unwrap() - 1];
            assert_eq!(early.get(), middle - middle / 10);
            assert_eq!(late.get(), middle - middle / 10 + middle / 5);
            least += early.get();
        }
        assert!(least > FAILING_MAX.get());
        assert_eq!(pause(10, None, 0), None);
        assert_eq!(pause(10, Some(Seconds::HOUR), 0), None);
    }

    #[test]
    fn a_receiver_is_given_the_time_it_asks_for_within_bounds() {
        let asked = |seconds| pause(1, Some(Seconds::new(seconds)), 0).unwrap().get();
        assert_eq!([0, 5, 90, 1 << 40].map(asked), [9, 9, 90, 43_200]);
    }

    #[test]
    fn a_parcel_is_signed_as_the_standard_has_it() {
        // The example of the Standard Webhooks' own libraries: key, id, time and body give this signature.
        let key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let key: [u8; 24] = {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD.decode(key);
            bytes.unwrap().try_into().unwrap()
        };
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(
            base64(&mac(&key, signed.as_bytes()).unwrap()),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
