//! Launching a job: an example or an own command, what it needs, and what it costs before it is sent.

#[cfg(feature = "ssr")]
mod part;

use std::cell::Cell;
use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::hooks::{use_navigate, use_query_map};
use wasm_bindgen::JsCast;

use super::{field_error, load};
use crate::api::jobs::{Launch, OpenLaunch, Quote};
use crate::api::{Post, PostForm, ask, data, decode, send_form_to};
use crate::components::{
    Field, Kind, PageHead, Parts, SelectField, Submit, TextField, Tone, html, notice, part,
    skeleton_block,
};
use crate::fault::{Fault, form_fault};
use crate::i18n::{Words, words};
use crate::launch_form::FIELDS;
use crate::session::SessionContext;
use crate::templates::{LaunchPage, OWN, QuotePart};
#[cfg(feature = "ssr")]
pub use part::quote_part;

/// Typing asks for a quote only after a pause.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(400);

/// The form's values by the names of its fields.
type Fields = BTreeMap<String, String>;

fn value(fields: &Fields, name: &str) -> String {
    fields.get(name).cloned().unwrap_or_default()
}

pub fn page() -> impl IntoView {
    let t = words();
    let query = use_query_map();
    let text = move |key: &'static str| query.with(|query| query.get(key).unwrap_or_default());
    let source = move || (text("template"), text("device"));
    let asked = Signal::derive(move || {
        let (template, device) = source();
        ask(OpenLaunch {
            template,
            device,
            filter: text("filter"),
        })
    });
    view! {
        <PageHead title=t.launch_title() lead=t.launch_lead()/>
        {load(data(asked), |t| skeleton_block(t.loading()), move |page| show(page, untrack(source)))}
    }
}

fn show(page: LaunchPage, (template, device): (String, String)) -> AnyView {
    let t = words();
    let LaunchPage {
        templates,
        fields,
        device_gone,
        quote,
    } = page;
    let chosen = if template.is_empty() {
        templates.first().cloned().unwrap_or_default()
    } else {
        template
    };
    let gone = device_gone.then(|| notice(Tone::Warn, t.launch_device_gone()));
    let quoted = RwSignal::new(quote);
    let post = Post::to::<Launch>();
    let fault = post.fault();
    let navigate = use_navigate();
    post.on_answer(move |id: String| {
        navigate(
            &format!("/jobs/{id}"),
            leptos_router::NavigateOptions::default(),
        );
    });
    view! {
        {gone}
        {choices(&templates, &chosen, &device)}
        <PostForm post=post>
            <div class="grid gap-6 lg:grid-cols-[1fr_20rem] items-start" on:input=move |event| requote(&event, quoted)>
                <div class="grid gap-6 min-w-0">
                    {form_fault(fault, &SPEC_FIELDS)}
                    {work_fields(&fields, fault)}
                    {need_fields(&fields, fault)}
                </div>
                <aside class="lg:sticky lg:top-20 grid gap-4">{quote_card(quoted, post.pending.into())}</aside>
            </div>
        </PostForm>
    }
    .into_any()
}

/// The specification's names of all fields that have a place for a message.
static SPEC_FIELDS: [&str; FIELDS.len()] = {
    let mut names = [""; FIELDS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = FIELDS[index].0;
        index += 1;
    }
    names
};

fn template_words(id: &str, t: &Words) -> (&'static str, &'static str) {
    match id {
        "digits" => (t.template_digits(), t.template_digits_text()),
        "mandelbrot" => (t.template_mandelbrot(), t.template_mandelbrot_text()),
        "hello" => (t.template_hello(), t.template_hello_text()),
        _ => (t.template_own(), t.template_own_text()),
    }
}

/// The examples as links. A plain page load, so that the form starts afresh.
fn choices(templates: &[String], chosen: &str, device: &str) -> AnyView {
    let t = words();
    let links = templates
        .iter()
        .map(String::as_str)
        .chain([OWN])
        .map(|id| {
            let (title, text) = template_words(id, t);
            let device = if device.is_empty() {
                String::new()
            } else {
                format!("&device={device}")
            };
            let href = format!("/launch?template={id}{device}");
            let current = (id == chosen).then_some("true");
            view! {
                <a class="choice" href=href rel="external" aria-current=current>
                    <span><strong>{title}</strong><br/><span class="hint">{text}</span></span>
                </a>
            }
        })
        .parts();
    view! { <nav class="choices mb-6 sm:grid-cols-2 lg:grid-cols-4" aria-label=t.launch_templates()>{links}</nav> }.into_any()
}

/// Asks what the form as it stands would cost, after a pause.
fn requote(event: &leptos::ev::Event, quoted: RwSignal<QuotePart>) {
    let form = event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let form = form.and_then(|element| element.closest("form").ok().flatten());
    let Some(form) = form.and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok()) else {
        return;
    };
    let asked = ASKED.get().wrapping_add(1);
    ASKED.set(asked);
    let ask = move || {
        if ASKED.get() != asked {
            return;
        }
        leptos::task::spawn_local(async move {
            let answer = send_form_to(&form, Quote::PATH).await;
            // Unreachable for a moment: the last quote stays until the next key.
            if let Ok(part) = answer.and_then(|text| decode(&text))
                && ASKED.get() == asked
            {
                _ = quoted.try_set(part);
            }
        });
    };
    set_timeout(ask, PAUSE);
}

thread_local! {
    /// The number of the last question; an answer to an older one is dropped.
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

/// What runs.
fn work_fields(form: &Fields, fault: Signal<Option<Fault>>) -> AnyView {
    let t = words();
    let has_file = !value(form, "file_path").is_empty();
    view! {
        <section class="card grid gap-4">
            <h2>{t.launch_work()}</h2>
            <input type="hidden" name="request" value=value(form, "request")/>
            <input type="hidden" name="device" value=value(form, "device")/>
            <Field name="name" label=t.job_name() value=value(form, "name") required=true max_length=80 error=field_error(fault, "name")/>
            <TextField name="command" label=t.job_command() rows=2 value=value(form, "command") hint=t.job_command_hint()
                error=field_error(fault, "command")/>
            <details open=has_file>
                <summary class="legend min-h-11 flex items-center">{t.job_file()}</summary>
                <div class="grid gap-4 mt-2">
                    <Field name="file_path" label=t.job_file_path() value=value(form, "file_path") hint=t.job_file_hint()
                        error=field_error(fault, "files")/>
                    <TextField name="file_content" label=t.job_file_content() rows=10 value=value(form, "file_content")/>
                </div>
            </details>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.launch_more_work()}</summary>
                <div class="grid gap-4 mt-2">
                    <TextField name="env" label=t.job_env() rows=3 value=value(form, "env") hint=t.job_env_hint() error=field_error(fault, "env")/>
                    <Field name="metrics" label=t.job_metrics() value=value(form, "metrics") hint=t.job_metrics_hint()
                        error=field_error(fault, "metrics")/>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// What it needs and what it may cost.
fn need_fields(form: &Fields, fault: Signal<Option<Fault>>) -> AnyView {
    let t = words();
    let classes = [("cpu", "CPU"), ("gpu", "GPU")]
        .map(|(code, word)| (code.to_owned(), word.to_owned()))
        .to_vec();
    view! {
        <section class="card grid gap-4">
            <h2>{t.launch_needs()}</h2>
            <div class="grid gap-4 grid-cols-2 md:grid-cols-3">
                <SelectField name="class" label=t.filter_class() options=classes value=value(form, "class") error=field_error(fault, "resources.class")/>
                <Field name="cpus" label=t.need_cpus() input_mode="numeric" value=value(form, "cpus") error=field_error(fault, "resources.cpus")/>
                <Field name="memory_mib" label=t.need_memory() unit="MiB" input_mode="numeric" value=value(form, "memory_mib")
                    error=field_error(fault, "resources.memory_mib")/>
                <Field name="disk_mib" label=t.need_disk() unit="MiB" input_mode="numeric" value=value(form, "disk_mib")
                    error=field_error(fault, "resources.disk_mib")/>
                <Field name="minutes" label=t.need_minutes() unit=t.unit_min() input_mode="numeric" value=value(form, "minutes")
                    error=field_error(fault, "limits.duration_seconds")/>
                <Field name="max_price" label=t.need_max_price() unit="IO/h" input_mode="decimal" value=value(form, "max_price")
                    error=field_error(fault, "limits.max_price_per_hour")/>
            </div>
            <div class="grid gap-4 md:grid-cols-2">
                <Field name="wait" label=t.need_wait() unit=t.unit_min() input_mode="numeric" value=value(form, "wait")
                    error=field_error(fault, "limits.wait_seconds")/>
            </div>
            <Field name="filter" label=t.need_filter() value=value(form, "filter") error=field_error(fault, "placement.filter")/>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.launch_more_needs()}</summary>
                <div class="grid gap-4 grid-cols-2 md:grid-cols-3 mt-2">
                    <Field name="model" label=t.filter_model() value=value(form, "model") error=field_error(fault, "resources.model")/>
                    <Field name="countries" label=t.need_countries() value=value(form, "countries") error=field_error(fault, "placement.countries")/>
                    <Field name="min_reputation" label=t.need_reputation() input_mode="numeric" value=value(form, "min_reputation")
                        error=field_error(fault, "placement.min_reputation")/>
                    <Field name="pids" label=t.need_pids() input_mode="numeric" value=value(form, "pids") error=field_error(fault, "resources.pids")/>
                    <Field name="restarts" label=t.need_restarts() input_mode="numeric" value=value(form, "restarts")
                        error=field_error(fault, "limits.max_restarts")/>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// The price before it is paid, and the button.
fn quote_card(quoted: RwSignal<QuotePart>, busy: Signal<bool>) -> AnyView {
    let t = words();
    let off = Signal::derive(move || {
        quoted.with(|part| (!part.off_because.is_empty()).then(|| part.off_because.clone()))
    });
    let submit = part(move || {
        Suspend::new(async move {
            let session = match use_context::<SessionContext>() {
                Some(context) => context.session().await,
                None => None,
            };
            match session {
                Some(_) => view! { <Submit label=t.launch_submit() kind=Kind::Primary busy=busy off_because=off/> }.into_any(),
                None => view! { <a class="btn primary" href="/sign-in?next=%2Flaunch">{t.launch_sign_in()}</a> }.into_any(),
            }
        })
    });
    view! {
        <section class="card grid gap-4">
            <h2>{t.quote()}</h2>
            <div class="grid gap-3" aria-live="polite" inner_html=html(move || quoted.with(|part| part.html.clone()))></div>
            <Transition fallback=|| ()>{submit}</Transition>
            <p class="hint">{t.quote_note()}</p>
        </section>
    }
    .into_any()
}
