//! Which of Vulkan's devices is the card that is meant.

use wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor};

use crate::ProbeError;

/// What is known of the card from its maker's library or from the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Where it sits, `0000:01:00.0`; a driver that tells it decides by it.
    pub bus: Option<String>,
    /// `10de:2684`.
    pub pci: Option<String>,
    /// Which of the cards of this kind, from 0.
    pub ordinal: usize,
    /// A program that plays a card will do: for trying, never for a proof.
    pub software: bool,
}

/// One device that Vulkan shows.
#[derive(Debug, Clone)]
pub struct Found {
    pub name: String,
    pub bus: String,
    pub pci: String,
    /// lavapipe and the like.
    pub software: bool,
    pub(crate) adapter: Adapter,
}

/// All that Vulkan shows here.
pub fn cards() -> Vec<Found> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(Backends::VULKAN));
    adapters
        .into_iter()
        .map(|adapter| {
            let info = adapter.get_info();
            Found {
                name: info.name,
                bus: info.device_pci_bus_id,
                pci: format!("{:04x}:{:04x}", info.vendor & 0xffff, info.device & 0xffff),
                software: info.device_type == DeviceType::Cpu,
                adapter,
            }
        })
        .collect()
}

/// The last part of an address on the bus is the same for all that write it; how long the domain is differs.
fn is_at(bus: &str, wanted: &str) -> bool {
    let short = |text: &str| {
        let text = text.to_lowercase();
        let from = text.len().saturating_sub("01:00.0".len());
        text.get(from..).unwrap_or_default().to_owned()
    };
    !bus.is_empty() && short(bus) == short(wanted)
}

pub(crate) fn choose(found: Vec<Found>, wanted: &Wanted) -> Result<Found, ProbeError> {
    let played = found
        .iter()
        .find(|card| card.software)
        .map(|card| card.name.clone());
    let fits = |card: &Found| {
        if card.software {
            return wanted.software;
        }
        wanted.pci.as_ref().is_none_or(|pci| *pci == card.pci)
    };
    let mut fitting: Vec<Found> = found.into_iter().filter(fits).collect();
    let seat = wanted
        .bus
        .as_ref()
        .and_then(|bus| fitting.iter().position(|card| is_at(&card.bus, bus)));
    let told = fitting.iter().any(|card| !card.bus.is_empty());
    match (seat, told && wanted.bus.is_some()) {
        (Some(at), _) => Ok(fitting.swap_remove(at)),
        // The driver tells where its cards sit, and none sits there.
        (None, true) => Err(ProbeError::NotFound),
        (None, false) if wanted.ordinal < fitting.len() => Ok(fitting.swap_remove(wanted.ordinal)),
        (None, false) => Err(played.map_or(ProbeError::NotFound, ProbeError::Software)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_on_the_bus_are_compared_by_what_all_write() {
        assert!(is_at("0000:01:00.0", "00000000:01:00.0"));
        assert!(is_at("0000:C1:00.0", "0000:c1:00.0"));
        assert!(!is_at("0000:01:00.0", "0000:02:00.0"));
        assert!(!is_at("", "0000:02:00.0"));
    }

    #[test]
    fn nothing_is_found_among_nothing() {
        assert_eq!(
            choose(Vec::new(), &Wanted::default()).err(),
            Some(ProbeError::NotFound)
        );
    }
}
