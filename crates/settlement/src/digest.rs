//! 32 bytes: a hash, or an address; and the 16 by which a deposit names its account.

use std::fmt;
use std::str::FromStr;

use kernel::AccountId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest as _, Sha3_256};

const OWNER_DOMAIN: &[u8] = b"IOG_OWNER::";

/// Why a text is no address or no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    #[error("an address is 0x and 1 to 64 digits 0-9 a-f")]
    Address,
    #[error("a hash is 0x and 64 digits 0-9 a-f")]
    Digest,
    #[error("a deposit's tag is 16 bytes")]
    Tag,
}

/// A SHA3-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// An account on a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 32]);

/// The account that a deposit is for: the 16 bytes of its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 16]);

fn nibbles(text: &str) -> Option<[u8; 32]> {
    // Padded here, so that every form that people paste is the same address.
    if text.is_empty() || text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(format!("{text:0>64}"), &mut bytes).ok()?;
    Some(bytes)
}

impl Digest {
    pub const ZERO: Self = Self([0; 32]);

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Over all parts, one after another.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha3_256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl Address {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Under which an owner without a payout address stands in the weekly report. Nobody has its key.
    pub fn of_owner(owner: AccountId) -> Self {
        Self(Digest::of(&[OWNER_DOMAIN, owner.as_bytes()]).0)
    }

    /// One of the sixteen that belong to the chain itself.
    pub fn is_special(&self) -> bool {
        let Some((last, rest)) = self.0.split_last() else {
            return false;
        };
        *last < 16 && rest.iter().all(|byte| *byte == 0)
    }
}

impl Tag {
    pub const fn of(account: AccountId) -> Self {
        Self(*account.as_bytes())
    }

    pub const fn account(self) -> AccountId {
        AccountId::from_bytes(self.0)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Tag {
    type Error = HexError;

    fn try_from(bytes: &[u8]) -> Result<Self, HexError> {
        bytes.try_into().map(Self).map_err(|_| HexError::Tag)
    }
}

impl FromStr for Address {
    type Err = HexError;

    /// Short forms are read too; one that is written is always written in full.
    fn from_str(text: &str) -> Result<Self, HexError> {
        let digits = text.strip_prefix("0x").ok_or(HexError::Address)?;
        nibbles(digits).map(Self).ok_or(HexError::Address)
    }
}

impl FromStr for Digest {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != 64 {
            return Err(HexError::Digest);
        }
        nibbles(digits).map(Self).ok_or(HexError::Digest)
    }
}

macro_rules! hex_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

hex_text!(Digest Address Tag);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_address_has_many_spellings_and_one_form() {
        let long = format!("0x{:0>64}", "a1");
        for text in ["0xa1", "0xA1", "0x00a1", &long] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), long);
        }
        let too_long = format!("0x{:0>65}", "a1");
        for text in [
            "", "0x", "a1", "0xg1", "0x-1", "0xä1", "0X1", " 0x1", &too_long,
        ] {
            assert_eq!(text.parse::<Address>(), Err(HexError::Address), "{text}");
        }
        assert!("0xf".parse::<Address>().expect("valid").is_special());
        assert!(!"0x10".parse::<Address>().expect("valid").is_special());
    }

    #[test]
    fn a_hash_is_written_in_full() {
        let text = format!("0x{:0>64}", "a1");
        assert_eq!(text.parse::<Digest>().expect("valid").to_string(), text);
        assert_eq!(
            text[2..].parse::<Digest>().expect("valid").to_string(),
            text
        );
        assert_eq!("0xa1".parse::<Digest>(), Err(HexError::Digest));
    }

    #[test]
    fn the_hash_is_sha3_not_keccak() {
        let empty = "0xa7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
        assert_eq!(Digest::of(&[]).to_string(), empty);
        assert_eq!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"abc"]));
    }

    #[test]
    fn a_tag_is_its_account() {
        let account = AccountId::from_bytes([7; 16]);
        assert_eq!(Tag::of(account).account(), account);
        assert_eq!(Tag::try_from(&[7_u8; 16][..]), Ok(Tag::of(account)));
        assert_eq!(Tag::try_from(&[7_u8; 15][..]), Err(HexError::Tag));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = text.parse::<Address>();
            let _ = text.parse::<Digest>();
        }

        #[test]
        fn text_forms_return_the_same(bytes in any::<[u8; 32]>()) {
            let address = Address::from_bytes(bytes);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            let digest = Digest::from_bytes(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
