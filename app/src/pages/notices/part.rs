//! The list, as the server writes it.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{ChannelState, ChannelStep};
use protocol::notice::{Notice, NoticeView};
use protocol::wallet::AddressChange;

use super::settings::notice_tabs;
use crate::api::notices::ReadNotices;
use crate::api::{actor, exchange};
use crate::components::{Parts, empty, tag};
use crate::fault::Fault;
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::on_chain::short;
use crate::pages::{Asked, wording};

const PER_PAGE: u32 = 50;

pub async fn part(query: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let t = words();
    let before = Asked::of(query).get("before");
    let before = before.and_then(|before| before.parse().ok());
    let page = exchange()?.notices(&actor, before, PER_PAGE).await?;
    let Some(newest) = page.items.first() else {
        let none = empty(
            t.notices_none(),
            t.notices_none_text(),
            Some((t.launch(), "/launch".to_owned())),
        );
        return Ok(view! { {notice_tabs("list", t)}{none} }.into_any());
    };
    let unread = page.items.iter().any(|notice| !notice.read);
    let read = unread.then(|| {
        view! {
            <form method="post" action=ReadNotices::url() data-done=t.notices_read_done() class="mb-4">
                <input type="hidden" name="up_to" value=newest.id.to_string()/>
                <button class="btn" type="submit">{t.notices_read_all()}</button>
            </form>
        }
    });
    let items = page.items.iter().map(|notice| item(notice, t)).parts();
    let older = page.next.map(|before| {
        view! { <p class="mt-4"><a class="btn" href=format!("/notices?before={before}")>{t.older()}</a></p> }
    });
    Ok(view! { {notice_tabs("list", t)}{read}<ul class="notices">{items}</ul>{older} }.into_any())
}

fn item(view: &NoticeView, t: &'static Words) -> AnyView {
    let fresh = (!view.read).then(|| tag(t.notice_new()));
    view! {
        <li class="card">
            <p class="flex flex-wrap items-center gap-2">
                <time class="hint" datetime=view.at.to_string()>{format::moment(view.at)}</time>{fresh}
            </p>
            <p>{sentence(&view.notice, t)}</p>
            <p><a class="row-link" href=view.notice.path()>{t.notice_open()}</a></p>
        </li>
    }
    .into_any()
}

fn sentence(notice: &Notice, t: &'static Words) -> String {
    // States and reasons come as the server's words.
    let reason = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| format!(" {}", told(text, locale())))
            .unwrap_or_default()
    };
    match notice {
        Notice::JobStarted { name, .. } => fill(t.notice_job_started(), &[name]),
        Notice::JobEnded {
            name, end, cost, ..
        } => fill(
            t.notice_job_ended(),
            &[name, &wording::run_end(end, t), &format::io(*cost)],
        ),
        Notice::JobFundsLow {
            name, seconds_left, ..
        } => fill(
            t.notice_funds_low(),
            &[name, &format::duration(*seconds_left, t)],
        ),
        Notice::JobOutOfFunds { name, cost, .. } => {
            fill(t.notice_out_of_funds(), &[name, &format::io(*cost)])
        }
        Notice::JobRefunded {
            name,
            reason,
            seconds,
            amount,
            owed,
            ..
        } => {
            let refund = wording::refund(*reason, *seconds, *amount, *owed, t);
            fill(t.notice_refunded(), &[name, &refund])
        }
        Notice::LeaseRefunded { amount, detail, .. } => fill(
            t.notice_taken_back(),
            &[&format::io(*amount), &told(detail, locale())],
        ),
        Notice::BalanceRunway {
            runway_seconds,
            per_hour,
            ..
        } => fill(
            t.notice_runway(),
            &[
                &format::duration(*runway_seconds, t),
                &format::io_to_pay(*per_hour),
            ],
        ),
        Notice::PayoutUpdated {
            state,
            amount,
            reason: why,
            ..
        } => {
            let payout = wording::payout_word(*state, t);
            fill(t.notice_payout(), &[&format::io(*amount), payout]) + &reason(why)
        }
        Notice::PayoutAddressUpdated {
            change,
            address,
            at,
        } => {
            let pattern = match change {
                AddressChange::Asked => t.notice_address_asked(),
                AddressChange::Changed => t.notice_address_changed(),
                AddressChange::Cancelled => t.notice_address_cancelled(),
            };
            fill(pattern, &[address, &format::moment(*at)])
        }
        Notice::WalletLinked { address, wallet } => {
            fill(t.notice_wallet_linked(), &[wallet, address])
        }
        Notice::DepositUpdated {
            state,
            amount,
            reason: why,
            ..
        } => {
            let deposit = wording::deposit_word(*state, t);
            fill(t.notice_deposit(), &[&format::io(*amount), deposit]) + &reason(why)
        }
        Notice::ChannelUpdated {
            channel,
            step,
            amount,
            until,
        } => {
            let pattern = match step {
                ChannelStep::Opened => t.notice_channel_opened(),
                ChannelStep::ToppedUp => t.notice_channel_topped_up(),
                ChannelStep::Idle => t.notice_channel_idle(),
                ChannelStep::Closing => t.notice_channel_closing(),
                ChannelStep::Closed => t.notice_channel_closed(),
            };
            let amount = amount.map(format::io);
            let until = until.map(format::moment);
            let value = amount.or(until).unwrap_or_default();
            fill(pattern, &[&short(channel), &value])
        }
        Notice::VoucherUpdated {
            channel,
            state,
            open,
            until,
            ..
        } => {
            let pattern = if *state == ChannelState::Closed {
                t.notice_voucher_closed()
            } else {
                t.notice_voucher_closing()
            };
            let until = until.map(format::moment).unwrap_or_default();
            fill(pattern, &[&short(channel), &format::io(*open), &until])
        }
        Notice::DisputeUpdated {
            state,
            lease,
            ruling,
            ..
        } => {
            let dispute = wording::dispute_word(*state, t);
            fill(
                t.notice_dispute(),
                &[&format::short_id(&lease.to_string()), dispute],
            ) + &reason(ruling)
        }
        Notice::IncidentOpened { kind, detail, .. } => {
            fill(t.notice_incident(), &[kind.as_str(), detail])
        }
        Notice::DeviceFault {
            name, model, fault, ..
        } => {
            let what = wording::happening(*fault, t);
            fill(t.notice_device_fault(), &[model, name, &what])
        }
        Notice::SearchMatched {
            name,
            offers,
            offer,
            ..
        } => fill(
            t.notice_search(),
            &[
                &offers.to_string(),
                name,
                &format::per_hour_amount(offer.per_hour, t),
            ],
        ),
        Notice::WebhookDisabled { url, error, .. } => fill(
            t.notice_webhook_off(),
            &[url, wording::delivery_error(*error, t)],
        ),
        Notice::WebhookTest { .. } => t.notice_webhook_test().to_owned(),
    }
}
