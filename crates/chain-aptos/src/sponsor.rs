//! People's own transactions at the platform's expense: a wallet without APT can deposit, open a channel and redeem.
//!
//! What is paid for is read again from the bytes, whoever brings them: a call of our contract that people may make, under the gas
//! ceiling, signed by its sender.

use ed25519_dalek::{Signer as _, SigningKey};
use settlement::chain::{Deed, Signed, Unsigned};
use settlement::sign_in::{Scheme, WalletKey};
use settlement::{Address, ChainError};

use crate::answer;
use crate::bytes::{self, Raw};
use crate::call::{self, OF_PEOPLE};
use crate::client::{Aptos, Draft, encoded, finished};
use crate::settings::address_of;

/// In place of an authenticator, in a trial run.
const NO_AUTHENTICATOR: [u8; 1] = [4];
const ED25519: u8 = 0;
const SINGLE_KEY: u8 = 2;

fn not_ours(why: &str) -> ChainError {
    ChainError::NotOurs(why.to_owned())
}

/// A wallet's authenticator: which kind, its key, its signature.
fn wallet_key(bytes: &[u8]) -> Result<(WalletKey, &[u8]), ChainError> {
    let (scheme, rest, key_bytes) = match bytes.split_first() {
        Some((&ED25519, rest)) => (Scheme::Ed25519, rest, 33),
        Some((&SINGLE_KEY, rest)) => (Scheme::SingleKey, rest, 34),
        _ => {
            return Err(not_ours(
                "this kind of wallet account is not supported; use one with an Ed25519 key",
            ));
        }
    };
    let (key, signature) = rest
        .split_at_checked(key_bytes)
        .ok_or_else(|| not_ours("the wallet's signature is cut short"))?;
    let key = WalletKey::from_bcs(scheme, key).map_err(|error| not_ours(&error.to_string()))?;
    Ok((key, signature))
}

impl Aptos {
    fn payer(&self) -> Result<&SigningKey, ChainError> {
        self.settings.fee_payer.as_ref().ok_or_else(|| {
            ChainError::Configuration(
                "no account is set to pay people's fees; set the fee payer's key".into(),
            )
        })
    }

    pub(crate) async fn propose_deed(
        &self,
        person: Address,
        deed: &Deed,
        random: [u8; 8],
    ) -> Result<Unsigned, ChainError> {
        let fee_payer = address_of(self.payer()?);
        let draft = Draft {
            sender: person,
            function: call::of_deed(self.settings.contract, deed)?,
            random,
        };
        let trial =
            |raw: &[u8]| bytes::sponsored(raw, &NO_AUTHENTICATOR, &fee_payer, &NO_AUTHENTICATOR);
        let raw = self.plan(draft, trial).await?;
        let bytes = encoded(&raw)?;
        Ok(Unsigned {
            to_sign: bytes::to_sign_for(&bytes, &fee_payer),
            bytes,
            fee_payer,
            expires_at: answer::seconds(raw.expires),
        })
    }

    pub(crate) fn sponsor_deed(
        &self,
        unsigned: &[u8],
        wallet: &[u8],
    ) -> Result<Signed, ChainError> {
        let payer = self.payer()?;
        let raw: Raw = bcs::from_bytes(unsigned)
            .map_err(|_| not_ours("its bytes are no transaction that is made here"))?;
        self.check_ours(&raw)?;
        let fee_payer = address_of(payer);
        let message = bytes::to_sign_for(unsigned, &fee_payer);
        let (key, signature) = wallet_key(wallet)?;
        if key.authentication_key().as_bytes() != &raw.sender {
            return Err(not_ours("the wallet's key is not its sender's"));
        }
        let fits = key
            .verify(&message, signature)
            .map_err(|error| not_ours(&error.to_string()))?;
        if !fits {
            return Err(not_ours("the wallet's signature does not fit"));
        }
        let ours = bytes::authenticator(payer, payer.sign(&message).to_bytes());
        let signed = bytes::sponsored(unsigned, wallet, &fee_payer, &ours);
        Ok(finished(&raw, signed))
    }

    fn check_ours(&self, raw: &Raw) -> Result<(), ChainError> {
        if raw.chain != self.settings.chain {
            return Err(not_ours("it is for another chain"));
        }
        let function = raw
            .payload
            .function()
            .ok_or_else(|| not_ours("it is no call of a function"))?;
        let called = (function.module.name.as_str(), function.function.as_str());
        if function.module.address != *self.settings.contract.as_bytes()
            || !OF_PEOPLE.contains(&called)
        {
            return Err(not_ours(
                "it calls something else than people's functions of IOG's contract",
            ));
        }
        let ceiling = &self.settings.ceiling;
        if raw.gas_units > ceiling.units || raw.gas_price > ceiling.price {
            return Err(not_ours("it would cost more than the gas ceiling"));
        }
        Ok(())
    }
}
