//! Hands e-mails to the mail's host, which carries them on. What is to be sent stands in the database until that host has
//! taken it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::{Exchange, Letter, LetterId, Posted};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use protocol::notice::DeliveryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Mail;
use crate::http::problem::Chain;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// To one account in one round.
const EACH: u32 = 2;
const HANDS: usize = 4;
const UNWRITTEN: Duration = Duration::from_secs(5);
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Carries to the mail's host.
#[derive(Clone)]
pub struct Postman(Arc<Bag>);

struct Bag {
    exchange: Exchange,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    hands: Arc<Semaphore>,
    carried: Mutex<HashSet<LetterId>>,
}

/// Takes a letter out of the bag whatever becomes of its task.
struct Carried {
    bag: Arc<Bag>,
    what: LetterId,
    _hand: OwnedSemaphorePermit,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.bag.carried().remove(&self.what);
    }
}

impl Bag {
    fn carried(&self) -> std::sync::MutexGuard<'_, HashSet<LetterId>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Postman {
    /// # Errors
    /// The host's address cannot be used.
    pub fn new(exchange: Exchange, mail: &Mail) -> Result<Self, SmtpError> {
        _ = rustls::crypto::ring::default_provider().install_default();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&mail.smtp_url)?
            .timeout(Some(ANSWER_WITHIN))
            .build();
        Ok(Self(Arc::new(Bag {
            exchange,
            transport,
            from: mail.from.clone(),
            hands: Arc::new(Semaphore::new(HANDS)),
            carried: Mutex::default(),
        })))
    }

    /// Sets out with what is due, as far as there are hands.
    ///
    /// # Errors
    /// The database failed.
    pub async fn round(self) -> Result<(), exchange::Error> {
        let bag = self.0;
        // What is under way is still due, and must not hide the rest.
        let limit = u32::try_from(HANDS.saturating_mul(4)).unwrap_or(u32::MAX);
        // What comes back while the list is read stands in it and is done.
        let before = bag.carried().clone();
        for letter in bag.exchange.due_letters(EACH, limit).await? {
            let what = letter.id;
            if before.contains(&what) {
                continue;
            }
            let Ok(hand) = bag.hands.clone().try_acquire_owned() else {
                break;
            };
            bag.carried().insert(what);
            let carried = Carried {
                bag: bag.clone(),
                what,
                _hand: hand,
            };
            tokio::spawn(carry(carried, letter));
        }
        Ok(())
    }

    /// Waits a moment for what is under way.
    pub async fn settle(self) {
        let all = u32::try_from(HANDS).unwrap_or(u32::MAX);
        _ = tokio::time::timeout(CLOSE_WITHIN, self.0.hands.acquire_many(all)).await;
    }
}

async fn carry(carried: Carried, letter: Letter) {
    let bag = &carried.bag;
    let posted = match message(&bag.from, &letter) {
        Ok(message) => post(&bag.transport, message).await,
        Err(error) => {
            let failure = Chain(&error).to_string();
            tracing::warn!(
                name = letter.name,
                failure,
                "an e-mail could not be written"
            );
            Posted::Refused(0)
        }
    };
    let taken = posted == Posted::Taken;
    metrics::counter!("iog_mail_attempts_total", "taken" => taken.to_string()).increment(1);
    if let Err(error) = bag.exchange.letter_answered(letter.id, posted).await {
        let failure = Chain(&error).to_string();
        tracing::error!(
            name = letter.name,
            failure,
            "the mail host's answer could not be kept; it is sent again"
        );
        tokio::time::sleep(UNWRITTEN).await;
    }
}

async fn post(transport: &AsyncSmtpTransport<Tokio1Executor>, message: Message) -> Posted {
    match tokio::time::timeout(ANSWER_WITHIN, transport.send(message)).await {
        Ok(Ok(_)) => Posted::Taken,
        Ok(Err(error)) => {
            let posted = answer(&error);
            let failure = Chain(&error).to_string();
            tracing::warn!(?posted, failure, "the mail's host did not take an e-mail");
            posted
        }
        Err(_) => Posted::Failed(DeliveryError::Timeout),
    }
}

fn answer(error: &SmtpError) -> Posted {
    let status = error.status().map_or(0, u16::from);
    // What the server says of us (no such service, sign in first, a password that is not right) is mended by whoever runs
    // this one, and must not cost a letter that waits. Only what it says of the letter is final.
    let of_us = matches!(status, 521 | 530 | 534 | 535 | 538 | 554);
    if error.is_permanent() && of_us {
        Posted::Deferred(status)
    } else if error.is_permanent() {
        Posted::Refused(status)
    } else if error.is_transient() {
        Posted::Deferred(status)
    } else if error.is_tls() {
        Posted::Failed(DeliveryError::Tls)
    } else if error.is_timeout() {
        Posted::Failed(DeliveryError::Timeout)
    } else if error.is_response() || error.is_client() {
        Posted::Failed(DeliveryError::Broken)
    } else {
        Posted::Failed(DeliveryError::Unreachable)
    }
}

/// The addresses that the sender's own domain makes: a repeated letter has the same name, so that a reader's program shows it once.
fn message(from: &Mailbox, letter: &Letter) -> Result<Message, Unwritable> {
    let to: Address = letter.to.parse().map_err(Unwritable::Address)?;
    let domain = from.email.domain();
    let mut message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(&letter.subject)
        .message_id(Some(format!("<{}@{domain}>", letter.name)))
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())
        .map_err(Unwritable::Message)?;
    let mut put = |name: HeaderName, value: String| {
        message
            .headers_mut()
            .insert_raw(HeaderValue::new(name, value));
    };
    put(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".into(),
    );
    if let Some(link) = &letter.unsubscribe {
        put(
            HeaderName::new_from_ascii_str("List-Unsubscribe"),
            format!("<{link}>"),
        );
        put(
            HeaderName::new_from_ascii_str("List-Unsubscribe-Post"),
            "List-Unsubscribe=One-Click".into(),
        );
    }
    Ok(message)
}

#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error("the address is none: {0}")]
    Address(lettre::address::AddressError),
    #[error(transparent)]
    Message(lettre::error::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &str, subject: &str) -> Letter {
        let account = kernel::AccountId::new(kernel::Timestamp::from_millis(1), [1; 10]);
        Letter {
            id: LetterId::Question(account),
            name: "notice_1".into(),
            to: to.into(),
            subject: subject.into(),
            text: "您的余额还可用 2 小时\n.\nsee you\n".into(),
            unsubscribe: Some("https://iog.example/mail/unsubscribe?account=a&code=b".into()),
        }
    }

    fn written(letter: &Letter) -> Result<String, Unwritable> {
        let from: Mailbox = "IOG <noreply@iog.example>".parse().expect("a mailbox");
        let message = message(&from, letter)?;
        Ok(String::from_utf8(message.formatted()).expect("ASCII"))
    }

    #[test]
    fn a_letter_can_be_ended_by_one_request_and_has_one_name() {
        let text = written(&letter("me@example.org", "您的余额")).expect("written");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let unfolded = head.replace("\r\n ", " ");
        for line in [
            "From: IOG <noreply@iog.example>",
            "To: me@example.org",
            "Message-ID: <notice_1@iog.example>",
            "Auto-Submitted: auto-generated",
            "List-Unsubscribe: <https://iog.example/mail/unsubscribe?account=a&code=b>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        ] {
            assert!(unfolded.lines().any(|own| own == line), "{line} in {head}");
        }
        assert!(head.is_ascii() && body.is_ascii());
    }

    #[test]
    fn nobody_writes_headers_but_us() {
        let evil = letter("me@example.org", "x\r\nBcc: all@example.com");
        let text = written(&evil).expect("written");
        let head = text.split_once("\r\n\r\n").expect("a head").0;
        let names = head
            .lines()
            .filter(|line| line.to_lowercase().starts_with("bcc"));
        assert_eq!(names.count(), 0, "{head}");
        for to in [
            "me@example.org\r\nBcc: all@example.com",
            "a@b, c@d",
            "<a@b>",
            "",
        ] {
            assert!(written(&letter(to, "x")).is_err(), "{to:?}");
        }
    }
}
