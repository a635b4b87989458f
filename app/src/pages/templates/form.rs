//! The form of a template, what it would cost as it stands, and the button that launches it.

use exchange::Exchange;
use kernel::{PricePerSecond, Seconds};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::recompute::CHECKS_MAX;
use protocol::template::{Input, InputKind, Template, Way};
use protocol::view::QuoteView;
use protocol::{Code, JobSpec};

use super::part::{text, way_word};
use crate::api::templates::LaunchTemplate;
use crate::api::{Post, actor_or_none};
use crate::components::{Parts, Tone, notice};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::launch::{offered, refused};
use crate::template_form::TemplateForm;

/// The form is sent to the page itself, to see what it would cost, or to the door that launches it.
pub async fn launch_card(
    exchange: &Exchange,
    template: &Template,
    typed: &TemplateForm,
    tried: bool,
) -> Result<AnyView, Fault> {
    let t = words();
    let way = template.way(Way::parse(&typed.way));
    let actor = actor_or_none().await?;
    let (quote, fault) = quoted(exchange, template, typed, way, actor.as_ref(), t).await;
    let page = format!("/templates/{}", template.id);
    let button = if actor.is_some() {
        view! {
            <button class="btn primary" type="submit" formmethod="post" formaction=LaunchTemplate::url()>{t.launch_submit()}</button>
        }
        .into_any()
    } else {
        let next = leptos_router::location::Url::escape(&typed.address());
        view! { <a class="btn primary" href=format!("/sign-in?next={next}")>{t.launch_sign_in()}</a> }.into_any()
    };
    let inputs = template
        .inputs
        .iter()
        .map(|input| field(input, typed, fault.as_ref(), t))
        .parts();
    let tried = tried.then(|| match &fault {
        Some(fault) => notice(Tone::Bad, fault.sentence(locale())),
        None => notice(Tone::Warn, t.template_try_again()),
    });
    let refused = form_fault(Post::to::<LaunchTemplate>().fault(), &[]);
    let request = leptos::nonce::Nonce::new().to_string();
    Ok(view! {
        <form class="card grid gap-4" method="get" action=page data-quoted="1">
            <h2>{t.template_launch()}</h2>
            {refused}
            {tried}
            <input type="hidden" name="id" value=template.id.clone()/>
            <input type="hidden" name="request" value=request/>
            {ways(template, way, t)}
            {inputs}
            {limits(typed, fault.as_ref(), t)}
            <button class="btn" type="submit">{t.template_requote()}</button>
            <div class="grid gap-3" data-quote="1" aria-live="polite">{quote}</div>
            {button}
            <p class="hint">{t.quote_note()}</p>
        </form>
    }
    .into_any())
}

/// What it costs, or what is in the way; and the refusal by itself, for the fields.
async fn quoted(
    exchange: &Exchange,
    template: &Template,
    typed: &TemplateForm,
    way: Way,
    actor: Option<&exchange::Actor>,
    t: &'static Words,
) -> (AnyView, Option<Fault>) {
    let asked = async {
        let launch = typed.launch(template)?;
        let spec = exchange.template_job(&template.id, &launch)?;
        let quote = exchange.quote(actor, &spec, None).await?;
        Ok::<_, Fault>((quote, spec))
    };
    match asked.await {
        Ok((quote, spec)) => {
            let poor = (actor.is_some() && !quote.affordable).then(|| {
                let needed = format::io_to_pay(quote.first_hold);
                let text = fill(t.launch_poor(), &[&needed, &format::io(quote.available)]);
                notice(Tone::Warn, text)
            });
            let estimate = estimate(template, typed, way, &spec, &quote, t);
            let besides = besides(&spec, t);
            (
                view! { {offered(&quote, t)}{estimate}{besides}{poor} }.into_any(),
                None,
            )
        }
        Err(fault) if fault.code() == Code::NoMatch && typed.waits() => (
            view! { <p class="figure">{t.quote_waits()}</p>{refused(&fault, t)} }.into_any(),
            None,
        ),
        Err(fault) => (refused(&fault, t), Some(fault)),
    }
}

/// What slices that are computed again may cost on top of it.
fn besides(spec: &JobSpec, t: &'static Words) -> Option<AnyView> {
    let checked = spec.recompute.as_ref().filter(|of| of.percent > 0)?;
    let text = fill(
        t.quote_checks(),
        &[
            &checked.percent.to_string(),
            &checked.slices.to_string(),
            &CHECKS_MAX.to_string(),
            &format::duration(Seconds::new(checked.seconds), t),
        ],
    );
    Some(view! { <p class="hint" data-besides="1">{text}</p> }.into_any())
}

/// What it is expected to cost, at the price of the quote.
fn estimate(
    template: &Template,
    typed: &TemplateForm,
    way: Way,
    spec: &JobSpec,
    quote: &QuoteView,
    t: &'static Words,
) -> AnyView {
    let setup = template.setup(way);
    let Some((setup, expected)) = setup.and_then(|setup| Some((setup, setup.expected.as_ref()?)))
    else {
        return view! { <p class="hint">{t.template_until_stopped()}</p> }.into_any();
    };
    let count = template.count(setup, &typed.inputs);
    let seconds = expected.seconds(count, spec.placement.nodes);
    let seconds = Seconds::new(seconds.get().min(spec.limits.duration_seconds));
    let cost = PricePerSecond::from_per_hour(quote.per_hour).and_then(|price| price.times(seconds));
    cost.map_or_else(
        |_| ().into_any(),
        |cost| {
            let (time, cost) = (format::duration(seconds, t), format::io_to_pay(cost));
            view! { <p class="font-medium" data-estimate="1">{fill(t.template_estimate(), &[&time, &cost])}</p> }.into_any()
        },
    )
}

fn ways(template: &Template, chosen: Way, t: &'static Words) -> AnyView {
    let options = template
        .ways()
        .into_iter()
        .map(|way| {
            view! {
                <label class="choice">
                    <input type="radio" name="way" value=way.as_str() checked=way == chosen/>
                    <span>{way_word(way, t)}</span>
                </label>
            }
            .into_any()
        })
        .parts();
    view! { <fieldset class="choices"><legend class="legend">{t.template_way()}</legend>{options}</fieldset> }.into_any()
}

/// Label, control, hint and what is wrong with it.
fn frame(
    id: &str,
    label: &str,
    hint: Option<&str>,
    error: Option<String>,
    control: impl FnOnce(Option<String>, Option<&'static str>) -> AnyView,
) -> AnyView {
    let ids: Vec<String> = [(error.is_some(), "error"), (hint.is_some(), "hint")]
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, part)| format!("{id}-{part}"))
        .collect();
    let described = (!ids.is_empty()).then(|| ids.join(" "));
    let control = control(described, error.as_ref().map(|_| "true"));
    let error =
        error.map(|error| view! { <p class="field-error" id=format!("{id}-error")>{error}</p> });
    let hint =
        hint.map(|hint| view! { <p class="hint" id=format!("{id}-hint")>{hint.to_owned()}</p> });
    view! { <div class="field"><label for=id.to_owned()>{label.to_owned()}</label>{control}{error}{hint}</div> }
        .into_any()
}

fn field(input: &Input, typed: &TemplateForm, fault: Option<&Fault>, t: &'static Words) -> AnyView {
    let value = typed.inputs.get(&input.name).unwrap_or(&input.default);
    let value = value.clone();
    let (id, name) = (
        format!("in-{}", input.name),
        format!("inputs[{}]", input.name),
    );
    let error = fault
        .and_then(|fault| fault.of_field(&format!("inputs.{}", input.name), locale()))
        .map(|error| told(&error, locale()));
    let hint = input.hint.as_ref().map(|hint| text(hint, t));
    let own = id.clone();
    frame(
        &id,
        text(&input.label, t),
        hint,
        error,
        |described, invalid| {
            let options: Vec<(String, String)> = match input.kind {
                InputKind::Choice => input
                    .choices
                    .iter()
                    .map(|choice| (choice.value.clone(), text(&choice.label, t).to_owned()))
                    .collect(),
                InputKind::Switch => vec![
                    ("1".to_owned(), t.yes().to_owned()),
                    ("0".to_owned(), t.no().to_owned()),
                ],
                _ => Vec::new(),
            };
            if options.is_empty() {
                let mode = match input.kind {
                    InputKind::Integer => Some("numeric"),
                    InputKind::Decimal => Some("decimal"),
                    _ => None,
                };
                let most = (input.kind == InputKind::Text).then(|| input.max_length.unwrap_or(200));
                return view! {
                <input class="input" id=own name=name type="text" value=value inputmode=mode maxlength=most autocomplete="off"
                    aria-invalid=invalid aria-describedby=described/>
            }
            .into_any();
            }
            let options = options
                .into_iter()
                .map(|(code, word)| {
                    let selected = code == value;
                    view! { <option value=code selected=selected>{word}</option> }.into_any()
                })
                .parts();
            view! { <select class="input" id=own name=name aria-invalid=invalid aria-describedby=described>{options}</select> }
            .into_any()
        },
    )
}

/// Limits that any job has.
fn limits(typed: &TemplateForm, fault: Option<&Fault>, t: &'static Words) -> AnyView {
    let fields = [
        (
            "max_price",
            "limits.max_price_per_hour",
            format!("{} ({})", t.need_max_price(), t.unit_price()),
            &typed.max_price,
        ),
        (
            "minutes",
            "limits.duration_seconds",
            format!("{} ({})", t.need_minutes(), t.unit_min()),
            &typed.minutes,
        ),
        (
            "wait",
            "limits.wait_seconds",
            format!("{} ({})", t.need_wait(), t.unit_min()),
            &typed.wait,
        ),
    ];
    let mut wrong = false;
    let fields: Vec<AnyView> = fields
        .into_iter()
        .map(|(name, field, label, value)| {
            let error = fault
                .and_then(|fault| fault.of_field(field, locale()))
                .map(|error| told(&error, locale()));
            wrong |= error.is_some();
            frame(name, &label, None, error, |described, invalid| {
                view! {
                    <input class="input" id=name name=name type="text" value=value.clone() inputmode="decimal" autocomplete="off"
                        aria-invalid=invalid aria-describedby=described/>
                }
                .into_any()
            })
        })
        .collect();
    let open = wrong
        || [&typed.max_price, &typed.minutes, &typed.wait]
            .iter()
            .any(|v| !v.is_empty());
    let fields = fields.into_iter().parts();
    view! {
        <details open=open>
            <summary class="legend min-h-11 flex items-center">{t.template_limits()}</summary>
            <div class="grid gap-4 mt-2">{fields}</div>
        </details>
    }
    .into_any()
}
