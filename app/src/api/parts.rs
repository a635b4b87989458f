//! Parts of pages that the server writes, in the browser's stead: tables and cards that only show. The browser puts
//! them in and asks again when something changed, so it needs neither the types nor the code of what is in them.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::fault::Fault;

/// The part of this name as HTML. `arg` is what the part is about: a job's id, a filter, where a list begins.
#[server(prefix = "/fn", endpoint = "part", input = Json)]
pub async fn read_part(name: String, arg: String) -> Result<String, Fault> {
    use crate::pages::{
        account, activity, admin, billing, disputes, earnings, explorer, job, jobs, machine,
        market, model, nodes, notices, price, reports, rounds, searches, simulator, templates,
        verify, wallet,
    };
    let view = match name.as_str() {
        "market" => market::part(&arg).await?,
        "model" => model::part(&arg).await?,
        "searches" => searches::part().await?,
        "templates" => templates::list_part(&arg).await?,
        "template" => templates::one_part(&arg).await?,
        "verify" => verify::part().await?,
        "reports" => reports::part(&arg).await?,
        "jobs" => jobs::part(&arg).await?,
        "job-head" => job::parts::head(&arg).await?,
        "job-cost" => job::parts::cost(&arg).await?,
        "job-receipts" => job::parts::receipts(&arg).await?,
        "job-files" => job::parts::files(&arg).await?,
        "job-search" => job::search::part(&arg).await?,
        "job-work" => job::work::part(&arg).await?,
        "job-events" => job::parts::happened(&arg).await?,
        "nodes" => nodes::fleet_part(&arg).await?,
        "machine" => machine::part(&arg).await?,
        "simulator" => simulator::part(&arg).await?,
        "price" => price::part(&arg).await?,
        "missed" => rounds::missed_part(&arg).await?,
        "explorer" => explorer::part().await?,
        "rounds" => rounds::list_part(&arg).await?,
        "round" => rounds::one_part(&arg).await?,
        "earnings" => earnings::part().await?,
        "account" => account::who_part().await?,
        "keys" => account::keys_part().await?,
        "secrets" => account::secrets_part().await?,
        "wallets" => account::wallets_part().await?,
        "wallet-sign-in" => wallet::sign_in_part(&arg)?,
        "billing" => billing::part(&arg).await?,
        "payouts" => earnings::payouts_part().await?,
        "disputes" => disputes::part(&arg).await?,
        "notices" => notices::part(&arg).await?,
        "notifications" => notices::settings_part(&arg).await?,
        "activity" => activity::part(&arg).await?,
        "admin" => admin::part(&arg).await?,
        _ => {
            return Err(
                protocol::Problem::new(protocol::Code::NotFound, "There is no such part.").into(),
            );
        }
    };
    Ok(view.to_html())
}
