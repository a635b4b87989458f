//! An owner's machines, their prices and what they earn.

#[cfg(feature = "ssr")]
use kernel::{Amount, PricePerSecond};
use kernel::{DeviceId, NodeId};
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

/// `per_hour` is a decimal number of IO.
#[server(prefix = "/fn", endpoint = "price")]
pub async fn set_price(device: DeviceId, per_hour: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    let price = Amount::parse_io(&per_hour).and_then(PricePerSecond::from_per_hour);
    let price = price.map_err(|error| Problem::field("per_hour", error.to_string()))?;
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

#[server(prefix = "/fn", endpoint = "remove-node")]
pub async fn remove_node(id: NodeId) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.remove_node(&actor, id).await?;
    super::answer_form("/nodes");
    Ok(())
}
