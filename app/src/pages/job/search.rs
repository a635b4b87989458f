//! What is looked for in a job's log: a plain form, how often it stands there, and the lines around one of the places.

use exchange::LogSearch;
use leptos::prelude::*;
use leptos_router::location::Url;
use protocol::view::{FoundLine, LogFound, Stream, found_in};

use crate::api::jobs::parse;
use crate::api::{actor, exchange};
use crate::components::{Parts, Tone, notice};
use crate::fault::Fault;
use crate::i18n::{Words, fill, words};
use crate::pages::downloads;

/// What stands in the page's address.
#[derive(Default)]
struct Asked {
    q: String,
    stream: String,
    at: Option<usize>,
}

impl Asked {
    fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = Url::unescape(value);
            match name {
                "q" => asked.q = value,
                "stream" => asked.stream = value,
                "at" => asked.at = value.parse().ok(),
                _ => {}
            }
        }
        asked
    }
}

fn stream(name: &str) -> Option<Stream> {
    match name {
        "stdout" => Some(Stream::Stdout),
        "stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

/// `arg`: the job's id and the page's query.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let t = words();
    let (id, query) = arg.split_once('?').unwrap_or((arg, ""));
    let job = parse(id)?;
    let asked = Asked::read(query);
    // Whoever may not see the job may not see its form either.
    exchange.job(&actor, job).await?;
    let text = asked.q.trim();
    let found = if text.is_empty() {
        None
    } else {
        let search = LogSearch {
            text: text.to_owned(),
            stream: stream(&asked.stream),
            at: asked.at.unwrap_or(1),
        };
        let found = exchange.search_log(&actor, job, &search).await?;
        Some(places(id, &asked, text, &found, t))
    };
    let options = [
        ("", t.log_all()),
        ("stdout", t.log_out()),
        ("stderr", t.log_err()),
    ]
    .map(|(name, word)| {
        let chosen = name == asked.stream;
        view! { <option value=name selected=chosen>{word}</option> }.into_any()
    })
    .into_iter()
    .parts();
    let api = format!("/api/v1/jobs/{id}");
    let links = downloads(&[
        (format!("{api}/log"), t.log_whole()),
        (format!("{api}/log?stream=stdout"), t.log_out()),
        (format!("{api}/log?stream=stderr"), t.log_err()),
        (format!("{api}/logs"), t.log_json()),
    ]);
    Ok(view! {
        <form method="get" action=format!("/jobs/{id}") role="search" class="flex flex-wrap items-end gap-3">
            <input type="hidden" name="tab" value="logs"/>
            <div class="field grow basis-48">
                <label for="log-q">{t.log_search()}</label>
                <input class="input" id="log-q" name="q" type="search" maxlength="200" value=asked.q.clone()/>
            </div>
            <div class="field">
                <label for="log-stream">{t.log_stream()}</label>
                <select class="input" id="log-stream" name="stream">{options}</select>
            </div>
            <div class="field"><button class="btn" type="submit">{t.log_find()}</button></div>
        </form>
        {found}
        {links}
    }
    .into_any())
}

fn places(id: &str, asked: &Asked, text: &str, found: &LogFound, t: &'static Words) -> AnyView {
    if found.total == 0 {
        return view! { <div class="mt-3" role="status">{notice(Tone::Idle, t.log_none())}</div> }
            .into_any();
    }
    let link = |at: u64, word: &'static str| {
        let (q, stream) = (Url::escape(text), Url::escape(&asked.stream));
        let href = format!("/jobs/{id}?tab=logs&q={q}&stream={stream}&at={at}");
        view! { <a class="btn small" href=href data-noscroll="true">{word}</a> }
    };
    let previous = (found.at > 1).then(|| link(found.at.saturating_sub(1), t.log_previous()));
    let next = (found.at < found.total).then(|| link(found.at.saturating_add(1), t.log_next()));
    let count = fill(
        t.log_found(),
        &[&found.at.to_string(), &found.total.to_string()],
    );
    let needle = text.to_lowercase();
    let lines = found.lines.iter().map(|found| line(found, &needle)).parts();
    view! {
        <div class="mt-3 grid grid-cols-1 gap-2">
            <div class="flex flex-wrap items-center gap-3"><p role="status">{count}</p>{previous}{next}</div>
            <div class="log" role="region" aria-label=t.log_lines() tabindex="0">{lines}</div>
        </div>
    }
    .into_any()
}

/// With its number; each place of the text marked, the found one most.
fn line(found: &FoundLine, needle: &str) -> AnyView {
    let mut parts = Vec::new();
    let mut from = 0;
    for (n, place) in (0_u32..).zip(found_in(&found.text, needle)) {
        let before = found.text.get(from..place.start).unwrap_or_default();
        let hit = found.text.get(place.clone()).unwrap_or_default();
        let current = (found.place == Some(n)).then_some("true");
        let (before, hit) = (before.to_owned(), hit.to_owned());
        parts.push(view! { {before}<mark aria-current=current>{hit}</mark> }.into_any());
        from = place.end;
    }
    let rest = found.text.get(from..).unwrap_or_default().to_owned();
    let class = if found.stream == Stream::Stdout {
        ""
    } else {
        "err"
    };
    let parts = parts.into_iter().parts();
    view! { <div class=class><span>{found.number.to_string()}</span><p>{parts}{rest}</p></div> }
        .into_any()
}
