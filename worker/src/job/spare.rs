//! The sandbox that is kept ready, so that making it is not on the way from submit to start.

use std::sync::Arc;
use std::time::Duration;

use crate::executor::Executor;
use crate::sandbox::{Prepared, SandboxError};

/// A sandbox that is kept ready for the next job.
#[derive(Debug, Default)]
pub struct Spare {
    ready: Option<Prepared>,
    making: Option<tokio::task::JoinHandle<Result<Option<Prepared>, SandboxError>>>,
}

impl Spare {
    /// Begins to make one, after a moment for the job that was just started to get going.
    pub fn refill(&mut self, executor: &Arc<dyn Executor>, after: Duration) {
        if self.ready.is_some() || self.making.is_some() {
            return;
        }
        let executor = Arc::clone(executor);
        self.making = Some(tokio::spawn(async move {
            tokio::time::sleep(after).await;
            executor.spare().await
        }));
    }

    /// Takes the spare if there is one.
    pub async fn take(&mut self) -> Option<Prepared> {
        if let Some(making) = self.making.take_if(|making| making.is_finished()) {
            match making.await {
                Ok(Ok(prepared)) => self.ready = prepared,
                Ok(Err(error)) => tracing::warn!(%error, "no sandbox can be kept ready"),
                Err(_) => {}
            }
        }
        self.ready.take()
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(making) = &self.making {
            making.abort();
        }
    }
}
