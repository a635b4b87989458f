//! Escrow channels and the newest voucher of each payee.

use kernel::{AccountId, Amount, LeaseId, Timestamp};
use protocol::money::ChannelState;
use settlement::{Address, Digest};
use sqlx::any::AnyRow;
use sqlx::query;

use crate::db::{Store, StoreError, Tx};
use crate::row::{Columns, count};

/// A channel and what the books know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    pub address: Address,
    pub account: AccountId,
    pub chain: u8,
    pub contract: Address,
    pub renter: Address,
    pub number: u64,
    pub salt: String,
    pub voucher_key: Digest,
    pub vault: Address,
    pub state: ChannelState,
    pub locked: Amount,
    pub promised: Amount,
    pub redeemed: Amount,
    pub freed: Amount,
    pub returned: Option<Amount>,
    pub closing_until: Option<Timestamp>,
    pub made_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

impl ChannelRow {
    /// What no voucher promises and what has not left the balance.
    pub fn free(&self) -> Amount {
        self.locked
            .minus_or_zero(self.promised)
            .minus_or_zero(self.freed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherRow {
    pub channel: Address,
    pub payee: Address,
    /// Absent: the vault's.
    pub account: Option<AccountId>,
    pub cumulative: Amount,
    pub redeemed: Amount,
    /// 128 digits.
    pub signature: String,
    pub changed_at: Timestamp,
    pub asked: Amount,
}

fn channel(row: &AnyRow) -> Result<ChannelRow, StoreError> {
    let chain = row.int("chain")?;
    Ok(ChannelRow {
        address: row.parse("address")?,
        account: row.parse("account")?,
        chain: u8::try_from(chain).map_err(|error| StoreError::corrupt("chain", error))?,
        contract: row.parse("contract")?,
        renter: row.parse("renter")?,
        number: row.unsigned("number")?,
        salt: row.text("salt")?,
        voucher_key: row.parse("voucher_key")?,
        vault: row.parse("vault")?,
        state: row.word("state", ChannelState::parse)?,
        locked: row.amount("locked")?,
        promised: row.amount("promised")?,
        redeemed: row.amount("redeemed")?,
        freed: row.amount("freed")?,
        returned: row.amount_opt("returned")?,
        closing_until: row.time_opt("closing_until")?,
        made_at: row.time("made_at")?,
        opened_at: row.time_opt("opened_at")?,
        closed_at: row.time_opt("closed_at")?,
    })
}

fn voucher(row: &AnyRow) -> Result<VoucherRow, StoreError> {
    Ok(VoucherRow {
        channel: row.parse("channel")?,
        payee: row.parse("payee")?,
        account: row.parse_opt("account")?,
        cumulative: row.amount("cumulative")?,
        redeemed: row.amount("redeemed")?,
        signature: row.text("signature")?,
        changed_at: row.time("changed_at")?,
        asked: row.amount("asked")?,
    })
}

impl Tx {
    /// # Errors
    /// A conflict: the wallet has used that number here.
    pub async fn insert_channel(&mut self, new: &ChannelRow) -> Result<(), StoreError> {
        query(
            "INSERT INTO channels (address, account, chain, contract, renter, number, salt, voucher_key, vault, state, locked, \
             promised, redeemed, freed, made_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, $11)",
        )
        .bind(new.address.to_string())
        .bind(new.account.to_string())
        .bind(i64::from(new.chain))
        .bind(new.contract.to_string())
        .bind(new.renter.to_string())
        .bind(count("number", new.number)?)
        .bind(&new.salt)
        .bind(new.voucher_key.to_string())
        .bind(new.vault.to_string())
        .bind(new.state.as_str())
        .bind(new.made_at.millis())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// A conflict: the account has another one that is open or being closed, or more would be promised than came in.
    pub async fn update_channel(&mut self, changed: &ChannelRow) -> Result<(), StoreError> {
        // Their pages show it.
        self.tell(changed.account);
        query(
            "UPDATE channels SET state = $1, locked = $2, promised = $3, redeemed = $4, freed = $5, returned = $6, \
             closing_until = $7, opened_at = $8, closed_at = $9 WHERE address = $10",
        )
        .bind(changed.state.as_str())
        .bind(changed.locked.base())
        .bind(changed.promised.base())
        .bind(changed.redeemed.base())
        .bind(changed.freed.base())
        .bind(changed.returned.map(Amount::base))
        .bind(changed.closing_until.map(Timestamp::millis))
        .bind(changed.opened_at.map(Timestamp::millis))
        .bind(changed.closed_at.map(Timestamp::millis))
        .bind(changed.address.to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn channel(&mut self, address: Address) -> Result<Option<ChannelRow>, StoreError> {
        let sql = "SELECT * FROM channels WHERE address = $1";
        self.one(sql, address, channel).await
    }

    /// The one that an account's jobs are paid from: open, or being closed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn channel_of(
        &mut self,
        account: AccountId,
    ) -> Result<Option<ChannelRow>, StoreError> {
        let sql = "SELECT * FROM channels WHERE account = $1 AND state IN ('open', 'closing')";
        self.one(sql, account, channel).await
    }

    /// One that was made for a wallet of the account and that it has not opened.
    ///
    /// # Errors
    /// The database failed.
    pub async fn proposed_channel(
        &mut self,
        account: AccountId,
        renter: Address,
        contract: Address,
    ) -> Result<Option<ChannelRow>, StoreError> {
        let row = query(
            "SELECT * FROM channels WHERE account = $1 AND renter = $2 AND contract = $3 AND state = 'proposed'",
        )
        .bind(account.to_string())
        .bind(renter.to_string())
        .bind(contract.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(channel).transpose()
    }

    /// # Errors
    /// The database failed.
    pub async fn put_voucher(&mut self, new: &VoucherRow) -> Result<(), StoreError> {
        if let Some(owner) = new.account {
            self.tell(owner);
        }
        query(
            "INSERT INTO vouchers (channel, payee, account, cumulative, redeemed, signature, changed_at, asked) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (channel, payee) DO UPDATE SET \
             cumulative = excluded.cumulative, redeemed = excluded.redeemed, signature = excluded.signature, \
             changed_at = excluded.changed_at, asked = excluded.asked",
        )
        .bind(new.channel.to_string())
        .bind(new.payee.to_string())
        .bind(new.account.map(|account| account.to_string()))
        .bind(new.cumulative.base())
        .bind(new.redeemed.base())
        .bind(&new.signature)
        .bind(new.changed_at.millis())
        .bind(new.asked.base())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// # Errors
    /// The database failed.
    pub async fn voucher(
        &mut self,
        channel: Address,
        payee: Address,
    ) -> Result<Option<VoucherRow>, StoreError> {
        let row = query("SELECT * FROM vouchers WHERE channel = $1 AND payee = $2")
            .bind(channel.to_string())
            .bind(payee.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(voucher).transpose()
    }

    /// Owners' vouchers of a channel of which something is open: whose, for whom, and how much.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_vouchers(
        &mut self,
        channel: Address,
    ) -> Result<Vec<(AccountId, Address, Amount)>, StoreError> {
        let rows = query(
            "SELECT account, payee, cumulative - redeemed AS rest FROM vouchers \
             WHERE channel = $1 AND account IS NOT NULL AND redeemed < cumulative ORDER BY payee",
        )
        .bind(channel.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.parse("account")?,
                    row.parse("payee")?,
                    row.amount("rest")?,
                ))
            })
            .collect()
    }

    /// The vault's vouchers are to be redeemed: it holds less than what waits to be paid.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_for_vault(&mut self) -> Result<(), StoreError> {
        query("UPDATE vouchers SET asked = cumulative WHERE account IS NULL AND redeemed < cumulative AND asked < cumulative")
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// An account's, newest first; without those that no wallet opened.
    ///
    /// # Errors
    /// The database failed.
    pub async fn channels(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<ChannelRow>, StoreError> {
        let rows = query(
            "SELECT * FROM channels WHERE account = $1 AND state <> 'proposed' ORDER BY made_at DESC, address LIMIT $2",
        )
        .bind(account.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(channel).collect()
    }

    /// An owner's vouchers with their channels, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn vouchers(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<(VoucherRow, ChannelRow)>, StoreError> {
        let rows = query(
            "SELECT v.channel, v.payee FROM vouchers v WHERE v.account = $1 ORDER BY v.changed_at DESC, v.channel, v.payee LIMIT $2",
        )
        .bind(account.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        self.named_vouchers(&rows).await
    }

    /// Those that rows name by `channel` and `payee`, in their order.
    async fn named_vouchers(
        &self,
        rows: &[AnyRow],
    ) -> Result<Vec<(VoucherRow, ChannelRow)>, StoreError> {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let found = self
                .voucher(row.parse("channel")?, row.parse("payee")?)
                .await?;
            all.extend(found);
        }
        Ok(all)
    }

    /// # Errors
    /// The database failed.
    pub async fn voucher(
        &self,
        of: Address,
        payee: Address,
    ) -> Result<Option<(VoucherRow, ChannelRow)>, StoreError> {
        let row = query("SELECT * FROM vouchers WHERE channel = $1 AND payee = $2")
            .bind(of.to_string())
            .bind(payee.to_string())
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let found = self
            .one("SELECT * FROM channels WHERE address = $1", of, channel)
            .await?;
        let channel = found.ok_or_else(|| StoreError::corrupt("channel", of))?;
        Ok(Some((voucher(&row)?, channel)))
    }

    /// What an owner's vouchers brought.
    ///
    /// # Errors
    /// The database failed.
    pub async fn redeemed_by(&self, account: AccountId) -> Result<Amount, StoreError> {
        let row = query(
            "SELECT CAST(COALESCE(SUM(redeemed), 0) AS BIGINT) AS total FROM vouchers WHERE account = $1",
        )
        .bind(account.to_string())
        .fetch_one(self.readers())
        .await?;
        row.amount("total")
    }

    /// Those of a contract that hold something, in order of their address: the next after one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_channels(
        &self,
        (chain, contract): (u8, Address),
        after: Option<Address>,
        limit: u32,
    ) -> Result<Vec<ChannelRow>, StoreError> {
        let rows = query(
            "SELECT * FROM channels WHERE state IN ('open', 'closing') AND chain = $1 AND contract = $2 AND address > $3 \
             ORDER BY address LIMIT $4",
        )
        .bind(i64::from(chain))
        .bind(contract.to_string())
        .bind(after.map(|address| address.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(channel).collect()
    }

    /// Those whose close has begun while a part that nothing promises is still in a balance.
    ///
    /// # Errors
    /// The database failed.
    pub async fn channels_to_free(&self) -> Result<Vec<ChannelRow>, StoreError> {
        let rows = query(
            "SELECT * FROM channels WHERE state IN ('closing', 'closed') AND promised + freed < locked ORDER BY address",
        )
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(channel).collect()
    }

    /// Leases whose charges are not yet accounted for with their requester's channel.
    ///
    /// # Errors
    /// The database failed.
    pub async fn uncleared_leases(&self, account: AccountId) -> Result<Vec<LeaseId>, StoreError> {
        let rows = query(
            "SELECT id FROM leases WHERE account = $1 AND charged - refunded > cleared ORDER BY id",
        )
        .bind(account.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    /// Whether a lease lives that the account pays for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn has_live_lease(&self, account: AccountId) -> Result<bool, StoreError> {
        let row = query("SELECT COUNT(*) AS n FROM leases WHERE account = $1 AND live = 1")
            .bind(account.to_string())
            .fetch_one(self.readers())
            .await?;
        Ok(row.int("n")? > 0)
    }

    /// Vouchers of a contract that are to be handed in now. Somebody asked for it; or their channel is being closed (those first),
    /// and the sum rises no more because no lease of it lives, or that is over before `hurry`. Not those that are under way;
    /// last, those that could not be handed in before, so that they keep nobody waiting.
    ///
    /// # Errors
    /// The database failed.
    pub async fn vouchers_due(
        &self,
        (chain, contract): (u8, Address),
        hurry: Timestamp,
        limit: u32,
    ) -> Result<Vec<(VoucherRow, ChannelRow)>, StoreError> {
        let rows = query(
            "SELECT v.channel, v.payee FROM vouchers v JOIN channels c ON c.address = v.channel \
             WHERE c.chain = $1 AND c.contract = $2 AND c.state IN ('open', 'closing') AND v.redeemed < v.cumulative \
             AND (v.asked > v.redeemed OR (c.state = 'closing' AND (c.closing_until <= $3 \
                 OR NOT EXISTS (SELECT 1 FROM leases l WHERE l.account = c.account AND l.live = 1)))) \
             AND NOT EXISTS (SELECT 1 FROM outgoing o WHERE o.may_land = 1 \
                 AND o.purpose = 'redeem:' || v.channel || ':' || v.payee || ':' || v.cumulative) \
             ORDER BY CASE WHEN EXISTS (SELECT 1 FROM chain_faults f WHERE f.subject = 'voucher: ' || v.channel || ' ' || v.payee) \
                 THEN 1 ELSE 0 END, CASE c.state WHEN 'closing' THEN 0 ELSE 1 END, c.closing_until, v.changed_at, v.channel, v.payee \
             LIMIT $4",
        )
        .bind(i64::from(chain))
        .bind(contract.to_string())
        .bind(hurry.millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        self.named_vouchers(&rows).await
    }
}
