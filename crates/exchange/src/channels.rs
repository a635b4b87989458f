//! Escrow channels: a requester's money on the chain that jobs are paid from, and the vouchers with which owners take theirs
//! without anybody's help. docs/settlement.md tells the rules that keep both sides whole.

use ed25519_dalek::SigningKey;
use kernel::{AccountId, Amount, LeaseId, Timestamp};
use ledger::plans;
use protocol::money::{ChannelState, ChannelView, DeedProposal, VoucherDocument, VoucherView};
use protocol::view::Scope;
use settlement::chain::Deed;
use settlement::voucher::FORMAT;
use settlement::{Address, Chain, Digest, Outgoing, Voucher};
use store::{ChainFault, ChannelRow, Maturity, Purpose, StoreError, Tx, VoucherRow};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::wallets::NO_CHAIN;

const SHOWN: u32 = 200;

/// What a channel's owner does with it, other than opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelDeed {
    TopUp(Amount),
    StartClose,
    FinishClose,
}

fn view(row: &ChannelRow) -> ChannelView {
    ChannelView {
        address: row.address.to_string(),
        state: row.state,
        wallet: row.renter.to_string(),
        number: row.number,
        voucher_key: row.voucher_key.to_string(),
        locked: row.locked,
        promised: row.promised,
        redeemed: row.redeemed,
        free: row.locked.minus_or_zero(row.promised),
        returned: row.returned,
        closing_until: row.closing_until,
        made_at: row.made_at,
        opened_at: row.opened_at,
        closed_at: row.closed_at,
    }
}

fn voucher_view(
    voucher: &VoucherRow,
    channel: &ChannelRow,
    transaction: Option<Digest>,
) -> VoucherView {
    VoucherView {
        channel: voucher.channel.to_string(),
        payee: voucher.payee.to_string(),
        cumulative: voucher.cumulative,
        redeemed: voucher.redeemed,
        asked: voucher.asked > voucher.redeemed,
        state: channel.state,
        closing_until: channel.closing_until,
        changed_at: voucher.changed_at,
        transaction: transaction.map(|hash| hash.to_string()),
    }
}

impl Exchange {
    /// The key of a channel's vouchers.
    fn voucher_signer(&self, channel: Address, salt: &str) -> Result<SigningKey, Error> {
        let secret = self.derived("voucher", &format!("{channel}\n{salt}"))?;
        Ok(SigningKey::from_bytes(&secret))
    }

    /// Makes the transaction that opens a channel with so much of the wallet's money.
    ///
    /// # Errors
    /// Not with an API key; there is one already; nothing; the chain would refuse it or does not answer.
    pub async fn open_channel(
        &self,
        actor: &Actor,
        chain: &dyn Chain,
        wallet: Address,
        deposit: Amount,
    ) -> Result<DeedProposal, Error> {
        actor.require_person()?;
        if deposit.is_zero() {
            return Err(Error::invalid("amount", "more than nothing"));
        }
        let (known, now) = {
            let mut tx = self.inner.store.begin().await?;
            if tx.channel_of(actor.account).await?.is_some() {
                return Err(Error::Conflict(
                    "you have a channel already: add to it, or close it first".into(),
                ));
            }
            let contract = chain.contract();
            let known = tx.proposed_channel(actor.account, wallet, contract).await?;
            (known, self.now())
        };
        let row = match known {
            Some(known) => known,
            None => self.new_channel(actor, chain, wallet, now).await?,
        };
        let deed = Deed::Open {
            number: row.number,
            voucher_key: *row.voucher_key.as_bytes(),
            deposit,
        };
        let made = self.make_deed(actor, chain, wallet, &deed).await?;
        let mut tx = self.inner.store.begin().await?;
        match tx.channel(row.address).await? {
            None => tx.insert_channel(&row).await?,
            Some(there) if there.voucher_key == row.voucher_key => {}
            // Made for the same wallet in the same millisecond: with another key, so that what is signed here would be idle.
            Some(_) => {
                return Err(Error::Conflict(
                    "another channel was made for this wallet just now; begin again".into(),
                ));
            }
        }
        let proposal = self.offer_deed(&mut tx, actor, made).await?;
        tx.commit().await?;
        Ok(proposal)
    }

    async fn new_channel(
        &self,
        actor: &Actor,
        chain: &dyn Chain,
        wallet: Address,
        now: Timestamp,
    ) -> Result<ChannelRow, Error> {
        // A wallet uses a number once, for ever.
        let number = u64::try_from(now.millis()).unwrap_or(0);
        let address = chain.channel_address(wallet, number).await?;
        let salt = hex::encode(self.random::<16>());
        let key = self.voucher_signer(address, &salt)?.verifying_key();
        Ok(ChannelRow {
            address,
            account: actor.account,
            chain: chain.number(),
            contract: chain.contract(),
            renter: wallet,
            number,
            salt,
            voucher_key: Digest::from_bytes(key.to_bytes()),
            vault: chain.vault().await?,
            state: ChannelState::Proposed,
            locked: Amount::ZERO,
            promised: Amount::ZERO,
            redeemed: Amount::ZERO,
            freed: Amount::ZERO,
            returned: None,
            closing_until: None,
            made_at: now,
            opened_at: None,
            closed_at: None,
        })
    }

    /// Makes the transaction that adds to a channel, begins its close, or ends it.
    ///
    /// # Errors
    /// Not this account's; its state does not allow it; not with an API key; the chain would refuse it or does not answer; there
    /// is none.
    pub async fn change_channel(
        &self,
        actor: &Actor,
        chain: Option<&dyn Chain>,
        address: Address,
        change: ChannelDeed,
    ) -> Result<DeedProposal, Error> {
        actor.require_person()?;
        let row = {
            let mut tx = self.inner.store.begin().await?;
            tx.channel(address).await?
        };
        let row = row
            .filter(|row| row.account == actor.account && row.state != ChannelState::Proposed)
            .ok_or(Error::NotFound("the channel"))?;
        let chain = chain.ok_or(NO_CHAIN)?;
        let wrong = |why: &str| Err(Error::Conflict(why.to_owned()));
        let number = row.number;
        let deed = match (change, row.state) {
            (_, ChannelState::Closed) => return wrong("the channel is closed"),
            (ChannelDeed::TopUp(_), state) if state != ChannelState::Open => {
                return wrong("the channel takes no more: it is being closed");
            }
            (ChannelDeed::TopUp(amount), _) if amount.is_zero() => {
                return Err(Error::invalid("amount", "more than nothing"));
            }
            (ChannelDeed::StartClose, _) if row.closing_until.is_some() => {
                return wrong("the channel is being closed already");
            }
            (ChannelDeed::FinishClose, _) if row.closing_until.is_none() => {
                return wrong("ask for the close first; a day later it can be finished");
            }
            (ChannelDeed::TopUp(amount), _) => Deed::TopUp { number, amount },
            (ChannelDeed::StartClose, _) => Deed::StartClose { number },
            (ChannelDeed::FinishClose, _) => {
                // The chain's own time decides, not ours.
                if let Some(until) = row.closing_until
                    && chain.head().await?.at < until
                {
                    return wrong(&format!(
                        "owners can redeem until {until}; finish the close after that"
                    ));
                }
                Deed::FinishClose { number }
            }
        };
        let made = self.make_deed(actor, chain, row.renter, &deed).await?;
        let mut tx = self.inner.store.begin().await?;
        let proposal = self.offer_deed(&mut tx, actor, made).await?;
        tx.commit().await?;
        Ok(proposal)
    }

    /// The account's channels, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn channels(&self, actor: &Actor) -> Result<Vec<ChannelView>, Error> {
        actor.require(Scope::Read)?;
        let rows = self.inner.store.channels(actor.account, SHOWN).await?;
        Ok(rows.iter().map(view).collect())
    }

    /// The newest voucher of each channel that owes the account, the latest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn vouchers(&self, actor: &Actor) -> Result<Vec<VoucherView>, Error> {
        actor.require(Scope::Read)?;
        let found = self.inner.store.vouchers(actor.account, SHOWN).await?;
        let mut views = Vec::with_capacity(found.len());
        for (voucher, channel) in &found {
            let transaction = self.redeemed_with(voucher).await?;
            views.push(voucher_view(voucher, channel, transaction));
        }
        Ok(views)
    }

    /// The transaction of ours that redeemed a voucher up to what was redeemed of it.
    async fn redeemed_with(&self, voucher: &VoucherRow) -> Result<Option<Digest>, Error> {
        if voucher.redeemed.is_zero() {
            return Ok(None);
        }
        let purpose = Purpose::Redeem(voucher.channel, voucher.payee, voucher.redeemed);
        let ours = self.inner.store.newest_outgoing(purpose).await?;
        Ok(ours
            .filter(|row| matches!(row.state, Outgoing::Landed { .. }))
            .map(|row| row.hash))
    }

    /// One of them, to be kept.
    ///
    /// # Errors
    /// Not this account's; the key lacks `read`.
    pub async fn voucher(
        &self,
        actor: &Actor,
        channel: Address,
        payee: Address,
    ) -> Result<VoucherDocument, Error> {
        actor.require(Scope::Read)?;
        let found = self.inner.store.voucher(channel, payee).await?;
        let (voucher, channel) = found
            .filter(|(voucher, _)| voucher.account == Some(actor.account))
            .ok_or(Error::NotFound("the voucher"))?;
        Ok(VoucherDocument {
            format: FORMAT.to_owned(),
            chain: channel.chain,
            contract: channel.contract.to_string(),
            channel: channel.address.to_string(),
            payee: voucher.payee.to_string(),
            cumulative: voucher.cumulative,
            voucher_key: channel.voucher_key.to_string(),
            signature: voucher.signature,
        })
    }

    /// Has the newest voucher handed in from here, at the platform's expense. What it brings goes to its payee, as always. Asking
    /// again changes nothing.
    ///
    /// # Errors
    /// Not this account's; less than the least payout is open; its channel is closed; not with an API key.
    pub async fn redeem_voucher(
        &self,
        actor: &Actor,
        channel: Address,
        payee: Address,
    ) -> Result<VoucherView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let found = tx.voucher(channel, payee).await?;
        let mut voucher = found
            .filter(|voucher| voucher.account == Some(actor.account))
            .ok_or(Error::NotFound("the voucher"))?;
        let of = tx.channel(channel).await?;
        let of = of.ok_or(Error::NotFound("the channel"))?;
        if of.state == ChannelState::Closed {
            return Err(Error::Conflict("its channel is closed".into()));
        }
        let least = self.inner.settings.payout_min;
        let open = voucher.cumulative.minus_or_zero(voucher.redeemed);
        if open.is_zero() || open < least {
            return Err(Error::Conflict(format!(
                "{open} of it is open; from here it is handed in from {least} on"
            )));
        }
        voucher.asked = voucher.cumulative;
        tx.put_voucher(&voucher).await?;
        tx.commit().await?;
        let transaction = self.redeemed_with(&voucher).await?;
        Ok(voucher_view(&voucher, &of, transaction))
    }

    /// Where an owner's earnings go on the chain, if that was said.
    pub(crate) async fn payee_of(
        &self,
        tx: &mut Tx,
        owner: AccountId,
    ) -> Result<Option<Address>, StoreError> {
        let known = tx.payout_address(owner).await?;
        Ok(known.map(|known| known.at(self.now()).address))
    }

    /// Accounts for what a lease was charged since the last time with its requester's channel, in the caller's transaction:
    /// the owner's part that matures now is promised to the owner, the rest to the vault, as far as the channel reaches.
    /// Answers what of the owner's part was promised; it does not become withdrawable.
    pub(crate) async fn clear(
        &self,
        tx: &mut Tx,
        lease: LeaseId,
        so_far: &Maturity,
        now: Timestamp,
    ) -> Result<Amount, Error> {
        let target = so_far.charged.minus_or_zero(so_far.refunded);
        let charged = target.minus_or_zero(so_far.cleared);
        if charged.is_zero() {
            return Ok(Amount::ZERO);
        }
        tx.put_cleared(lease, target).await?;
        let Some(mut channel) = tx.channel_of(so_far.account).await? else {
            return Ok(Amount::ZERO);
        };
        let free = channel.free();
        if free.is_zero() {
            return Ok(Amount::ZERO);
        }
        let signer = self.voucher_signer(channel.address, &channel.salt)?;
        if signer.verifying_key().as_bytes() != channel.voucher_key.as_bytes() {
            // The platform's key is another one than when the channel was made. Leases must end all the same.
            let fault = ChainFault {
                subject: format!("channel key: {}", channel.address),
                expected: format!("vouchers signed with {}", channel.voucher_key),
                found: "the platform's key makes another one".to_owned(),
            };
            tx.put_chain_fault(&fault, now).await?;
            return Ok(Amount::ZERO);
        }
        let earned = so_far.earned.minus_or_zero(so_far.matured);
        let payee = self.payee_for(tx, &channel, so_far.owner).await?;
        let to_owner = match payee {
            Some(payee) => {
                let part = earned.min(charged).min(free);
                let owner = so_far.owner;
                let is_first =
                    promise(tx, &signer, &channel, payee, Some(owner), part, now).await?;
                // When the close was asked for, nothing was open and so nothing was said.
                if is_first && channel.state == ChannelState::Closing {
                    self.tell_owner(tx, &channel, owner, payee, part).await?;
                }
                part
            }
            None => Amount::ZERO,
        };
        let to_vault = charged
            .minus_or_zero(to_owner)
            .min(free.minus_or_zero(to_owner));
        promise(tx, &signer, &channel, channel.vault, None, to_vault, now).await?;
        channel.promised = channel
            .promised
            .checked_add(to_owner)?
            .checked_add(to_vault)?;
        tx.update_channel(&channel).await?;
        if !to_owner.is_zero() {
            let transfer = plans::vouched(so_far.owner, lease, so_far.matured, to_owner);
            self.post_all(tx, &[transfer], now).await?;
        }
        Ok(to_owner)
    }

    /// As [`Exchange::clear`], of a lease whose earnings are withheld: all of it is promised to the vault, since it may not leave with
    /// the requester; whose it is stays a matter of the books.
    pub(crate) async fn clear_withheld(
        &self,
        tx: &mut Tx,
        lease: LeaseId,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(so_far) = tx.maturity(lease).await? {
            let nothing = Maturity {
                earned: so_far.matured,
                ..so_far
            };
            self.clear(tx, lease, &nothing, now).await?;
        }
        Ok(())
    }

    /// The owner's address, unless in this channel it stands for somebody else: the chain knows one sum an address, and nobody
    /// could tell whose was redeemed.
    async fn payee_for(
        &self,
        tx: &mut Tx,
        channel: &ChannelRow,
        owner: AccountId,
    ) -> Result<Option<Address>, Error> {
        let Some(payee) = self.payee_of(tx, owner).await? else {
            return Ok(None);
        };
        let known = tx.voucher(channel.address, payee).await?;
        let is_own = known.is_none_or(|voucher| voucher.account == Some(owner));
        Ok(Some(payee).filter(|payee| is_own && *payee != channel.vault))
    }
}

/// Raises what a channel promises a payee, and signs it. Whether nothing was open before.
async fn promise(
    tx: &mut Tx,
    signer: &SigningKey,
    channel: &ChannelRow,
    payee: Address,
    account: Option<AccountId>,
    more: Amount,
    now: Timestamp,
) -> Result<bool, Error> {
    if more.is_zero() {
        return Ok(false);
    }
    let known = tx.voucher(channel.address, payee).await?;
    let mut row = known.unwrap_or(VoucherRow {
        channel: channel.address,
        payee,
        account,
        cumulative: Amount::ZERO,
        redeemed: Amount::ZERO,
        signature: String::new(),
        changed_at: now,
        asked: Amount::ZERO,
    });
    let is_first = row.cumulative == row.redeemed;
    row.cumulative = row.cumulative.checked_add(more)?;
    row.changed_at = now;
    row.signature = Voucher {
        chain: channel.chain,
        channel: channel.address,
        payee,
        cumulative: row.cumulative,
    }
    .sign(signer)
    .signature;
    tx.put_voucher(&row).await?;
    Ok(is_first)
}
