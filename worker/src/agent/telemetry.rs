//! What was measured: numbered and kept, then sent as far as the exchange keeps up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use protocol::telemetry::{BATCHES_MAX, Batch, prometheus};
use protocol::worker::FromWorker;
use tokio::sync::mpsc;

use super::Agent;
use crate::telemetry::boot;
use crate::telemetry::buffer::{BYTES_MAX, Buffer};
use crate::telemetry::door::{self, Shown};

/// Batches that may be under way unacknowledged; the rest waits on the disk.
const WINDOW: u64 = 1_200;

pub(super) struct Telemetry {
    pub seen: mpsc::Receiver<Batch>,
    /// Absent where the directory cannot be written: then there is no telemetry, and jobs run all the same.
    buffer: Option<Buffer>,
    shown: Option<Shown>,
}

impl Telemetry {
    pub async fn open(
        directory: &Path,
        seen: mpsc::Receiver<Batch>,
        metrics: Option<SocketAddr>,
    ) -> Self {
        let folder = directory.join("telemetry");
        let buffer = Buffer::open(&folder, &boot(), rand::random(), BYTES_MAX)
            .inspect_err(|error| tracing::error!(%error, "telemetry cannot be kept here"))
            .ok();
        let mut shown = None;
        if let Some(address) = metrics {
            let text = Shown::default();
            match door::open(address, text.clone()).await {
                Ok(address) => {
                    tracing::info!(%address, "metrics are shown");
                    shown = Some(text);
                }
                Err(error) => tracing::error!(%address, %error, "metrics cannot be shown"),
            }
        }
        Self {
            seen,
            buffer,
            shown,
        }
    }

    /// A new connection.
    pub fn rewind(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.rewind();
        }
    }

    pub fn acknowledge(&mut self, series: &str, seq: u64) {
        if let Some(buffer) = &mut self.buffer {
            buffer.acknowledge(series, seq);
        }
    }

    /// What is sent next: while one second follows another a message each, after an outage many in one.
    fn next(&mut self) -> Option<(String, Vec<Batch>)> {
        let buffer = self.buffer.as_mut()?;
        if buffer.under_way() >= WINDOW {
            return None;
        }
        buffer.next(BATCHES_MAX)
    }
}

impl Agent {
    pub(super) async fn measured(&mut self, batch: Batch) {
        // A call between two seconds has no values.
        if let Some(shown) = &self.telemetry.shown
            && !batch.host.is_empty()
        {
            self.show(shown, &batch);
        }
        if let Some(buffer) = &mut self.telemetry.buffer {
            buffer.push(batch);
        }
        self.send_telemetry().await;
    }

    /// One message, and no more within a second: what waited through an outage must delay no heartbeat.
    async fn send_telemetry(&mut self) {
        let wanted = self
            .welcome
            .as_ref()
            .is_some_and(|welcome| welcome.telemetry);
        if !wanted || self.link.is_none() {
            return;
        }
        if let Some((series, batches)) = self.telemetry.next() {
            self.say(FromWorker::Telemetry { series, batches }).await;
        }
    }

    fn show(&self, shown: &Shown, batch: &Batch) {
        let models: BTreeMap<&str, &str> = self
            .devices
            .facts
            .iter()
            .map(|device| (device.uuid.as_str(), device.model.as_str()))
            .collect();
        let model = |uuid: &str| models.get(uuid).copied().unwrap_or_default().to_owned();
        let text = prometheus(&batch.host, &batch.devices, &model);
        if let Ok(mut shown) = shown.write() {
            *shown = text;
        }
    }
}
