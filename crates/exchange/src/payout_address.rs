//! Where an account's payouts go. The first address counts at once; a change waits, and is told at once, so that whoever got
//! into an account cannot send its earnings elsewhere before its owner knows.

use protocol::audit::AuditAction;
use protocol::notice::Notice;
use protocol::view::Scope;
use protocol::wallet::{AddressChange, PayoutAddressView};
use settlement::Address;
use store::{PayoutAddress, Tx};

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;

/// Changes that are noted in one round.
const AT_ONCE: u32 = 1_000;

/// `0x` and up to 64 hexadecimal digits; written in full and small, so that one address has one form.
pub(crate) fn payee(text: &str) -> Result<Address, Error> {
    // The first sixteen addresses are the chain's own; nobody has their keys.
    settlement::sign_in::account_address(text.trim()).map_err(|_| {
        Error::invalid(
            "address",
            "an Aptos address: 0x and up to 64 digits 0-9 a-f; not 0x0 to 0xf, which are the chain's own",
        )
    })
}

/// Whether money can be sent to an address that somebody typed.
///
/// # Errors
/// What an address looks like, at the field `address`.
pub fn check_payee(text: &str) -> Result<(), Error> {
    payee(text).map(drop)
}

impl Exchange {
    fn payout_address_view(&self, known: Option<PayoutAddress>) -> PayoutAddressView {
        let known = known.map(|known| known.at(self.now()));
        let next = known.as_ref().and_then(|known| known.next);
        PayoutAddressView {
            address: known.as_ref().map(|known| known.address.to_string()),
            since: known.as_ref().map(|known| known.since),
            next: next.map(|(address, _)| address.to_string()),
            next_at: next.map(|(_, at)| at),
            delay_seconds: self.inner.settings.payout_address_delay,
        }
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn payout_address(&self, actor: &Actor) -> Result<PayoutAddressView, Error> {
        actor.require(Scope::Read)?;
        let known = self.inner.store.payout_address(actor.account).await?;
        Ok(self.payout_address_view(known))
    }

    /// Payouts are to go there. Asking for the same again changes nothing; asking for the present one takes a change back.
    ///
    /// # Errors
    /// An address that is none; not with an API key.
    pub async fn set_payout_address(
        &self,
        actor: &Actor,
        address: &str,
    ) -> Result<PayoutAddressView, Error> {
        actor.require_person()?;
        let address = payee(address)?;
        let mut tx = self.inner.store.begin().await?;
        let known = self.change_address(&mut tx, actor, address).await?;
        tx.commit().await?;
        Ok(self.payout_address_view(Some(known)))
    }

    async fn change_address(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        address: Address,
    ) -> Result<PayoutAddress, Error> {
        let now = self.now();
        let account = actor.account;
        let known = tx.payout_address(account).await?.map(|known| known.at(now));
        let delay = self.inner.settings.payout_address_delay;
        let (new, change, about, at) = match known {
            // Nothing is to change.
            Some(known) if known.address == address && known.next.is_none() => return Ok(known),
            Some(known) if known.next.is_some_and(|(next, _)| next == address) => {
                return Ok(known);
            }
            Some(known) if known.address == address => {
                let about = known.next.map_or(address, |(next, _)| next);
                let kept = PayoutAddress {
                    next: None,
                    ..known
                };
                (kept, AddressChange::Cancelled, about, now)
            }
            Some(known) if delay.get() > 0 => {
                let at = now.plus(delay);
                let waits = PayoutAddress {
                    next: Some((address, at)),
                    ..known
                };
                (waits, AddressChange::Asked, address, at)
            }
            _ => {
                let first = PayoutAddress {
                    account,
                    address,
                    since: now,
                    next: None,
                };
                (first, AddressChange::Changed, address, now)
            }
        };
        tx.put_payout_address(&new).await?;
        let notice = Notice::PayoutAddressUpdated {
            change,
            address: about.to_string(),
            at,
        };
        self.notify(tx, account, notice).await?;
        let action = match change {
            AddressChange::Asked => AuditAction::PayoutAddressAsked,
            AddressChange::Cancelled => AuditAction::PayoutAddressCancelled,
            AddressChange::Changed => AuditAction::PayoutAddressChanged,
        };
        let act = Act::by(actor, action, account).with("address", about);
        self.audit(tx, act).await?;
        tracing::info!(%account, address = %about, ?change, "a payout address");
        Ok(new)
    }

    /// Payouts go on to the present address.
    ///
    /// # Errors
    /// Nothing waits; not with an API key.
    pub async fn cancel_payout_address(&self, actor: &Actor) -> Result<PayoutAddressView, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let known = tx.payout_address(actor.account).await?;
        let known = known.map(|known| known.at(self.now()));
        let Some(known) = known.filter(|known| known.next.is_some()) else {
            return Err(Error::Conflict(
                "no change waits; the address that is shown is in force".into(),
            ));
        };
        let kept = self.change_address(&mut tx, actor, known.address).await?;
        tx.commit().await?;
        Ok(self.payout_address_view(Some(kept)))
    }

    /// Where a payout that is asked for now goes. `to`: where its owner expects it to go; the first one becomes the payout
    /// address.
    ///
    /// # Errors
    /// An address that is none, or another one than the account's; none is known.
    pub(crate) async fn payout_to(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        to: Option<&str>,
    ) -> Result<Address, Error> {
        let wanted = to.map(payee).transpose()?;
        let now = self.now();
        let known = tx.payout_address(actor.account).await?;
        let known = known.map(|known| known.at(now).address);
        match (known, wanted) {
            (Some(known), None) => Ok(known),
            (Some(known), Some(wanted)) if known == wanted => Ok(known),
            (Some(known), Some(_)) if self.inner.settings.payout_address_delay.get() > 0 => {
                Err(Error::Conflict(format!(
                    "your payouts go to {known}; to send them elsewhere, change the payout address first"
                )))
            }
            (None, None) => Err(Error::invalid(
                "address",
                "say where it goes: no payout address is set yet",
            )),
            (_, Some(wanted)) => {
                let known = self.change_address(tx, actor, wanted).await?;
                Ok(known.address)
            }
        }
    }

    /// Notes the changes whose time has come, and tells their accounts.
    pub(crate) async fn note_payout_addresses(&self) -> Result<(), Error> {
        let now = self.now();
        for due in self.inner.store.due_payout_addresses(now, AT_ONCE).await? {
            let mut tx = self.inner.store.begin().await?;
            let known = tx.payout_address(due.account).await?;
            let changed = known
                .filter(|known| *known == due)
                .map(|known| known.at(now));
            let Some(changed) = changed else { continue };
            tx.put_payout_address(&changed).await?;
            let notice = Notice::PayoutAddressUpdated {
                change: AddressChange::Changed,
                address: changed.address.to_string(),
                at: changed.since,
            };
            self.notify(&mut tx, changed.account, notice).await?;
            let (account, action) = (changed.account, AuditAction::PayoutAddressChanged);
            let act = Act::by_platform(action, account, account);
            self.audit(&mut tx, act.with("address", changed.address))
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        let full = format!("0x{}ab", "0".repeat(62));
        assert_eq!(
            payee(" 0xAB ").ok().map(|a| a.to_string()),
            Some(full.clone())
        );
        assert_eq!(payee(&full).ok().map(|a| a.to_string()), Some(full));
        let long = format!("0x{}", "1".repeat(65));
        for wrong in ["", "0x", "ab", "0x0", "0x1", "0xf", "0xgg", "0x1 2", &long] {
            assert!(payee(wrong).is_err(), "{wrong}");
        }
    }
}
