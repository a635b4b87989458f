//! The vouchers that owe an owner, as the server writes them.

use exchange::Exchange;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::money::{ChannelState, VoucherView};

use crate::api::Post;
use crate::api::wallets::RedeemVoucher;
use crate::components::{Cell, Column, Icon, Parts, icon, row, table};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::on_chain::{reference, short};

/// Nothing where no requester pays from a channel.
pub fn section(exchange: &Exchange, vouchers: &[VoucherView], t: &'static Words) -> AnyView {
    if vouchers.is_empty() {
        return ().into_any();
    }
    let rows = vouchers
        .iter()
        .map(|voucher| line(exchange, voucher, t))
        .parts();
    let columns = vec![
        Column::new(t.channels_title()),
        Column::end(t.voucher_says()),
        Column::end(t.voucher_left()),
        Column::new(t.voucher_file()),
        Column::action(t.voucher_redeem()),
    ];
    view! {
        <section data-key="vouchers">
            <h2 class="mb-3">{t.vouchers_title()}</h2>
            <p class="prose mb-3">{t.vouchers_text()}</p>
            {form_fault(Post::to::<RedeemVoucher>().fault(), &[])}
            {table(t.vouchers_title(), columns, rows)}
        </section>
    }
    .into_any()
}

fn line(exchange: &Exchange, voucher: &VoucherView, t: &'static Words) -> AnyView {
    let left = voucher.cumulative.minus_or_zero(voucher.redeemed);
    let (channel, payee) = (voucher.channel.clone(), voucher.payee.clone());
    let href = format!("/api/v1/vouchers/{channel}/{payee}");
    let file = view! { <a class="btn small" href=href rel="external" download="iog-voucher.json">{icon(Icon::Download)}{t.voucher_file()}</a> };
    let is_over = voucher.state == ChannelState::Closed;
    let redeem = if voucher.asked {
        view! { <span class="hint">{t.voucher_asked()}</span> }.into_any()
    } else if left.is_zero() {
        view! { <span class="hint">{t.channel_redeemed()}</span> }.into_any()
    } else if is_over {
        ().into_any()
    } else {
        view! {
            <form method="post" action=RedeemVoucher::url() data-done=t.voucher_asked_done() data-key=format!("redeem-{channel}")>
                <input type="hidden" name="channel" value=channel.clone()/>
                <input type="hidden" name="payee" value=payee/>
                <button class="btn small" type="submit">{t.voucher_redeem()}</button>
            </form>
        }
        .into_any()
    };
    let with = voucher
        .transaction
        .as_deref()
        .map(|hash| reference(exchange, hash));
    let by = voucher.closing_until.filter(|_| !is_over).map(
        |until| view! { <p class="hint">{fill(t.voucher_by(), &[&format::moment(until)])}</p> },
    );
    row(vec![
        Cell::title(
            view! { <span class="mono" title=voucher.channel.clone()>{short(&voucher.channel)}</span>{by} },
        ),
        Cell::end(t.voucher_says(), format::io(voucher.cumulative)),
        Cell::end(t.voucher_left(), format::io(left)),
        Cell::new(t.voucher_file(), file),
        Cell::action(view! { <div class="flex flex-wrap items-center gap-2">{redeem}{with}</div> }),
    ])
}
