//! How much is asked of a device: enough to tell it from a lesser one, within seconds.

use protocol::proof::{BLOCKS_MAX, FillTask, ProductTask, SWEEPS_MAX};
use protocol::spec::DeviceClass;

use crate::check::SWEEP_FLOOR;
use crate::fill::BLOCK_BYTES;
use crate::models::Band;
use crate::product::SIZE_MAX;

/// Of the claimed memory, in percent: the rest is the driver's, and up to one more is for the answers of the sweeps.
pub const FILL_SHARE: u64 = 94;
const MIB: u64 = 1_048_576;
/// A CPU has no memory of its own to show, and is asked for a moment only.
const CPU_FILL: FillTask = FillTask {
    blocks: 256,
    passes: 2,
    sweeps: 4,
};
const CPU_PRODUCT: ProductTask = ProductTask {
    size: 128,
    factors: 2,
};
/// A fill goes on for about so long on a card at half its bandwidth, so that computing it anew takes longer than reading may.
const FILL_MS: u64 = 3_000;
const PASSES: (u64, u64) = (2, 24);
/// All sweeps, on a card that is as slow as may be: so long that the second for the line is little beside it.
const SWEEPS_MS: u64 = 3_000;
const SWEEPS_LEAST: u64 = 2;
/// A product at a fifth of a card's figure.
const PRODUCT_MS: u64 = 250;
const FACTORS: (u64, u64) = (2, 48);

/// The bounds that a platform sets: smaller where it is tried without cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub blocks_max: u32,
    pub sweeps_max: u32,
    pub size_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            blocks_max: BLOCKS_MAX,
            sweeps_max: SWEEPS_MAX,
            size_max: SIZE_MAX,
        }
    }
}

/// The tasks for a device that claims so much memory.
pub fn tasks(
    class: DeviceClass,
    memory_mib: u64,
    band: Option<&Band>,
    bounds: Bounds,
) -> (FillTask, ProductTask) {
    let (fill, product) = match (class, band) {
        (DeviceClass::Gpu, Some(band)) => card(memory_mib, band),
        _ => (CPU_FILL, CPU_PRODUCT),
    };
    let fill = FillTask {
        blocks: fill.blocks.min(bounds.blocks_max).max(1),
        sweeps: fill.sweeps.min(bounds.sweeps_max).max(1),
        ..fill
    };
    let product = ProductTask {
        size: product.size.min(bounds.size_max).max(1),
        ..product
    };
    (fill, product)
}

fn card(memory_mib: u64, band: &Band) -> (FillTask, ProductTask) {
    let bytes = memory_mib.saturating_mul(MIB).saturating_mul(FILL_SHARE) / 100;
    let blocks = u32::try_from(bytes / BLOCK_BYTES)
        .unwrap_or(BLOCKS_MAX)
        .min(BLOCKS_MAX);
    let one_pass = FillTask {
        blocks,
        passes: 1,
        sweeps: 1,
    };
    let narrow = |number: u64, (least, most): (u64, u64)| {
        u32::try_from(number.clamp(least, most)).unwrap_or(2)
    };
    // GB/s are a million bytes a millisecond.
    let in_time = u64::from(band.gbytes).saturating_mul(1_000_000 * FILL_MS / 2);
    let passes = in_time / crate::check::traffic(one_pass).max(1);
    let in_time = u64::from(band.gbytes).saturating_mul(10_000 * SWEEP_FLOOR * SWEEPS_MS);
    let sweeps = in_time / crate::check::swept(one_pass).max(1);
    let one_factor = ProductTask {
        size: SIZE_MAX,
        factors: 1,
    };
    let in_time = u64::from(band.gflops).saturating_mul(1_000_000 * PRODUCT_MS / 5);
    let factors = in_time / crate::check::operations(one_factor).max(1);
    (
        FillTask {
            passes: narrow(passes, PASSES),
            sweeps: narrow(sweeps, (SWEEPS_LEAST, u64::from(SWEEPS_MAX))),
            ..one_pass
        },
        ProductTask {
            factors: narrow(factors, FACTORS),
            ..one_factor
        },
    )
}
