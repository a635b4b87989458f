//! What the socket carries, as much of it as pages show.

use kernel::Timestamp;
use protocol::view::{LogLine, Meter};
use protocol::worker::Metric;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// What the server says, as much of it as pages show: `protocol::live::ToBrowser` is the whole. Offers, states and
/// machines are only noted as changed, because the server writes them (see `pages::fragment`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Incoming {
    pub subscribed: Option<Begin>,
    pub resync: Option<Begin>,
    pub frame: Option<Numbered>,
    pub refused: Option<Refused>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Begin {
    pub topic: String,
    pub boot: String,
    pub seq: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Numbered {
    pub topic: String,
    pub seq: u64,
    pub data: Frame,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub topic: Option<String>,
    pub message: String,
}

/// What happened: one of `protocol::live::Live`, with what pages need of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Frame {
    pub job: Option<WithMeter>,
    pub meter: Option<WithMeter>,
    pub log: Option<Lines>,
    pub samples: Option<Samples>,
    pub receipt: Option<IgnoredAny>,
    pub alerts: Option<Alerts>,
    pub notices: Option<Notices>,
}

#[derive(Debug, Deserialize)]
pub struct Alerts {
    pub unseen: u32,
}

#[derive(Debug, Deserialize)]
pub struct Notices {
    pub unread: u32,
}

#[derive(Debug, Deserialize)]
pub struct WithMeter {
    pub meter: Meter,
}

#[derive(Debug, Deserialize)]
pub struct Lines {
    pub lines: Vec<LogLine>,
}

#[derive(Debug, Deserialize)]
pub struct Samples {
    pub samples: Vec<SampleRow>,
}

impl Frame {
    /// What the meter says now, if the frame says it.
    pub fn reading(&self) -> Option<Meter> {
        self.job
            .as_ref()
            .or(self.meter.as_ref())
            .map(|with| with.meter)
    }
}

/// One second of a job: `protocol::view::SampleView` without what charts do not show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    pub at: Timestamp,
    /// Which of the job's nodes.
    #[serde(default)]
    pub member: u32,
    pub cpu_percent: f32,
    pub memory_mib: f32,
    #[serde(default)]
    pub gpu_percent: Option<f32>,
    #[serde(default)]
    pub gpu_memory_mib: Option<f32>,
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// Every second sample goes; the last one stays. Numbers that a dropped one carried move on to the next that stays, unless
/// it has newer ones of that name.
pub fn halve(samples: &mut Vec<SampleRow>) {
    let dropped = samples.len() % 2;
    let mut carried: Vec<Metric> = Vec::new();
    let mut index = 0;
    samples.retain_mut(|sample| {
        carried.retain(|old| sample.metrics.iter().all(|new| new.name != old.name));
        carried.append(&mut sample.metrics);
        let stays = index % 2 != dropped;
        index += 1;
        if stays {
            sample.metrics = std::mem::take(&mut carried);
        }
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_numbers_that_a_job_printed() {
        let row = |at: i64, printed: &[(&str, f64)]| SampleRow {
            member: 0,
            at: Timestamp::from_millis(at),
            cpu_percent: 0.0,
            memory_mib: 0.0,
            gpu_percent: None,
            gpu_memory_mib: None,
            metrics: printed
                .iter()
                .map(|(name, value)| Metric {
                    name: (*name).into(),
                    value: *value,
                })
                .collect(),
        };
        for more in [0, 1] {
            let mut rows: Vec<_> = (0..more).map(|at| row(at, &[])).collect();
            rows.extend([
                row(1, &[("loss", 3.0), ("step", 1.0)]),
                row(2, &[("loss", 2.0)]),
                row(3, &[("loss", 1.0)]),
                row(4, &[]),
            ]);
            halve(&mut rows);
            let left: Vec<_> = rows.iter().map(|row| row.at.millis()).collect();
            assert!(left.ends_with(&[2, 4]), "{left:?}");
            let last = &rows[left.len() - 2..];
            assert_eq!(last[0].metrics.len(), 2);
            assert!((last[0].metrics[1].value - 2.0).abs() < 1e-9);
            assert!((last[1].metrics[0].value - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_the_server_says_is_understood() {
        use protocol::live::{Live, ToBrowser, Topic};
        use protocol::view::{SampleData, SampleView};

        let lease = kernel::LeaseId::new(Timestamp::from_millis(1), [1; 10]);
        let sample = SampleView {
            member: 0,
            at: Timestamp::from_millis(7_000),
            lease,
            data: SampleData {
                seq: 3,
                second: 7,
                cpu_percent: 98.5,
                memory_mib: 12.0,
                gpu_percent: None,
                gpu_memory_mib: None,
                metrics: vec![Metric {
                    name: "loss".into(),
                    value: 0.25,
                }],
            },
        };
        let read = |message: &ToBrowser| {
            let text = serde_json::to_string(message).expect("json");
            serde_json::from_str::<Incoming>(&text).expect("understood")
        };
        let frame = |data| {
            let message = read(&ToBrowser::Frame {
                topic: Topic::Market,
                seq: 5,
                data,
            });
            message.frame.expect("a frame")
        };
        let refused = read(&ToBrowser::Refused {
            topic: Some(Topic::Market),
            message: "no".into(),
        });
        let refused = refused.refused.expect("refused");
        assert_eq!(refused.topic.as_deref(), Some("market"));
        assert!(read(&ToBrowser::Beat {}).frame.is_none());
        let samples = frame(Live::Samples {
            samples: vec![sample],
        });
        assert_eq!((samples.topic.as_str(), samples.seq), ("market", 5));
        let samples = samples.data.samples.expect("samples").samples;
        assert!((samples[0].metrics[0].value - 0.25).abs() < 1e-9);
        let meter = frame(Live::Meter {
            meter: Meter::default(),
            at: Timestamp::from_millis(1),
        });
        assert_eq!(meter.data.reading(), Some(Meter::default()));
        assert!(
            frame(Live::Receipt { seq: 1, lease })
                .data
                .receipt
                .is_some()
        );
        let gone = read(&ToBrowser::Refused {
            topic: None,
            message: "no".into(),
        });
        assert_eq!(gone.refused.expect("refused").message, "no");
        let begun = read(&ToBrowser::Subscribed {
            topic: Topic::Market,
            boot: "b".into(),
            seq: 4,
        });
        assert_eq!(
            begun.subscribed.map(|begin| (begin.boot, begin.seq)),
            Some(("b".to_owned(), 4))
        );
    }
}
