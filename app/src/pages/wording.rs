//! States, ends and events of the domain in the words of a language.

use kernel::{Amount, Seconds};
use leptos::prelude::AnyView;
use protocol::fleet::Standing;
use protocol::money::{DepositState, DisputeState, Party, PayoutState};
use protocol::notice::DeliveryError;
use protocol::proof::{ProofReason, ProofState};
use protocol::rent::Kind;
use protocol::spec::DeviceClass;
use protocol::state::{DeviceState, JobState, LeaseState, RunEnd};
use protocol::view::{
    Book, EarnCheck, EarnRule, EntryKind, JobEventKind, NodeDeviceView, RefundReason, ScarcityView,
};

use crate::components::{Tone, state};
use crate::format;
use crate::i18n::{Words, fill, told};

/// What happened to a device.
#[cfg(feature = "ssr")]
pub fn happening(what: protocol::telemetry::Happening, t: &'static Words) -> String {
    match t.locale() {
        crate::i18n::Locale::Zh => what.sentence_zh(),
        crate::i18n::Locale::En => what.sentence(),
    }
}

pub fn job_state(job: JobState, t: &'static Words) -> AnyView {
    let (tone, word) = match job {
        JobState::Matching => (Tone::Busy, t.job_matching()),
        JobState::Starting => (Tone::Busy, t.job_starting()),
        JobState::Running => (Tone::Ok, t.job_running()),
        JobState::Finished => (Tone::Ok, t.job_finished()),
        JobState::Failed => (Tone::Bad, t.job_failed()),
        JobState::Stopped => (Tone::Idle, t.job_stopped()),
    };
    state(tone, word)
}

pub fn device_state(device: DeviceState, t: &'static Words) -> AnyView {
    let (tone, word) = match device {
        DeviceState::Idle => (Tone::Ok, t.device_idle()),
        DeviceState::Hired => (Tone::Busy, t.device_hired()),
        DeviceState::Paused => (Tone::Idle, t.device_paused()),
        DeviceState::Maintenance => (Tone::Idle, t.device_maintenance()),
        DeviceState::Closed => (Tone::Idle, t.device_closed()),
        DeviceState::Down => (Tone::Bad, t.device_down()),
        DeviceState::Blocked => (Tone::Warn, t.device_blocked()),
    };
    state(tone, word)
}

pub fn lease_state(lease: LeaseState, t: &'static Words) -> AnyView {
    let (tone, word) = match lease {
        LeaseState::Granted => (Tone::Busy, t.job_starting()),
        LeaseState::Active => (Tone::Ok, t.job_running()),
        LeaseState::Ended => (Tone::Idle, t.lease_ended()),
    };
    state(tone, word)
}

/// Whether the end is what was wanted.
pub fn end_tone(end: &RunEnd) -> Tone {
    match end {
        RunEnd::Exited { code: 0 } => Tone::Ok,
        RunEnd::StoppedByUser => Tone::Idle,
        RunEnd::OutOfFunds
        | RunEnd::TimeLimit { .. }
        | RunEnd::NodeDrained
        | RunEnd::Preempted
        | RunEnd::LeaseLost => Tone::Warn,
        _ => Tone::Bad,
    }
}

pub fn run_end(end: &RunEnd, t: &Words) -> String {
    let with = |text: &str, value: &dyn std::fmt::Display| fill(text, &[&value.to_string()]);
    match end {
        RunEnd::Exited { code: 0 } => t.end_finished().to_owned(),
        RunEnd::Exited { code } => with(t.end_exit(), code),
        RunEnd::Signalled { signal } => with(t.end_signal(), signal),
        RunEnd::OutOfMemory { limit_mib } => with(t.end_memory(), limit_mib),
        RunEnd::DiskFull { limit_mib } => with(t.end_disk(), limit_mib),
        RunEnd::TooManyProcesses { limit } => with(t.end_pids(), limit),
        RunEnd::TimeLimit { seconds } => {
            with(t.end_time(), &format::duration(Seconds::new(*seconds), t))
        }
        RunEnd::StoppedByUser => t.end_user().to_owned(),
        RunEnd::OutOfFunds => t.end_funds().to_owned(),
        RunEnd::NodeDrained => t.end_drained().to_owned(),
        RunEnd::Preempted => t.end_preempted().to_owned(),
        RunEnd::LeaseLost => t.end_lost().to_owned(),
        RunEnd::FailedToStart { reason } => with(t.end_start(), &told(reason, t.locale())),
        RunEnd::NoCapacity { reason } => with(t.end_capacity(), &told(reason, t.locale())),
        RunEnd::JobOver => t.end_job_over().to_owned(),
        RunEnd::SpecMissed { reason } => with(t.end_spec_missed(), &told(reason, t.locale())),
        RunEnd::TooManyRestarts { restarts } => with(t.end_restarts(), restarts),
    }
}

/// Why something was given back unasked, and how much of it is still to come.
pub fn refund(
    reason: RefundReason,
    seconds: Seconds,
    amount: Amount,
    owed: Amount,
    t: &Words,
) -> String {
    let why = match reason {
        RefundReason::LossBound => t.refund_loss_bound(),
        RefundReason::SpecMissed => t.refund_spec_missed(),
        RefundReason::WrongSlice => t.refund_wrong_slice(),
    };
    let why = fill(why, &[&format::io(amount), &format::duration(seconds, t)]);
    if owed.is_zero() {
        return why;
    }
    format!("{why} {}", fill(t.refund_owed(), &[&format::io(owed)]))
}

pub fn event(kind: JobEventKind, t: &Words) -> &'static str {
    match kind {
        JobEventKind::Submitted => t.event_submitted(),
        JobEventKind::Waiting => t.event_waiting(),
        JobEventKind::Leased => t.event_leased(),
        JobEventKind::Fetching => t.event_fetching(),
        JobEventKind::Pulling => t.event_pulling(),
        JobEventKind::Isolating => t.event_isolating(),
        JobEventKind::Running => t.event_running(),
        JobEventKind::Uploading => t.event_uploading(),
        JobEventKind::FundsLow => t.event_funds_low(),
        JobEventKind::StopRequested => t.event_stop(),
        JobEventKind::Notice => t.event_notice(),
        JobEventKind::Preempted => t.event_preempted(),
        JobEventKind::MakingRoom => t.event_making_room(),
        JobEventKind::NodeLost => t.event_node_lost(),
        JobEventKind::Rejected => t.event_rejected(),
        JobEventKind::MemberEnded => t.event_member_ended(),
        JobEventKind::ShellOpened => t.event_shell_opened(),
        JobEventKind::ShellClosed => t.event_shell_closed(),
        JobEventKind::FileStored => t.event_file_stored(),
        JobEventKind::Ended => t.event_ended(),
    }
}

/// A way to rent, by the name that rounds and queries give it.
pub fn kind(name: &str, t: &Words) -> &'static str {
    match Kind::parse(name).unwrap_or_default() {
        Kind::OnDemand => t.rent_on_demand(),
        Kind::Spot => t.rent_spot(),
        Kind::Reserved => t.rent_reserved(),
    }
}

pub fn class(class: DeviceClass) -> &'static str {
    class.label()
}

pub fn entry(kind: EntryKind, t: &Words) -> &'static str {
    match kind {
        EntryKind::DemoCredit => t.entry_demo(),
        EntryKind::Hold => t.entry_hold(),
        EntryKind::Release => t.entry_release(),
        EntryKind::Charge => t.entry_charge(),
        EntryKind::Fee => t.entry_fee(),
        EntryKind::Deposit => t.entry_deposit(),
        EntryKind::Matured => t.entry_matured(),
        EntryKind::Converted => t.entry_converted(),
        EntryKind::Disputed => t.entry_disputed(),
        EntryKind::Upheld => t.entry_upheld(),
        EntryKind::Refund => t.entry_refund(),
        EntryKind::Payout => t.entry_payout(),
        EntryKind::PaidOut => t.entry_paid_out(),
        EntryKind::Returned => t.entry_returned(),
        EntryKind::Locked => t.entry_locked(),
        EntryKind::Unlocked => t.entry_unlocked(),
        EntryKind::Vouched => t.entry_vouched(),
        EntryKind::Redeemed => t.entry_redeemed(),
    }
}

pub fn book(book: Option<Book>, t: &Words) -> &'static str {
    match book {
        Some(Book::Available) => t.book_available(),
        Some(Book::Held) => t.book_held(),
        Some(Book::Earned) => t.book_earned(),
        Some(Book::Withdrawable) => t.book_withdrawable(),
        Some(Book::Disputed) => t.book_disputed(),
        Some(Book::Vouched) => t.book_vouched(),
        None => t.book_other(),
    }
}

pub fn deposit_word(state: DepositState, t: &Words) -> &'static str {
    match state {
        DepositState::Requested => t.deposit_requested(),
        DepositState::InTransit => t.deposit_in_transit(),
        DepositState::Credited => t.deposit_credited(),
        DepositState::Refused => t.deposit_refused(),
    }
}

pub fn deposit_state(deposit: DepositState, t: &'static Words) -> AnyView {
    let tone = match deposit {
        DepositState::Requested | DepositState::InTransit => Tone::Busy,
        DepositState::Credited => Tone::Ok,
        DepositState::Refused => Tone::Bad,
    };
    state(tone, deposit_word(deposit, t))
}

/// Why something did not leave the house.
pub fn delivery_error(error: DeliveryError, t: &Words) -> &'static str {
    match error {
        DeliveryError::Status => t.delivery_status(),
        DeliveryError::Timeout => t.delivery_timeout(),
        DeliveryError::NoAddress => t.delivery_no_address(),
        DeliveryError::NotPublic => t.delivery_not_public(),
        DeliveryError::Unreachable => t.delivery_unreachable(),
        DeliveryError::Tls => t.delivery_tls(),
        DeliveryError::Broken => t.delivery_broken(),
        DeliveryError::SwitchedOff => t.delivery_switched_off(),
    }
}

pub fn payout_word(state: PayoutState, t: &Words) -> &'static str {
    match state {
        PayoutState::Requested => t.payout_requested(),
        PayoutState::Approved => t.payout_approved(),
        PayoutState::Frozen => t.payout_frozen(),
        PayoutState::Sent => t.payout_sent(),
        PayoutState::Paid => t.payout_paid(),
        PayoutState::Failed => t.payout_failed(),
        PayoutState::Cancelled => t.payout_cancelled(),
        PayoutState::Refused => t.payout_refused(),
    }
}

pub fn payout_state(payout: PayoutState, t: &'static Words) -> AnyView {
    let tone = match payout {
        PayoutState::Requested | PayoutState::Approved | PayoutState::Sent => Tone::Busy,
        PayoutState::Frozen => Tone::Warn,
        PayoutState::Paid => Tone::Ok,
        PayoutState::Cancelled => Tone::Idle,
        PayoutState::Failed | PayoutState::Refused => Tone::Bad,
    };
    state(tone, payout_word(payout, t))
}

pub fn dispute_word(state: DisputeState, t: &Words) -> &'static str {
    match state {
        DisputeState::Open => t.dispute_state_open(),
        DisputeState::Refunded => t.dispute_state_refunded(),
        DisputeState::Rejected => t.dispute_state_rejected(),
        DisputeState::Withdrawn => t.dispute_state_withdrawn(),
    }
}

pub fn dispute_state(dispute: DisputeState, t: &'static Words) -> AnyView {
    let tone = match dispute {
        DisputeState::Open => Tone::Busy,
        DisputeState::Refunded => Tone::Ok,
        DisputeState::Rejected | DisputeState::Withdrawn => Tone::Idle,
    };
    state(tone, dispute_word(dispute, t))
}

pub fn party(party: Party, t: &Words) -> &'static str {
    match party {
        Party::Requester => t.party_requester(),
        Party::Owner => t.party_owner(),
        Party::Platform => t.party_platform(),
        Party::Admin => t.party_admin(),
    }
}

/// A rule of earning, and what to do where it fails.
pub fn earn_rule(rule: EarnRule, t: &Words) -> (&'static str, &'static str) {
    match rule {
        EarnRule::Connected => (t.rule_connected(), t.fix_connected()),
        EarnRule::Isolation => (t.rule_isolation(), t.fix_isolation()),
        EarnRule::Proven => (t.rule_proven(), t.fix_proven()),
        EarnRule::NotMaintained => (t.rule_maintenance(), t.fix_maintenance()),
        EarnRule::Market => (t.rule_market(), t.fix_market()),
        EarnRule::Reputation => (t.rule_reputation(), t.fix_reputation()),
        EarnRule::NotPaused => (t.rule_paused(), t.fix_paused()),
        EarnRule::InHours => (t.rule_hours(), t.fix_hours()),
        EarnRule::Priced => (t.rule_priced(), t.fix_priced()),
        EarnRule::Hired => (t.rule_hired(), t.fix_hired()),
    }
}

/// How a device stands, and why.
pub fn proof(device: &NodeDeviceView, t: &Words) -> (String, Option<&'static str>) {
    let state = match device.proof.state {
        ProofState::Claimed => t.proof_claimed(),
        ProofState::Proven => t.proof_proven(),
        ProofState::Failed => t.proof_failed(),
        ProofState::Suspect => t.proof_suspect(),
    };
    let last = device
        .proof
        .challenged_at
        .map_or_else(|| "–".to_owned(), format::moment);
    let line = fill(
        t.proof_line(),
        &[state, &device.verified.to_string(), &last],
    );
    let reason = device.proof.reason.map(|reason| match reason {
        ProofReason::WrongReads | ProofReason::WrongProduct | ProofReason::Malformed => {
            t.proof_wrong()
        }
        ProofReason::TooSlow => t.proof_slow(),
        ProofReason::TooFast => t.proof_fast(),
        ProofReason::NoAnswer => t.proof_silent(),
        ProofReason::UnknownModel => t.proof_unknown(),
        ProofReason::Inconsistent => t.proof_unfit(),
        ProofReason::SameDevice => t.proof_same(),
        ProofReason::Software => t.proof_software(),
        ProofReason::Unable => t.proof_unable(),
        ProofReason::Benchmark => t.proof_less(),
        ProofReason::WrongSlice => t.proof_slice(),
    });
    (line, reason)
}

/// The numbers of a rule, where it has some.
pub fn earn_numbers(check: &EarnCheck, t: &Words) -> Option<String> {
    let numbers: Vec<String> = check.numbers.iter().map(u32::to_string).collect();
    match (check.rule, numbers.as_slice()) {
        (EarnRule::Market, [rank, of]) => Some(fill(t.rule_market_place(), &[rank, of])),
        (EarnRule::Reputation, [now]) => Some(fill(t.rule_reputation_at(), &[now])),
        _ => None,
    }
}

/// How a machine stands.
pub fn standing(standing: Standing, t: &'static Words) -> AnyView {
    let (tone, word) = match standing {
        Standing::Online => (Tone::Ok, t.node_online()),
        Standing::Offline => (Tone::Bad, t.node_offline()),
        Standing::Draining => (Tone::Warn, t.node_draining()),
        Standing::Maintenance => (Tone::Idle, t.node_maintenance()),
        Standing::NotIsolated => (Tone::Warn, t.node_not_isolated()),
        Standing::Suspect => (Tone::Bad, t.node_suspect()),
    };
    state(tone, word)
}

/// How scarce a model is: now, and in the median of a day.
pub fn scarcity(of: &ScarcityView, t: &Words) -> String {
    let [hired, offered, percent] = [of.hired, of.offered, of.percent].map(|n| n.to_string());
    let now = fill(t.model_hired(), &[&hired, &offered, &percent]);
    match of.median_percent {
        Some(median) => format!(
            "{now} · {}",
            fill(t.model_median_share(), &[&median.to_string()])
        ),
        None => now,
    }
}
