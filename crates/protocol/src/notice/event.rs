//! The kinds of notices, by name.

use serde::{Deserialize, Serialize};

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
