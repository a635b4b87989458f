//! A release of the worker: what it is, and what its signature is made over.

use serde::{Deserialize, Serialize};

/// What a signature begins with; another form of releases gets another word.
const DOMAIN: &str = "iog-worker-release-v1";
/// No worker is larger.
pub const RELEASE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Three numbers, such as 0.4.1. Nothing after them: what is tried out is not given to strangers' machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseVersion(u32, u32, u32);

impl ReleaseVersion {
    /// `None`: not three plain numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let short = part == "0" || !part.starts_with('0');
            part.parse::<u32>().ok().filter(|_| plain && short)
        });
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

impl std::fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One program for one kind of machine. The file `NAME.release.json` beside the program `NAME` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub version: String,
    /// Such as `x86_64-linux`.
    pub target: String,
    pub size_bytes: u64,
    /// Of the program, 64 hex digits.
    pub sha256: String,
    /// Ed25519 by the release key, 128 hex digits.
    pub signature: String,
}

impl Release {
    /// What is signed: all that the release says, a line each.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let Self {
            version,
            target,
            size_bytes,
            sha256,
            signature: _,
        } = self;
        format!("{DOMAIN}\n{version}\n{target}\n{size_bytes}\n{sha256}\n").into_bytes()
    }

    pub fn version(&self) -> Option<ReleaseVersion> {
        ReleaseVersion::parse(&self.version)
    }

    /// Whether its texts have the forms that they must have; a line feed in one of them would sign another release.
    pub fn is_formed(&self) -> bool {
        let target = !self.target.is_empty()
            && self.target.len() <= 64
            && self
                .target
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let hex = |text: &str, digits: usize| {
            text.len() == digits
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        target
            && self.version().is_some()
            && hex(&self.sha256, 64)
            && hex(&self.signature, 128)
            && (1..=RELEASE_BYTES_MAX).contains(&self.size_bytes)
    }
}

/// The kind of machine that this program was built for.
pub fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_three_plain_numbers_in_order() {
        let of = ReleaseVersion::parse;
        assert!(of("0.10.0") > of("0.9.9") && of("1.0.0") > of("0.99.99"));
        assert_eq!(
            of("1.2.3").map(|version| version.to_string()).as_deref(),
            Some("1.2.3")
        );
        for wrong in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.3-rc1",
            "v1.2.3",
            "1.2.+3",
            "01.2.3",
            "1..3",
            "1.2.99999999999",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_text_that_would_read_as_another_release_is_no_release() {
        let good = Release {
            version: "1.2.3".into(),
            target: "x86_64-linux".into(),
            size_bytes: 10,
            sha256: "0".repeat(64),
            signature: "0".repeat(128),
        };
        assert!(good.is_formed());
        for change in [
            |release: &mut Release| release.target = "x86_64-linux\n10".into(),
            |release: &mut Release| release.version = "1.2.3\n".into(),
            |release: &mut Release| release.sha256 = "F".repeat(64),
            |release: &mut Release| release.signature.clear(),
            |release: &mut Release| release.size_bytes = 0,
            |release: &mut Release| release.size_bytes = RELEASE_BYTES_MAX + 1,
        ] {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(!bad.is_formed(), "{bad:?}");
        }
    }
}
