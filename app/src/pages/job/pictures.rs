//! Pictures among a job's files: a row of frames as one moving picture, and the newest ones by themselves, while it runs too.

use exchange::frames_of;
use leptos::prelude::*;
use protocol::view::{ArtefactView, JobView};

use crate::components::{Icon, Parts, icon};
use crate::i18n::{Words, fill};

/// Shown by themselves; the table has all of them.
const SHOWN_MAX: usize = 12;
const FRAMES_PER_SECOND: u32 = 12;
const ENDINGS: [&str; 5] = [".png", ".jpg", ".jpeg", ".gif", ".webp"];
/// One that is larger is only a file: a page must not load them all.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

fn is_picture(file: &ArtefactView) -> bool {
    let name = file.path.to_lowercase();
    file.size_bytes <= BYTES_MAX && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Nothing where there are no pictures.
pub fn pictures(job: &JobView, t: &'static Words) -> Option<AnyView> {
    let mut found: Vec<&ArtefactView> = job.artefacts.iter().filter(|f| is_picture(f)).collect();
    if found.is_empty() {
        return None;
    }
    // The newest first: ids rise with the time.
    found.sort_by_key(|file| std::cmp::Reverse(file.id));
    let more = found.len().saturating_sub(SHOWN_MAX);
    let more = (more > 0).then(|| {
        view! { <p class="hint mt-2">{fill(t.pictures_more(), &[&more.to_string()])}</p> }
    });
    found.truncate(SHOWN_MAX);
    // Members send theirs when they have them: what is shown stands in the order of the work.
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let api = format!("/api/v1/jobs/{}", job.summary.id);
    let shown = found
        .iter()
        .map(|file| {
            let version = file.sha256.get(..16).unwrap_or(&file.sha256);
            let source = format!("{api}/pictures/{}?v={version}", file.id);
            let (picture, name, alt) = (source.clone(), file.path.clone(), file.path.clone());
            view! {
                <figure>
                    <a href=source rel="external"><img src=picture alt=alt loading="lazy"/></a>
                    <figcaption class="hint mono">{name}</figcaption>
                </figure>
            }
            .into_any()
        })
        .parts();
    Some(
        view! {
            {moving(job, &api, t)}
            <h2 class="mb-2">{t.pictures_title()}</h2>
            <div class="pictures">{shown}</div>
            {more}
        }
        .into_any(),
    )
}

fn moving(job: &JobView, api: &str, t: &'static Words) -> Option<AnyView> {
    let count = frames_of(&job.artefacts).len();
    if count < 2 {
        return None;
    }
    let source = format!("{api}/animation?fps={FRAMES_PER_SECOND}&frames={count}");
    let picture = source.clone();
    Some(
        view! {
            <figure class="moving mb-6">
                <img src=picture alt=t.pictures_moving() data-frames=count/>
                <figcaption class="hint">{t.pictures_moving()}" ("{count}")"</figcaption>
                <a class="btn small mt-2" href=source rel="external" download="animation.png">{icon(Icon::Download)}{t.pictures_save()}</a>
            </figure>
        }
        .into_any(),
    )
}
