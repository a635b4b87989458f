//! What a job's devices use while it runs, for its receipts.
//!
//! A graphics card counts its energy itself (NVML, from Volta on); an older one tells its power, which is summed over the
//! seconds. For the CPU the processor's own counters are read (RAPL, under `/sys/class/powercap`), where the owner lets the
//! worker read them. A CPU is lent whole, so the counters of all its packages are the job's. What is not told is not guessed.

use std::path::{Path, PathBuf};

use kernel::Energy;

/// What a device says of its energy at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A counter that only rises, in microjoules; it begins again at zero past `wraps_at`, if that is known.
    Counter {
        microjoules: u64,
        wraps_at: Option<u64>,
    },
    /// What it draws now.
    Power { milliwatts: u64 },
}

/// Sums a lease's energy from readings of its devices, taken about once a second.
#[derive(Debug, Default)]
pub struct EnergyMeter {
    /// The readings before, by device, and when they were taken; `None` before the process runs, or when one of the
    /// devices did not tell then: a part of them would be taken for the whole.
    before: Option<(u64, Vec<Reading>)>,
    microjoules: u64,
    known: bool,
    over: bool,
}

impl EnergyMeter {
    /// The process runs: what was used before is not its.
    pub fn start(&mut self, at_ms: u64, readings: Vec<Option<Reading>>) {
        let told: Option<Vec<Reading>> = readings.into_iter().collect();
        self.before = told
            .filter(|told| !told.is_empty())
            .map(|told| (at_ms, told));
        self.known = self.before.is_some();
    }

    /// A second later. `counts`: whether the seconds are billed too; frozen ones are not.
    pub fn look(&mut self, now_ms: u64, readings: &[Option<Reading>], counts: bool) {
        let Some((at_ms, before)) = self.before.as_mut().filter(|_| !self.over) else {
            return;
        };
        let elapsed_ms = now_ms.saturating_sub(*at_ms);
        *at_ms = now_ms;
        for (was, now) in before.iter_mut().zip(readings) {
            // One that does not answer for a moment is asked again: its counter goes on meanwhile.
            let Some(now) = *now else { continue };
            if counts {
                self.microjoules = self.microjoules.saturating_add(used(*was, now, elapsed_ms));
            }
            *was = now;
        }
    }

    /// The process is over. What follows (packing, uploading) is not its.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Since the process began, if all its devices told.
    pub fn total(&self) -> Option<Energy> {
        self.known
            .then(|| Energy::try_new(self.microjoules / 1_000).unwrap_or(Energy::MAX))
    }
}

/// Microjoules between two readings of one device.
fn used(was: Reading, now: Reading, elapsed_ms: u64) -> u64 {
    match (was, now) {
        (
            Reading::Counter {
                microjoules: was, ..
            },
            Reading::Counter {
                microjoules: now,
                wraps_at,
            },
        ) => now.checked_sub(was).unwrap_or_else(|| {
            // Begun again: with a known end it was passed; without one the driver was loaded anew, and what was before is lost.
            wraps_at.map_or(0, |end| end.saturating_sub(was).saturating_add(now))
        }),
        // mW × ms = µJ; the mean of both ends.
        (Reading::Power { milliwatts: was }, Reading::Power { milliwatts: now }) => {
            was.midpoint(now).saturating_mul(elapsed_ms)
        }
        _ => 0,
    }
}

/// The processor's energy counters.
#[derive(Debug)]
pub struct Rapl {
    /// One directory a package.
    packages: Vec<PathBuf>,
}

impl Rapl {
    /// Those under `powercap` that can be read; `None` when there are none, or one of them may not be read.
    pub fn find(powercap: &Path) -> Option<Self> {
        let mut packages: Vec<PathBuf> = std::fs::read_dir(powercap)
            .ok()?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                // `package-0` and so on; their parts (cores, memory) are counted in them.
                std::fs::read_to_string(path.join("name"))
                    .is_ok_and(|name| name.starts_with("package-"))
            })
            .collect();
        packages.sort();
        let rapl = Self { packages };
        let readings = rapl.read();
        (!readings.is_empty() && readings.iter().all(Option::is_some)).then_some(rapl)
    }

    /// Each package's counter.
    pub fn read(&self) -> Vec<Option<Reading>> {
        self.packages
            .iter()
            .map(|path| {
                Some(Reading::Counter {
                    microjoules: number(&path.join("energy_uj"))?,
                    wraps_at: number(&path.join("max_energy_range_uj")),
                })
            })
            .collect()
    }
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counter(microjoules: u64) -> Reading {
        Reading::Counter {
            microjoules,
            wraps_at: None,
        }
    }

    const fn power(milliwatts: u64) -> Reading {
        Reading::Power { milliwatts }
    }

    fn total(meter: &EnergyMeter) -> Option<u64> {
        meter.total().map(Energy::millijoules)
    }

    #[test]
    fn counters_are_taken_from_the_start_to_the_end() {
        let mut meter = EnergyMeter::default();
        assert_eq!(total(&meter), None);
        meter.start(1_000, vec![Some(counter(5_000_000)), Some(counter(70_000))]);
        assert_eq!(total(&meter), Some(0));
        meter.look(
            2_000,
            &[Some(counter(5_300_000)), Some(counter(71_000))],
            true,
        );
        assert_eq!(total(&meter), Some(301));
        meter.look(3_000, &[Some(counter(5_300_999)), None], true);
        assert_eq!(total(&meter), Some(301), "whole millijoules");
        meter.look(
            4_000,
            &[Some(counter(5_301_000)), Some(counter(81_000))],
            true,
        );
        assert_eq!(total(&meter), Some(312), "what was missed is made up for");
        meter.end();
        meter.look(
            5_000,
            &[Some(counter(9_000_000)), Some(counter(99_000))],
            true,
        );
        assert_eq!(total(&meter), Some(312));
    }

    #[test]
    fn power_is_summed_over_the_seconds() {
        let mut meter = EnergyMeter::default();
        meter.start(0, vec![Some(power(100_000))]);
        meter.look(1_000, &[Some(power(300_000))], true);
        assert_eq!(total(&meter), Some(200_000));
        meter.look(3_000, &[Some(power(300_000))], true);
        assert_eq!(total(&meter), Some(800_000));
    }

    #[test]
    fn frozen_seconds_are_not_counted() {
        let mut meter = EnergyMeter::default();
        meter.start(0, vec![Some(counter(0))]);
        meter.look(1_000, &[Some(counter(1_000))], true);
        meter.look(2_000, &[Some(counter(9_000))], false);
        meter.look(3_000, &[Some(counter(10_000))], true);
        assert_eq!(total(&meter), Some(2));
    }

    #[test]
    fn a_counter_that_begins_again_never_lowers_the_sum() {
        let wrapping = |microjoules| {
            Some(Reading::Counter {
                microjoules,
                wraps_at: Some(10_000),
            })
        };
        let mut meter = EnergyMeter::default();
        meter.start(0, vec![wrapping(9_000)]);
        meter.look(1_000, &[wrapping(2_000)], true);
        assert_eq!(total(&meter), Some(3));
        let mut meter = EnergyMeter::default();
        meter.start(0, vec![Some(counter(9_000))]);
        meter.look(1_000, &[Some(counter(2_000))], true);
        meter.look(2_000, &[Some(counter(3_000))], true);
        assert_eq!(total(&meter), Some(1));
    }

    #[test]
    fn a_part_is_not_taken_for_the_whole() {
        let mut meter = EnergyMeter::default();
        meter.start(0, vec![Some(counter(1)), None]);
        meter.look(1_000, &[Some(counter(9_000)), Some(counter(9_000))], true);
        assert_eq!(total(&meter), None);
        meter.start(0, Vec::new());
        assert_eq!(total(&meter), None);
    }

    #[test]
    fn the_processors_packages_are_read_where_they_may_be() {
        let powercap = tempfile::tempdir().expect("tempdir");
        assert!(Rapl::find(powercap.path()).is_none());
        let zone = |dir: &str, name: &str, energy: &str| {
            let path = powercap.path().join(dir);
            std::fs::create_dir(&path).expect("mkdir");
            for (file, text) in [
                ("name", name),
                ("energy_uj", energy),
                ("max_energy_range_uj", "262143328850\n"),
            ] {
                std::fs::write(path.join(file), text).expect("write");
            }
        };
        zone("intel-rapl:0", "package-0\n", "123456\n");
        zone("intel-rapl:0:0", "core\n", "100\n");
        zone("intel-rapl:1", "package-1\n", "7\n");
        let rapl = Rapl::find(powercap.path()).expect("two packages");
        let reading = |microjoules| {
            Some(Reading::Counter {
                microjoules,
                wraps_at: Some(262_143_328_850),
            })
        };
        assert_eq!(rapl.read(), [reading(123_456), reading(7)]);
        std::fs::remove_file(powercap.path().join("intel-rapl:1/energy_uj")).expect("remove");
        assert_eq!(rapl.read(), [reading(123_456), None]);
        assert!(Rapl::find(powercap.path()).is_none());
    }
}
