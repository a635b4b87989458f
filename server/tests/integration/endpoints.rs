//! Questions to a job that serves: each takes a place among the open connections, and nobody works for an asker who has left.

use protocol::endpoint::EndpointView;
use protocol::spec::{InlineFile, Port};
use protocol::state::JobState;
use test_support::{Database, TestApp, shell, wait_until};

use crate::{QUICK, SOON};

/// Well at once; asked to think it says nothing until the asker hangs up.
const SERVER: &str = r#"
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/think":
            print("it thinks", flush=True)
            while self.connection.recv(1): pass
            print("nobody waits", flush=True)
            return
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"well")
http.server.ThreadingHTTPServer(("127.0.0.1", 8100), Handler).serve_forever()
"#;

#[tokio::test]
async fn fault_a_question_goes_on_without_its_asker_and_takes_no_seat() {
    // One for the machine's own line, and one more.
    let settings = [QUICK.as_slice(), &[("IOG_SOCKETS_MAX", "2")]].concat();
    let app = TestApp::start_with(Database::Sqlite, &settings).await;
    let (ada, bo) = (app.account("ada", Some("50")), app.account("bo", None));
    let _node = app.node(&bo, "bo-desktop", "3.6").await;
    let mut spec = shell("endpoint", "exec python3 serve.py");
    spec.files = vec![InlineFile {
        path: "serve.py".into(),
        content: SERVER.into(),
    }];
    spec.ports = vec![Port {
        port: 8_100,
        name: None,
        public: false,
        health: Some("/health".into()),
    }];
    let id = ada.submit(&spec).await.summary.id;
    ada.wait_for(id, JobState::Running, SOON).await;
    let own = format!("/api/v1/endpoints/{id}");
    wait_until("it is well", SOON, || async {
        let view: EndpointView = ada.rest.get(&own).await.ok();
        view.replicas.iter().any(|one| one.well).then_some(())
    })
    .await;
    let said = async |words: &str| {
        wait_until(words, SOON, || async {
            ada.log(id).await.contains(words).then_some(())
        })
        .await;
    };
    let health = format!("{own}/health");
    assert_eq!(ada.rest.get(&health).await.text(), "well");

    let (rest, think) = (ada.rest.clone(), format!("{own}/think"));
    let asks = tokio::spawn(async move { rest.get(&think).await });
    said("it thinks").await;
    let refused = ada.rest.get(&health).await.refused(503);
    assert!(refused.detail.contains("connections"), "{}", refused.detail);
    asks.abort();
    said("nobody waits").await;
    wait_until("the seat is free", SOON, || async {
        let answer = ada.rest.get(&health).await;
        (answer.status.as_u16() == 200).then_some(())
    })
    .await;
    let view: EndpointView = ada.rest.get(&own).await.ok();
    assert!(view.replicas.iter().all(|one| one.well), "{view:?}");
    ada.stop(id).await;
}
