//! Work in a running job from a terminal: `iog ssh`, `iog port-forward`, `iog logs`, `iog cp`. Each shows an API key
//! (`IOG_API_KEY`) to the server (`IOG_SERVER`).

mod files;
mod forward;
mod line;
mod logs;
mod shell;

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use kernel::JobId;
use reqwest::{Client, Response};

pub use files::{Copy, copy};
pub use forward::{Forward, forward};
pub use logs::{Logs, logs};
pub use shell::{Ssh, ssh};

/// Where the server is, and who asks.
#[derive(Args, Clone)]
pub struct At {
    /// Address of the exchange, such as https://iog.example.
    #[arg(
        long,
        env = "IOG_SERVER",
        default_value = "http://127.0.0.1:3000",
        value_name = "URL"
    )]
    server: String,
    /// An API key with the scopes read and jobs, from the account page.
    #[arg(long, env = "IOG_API_KEY", hide_env_values = true, value_name = "KEY")]
    key: String,
}

impl At {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.trim_end_matches('/'))
    }

    fn client() -> anyhow::Result<Client> {
        Client::builder()
            .connect_timeout(std::time::Duration::from_secs(10))
            .build()
            .context("no HTTP client can be made")
    }

    async fn get(&self, client: &Client, path: &str) -> anyhow::Result<Response> {
        let request = client.get(self.url(path)).bearer_auth(&self.key);
        accepted(request.send().await?).await
    }
}

/// What the server said instead, in its own words.
async fn accepted(response: Response) -> anyhow::Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str::<protocol::Problem>(&text) {
        Ok(problem) => Err(anyhow!("{}", told(&problem))),
        Err(_) => Err(anyhow!("the server answered {status}")),
    }
}

fn told(problem: &protocol::Problem) -> String {
    // As a rule the sentence names them already.
    let unsaid = |message: &str| !problem.detail.contains(message);
    let fields = problem.fields.iter().filter(|field| unsaid(&field.message));
    let fields = fields.map(|field| format!(" ({}: {})", field.field, field.message));
    std::iter::once(problem.detail.clone())
        .chain(fields)
        .collect()
}

/// `job_…`, or `job_…:path` where `:` is what the command splits at.
fn job(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| {
        "a job's id, job_ and 32 hexadecimal digits, as the job's page and GET /api/v1/jobs show it"
            .to_owned()
    })
}

/// Runs one of them on a small runtime of its own.
pub fn run<F>(work: F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    // The libraries bring two; one is chosen.
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
    {
        bail!("no TLS library could be chosen");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(work);
    // A thread that waits for standard input cannot be ended otherwise.
    runtime.shutdown_background();
    done
}
