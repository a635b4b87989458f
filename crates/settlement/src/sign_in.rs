//! Signing in with a wallet: the message (AIP-116, as `@aptos-labs/siwa` writes it), who signed it, and whether it is the one
//! that was asked for.
//!
//! The wallet's key signs SHA3-256 of `SIGN_IN_WITH_APTOS::`, and then the message's bytes; wallets that do not know this
//! message sign another ([`plain`]). Which nonces were given out, and that
//! each is used once, is the server's to know.

mod key;
mod message;
pub mod plain;

use kernel::Timestamp;

pub use key::{KeyError, Scheme, WalletKey};
pub use message::{Fields, FormError};
pub use plain::{PlainAnswer, check_plain};

use crate::digest::{Address, Digest};

const DOMAIN: &[u8] = b"SIGN_IN_WITH_APTOS::";
const VERSION: &str = "1";
/// How far a wallet's clock may be ahead.
const AHEAD_MS: i64 = 120_000;

/// Why somebody is not signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the message is for {0:?}, which is another site; sign in from this site's own page")]
    OtherDomain(String),
    #[error("the message names another page than the one that asked for it; sign in again")]
    OtherUri,
    #[error("the message has another version than 1")]
    OtherVersion,
    #[error("the wallet is set to {got:?}; set it to {expected:?} and sign in again")]
    OtherChain { expected: String, got: String },
    #[error("the message is not the one that was asked for; sign in again")]
    OtherNonce,
    #[error("the message says something else than was asked for; sign in again")]
    OtherStatement,
    #[error("the message is too old or too new; check the clock of this device and sign in again")]
    OutOfTime,
    #[error("{0} is no address of an account")]
    NoAddress(String),
    #[error(
        "this key does not sign for the address that the message names; choose that account in the wallet"
    )]
    OtherAddress,
    #[error("the signature does not fit; sign in again")]
    Signature,
}

/// What the server asked for and remembers under the nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Host and port of this site, `iog.example` or `127.0.0.1:3000`.
    pub domain: String,
    /// Its origin, `https://iog.example`.
    pub uri: String,
    pub statement: String,
    pub nonce: String,
    /// As wallets name the chain, `aptos:mainnet`.
    pub chain: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What a wallet gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub fields: Fields,
    pub key: WalletKey,
    pub signature: Vec<u8>,
}

impl Expected {
    /// The fields for the wallet to sign; it adds the address.
    pub fn fields(&self) -> Fields {
        Fields {
            domain: self.domain.clone(),
            address: String::new(),
            statement: Some(self.statement.clone()),
            uri: Some(self.uri.clone()),
            version: Some(VERSION.to_owned()),
            nonce: Some(self.nonce.clone()),
            chain_id: Some(self.chain.clone()),
            issued_at: Some(self.issued_at.to_string()),
            expiration_time: Some(self.expires_at.to_string()),
            not_before: None,
            request_id: None,
            resources: None,
        }
    }

    fn matches(&self, fields: &Fields, now: Timestamp) -> Result<(), SignInError> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        if fields.domain != self.domain {
            return Err(SignInError::OtherDomain(fields.domain.clone()));
        }
        if text(&fields.uri) != self.uri {
            return Err(SignInError::OtherUri);
        }
        if text(&fields.version) != VERSION {
            return Err(SignInError::OtherVersion);
        }
        if text(&fields.chain_id) != self.chain {
            return Err(SignInError::OtherChain {
                expected: self.chain.clone(),
                got: text(&fields.chain_id),
            });
        }
        if text(&fields.nonce) != self.nonce {
            return Err(SignInError::OtherNonce);
        }
        let nothing_more = fields.not_before.is_none()
            && fields.request_id.is_none()
            && fields.resources.is_none();
        if text(&fields.statement) != self.statement || !nothing_more {
            return Err(SignInError::OtherStatement);
        }
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        // They are the server's own times, and come back as they were given.
        let same = time(&fields.issued_at) == Some(self.issued_at)
            && time(&fields.expiration_time) == Some(self.expires_at);
        if !same || !self.is_in_time(now) {
            return Err(SignInError::OutOfTime);
        }
        Ok(())
    }

    fn is_in_time(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.issued_at.millis_since(now) <= AHEAD_MS
    }
}

/// The bytes that a wallet's key signs.
pub fn bytes_to_sign(message: &str) -> Vec<u8> {
    [
        Digest::of(&[DOMAIN]).as_bytes().as_slice(),
        message.as_bytes(),
    ]
    .concat()
}

/// Who signed in. `on_chain` is the hash of the key that signs for the address now, if the chain knows the address; an
/// address that it does not know is the hash itself.
///
/// # Errors
/// A [`SignInError`] that says what to do.
pub fn check(
    expected: &Expected,
    answer: &Answer,
    on_chain: Option<Digest>,
    now: Timestamp,
) -> Result<Address, SignInError> {
    let message = answer.fields.to_message()?;
    expected.matches(&answer.fields, now)?;
    let address = owner_of(&answer.fields.address, &answer.key, on_chain)?;
    answer
        .key
        .verify(&bytes_to_sign(&message), &answer.signature)?
        .then_some(address)
        .ok_or(SignInError::Signature)
}

/// The address of an account that somebody may have.
///
/// # Errors
/// [`SignInError::NoAddress`].
pub fn account_address(text: &str) -> Result<Address, SignInError> {
    text.parse()
        .ok()
        .filter(|address: &Address| !address.is_special())
        .ok_or_else(|| SignInError::NoAddress(text.to_owned()))
}

/// The address, if the key signs for it.
fn owner_of(text: &str, key: &WalletKey, on_chain: Option<Digest>) -> Result<Address, SignInError> {
    let address = account_address(text)?;
    let wanted = on_chain.unwrap_or(Digest::from_bytes(*address.as_bytes()));
    if key.authentication_key() == wanted {
        Ok(address)
    } else {
        Err(SignInError::OtherAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    pub(super) fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000).plus_millis(millis)
    }

    pub(super) fn expected() -> Expected {
        Expected {
            domain: "iog.example".into(),
            uri: "https://iog.example".into(),
            statement: "Sign in to IOG.".into(),
            nonce: "a1b2c3d4e5f6a7b8".into(),
            chain: "aptos:testnet".into(),
            issued_at: at(0),
            expires_at: at(300_000),
        }
    }

    pub(super) fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    pub(super) fn wallet() -> WalletKey {
        WalletKey::ed25519(key().verifying_key())
    }

    fn signed(change: impl Fn(&mut Fields)) -> Answer {
        let mut fields = expected().fields();
        fields.address = Address::from_bytes(*wallet().authentication_key().as_bytes()).to_string();
        change(&mut fields);
        let message = fields.to_message().unwrap_or_default();
        Answer {
            fields,
            key: wallet(),
            signature: key().sign(&bytes_to_sign(&message)).to_bytes().to_vec(),
        }
    }

    fn checked(answer: &Answer) -> Result<Address, SignInError> {
        check(&expected(), answer, None, at(1_000))
    }

    #[test]
    fn who_signed_is_signed_in() {
        let answer = signed(|_| ());
        let address = Address::from_bytes(*wallet().authentication_key().as_bytes());
        assert_eq!(checked(&answer), Ok(address));
    }

    #[test]
    fn what_was_not_asked_for_is_refused_even_when_it_is_signed() {
        let refused = |change: fn(&mut Fields)| checked(&signed(change)).expect_err("refused");
        assert_eq!(
            refused(|f| f.domain = "evil.example".into()),
            SignInError::OtherDomain("evil.example".into())
        );
        assert_eq!(
            refused(|f| f.uri = Some("https://iog.example.evil".into())),
            SignInError::OtherUri
        );
        assert_eq!(refused(|f| f.uri = None), SignInError::OtherUri);
        assert_eq!(
            refused(|f| f.version = Some("2".into())),
            SignInError::OtherVersion
        );
        let (expected, got) = ("aptos:testnet".to_owned(), "aptos:mainnet".to_owned());
        assert_eq!(
            refused(|f| f.chain_id = Some("aptos:mainnet".into())),
            SignInError::OtherChain { expected, got }
        );
        assert_eq!(
            refused(|f| f.nonce = Some("a1b2c3d4e5f6a7b9".into())),
            SignInError::OtherNonce
        );
        assert_eq!(refused(|f| f.nonce = None), SignInError::OtherNonce);
        assert_eq!(
            refused(|f| f.statement = Some("Pay me.".into())),
            SignInError::OtherStatement
        );
        assert_eq!(
            refused(|f| f.resources = Some(vec!["https://evil".into()])),
            SignInError::OtherStatement
        );
        assert_eq!(
            refused(|f| f.request_id = Some("1".into())),
            SignInError::OtherStatement
        );
        assert_eq!(
            refused(|f| f.not_before = Some(at(0).to_string())),
            SignInError::OtherStatement
        );
        assert_eq!(
            refused(|f| f.issued_at = Some(at(1).to_string())),
            SignInError::OutOfTime
        );
        assert_eq!(
            refused(|f| f.expiration_time = Some(at(900_000).to_string())),
            SignInError::OutOfTime
        );
        assert_eq!(
            refused(|f| f.expiration_time = None),
            SignInError::OutOfTime
        );
        assert_eq!(
            refused(|f| f.address = "0x1".into()),
            SignInError::NoAddress("0x1".into())
        );
        assert_eq!(
            refused(|f| f.address = "me".into()),
            SignInError::NoAddress("me".into())
        );
        assert_eq!(
            refused(|f| f.address = format!("0x{}", "7".repeat(64))),
            SignInError::OtherAddress
        );
        assert!(matches!(
            refused(|f| f.nonce = Some("a\nb".into())),
            SignInError::Form(_)
        ));
    }

    #[test]
    fn the_time_is_the_servers() {
        let answer = signed(|_| ());
        let then = |millis| check(&expected(), &answer, None, at(millis)).map(|_| ());
        assert_eq!(then(299_999), Ok(()));
        assert_eq!(then(300_000), Err(SignInError::OutOfTime));
        assert_eq!(then(-120_000), Ok(()));
        assert_eq!(then(-120_001), Err(SignInError::OutOfTime));
    }

    #[test]
    fn another_key_or_signature_signs_nobody_in() {
        let mut forged = signed(|_| ());
        forged.key = WalletKey::ed25519(SigningKey::from_bytes(&[4; 32]).verifying_key());
        assert_eq!(checked(&forged), Err(SignInError::OtherAddress));
        let mut forged = signed(|_| ());
        forged.signature[0] ^= 1;
        assert_eq!(checked(&forged), Err(SignInError::Signature));
        forged.signature.pop();
        assert_eq!(checked(&forged), Err(SignInError::Key(KeyError::Signature)));
        // The bare message, or one under another prefix, was not signed for a sign-in.
        let mut other = signed(|_| ());
        let message = other.fields.to_message().expect("a message");
        other.signature = key().sign(message.as_bytes()).to_bytes().to_vec();
        assert_eq!(checked(&other), Err(SignInError::Signature));
    }

    #[test]
    fn a_key_that_was_changed_on_the_chain_is_the_one_that_counts() {
        let old = signed(|_| ());
        let new = Digest::of(&[b"another key"]);
        assert_eq!(
            check(&expected(), &old, Some(new), at(1)),
            Err(SignInError::OtherAddress)
        );
        let mut fields = expected().fields();
        fields.address = format!("0x{}", "7".repeat(64));
        let message = fields.to_message().expect("a message");
        let rotated = Answer {
            fields,
            key: wallet(),
            signature: key().sign(&bytes_to_sign(&message)).to_bytes().to_vec(),
        };
        let now = check(
            &expected(),
            &rotated,
            Some(wallet().authentication_key()),
            at(1),
        );
        assert_eq!(now, Ok(Address::from_bytes([0x77; 32])));
    }
}
