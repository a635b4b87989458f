//! The market: public.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use protocol::view::{NetworkView, OfferFilter, OffersView};

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "offers", input = Json)]
pub async fn offers(filter: OfferFilter) -> Result<OffersView, Fault> {
    Ok(super::exchange()?.offers(&filter)?)
}

#[server(prefix = "/fn", endpoint = "network", input = Json)]
pub async fn network() -> Result<NetworkView, Fault> {
    Ok(super::exchange()?.network().await?)
}
