//! Launching a template from its page. What the page shows is written by the server (see `pages::templates`).

use kernel::JobId;
use leptos::prelude::*;

use crate::fault::Fault;
use crate::template_form::TemplateForm;

/// Sends the job that the form makes of its template; answers with its id.
#[server(prefix = "/fn", endpoint = "launch-template")]
pub async fn launch_template(#[server(flatten)] form: TemplateForm) -> Result<JobId, Fault> {
    let actor = super::actor().await?;
    let exchange = super::exchange()?;
    let launched = async {
        let template = exchange.template(&form.id)?;
        let launch = form.launch(template)?;
        // What somebody waits for who renders are the pictures.
        let tab = match template.kind {
            protocol::template::Kind::Rendering => "?tab=files",
            _ => "",
        };
        // The form's own number makes a second press of the button the same job, not a second one.
        let key = Some(form.request.as_str()).filter(|key| !key.is_empty());
        let job = exchange
            .launch_template(&actor, &form.id, &launch, key)
            .await?;
        Ok::<_, Fault>((job.summary.id, tab))
    };
    let launched = launched.await;
    match &launched {
        Ok((id, tab)) => super::answer_form(&format!("/jobs/{id}{tab}")),
        // The page finds out by itself what is in the way, with all that was typed still in it.
        Err(fault) if says_why(fault) => super::answer_form(&format!("{}&tried=1", form.address())),
        Err(_) => {}
    }
    launched.map(|(id, _)| id)
}

#[cfg(feature = "ssr")]
fn says_why(fault: &Fault) -> bool {
    use protocol::Code;
    matches!(
        fault.code(),
        Code::Invalid | Code::NoMatch | Code::InsufficientFunds
    )
}
