//! What NVIDIA's library says of its cards each second, and what it calls out between.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor,
};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use protocol::telemetry::{Field, Values, note};

/// The sensor of the memory, a field of its own in NVML.
const MEMORY_TEMPERATURE: u32 = 82;

/// The library, for the thread that asks it.
pub fn open(library: Option<&Path>) -> Option<Nvml> {
    let opened = match library {
        Some(path) => Nvml::builder().lib_path(OsStr::new(path)).init(),
        None => Nvml::init(),
    };
    opened.ok()
}

pub struct Cards<'n> {
    devices: BTreeMap<String, Device<'n>>,
    /// Where XIDs are called out; absent where the library does not.
    calls: Option<EventSet<'n>>,
}

impl<'n> Cards<'n> {
    /// Those of these names.
    pub fn of(nvml: &'n Nvml, uuids: &[String]) -> Self {
        let count = nvml.device_count().unwrap_or(0);
        let all = (0..count).filter_map(|index| nvml.device_by_index(index).ok());
        let devices: BTreeMap<String, Device<'n>> = all
            .filter_map(|device| Some((device.uuid().ok()?, device)))
            .filter(|(uuid, _)| uuids.contains(uuid))
            .collect();
        let mut calls = nvml.create_event_set().ok();
        for device in devices.values() {
            // A set that a device could not be put into is lost with the failure: that device's wait for a second's values.
            calls = calls.and_then(|set| {
                device
                    .register_events(EventTypes::CRITICAL_XID_ERROR, set)
                    .ok()
            });
        }
        if devices.is_empty() {
            calls = None;
        }
        Self { devices, calls }
    }

    pub fn has(&self, uuid: &str) -> bool {
        self.devices.contains_key(uuid)
    }

    /// Waits for a call; answers with the card and its XID. Never longer than that.
    pub fn wait(&mut self, most: Duration) -> Option<(String, u32)> {
        let Some(calls) = &self.calls else {
            std::thread::sleep(most);
            return None;
        };
        let millis = u32::try_from(most.as_millis()).unwrap_or(1_000).max(1);
        match calls.wait(millis) {
            Ok(call) => {
                let code = match call.event_data? {
                    XidError::Value(code) => u32::try_from(code).ok()?,
                    XidError::Unknown => 999,
                };
                Some((call.device.uuid().ok()?, code))
            }
            Err(NvmlError::Timeout) => None,
            Err(error) => {
                tracing::warn!(%error, "NVIDIA's driver calls out no errors any more");
                self.calls = None;
                None
            }
        }
    }

    /// One card now; `None`: it is lost.
    pub fn read(&self, uuid: &str) -> Option<Values> {
        let device = self.devices.get(uuid)?;
        let mut values = Values::new();
        match device.utilization_rates() {
            Ok(rates) => {
                note(&mut values, Field::GpuUtil, rates.gpu.into());
                note(&mut values, Field::MemCopyUtil, rates.memory.into());
            }
            Err(NvmlError::GpuLost) => return None,
            Err(_) => {}
        }
        if let Ok(memory) = device.memory_info() {
            note(&mut values, Field::FbUsed, mib(memory.used));
            note(&mut values, Field::FbFree, mib(memory.free));
        }
        let mut plain = |field, value: Result<u32, NvmlError>| {
            if let Ok(value) = value {
                note(&mut values, field, value.into());
            }
        };
        plain(Field::GpuTemp, device.temperature(TemperatureSensor::Gpu));
        plain(Field::SmClock, device.clock_info(Clock::SM));
        plain(Field::MemClock, device.clock_info(Clock::Memory));
        plain(Field::PcieTx, device.pcie_throughput(PcieUtilCounter::Send));
        plain(
            Field::PcieRx,
            device.pcie_throughput(PcieUtilCounter::Receive),
        );
        plain(Field::PcieReplays, device.pcie_replay_counter());
        plain(Field::FanSpeed, device.fan_speed(0));
        if let Ok(milliwatts) = device.power_usage() {
            note(
                &mut values,
                Field::PowerUsage,
                f64::from(milliwatts) / 1_000.0,
            );
        }
        if let Ok(reasons) = device.current_throttle_reasons() {
            note(&mut values, Field::ThrottleReasons, number(reasons.bits()));
        }
        let mut counted = |field, value: Result<u64, NvmlError>| {
            if let Ok(value) = value {
                note(&mut values, field, number(value));
            }
        };
        counted(Field::TotalEnergy, device.total_energy_consumption());
        let errors = |of| device.total_ecc_errors(of, EccCounter::Volatile);
        counted(Field::EccSbe, errors(MemoryError::Corrected));
        counted(Field::EccDbe, errors(MemoryError::Uncorrected));
        if let Some(degrees) = memory_temperature(device) {
            note(&mut values, Field::MemoryTemp, degrees);
        }
        Some(values)
    }
}

fn memory_temperature(device: &Device<'_>) -> Option<f64> {
    use nvml_wrapper::enums::device::SampleValue;
    use nvml_wrapper::structs::device::FieldId;
    let values = device
        .field_values_for(&[FieldId(MEMORY_TEMPERATURE)])
        .ok()?;
    let value = values.into_iter().next()?.ok()?.value.ok()?;
    match value {
        SampleValue::U32(degrees) => Some(degrees.into()),
        // A sensor that is not there reads nought.
        _ => None,
    }
    .filter(|degrees| *degrees > 0.0)
}

fn mib(bytes: u64) -> f64 {
    number(bytes / (1024 * 1024))
}

/// Beyond 53 bits nothing here is a measure.
#[expect(
    clippy::cast_precision_loss,
    reason = "a measure needs no more than 53 bits"
)]
fn number(value: u64) -> f64 {
    value as f64
}
