//! Which network, which contract, whose keys.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use settlement::gas::Ceiling;
use settlement::sign_in::WalletKey;
use settlement::{Address, ChainError};

/// How the chain keeps a transaction from running twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// By a nonce: as many at once as `most`, in any order. The chain takes only what expires within a minute.
    Nonces { most: usize },
    /// By the account's counter: one at a time for each account. For chains that know no nonces.
    Numbers,
}

#[derive(Clone)]
pub struct Settings {
    /// With its version, `https://api.testnet.aptoslabs.com/v1`.
    pub url: String,
    pub chain: u8,
    pub contract: Address,
    /// They pay out; each needs the contract's role `settler`.
    pub settlers: Vec<SigningKey>,
    /// It publishes reports and hands in vouchers; it needs the role `reporter`. By default the first settler does it.
    pub reporter: Option<SigningKey>,
    /// It pays the fees of people's own transactions. Without it they pay them themselves.
    pub fee_payer: Option<SigningKey>,
    pub ceiling: Ceiling,
    pub replay: Replay,
    /// How long a transaction may take to land, by the chain's clock.
    pub valid_for: Duration,
    /// One request.
    pub timeout: Duration,
    /// How often a request is tried that is safe to repeat; all of them are.
    pub tries: u32,
    /// The first wait between two tries; it doubles.
    pub pause: Duration,
    /// The longest wait between two tries, whatever the node asks for.
    pub pause_max: Duration,
}

impl Settings {
    pub fn new(url: impl Into<String>, chain: u8, contract: Address) -> Self {
        Self {
            url: url.into(),
            chain,
            contract,
            settlers: Vec::new(),
            reporter: None,
            fee_payer: None,
            // A batch of 256 lines needs about a tenth of it; the price is Aptos's least times ten.
            ceiling: Ceiling {
                units: 2_000_000,
                price: 1_000,
            },
            replay: Replay::Nonces { most: 32 },
            valid_for: Duration::from_secs(50),
            timeout: Duration::from_secs(15),
            tries: 5,
            pause: Duration::from_millis(200),
            pause_max: Duration::from_secs(20),
        }
    }
}

/// The address of a key that was never changed.
pub(crate) fn address_of(key: &SigningKey) -> Address {
    let wallet = WalletKey::ed25519(key.verifying_key());
    Address::from_bytes(*wallet.authentication_key().as_bytes())
}

/// A secret key as Aptos's tools write it: 64 hex digits, perhaps after `0x` or `ed25519-priv-0x`.
///
/// # Errors
/// [`ChainError::Configuration`]; the text is not repeated in it.
pub fn secret_key(text: &str) -> Result<SigningKey, ChainError> {
    let text = text.trim();
    let text = text.strip_prefix("ed25519-priv-").unwrap_or(text);
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| {
        ChainError::Configuration("a secret key for the chain is 64 digits 0-9 a-f".into())
    })?;
    Ok(SigningKey::from_bytes(&bytes))
}
