//! What each notice says in English: the subject and the text.

use protocol::money::RefundReason;
use protocol::notice::{Language, Notice};
use protocol::wallet::AddressChange;

use super::{at, because, channels, io, lasts, plain};

pub(super) fn en(notice: &Notice) -> (String, String) {
    match notice {
        Notice::JobStarted { name, restarts, .. } => (
            format!("Job {name} runs"),
            format!("Your job {name} has started. Restarts before: {restarts}."),
        ),
        Notice::JobEnded {
            name, end, cost, ..
        } => (
            format!("Job {name} has ended"),
            format!(
                "Your job {name} has ended. {}\nIt cost {} in all.",
                end.sentence(),
                io(*cost)
            ),
        ),
        Notice::JobFundsLow {
            name, seconds_left, ..
        } => (
            format!(
                "Job {name} will be stopped in {}",
                lasts(*seconds_left, Language::En)
            ),
            format!(
                "The money for your job {name} lasts {} more. Then it is asked to leave a checkpoint and to end. Add to the balance to let it go on.",
                lasts(*seconds_left, Language::En)
            ),
        ),
        Notice::JobOutOfFunds { name, cost, .. } => (
            format!("Job {name} was stopped: the money is used up"),
            format!(
                "Your job {name} was stopped because its money was used up. It cost {} in all. What it left is kept.",
                io(*cost)
            ),
        ),
        Notice::BalanceRunway {
            runway_seconds,
            ends_at,
            available,
            held,
            per_hour,
            ..
        } => (
            format!(
                "Your balance lasts {} more",
                lasts(*runway_seconds, Language::En)
            ),
            format!(
                "What runs now costs {} per hour. {} is available and {} is held: that lasts until {}. Jobs whose money ends are asked to leave a checkpoint and to end.",
                io(*per_hour),
                io(*available),
                io(*held),
                at(*ends_at)
            ),
        ),
        Notice::JobRefunded {
            name,
            seconds,
            amount,
            owed,
            reason,
            ..
        } => (
            format!("{} is given back for job {name}", io(*amount)),
            format!(
                "{} is given back for {} of your job {name}: {}.{}",
                io(*amount),
                lasts(*seconds, Language::En),
                match reason {
                    RefundReason::LossBound => "they were lost beyond the bound that you chose",
                    RefundReason::SpecMissed => "the machine was not what was hired",
                    RefundReason::WrongSlice => {
                        "two other machines computed a slice again and agree on something else"
                    }
                },
                if owed.is_zero() {
                    String::new()
                } else {
                    format!(" Of it, {} is still to come.", io(*owed))
                }
            ),
        ),
        Notice::LeaseRefunded { amount, detail, .. } => (
            format!("{} of your earnings was taken back", io(*amount)),
            format!(
                "Your machine was not what was hired: {detail}\nWhat it earned with that lease, {}, went back to the requester.",
                io(*amount)
            ),
        ),
        Notice::PayoutUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("Payout of {}: {}", io(*amount), plain(state.as_str())),
            format!(
                "Your payout of {} is now: {}.{}",
                io(*amount),
                plain(state.as_str()),
                because(reason.as_ref())
            ),
        ),
        Notice::PayoutAddressUpdated {
            change,
            address,
            at,
        } => match change {
            AddressChange::Asked => (
                "Your payout address is to change".to_owned(),
                format!(
                    "From {at} on, your earnings are to be paid out to {address}.\nIf this was not you, take the change back on the earnings page before then, and sign out everywhere."
                ),
            ),
            AddressChange::Changed => (
                "Your payout address has changed".to_owned(),
                format!("Your earnings are paid out to {address} from now on."),
            ),
            AddressChange::Cancelled => (
                "Your payout address stays".to_owned(),
                format!("The change to {address} was taken back."),
            ),
        },
        Notice::WalletLinked { address, wallet } => (
            "A wallet can sign in to your account".to_owned(),
            format!(
                "{wallet} with the address {address} was linked to your account and can sign in from now on.\nIf this was not you, unlink it on the account page and sign out everywhere."
            ),
        ),
        Notice::DepositUpdated {
            state,
            amount,
            reason,
            ..
        } => (
            format!("Deposit of {}: {}", io(*amount), plain(state.as_str())),
            format!(
                "Your deposit of {} is now: {}.{}",
                io(*amount),
                plain(state.as_str()),
                because(reason.as_ref())
            ),
        ),
        Notice::ChannelUpdated {
            channel,
            step,
            amount,
            until,
        } => channels::channel_en(channel, *step, *amount, *until),
        Notice::VoucherUpdated {
            channel,
            state,
            open,
            until,
            ..
        } => channels::voucher_en(channel, *state, *open, *until),
        Notice::DisputeUpdated {
            state,
            lease,
            refunded,
            ruling,
            ..
        } => (
            format!("Dispute about a lease: {}", plain(state.as_str())),
            format!(
                "The dispute about lease {lease} is now: {}.{}{}",
                plain(state.as_str()),
                refunded
                    .map(|amount| format!(" Back to the requester: {}.", io(amount)))
                    .unwrap_or_default(),
                because(ruling.as_ref())
            ),
        ),
        Notice::IncidentOpened { kind, detail, .. } => (
            format!("Incident: {}", plain(kind.as_str())),
            format!("The platform's books, leases or receipts do not agree.\n{detail}"),
        ),
        Notice::DeviceFault {
            name,
            model,
            uuid,
            fault,
            ..
        } => (
            format!("{name}: {model} reports a fault"),
            format!("{model} ({uuid}) on {name}: {}.", fault.sentence()),
        ),
        Notice::SearchMatched {
            name,
            offers,
            offer,
            ..
        } => (
            format!("{name}: {} is offered", offer.model),
            format!(
                "Your saved search {name} has {offers} new on offer. The cheapest: {} on {} for {} per hour.",
                offer.model,
                offer.node_name,
                io(offer.per_hour)
            ),
        ),
        Notice::WebhookDisabled {
            url, failing_since, ..
        } => (
            "A webhook was switched off".into(),
            format!(
                "Nothing has got through to {url} since {}, so it was switched off.",
                at(*failing_since)
            ),
        ),
        Notice::WebhookTest { .. } => ("A test".into(), "This is a test.".into()),
    }
}
