//! Whether it is the right chain, the right contract, and whether our accounts may do what they are for.

use kernel::Amount;
use serde_json::json;
use settlement::ChainError;

use crate::client::Aptos;
use crate::settings::Settings;

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
