//! Secrets for jobs' environments: set and deleted, never read.

use leptos::prelude::*;

use crate::fault::Fault;

#[server(prefix = "/fn", endpoint = "set-secret")]
pub async fn set_secret(name: String, value: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?
        .put_secret(&actor, name.trim(), &value)
        .await?;
    super::answer_form("/account");
    Ok(())
}

#[server(prefix = "/fn", endpoint = "delete-secret")]
pub async fn delete_secret(name: String) -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.delete_secret(&actor, &name).await?;
    super::answer_form("/account");
    Ok(())
}

/// Makes a link that opens one of a job's ports; the answer is shown once.
#[server(prefix = "/fn", endpoint = "share-port")]
pub async fn share_port(
    job: String,
    member: u32,
    port: u16,
    hours: u32,
) -> Result<SharedPort, Fault> {
    let actor = super::actor().await?;
    let job = super::jobs::parse(&job)?;
    let at = exchange::PortAt { job, member, port };
    let link = super::exchange()?.share_port(&actor, &at, hours).await?;
    let secret = link
        .url
        .unwrap_or_else(|| format!("{} X-IOG-Token: {}", link.path_url, link.token));
    super::answer_form(&format!("/jobs/{job}?tab=work"));
    Ok(SharedPort { secret })
}

/// What is shown of a new link.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct SharedPort {
    pub secret: String,
}
