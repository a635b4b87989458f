//! Quotes, jobs and what they leave behind.

use kernel::{DeviceId, JobId};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use protocol::JobSpec;
#[cfg(feature = "ssr")]
use protocol::Problem;
use protocol::view::{JobSummary, JobView, LogPage, Page, QuoteView, ReceiptView, SampleView};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::launch_form::LaunchForm;
use crate::templates::LaunchPage;

/// How many jobs a page of the list holds.
#[cfg(feature = "ssr")]
const JOBS_PER_PAGE: u32 = 50;
/// How many chunks of output are sent at once.
#[cfg(feature = "ssr")]
const LOG_CHUNKS: u32 = 500;

/// What the launch page starts from: the examples, the device chosen on the market, a quote for what the form says
/// at first, and a fresh number for it.
#[server(prefix = "/fn", endpoint = "launch-page", input = Json)]
pub async fn open_launch(template: String, device: String) -> Result<LaunchPage, Fault> {
    let templates = crate::templates::all();
    let mut form = LaunchPage::first_form(templates, &template);
    form.device = device;
    form.request = leptos::nonce::Nonce::new().to_string();
    let chosen = form.device().ok().flatten();
    let offer = match chosen {
        Some(device) => super::exchange()?.offer(device),
        None => None,
    };
    if let Some(offer) = &offer {
        offer.class.as_str().clone_into(&mut form.class);
    }
    let quote = match form.spec() {
        Ok(spec) => Some(quote_for(&spec, chosen).await?),
        Err(_) => None,
    };
    Ok(LaunchPage {
        templates: templates
            .iter()
            .map(|template| template.id.clone())
            .collect(),
        form,
        offer,
        quote,
    })
}

#[cfg(feature = "ssr")]
async fn quote_for(spec: &JobSpec, device: Option<DeviceId>) -> Result<Result<QuoteView, Problem>, Fault> {
    let actor = super::actor_or_none().await?;
    Ok(super::exchange()?
        .quote(actor.as_ref(), spec, device)
        .await
        .map_err(|error| error.problem()))
}

/// What the job would cost; a visitor may ask too.
#[server(prefix = "/fn", endpoint = "quote", input = Json)]
pub async fn quote(spec: JobSpec, device: Option<DeviceId>) -> Result<QuoteView, Fault> {
    Ok(quote_for(&spec, device).await??)
}

/// Sends a job from the launch form; answers with its id.
#[server(prefix = "/fn", endpoint = "launch")]
pub async fn launch(#[server(flatten)] form: LaunchForm) -> Result<JobId, Fault> {
    let actor = super::actor().await?;
    let device = form.device()?;
    let spec = form.spec()?;
    // The form's own number makes a second press of the button the same job, not a second one.
    let key = Some(form.request.as_str()).filter(|key| !key.is_empty());
    let job = super::exchange()?.submit(&actor, spec, device, key).await?;
    let id = job.summary.id;
    super::answer_form(&format!("/jobs/{id}"));
    Ok(id)
}

#[server(prefix = "/fn", endpoint = "jobs", input = Json)]
pub async fn jobs(before: Option<JobId>) -> Result<Page<JobSummary>, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?
        .jobs(&actor, before, JOBS_PER_PAGE)
        .await?)
}

/// `id` is text because it comes from the address bar.
#[server(prefix = "/fn", endpoint = "job", input = Json)]
pub async fn job(id: String) -> Result<JobView, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?.job(&actor, parse(&id)?).await?)
}

/// A job with what its open tab shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub job: JobView,
    pub samples: Option<Vec<SampleView>>,
    pub log: Option<LogPage>,
    pub receipts: Option<Vec<ReceiptView>>,
}

#[server(prefix = "/fn", endpoint = "job-page", input = Json)]
pub async fn read_job_page(id: String, tab: String) -> Result<JobPage, Fault> {
    let actor = super::actor().await?;
    let exchange = super::exchange()?;
    let id = parse(&id)?;
    let job = exchange.job(&actor, id).await?;
    let (mut samples, mut log, mut receipts) = (None, None, None);
    match tab.as_str() {
        "logs" => log = Some(exchange.logs(&actor, id, 0, LOG_CHUNKS).await?),
        "receipts" => receipts = Some(exchange.receipts(&actor, id).await?),
        "metrics" => samples = Some(exchange.samples(&actor, id).await?),
        _ => {}
    }
    Ok(JobPage {
        job,
        samples,
        log,
        receipts,
    })
}

#[cfg(feature = "ssr")]
fn parse(id: &str) -> Result<JobId, Fault> {
    let unknown = |_| Problem::new(protocol::Code::NotFound, "There is no such job.");
    Ok(id.parse().map_err(unknown)?)
}

#[server(prefix = "/fn", endpoint = "stop")]
pub async fn stop(id: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.stop(&actor, parse(&id)?).await?;
    super::answer_form(&format!("/jobs/{id}"));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "log", input = Json)]
pub async fn log(id: JobId, after: u64) -> Result<LogPage, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?
        .logs(&actor, id, after, LOG_CHUNKS)
        .await?)
}

#[server(prefix = "/fn", endpoint = "samples", input = Json)]
pub async fn samples(id: JobId) -> Result<Vec<SampleView>, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?.samples(&actor, id).await?)
}

#[server(prefix = "/fn", endpoint = "receipts", input = Json)]
pub async fn receipts(id: JobId) -> Result<Vec<ReceiptView>, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?.receipts(&actor, id).await?)
}
