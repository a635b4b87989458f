//! What a registry tells about an image: index, manifest, configuration. Only what is used is read, and each text has
//! a bound.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::PullError;

pub const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
pub const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What is asked for, in OCI's words and in Docker's.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A blob as a manifest names it; its digest without the `sha256:` before it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    #[serde(deserialize_with = "sha256")]
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Image(Manifest),
    /// The manifest of the index that fits this machine.
    Index(Descriptor),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

fn sha256<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let hex = text.strip_prefix("sha256:");
    hex.filter(|hex| protocol::spec::is_sha256(hex))
        .map(str::to_owned)
        .ok_or_else(|| serde::de::Error::custom("a digest that is not SHA-256"))
}

pub fn digest_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn invalid(what: &str, error: &dyn std::fmt::Display) -> PullError {
    PullError::Invalid(format!("{what} cannot be read: {error}"))
}

/// The architecture as images name it.
fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn wrong_architecture(there: String) -> PullError {
    PullError::WrongArchitecture {
        there,
        here: format!("linux/{}", here()),
    }
}

/// Reads a manifest or an index.
///
/// # Errors
/// It is neither, or has nothing for this machine.
pub fn read(bytes: &[u8]) -> Result<Read, PullError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| invalid("the image's manifest", &error))?;
    if document.schema_version != 2 {
        return Err(PullError::Invalid(
            "the image is in a form of before 2017 (schema 1); push it again with a newer tool"
                .to_owned(),
        ));
    }
    if let Some(choices) = document.manifests {
        let platforms = |choice: &Descriptor| {
            let platform = choice.platform.as_ref()?;
            // Attestations lie beside images as `unknown/unknown`.
            (platform.os != "unknown").then(|| format!("{}/{}", platform.os, platform.architecture))
        };
        let wanted = format!("linux/{}", here());
        let fits = choices
            .iter()
            .find(|choice| platforms(choice).as_deref() == Some(&wanted));
        return fits.cloned().map(Read::Index).ok_or_else(|| {
            let there: Vec<_> = choices.iter().filter_map(platforms).collect();
            wrong_architecture(there.join(", "))
        });
    }
    let config = document
        .config
        .ok_or_else(|| invalid("the image's manifest", &"it names no configuration"))?;
    for layer in &document.layers {
        if layer.media_type.contains("foreign") || layer.media_type.contains("nondistributable") {
            return Err(PullError::Invalid(
                "a layer of the image lies elsewhere than in its registry".to_owned(),
            ));
        }
    }
    Ok(Read::Image(Manifest {
        config,
        layers: document.layers,
    }))
}

/// What an image says about how it is run; kept beside its unpacked files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    pub env: Vec<(String, String)>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    /// SHA-256 of each unpacked layer.
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// What it runs when the job names no command.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<RawRun>,
    rootfs: RawRoot,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawRun {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct RawRoot {
    #[serde(default)]
    diff_ids: Vec<Sha>,
}

#[derive(Deserialize)]
struct Sha(#[serde(deserialize_with = "sha256")] String);

/// # Errors
/// It cannot be read, or is made for another machine.
pub fn read_config(bytes: &[u8]) -> Result<ImageConfig, PullError> {
    let raw: RawConfig = serde_json::from_slice(bytes)
        .map_err(|error| invalid("the image's configuration", &error))?;
    if raw.os != "linux" || raw.architecture != here() {
        return Err(wrong_architecture(format!(
            "{}/{}",
            raw.os, raw.architecture
        )));
    }
    let run = raw.config.unwrap_or_default();
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let bad = |text: &String| text.contains('\0');
    let (entrypoint, cmd) = (
        run.entrypoint.unwrap_or_default(),
        run.cmd.unwrap_or_default(),
    );
    let env = run.env.unwrap_or_default();
    if entrypoint.iter().chain(&cmd).chain(&env).any(bad) {
        return Err(invalid("the image's configuration", &"a zero byte in it"));
    }
    let env = env.iter().filter_map(|pair| pair.split_once('='));
    Ok(ImageConfig {
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        entrypoint,
        cmd,
        working_dir: text(run.working_dir),
        user: text(run.user),
        diff_ids: raw.rootfs.diff_ids.into_iter().map(|sha| sha.0).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str)]) -> Vec<u8> {
        let manifests: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(n, (os, architecture))| {
                serde_json::json!({
                    "digest": format!("sha256:{:064x}", n), "size": 3,
                    "platform": {"os": os, "architecture": architecture},
                })
            })
            .collect();
        serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "manifests": manifests}))
            .expect("json")
    }

    #[test]
    fn of_an_index_the_own_architecture_is_taken_and_others_are_named() {
        let own = here();
        let found = read(&index(&[
            ("windows", own),
            ("linux", "s390x"),
            ("linux", own),
        ]));
        assert!(matches!(found, Ok(Read::Index(choice)) if choice.digest == format!("{:064x}", 2)));
        let error = read(&index(&[("unknown", "unknown"), ("linux", "s390x")])).expect_err("none");
        assert_eq!(
            error.to_string(),
            format!("the image is made for linux/s390x, this machine is linux/{own}")
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"schemaVersion":1}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha512:ab","size":1}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"sha256:../../x","size":1}}"#,
        ] {
            assert!(
                matches!(read(bad.as_bytes()), Err(PullError::Invalid(_))),
                "{bad}"
            );
        }
    }
}
