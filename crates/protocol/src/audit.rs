//! The audit log: who did what, to what, and when. Entries stand in a chain: each carries the hash of the one before, so that
//! none can be changed, taken out or put in between without all that follow showing it. docs/audit.md states the bytes.

use std::collections::BTreeMap;

use kernel::{AccountId, RecordingId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"iog.audit.v1\0";
/// `format` of an export.
pub const FORMAT: &str = "iog.audit.v1";
/// `previous` of the first entry.
pub const NO_PREVIOUS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// An export has at most so many entries; the next goes on before its first.
pub const EXPORT_MAX: u32 = 10_000;
/// What is kept of one shell; what comes after is not recorded.
pub const RECORDING_BYTES_MAX: u64 = 1 << 20;
pub const RECORDING_DAYS: u32 = 90;

/// An enum whose words are stable names, stored, hashed and shown.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:tt,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        words!($name { $($variant = $word,)* });
    };
}

named!(
    /// In which role somebody did it.
    ActorKind {
        /// A signed-in person, in their own affairs.
        User = "user",
        /// A program with an API key of an account.
        Key = "key",
        /// An admin, in somebody else's.
        Admin = "admin",
        /// The platform by itself, or somebody at the server's command line.
        System = "system",
        /// A worker.
        Node = "node",
        /// Whoever has a link.
        Link = "link",
    }
);

named!(
    /// What an entry is about.
    SubjectKind {
        Account = "account",
        Key = "key",
        /// By its name; its value is in no entry.
        Secret = "secret",
        /// By its address.
        Wallet = "wallet",
        Webhook = "webhook",
        Job = "job",
        Recording = "recording",
        Node = "node",
        JoinToken = "join_token",
        Payout = "payout",
        Approval = "approval",
        Deposit = "deposit",
        Dispute = "dispute",
        Incident = "incident",
    }
);

named!(
    /// What was done.
    AuditAction {
        AccountCreated = "account.created",
        SessionSignedIn = "session.signed_in",
        SessionSignedOut = "session.signed_out",
        /// All sessions of the account were ended.
        SessionsEnded = "session.all_ended",
        PasswordChanged = "password.changed",
        WalletLinked = "wallet.linked",
        WalletUnlinked = "wallet.unlinked",
        KeyCreated = "key.created",
        KeyRevoked = "key.revoked",
        SecretSet = "secret.set",
        SecretDeleted = "secret.deleted",
        WebhookCreated = "webhook.created",
        WebhookChanged = "webhook.changed",
        WebhookSecretRotated = "webhook.secret_rotated",
        WebhookDeleted = "webhook.deleted",
        /// How much jobs may spend.
        LimitsChanged = "limits.changed",
        /// A change waits for its delay.
        PayoutAddressAsked = "payout_address.asked",
        PayoutAddressCancelled = "payout_address.cancelled",
        /// Payouts go there from now on.
        PayoutAddressChanged = "payout_address.changed",
        PayoutRequested = "payout.requested",
        PayoutCancelled = "payout.cancelled",
        PayoutApproved = "payout.approved",
        PayoutSent = "payout.sent",
        PayoutConfirmed = "payout.confirmed",
        PayoutFailed = "payout.failed",
        PayoutRefused = "payout.refused",
        PayoutFrozen = "payout.frozen",
        PayoutThawed = "payout.thawed",
        /// The first of two admins asked for it to be frozen.
        FreezeProposed = "payout.freeze_proposed",
        ThawProposed = "payout.thaw_proposed",
        ProposalDropped = "payout.proposal_dropped",
        DepositRecorded = "deposit.recorded",
        DepositCredited = "deposit.credited",
        DepositRefused = "deposit.refused",
        /// An admin said whose deposit it is.
        DepositClaimed = "deposit.claimed",
        DemoCreditTaken = "demo_credit.taken",
        DemoCreditApproved = "demo_credit.approved",
        DemoCreditRefused = "demo_credit.refused",
        RulingPosted = "ruling.posted",
        IncidentClosed = "incident.closed",
        JoinTokenMade = "node.join_token_made",
        NodeJoined = "node.joined",
        NodeRemoved = "node.removed",
        /// By its own word, for longer than a worker takes that stops: the switch on the machine itself.
        NodeTakesNoJobs = "node.takes_no_jobs",
        NodeTakesJobs = "node.takes_jobs",
        MaintenanceOn = "maintenance.on",
        MaintenanceOff = "maintenance.off",
        JobStopped = "job.stopped",
        ShellOpened = "shell.opened",
        ShellClosed = "shell.closed",
        /// Somebody who did not open the shell looked at what it showed.
        RecordingViewed = "recording.viewed",
        /// The first of an hour, of one person and port.
        PortConnected = "port.connected",
        PortShared = "port.shared",
        /// The first of an hour, of one person and job.
        FilesRead = "files.read",
        FilesStored = "files.stored",
    }
);

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditActor {
    pub kind: ActorKind,
    /// Whose doing it was; absent for the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Of a key or a node, which.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditSubject {
    pub kind: SubjectKind,
    /// An id; of a secret its name, of a wallet its address.
    pub id: String,
}

/// One act, as it stands in the log for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// 1, 2, 3 … without a gap.
    pub position: u64,
    pub at: Timestamp,
    pub actor: AuditActor,
    pub action: AuditAction,
    pub subject: AuditSubject,
    /// Whom it concerns: the owner of the job, the payee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// What else is to be known; never a secret.
    pub detail: BTreeMap<String, String>,
    /// The hash of the entry before; 64 zeros in the first.
    pub previous: String,
    /// SHA-256 of all the above.
    pub hash: String,
}

impl AuditEntry {
    /// SHA-256 of, big endian: `"iog.audit.v1\0"`, position (u64), at (i64, ms), then each with its length (u32) before it:
    /// previous, the actor's kind, account (empty where there is none) and id, action, the subject's kind and id, account,
    /// detail as JSON without blanks, its names in order.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.canonical()))
    }

    fn canonical(&self) -> Vec<u8> {
        let account =
            |id: Option<AccountId>| id.map(|account| account.to_string()).unwrap_or_default();
        let mut bytes = DOMAIN.to_vec();
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(self.at.millis().to_be_bytes());
        for text in [
            self.previous.as_str(),
            self.actor.kind.as_str(),
            &account(self.actor.account),
            &self.actor.id,
            self.action.as_str(),
            self.subject.kind.as_str(),
            &self.subject.id,
            &account(self.account),
            &self.detail_text(),
        ] {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// As it is stored and hashed.
    pub fn detail_text(&self) -> String {
        // A map of texts is always JSON.
        serde_json::to_string(&self.detail).unwrap_or_default()
    }
}

/// Why a list of entries is not of one untouched log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    #[error("entry {0} is not what it was when it was written: its hash is another")]
    Changed(u64),
    #[error("entry {0} does not follow from entry {1}, which stands before it")]
    Broken(u64, u64),
    #[error(
        "entry {0} stands after entry {1}; entries stand in the order of their positions, each once"
    )]
    Order(u64, u64),
}

/// What was found of a list of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditChecked {
    pub entries: u64,
    /// Places where entries between two are not in the list: it was filtered, or some were taken out.
    pub gaps: u64,
}

/// Looks whether entries, oldest first, are what was written, and follow from each other.
///
/// # Errors
/// The first fault.
pub fn check<'a>(
    entries: impl IntoIterator<Item = &'a AuditEntry>,
) -> Result<AuditChecked, AuditFault> {
    let mut found = AuditChecked {
        entries: 0,
        gaps: 0,
    };
    let mut last: Option<&AuditEntry> = None;
    for entry in entries {
        if entry.digest() != entry.hash {
            return Err(AuditFault::Changed(entry.position));
        }
        if let Some(last) = last {
            if entry.position <= last.position {
                return Err(AuditFault::Order(entry.position, last.position));
            }
            if entry.position != last.position.saturating_add(1) {
                found.gaps = found.gaps.saturating_add(1);
            } else if entry.previous != last.hash {
                return Err(AuditFault::Broken(entry.position, last.position));
            }
        }
        found.entries = found.entries.saturating_add(1);
        last = Some(entry);
    }
    Ok(found)
}

/// An entry for those who may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditView {
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The actor's e-mail address. Absent for the platform, and for admins where others read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// Entries as a file, oldest first, which `iog verify-audit` checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditExport {
    /// `iog.audit.v1`
    pub format: String,
    pub at: Timestamp,
    pub entries: Vec<AuditEntry>,
    /// There are older ones: ask again with `before` = the position of the first here.
    pub more: bool,
}

/// How far the log goes, and how far it was read and found whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditChainView {
    pub position: u64,
    pub hash: String,
    pub checked: u64,
    pub checked_hash: String,
    /// Breaks that nobody has closed yet.
    pub breaks: u32,
}

/// What a shell showed: its file is asciicast v2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordingView {
    pub id: RecordingId,
    /// Which of the job's machines.
    pub member: u32,
    /// The e-mail address of who opened it.
    pub by: String,
    /// The program without its arguments; empty for a shell.
    pub program: String,
    pub opened_at: Timestamp,
    /// Absent while it is open.
    pub closed_at: Option<Timestamp>,
    pub size_bytes: u64,
    /// Of the file; absent while it is open.
    pub sha256: Option<String>,
    /// More was shown than is recorded.
    pub cut: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position: u64, previous: &str) -> AuditEntry {
        let at = Timestamp::from_millis(1_763_845_200_000);
        let account = AccountId::new(at, [1; 10]);
        let mut entry = AuditEntry {
            position,
            at,
            actor: AuditActor {
                kind: ActorKind::User,
                account: Some(account),
                id: String::new(),
            },
            action: AuditAction::KeyCreated,
            subject: AuditSubject {
                kind: SubjectKind::Key,
                id: "key_1".into(),
            },
            account: Some(account),
            detail: [("name", "é \"x\""), ("a", "b")]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
            previous: previous.to_owned(),
            hash: String::new(),
        };
        entry.hash = entry.digest();
        entry
    }

    /// From another implementation: `python3` with `struct` and `hashlib`, by docs/audit.md alone.
    #[test]
    fn the_hash_is_what_the_document_says() {
        assert_eq!(
            entry(1, NO_PREVIOUS).hash,
            "ef5363474e009fa757a6062d3ce5fd7903141e8305eadd20d4ea0a3c3cb2dbb8"
        );
    }

    #[test]
    fn any_change_changes_the_hash() {
        let first = entry(1, NO_PREVIOUS);
        let other = AccountId::new(first.at, [2; 10]);
        let changes: [fn(&mut AuditEntry, AccountId); 10] = [
            |e, _| e.position = 2,
            |e, _| e.at = Timestamp::from_millis(1),
            |e, _| e.actor.kind = ActorKind::Admin,
            |e, other| e.actor.account = Some(other),
            |e, _| e.actor.id = "x".into(),
            |e, _| e.action = AuditAction::KeyRevoked,
            |e, _| e.subject.kind = SubjectKind::Job,
            |e, _| e.subject.id.push('x'),
            |e, _| e.account = None,
            |e, _| e.detail.clear(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = first.clone();
            change(&mut changed, other);
            assert_ne!(changed.digest(), first.hash, "change {number}");
            assert_eq!(
                check([&changed]),
                Err(AuditFault::Changed(changed.position))
            );
        }
        let mut moved = first.clone();
        moved.previous = "1".repeat(64);
        assert_ne!(moved.digest(), first.hash);
    }

    #[test]
    fn a_list_is_of_one_log_or_it_is_said_where_not() {
        let first = entry(1, NO_PREVIOUS);
        let second = entry(2, &first.hash);
        let third = entry(3, &second.hash);
        let of = |entries, gaps| Ok(AuditChecked { entries, gaps });
        assert_eq!(check([&first, &second, &third]), of(3, 0));
        assert_eq!(check([&first, &third]), of(2, 1));
        assert_eq!(check([]), of(0, 0));
        assert_eq!(check([&second, &first]), Err(AuditFault::Order(1, 2)));
        let another = entry(2, NO_PREVIOUS);
        assert_eq!(check([&first, &another]), Err(AuditFault::Broken(2, 1)));
    }

    #[test]
    fn names_are_stable_and_each_its_own() {
        let text = serde_json::to_string(&AuditAction::ShellOpened).expect("JSON");
        assert_eq!(text, "\"shell.opened\"");
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(*action));
        }
        let view = AuditView {
            entry: entry(1, NO_PREVIOUS),
            who: None,
        };
        let json = serde_json::to_value(&view).expect("JSON");
        assert_eq!(json["action"], "key.created");
        let back: AuditView = serde_json::from_value(json).expect("an entry");
        assert_eq!(back, view);
    }
}
