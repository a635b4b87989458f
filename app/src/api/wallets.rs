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

/// Has a voucher handed in at the platform's expense.
#[server(prefix = "/fn", endpoint = "redeem-voucher")]
pub async fn redeem_voucher(channel: String, payee: String) -> Result<(), Fault> {
    use protocol::{Code, Problem};

    let actor = super::actor().await?;
    let unknown = || {
        Problem::new(
            Code::NotFound,
            "The voucher was not found; it may belong to another account.",
        )
    };
    let channel = channel.parse().map_err(|_| unknown())?;
    let payee = payee.parse().map_err(|_| unknown())?;
    super::exchange()?
        .redeem_voucher(&actor, channel, payee)
        .await?;
    super::answer_form("/earnings");
    Ok(())
}
