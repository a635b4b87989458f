//! The languages of the interface: one table of words, checked by the compiler.
//!
//! A word that lacks a language does not compile. The locale is fixed while a page lives: switching it is a form
//! POST that sets a cookie and loads the page again, so that it works without JavaScript and no text needs a signal.

#[cfg(feature = "ssr")]
mod sentences;
#[cfg(feature = "ssr")]
mod told;
mod words;

#[cfg(feature = "ssr")]
pub use sentences::{chinese, translate};
#[cfg(feature = "ssr")]
pub use told::{reason, told, told_owner};
pub use words::{SENTENCES, Words};

use leptos::prelude::use_context;

/// A language that the interface speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    En,
    Zh,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// What stands in the cookie and in the form.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// What stands in `<html lang>`: the script matters to fonts and screen readers.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-Hans",
        }
    }

    /// Its own name, in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Zh => "中文",
        }
    }

    pub const fn words(self) -> &'static Words {
        match self {
            Self::En => const { &Words::of(Self::En) },
            Self::Zh => const { &Words::of(Self::Zh) },
        }
    }

    /// The locale of a language tag such as `zh-CN`, when we speak that language.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| locale.code().eq_ignore_ascii_case(language))
    }

    /// The first language of an `Accept-Language` header that we speak, by its weights; English otherwise.
    pub fn from_accept_language(header: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in header.split(',') {
            let mut pieces = part.trim().split(';');
            let Some(locale) = pieces.next().and_then(|tag| Self::of_tag(tag.trim())) else {
                continue;
            };
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0_f32);
            if weight > 0.0 && best.is_none_or(|(heaviest, _)| weight > heaviest) {
                best = Some((weight, locale));
            }
        }
        best.map_or(Self::En, |(_, locale)| locale)
    }
}

/// The locale of the page that is being built.
pub fn locale() -> Locale {
    use_context().unwrap_or_else(|| crate::prefs::Prefs::current().locale)
}

/// The words of the page that is being built. Take them at the top of a component and keep them: an event handler
/// runs where there is no context any more.
pub fn words() -> &'static Words {
    locale().words()
}

/// Puts `values` in the places of `{}`, in order.
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut values = values.iter();
    let mut pieces = text.split("{}");
    filled.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        filled.push_str(values.next().copied().unwrap_or_default());
        filled.push_str(piece);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_it_asks_for() {
        let asked = Locale::from_accept_language;
        assert_eq!(asked("zh-CN,zh;q=0.9,en;q=0.8"), Locale::Zh);
        assert_eq!(asked("en-GB,zh;q=0.9"), Locale::En);
        assert_eq!(asked("fr,de;q=0.9,zh;q=0.3,en;q=0.2"), Locale::Zh);
        assert_eq!(asked("zh;q=0, en;q=0.1"), Locale::En);
        assert_eq!(asked("fr"), Locale::En);
        assert_eq!(asked(""), Locale::En);
    }

    #[test]
    fn places_are_filled_in_order() {
        assert_eq!(fill("{} of {}", &["1", "2"]), "1 of 2");
        assert_eq!(fill("plain", &["1"]), "plain");
        assert_eq!(fill("{} and {}", &["1"]), "1 and ");
    }

    #[test]
    fn both_languages_have_the_same_places_and_no_empty_word() {
        for (key, en, zh) in words::all() {
            assert!(
                !en.trim().is_empty() && !zh.trim().is_empty(),
                "{key} is empty"
            );
            assert_eq!(
                en.matches("{}").count(),
                zh.matches("{}").count(),
                "{key}: places differ"
            );
        }
    }

    #[test]
    fn chinese_is_chinese() {
        // A word that is the same in both must be a name or a code, not a forgotten translation.
        for (key, en, zh) in words::all() {
            let has_han = zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(
                has_han || en == zh,
                "{key}: {zh:?} is neither Chinese nor the same name"
            );
            if en == zh {
                assert!(en.len() <= 12, "{key}: looks untranslated");
            }
        }
    }
}
