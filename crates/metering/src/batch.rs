//! Many signatures at once: one equation over up to [`TOGETHER`] of them costs less than half of checking each.

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

/// Signatures in one equation. More would hardly be quicker, and one bad signature costs a second look at all of them.
pub const TOGETHER: usize = 512;

/// A signature, and what it is said to be over and of.
#[derive(Debug, Clone)]
pub struct Claim {
    pub message: Vec<u8>,
    pub signature: Signature,
    pub key: VerifyingKey,
}

impl Claim {
    fn fits(&self) -> bool {
        self.key
            .verify_strict(&self.message, &self.signature)
            .is_ok()
    }
}

/// The places of the claims that do not hold, in rising order.
///
/// A part that holds together is taken as it is; of one that does not, each claim is checked alone. Nobody but the key's
/// holder can make a claim that holds together and not alone, and keys for which many signatures fit are never let through.
pub fn faulty(claims: &[Claim]) -> Vec<usize> {
    let mut faulty = Vec::new();
    for (part, from) in claims.chunks(TOGETHER).zip((0_usize..).step_by(TOGETHER)) {
        if hold_together(part) {
            continue;
        }
        faulty.extend(
            part.iter()
                .zip(from..)
                .filter(|(claim, _)| !claim.fits())
                .map(|(_, place)| place),
        );
    }
    faulty
}

fn hold_together(claims: &[Claim]) -> bool {
    if claims.iter().any(|claim| claim.key.is_weak()) {
        return false;
    }
    let messages: Vec<&[u8]> = claims
        .iter()
        .map(|claim| claim.message.as_slice())
        .collect();
    let signatures: Vec<Signature> = claims.iter().map(|claim| claim.signature).collect();
    let keys: Vec<VerifyingKey> = claims.iter().map(|claim| claim.key).collect();
    verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    fn claims(count: u16) -> Vec<Claim> {
        let keys = [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
        (0..count)
            .zip(keys.iter().cycle())
            .map(|(n, key)| {
                let message = n.to_be_bytes().to_vec();
                Claim {
                    signature: key.sign(&message),
                    key: key.verifying_key(),
                    message,
                }
            })
            .collect()
    }

    #[test]
    fn a_key_for_which_anything_fits_is_not_let_through() {
        // The neutral point as key and as R, and s = 0: the equation holds for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let claim = Claim {
            message: b"anything".to_vec(),
            signature: Signature::from_bytes(&signature),
            key: VerifyingKey::from_bytes(&neutral).expect("a point"),
        };
        assert_eq!(faulty(&[claim]), [0]);
        assert_eq!(faulty(&[]), [0; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is spoiled, and in whichever part, is named; nothing else is.
        #[test]
        fn the_spoiled_are_named(
            spoiled in prop::collection::btree_map(0_usize..1_100, (0_usize..3, 0_usize..64, 1_u8..=255), 0..4),
        ) {
            let mut claims = claims(1_100);
            for (place, (what, at, change)) in &spoiled {
                let claim = &mut claims[*place];
                match what {
                    0 => claim.message[at % 2] ^= change,
                    1 => {
                        let mut bytes = claim.signature.to_bytes();
                        bytes[*at] ^= change;
                        claim.signature = Signature::from_bytes(&bytes);
                    }
                    _ => claim.key = SigningKey::from_bytes(&[9; 32]).verifying_key(),
                }
            }
            prop_assert_eq!(faulty(&claims), spoiled.keys().copied().collect::<Vec<_>>());
        }
    }
}
