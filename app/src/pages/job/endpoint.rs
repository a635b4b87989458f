//! A job that serves: its address, its replicas, and how fast they answer.

use exchange::Actor;
use leptos::prelude::*;
use protocol::endpoint::{EndpointView, ReplicaView};
use protocol::view::JobView;

use super::work::told;
use crate::api::exchange;
use crate::components::{Parts, Tone, shape};
use crate::fault::Fault;
use crate::i18n::{Words, fill};

/// Nothing where the job serves nothing.
pub async fn card(
    actor: &Actor,
    job: &JobView,
    t: &'static Words,
) -> Result<Option<AnyView>, Fault> {
    if job.spec.endpoint().is_none() || job.summary.state.is_final() {
        return Ok(None);
    }
    let view = exchange()?.endpoint(actor, job.summary.id).await?;
    Ok(Some(show(&view, t)))
}

/// A place to ask it from the page, as a client of the `OpenAI` format would; `terminal/ask.js` does the asking.
pub fn asking(job: &JobView, t: &'static Words) -> Option<AnyView> {
    job.spec.endpoint()?;
    let url = format!("/api/v1/endpoints/{}/v1", job.summary.id);
    Some(
        view! {
            <section class="grid grid-cols-1 gap-3 asking" data-ask="" data-url=url>
                <div class="flex flex-wrap items-end justify-between gap-3">
                    <h2>{t.ask_title()}</h2>
                    <button type="button" class="btn small" data-ask-anew="">{t.ask_anew()}</button>
                </div>
                <p class="hint prose">{t.ask_note()}</p>
                <ol class="turns" data-turns="" aria-live="polite"></ol>
                <div role="status">
                    {told("busy", Tone::Busy, t.ask_busy())}
                    {told("done", Tone::Ok, t.ask_done())}
                    {told("refused", Tone::Bad, t.ask_refused())}
                    {told("broke", Tone::Bad, t.ask_broke())}
                    {told("offline", Tone::Bad, t.work_offline())}
                </div>
                <form class="grid grid-cols-1 gap-2">
                    <label class="field"><span>{t.ask_question()}</span><textarea class="input" rows="3" maxlength="20000" required></textarea></label>
                    <div class="row-actions">
                        <button type="submit" class="btn primary">{t.ask_send()}</button>
                        <button type="button" class="btn" data-ask-stop="">{t.ask_stop()}</button>
                    </div>
                </form>
            </section>
        }
        .into_any(),
    )
}

fn show(view: &EndpointView, t: &'static Words) -> AnyView {
    let who = if view.public {
        t.endpoint_public()
    } else {
        t.endpoint_keys()
    };
    let fact = |label: &'static str, value: String| {
        view! { <div><dt>{label}</dt><dd>{value}</dd></div> }.into_any()
    };
    let tenths = view.tokens_per_second_tenths;
    let pace = format!("{}.{}", tenths / 10, tenths % 10);
    let latency = match (view.latency_p50_ms, view.latency_p95_ms) {
        (Some(half), Some(most)) => format!("{half} / {most} ms"),
        _ => "–".to_owned(),
    };
    let failed = (view.failed > 0 || view.retried > 0).then(|| {
        let (retried, failed) = (view.retried.to_string(), view.failed.to_string());
        view! { <p class="hint mt-2">{fill(t.endpoint_trouble(), &[&retried, &failed])}</p> }
    });
    let replicas = view.replicas.iter().map(|one| replica(one, t)).parts();
    let base = view.base_url.clone();
    view! {
        <section class="card mt-4" data-endpoint="1">
            <h2>{t.endpoint_title()}</h2>
            <p class="mono break-all">{base}</p>
            <p class="hint my-2 prose">{who}</p>
            <p class="my-2"><a class="btn small" href="?tab=work">{t.ask_here()}</a></p>
            <dl class="figures">
                {fact(t.endpoint_requests(), view.requests.to_string())}
                {fact(t.endpoint_pace(), pace)}
                {fact(t.endpoint_latency(), latency)}
            </dl>
            {failed}
            <ul class="chips mt-3" aria-label=t.endpoint_replicas()>{replicas}</ul>
        </section>
    }
    .into_any()
}

fn replica(one: &ReplicaView, t: &'static Words) -> AnyView {
    let (tone, word) = if one.well {
        (Tone::Ok, t.endpoint_well())
    } else {
        (Tone::Warn, t.endpoint_unwell())
    };
    let name = fill(t.job_member(), &[&one.member.to_string()]);
    let busy = (one.under_way > 0).then(|| {
        format!(
            " · {}",
            fill(t.endpoint_under_way(), &[&one.under_way.to_string()])
        )
    });
    view! {
        <li class="tag"><span class=tone.class()>{shape(tone)}</span>{name}" · "{word}{busy}</li>
    }
    .into_any()
}
