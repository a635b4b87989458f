//! The one line of the portal, run as it stands: it fetches the worker, checks it, and joins.

use std::path::Path;
use std::process::{Command, Output};

use protocol::view::{JoinTokenView, NodeView};
use serde_json::json;
use test_support::TestApp;

/// Runs a line in a shell, with a home and a directory for programs of its own.
fn shell(line: &str, home: &Path) -> (Output, String) {
    let done = Command::new("sh")
        .args(["-c", line])
        .env("HOME", home)
        .env("IOG_BIN", home.join("bin"))
        .env("IOG_WORKER_STATE", home.join("state"))
        .output()
        .expect("sh");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_portals_one_line_fetches_checks_and_joins() {
    let app = TestApp::start().await;
    let owner = app.account("olga", None);
    let made = owner
        .rest
        .post("/api/v1/nodes/join-tokens", &json!({}))
        .await;
    let token: JoinTokenView = made.ok();
    assert!(token.command.contains("/install.sh"), "{}", token.command);
    let home = app.folder().join("bare");
    std::fs::create_dir(&home).expect("home");
    let line = format!("{} --enroll-only --name bare", token.command);
    let (done, said) = shell(&line, &home);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("as promised"), "{said}");
    assert!(
        String::from_utf8_lossy(&done.stdout).contains("Joined"),
        "{said}"
    );
    let nodes: Vec<NodeView> = owner.rest.get("/api/v1/nodes").await.ok();
    assert_eq!(
        nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect::<Vec<_>>(),
        ["bare"]
    );
    let left: Vec<_> = std::fs::read_dir(home.join("bin"))
        .expect("read")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert_eq!(left, ["iog-worker"], "nothing else stays");
    let (gone, said) = shell("$IOG_BIN/iog-worker uninstall", &home);
    assert!(gone.status.success(), "{said}");
    assert!(!home.join("state").exists() && !home.join("bin/iog-worker").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_program_that_is_not_the_promised_one_is_not_installed() {
    let app = TestApp::start().await;
    let script = app.anyone().get("/install.sh").await;
    assert!(
        script
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/x-shellscript"))
    );
    let text = script.text();
    let machine = std::env::consts::ARCH;
    let at = text
        .find(&format!("{machine} "))
        .expect("this machine's program")
        + machine.len()
        + 1;
    let first = if text.as_bytes()[at] == b'0' {
        "1"
    } else {
        "0"
    };
    let forged = format!("{}{first}{}", &text[..at], &text[at + 1..]);
    let home = app.folder().join("forged");
    std::fs::create_dir(&home).expect("home");
    for (name, script, words) in [
        ("forged", forged.as_str(), "nothing was installed"),
        // Cut off on its way: the last line calls what stands before it.
        ("cut", &text[..text.len() - 12], ""),
    ] {
        let path = home.join(name);
        std::fs::write(&path, script).expect("write");
        let (done, said) = shell(&format!("sh {} --token x", path.display()), &home);
        assert!(said.contains(words), "{name}: {said}");
        assert!(name != "forged" || !done.status.success(), "{said}");
        let bin = home.join("bin");
        assert!(
            std::fs::read_dir(bin).map_or(true, |mut left| left.next().is_none()),
            "{name}"
        );
    }
    for missing in [
        "iog-worker-z80",
        "iog-worker",
        "iog-worker-..%2f..%2fetc%2fpasswd",
    ] {
        app.anyone()
            .get(&format!("/download/{missing}"))
            .await
            .refused(404);
    }
}
