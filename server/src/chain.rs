//! The chain as this process has it: connected, or not yet.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chain_aptos::Aptos;
use settlement::ChainError;
use tokio::sync::OnceCell;

use crate::config;

/// Nobody waits longer for it before the port is opened.
const AT_START: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    config: config::Chain,
    aptos: OnceCell<Aptos>,
    /// What was wrong with the last round.
    trouble: RwLock<Option<String>>,
}

impl Link {
    /// A chain that does not answer is asked again by the loops: people rent and earn without it.
    ///
    /// # Errors
    /// It answers and is not what the configuration says: another chain, no contract of ours, an account without its role.
    pub async fn open(config: &config::Chain) -> Result<Self, ChainError> {
        let link = Self(Arc::new(Inner {
            config: config.clone(),
            aptos: OnceCell::new(),
            trouble: RwLock::new(None),
        }));
        let first = tokio::time::timeout(AT_START, link.aptos()).await;
        let error = match first {
            Ok(Ok(_)) => return Ok(link),
            Ok(Err(error)) if !error.is_temporary() => return Err(error),
            Ok(Err(error)) => error,
            Err(_) => ChainError::Unreachable("no answer in time".to_owned()),
        };
        tracing::warn!(%error, "serving without the chain; payouts wait for it");
        link.note(Some(error.to_string()));
        Ok(link)
    }

    pub fn config(&self) -> &config::Chain {
        &self.0.config
    }

    /// # Errors
    /// It was never reached so far, and is not now either; or it is another one than the configuration says.
    pub async fn aptos(&self) -> Result<&Aptos, ChainError> {
        let connect = || async {
            let aptos = Aptos::connect(self.0.config.aptos.clone()).await?;
            let config::Chain {
                aptos: settings, ..
            } = &self.0.config;
            tracing::info!(url = settings.url, chain = settings.chain, contract = %settings.contract, "connected to the chain");
            Ok(aptos)
        };
        self.0.aptos.get_or_try_init(connect).await
    }

    /// What came of a round.
    pub fn note(&self, trouble: Option<String>) {
        *self
            .0
            .trouble
            .write()
            .unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong with it, as of the last round.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.read();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
