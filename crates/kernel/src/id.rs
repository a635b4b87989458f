//! Ids: UUIDv7 with a prefix that names the kind, like `job_019ab3…`. They sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::time::Timestamp;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: expected {prefix}_ and 32 hexadecimal digits")]
pub struct IdError {
    pub kind: &'static str,
    pub prefix: &'static str,
}

fn parse(text: &str, prefix: &'static str, kind: &'static str) -> Result<Uuid, IdError> {
    let error = IdError { kind, prefix };
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| error.clone())?;
    // Only the one form that `Display` writes: two spellings of one id would be two keys in a database.
    let plain = digits.len() == 32
        && digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !plain {
        return Err(error);
    }
    Uuid::try_parse(digits).map_err(|_| error)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the time and ten random bytes, both given by the caller.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now.unsigned_millis(), &random).into_uuid())
            }

            /// The 16 bytes that signatures and hashes cover.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text, $prefix, $kind).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A person's or a company's account.
    AccountId = "acc", "account";
    /// A browser session.
    SessionId = "ses", "session";
    /// An API key (its secret is never stored).
    KeyId = "key", "API key";
    /// A one-time invitation for a worker.
    JoinTokenId = "jtk", "join token";
    /// A machine that runs the worker client.
    NodeId = "node", "node";
    /// One card, or the CPU as one device: the slot that is sold.
    DeviceId = "dev", "device";
    /// A requester's job.
    JobId = "job", "job";
    /// One job's right to one device, for a while.
    LeaseId = "lease", "lease";
    /// Money set aside for a job.
    HoldId = "hold", "hold";
    /// One posted movement of money.
    TransferId = "tr", "transfer";
    /// Money that comes in from outside.
    DepositId = "deposit", "deposit";
    /// Earnings on their way out to a wallet.
    PayoutId = "payout", "payout";
    /// What a requester says is wrong with a receipt.
    DisputeId = "dispute", "dispute";
    /// A difference that the reconciler found.
    IncidentId = "incident", "incident";
    /// What a shell showed.
    RecordingId = "rec", "recording";
    /// What two admins decide together.
    ApprovalId = "approval", "approval";
    /// Something that a person's wallet does on the chain.
    DeedId = "deed", "deed";
    /// A price that was promised for a minute.
    QuoteId = "quote", "quote";
    /// A query of the market that an account keeps.
    SearchId = "search", "search";
    /// Something that an account is told.
    NoticeId = "notice", "notice";
    /// An address to which notices are posted.
    WebhookId = "hook", "webhook";
    /// A file that a job left behind.
    ArtefactId = "art", "artefact";
    /// One talk in which a device shows what it is.
    ChallengeId = "chl", "challenge";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_its_own_kind() {
        let id = JobId::new(Timestamp::from_millis(1_763_845_200_000), [7; 10]);
        let text = id.to_string();
        assert!(text.starts_with("job_019a"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert!(text.to_uppercase().parse::<JobId>().is_err());
        assert!(text.replace("job_", "lease_").parse::<JobId>().is_err());
        assert!("job_".parse::<JobId>().is_err());
        assert!("".parse::<JobId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let at = |ms, fill| LeaseId::new(Timestamp::from_millis(ms), [fill; 10]);
        assert!(at(1_000, 255) < at(1_001, 0));
    }
}
