//! Work in a running job: its shell, its files, by those who may.

use std::time::Duration;

use http::Method;
use kernel::JobId;
use protocol::Code;
use protocol::state::JobState;
use protocol::tunnel::{
    Closed, EntryKind, FromJob, Listing, SHELL_WINDOW, SHELLS_MAX, Size, ToJob,
};
use protocol::view::{JobEventKind, JobView};
use test_support::{Account, Said, ShellSocket, TestApp, binary, shell, wait_until};

use crate::authorisation::browser;
use crate::{QUICK, SOON};

fn shell_at(job: JobId) -> String {
    format!("/api/v1/jobs/{job}/shell?cols=80&rows=24")
}

async fn running(ada: &Account, script: &str) -> JobView {
    let job = ada.submit(&shell("work", script)).await;
    ada.wait_for(job.summary.id, JobState::Running, SOON).await
}

async fn open(account: &Account, path: &str) -> ShellSocket {
    let socket = ShellSocket::open(&account.rest, path).await;
    socket.expect("a shell is let in")
}

fn count(job: &JobView, kind: JobEventKind) -> usize {
    job.events.iter().filter(|event| event.kind == kind).count()
}

#[tokio::test]
async fn a_shell_works_in_the_job_is_bounded_is_noted_and_ends_with_the_job() {
    let app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let job = running(&ada, "echo from-the-job > note; sleep 600").await;
    let id = job.summary.id;
    let path = shell_at(id);

    // Nobody else, not even the machine's owner; and no foreign page with the requester's own cookie.
    let page = browser(&app, &ada).await;
    for (client, status) in [
        (app.anyone(), 401),
        (bo.rest.clone(), 404),
        (page.with("origin", "https://evil.example"), 403),
        (
            app.anyone().with_key(&app.key(&ada.email, "read,nodes")),
            403,
        ),
    ] {
        let refused = ShellSocket::open(&client, &path).await.err();
        assert_eq!(refused.map(|status| status.as_u16()), Some(status));
    }

    // The page's own, as a browser opens it: typed, shown, resized.
    let mut first = ShellSocket::open(&page, &path).await.expect("a shell");
    assert_eq!(first.hear().await, Some(Said::Word(FromJob::Open {})));
    first
        .say(&ToJob::Resize(Size {
            cols: 101,
            rows: 33,
        }))
        .await;
    first.write(b"cat note; stty size; echo do''ne\n").await;
    let said = first.until("done").await;
    assert!(
        said.contains("from-the-job") && said.contains("33 101"),
        "{said}"
    );

    // A command has its streams apart and a code.
    let command = format!(
        "/api/v1/jobs/{id}/shell?command=%5B%22sh%22,%22-c%22,%22cat;echo%20bad%20%3E%262;exit%205%22%5D"
    );
    let mut second = open(&ada, &command).await;
    second.write(b"\x00raw\xff").await;
    second.say(&ToJob::Eof {}).await;
    let (out, err, code) = second.finish().await;
    assert_eq!(
        (out.as_slice(), err.as_slice(), code),
        (&b"\x00raw\xff"[..], &b"bad\n"[..], Some(5))
    );

    // A flood waits for its reader, is heard no further than the window, and costs the job nothing.
    let mut flood = open(&ada, &path).await;
    flood.write(b"yes flood\n").await;
    let mut seen = 0;
    let stalled = async {
        loop {
            match flood.hear().await {
                Some(Said::Bytes(_, bytes)) => seen += bytes.len(),
                Some(Said::Word(FromJob::Open {})) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let waits = tokio::time::timeout(Duration::from_millis(1_500), stalled).await;
    assert!(waits.is_err());
    assert!(seen > SHELL_WINDOW / 2 && seen <= SHELL_WINDOW, "{seen}");
    assert_eq!(ada.job(id).await.summary.state, JobState::Running);

    // At most so many at once.
    let mut others = Vec::new();
    for _ in 2..SHELLS_MAX {
        let mut other = open(&ada, &path).await;
        assert_eq!(other.hear().await, Some(Said::Word(FromJob::Open {})));
        others.push(other);
    }
    let mut refused = open(&ada, &path).await;
    match refused.hear().await {
        Some(Said::Word(FromJob::Refused {
            reason: Closed::TooMany,
            message,
        })) => {
            assert!(message.contains("close another"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    drop(others);
    drop(flood);

    // All of them end with the job, and each stands in its history.
    ada.stop(id).await;
    while first.hear().await.is_some() {}
    let over = ada.wait_for(id, JobState::Stopped, SOON).await;
    let opened = count(&over, JobEventKind::ShellOpened);
    assert_eq!(opened, 3 + SHELLS_MAX - 2);
    let closed = wait_until("each shell's end is noted", SOON, || async {
        let job = ada.job(id).await;
        (count(&job, JobEventKind::ShellClosed) == opened).then_some(job)
    })
    .await;
    let first_note = closed
        .events
        .iter()
        .find(|event| event.kind == JobEventKind::ShellOpened);
    let detail = &first_note.expect("noted").detail;
    assert!(
        detail.contains(&ada.email) && !detail.contains("note;"),
        "{detail}"
    );
    let refused = ShellSocket::open(&ada.rest, &path).await.err();
    assert_eq!(refused.map(|status| status.as_u16()), Some(409));
}

#[tokio::test]
async fn files_of_a_running_job_are_listed_fetched_and_put() {
    let app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let script = "mkdir -p out/deep; head -c 300000 /dev/zero > out/big; ln -s /etc out/link; mkfifo out/pipe; touch ready; while ! [ -s in/go ]; do sleep 0.1; done; cat in/go; sleep 600";
    let id = running(&ada, script).await.summary.id;
    let at = |rest: &str| format!("/api/v1/jobs/{id}/workdir{rest}");
    let listing: Listing = wait_until("the job has made its files", SOON, || async {
        let listing: Listing = ada.rest.get(&at("")).await.ok();
        listing
            .entries
            .iter()
            .any(|entry| entry.name == "ready")
            .then_some(listing)
    })
    .await;
    assert_eq!(listing.entries[0].kind, EntryKind::Directory);
    let out: Listing = ada.rest.get(&at("?path=out")).await.ok();
    let names: Vec<_> = out
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.size_bytes))
        .collect();
    assert_eq!(
        names,
        [
            ("checkpoint", 0),
            ("deep", 0),
            ("link", 0),
            ("big", 300_000),
            ("pipe", 0)
        ]
    );
    let big = ada.rest.get(&at("/file?path=out/big")).await;
    assert_eq!((big.status.as_u16(), big.body.len()), (200, 300_000));
    assert!(
        big.header("content-disposition")
            .is_some_and(|value| value.starts_with("attachment"))
    );
    // The job's own machine is what a link leads into, never the owner's.
    let passwd = ada.rest.get(&at("/file?path=out/link/passwd")).await;
    assert!(
        passwd.text().contains("job:x:1000") && !passwd.text().contains("daemon"),
        "{}",
        passwd.text()
    );
    for (path, status) in [
        ("out/none", 404),
        ("out/pipe", 409),
        ("out", 409),
        ("../x", 422),
        ("/etc/passwd", 422),
    ] {
        ada.rest
            .get(&at(&format!("/file?path={path}")))
            .await
            .refused(status);
    }
    let put = |path: &str, body: &str| {
        let (client, path, body) = (
            ada.rest.clone(),
            at(&format!("/file?path={path}")),
            body.to_owned(),
        );
        async move {
            client
                .send(Method::PUT, &path, "application/octet-stream", body)
                .await
        }
    };
    assert_eq!(put("in/go", "the word").await.status.as_u16(), 201);
    put("out", "x").await.refused(409);
    let refused = ada
        .rest
        .with_key(&app.key(&ada.email, "read"))
        .send(Method::PUT, &at("/file?path=x"), "", "x")
        .await;
    assert_eq!(refused.refused(403).code, Code::Forbidden);
    wait_until("the job reads what was put", SOON, || async {
        ada.log(id).await.contains("the word").then_some(())
    })
    .await;
    let job = ada.job(id).await;
    assert_eq!(count(&job, JobEventKind::FileStored), 1);

    // The same from a terminal.
    let iog = |arguments: &[&str]| {
        let done = std::process::Command::new(binary("IOG_CLI_BIN", "iog"))
            .args(arguments)
            .env("IOG_SERVER", &app.url)
            .env("IOG_API_KEY", &ada.key)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the command starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let job = id.to_string();
    let said = iog(&["ssh", &job, "echo out; echo err >&2; exit 6"]);
    assert_eq!(said, (Some(6), "out\n".into(), "err\n".into()));
    let [here, back] = ["here", "back"].map(|name| app.folder().join(name));
    std::fs::write(&here, "by cp").expect("written");
    let [here, to] = [here.display().to_string(), back.display().to_string()];
    let there = format!("{job}:in/cp");
    for pair in [[&here, &there], [&there, &to]] {
        let said = iog(&["cp", pair[0], pair[1]]);
        assert_eq!(said.0, Some(0), "{said:?}");
    }
    assert_eq!(std::fs::read_to_string(&back).expect("fetched"), "by cp");
    // Nothing of much is lost at the end, and bytes go both ways at once.
    for _ in 0..3 {
        let much = iog(&[
            "ssh",
            &job,
            "head -c 3000000 /dev/zero | tr '\\0' a; exit 3",
        ]);
        assert_eq!(
            (much.0, much.1.len(), much.2.as_str()),
            (Some(3), 3_000_000, "")
        );
    }
    let big = app.folder().join("big");
    std::fs::write(&big, vec![b'x'; 2_000_000]).expect("written");
    let both = std::process::Command::new(binary("IOG_CLI_BIN", "iog"))
        .args(["ssh", &job, "cat"])
        .env("IOG_SERVER", &app.url)
        .env("IOG_API_KEY", &ada.key)
        .stdin(std::fs::File::open(&big).expect("opened"))
        .output()
        .expect("the command starts");
    assert_eq!(
        (both.status.code(), both.stdout.len()),
        (Some(0), 2_000_000)
    );
    let (code, out, _) = iog(&["logs", &job]);
    assert!(code == Some(0) && out.contains("the word"), "{out}");
    let none = format!("job_{}", "0".repeat(32));
    let (code, _, why) = iog(&["ssh", &none, "true"]);
    assert!(code == Some(2) && why.contains("not found"), "{why}");
    ada.stop(id).await;
    ada.wait_for(id, JobState::Stopped, SOON).await;
    ada.rest.get(&at("")).await.refused(409);
}
