//! Launching a job: an example or an own command, what it needs, and what it costs before it is sent.

#[cfg(feature = "ssr")]
mod part;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_router::hooks::{use_navigate, use_query_map};
use wasm_bindgen::JsCast;

use super::{field_error, load, stale_notice};
use crate::api::jobs::{Launch, OpenLaunch, Quote};
use crate::api::{Post, PostForm, ask, data, decode, send_form_to};
use crate::components::{
    Field, Kind, PageHead, Parts, SelectField, Submit, TextField, Tone, effect, html, notice, part,
    skeleton_block,
};
use crate::fault::{Fault, form_fault};
use crate::i18n::{Words, fill, words};
use crate::launch_form::FIELDS;
use crate::session::SessionContext;
use crate::templates::{LaunchPage, OWN, QuotePart};
#[cfg(feature = "ssr")]
pub use part::{offered, quote_part, refused};

/// Typing asks for a quote only after a pause.
const PAUSE: Duration = Duration::from_millis(400);
const SECOND: Duration = Duration::from_secs(1);

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
        <PageHead title=t.launch_title() lead=t.launch_lead()
            actions=view! { <a class="btn" href="/templates">{t.templates_from()}</a> }.into_any()/>
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
    let state = Quoting {
        part: quoted,
        left: RwSignal::new(quoted.with_untracked(|part| part.seconds)),
        reach: RwSignal::new(Reach::Known),
    };
    state.tick();
    show_faults(fault);
    view! {
        {gone}
        {stale_notice()}
        <div class="launch">
            {stepper()}
            <PostForm post=post>
                <div class="launch-panes" on:input=move |event| state.changed(&event)>
                    // Across the whole width: in a column of their own the examples would be a word wide.
                    <div class="pane examples" data-step="1">
                        {form_fault(fault, &SPEC_FIELDS)}
                        {choices(&templates, &chosen, &device)}
                    </div>
                    <div class="pane" data-step="1">
                        {work_fields(&fields, fault)}
                        {onward(&[2])}
                    </div>
                    <div class="pane" data-step="2">{place_fields(&fields, fault)}{onward(&[1, 3])}</div>
                    <div class="pane" data-step="3">{limit_fields(&fields, fault)}{onward(&[2, 4])}</div>
                    <aside class="pane" data-step="4">{quote_card(state, value(&fields, "device"), post.pending.into())}{onward(&[3])}</aside>
                </div>
            </PostForm>
        </div>
    }
    .into_any()
}

/// The steps, one after the other on a phone. Radio buttons and the style sheet do it, so it works without scripts; on a wide
/// screen all steps stand side by side.
fn stepper() -> AnyView {
    let t = words();
    let steps = [
        t.step_work(),
        t.step_place(),
        t.step_limits(),
        t.step_review(),
    ];
    let radios = (1..)
        .zip(steps)
        .map(|(n, word)| {
            let id = format!("step-{n}");
            view! {
                <label class="chip"><input class="sr" type="radio" name="step" id=id checked=n == 1/>{n}". "{word}</label>
            }
            .into_any()
        })
        .parts();
    view! { <fieldset class="stepper"><legend class="sr">{t.step_legend()}</legend>{radios}</fieldset> }.into_any()
}

/// Buttons to the steps beside this one. The radio buttons above do the same without scripts.
fn onward(steps: &'static [u8]) -> AnyView {
    let t = words();
    let buttons = steps
        .iter()
        .map(|step| {
            let id = format!("step-{step}");
            let back = steps.first() == Some(step) && (steps.len() > 1 || *step == 3);
            let word = if back { t.step_back() } else { t.step_next() };
            view! { <button class="btn" type="button" on:click=move |_| go_to(&id)>{word}</button> }
                .into_any()
        })
        .parts();
    view! { <div class="row-actions justify-between onward">{buttons}</div> }.into_any()
}

fn go_to(id: &str) {
    let radio = document().get_element_by_id(id);
    if let Some(radio) = radio.and_then(|radio| radio.dyn_into::<web_sys::HtmlElement>().ok()) {
        radio.click();
        radio.focus().ok();
    }
}

/// A refusal may be about a field of a step that is not shown: that step is opened.
fn show_faults(fault: Signal<Option<Fault>>) {
    effect(move || {
        if fault.with(Option::is_some) {
            set_timeout(open_first_fault, Duration::ZERO);
        }
    });
}

fn open_first_fault() {
    let bad = document().query_selector(".launch [aria-invalid=true]");
    let step = bad
        .ok()
        .flatten()
        .and_then(|bad| bad.closest("[data-step]").ok().flatten());
    if let Some(step) = step.and_then(|step| step.get_attribute("data-step")) {
        go_to(&format!("step-{step}"));
    }
}

/// Whether the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Known,
    Asking,
    Lost,
}

/// The quote beside the form: asked for again when something changes and when it is over.
#[derive(Debug, Clone, Copy)]
struct Quoting {
    part: RwSignal<QuotePart>,
    /// Seconds until it is over.
    left: RwSignal<u32>,
    reach: RwSignal<Reach>,
}

impl Quoting {
    /// Something was typed: after a pause it is quoted anew; until then no held price is for it.
    fn changed(self, event: &leptos::ev::Event) {
        let element = event
            .target()
            .and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        if element.is_none_or(|element| !matches!(element.closest("form"), Ok(Some(_)))) {
            return;
        }
        self.part.update(|part| part.id.clear());
        self.left.set(0);
        let asked = Self::next();
        set_timeout(move || self.ask(asked), PAUSE);
    }

    fn next() -> u32 {
        let asked = ASKED.get().wrapping_add(1);
        ASKED.set(asked);
        asked
    }

    fn ask(self, asked: u32) {
        let form = document().query_selector(".launch form").ok().flatten();
        let form = form.and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        let Some(form) = form.filter(|_| ASKED.get() == asked) else {
            return;
        };
        _ = self.reach.try_set(Reach::Asking);
        leptos::task::spawn_local(async move {
            let answer = send_form_to(&form, Quote::PATH).await;
            if ASKED.get() != asked {
                return;
            }
            match answer.and_then(|text| decode::<QuotePart>(&text)) {
                Ok(part) => {
                    _ = self.left.try_set(part.seconds);
                    _ = self.part.try_set(part);
                    _ = self.reach.try_set(Reach::Known);
                }
                Err(_) => _ = self.reach.try_set(Reach::Lost),
            }
        });
    }

    /// Each second: counts down, renews what is over, and tries again when the server could not be reached.
    fn tick(self) {
        let step = move || {
            let held = self.part.try_with_untracked(|part| !part.id.is_empty());
            let lost = self.reach.try_get_untracked() == Some(Reach::Lost);
            match self.left.try_get_untracked() {
                Some(1) if held == Some(true) => {
                    _ = self.part.try_update(|part| part.id.clear());
                    _ = self.left.try_set(0);
                    self.ask(Self::next());
                }
                Some(left) if left > 0 => _ = self.left.try_set(left - 1),
                _ if lost => self.ask(Self::next()),
                _ => {}
            }
        };
        effect(move || {
            if let Ok(timer) = set_interval_with_handle(step, SECOND) {
                on_cleanup(move || timer.clear());
            }
        });
    }
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
            <Field name="name" label=t.job_name() value=value(form, "name") max_length=80 error=field_error(fault, "name")/>
            <TextField name="command" label=t.job_command() rows=2 value=value(form, "command") hint=t.job_command_hint()
                error=field_error(fault, "command")/>
            <Field name="image" label=t.job_image() value=value(form, "image") max_length=512 hint=t.job_image_hint()
                error=field_error(fault, "image")/>
            <details open=has_file>
                <summary class="legend min-h-11 flex items-center">{t.job_file()}</summary>
                <div class="grid gap-4 mt-2">
                    <Field name="file_path" label=t.job_file_path() value=value(form, "file_path") hint=t.job_file_hint()
                        error=field_error(fault, "files")/>
                    <TextField name="file_content" label=t.job_file_content() rows=10 value=value(form, "file_content")/>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// One number of the form.
fn number(
    form: &Fields,
    fault: Signal<Option<Fault>>,
    name: &'static str,
    label: &'static str,
    unit: Option<&'static str>,
) -> AnyView {
    let field = FIELDS.iter().find(|(_, own)| *own == name);
    let error = field_error(fault, field.map_or(name, |(field, _)| field));
    let mode = if name == "max_price" {
        "decimal"
    } else {
        "numeric"
    };
    match unit {
        Some(unit) => view! { <Field name=name label=label unit=unit input_mode=mode value=value(form, name) error=error/> }.into_any(),
        None => view! { <Field name=name label=label input_mode=mode value=value(form, name) error=error/> }.into_any(),
    }
}

/// On which devices, and where they stand.
fn place_fields(form: &Fields, fault: Signal<Option<Fault>>) -> AnyView {
    let t = words();
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(code, word)| ((*code).to_owned(), (*word).to_owned()))
            .collect()
    };
    let classes = pairs(&[("cpu", "CPU"), ("gpu", "GPU")]);
    let nearness = pairs(&[
        ("", t.near_any()),
        ("group", t.near_group()),
        ("country", t.near_country()),
        ("region", t.near_region()),
    ]);
    let networks = pairs(&[("", t.network_none()), ("1", t.network_own())]);
    let spreads = pairs(&[("", t.spread_any()), ("owner", t.spread_owner())]);
    view! {
        <section class="card grid gap-4">
            <h2>{t.launch_place()}</h2>
            <div class="grid gap-4 grid-cols-2">
                <SelectField name="class" label=t.filter_class() options=classes value=value(form, "class") error=field_error(fault, "resources.class")/>
                <Field name="model" label=t.filter_model() value=value(form, "model") error=field_error(fault, "resources.model")/>
                {number(form, fault, "count", t.need_count(), None)}
                {number(form, fault, "nodes", t.need_nodes(), None)}
            </div>
            <Field name="filter" label=t.need_filter() value=value(form, "filter") error=field_error(fault, "placement.filter")/>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.launch_more_place()}</summary>
                <div class="grid gap-4 grid-cols-2 mt-2">
                    <SelectField name="near" label=t.need_near() options=nearness value=value(form, "near")/>
                    <SelectField name="spread" label=t.need_spread() options=spreads value=value(form, "spread")/>
                    <SelectField name="network" label=t.need_network() options=networks value=value(form, "network")/>
                    <Field name="countries" label=t.need_countries() value=value(form, "countries") error=field_error(fault, "placement.countries")/>
                    {number(form, fault, "min_reputation", t.need_reputation(), None)}
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// What it is given and what it may cost.
fn limit_fields(form: &Fields, fault: Signal<Option<Fault>>) -> AnyView {
    let t = words();
    view! {
        <section class="card grid gap-4">
            <h2>{t.launch_needs()}</h2>
            <div class="grid gap-4 grid-cols-2">
                {number(form, fault, "cpus", t.need_cpus(), None)}
                {number(form, fault, "memory_mib", t.need_memory(), Some("MiB"))}
                {number(form, fault, "disk_mib", t.need_disk(), Some("MiB"))}
                {number(form, fault, "minutes", t.need_minutes(), Some(t.unit_min()))}
                {number(form, fault, "max_price", t.need_max_price(), Some(t.unit_price()))}
                {number(form, fault, "wait", t.need_wait(), Some(t.unit_min()))}
            </div>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.launch_more_needs()}</summary>
                <div class="grid gap-4 grid-cols-2 mt-2">
                    {number(form, fault, "pids", t.need_pids(), None)}
                    {number(form, fault, "restarts", t.need_restarts(), None)}
                    {number(form, fault, "loss_bound", t.need_loss_bound(), Some(t.unit_min()))}
                </div>
            </details>
            <details>
                <summary class="legend min-h-11 flex items-center">{t.launch_more_work()}</summary>
                <div class="grid gap-4 mt-2">
                    <TextField name="env" label=t.job_env() rows=3 value=value(form, "env") hint=t.job_env_hint() error=field_error(fault, "env")/>
                    <Field name="metrics" label=t.job_metrics() value=value(form, "metrics") hint=t.job_metrics_hint()
                        error=field_error(fault, "metrics")/>
                    <Field name="ports" label=t.job_ports() value=value(form, "ports") hint=t.job_ports_hint() error=field_error(fault, "ports")/>
                    <Field name="secrets" label=t.job_secrets() value=value(form, "secrets") hint=t.job_secrets_hint() error=field_error(fault, "secrets")/>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// The price before it is paid, and the button.
fn quote_card(state: Quoting, device: String, busy: Signal<bool>) -> AnyView {
    let t = words();
    // A box and no link: whoever unticks it keeps all that was typed, and may change their mind.
    let chosen = (!device.is_empty()).then(|| {
        view! {
            <div>
                <label class="check">
                    <input type="checkbox" name="device" value=device checked=true aria-describedby="device-hint"/>
                    <span>{t.launch_on()}</span>
                </label>
                <p class="hint" id="device-hint">{t.launch_any_device()}</p>
            </div>
        }
    });
    let quoted = state.part;
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
    let holds = move || match (state.reach.get(), state.left.get()) {
        (Reach::Lost, _) => Some(notice(Tone::Bad, t.quote_unreachable())),
        (Reach::Asking, _) => Some(view! { <p class="hint">{t.quote_asking()}</p> }.into_any()),
        (Reach::Known, 0) => None,
        (Reach::Known, left) => Some(
            view! { <p class="hint">{fill(t.quote_holds(), &[&left.to_string()])}</p> }.into_any(),
        ),
    };
    // A held price is for those whose browser renews it: a plain form is sent without.
    let held = move || quoted.with(|part| part.id.clone());
    view! {
        <section class="card grid gap-4">
            <h2>{t.quote()}</h2>
            {chosen}
            <input type="hidden" name="quote" value="" prop:value=held/>
            <div class="grid gap-3" aria-live="polite" inner_html=html(move || quoted.with(|part| part.html.clone()))></div>
            {part(holds)}
            <Transition fallback=|| ()>{submit}</Transition>
            <p class="hint">{t.quote_note()}</p>
        </section>
    }
    .into_any()
}
