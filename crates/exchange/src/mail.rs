//! Notices by e-mail: to an address only once its person has said that it is theirs. The server speaks to the mail's host.

use kernel::{AccountId, NoticeId, Seconds, Timestamp};
use protocol::notice::{DeliveryError, DeliveryState, Language, NotificationSettingsView};
use store::{Address, Target, Tx};

use crate::actor::Actor;
use crate::deliver::pause;
use crate::desk::{Exchange, secret_hash};
use crate::error::Error;
use crate::letters;
use crate::webhooks::url_base64;

/// The question is asked so often a day, and not twice within a minute.
const ASKS_A_DAY: u32 = 3;
const ASK_AGAIN: Seconds = Seconds::MINUTE;
/// The link in the question is good for so long.
const QUESTION_KEPT: Seconds = Seconds::new(3 * 86_400);

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LetterId {
    Notice(AccountId, NoticeId),
    /// Whether the address is the account's.
    Question(AccountId),
}

/// A letter to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: LetterId,
    /// The same each time it is sent; the part before the `@` of its `Message-ID`.
    pub name: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    /// Where one request ends these letters.
    pub unsubscribe: Option<String>,
}

/// What the mail's host said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    Taken,
    /// Not now (4xx): to be tried again.
    Deferred(u16),
    /// Not ever (5xx).
    Refused(u16),
    /// Nothing, or nothing that can be read.
    Failed(DeliveryError),
}

impl Posted {
    const fn status(self) -> Option<u16> {
        match self {
            Self::Deferred(status) | Self::Refused(status) => Some(status),
            Self::Taken | Self::Failed(_) => None,
        }
    }

    const fn error(self) -> Option<DeliveryError> {
        match self {
            Self::Taken => None,
            Self::Deferred(_) | Self::Refused(_) => Some(DeliveryError::Status),
            Self::Failed(error) => Some(error),
        }
    }
}

/// A question that is to be sent now.
fn asked(
    address: Option<Address>,
    actor: &Actor,
    salt: String,
    now: Timestamp,
) -> Result<Address, Error> {
    let mut address = address.unwrap_or(Address {
        account: actor.account,
        email: actor.email.clone(),
        salt: String::new(),
        confirmed_at: None,
        day: now,
        asks: 0,
        asked_at: Timestamp::default(),
        attempts: 0,
        next_at: None,
        error: None,
    });
    if now.seconds_since(address.day) >= Seconds::DAY {
        address.day = now;
        address.asks = 0;
    }
    if address.asks >= ASKS_A_DAY || now.seconds_since(address.asked_at) < ASK_AGAIN {
        return Err(Error::Conflict(format!(
            "the question was sent a moment ago, or {ASKS_A_DAY} times today; look into the spam folder, or try again later"
        )));
    }
    address.email.clone_from(&actor.email);
    address.salt = salt;
    address.confirmed_at = None;
    address.asks = address.asks.saturating_add(1);
    address.asked_at = now;
    address.attempts = 0;
    address.next_at = Some(now);
    address.error = None;
    Ok(address)
}

fn no_such_link() -> Error {
    Error::Conflict(
        "this link is not good any more; ask for a new one on the page of notifications".into(),
    )
}

impl Exchange {
    fn question_code(&self, address: &Address) -> Result<String, Error> {
        let what = format!("{}\n{}\n{}", address.account, address.email, address.salt);
        Ok(url_base64(&self.derived("address", &what)?))
    }

    fn unsubscribe_code(&self, account: AccountId) -> Result<String, Error> {
        Ok(url_base64(
            &self.derived("unsubscribe", &account.to_string())?,
        ))
    }

    fn mail_link(&self, page: &str, account: AccountId, code: &str) -> String {
        let portal = &self.inner.settings.public_url;
        format!("{portal}/mail/{page}?account={account}&code={code}")
    }

    /// Asks the account's address whether it is its own. Nothing else is sent there before it says so.
    ///
    /// # Errors
    /// This server sends no e-mail; it was confirmed already; too often; not with an API key.
    pub async fn ask_address(&self, actor: &Actor) -> Result<NotificationSettingsView, Error> {
        actor.require_person()?;
        if !self.inner.settings.email {
            return Err(Error::Conflict("this server sends no e-mail".into()));
        }
        let mut tx = self.inner.store.begin().await?;
        let known = tx.address(actor.account).await?;
        let of_now = known.as_ref().filter(|known| known.email == actor.email);
        if of_now.is_some_and(|known| known.confirmed_at.is_some()) {
            return Err(Error::Conflict("this address is confirmed already".into()));
        }
        let salt = hex::encode(self.random::<16>());
        tx.put_address(&asked(known, actor, salt, self.now())?)
            .await?;
        tx.commit().await?;
        self.notification_settings(actor).await
    }

    /// The first time that e-mails are wished, the question goes out by itself.
    pub(crate) async fn ask_once(&self, tx: &mut Tx, actor: &Actor) -> Result<(), Error> {
        let known = tx.address(actor.account).await?;
        let is_asked = known
            .as_ref()
            .is_some_and(|known| known.email == actor.email);
        if !self.inner.settings.email || is_asked {
            return Ok(());
        }
        let salt = hex::encode(self.random::<16>());
        match asked(known, actor, salt, self.now()) {
            Ok(address) => Ok(tx.put_address(&address).await?),
            // They can ask themselves, later.
            Err(_) => Ok(()),
        }
    }

    /// The address said that it is the account's: whoever has the code has read the question.
    ///
    /// # Errors
    /// Another code, or an old one.
    pub async fn confirm_address(&self, account: AccountId, code: &str) -> Result<(), Error> {
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let address = tx.address(account).await?;
        let mut address = address.ok_or_else(no_such_link)?;
        // Hashed, so that the time of comparing tells nothing of the code.
        let fits = secret_hash(code) == secret_hash(&self.question_code(&address)?);
        let fresh = now.seconds_since(address.asked_at) < QUESTION_KEPT;
        if !fits || !fresh && address.confirmed_at.is_none() {
            return Err(no_such_link());
        }
        if address.confirmed_at.is_none() {
            address.confirmed_at = Some(now);
            address.next_at = None;
            address.error = None;
            tx.put_address(&address).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// No more e-mails, for whoever has one of them.
    ///
    /// # Errors
    /// Another code.
    pub async fn unsubscribe(&self, account: AccountId, code: &str) -> Result<(), Error> {
        if secret_hash(code) != secret_hash(&self.unsubscribe_code(account)?) {
            return Err(no_such_link());
        }
        let mut tx = self.inner.store.begin().await?;
        let mut wishes = tx.wishes(account).await?;
        if wishes.settings.email {
            wishes.settings.email = false;
            tx.put_wishes(&wishes).await?;
            tx.give_up_waiting(
                account,
                Target::Email,
                DeliveryError::SwitchedOff,
                self.now(),
            )
            .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The language in which an account reads its e-mails.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mail_language(&self, account: AccountId) -> Result<Language, Error> {
        Ok(self.inner.store.wishes(account).await?.settings.language)
    }

    /// What is to be sent now. It stays due until [`Self::letter_answered`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_letters(&self, each: u32, limit: u32) -> Result<Vec<Letter>, Error> {
        let now = self.now();
        let portal = &self.inner.settings.public_url;
        let mut letters = Vec::new();
        for (address, language) in self.inner.store.due_questions(now, limit).await? {
            let link = self.mail_link("confirm", address.account, &self.question_code(&address)?);
            let words = letters::question(language, portal, &link);
            letters.push(Letter {
                id: LetterId::Question(address.account),
                name: format!("{}.{}", address.account, address.asked_at.millis()),
                to: address.email,
                subject: words.subject,
                text: words.text,
                unsubscribe: None,
            });
        }
        for due in self.inner.store.due_mails(now, each, limit).await? {
            let row = due.notice;
            let code = self.unsubscribe_code(row.account)?;
            let unsubscribe = self.mail_link("unsubscribe", row.account, &code);
            let words = letters::of_notice(&row.notice, due.language, portal, &unsubscribe);
            letters.push(Letter {
                id: LetterId::Notice(row.account, row.id),
                name: row.id.to_string(),
                to: due.email,
                subject: words.subject,
                text: words.text,
                unsubscribe: Some(unsubscribe),
            });
        }
        Ok(letters)
    }

    /// Notes what the mail's host said.
    ///
    /// # Errors
    /// The database failed.
    pub async fn letter_answered(&self, id: LetterId, posted: Posted) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        match id {
            LetterId::Notice(account, notice) => {
                self.mail_answered(&mut tx, account, notice, posted).await?;
            }
            LetterId::Question(account) => self.question_answered(&mut tx, account, posted).await?,
        }
        Ok(tx.commit().await?)
    }

    /// When it is tried again, after so many attempts.
    fn again(&self, posted: Posted, attempts: u32) -> Option<Timestamp> {
        if matches!(posted, Posted::Taken | Posted::Refused(_)) {
            return None;
        }
        let jitter = u16::from_be_bytes(self.random());
        pause(attempts, None, jitter).map(|pause| self.now().plus(pause))
    }

    async fn mail_answered(
        &self,
        tx: &mut Tx,
        account: AccountId,
        notice: NoticeId,
        posted: Posted,
    ) -> Result<(), Error> {
        let delivery = tx.delivery(account, notice, Target::Email).await?;
        let Some(mut delivery) = delivery.filter(|own| own.state == DeliveryState::Waiting) else {
            return Ok(());
        };
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.status = posted.status();
        delivery.error = posted.error();
        if let Some(again) = self.again(posted, delivery.attempts) {
            delivery.next_at = again;
        } else {
            delivery.ended_at = Some(self.now());
            delivery.state = match posted {
                Posted::Taken => DeliveryState::Delivered,
                _ => DeliveryState::Failed,
            };
        }
        Ok(tx.update_delivery(&delivery).await?)
    }

    async fn question_answered(
        &self,
        tx: &mut Tx,
        account: AccountId,
        posted: Posted,
    ) -> Result<(), Error> {
        let address = tx.address(account).await?;
        // It may have been answered before the host's own answer came.
        let Some(mut address) = address.filter(|address| address.next_at.is_some()) else {
            return Ok(());
        };
        address.attempts = address.attempts.saturating_add(1);
        address.error = posted.error();
        address.next_at = self.again(posted, address.attempts);
        Ok(tx.put_address(&address).await?)
    }
}
