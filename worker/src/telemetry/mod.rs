//! What this machine measures of itself: one thread asks the drivers once a second and waits for their calls between; the agent
//! numbers what it says, keeps it on the disk and sends it. docs/telemetry.md.

mod amd;
pub mod buffer;
pub mod door;
mod host;
mod nvidia;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use protocol::telemetry::{Batch, DeviceEvent, Field, Happening, Reading, note};
use tokio::sync::mpsc;

use crate::agent::wall_clock;
use crate::devices::{Devices, Sources};
use crate::sandbox::boottime_ms;
use watch::Watch;

const EVERY_MS: u64 = 1_000;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Asked {
    sources: Sources,
    /// Devices in the order in which they are offered, with the folder of those that are read from files.
    devices: Vec<(String, Option<PathBuf>)>,
}

impl Asked {
    pub fn of(devices: &Devices, sources: &Sources) -> Self {
        let mut folders: BTreeMap<String, PathBuf> = crate::cards::amd::by_uuid(&sources.sys);
        Self {
            sources: sources.clone(),
            devices: devices
                .facts
                .iter()
                .map(|device| (device.uuid.clone(), folders.remove(&device.uuid)))
                .collect(),
        }
    }

    /// One look, for a command that prints it.
    pub fn look(&self) -> Batch {
        let nvml = nvidia::open(self.sources.nvml.as_deref());
        let mut meter = Meter::new(self, nvml.as_ref());
        // Shares of time and of traffic need two looks.
        meter.read();
        std::thread::sleep(Duration::from_millis(300));
        meter.read()
    }
}

/// Begins to measure; ends when nobody listens any more.
pub fn start(asked: Asked) -> mpsc::Receiver<Batch> {
    let (out, seen) = mpsc::channel(64);
    let run = move || {
        let nvml = nvidia::open(asked.sources.nvml.as_deref());
        let mut meter = Meter::new(&asked, nvml.as_ref());
        let mut next = boottime_ms() + EVERY_MS;
        while !out.is_closed() {
            let wait = Duration::from_millis(next.saturating_sub(boottime_ms()));
            let batch = if wait.is_zero() {
                // After a suspension there is one second, not all that were slept through.
                next = (next + EVERY_MS).max(boottime_ms());
                meter.read()
            } else if let Some(batch) = meter.wait(wait) {
                batch
            } else {
                continue;
            };
            // A full channel means an agent that hangs; this thread does not fill its memory.
            if out.blocking_send(batch).is_err() {
                return;
            }
        }
    };
    let spawned = std::thread::Builder::new()
        .name("telemetry".to_owned())
        .spawn(run);
    if let Err(error) = spawned {
        tracing::error!(%error, "nothing can be measured: no thread");
    }
    seen
}

struct Meter<'a> {
    asked: &'a Asked,
    cards: Option<nvidia::Cards<'a>>,
    host: host::Meter,
    watches: Vec<Watch>,
}

impl<'a> Meter<'a> {
    fn new(asked: &'a Asked, nvml: Option<&'a nvml_wrapper::Nvml>) -> Self {
        let uuids: Vec<String> = asked.devices.iter().map(|(uuid, _)| uuid.clone()).collect();
        Self {
            asked,
            cards: nvml.map(|nvml| nvidia::Cards::of(nvml, &uuids)),
            host: host::Meter::default(),
            watches: asked.devices.iter().map(|_| Watch::default()).collect(),
        }
    }

    /// A second: values of all, and what they tell of what happened.
    fn read(&mut self) -> Batch {
        let at = wall_clock();
        let mut batch = Batch {
            at,
            host: self.host.look(),
            ..Batch::default()
        };
        let devices = self.asked.devices.iter().zip(&mut self.watches);
        for (gpu, ((uuid, folder), watch)) in (0..).zip(devices) {
            let cards = self.cards.as_ref().filter(|cards| cards.has(uuid));
            let read = match (cards, folder) {
                (Some(cards), _) => cards.read(uuid),
                (None, Some(folder)) => amd::read(folder),
                // The machine's own processor: what there is to know stands with the machine.
                (None, None) => continue,
            };
            let happened = match read {
                Some(mut values) => {
                    if let Some(code) = watch.last_xid {
                        note(&mut values, Field::XidErrors, code.into());
                    }
                    let happened = watch.look(&values);
                    batch.devices.push(Reading {
                        gpu,
                        uuid: uuid.clone(),
                        values,
                    });
                    happened
                }
                None => watch.lost().into_iter().collect(),
            };
            batch
                .events
                .extend(happened.into_iter().map(|what| DeviceEvent {
                    uuid: uuid.clone(),
                    at,
                    what,
                }));
        }
        batch
    }

    /// Waits for a driver's call, so long at most; what it calls is told at once.
    fn wait(&mut self, most: Duration) -> Option<Batch> {
        let Some(cards) = &mut self.cards else {
            std::thread::sleep(most);
            return None;
        };
        let (uuid, code) = cards.wait(most)?;
        let at = wall_clock();
        let place = self
            .asked
            .devices
            .iter()
            .position(|(own, _)| *own == uuid)?;
        self.watches.get_mut(place)?.last_xid = Some(code);
        Some(Batch {
            at,
            events: vec![DeviceEvent {
                uuid,
                at,
                what: Happening::Xid { code },
            }],
            ..Batch::default()
        })
    }
}

/// What tells this start of the machine from others.
pub fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    // Where the kernel does not tell, each start of the worker is one of its own.
    if digits.len() == 8 {
        digits
    } else {
        format!("{:08x}", rand::random::<u32>())
    }
}
