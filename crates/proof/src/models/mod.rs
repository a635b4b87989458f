//! What is known of models: how they are named, and what they can do at most.

mod table;

use protocol::proof::ProofReason;
use protocol::spec::DeviceClass;
use protocol::worker::DeviceDetails;

pub use table::BANDS;

use crate::check::{Fault, fault};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Nvidia,
    Amd,
}

impl Vendor {
    /// On the PCI bus.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Nvidia => "10de",
            Self::Amd => "1002",
        }
    }
}

/// One model of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    pub name: &'static str,
    /// The words of a driver's name that mean it, in capital letters.
    pub words: &'static [&'static str],
    pub vendor: Vendor,
    /// Sizes of memory that are sold, in GiB.
    pub gib: &'static [u32],
    /// 10⁹ operations a second (FP32).
    pub gflops: u32,
    /// 10⁹ bytes a second.
    pub gbytes: u32,
    pub capability: Option<&'static str>,
    /// Device ids, where they are known to be these alone.
    pub pci: &'static [u16],
}

/// Of the memory that is sold a driver shows so much at least and at most, in percent: error correction takes a sixteenth of some.
const MEMORY_SHOWN: (u64, u64) = (90, 102);

impl Band {
    fn has(&self, memory_mib: u64) -> bool {
        let (least, most) = MEMORY_SHOWN;
        self.gib.iter().any(|gib| {
            let sold = u64::from(*gib).saturating_mul(1_024);
            let shown = memory_mib.saturating_mul(100);
            shown >= sold.saturating_mul(least) && shown <= sold.saturating_mul(most)
        })
    }
}

/// The model that a driver's name means: `NVIDIA GeForce RTX 4090`, `NVIDIA A100-SXM4-80GB`, `Tesla T4`.
pub fn find(model: &str) -> Option<&'static Band> {
    let name = model.to_uppercase();
    let words: Vec<&str> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    // A laptop's card bears a desktop's name and is another.
    if words
        .iter()
        .any(|word| ["LAPTOP", "MOBILE", "MAX"].contains(word))
    {
        return None;
    }
    BANDS
        .iter()
        .find(|band| band.words.iter().all(|word| words.contains(word)))
}

/// Whether what a device says of itself fits together. `None`: a CPU, of which nothing is in the table.
///
/// # Errors
/// The model is not known, or something is not as that model has it.
pub fn identity(
    class: DeviceClass,
    model: &str,
    memory_mib: u64,
    details: &DeviceDetails,
) -> Result<Option<&'static Band>, Fault> {
    if class == DeviceClass::Cpu {
        return Ok(None);
    }
    let Some(band) = find(model) else {
        return Err(fault(
            ProofReason::UnknownModel,
            format!("the table of models does not know {model}"),
        ));
    };
    let inconsistent = |detail: String| Err(fault(ProofReason::Inconsistent, detail));
    if !band.has(memory_mib) {
        return inconsistent(format!(
            "a {} does not come with {memory_mib} MiB",
            band.name
        ));
    }
    if let (Some(has), Some(says)) = (band.capability, details.capability.as_deref())
        && has != says
    {
        return inconsistent(format!(
            "a {} has compute capability {has}, not {says}",
            band.name
        ));
    }
    if let Some(pci) = details.pci.as_deref() {
        let (vendor, device) = pci.split_once(':').unwrap_or((pci, ""));
        let known = |id: &u16| u16::from_str_radix(device, 16) == Ok(*id);
        if vendor != band.vendor.id() || !band.pci.is_empty() && !band.pci.iter().any(known) {
            return inconsistent(format!("a {} is not {pci} on the PCI bus", band.name));
        }
    }
    Ok(Some(band))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(model: &str) -> Option<&'static str> {
        find(model).map(|band| band.name)
    }

    #[test]
    fn drivers_names_mean_the_models_of_the_table() {
        for (model, name) in [
            ("NVIDIA GeForce RTX 4090", "RTX 4090"),
            ("NVIDIA GeForce RTX 3060 Ti", "RTX 3060 Ti"),
            ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti SUPER"),
            ("NVIDIA A100-SXM4-80GB", "A100"),
            ("NVIDIA H100 80GB HBM3", "H100"),
            ("NVIDIA H100 PCIe", "H100 PCIe"),
            ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
            ("NVIDIA RTX A6000", "RTX A6000"),
            ("NVIDIA L40S", "L40S"),
            ("Tesla V100-SXM2-16GB", "V100"),
            ("AMD Radeon RX 7900 XT", "RX 7900 XT"),
        ] {
            assert_eq!(named(model), Some(name), "{model}");
        }
        for model in [
            "",
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            "RTX 9999",
            "llvmpipe (LLVM 15)",
        ] {
            assert_eq!(named(model), None, "{model}");
        }
    }

    #[test]
    fn no_model_hides_behind_a_shorter_name() {
        for band in BANDS {
            assert_eq!(named(band.name), Some(band.name));
            assert!(band.gflops > 0 && band.gbytes > 0 && !band.gib.is_empty());
        }
    }

    #[test]
    fn forged_identities_that_do_not_fit_together_are_named() {
        let details = |pci: Option<&str>, capability: Option<&str>| DeviceDetails {
            pci: pci.map(str::to_owned),
            capability: capability.map(str::to_owned),
            ..DeviceDetails::default()
        };
        let look = |model: &str, memory, pci, capability| {
            identity(DeviceClass::Gpu, model, memory, &details(pci, capability))
                .map(|band| band.map(|band| band.name))
                .map_err(|fault| fault.reason)
        };
        let card = "NVIDIA GeForce RTX 4090";
        assert_eq!(
            look(card, 24_564, Some("10de:2684"), Some("8.9")),
            Ok(Some("RTX 4090"))
        );
        assert_eq!(look(card, 24_564, None, None), Ok(Some("RTX 4090")));
        assert_eq!(
            look("Tesla T4", 15_360, Some("10de:1eb8"), None),
            Ok(Some("T4"))
        );
        let wrong = Err(ProofReason::Inconsistent);
        assert_eq!(look(card, 12_282, None, None), wrong);
        assert_eq!(look(card, 49_140, None, None), wrong);
        assert_eq!(look(card, 24_564, Some("1002:2684"), None), wrong);
        assert_eq!(look(card, 24_564, Some("10de:2504"), None), wrong);
        assert_eq!(look(card, 24_564, None, Some("8.6")), wrong);
        assert_eq!(
            look("RTX 9090 Ti", 24_564, None, None),
            Err(ProofReason::UnknownModel)
        );
        assert_eq!(
            identity(DeviceClass::Cpu, "any", 1, &DeviceDetails::default()),
            Ok(None)
        );
    }
}
