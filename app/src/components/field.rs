//! Form fields: label, control, hint and error, tied together for screen readers.

use leptos::prelude::*;

use super::dynamic::{Parts, attr, part};
use super::icon::{Icon, icon};

/// The `aria-describedby` of a control with these parts.
fn described_by(id: &str, hint: bool, error: bool) -> Option<String> {
    match (hint, error) {
        (false, false) => None,
        (true, false) => Some(format!("{id}-hint")),
        (false, true) => Some(format!("{id}-error")),
        (true, true) => Some(format!("{id}-error {id}-hint")),
    }
}

/// Label above, hint and error below.
fn frame(
    id: &str,
    label: &'static str,
    hint: Option<String>,
    error: Signal<Option<String>>,
    control: AnyView,
) -> AnyView {
    let hint = hint.map(|hint| view! { <p class="hint" id=format!("{id}-hint")>{hint}</p> });
    let error_id = format!("{id}-error");
    let id = id.to_owned();
    view! {
        <div class="field">
            <label for=id>{label}</label>
            {control}
            {part(move || {
                error.get().map(|error| {
                    view! { <p class="field-error" id=error_id.clone()>{icon(Icon::Bad)}<span>{error}</span></p> }
                })
            })}
            {hint}
        </div>
    }
    .into_any()
}

/// A one-line input. With `bind` the value lives in a signal too; without it the form alone holds it.
#[component]
pub fn Field(
    /// Its name in the form, and its id unless `id` is given.
    name: &'static str,
    label: &'static str,
    #[prop(optional, into)] id: String,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] value: String,
    #[prop(optional)] bind: Option<RwSignal<String>>,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(optional)] unit: Option<&'static str>,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(optional)] input_mode: Option<&'static str>,
    #[prop(optional)] required: bool,
    #[prop(optional)] max_length: Option<u32>,
    /// Has the keyboard when the page opens.
    #[prop(optional)]
    autofocus: bool,
) -> AnyView {
    let has_hint = hint.is_some();
    let value = bind.map_or(value, |bind| bind.get_untracked());
    let id = if id.is_empty() { name.to_owned() } else { id };
    let own = id.clone();
    let input = view! {
        <input class="input" id=id.clone() name=name type=kind value=value autocomplete=autocomplete
            inputmode=input_mode required=required maxlength=max_length autofocus=autofocus
            aria-invalid=attr(move || error.get().map(|_| "true"))
            aria-describedby=attr(move || described_by(&own, has_hint, error.get().is_some()))
            on:input=move |event| if let Some(bind) = bind { bind.set(event_target_value(&event)) }/>
    }
    .into_any();
    let control = match unit {
        Some(unit) => view! { <div class="with-unit">{input}<span>{unit}</span></div> }.into_any(),
        None => input,
    };
    frame(&id, label, hint, error, control)
}

/// Several lines, in mono: commands, scripts, environments.
#[component]
pub fn TextField(
    name: &'static str,
    label: &'static str,
    #[prop(default = 6)] rows: u32,
    #[prop(optional, into)] value: String,
    #[prop(optional)] bind: Option<RwSignal<String>>,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
) -> AnyView {
    let has_hint = hint.is_some();
    let value = bind.map_or(value, |bind| bind.get_untracked());
    let control = view! {
        <textarea class="input" id=name name=name rows=rows spellcheck="false" autocapitalize="off"
            aria-invalid=attr(move || error.get().map(|_| "true"))
            aria-describedby=attr(move || described_by(name, has_hint, error.get().is_some()))
            on:input=move |event| if let Some(bind) = bind { bind.set(event_target_value(&event)) }>
            {value}
        </textarea>
    }
    .into_any();
    frame(name, label, hint, error, control)
}

/// One of a few. `options` are (value, word).
#[component]
pub fn SelectField(
    name: &'static str,
    label: &'static str,
    options: Vec<(String, String)>,
    #[prop(optional, into)] value: String,
    #[prop(optional)] bind: Option<RwSignal<String>>,
    #[prop(optional, into)] hint: Option<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
) -> AnyView {
    let has_hint = hint.is_some();
    let value = bind.map_or(value, |bind| bind.get_untracked());
    let options = options
        .into_iter()
        .map(|(code, word)| {
            let selected = code == value;
            view! { <option value=code selected=selected>{word}</option> }
        })
        .parts();
    let control = view! {
        <select class="input" id=name name=name
            aria-invalid=attr(move || error.get().map(|_| "true"))
            aria-describedby=attr(move || described_by(name, has_hint, error.get().is_some()))
            on:change=move |event| if let Some(bind) = bind { bind.set(event_target_value(&event)) }>
            {options}
        </select>
    }
    .into_any();
    frame(name, label, hint, error, control)
}

/// A box to tick.
#[component]
pub fn CheckField(
    name: &'static str,
    value: &'static str,
    label: &'static str,
    #[prop(optional)] checked: bool,
) -> AnyView {
    view! {
        <label class="check">
            <input type="checkbox" name=name value=value checked=checked/>
            <span>{label}</span>
        </label>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::described_by;

    #[test]
    fn the_error_is_read_before_the_hint() {
        assert_eq!(
            described_by("email", true, true).as_deref(),
            Some("email-error email-hint")
        );
        assert_eq!(described_by("email", false, false), None);
    }
}
