//! The quote, as the server writes it.

use leptos::prelude::*;
use protocol::Code;
use protocol::view::{QuoteLineKind, QuoteView};

use crate::api::{actor_or_none, exchange};
use crate::components::{Parts, Tone, notice};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, reason, told, words};
use crate::launch_form::LaunchForm;
use crate::pages::wording;
use crate::templates::QuotePart;

/// What the form as it stands would cost, or what it still lacks.
pub async fn quote_part(form: &LaunchForm) -> Result<QuotePart, Fault> {
    let t = words();
    let quote = match (form.spec(), form.device()) {
        (Ok(spec), Ok(device)) => {
            let actor = actor_or_none().await?;
            exchange()?
                .hold_quote(actor.as_ref(), &spec, device)
                .await
                .map_err(Fault::from)
        }
        (Err(problem), _) | (_, Err(problem)) => Err(Fault(problem)),
    };
    let part = |view: AnyView, off_because: String| QuotePart {
        html: view.to_html(),
        off_because,
        id: String::new(),
        seconds: 0,
    };
    Ok(match quote {
        Ok(quote) => {
            let off = if quote.affordable {
                String::new()
            } else {
                fill(
                    t.launch_poor(),
                    &[
                        &format::io_to_pay(quote.first_hold),
                        &format::io(quote.available),
                    ],
                )
            };
            let holds = quote
                .valid_until
                .map_or(0, |until| until.seconds_since(quote.quoted_at).get());
            QuotePart {
                id: quote.id.map(|id| id.to_string()).unwrap_or_default(),
                seconds: u32::try_from(holds).unwrap_or(0),
                ..part(offered(&quote, t), off)
            }
        }
        Err(fault) if fault.code() == Code::Invalid => part(incomplete(&fault, t), String::new()),
        Err(fault) if fault.code() == Code::NoMatch && form.waits() => part(
            view! { <p class="figure">{t.quote_waits()}</p>{refused(&fault, t)} }.into_any(),
            String::new(),
        ),
        Err(fault) => part(refused(&fault, t), String::new()),
    })
}

/// The form is not complete yet: which fields, quietly, because somebody may still be typing.
fn incomplete(fault: &Fault, t: &'static Words) -> AnyView {
    view! { <p class="hint">{t.quote_waiting()}</p>{fields(fault)} }.into_any()
}

/// What is in the way, in a notice.
pub fn refused(fault: &Fault, t: &'static Words) -> AnyView {
    let tone = if fault.code() == Code::NoMatch {
        Tone::Warn
    } else {
        Tone::Bad
    };
    let sentence = fault.sentence(locale());
    // One reason alone is what the sentence says already.
    let more = (fault.0.fields.len() > 1 || fault.code() != Code::NoMatch).then(|| fields(fault));
    notice(
        tone,
        view! { <p class="font-medium">{fault.title(t)}</p><p>{sentence}</p>{more} },
    )
}

fn fields(fault: &Fault) -> AnyView {
    let locale = locale();
    let items = fault
        .0
        .fields
        .iter()
        .map(|problem| {
            let message = told(&problem.message, locale);
            view! { <li>{reason(&problem.field, locale).to_owned()}": "{message}</li> }
        })
        .parts();
    view! { <ul class="hint mt-1">{items}</ul> }.into_any()
}

/// `RTX 4090 · node-1`, or how many of them.
fn where_it_runs(quote: &QuoteView) -> String {
    let place = format!("{} · {}", quote.offer.model, quote.offer.node_name);
    match quote.offers.len() {
        0 | 1 => place,
        several => format!("{several} × {place} …"),
    }
}

/// How long the balance lasts, unless nothing is taken from it.
fn runway(quote: &QuoteView, t: &Words) -> String {
    if quote.per_hour.is_zero() {
        return t.quote_no_cost().to_owned();
    }
    fill(t.quote_runway(), &[&format::duration(quote.runway, t)])
}

/// What a quote says.
pub fn offered(quote: &QuoteView, t: &'static Words) -> AnyView {
    let fee = exchange().map_or_else(
        |_| String::new(),
        |exchange| {
            let points = exchange.settings().fee_requester.get();
            format!("{}.{:02}", points / 100, points % 100)
        },
    );
    let lines = quote
        .lines
        .iter()
        .map(|line| {
            let word = match line.kind {
                QuoteLineKind::Base => t.quote_base(),
                QuoteLineKind::Constraints => t.quote_constraints(),
                QuoteLineKind::Fee => t.quote_fee(),
                QuoteLineKind::Egress => t.quote_egress(),
            };
            let word = fill(word, &[&fee]);
            let amount = if line.kind == QuoteLineKind::Egress {
                t.quote_free().to_owned()
            } else {
                format::per_hour_amount(line.per_hour, t)
            };
            view! { <div class="contents"><dt>{word}</dt><dd>{amount}</dd></div> }
        })
        .parts();
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd>{value}</dd></div> };
    let room = quote.makes_room.map(|within| {
        let text = fill(t.quote_makes_room(), &[&format::duration(within, t)]);
        notice(Tone::Busy, text)
    });
    view! {
        {room}
        <p class="figure">{format::per_hour_amount(quote.per_hour, t)}</p>
        <p class="hint">{where_it_runs(quote)}" · "{fill(t.quote_matching(), &[&quote.matching.to_string()])}</p>
        <dl class="facts">
            {lines}
            {fact(t.quote_at_most(), format::io_to_pay(quote.at_most))}
            {fact(t.quote_hold(), format::io_to_pay(quote.first_hold))}
            {fact(t.quote_available(), format::io(quote.available))}
            {fact(t.model_scarcity(), wording::scarcity(&quote.scarcity, t))}
        </dl>
        <p class="font-medium">{runway(quote, t)}</p>
    }
    .into_any()
}
