//! A development chain of the test's own.

use std::ffi::OsStr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, binary};
use crate::wait_until;

/// It compiles the contracts at its start.
const READY_WITHIN: Duration = Duration::from_mins(1);
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts");
/// docs/devchain.md; it holds the IO there is and appoints who pays out.
const DEVELOPMENT: &str = "0x7d4f89603f89f6eb34576e75d937a9b85c3802d760a86572f386d19e028f58df";
/// Of the two accounts that pay out: that one, and `IOG second settler, not secret!!`.
pub const KEYS: [&str; 2] = [
    "494f4720646576656c6f706d656e74206b65792c206e6f742073656372657421",
    "494f47207365636f6e6420736574746c65722c206e6f74207365637265742121",
];
const SETTLERS: [&str; 2] = [
    DEVELOPMENT,
    "0x23a64c03f01077da67b6e5e21fcdffd8ade93a2903481d2e6246cf1679adb4a2",
];

/// With the contracts, and two accounts that pay out. It ends with the test.
pub struct Devchain {
    pub url: String,
    rest: Client,
    process: Option<Process>,
    block_ms: u32,
    folder: TempDir,
}

impl Devchain {
    pub async fn start(block_ms: u32) -> Self {
        let mut chain = Self {
            url: String::new(),
            rest: Client::new(""),
            process: None,
            block_ms,
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        chain.run("127.0.0.1:0").await;
        for settler in SETTLERS {
            chain.call("roles::add_settler", json!([settler])).await;
        }
        chain
            .call("roles::add_reporter", json!([DEVELOPMENT]))
            .await;
        chain
    }

    /// After a kill, at the same address and from the same file.
    pub async fn start_again(&mut self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        self.run(&address).await;
    }

    async fn run(&mut self, address: &str) {
        let block_ms = self.block_ms.to_string();
        let data = self.folder.path().join("chain");
        let log = self.folder.path().join("devchain.log");
        let arguments = [
            "--listen",
            address,
            "--block-ms",
            &block_ms,
            "--package",
            PACKAGE,
            "--data",
        ];
        let arguments = arguments
            .map(OsStr::new)
            .into_iter()
            .chain([data.as_os_str()]);
        let program = binary("IOG_DEVCHAIN_BIN", "iog-devchain");
        _ = std::fs::remove_file(&log);
        let process =
            self.process
                .insert(Process::start("devchain", &program, arguments, &[], &log));
        // It says where it listens as soon as it does.
        self.url = wait_until("the chain is ready", READY_WITHIN, || {
            let (log, ended) = (process.log(), process.ended());
            async move {
                assert!(ended.is_none(), "the chain ended at its start:\n{log}");
                let whole = log.rfind('\n').map_or("", |end| &log[..end]);
                whole
                    .lines()
                    .find(|line| line.starts_with("http://"))
                    .map(str::to_owned)
            }
        })
        .await;
        self.rest = Client::new(&self.url);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// What a server is told of it.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("IOG_CHAIN_URL", format!("{}/v1", self.url)),
            ("IOG_CHAIN_ID", "4".to_owned()),
            ("IOG_CHAIN_CONTRACT", DEVELOPMENT.to_owned()),
            ("IOG_CHAIN_SETTLER_KEYS", KEYS.join(" ")),
        ]
    }

    /// The development account calls an entry function; answers with its transaction.
    pub async fn call(&self, function: &str, arguments: Value) -> Value {
        let body = json!({ "function": function, "arguments": arguments });
        let done: Value = self.rest.post("/devchain/call", &body).await.ok();
        assert_eq!(done["success"], true, "{function}: {done}");
        done
    }

    /// Puts that account's own IO into the vault.
    pub async fn deposit(&self, tag: [u8; 16], amount: i64) {
        let tag = format!("0x{}", hex::encode(tag));
        self.call("settlement::deposit", json!([tag, amount.to_string()]))
            .await;
    }

    /// Gives an address IO.
    pub async fn mint(&self, address: &str, amount: u64) {
        self.give(address, amount, "io").await;
    }

    /// Gives an address APT, of which fees are paid.
    pub async fn fund(&self, address: &str, amount: u64) {
        self.give(address, amount, "apt").await;
    }

    async fn give(&self, address: &str, amount: u64, asset: &str) {
        let path = format!("/mint?address={address}&amount={amount}&asset={asset}");
        let done = self.rest.send(Method::POST, &path, "", "").await;
        done.ok::<Value>();
    }

    /// So many of the next requests of a kind (`submit` or `read`) go wrong.
    pub async fn fail(&self, scope: &str, fault: &str, next: u32) {
        let body = json!({ "scope": scope, "fault": fault, "next": next });
        self.rest
            .post("/devchain/faults", &body)
            .await
            .ok::<Value>();
    }

    /// No more faults than have happened.
    pub async fn heal(&self) {
        self.rest.delete("/devchain/faults").await.ok::<Value>();
    }

    /// Moves the ledger's time ahead.
    pub async fn advance(&self, seconds: u64) {
        let body = json!({ "seconds": seconds });
        self.rest
            .post("/devchain/advance", &body)
            .await
            .ok::<Value>();
    }

    async fn ask(&self, function: &str) -> Value {
        let function = format!("{DEVELOPMENT}::{function}");
        let body = json!({ "function": function, "type_arguments": [], "arguments": [] });
        let values: Vec<Value> = self.rest.post("/v1/view", &body).await.ok();
        values.into_iter().next().unwrap_or_default()
    }

    /// A transaction that it has, by its hash.
    pub async fn transaction(&self, hash: &str) -> Value {
        let path = format!("/v1/transactions/by_hash/{hash}");
        self.rest.get(&path).await.ok()
    }

    /// What the contract's vault holds.
    pub async fn vault(&self) -> i64 {
        let text = self.ask("settlement::vault_balance").await;
        text.as_str()
            .and_then(|text| text.parse().ok())
            .expect("a balance")
    }

    /// What an address holds of IO.
    pub async fn holding(&self, address: &str) -> i64 {
        let ledger: Value = self.rest.get("/v1").await.ok();
        let io = ledger["devchain"]["io"].as_str().expect("the asset");
        let path = format!("/v1/accounts/{address}/balance/{io}");
        self.rest.get(&path).await.ok()
    }
}
