//! The browsers' socket: who may watch what, and what a slow reader is told.

use http::StatusCode;
use kernel::{JobId, Timestamp};
use protocol::live::{FromBrowser, Live, ToBrowser, Topic};
use protocol::worker::{FromWorker, Stream};
use test_support::{Database, LiveSocket, TestApp, job};

use crate::authorisation::browser;

fn watch(topic: Topic) -> FromBrowser {
    FromBrowser::Subscribe {
        topic,
        boot: None,
        since: None,
    }
}

fn subscribed(message: &ToBrowser) -> Option<u64> {
    match message {
        ToBrowser::Subscribed { seq, .. } => Some(*seq),
        _ => None,
    }
}

fn refused(message: &ToBrowser) -> Option<String> {
    match message {
        ToBrowser::Refused { message, .. } => Some(message.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn only_our_own_pages_and_keys_open_it() {
    let app = TestApp::start().await;
    let ada = app.account("ada", None);
    let session = browser(&app, &ada).await;
    for foreign in ["https://evil.example", "null"] {
        let status = LiveSocket::try_open(&session.with("origin", foreign))
            .await
            .err();
        assert_eq!(status, Some(StatusCode::FORBIDDEN), "{foreign}");
    }
    assert_eq!(
        LiveSocket::try_open(&session.without("origin")).await.err(),
        Some(StatusCode::FORBIDDEN)
    );
    assert_eq!(
        LiveSocket::try_open(&app.anyone().with_key("iog_wrong"))
            .await
            .err(),
        Some(StatusCode::UNAUTHORIZED)
    );
    for allowed in [session, app.anyone().at_home(), ada.rest.clone()] {
        let mut live = LiveSocket::open(&allowed).await;
        live.say(&watch(Topic::Market)).await;
        live.until("subscribed to the market", subscribed).await;
    }
}

#[tokio::test]
async fn nobody_watches_what_is_anothers() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let worker = app.fake(&bo, "bo", "1").await;
    let id = ada.submit(&job("x", &["true"])).await.summary.id;
    let account = ada.id.parse().expect("an id");
    let unknown = JobId::new(Timestamp::from_millis(1), [1; 10]);
    let read_less = app.anyone().with_key(&app.key(&ada.email, "jobs"));
    for (client, who) in [
        (bo.rest.clone(), "another"),
        (app.anyone().at_home(), "nobody"),
        (read_less, "a key without read"),
    ] {
        let mut live = LiveSocket::open(&client).await;
        for topic in [Topic::Job(id), Topic::Account(account), Topic::Job(unknown)] {
            live.say(&watch(topic)).await;
            assert!(
                !live.until("refused", refused).await.is_empty(),
                "{who} {topic}"
            );
        }
    }
    let mut live = LiveSocket::open(&ada.rest).await;
    live.say(&watch(Topic::Node(worker.node))).await;
    live.until("a node is its owner's", refused).await;
    for topic in [Topic::Job(id), Topic::Account(account)] {
        live.say(&watch(topic)).await;
        live.until("subscribed", subscribed).await;
    }
    for rubbish in [
        "",
        "{}",
        "{\"type\":\"subscribe\",\"topic\":\"everything\"}",
        "{\"type\":\"subscribe\",\"topic\":\"market\",\"x\":1}",
    ] {
        live.say_text(rubbish.to_owned()).await;
        live.until("refused", refused).await;
    }
}

#[tokio::test]
async fn a_socket_has_at_most_thirty_two_topics() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "1").await;
    let mut live = LiveSocket::open(&ada.rest).await;
    for n in 0..33 {
        let id = ada.submit(&job("many", &["true"])).await.summary.id;
        let assignment = worker.assignment().await;
        let end = protocol::state::RunEnd::Exited { code: 0 };
        worker
            .end(&assignment, &test_support::Chain::default(), 0, end)
            .await;
        live.say(&watch(Topic::Job(id))).await;
        if n < 32 {
            live.until("subscribed", subscribed).await;
        } else {
            assert!(live.until("refused", refused).await.contains("32"));
        }
        worker.beat(vec![]).await;
    }
}

#[tokio::test]
async fn a_reader_goes_on_from_what_it_saw() {
    let app = TestApp::start().await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "1").await;
    let id = ada.submit(&job("x", &["true"])).await.summary.id;
    let a = worker.assignment().await;
    worker.started(&a).await;
    let mut live = LiveSocket::open(&ada.rest).await;
    live.say(&watch(Topic::Job(id))).await;
    let boot = live
        .until("subscribed", |message| match message {
            ToBrowser::Subscribed { boot, .. } => Some(boot.clone()),
            _ => None,
        })
        .await;
    let mut offset = 0;
    let mut lines = async |worker: &mut test_support::FakeWorker, numbers: std::ops::Range<u32>| {
        for n in numbers {
            let text = format!("line {n}\n");
            let length = text.len() as u64;
            worker
                .talk
                .say(&FromWorker::Log {
                    lease: a.lease,
                    epoch: a.epoch,
                    offset,
                    stream: Stream::Stdout,
                    text,
                })
                .await;
            offset += length;
        }
    };
    let printed = |message: &ToBrowser| match message {
        ToBrowser::Frame {
            seq,
            data: Live::Log { lines },
            ..
        } => Some((*seq, lines[0].text.clone())),
        _ => None,
    };
    lines(&mut worker, 0..3).await;
    let mut seen = 0;
    for n in 0..3 {
        let (seq, text) = live.until("a line", printed).await;
        assert_eq!(text, format!("line {n}\n"));
        assert!(seq > seen);
        seen = seq;
    }
    drop(live);
    lines(&mut worker, 3..6).await;
    let mut live = LiveSocket::open(&ada.rest).await;
    live.say(&FromBrowser::Subscribe {
        topic: Topic::Job(id),
        boot: Some(boot),
        since: Some(seen),
    })
    .await;
    for n in 3..6 {
        let (_, text) = live.until("what was missed", printed).await;
        assert_eq!(text, format!("line {n}\n"));
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_that_it_lags_and_catches_up() {
    let app = TestApp::start_with(Database::Sqlite, &[("IOG_LOG_BYTES_MAX", "268435456")]).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut worker = app.fake(&bo, "bo", "1").await;
    let id = ada.submit(&job("chatty", &["true"])).await.summary.id;
    let a = worker.assignment().await;
    worker.started(&a).await;
    let mut live = LiveSocket::open(&ada.rest).await;
    live.say(&watch(Topic::Job(id))).await;
    live.until("subscribed", subscribed).await;
    // Some 28 MB of frames while nobody reads: far more than the buffers of both ends hold.
    let mut offset = 0;
    for _ in 0..140 {
        for _ in 0..10 {
            let text = "x".repeat(20_000) + "\n";
            let length = text.len() as u64;
            worker
                .talk
                .say(&FromWorker::Log {
                    lease: a.lease,
                    epoch: a.epoch,
                    offset,
                    stream: Stream::Stdout,
                    text,
                })
                .await;
            offset += length;
        }
        worker
            .beat_for(&a, &test_support::Chain::default(), 0)
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let missed = live
        .until("told that it lags", |message| match message {
            ToBrowser::Lagged { missed, .. } => Some(*missed),
            _ => None,
        })
        .await;
    assert!(missed > 0);
    let resync = live
        .until("told to read anew", |message| match message {
            ToBrowser::Resync { seq, .. } => Some(*seq),
            _ => None,
        })
        .await;
    worker
        .end(
            &a,
            &test_support::Chain::default(),
            0,
            protocol::state::RunEnd::Exited { code: 0 },
        )
        .await;
    let seq = live
        .until("the end of the job", |message| match message {
            ToBrowser::Frame {
                seq,
                data: Live::Job { job, .. },
                ..
            } if job.state.is_final() => Some(*seq),
            _ => None,
        })
        .await;
    assert!(seq > resync);
}
