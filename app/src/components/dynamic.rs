//! What changes while a page is open, in few types. Each closure in a view would be its own type with its own code
//! around it; boxed, they share it, and the browser's module is a third smaller.

use std::sync::Arc;

use leptos::prelude::*;

pub type Part = Box<dyn FnMut() -> AnyView + Send>;
pub type Attr = Box<dyn FnMut() -> Option<String> + Send>;
pub type Flag = Box<dyn FnMut() -> bool + Send>;

/// A part of the page that changes.
pub fn part<V: IntoView + 'static>(mut with: impl FnMut() -> V + Send + 'static) -> Part {
    Box::new(move || with().into_any())
}

/// An attribute that changes, or is absent.
pub fn attr<S: Into<String>>(mut with: impl FnMut() -> Option<S> + Send + 'static) -> Attr {
    Box::new(move || with().map(Into::into))
}

/// HTML of our own server.
pub fn html(with: impl FnMut() -> String + Send + 'static) -> Box<dyn FnMut() -> String + Send> {
    Box::new(with)
}

/// An attribute that is there or not.
pub fn flag(with: impl FnMut() -> bool + Send + 'static) -> Flag {
    Box::new(with)
}

/// Runs in the browser, now and whenever a signal that it reads changes.
pub fn effect(with: impl FnMut() + 'static) {
    let with: Box<dyn FnMut()> = Box::new(with);
    Effect::new(with);
}

/// One part for each key, kept while the key stays: what somebody types in it is not lost to an update.
pub fn keyed(
    keys: impl Fn() -> Vec<String> + Send + Sync + 'static,
    with: impl Fn(String) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    let keys: Box<dyn Fn() -> Vec<String> + Send + Sync> = Box::new(keys);
    let with: Arc<dyn Fn(String) -> AnyView + Send + Sync> = Arc::new(with);
    view! { <For each=keys key=|key| key.clone() children=move |key| with(key)/> }.into_any()
}

/// Many parts after each other.
pub trait Parts {
    fn parts(self) -> AnyView;
}

impl<I> Parts for I
where
    I: Iterator,
    I::Item: IntoView + 'static,
{
    fn parts(self) -> AnyView {
        self.map(IntoAny::into_any)
            .collect::<Vec<AnyView>>()
            .into_any()
    }
}
