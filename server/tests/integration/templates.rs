//! Templates as people launch them, run for real at the size that a test carries.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use kernel::JobId;
use protocol::endpoint::EndpointView;
use protocol::state::JobState;
use protocol::view::JobView;
use serde_json::{Value, json};
use test_support::{Account, Node, TestApp, wait_until};

use crate::{QUICK, SOON};

/// Two machines and a death take as long as they take.
const LONG: Duration = Duration::from_mins(2);

async fn launch(account: &Account, template: &str, inputs: Value) -> JobId {
    let path = format!("/api/v1/templates/{template}/launch");
    let body = json!({ "inputs": inputs });
    let job: JobView = account.rest.post(&path, &body).await.ok();
    job.summary.id
}

/// Kills the machine on which a member runs, as a power cut would, and answers which it was.
async fn kill(account: &Account, job: JobId, member: u32, nodes: &mut Vec<Node>) -> String {
    let view = account.job(job).await;
    let mut leases = view.leases.iter().filter(|lease| lease.member == member);
    let name = leases.next_back().expect("it runs").node_name.clone();
    let at = nodes.iter().position(|node| node.name == name);
    let mut node = nodes.remove(at.expect("a machine of ours"));
    node.process.kill();
    name
}

fn paths(view: &JobView) -> BTreeSet<&str> {
    view.artefacts
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

/// Waits until the job has left these while it runs.
async fn left_while_running(account: &Account, job: JobId, wanted: impl Fn(&JobView) -> bool) {
    wait_until("files of a running job", SOON, || async {
        let view = account.job(job).await;
        assert!(
            !view.summary.state.is_final(),
            "it ended: {:?}",
            view.events
        );
        wanted(&view).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rendering_and_training_go_on_when_their_machine_is_killed() {
    let app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(app.node(&bo, name, "3.6").await);
    }

    // Frames over two machines; they are there while it runs, and a third machine does only what is missing. Some twenty seconds of work, so that
    // a fast machine is still at it when it is killed, though a disk that is busy takes its files slowly.
    let inputs = json!({ "frames": 20, "nodes": 2, "width": 160, "height": 120, "samples": 32 });
    let job = launch(&ada, "raytrace", inputs).await;
    left_while_running(&ada, job, |view| {
        let of = |member| {
            view.artefacts
                .iter()
                .filter(move |file| file.member == member)
        };
        of(1).any(|file| file.path == "checkpoint/done.json") && of(1).count() >= 3
    })
    .await;
    kill(&ada, job, 1, &mut nodes).await;
    let done = ada.wait_for(job, JobState::Finished, LONG).await;
    let frames: BTreeSet<String> = (0..20).map(|n| format!("frames/{n:04}.png")).collect();
    let found = paths(&done)
        .into_iter()
        .filter(|path| path.starts_with("frames/"));
    assert_eq!(found.map(str::to_owned).collect::<BTreeSet<_>>(), frames);
    let log = ada.log(job).await;
    assert!(log.contains("of 10 frames are done already"), "{log}");
    let first = done
        .artefacts
        .iter()
        .find(|file| file.path == "frames/0001.png");
    let picture = format!("/api/v1/jobs/{job}/pictures/{}", first.expect("there").id);
    let picture = ada.rest.get(&picture).await;
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert!(
        picture
            .header("content-security-policy")
            .is_some_and(|policy| policy.contains("sandbox"))
    );
    let moving = ada
        .rest
        .get(&format!("/api/v1/jobs/{job}/animation?fps=10"))
        .await;
    assert_eq!(moving.header("content-type"), Some("image/png"));
    // Behind the header (8 + 25 bytes) it says how many frames it has.
    assert_eq!(moving.body[37..45], *b"acTL\0\0\0\x14", "twenty frames");
    let list = done
        .artefacts
        .iter()
        .find(|file| file.path == "checkpoint/done.json");
    let no_picture = format!("/api/v1/jobs/{job}/pictures/{}", list.expect("there").id);
    ada.rest.get(&no_picture).await.refused(409);

    // Training, and its machine dies: another goes on from the checkpoint that had arrived.
    let job = launch(&ada, "digits", json!({ "seconds": 6, "checkpoint": 0.5 })).await;
    left_while_running(&ada, job, |view| {
        paths(view).contains("checkpoint/weights.npz")
    })
    .await;
    kill(&ada, job, 0, &mut nodes).await;
    let done = ada.wait_for(job, JobState::Finished, LONG).await;
    assert_eq!(done.summary.restarts, 1);
    let log = ada.log(job).await;
    assert!(log.contains("resumed from step"), "{log}");
    assert!(paths(&done).contains("report.json"), "{:?}", done.artefacts);
    let right = log
        .rsplit("accuracy=")
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    let right: f64 = right
        .and_then(|text| text.parse().ok())
        .expect("it says so");
    assert!(right > 0.9, "{log}");
}

/// The text of an answer in the `OpenAI` format.
fn said(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"]
        .as_str()
        .expect("an answer")
}

#[tokio::test]
async fn replicas_answer_under_one_address_and_a_lost_one_is_not_noticed() {
    let app = TestApp::start_with(test_support::Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let mut nodes = Vec::new();
    for name in ["one", "two"] {
        nodes.push(app.node(&bo, name, "3.6").await);
    }
    let job = launch(&ada, "tiny-chat", json!({ "replicas": 2, "pause": 0.01 })).await;
    let own = format!("/api/v1/endpoints/{job}");
    let state = || async {
        let view: EndpointView = ada.rest.get(&own).await.ok();
        view
    };
    wait_until("two replicas that answer", SOON, || async {
        let view = state().await;
        let well = view.replicas.iter().filter(|one| one.well).count();
        (well == 2).then_some(())
    })
    .await;

    let chat = format!("{own}/v1/chat/completions");
    let question = json!({ "messages": [{ "role": "user", "content": "What does a receipt prove?" }], "max_tokens": 12 });
    let answers = (0..6).map(|_| ada.rest.post(&chat, &question));
    for answer in futures::future::join_all(answers).await {
        assert!(said(&answer.ok()).len() > 10);
    }
    let view = state().await;
    assert_eq!((view.requests, view.failed), (6, 0));
    assert!(
        view.tokens >= 6 && view.latency_p50_ms.is_some(),
        "{view:?}"
    );
    assert!(view.tokens_per_second_tenths > 0, "{view:?}");
    // Streamed, word by word; errors are the model's own; and only who may is answered.
    let mut streamed = question.clone();
    streamed["stream"] = json!(true);
    let text = ada.rest.post(&chat, &streamed).await.text();
    assert!(
        text.matches("data: {").count() >= 5 && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    let wrong = ada.rest.post(&chat, &json!({ "messages": 1 })).await;
    assert_eq!(wrong.status.as_u16(), 400);
    assert!(wrong.text().contains("cannot be read"), "{}", wrong.text());
    app.anyone().post(&chat, &question).await.refused(401);
    bo.rest.post(&chat, &question).await.refused(404);
    let models: Value = ada.rest.get(&format!("{own}/v1/models")).await.ok();
    assert_eq!(models["data"][0]["id"], "iog-word-chains");

    // A machine dies: each request is answered all the same.
    kill(&ada, job, 1, &mut nodes).await;
    for _ in 0..5 {
        assert!(said(&ada.rest.post(&chat, &question).await.ok()).len() > 10);
    }
    assert_eq!(state().await.failed, 0);
    ada.stop(job).await;
}

#[tokio::test]
async fn a_template_is_looked_at_and_refuses_what_does_not_fit() {
    let app = TestApp::start().await;
    let ada = app.account("ada", Some("5"));
    let list: Vec<Value> = app.anyone().get("/api/v1/templates").await.ok();
    let ids: BTreeSet<&str> = list.iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(
        ids.contains("raytrace") && ids.contains("digits"),
        "{ids:?}"
    );
    let one: Value = app.anyone().get("/api/v1/templates/raytrace").await.ok();
    assert_eq!(one["inputs"][1]["name"], "frames");
    app.anyone()
        .get("/api/v1/templates/none")
        .await
        .refused(404);
    let path = "/api/v1/templates/raytrace/launch";
    let wrong = json!({ "inputs": { "frames": 0, "colour": "red" } });
    let refused = ada.rest.post(path, &wrong);
    let fields: BTreeSet<String> = refused
        .await
        .refused(422)
        .fields
        .into_iter()
        .map(|f| f.field)
        .collect();
    assert!(fields.contains("inputs.colour"), "{fields:?}");
    let refused = ada
        .rest
        .post(path, &json!({ "way": "gpu" }))
        .await
        .refused(422);
    assert_eq!(refused.fields[0].field, "way");
    // Pages: the list, one, and a form that was sent without scripts comes back with what was typed.
    let html = app.anyone().get("/templates?kind=rendering").await.text();
    assert!(
        html.contains("/templates/raytrace") && !html.contains("/templates/digits"),
        "{html}"
    );
    let html = app
        .anyone()
        .get("/templates/raytrace?inputs%5Bframes%5D=999")
        .await
        .text();
    assert!(html.contains("a whole number from 1 to 240"), "{html}");
    let none = app
        .anyone()
        .send(Method::GET, "/templates/none", "", "")
        .await;
    assert_eq!(none.status.as_u16(), 404);
}
