//! Where payouts go, as the server writes it.

use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::wallet::PayoutAddressView;

use crate::api::Post;
use crate::api::wallets::{CancelPayoutAddress, SetPayoutAddress};
use crate::components::{Field, Submit, Tone, notice};
use crate::fault::form_fault;
use crate::format;
use crate::i18n::{Words, fill};
use crate::pages::field_error;

pub fn card(goes: &PayoutAddressView, t: &'static Words) -> AnyView {
    let fault = Post::to::<SetPayoutAddress>().fault();
    let now = match &goes.address {
        Some(address) => view! { <span class="mono break-all">{address.clone()}</span> }.into_any(),
        None => view! { <span>{t.payout_to_none()}</span> }.into_any(),
    };
    let waits = goes.next.clone().zip(goes.next_at).map(|(next, at)| {
        notice(
            Tone::Warn,
            view! {
                <p>{fill(t.payout_to_next(), &[&format::moment(at)])}": "<span class="mono break-all">{next}</span></p>
                {form_fault(Post::to::<CancelPayoutAddress>().fault(), &[])}
                <form method="post" action=CancelPayoutAddress::url() data-done=t.payout_to_kept() data-key="keep-address" class="mt-2">
                    <button class="btn small" type="submit">{t.payout_to_keep()}</button>
                </form>
            },
        )
    });
    let (label, done) = match goes.address {
        Some(_) => (t.payout_to_change(), t.payout_to_asked()),
        None => (t.payout_to_set(), t.payout_to_asked()),
    };
    view! {
        <section class="card grid grid-cols-1 gap-3" data-key="payout-address">
            <h2>{t.payout_to_title()}</h2>
            <p class="prose">{fill(t.payout_to_text(), &[&format::duration(goes.delay_seconds, t)])}</p>
            <p>{t.payout_to_now()}": "{now}</p>
            {waits}
            {form_fault(fault, &["address"])}
            <form method="post" action=SetPayoutAddress::url() data-done=done class="grid grid-cols-1 gap-3 max-w-md">
                <Field name="address" id="payout-address" label=t.payout_address() required=true max_length=66
                    hint=t.payout_address_hint() error=field_error(fault, "address")/>
                <Submit label=label/>
            </form>
        </section>
    }
    .into_any()
}
