//! What a job measured: the processor, memory and graphics card each second, and the numbers it printed itself.

use leptos::prelude::*;
use protocol::view::{JobView, SampleView};

use crate::components::{Chart, Parts, Sample, Tone, Unit, notice, part, skeleton_block};
use crate::i18n::words;

/// Numbers that a job prints come when it has them, not each second.
const METRIC_GAP_MS: f64 = 120_000.0;
const MIB: f64 = 1_048_576.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this century are exact in a double"
)]
fn at(sample: &SampleView) -> f64 {
    sample.at.millis() as f64
}

/// One curve out of the samples.
fn curve(
    samples: RwSignal<Option<Vec<SampleView>>>,
    pick: impl Fn(&SampleView) -> Option<f64> + Send + Sync + 'static,
) -> Signal<Vec<Sample>> {
    Signal::derive(move || {
        samples.with(|samples| {
            let samples = samples.iter().flatten();
            samples
                .filter_map(|sample| {
                    Some(Sample {
                        at: at(sample),
                        value: pick(sample)?,
                    })
                })
                .collect()
        })
    })
}

pub fn metrics(job: RwSignal<JobView>, samples: RwSignal<Option<Vec<SampleView>>>) -> AnyView {
    let t = words();
    let loaded = Memo::new(move |_| samples.with(Option::is_some));
    let empty =
        Memo::new(move |_| samples.with(|samples| samples.as_ref().is_none_or(Vec::is_empty)));
    let has_gpu = Memo::new(move |_| {
        samples.with(|samples| {
            samples
                .iter()
                .flatten()
                .any(|sample| sample.data.gpu_percent.is_some())
        })
    });
    let names = job.with_untracked(|job| job.spec.metrics.clone());
    part(move || {
        if !loaded.get() {
            return skeleton_block(t.loading);
        }
        if empty.get() {
            return notice(Tone::Idle, t.metrics_none);
        }
        let own = names
            .clone()
            .into_iter()
            .map(|name| {
                let wanted = name.clone();
                let samples = curve(samples, move |sample| {
                    sample.data.metrics.iter().rev().find(|metric| metric.name == wanted).map(|metric| metric.value)
                });
                view! { <div class="card"><Chart title=name unit=Unit::Plain samples=samples gap_ms=METRIC_GAP_MS/></div> }
            })
            .parts();
        let cpu = curve(samples, |sample| Some(f64::from(sample.data.cpu_percent)));
        let memory = curve(samples, |sample| Some(f64::from(sample.data.memory_mib) * MIB));
        let gpu = has_gpu.get().then(|| {
            let busy = curve(samples, |sample| sample.data.gpu_percent.map(f64::from));
            let memory = curve(samples, |sample| sample.data.gpu_memory_mib.map(|mib| f64::from(mib) * MIB));
            view! {
                <div class="card"><Chart title=t.chart_gpu unit=Unit::Percent samples=busy/></div>
                <div class="card"><Chart title=t.chart_gpu_memory unit=Unit::Bytes samples=memory/></div>
            }
        });
        view! {
            <div class="grid gap-4 md:grid-cols-2">
                {own}
                <div class="card"><Chart title=t.chart_cpu unit=Unit::Percent samples=cpu/></div>
                <div class="card"><Chart title=t.chart_memory unit=Unit::Bytes samples=memory/></div>
                {gpu}
            </div>
        }
        .into_any()
    })
    .into_any()
}
