//! Shows a part that the server wrote, and asks for it again when it is told that something changed.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use serde::Deserialize;
use wasm_bindgen::JsCast;

use super::kept::Kept;
use super::load;
use crate::api::parts::ReadPart;
use crate::api::{Ask, Data, ask, data, decode, send_form, then};
use crate::components::{
    CopyLine, Toasts, Tone, copy_pressed, effect, html, notice, part, toast, toasts,
};
use crate::fault::{Fault, form_fault};
use crate::i18n::{Locale, Words, locale, words};

/// Several changes within this time are one.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy)]
pub struct Fragment {
    name: &'static str,
    arg: Signal<String>,
    data: Data,
    /// What stands in the page, once it does.
    shown: StoredValue<Option<RwSignal<String>>>,
    /// A new reading is on its way.
    due: StoredValue<bool>,
    /// What a form with `data-secret` was answered, below what it says: shown this once.
    secret: RwSignal<Option<(String, String)>>,
}

/// Of an answer that brings a secret, all that the page needs.
#[derive(Deserialize)]
struct Secret {
    secret: String,
}

fn question(name: &str, arg: Signal<String>) -> Ask {
    ask(ReadPart {
        name: name.to_owned(),
        arg: arg.get(),
    })
}

impl Fragment {
    /// Make it at the top of a page: what is read for the first page is found again in the browser by the order in
    /// which it was asked for, and inside of something that is itself waited for there is no order.
    pub fn new(name: &'static str, arg: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::while_open(name, arg, || true)
    }

    /// One that is read only while it is open, such as a tab.
    pub fn while_open(
        name: &'static str,
        arg: impl Fn() -> String + Send + Sync + 'static,
        open: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let arg = Signal::derive(arg);
        let asked = move || {
            if open() {
                question(name, arg)
            } else {
                Ask::nothing()
            }
        };
        Self {
            name,
            arg,
            data: data(Signal::derive(asked)),
            shown: StoredValue::new(None),
            due: StoredValue::new(false),
            secret: RwSignal::new(None),
        }
    }

    pub fn view(self, waiting: fn(&'static Words) -> AnyView) -> AnyView {
        load(self.data, waiting, move |first: String| {
            // Of another question too: whoever presses a filter stands on it still. What was shown stands there until this does.
            if !cfg!(feature = "ssr") {
                let kept = Kept::of(self.name);
                set_timeout(move || kept.restore(), Duration::ZERO);
            }
            let now = RwSignal::new(first);
            self.shown.set_value(Some(now));
            let fault = RwSignal::new(None);
            let toasts = toasts();
            let (navigate, locale, t) = (use_navigate(), locale(), words());
            // Forms inside are posted from here; without JavaScript they are plain forms.
            let submit = move |event: leptos::ev::SubmitEvent| {
                self.submit(&event, fault, toasts, navigate.clone(), locale);
            };
            let secret = self.secret;
            let shown = move || {
                secret.get().map(|(title, secret)| {
                    notice(
                        Tone::Ok,
                        view! {
                            <p class="font-medium mb-2">{title}</p>
                            <CopyLine text=secret label=t.key_copy()/>
                        },
                    )
                })
            };
            view! {
                {form_fault(fault.into(), &[])}
                {part(shown)}
                <div data-part=self.name inner_html=html(move || now.get()) on:submit=submit
                    on:click=move |event| copy_pressed(&event, toasts, t)></div>
            }
            .into_any()
        })
    }

    /// Reads it again, soon.
    pub fn refresh(self) {
        if self.due.try_get_value() != Some(false) {
            return;
        }
        self.due.set_value(true);
        set_timeout(
            move || {
                if self.due.try_set_value(false).is_some() || self.is_edited() {
                    return;
                }
                let Some(Some(now)) = self.shown.try_get_value() else {
                    return;
                };
                then(
                    untrack(move || question(self.name, self.arg)),
                    move |fresh: String| {
                        if now.try_with_untracked(|now| *now != fresh) == Some(true)
                            && !self.is_edited()
                        {
                            let kept = Kept::of(self.name);
                            _ = now.try_set(fresh);
                            // The part is written once this is over.
                            set_timeout(move || kept.restore(), Duration::ZERO);
                        }
                    },
                );
            },
            PAUSE,
        );
    }

    /// Reads it again every so often, as long as the calling component lives.
    pub fn refresh_every(self, period: Duration) {
        effect(move || {
            if let Ok(timer) = set_interval_with_handle(move || self.refresh(), period) {
                on_cleanup(move || timer.clear());
            }
        });
    }

    /// Somebody is typing in it: what they typed is worth more than the newest figure.
    fn is_edited(self) -> bool {
        document().active_element().is_some_and(|active| {
            matches!(active.tag_name().as_str(), "INPUT" | "SELECT")
                && active
                    .closest(&format!("[data-part={}]", self.name))
                    .ok()
                    .flatten()
                    .is_some()
        })
    }

    fn submit(
        self,
        event: &leptos::ev::SubmitEvent,
        fault: RwSignal<Option<Fault>>,
        toasts: Toasts,
        navigate: impl Fn(&str, NavigateOptions) + 'static,
        locale: Locale,
    ) {
        let form = event
            .target()
            .and_then(|form| form.dyn_into::<web_sys::HtmlFormElement>().ok());
        // A button may send its form elsewhere, as a plain form does.
        let elsewhere = event
            .submitter()
            .is_some_and(|button| button.has_attribute("formaction"));
        let Some(form) = form.filter(|form| form.method() == "post" && !elsewhere) else {
            return;
        };
        event.prevent_default();
        leptos::task::spawn_local(async move {
            forget(&form);
            let answer = send_form(&form).await;
            if let Ok(text) = &answer {
                if let Some(title) = form.get_attribute("data-secret")
                    && let Ok(Secret { secret }) = decode(text)
                {
                    _ = self.secret.try_set(Some((title, secret)));
                }
                // What was typed is kept now, so the part may be written anew.
                if let Some(active) = document()
                    .active_element()
                    .and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok())
                {
                    _ = active.blur();
                }
                if let Some(back) = form.get_attribute("data-back") {
                    let quietly = NavigateOptions {
                        scroll: false,
                        replace: true,
                        ..NavigateOptions::default()
                    };
                    navigate(&back, quietly);
                }
                self.refresh();
                if let Some(done) = form.get_attribute("data-done") {
                    toast(toasts, done);
                }
            }
            let refused = answer.err();
            _ = fault.try_set(refused.filter(|refused| !point_out(&form, refused, locale)));
        });
    }
}

/// Takes away what the last refusal left beside the fields.
fn forget(form: &web_sys::HtmlFormElement) {
    for (selector, is_message) in [(".field-error", true), ("[aria-invalid]", false)] {
        while let Ok(Some(element)) = form.query_selector(selector) {
            if is_message {
                element.remove();
            } else {
                _ = element.remove_attribute("aria-invalid");
                _ = element.remove_attribute("aria-describedby");
            }
        }
    }
}

/// Says beside each field what is wrong with it, and leads to the first. `false`: not all is about fields of this form.
fn point_out(form: &web_sys::HtmlFormElement, refused: &Fault, locale: Locale) -> bool {
    let problems = &refused.0.fields;
    let mut all = !problems.is_empty();
    for problem in problems {
        let control = form.query_selector(&format!("[name='{}']", problem.field));
        let Some(control) = control.ok().flatten() else {
            all = false;
            continue;
        };
        let (Ok(Some(place)), Ok(message)) =
            (control.closest(".field"), document().create_element("p"))
        else {
            all = false;
            continue;
        };
        let id = format!("{}-error", control.id());
        message.set_id(&id);
        message.set_class_name("field-error");
        message.set_text_content(refused.of_field(&problem.field, locale).as_deref());
        _ = place.append_child(&message);
        _ = control.set_attribute("aria-invalid", "true");
        _ = control.set_attribute("aria-describedby", &id);
    }
    let first = form.query_selector("[aria-invalid]").ok().flatten();
    if let Some(first) = first.and_then(|first| first.dyn_into::<web_sys::HtmlElement>().ok()) {
        _ = first.focus();
    }
    all
}
