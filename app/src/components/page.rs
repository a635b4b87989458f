//! The head of a page: its only h1, a lead, and what can be done. On a route change the focus moves to the h1 and
//! the title is announced, so that a keyboard or a screen reader starts where the eyes do.

use leptos::{html, prelude::*};
use leptos_meta::Title;

use super::dynamic::{effect, part};

/// What was announced last; empty on the first page, which the browser announces itself.
#[derive(Debug, Clone, Copy)]
pub struct Announcer {
    text: RwSignal<String>,
    first: StoredValue<bool>,
}

pub fn provide_announcer() -> Announcer {
    let announcer = Announcer {
        text: RwSignal::new(String::new()),
        first: StoredValue::new(true),
    };
    provide_context(announcer);
    announcer
}

impl Announcer {
    /// The invisible line that screen readers watch.
    pub fn area(self) -> AnyView {
        let text = self.text;
        view! { <p class="sr" aria-live="polite">{part(move || text.get())}</p> }.into_any()
    }
}

#[component]
pub fn PageHead(
    #[prop(into)] title: String,
    #[prop(optional, into)] lead: Option<String>,
    /// Buttons at the end of the line.
    #[prop(optional)]
    actions: Option<AnyView>,
) -> AnyView {
    let heading = NodeRef::<html::H1>::new();
    let announcer = use_context::<Announcer>();
    let name = title.clone();
    effect(move || {
        let (Some(heading), Some(announcer)) = (heading.get(), announcer) else {
            return;
        };
        if announcer.first.get_value() {
            announcer.first.set_value(false);
        } else {
            announcer.text.set(name.clone());
            // A head that was waited for is put into the page only after this, and what is not in it takes no focus.
            request_animation_frame(move || {
                heading.focus().ok();
            });
        }
    });
    view! {
        <Title text=title.clone()/>
        <div class="page-head">
            <div>
                <h1 tabindex="-1" node_ref=heading>{title}</h1>
                {lead.map(|lead| view! { <p class="lead">{lead}</p> })}
            </div>
            {actions.map(|actions| view! { <div class="row-actions">{actions}</div> })}
        </div>
    }
    .into_any()
}
