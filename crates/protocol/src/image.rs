//! The name of a container image: `registry/repository:tag` or `registry/repository@sha256:…`, and Docker's short forms.

use std::fmt;

pub const IMAGE_BYTES_MAX: usize = 512;
/// Where names without a registry are looked up, as every tool does.
const USUAL_REGISTRY: &str = "docker.io";
const USUAL_NAMESPACE: &str = "library";
const USUAL_TAG: &str = "latest";

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    Tag(String),
    /// SHA-256 of the manifest, 64 hex digits: always the same image.
    Digest(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// Host, perhaps with a port.
    pub registry: String,
    pub repository: String,
    pub version: Version,
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@sha256:{digest}"),
        }
    }
}

impl ImageName {
    /// Reads a name. Where both a tag and a digest stand, the digest counts.
    ///
    /// # Errors
    /// What is wrong with it, as a person can use it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > IMAGE_BYTES_MAX {
            return Err("1 to 512 characters, or leave it out");
        }
        if text.contains("://") {
            return Err("without https://, for example ghcr.io/me/tool:1.0");
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.strip_prefix("sha256:");
                let digest = digest.filter(|hex| crate::spec::is_sha256(hex));
                let digest = digest.ok_or("a digest is sha256: and 64 hexadecimal digits")?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if is_host_like(first) => (first, rest),
            _ => (USUAL_REGISTRY, name),
        };
        if !is_host(registry) {
            return Err("the registry is a host name, perhaps with a port, for example ghcr.io");
        }
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !repository.split('/').all(is_part) {
            return Err(
                "a repository has small letters, digits and . _ - between slashes, for example ghcr.io/me/tool:1.0",
            );
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag has letters, digits and . _ - only, at most 128");
        }
        let repository = if registry == USUAL_REGISTRY && !repository.contains('/') {
            format!("{USUAL_NAMESPACE}/{repository}")
        } else {
            repository.to_owned()
        };
        let version = digest.map_or_else(
            || Version::Tag(tag.unwrap_or(USUAL_TAG).to_owned()),
            |digest| Version::Digest(digest.to_owned()),
        );
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            version,
        })
    }
}

/// The first part of a name is a registry when it looks like a host, as every tool decides it.
fn is_host_like(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253
        && host.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_part(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
        && text
            .bytes()
            .all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        ImageName::parse(text).map_or_else(|why| format!("!{why}"), |name| name.to_string())
    }

    #[test]
    fn short_and_long_names_are_read_as_every_tool_reads_them() {
        let digest = "ab".repeat(32);
        for (text, wanted) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("me/tool", "docker.io/me/tool:latest"),
            ("ghcr.io/me/tool:1.0", "ghcr.io/me/tool:1.0"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("localhost/x/y:b_1", "localhost/x/y:b_1"),
        ] {
            assert_eq!(read(text), wanted);
            assert_eq!(read(wanted), wanted);
        }
        let pinned = format!("ghcr.io/me/tool@sha256:{digest}");
        assert_eq!(read(&format!("ghcr.io/me/tool:1@sha256:{digest}")), pinned);
        assert_eq!(read(&pinned), pinned);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "https://ghcr.io/me/tool",
            "Busybox",
            "me/../x",
            "me//x",
            "/x",
            "x/",
            "x:",
            "x:a b",
            "x@sha256:12",
            "x@md5:ab",
            "host.:80/x",
            "ho_st.io/x",
            "host.io:0/x",
            "host.io:99999/x",
            "user@host.io/x",
            "169.254.169.254:80:80/x",
            "a..b/x",
        ] {
            assert!(ImageName::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(ImageName::parse(&"x".repeat(513)).is_err());
    }
}
