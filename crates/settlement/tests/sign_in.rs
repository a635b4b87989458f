//! Messages, keys and signatures made by the official packages are read here to the byte, and ours are the same.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::Deserialize;
use settlement::Address;
use settlement::sign_in::{Answer, Expected, Fields, Scheme, WalletKey, bytes_to_sign, check};

#[derive(Deserialize)]
struct Vector {
    secret: String,
    scheme: String,
    fields: Fields,
    message: String,
    signing: String,
    key: String,
    signature: String,
    address: Address,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/sign_in.json")).expect("vectors")
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.trim_start_matches("0x")).expect("hex")
}

#[test]
fn messages_are_the_official_ones() {
    for vector in vectors() {
        assert_eq!(vector.fields.to_message(), Ok(vector.message.clone()));
        assert_eq!(Fields::parse(&vector.message), Ok(vector.fields));
        assert_eq!(bytes_to_sign(&vector.message), bytes(&vector.signing));
    }
}

#[test]
fn keys_addresses_and_signatures_are_the_official_ones() {
    let vectors = vectors();
    assert!(vectors.iter().any(|vector| vector.scheme == "single_key"));
    for vector in vectors {
        let scheme = Scheme::from_name(&vector.scheme).expect("a scheme");
        let key = WalletKey::from_bcs(scheme, &bytes(&vector.key)).expect("a key");
        assert_eq!(
            key.authentication_key().as_bytes(),
            vector.address.as_bytes()
        );
        let signed = bytes(&vector.signing);
        let signature = bytes(&vector.signature);
        assert_eq!(key.verify(&signed, &signature), Ok(true));
        let secret: [u8; 32] = bytes(&vector.secret).try_into().expect("32 bytes");
        let ours = SigningKey::from_bytes(&secret).sign(&signed).to_bytes();
        assert!(signature.ends_with(&ours), "the same signature");
    }
}

#[test]
fn whom_the_official_packages_sign_in_is_signed_in() {
    for vector in vectors().into_iter().take(2) {
        let scheme = Scheme::from_name(&vector.scheme).expect("a scheme");
        let field = |field: &Option<String>| field.clone().expect("there");
        let fields = &vector.fields;
        let expected = Expected {
            domain: fields.domain.clone(),
            uri: field(&fields.uri),
            statement: field(&fields.statement),
            nonce: field(&fields.nonce),
            chain: field(&fields.chain_id),
            issued_at: field(&fields.issued_at).parse().expect("a time"),
            expires_at: field(&fields.expiration_time).parse().expect("a time"),
        };
        let answer = Answer {
            fields: vector.fields,
            key: WalletKey::from_bcs(scheme, &bytes(&vector.key)).expect("a key"),
            signature: bytes(&vector.signature),
        };
        let now = "2026-11-26T12:01:00Z".parse().expect("a time");
        assert_eq!(check(&expected, &answer, None, now), Ok(vector.address));
    }
}
