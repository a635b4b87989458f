//! How fast one worker may talk: a bucket of frames and one of bytes.

use tokio::time::Instant;

/// A node with 64 busy devices sends some 200 frames a second; logs come in bursts.
const FRAMES_PER_SECOND: f64 = 500.0;
const FRAMES_BURST: f64 = 2_000.0;
const BYTES_PER_SECOND: f64 = 8.0 * 1024.0 * 1024.0;
const BYTES_BURST: f64 = 32.0 * 1024.0 * 1024.0;

pub struct Meter {
    frames: f64,
    bytes: f64,
    at: Instant,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self {
            frames: FRAMES_BURST,
            bytes: BYTES_BURST,
            at: now,
        }
    }

    /// Whether one more frame of so many bytes is within bounds.
    pub fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.frames = (self.frames + elapsed * FRAMES_PER_SECOND).min(FRAMES_BURST) - 1.0;
        // A frame is at most a megabyte, far within what a double counts exactly.
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.bytes = (self.bytes + elapsed * BYTES_PER_SECOND).min(BYTES_BURST) - bytes;
        self.frames >= 0.0 && self.bytes >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_noticed_and_a_quiet_second_forgives() {
        let mut meter = Meter::new(Instant::now());
        let passed = (0..5_000)
            .take_while(|_| meter.admits(100, Instant::now()))
            .count();
        assert_eq!(passed, 2_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!((0..400).all(|_| meter.admits(100, Instant::now())));
    }

    #[tokio::test(start_paused = true)]
    async fn many_large_frames_are_a_flood_too() {
        let mut meter = Meter::new(Instant::now());
        let passed = (0..100)
            .take_while(|_| meter.admits(1024 * 1024, Instant::now()))
            .count();
        assert_eq!(passed, 32);
    }
}
