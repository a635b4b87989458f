//! Keys of 128 bits, and the words that follow from them. Cheap on a graphics card: multiplications and shifts of 32 bits.
//!
//! These are no ciphers. Nothing here is kept from the device; what matters is that no way to the numbers is known that is shorter
//! than computing them, and that another challenge has others.

use kernel::ChallengeId;
use sha2::{Digest, Sha256};

/// What an answer is bound to: this challenge, this node, this device.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    pub challenge: ChallengeId,
    /// The node's public key, 64 hex digits.
    pub node_key: &'a str,
    pub device_uuid: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u32; 4]);

/// Which numbers a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Fill,
    Sweep,
    Left,
    Right,
    Scale,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Sweep => "sweep",
            Self::Left => "left",
            Self::Right => "right",
            Self::Scale => "scale",
        }
    }
}

impl Key {
    /// The first 16 bytes, as little-endian words, of the SHA-256 of `iog.proof.v1`, the purpose, the challenge, the seed, the node's
    /// key and the device's UUID, each on a line of its own.
    pub fn new(binding: &Binding<'_>, seed: &str, purpose: Purpose) -> Self {
        let Binding {
            challenge,
            node_key,
            device_uuid,
        } = binding;
        let text = format!(
            "iog.proof.v1\n{}\n{challenge}\n{seed}\n{node_key}\n{device_uuid}\n",
            purpose.as_str()
        );
        Self::of_digest(&Sha256::digest(text).into())
    }

    /// A key that the server keeps to itself.
    pub fn secret(bytes: &[u8; 32]) -> Self {
        Self::of_digest(bytes)
    }

    fn of_digest(digest: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(4)) {
            *word = bytes
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        Self(words)
    }

    /// The word at a place of two numbers.
    #[inline]
    pub const fn word(self, row: u32, column: u32) -> u32 {
        self.row(row).word(column)
    }

    #[inline]
    pub const fn row(self, row: u32) -> Row {
        let [first, second, third, fourth] = self.0;
        let start = scramble(scramble(row ^ first).wrapping_add(second));
        Row {
            start,
            third,
            fourth,
        }
    }
}

/// The words of one row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    start: u32,
    third: u32,
    fourth: u32,
}

impl Row {
    #[inline]
    pub const fn word(self, column: u32) -> u32 {
        scramble(scramble(self.start.wrapping_add(column) ^ self.third).wrapping_add(self.fourth))
    }
}

/// A permutation of the 32-bit words in which each bit of the result depends on each of the argument: the constants are those that
/// Christopher Wellons found by search ("lowbias32", public domain).
#[inline]
pub const fn scramble(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Timestamp;

    #[test]
    fn a_key_is_of_one_challenge_node_device_seed_and_purpose() {
        let challenge = |n| ChallengeId::new(Timestamp::from_millis(1), [n; 10]);
        let binding = |n, node_key, device_uuid| Binding {
            challenge: challenge(n),
            node_key,
            device_uuid,
        };
        let own = Key::new(&binding(1, "aa", "GPU-1"), "00", Purpose::Fill);
        assert_eq!(
            own,
            Key::new(&binding(1, "aa", "GPU-1"), "00", Purpose::Fill)
        );
        for other in [
            Key::new(&binding(2, "aa", "GPU-1"), "00", Purpose::Fill),
            Key::new(&binding(1, "ab", "GPU-1"), "00", Purpose::Fill),
            Key::new(&binding(1, "aa", "GPU-2"), "00", Purpose::Fill),
            Key::new(&binding(1, "aa", "GPU-1"), "01", Purpose::Fill),
            Key::new(&binding(1, "aa", "GPU-1"), "00", Purpose::Sweep),
        ] {
            assert_ne!(own, other);
        }
    }

    #[test]
    fn one_bit_of_the_argument_turns_half_of_the_result() {
        let key = Key([1, 2, 3, 4]);
        let turned: u32 = (0..32)
            .map(|bit| (key.word(7, 9) ^ key.word(7, 9 ^ (1 << bit))).count_ones())
            .sum();
        assert!((12 * 32..20 * 32).contains(&turned), "{turned}");
        assert_ne!(key.word(1, 2), key.word(2, 1));
        // Written down, so that the shader can be compared with it by eye.
        assert_eq!(scramble(0), 0);
        assert_eq!(scramble(1), 0x6889_90c0);
        assert_eq!(scramble(u32::MAX), 0x6768_824a);
    }
}
