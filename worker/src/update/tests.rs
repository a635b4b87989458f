use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use ed25519_dalek::{Signer, SigningKey};

use super::supervisor::Supervisor;
use super::*;

const OWN: &str = "1.2.3";

fn signing() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn release(version: &str, program: &[u8], key: &SigningKey) -> Release {
    let mut release = Release {
        version: version.to_owned(),
        target: target(),
        size_bytes: u64::try_from(program.len()).unwrap(),
        sha256: hex::encode(Sha256::digest(program)),
        signature: "0".repeat(128),
    };
    release.signature = hex::encode(key.sign(&release.signed_bytes()).to_bytes());
    release
}

#[test]
fn only_a_newer_release_with_the_right_signature_is_admitted() {
    let key = signing();
    let public = key.verifying_key();
    let good = release("1.3.0", b"x", &key);
    admit(&good, &public, OWN, &[]).unwrap();
    for old in ["1.2.3", "1.2.2", "0.99.0"] {
        let refused = admit(&release(old, b"x", &key), &public, OWN, &[]);
        assert!(matches!(refused, Err(UpdateError::NotNewer(..))), "{old}");
    }
    let forged = release("1.3.0", b"x", &SigningKey::from_bytes(&[8; 32]));
    assert!(matches!(
        admit(&forged, &public, OWN, &[]),
        Err(UpdateError::Signature)
    ));
    for change in [
        |release: &mut Release| release.version = "9.9.9".into(),
        |release: &mut Release| release.sha256 = "1".repeat(64),
        |release: &mut Release| release.size_bytes += 1,
    ] {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(matches!(
            admit(&changed, &public, OWN, &[]),
            Err(UpdateError::Signature)
        ));
    }
    let tried = admit(&good, &public, OWN, &["1.3.0".to_owned()]);
    assert!(matches!(tried, Err(UpdateError::TriedBefore(_))));
    let mut other = good;
    other.target = "sparc-solaris".into();
    assert!(matches!(
        admit(&other, &public, OWN, &[]),
        Err(UpdateError::Form)
    ));
}

/// Serves a release and a program, which need not be what the release says.
async fn serve(release: Release, program: &'static [u8]) -> (String, tokio::task::JoinHandle<()>) {
    let path = format!("/api/v1/worker/release/{}", release.sha256);
    let app = Router::new()
        .route(
            "/api/v1/worker/release",
            get(move || async move { axum::Json(release) }),
        )
        .route(&path, get(move || async move { program }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, task)
}

#[tokio::test]
async fn what_is_fetched_must_be_what_was_signed() {
    _ = rustls::crypto::ring::default_provider().install_default();
    let key = signing();
    let settings = UpdateSettings {
        key: key.verifying_key(),
        every: Duration::from_secs(1),
    };
    let state = tempfile::tempdir().unwrap();
    let files = Files::of(state.path());
    for bad in [&b"other"[..], b"much longer than what was signed"] {
        let (server, task) = serve(release("1.3.0", b"right", &key), bad).await;
        let refused = look(&server, &settings, OWN, &files).await;
        assert!(matches!(refused, Err(UpdateError::Content)), "{refused:?}");
        assert_eq!(files.staged(), None);
        task.abort();
    }
    let (server, task) = serve(release("1.3.0", b"right", &key), b"right").await;
    assert!(look(&server, &settings, OWN, &files).await.unwrap());
    let (program, version) = files.staged().unwrap();
    assert_eq!(
        (fs::read(program).unwrap().as_slice(), version.as_str()),
        (&b"right"[..], "1.3.0")
    );
    // It is what runs, or an older one: nothing to do, or refused.
    assert!(!look(&server, &settings, "1.3.0", &files).await.unwrap());
    assert!(matches!(
        look(&server, &settings, "2.0.0", &files).await,
        Err(UpdateError::NotNewer(..))
    ));
    task.abort();
}

/// A program at its place, a newer one staged, and a supervisor with little patience. `old` runs first and leaves for the update.
fn place(state: &Path, new: &str) -> (Supervisor, PathBuf) {
    let program = state.join("iog-worker");
    let log = state.join("log");
    let files = Files::of(state);
    // Once it is back after a roll-back, the old program ends in order.
    let old = format!(
        "#!/bin/sh\necho old >> {log}\nif [ -e {tried} ]; then exit 0; fi\ntouch {tried}\nexit {LEAVES_FOR_UPDATE}\n",
        log = log.display(),
        tried = state.join("tried").display(),
    );
    fs::write(&program, old).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let new = new.replace("LOG", &log.display().to_string()).replace(
        "TRIAL",
        &state.join("update/trial.json").display().to_string(),
    );
    files.stage(new.as_bytes(), "1.3.0").unwrap();
    let supervisor = Supervisor {
        program,
        arguments: vec!["run".into()],
        files,
        welcomed_within: Duration::from_millis(400),
    };
    (supervisor, log)
}

/// What it came to: exit code, what ran, what is on trial and what is refused, the program at its place.
async fn ran(new: &str) -> (ExitCode, Vec<String>, (Option<Trial>, Vec<String>), String) {
    let state = tempfile::tempdir().unwrap();
    let (supervisor, log) = place(state.path(), new);
    let code = supervisor.run().await.unwrap();
    let log = fs::read_to_string(log).unwrap();
    let left = fs::read_to_string(&supervisor.program).unwrap();
    (
        code,
        log.lines().map(str::to_owned).collect(),
        (supervisor.files.trial(), supervisor.files.refused()),
        left,
    )
}

#[tokio::test]
async fn one_that_is_welcomed_stays() {
    // What the agent does when the exchange welcomes it.
    let (code, log, files, left) =
        ran("#!/bin/sh\necho new $1 >> LOG\nrm TRIAL\nsleep 0.6\nexit 3\n").await;
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)));
    assert_eq!(log, ["old", "new run"]);
    assert!(left.contains("echo new"));
    assert_eq!(files, (None, vec![]));
}

#[tokio::test]
async fn one_that_crashes_three_times_is_taken_back() {
    let (code, log, files, left) = ran("#!/bin/sh\necho new >> LOG\nexit 101\n").await;
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(log, ["old", "new", "new", "new", "old"]);
    assert!(left.contains("echo old"));
    assert_eq!(files, (None, vec!["1.3.0".to_owned()]));
}

#[tokio::test]
async fn one_that_is_not_welcomed_in_time_is_taken_back() {
    let (_, log, files, left) = ran("#!/bin/sh\necho new >> LOG\nexec sleep 60\n").await;
    assert_eq!(log, ["old", "new", "old"]);
    assert!(left.contains("echo old"));
    assert_eq!(files.1, ["1.3.0"]);
}

#[tokio::test]
async fn what_is_no_program_at_all_is_taken_back() {
    let (_, log, files, _) = ran("#!/no/such/interpreter\n").await;
    assert_eq!(log, ["old", "old"]);
    assert_eq!(files.1, ["1.3.0"]);
}

/// A directory in the way of every new file, as a full disk is. The program before needs no room.
#[tokio::test]
async fn one_that_crashes_on_a_full_disk_is_taken_back() {
    let state = tempfile::tempdir().unwrap();
    let (supervisor, log) = place(
        state.path(),
        "#!/bin/sh\necho new >> LOG\nmkdir -p $0.new $(dirname TRIAL)/refused.json.new\nexit 101\n",
    );
    let code = supervisor.run().await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().last(), Some("old"), "{log}");
    let left = fs::read_to_string(&supervisor.program).unwrap();
    assert!(left.contains("echo old"));
    assert_eq!(supervisor.files.trial(), None);
}

/// As long as the program before is not back, the one in its place is on trial.
#[tokio::test]
async fn a_trial_ends_only_when_the_program_before_is_back() {
    let state = tempfile::tempdir().unwrap();
    // After its third crash the way back is closed; at its fifth start it is open again.
    let new = "#!/bin/sh\necho new >> LOG\nd=$(dirname TRIAL)\n[ -f $d/previous ] && mv $d/previous $d/kept && mkdir -p $d/previous/x\n\
        [ $(grep -c new LOG) = 5 ] && rm -r $d/previous && mv $d/kept $d/previous\nexit 101\n";
    let (supervisor, log) = place(state.path(), new);
    supervisor.run().await.unwrap();
    let log = fs::read_to_string(log).unwrap();
    let ran: Vec<&str> = log.lines().collect();
    assert_eq!(ran, ["old", "new", "new", "new", "new", "new", "old"]);
    assert_eq!(supervisor.files.trial(), None);
    assert_eq!(supervisor.files.refused(), ["1.3.0"]);
}

#[tokio::test]
async fn a_swap_that_fails_on_a_full_disk_ends_no_supervisor() {
    let state = tempfile::tempdir().unwrap();
    let (supervisor, log) = place(state.path(), "#!/bin/sh\nexit 0\n");
    fs::create_dir(state.path().join("iog-worker.new")).unwrap();
    fs::create_dir(state.path().join("update/refused.json.new")).unwrap();
    supervisor.run().await.unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "old\nold\n");
}
