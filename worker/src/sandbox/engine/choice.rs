//! Which engine the owner named, what is told about it, and what of ours it still has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use serde_json::{Value, json};

use super::api::{About, Api, Refused, encoded};
use super::body::NODE_LABEL;
use super::remove;
use crate::sandbox::cgroup::JobGroup;

/// Let a container become its host's root (CVE-2025-23266), as all before it.
const TOOLKIT_REFUSED: (u32, u32, u32) = (1, 17, 7);
/// In the worker's directory for its engine: what the owner named.
const CHOICE: &str = "choice";

/// The engine's socket, as the owner named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    named: String,
    places: Vec<PathBuf>,
}

/// What an earlier worker remembered.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    Choice(Choice),
    Unread(String),
}

impl Choice {
    /// `docker` or `podman`, perhaps with `=/path/of/its.sock`.
    ///
    /// # Errors
    /// What may be said.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "docker or podman, or with its socket: podman=/path/of/its.sock".to_owned();
        let (kind, path) = match text.split_once('=') {
            Some((kind, path)) => (kind, Some(PathBuf::from(path))),
            None => (text, None),
        };
        if !matches!(kind, "docker" | "podman")
            || path.as_ref().is_some_and(|path| !path.is_absolute())
        {
            return Err(wrong());
        }
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let of_user = |name: &str| own.iter().map(|own| own.join(name)).collect::<Vec<_>>();
        let of_root = rustix::process::geteuid().is_root();
        let places = match (kind, path) {
            (_, Some(path)) => vec![path],
            ("docker", None) if of_root => {
                vec!["/run/docker.sock".into(), "/var/run/docker.sock".into()]
            }
            ("docker", None) => of_user("docker.sock"),
            (_, None) if of_root => vec!["/run/podman/podman.sock".into()],
            (_, None) => of_user("podman/podman.sock"),
        };
        Ok(Self {
            named: text.to_owned(),
            places,
        })
    }

    pub fn named(&self) -> &str {
        &self.named
    }

    pub(super) fn keep(&self, directory: &Path) -> std::io::Result<()> {
        std::fs::write(directory.join(CHOICE), &self.named)
    }

    /// What an earlier worker used, by its directory.
    pub fn kept(directory: &Path) -> Kept {
        match std::fs::read_to_string(directory.join(CHOICE)) {
            Ok(text) => Self::parse(text.trim()).map_or_else(Kept::Unread, Kept::Choice),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::Nothing,
            Err(error) => Kept::Unread(format!("{}: {error}", directory.join(CHOICE).display())),
        }
    }

    /// Who answers there.
    ///
    /// # Errors
    /// Nobody, or one that speaks another version.
    pub async fn ask(&self) -> Result<About, String> {
        self.reach().await.map(|(_, about)| about)
    }

    pub(super) async fn reach(&self) -> Result<(Api, About), String> {
        let there = self.places.iter().find(|path| path.exists());
        let socket = there.ok_or_else(|| {
            let places: Vec<String> = self.places.iter().map(|path| path.display().to_string()).collect();
            format!(
                "the container engine `{}` does not listen at {}; start it (systemctl start docker, or podman.socket), or name its socket: --engine podman=/path/of/its.sock",
                self.named,
                if places.is_empty() { "any known place".to_owned() } else { places.join(" or ") }
            )
        })?;
        Api::negotiate(socket)
            .await
            .map_err(|error| error.to_string())
    }

    /// Removes this instance's containers and images, and nothing else. Answers how many of each there were.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn clean(&self, instance: &str) -> Result<(usize, usize), String> {
        let (api, _) = self.reach().await?;
        clean(&api, instance)
            .await
            .map_err(|error| error.to_string())
    }
}

async fn clean(api: &Api, instance: &str) -> Result<(usize, usize), Refused> {
    let own = [(NODE_LABEL, instance)];
    let containers = listed(api, "/containers/json?all=1&", &own).await?;
    for id in &containers {
        // A helper that was killed may have left it frozen, which no engine knows of.
        let state = api
            .get(&format!("/containers/{id}/json"))
            .await
            .unwrap_or_default();
        let pid = state.pointer("/State/Pid").and_then(Value::as_i64);
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        // The number may have become another's since the engine looked.
        if let Some(Ok(group)) = pid.map(JobGroup::of_container)
            && group.is_of(id)
        {
            group.kill();
        }
        remove(api, id).await;
    }
    let images = listed(api, "/images/json?", &own).await?;
    for id in &images {
        api.delete(&format!("/images/{id}?force=1")).await?;
    }
    let left = listed(api, "/containers/json?all=1&", &own).await?;
    if !left.is_empty() {
        return Err(Refused::Unread(format!(
            "it still has containers of this worker: {}",
            left.join(", ")
        )));
    }
    Ok((containers.len(), images.len()))
}

/// Ids of what carries these labels. The engine's filter is not trusted with what will be removed.
pub(super) async fn listed(
    api: &Api,
    path: &str,
    labels: &[(&str, &str)],
) -> Result<Vec<String>, Refused> {
    // One is enough, and podman finds nothing by two.
    let first = labels
        .first()
        .map(|(name, value)| format!("{name}={value}"));
    let filters = encoded(&json!({"label": [first]}).to_string());
    let found = api.get(&format!("{path}filters={filters}")).await?;
    Ok(found
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| ours(entry, labels))
        .collect())
}

fn ours(entry: &Value, labels: &[(&str, &str)]) -> Option<String> {
    let carried: BTreeMap<String, String> =
        serde_json::from_value(entry.get("Labels")?.clone()).ok()?;
    let carries =
        |(name, value): &(&str, &str)| carried.get(*name).is_some_and(|found| found == value);
    let id = entry.get("Id")?.as_str()?;
    labels.iter().all(carries).then(|| id.to_owned())
}

/// Refuses NVIDIA's container toolkit where it is known to let jobs out.
pub(super) fn toolkit() -> Result<(), String> {
    match toolkit_version() {
        Some(version) if is_refused(version) => {
            let (major, minor, patch) = version;
            Err(format!(
                "NVIDIA's container toolkit {major}.{minor}.{patch} lets a container become root of this machine (CVE-2025-23266); update it to 1.17.8 or newer"
            ))
        }
        _ => Ok(()),
    }
}

/// Of the toolkit, if there is one.
pub fn toolkit_version() -> Option<(u32, u32, u32)> {
    let said = std::process::Command::new("nvidia-ctk")
        .arg("--version")
        .output()
        .ok()?;
    toolkit_in(&String::from_utf8_lossy(&said.stdout))
}

fn toolkit_in(text: &str) -> Option<(u32, u32, u32)> {
    let word = text.split_once("version ")?.1.split_whitespace().next()?;
    let mut numbers = word
        .split(['.', '-', '~', '+'])
        .map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// Whether what [`toolkit_version`] answered is refused.
pub fn is_refused(version: (u32, u32, u32)) -> bool {
    version <= TOOLKIT_REFUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_named_by_its_kind_and_perhaps_its_socket() {
        let choice = Choice::parse("podman=/tmp/x.sock").expect("a socket");
        assert_eq!(choice.places, [PathBuf::from("/tmp/x.sock")]);
        assert!(Choice::parse("docker").is_ok() && Choice::parse("podman").is_ok());
        for wrong in ["", "tcp://1.2.3.4", "docker=x", "lxc", "podman="] {
            assert!(Choice::parse(wrong).is_err(), "{wrong}");
        }
        let directory = tempfile::tempdir().expect("tempdir");
        assert_eq!(Choice::kept(directory.path()), Kept::Nothing);
        choice.keep(directory.path()).expect("kept");
        assert_eq!(Choice::kept(directory.path()), Kept::Choice(choice));
    }

    #[test]
    fn what_carries_another_nodes_label_is_not_ours_whatever_the_filter_did() {
        let own = [(NODE_LABEL, "ab12")];
        let entry = |labels: Value| json!({"Id": "1f", "Labels": labels});
        assert_eq!(
            ours(&entry(json!({"iog.node": "ab12", "x": "y"})), &own),
            Some("1f".to_owned())
        );
        for other in [json!({"iog.node": "ab1"}), json!({}), Value::Null] {
            assert_eq!(ours(&entry(other), &own), None);
        }
    }

    #[test]
    fn a_toolkit_that_lets_jobs_out_is_refused() {
        let of = |text| toolkit_in(text).map(is_refused);
        assert_eq!(
            of("NVIDIA Container Toolkit CLI version 1.17.7\ncommit: x"),
            Some(true)
        );
        assert_eq!(
            of("NVIDIA Container Toolkit CLI version 1.17.8\n"),
            Some(false)
        );
        assert_eq!(
            of("NVIDIA Container Toolkit CLI version 1.18.0-rc.2\n"),
            Some(false)
        );
        assert_eq!(of("something else"), None);
    }
}
