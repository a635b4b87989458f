//! A live line chart: 1.5 px line, three grid lines, the value at the cursor.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::dynamic::{attr, part};
use super::plot::{SIZE, Sample, Span, nearest, path, round_up, round_up_bytes, thin};
use crate::format;

/// More points than this are more than a phone has pixels for.
const MOST_POINTS: usize = 360;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Plain,
    Percent,
    Bytes,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Plain => format::number(value),
            Self::Percent => format!("{} %", format::number(value)),
            Self::Bytes => format::bytes(value),
        }
    }

    /// Where an axis may end.
    const fn round_up(self) -> fn(f64) -> f64 {
        match self {
            Self::Plain | Self::Percent => round_up,
            Self::Bytes => round_up_bytes,
        }
    }
}

/// `samples` in the order of time; where two are more than `gap_ms` apart, and not only thinned, the line is broken.
#[component]
pub fn Chart(
    #[prop(into)] title: String,
    unit: Unit,
    #[prop(into)] samples: Signal<Vec<Sample>>,
    #[prop(default = 5_000.0)] gap_ms: f64,
) -> AnyView {
    // Share of the width under the pointer, while there is one.
    let cursor = RwSignal::new(None::<f64>);
    let shown = Memo::new(move |_| samples.with(|samples| thin(samples, MOST_POINTS)));
    let span =
        Signal::derive(move || shown.with(|samples| Span::rounded(samples, unit.round_up())));
    let picked = Signal::derive(move || {
        shown.with(|samples| match cursor.get() {
            Some(share) => nearest(samples, &span.get(), share),
            None => samples.last().copied(),
        })
    });
    let label = move |index: usize| span.get().grid().get(index).map(|value| unit.write(*value));
    let time = move |pick: fn(&Span) -> f64| {
        let span = span.get();
        shown
            .with(|samples| !samples.is_empty())
            .then(|| format::time_of_day(pick(&span)))
    };
    let name = title.clone();
    view! {
        <figure class="chart">
            <div class="chart-head">
                <h3>{title}</h3>
                <output>{part(move || picked.get().map(|sample| unit.write(sample.value)))}</output>
            </div>
            <div class="plot">
                <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label=name
                    on:pointermove=move |event| {
                        let target = event.current_target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
                        if let Some(rect) = target.map(|target| target.get_bounding_client_rect()) {
                            cursor.set(Some((f64::from(event.client_x()) - rect.left()) / rect.width().max(1.0)));
                        }
                    }
                    on:pointerleave=move |_| cursor.set(None)>
                    <path class="grid" d="M0 0H100M0 50H100M0 100H100"/>
                    <path class="line" d=attr(move || Some(shown.with(|samples| path(samples, &span.get(), gap_ms))))/>
                    <path class="cursor" d=attr(move || {
                        cursor.get().and(picked.get()).map(|sample| {
                            let (x, y) = span.get().place(&sample);
                            format!("M{x:.2} 0V{SIZE}M0 {y:.2}H{SIZE}")
                        })
                    })/>
                </svg>
                <div class="ylabels" aria-hidden="true">
                    <span>{part(move || label(0))}</span><span>{part(move || label(1))}</span><span>{part(move || label(2))}</span>
                </div>
            </div>
            <div class="xlabels" aria-hidden="true">
                <span>{part(move || time(|span| span.from))}</span>
                <span>{part(move || match (cursor.get(), picked.get()) {
                    (Some(_), Some(sample)) => Some(format::time_of_day(sample.at)),
                    _ => None,
                })}</span>
                <span>{part(move || time(|span| span.to))}</span>
            </div>
        </figure>
    }
    .into_any()
}
