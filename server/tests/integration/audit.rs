//! The audit log from outside: a shell and what it showed, who reads which entries, and the pages.

use http::Method;
use protocol::audit::{ActorKind, AuditAction, AuditExport, AuditView, RecordingView, check};
use protocol::state::JobState;
use protocol::tunnel::FromJob;
use protocol::view::Page;
use serde_json::json;
use test_support::{Said, ShellSocket, TestApp, shell, wait_until};

use crate::authorisation::browser;
use crate::{QUICK, SOON};

#[tokio::test]
async fn a_shell_leaves_entries_and_a_recording_that_its_owner_and_admins_read() {
    let app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let ann = app.admin_account("ann");
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let job = ada.submit(&shell("work", "sleep 600")).await.summary.id;
    ada.wait_for(job, JobState::Running, SOON).await;
    let page = browser(&app, &ada).await;
    let put = json!({ "value": "hidden-value-of-ada" });
    page.send(
        Method::PUT,
        "/api/v1/secrets/TOKEN",
        "application/json",
        put.to_string(),
    )
    .await
    .ok::<serde_json::Value>();

    let path = format!("/api/v1/jobs/{job}/shell?cols=80&rows=24");
    let mut socket = ShellSocket::open(&page, &path).await.expect("a shell");
    assert_eq!(socket.hear().await, Some(Said::Word(FromJob::Open {})));
    // Typed unseen, as a password is.
    socket.write(b"stty -echo; echo rea''dy\n").await;
    socket.until("ready").await;
    socket.write(b"read word\n").await;
    socket.write(b"my-password\n").await;
    socket.write(b"echo shown-to''-all; exit\n").await;
    socket.until("shown-to-all").await;
    drop(socket);

    let shells = format!("/api/v1/jobs/{job}/recordings");
    let recording = wait_until("the recording is closed", SOON, || async {
        let found: Vec<RecordingView> = ada.rest.get(&shells).await.ok();
        assert_eq!(found.len(), 1);
        found.into_iter().find(|one| one.closed_at.is_some())
    })
    .await;
    assert_eq!(
        (recording.by.as_str(), recording.cut),
        (ada.email.as_str(), false)
    );
    let file = format!("/api/v1/recordings/{}", recording.id);
    let cast = ada.rest.get(&file).await.text();
    assert!(
        cast.starts_with('{') && cast.contains("shown-to-all"),
        "{cast}"
    );
    assert!(!cast.contains("my-password"), "{cast}");
    let entries: Page<AuditView> = ada.rest.get("/api/v1/audit").await.ok();
    let closed = &entries.items[0].entry;
    assert_eq!(closed.action, AuditAction::ShellClosed);
    assert_eq!(closed.subject.id, job.to_string());
    assert_eq!(
        closed.detail["recording_sha256"],
        recording.sha256.expect("closed")
    );
    assert_eq!(closed.detail["recording_bytes"], cast.len().to_string());
    let all: Vec<AuditAction> = entries.items.iter().map(|view| view.entry.action).collect();
    for action in [
        AuditAction::ShellOpened,
        AuditAction::SecretSet,
        AuditAction::SessionSignedIn,
        AuditAction::KeyCreated,
    ] {
        assert!(all.contains(&action), "{action} {all:?}");
    }

    // A stranger and the machine's owner do not learn that it is there; an admin reads it, and that is noted.
    app.anyone().get(&file).await.refused(401);
    bo.rest.get(&file).await.refused(404);
    bo.rest.get(&shells).await.refused(404);
    browser(&app, &bo).await.get(&file).await.refused(404);
    let console = browser(&app, &ann).await;
    assert_eq!(console.get(&file).await.text(), cast);
    let entries: Page<AuditView> = page.get("/api/v1/audit?action=recording.viewed").await.ok();
    assert_eq!(entries.items.len(), 1);
    assert_eq!(entries.items[0].who, None);

    // All of it as a file that can be checked, and as a table; no secret in either.
    let export: AuditExport = console.get("/api/v1/admin/audit/export").await.ok();
    assert_eq!(check(&export.entries).expect("whole").gaps, 0);
    let json = serde_json::to_string(&export).expect("JSON");
    let csv = console.get("/api/v1/admin/audit/export?format=csv").await;
    let csv = csv.text();
    assert!(csv.lines().count() > export.entries.len(), "{csv}");
    for text in [&json, &csv] {
        for hidden in ["hidden-value", "my-password", ada.password.as_str()] {
            assert!(!text.contains(hidden), "{hidden}");
        }
    }
    console
        .get("/api/v1/admin/audit?action=nothing")
        .await
        .refused(422);

    // The pages, as they are without scripts.
    let shown = console
        .get("/admin?tab=audit&action=shell.opened&actor=&subject=&from=&to=")
        .await
        .text();
    assert!(
        shown.contains("Shell opened")
            && shown.contains("shell.opened")
            && shown.contains(&ada.email),
        "{shown}"
    );
    assert!(!shown.contains("<p>Secret set<"), "filtered");
    let own = page.get("/activity").await.text();
    for seen in ["<p>Secret set<", "<p>Recording of a shell viewed<"] {
        assert!(own.contains(seen), "{seen}: {own}");
    }
    assert!(!own.contains(&ann.email), "which admin it was is not told");
    let text = format!("/activity?recording={}", recording.id);
    assert!(page.get(&text).await.text().contains("shown-to-all"));
    assert!(
        !browser(&app, &bo)
            .await
            .get(&text)
            .await
            .text()
            .contains("shown-to-all")
    );
    let work = page.get(&format!("/jobs/{job}?tab=files")).await.text();
    assert!(work.contains(&text), "the job's page leads there");
    ada.stop(job).await;
}

#[tokio::test]
async fn a_recording_that_kill_9_of_the_server_left_open_is_closed_with_what_was_shown_until_then()
{
    let mut app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let job = ada.submit(&shell("work", "sleep 600")).await.summary.id;
    ada.wait_for(job, JobState::Running, SOON).await;
    let page = browser(&app, &ada).await;
    let path = format!("/api/v1/jobs/{job}/shell?cols=80&rows=24");
    let mut socket = ShellSocket::open(&page, &path).await.expect("a shell");
    socket.write(b"echo before''-the-end\n").await;
    socket.until("before-the-end").await;
    let shells = format!("/api/v1/jobs/{job}/recordings");
    let open: Vec<RecordingView> = ada.rest.get(&shells).await.ok();
    assert_eq!((open.len(), open[0].closed_at), (1, None));
    // Nothing more is shown: it is on the disk soon all the same.
    let folder = app
        .folder()
        .join("data")
        .join("recordings")
        .join(job.to_string());
    let cast = folder.join(format!("{}.cast", open[0].id));
    wait_until("what was shown is written", SOON, || async {
        let written = std::fs::read_to_string(&cast).unwrap_or_default();
        written.contains("before-the-end").then_some(())
    })
    .await;

    app.kill_server();
    drop(socket);
    app.start_server().await;
    let closed: Vec<RecordingView> = ada.rest.get(&shells).await.ok();
    assert_eq!((closed.len(), closed[0].id), (1, open[0].id));
    assert!(closed[0].closed_at.is_some() && closed[0].cut, "{closed:?}");
    let file = format!("/api/v1/recordings/{}", open[0].id);
    assert!(
        ada.rest.get(&file).await.text().contains("before-the-end"),
        "its file is read as any other"
    );
    let entries: Page<AuditView> = ada.rest.get("/api/v1/audit?action=shell.closed").await.ok();
    let entry = &entries.items[0].entry;
    assert_eq!(entry.actor.kind, ActorKind::System);
    assert_eq!(entry.detail["why"], "the server ended");
    assert_eq!(
        Some(entry.detail["recording_sha256"].as_str()),
        closed[0].sha256.as_deref()
    );
    ada.stop(job).await;
}
