//! What an account is told: in the portal, by e-mail, and through webhooks. docs/webhooks.md shows each as JSON.
//! The notices themselves are here; `event` has their kinds, `settings` how an account wants to be told, `webhook` where
//! else they are sent.

mod event;
mod settings;
#[cfg(test)]
mod tests;
mod webhook;

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

pub use event::Event;
pub use settings::{Language, NotificationSettings, NotificationSettingsView, RUNWAYS_MAX};
pub use webhook::{
    DeliveryError, DeliveryState, DeliveryView, NewWebhook, NewWebhookView, URL_MAX, WEBHOOKS_MAX,
    WebhookChange, WebhookView,
};

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
