//! The editor's form, and what its price would mean, as the server writes them.

use kernel::{DeviceId, PricePerSecond, Seconds};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use protocol::FieldProblem;
use protocol::rent::asked_price_of;
use protocol::view::{NodeDeviceView, PriceCheckView};

use super::hours::{show_hours, show_offset};
use crate::api::nodes::SetRent;
use crate::api::{Post, actor, exchange};
use crate::components::{Field, Kind, Submit, TextField, tag};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, locale, told, words};
use crate::pages::wording;
use crate::rent_form::RentForm;

/// `arg`: what the form holds, as JSON; of a form that was not sent only the device.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let actor = actor().await?;
    let exchange = exchange()?;
    let typed: RentForm = serde_json::from_str(arg).unwrap_or_default();
    let id: Option<DeviceId> = typed.device.parse().ok();
    let nodes = exchange.nodes(&actor).await?;
    let devices = nodes.iter().flat_map(|node| {
        let name = &node.name;
        node.devices.iter().map(move |device| (name, device))
    });
    let found = devices
        .into_iter()
        .find(|(_, device)| Some(device.id) == id);
    let (name, device) = found.ok_or(exchange::Error::NotFound("the device"))?;
    let t = words();
    // A form that was sent holds all of its fields, also those that were emptied.
    let (form, wrong) = if typed.is_sent() {
        let wrong = typed.change().err().unwrap_or_default();
        (typed, wrong)
    } else {
        (stored(device), Vec::new())
    };
    let price = asked_price_of("per_hour", &form.per_hour);
    let check = match price {
        Ok(price) => {
            let check = exchange.price_check(&actor, device.id, price).await?;
            checked(&check, t)
        }
        // What is wrong with it stands beside its field.
        Err(_) => ().into_any(),
    };
    Ok(view! {
        <div class="flex flex-wrap items-center gap-2 mb-4">
            <h2>{device.model.clone()}</h2>{tag(wording::class(device.class))}
            <span class="hint">{name.clone()}</span>{wording::device_state(device.state, t)}
        </div>
        {form_fault(Post::to::<SetRent>().fault(), &[])}
        {editor(device, form, &wrong, check, t)}
    }
    .into_any())
}

/// The form as it is stored.
fn stored(device: &NodeDeviceView) -> RentForm {
    let rules = &device.rules;
    let hour = format::owner_number;
    let length = |seconds: Option<Seconds>, unit| {
        let seconds = seconds.filter(|seconds| *seconds > Seconds::ZERO);
        seconds.map_or_else(String::new, |seconds| decimal(seconds, unit))
    };
    let (term, auto, schedule) = (rules.reserved, rules.auto, rules.schedule.as_ref());
    RentForm {
        device: device.id.to_string(),
        per_hour: hour(device.price),
        spot: rules.spot.map(hour).unwrap_or_default(),
        term_price: term.map(|term| hour(term.price)).unwrap_or_default(),
        term_hours: length(term.map(|term| term.min_term), 3_600),
        percent: auto
            .map(|auto| auto.percent.to_string())
            .unwrap_or_default(),
        floor: auto.map(|auto| hour(auto.floor)).unwrap_or_default(),
        ceiling: auto.map(|auto| hour(auto.ceiling)).unwrap_or_default(),
        shortest: length(Some(rules.min_duration), 60),
        longest: length(rules.max_duration, 60),
        offset: schedule
            .map(|schedule| show_offset(schedule.utc_offset_minutes))
            .unwrap_or_default(),
        hours: schedule.map(show_hours).unwrap_or_default(),
    }
}

/// A length in another unit, with no more digits than it needs.
fn decimal(seconds: Seconds, unit: u32) -> String {
    let whole = u32::try_from(seconds.get()).unwrap_or(u32::MAX);
    (f64::from(whole) / f64::from(unit)).to_string()
}

fn editor(
    device: &NodeDeviceView,
    form: RentForm,
    wrong: &[FieldProblem],
    check: AnyView,
    t: &'static Words,
) -> AnyView {
    let error = |name: &str| -> Option<String> {
        let problem = wrong.iter().find(|problem| problem.field == name)?;
        Some(told(&problem.message, locale()))
    };
    // Fields are written from the top, and the first that is wrong has the keyboard.
    let first = order(wrong);
    let number = |name: &'static str, label: &'static str, unit: &'static str, value: String| {
        view! {
            <Field name=name label=label unit=unit input_mode="decimal" value=value error=error(name)
                autofocus=first == Some(name)/>
        }
        .into_any()
    };
    let money = |name, label, value| number(name, label, t.unit_price(), value);
    let until = device.hours_until.map(|until| {
        let text = if device.in_hours {
            t.rent_free_until()
        } else {
            t.rent_free_again()
        };
        view! { <p class="hint">{fill(text, &[&format::moment(until)])}</p> }
    });
    // What was typed to be checked goes out of the address when it is saved.
    let back = format!("/price?device={}", device.id);
    view! {
        <form method="post" action=SetRent::url() data-done=t.rent_saved() data-back=back data-key="rent" class="grid gap-6">
            <input type="hidden" name="device" value=device.id.to_string()/>
            <section class="card grid gap-4 md:grid-cols-2">
                <div class="grid gap-3 content-start">
                    <h3>{t.rent_on_demand()}</h3>
                    {money("per_hour", t.rent_price(), form.per_hour)}
                    <div class="row-actions">
                        <button class="btn" type="submit" formmethod="get" formaction="/price">{t.rent_check()}</button>
                    </div>
                </div>
                {check}
            </section>
            <section class="card grid gap-4 md:grid-cols-2">
                <div class="grid gap-3 content-start">
                    <h3>{t.rent_spot()}</h3><p class="hint">{t.rent_spot_text()}</p>
                    {money("spot", t.rent_price(), form.spot)}
                </div>
                <div class="grid gap-3 content-start">
                    <h3>{t.rent_reserved()}</h3><p class="hint">{t.rent_reserved_text()}</p>
                    {money("term_price", t.rent_price(), form.term_price)}
                    {number("term_hours", t.rent_term(), t.unit_h(), form.term_hours)}
                </div>
            </section>
            <section class="card grid gap-4 md:grid-cols-2">
                <div class="grid gap-3 content-start">
                    <h3>{t.rent_auto()}</h3><p class="hint">{t.rent_auto_text()}</p>
                    {number("percent", t.rent_percent(), "%", form.percent)}
                    {money("floor", t.rent_floor(), form.floor)}
                    {money("ceiling", t.rent_ceiling(), form.ceiling)}
                </div>
                <div class="grid gap-3 content-start">
                    <h3>{t.rent_hours()}</h3><p class="hint">{t.rent_hours_text()}</p>{until}
                    <TextField name="hours" label=t.rent_windows() rows=3 value=form.hours error=error("hours")/>
                    {number("offset", t.rent_offset(), "UTC", form.offset)}
                    {number("shortest", t.rent_shortest(), t.unit_min(), form.shortest)}
                    {number("longest", t.rent_longest(), t.unit_min(), form.longest)}
                </div>
            </section>
            <div class="row-actions"><Submit label=t.rent_save() kind=Kind::Primary/></div>
        </form>
    }
    .into_any()
}

/// The first field, from the top, that is wrong.
fn order(wrong: &[FieldProblem]) -> Option<&'static str> {
    const FIELDS: [&str; 11] = [
        "per_hour",
        "spot",
        "term_price",
        "term_hours",
        "percent",
        "floor",
        "ceiling",
        "hours",
        "offset",
        "shortest",
        "longest",
    ];
    let is_wrong = |name: &&str| wrong.iter().any(|problem| problem.field == **name);
    FIELDS.into_iter().find(is_wrong)
}

/// A share of a thousand, in percent.
fn percent(per_mille: i64) -> String {
    let (whole, part) = (per_mille.abs() / 10, per_mille.abs() % 10);
    let sign = if per_mille < 0 { "−" } else { "" };
    format!("{sign}{whole}.{part} %")
}

fn checked(check: &PriceCheckView, t: &'static Words) -> AnyView {
    let fact = |label: &'static str, value: String| view! { <div class="contents"><dt>{label}</dt><dd class="num">{value}</dd></div> };
    let count = |n: u32| n.to_string();
    let rank =
        |rank: protocol::view::RankView| fill(t.rent_rank(), &[&count(rank.rank), &count(rank.of)]);
    let fair = match (check.fair, check.above_fair_per_mille) {
        (Some(fair), Some(above)) => {
            let words = if above < 0 {
                t.rent_below_fair()
            } else {
                t.rent_above_fair()
            };
            let share = percent(above.saturating_abs());
            // An owner's price, as the one beside it.
            let fair = PricePerSecond::from_per_hour(fair)
                .map_or_else(|_| format::io(fair), |fair| format::owner_per_hour(fair, t));
            fill(words, &[&fair, &share, &count(check.samples)])
        }
        _ => t.rent_no_fair().to_owned(),
    };
    let fill_text = check.fill.per_mille.map_or_else(
        || fill(t.rent_no_fill(), &[&count(check.fill.leases)]),
        |share| {
            fill(
                t.rent_fill(),
                &[
                    &percent(i64::from(share)),
                    &count(check.fill.leases),
                    &check.fill.device_hours.to_string(),
                ],
            )
        },
    );
    let income = check
        .income_per_day
        .map(|income| fill(t.rent_income_value(), &[&format::io(income)]));
    let income = income.unwrap_or_else(|| "–".to_owned());
    view! {
        <div class="min-w-0" role="status">
            <h3 class="mb-2">{fill(t.rent_at(), &[&format::owner_per_hour(check.price, t)])}</h3>
            <dl class="facts">
                {fact(t.rent_stored(), fill(t.rent_stored_value(), &[&check.price.per_second().base().to_string()]))}
                {fact(t.rent_pays(), format::per_hour_amount(check.all_in_per_hour, t))}
                {fact(t.rent_rank_open(), rank(check.open))}
                {fact(t.rent_rank_all(), rank(check.standing))}
                {fact(t.rent_fair(), fair)}
                {fact(t.rent_fill_label(), fill_text)}
                {fact(t.rent_income(), income)}
            </dl>
        </div>
    }
    .into_any()
}
