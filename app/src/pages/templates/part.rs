//! The list of templates, and one of them, as the server writes them.

use exchange::Exchange;
use leptos::prelude::*;
use protocol::template::{Both, Kind, Setup, Template, TemplateSummary, Way};

use super::form;
use crate::api::exchange;
use crate::components::{Parts, empty};
use crate::fault::Fault;
use crate::i18n::{Locale, Words, fill, words};
use crate::markdown;
use crate::pages::Asked;
use crate::template_form::TemplateForm;

pub(super) fn text<'a>(both: &'a Both, t: &Words) -> &'a str {
    match t.locale() {
        Locale::En => &both.en,
        Locale::Zh => &both.zh,
    }
}

fn kind_word(kind: Kind, t: &Words) -> &'static str {
    match kind {
        Kind::Training => t.template_training(),
        Kind::Inference => t.template_inference(),
        Kind::Rendering => t.template_rendering(),
        Kind::Tool => t.template_tool(),
    }
}

pub(super) fn way_word(way: Way, t: &Words) -> &'static str {
    match way {
        Way::Small => t.template_small(),
        Way::Gpu => t.template_gpu(),
    }
}

/// `query`: `q` words to find, `kind` of which kind.
pub async fn list_part(query: &str) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let t = words();
    let asked = Asked::of(query);
    let words = asked.get("q").unwrap_or_default();
    let kind = asked.get("kind").and_then(|kind| Kind::parse(&kind));
    let found: Vec<TemplateSummary> = exchange
        .settings()
        .templates
        .all()
        .iter()
        .filter(|template| kind.is_none_or(|kind| template.kind == kind))
        .filter(|template| template.has_words(&words))
        .map(Template::summary)
        .collect();
    let groups = Kind::ALL
        .into_iter()
        .filter_map(|kind| group(kind, &found, t))
        .parts();
    let list = if found.is_empty() {
        let all = Some((t.templates_all(), "/templates".to_owned()));
        empty(t.templates_none(), t.templates_none_text(), all)
    } else {
        view! { <div class="grid gap-8">{groups}</div> }.into_any()
    };
    Ok(view! { {search(&words, kind, t)}{list} }.into_any())
}

fn search(words: &str, chosen: Option<Kind>, t: &'static Words) -> AnyView {
    let chips = [None]
        .into_iter()
        .chain(Kind::ALL.map(Some))
        .map(|kind| {
            let (word, code) = kind.map_or((t.templates_all(), ""), |kind| {
                (kind_word(kind, t), kind.as_str())
            });
            let href = match (code, words) {
                ("", "") => "/templates".to_owned(),
                (code, words) => format!(
                    "/templates?kind={code}&q={}",
                    leptos_router::location::Url::escape(words)
                ),
            };
            let current = (kind == chosen).then_some("true");
            view! { <a class="chip" href=href aria-current=current>{word}</a> }.into_any()
        })
        .parts();
    let kind = chosen.map(|kind| view! { <input type="hidden" name="kind" value=kind.as_str()/> });
    view! {
        <form class="chips mb-4" method="get" action="/templates" role="search">
            {kind}
            <div class="field">
                <label for="q">{t.templates_search()}</label>
                <input class="input" id="q" name="q" type="search" maxlength="80" value=words.to_owned()/>
            </div>
            <button class="btn" type="submit">{t.templates_find()}</button>
        </form>
        <nav class="chips mb-6" aria-label=t.templates_kinds()>{chips}</nav>
    }
    .into_any()
}

fn group(kind: Kind, found: &[TemplateSummary], t: &'static Words) -> Option<AnyView> {
    let cards: Vec<AnyView> = found
        .iter()
        .filter(|template| template.kind == kind)
        .map(|template| card(template, t))
        .collect();
    if cards.is_empty() {
        return None;
    }
    let cards = cards.into_iter().parts();
    Some(
        view! {
            <section>
                <h2 class="mb-3">{kind_word(kind, t)}</h2>
                <div class="choices sm:grid-cols-2 lg:grid-cols-3">{cards}</div>
            </section>
        }
        .into_any(),
    )
}

fn card(template: &TemplateSummary, t: &'static Words) -> AnyView {
    let ways = template
        .ways
        .iter()
        .map(|way| {
            let word = match (way, template.min_vram_gib) {
                (Way::Gpu, Some(gib)) => fill(t.template_vram(), &[&gib.to_string()]),
                (way, _) => way_word(*way, t).to_owned(),
            };
            view! { <span class="tag">{word}</span> }.into_any()
        })
        .parts();
    let href = format!("/templates/{}", template.id);
    view! {
        <a class="choice" href=href data-row="1">
            <span class="grid gap-1">
                <strong>{text(&template.title, t).to_owned()}</strong>
                <span class="hint">{text(&template.summary, t).to_owned()}</span>
                <span class="flex flex-wrap gap-2 mt-1">{ways}</span>
            </span>
        </a>
    }
    .into_any()
}

/// `address`: the template's id, and behind it the page's query.
pub async fn one_part(address: &str) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let typed = TemplateForm::of_address(address);
    let template = exchange.template(&typed.id)?;
    let t = words();
    let tried = address.contains("&tried=1");
    let launch = form::launch_card(&exchange, template, &typed, tried).await?;
    Ok(view! {
        {head(template, t)}
        <div class="grid grid-cols-1 gap-6 lg:grid-cols-[1fr_22rem]">
            <div class="min-w-0 grid grid-cols-1 gap-6 content-start order-2 lg:order-1">
                {needs(template, t)}
                <article class="prose readme" inner_html=markdown::to_html(text(&template.readme, t))></article>
                {files(&exchange, template, t)}
            </div>
            <div class="min-w-0 order-1 lg:order-2">{launch}</div>
        </div>
    }
    .into_any())
}

fn head(template: &Template, t: &'static Words) -> AnyView {
    let title = text(&template.title, t).to_owned();
    view! {
        <p class="mb-2"><a href="/templates">{t.templates_title()}</a>" · "{kind_word(template.kind, t)}</p>
        <h2 class="mb-2">{title.clone()}</h2>
        <p class="lead mb-2">{text(&template.summary, t).to_owned()}</p>
        <p class="hint mb-4">{fill(t.template_version(), &[&title, &template.version, &template.licence])}</p>
    }
    .into_any()
}

/// What is needed here and on a real GPU, and what it serves.
fn needs(template: &Template, t: &'static Words) -> AnyView {
    let setups = template
        .ways()
        .into_iter()
        .filter_map(|way| template.setup(way).map(|setup| need(way, setup, t)))
        .parts();
    let ports = template
        .ports
        .iter()
        .map(|port| {
            view! { <li><span class="mono">{port.port}</span>" · "{text(&port.what, t).to_owned()}</li> }.into_any()
        })
        .parts();
    let ports = (!template.ports.is_empty()).then(
        || view! { <h3 class="mt-4">{t.template_ports()}</h3><ul class="list-disc pl-5">{ports}</ul> },
    );
    view! { <section class="card"><h2>{t.template_needs()}</h2>{setups}{ports}</section> }
        .into_any()
}

fn need(way: Way, setup: &Setup, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: Option<String>| {
        value.map(
            |value| view! { <div class="contents"><dt>{label}</dt><dd class="mono break-all">{value}</dd></div> },
        )
    };
    let packages = (!setup.packages.is_empty()).then(|| setup.packages.join(", "));
    let vram = setup.min_vram_gib.map(|gib| format!("{gib} GiB"));
    let basis = setup.expected.as_ref().map(|expected| {
        view! { <p class="hint mt-2">{t.template_basis()}" "{text(&expected.basis, t).to_owned()}</p> }
    });
    view! {
        <div class="mt-3">
            <h3>{way_word(way, t)}</h3>
            <p class="prose">{text(&setup.needs, t).to_owned()}</p>
            <dl class="facts mt-2 empty:hidden">
                {fact(t.template_card_memory(), vram)}
                {fact("CUDA", setup.cuda.clone())}
                {fact(t.template_image(), setup.image.clone())}
                {fact(t.template_packages(), packages)}
            </dl>
            {basis}
        </div>
    }
    .into_any()
}

/// What runs, to be read before it does.
fn files(exchange: &Exchange, template: &Template, t: &'static Words) -> AnyView {
    let files = template
        .files
        .iter()
        .map(|file| {
            view! {
                <details class="mt-2">
                    <summary class="legend min-h-11 flex items-center mono">{file.path.clone()}</summary>
                    <pre class="code" tabindex="0">{file.content.clone()}</pre>
                </details>
            }
            .into_any()
        })
        .parts();
    let api = format!(
        "{}/api/v1/templates/{}",
        exchange.settings().public_url,
        template.id
    );
    view! {
        <section class="card">
            <h2>{t.template_files()}</h2>
            {files}
            <p class="hint mt-3">{t.template_api()}" "<a class="mono break-all" href=format!("/api/v1/templates/{}", template.id) rel="external">{api}</a></p>
        </section>
    }
    .into_any()
}
