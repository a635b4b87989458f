//! How a page reaches the doors. Every read and every form goes through the one function that fetches, and every
//! answer travels as text until somebody needs its type: what is generic is compiled once a type, and the browser
//! pays for each of them.

use leptos::prelude::*;
use leptos::server::ServerActionError;
use leptos::server_fn::ServerFn;
use leptos::server_fn::error::ServerFnUrlError;
use protocol::{Code, Problem};
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::fault::Fault;

/// What a page was answered, still as JSON.
pub type Answer = Result<String, Fault>;
/// What a page shows: read on the server for the first page, in the browser afterwards.
pub type Data = Resource<Answer>;

#[cfg(feature = "ssr")]
type Run = std::sync::Arc<
    dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync,
>;

/// One question to one door.
#[derive(Clone)]
pub struct Ask {
    path: &'static str,
    body: String,
    /// On the server the door is called as a function.
    #[cfg(feature = "ssr")]
    run: Run,
}

impl PartialEq for Ask {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.body == other.body
    }
}

fn unreadable() -> Fault {
    Problem::new(Code::Internal, "The server's answer could not be read.").into()
}

/// # Errors
/// When the text is not of that type.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| unreadable())
}

/// A question with its arguments.
#[cfg(feature = "ssr")]
pub fn ask<S>(door: S) -> Ask
where
    S: ServerFn<Error = Fault> + Serialize + Clone + Send + Sync + 'static,
    S::Output: Serialize,
{
    let body = serde_json::to_string(&door).unwrap_or_default();
    let run: Run = std::sync::Arc::new(move || {
        let door = door.clone();
        Box::pin(async move {
            let answer = door.run_body().await?;
            serde_json::to_string(&answer).map_err(|_| unreadable())
        })
    });
    Ask {
        path: S::PATH,
        body,
        run,
    }
}

/// A question with its arguments.
#[cfg(not(feature = "ssr"))]
pub fn ask<S: ServerFn + Serialize>(door: S) -> Ask {
    Ask {
        path: S::PATH,
        body: serde_json::to_string(&door).unwrap_or_default(),
    }
}

impl Ask {
    /// No question; its answer is an empty text.
    pub fn nothing() -> Self {
        Self {
            path: "",
            body: String::new(),
            #[cfg(feature = "ssr")]
            run: std::sync::Arc::new(|| Box::pin(async { Ok("\"\"".to_owned()) })),
        }
    }

    /// # Errors
    /// Why the server refused, or that it cannot be reached.
    pub async fn send(self) -> Answer {
        #[cfg(not(feature = "ssr"))]
        if self.path.is_empty() {
            return Ok("\"\"".to_owned());
        }
        #[cfg(feature = "ssr")]
        let answer = (self.run)().await;
        #[cfg(not(feature = "ssr"))]
        let answer = send_wrapper::SendWrapper::new(post(
            self.path,
            Some("application/json"),
            self.body.into(),
        ))
        .await;
        answer
    }

    /// # Errors
    /// The refusal, or that the answer could not be read.
    pub async fn get<T: DeserializeOwned>(self) -> Result<T, Fault> {
        decode(&self.send().await?)
    }

    /// For a page that asks once and again when told to.
    pub fn data(self) -> Data {
        data(Signal::derive(move || self.clone()))
    }
}

/// For a page whose question changes, with its address for instance.
pub fn data(asked: Signal<Ask>) -> Data {
    Resource::new_blocking(move || asked.get(), Ask::send)
}

/// Asks in the background and hands over what came, unless it was refused.
pub fn then<T: DeserializeOwned + 'static>(ask: Ask, with: impl FnOnce(T) + 'static) {
    let with: Box<dyn FnOnce(String)> = Box::new(move |text| {
        if let Ok(value) = decode(&text) {
            with(value);
        }
    });
    then_text(ask, with);
}

fn then_text(ask: Ask, with: Box<dyn FnOnce(String)>) {
    leptos::task::spawn_local(async move {
        if let Ok(text) = ask.send().await {
            with(text);
        }
    });
}

/// The one fetch.
async fn post(path: &str, content_type: Option<&str>, body: JsValue) -> Answer {
    let unreachable = |_: JsValue| {
        Fault::from(Problem::new(
            Code::Unavailable,
            "The server could not be reached.",
        ))
    };
    let headers = web_sys::Headers::new().map_err(unreachable)?;
    headers
        .set("Accept", "application/json")
        .map_err(unreachable)?;
    if let Some(content_type) = content_type {
        headers
            .set("Content-Type", content_type)
            .map_err(unreachable)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&body);
    let answer = JsFuture::from(window().fetch_with_str_and_init(path, &init))
        .await
        .map_err(unreachable)?;
    let answer: web_sys::Response = answer.dyn_into().map_err(unreachable)?;
    let text = JsFuture::from(answer.text().map_err(unreachable)?)
        .await
        .map_err(unreachable)?;
    let text = text.as_string().unwrap_or_default();
    if answer.ok() {
        Ok(text)
    } else {
        Err(decode(&text).unwrap_or_else(|_| unreadable()))
    }
}

/// A form and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Post {
    path: &'static str,
    pub pending: RwSignal<bool>,
    /// Why the last try was refused.
    pub fault: RwSignal<Option<Fault>>,
    answer: RwSignal<Option<String>>,
}

impl Post {
    /// To this door. A refusal that a plain form came back with is found in the address.
    pub fn to<S: ServerFn>() -> Self {
        Self::at(S::PATH)
    }

    fn at(path: &'static str) -> Self {
        let refused = use_context::<ServerActionError>().filter(|refused| refused.path() == path);
        let fault = refused.map(|refused| ServerFnUrlError::<Fault>::decode_err(refused.err()));
        Self {
            path,
            pending: RwSignal::new(false),
            fault: RwSignal::new(fault),
            answer: RwSignal::new(None),
        }
    }

    pub fn fault(self) -> Signal<Option<Fault>> {
        self.fault.into()
    }

    /// Whether an answer or a refusal is there.
    pub fn is_over(self) -> bool {
        let refused = self.fault.with(Option::is_some);
        self.answer.with(Option::is_some) || refused
    }

    /// Runs after each answer that is not a refusal.
    pub fn on_answer<T: DeserializeOwned + 'static>(self, with: impl Fn(T) + 'static) {
        let answer = self.answer;
        crate::components::effect(move || {
            let value = answer.with(|answer| answer.as_ref().and_then(|text| decode(text).ok()));
            if let Some(value) = value {
                with(value);
            }
        });
    }

    fn send(self, form: web_sys::HtmlFormElement) {
        if self.pending.get_untracked() {
            return;
        }
        self.pending.set(true);
        leptos::task::spawn_local(async move {
            let answer = send_form(&form).await;
            _ = self.pending.try_set(false);
            match answer {
                Ok(text) => {
                    _ = self.fault.try_set(None);
                    _ = self.answer.try_set(Some(text));
                }
                Err(fault) => _ = self.fault.try_set(Some(fault)),
            }
        });
    }
}

/// A form's data as one url-encoded text, as the browser itself would post it.
pub fn form_data(form: &web_sys::HtmlFormElement) -> Option<web_sys::UrlSearchParams> {
    let data = web_sys::FormData::new_with_form(form).ok()?;
    web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()
}

/// Posts a form to its own address.
///
/// # Errors
/// Why the server refused, or that it cannot be reached.
pub async fn send_form(form: &web_sys::HtmlFormElement) -> Answer {
    send_form_to(form, &form.action()).await
}

/// Posts a form to another address.
///
/// # Errors
/// Why the server refused, or that it cannot be reached.
pub async fn send_form_to(form: &web_sys::HtmlFormElement, path: &str) -> Answer {
    let data = form_data(form).ok_or_else(unreadable)?;
    post(path, None, data.into()).await
}

/// A form that posts without leaving the page, and as a plain form where there is no JavaScript.
#[component]
pub fn PostForm(post: Post, children: Children) -> AnyView {
    let submit = move |event: leptos::ev::SubmitEvent| {
        let form = event
            .current_target()
            .and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        if let Some(form) = form {
            event.prevent_default();
            post.send(form);
        }
    };
    view! { <form method="post" action=post.path on:submit=submit>{children()}</form> }.into_any()
}
