//! Graphics cards of this machine: NVIDIA's through its library, AMD's through the kernel's files. What is read here is a claim; where it
//! cannot be read, the owner is told why and what to do.

pub mod amd;
pub mod nvidia;

use std::path::Path;

use gpu_probe::Wanted;
use protocol::worker::DeviceFacts;

/// One card as its driver tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub facts: DeviceFacts,
    /// How Vulkan's device is known to be this card.
    pub wanted: Wanted,
    /// What a job needs of /dev, where that is known from the start.
    pub nodes: Vec<String>,
}

/// The PCI ids of a vendor's graphics cards, as the kernel lists them, whether or not a driver has them.
pub fn on_bus(sys: &Path, vendor: &str) -> usize {
    let entries = std::fs::read_dir(sys.join("bus/pci/devices"));
    let is_card = |path: &Path| {
        line(&path.join("vendor")) == vendor && line(&path.join("class")).starts_with("0x03")
    };
    entries.map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| is_card(&entry.path()))
            .count()
    })
}

/// The first line of a file of the kernel's; empty where there is none.
pub fn line(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
