//! One job: its state, what it costs, and behind tabs what it measured, printed, cost, was receipted and left.

mod charts;
mod tabs;

use kernel::JobId;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use protocol::live::{Live, Topic};
use protocol::state::JobState;
use protocol::view::{JobView, LogPage, ReceiptView, SampleView};

use super::wording;
use super::{live_dot, load, stale_notice};
use crate::api::jobs::{Job, JobPage, Log, ReadJobPage, Receipts, Samples, Stop};
use crate::api::{Post, PostForm, ask, data, then};
use crate::components::{
    Confirm, Kind, LogTail, Meter, PageHead, Parts, Submit, Tone, effect, notice, part,
    skeleton_block, tabs as tab_bar,
};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{fill, words};
use crate::live::{News, watch};
use crate::session::reading;

/// A chart needs no more, and a job of days must not fill the page's memory.
const SAMPLES_MAX: usize = 1_200;

/// What a tab is called in the address.
pub const METRICS: &str = "metrics";
pub const LOGS: &str = "logs";
pub const COST: &str = "cost";
pub const RECEIPTS: &str = "receipts";
pub const FILES: &str = "files";

/// Everything that changes while the page is open. What a tab needs is read when it is first opened.
#[derive(Debug, Clone, Copy)]
struct State {
    id: JobId,
    job: RwSignal<JobView>,
    samples: RwSignal<Option<Vec<SampleView>>>,
    log: RwSignal<Option<LogTail>>,
    receipts: RwSignal<Option<Vec<ReceiptView>>>,
    /// More output is being read.
    reading_log: StoredValue<bool>,
}

pub fn page() -> impl IntoView {
    let t = words();
    let params = use_params_map();
    let query = use_query_map();
    let id = Signal::derive(move || params.with(|params| params.get("id").unwrap_or_default()));
    let tab = Signal::derive(move || {
        let tab = query.with(|query| query.get("tab").unwrap_or_default());
        let known = [LOGS, COST, RECEIPTS, FILES].contains(&tab.as_str());
        if known { tab } else { METRICS.to_owned() }
    });
    let page = data(Signal::derive(move || {
        ask(ReadJobPage {
            id: id.get(),
            tab: tab.get_untracked(),
        })
    }));
    let title = format!("{} {}", t.job, format::short_id(&id.get_untracked()));
    view! {
        <PageHead title=title/>
        {load(page, |t| skeleton_block(t.loading), move |page| show(page, tab.into()))}
    }
}

impl State {
    fn new(page: JobPage) -> Self {
        let log = page.log.map(|page| {
            let mut tail = LogTail::default();
            tabs::take_lines(&mut tail, &page.lines);
            tail
        });
        Self {
            id: page.job.summary.id,
            job: RwSignal::new(page.job),
            samples: RwSignal::new(page.samples),
            log: RwSignal::new(log),
            receipts: RwSignal::new(page.receipts),
            reading_log: StoredValue::new(false),
        }
    }

    /// Reads what a tab shows; in the browser, when it is opened and when frames were lost.
    fn read(self, tab: &str) {
        match tab {
            METRICS => then(ask(Samples { id: self.id }), move |samples| {
                _ = self.samples.try_set(Some(samples))
            }),
            LOGS => self.read_log(),
            RECEIPTS => then(ask(Receipts { id: self.id }), move |receipts| {
                _ = self.receipts.try_set(Some(receipts))
            }),
            _ => {}
        }
    }

    /// Reads the output after what is known, to its end.
    fn read_log(self) {
        if self.reading_log.try_get_value() != Some(false) {
            return;
        }
        self.reading_log.set_value(true);
        leptos::task::spawn_local(async move {
            let mut after = self
                .log
                .try_with_untracked(|log| log.as_ref().map_or(0, |log| log.last))
                .unwrap_or_default();
            while let Ok(page) = ask(Log { id: self.id, after }).get::<LogPage>().await {
                after = page.next;
                let taken = self
                    .log
                    .try_update(|log| tabs::take_lines(log.get_or_insert_default(), &page.lines));
                if !page.more || taken.is_none() {
                    break;
                }
            }
            _ = self.reading_log.try_set_value(false);
        });
    }

    fn reread(self, tab: &str) {
        then(
            ask(Job {
                id: self.id.to_string(),
            }),
            move |job| _ = self.job.try_set(job),
        );
        self.read(tab);
    }

    fn take(self, frame: &Live) {
        match frame {
            Live::Job { job, event, meter } => {
                let ended = job.state.is_final();
                _ = self.job.try_update(|known| {
                    known.summary.clone_from(job);
                    known.meter = *meter;
                    if let Some(event) = event
                        .clone()
                        .filter(|event| known.events.last() != Some(event))
                    {
                        known.events.push(event);
                    }
                });
                if ended || event.is_some() {
                    // Leases and files change together with the state.
                    self.reread(COST);
                }
            }
            Live::Meter { meter, .. } => _ = self.job.try_update(|job| job.meter = *meter),
            Live::Samples { samples } => {
                _ = self.samples.try_update(|known| {
                    let Some(known) = known else { return };
                    known.extend(samples.iter().cloned());
                    if known.len() > SAMPLES_MAX {
                        let mut keep = false;
                        known.retain(|_| {
                            keep = !keep;
                            keep
                        });
                    }
                });
            }
            Live::Log { lines } => {
                let gap = self.log.try_update(|log| {
                    let Some(log) = log else { return false };
                    let gap = lines
                        .first()
                        .is_some_and(|line| line.seq > log.last.saturating_add(1));
                    if !gap {
                        tabs::take_lines(log, lines);
                    }
                    gap
                });
                if gap == Some(true) {
                    self.read_log();
                }
            }
            Live::Receipt { .. } => {
                if self.receipts.try_with_untracked(Option::is_some) == Some(true) {
                    self.read(RECEIPTS);
                }
            }
            Live::Node { .. } | Live::Offer { .. } | Live::OfferGone { .. } => {}
        }
    }
}

fn show(page: JobPage, tab: Signal<String>) -> AnyView {
    let t = words();
    let state = State::new(page);
    watch(Topic::Job(state.id), move |news| match news {
        News::Frame(frame) => state.take(frame),
        News::Reread => state.reread(&tab.get_untracked()),
    });
    effect(move || {
        let tab = tab.get();
        let missing = match tab.as_str() {
            METRICS => state.samples.with_untracked(Option::is_none),
            LOGS => true,
            RECEIPTS => state.receipts.with_untracked(Option::is_none),
            _ => false,
        };
        if missing {
            state.read(&tab);
        }
    });
    let base = format!("/jobs/{}", state.id);
    let link = |code: &str| format!("{base}?tab={code}");
    let bar = tab_bar(
        t.job_tabs,
        vec![
            (METRICS, t.tab_metrics, link(METRICS)),
            (LOGS, t.tab_logs, link(LOGS)),
            (COST, t.tab_cost, link(COST)),
            (RECEIPTS, t.tab_receipts, link(RECEIPTS)),
            (FILES, t.tab_files, link(FILES)),
        ],
        tab,
    );
    let body = part(move || match tab.get().as_str() {
        LOGS => tabs::logs(state.log, state.id),
        COST => tabs::cost(state.job),
        RECEIPTS => tabs::receipts(state.receipts, state.id),
        FILES => tabs::files(state.job),
        _ => charts::metrics(state.job, state.samples),
    });
    view! {
        {stale_notice()}
        {head(state)}
        <div class="grid gap-6 lg:grid-cols-[1fr_18rem]">
            <div class="min-w-0">{bar}{body}</div>
            <section class="min-w-0">{tabs::happened(state.job)}</section>
        </div>
    }
    .into_any()
}

/// State, meter, how it ended, and the way to stop it.
fn head(state: State) -> AnyView {
    let t = words();
    let job = state.job;
    let query = use_query_map();
    let path = format!("/jobs/{}", state.id);
    let stop = Post::to::<Stop>();
    let fault = stop.fault();
    let asked =
        Signal::derive(move || query.with(|query| query.get("confirm").as_deref() == Some("stop")));
    let over = Memo::new(move |_| job.with(|job| job.summary.state.is_final()));
    let open = Signal::derive(move || asked.get() && !over.get());
    let ask = format!("{path}?confirm=stop");
    let meter = Signal::derive(move || {
        let mut reading = job.with(|job| reading(&job.meter, t));
        if over.get() {
            // Nothing runs: the job's own total is what counts.
            reading.spent = job.with(|job| format::io(job.summary.spent));
        }
        reading
    });
    view! {
        <div class="row-actions justify-between mb-4">
            <div class="flex flex-wrap items-center gap-x-4 gap-y-1">
                <h2 class="text-16">{part(move || job.with(|job| job.summary.name.clone()))}</h2>
                <span role="status">{part(move || wording::job_state(job.with(|job| job.summary.state), t))}</span>
                {live_dot()}
            </div>
            {part(move || (!over.get()).then(|| view! { <a class="btn danger" href=ask.clone() data-noscroll="true">{t.stop}</a> }))}
        </div>
        {form_fault(fault, &[])}
        <Confirm open=open title=t.stop_title text=t.stop_text close=path>
            <PostForm post=stop>
                <input type="hidden" name="id" value=state.id.to_string()/>
                <Submit label=t.stop kind=Kind::Danger busy=stop.pending/>
            </PostForm>
        </Confirm>
        {steps(job)}
        <div class="panel-meter my-4"><Meter reading=meter/></div>
        {part(move || job.with(|job| {
            let end = job.summary.end.as_ref().filter(|_| job.summary.state.is_final())?;
            Some(view! { <div class="mb-4">{notice(wording::end_tone(end), wording::run_end(end, t))}</div> })
        }))}
        {part(move || {
            // Lost its machine and waits for another: said plainly, with what it costs (nothing).
            let again = job.with(|job| job.summary.restarts > 0 && job.summary.state == JobState::Matching);
            again.then(|| notice(Tone::Warn, t.job_again))
        })}
    }
    .into_any()
}

/// Where the job is on its way.
fn steps(job: RwSignal<JobView>) -> AnyView {
    let t = words();
    part(move || {
        let state = job.with(|job| job.summary.state);
        let restarts = job.with(|job| job.summary.restarts);
        let ways = [
            (JobState::Matching, t.job_matching),
            (JobState::Starting, t.job_starting),
            (JobState::Running, t.job_running),
        ];
        let last = match state {
            JobState::Failed => (JobState::Failed, t.job_failed),
            JobState::Stopped => (JobState::Stopped, t.job_stopped),
            _ => (JobState::Finished, t.job_finished),
        };
        let items = ways
            .into_iter()
            .chain([last])
            .map(|(step, word)| {
                let current = (step == state).then_some("step");
                let passed = passed(step, state);
                let drawing = crate::components::shape(if passed { Tone::Ok } else if step == state { Tone::Busy } else { Tone::Idle });
                view! { <li aria-current=current><span class="state"><span class=step_class(passed, step == state)>{drawing}</span></span>{word}</li> }
            })
            .parts();
        let again = (restarts > 0).then(|| view! { <li>{fill(t.job_restarts, &[&restarts.to_string()])}</li> });
        view! { <ol class="steps" aria-label=t.job_steps>{items}{again}</ol> }
    })
    .into_any()
}

const fn step_class(passed: bool, current: bool) -> &'static str {
    if passed {
        "tone-ok"
    } else if current {
        "tone-busy"
    } else {
        "tone-idle"
    }
}

/// Whether a job in `state` has left `step` behind.
fn passed(step: JobState, state: JobState) -> bool {
    let order = |state| match state {
        JobState::Matching => 0,
        JobState::Starting => 1,
        JobState::Running => 2,
        JobState::Finished | JobState::Failed | JobState::Stopped => 3,
    };
    order(step) < order(state) || (step == state && state == JobState::Finished)
}
