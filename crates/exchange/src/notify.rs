//! Telling people: what an account is told stands in the database with its cause, and goes from there to its pages, its
//! address and its webhooks. `deliver` sends, `runway` watches the money.

use kernel::{AccountId, Amount, NoticeId, Seconds};
use protocol::live::{Live, Topic};
use protocol::notice::{
    DeliveryError, Notice, NoticeView, NotificationSettings, NotificationSettingsView, RUNWAYS_MAX,
};
use protocol::state::RunEnd;
use protocol::view::{Page, Scope};
use store::{Address, Job, NoticeRow, Target, Tx};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;

/// What waits for one webhook. A receiver that takes less than it asked for loses the newest; docs/webhooks.md says so.
pub(crate) const QUEUE_MAX: u32 = 1_000;
/// To one address. Whoever sets the server up answers for what it sends.
const EMAILS_A_DAY: u32 = 50;
const NOTICES_KEPT: Seconds = Seconds::new(90 * 86_400);
const DELIVERIES_KEPT: Seconds = Seconds::new(7 * 86_400);
const RUNWAY_MIN: Seconds = Seconds::MINUTE;
const RUNWAY_MAX: Seconds = Seconds::new(30 * 86_400);

fn view(row: NoticeRow) -> NoticeView {
    NoticeView {
        id: row.id,
        at: row.at,
        read: row.read_at.is_some(),
        notice: row.notice,
    }
}

/// Each once, the longest first.
fn checked(mut settings: NotificationSettings) -> Result<NotificationSettings, Error> {
    let runways = &mut settings.runway_seconds;
    runways.sort_unstable_by(|a, b| b.cmp(a));
    runways.dedup();
    let in_range = |runway: &Seconds| (RUNWAY_MIN..=RUNWAY_MAX).contains(runway);
    if runways.len() > RUNWAYS_MAX || !runways.iter().all(in_range) {
        return Err(Error::invalid(
            "runway_seconds",
            "up to five, each from 60 seconds to 30 days (2592000)",
        ));
    }
    Ok(settings)
}

impl Exchange {
    pub(crate) fn notice_row(&self, account: AccountId, notice: Notice) -> NoticeRow {
        let now = self.now();
        NoticeRow {
            id: NoticeId::new(now, self.random()),
            account,
            at: now,
            read_at: notice.is_quiet().then_some(now),
            notice,
        }
    }

    /// Tells an account something, in the caller's transaction: it commits with its cause or not at all, for the portal
    /// and for all that leaves the house. Nothing is left to do after the commit.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn notify(
        &self,
        tx: &mut Tx,
        account: AccountId,
        notice: Notice,
    ) -> Result<NoticeId, Error> {
        let row = self.notice_row(account, notice);
        tx.insert_notice(&row).await?;
        tx.enqueue_webhooks(&row, QUEUE_MAX).await?;
        if self.inner.settings.email && row.notice.is_mailed() {
            let since = row.at.minus(Seconds::DAY);
            tx.enqueue_email(&row, since, EMAILS_A_DAY).await?;
        }
        Ok(row.id)
    }

    /// A job that computes a slice again was sent by nobody. That it runs and went well would bury what its account did send; what came
    /// of the check stands with the job that is checked.
    fn is_quiet(&self, job: &Job) -> bool {
        self.memory().apart.contains_key(&job.id)
    }

    pub(crate) async fn tell_started(&self, tx: &mut Tx, job: &Job) -> Result<(), Error> {
        if self.is_quiet(job) {
            return Ok(());
        }
        let notice = Notice::JobStarted {
            job: job.id,
            name: job.spec.name.clone(),
            restarts: job.restarts,
        };
        self.notify(tx, job.account, notice).await?;
        Ok(())
    }

    /// Of a job that is over; `cost` is all that was paid for it.
    pub(crate) async fn tell_ended(
        &self,
        tx: &mut Tx,
        job: &Job,
        cost: Amount,
    ) -> Result<(), Error> {
        let Some(end) = job.end.clone() else {
            return Ok(());
        };
        if end == (RunEnd::Exited { code: 0 }) && self.is_quiet(job) {
            return Ok(());
        }
        let name = job.spec.name.clone();
        if end == RunEnd::OutOfFunds {
            let notice = Notice::JobOutOfFunds {
                job: job.id,
                name: name.clone(),
                cost,
            };
            self.notify(tx, job.account, notice).await?;
        }
        let notice = Notice::JobEnded {
            job: job.id,
            name,
            state: job.state,
            end,
            cost,
        };
        self.notify(tx, job.account, notice).await?;
        Ok(())
    }

    /// Tells the pages of those whose notices changed.
    pub(crate) async fn publish_notices(&self) -> Result<(), Error> {
        for account in self.inner.store.take_told() {
            let topic = Topic::Account(account);
            if self.live().watched(topic) {
                let unread = self.inner.store.unread_notices(account).await?;
                self.live().publish(topic, Live::Notices { unread });
                // Much of what is told moves money: a deposit, a refund, a payout.
                let (meter, at) = (self.meter_of(account).await?, self.now());
                self.live().publish(topic, Live::Meter { meter, at });
            }
        }
        Ok(())
    }

    /// What the account was told, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn notices(
        &self,
        actor: &Actor,
        before: Option<NoticeId>,
        limit: u32,
    ) -> Result<Page<NoticeView>, Error> {
        actor.require(Scope::Read)?;
        let limit = limit.clamp(1, 200);
        let store = &self.inner.store;
        let rows = store.notices(actor.account, before, limit).await?;
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let last = rows.last().map(|row| row.id.to_string());
        Ok(Page {
            next: last.filter(|_| full),
            items: rows.into_iter().map(view).collect(),
        })
    }

    /// How many the account has not read; counted up to 100.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn unread_notices(&self, actor: &Actor) -> Result<u32, Error> {
        actor.require(Scope::Read)?;
        Ok(self.inner.store.unread_notices(actor.account).await?)
    }

    /// Marks as read all up to a notice, or all. How many are unread now.
    ///
    /// # Errors
    /// Not with an API key: what a program reads, its person has not.
    pub async fn read_notices(&self, actor: &Actor, up_to: Option<NoticeId>) -> Result<u32, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        tx.read_notices(actor.account, up_to, self.now()).await?;
        tx.commit().await?;
        self.unread_notices(actor).await
    }

    fn settings_view(
        &self,
        actor: &Actor,
        settings: NotificationSettings,
        address: Option<Address>,
    ) -> NotificationSettingsView {
        let asked = address.filter(|address| address.email == actor.email);
        let asked = asked.as_ref();
        NotificationSettingsView {
            settings,
            email_available: self.inner.settings.email,
            address: actor.email.clone(),
            address_confirmed: asked.is_some_and(|asked| asked.confirmed_at.is_some()),
            address_asked_at: asked.map(|asked| asked.asked_at),
            address_error: asked.and_then(|asked| asked.error),
        }
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn notification_settings(
        &self,
        actor: &Actor,
    ) -> Result<NotificationSettingsView, Error> {
        actor.require(Scope::Read)?;
        let wishes = self.inner.store.wishes(actor.account).await?;
        let address = self.inner.store.address(actor.account).await?;
        Ok(self.settings_view(actor, wishes.settings, address))
    }

    /// # Errors
    /// Runways out of range, or too many; not with an API key.
    pub async fn set_notification_settings(
        &self,
        actor: &Actor,
        settings: NotificationSettings,
    ) -> Result<NotificationSettingsView, Error> {
        actor.require_person()?;
        let settings = checked(settings)?;
        let mut tx = self.inner.store.begin().await?;
        let mut wishes = tx.wishes(actor.account).await?;
        wishes.settings = settings.clone();
        tx.put_wishes(&wishes).await?;
        if settings.email {
            self.ask_once(&mut tx, actor).await?;
        } else {
            let (now, off) = (self.now(), DeliveryError::SwitchedOff);
            tx.give_up_waiting(actor.account, Target::Email, off, now)
                .await?;
        }
        let address = tx.address(actor.account).await?;
        tx.commit().await?;
        self.memory().runways.look_again(actor.account);
        Ok(self.settings_view(actor, settings, address))
    }

    /// Forgets what is old.
    pub(crate) async fn prune_notices(&self) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        tx.forget_deliveries(now.minus(DELIVERIES_KEPT)).await?;
        tx.forget_notices(now.minus(NOTICES_KEPT)).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runways_are_sorted_bounded_and_said_once() {
        let with = |seconds: &[u64]| {
            let settings = NotificationSettings {
                runway_seconds: seconds.iter().map(|s| Seconds::new(*s)).collect(),
                ..NotificationSettings::default()
            };
            checked(settings).map(|settings| settings.runway_seconds)
        };
        let all = [60, 3_600, 60].map(Seconds::new);
        assert_eq!(with(&[60, 3_600, 60]).expect("fine"), [all[1], all[0]]);
        assert!(with(&[]).expect("none is a choice").is_empty());
        for wrong in [vec![59], vec![2_592_001], vec![60, 61, 62, 63, 64, 65]] {
            let error = with(&wrong).expect_err("refused");
            assert_eq!(error.problem().fields[0].field, "runway_seconds");
        }
    }
}
