//! A question before something that cannot be undone.
//!
//! Whether it is open stands in the URL, so the button that opens it is a link and the question works without
//! JavaScript, as a box in the page. With JavaScript it becomes a real modal dialog.

use leptos::{html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::dynamic::effect;
use crate::i18n::words;

#[component]
pub fn Confirm(
    #[prop(into)] open: Signal<bool>,
    title: &'static str,
    text: &'static str,
    /// The page without the question.
    close: Signal<String>,
    /// The form that does it.
    children: ChildrenFn,
) -> AnyView {
    let t = words();
    let node = NodeRef::<html::Dialog>::new();
    let navigate = use_navigate();
    let on_close = move |_: leptos::ev::Event| {
        // Esc closes the element; the URL has to follow, or the question would be open again after a reload.
        if open.get_untracked() {
            navigate(
                &close.get_untracked(),
                NavigateOptions {
                    scroll: false,
                    replace: true,
                    ..Default::default()
                },
            );
        }
    };
    effect(move || {
        let Some(dialog) = node.get() else { return };
        if open.get() {
            // The server wrote `open`, which is not modal: close it before it is shown as one.
            dialog.remove_attribute("open").ok();
            dialog.show_modal().ok();
        } else if dialog.open() {
            dialog.close();
        }
    });
    view! {
        <dialog class="dialog" node_ref=node open=open.get_untracked() aria-labelledby="confirm-title" on:close=on_close>
            <h2 id="confirm-title">{title}</h2>
            <p class="prose">{text}</p>
            <div class="row-actions mt-4">
                {children()}
                <a class="btn" href=move || close.get() data-noscroll="true">{t.cancel()}</a>
            </div>
        </dialog>
    }
    .into_any()
}
