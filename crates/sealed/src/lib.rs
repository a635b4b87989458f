//! Texts that only one may read.
//!
//! Owns: two forms. [`lock`] keeps a text under a key that both sides of it know (a server's own, for what stands in its
//! database); [`seal`] closes it for the holder of an X25519 key (a worker's, made for one lease). Both are ChaCha20-Poly1305 and bound
//! to a context, so that what was closed for one purpose opens for no other.
//!
//! Deliberately absent: keys' places, randomness and time: whoever calls brings fresh random bytes. Pure.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

const NONCE: usize = 12;
const KEY: usize = 32;

/// It was closed with another key, for another context, or changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this cannot be opened: another key, another purpose, or it was changed")]
pub struct Closed;

/// Closes a text under a key. `nonce` must be fresh and random: never the same twice under one key.
///
/// # Errors
/// Texts longer than the cipher takes (256 GiB).
pub fn lock(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    context: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Closed> {
    let mut out = nonce.to_vec();
    out.extend(close(key, nonce, context, text)?);
    Ok(out)
}

/// Opens what [`lock`] closed.
///
/// # Errors
/// [`Closed`].
pub fn unlock(key: &[u8; KEY], context: &[u8], locked: &[u8]) -> Result<Vec<u8>, Closed> {
    let (nonce, body) = locked.split_first_chunk::<NONCE>().ok_or(Closed)?;
    open(key, *nonce, context, body)
}

/// The public half of a secret of 32 random bytes.
pub fn public_key(secret: &[u8; KEY]) -> [u8; KEY] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Closes a text for the holder of a key. `once` are 32 fresh random bytes that are used for nothing else.
///
/// # Errors
/// The key is none that anything can be sealed to.
pub fn seal(
    to: &[u8; KEY],
    once: &[u8; KEY],
    context: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Closed> {
    let secret = StaticSecret::from(*once);
    let ours = PublicKey::from(&secret).to_bytes();
    let key = agreed(&secret, to, &ours, to)?;
    let mut out = ours.to_vec();
    // The key is used once: so is its nonce.
    out.extend(close(&key, [0; NONCE], context, text)?);
    Ok(out)
}

/// Opens what [`seal`] closed.
///
/// # Errors
/// [`Closed`].
pub fn unseal(secret: &[u8; KEY], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Closed> {
    let (theirs, body) = sealed.split_first_chunk::<KEY>().ok_or(Closed)?;
    let secret = StaticSecret::from(*secret);
    let ours = PublicKey::from(&secret).to_bytes();
    let key = agreed(&secret, theirs, theirs, &ours)?;
    open(&key, [0; NONCE], context, body)
}

/// Both public keys go in, so that nobody can pass a text on under a key of their own.
fn agreed(
    secret: &StaticSecret,
    other: &[u8; KEY],
    sender: &[u8; KEY],
    receiver: &[u8; KEY],
) -> Result<[u8; KEY], Closed> {
    let shared = secret.diffie_hellman(&PublicKey::from(*other));
    // A point of small order would make the key known to all.
    if !shared.was_contributory() {
        return Err(Closed);
    }
    let mut hash = Sha256::new();
    for part in [
        b"iog.sealed.v1".as_slice(),
        shared.as_bytes(),
        sender,
        receiver,
    ] {
        hash.update(part);
    }
    Ok(hash.finalize().into())
}

fn close(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    context: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Closed> {
    let payload = Payload {
        msg: text,
        aad: context,
    };
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    cipher.encrypt(&nonce.into(), payload).map_err(|_| Closed)
}

fn open(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    context: &[u8],
    body: &[u8],
) -> Result<Vec<u8>, Closed> {
    let payload = Payload {
        msg: body,
        aad: context,
    };
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    cipher.decrypt(&nonce.into(), payload).map_err(|_| Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_opens_with_its_key_for_its_purpose_and_unchanged() {
        let (key, nonce) = ([7; 32], [3; 12]);
        let locked = lock(&key, nonce, b"account/NAME", b"value").expect("locked");
        assert!(!locked.windows(5).any(|part| part == b"value"));
        assert_eq!(
            unlock(&key, b"account/NAME", &locked).as_deref(),
            Ok(&b"value"[..])
        );
        assert_eq!(unlock(&[8; 32], b"account/NAME", &locked), Err(Closed));
        assert_eq!(unlock(&key, b"account/OTHER", &locked), Err(Closed));
        for at in 0..locked.len() {
            let mut changed = locked.clone();
            changed[at] ^= 1;
            assert_eq!(unlock(&key, b"account/NAME", &changed), Err(Closed), "{at}");
        }
        assert_eq!(unlock(&key, b"", &locked[..11]), Err(Closed));
    }

    #[test]
    fn what_is_sealed_opens_for_its_holder_alone() {
        let holder = [9; 32];
        let to = public_key(&holder);
        let sealed = seal(&to, &[4; 32], b"lease 1", b"value").expect("sealed");
        assert_eq!(
            unseal(&holder, b"lease 1", &sealed).as_deref(),
            Ok(&b"value"[..])
        );
        assert_eq!(unseal(&holder, b"lease 2", &sealed), Err(Closed));
        assert_eq!(unseal(&[10; 32], b"lease 1", &sealed), Err(Closed));
        let other = seal(&to, &[5; 32], b"lease 1", b"value").expect("sealed");
        assert_ne!(sealed, other);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(unseal(&holder, b"lease 1", &changed), Err(Closed), "{at}");
        }
        assert_eq!(
            seal(&[0; 32], &[4; 32], b"", b"x"),
            Err(Closed),
            "a key that everybody knows"
        );
    }
}
