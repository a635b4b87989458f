//! The figures that makers publish of their cards, rounded down to the slower of a model's forms: operations a second on numbers of
//! 32 bits (FP32, without the units for short numbers) and bandwidth of the memory. From the makers' data sheets and product pages (nvidia.com,
//! amd.com). They are upper bounds of what a card reaches; what is asked of it is a stated share (`check::COMPUTE_FLOOR`, `MEMORY_FLOOR`).

use super::{Band, Vendor};

const fn nvidia(
    name: &'static str,
    words: &'static [&'static str],
    gib: &'static [u32],
    gflops: u32,
    gbytes: u32,
    capability: &'static str,
    pci: &'static [u16],
) -> Band {
    Band {
        name,
        words,
        vendor: Vendor::Nvidia,
        gib,
        gflops,
        gbytes,
        capability: Some(capability),
        pci,
    }
}

const fn amd(
    name: &'static str,
    words: &'static [&'static str],
    gib: &'static [u32],
    gflops: u32,
    gbytes: u32,
) -> Band {
    Band {
        name,
        words,
        vendor: Vendor::Amd,
        gib,
        gflops,
        gbytes,
        capability: None,
        pci: &[],
    }
}

/// Longer names stand before the shorter ones that they contain.
#[rustfmt::skip]
pub const BANDS: &[Band] = &[
    nvidia("RTX 5090", &["RTX", "5090"], &[32], 104_800, 1_792, "12.0", &[]),
    nvidia("RTX 5080", &["RTX", "5080"], &[16], 56_300, 960, "12.0", &[]),
    nvidia("RTX 4090", &["RTX", "4090"], &[24], 82_600, 1_008, "8.9", &[0x2684]),
    nvidia("RTX 4080 SUPER", &["RTX", "4080", "SUPER"], &[16], 52_200, 736, "8.9", &[]),
    nvidia("RTX 4080", &["RTX", "4080"], &[16], 48_700, 717, "8.9", &[]),
    nvidia("RTX 4070 Ti SUPER", &["RTX", "4070", "TI", "SUPER"], &[16], 44_100, 672, "8.9", &[]),
    nvidia("RTX 4070 Ti", &["RTX", "4070", "TI"], &[12], 40_100, 504, "8.9", &[]),
    nvidia("RTX 4070 SUPER", &["RTX", "4070", "SUPER"], &[12], 35_500, 504, "8.9", &[]),
    nvidia("RTX 4070", &["RTX", "4070"], &[12], 29_100, 504, "8.9", &[]),
    nvidia("RTX 4060 Ti", &["RTX", "4060", "TI"], &[8, 16], 22_100, 288, "8.9", &[]),
    nvidia("RTX 4060", &["RTX", "4060"], &[8], 15_100, 272, "8.9", &[]),
    nvidia("RTX 3090 Ti", &["RTX", "3090", "TI"], &[24], 40_000, 1_008, "8.6", &[]),
    nvidia("RTX 3090", &["RTX", "3090"], &[24], 35_600, 936, "8.6", &[0x2204]),
    nvidia("RTX 3080 Ti", &["RTX", "3080", "TI"], &[12], 34_100, 912, "8.6", &[]),
    nvidia("RTX 3080", &["RTX", "3080"], &[10, 12], 29_800, 760, "8.6", &[]),
    nvidia("RTX 3070", &["RTX", "3070"], &[8], 20_300, 448, "8.6", &[]),
    nvidia("RTX 3060 Ti", &["RTX", "3060", "TI"], &[8], 16_200, 448, "8.6", &[]),
    nvidia("RTX 3060", &["RTX", "3060"], &[8, 12], 12_700, 360, "8.6", &[]),
    nvidia("RTX 2080 Ti", &["RTX", "2080", "TI"], &[11], 13_400, 616, "7.5", &[]),
    nvidia("GTX 1080 Ti", &["GTX", "1080", "TI"], &[11], 11_300, 484, "6.1", &[]),
    nvidia("B200", &["B200"], &[180, 192], 75_000, 7_700, "10.0", &[]),
    nvidia("H200", &["H200"], &[141], 67_000, 4_800, "9.0", &[]),
    nvidia("H100 PCIe", &["H100", "PCIE"], &[80], 51_000, 2_000, "9.0", &[0x2331]),
    nvidia("H100", &["H100"], &[80], 67_000, 3_350, "9.0", &[0x2330]),
    nvidia("A100", &["A100"], &[40, 80], 19_500, 1_555, "8.0", &[]),
    nvidia("L40S", &["L40S"], &[48], 91_600, 864, "8.9", &[]),
    nvidia("L40", &["L40"], &[48], 90_500, 864, "8.9", &[]),
    nvidia("L4", &["L4"], &[24], 30_300, 300, "8.9", &[]),
    nvidia("A40", &["A40"], &[48], 37_400, 696, "8.6", &[]),
    nvidia("A10", &["A10"], &[24], 31_200, 600, "8.6", &[]),
    nvidia("RTX 6000 Ada", &["RTX", "6000", "ADA"], &[48], 91_100, 960, "8.9", &[]),
    nvidia("RTX A6000", &["RTX", "A6000"], &[48], 38_700, 768, "8.6", &[]),
    nvidia("RTX A5000", &["RTX", "A5000"], &[24], 27_800, 768, "8.6", &[]),
    nvidia("RTX A4000", &["RTX", "A4000"], &[16], 19_200, 448, "8.6", &[]),
    nvidia("T4", &["T4"], &[16], 8_100, 320, "7.5", &[0x1eb8]),
    nvidia("V100", &["V100"], &[16, 32], 14_000, 900, "7.0", &[]),
    nvidia("P100", &["P100"], &[12, 16], 9_300, 549, "6.0", &[]),
    nvidia("P40", &["P40"], &[24], 11_800, 346, "6.1", &[]),
    amd("Instinct MI300X", &["MI300X"], &[192], 163_400, 5_300),
    amd("Instinct MI210", &["MI210"], &[64], 22_600, 1_638),
    amd("RX 7900 XTX", &["RX", "7900", "XTX"], &[24], 61_400, 960),
    amd("RX 7900 XT", &["RX", "7900", "XT"], &[20], 51_500, 800),
    amd("RX 6900 XT", &["RX", "6900", "XT"], &[16], 23_000, 512),
];
