//! Transactions and blocks as Aptos's REST shows them.

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::store::{Block, Committed, Kind};
use crate::transaction::{
    AccountAuthenticator, AnyPublicKey, AnySignature, Authenticator, EntryFunction, Hash, Replay,
    SignedTransaction,
};
use crate::vm::{Call, resolve};

/// Bytes as REST writes them.
pub fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A committed transaction.
pub fn transaction(chain: &mut Chain, committed: &Committed) -> Value {
    let events: Vec<Value> = committed
        .events()
        .map(|event| {
            json!({
                "guid": {"creation_number": "0", "account_address": "0x0"},
                "sequence_number": "0",
                "type": event.tag,
                "data": event.data,
            })
        })
        .collect();
    let mut shown = json!({
        "version": committed.version.to_string(),
        "hash": hexadecimal(&committed.hash),
        "state_change_hash": hexadecimal(&committed.state_change_hash),
        "event_root_hash": hexadecimal(&committed.event_root_hash),
        "state_checkpoint_hash": null,
        "gas_used": committed.gas_used.to_string(),
        "success": committed.success,
        "vm_status": committed.vm_status,
        "accumulator_root_hash": hexadecimal(&committed.accumulator),
        "changes": [],
        "events": events,
        "timestamp": committed.micros.to_string(),
    });
    let more = match &committed.kind {
        Kind::Genesis => json!({
            "type": "genesis_transaction",
            "payload": {"type": "write_set_payload", "write_set": {"type": "direct_write_set", "changes": [], "events": []}},
        }),
        Kind::BlockMetadata => json!({
            "type": "block_metadata_transaction",
            "id": hexadecimal(&committed.hash),
            "epoch": "1",
            "round": committed.height.to_string(),
            "proposer": "0x0",
            "failed_proposer_indices": [],
            "previous_block_votes_bitvec": [],
        }),
        Kind::User { signed } => match SignedTransaction::read(signed) {
            Ok(signed) => {
                let mut shown = request(chain, &signed);
                shown["type"] = "user_transaction".into();
                shown
            }
            Err(error) => json!({"type": "user_transaction", "unreadable": error.to_string()}),
        },
    };
    merge(&mut shown, more);
    shown
}

/// A transaction that waits.
pub fn pending(chain: &mut Chain, signed: &SignedTransaction) -> Value {
    let mut shown = request(chain, signed);
    shown["type"] = "pending_transaction".into();
    shown["hash"] = hexadecimal(&signed.hash()).into();
    shown
}

/// A block, with its transactions if they are given.
pub fn block(block: &Block, transactions: Option<&[Value]>) -> Value {
    json!({
        "block_height": block.height.to_string(),
        "block_hash": hexadecimal(&block.hash),
        "block_timestamp": block.micros.to_string(),
        "first_version": block.first.to_string(),
        "last_version": block.last.to_string(),
        "transactions": transactions,
    })
}

/// A hash as people write it.
pub fn read_hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut hash).ok()?;
    Some(hash)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn request(chain: &mut Chain, signed: &SignedTransaction) -> Value {
    let raw = &signed.raw;
    let mut shown = json!({
        "sender": raw.sender,
        "sequence_number": raw.sequence_number.to_string(),
        "max_gas_amount": raw.max_gas_amount.to_string(),
        "gas_unit_price": raw.gas_unit_price.to_string(),
        "expiration_timestamp_secs": raw.expiration_timestamp_secs.to_string(),
        "payload": raw.entry_function().map(|function| payload(chain, function)),
        "signature": signature(&signed.authenticator),
    });
    if let Replay::Nonce(nonce) = raw.replay() {
        shown["replay_protection_nonce"] = nonce.to_string().into();
    }
    shown
}

fn payload(chain: &mut Chain, function: &EntryFunction) -> Value {
    let call = Call {
        module: function.module.clone(),
        function: function.function.clone(),
        type_arguments: function.type_arguments.clone(),
        arguments: Vec::new(),
    };
    let parameters: Vec<String> = chain
        .vm()
        .signature(&call, "params")
        .unwrap_or_default()
        .into_iter()
        .filter(|text| !matches!(text.trim_start_matches('&'), "signer"))
        .collect();
    let mut arguments = Vec::new();
    for (index, bytes) in function.arguments.iter().enumerate() {
        let tag = parameters
            .get(index)
            .and_then(|text| resolve(text, &function.type_arguments));
        let value = tag.and_then(|tag| chain.vm().decode(&tag, bytes).ok());
        // Of a function that is not there the bytes are all that is known.
        arguments.push(value.unwrap_or_else(|| hexadecimal(bytes).into()));
    }
    let types: Vec<String> = function
        .type_arguments
        .iter()
        .map(ToString::to_string)
        .collect();
    json!({
        "type": "entry_function_payload",
        "function": format!("{}::{}", function.module, function.function),
        "type_arguments": types,
        "arguments": arguments,
    })
}

fn signature(authenticator: &Authenticator) -> Value {
    match authenticator {
        Authenticator::Ed25519 { key, signature } => json!({
            "type": "ed25519_signature",
            "public_key": hexadecimal(key),
            "signature": hexadecimal(signature),
        }),
        Authenticator::MultiEd25519 { .. } => json!({"type": "multi_ed25519_signature"}),
        Authenticator::SingleSender(sender) => account(sender),
        Authenticator::MultiAgent {
            sender,
            secondary_addresses,
            secondary,
        } => json!({
            "type": "multi_agent_signature",
            "sender": account(sender),
            "secondary_signer_addresses": secondary_addresses,
            "secondary_signers": secondary.iter().map(account).collect::<Vec<_>>(),
        }),
        Authenticator::FeePayer {
            sender,
            secondary_addresses,
            secondary,
            fee_payer_address,
            fee_payer,
        } => json!({
            "type": "fee_payer_signature",
            "sender": account(sender),
            "secondary_signer_addresses": secondary_addresses,
            "secondary_signers": secondary.iter().map(account).collect::<Vec<_>>(),
            "fee_payer_address": fee_payer_address,
            "fee_payer_signer": account(fee_payer),
        }),
    }
}

fn account(authenticator: &AccountAuthenticator) -> Value {
    match authenticator {
        AccountAuthenticator::Ed25519 { key, signature } => json!({
            "type": "ed25519_signature",
            "public_key": hexadecimal(key),
            "signature": hexadecimal(signature),
        }),
        AccountAuthenticator::SingleKey { key, signature } => {
            let (kind, key) = match key {
                AnyPublicKey::Ed25519(key) => ("ed25519", key),
                AnyPublicKey::Secp256k1(key) => ("secp256k1_ecdsa", key),
            };
            let (signed, signature) = match signature {
                AnySignature::Ed25519(signature) => ("ed25519", signature),
                AnySignature::Secp256k1(signature) => ("secp256k1_ecdsa", signature),
            };
            json!({
                "type": "single_key_signature",
                "public_key": {"type": kind, "value": hexadecimal(key)},
                "signature": {"type": signed, "value": hexadecimal(signature)},
            })
        }
        AccountAuthenticator::MultiEd25519 { .. } => json!({"type": "multi_ed25519_signature"}),
        AccountAuthenticator::MultiKey { .. } => json!({"type": "multi_key_signature"}),
        AccountAuthenticator::None => json!({"type": "no_account_signature"}),
    }
}
