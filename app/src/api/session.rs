//! Signing up, in and out, and what a visitor prefers.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::fault::Fault;
use crate::session::Session;

#[cfg(feature = "ssr")]
mod cookies {
    use http::{HeaderValue, header};
    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;
    use protocol::{Code, Problem};

    use crate::fault::Fault;
    use crate::session::{SESSION_COOKIE, session_cookie};

    pub fn append(cookie: &str) -> Result<(), Fault> {
        let fault = || Problem::new(Code::Internal, "The answer could not carry a cookie.");
        let response = use_context::<ResponseOptions>().ok_or_else(fault)?;
        let value = HeaderValue::from_str(cookie).map_err(|_| fault())?;
        response.append_header(header::SET_COOKIE, value);
        Ok(())
    }

    pub fn sign_in(secret: &str, seconds: u64) -> Result<(), Fault> {
        append(&session_cookie(secret, seconds))
    }

    pub fn sign_out() -> Result<(), Fault> {
        append(&format!(
            "{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
        ))
    }
}

/// Who is signed in.
#[server(prefix = "/fn", endpoint = "session", input = Json)]
pub async fn who() -> Result<Option<Session>, Fault> {
    use protocol::live::Topic;

    let Some(actor) = super::actor_or_none().await? else {
        return Ok(None);
    };
    let exchange = super::exchange()?;
    let account = exchange.account(&actor).await?;
    let meter = exchange.meter(&actor).await?;
    let alerts = exchange.unseen_alerts(&actor).await?;
    let unread = exchange.unread_notices(&actor).await?;
    Ok(Some(Session {
        name: account.name,
        topic: Topic::Account(account.id).to_string(),
        meter,
        alerts,
        unread,
    }))
}

/// Answers with the page to go to.
#[server(prefix = "/fn", endpoint = "sign-in")]
pub async fn sign_in(email: String, password: String, next: String) -> Result<String, Fault> {
    let exchange = super::exchange()?;
    let (_, secret) = exchange.sign_in(&email, &password).await?;
    cookies::sign_in(&secret.0, exchange.settings().session_ttl.get())?;
    let next = crate::session::safe_next(Some(next));
    super::answer_form(&next);
    Ok(next)
}

/// Answers with the page to go to.
#[server(prefix = "/fn", endpoint = "sign-up")]
pub async fn sign_up(
    name: String,
    email: String,
    password: String,
    next: String,
) -> Result<String, Fault> {
    let exchange = super::exchange()?;
    let (_, secret) = exchange.sign_up(&email, &password, &name).await?;
    cookies::sign_in(&secret.0, exchange.settings().session_ttl.get())?;
    let next = crate::session::safe_next(Some(next));
    super::answer_form(&next);
    Ok(next)
}

/// Always a plain form: the page is loaded again without anything of the account in it.
#[server(prefix = "/fn", endpoint = "sign-out")]
pub async fn sign_out() -> Result<(), Fault> {
    if let Some(actor) = super::actor_or_none().await? {
        super::exchange()?.sign_out(&actor).await?;
    }
    cookies::sign_out()?;
    super::answer_form("/");
    Ok(())
}

/// Ends every session of the account, this one too.
#[server(prefix = "/fn", endpoint = "sign-out-everywhere")]
pub async fn sign_out_everywhere() -> Result<(), Fault> {
    let actor = super::actor().await?;
    super::exchange()?.sign_out_everywhere(&actor).await?;
    cookies::sign_out()?;
    super::answer_form("/sign-in");
    Ok(())
}

/// Keeps a language or a theme for a year. Always a plain form: the page is loaded again in it. An empty text
/// leaves that one as it is; an unknown value is refused.
#[server(prefix = "/fn", endpoint = "preferences")]
pub async fn set_preferences(
    #[server(default)] locale: String,
    #[server(default)] theme: String,
) -> Result<(), Fault> {
    use crate::i18n::Locale;
    use crate::prefs::{LOCALE_COOKIE, THEME_COOKIE, Theme};
    use protocol::Problem;

    const YEAR: u64 = 31_536_000;
    let keep = |name: &str, value: &str| {
        cookies::append(&format!(
            "{name}={value}; Path=/; Max-Age={YEAR}; SameSite=Lax"
        ))
    };
    if !locale.is_empty() {
        let known = Locale::ALL.into_iter().find(|known| known.code() == locale);
        let known = known.ok_or_else(|| Problem::field("locale", "en or zh"))?;
        keep(LOCALE_COOKIE, known.code())?;
    }
    if !theme.is_empty() {
        let known =
            Theme::of_code(&theme).ok_or_else(|| Problem::field("theme", "auto, light or dark"))?;
        keep(THEME_COOKIE, known.code())?;
    }
    Ok(())
}
