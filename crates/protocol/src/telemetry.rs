//! What machines measure of themselves: numbered batches, a second each, and what happens to devices. docs/telemetry.md.
//!
//! Names are those of NVIDIA's DCGM, so that dashboards made for its exporter read ours. What a driver does not know is left
//! out: DCGM's blank sentinels (2147483632 and up, 1.4e14, 9.2e18) and NVML's "not available" lie outside each field's range.

use std::collections::BTreeMap;
use std::fmt::Write;

use kernel::{JobId, LeaseId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// Batches in one [`crate::worker::FromWorker::Telemetry`].
pub const BATCHES_MAX: usize = 60;
/// Things that happened, in one batch.
pub const EVENTS_MAX: usize = 64;
/// Letters of a device's UUID.
const UUID_MAX: usize = 80;
/// Letters of a series.
const SERIES_MAX: usize = 40;
/// Reasons that slow a device down against its owner's wish: hardware slowdown, heat as software and hardware see it, power brake.
pub const SLOWED: u64 = 0x8 | 0x20 | 0x40 | 0x80;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $short:literal, $long:literal, $unit:literal, $range:expr, $counts:literal;)*) => {
        /// What is measured. On the wire without the prefix `DCGM_FI_DEV_`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Field {
            $($(#[$doc])* #[serde(rename = $short)] $name,)*
        }

        impl Field {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As DCGM, or we, call it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $long,)* }
            }

            /// What it is, and its unit.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// Whether it only grows.
            pub const fn counts(self) -> bool {
                match self { $(Self::$name => $counts,)* }
            }

            /// Whether it can be that: a number, none that stands for "unknown".
            pub fn admits(self, value: f64) -> bool {
                match self { $(Self::$name => $range.contains(&value),)* }
            }
        }
    };
}

fields! {
    GpuUtil = "GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL", "GPU utilisation, in %", (0.0..=100.0), false;
    MemCopyUtil = "MEM_COPY_UTIL", "DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilisation, in %", (0.0..=100.0), false;
    FbUsed = "FB_USED", "DCGM_FI_DEV_FB_USED", "Memory used, in MiB", (0.0..=16_777_216.0), false;
    FbFree = "FB_FREE", "DCGM_FI_DEV_FB_FREE", "Memory free, in MiB", (0.0..=16_777_216.0), false;
    GpuTemp = "GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP", "Temperature, in C", (-60.0..=250.0), false;
    MemoryTemp = "MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP", "Temperature of the memory, in C", (-60.0..=250.0), false;
    PowerUsage = "POWER_USAGE", "DCGM_FI_DEV_POWER_USAGE", "Power drawn, in W", (0.0..=10_000.0), false;
    TotalEnergy = "TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the driver was loaded, in mJ", (0.0..=1e14), true;
    SmClock = "SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK", "Clock of the multiprocessors, in MHz", (0.0..=100_000.0), false;
    MemClock = "MEM_CLOCK", "DCGM_FI_DEV_MEM_CLOCK", "Clock of the memory, in MHz", (0.0..=100_000.0), false;
    /// Bits as NVML has them.
    ThrottleReasons = "CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "Why clocks are held down, bits", (0.0..=65_535.0), false;
    PcieTx = "PCIE_TX_THROUGHPUT", "DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "Sent over PCIe, in KB/s", (0.0..=2e9), false;
    PcieRx = "PCIE_RX_THROUGHPUT", "DCGM_FI_DEV_PCIE_RX_THROUGHPUT", "Received over PCIe, in KB/s", (0.0..=2e9), false;
    PcieReplays = "PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Retries over PCIe", (0.0..=2e9), true;
    /// Of the last one; absent before the first.
    XidErrors = "XID_ERRORS", "DCGM_FI_DEV_XID_ERRORS", "Code of the last XID error", (0.0..=100_000.0), false;
    EccSbe = "ECC_SBE_VOL_TOTAL", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "Corrected errors of memory since the driver was loaded", (0.0..=2e9), true;
    EccDbe = "ECC_DBE_VOL_TOTAL", "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Uncorrected errors of memory since the driver was loaded", (0.0..=2e9), true;
    FanSpeed = "FAN_SPEED", "DCGM_FI_DEV_FAN_SPEED", "Fan, in % of its most", (0.0..=200.0), false;
    HostCpu = "HOST_CPU", "iog_host_cpu_percent", "The machine's cores together, in %", (0.0..=100.0), false;
    HostMemory = "HOST_MEMORY", "iog_host_memory_used_mib", "The machine's memory in use, in MiB", (0.0..=1e9), false;
    HostRx = "HOST_RX", "iog_host_network_received_bytes_per_second", "Received by the machine, in bytes a second", (0.0..=1e12), false;
    HostTx = "HOST_TX", "iog_host_network_sent_bytes_per_second", "Sent by the machine, in bytes a second", (0.0..=1e12), false;
}

pub type Values = BTreeMap<Field, f64>;

/// Takes a value in, unless it stands for "unknown".
pub fn note(values: &mut Values, field: Field, value: f64) {
    if field.admits(value) {
        values.insert(field, value);
    }
}

/// One device in one second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Its place among the machine's devices, from 0.
    pub gpu: u32,
    pub uuid: String,
    pub values: Values,
}

/// What a machine measured. Numbers rise by one within a series; a machine begins a new series when it is booted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub seq: u64,
    /// By the machine's own clock.
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub host: Values,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Reading>,
    /// What happened is said at once, in a batch without readings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<DeviceEvent>,
}

impl Batch {
    /// Drops what no machine of ours says.
    pub fn tidy(&mut self) {
        let keep = |values: &mut Values| values.retain(|field, value| field.admits(*value));
        keep(&mut self.host);
        self.devices.truncate(crate::worker::DEVICES_PER_NODE_MAX);
        self.devices.retain(|device| plain(&device.uuid));
        for device in &mut self.devices {
            keep(&mut device.values);
        }
        self.events.truncate(EVENTS_MAX);
        self.events.retain(|event| plain(&event.uuid));
    }
}

fn plain(uuid: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    !uuid.is_empty() && uuid.len() <= UUID_MAX && uuid.bytes().all(known)
}

/// Whether a series may be called that.
pub fn is_series(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_hexdigit() || b == b'-';
    !text.is_empty() && text.len() <= SERIES_MAX && text.bytes().all(known)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceEvent {
    pub uuid: String,
    /// By the machine's own clock.
    pub at: Timestamp,
    #[serde(flatten)]
    pub what: Happening,
}

/// What happens to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// An error that NVIDIA's driver reports by number.
    Xid { code: u32 },
    /// Errors of memory that were corrected: so many more.
    EccCorrected { errors: u64 },
    /// Errors of memory that were not: data were wrong.
    EccUncorrected { errors: u64 },
    /// It is slowed down; bits as in `CLOCK_THROTTLE_REASONS`.
    Throttled { reasons: u64 },
    /// It is no more.
    Unthrottled { seconds: u64 },
    /// Its driver does not find it any more.
    Lost,
}

/// XIDs that programs cause by their own faults, and not the device.
const OF_PROGRAMS: [u32; 5] = [13, 31, 43, 45, 69];

impl Happening {
    /// Whether the owner is to look after the device.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Xid { code } => !OF_PROGRAMS.contains(&code),
            Self::EccUncorrected { .. } | Self::Lost => true,
            Self::Throttled { .. } | Self::Unthrottled { .. } | Self::EccCorrected { .. } => false,
        }
    }

    pub const fn kind(self) -> &'static str {
        match self {
            Self::Xid { .. } => "xid",
            Self::EccCorrected { .. } => "ecc_corrected",
            Self::EccUncorrected { .. } => "ecc_uncorrected",
            Self::Throttled { .. } => "throttled",
            Self::Unthrottled { .. } => "unthrottled",
            Self::Lost => "lost",
        }
    }
}

/// What XIDs mean, as far as their makers say: number, English, Chinese.
const XIDS: &[(u32, &str, &str)] = &[
    (
        13,
        "a program made the graphics engine fail",
        "程序引起图形引擎异常",
    ),
    (
        31,
        "a program touched memory that it does not have",
        "程序访问了无效的显存",
    ),
    (
        43,
        "a program was stopped after a fault of its own",
        "程序因自身错误被停止",
    ),
    (
        45,
        "programs were ended, mostly after another error",
        "程序被结束，通常由前一个错误引起",
    ),
    (
        48,
        "memory has errors that cannot be corrected",
        "显存出现无法纠正的错误",
    ),
    (61, "its own controller stopped", "内部控制器停止"),
    (62, "its own controller halted", "内部控制器挂起"),
    (
        63,
        "bad rows of memory are to be replaced; restart the machine",
        "损坏的显存行待替换，请重启机器",
    ),
    (
        64,
        "bad rows of memory could not be replaced; the card is to be exchanged",
        "损坏的显存行无法替换，请更换显卡",
    ),
    (
        69,
        "a program gave the graphics engine wrong orders",
        "程序向图形引擎发出错误指令",
    ),
    (
        74,
        "its link to other cards has errors",
        "与其他显卡的 NVLink 出错",
    ),
    (
        79,
        "it has fallen off the bus; look at its power, seat and heat, and restart",
        "显卡从总线上掉线，请检查供电、插槽和温度并重启",
    ),
    (92, "memory corrects very many errors", "显存纠正的错误过多"),
    (
        94,
        "an error of memory was contained; the program was ended",
        "显存错误已被隔离，相关程序已结束",
    ),
    (
        95,
        "an error of memory was not contained; restart the machine",
        "显存错误未能隔离，请重启机器",
    ),
    (
        119,
        "its own processor (GSP) does not answer; restart the machine",
        "GSP 处理器无响应，请重启机器",
    ),
    (
        120,
        "its own processor (GSP) failed; restart the machine",
        "GSP 处理器出错，请重启机器",
    ),
];

/// Reasons that slow a device down: bit, English, Chinese.
const REASONS: &[(u64, &str, &str)] = &[
    (0x8, "by its hardware", "硬件降频"),
    (0x20, "by heat (its driver)", "过热（驱动降频）"),
    (0x40, "by heat (its hardware)", "过热（硬件降频）"),
    (0x80, "by the power supply", "供电不足"),
];

impl Happening {
    pub fn sentence(self) -> String {
        match self {
            Self::Xid { code } => match XIDS.iter().find(|(known, ..)| *known == code) {
                Some((_, text, _)) => format!("XID {code}: {text}"),
                None => format!("XID {code}: see NVIDIA's list of XID errors"),
            },
            Self::EccCorrected { errors } => format!("{errors} errors of memory were corrected"),
            Self::EccUncorrected { errors } => {
                format!("{errors} errors of memory could not be corrected: data were wrong")
            }
            Self::Throttled { reasons } => {
                let known = REASONS.iter().filter(|(bit, ..)| reasons & bit != 0);
                let why: Vec<&str> = known.map(|(_, text, _)| *text).collect();
                format!("slowed down {}", why.join(", "))
            }
            Self::Unthrottled { seconds } => format!("at full speed again after {seconds} s"),
            Self::Lost => "its driver does not find it any more".to_owned(),
        }
    }

    pub fn sentence_zh(self) -> String {
        match self {
            Self::Xid { code } => match XIDS.iter().find(|(known, ..)| *known == code) {
                Some((_, _, text)) => format!("XID {code}：{text}"),
                None => format!("XID {code}：见 NVIDIA 的 XID 错误列表"),
            },
            Self::EccCorrected { errors } => format!("显存纠正了 {errors} 个错误"),
            Self::EccUncorrected { errors } => {
                format!("显存有 {errors} 个错误无法纠正：数据已出错")
            }
            Self::Throttled { reasons } => {
                let known = REASONS.iter().filter(|(bit, ..)| reasons & bit != 0);
                let why: Vec<&str> = known.map(|(_, _, text)| *text).collect();
                format!("降频：{}", why.join("、"))
            }
            Self::Unthrottled { seconds } => format!("{seconds} 秒后恢复全速"),
            Self::Lost => "驱动找不到该设备".to_owned(),
        }
    }
}

/// What is kept of a value over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stat {
    /// Of how many seconds.
    pub n: u32,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl Stat {
    pub const fn of(value: f64) -> Self {
        Self {
            n: 1,
            sum: value,
            min: value,
            max: value,
        }
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            n: self.n.saturating_add(other.n),
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    pub fn mean(self) -> f64 {
        self.sum / f64::from(self.n.max(1))
    }
}

pub type Stats = BTreeMap<Field, Stat>;

/// Takes more of the same minute in.
pub fn merge(into: &mut Stats, more: &Stats) {
    for (field, stat) in more {
        let known = into.entry(*field);
        known
            .and_modify(|own| *own = own.and(*stat))
            .or_insert(*stat);
    }
}

/// A minute of a device, or of the machine itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MinuteView {
    pub at: Timestamp,
    pub values: Stats,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceMinutes {
    pub uuid: String,
    pub model: String,
    /// Oldest first; minutes of which nothing is known are absent.
    pub minutes: Vec<MinuteView>,
}

/// How a series of numbers stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesView {
    pub series: String,
    /// The highest number; everything up to it has come or is missing.
    pub seq: u64,
    pub received: u64,
    /// Numbers that never came: dropped by the machine because it was away for too long, or lost with its disk.
    pub missing: u64,
    pub at: Timestamp,
}

/// A machine's telemetry, for its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeTelemetryView {
    pub node: NodeId,
    /// What came last.
    pub at: Option<Timestamp>,
    pub host_now: Values,
    pub now: Vec<Reading>,
    pub series: Vec<SeriesView>,
    pub host: Vec<MinuteView>,
    pub devices: Vec<DeviceMinutes>,
    /// Newest first.
    pub events: Vec<EventView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    pub model: String,
    #[serde(flatten)]
    pub event: DeviceEvent,
}

/// What the devices measured that a job had, while it had them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobTelemetryView {
    pub job: JobId,
    pub leases: Vec<LeaseTelemetryView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseTelemetryView {
    pub lease: LeaseId,
    pub member: u32,
    /// Whole minutes of the lease alone: a minute that another job had a part in is left out.
    pub devices: Vec<DeviceMinutes>,
    /// Newest first.
    pub events: Vec<EventView>,
}

/// The newest values in the text format of Prometheus, as DCGM's exporter writes them: labels `gpu`, `UUID`, `modelName`.
pub fn prometheus(host: &Values, devices: &[Reading], model: &dyn Fn(&str) -> String) -> String {
    let mut text = String::new();
    for field in Field::ALL {
        let of_host = host.get(field).map(|value| (String::new(), *value));
        let of_devices = devices.iter().filter_map(|device| {
            let labels = format!(
                "{{gpu=\"{}\",UUID=\"{}\",modelName=\"{}\"}}",
                device.gpu,
                escaped(&device.uuid),
                escaped(&model(&device.uuid))
            );
            device.values.get(field).map(|value| (labels, *value))
        });
        let lines: Vec<(String, f64)> = of_host.into_iter().chain(of_devices).collect();
        if lines.is_empty() {
            continue;
        }
        let kind = if field.counts() { "counter" } else { "gauge" };
        let name = field.name();
        // Writing to a text does not fail.
        _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", field.help());
        for (labels, value) in lines {
            _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_for_unknown_are_in_no_fields_range() {
        // DCGM's blanks (32 bits, 64 bits, floating point; each with its "not found", "not supported", "no permission"), NVML's.
        let blanks = [
            2_147_483_632.0,
            2_147_483_635.0,
            9_223_372_036_854_775_792.0,
            9_223_372_036_854_775_795.0,
            140_737_488_355_328.0,
            4_294_967_295.0,
            18_446_744_073_709_551_615.0,
            f64::NAN,
            f64::INFINITY,
            -1.0,
        ];
        let degrees = [Field::GpuTemp, Field::MemoryTemp];
        for field in Field::ALL {
            for blank in blanks {
                let is_cold = degrees.contains(field) && (blank + 1.0).abs() < 0.5;
                // Counters of energy pass what 32 bits call blank within a day; its own blank has 64.
                let is_counted =
                    matches!(field, Field::TotalEnergy | Field::HostRx | Field::HostTx)
                        && (2_147_483_632.0..=4_294_967_295.0).contains(&blank);
                assert_eq!(
                    field.admits(blank),
                    is_cold || is_counted,
                    "{field:?} {blank}"
                );
            }
            assert!(field.admits(42.0));
        }
    }

    #[test]
    fn batches_read_what_they_write_and_drop_what_is_none_of_ours() {
        let mut batch = Batch {
            seq: 7,
            at: Timestamp::from_millis(1),
            host: Values::from([(Field::HostCpu, 3.5)]),
            devices: vec![Reading {
                gpu: 0,
                uuid: "GPU-1".into(),
                values: Values::from([(Field::GpuTemp, 61.0), (Field::FbUsed, 1e18)]),
            }],
            events: vec![
                DeviceEvent {
                    uuid: "GPU-1".into(),
                    at: Timestamp::from_millis(1),
                    what: Happening::Xid { code: 79 },
                },
                DeviceEvent {
                    uuid: "<b>".into(),
                    at: Timestamp::from_millis(1),
                    what: Happening::Lost,
                },
            ],
        };
        let text = serde_json::to_string(&batch).expect("writes");
        assert!(text.contains(r#""GPU_TEMP":61.0"#), "{text}");
        assert_eq!(serde_json::from_str::<Batch>(&text).expect("reads"), batch);
        batch.tidy();
        assert_eq!(batch.devices[0].values.len(), 1);
        assert_eq!(batch.events.len(), 1);
        assert!(is_series("ab12-9f") && !is_series("") && !is_series("x'"));
    }

    #[test]
    fn prometheus_reads_dcgms_names_and_labels() {
        let devices = [Reading {
            gpu: 1,
            uuid: "GPU-1".into(),
            values: Values::from([(Field::GpuUtil, 97.0), (Field::TotalEnergy, 12.0)]),
        }];
        let host = Values::from([(Field::HostCpu, 1.5)]);
        let text = prometheus(&host, &devices, &|_| "An \"H100\"".to_owned());
        let line =
            "DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-1\",modelName=\"An \\\"H100\\\"\"} 97\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n"));
        assert!(text.contains("iog_host_cpu_percent 1.5\n") && !text.contains("GPU_TEMP"));
    }

    #[test]
    fn minutes_add_up_in_any_order() {
        let one = Stats::from([(Field::GpuUtil, Stat::of(10.0))]);
        let two = Stats::from([
            (Field::GpuUtil, Stat::of(30.0)),
            (Field::GpuTemp, Stat::of(50.0)),
        ]);
        let (mut a, mut b) = (one.clone(), two.clone());
        merge(&mut a, &two);
        merge(&mut b, &one);
        assert_eq!(a, b);
        let util = a[&Field::GpuUtil];
        assert_eq!((util.n, util.min, util.max), (2, 10.0, 30.0));
        assert!((util.mean() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn programs_faults_do_not_call_the_owner() {
        assert!(!Happening::Xid { code: 31 }.is_fault());
        assert!(Happening::Xid { code: 79 }.is_fault() && Happening::Lost.is_fault());
        assert!(!Happening::Throttled { reasons: 0x40 }.is_fault());
    }
}
