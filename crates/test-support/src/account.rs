//! An account, with a key for REST.

use std::time::Duration;

use http::Method;
use kernel::JobId;
use protocol::JobSpec;
use protocol::state::JobState;
use protocol::view::{BalanceView, EntryView, JobView, LogPage, Page, ReceiptView};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::wait_until;

#[derive(Clone)]
pub struct Account {
    pub id: String,
    pub email: String,
    pub password: String,
    pub key: String,
    /// Shows the key.
    pub rest: Client,
}

impl Account {
    pub async fn try_submit(&self, spec: &JobSpec) -> Answer {
        self.rest
            .post("/api/v1/jobs", &json!({ "spec": spec }))
            .await
    }

    pub async fn submit(&self, spec: &JobSpec) -> JobView {
        self.try_submit(spec).await.ok()
    }

    pub async fn job(&self, id: JobId) -> JobView {
        self.rest.get(&format!("/api/v1/jobs/{id}")).await.ok()
    }

    pub async fn stop(&self, id: JobId) -> JobView {
        self.rest.delete(&format!("/api/v1/jobs/{id}")).await.ok()
    }

    pub async fn balance(&self) -> BalanceView {
        self.rest.get("/api/v1/balance").await.ok()
    }

    pub async fn receipts(&self, id: JobId) -> Vec<ReceiptView> {
        self.rest
            .get(&format!("/api/v1/jobs/{id}/receipts"))
            .await
            .ok()
    }

    /// All that the job printed.
    pub async fn log(&self, id: JobId) -> String {
        let (mut text, mut after) = (String::new(), 0);
        loop {
            let page: LogPage = self
                .rest
                .get(&format!("/api/v1/jobs/{id}/logs?after={after}"))
                .await
                .ok();
            page.lines.iter().for_each(|line| text.push_str(&line.text));
            if !page.more {
                return text;
            }
            after = page.next;
        }
    }

    /// Every booked movement, newest first.
    pub async fn entries(&self) -> Vec<EntryView> {
        let mut all = Vec::new();
        let mut before = String::new();
        loop {
            let page: Page<EntryView> = self
                .rest
                .get(&format!("/api/v1/ledger/entries?limit=100{before}"))
                .await
                .ok();
            all.extend(page.items);
            match page.next {
                Some(next) => before = format!("&before={next}"),
                None => return all,
            }
        }
    }

    /// Waits for a state; a job that ended in another one ends the test. Survives a server that is away meanwhile.
    pub async fn wait_for(&self, id: JobId, state: JobState, within: Duration) -> JobView {
        wait_until(&format!("{id} is {state}"), within, || async {
            let answer = self
                .rest
                .try_send(Method::GET, &format!("/api/v1/jobs/{id}"), "", "")
                .await
                .ok()?;
            let job: JobView = answer.status.is_success().then(|| answer.ok())?;
            let now = job.summary.state;
            assert!(
                now == state || !now.is_final(),
                "waited for {state}: {:#?} {:#?}",
                job.summary,
                job.events
            );
            (now == state).then_some(job)
        })
        .await
    }
}
