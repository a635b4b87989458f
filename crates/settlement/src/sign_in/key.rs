//! A wallet's key: how it is written, which address is its, and whether it signed.
//!
//! Written are keys and signatures in BCS, as wallets hand them out. The address of a key that was never changed is SHA3-256 of
//! the key and one byte for its scheme.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::digest::Digest;

const ED25519: u8 = 0;
const SINGLE_KEY: u8 = 2;
/// Ed25519 within the single-key scheme.
const ANY_ED25519: u8 = 0;
const KEY_BYTES: u8 = 32;
const SIGNATURE_BYTES: u8 = 64;

/// Why a key or a signature cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this kind of wallet account cannot sign in here yet; use one with an Ed25519 key")]
    Kind,
    #[error("the wallet's key is not an Ed25519 key in BCS")]
    Key,
    #[error("the wallet's signature is not an Ed25519 signature in BCS")]
    Signature,
}

/// How an account's key stands on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// The key alone.
    Ed25519,
    /// The key with the name of its kind.
    SingleKey,
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletKey {
    scheme: Scheme,
    key: VerifyingKey,
}

impl Scheme {
    /// As wallets name it.
    ///
    /// # Errors
    /// [`KeyError::Kind`].
    pub fn from_name(name: &str) -> Result<Self, KeyError> {
        match name {
            "ed25519" => Ok(Self::Ed25519),
            "single_key" => Ok(Self::SingleKey),
            _ => Err(KeyError::Kind),
        }
    }

    /// Of a key in BCS, where the wallet does not name it: only the longer one begins with its kind.
    pub const fn of_key(bytes: &[u8]) -> Self {
        match bytes.len() {
            33 => Self::Ed25519,
            _ => Self::SingleKey,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => ED25519,
            Self::SingleKey => SINGLE_KEY,
        }
    }

    /// Takes the name of the kind off what is written in the single-key scheme.
    fn inner(self, bytes: &[u8]) -> Result<&[u8], KeyError> {
        match (self, bytes) {
            (Self::Ed25519, bytes) | (Self::SingleKey, [ANY_ED25519, bytes @ ..]) => Ok(bytes),
            (Self::SingleKey, _) => Err(KeyError::Kind),
        }
    }
}

/// Bytes with their number before them.
fn counted<const N: usize>(bytes: &[u8], count: u8) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first()?;
    (*first == count).then_some(())?;
    rest.try_into().ok()
}

impl WalletKey {
    pub const fn ed25519(key: VerifyingKey) -> Self {
        Self {
            scheme: Scheme::Ed25519,
            key,
        }
    }

    pub const fn single_key(key: VerifyingKey) -> Self {
        Self {
            scheme: Scheme::SingleKey,
            key,
        }
    }

    /// # Errors
    /// A [`KeyError`] that says what it is not.
    pub fn from_bcs(scheme: Scheme, bytes: &[u8]) -> Result<Self, KeyError> {
        let inner = scheme.inner(bytes)?;
        let key = counted(inner, KEY_BYTES).ok_or(KeyError::Key)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Key)?;
        // A key of small order "signs" whatever one likes.
        if key.is_weak() {
            return Err(KeyError::Key);
        }
        Ok(Self { scheme, key })
    }

    pub fn to_bcs(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(34);
        if self.scheme == Scheme::SingleKey {
            bytes.push(ANY_ED25519);
        }
        bytes.push(KEY_BYTES);
        bytes.extend_from_slice(self.key.as_bytes());
        bytes
    }

    /// What the chain keeps for an account: hash of key and scheme.
    pub fn authentication_key(&self) -> Digest {
        let key = self.to_bcs();
        // In the first scheme the bare key is hashed, without its length.
        let hashed = match self.scheme {
            Scheme::Ed25519 => self.key.as_bytes().as_slice(),
            Scheme::SingleKey => key.as_slice(),
        };
        Digest::of(&[hashed, &[self.scheme.byte()]])
    }

    /// Whether this key signed; the signature bare or in BCS.
    ///
    /// # Errors
    /// [`KeyError::Signature`] when it is no signature at all.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
        let bytes = match signature.try_into() {
            Ok(bare) => bare,
            Err(_) => self
                .scheme
                .inner(signature)
                .ok()
                .and_then(|inner| counted(inner, SIGNATURE_BYTES))
                .ok_or(KeyError::Signature)?,
        };
        let signature = Signature::from_bytes(&bytes);
        Ok(self.key.verify_strict(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for wallet in [
            WalletKey::ed25519(key().verifying_key()),
            WalletKey::single_key(key().verifying_key()),
        ] {
            let bytes = wallet.to_bcs();
            assert_eq!(WalletKey::from_bcs(wallet.scheme, &bytes), Ok(wallet));
            assert_eq!(
                WalletKey::from_bcs(wallet.scheme, &bytes[..bytes.len() - 1]),
                Err(KeyError::Key)
            );
            let more = [bytes.as_slice(), &[0]].concat();
            assert_eq!(
                WalletKey::from_bcs(wallet.scheme, &more),
                Err(KeyError::Key)
            );
        }
    }

    #[test]
    fn other_kinds_are_named_as_such() {
        for name in ["multi_ed25519", "multi_key", "keyless", ""] {
            assert_eq!(Scheme::from_name(name), Err(KeyError::Kind));
        }
        // Secp256k1 within the single-key scheme.
        assert_eq!(
            WalletKey::from_bcs(Scheme::SingleKey, &[1, 65]),
            Err(KeyError::Kind)
        );
        assert_eq!(
            WalletKey::from_bcs(Scheme::SingleKey, &[]),
            Err(KeyError::Kind)
        );
    }

    #[test]
    fn a_key_of_small_order_is_none() {
        let mut identity = [0; 33];
        (identity[0], identity[1]) = (32, 1);
        assert_eq!(
            WalletKey::from_bcs(Scheme::Ed25519, &identity),
            Err(KeyError::Key)
        );
    }

    #[test]
    fn signatures_are_read_bare_and_in_bcs() {
        let signature = key().sign(b"text").to_bytes();
        let counted = [&[64], signature.as_slice()].concat();
        let any = [&[0, 64], signature.as_slice()].concat();
        let (plain, single) = (
            WalletKey::ed25519(key().verifying_key()),
            WalletKey::single_key(key().verifying_key()),
        );
        assert_eq!(plain.verify(b"text", &signature), Ok(true));
        assert_eq!(plain.verify(b"text", &counted), Ok(true));
        assert_eq!(single.verify(b"text", &any), Ok(true));
        assert_eq!(single.verify(b"texts", &any), Ok(false));
        assert_eq!(plain.verify(b"text", &any), Err(KeyError::Signature));
        assert_eq!(single.verify(b"text", &counted), Err(KeyError::Signature));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for scheme in [Scheme::Ed25519, Scheme::SingleKey] {
                if let Ok(key) = WalletKey::from_bcs(scheme, &bytes) {
                    prop_assert_eq!(key.to_bcs(), bytes.clone());
                }
            }
            let _ = WalletKey::single_key(key().verifying_key()).verify(b"text", &bytes);
        }
    }
}
