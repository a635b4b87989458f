//! An owner's machines, their prices and what they earn.

use kernel::{DeviceId, NodeId};
#[cfg(feature = "ssr")]
use kernel::{PricePerSecond, Seconds};
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use protocol::Problem;
use protocol::view::JoinTokenView;

use crate::fault::Fault;
use crate::rent_form::RentForm;

/// What a plain form leaves for the fleet page, to show it once.
#[cfg(feature = "ssr")]
pub(crate) const JOIN_FLASH: &str = "iog_join";

#[server(prefix = "/fn", endpoint = "join-token")]
pub async fn make_join_token() -> Result<JoinTokenView, Fault> {
    let actor = super::actor().await?;
    let token = super::exchange()?.create_join_token(&actor).await?;
    super::flash(
        "/nodes",
        JOIN_FLASH,
        &format!("{}.{}", token.id, token.token),
    );
    Ok(token)
}

#[cfg(feature = "ssr")]
fn asked_price(field: &str, text: &str) -> Result<PricePerSecond, Fault> {
    let price = protocol::rent::asked_price_of(field, text);
    price.map_err(|problem| Problem::field(field, problem.message).into())
}

/// `per_hour` is a decimal number of IO.
#[server(prefix = "/fn", endpoint = "price")]
pub async fn set_price(device: DeviceId, per_hour: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let price = asked_price("per_hour", &per_hour)?;
    super::exchange()?.set_price(&actor, device, price).await?;
    super::answer_form("/nodes");
    Ok(())
}

/// All that the price editor holds; a field that is empty takes its rule away.
#[server(prefix = "/fn", endpoint = "rent")]
pub async fn set_rent(#[server(flatten)] form: RentForm) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let unknown = |_| Problem::field("device", "no device of this name");
    let device: DeviceId = form.device.parse().map_err(unknown)?;
    let change = match form.change() {
        Ok(change) => change,
        Err(_) if super::is_plain_form() => {
            // The editor shows what was typed, with what is wrong beside each field.
            super::answer_form(&form.href());
            return Ok(());
        }
        Err(wrong) => {
            let problem = Problem::new(protocol::Code::Invalid, "Some fields need a change.");
            return Err(problem.with_fields(wrong).into());
        }
    };
    super::exchange()?
        .change_device(&actor, device, change)
        .await?;
    super::answer_form(&format!("/price?device={device}"));
    Ok(())
}

#[server(prefix = "/fn", endpoint = "pause")]
pub async fn set_paused(device: DeviceId, paused: bool) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?
        .set_paused(&actor, device, paused)
        .await?;
    super::answer_form("/nodes");
    Ok(())
}

/// `hours`: after so many what runs is stopped; empty: it runs to its end.
#[server(prefix = "/fn", endpoint = "maintenance")]
pub async fn set_maintenance(id: NodeId, on: bool, hours: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let hours: Option<u64> = hours.parse().ok();
    let after = hours.map(|hours| Seconds::new(hours.saturating_mul(3_600)));
    let after = after.filter(|_| on);
    super::exchange()?
        .set_maintenance(&actor, id, on, after)
        .await?;
    super::answer_form("/nodes");
    Ok(())
}

/// One of `per_hour`, a decimal number of IO, and `percent`.
#[server(prefix = "/fn", endpoint = "prices")]
pub async fn change_prices(
    #[server(default)] devices: Vec<DeviceId>,
    per_hour: String,
    percent: String,
) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let change = match (per_hour.trim(), percent.trim()) {
        (price, "") => exchange::PriceMove::To(asked_price("per_hour", price)?),
        ("", percent) => {
            let percent = percent.trim_end_matches('%').trim().parse();
            let wrong = |_| Problem::field("percent", "a whole number such as -10 or 5");
            exchange::PriceMove::By(percent.map_err(wrong)?)
        }
        _ => return Err(Problem::field("percent", "only one of the two").into()),
    };
    super::exchange()?
        .change_prices(&actor, &devices, change)
        .await?;
    super::answer_form("/nodes");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "remove-node")]
pub async fn remove_node(id: NodeId) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.remove_node(&actor, id).await?;
    super::answer_form("/nodes");
    Ok(())
}
