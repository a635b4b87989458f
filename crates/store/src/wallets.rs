//! Wallets that sign in, what they were asked to sign, and payout addresses.

use kernel::{AccountId, Timestamp};
use settlement::Address;
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

/// A wallet that signs in to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    pub address: Address,
    pub account: AccountId,
    /// As it calls itself.
    pub name: String,
    pub linked_at: Timestamp,
    pub used_at: Timestamp,
}

/// What a wallet was asked to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub nonce: String,
    /// Whose account the wallet is to be linked to; absent: somebody signs in.
    pub account: Option<AccountId>,
    /// JSON.
    pub expected: String,
    pub expires_at: Timestamp,
}

/// Where an account's payouts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutAddress {
    pub account: AccountId,
    pub address: Address,
    pub since: Timestamp,
    /// The next one, and from when on.
    pub next: Option<(Address, Timestamp)>,
}

impl PayoutAddress {
    /// As it is then: a change whose time has come is in force, whether a loop has noted it or not.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self.next {
            Some((address, since)) if since <= now => Self {
                address,
                since,
                next: None,
                ..self
            },
            _ => self,
        }
    }
}

fn wallet(row: &AnyRow) -> Result<Wallet, StoreError> {
    Ok(Wallet {
        address: row.parse("address")?,
        account: row.parse("account")?,
        name: row.text("name")?,
        linked_at: row.time("linked_at")?,
        used_at: row.time("used_at")?,
    })
}

fn payout_address(row: &AnyRow) -> Result<PayoutAddress, StoreError> {
    let next = match (row.parse_opt("next")?, row.time_opt("next_at")?) {
        (Some(address), Some(at)) => Some((address, at)),
        _ => None,
    };
    Ok(PayoutAddress {
        account: row.parse("account")?,
        address: row.parse("address")?,
        since: row.time("since")?,
        next,
    })
}

const WALLET: &str = "SELECT * FROM wallets WHERE address = $1";
const WALLETS: &str = "SELECT * FROM wallets WHERE account = $1 ORDER BY linked_at, address";
const PAYOUT_ADDRESS: &str = "SELECT * FROM payout_addresses WHERE account = $1";

impl Tx {
    /// # Errors
    /// A conflict when the wallet is linked.
    pub async fn insert_wallet(&mut self, wallet: &Wallet) -> Result<(), StoreError> {
        query("INSERT INTO wallets (address, account, name, linked_at, used_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(wallet.address.to_string())
            .bind(wallet.account.to_string())
            .bind(&wallet.name)
            .bind(wallet.linked_at.millis())
            .bind(wallet.used_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn wallet(&mut self, address: Address) -> Result<Option<Wallet>, StoreError> {
        let row = query(WALLET)
            .bind(address.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(wallet).transpose()
    }

    /// The account's, the first one first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wallets(&mut self, account: AccountId) -> Result<Vec<Wallet>, StoreError> {
        let rows = query(WALLETS)
            .bind(account.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(wallet).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn touch_wallet(
        &mut self,
        address: Address,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query("UPDATE wallets SET used_at = $1 WHERE address = $2")
            .bind(now.millis())
            .bind(address.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// `false`: no such wallet of this account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_wallet(
        &mut self,
        account: AccountId,
        address: Address,
    ) -> Result<bool, StoreError> {
        let done = query("DELETE FROM wallets WHERE address = $1 AND account = $2")
            .bind(address.to_string())
            .bind(account.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Keeps a question, and forgets those that nobody answered in time.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_challenge(
        &mut self,
        challenge: &Challenge,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        query("DELETE FROM wallet_challenges WHERE expires_at <= $1")
            .bind(now.millis())
            .execute(self.connection())
            .await?;
        query("INSERT INTO wallet_challenges (nonce, account, expected, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&challenge.nonce)
            .bind(challenge.account.map(|account| account.to_string()))
            .bind(&challenge.expected)
            .bind(challenge.expires_at.millis())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Takes a question out: nobody else answers it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_challenge(&mut self, nonce: &str) -> Result<Option<Challenge>, StoreError> {
        let row = query("DELETE FROM wallet_challenges WHERE nonce = $1 RETURNING nonce, account, expected, expires_at")
            .bind(nonce)
            .fetch_optional(self.connection())
            .await?;
        let read = |row: AnyRow| {
            Ok(Challenge {
                nonce: row.text("nonce")?,
                account: row.parse_opt("account")?,
                expected: row.text("expected")?,
                expires_at: row.time("expires_at")?,
            })
        };
        row.map(read).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn payout_address(
        &mut self,
        account: AccountId,
    ) -> Result<Option<PayoutAddress>, StoreError> {
        let row = query(PAYOUT_ADDRESS)
            .bind(account.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(payout_address).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn put_payout_address(&mut self, address: &PayoutAddress) -> Result<(), StoreError> {
        query(
            "INSERT INTO payout_addresses (account, address, since, next, next_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (account) DO UPDATE SET address = excluded.address, since = excluded.since, \
             next = excluded.next, next_at = excluded.next_at",
        )
        .bind(address.account.to_string())
        .bind(address.address.to_string())
        .bind(address.since.millis())
        .bind(address.next.map(|(next, _)| next.to_string()))
        .bind(address.next.map(|(_, at)| at.millis()))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A name and a password for an account that had a wallet alone. `false`: it has some.
    ///
    /// # Errors
    /// A conflict when the e-mail address has an account.
    pub async fn set_credentials(
        &mut self,
        account: AccountId,
        email: &str,
        password_hash: &str,
    ) -> Result<bool, StoreError> {
        let done = query(
            "UPDATE accounts SET email = $1, password_hash = $2 WHERE id = $3 AND email LIKE '0x%'",
        )
        .bind(email)
        .bind(password_hash)
        .bind(account.to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Store {
    /// The account's, the first one first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wallets(&self, account: AccountId) -> Result<Vec<Wallet>, StoreError> {
        let rows = query(WALLETS)
            .bind(account.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(wallet).collect()
    }

    /// # Errors
    /// The database failed.
    pub async fn payout_address(
        &self,
        account: AccountId,
    ) -> Result<Option<PayoutAddress>, StoreError> {
        let row = query(PAYOUT_ADDRESS)
            .bind(account.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(payout_address).transpose()
    }

    /// Changes whose time has come, and that nobody has noted yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_payout_addresses(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<PayoutAddress>, StoreError> {
        let rows = query(
            "SELECT * FROM payout_addresses WHERE next_at IS NOT NULL AND next_at <= $1 ORDER BY next_at LIMIT $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(payout_address).collect()
    }
}
