//! Wallets of an account, and where its payouts go. What a wallet signs goes to REST: see `wallet/wallet.js`.

use leptos::prelude::*;

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "unlink-wallet")]
pub async fn unlink_wallet(address: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.unlink_wallet(&actor, &address).await?;
    super::answer_form("/account");
    Ok(())
}

/// An e-mail address and a password for an account that has a wallet alone.
#[server(prefix = "/fn", endpoint = "add-password")]
pub async fn add_password(email: String, password: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?
        .add_password(&actor, &email, &password)
        .await?;
    super::answer_form("/account");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "payout-address")]
pub async fn set_payout_address(address: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?
        .set_payout_address(&actor, &address)
        .await?;
    super::answer_form("/earnings");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "keep-payout-address")]
pub async fn cancel_payout_address() -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.cancel_payout_address(&actor).await?;
    super::answer_form("/earnings");
    Ok(())
}
