//! While a job runs: orders and renewals in, events and output out.

use std::sync::Arc;

use kernel::LeaseId;
use protocol::worker::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Semaphore, mpsc};

use super::doors::Doors;
use super::{JobEvent, JobTask, Order};
use crate::sandbox::{self, Control, Events, FromHelper, Report, ToHelper, Usage};

const READ_MAX: usize = 16 * 1024;

/// Passes orders and renewals in, and events out, until the sandbox has reported its end.
pub(super) async fn watch_over(
    task: &mut JobTask,
    mut control: Control,
    mut events: Events,
    mut own: mpsc::Receiver<Order>,
) -> Option<Report> {
    let (mut renewals_open, mut orders_open) = (true, true);
    let mut doors = Doors::default();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(FromHelper::Started { at_ms }) => task.tell(JobEvent::Started { at_ms }).await,
                Some(FromHelper::Sample(usage)) => task.tell(JobEvent::Usage(usage)).await,
                Some(FromHelper::Frozen { at_ms }) => task.tell(JobEvent::Frozen { at_ms }).await,
                Some(FromHelper::Thawed { at_ms }) => task.tell(JobEvent::Thawed { at_ms }).await,
                Some(FromHelper::JobEnded { at_ms }) => task.tell(JobEvent::ProcessEnded { at_ms }).await,
                Some(FromHelper::Ended(report)) => {
                    task.tell(JobEvent::Over(report.clone())).await;
                    tokio::spawn(async move { events.gone().await });
                    return Some(*report);
                }
                Some(FromHelper::DoorOpened { id, fds }) => doors.opened(id, events.take_fds(fds)),
                Some(FromHelper::DoorShut { id, reason, why }) => doors.shut(id, reason, why),
                Some(FromHelper::DoorClosed { id, code, signal }) => doors.closed(id, code, signal),
                Some(FromHelper::Ready) => {}
                Some(FromHelper::Failed { why }) => {
                    task.tell(JobEvent::Over(Box::new(lost_helper(Some(why))))).await;
                    return None;
                }
                None => {
                    task.tell(JobEvent::Over(Box::new(lost_helper(None)))).await;
                    return None;
                }
            },
            changed = task.lease_until.changed(), if renewals_open => {
                renewals_open = changed.is_ok();
                let until_ms = *task.lease_until.borrow_and_update();
                // A helper that is gone says so through its events.
                let _ = control.send(&ToHelper::Lease { until_ms }).await;
            }
            Some(order) = own.recv() => {
                if let Order::Open { door, reply } = order {
                    let id = doors.knock(reply);
                    let _ = control.send(&ToHelper::Open { id, door }).await;
                }
            }
            order = task.orders.recv(), if orders_open => match order {
                Some(Order::Stop { reason, grace_ms }) => { let _ = control.send(&ToHelper::Stop { reason, grace_ms }).await; }
                Some(Order::Fund { ms }) => { let _ = control.send(&ToHelper::Funded { ms }).await; }
                Some(Order::Open { door, reply }) => {
                    let id = doors.knock(reply);
                    let _ = control.send(&ToHelper::Open { id, door }).await;
                }
                None => orders_open = false,
            },
        }
    }
}

/// The helper was killed (and the kernel ended the job with it), or its sandbox died before it had the job.
fn lost_helper(why: Option<String>) -> Report {
    let end = match why {
        Some(why) => sandbox::End::FailedToStart { why },
        None => sandbox::End::Killed {
            reason: sandbox::StopReason::HelperLost,
        },
    };
    Report {
        end,
        exit_code: None,
        ran_ms: 0,
        peak_memory_bytes: 0,
        usage: Usage::default(),
        artefacts: sandbox::Artefacts::default(),
    }
}

pub(super) struct Teller {
    pub(super) lease: LeaseId,
    pub(super) events: mpsc::Sender<(LeaseId, JobEvent)>,
    pub(super) room: Arc<Semaphore>,
}

impl Teller {
    /// Reads a stream to its end, never faster than there is room to keep it.
    pub(super) async fn read(&self, mut from: impl AsyncRead + Unpin, stream: Stream) {
        let mut buffer = vec![0; READ_MAX];
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let Some(bytes) = buffer.get(..count) else {
                return;
            };
            let Ok(permits) = self
                .room
                .acquire_many(u32::try_from(count).unwrap_or(u32::MAX))
                .await
            else {
                return;
            };
            // Given back when the exchange has acknowledged the text.
            permits.forget();
            let event = JobEvent::Output {
                stream,
                bytes: bytes.to_vec(),
            };
            if self.events.send((self.lease, event)).await.is_err() {
                return;
            }
        }
    }
}
