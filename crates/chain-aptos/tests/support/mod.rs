//! The development chain as a process of its own, with the contract on it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chain_aptos::{Aptos, Settings};
use devchain::{CHAIN_ID, DEVELOPMENT_ADDRESS, DEVELOPMENT_KEY};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use settlement::chain::{Chain as _, Events, Signed};
use settlement::sign_in::WalletKey;
use settlement::{Address, Outgoing};

pub struct Devchain {
    child: Child,
    pub url: String,
    http: reqwest::Client,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Beside the test, where a build of the workspace puts it; or built now.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("IOG_DEVCHAIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("target/debug/deps");
    let path = folder.join("iog-devchain");
    if !path.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "-p", "devchain"])
            .current_dir(root())
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "devchain does not build"
        );
    }
    path
}

impl Devchain {
    /// `block_ms` 0: a block whenever something was accepted.
    pub fn start(data: &Path, block_ms: u64) -> Self {
        let mut child = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--package", "contracts"])
            .args(["--block-ms", &block_ms.to_string()])
            .arg("--data")
            .arg(data)
            .current_dir(root())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the development chain starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        assert!(
            line.starts_with("http://"),
            "the development chain did not start; is IOG_MOVE_LIBS set? {line}"
        );
        _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            child,
            url: line.trim().to_owned(),
            http: reqwest::Client::new(),
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let sent = self
            .http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .expect("the chain answers");
        assert!(sent.status().is_success(), "{path}: {}", sent.status());
        let text = sent.text().await.expect("text");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn fault(&self, fault: &str, next: u32) {
        self.post("/devchain/faults", json!({"next": next, "fault": fault}))
            .await;
    }

    pub async fn advance(&self, seconds: u64) {
        self.post("/devchain/advance", json!({"seconds": seconds}))
            .await;
    }

    pub async fn mint(&self, to: Address, amount: u64) {
        self.post(
            &format!("/mint?address={to}&amount={amount}&asset=io"),
            json!({}),
        )
        .await;
    }

    /// As the platform uses it: the development account pays out, publishes, and pays fees.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(format!("{}/v1", self.url), CHAIN_ID, contract());
        settings.settlers = vec![development()];
        settings.fee_payer = Some(development());
        settings.pause = Duration::from_millis(20);
        settings
    }

    pub async fn connect(&self) -> Aptos {
        Aptos::appoint(self.settings(), &development(), [7; 8])
            .await
            .expect("roles are given");
        Aptos::connect(self.settings()).await.expect("connected")
    }
}

impl Drop for Devchain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn development() -> SigningKey {
    SigningKey::from_bytes(&DEVELOPMENT_KEY)
}

pub fn contract() -> Address {
    DEVELOPMENT_ADDRESS.parse().expect("an address")
}

pub fn address(key: &SigningKey) -> Address {
    let wallet = WalletKey::ed25519(key.verifying_key());
    Address::from_bytes(*wallet.authentication_key().as_bytes())
}

/// What the platform does with a signed transaction, until its end.
pub async fn carry(aptos: &Aptos, signed: &Signed) -> Outgoing {
    let mut state = Outgoing::Signed;
    for _ in 0..400 {
        if state.may_be_sent() {
            // Whatever the answer: the look-up tells.
            let _ = aptos.submit(&signed.bytes).await;
            state = state.sent();
        }
        let sighting = aptos.look_up(signed.hash).await.expect("the chain answers");
        state = state
            .after(signed.expires_at, &sighting)
            .expect("no contradiction");
        if state.is_final() {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it came to no end: {state}");
}

/// All events from a version on, read in pages of `versions`.
pub async fn read_on(
    aptos: &Aptos,
    mut from: u64,
    versions: u16,
) -> (Vec<settlement::chain::Event>, u64) {
    let mut all = Vec::new();
    loop {
        let page: Events = aptos.events(from, versions).await.expect("events");
        let done = page.is_up_to_date();
        all.extend(page.events);
        from = page.next;
        if done {
            return (all, from);
        }
    }
}
