//! What a reader did to a part of the page that is written anew: what they opened, and where their keyboard stands.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, FocusOptions, HtmlElement};

#[derive(Debug)]
pub struct Kept {
    part: String,
    /// Selectors, because the elements themselves are gone by the time they are wanted.
    open: Vec<String>,
    focus: Option<String>,
}

impl Kept {
    /// Looks at the part of this name.
    pub fn of(name: &str) -> Self {
        let part = format!("[data-part={name}]");
        let root = document().query_selector(&part).ok().flatten();
        let focus = root.as_ref().and_then(|root| {
            let active = document().active_element()?;
            place(root, &active)
        });
        Self {
            open: root.as_ref().map(opened).unwrap_or_default(),
            part,
            focus,
        }
    }

    /// Does the same to what stands there now, where it is still there.
    pub fn restore(self) {
        let find = |selector: &String| {
            let selector = format!("{} {selector}", self.part);
            document().query_selector(&selector).ok().flatten()
        };
        for details in self.open.iter().filter_map(find) {
            _ = details.set_attribute("open", "");
        }
        let focus = self.focus.as_ref().and_then(find);
        if let Some(element) = focus.and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
            // The reader may have scrolled away from it.
            let options = FocusOptions::new();
            options.set_prevent_scroll(true);
            _ = element.focus_with_options(&options);
        }
    }
}

fn opened(root: &Element) -> Vec<String> {
    let Ok(found) = root.query_selector_all("details[open]") else {
        return Vec::new();
    };
    (0..found.length())
        .filter_map(|index| found.item(index)?.dyn_into::<Element>().ok())
        .filter_map(|details| own_selector(&details))
        .collect()
}

/// Where `active` is found again below `root`: by what it is called itself, or by what the nearest thing around it is.
fn place(root: &Element, active: &Element) -> Option<String> {
    if !root.contains(Some(active)) {
        return None;
    }
    own_selector(active).or_else(|| {
        let around = active.closest("[id],[data-key]").ok()??;
        let around = Some(around).filter(|around| root.contains(Some(around)))?;
        Some(format!("{} {}", own_selector(&around)?, active.tag_name()))
    })
}

fn own_selector(element: &Element) -> Option<String> {
    ["id", "data-key", "href"]
        .into_iter()
        .find_map(|name| selector(name, &element.get_attribute(name)?))
}

/// A text in JSON is the same text in CSS, as long as it holds no control characters.
fn selector(attribute: &str, value: &str) -> Option<String> {
    let value = Some(value).filter(|value| !value.is_empty() && !value.contains(char::is_control));
    Some(format!(
        "[{attribute}={}]",
        serde_json::to_string(value?).ok()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_holds_any_name() {
        let of = |value| selector("href", value);
        let plain = r#"[href="/launch?device=dev_1"]"#;
        assert_eq!(of("/launch?device=dev_1").as_deref(), Some(plain));
        assert_eq!(of("a\"b").as_deref(), Some(r#"[href="a\"b"]"#));
        assert_eq!((of(""), of("a\nb")), (None, None));
    }
}
