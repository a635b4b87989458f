//! Money as REST and the pages show it: `states` that deposits, payouts and disputes go through, and `views` of balances,
//! entries, statements, deposits, payouts, disputes, limits, incidents; `reports` of closed weeks.

/// Words of a field, in REST and in the database.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal,)* }) => {
        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

mod channels;
mod explorer;
mod reports;
mod states;
mod views;
mod wallet;

pub use channels::{ChannelState, ChannelStep, ChannelView, VoucherDocument, VoucherView};
pub use explorer::{
    BatchDetail, BatchLineView, BatchView, ChainReach, CodeState, CodeView, ExplorerView,
    FeeAccountView, OnChainView, PaidView, SettlementView, SupplyView, TransactionView,
    UnclaimedView, VaultView,
};
pub use reports::{OwnWeekView, ReportView};
pub use states::{
    ApprovalAction, DepositState, DepositStep, DisputeState, DisputeStep, PayoutMove, PayoutState,
    PayoutStep, WrongStep,
};
pub use views::{
    ApprovalView, BalanceView, Book, BookBalance, BookView, ChainView, DayView, DepositView,
    DeviceEarnings, DisputeView, EarningsView, EntryKind, EntryView, EvidenceView, IncidentKind,
    IncidentView, LeaseEarnings, Limits, LimitsView, MovedView, Party, PayoutView, PeriodView,
    ProofView, RefundReason, RefundView, StatementView, TransferView,
};
pub use wallet::{DeedKind, DeedProposal, DeedState, DeedView};
