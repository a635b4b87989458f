//! The simulator, as the server writes it: a form that asks this page again, and what it comes to.

use leptos::prelude::*;
use protocol::fleet::{SimulatorAsk, SimulatorLine, SimulatorView};
use protocol::spec::DeviceClass;
use protocol::view::ModelPriceView;

use crate::api::exchange;
use crate::components::{Cell, Column, Field, Kind, Parts, Submit, Tone, notice, row, table};
use crate::fault::{Fault, form_fault};
use crate::format;
use crate::i18n::{Words, fill, locale, words};
use crate::pages::{Asked, wording};

/// What a card or a processor takes where nothing is said.
const GPU_WATTS: &str = "300";
const CPU_WATTS: &str = "65";
/// What may be typed wrongly.
const FIELDS: [&str; 4] = ["per_hour", "hours", "watts", "kwh"];

/// `arg` is the page's query.
pub async fn part(arg: &str) -> Result<AnyView, Fault> {
    let exchange = exchange()?;
    let t = words();
    let models = exchange.prices().await?;
    if models.is_empty() {
        return Ok(notice(Tone::Idle, t.sim_none()));
    }
    let ask = asked(arg, &models);
    let (result, fault) = match exchange.simulate(&ask).await {
        Ok(Some(view)) => (result(&view, t), None),
        Ok(None) => (notice(Tone::Idle, t.sim_none()), None),
        Err(error) => (().into_any(), Some(Fault::from(error))),
    };
    let locale = locale();
    let at = |field: &str| {
        let of_field = fault
            .as_ref()
            .and_then(|fault: &Fault| fault.of_field(field, locale));
        Signal::stored(of_field)
    };
    let errors = FIELDS.map(at);
    let wrong = form_fault(Signal::stored(fault), &FIELDS);
    Ok(view! {
        <div class="grid gap-6 lg:grid-cols-2 items-start">
            <section class="card grid gap-3">{wrong}{form(&ask, &models, errors, t)}</section>
            <section class="min-w-0">{result}</section>
        </div>
    }
    .into_any())
}

/// The query, with what a visitor would most likely mean where it says nothing.
fn asked(arg: &str, models: &[ModelPriceView]) -> SimulatorAsk {
    let query = Asked::of(arg);
    let text = |name| query.get(name).unwrap_or_default();
    // A model and its class are one choice.
    let device = text("device");
    let (class, model) = device.split_once(':').unwrap_or_default();
    let first = models
        .iter()
        .find(|known| known.class == DeviceClass::Gpu)
        .or(models.first());
    let known = models
        .iter()
        .find(|known| known.class.as_str() == class && known.model == model);
    let chosen = known.or(first);
    let class = chosen.map(|own| own.class).unwrap_or_default();
    let or = |text: String, standard: &str| {
        if text.is_empty() {
            standard.to_owned()
        } else {
            text
        }
    };
    let watts = if class == DeviceClass::Gpu {
        GPU_WATTS
    } else {
        CPU_WATTS
    };
    SimulatorAsk {
        model: chosen.map(|own| own.model.clone()).unwrap_or_default(),
        class: class.as_str().to_owned(),
        per_hour: text("per_hour"),
        hours: or(text("hours"), "24"),
        watts: or(text("watts"), watts),
        kwh: text("kwh"),
        days: or(text("days"), "7"),
    }
}

fn form(
    ask: &SimulatorAsk,
    models: &[ModelPriceView],
    errors: [Signal<Option<String>>; 4],
    t: &'static Words,
) -> AnyView {
    let [per_hour, hours, watts, kwh] = errors;
    let chosen = format!("{}:{}", ask.class, ask.model);
    let options = models
        .iter()
        .map(|model| {
            let value = format!("{}:{}", model.class.as_str(), model.model);
            let selected = value == chosen;
            let name = format!("{} ({})", model.model, wording::class(model.class));
            view! { <option value=value selected=selected>{name}</option> }
        })
        .parts();
    let span = |days: &'static str, word: &'static str| {
        let selected = ask.days == days;
        view! { <option value=days selected=selected>{word}</option> }
    };
    view! {
        <form method="get" action="/simulator" class="grid gap-3">
            <div class="field">
                <label for="device">{t.sim_model()}</label>
                <select class="input" id="device" name="device">{options}</select>
            </div>
            <Field name="per_hour" label=t.sim_price() unit=t.unit_price() input_mode="decimal" value=ask.per_hour.clone() error=per_hour/>
            <div class="grid gap-3 sm:grid-cols-2">
                <Field name="hours" label=t.sim_hours() unit=t.unit_h() input_mode="numeric" value=ask.hours.clone() error=hours/>
                <Field name="watts" label=t.sim_watts() unit="W" input_mode="numeric" value=ask.watts.clone() error=watts/>
                <Field name="kwh" label=t.sim_kwh() unit=t.sim_kwh_unit() input_mode="decimal" value=ask.kwh.clone() error=kwh/>
                <div class="field">
                    <label for="days">{t.sim_days()}</label>
                    <select class="input" id="days" name="days">{span("7", t.sim_week())}{span("30", t.sim_month())}</select>
                </div>
            </div>
            <div><Submit label=t.sim_button() kind=Kind::Primary/></div>
        </form>
    }
    .into_any()
}

fn result(view: &SimulatorView, t: &'static Words) -> AnyView {
    let [devices, hours, hired, leases] = [
        u64::from(view.devices),
        view.device_hours,
        view.hired_hours,
        u64::from(view.leases),
    ]
    .map(|number| number.to_string());
    let Some(lines) = &view.lines else {
        return notice(Tone::Warn, fill(t.sim_few(), &[&devices, &hours, &leases]));
    };
    let cases = [t.sim_low(), t.sim_middle(), t.sim_high()];
    let rows = cases
        .into_iter()
        .zip(lines)
        .map(|(case, line)| line_row(case, line, t))
        .parts();
    let columns = vec![
        Column::new(t.sim_case()),
        Column::end(t.sim_fill()),
        Column::end(t.sim_gross()),
        Column::end(t.sim_fee()),
        Column::end(t.sim_power()),
        Column::end(t.sim_net()),
    ];
    let price = format::owner_per_hour(view.price, t);
    view! {
        <div class="card grid gap-3">
            <h2>{fill(t.sim_a_day(), &[&price])}</h2>
            {table(t.sim_title(), columns, rows)}
            <p class="hint">{fill(t.sim_samples(), &[&devices, &hours, &hired, &leases])}</p>
            <p class="hint">{t.sim_unsure()}</p>
        </div>
    }
    .into_any()
}

fn line_row(case: &'static str, line: &SimulatorLine, t: &'static Words) -> AnyView {
    let fill = format!(
        "{}.{} %",
        line.fill_per_mille / 10,
        line.fill_per_mille % 10
    );
    row(vec![
        Cell::title(case),
        Cell::end(t.sim_fill(), fill),
        Cell::end(t.sim_gross(), format::io(line.gross)),
        Cell::end(t.sim_fee(), format::io(line.fee)),
        Cell::end(t.sim_power(), format::io(line.power)),
        Cell::end(
            t.sim_net(),
            view! { <strong>{format::signed(line.net_base)}</strong> },
        ),
    ])
}
