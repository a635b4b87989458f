//! What the kernel's driver says of AMD's cards: files below `device` and its sensors.

use std::path::{Path, PathBuf};

use protocol::telemetry::{Field, Values, note};

use crate::cards::line;

/// One card now; `None`: it is lost.
pub fn read(device: &Path) -> Option<Values> {
    if !device.join("vendor").exists() {
        return None;
    }
    let mut values = Values::new();
    let number = |path: PathBuf| line(&path).parse::<f64>().ok();
    let mut plain = |field, file: &str, divided: f64| {
        if let Some(value) = number(device.join(file)) {
            note(&mut values, field, value / divided);
        }
    };
    plain(Field::GpuUtil, "gpu_busy_percent", 1.0);
    plain(Field::MemCopyUtil, "mem_busy_percent", 1.0);
    plain(Field::FbUsed, "mem_info_vram_used", 1_048_576.0);
    plain(Field::PcieReplays, "pcie_replay_count", 1.0);
    let total = number(device.join("mem_info_vram_total"));
    if let (Some(total), Some(used)) = (total, values.get(&Field::FbUsed).copied()) {
        note(&mut values, Field::FbFree, total / 1_048_576.0 - used);
    }
    if let Some(sensors) = sensors(device) {
        for (field, of, label, divided) in [
            (Field::GpuTemp, "temp", "edge", 1_000.0),
            (Field::MemoryTemp, "temp", "mem", 1_000.0),
            (Field::SmClock, "freq", "sclk", 1_000_000.0),
            (Field::MemClock, "freq", "mclk", 1_000_000.0),
        ] {
            if let Some(value) = labelled(&sensors, of, label) {
                note(&mut values, field, value / divided);
            }
        }
        let power = ["power1_average", "power1_input"];
        let power = power.iter().find_map(|file| number(sensors.join(file)));
        if let Some(microwatts) = power {
            note(&mut values, Field::PowerUsage, microwatts / 1_000_000.0);
        }
        let fan = (
            number(sensors.join("pwm1")),
            number(sensors.join("pwm1_max")),
        );
        if let (Some(now), Some(most)) = fan
            && most > 0.0
        {
            note(&mut values, Field::FanSpeed, (now * 100.0 / most).round());
        }
    }
    // "ue: 0" and "ce: 3", of cards that correct.
    let errors = std::fs::read_to_string(device.join("ras/umc_err_count")).unwrap_or_default();
    for (word, field) in [("ue:", Field::EccDbe), ("ce:", Field::EccSbe)] {
        let told = errors.lines().find_map(|line| line.strip_prefix(word));
        if let Some(count) = told.and_then(|count| count.trim().parse::<f64>().ok()) {
            note(&mut values, field, count);
        }
    }
    Some(values)
}

fn sensors(device: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(device.join("hwmon")).ok()?;
    entries.flatten().map(|entry| entry.path()).min()
}

/// The input whose label says that: their numbers differ from card to card.
fn labelled(sensors: &Path, of: &str, label: &str) -> Option<f64> {
    let at = (1..=8).find(|n| line(&sensors.join(format!("{of}{n}_label"))) == label)?;
    line(&sensors.join(format!("{of}{at}_input"))).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_from_the_kernels_files_in_dcgms_units() {
        let folder = tempfile::tempdir().expect("tempdir");
        let device = folder.path();
        assert_eq!(read(device), None);
        for (name, text) in [
            ("vendor", "0x1002\n"),
            ("gpu_busy_percent", "87\n"),
            ("mem_info_vram_total", "25753026560\n"),
            ("mem_info_vram_used", "1073741824\n"),
            ("hwmon/hwmon4/temp1_label", "edge\n"),
            ("hwmon/hwmon4/temp1_input", "61000\n"),
            ("hwmon/hwmon4/temp2_label", "junction\n"),
            ("hwmon/hwmon4/temp2_input", "75000\n"),
            ("hwmon/hwmon4/temp3_label", "mem\n"),
            ("hwmon/hwmon4/temp3_input", "70000\n"),
            ("hwmon/hwmon4/freq1_label", "sclk\n"),
            ("hwmon/hwmon4/freq1_input", "2371000000\n"),
            ("hwmon/hwmon4/power1_average", "288000000\n"),
            ("hwmon/hwmon4/pwm1", "102\n"),
            ("hwmon/hwmon4/pwm1_max", "255\n"),
            ("ras/umc_err_count", "ue: 1\nce: 12\n"),
        ] {
            let path = device.join(name);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("writes");
        }
        let expected = Values::from([
            (Field::GpuUtil, 87.0),
            (Field::FbUsed, 1_024.0),
            (Field::FbFree, 23_536.0),
            (Field::GpuTemp, 61.0),
            (Field::MemoryTemp, 70.0),
            (Field::SmClock, 2_371.0),
            (Field::PowerUsage, 288.0),
            (Field::FanSpeed, 40.0),
            (Field::EccSbe, 12.0),
            (Field::EccDbe, 1.0),
        ]);
        assert_eq!(read(device), Some(expected));
    }
}
