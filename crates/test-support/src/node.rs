//! A real `iog-worker`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use protocol::state::DeviceState;
use protocol::view::{OfferView, OffersView};

use crate::client::Client;
use crate::process::{Process, binary};
use crate::wait_until;

const OFFERED_WITHIN: Duration = Duration::from_secs(30);

pub struct Node {
    pub name: String,
    pub process: Process,
    url: String,
    folder: PathBuf,
}

impl Node {
    /// Enrols with a token, without running.
    pub fn try_enrol(url: &str, token: &str, name: &str, per_hour: &str, folder: &Path) -> Output {
        std::fs::create_dir_all(folder).expect("a folder");
        Command::new(binary("IOG_WORKER_BIN", "iog-worker"))
            .args([
                "join",
                "--enroll-only",
                "--server",
                url,
                "--token",
                token,
                "--state",
            ])
            .arg(folder)
            .args([
                "--name",
                name,
                "--country",
                "CH",
                "--price-per-hour",
                per_hour,
            ])
            .output()
            .expect("the program starts")
    }

    pub fn join(url: &str, token: &str, name: &str, per_hour: &str, folder: PathBuf) -> Self {
        let done = Self::try_enrol(url, token, name, per_hour, &folder);
        assert!(
            done.status.success(),
            "{name} cannot join: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let process = run(url, name, &folder);
        Self {
            name: name.to_owned(),
            process,
            url: url.to_owned(),
            folder,
        }
    }

    /// After a kill: the same identity again.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = run(&self.url, &self.name, &self.folder);
    }

    pub async fn on_the_market(&self, client: &Client) {
        wait_until(
            &format!("{} is offered and free", self.name),
            OFFERED_WITHIN,
            || async {
                let offers: OffersView = client.get("/api/v1/offers").await.ok();
                let free = |offer: &OfferView| {
                    offer.node_name == self.name && offer.state == DeviceState::Idle
                };
                offers.offers.iter().any(free).then_some(())
            },
        )
        .await;
    }
}

fn run(url: &str, name: &str, folder: &Path) -> Process {
    let arguments: [OsString; 5] = [
        "run".into(),
        "--state".into(),
        folder.as_os_str().to_owned(),
        "--server".into(),
        url.into(),
    ];
    let log = folder.with_extension("log");
    let program = binary("IOG_WORKER_BIN", "iog-worker");
    Process::start(
        name,
        &program,
        arguments.iter().map(|text| text.as_ref() as &OsStr),
        &[],
        &log,
    )
}
