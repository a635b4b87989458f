//! Tabs are links (`?tab=`): they can be shared, opened beside each other, and work without JavaScript.

use leptos::prelude::*;

use super::dynamic::{Parts, attr};

/// `tabs` are (code, word, href); `current` is the code of the open one.
pub fn tabs(
    label: &'static str,
    tabs: Vec<(&'static str, &'static str, String)>,
    current: Signal<String>,
) -> AnyView {
    let links = tabs
        .into_iter()
        .map(|(code, word, href)| {
            view! {
                <a href=href data-noscroll="true"
                    aria-current=attr(move || (current.read().as_str() == code).then_some("page"))>{word}</a>
            }
        })
        .parts();
    view! { <nav class="tabs" aria-label=label>{links}</nav> }.into_any()
}
