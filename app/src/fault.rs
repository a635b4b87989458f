//! What a page can be refused with: the server's [`Problem`], or that it could not be asked.

use leptos::prelude::*;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use protocol::{Code, Problem};
use serde::{Deserialize, Serialize};

use crate::i18n::{Locale, Words};

/// The error type of every server function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub Problem);

impl FromServerFnError for Fault {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self(match error {
            ServerFnErrorErr::Request(_) => {
                Problem::new(Code::Unavailable, "The server could not be reached.")
            }
            ServerFnErrorErr::Args(detail) | ServerFnErrorErr::MissingArg(detail) => {
                Problem::new(Code::Invalid, detail)
            }
            #[cfg(feature = "ssr")]
            ServerFnErrorErr::Deserialization(detail) => Problem::new(Code::Invalid, detail),
            // A proxy's page, a truncated answer: nothing a person could use.
            _ => Problem::new(Code::Internal, "The server's answer could not be read."),
        })
    }

    fn ser(&self) -> leptos::server_fn::Bytes {
        #[cfg(feature = "ssr")]
        {
            set_status(self);
            serde_json::to_vec(&self.worded(crate::i18n::locale()))
                .unwrap_or_default()
                .into()
        }
        #[cfg(not(feature = "ssr"))]
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// A refusal answers with its own status, unless a plain form is sent back to its page with it.
#[cfg(feature = "ssr")]
fn set_status(fault: &Fault) {
    let status = http::StatusCode::from_u16(fault.0.status);
    if let (Some(response), Ok(status), false) = (
        use_context::<leptos_axum::ResponseOptions>(),
        status,
        crate::api::is_plain_form(),
    ) {
        response.set_status(status);
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

#[cfg(feature = "ssr")]
impl From<exchange::Error> for Fault {
    fn from(error: exchange::Error) -> Self {
        Self(error.problem())
    }
}

impl Fault {
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// In the page's language: the kind of refusal, and what to do.
    pub fn sentence(&self, locale: Locale) -> String {
        let detail = translated(&self.0.detail, locale);
        match (locale, detail) {
            #[cfg(feature = "ssr")]
            (Locale::En, _) => crate::i18n::told(&self.0.detail, locale),
            #[cfg(not(feature = "ssr"))]
            (Locale::En, _) => self.0.detail.clone(),
            (Locale::Zh, Some(detail)) => detail,
            // The detail is the server's, in English; the kind of it at least is in the reader's language.
            (Locale::Zh, None) => {
                format!("{}：{}", title(self.0.code, locale.words()), self.0.detail)
            }
        }
    }

    /// In the reader's language, as far as the server knows its sentences: the browser's module carries but a few.
    #[cfg(feature = "ssr")]
    fn worded(&self, locale: Locale) -> Self {
        let word = |text: &String| {
            translated(text, locale).unwrap_or_else(|| crate::i18n::told(text, locale))
        };
        let mut problem = self.0.clone();
        problem.detail = word(&problem.detail);
        for field in &mut problem.fields {
            field.message = word(&field.message);
        }
        if self.says_its_fields(locale) {
            let said = problem.fields.iter();
            let said = said.map(|field| format!("{}：{}", field.field, field.message));
            problem.detail = format!("{}。", said.collect::<Vec<_>>().join("；"));
        }
        Self(problem)
    }

    /// As somebody reads it who reads it elsewhere than on a page of ours: a script's answer, a program's.
    #[cfg(feature = "ssr")]
    pub fn in_language(&self, locale: Locale) -> Problem {
        let mut problem = self.worded(locale).0;
        problem.detail = if self.says_its_fields(locale) {
            format!(
                "{}：{}",
                title(problem.code, locale.words()),
                problem.detail
            )
        } else {
            self.sentence(locale)
        };
        problem
    }

    /// Whether the detail is made of the fields' messages, each of which may be known where the whole is not.
    #[cfg(feature = "ssr")]
    fn says_its_fields(&self, locale: Locale) -> bool {
        locale == Locale::Zh
            && !self.0.fields.is_empty()
            && translated(&self.0.detail, locale).is_none()
    }

    pub fn title(&self, t: &Words) -> &'static str {
        title(self.0.code, t)
    }

    /// The message for one field, when there is one.
    pub fn of_field(&self, field: &str, locale: Locale) -> Option<String> {
        let problem = self.0.fields.iter().find(|problem| {
            problem.field == field
                || problem
                    .field
                    .strip_prefix(field)
                    .is_some_and(|rest| rest.starts_with(['[', '.']))
        })?;
        Some(translated(&problem.message, locale).unwrap_or_else(|| problem.message.clone()))
    }

    /// Whether any of these fields has a message, so that the form need not repeat it on top.
    pub fn is_of_fields(&self, fields: &[&str]) -> bool {
        !self.0.fields.is_empty()
            && self.0.fields.iter().all(|problem| {
                fields.iter().any(|field| {
                    problem
                        .field
                        .strip_prefix(field)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
                })
            })
    }
}

fn title(code: Code, t: &Words) -> &'static str {
    match code {
        Code::Invalid => t.fault_invalid(),
        Code::Unauthenticated => t.fault_unauthenticated(),
        Code::Forbidden | Code::ForeignOrigin => t.fault_forbidden(),
        Code::NotFound => t.fault_not_found(),
        Code::Conflict | Code::IdempotencyMismatch => t.fault_conflict(),
        Code::NoMatch => t.fault_no_match(),
        Code::InsufficientFunds => t.fault_funds(),
        Code::TooLarge => t.fault_too_large(),
        Code::TooManyRequests => t.fault_too_many(),
        Code::Internal => t.fault_internal(),
        Code::Unavailable => t.fault_unavailable(),
    }
}

/// The server speaks English; these are the sentences that people meet in forms, in Chinese.
fn translated(english: &str, locale: Locale) -> Option<String> {
    if locale == Locale::En {
        return None;
    }
    let known = crate::i18n::SENTENCES
        .iter()
        .find(|(known, _)| *known == english)
        .map(|(_, chinese)| (*chinese).to_owned());
    // With times, prices and names as pages write them, wherever a sentence is known.
    #[cfg(feature = "ssr")]
    let known = known.or_else(|| {
        let told = crate::i18n::told(english, locale);
        (told.contains(is_han)).then_some(told)
    });
    // What the server has worded already stays.
    known.or_else(|| english.contains(is_han).then(|| english.to_owned()))
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// What a failed action says on top of its form; nothing when every message stands at a field already.
pub fn form_fault(fault: Signal<Option<Fault>>, fields: &'static [&'static str]) -> AnyView {
    use crate::components::{Tone, notice, part};
    let locale = crate::i18n::locale();
    part(move || {
        fault
            .get()
            .filter(|fault| !fault.is_of_fields(fields))
            .map(|fault| {
                // Somebody who has just tried to sign in need not be told to.
                let title = (fault.code() != Code::Unauthenticated)
                    .then(|| view! { <p class="font-medium">{fault.title(locale.words())}</p> });
                let detail = fault.sentence(locale);
                notice(Tone::Bad, view! { {title}<p>{detail}</p> })
            })
    })
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::FieldProblem;

    #[test]
    fn a_field_finds_its_message_and_those_of_its_parts() {
        let fault = Fault(Problem::new(Code::Invalid, "x").with_fields(vec![
            FieldProblem::new("command[1]", "too long"),
            FieldProblem::new("name", "give the job a name"),
        ]));
        assert_eq!(
            fault.of_field("command", Locale::En).as_deref(),
            Some("too long")
        );
        assert_eq!(
            fault.of_field("name", Locale::Zh).as_deref(),
            Some("给任务起个名字")
        );
        assert_eq!(fault.of_field("nam", Locale::En), None);
        assert!(fault.is_of_fields(&["name", "command"]));
        assert!(!fault.is_of_fields(&["name"]));
    }
}
