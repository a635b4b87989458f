//! What people do on the chain with their own wallets, at the platform's expense: proposed here, signed there, sent from here.
//!
//! Each proposal is remembered, and only what was proposed is paid for, once. Whether it took effect is told by the chain's
//! events, as with everything else; what is kept here is how far its transaction is.

use kernel::{AccountId, DeedId, Seconds};
use protocol::money::{DeedKind, DeedProposal, DeedState, DeedView};
use protocol::view::Scope;
use settlement::chain::{Deed, Unsigned};
use settlement::{Address, Chain, ChainError, Outgoing};
use store::{Purpose, Tx, WalletDeed};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::wallets::NO_CHAIN;

/// Each costs the platform a fee once it is signed.
const A_MINUTE: u64 = 10;
const A_DAY: u64 = 100;
/// Trial runs in a minute, whatever came of them: each is a few questions to the node that settlement needs, too.
const TRIES: u64 = 30;
const SHOWN: u32 = 50;

/// A transaction that was tried and made, and is not offered yet.
pub(crate) struct Made {
    wallet: Address,
    kind: DeedKind,
    amount: Option<kernel::Amount>,
    unsigned: Unsigned,
}

fn kind_of(deed: &Deed) -> (DeedKind, Option<kernel::Amount>) {
    match deed {
        Deed::Deposit { amount, .. } => (DeedKind::Deposit, Some(*amount)),
        Deed::Open { deposit, .. } => (DeedKind::OpenChannel, Some(*deposit)),
        Deed::TopUp { amount, .. } => (DeedKind::TopUpChannel, Some(*amount)),
        Deed::StartClose { .. } => (DeedKind::StartClose, None),
        Deed::FinishClose { .. } => (DeedKind::FinishClose, None),
        Deed::Redeem(signed) => (DeedKind::Redeem, Some(signed.voucher.cumulative)),
    }
}

/// What a person is told when the chain would not do it.
fn refused(error: ChainError) -> Error {
    match error {
        ChainError::WouldFail { why, .. } => Error::Conflict(format!(
            "the chain would refuse it ({why}); nothing was sent; look whether the wallet holds enough"
        )),
        ChainError::NotOurs(why) => Error::invalid("signature", why),
        other => other.into(),
    }
}

/// The plain reason, if it is that: the wallet does not hold what is to leave it.
async fn too_little(chain: &dyn Chain, wallet: Address, deed: &Deed) -> Option<Error> {
    let (Deed::Deposit { amount, .. }
    | Deed::Open {
        deposit: amount, ..
    }
    | Deed::TopUp { amount, .. }) = deed
    else {
        return None;
    };
    let held = chain.holding(wallet).await.ok()?;
    (held < *amount).then(|| {
        Error::Conflict(format!(
            "the wallet holds {held}, and this needs {amount}; nothing was sent"
        ))
    })
}

fn view(deed: &WalletDeed, state: DeedState, status: String) -> DeedView {
    DeedView {
        id: deed.id,
        kind: deed.kind,
        amount: deed.amount,
        wallet: deed.wallet.to_string(),
        state,
        transaction: deed.transaction.map(|hash| hash.to_string()),
        status,
        made_at: deed.made_at,
        expires_at: deed.expires_at,
    }
}

const fn state_of(outgoing: Outgoing) -> DeedState {
    match outgoing {
        Outgoing::Landed { .. } => DeedState::Landed,
        Outgoing::Failed { .. } => DeedState::Failed,
        Outgoing::Absent => DeedState::Expired,
        _ => DeedState::Sent,
    }
}

impl Exchange {
    /// Makes a transaction for a wallet to sign. It is tried on the chain first.
    ///
    /// # Errors
    /// Not with an API key; too many at once; the chain would refuse it; it does not answer.
    pub async fn propose_deed(
        &self,
        actor: &Actor,
        chain: &dyn Chain,
        wallet: Address,
        deed: &Deed,
    ) -> Result<DeedProposal, Error> {
        let made = self.make_deed(actor, chain, wallet, deed).await?;
        let mut tx = self.inner.store.begin().await?;
        let proposal = self.offer_deed(&mut tx, actor, made).await?;
        tx.commit().await?;
        Ok(proposal)
    }

    /// The first half, without the database's only writer being held while the chain is asked.
    pub(crate) async fn make_deed(
        &self,
        actor: &Actor,
        chain: &dyn Chain,
        wallet: Address,
        deed: &Deed,
    ) -> Result<Made, Error> {
        actor.require_person()?;
        {
            let mut tx = self.inner.store.begin().await?;
            let now = self.now();
            for (seconds, most) in [(60, A_MINUTE), (86_400, A_DAY)] {
                let since = now.minus(Seconds::new(seconds));
                if tx.count_wallet_deeds(actor.account, since).await? >= most {
                    return Err(Error::Conflict(format!(
                        "{most} transactions were made for your wallet in the last {seconds} s, as many as may be; wait a while"
                    )));
                }
            }
        }
        self.count_try(actor.account)?;
        let (kind, amount) = kind_of(deed);
        let unsigned = match chain.propose(wallet, deed, self.random()).await {
            Ok(unsigned) => unsigned,
            Err(error) => {
                return Err(too_little(chain, wallet, deed)
                    .await
                    .unwrap_or(refused(error)));
            }
        };
        Ok(Made {
            wallet,
            kind,
            amount,
            unsigned,
        })
    }

    fn count_try(&self, account: AccountId) -> Result<(), Error> {
        let now = self.now();
        let mut memory = self.memory();
        memory
            .tries
            .retain(|_, (since, _)| since.plus(Seconds::MINUTE) > now);
        let (_, tries) = memory.tries.entry(account).or_insert((now, 0));
        *tries = tries.saturating_add(1);
        if *tries <= TRIES {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "{TRIES} transactions were tried for your wallet in the last 60 s, as many as may be; wait a while"
        )))
    }

    /// The second half: remembered in the caller's transaction.
    pub(crate) async fn offer_deed(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        made: Made,
    ) -> Result<DeedProposal, Error> {
        let now = self.now();
        let row = WalletDeed {
            id: DeedId::new(now, self.random()),
            account: actor.account,
            wallet: made.wallet,
            kind: made.kind,
            amount: made.amount,
            unsigned: made.unsigned.bytes,
            fee_payer: made.unsigned.fee_payer,
            expires_at: made.unsigned.expires_at,
            made_at: now,
            transaction: None,
        };
        tx.insert_wallet_deed(&row).await?;
        Ok(DeedProposal {
            id: row.id,
            kind: row.kind,
            wallet: row.wallet.to_string(),
            transaction: hex::encode(&row.unsigned),
            to_sign: hex::encode(&made.unsigned.to_sign),
            fee_payer: row.fee_payer.to_string(),
            expires_at: row.expires_at,
        })
    }

    /// Takes the wallet's signature (its authenticator, as the chain's own clients write it), adds the platform's, stores both
    /// and hands them over. The same again answers the same.
    ///
    /// # Errors
    /// Not this account's; over; the signature does not fit; not with an API key; there is no chain.
    pub async fn submit_deed(
        &self,
        actor: &Actor,
        chain: Option<&dyn Chain>,
        id: DeedId,
        wallet: &[u8],
    ) -> Result<DeedView, Error> {
        actor.require_person()?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let found = tx.wallet_deed(id).await?;
        let mut deed =
            found
                .filter(|deed| deed.account == actor.account)
                .ok_or(Error::NotFound(
                    "a transaction that was made for your wallet",
                ))?;
        if deed.transaction.is_some() {
            drop(tx);
            return self.deed_view(&deed).await;
        }
        let chain = chain.ok_or(NO_CHAIN)?;
        if deed.expires_at <= now {
            return Err(Error::Conflict(
                "it is over, since it was not signed in time; begin again".into(),
            ));
        }
        // Checks the wallet's signature; asks nobody.
        let signed = chain.sponsor(&deed.unsigned, wallet).map_err(refused)?;
        tx.insert_outgoing(&signed, Purpose::Deed(id), now).await?;
        tx.put_deed_transaction(id, signed.hash).await?;
        tx.commit().await?;
        deed.transaction = Some(signed.hash);
        tracing::info!(deed = %id, kind = %deed.kind, transaction = %signed.hash, account = %actor.account, "a wallet's transaction goes out");
        self.hand_over(chain, signed.hash, &signed.bytes).await?;
        self.deed_view(&deed).await
    }

    /// What was made for the account's wallets lately, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn wallet_deeds(&self, actor: &Actor) -> Result<Vec<DeedView>, Error> {
        actor.require(Scope::Read)?;
        let deeds = self.inner.store.wallet_deeds(actor.account, SHOWN).await?;
        let mut views = Vec::with_capacity(deeds.len());
        for deed in &deeds {
            views.push(self.deed_view(deed).await?);
        }
        Ok(views)
    }

    async fn deed_view(&self, deed: &WalletDeed) -> Result<DeedView, Error> {
        if deed.transaction.is_none() {
            let is_over = deed.expires_at <= self.now();
            let state = if is_over {
                DeedState::Expired
            } else {
                DeedState::Proposed
            };
            return Ok(view(deed, state, String::new()));
        }
        let row = self
            .inner
            .store
            .newest_outgoing(Purpose::Deed(deed.id))
            .await?;
        let row = row.ok_or(Error::NotFound("the transaction"))?;
        Ok(view(deed, state_of(row.state), row.status))
    }
}
