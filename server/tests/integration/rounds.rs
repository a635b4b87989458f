//! The real command against a real server: whoever downloads a round finds the same, and an altered one is told apart.

use protocol::round::{MissedView, RoundRecord, RoundView};
use protocol::view::{NodeView, Page};
use serde_json::{Value, json};
use test_support::{Database, TestApp, job};

#[tokio::test]
async fn anyone_can_replay_what_the_market_did() {
    for database in Database::from_env() {
        let app = TestApp::start_with(database, &[]).await;
        let (rita, otto) = (app.account("rita", Some("10")), app.account("otto", None));
        let cheap = app.fake(&otto, "cheap", "1").await;
        let _dear = app.fake(&otto, "dear", "2").await;
        let view = rita.submit(&job("one", &["true"])).await;
        assert_eq!(view.rounds, [1]);
        rita.submit(&job("two", &["true"])).await;
        let nothing_left = rita.try_submit(&job("three", &["true"])).await;
        assert_eq!(nothing_left.status.as_u16(), 409);

        let anyone = app.anyone();
        let page: Page<RoundRecord> = anyone.get("/api/v1/market/rounds?limit=2").await.ok();
        let numbers: Vec<u64> = page.items.iter().map(|r| r.round.number).collect();
        assert_eq!((numbers, page.next.as_deref()), (vec![3, 2], Some("2")));
        let round: RoundView = anyone.get("/api/v1/market/rounds/1").await.ok();
        assert_eq!(round.record.round.chosen[0].node, cheap.node);
        let text = anyone.get("/api/v1/market/rounds/1").await.text();
        assert!(!text.contains("job_") && !text.contains(&rita.id), "{text}");

        let replay = |arguments: &[&str]| {
            let done = app.try_admin(&[&["replay"], arguments].concat(), &[]);
            let text = [done.stdout, done.stderr].concat();
            (
                done.status.code(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        };
        let (code, text) = replay(&["--from", &app.url, "--round", "1", "--to", "3"]);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.matches(": same (").count(), 3, "{text}");
        assert!(
            text.contains(&round.record.hash) && text.contains("winners: nobody"),
            "{text}"
        );

        // Without the server, from a file; and what was altered in it is found.
        let file = app.folder().join("round.json").display().to_string();
        let (code, _) = replay(&["--from", &app.url, "--round", "2", "--save", &file]);
        assert_eq!(code, Some(0));
        assert_eq!(replay(&["--from", &file]).0, Some(0));
        let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        kept["round"]["record"]["round"]["chosen"][0]["price"] = json!("1");
        std::fs::write(&file, kept.to_string()).unwrap();
        let (code, text) = replay(&["--from", &file]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("DIFFERENT winners"), "{text}");

        let (code, text) = replay(&["--from", &app.url, "--round", "99"]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("99 is not kept here"), "{text}");
        assert_eq!(replay(&["--from", "/nowhere"]).0, Some(2));
        assert_eq!(replay(&["--from", &app.url]).0, Some(2), "which round?");

        let nodes: Vec<NodeView> = otto.rest.get("/api/v1/nodes").await.ok();
        let dear = nodes.iter().find(|node| node.name == "dear").unwrap();
        let path = format!("/api/v1/devices/{}/missed", dear.devices[0].id);
        let missed: MissedView = otto.rest.get(&path).await.ok();
        assert_eq!((missed.rounds, missed.won), (3, 1));
        assert!(
            missed
                .missed
                .iter()
                .any(|group| group.field == "price" && group.outranked)
        );
        assert_eq!(rita.rest.get(&path).await.status.as_u16(), 404);
    }
}
