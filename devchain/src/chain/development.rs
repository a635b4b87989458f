//! The development account, and the money that the faucet gives.

use ed25519_dalek::{Signer, SigningKey};

use super::{Chain, MAX_GAS, MIN_GAS_PRICE};
use crate::transaction::{
    Authenticator, EntryFunction, Payload, RawTransaction, Replay, SignedTransaction,
    ed25519_address, sha3,
};
use crate::types::{Address, ModuleId, StructTag, TypeTag};
use crate::vm::Call;
use crate::{CHAIN_ID, DEVELOPMENT_KEY};

/// The development account: it publishes the package, administers it, and its IO feeds the faucet.
pub fn development_address() -> Address {
    ed25519_address(development_key().verifying_key().as_bytes())
}

fn development_key() -> SigningKey {
    SigningKey::from_bytes(&DEVELOPMENT_KEY)
}

/// The asset that stands for APT.
pub fn apt_metadata() -> Address {
    const NAMED_OBJECT: u8 = 0xFE;
    Address(sha3(&[&Address::FRAMEWORK.0, b"APT", &[NAMED_OBJECT]]))
}

/// Where an owner's balance of an asset is kept.
pub fn primary_store(owner: Address, asset: Address) -> Address {
    const DERIVED_OBJECT: u8 = 0xFC;
    Address(sha3(&[&owner.0, &asset.0, &[DERIVED_OBJECT]]))
}

impl Chain {
    /// An owner's balance of a fungible asset.
    pub fn balance(&mut self, owner: Address, asset: Address) -> u64 {
        let tag = StructTag::plain(Address::FRAMEWORK, "fungible_asset", "FungibleStore");
        let resource = self.vm.resource(primary_store(owner, asset), &tag);
        resource
            .ok()
            .flatten()
            .and_then(|store| store["balance"].as_str()?.parse().ok())
            .unwrap_or_default()
    }

    /// The IO asset of the published package, if there is one.
    pub fn io_metadata(&mut self) -> Option<Address> {
        let module = ModuleId::new(development_address(), "token");
        self.vm.state.module(&module)?;
        let call = Call {
            module,
            function: "metadata".into(),
            type_arguments: Vec::new(),
            arguments: Vec::new(),
        };
        let values = self.vm.view(&call).ok()?;
        values.first()?["inner"].as_str()?.parse().ok()
    }

    /// Signs a call as the development account, with the next number that is free.
    pub fn sign_as_development(&self, function: EntryFunction) -> SignedTransaction {
        let sender = development_address();
        let mut number = self.sequence_number(sender);
        while self.slots.contains_key(&(sender, Replay::Sequence(number))) {
            number += 1;
        }
        let raw = RawTransaction {
            sender,
            sequence_number: number,
            payload: Payload::EntryFunction(function),
            max_gas_amount: MAX_GAS,
            gas_unit_price: MIN_GAS_PRICE,
            expiration_timestamp_secs: self.now_micros() / 1_000_000 + 3_600,
            chain_id: CHAIN_ID,
        };
        let key = development_key();
        let signature = key.sign(&raw.message()).to_bytes().to_vec();
        let key = key.verifying_key().to_bytes().to_vec();
        SignedTransaction {
            raw,
            authenticator: Authenticator::Ed25519 { key, signature },
        }
    }

    /// The faucet's IO: a real transfer out of the development account.
    pub fn io_transfer(&self, asset: Address, to: Address, amount: u64) -> SignedTransaction {
        let metadata = StructTag::plain(Address::FRAMEWORK, "fungible_asset", "Metadata");
        self.sign_as_development(EntryFunction {
            module: ModuleId::new(Address::FRAMEWORK, "primary_fungible_store"),
            function: "transfer".into(),
            type_arguments: vec![TypeTag::Struct(Box::new(metadata))],
            arguments: vec![
                asset.0.to_vec(),
                to.0.to_vec(),
                amount.to_le_bytes().to_vec(),
            ],
        })
    }

    /// The faucet's APT: minted by the chain through a function that only the development account may call.
    pub fn apt_mint(&self, to: Address, amount: u64) -> SignedTransaction {
        self.sign_as_development(EntryFunction {
            module: ModuleId::new(Address::FRAMEWORK, "aptos_coin"),
            function: "mint".into(),
            type_arguments: Vec::new(),
            arguments: vec![to.0.to_vec(), amount.to_le_bytes().to_vec()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_account_is_the_documented_one() {
        assert_eq!(development_address().long(), crate::DEVELOPMENT_ADDRESS);
    }
}
