//! The doors to the world: the real clock and real randomness, for those who start an [`crate::Exchange`] for real.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kernel::{Clock, Timestamp};

/// Where random bytes come from. Tests give their own, so that a run can be repeated.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's clock, as it stood when it was first asked, and the time that has passed since. Whoever sets
/// the machine's clock later moves nothing here: leases, receipts and sessions count on even seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static START: LazyLock<(i64, Instant)> = LazyLock::new(start);

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one door through which the real time comes in"
)]
fn start() -> (i64, Instant) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    (millis, Instant::now())
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let (millis, instant) = *START;
        let passed = i64::try_from(instant.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(millis).plus_millis(passed)
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
