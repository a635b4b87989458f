//! Whether it is the right chain, the right contract, and whether our accounts may do what they are for.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use kernel::Amount;
use serde_json::json;
use settlement::chain::{Chain as _, Order, Signed};
use settlement::{Address, ChainError, Digest, Outgoing, SignedVoucher};

use crate::bytes;
use crate::call;
use crate::client::{Aptos, Draft, encoded, finished};
use crate::settings::{Settings, address_of};

/// From look to look, while roles are given.
const LOOK: Duration = Duration::from_millis(300);

/// Which chain a node serves.
///
/// # Errors
/// It does not answer, or not as a node.
pub async fn number_of(url: &str) -> Result<u8, ChainError> {
    // Neither chain nor contract is asked for here.
    let nobody = Address::from_bytes([0; 32]);
    let aptos = Aptos::new(Settings::new(url, 0, nobody))?;
    Ok(aptos.ledger().await?.chain_id)
}

impl Aptos {
    /// Connects, and refuses what would go wrong later.
    ///
    /// # Errors
    /// The node does not answer; another chain; no contract of ours; an account without its role. Each says what to do.
    pub async fn connect(settings: Settings) -> Result<Self, ChainError> {
        let aptos = Self::new(settings)?;
        aptos.check_chain().await?;
        aptos.check_contract().await?;
        aptos.check_roles().await?;
        Ok(aptos)
    }

    /// Connects for a person who needs no role of the contract's: to look, and to redeem.
    ///
    /// # Errors
    /// The node does not answer; another chain; no contract of ours. Each says what to do.
    pub async fn connect_alone(settings: Settings) -> Result<Self, ChainError> {
        let aptos = Self::new(settings)?;
        aptos.check_chain().await?;
        aptos.check_contract().await?;
        Ok(aptos)
    }

    /// Redeems a voucher with the first of the keys, and waits until the chain has decided.
    ///
    /// # Errors
    /// The trial run fails; there is no key; the node does not answer; the chain refused it in the end. Doing it again does no
    /// harm: a voucher is worth its sum once.
    pub async fn redeem_alone(
        &self,
        voucher: &SignedVoucher,
        random: [u8; 8],
    ) -> Result<Digest, ChainError> {
        let sender = self.reporting().ok_or_else(|| {
            ChainError::Configuration("it takes a key to redeem a voucher".into())
        })?;
        let signed = self.prepare(Order::Redeem(voucher), sender, random).await?;
        self.carry_through(&signed).await?;
        Ok(signed.hash)
    }

    /// Gives our accounts the roles that they lack, as the contract's admin: what `make run` does on the development chain. On a
    /// network, whoever holds the admin's key does it by hand, once.
    ///
    /// # Errors
    /// As [`Aptos::connect`]; `admin` is not the contract's admin.
    pub async fn appoint(
        settings: Settings,
        admin: &SigningKey,
        random: [u8; 8],
    ) -> Result<(), ChainError> {
        let aptos = Self::new(settings)?;
        aptos.check_chain().await?;
        aptos.check_contract().await?;
        let mut number = u64::from_le_bytes(random);
        while let Err(ChainError::NotAllowed { sender, role }) = aptos.check_roles().await {
            number = number.wrapping_add(1);
            let draft = Draft {
                sender: address_of(admin),
                function: call::of_role(aptos.settings.contract, role, sender)?,
                random: number.to_le_bytes(),
            };
            let raw = aptos.plan(draft, |raw| bytes::unsigned(raw, admin)).await?;
            let signed = finished(&raw, bytes::signed(&encoded(&raw)?, admin));
            aptos.carry_through(&signed).await?;
        }
        aptos.check_roles().await
    }

    /// Sends it and waits for its end, for what is done again from the start if this process dies.
    async fn carry_through(&self, signed: &Signed) -> Result<(), ChainError> {
        let mut state = Outgoing::Signed;
        while !state.is_final() {
            if state.may_be_sent() {
                self.submit(&signed.bytes).await?;
                state = state.sent();
            }
            tokio::time::sleep(LOOK).await;
            let sighting = self.look_up(signed.hash).await?;
            state = state
                .after(signed.expires_at, &sighting)
                .map_err(|error| ChainError::Answer(error.to_string()))?;
        }
        match state {
            Outgoing::Landed { .. } => Ok(()),
            state => Err(ChainError::Refused(state.to_string())),
        }
    }

    async fn check_chain(&self) -> Result<(), ChainError> {
        let (got, expected) = (self.ledger().await?.chain_id, self.settings.chain);
        if got != expected {
            return Err(ChainError::WrongChain { expected, got });
        }
        Ok(())
    }

    async fn check_contract(&self) -> Result<(), ChainError> {
        let wrong = |why: String| ChainError::WrongContract {
            address: self.settings.contract,
            why,
        };
        let missing = |error| match error {
            ChainError::Unreachable(_) => error,
            other => wrong(other.to_string()),
        };
        let cap = self.view_number("token::cap", json!([])).await;
        let cap = cap.map_err(missing)?;
        if i64::try_from(cap) != Ok(Amount::MAX.base()) {
            return Err(wrong(format!("its cap is {cap} base units")));
        }
        for view in [
            "settlement::vault_balance",
            "roles::paused",
            "escrow::escrow_address",
        ] {
            let seen = self.view(view, json!([])).await;
            seen.map_err(missing)?;
        }
        Ok(())
    }

    async fn check_roles(&self) -> Result<(), ChainError> {
        let settlers = self.settlers().map(|sender| (sender, "settler"));
        let reporter = self.reporting().map(|sender| (sender, "reporter"));
        for (sender, role) in settlers.chain(reporter) {
            let view = format!("roles::is_{role}");
            let may = self.view(&view, json!([sender.to_string()])).await?;
            if may.first() != Some(&json!(true)) {
                return Err(ChainError::NotAllowed { sender, role });
            }
        }
        Ok(())
    }
}
