//! Work in a running job: its shell and its files. The server writes all that may be said; a script of its own (`terminal/work.js`)
//! does the rest, and loads the terminal only when somebody asks for it. The attributes are what it looks for.

#[cfg(feature = "ssr")]
use leptos::prelude::*;

use crate::components::effect;

/// Once for the document.
pub fn load() {
    effect(|| crate::pages::script("/pkg/work.js"));
}

#[cfg(feature = "ssr")]
use crate::components::{Parts, Tone, notice, unannounced};
#[cfg(feature = "ssr")]
use crate::fault::Fault;
#[cfg(feature = "ssr")]
use crate::i18n::{fill, words};

/// What is hidden until the script finds it so.
#[cfg(feature = "ssr")]
fn told(name: &'static str, tone: Tone, text: &'static str) -> AnyView {
    view! { <div data-show=name hidden>{unannounced(tone, view! { <p class="break-words">{text}" "<span data-detail=""></span></p> })}</div> }
    .into_any()
}

#[cfg(feature = "ssr")]
pub async fn part(id: &str) -> Result<AnyView, Fault> {
    let job = super::parts::job(id).await?;
    let t = words();
    if job.summary.state.is_final() {
        return Ok(notice(Tone::Idle, t.work_over()));
    }
    let api = format!("/api/v1/jobs/{}", job.summary.id);
    let members = job.summary.members;
    let member = (members > 1).then(|| {
        let options = (0..members)
            .map(|n| {
                let word = fill(t.job_member(), &[&n.to_string()]);
                view! { <option value=n.to_string()>{word}</option> }.into_any()
            })
            .parts();
        view! {
            <label class="field"><span>{t.work_machine()}</span><select data-member="">{options}</select></label>
        }
    });
    // Escape, tab, Ctrl-C and the arrows: phones have no such keys.
    let keys = [
        ("Esc", "\\u001b"),
        ("Tab", "\\t"),
        ("Ctrl-C", "\\u0003"),
        ("Ctrl-D", "\\u0004"),
        ("↑", "\\u001b[A"),
        ("↓", "\\u001b[B"),
    ]
    .map(|(name, key)| {
        view! { <button type="button" class="btn small" data-key=key>{name}</button> }.into_any()
    })
    .into_iter()
    .parts();
    Ok(view! {
        <div data-work="" data-api=api class="grid grid-cols-1 gap-6">
            <noscript>{notice(Tone::Idle, t.work_noscript())}</noscript>
            <section data-shell="" class="grid grid-cols-1 gap-3">
                <div class="flex flex-wrap items-end justify-between gap-3">
                    <h2>{t.shell_title()}</h2>
                    <div class="row-actions">
                        {member}
                        <button type="button" class="btn primary" data-shell-open="">{t.shell_open()}</button>
                    </div>
                </div>
                <p class="hint prose">{t.shell_note()}</p>
                <div role="status">
                    <p data-show="loading" hidden>{t.loading()}</p>
                    <p data-show="connecting" hidden>{t.shell_connecting()}</p>
                    {told("open", Tone::Ok, t.shell_connected())}
                    {told("ended", Tone::Idle, t.shell_ended())}
                    {told("idle", Tone::Idle, t.shell_idle())}
                    {told("lost", Tone::Bad, t.shell_lost())}
                    {told("refused", Tone::Bad, t.shell_refused())}
                    {told("offline", Tone::Bad, t.work_offline())}
                </div>
                <div data-terminal="" class="terminal" role="region" aria-label=t.shell_title() hidden></div>
                <div class="chips terminal-keys" role="group" aria-label=t.shell_keys()>
                    {keys}
                    <button type="button" class="btn small" data-shell-close="">{t.shell_close()}</button>
                </div>
            </section>
            <section class="grid grid-cols-1 gap-3">
                <div class="flex flex-wrap items-end justify-between gap-3">
                    <h2>{t.work_files()}</h2>
                    <div class="row-actions">
                        <button type="button" class="btn" data-again="">{t.work_again()}</button>
                        <label class="btn">{t.work_upload()}<input type="file" class="sr"/></label>
                    </div>
                </div>
                <div data-upload="" role="status">
                    {told("busy", Tone::Busy, t.work_uploading())}
                    {told("done", Tone::Ok, t.work_uploaded())}
                    {told("large", Tone::Bad, t.work_large())}
                    {told("refused", Tone::Bad, t.work_refused())}
                    {told("offline", Tone::Bad, t.work_offline())}
                </div>
                <div data-files="" class="grid grid-cols-1 gap-2">
                    <p class="mono" data-where="">"/job"</p>
                    <ul class="listing" data-list=""></ul>
                    <p class="hint" data-show="empty" hidden>{t.work_empty()}</p>
                    <p class="hint" data-show="more" hidden>{t.work_more()}</p>
                    {told("shut", Tone::Busy, t.work_shut())}
                    {told("gone", Tone::Idle, t.work_gone())}
                    {told("failed", Tone::Bad, t.work_failed())}
                </div>
            </section>
        </div>
    }
    .into_any())
}
