//! Money as REST and the pages show it: `states` that deposits, payouts and disputes go through, and `views` of balances,
//! entries, statements, deposits, payouts, disputes, limits, incidents; `reports` of closed weeks.

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
