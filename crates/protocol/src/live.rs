//! The browsers' socket, `/api/v1/live`: JSON text frames both ways. What the server sends has its kind as the one key,
//! `{"frame": {"topic": …, "seq": …, "data": {"meter": {…}}}}`: read in one pass, where a kind inside the object would
//! have the browser keep a copy of everything before it knows what it is.
//!
//! A client subscribes to topics, each with the last sequence number that it saw. The server answers with what it
//! missed, or, when that is no longer kept (or the server restarted: another `boot`), with `Resync`: read the whole
//! again, then go on from the given number. A reader that is too slow is told by `Lagged` and is then caught up.

use kernel::{AccountId, JobId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::view::{JobEvent, JobSummary, LogLine, Meter, NodeView, OfferView, SampleView};

pub const TOPICS_PER_SOCKET_MAX: usize = 32;

/// Written `market`, `account`, `job:job_…`, `node:node_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// All offers; public.
    Market,
    /// The signed-in account: balance, meter, list of jobs.
    Account(AccountId),
    Job(JobId),
    Node(NodeId),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Market => f.write_str("market"),
            Self::Account(id) => write!(f, "account:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Node(id) => write!(f, "node:{id}"),
        }
    }
}

impl std::str::FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        if text == "market" {
            return Ok(Self::Market);
        }
        let (kind, id) = text.split_once(':').ok_or(UnknownTopic)?;
        match kind {
            "account" => id.parse().map(Self::Account).map_err(|_| UnknownTopic),
            "job" => id.parse().map(Self::Job).map_err(|_| UnknownTopic),
            "node" => id.parse().map(Self::Node).map_err(|_| UnknownTopic),
            _ => Err(UnknownTopic),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown topic; there are market, account:ID, job:ID and node:ID")]
pub struct UnknownTopic;

impl Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromBrowser {
    Subscribe {
        topic: Topic,
        /// The `boot` and `seq` of the last frame seen, to go on from there.
        #[serde(default)]
        boot: Option<String>,
        #[serde(default)]
        since: Option<u64>,
    },
    Unsubscribe {
        topic: Topic,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToBrowser {
    /// The subscription stands; frames after `seq` follow.
    Subscribed {
        topic: Topic,
        boot: String,
        seq: u64,
    },
    Frame {
        topic: Topic,
        seq: u64,
        data: Live,
    },
    /// Frames between were lost to this reader or are no longer kept: read the whole again; frames after `seq` follow.
    Resync {
        topic: Topic,
        boot: String,
        seq: u64,
    },
    /// You read too slowly; `missed` frames were left out and `Resync` follows.
    Lagged {
        topic: Topic,
        missed: u64,
    },
    /// Not yours, or no such thing.
    Refused {
        topic: Option<Topic>,
        message: String,
    },
    /// The line is alive: said beside each ping, which a page cannot see.
    Beat {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Live {
    /// A job's state, with the event that changed it.
    Job {
        job: Box<JobSummary>,
        event: Option<JobEvent>,
        meter: Meter,
    },
    Log {
        lines: Vec<LogLine>,
    },
    Samples {
        samples: Vec<SampleView>,
    },
    /// Each second while something runs.
    Meter {
        meter: Meter,
        at: Timestamp,
    },
    Receipt {
        seq: u64,
        lease: kernel::LeaseId,
    },
    Node {
        node: Box<NodeView>,
    },
    /// An offer appeared or changed.
    Offer {
        offer: Box<OfferView>,
    },
    OfferGone {
        device: kernel::DeviceId,
    },
    /// Alerts of saved searches that were not seen yet.
    Alerts {
        unseen: u32,
    },
    /// Notices that were not read yet; counted up to 100.
    Notices {
        unread: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_what_they_write() {
        let job = JobId::new(Timestamp::from_millis(1), [1; 10]);
        for topic in [Topic::Market, Topic::Job(job)] {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        assert!("job:x".parse::<Topic>().is_err());
        let text = r#"{"type":"subscribe","topic":"market"}"#;
        assert!(serde_json::from_str::<FromBrowser>(text).is_ok());
        assert!(
            serde_json::from_str::<FromBrowser>(r#"{"type":"subscribe","topic":"market","x":1}"#)
                .is_err()
        );
    }
}
