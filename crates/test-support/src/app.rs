//! A server of the test's own.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use sqlx::Connection;
use tempfile::TempDir;

use crate::account::Account;
use crate::client::Client;
use crate::fake::FakeWorker;
use crate::node::Node;
use crate::process::{Process, binary};
use crate::{postgres, wait_until};

const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(20);

/// Where a test's server keeps its books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    /// By the address that may create databases.
    Postgres(String),
}

impl Database {
    /// SQLite, and Postgres too where `IOG_TEST_POSTGRES` is set: a test of money runs on each of them.
    pub fn from_env() -> Vec<Self> {
        let postgres = std::env::var("IOG_TEST_POSTGRES").ok().map(Self::Postgres);
        std::iter::once(Self::Sqlite).chain(postgres).collect()
    }
}

/// A running `iog-server` with its own data; it and everything it started end with the test.
pub struct TestApp {
    pub url: String,
    server: Option<Process>,
    env: Vec<(String, String)>,
    database: Database,
    database_url: Option<String>,
    folder: TempDir,
}

impl TestApp {
    /// On SQLite, with generous rate limits.
    pub async fn start() -> Self {
        Self::start_with(Database::Sqlite, &[]).await
    }

    pub async fn start_with(database: Database, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let database_url = match &database {
            Database::Sqlite => None,
            Database::Postgres(admin) => Some(postgres::fresh(admin).await),
        };
        let url = format!("http://127.0.0.1:{port}");
        let data = folder.path().join("data");
        let mut env: Vec<(String, String)> = [
            ("LEPTOS_SITE_ADDR", format!("127.0.0.1:{port}")),
            (
                "LEPTOS_SITE_ROOT",
                folder.path().join("site").display().to_string(),
            ),
            ("IOG_DATA_DIR", data.display().to_string()),
            ("IOG_PUBLIC_URL", url.clone()),
            ("IOG_REQUESTS_PER_SECOND", "5000".to_owned()),
            ("IOG_SIGN_IN_PER_MINUTE", "1000".to_owned()),
            ("IOG_LOG", "info".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        env.extend(
            database_url
                .iter()
                .map(|url| ("IOG_DATABASE_URL".to_owned(), url.clone())),
        );
        env.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut app = Self {
            url,
            server: None,
            env,
            database,
            database_url,
            folder,
        };
        app.start_server().await;
        app
    }

    /// Starts it without waiting until it serves.
    pub fn begin_server(&mut self) -> &mut Process {
        let program = binary("IOG_SERVER_BIN", "iog-server");
        let log = self.folder.path().join("server.log");
        let server = Process::start("server", &program, [OsStr::new("serve")], &self.env, &log);
        self.server.insert(server)
    }

    /// Starts the program (again) and waits until it is ready.
    pub async fn start_server(&mut self) {
        let client = Client::new(&self.url);
        let server = self.begin_server();
        let ready = wait_until("the server is ready", READY_WITHIN, || {
            let ended = server.ended();
            let log = if ended.is_some() {
                server.log()
            } else {
                String::new()
            };
            let client = client.clone();
            async move {
                if let Some(status) = ended {
                    return Some(Err(format!("{status}:\n{log}")));
                }
                let answer = client
                    .try_send(http::Method::GET, "/readyz", "", "")
                    .await
                    .ok()?;
                answer.status.is_success().then_some(Ok(()))
            }
        });
        if let Err(how) = ready.await {
            panic!("the server ended at its start: {how}");
        }
    }

    /// From the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn server(&self) -> &Process {
        self.server.as_ref().expect("the server was started")
    }

    /// `kill -9`.
    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// SIGTERM; the server closes in order or the test ends.
    pub async fn end_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate(END_WITHIN).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Nobody in particular.
    pub fn anyone(&self) -> Client {
        Client::new(&self.url)
    }

    /// Runs one of the program's subcommands; its last word is the id, the key or the token.
    pub fn admin(&self, arguments: &[&str], env: &[(&str, &str)]) -> String {
        let done = self.try_admin(arguments, env);
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let words = String::from_utf8(done.stdout).expect("UTF-8");
        words
            .split_whitespace()
            .next_back()
            .unwrap_or_else(|| panic!("{arguments:?} printed nothing"))
            .to_owned()
    }

    pub fn try_admin(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        Command::new(binary("IOG_SERVER_BIN", "iog-server"))
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(env.iter().copied())
            .output()
            .expect("the program starts")
    }

    /// A number out of the database itself, for what no page and no route tells.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.connection().await;
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        number.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn connection(&self) -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        let sqlite = format!("sqlite://{}/data/iog.db", self.folder.path().display());
        let url = self.database_url.as_deref().unwrap_or(&sqlite);
        sqlx::AnyConnection::connect(url)
            .await
            .expect("the database answers")
    }

    /// A change to the database itself, for what no program does.
    pub async fn execute(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        let done = sqlx::query(sql).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A new account with all scopes on its key and, if said, so much IO to spend.
    pub fn account(&self, name: &str, credit_io: Option<&str>) -> Account {
        let credit = credit_io.map(|credit| ["--demo-credit-io", credit]);
        self.new_account(name, credit.as_ref().map_or(&[], |more| &more[..]))
    }

    /// One that runs the platform.
    pub fn admin_account(&self, name: &str) -> Account {
        self.new_account(name, &["--role", "admin"])
    }

    fn new_account(&self, name: &str, more: &[&str]) -> Account {
        let email = format!("{name}@example.com");
        let password = format!("correct horse {name}");
        let mut arguments = vec![
            "account",
            "create",
            "--email",
            &email,
            "--name",
            name,
            "--password-env",
            "IOG_NEW_PASSWORD",
        ];
        arguments.extend(more);
        let id = self.admin(&arguments, &[("IOG_NEW_PASSWORD", &password)]);
        let key = self.key(&email, "read,jobs,nodes");
        let rest = self.anyone().with_key(&key);
        Account {
            id,
            email: email.clone(),
            password: password.clone(),
            key,
            rest,
        }
    }

    pub fn key(&self, email: &str, scopes: &str) -> String {
        self.admin(
            &[
                "key", "create", "--email", email, "--name", "test", "--scopes", scopes,
            ],
            &[],
        )
    }

    pub fn join_token(&self, email: &str) -> String {
        self.admin(&["join-token", "create", "--email", email], &[])
    }

    /// A real `iog-worker`, joined and on the market.
    pub async fn node(&self, owner: &Account, name: &str, per_hour: &str) -> Node {
        let folder = self.folder.path().join(name);
        let token = self.join_token(&owner.email);
        let node = Node::join(&self.url, &token, name, per_hour, folder);
        node.on_the_market(&self.anyone()).await;
        node
    }

    /// A worker that only speaks the protocol, joined and on the market.
    pub async fn fake(&self, owner: &Account, name: &str, per_hour: &str) -> FakeWorker {
        FakeWorker::join(&self.url, &self.join_token(&owner.email), name, per_hour).await
    }

    pub fn artefacts_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill_server();
        if let (Database::Postgres(admin), Some(url)) = (&self.database, &self.database_url) {
            let (admin, url) = (admin.clone(), url.clone());
            // `Drop` cannot wait on the test's own runtime.
            let removed = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.map(|runtime| runtime.block_on(postgres::remove(&admin, &url)))
            });
            _ = removed.join();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
