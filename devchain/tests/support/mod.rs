//! A chain as a process of its own, a client that shows every byte, and accounts that sign.
#![expect(
    dead_code,
    reason = "each test file is a program of its own and uses a part of this"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use devchain::CHAIN_ID;
use devchain::transaction::{
    AccountAuthenticator, AnyPublicKey, AnySignature, Authenticator, EntryFunction, Executable,
    Extra, ORDERLESS, Payload, PayloadInner, RawTransaction, SignedTransaction, ed25519_address,
    sha3,
};
use devchain::types::{Address, ModuleId};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;

pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A running chain. It is killed at the end of the test.
pub struct Devchain {
    child: Child,
    pub address: String,
}

impl Devchain {
    /// Over a directory, with the sample package; a block each `block_ms`, or on demand (0).
    pub fn start(data: &Path, block_ms: u64) -> Self {
        Self::with(data, block_ms, "sample", "tests/move")
    }

    /// With a package of a folder beside this one.
    pub fn with(data: &Path, block_ms: u64, named_address: &str, package: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iog-devchain"))
            .args(["--listen", "127.0.0.1:0", "--named-address", named_address])
            .arg("--block-ms")
            .arg(block_ms.to_string())
            .arg("--data")
            .arg(data)
            .arg("--package")
            .arg(path(package))
            .arg("--standin")
            .arg(path("../contracts/standin"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(address) = line.trim().strip_prefix("http://") else {
            let mut words = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut words)
                .unwrap();
            panic!("the chain did not start: {words}");
        };
        // Its log must not fill the pipe and stop it.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let address = address.to_owned();
        Self { child, address }
    }

    /// Ends it as a power cut would, as far as a process can.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> std::process::ExitStatus {
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        self.child.wait().unwrap()
    }

    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        request(&self.address, method, path, headers, body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.try_request("GET", path, &[], &[]).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_request(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
        .unwrap()
    }

    pub fn submit(&self, signed: &SignedTransaction) -> Reply {
        self.try_submit(&signed.bytes()).unwrap()
    }

    pub fn try_submit(&self, signed: &[u8]) -> std::io::Result<Reply> {
        let kind = [("content-type", "application/x.aptos.signed_transaction+bcs")];
        self.try_request("POST", "/v1/transactions", &kind, signed)
    }

    /// Submits, waits until it is in a block, and returns it.
    pub fn done(&self, signed: &SignedTransaction) -> Value {
        let reply = self.submit(signed);
        assert_eq!(reply.status, 202, "{}", reply.text());
        self.committed(&hash(signed))
    }

    pub fn committed(&self, hash: &str) -> Value {
        for _ in 0..50 {
            let found = self
                .get(&format!("/v1/transactions/wait_by_hash/{hash}"))
                .json();
            if found["type"] == "user_transaction" {
                return found;
            }
        }
        panic!("{hash} is in no block");
    }

    pub fn order(&self, fault: &str, next: u32) {
        let reply = self.post(
            "/devchain/faults",
            &serde_json::json!({"next": next, "fault": fault}),
        );
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    pub fn fund(&self, to: Address, amount: u64) {
        let reply = self.post(
            &format!("/mint?address={to}&amount={amount}&asset=apt"),
            &Value::Null,
        );
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    pub fn now(&self) -> u64 {
        let head = self.get("/v1").json();
        head["ledger_timestamp"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1_000_000
    }

    pub fn apt(&self, owner: Address) -> u64 {
        self.get(&format!(
            "/v1/accounts/{owner}/balance/0x1::aptos_coin::AptosCoin"
        ))
        .json()
        .as_u64()
        .unwrap()
    }
}

impl Drop for Devchain {
    fn drop(&mut self) {
        // Already gone after `kill` and `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for &(name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let broken = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no whole answer");
    let end = all
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(broken)?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Ok(Reply {
        status,
        headers,
        body: all[end + 4..].to_vec(),
    })
}

pub fn hash(signed: &SignedTransaction) -> String {
    format!("0x{}", hex::encode(signed.hash()))
}

/// An account with one key.
pub struct Account {
    pub key: SigningKey,
    pub address: Address,
    /// Of the newer kind, whose address comes from the key with its kind.
    single: bool,
}

impl Account {
    pub fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let address = ed25519_address(key.verifying_key().as_bytes());
        Self {
            key,
            address,
            single: false,
        }
    }

    pub fn single(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let any = AnyPublicKey::Ed25519(key.verifying_key().to_bytes().to_vec());
        let address = Address(sha3(&[&bcs::to_bytes(&any).unwrap(), &[2]]));
        Self {
            key,
            address,
            single: true,
        }
    }

    pub fn publisher() -> Self {
        let key = SigningKey::from_bytes(&devchain::DEVELOPMENT_KEY);
        let address = ed25519_address(key.verifying_key().as_bytes());
        Self {
            key,
            address,
            single: false,
        }
    }

    pub fn authenticator(&self, message: &[u8]) -> AccountAuthenticator {
        let key = self.key.verifying_key().to_bytes().to_vec();
        let signature = self.key.sign(message).to_bytes().to_vec();
        if self.single {
            AccountAuthenticator::SingleKey {
                key: AnyPublicKey::Ed25519(key),
                signature: AnySignature::Ed25519(signature),
            }
        } else {
            AccountAuthenticator::Ed25519 { key, signature }
        }
    }

    pub fn sign(&self, raw: RawTransaction) -> SignedTransaction {
        let authenticator = match self.authenticator(&raw.message()) {
            AccountAuthenticator::Ed25519 { key, signature } => {
                Authenticator::Ed25519 { key, signature }
            }
            other => Authenticator::SingleSender(other),
        };
        SignedTransaction { raw, authenticator }
    }
}

pub fn function(path: &str, arguments: Vec<Vec<u8>>) -> EntryFunction {
    let (module, function) = path.rsplit_once("::").unwrap();
    EntryFunction {
        module: module.parse::<ModuleId>().unwrap(),
        function: function.into(),
        type_arguments: Vec::new(),
        arguments,
    }
}

/// A transfer of APT, which anybody can sign who was funded.
pub fn transfer(to: Address, amount: u64) -> EntryFunction {
    function(
        "0x1::aptos_account::transfer",
        vec![to.0.to_vec(), amount.to_le_bytes().to_vec()],
    )
}

pub fn numbered(sender: Address, number: u64, until: u64, call: EntryFunction) -> RawTransaction {
    RawTransaction {
        sender,
        sequence_number: number,
        payload: Payload::EntryFunction(call),
        max_gas_amount: 200_000,
        gas_unit_price: 100,
        expiration_timestamp_secs: until,
        chain_id: CHAIN_ID,
    }
}

pub fn orderless(sender: Address, nonce: u64, until: u64, call: EntryFunction) -> RawTransaction {
    let payload = Payload::Payload(PayloadInner::V1 {
        executable: Executable::EntryFunction(call),
        extra: Extra::V1 {
            multisig: None,
            nonce: Some(nonce),
        },
    });
    RawTransaction {
        payload,
        sequence_number: ORDERLESS,
        ..numbered(sender, 0, until, transfer(sender, 0))
    }
}
