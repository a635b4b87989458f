//! What the chain told last, for pages and admins: one reading for everybody who looks.

use std::sync::PoisonError;

use kernel::{Amount, Timestamp};
use settlement::chain::{Balances, Supply};
use settlement::{Chain, ChainError, Digest};

use crate::desk::Exchange;
use crate::error::Error;

/// A contract is upgraded with seven days' notice; its modules are read again now and then.
const CODE_KEPT_MS: i64 = 600_000;

/// What stands in memory of the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub seen: Option<Seen>,
    /// What the vault held and the books owed at one moment, which may be earlier than the rest while much happens.
    pub vault: Option<(Amount, Amount, Timestamp)>,
    /// The hash of the modules, and when they were read.
    pub code: Option<(Digest, Timestamp)>,
    /// Why the last reading failed.
    pub trouble: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub at: Timestamp,
    pub supply: Supply,
    pub balances: Balances,
}

impl Exchange {
    /// Reads what the chain holds and keeps it for whoever asks.
    ///
    /// # Errors
    /// The chain or the database does not answer; what was read before stays.
    pub async fn watch_chain(&self, chain: &dyn Chain) -> Result<(), Error> {
        let done = self.ask_chain(chain).await;
        let trouble = done.as_ref().err().map(ToString::to_string);
        self.change_watched(|watched| watched.trouble = trouble);
        done
    }

    /// It could not even be connected to.
    pub fn chain_is_away(&self, why: &ChainError) {
        self.change_watched(|watched| watched.trouble = Some(why.to_string()));
    }

    async fn ask_chain(&self, chain: &dyn Chain) -> Result<(), Error> {
        let supply = chain.supply().await?;
        let (balances, books) = match self.vault_and_books(chain).await? {
            Some((balances, books)) => (balances, Some(books)),
            None => (chain.balances().await?, None),
        };
        let now = self.now();
        let owed = books.and_then(|books| Amount::try_from_base(books).ok());
        self.change_watched(|watched| {
            if let Some(owed) = owed {
                watched.vault = Some((balances.vault, owed, now));
            }
            watched.seen = Some(Seen {
                at: now,
                supply,
                balances,
            });
        });
        let known = self.watched().code;
        if known.is_none_or(|(_, at)| at.plus_millis(CODE_KEPT_MS) <= now) {
            let code = chain.code().await?.hash();
            self.change_watched(|watched| watched.code = Some((code, now)));
        }
        Ok(())
    }

    pub(crate) fn watched(&self) -> Watched {
        let watched = self.inner.watched.read();
        watched.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_watched(&self, change: impl FnOnce(&mut Watched)) {
        let watched = self.inner.watched.write();
        change(&mut watched.unwrap_or_else(PoisonError::into_inner));
    }
}
