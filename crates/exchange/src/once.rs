//! A request that moves money is done once: the same key again answers the same, and another body is refused.

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Remembered, Tx};

use crate::actor::Actor;
use crate::desk::{Exchange, secret_hash};
use crate::error::Error;

const KEY_MAX: usize = 128;

/// What a request is remembered by, if it has a key.
pub(crate) struct Once<'a> {
    route: &'static str,
    key: Option<&'a str>,
    body_hash: String,
}

impl<'a> Once<'a> {
    /// # Errors
    /// A key that is empty, too long, or more than visible ASCII.
    pub fn new(
        route: &'static str,
        key: Option<&'a str>,
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        let fits = |key: &str| {
            (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !key.is_none_or(fits) {
            return Err(Error::invalid(
                "Idempotency-Key",
                format!("1 to {KEY_MAX} visible ASCII characters without spaces"),
            ));
        }
        let body =
            serde_json::to_string(body).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            route,
            key,
            body_hash: secret_hash(&body),
        })
    }

    /// The answer of before.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`]: the key was used with another body, or on another route.
    pub async fn answered<T: DeserializeOwned>(
        &self,
        tx: &mut Tx,
        actor: &Actor,
    ) -> Result<Option<T>, Error> {
        let Some(key) = self.key else {
            return Ok(None);
        };
        let Some(before) = tx.remembered(actor.account, key).await? else {
            return Ok(None);
        };
        if !self.is(&before) {
            return Err(Error::IdempotencyMismatch);
        }
        let answer = serde_json::from_str(&before.answer)
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Some(answer))
    }

    fn is(&self, before: &Remembered) -> bool {
        before.route == self.route && before.body_hash == self.body_hash
    }

    /// Something was done under the key while this was: all of this is undone.
    fn late(&self, before: &Remembered) -> Error {
        if self.is(before) {
            return Error::SameRequest;
        }
        Error::IdempotencyMismatch
    }

    /// Remembers the answer, in the transaction of what was done.
    ///
    /// # Errors
    /// Another process did something under the key meanwhile; the database failed.
    pub async fn answer(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        actor: &Actor,
        answer: &impl Serialize,
    ) -> Result<(), Error> {
        let Some(key) = self.key else {
            return Ok(());
        };
        let answer =
            serde_json::to_string(answer).map_err(|error| Error::Internal(error.to_string()))?;
        let now = exchange.now();
        let before = tx
            .remember(
                actor.account,
                self.route,
                key,
                &self.body_hash,
                &answer,
                now,
            )
            .await?;
        before.map_or(Ok(()), |before| Err(self.late(&before)))
    }
}

#[cfg(test)]
mod tests {
    use protocol::problem::Code;

    use super::*;

    #[test]
    fn who_comes_late_learns_whether_it_was_the_same() {
        let once = Once::new("POST /x", Some("k"), &1).expect("fits");
        let other = Once::new("POST /x", Some("k"), &2).expect("fits");
        let done = |route: &str, once: &Once<'_>| Remembered {
            route: route.to_owned(),
            body_hash: once.body_hash.clone(),
            answer: String::new(),
        };
        let late = |before: &Remembered| once.late(before).problem().code;
        assert_eq!(late(&done("POST /x", &once)), Code::Conflict);
        for before in [done("POST /y", &once), done("POST /x", &other)] {
            assert_eq!(late(&before), Code::IdempotencyMismatch);
        }
    }

    #[test]
    fn a_key_has_a_form() {
        let long = "k".repeat(KEY_MAX);
        for fine in [None, Some("a-1"), Some(long.as_str())] {
            assert!(Once::new("POST /x", fine, &()).is_ok(), "{fine:?}");
        }
        let longer = "k".repeat(KEY_MAX + 1);
        for wrong in ["", "a b", "é", "a\n", &longer] {
            let error = Once::new("POST /x", Some(wrong), &())
                .err()
                .expect("refused");
            assert_eq!(error.problem().fields[0].field, "Idempotency-Key");
        }
    }
}
