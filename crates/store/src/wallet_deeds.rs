//! What was offered to wallets for their signature.

use kernel::{AccountId, Amount, DeedId, Timestamp};
use protocol::money::DeedKind;
use settlement::{Address, Digest};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::Columns;

/// A transaction of a person's own that was made for their wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletDeed {
    pub id: DeedId,
    pub account: AccountId,
    pub wallet: Address,
    pub kind: DeedKind,
    pub amount: Option<Amount>,
    pub unsigned: Vec<u8>,
    pub fee_payer: Address,
    pub expires_at: Timestamp,
    pub made_at: Timestamp,
    pub transaction: Option<Digest>,
}

fn deed(row: &AnyRow) -> Result<WalletDeed, StoreError> {
    let unsigned = row.text("unsigned")?;
    Ok(WalletDeed {
        id: row.parse("id")?,
        account: row.parse("account")?,
        wallet: row.parse("wallet")?,
        kind: row.word("kind", DeedKind::parse)?,
        amount: row.amount_opt("amount")?,
        unsigned: hex::decode(unsigned).map_err(|error| StoreError::corrupt("unsigned", error))?,
        fee_payer: row.parse("fee_payer")?,
        expires_at: row.time("expires_at")?,
        made_at: row.time("made_at")?,
        transaction: row.parse_opt("transaction_hash")?,
    })
}

impl Tx {
    /// # Errors
    /// The database failed.
    pub async fn insert_wallet_deed(&mut self, new: &WalletDeed) -> Result<(), StoreError> {
        query(
            "INSERT INTO wallet_deeds (id, account, wallet, kind, amount, unsigned, fee_payer, expires_at, made_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.id.to_string())
        .bind(new.account.to_string())
        .bind(new.wallet.to_string())
        .bind(new.kind.as_str())
        .bind(new.amount.map(Amount::base))
        .bind(hex::encode(&new.unsigned))
        .bind(new.fee_payer.to_string())
        .bind(new.expires_at.millis())
        .bind(new.made_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn wallet_deed(&mut self, id: DeedId) -> Result<Option<WalletDeed>, StoreError> {
        self.one("SELECT * FROM wallet_deeds WHERE id = $1", id, deed)
            .await
    }

    /// Both have signed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_deed_transaction(
        &mut self,
        id: DeedId,
        transaction: Digest,
    ) -> Result<(), StoreError> {
        query("UPDATE wallet_deeds SET transaction_hash = $1 WHERE id = $2")
            .bind(transaction.to_string())
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// How many were made for an account since then.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_wallet_deeds(
        &mut self,
        account: AccountId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let row =
            query("SELECT COUNT(*) AS n FROM wallet_deeds WHERE account = $1 AND made_at >= $2")
                .bind(account.to_string())
                .bind(since.millis())
                .fetch_one(self.connection())
                .await?;
        row.unsigned("n")
    }
}

impl Store {
    /// An account's, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wallet_deeds(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<WalletDeed>, StoreError> {
        let rows = query(
            "SELECT * FROM wallet_deeds WHERE account = $1 ORDER BY made_at DESC, id DESC LIMIT $2",
        )
        .bind(account.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(deed).collect()
    }
}
