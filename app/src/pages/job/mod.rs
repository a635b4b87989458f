//! One job: its state, what it costs, and behind tabs what it measured, printed, cost, was receipted and left.

mod charts;
#[cfg(feature = "ssr")]
mod endpoint;
#[cfg(feature = "ssr")]
pub mod parts;
#[cfg(feature = "ssr")]
mod pictures;
#[cfg(feature = "ssr")]
pub mod search;
pub mod work;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};
use protocol::view::{LogLine, LogPage, Meter as MeterView, Stream};

use super::fragment::Fragment;
use super::{live_dot, load_page, stale_notice};
use crate::api::jobs::{JobPage, Log, ReadJobPage, Samples, Stop};
use crate::api::{Post, PostForm, ask, data, then};
use crate::components::{
    Confirm, Kind, LogTail, LogView, Meter, PageHead, Submit, effect, part, skeleton_block,
    skeleton_rows, tabs as tab_bar,
};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::words;
use crate::live::{Frame, News, SampleRow, halve, watch};
use crate::session::reading;

/// A chart needs no more, and a job of days must not fill the page's memory.
const SAMPLES_MAX: usize = 1_200;

/// What a tab is called in the address.
const METRICS: &str = "metrics";
const LOGS: &str = "logs";
const COST: &str = "cost";
const RECEIPTS: &str = "receipts";
const FILES: &str = "files";
const WORK: &str = "work";

/// What changes each second while the page is open. What a tab needs is read when it is first opened.
#[derive(Debug, Clone, Copy)]
struct State {
    members: u32,
    id: StoredValue<String>,
    over: RwSignal<bool>,
    meter: RwSignal<Option<MeterView>>,
    samples: RwSignal<Vec<SampleRow>>,
    samples_read: RwSignal<bool>,
    log: RwSignal<LogTail>,
    log_read: RwSignal<bool>,
    /// More output is being read.
    reading_log: StoredValue<bool>,
}

/// The parts that the server writes.
#[derive(Debug, Clone, Copy)]
struct Written {
    head: Fragment,
    happened: Fragment,
    cost: Fragment,
    receipts: Fragment,
    files: Fragment,
    work: Fragment,
    search: Fragment,
}

pub fn page() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let id = move || params.with(|params| params.get("id").unwrap_or_default());
    let tab = Signal::derive(move || {
        let tab = query.with(|query| query.get("tab").unwrap_or_default());
        let known = [LOGS, COST, RECEIPTS, FILES, WORK].contains(&tab.as_str());
        if known { tab } else { METRICS.to_owned() }
    });
    let page = data(Signal::derive(move || {
        ask(ReadJobPage {
            id: id(),
            tab: tab.get_untracked(),
        })
    }));
    let written = Written {
        head: Fragment::new("job-head", id),
        happened: Fragment::new("job-events", id),
        cost: Fragment::while_open("job-cost", id, move || tab.with(|tab| tab == COST)),
        receipts: Fragment::while_open("job-receipts", id, move || tab.with(|tab| tab == RECEIPTS)),
        files: Fragment::while_open("job-files", id, move || tab.with(|tab| tab == FILES)),
        search: Fragment::while_open(
            "job-search",
            move || query.with(|query| id() + &query.to_query_string()),
            move || tab.with(|tab| tab == LOGS),
        ),
        work: Fragment::while_open("job-work", id, move || tab.with(|tab| tab == WORK)),
    };
    work::load();
    let title = words().job();
    view! {
        {load_page(page, title, |t| view! { <PageHead title=t.job()/>{skeleton_block(t.loading())} }.into_any(), move |page| show(page, tab, untrack(id), written))}
    }
}

/// Takes lines into what is shown; the worker's own remarks look like errors, because they explain them. Lines of a
/// job on several machines begin with the machine's number.
fn take_lines(tail: &mut LogTail, lines: &[LogLine], members: u32) {
    for line in lines {
        let member = (members > 1).then_some(line.member);
        tail.push(line.seq, line.stream != Stream::Stdout, &line.text, member);
    }
}

impl State {
    fn new(page: JobPage, id: String) -> Self {
        let mut tail = LogTail::default();
        let log_read = page.log.is_some();
        if let Some(log) = page.log {
            take_lines(&mut tail, &log.lines, page.members);
        }
        Self {
            members: page.members,
            id: StoredValue::new(id),
            over: RwSignal::new(page.over),
            meter: RwSignal::new(Some(page.meter)),
            samples_read: RwSignal::new(page.samples.is_some()),
            samples: RwSignal::new(page.samples.unwrap_or_default()),
            log: RwSignal::new(tail),
            log_read: RwSignal::new(log_read),
            reading_log: StoredValue::new(false),
        }
    }

    /// Reads what a tab shows; in the browser, when it is opened and when frames were lost.
    fn read(self, tab: &str) {
        match tab {
            METRICS => then(
                ask(Samples {
                    id: self.id.get_value(),
                }),
                move |samples| {
                    _ = self.samples.try_set(samples);
                    _ = self.samples_read.try_set(true);
                },
            ),
            LOGS => self.read_log(),
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
                .try_with_untracked(|log| log.last)
                .unwrap_or_default();
            let id = self.id.get_value();
            while let Ok(page) = ask(Log {
                id: id.clone(),
                after,
            })
            .get::<LogPage>()
            .await
            {
                after = page.next;
                let taken = self
                    .log
                    .try_update(|log| take_lines(log, &page.lines, self.members));
                _ = self.log_read.try_set(true);
                if !page.more || taken.is_none() {
                    break;
                }
            }
            _ = self.reading_log.try_set_value(false);
        });
    }

    /// Reads whether it is over and what it has cost.
    fn reread(self) {
        then(
            ask(ReadJobPage {
                id: self.id.get_value(),
                tab: String::new(),
            }),
            move |page: JobPage| {
                _ = self.over.try_set(page.over);
                _ = self.meter.try_set(Some(page.meter));
            },
        );
    }

    fn take(self, frame: &Frame) {
        if let Some(meter) = frame.reading() {
            _ = self.meter.try_set(Some(meter));
        }
        if let Some(fresh) = &frame.samples {
            _ = self.samples.try_update(|known| {
                known.extend(fresh.samples.iter().cloned());
                if known.len() > SAMPLES_MAX {
                    halve(known);
                }
            });
        }
        if let Some(fresh) = &frame.log
            && self.log_read.try_get_untracked() == Some(true)
        {
            let gap = self.log.try_update(|log| {
                let gap = fresh
                    .lines
                    .first()
                    .is_some_and(|line| line.seq > log.last.saturating_add(1));
                if !gap {
                    take_lines(log, &fresh.lines, self.members);
                }
                gap
            });
            if gap == Some(true) {
                self.read_log();
            }
        }
    }
}

fn show(page: JobPage, tab: Signal<String>, id: String, written: Written) -> AnyView {
    let t = words();
    let topic = page.topic.clone();
    let title = format!("{} · {}", page.name, format::short_id(&id));
    let metrics = page.metrics.clone();
    let members = page.members;
    let state = State::new(page, id.clone());
    watch(topic, move |news| match news {
        News::Frame(frame) => {
            state.take(frame);
            if frame.job.is_some() {
                state.reread();
                written.head.refresh();
                written.happened.refresh();
                written.cost.refresh();
                written.files.refresh();
                // As long as the job lives the same words: a shell that is open in it stays.
                written.work.refresh();
            }
            if frame.receipt.is_some() {
                written.receipts.refresh();
                written.cost.refresh();
            }
        }
        News::Reread => {
            state.reread();
            state.read(&tab.get_untracked());
            written.head.refresh();
            written.happened.refresh();
            written.cost.refresh();
            written.receipts.refresh();
            written.files.refresh();
        }
    });
    effect(move || {
        let tab = tab.get();
        let missing = match tab.as_str() {
            METRICS => !state.samples_read.get_untracked(),
            LOGS => true,
            _ => false,
        };
        if missing {
            state.read(&tab);
        }
    });
    let base = format!("/jobs/{id}");
    let link = |code: &str| format!("{base}?tab={code}");
    let bar = tab_bar(
        t.job_tabs(),
        vec![
            (METRICS, t.tab_metrics(), link(METRICS)),
            (LOGS, t.tab_logs(), link(LOGS)),
            (COST, t.tab_cost(), link(COST)),
            (RECEIPTS, t.tab_receipts(), link(RECEIPTS)),
            (FILES, t.tab_files(), link(FILES)),
            (WORK, t.tab_work(), link(WORK)),
        ],
        tab,
    );
    let body = part(move || match tab.get().as_str() {
        LOGS => logs(state, written.search),
        COST => written.cost.view(|t| skeleton_block(t.loading())),
        RECEIPTS => written.receipts.view(|t| skeleton_rows(t.loading(), 2)),
        FILES => written.files.view(|t| skeleton_rows(t.loading(), 1)),
        WORK => written.work.view(|t| skeleton_block(t.loading())),
        _ => charts::metrics(
            &metrics,
            members,
            state.samples,
            state.samples_read,
            state.over,
        ),
    });
    view! {
        <PageHead title=title/>
        {stale_notice()}
        {head(state, written, &id, tab)}
        <div class="grid gap-6 lg:grid-cols-[1fr_18rem]">
            <div class="min-w-0">{bar}{body}</div>
            <section class="min-w-0">{written.happened.view(|t| skeleton_block(t.loading()))}</section>
        </div>
    }
    .into_any()
}

/// State, meter, and the way to stop it.
fn head(state: State, written: Written, id: &str, tab: Signal<String>) -> AnyView {
    let t = words();
    let query = use_query_map();
    let path = format!("/jobs/{id}");
    // The tab stays open: a shell, or what was asked a model, would be lost with it.
    let close = Signal::derive(move || format!("{path}?tab={}", tab.get()));
    let stop = Post::to::<Stop>();
    let open = Signal::derive(move || {
        let asked = query.with(|query| query.get("confirm").as_deref() == Some("stop"));
        asked && !state.over.get()
    });
    let ask = Signal::derive(move || format!("{}&confirm=stop", close.get()));
    // Answered or refused, the question is over; a refusal stands on the page, below the dialog.
    let navigate = use_navigate();
    effect(move || {
        if stop.is_over() && open.get_untracked() {
            let quietly = NavigateOptions {
                scroll: false,
                replace: true,
                ..Default::default()
            };
            navigate(&close.get_untracked(), quietly);
        }
    });
    let meter = Signal::derive(move || reading(&state.meter.get().unwrap_or_default(), t));
    view! {
        <div class="flex flex-wrap items-start justify-between gap-x-6 gap-y-3 mb-4">
            <div class="min-w-0 flex-1 basis-full md:basis-0">{written.head.view(|t| skeleton_rows(t.loading(), 1))}</div>
            <div class="row-actions">
                {live_dot()}
                {part(move || (!state.over.get()).then(|| view! { <a class="btn danger" href=move || ask.get() data-noscroll="true">{t.stop()}</a> }))}
            </div>
        </div>
        {form_fault(stop.fault(), &[])}
        <Confirm open=open title=t.stop_title() text=t.stop_text() close=close>
            <PostForm post=stop>
                <input type="hidden" name="id" value=state.id.get_value()/>
                <Submit label=t.stop() kind=Kind::Danger busy=stop.pending/>
            </PostForm>
        </Confirm>
        <div class="panel-meter mb-4"><Meter reading=meter/></div>
    }
    .into_any()
}

fn logs(state: State, search: Fragment) -> AnyView {
    let t = words();
    view! {
        <div class="mb-4">{search.view(|t| skeleton_rows(t.loading(), 1))}</div>
        {part(move || if state.log_read.get() {
            view! { <LogView tail=state.log label=t.tab_logs()/> }.into_any()
        } else {
            skeleton_block(t.loading())
        })}
    }
    .into_any()
}
