//! The form of a template's page: what stands in its address while it is looked at, and what is posted to launch it.

use std::collections::BTreeMap;

#[cfg(feature = "ssr")]
use protocol::template::{Template, TemplateLaunch, Way};
#[cfg(feature = "ssr")]
use protocol::{FieldProblem, Problem};
use serde::{Deserialize, Serialize};

/// Each field is what stands in the input of that name; an input that is missing is the template's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateForm {
    pub id: String,
    /// `small` or `gpu`.
    pub way: String,
    /// By the names of the template's inputs: `inputs[frames]`.
    pub inputs: BTreeMap<String, String>,
    /// IO per hour; empty for any price.
    pub max_price: String,
    /// Minutes; empty for what the template says.
    pub minutes: String,
    /// Minutes to wait for an offer; empty or 0: not at all.
    pub wait: String,
    /// Makes a form that is sent twice one job.
    pub request: String,
}

#[cfg(feature = "ssr")]
impl TemplateForm {
    /// The form that an address holds: the id, and behind it the page's query.
    pub fn of_address(address: &str) -> Self {
        let (id, query) = address.split_once('?').unwrap_or((address, ""));
        let text = |text: &str| {
            let text = text.replace('+', " ");
            leptos_router::location::Url::unescape(&text)
        };
        let mut form = Self {
            id: id.to_owned(),
            ..Self::default()
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let (name, value) = (text(name), text(value));
            match name.as_str() {
                "way" => form.way = value,
                "max_price" => form.max_price = value,
                "minutes" => form.minutes = value,
                "wait" => form.wait = value,
                name => {
                    let input = name.strip_prefix("inputs[");
                    if let Some(input) = input.and_then(|input| input.strip_suffix(']')) {
                        form.inputs.insert(input.to_owned(), value);
                    }
                }
            }
        }
        form
    }

    /// The address of the page with this form.
    pub fn address(&self) -> String {
        let escape = leptos_router::location::Url::escape;
        let own = [
            ("way", &self.way),
            ("max_price", &self.max_price),
            ("minutes", &self.minutes),
            ("wait", &self.wait),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<String> = own
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        let inputs = self.inputs.iter();
        pairs.extend(
            inputs.map(|(name, value)| format!("inputs%5B{}%5D={}", escape(name), escape(value))),
        );
        format!("/templates/{}?{}", escape(&self.id), pairs.join("&"))
    }

    /// Whether it would wait for an offer.
    pub fn waits(&self) -> bool {
        self.wait
            .trim()
            .parse::<u64>()
            .is_ok_and(|minutes| minutes > 0)
    }

    /// What it asks of the template.
    ///
    /// # Errors
    /// Each field that cannot be read.
    pub fn launch(&self, template: &Template) -> Result<TemplateLaunch, Problem> {
        let mut problems = Vec::new();
        let mut minutes = |text: &str, field: &str| {
            let text = text.trim();
            if text.is_empty() {
                return None;
            }
            let minutes = text.parse::<u64>();
            if minutes.is_err() {
                problems.push(FieldProblem::new(field, "a whole number"));
            }
            minutes.ok().map(|minutes| minutes.saturating_mul(60))
        };
        let duration_seconds = minutes(&self.minutes, "limits.duration_seconds");
        let wait_seconds = minutes(&self.wait, "limits.wait_seconds");
        // A field of the other way, or of an older page, is not asked for any more.
        let known = self.inputs.iter();
        let known = known.filter(|(name, _)| template.input(name).is_some());
        let price = self.max_price.trim();
        if !problems.is_empty() {
            return Err(
                Problem::new(protocol::Code::Invalid, "Some fields need a change.")
                    .with_fields(problems),
            );
        }
        Ok(TemplateLaunch {
            way: Way::parse(&self.way),
            inputs: known
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            max_price_per_hour: (!price.is_empty()).then(|| price.to_owned()),
            duration_seconds,
            wait_seconds,
            device: None,
            quote: None,
        })
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::TemplateForm;

    #[test]
    fn a_form_survives_its_address() {
        let form = TemplateForm {
            id: "raytrace".to_owned(),
            way: "small".to_owned(),
            inputs: [("frames", "3"), ("scene", "a & b=[c]+d?")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            max_price: "1.5".to_owned(),
            minutes: String::new(),
            wait: "5".to_owned(),
            request: String::new(),
        };
        let address = form.address();
        let asked = address.strip_prefix("/templates/").expect("its page");
        assert_eq!(TemplateForm::of_address(asked), form);
        assert!(form.waits());
        assert_eq!(TemplateForm::of_address("x").id, "x");
    }
}
