//! The doors between pages and the exchange: server functions, one file per area.
//!
//! Each one reads the session, calls one method of the exchange and answers with its shape; there is no rule of
//! IOG in here. All are POST (a GET would pass `SameSite=Lax`), and the server refuses foreign origins before them.
//! A function whose form must work without JavaScript takes url-encoded text and redirects; the rest take JSON.

pub mod account;
pub mod admin;
pub mod billing;
mod call;
pub mod disputes;
pub mod earnings;
pub mod jobs;
pub mod nodes;
pub mod notices;
pub mod parts;
pub mod searches;
pub mod secrets;
pub mod session;
pub mod templates;
pub mod wallets;

pub use call::{
    Answer, Ask, Data, Post, PostForm, ask, data, decode, form_data, send_form, send_form_to, then,
};

#[cfg(feature = "ssr")]
pub(crate) use door::{
    Typed, actor, actor_or_none, amount, answer_form, exchange, flash, is_plain_form, parse_id,
    parts,
};

#[cfg(feature = "ssr")]
mod door {
    //! What every door needs, on the server.

    use exchange::{Actor, Exchange};
    use http::{HeaderValue, header, request::Parts};
    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;
    use protocol::{Code, FieldProblem, Problem};

    use crate::fault::Fault;
    use crate::prefs::cookie;
    use crate::session::SESSION_COOKIE;

    pub fn exchange() -> Result<Exchange, Fault> {
        use_context()
            .ok_or_else(|| Problem::new(Code::Unavailable, "The exchange is not running.").into())
    }

    pub fn parts() -> Option<Parts> {
        use_context()
    }

    fn header(name: &header::HeaderName) -> Option<String> {
        parts()?.headers.get(name)?.to_str().ok().map(str::to_owned)
    }

    /// Who asks, if anybody is signed in.
    pub async fn actor_or_none() -> Result<Option<Actor>, Fault> {
        let Some(cookies) = header(&header::COOKIE) else {
            return Ok(None);
        };
        let Some(secret) = cookie(&cookies, SESSION_COOKIE) else {
            return Ok(None);
        };
        Ok(exchange()?.actor_by_session(secret).await?)
    }

    /// Who asks; refused when nobody is signed in.
    pub async fn actor() -> Result<Actor, Fault> {
        let nobody = || Problem::new(Code::Unauthenticated, "Please sign in.").into();
        actor_or_none().await?.ok_or_else(nobody)
    }

    /// A decimal number of IO that was typed into a field.
    pub fn amount(field: &str, typed: &str) -> Result<kernel::Amount, Fault> {
        let amount = kernel::Amount::parse_io(typed.trim());
        amount.map_err(|error| Problem::field(field, error.to_string()).into())
    }

    /// What stands in several fields of one form: each that is wrong is named, not the first alone.
    #[derive(Debug, Default)]
    pub struct Typed(Vec<FieldProblem>);

    impl Typed {
        /// A decimal number of IO; zero stands for one that cannot be read until [`Self::done`] refuses the form.
        pub fn amount(&mut self, field: &str, typed: &str) -> kernel::Amount {
            self.checked(amount(field, typed)).unwrap_or_default()
        }

        /// What another check found, if it found nothing wrong.
        pub fn checked<T>(&mut self, result: Result<T, impl Into<Fault>>) -> Option<T> {
            result
                .map_err(|error| self.0.extend(error.into().0.fields))
                .ok()
        }

        /// # Errors
        /// All that was wrong.
        pub fn done(self) -> Result<(), Fault> {
            if self.0.is_empty() {
                return Ok(());
            }
            let problem = Problem::new(Code::Invalid, "Some fields need a change.");
            Err(problem.with_fields(self.0).into())
        }
    }

    /// An id that a form carries; of something that is not there if it is none.
    pub fn parse_id<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
        let none = || Problem::new(Code::NotFound, "It is not there any more.");
        text.trim().parse().map_err(|_| none().into())
    }

    /// Whether a plain form was posted, without JavaScript: then the answer must be a page.
    pub fn is_plain_form() -> bool {
        header(&header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
    }

    /// Sends a plain form on to `path`. With JavaScript the page decides itself, so nothing is sent.
    pub fn answer_form(path: &str) {
        if is_plain_form() {
            leptos_axum::redirect(path);
        }
    }

    /// Hands a secret that is shown once to the page that a plain form is sent on to: a cookie that no script can
    /// read, for one minute, on that page alone. With JavaScript the answer itself carries it.
    pub fn flash(path: &str, name: &str, value: &str) {
        if is_plain_form()
            && let Some(response) = use_context::<ResponseOptions>()
            && let Ok(value) = HeaderValue::from_str(&format!(
                "{name}={value}; Path={path}; Max-Age=60; HttpOnly; Secure; SameSite=Strict"
            ))
        {
            response.append_header(header::SET_COOKIE, value);
            leptos_axum::redirect(path);
        }
    }
}

/// The value that a plain form left for this page, if one did.
#[cfg(feature = "ssr")]
pub(crate) fn flashed(name: &str) -> Option<String> {
    let parts = parts()?;
    let cookies = parts.headers.get(http::header::COOKIE)?.to_str().ok()?;
    crate::prefs::cookie(cookies, name)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::Typed;
    use crate::i18n::Locale;

    #[test]
    fn each_field_that_cannot_be_read_is_named() {
        let mut typed = Typed::default();
        typed.amount("keep", "many");
        assert_eq!(typed.amount("per_day", " 1.5 ").base(), 150_000_000);
        typed.amount("per_month", "-1");
        typed.checked(exchange::check_payee("0x1"));
        let fault = typed.done().expect_err("three are wrong");
        let fields: Vec<_> = fault.0.fields.iter().map(|wrong| &*wrong.field).collect();
        assert_eq!(fields, ["keep", "per_month", "address"]);
        assert!(fault.of_field("per_month", Locale::Zh).is_some());
        assert_eq!(Typed::default().done(), Ok(()));
    }
}
