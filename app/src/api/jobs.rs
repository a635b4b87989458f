//! Quotes, jobs and what they print. What a job is and costs is written by the server (see `parts`).

use kernel::JobId;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
#[cfg(feature = "ssr")]
use protocol::Problem;
use protocol::view::{LogPage, Meter};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::launch_form::LaunchForm;
use crate::live::SampleRow;
use crate::templates::{LaunchPage, QuotePart};

/// How many chunks of output are sent at once.
#[cfg(feature = "ssr")]
const LOG_CHUNKS: u32 = 500;

/// What the launch page starts from: the examples, a form, and what it would cost as it is.
#[server(prefix = "/fn", endpoint = "launch-page", input = Json)]
pub async fn open_launch(
    template: String,
    device: String,
    filter: String,
) -> Result<LaunchPage, Fault> {
    let templates = crate::templates::all();
    let mut form = LaunchPage::first_form(templates, &template);
    form.device = device;
    if !filter.is_empty() {
        form.filter = filter;
    }
    form.request = leptos::nonce::Nonce::new().to_string();
    let offer = match form.device().ok().flatten() {
        Some(device) => super::exchange()?.offer(device),
        None => None,
    };
    let device_gone = !form.device.is_empty() && offer.is_none();
    if device_gone {
        // Or the form would go on asking for it, in a field that nobody sees.
        form.device.clear();
    }
    if let Some(offer) = &offer {
        offer.class.as_str().clone_into(&mut form.class);
    }
    let quote = crate::pages::launch::quote_part(&form).await?;
    Ok(LaunchPage {
        templates: templates
            .iter()
            .map(|template| template.id.clone())
            .collect(),
        device_gone,
        quote,
        fields: form.fields(),
    })
}

/// What the form as it stands would cost; a visitor may ask too.
#[server(prefix = "/fn", endpoint = "quote")]
pub async fn quote(#[server(flatten)] form: LaunchForm) -> Result<QuotePart, Fault> {
    crate::pages::launch::quote_part(&form).await
}

/// Sends a job from the launch form; answers with its id.
#[server(prefix = "/fn", endpoint = "launch")]
pub async fn launch(#[server(flatten)] form: LaunchForm) -> Result<JobId, Fault> {
    let actor = super::actor().await?;
    let device = form.device()?;
    let spec = form.spec()?;
    // The form's own number makes a second press of the button the same job, not a second one.
    let key = Some(form.request.as_str()).filter(|key| !key.is_empty());
    let job = super::exchange()?
        .submit_quoted(&actor, spec, device, form.quote()?, key)
        .await?;
    let id = job.summary.id;
    super::answer_form(&format!("/jobs/{id}"));
    Ok(id)
}

/// What changes of a job while its page is open, and what its open tab draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub name: String,
    /// The job's topic on the live socket.
    pub topic: String,
    /// Ended for good.
    pub over: bool,
    pub meter: Meter,
    /// Machines that it runs on.
    pub members: u32,
    /// The names of the numbers that it prints.
    pub metrics: Vec<String>,
    pub samples: Option<Vec<SampleRow>>,
    pub log: Option<LogPage>,
}

/// `id` is text because it comes from the address bar.
#[server(prefix = "/fn", endpoint = "job-page", input = Json)]
pub async fn read_job_page(id: String, tab: String) -> Result<JobPage, Fault> {
    let actor = super::actor().await?;
    let exchange = super::exchange()?;
    let id = parse(&id)?;
    let job = exchange.job(&actor, id).await?;
    let (mut samples, mut log) = (None, None);
    match tab.as_str() {
        "logs" => log = Some(exchange.logs(&actor, id, 0, LOG_CHUNKS).await?),
        "metrics" => samples = Some(rows(exchange.samples(&actor, id).await?)),
        _ => {}
    }
    let over = job.summary.state.is_final();
    let mut meter = job.meter;
    if over {
        // Nothing runs any more: what it has cost is what counts.
        meter.spent = job.summary.spent;
    }
    let topic = protocol::live::Topic::Job(id).to_string();
    Ok(JobPage {
        name: job.summary.name,
        topic,
        over,
        meter,
        members: job.summary.members,
        metrics: job.spec.metrics,
        samples,
        log,
    })
}

#[cfg(feature = "ssr")]
fn rows(samples: Vec<protocol::view::SampleView>) -> Vec<SampleRow> {
    let row = |sample: protocol::view::SampleView| SampleRow {
        at: sample.at,
        member: sample.member,
        cpu_percent: sample.data.cpu_percent,
        memory_mib: sample.data.memory_mib,
        gpu_percent: sample.data.gpu_percent,
        gpu_memory_mib: sample.data.gpu_memory_mib,
        metrics: sample.data.metrics,
    };
    samples.into_iter().map(row).collect()
}

#[cfg(feature = "ssr")]
pub(crate) fn parse(id: &str) -> Result<JobId, Fault> {
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
pub async fn log(id: String, after: u64) -> Result<LogPage, Fault> {
    let actor = super::actor().await?;
    Ok(super::exchange()?
        .logs(&actor, parse(&id)?, after, LOG_CHUNKS)
        .await?)
}

#[server(prefix = "/fn", endpoint = "samples", input = Json)]
pub async fn samples(id: String) -> Result<Vec<SampleRow>, Fault> {
    let actor = super::actor().await?;
    Ok(rows(super::exchange()?.samples(&actor, parse(&id)?).await?))
}
