//! What a job measured: the processor, memory and graphics card each second, and the numbers it printed itself.

use leptos::prelude::*;

use crate::components::{Chart, Parts, Sample, Tone, Unit, notice, part, skeleton_block};
use crate::i18n::{fill, words};
use crate::live::SampleRow;

/// Numbers that a job prints come when it has them, not each second.
const METRIC_GAP_MS: f64 = 120_000.0;
const MIB: f64 = 1_048_576.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this century are exact in a double"
)]
fn at(sample: &SampleRow) -> f64 {
    sample.at.millis() as f64
}

/// One curve out of the samples.
fn curve(
    samples: RwSignal<Vec<SampleRow>>,
    member: RwSignal<u32>,
    pick: impl Fn(&SampleRow) -> Option<f64> + Send + Sync + 'static,
) -> Signal<Vec<Sample>> {
    Signal::derive(move || {
        let member = member.get();
        samples.with(|samples| {
            let own = samples.iter().filter(|sample| sample.member == member);
            let points = own.filter_map(|sample| {
                pick(sample).map(|value| Sample {
                    at: at(sample),
                    value,
                })
            });
            points.collect()
        })
    })
}

/// Which of several machines the curves are of.
fn chooser(members: u32, member: RwSignal<u32>) -> Option<AnyView> {
    if members < 2 {
        return None;
    }
    let t = words();
    let options = (0..members)
        .map(|n| {
            let name = fill(t.job_member(), &[&n.to_string()]);
            view! { <option value=n.to_string()>{name}</option> }
        })
        .parts();
    let choose = move |event| member.set(event_target_value(&event).parse().unwrap_or(0));
    Some(
        view! {
            <label class="field mb-3">
                <span>{t.job_member_shown()}</span>
                <select class="input" on:change=choose>{options}</select>
            </label>
        }
        .into_any(),
    )
}

pub fn metrics(
    names: &[String],
    members: u32,
    samples: RwSignal<Vec<SampleRow>>,
    read: RwSignal<bool>,
    over: RwSignal<bool>,
) -> AnyView {
    let t = words();
    let member = RwSignal::new(0_u32);
    // Whether there is anything, and whether any of it is of a graphics card: the charts are laid out anew only then.
    let kind = Memo::new(move |_| {
        samples.with(|samples| {
            let gpu = samples.iter().any(|sample| sample.gpu_percent.is_some());
            (u8::from(!samples.is_empty()), u8::from(gpu))
        })
    });
    let names = names.to_vec();
    part(move || {
        if !read.get() {
            return skeleton_block(t.loading());
        }
        let (some, gpu) = kind.get();
        if some == 0 {
            let none = if over.get() {
                t.metrics_never()
            } else {
                t.metrics_none()
            };
            return notice(Tone::Idle, none);
        }
        let own = names
            .clone()
            .into_iter()
            .map(|name| {
                let wanted = name.clone();
                let samples = curve(samples, member, move |sample| {
                    sample.metrics.iter().rev().find(|metric| metric.name == wanted).map(|metric| metric.value)
                });
                view! { <div class="card"><Chart title=name unit=Unit::Plain samples=samples gap_ms=METRIC_GAP_MS/></div> }
            })
            .parts();
        let cpu = curve(samples, member, |sample| Some(f64::from(sample.cpu_percent)));
        let memory = curve(samples, member, |sample| Some(f64::from(sample.memory_mib) * MIB));
        let gpu = (gpu == 1).then(|| {
            let busy = curve(samples, member, |sample| sample.gpu_percent.map(f64::from));
            let memory = curve(samples, member, |sample| sample.gpu_memory_mib.map(|mib| f64::from(mib) * MIB));
            view! {
                <div class="card"><Chart title=t.chart_gpu() unit=Unit::Percent samples=busy/></div>
                <div class="card"><Chart title=t.chart_gpu_memory() unit=Unit::Bytes samples=memory/></div>
            }
        });
        view! {
            {chooser(members, member)}
            <div class="grid gap-4 md:grid-cols-2">
                {own}
                <div class="card"><Chart title=t.chart_cpu() unit=Unit::Percent samples=cpu/></div>
                <div class="card"><Chart title=t.chart_memory() unit=Unit::Bytes samples=memory/></div>
                {gpu}
            </div>
        }
        .into_any()
    })
    .into_any()
}
