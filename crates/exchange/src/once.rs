//! A request that moves money is done once: the same key again answers the same, and another body is refused.

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::Tx;

use crate::actor::Actor;
use crate::desk::{Exchange, secret_hash};
use crate::error::Error;

const KEY_MAX: usize = 200;

/// What a request is remembered by, if it has a key.
pub(crate) struct Once<'a> {
    route: &'static str,
    key: Option<&'a str>,
    body_hash: String,
}

impl<'a> Once<'a> {
    /// # Errors
    /// A key that is empty or too long.
    pub fn new(
        route: &'static str,
        key: Option<&'a str>,
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        if key.is_some_and(|key| key.is_empty() || key.len() > KEY_MAX) {
            return Err(Error::invalid("Idempotency-Key", "1 to 200 characters"));
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
    /// [`Error::IdempotencyMismatch`]: the key was used with another body.
    pub async fn answered<T: DeserializeOwned>(
        &self,
        tx: &mut Tx,
        actor: &Actor,
    ) -> Result<Option<T>, Error> {
        let Some(key) = self.key else {
            return Ok(None);
        };
        let Some((hash, answer)) = tx.remembered(actor.account, self.route, key).await? else {
            return Ok(None);
        };
        if hash != self.body_hash {
            return Err(Error::IdempotencyMismatch);
        }
        let answer =
            serde_json::from_str(&answer).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Some(answer))
    }

    /// Remembers the answer, in the transaction of what was done.
    ///
    /// # Errors
    /// The database failed.
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
        tx.remember(
            actor.account,
            self.route,
            key,
            &self.body_hash,
            &answer,
            now,
        )
        .await?;
        Ok(())
    }
}
