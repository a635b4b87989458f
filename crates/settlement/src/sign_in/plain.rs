//! For wallets that know `aptos:signMessage` and not yet `aptos:signIn`: the text that they sign, which says the same with fewer words.
//!
//! ```text
//! APTOS
//! address: 0x…
//! application: https://iog.example
//! chainId: 1
//! message: Statement.
//! nonce: …
//! ```
//! The key signs its bytes as they are. The wallet itself writes the address and the application, so that no other page can
//! have it signed.

use kernel::Timestamp;

use super::{Expected, FormError, SignInError, WalletKey, account_address, owner_of};
use crate::digest::{Address, Digest};

const TEXT_MAX: usize = 4_096;
const LABELS: [&str; 5] = ["address", "application", "chainId", "message", "nonce"];

/// What such a wallet gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainAnswer {
    pub text: String,
    pub key: WalletKey,
    pub signature: Vec<u8>,
}

/// The values in the order of [`LABELS`]. Each is one line, so no text can be read in two ways.
fn values(text: &str) -> Result<[&str; 5], FormError> {
    let mut lines = text.split('\n');
    if text.len() > TEXT_MAX || lines.next() != Some("APTOS") {
        return Err(FormError::NoMessage);
    }
    let mut values = [""; 5];
    for (label, value) in LABELS.iter().zip(&mut values) {
        let line = lines.next().unwrap_or_default();
        *value = line
            .strip_prefix(label)
            .and_then(|rest| rest.strip_prefix(": "))
            .ok_or(FormError::NoMessage)?;
    }
    match lines.next() {
        None => Ok(values),
        Some(_) => Err(FormError::NoMessage),
    }
}

impl PlainAnswer {
    /// Whom the text names; it is not checked yet.
    ///
    /// # Errors
    /// No such text, or no address.
    pub fn address(&self) -> Result<Address, SignInError> {
        account_address(values(&self.text)?[0])
    }
}

/// Who signed in; see [`super::check`]. `chain` is the number of the chain.
///
/// # Errors
/// A [`SignInError`] that says what to do.
pub fn check_plain(
    expected: &Expected,
    chain: u8,
    answer: &PlainAnswer,
    on_chain: Option<Digest>,
    now: Timestamp,
) -> Result<Address, SignInError> {
    let [address, application, on, message, nonce] = values(&answer.text)?;
    // Wallets write the page's origin, some its host alone.
    if application != expected.uri && application != expected.domain {
        return Err(SignInError::OtherDomain(application.to_owned()));
    }
    if on != chain.to_string() {
        return Err(SignInError::OtherChain {
            expected: chain.to_string(),
            got: on.to_owned(),
        });
    }
    if nonce != expected.nonce {
        return Err(SignInError::OtherNonce);
    }
    if message != expected.statement {
        return Err(SignInError::OtherStatement);
    }
    if !expected.is_in_time(now) {
        return Err(SignInError::OutOfTime);
    }
    let address = owner_of(address, &answer.key, on_chain)?;
    let signed = answer
        .key
        .verify(answer.text.as_bytes(), &answer.signature)?;
    signed.then_some(address).ok_or(SignInError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::KeyError;
    use crate::sign_in::tests::{at, expected, key, wallet};
    use ed25519_dalek::Signer as _;

    fn address() -> Address {
        Address::from_bytes(*wallet().authentication_key().as_bytes())
    }

    fn text() -> String {
        format!(
            "APTOS\naddress: {}\napplication: https://iog.example\nchainId: 2\nmessage: Sign in to IOG.\nnonce: a1b2c3d4e5f6a7b8",
            address()
        )
    }

    fn signed(text: &str) -> PlainAnswer {
        PlainAnswer {
            text: text.to_owned(),
            key: wallet(),
            signature: key().sign(text.as_bytes()).to_bytes().to_vec(),
        }
    }

    fn checked(text: &str) -> Result<Address, SignInError> {
        check_plain(&expected(), 2, &signed(text), None, at(1_000))
    }

    #[test]
    fn who_signed_is_signed_in_and_the_host_alone_is_the_page_too() {
        assert_eq!(checked(&text()), Ok(address()));
        let host = text().replace("https://iog.example", "iog.example");
        assert_eq!(checked(&host), Ok(address()));
    }

    #[test]
    fn what_was_not_asked_for_is_refused_even_when_it_is_signed() {
        let refused = |from: &str, to: &str| {
            let changed = text().replace(from, to);
            assert_ne!(changed, text());
            checked(&changed).expect_err("refused")
        };
        assert_eq!(
            refused("https://iog.example", "https://iog.example.evil"),
            SignInError::OtherDomain("https://iog.example.evil".into())
        );
        let (expected, got) = ("2".to_owned(), "1".to_owned());
        assert_eq!(
            refused("chainId: 2", "chainId: 1"),
            SignInError::OtherChain { expected, got }
        );
        assert_eq!(
            refused("a1b2c3d4e5f6a7b8", "a1b2c3d4e5f6a7b9"),
            SignInError::OtherNonce
        );
        assert_eq!(
            refused("Sign in to IOG.", "Pay me."),
            SignInError::OtherStatement
        );
        assert_eq!(
            refused("address: 0x", "address: 0y"),
            SignInError::NoAddress(address().to_string().replacen("0x", "0y", 1))
        );
        let none = SignInError::Form(FormError::NoMessage);
        assert_eq!(refused("APTOS\n", ""), none);
        assert_eq!(refused("chainId: 2\n", ""), none);
        assert_eq!(refused("message: ", "message:\n"), none);
        assert_eq!(refused("nonce: ", "nonce: a1b2c3d4e5f6a7b8\nnonce: "), none);
        assert_eq!(
            checked(&(text() + "\nnonce: a1b2c3d4e5f6a7b8")),
            Err(none.clone())
        );
        assert_eq!(checked(""), Err(none));
    }

    #[test]
    fn time_key_and_signature_are_the_servers_and_the_chains_to_judge() {
        let answer = signed(&text());
        let then = |millis| check_plain(&expected(), 2, &answer, None, at(millis)).map(|_| ());
        assert_eq!(then(299_999), Ok(()));
        assert_eq!(then(300_000), Err(SignInError::OutOfTime));
        let other = Digest::of(&[b"another key"]);
        let rotated = check_plain(&expected(), 2, &answer, Some(other), at(1));
        assert_eq!(rotated, Err(SignInError::OtherAddress));
        let mut forged = answer.clone();
        forged.signature[0] ^= 1;
        let forge = |forged: &PlainAnswer| check_plain(&expected(), 2, forged, None, at(1));
        assert_eq!(forge(&forged), Err(SignInError::Signature));
        forged.signature.pop();
        assert_eq!(forge(&forged), Err(SignInError::Key(KeyError::Signature)));
    }
}
