//! What a visitor prefers: language and theme, each in its own cookie, so that the server's first answer is already
//! right. The browser reads them back from the document instead of parsing cookies again.

use crate::i18n::Locale;

pub const LOCALE_COOKIE: &str = "iog_lang";
pub const THEME_COOKIE: &str = "iog_theme";

/// Which colours to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the system says.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub const fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.code() == code)
    }
}

/// The two preferences together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefs {
    pub locale: Locale,
    pub theme: Theme,
}

/// The value of a cookie in a `Cookie` header.
pub fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

impl Prefs {
    /// An explicit choice wins over what the browser asks for.
    pub fn from_headers(cookies: &str, accept_language: &str) -> Self {
        Self {
            locale: cookie(cookies, LOCALE_COOKIE)
                .and_then(Locale::of_tag)
                .unwrap_or_else(|| Locale::from_accept_language(accept_language)),
            theme: cookie(cookies, THEME_COOKIE)
                .and_then(Theme::of_code)
                .unwrap_or_default(),
        }
    }

    /// Of the request that is being answered; the defaults while routes are listed at start.
    #[cfg(feature = "ssr")]
    pub fn current() -> Self {
        let parts = leptos::prelude::use_context::<http::request::Parts>();
        let header = |name: http::HeaderName| {
            let value = parts.as_ref().and_then(|parts| parts.headers.get(name));
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        Self::from_headers(
            header(http::header::COOKIE),
            header(http::header::ACCEPT_LANGUAGE),
        )
    }

    /// Of the document that the server wrote.
    #[cfg(not(feature = "ssr"))]
    pub fn current() -> Self {
        let root = leptos::prelude::document().document_element();
        let attribute = |name| {
            root.as_ref()
                .and_then(|root| root.get_attribute(name))
                .unwrap_or_default()
        };
        Self {
            locale: Locale::of_tag(&attribute("lang")).unwrap_or(Locale::En),
            theme: Theme::of_code(&attribute("data-theme")).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_choice_wins() {
        let prefs = Prefs::from_headers("a=b; iog_lang=zh; iog_theme=dark", "en");
        assert_eq!(
            prefs,
            Prefs {
                locale: Locale::Zh,
                theme: Theme::Dark
            }
        );
    }

    #[test]
    fn rubbish_in_a_cookie_falls_back() {
        let prefs = Prefs::from_headers("iog_lang=<script>; iog_theme=purple; =; x", "zh-TW");
        assert_eq!(
            prefs,
            Prefs {
                locale: Locale::Zh,
                theme: Theme::Auto
            }
        );
        assert_eq!(cookie("xiog_lang=zh", LOCALE_COOKIE), None);
    }
}
