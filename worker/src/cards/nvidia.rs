//! NVIDIA's cards, through NVML.

use std::ffi::OsStr;
use std::path::Path;

use gpu_probe::Wanted;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use protocol::spec::DeviceClass;
use protocol::worker::{DEVICES_PER_NODE_MAX, DeviceDetails, DeviceFacts};

use super::{Card, on_bus};

const MIB: u64 = 1024 * 1024;
const VENDOR: &str = "0x10de";

/// What was found, and what is in the way.
#[derive(Debug, Default)]
pub struct Nvidia {
    pub nvml: Option<Nvml>,
    pub cards: Vec<Card>,
    pub problems: Vec<String>,
}

/// Looks for cards. `library`: another file than the system's own.
pub fn find(library: Option<&Path>, sys: &Path) -> Nvidia {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(OsStr::new(path)).init(),
        None => Nvml::init(),
    };
    let there = on_bus(sys, VENDOR);
    match opened {
        Ok(nvml) => {
            let (cards, mut problems) = read(&nvml);
            if cards.is_empty() && problems.is_empty() && there > 0 {
                problems.push(format!(
                    "NVIDIA's driver shows none of the {there} cards in this machine; see `dmesg | grep -i nvrm`"
                ));
            }
            Nvidia {
                nvml: Some(nvml),
                cards,
                problems,
            }
        }
        // No driver and no card: that is ordinary, not a fault.
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)
            if there == 0 && library.is_none() =>
        {
            Nvidia::default()
        }
        Err(error) => Nvidia {
            problems: vec![in_the_way(&error)],
            ..Nvidia::default()
        },
    }
}

/// Why the library does not answer, and what the owner can do.
fn in_the_way(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "there is an NVIDIA card, but not its library libnvidia-ml.so.1; install NVIDIA's driver (Debian: nvidia-driver)".to_owned()
        }
        NvmlError::FailedToLoadSymbol(symbol) => {
            format!("NVIDIA's driver is too old: its library lacks {symbol}; install a driver of version 510 or newer")
        }
        NvmlError::DriverNotLoaded => {
            "NVIDIA's driver is installed, but the kernel has not loaded it; run `modprobe nvidia`, or restart the machine".to_owned()
        }
        NvmlError::NoPermission => {
            "this user may not ask NVIDIA's driver; run the worker as root, or put its user into the group video".to_owned()
        }
        NvmlError::LibRmVersionMismatch => {
            "NVIDIA's driver was updated while the old one is loaded; restart the machine".to_owned()
        }
        NvmlError::GpuLost => "an NVIDIA card has fallen off the bus; restart the machine, and look at its power and seat".to_owned(),
        other => format!("NVIDIA's driver does not answer: {other}"),
    }
}

fn read(nvml: &Nvml) -> (Vec<Card>, Vec<String>) {
    let driver = nvml.sys_driver_version().ok();
    let cuda = nvml.sys_cuda_driver_version().ok().map(|version| {
        let (major, minor) = (
            nvml_wrapper::cuda_driver_version_major(version),
            nvml_wrapper::cuda_driver_version_minor(version),
        );
        format!("{major}.{minor}")
    });
    let count = match nvml.device_count() {
        Ok(count) => count,
        Err(error) => return (Vec::new(), vec![in_the_way(&error)]),
    };
    let one = |index| -> Result<Card, NvmlError> {
        let device = nvml.device_by_index(index)?;
        // What an old driver cannot tell is left out; only these four must be known.
        let pci = device.pci_info().ok();
        let capability = device.cuda_compute_capability().ok();
        Ok(Card {
            facts: DeviceFacts {
                uuid: device.uuid()?,
                class: DeviceClass::Gpu,
                model: device.name()?,
                memory_mib: device.memory_info()?.total / MIB,
                details: DeviceDetails {
                    driver: driver.clone(),
                    cuda: cuda.clone(),
                    watts: device
                        .power_management_limit_default()
                        .ok()
                        .map(|milliwatts| milliwatts / 1_000),
                    pci: pci.as_ref().map(|pci| pci_ids(pci.pci_device_id)),
                    capability: capability
                        .map(|version| format!("{}.{}", version.major, version.minor)),
                },
            },
            wanted: Wanted {
                pci: pci.as_ref().map(|pci| pci_ids(pci.pci_device_id)),
                bus: pci.map(|pci| pci.bus_id),
                ordinal: usize::try_from(index).unwrap_or(usize::MAX),
                software: false,
            },
            nodes: Vec::new(),
        })
    };
    let mut problems = Vec::new();
    let mut cards: Vec<Card> = (0..count)
        .take(DEVICES_PER_NODE_MAX)
        .filter_map(|index| {
            one(index)
                .map_err(|error| {
                    problems.push(format!(
                        "NVIDIA card {index} is not offered: {}",
                        in_the_way(&error)
                    ));
                })
                .ok()
        })
        .collect();
    // Vulkan counts cards of one kind among themselves.
    for at in 0..cards.len() {
        let (before, from) = cards.split_at_mut(at);
        if let Some(card) = from.first_mut() {
            let same = |other: &&Card| other.wanted.pci == card.wanted.pci;
            card.wanted.ordinal = before.iter().filter(same).count();
        }
    }
    (cards, problems)
}

/// NVML gives the device above the vendor.
fn pci_ids(both: u32) -> String {
    format!("{:04x}:{:04x}", both & 0xffff, both >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_cards_has_no_problem_and_one_with_a_card_has() {
        let sys = tempfile::tempdir().expect("tempdir");
        let none = find(None, sys.path());
        assert!(none.nvml.is_some() || (none.cards.is_empty() && none.problems.is_empty()));
        if none.nvml.is_some() {
            return;
        }
        let card = sys.path().join("bus/pci/devices/0000:01:00.0");
        std::fs::create_dir_all(&card).expect("folder");
        std::fs::write(card.join("vendor"), "0x10de\n").expect("writes");
        std::fs::write(card.join("class"), "0x030000\n").expect("writes");
        let found = find(None, sys.path());
        assert!(
            found.problems[0].contains("install NVIDIA's driver"),
            "{:?}",
            found.problems
        );
    }

    #[test]
    fn each_state_of_a_driver_has_its_own_advice() {
        let advice = [
            (
                NvmlError::FailedToLoadSymbol("nvmlDeviceGetName".into()),
                "too old",
            ),
            (NvmlError::DriverNotLoaded, "modprobe"),
            (NvmlError::NoPermission, "group video"),
            (NvmlError::LibRmVersionMismatch, "restart"),
            (NvmlError::GpuLost, "bus"),
            (NvmlError::LibraryNotFound, "libnvidia-ml"),
            (NvmlError::Timeout, "does not answer"),
        ];
        for (error, word) in advice {
            assert!(in_the_way(&error).contains(word), "{error}");
        }
        assert_eq!(pci_ids(0x2684_10de), "10de:2684");
    }

    #[test]
    fn a_library_that_is_none_is_told() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let found = find(Some(file.path()), Path::new("/nowhere"));
        assert!(
            found.nvml.is_none() && found.problems.len() == 1,
            "{found:?}"
        );
    }
}
