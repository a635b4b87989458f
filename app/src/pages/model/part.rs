//! The model's page, as the server writes it.

use kernel::{Amount, Seconds};
use leptos::prelude::*;
use protocol::spec::DeviceClass;
use protocol::view::{BookLevelView, ModelPriceView, ModelView, PricePointView};

use super::Asked;
use crate::api::exchange;
use crate::components::plot::{Sample, Span, path, thin};
use crate::components::{Cell, Column, Parts, empty, row, table, tag};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, words};
use crate::pages::wording;

const DAYS: [u64; 4] = [1, 7, 30, 90];
/// More points than this are more than a phone has pixels for.
const MOST_POINTS: usize = 360;
/// Points are taken every five minutes; a longer pause was one.
const GAP_MS: f64 = 900_000.0;

/// `arg` is an [`Asked`] as JSON.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let asked: Asked = serde_json::from_str(arg).unwrap_or_default();
    let t = words();
    let class = DeviceClass::parse(&asked.class).unwrap_or_default();
    let days = asked
        .days
        .parse()
        .ok()
        .filter(|days| DAYS.contains(days))
        .unwrap_or(7);
    let span = Seconds::new(days * 86_400);
    let Some(model) = exchange()?.model(class, &asked.name, span).await? else {
        return Ok(empty(
            t.model_unknown(),
            t.model_unknown_text(),
            Some((t.model_back(), "/".to_owned())),
        ));
    };
    Ok(view! {
        <div class="grid gap-6 lg:grid-cols-2 items-start">
            <section class="card grid gap-4 min-w-0">
                <h2 class="flex flex-wrap items-center gap-2">{model.model.clone()}{tag(wording::class(class))}</h2>
                {match &model.price {
                    Some(price) => index(price, t),
                    None => view! { <p class="hint">{t.model_not_now()}</p> }.into_any(),
                }}
                {rent(&model, t)}
            </section>
            <section class="card grid gap-4 min-w-0">
                <h2>{t.model_history()}</h2>
                {history(&model.history, t)}
                <nav class="chips" aria-label=t.model_span()>{spans(&asked, days, t)}</nav>
            </section>
        </div>
        <section class="mt-6 grid gap-3">
            <h2>{t.model_book()}</h2>
            {book(&model.asks, t)}
        </section>
    }
    .into_any())
}

fn index(price: &ModelPriceView, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    view! {
        <p class="figure">{format::per_hour_amount(price.fair, t)}</p>
        <p class="hint">{fill(t.model_samples(), &[&price.trades.to_string(), &price.asks.to_string()])}</p>
        <dl class="facts">
            {fact(t.model_lowest(), format::per_hour_amount(price.lowest, t))}
            {fact(t.model_median(), format::per_hour_amount(price.median, t))}
            {fact(t.model_scarcity(), wording::scarcity(&price.scarcity, t))}
        </dl>
    }
    .into_any()
}

fn rent(model: &ModelView, t: &'static Words) -> AnyView {
    let filter = format!("class={} gpu=\"{}\"", model.class.as_str(), model.model);
    let href = format!(
        "/launch?filter={}",
        leptos_router::location::Url::escape(&filter)
    );
    let word = if model.price.as_ref().is_some_and(|price| price.idle > 0) {
        t.market_rent_best()
    } else {
        t.model_order()
    };
    view! { <p><a class="btn primary" href=href>{word}</a></p> }.into_any()
}

fn spans(asked: &Asked, days: u64, t: &'static Words) -> AnyView {
    let escape = |text: &str| leptos_router::location::Url::escape(text);
    let link = |span: u64| {
        let href = format!(
            "/model?class={}&days={span}&name={}",
            escape(&asked.class),
            escape(&asked.name)
        );
        let on = (span == days).then_some("true");
        view! { <a class="chip" href=href aria-current=on>{fill(t.model_days(), &[&span.to_string()])}</a> }.into_any()
    };
    DAYS.into_iter().map(link).parts()
}

/// For a curve, not for a bill.
fn io(amount: Amount) -> f64 {
    amount.to_io().parse().unwrap_or(f64::NAN)
}

fn history(points: &[PricePointView], t: &'static Words) -> AnyView {
    let (Some(first), Some(last), true) = (points.first(), points.last(), points.len() > 1) else {
        return view! { <p class="hint">{t.model_no_history()}</p> }.into_any();
    };
    let line = |value: &dyn Fn(&PricePointView) -> Option<Amount>| -> Vec<Sample> {
        let at = |point: &PricePointView| point.at.millis().to_string().parse().unwrap_or(0.0);
        let sample = |point| {
            value(point).map(|amount| Sample {
                at: at(point),
                value: io(amount),
            })
        };
        thin(
            &points.iter().filter_map(sample).collect::<Vec<_>>(),
            MOST_POINTS,
        )
    };
    let fair = line(&|point| Some(point.fair));
    let lowest = line(&|point| point.lowest);
    let both: Vec<Sample> = fair.iter().chain(&lowest).copied().collect();
    let span = Span::of(&both);
    let label = |index: usize| span.grid().get(index).map(|value| format::number(*value));
    let name = fill(
        t.model_chart(),
        &[
            &format::price_number(first.fair),
            &format::price_number(last.fair),
            &format::moment(first.at),
        ],
    );
    view! {
        <figure class="chart">
            <div class="plot">
                <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label=name>
                    <path class="grid" d="M0 0H100M0 50H100M0 100H100"/>
                    <path class="line rest" d=path(&lowest, &span, GAP_MS)/>
                    <path class="line" d=path(&fair, &span, GAP_MS)/>
                </svg>
                <div class="ylabels" aria-hidden="true"><span>{label(0)}</span><span>{label(1)}</span><span>{label(2)}</span></div>
            </div>
            <div class="xlabels" aria-hidden="true"><span>{format::moment(first.at)}</span><span>{format::moment(last.at)}</span></div>
            <figcaption class="hint">{t.model_legend()}</figcaption>
        </figure>
    }
    .into_any()
}

fn book(levels: &[BookLevelView], t: &'static Words) -> AnyView {
    if levels.is_empty() {
        return view! { <p class="hint">{t.model_not_now()}</p> }.into_any();
    }
    let rows = levels
        .iter()
        .map(|level| {
            row(vec![
                Cell::title(
                    view! { <strong>{format::per_hour_amount(level.per_hour, t)}</strong> },
                ),
                Cell::end(t.col_offers(), level.offers.to_string()),
                Cell::end(t.col_free(), level.idle.to_string()),
            ])
        })
        .parts();
    let columns = vec![
        Column::new(t.col_price()),
        Column::end(t.col_offers()),
        Column::end(t.col_free()),
    ];
    table(t.model_book(), columns, rows)
}
