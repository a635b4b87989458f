//! The doors to the world: the real clock and real randomness, for those who start an [`crate::Exchange`] for real.

use kernel::{Clock, Timestamp};

/// Where random bytes come from. Tests give their own, so that a run can be repeated.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one door through which the real time comes in"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // A thread's generator is seeded by the system and cannot fail later; secrets and ids both come from it.
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}
