//! The page /verify as the server writes it: all that may be said, of which the module in `verify/` shows what is so. The attributes
//! are what it looks for.

use leptos::prelude::*;
use protocol::invoice::Rule;

use crate::api::exchange;
use crate::components::{Parts, Tone, notice};
use crate::fault::Fault;
use crate::i18n::{Words, words};

pub async fn part() -> Result<AnyView, Fault> {
    let key = exchange()?.platform_key();
    let t = words();
    Ok(view! {
        <div data-verify data-platform-key=key data-expected=t.verify_expected() data-found=t.verify_found()>
            <noscript>{notice(Tone::Warn, t.verify_noscript())}</noscript>
            <div class="card" data-verify-drop="">
                <div class="field">
                    <label for="verify-file">{t.verify_choose()}</label>
                    <input id="verify-file" type="file" accept=".json,application/json" data-verify-file=""/>
                    <p class="hint">{t.verify_drop()}</p>
                </div>
            </div>
            <div class="mt-4" role="status">
                <p data-show="busy" hidden>{t.verify_busy()}" "<span data-value="file"></span></p>
                <div data-show="unreadable" hidden>{notice(Tone::Bad, t.verify_unreadable())}</div>
                <div data-show="fits" hidden>{notice(Tone::Ok, t.verify_fits())}</div>
                <div data-show="wrong" hidden>
                    {notice(Tone::Bad, view! { <p class="font-medium">{t.verify_wrong()}" "<span data-value="count"></span></p> })}
                </div>
            </div>
            <div data-show="fits wrong" hidden>
                {summary(t)}
                <ol class="mt-4" data-findings=""></ol>
                <p class="hint" data-more="" hidden>{t.verify_more()}" "<span data-value="more"></span></p>
            </div>
            <div hidden>{Rule::ALL.iter().map(|rule| view! { <span data-rule=rule.as_str()>{of(*rule, t)}</span> }).parts()}</div>
            <p class="hint mt-6"><a href="/reports">{t.reports_title()}</a></p>
            <h2 class="mt-6 mb-3">{t.verify_how_title()}</h2>
            <p class="prose">{t.verify_how()}</p>
            <pre class="mt-3"><code>"iog verify-invoice invoice.json"</code></pre>
        </div>
    }
    .into_any())
}

fn summary(t: &'static Words) -> AnyView {
    let figure = |label: &'static str, name: &'static str| {
        view! { <div><dt>{label}</dt><dd data-value=name></dd></div> }
    };
    view! {
        <div data-summary="">
            <p class="hint mt-3" data-so-far="" hidden>{t.verify_so_far()}</p>
            <p class="hint mt-3" data-ends="" hidden>{t.verify_ends()}</p>
            <dl class="figures mt-4">
                {figure(t.verify_leases(), "leases")}
                {figure(t.verify_receipts(), "receipts")}
                {figure(t.verify_signatures(), "signatures")}
                {figure(t.verify_seconds(), "seconds")}
                {figure(t.verify_gross(), "gross")}
                {figure(t.verify_fee(), "fee")}
                {figure(t.verify_charged(), "charged")}
                <div data-refunded="" hidden><dt>{t.verify_refunded()}</dt><dd data-value="refunded"></dd></div>
                <div data-energy="" hidden><dt>{t.verify_energy()}</dt><dd data-value="energy"></dd></div>
            </dl>
            <dl class="facts mt-4">
                <dt>{t.verify_number()}</dt>
                <dd data-value="number"></dd>
                <dt>{t.verify_about()}</dt>
                <dd data-value="about"></dd>
                <dt>{t.verify_customer()}</dt>
                <dd data-value="customer"></dd>
                <dt>{t.verify_issued()}</dt>
                <dd data-value="issued"></dd>
                <dt>{t.verify_key()}</dt>
                <dd data-value="key"></dd>
            </dl>
        </div>
    }
    .into_any()
}

/// What a finding means.
const fn of(rule: Rule, t: &Words) -> &'static str {
    match rule {
        Rule::Document => t.rule_document(),
        Rule::Form => t.rule_form(),
        Rule::Signature => t.rule_signature(),
        Rule::PlatformKey => t.rule_platform_key(),
        Rule::Terms => t.rule_terms(),
        Rule::Bytes => t.rule_bytes(),
        Rule::Line => t.rule_line(),
        Rule::WorkerSignature => t.rule_worker_signature(),
        Rule::Countersignature => t.rule_countersignature(),
        Rule::Gap => t.rule_gap(),
        Rule::Repeated => t.rule_repeated(),
        Rule::Order => t.rule_order(),
        Rule::Overlap => t.rule_overlap(),
        Rule::Link => t.rule_link(),
        Rule::Late => t.rule_late(),
        Rule::Backwards => t.rule_backwards(),
        Rule::Amount => t.rule_amount(),
        Rule::Charge => t.rule_charge(),
        Rule::LineSum => t.rule_line_sum(),
        Rule::Total => t.rule_total(),
        Rule::Subject => t.rule_subject(),
        Rule::Period => t.rule_period(),
        Rule::Refund => t.rule_refund(),
    }
}
