//! What this machine can lend, and what it is: its graphics cards where there are some, otherwise the CPU as one device of class
//! "CPU". What is read here is a claim, not a proof.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nvml_wrapper::Nvml;
use protocol::spec::DeviceClass;
use protocol::worker::{DeviceDetails, DeviceFacts, HostFacts, HostLoad};
use sha2::{Digest, Sha256};

use crate::cards::{Card, amd, nvidia};
use crate::energy::{Rapl, Reading};
use crate::identity::Network;
use crate::proof::Target;

const MIB: u64 = 1024 * 1024;
/// Left to the owner when no other bound is set: a tenth, but at least this much.
const OWNERS_MEMORY_MIB: u64 = 512;

/// What the devices are asked for again each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuLoad {
    pub percent: f32,
    pub memory_mib: f32,
}

/// Where to look for devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Another NVML than the system's own.
    pub nvml: Option<PathBuf>,
    /// The kernel's files.
    pub sys: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            nvml: None,
            sys: "/sys".into(),
        }
    }
}

/// The devices of this host, and the door to their counters.
#[derive(Debug)]
pub struct Devices {
    nvml: Option<Nvml>,
    rapl: Option<Rapl>,
    /// The cards by their UUID.
    cards: BTreeMap<String, Card>,
    pub facts: Vec<DeviceFacts>,
    /// Why devices that seem to be here are not offered.
    pub problems: Vec<String>,
    /// Main memory that a job may have, its disk included: that is memory too.
    pub offered_mib: u64,
}

impl Devices {
    /// Looks for devices. `public_key` gives the CPU its stable name; `memory_mib` bounds the main memory that is offered.
    pub fn find(public_key: &str, memory_mib: Option<u64>, sources: &Sources) -> Self {
        let offered_mib = offered(host_memory_mib(), memory_mib);
        let nvidia = nvidia::find(sources.nvml.as_deref(), &sources.sys);
        let (amd, amd_problems) = amd::find(&sources.sys);
        let problems: Vec<String> = nvidia.problems.into_iter().chain(amd_problems).collect();
        for problem in &problems {
            tracing::warn!(problem, "a graphics card cannot be offered");
        }
        let cards: Vec<Card> = nvidia.cards.into_iter().chain(amd).collect();
        let facts = if cards.is_empty() {
            vec![cpu(public_key, offered_mib)]
        } else {
            cards.iter().map(|card| card.facts.clone()).collect()
        };
        Self {
            nvml: nvidia.nvml,
            rapl: Rapl::find(Path::new("/sys/class/powercap")),
            cards: cards
                .into_iter()
                .map(|card| (card.facts.uuid.clone(), card))
                .collect(),
            facts,
            problems,
            offered_mib,
        }
    }

    /// What is to answer a challenge of this device.
    ///
    /// # Errors
    /// There is no such device.
    pub fn target(&self, uuid: &str) -> Result<Target, String> {
        if let Some(card) = self.cards.get(uuid) {
            return Ok(Target::Card(card.wanted.clone()));
        }
        let known = self.facts.iter().any(|device| device.uuid == uuid);
        known
            .then_some(Target::Cpu)
            .ok_or_else(|| format!("this machine has no device {uuid}"))
    }

    /// What a job needs of /dev to use this device and no other; empty for the CPU.
    ///
    /// # Errors
    /// Why the device cannot be given: a job that rents it must not run without it.
    pub fn nodes(&self, uuid: &str) -> Result<Vec<String>, String> {
        let Some(device) = self.facts.iter().find(|device| device.uuid == uuid) else {
            return Err(format!("this machine has no device {uuid}"));
        };
        if device.class == DeviceClass::Cpu {
            return Ok(Vec::new());
        }
        if let Some(card) = self.cards.get(uuid).filter(|card| !card.nodes.is_empty()) {
            return there_in(Path::new("/dev"), &card.nodes);
        }
        let nvml = self.nvml.as_ref().ok_or("NVIDIA's library is gone")?;
        let minor = nvml
            .device_by_uuid(uuid)
            .and_then(|device| device.minor_number())
            .map_err(|error| format!("the driver does not answer for {uuid}: {error}"))?;
        nodes_in(Path::new("/dev"), minor)
    }

    /// The load of a job's GPUs: busy on average, memory together; `None` when none of them tells.
    pub fn gpus_load<'a>(&self, uuids: impl Iterator<Item = &'a str>) -> Option<GpuLoad> {
        let loads: Vec<GpuLoad> = uuids.filter_map(|uuid| self.gpu_load(uuid)).collect();
        let count = u64::try_from(loads.len()).ok().filter(|count| *count > 0)?;
        Some(GpuLoad {
            percent: loads.iter().map(|load| load.percent).sum::<f32>() / whole(count),
            memory_mib: loads.iter().map(|load| load.memory_mib).sum(),
        })
    }

    /// What a job's devices say of their energy, always in the same order; `None` for one that does not tell.
    pub fn energy<'a>(&self, uuids: impl Iterator<Item = &'a str>) -> Vec<Option<Reading>> {
        uuids
            .flat_map(|uuid| {
                let is_cpu = self
                    .facts
                    .iter()
                    .any(|device| device.uuid == uuid && device.class == DeviceClass::Cpu);
                match &self.rapl {
                    Some(rapl) if is_cpu => rapl.read(),
                    _ => vec![self.gpu_energy(uuid)],
                }
            })
            .collect()
    }

    fn gpu_energy(&self, uuid: &str) -> Option<Reading> {
        let device = self.nvml.as_ref()?.device_by_uuid(uuid).ok()?;
        let counted = device
            .total_energy_consumption()
            .map(|millijoules| Reading::Counter {
                microjoules: millijoules.saturating_mul(1_000),
                wraps_at: None,
            });
        // Cards before Volta have no counter.
        counted
            .or_else(|_| {
                device.power_usage().map(|milliwatts| Reading::Power {
                    milliwatts: u64::from(milliwatts),
                })
            })
            .ok()
    }

    /// The load of the GPU with this UUID; `None` for the CPU, whose load the job's cgroup tells.
    fn gpu_load(&self, uuid: &str) -> Option<GpuLoad> {
        let device = self.nvml.as_ref()?.device_by_uuid(uuid).ok()?;
        let rates = device.utilization_rates().ok()?;
        let memory = device.memory_info().ok()?;
        Some(GpuLoad {
            percent: whole(u64::from(rates.gpu)),
            memory_mib: whole(memory.used / MIB),
        })
    }
}

/// All of them, or which is missing.
fn there_in(dev: &Path, nodes: &[String]) -> Result<Vec<String>, String> {
    match nodes.iter().find(|name| !dev.join(name).exists()) {
        Some(missing) => Err(format!("{} is not there", dev.join(missing).display())),
        None => Ok(nodes.to_vec()),
    }
}

fn nodes_in(dev: &Path, minor: u32) -> Result<Vec<String>, String> {
    // The driver's own doors are shared by all devices; they open none without the device's node.
    let own = [format!("nvidia{minor}"), "nvidiactl".to_owned()];
    let there = |name: &String| dev.join(name).exists();
    if let Some(missing) = own.iter().find(|name| !there(name)) {
        return Err(format!("{} is not there", dev.join(missing).display()));
    }
    // Without these a device can still draw, though not compute everything: some drivers have no tools.
    let more = ["nvidia-uvm", "nvidia-uvm-tools"].map(str::to_owned);
    Ok(own
        .into_iter()
        .chain(more.into_iter().filter(there))
        .collect())
}

/// What of `total` is offered: what the owner said, else all but a reserve.
fn offered(total: u64, wanted: Option<u64>) -> u64 {
    let reserve = (total / 10).max(OWNERS_MEMORY_MIB);
    wanted
        .unwrap_or_else(|| total.saturating_sub(reserve))
        .min(total)
}

fn host_memory_mib() -> u64 {
    field_kib(&read("/proc/meminfo"), "MemTotal:") / 1_024
}

fn cpu(public_key: &str, memory_mib: u64) -> DeviceFacts {
    DeviceFacts {
        uuid: cpu_uuid(public_key),
        class: DeviceClass::Cpu,
        model: cpu_model(&read("/proc/cpuinfo")),
        memory_mib,
        details: DeviceDetails::default(),
    }
}

/// `CPU-` and a UUID made of the node's key: the same after a new installation with the same key, never shared.
fn cpu_uuid(public_key: &str) -> String {
    let digest = hex::encode(Sha256::digest(format!("iog.cpu.v1\n{public_key}\n")));
    let part = |from, to| digest.get(from..to).unwrap_or_default();
    format!(
        "CPU-{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, value)| key.trim() == "model name" && !value.trim().is_empty())
        .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "));
    model.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}

/// What the host offers. A job's disk is memory while it runs; `state` is the directory that keeps its inputs and
/// artefacts, so both bound it.
pub fn host_facts(
    state: &Path,
    offered_mib: u64,
    network: &Network,
    isolation_problems: Vec<String>,
    device_problems: Vec<String>,
) -> HostFacts {
    let free = rustix::fs::statvfs(state)
        .map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize) / MIB);
    HostFacts {
        os: os_name(&read("/etc/os-release")),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        cpus: std::thread::available_parallelism()
            .ok()
            .and_then(|n| u32::try_from(n.get()).ok())
            .unwrap_or(1),
        memory_mib: offered_mib,
        disk_mib: free.min(offered_mib),
        isolation_problems,
        device_problems,
        up_mbit: network.up_mbit,
        down_mbit: network.down_mbit,
        group: network.group.clone(),
    }
}

fn os_name(os_release: &str) -> String {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(
            || std::env::consts::OS.to_owned(),
            |name| name.trim_matches('"').to_owned(),
        )
}

/// Busy share of all cores between two looks.
#[derive(Debug, Default)]
pub struct LoadMeter {
    busy: u64,
    total: u64,
}

impl LoadMeter {
    pub fn look(&mut self) -> HostLoad {
        let (busy, total) = cpu_ticks(&read("/proc/stat"));
        let (used, spent) = (
            busy.saturating_sub(self.busy),
            total.saturating_sub(self.total),
        );
        let first = self.total == 0;
        (self.busy, self.total) = (busy, total);
        let meminfo = read("/proc/meminfo");
        let used_kib =
            field_kib(&meminfo, "MemTotal:").saturating_sub(field_kib(&meminfo, "MemAvailable:"));
        HostLoad {
            cpu_percent: if first || spent == 0 {
                0.0
            } else {
                whole(used * 100) / whole(spent)
            },
            memory_used_mib: used_kib / 1_024,
        }
    }
}

fn cpu_ticks(stat: &str) -> (u64, u64) {
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .take(8)
                .filter_map(|tick| tick.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let total = ticks.iter().sum();
    // The fourth and fifth are idle and waiting for the disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (u64::saturating_sub(total, idle), total)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a figure for a curve, not for a bill"
)]
pub(crate) const fn whole(number: u64) -> f32 {
    number as f32
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field_kib(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_the_cpu_is_the_one_device() {
        let devices = Devices::find(&"ab".repeat(32), Some(1_000), &Sources::default());
        assert_eq!(devices.target(&devices.facts[0].uuid), Ok(Target::Cpu));
        assert!(devices.target("GPU-1").is_err());
        assert_eq!(devices.facts.len(), 1, "{:?}", devices.facts);
        let cpu = &devices.facts[0];
        assert_eq!((cpu.class, cpu.memory_mib), (DeviceClass::Cpu, 1_000));
        assert!(!cpu.model.is_empty());
        assert_eq!(devices.gpu_load(&cpu.uuid), None);
        assert_eq!(devices.nodes(&cpu.uuid), Ok(Vec::new()));
        assert!(devices.nodes("GPU-1").is_err(), "it has none");
        assert_eq!(devices.offered_mib, 1_000);
        let host = host_facts(
            Path::new("/"),
            devices.offered_mib,
            &Network::default(),
            Vec::new(),
            Vec::new(),
        );
        assert_eq!(host.memory_mib, 1_000);
        assert!(host.disk_mib <= 1_000, "a job's disk is memory");
    }

    #[test]
    fn a_graphics_card_that_cannot_be_given_is_an_objection() {
        let gpu = DeviceFacts {
            uuid: "GPU-1".into(),
            class: DeviceClass::Gpu,
            model: "A".into(),
            memory_mib: 1,
            details: DeviceDetails::default(),
        };
        let devices = Devices {
            nvml: None,
            rapl: None,
            cards: BTreeMap::new(),
            problems: Vec::new(),
            facts: vec![gpu],
            offered_mib: 1,
        };
        assert!(devices.nodes("GPU-1").is_err());
        let dev = tempfile::tempdir().expect("tempdir");
        for name in ["nvidiactl", "nvidia-uvm", "nvidia1"] {
            std::fs::write(dev.path().join(name), "").expect("write");
        }
        assert!(nodes_in(dev.path(), 0).is_err_and(|why| why.contains("nvidia0")));
        assert_eq!(
            nodes_in(dev.path(), 1).as_deref(),
            Ok(["nvidia1", "nvidiactl", "nvidia-uvm"]
                .map(str::to_owned)
                .as_slice())
        );
    }

    #[test]
    fn the_owner_keeps_a_reserve_unless_told_otherwise() {
        assert_eq!(offered(10_000, None), 9_000);
        assert_eq!(offered(2_000, None), 1_488);
        assert_eq!(offered(400, None), 0);
        assert_eq!(offered(10_000, Some(9_900)), 9_900);
        assert_eq!(offered(10_000, Some(99_000)), 10_000);
    }

    #[test]
    fn the_cpus_name_follows_the_key() {
        let one = cpu_uuid("aa");
        assert_eq!(one, cpu_uuid("aa"));
        assert_ne!(one, cpu_uuid("ab"));
        assert_eq!(one.len(), "CPU-".len() + 36);
    }

    #[test]
    fn models_and_systems_are_read_as_people_know_them() {
        assert_eq!(
            cpu_model("processor : 0\nmodel name\t: AMD EPYC  7B13\nmodel name\t: x\n"),
            "AMD EPYC 7B13"
        );
        assert!(cpu_model("").ends_with("processor"));
        assert_eq!(
            os_name("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
    }

    #[test]
    fn load_counts_idle_and_waiting_as_free() {
        assert_eq!(
            cpu_ticks("cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1\n"),
            (30, 100)
        );
    }
}
