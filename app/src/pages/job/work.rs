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
use crate::components::{Parts, Tone, notice, tag, unannounced};
#[cfg(feature = "ssr")]
use crate::fault::Fault;
#[cfg(feature = "ssr")]
use crate::i18n::{Words, fill, words};

/// What is hidden until the script finds it so.
#[cfg(feature = "ssr")]
pub fn told(name: &'static str, tone: Tone, text: &'static str) -> AnyView {
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
    // Nothing here may change with what happens in the job: the part would be written anew, and a shell that is open in it closed.
    let recorded = format!("/jobs/{}?tab=files", job.summary.id);
    let api = format!("/api/v1/jobs/{}", job.summary.id);
    let ports = ports(&job, t).await?;
    let members = job.summary.members;
    let member = (members > 1).then(|| {
        let options = (0..members)
            .map(|n| {
                let word = fill(t.job_member(), &[&n.to_string()]);
                view! { <option value=n.to_string()>{word}</option> }.into_any()
            })
            .parts();
        view! {
            <label class="field"><span>{t.work_machine()}</span><select class="input" data-member="">{options}</select></label>
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
            {super::endpoint::asking(&job, t)}
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
            <p><a class="link" href=recorded>{t.recordings_title()}</a></p>
            {ports}
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

/// The ports that the job names: opened in the browser, shared by a link, and their addresses for programs.
#[cfg(feature = "ssr")]
async fn ports(job: &protocol::view::JobView, t: &'static Words) -> Result<AnyView, Fault> {
    use leptos::server_fn::ServerFn;

    if job.spec.ports.is_empty() {
        return Ok(view! { <p class="hint">{t.ports_none()}</p> }.into_any());
    }
    let actor = crate::api::actor().await?;
    let id = job.summary.id;
    let several = job.summary.members > 1;
    let items = crate::api::exchange()?.job_ports(&actor, id).await?;
    let items = items
        .into_iter()
        .map(|at| {
            let (port, member) = (at.port.to_string(), at.member.to_string());
            let named = match &at.name {
                Some(name) => format!("{name} · {port}"),
                None => port.clone(),
            };
            let title = if several {
                format!("{} · {named}", fill(t.job_member(), &[&member]))
            } else {
                named
            };
            let open = format!("/api/v1/jobs/{id}/ports/{port}/open?member={member}");
            let open = at.url.is_some().then(|| {
                view! { <a class="btn" href=open rel="external noopener" target="_blank">{t.port_open()}</a> }
            });
            let public = at.public.then(|| tag(t.port_public()));
            let share = (!at.public).then(|| {
                let hours = [("1", t.port_hour()), ("24", t.port_day()), ("168", t.port_week())]
                    .map(|(hours, word)| view! { <option value=hours>{word}</option> }.into_any())
                    .into_iter()
                    .parts();
                let field = format!("hours-{member}-{port}");
                view! {
                    <form method="post" action=crate::api::secrets::SharePort::url() data-secret=t.port_link_made() class="row-actions">
                        <input type="hidden" name="job" value=id.to_string()/>
                        <input type="hidden" name="member" value=member.clone()/>
                        <input type="hidden" name="port" value=port.clone()/>
                        <label class="sr" for=field.clone()>{t.port_link_for()}</label>
                        <select class="input" id=field name="hours">{hours}</select>
                        <button class="btn" type="submit">{t.port_share()}</button>
                    </form>
                }
            });
            view! {
                <li class="grid grid-cols-1 gap-2">
                    <div class="flex flex-wrap items-center justify-between gap-3">
                        <p class="font-medium">{title}" "{public}</p>
                        <div class="row-actions">{open}{share}</div>
                    </div>
                    <p class="mono break-all">{at.path_url}</p>
                </li>
            }
            .into_any()
        })
        .parts();
    Ok(view! {
        <section class="grid grid-cols-1 gap-3">
            <h2>{t.ports_title()}</h2>
            <p class="hint prose">{t.ports_note()}</p>
            <ul class="grid grid-cols-1 gap-4">{items}</ul>
        </section>
    }
    .into_any())
}
