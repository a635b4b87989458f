//! What an account is told: in the portal, by e-mail, and through webhooks. docs/webhooks.md shows each as JSON.

use kernel::{
    AccountId, Amount, DepositId, DisputeId, IncidentId, JobId, LeaseId, NodeId, NoticeId,
    PayoutId, SearchId, Seconds, Timestamp, WebhookId,
};
use serde::{Deserialize, Serialize};

use crate::money::{
    ChannelState, ChannelStep, DepositState, DisputeState, IncidentKind, PayoutState, RefundReason,
};
use crate::state::{JobState, RunEnd};
use crate::telemetry::Happening;
use crate::view::SearchAlert;
use crate::wallet::AddressChange;

/// Runways at which an account is warned, at most.
pub const RUNWAYS_MAX: usize = 5;
/// An account has so many webhooks.
pub const WEBHOOKS_MAX: usize = 10;
/// Letters of a webhook's address.
pub const URL_MAX: usize = 2_048;

/// The kinds of notices, by the names under which webhooks choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Event {
    #[serde(rename = "job.started")]
    JobStarted,
    #[serde(rename = "job.ended")]
    JobEnded,
    #[serde(rename = "job.funds_low")]
    JobFundsLow,
    #[serde(rename = "job.out_of_funds")]
    JobOutOfFunds,
    #[serde(rename = "job.refunded")]
    JobRefunded,
    #[serde(rename = "lease.refunded")]
    LeaseRefunded,
    #[serde(rename = "balance.runway")]
    BalanceRunway,
    #[serde(rename = "payout.updated")]
    PayoutUpdated,
    #[serde(rename = "payout_address.updated")]
    PayoutAddressUpdated,
    #[serde(rename = "wallet.linked")]
    WalletLinked,
    #[serde(rename = "deposit.updated")]
    DepositUpdated,
    #[serde(rename = "channel.updated")]
    ChannelUpdated,
    #[serde(rename = "voucher.updated")]
    VoucherUpdated,
    #[serde(rename = "dispute.updated")]
    DisputeUpdated,
    #[serde(rename = "incident.opened")]
    IncidentOpened,
    #[serde(rename = "device.fault")]
    DeviceFault,
    #[serde(rename = "search.matched")]
    SearchMatched,
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled,
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

impl Event {
    pub const ALL: [Self; 19] = [
        Self::JobStarted,
        Self::JobEnded,
        Self::JobFundsLow,
        Self::JobOutOfFunds,
        Self::JobRefunded,
        Self::LeaseRefunded,
        Self::BalanceRunway,
        Self::PayoutUpdated,
        Self::PayoutAddressUpdated,
        Self::WalletLinked,
        Self::DepositUpdated,
        Self::ChannelUpdated,
        Self::VoucherUpdated,
        Self::DisputeUpdated,
        Self::IncidentOpened,
        Self::DeviceFault,
        Self::SearchMatched,
        Self::WebhookDisabled,
        Self::WebhookTest,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobStarted => "job.started",
            Self::JobEnded => "job.ended",
            Self::JobFundsLow => "job.funds_low",
            Self::JobOutOfFunds => "job.out_of_funds",
            Self::JobRefunded => "job.refunded",
            Self::LeaseRefunded => "lease.refunded",
            Self::BalanceRunway => "balance.runway",
            Self::PayoutUpdated => "payout.updated",
            Self::PayoutAddressUpdated => "payout_address.updated",
            Self::WalletLinked => "wallet.linked",
            Self::DepositUpdated => "deposit.updated",
            Self::ChannelUpdated => "channel.updated",
            Self::VoucherUpdated => "voucher.updated",
            Self::DisputeUpdated => "dispute.updated",
            Self::IncidentOpened => "incident.opened",
            Self::DeviceFault => "device.fault",
            Self::SearchMatched => "search.matched",
            Self::WebhookDisabled => "webhook.disabled",
            Self::WebhookTest => "webhook.test",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened, with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "data")]
pub enum Notice {
    /// The process runs; of several members, the first.
    #[serde(rename = "job.started")]
    JobStarted {
        job: JobId,
        name: String,
        /// How often it was started before.
        restarts: u32,
    },
    /// The job is over, whatever the reason. Nothing more is charged for it.
    #[serde(rename = "job.ended")]
    JobEnded {
        job: JobId,
        name: String,
        state: JobState,
        end: RunEnd,
        /// All-in, of all its leases.
        cost: Amount,
    },
    /// The money that is left pays for little more.
    #[serde(rename = "job.funds_low")]
    JobFundsLow {
        job: JobId,
        name: String,
        /// Until it is stopped.
        seconds_left: Seconds,
    },
    /// The job was stopped because its money was used up.
    #[serde(rename = "job.out_of_funds")]
    JobOutOfFunds {
        job: JobId,
        name: String,
        cost: Amount,
    },
    /// Something is given back without being asked for.
    #[serde(rename = "job.refunded")]
    JobRefunded {
        job: JobId,
        name: String,
        lease: LeaseId,
        reason: RefundReason,
        /// Delivered seconds that it is for.
        seconds: Seconds,
        amount: Amount,
        /// Of it, what is still to come.
        owed: Amount,
    },
    /// For an owner: the machine was not what was hired, and what it earned with a lease is taken back.
    #[serde(rename = "lease.refunded")]
    LeaseRefunded {
        lease: LeaseId,
        node: NodeId,
        amount: Amount,
        detail: String,
    },
    /// At the present rate, available and held last less than a chosen time.
    #[serde(rename = "balance.runway")]
    BalanceRunway {
        /// The chosen time; the shortest, where several were crossed at once.
        threshold_seconds: Seconds,
        runway_seconds: Seconds,
        /// When that is over. What runs then is asked to leave a checkpoint and to end.
        ends_at: Timestamp,
        available: Amount,
        held: Amount,
        /// Of all that runs.
        per_hour: Amount,
    },
    #[serde(rename = "payout.updated")]
    PayoutUpdated {
        payout: PayoutId,
        state: PayoutState,
        amount: Amount,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Where payouts go is to change, has changed, or stays.
    #[serde(rename = "payout_address.updated")]
    PayoutAddressUpdated {
        change: AddressChange,
        /// The one that was asked for.
        address: String,
        /// From when on payouts go there.
        at: Timestamp,
    },
    /// A wallet can sign in to the account from now on.
    #[serde(rename = "wallet.linked")]
    WalletLinked { address: String, wallet: String },
    #[serde(rename = "deposit.updated")]
    DepositUpdated {
        deposit: DepositId,
        state: DepositState,
        amount: Amount,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something happened on the chain to the account's escrow channel.
    #[serde(rename = "channel.updated")]
    ChannelUpdated {
        channel: String,
        step: ChannelStep,
        /// What came in, or, of a closed one, what went back to the wallet; absent while it is being closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
        /// Closing: until then owners can redeem.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// For an owner: a channel that owes the account is being closed, or was closed before all was redeemed.
    #[serde(rename = "voucher.updated")]
    VoucherUpdated {
        channel: String,
        payee: String,
        /// Of the channel: `closing` or `closed`.
        state: ChannelState,
        /// What the voucher promises and nobody redeemed.
        open: Amount,
        /// Until then it can be redeemed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    #[serde(rename = "dispute.updated")]
    DisputeUpdated {
        dispute: DisputeId,
        state: DisputeState,
        /// Absent for the owner, who learns of the lease and not of the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        lease: LeaseId,
        /// What the requester got back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refunded: Option<Amount>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ruling: Option<String>,
    },
    /// For those who run the platform: the books, leases or receipts do not agree.
    #[serde(rename = "incident.opened")]
    IncidentOpened {
        incident: IncidentId,
        kind: IncidentKind,
        /// What it is about, and which two figures differ.
        detail: String,
        /// Whose books they are, where they are a person's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
    },
    /// For an owner: a device reported a fault of its own. At most one an hour for each device.
    #[serde(rename = "device.fault")]
    DeviceFault {
        node: NodeId,
        name: String,
        model: String,
        uuid: String,
        fault: Happening,
    },
    /// Offers began to match a saved search.
    #[serde(rename = "search.matched")]
    SearchMatched {
        search: SearchId,
        name: String,
        /// How many began to match at once.
        offers: u32,
        /// The cheapest of them.
        offer: SearchAlert,
    },
    /// A webhook was switched off: for a day nothing got through to it, or its receiver said that it is gone.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled {
        webhook: WebhookId,
        url: String,
        failing_since: Timestamp,
        /// How the last attempt failed.
        error: DeliveryError,
    },
    /// Sent because somebody asked for it; means nothing.
    #[serde(rename = "webhook.test")]
    WebhookTest { webhook: WebhookId },
}

impl Notice {
    pub const fn event(&self) -> Event {
        match self {
            Self::JobStarted { .. } => Event::JobStarted,
            Self::JobEnded { .. } => Event::JobEnded,
            Self::JobFundsLow { .. } => Event::JobFundsLow,
            Self::JobOutOfFunds { .. } => Event::JobOutOfFunds,
            Self::JobRefunded { .. } => Event::JobRefunded,
            Self::LeaseRefunded { .. } => Event::LeaseRefunded,
            Self::BalanceRunway { .. } => Event::BalanceRunway,
            Self::PayoutUpdated { .. } => Event::PayoutUpdated,
            Self::PayoutAddressUpdated { .. } => Event::PayoutAddressUpdated,
            Self::WalletLinked { .. } => Event::WalletLinked,
            Self::DepositUpdated { .. } => Event::DepositUpdated,
            Self::ChannelUpdated { .. } => Event::ChannelUpdated,
            Self::VoucherUpdated { .. } => Event::VoucherUpdated,
            Self::DisputeUpdated { .. } => Event::DisputeUpdated,
            Self::IncidentOpened { .. } => Event::IncidentOpened,
            Self::DeviceFault { .. } => Event::DeviceFault,
            Self::SearchMatched { .. } => Event::SearchMatched,
            Self::WebhookDisabled { .. } => Event::WebhookDisabled,
            Self::WebhookTest { .. } => Event::WebhookTest,
        }
    }

    /// Listed, but nobody is called for it: what the person did just now, and what another notice says better.
    pub const fn is_quiet(&self) -> bool {
        matches!(
            self,
            Self::JobStarted { .. }
                | Self::WebhookTest { .. }
                | Self::JobEnded {
                    end: RunEnd::OutOfFunds | RunEnd::StoppedByUser,
                    ..
                }
                | Self::PayoutUpdated {
                    state: PayoutState::Requested | PayoutState::Cancelled,
                    ..
                }
                | Self::DepositUpdated {
                    state: DepositState::Requested,
                    ..
                }
                | Self::DisputeUpdated {
                    state: DisputeState::Open | DisputeState::Withdrawn,
                    job: Some(_),
                    ..
                }
        )
    }

    /// Worth an e-mail: what asks for a decision or concerns money. A job that ends well does not.
    pub const fn is_mailed(&self) -> bool {
        match self {
            Self::JobEnded { state, .. } => matches!(state, JobState::Failed),
            other => !other.is_quiet(),
        }
    }

    /// The page of the portal where one sees more.
    pub fn path(&self) -> String {
        match self {
            Self::JobStarted { job, .. }
            | Self::JobEnded { job, .. }
            | Self::JobFundsLow { job, .. }
            | Self::JobOutOfFunds { job, .. }
            | Self::JobRefunded { job, .. }
            | Self::DisputeUpdated { job: Some(job), .. } => format!("/jobs/{job}"),
            Self::BalanceRunway { .. }
            | Self::DepositUpdated { .. }
            | Self::ChannelUpdated { .. } => "/billing".into(),
            Self::PayoutUpdated { .. }
            | Self::VoucherUpdated { .. }
            | Self::LeaseRefunded { .. }
            | Self::DisputeUpdated { job: None, .. }
            | Self::PayoutAddressUpdated { .. } => "/earnings".into(),
            Self::WalletLinked { .. } => "/account".into(),
            Self::IncidentOpened { .. } => "/admin".into(),
            Self::DeviceFault { node, .. } => format!("/machine?node={node}"),
            Self::SearchMatched { .. } => "/searches".into(),
            Self::WebhookDisabled { .. } | Self::WebhookTest { .. } => "/notifications".into(),
        }
    }
}

/// A notice as it stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoticeView {
    /// Webhooks carry it as `webhook-id`.
    pub id: NoticeId,
    pub at: Timestamp,
    pub read: bool,
    #[serde(flatten)]
    pub notice: Notice,
}

/// One page of what an account was told, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoticesView {
    pub items: Vec<NoticeView>,
    /// Ask again with `before` = this; absent on the last page.
    pub next: Option<String>,
    /// How many of all are unread; counted up to 100.
    pub unread: u32,
}

/// The languages of e-mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::En, Self::Zh]
            .into_iter()
            .find(|language| language.as_str() == text)
    }
}

/// How an account wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationSettings {
    /// To the account's address, what asks for a decision or concerns money.
    pub email: bool,
    /// Of the e-mails.
    pub language: Language,
    /// Warn when the balance lasts less than these; at most five, the longest first.
    pub runway_seconds: Vec<Seconds>,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            email: false,
            language: Language::En,
            runway_seconds: vec![Seconds::DAY, Seconds::HOUR, Seconds::new(600)],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationSettingsView {
    #[serde(flatten)]
    pub settings: NotificationSettings,
    /// Whether this server sends e-mail at all.
    pub email_available: bool,
    /// Where e-mails go.
    pub address: String,
    /// Whether its person said that it is theirs; until then only that question is sent there.
    pub address_confirmed: bool,
    /// When the question was sent last.
    pub address_asked_at: Option<Timestamp>,
    /// Why the question did not get there.
    pub address_error: Option<DeliveryError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    pub id: WebhookId,
    pub url: String,
    /// Those that it listens to; empty means all.
    pub events: Vec<Event>,
    pub created_at: Timestamp,
    /// Off: by its owner, or because nothing got through for a day.
    pub enabled: bool,
    /// Since when nothing got through; absent while it works.
    pub failing_since: Option<Timestamp>,
}

/// A webhook to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to post: https, and an address that the whole world can reach.
    pub url: String,
    /// Those that it listens to; empty or absent means all.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// What is to change of a webhook; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// With the secret of the signatures, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewWebhookView {
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// `whsec_` and the key in base64.
    pub secret: String,
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be tried at `next_at`.
    Waiting,
    Delivered,
    /// Given up.
    Failed,
}

impl DeliveryState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryError {
    /// The receiver answered, but not that it took it; `status` says what.
    Status,
    /// No answer in time.
    Timeout,
    /// The name has no address.
    NoAddress,
    /// The name leads to an address that the world cannot reach.
    NotPublic,
    /// Nobody takes the connection.
    Unreachable,
    /// No encrypted connection came about: a certificate that is not valid, say.
    Tls,
    /// It broke off, or the answer was no HTTP.
    Broken,
    /// The webhook was switched off, or the e-mails.
    SwitchedOff,
}

impl DeliveryError {
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Timeout,
        Self::NoAddress,
        Self::NotPublic,
        Self::Unreachable,
        Self::Tls,
        Self::Broken,
        Self::SwitchedOff,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::NoAddress => "no_address",
            Self::NotPublic => "not_public",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::SwitchedOff => "switched_off",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.as_str() == text)
    }
}

/// One notice on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    pub notice: NoticeId,
    pub event: Event,
    pub state: DeliveryState,
    pub attempts: u32,
    pub created_at: Timestamp,
    /// Of the next attempt; absent when there is none.
    pub next_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What the receiver answered last.
    pub status: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<DeliveryError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_name_everywhere() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
            let json = serde_json::to_string(&event).expect("json");
            assert_eq!(json, format!("\"{event}\""));
        }
        for error in DeliveryError::ALL {
            assert_eq!(DeliveryError::parse(error.as_str()), Some(error));
            let json = serde_json::to_string(&error).expect("json");
            assert_eq!(json, format!("\"{}\"", error.as_str()));
        }
        let webhook = WebhookId::new(Timestamp::from_millis(1), [1; 10]);
        let test = Notice::WebhookTest { webhook };
        let json = serde_json::to_value(&test).expect("json");
        assert_eq!(json["type"], test.event().as_str());
        assert_eq!(json["data"]["webhook"], webhook.to_string());
        assert_eq!(serde_json::from_value::<Notice>(json).expect("back"), test);
    }

    #[test]
    fn a_job_that_ends_well_sends_no_mail() {
        let ended = |state, end| Notice::JobEnded {
            job: JobId::new(Timestamp::from_millis(1), [1; 10]),
            name: "x".into(),
            state,
            end,
            cost: Amount::ZERO,
        };
        let fine = ended(JobState::Finished, RunEnd::Exited { code: 0 });
        let wrong = ended(JobState::Failed, RunEnd::Exited { code: 1 });
        let stopped = ended(JobState::Stopped, RunEnd::StoppedByUser);
        assert_eq!(
            [&fine, &wrong, &stopped].map(Notice::is_mailed),
            [false, true, false]
        );
        assert_eq!(
            [&fine, &wrong, &stopped].map(Notice::is_quiet),
            [false, false, true]
        );
    }
}
