//! The compact text query of the market: `rtx 4090 vram>=24 country notin [de, fr] price<=0.9/h count=2`.
//!
//! A query is a list of terms, `field operator value`, that hold all together; blanks, commas, `and` and `&&` between
//! them mean the same. Words that belong to no term name a model. [`fields`] is the table of what can be asked; page and
//! docs show the same one.
//!
//! Pure: the requester's all-in prices become owners' prices by a converter that the caller hands in.

mod choices;
mod fields;
mod lexer;
mod parser;
mod ranges;
mod suggest;
mod terms;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;

use kernel::{Amount, PricePerSecond};

use crate::filter::Filter;
use crate::request::Ask;

pub use fields::{FieldHelp, fields};

/// Bytes of a query.
pub const MAX_TEXT: usize = 2_000;
/// Terms of a query.
pub const MAX_TERMS: usize = 64;
/// Values in one list.
pub const MAX_VALUES: usize = 64;

/// What somebody asks for: what each device must be, and how the devices lie to each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pub filter: Filter,
    pub placement: Ask,
}

/// How a price that the requester pays becomes one that owners ask.
#[derive(Clone, Copy)]
pub struct Prices<'a> {
    /// The highest owner's price whose hour, with everything added, stays within the amount. Never falls as the amount
    /// rises.
    pub at_most: &'a dyn Fn(Amount) -> PricePerSecond,
}

/// Where a query cannot be read, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// The first character of the place, counted from 0; always one of the text.
    pub at: usize,
    /// Characters; at least 1.
    pub length: usize,
    pub message: String,
    /// A guess at what was meant.
    pub hint: Option<String>,
}

impl QueryError {
    /// The text in one line, and carets under the place in the next.
    pub fn pointed(&self, text: &str) -> String {
        let line: String = text
            .chars()
            .map(|c| {
                if c.is_whitespace() || c.is_control() {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        format!(
            "{line}\n{}{}",
            " ".repeat(self.at),
            "^".repeat(self.length.max(1))
        )
    }
}

impl fmt::Display for QueryError {
    /// Counts characters from 1, as people do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "character {}: {}",
            self.at.saturating_add(1),
            self.message
        )?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for QueryError {}

/// Reads a query. The empty one asks nothing.
///
/// # Errors
/// A [`QueryError`] that points at the first place that cannot be read.
pub fn parse(text: &str, prices: &Prices<'_>) -> Result<Query, QueryError> {
    parser::parse(&lexer::tokens(text)?, prices)
}

impl fmt::Display for Query {
    /// The canonical text: the same query, whatever it was written like. What is as by default is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = self.filter.terms.iter().map(|term| term.text.clone());
        let all: Vec<String> = terms.chain(placed(self.placement)).collect();
        f.write_str(&all.join(" "))
    }
}

/// What differs from the default, as it is written in a query.
fn placed(ask: Ask) -> Vec<String> {
    let usual = Ask::default();
    let mut terms = Vec::new();
    let mut tell = |differs: bool, text: String| terms.extend(differs.then_some(text));
    tell(ask.count != usual.count, format!("count={}", ask.count));
    tell(ask.nodes != usual.nodes, format!("nodes={}", ask.nodes));
    tell(
        ask.near != usual.near,
        format!("near={}", ask.near.as_str()),
    );
    tell(ask.spread != usual.spread, "spread=owner".to_owned());
    tell(
        ask.kind != usual.kind,
        format!("kind={}", ask.kind.as_str()),
    );
    terms
}

/// What is wrong with something, before it is known where it stands.
#[derive(Debug)]
struct Fault {
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn did_you_mean(mut self, known: Option<&str>) -> Self {
        self.hint = known.map(|known| format!("did you mean `{known}`?"));
        self
    }

    fn at(self, span: lexer::Span) -> QueryError {
        QueryError {
            at: span.at,
            length: span.length,
            message: self.message,
            hint: self.hint,
        }
    }
}
