//! What the memory holds of logs, samples and the book is written, and acknowledged to the workers.

use std::collections::BTreeMap;

use kernel::LeaseId;
use protocol::worker::ToWorker;
use store::{LogRow, SampleRow};

use crate::desk::Exchange;
use crate::error::Error;

impl Exchange {
    /// Writes log pieces, samples and changes of the book that came since the last time, and acknowledges the log to
    /// the workers.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        // One after the other: who comes second finds written what the first took.
        let _turn = self.inner.flushing.lock().await;
        let (logs, samples) = {
            let mut memory = self.memory();
            (
                std::mem::take(&mut memory.logs),
                std::mem::take(&mut memory.samples),
            )
        };
        if logs.is_empty() && samples.is_empty() && !self.memory().book.has_unwritten() {
            return Ok(());
        }
        // One that cannot be written, ever, must not stand in the way of all others.
        let mut unwritten = Unwritten {
            exchange: self,
            logs,
            samples,
        };
        unwritten.logs.retain(|row| {
            row.storable()
                .inspect_err(
                    |error| tracing::error!(job = %row.job, %error, "a log piece was dropped"),
                )
                .is_ok()
        });
        unwritten.samples.retain(|row| {
            row.storable()
                .inspect_err(
                    |error| tracing::error!(job = %row.job, %error, "a sample was dropped"),
                )
                .is_ok()
        });
        let mut tx = self.inner.store.begin().await?;
        tx.insert_logs(&unwritten.logs).await?;
        tx.insert_samples(&unwritten.samples).await?;
        let noted = self.note_book(&mut tx).await?;
        tx.commit().await?;
        noted.kept();
        let logs = unwritten.written();
        self.acknowledge(&logs);
        Ok(())
    }

    /// Tells the workers up to where their log is kept.
    fn acknowledge(&self, logs: &[LogRow]) {
        let ends: BTreeMap<LeaseId, u64> =
            logs.iter().map(|row| (row.lease, row.log_end)).collect();
        let mut memory = self.memory();
        for (lease, offset) in ends {
            if let Some(live) = memory.leases.get(&lease) {
                let (node, epoch) = (live.lease.node, live.lease.epoch);
                let acknowledged = ToWorker::LogAck {
                    lease,
                    epoch,
                    offset,
                };
                memory.send(node, acknowledged);
            }
        }
    }
}

/// Rows that were taken from the memory. Dropped before they are written (an error, or a caller who went away) they go
/// back to the front; the workers stop sending when their window is full.
struct Unwritten<'a> {
    exchange: &'a Exchange,
    logs: Vec<LogRow>,
    samples: Vec<SampleRow>,
}

impl Unwritten<'_> {
    fn written(mut self) -> Vec<LogRow> {
        self.samples.clear();
        std::mem::take(&mut self.logs)
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if self.logs.is_empty() && self.samples.is_empty() {
            return;
        }
        let mut memory = self.exchange.memory();
        let later = std::mem::replace(&mut memory.logs, std::mem::take(&mut self.logs));
        memory.logs.extend(later);
        let later = std::mem::replace(&mut memory.samples, std::mem::take(&mut self.samples));
        memory.samples.extend(later);
    }
}
