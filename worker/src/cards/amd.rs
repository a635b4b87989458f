//! AMD's cards, through the files of the kernel's driver `amdgpu`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gpu_probe::Wanted;
use protocol::spec::DeviceClass;
use protocol::worker::{DEVICES_PER_NODE_MAX, DeviceDetails, DeviceFacts};

use super::{Card, line, on_bus};

const MIB: u64 = 1024 * 1024;
const VENDOR: &str = "0x1002";
/// What drives a screen from main memory is no card to lend.
const MEMORY_MIB_MIN: u64 = 2_048;

/// Device ids that mean one model; others are told apart by the name that the board itself gives.
const NAMES: [(&str, &str); 4] = [
    ("74a1", "AMD Instinct MI300X"),
    ("740f", "AMD Instinct MI210"),
    ("744c", "AMD Radeon RX 7900 XTX"),
    ("73bf", "AMD Radeon RX 6900 XT"),
];

/// The folders of all cards, whoever made them.
fn folders(sys: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(sys.join("class/drm"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    // card0, and not card0-HDMI-A-1.
    folders.retain(|path| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.strip_prefix("card")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    folders.sort();
    folders
}

/// Where the driver tells of each card.
pub fn by_uuid(sys: &Path) -> BTreeMap<String, PathBuf> {
    let devices = folders(sys).into_iter().map(|folder| folder.join("device"));
    let ours = devices.filter(|device| line(&device.join("vendor")) == VENDOR);
    ours.map(|device| (uuid(&line(&device.join("unique_id"))), device))
        .collect()
}

fn uuid(unique: &str) -> String {
    format!("AMD-{unique}")
}

/// Looks for cards below `/sys`, or what a test puts in its place.
pub fn find(sys: &Path) -> (Vec<Card>, Vec<String>) {
    let folders = folders(sys);
    let mut problems = Vec::new();
    let mut cards: Vec<Card> = Vec::new();
    let devices = folders.iter().map(|folder| folder.join("device"));
    for device in devices.filter(|device| line(&device.join("vendor")) == VENDOR) {
        match card(&device) {
            Ok(Some(mut card)) if cards.len() < DEVICES_PER_NODE_MAX => {
                let same = |other: &&Card| other.wanted.pci == card.wanted.pci;
                card.wanted.ordinal = cards.iter().filter(same).count();
                cards.push(card);
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    let there = on_bus(sys, VENDOR);
    if cards.is_empty() && problems.is_empty() && folders.is_empty() && there > 0 {
        problems.push(
            "there is an AMD card, but the kernel's driver amdgpu does not have it; install firmware-amd-graphics and restart".to_owned(),
        );
    }
    (cards, problems)
}

/// One card; `None`: it is too small to lend.
fn card(device: &Path) -> Result<Option<Card>, String> {
    let slot = slot(device);
    let text = line(&device.join("mem_info_vram_total"));
    let Ok(memory) = text.parse::<u64>() else {
        return Err(format!(
            "AMD card {slot} does not tell its memory; its kernel driver is too old: Linux 5.2 or newer has what is needed"
        ));
    };
    let memory_mib = memory / MIB;
    if memory_mib < MEMORY_MIB_MIN {
        return Ok(None);
    }
    let id = line(&device.join("device"))
        .trim_start_matches("0x")
        .to_lowercase();
    let told = line(&device.join("product_name"));
    let known = NAMES
        .iter()
        .find(|(own, _)| *own == id)
        .map(|(_, name)| (*name).to_owned());
    let model = if told.is_empty() {
        known.unwrap_or_else(|| format!("AMD graphics 1002:{id}"))
    } else {
        told
    };
    let unique = line(&device.join("unique_id"));
    if unique.is_empty() {
        return Err(format!(
            "AMD card {slot} ({model}) has no number of its own to be told by; it cannot be offered"
        ));
    }
    let pci = Some(format!("1002:{id}"));
    Ok(Some(Card {
        facts: DeviceFacts {
            uuid: uuid(&unique),
            class: DeviceClass::Gpu,
            model,
            memory_mib,
            details: DeviceDetails {
                driver: Some(kernel_version()),
                watts: watts(device),
                pci: pci.clone(),
                ..DeviceDetails::default()
            },
        },
        wanted: Wanted {
            bus: Some(slot),
            pci,
            ..Wanted::default()
        },
        nodes: nodes(device),
    }))
}

/// Its driver is the kernel's.
fn kernel_version() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn slot(device: &Path) -> String {
    let text = std::fs::read_to_string(device.join("uevent")).unwrap_or_default();
    let slot = text
        .lines()
        .find_map(|line| line.strip_prefix("PCI_SLOT_NAME="));
    slot.unwrap_or("?").to_owned()
}

/// The board's power limit.
fn watts(device: &Path) -> Option<u32> {
    let sensors = std::fs::read_dir(device.join("hwmon")).ok()?;
    let microwatts = sensors
        .flatten()
        .find_map(|sensor| line(&sensor.path().join("power1_cap")).parse::<u64>().ok())?;
    u32::try_from(microwatts / 1_000_000).ok()
}

/// The doors to compute on it: the shared one and its own.
fn nodes(device: &Path) -> Vec<String> {
    let own = std::fs::read_dir(device.join("drm")).map(|entries| {
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("renderD"))
            .map(|name| format!("dri/{name}"))
            .collect()
    });
    let own: Vec<String> = own.unwrap_or_default();
    std::iter::once("kfd".to_owned()).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(path, text).expect("writes");
    }

    fn a_card(sys: &Path, number: u32, id: &str, memory: u64) {
        let device = format!("class/drm/card{number}/device");
        let put = |name: &str, text: &str| write(sys, &format!("{device}/{name}"), text);
        put("vendor", "0x1002\n");
        put("device", &format!("0x{id}\n"));
        put("mem_info_vram_total", &format!("{memory}\n"));
        put("unique_id", &format!("5c0ffee{number}\n"));
        put(
            "uevent",
            &format!("DRIVER=amdgpu\nPCI_SLOT_NAME=0000:0{number}:00.0\n"),
        );
        put("hwmon/hwmon3/power1_cap", "303000000\n");
        put(&format!("drm/renderD12{number}/dev"), "226:128\n");
    }

    #[test]
    fn cards_are_read_from_the_kernels_files() {
        let sys = tempfile::tempdir().expect("tempdir");
        a_card(sys.path(), 1, "744c", 25_753_026_560);
        a_card(sys.path(), 2, "744c", 25_753_026_560);
        // A screen's chip, another maker's card, and a connector.
        a_card(sys.path(), 3, "164e", 536_870_912);
        write(sys.path(), "class/drm/card4/device/vendor", "0x8086\n");
        write(sys.path(), "class/drm/card1-HDMI-A-1/status", "connected\n");
        let (cards, problems) = find(sys.path());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(cards.len(), 2, "{cards:?}");
        let card = &cards[1];
        assert_eq!(card.facts.uuid, "AMD-5c0ffee2");
        assert_eq!(
            (card.facts.model.as_str(), card.facts.memory_mib),
            ("AMD Radeon RX 7900 XTX", 24_560)
        );
        assert_eq!(card.facts.details.watts, Some(303));
        assert_eq!(card.facts.details.pci.as_deref(), Some("1002:744c"));
        assert_eq!(card.wanted.bus.as_deref(), Some("0000:02:00.0"));
        assert_eq!((cards[0].wanted.ordinal, card.wanted.ordinal), (0, 1));
        assert_eq!(card.nodes, ["kfd", "dri/renderD122"]);
        let known = proof::models::identity(
            card.facts.class,
            &card.facts.model,
            card.facts.memory_mib,
            &card.facts.details,
        );
        assert!(known.is_ok_and(|band| band.is_some()));
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let sys = tempfile::tempdir().expect("tempdir");
        assert_eq!(find(sys.path()), (Vec::new(), Vec::new()));
        write(
            sys.path(),
            "bus/pci/devices/0000:03:00.0/vendor",
            "0x1002\n",
        );
        write(
            sys.path(),
            "bus/pci/devices/0000:03:00.0/class",
            "0x030000\n",
        );
        assert!(find(sys.path()).1[0].contains("amdgpu"));
        write(sys.path(), "class/drm/card0/device/vendor", "0x1002\n");
        assert!(find(sys.path()).1[0].contains("too old"));
        write(
            sys.path(),
            "class/drm/card0/device/mem_info_vram_total",
            "17163091968\n",
        );
        assert!(find(sys.path()).1[0].contains("no number of its own"));
    }
}
