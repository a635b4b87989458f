//! Vouchers: what a requester's escrow owes an owner so far, signed, so that the owner can take it without the platform.
//!
//! Signed are `IOG_VOUCHER_V1::`, the chain's number (one byte), the channel's address, the payee's address, and the sum so far
//! (u64, little endian), 89 bytes, with the Ed25519 key that the channel was opened with. The sum only rises: the newest voucher
//! is worth all before it, and one that is shown twice pays nothing the second time.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kernel::Amount;
use serde::{Deserialize, Serialize};

use crate::chain::Channel;
use crate::digest::{Address, Digest};
use crate::report::units;

/// The format of the file that an owner keeps.
pub const FORMAT: &str = "iog.voucher.v1";
/// Longer than any voucher.
const BYTES_MAX: usize = 4_096;
const DOMAIN: &[u8] = b"IOG_VOUCHER_V1::";

/// Why a voucher is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoucherError {
    #[error("it is for chain {got}; this is chain {expected}")]
    OtherChain { got: u8, expected: u8 },
    #[error("it is for another channel")]
    OtherChannel,
    #[error("it is for another payee")]
    OtherPayee,
    #[error("it says {got}, which is less than the {had} of one that was taken before")]
    Lower { got: Amount, had: Amount },
    #[error("it says {got}, and the channel never held more than {most}")]
    TooMuch { got: Amount, most: Amount },
    #[error("its signature is not 128 digits 0-9 a-f")]
    Form,
    #[error(
        "its signature does not fit the channel's key: something in it was changed, or it is forged"
    )]
    Signature,
}

/// Why a voucher's file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("this is no voucher: it is longer than {BYTES_MAX} bytes")]
    TooLong,
    #[error("this is no voucher: {0}")]
    Unreadable(String),
    #[error("its format is {0:?}; this program reads {FORMAT:?}")]
    Format(String),
    #[error("its voucher_key is no Ed25519 key")]
    Key,
    #[error("it is for the contract at {got}; this is the one at {expected}")]
    OtherContract { got: Address, expected: Address },
    #[error(
        "the contract has no channel {0}; something in the file was changed, or it is another contract's"
    )]
    NoChannel(Address),
    #[error("the channel's key is another one than the file says: it was changed, or is forged")]
    OtherKey,
    #[error("its channel is closed and pays nothing any more")]
    Closed,
    #[error(transparent)]
    Voucher(#[from] VoucherError),
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voucher {
    pub chain: u8,
    pub channel: Address,
    pub payee: Address,
    /// All that the channel owes the payee since it was opened.
    pub cumulative: Amount,
}

/// A voucher and its signature: what an owner keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedVoucher {
    #[serde(flatten)]
    pub voucher: Voucher,
    /// 128 hex digits.
    pub signature: String,
}

/// A channel as one who is handed a voucher knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTerms {
    pub chain: u8,
    pub channel: Address,
    pub payee: Address,
    pub key: VerifyingKey,
    /// What vouchers taken before come to.
    pub taken: Amount,
    /// What the payee has got of it, and all that is left in it.
    pub most: Amount,
}

impl Voucher {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(89);
        bytes.extend_from_slice(DOMAIN);
        bytes.push(self.chain);
        bytes.extend_from_slice(self.channel.as_bytes());
        bytes.extend_from_slice(self.payee.as_bytes());
        bytes.extend_from_slice(&units(self.cumulative).to_le_bytes());
        bytes
    }

    pub fn sign(self, key: &SigningKey) -> SignedVoucher {
        SignedVoucher {
            voucher: self,
            signature: hex::encode(key.sign(&self.bytes()).to_bytes()),
        }
    }
}

impl SignedVoucher {
    /// # Errors
    /// [`VoucherError::Form`].
    pub fn signature_bytes(&self) -> Result<[u8; 64], VoucherError> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(&self.signature, &mut bytes).map_err(|_| VoucherError::Form)?;
        Ok(bytes)
    }

    /// The signature alone.
    ///
    /// # Errors
    /// [`VoucherError::Form`] or [`VoucherError::Signature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), VoucherError> {
        let signature = Signature::from_bytes(&self.signature_bytes()?);
        // Strictly, as the chain does: what passes here must pass there.
        key.verify_strict(&self.voucher.bytes(), &signature)
            .map_err(|_| VoucherError::Signature)
    }

    /// Whether this may be taken for a promise of the channel.
    ///
    /// # Errors
    /// A [`VoucherError`] that says what is wrong.
    pub fn admit(&self, terms: &ChannelTerms) -> Result<(), VoucherError> {
        let voucher = &self.voucher;
        if voucher.chain != terms.chain {
            return Err(VoucherError::OtherChain {
                got: voucher.chain,
                expected: terms.chain,
            });
        }
        if voucher.channel != terms.channel {
            return Err(VoucherError::OtherChannel);
        }
        if voucher.payee != terms.payee {
            return Err(VoucherError::OtherPayee);
        }
        if voucher.cumulative < terms.taken {
            return Err(VoucherError::Lower {
                got: voucher.cumulative,
                had: terms.taken,
            });
        }
        if voucher.cumulative > terms.most {
            return Err(VoucherError::TooMuch {
                got: voucher.cumulative,
                most: terms.most,
            });
        }
        self.verify(&terms.key)
    }
}

/// A voucher with all that is needed to redeem it: what an owner keeps as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoucherFile {
    pub format: String,
    pub chain: u8,
    pub contract: Address,
    pub channel: Address,
    pub payee: Address,
    pub cumulative: Amount,
    /// Ed25519; the channel's.
    pub voucher_key: Digest,
    /// 128 hex digits.
    pub signature: String,
}

impl VoucherFile {
    /// Reads one, and checks all that needs no network: its form, and its signature by the key that it names itself.
    ///
    /// # Errors
    /// A [`FileError`] that says what is wrong.
    pub fn read(text: &str) -> Result<Self, FileError> {
        if text.len() > BYTES_MAX {
            return Err(FileError::TooLong);
        }
        let file: Self =
            serde_json::from_str(text).map_err(|error| FileError::Unreadable(error.to_string()))?;
        if file.format != FORMAT {
            return Err(FileError::Format(file.format));
        }
        file.signed().verify(&file.key()?)?;
        Ok(file)
    }

    pub fn signed(&self) -> SignedVoucher {
        SignedVoucher {
            voucher: Voucher {
                chain: self.chain,
                channel: self.channel,
                payee: self.payee,
                cumulative: self.cumulative,
            },
            signature: self.signature.clone(),
        }
    }

    fn key(&self) -> Result<VerifyingKey, FileError> {
        VerifyingKey::from_bytes(self.voucher_key.as_bytes()).map_err(|_| FileError::Key)
    }

    /// That it is for this chain and this contract, before anything is asked of them.
    ///
    /// # Errors
    /// [`VoucherError::OtherChain`] or [`FileError::OtherContract`].
    pub fn is_for(&self, chain: u8, contract: Address) -> Result<(), FileError> {
        if self.chain != chain {
            let (got, expected) = (self.chain, chain);
            return Err(VoucherError::OtherChain { got, expected }.into());
        }
        if self.contract != contract {
            let (got, expected) = (self.contract, contract);
            return Err(FileError::OtherContract { got, expected });
        }
        Ok(())
    }

    /// What it would bring now, by what the chain says of its channel and of what its payee has had.
    ///
    /// # Errors
    /// A [`FileError`] that says what is wrong.
    pub fn worth(&self, channel: Option<&Channel>, redeemed: Amount) -> Result<Amount, FileError> {
        let channel = channel.ok_or(FileError::NoChannel(self.channel))?;
        if channel.voucher_key != *self.voucher_key.as_bytes() {
            return Err(FileError::OtherKey);
        }
        if channel.is_closed {
            return Err(FileError::Closed);
        }
        self.signed().admit(&ChannelTerms {
            chain: self.chain,
            channel: self.channel,
            payee: self.payee,
            key: self.key()?,
            taken: redeemed,
            most: redeemed.checked_add(channel.balance).unwrap_or(Amount::MAX),
        })?;
        Ok(self.cumulative.minus_or_zero(redeemed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(base: i64) -> Amount {
        Amount::try_from_base(base).expect("in range")
    }

    fn voucher() -> Voucher {
        Voucher {
            chain: 4,
            channel: Address::from_bytes([1; 32]),
            payee: Address::from_bytes([2; 32]),
            cumulative: amount(500),
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn terms() -> ChannelTerms {
        ChannelTerms {
            chain: 4,
            channel: Address::from_bytes([1; 32]),
            payee: Address::from_bytes([2; 32]),
            key: key().verifying_key(),
            taken: amount(400),
            most: amount(600),
        }
    }

    #[test]
    fn the_bytes_are_89() {
        let bytes = voucher().bytes();
        assert_eq!(bytes.len(), 89);
        assert_eq!(&bytes[..17], b"IOG_VOUCHER_V1::\x04");
        assert_eq!(&bytes[81..], 500_u64.to_le_bytes());
    }

    #[test]
    fn what_is_taken_and_what_is_not() {
        let admit = |change: fn(&mut Voucher)| {
            let mut voucher = voucher();
            change(&mut voucher);
            voucher.sign(&key()).admit(&terms())
        };
        assert_eq!(admit(|_| ()), Ok(()));
        // Shown twice: nothing to take, and no error.
        assert_eq!(admit(|v| v.cumulative = amount(400)), Ok(()));
        let (got, had) = (amount(399), amount(400));
        assert_eq!(
            admit(|v| v.cumulative = amount(399)),
            Err(VoucherError::Lower { got, had })
        );
        let (got, most) = (amount(601), amount(600));
        assert_eq!(
            admit(|v| v.cumulative = amount(601)),
            Err(VoucherError::TooMuch { got, most })
        );
        assert_eq!(
            admit(|v| v.chain = 1),
            Err(VoucherError::OtherChain {
                got: 1,
                expected: 4
            })
        );
        assert_eq!(
            admit(|v| v.channel = v.payee),
            Err(VoucherError::OtherChannel)
        );
        assert_eq!(
            admit(|v| v.payee = v.channel),
            Err(VoucherError::OtherPayee)
        );
        let forged = voucher().sign(&SigningKey::from_bytes(&[8; 32]));
        assert_eq!(forged.admit(&terms()), Err(VoucherError::Signature));
    }

    #[test]
    fn a_signature_is_128_digits() {
        let mut signed = voucher().sign(&key());
        signed.signature.pop();
        assert_eq!(
            signed.verify(&key().verifying_key()),
            Err(VoucherError::Form)
        );
    }

    fn file() -> VoucherFile {
        let signed = voucher().sign(&key());
        VoucherFile {
            format: FORMAT.to_owned(),
            chain: 4,
            contract: Address::from_bytes([3; 32]),
            channel: signed.voucher.channel,
            payee: signed.voucher.payee,
            cumulative: signed.voucher.cumulative,
            voucher_key: Digest::from_bytes(key().verifying_key().to_bytes()),
            signature: signed.signature,
        }
    }

    fn text(file: &VoucherFile) -> String {
        serde_json::to_string(file).expect("json")
    }

    #[test]
    fn a_file_is_checked_without_a_network_as_far_as_that_goes() {
        assert_eq!(VoucherFile::read(&text(&file())), Ok(file()));
        let read = |change: fn(&mut VoucherFile)| {
            let mut file = file();
            change(&mut file);
            VoucherFile::read(&text(&file))
        };
        let forged = Err(FileError::Voucher(VoucherError::Signature));
        assert_eq!(read(|file| file.cumulative = amount(501)), forged);
        assert_eq!(read(|file| file.payee = file.channel), forged);
        assert_eq!(read(|file| file.chain = 1), forged);
        assert_eq!(
            read(|file| file.format = "iog.voucher.v2".into()),
            Err(FileError::Format("iog.voucher.v2".into()))
        );
        assert_eq!(
            read(|file| file.signature.truncate(12)),
            Err(FileError::Voucher(VoucherError::Form))
        );
        let no_key = (0..=255_u8)
            .map(|n| [n; 32])
            .find(|bytes| VerifyingKey::from_bytes(bytes).is_err())
            .expect("most are none");
        let mut other = file();
        other.voucher_key = Digest::from_bytes(no_key);
        assert_eq!(VoucherFile::read(&text(&other)), Err(FileError::Key));
        assert_eq!(
            VoucherFile::read(&"x".repeat(5_000)),
            Err(FileError::TooLong)
        );
        let more = text(&file()).replacen('{', "{\"more\":1,", 1);
        assert!(matches!(
            VoucherFile::read(&more),
            Err(FileError::Unreadable(_))
        ));
    }

    #[test]
    fn a_file_is_worth_what_its_channel_still_has_for_it() {
        let channel = Channel {
            renter: Address::from_bytes([5; 32]),
            voucher_key: key().verifying_key().to_bytes(),
            balance: amount(300),
            is_closed: false,
            closing_until: None,
        };
        let worth = |channel: &Channel, had| file().worth(Some(channel), amount(had));
        assert_eq!(worth(&channel, 200), Ok(amount(300)));
        assert_eq!(worth(&channel, 500), Ok(Amount::ZERO));
        let (got, had, most) = (amount(500), amount(501), amount(499));
        assert_eq!(
            worth(&channel, 501),
            Err(VoucherError::Lower { got, had }.into())
        );
        assert_eq!(
            worth(&channel, 199),
            Err(VoucherError::TooMuch { got, most }.into())
        );
        let closed = Channel {
            is_closed: true,
            ..channel
        };
        assert_eq!(worth(&closed, 0), Err(FileError::Closed));
        let other = Channel {
            voucher_key: [1; 32],
            ..channel
        };
        assert_eq!(worth(&other, 0), Err(FileError::OtherKey));
        let none = file().worth(None, Amount::ZERO);
        assert_eq!(none, Err(FileError::NoChannel(file().channel)));

        let here = file().contract;
        assert_eq!(file().is_for(4, here), Ok(()));
        let (got, expected) = (4, 2);
        let other_chain = VoucherError::OtherChain { got, expected };
        assert_eq!(file().is_for(2, here), Err(other_chain.into()));
        let (got, expected) = (here, file().channel);
        let other_contract = FileError::OtherContract { got, expected };
        assert_eq!(file().is_for(4, expected), Err(other_contract));
    }

    proptest! {
        #[test]
        fn no_changed_voucher_passes(place in 0_usize..89, bit in 0_u8..8) {
            let signed = voucher().sign(&key());
            let mut bytes = voucher().bytes();
            bytes[place] ^= 1 << bit;
            let signature = Signature::from_bytes(&signed.signature_bytes().expect("hex"));
            prop_assert!(key().verifying_key().verify_strict(&bytes, &signature).is_err());
        }

        #[test]
        fn no_changed_signature_passes(place in 0_usize..64, bit in 0_u8..8) {
            let mut signed = voucher().sign(&key());
            let mut bytes = signed.signature_bytes().expect("hex");
            bytes[place] ^= 1 << bit;
            signed.signature = hex::encode(bytes);
            prop_assert_eq!(signed.verify(&key().verifying_key()), Err(VoucherError::Signature));
        }

        #[test]
        fn its_json_returns_the_same(base in 0..=Amount::MAX.base(), chain in any::<u8>()) {
            let signed = Voucher { chain, cumulative: amount(base), ..voucher() }.sign(&key());
            let text = serde_json::to_string(&signed).expect("json");
            prop_assert_eq!(serde_json::from_str::<SignedVoucher>(&text).expect("read"), signed);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = serde_json::from_str::<SignedVoucher>(&text);
            let signed = SignedVoucher { voucher: voucher(), signature: text };
            prop_assert!(signed.verify(&key().verifying_key()).is_err());
        }
    }
}
