//! What terms ask: tests of offers, and the placement.

use kernel::Seconds;
use protocol::spec::{DEVICES_MAX, NODES_MAX};

use super::fields::{Field, FieldHelp};
use super::lexer::{Lexeme, Op, Span, Token, in_word};
use super::{Fault, MAX_TERMS, Prices, Query, QueryError, choices, ranges, values};
use crate::filter::{Number, Term, Test};

const SOURCE: &str = "query";
/// As many as a job can have.
const MOST_CARDS: u64 = DEVICES_MAX as u64;
const MOST_NODES: u64 = NODES_MAX as u64;

/// What stands behind an operator.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Without quotes; `_` in words is a blank.
    pub text: String,
    pub span: Span,
}

impl Value {
    /// Words and quoted texts as one. `None`: there are none.
    pub fn of(tokens: &[Token]) -> Option<Self> {
        let (first, last) = tokens.first().zip(tokens.last())?;
        let texts: Vec<String> = tokens
            .iter()
            .filter_map(|token| match &token.lexeme {
                Lexeme::Word(word) => Some(word.replace('_', " ")),
                Lexeme::Quoted(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        Some(Self {
            text: texts.join(" "),
            span: first.span.to(last.span),
        })
    }

    /// As it is written in the canonical text: in one word if that is possible, else in quotes.
    pub fn shown(&self) -> String {
        let text = &self.text;
        let one_word = text.chars().all(|c| c == ' ' || (in_word(c) && c != '_'));
        if one_word && !text.is_empty() && !is_reserved(text) {
            return text.replace(' ', "_");
        }
        let quote = if text.contains('"') { '\'' } else { '"' };
        // Only words around quoted texts can hold both quotes, and in a model neither counts.
        format!("{quote}{}{quote}", text.replace(quote, " "))
    }

    /// Of a number with its unit.
    fn compact(&self) -> String {
        self.text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    fn read<T>(&self, read: impl Fn(&str) -> Result<T, Fault>) -> Result<T, QueryError> {
        read(&self.text).map_err(|fault| fault.at(self.span))
    }
}

/// Words that mean something wherever they stand.
pub(super) fn is_reserved(word: &str) -> bool {
    ["and", "or", "not", "in", "notin", "not_in", "not in"]
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// `field in [a, b]`.
pub(super) fn listed(name: &str, op: Op, values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(Value::shown).collect();
    format!("{name} {} [{}]", op.symbol(), values.join(", "))
}

/// A query as far as it was read.
pub(super) struct Builder<'a> {
    pub query: Query,
    prices: &'a Prices<'a>,
    /// Fields that can be said but once, and were.
    said: Vec<Field>,
}

impl<'a> Builder<'a> {
    pub fn new(prices: &'a Prices<'a>) -> Self {
        Self {
            query: Query::default(),
            prices,
            said: Vec::new(),
        }
    }

    /// Words that stood alone.
    pub fn model(&mut self, value: &Value) -> Result<(), QueryError> {
        let model = value.read(choices::model)?;
        self.add(
            Test::Model(vec![model]),
            format!("gpu={}", value.shown()),
            value.span,
        )
    }

    pub fn term(
        &mut self,
        help: &FieldHelp,
        op: Op,
        values: &[Value],
        span: Span,
    ) -> Result<(), QueryError> {
        let Some(value) = values.first() else {
            return Ok(());
        };
        if help.field.is_single() {
            if self.said.contains(&help.field) {
                let fault = Fault::new(format!("`{}` is said twice; leave one out", help.name));
                return Err(fault.at(span));
            }
            self.said.push(help.field);
        }
        match help.field {
            Field::Duration => self.duration(value, span),
            Field::Count | Field::Nodes | Field::Near | Field::Spread | Field::Kind => {
                self.place(help.field, value)
            }
            _ => {
                let test = self.test(help.field, op, values, span)?;
                self.add(test, written(help, op, values), span)
            }
        }
    }

    /// Whether a field can read this text at all.
    pub fn reads(&self, help: &FieldHelp, text: &str) -> bool {
        match help.field {
            Field::Number(number) => values::range(number, text, self.prices).is_ok(),
            Field::Duration => values::seconds(text).is_ok(),
            Field::Country => choices::country(text).is_ok(),
            Field::Region => choices::region(text).is_ok(),
            Field::Kind => choices::kind(text).is_ok(),
            _ => false,
        }
    }

    fn test(&self, field: Field, op: Op, values: &[Value], span: Span) -> Result<Test, QueryError> {
        Ok(match (field, op.excludes()) {
            (Field::Number(number), _) => {
                let read = each(values, |text| values::range(number, text, self.prices))?;
                ranges::test(number, op, &read).map_err(|fault| fault.at(span))?
            }
            (Field::Class, _) => {
                // It takes `=` alone, which has one value.
                let classes = each(values, choices::class)?;
                Test::Class(classes.first().copied().unwrap_or_default())
            }
            (Field::Country, false) => Test::Country(each(values, choices::country)?),
            (Field::Country, true) => Test::NotCountry(each(values, choices::country)?),
            (Field::Region, false) => Test::Region(each(values, choices::region)?),
            (Field::Region, true) => Test::NotRegion(each(values, choices::region)?),
            (Field::Group, false) => Test::Group(each(values, choices::group)?),
            (Field::Group, true) => Test::NotGroup(each(values, choices::group)?),
            (_, false) => Test::Model(each(values, choices::model)?),
            (_, true) => Test::NotModel(each(values, choices::model)?),
        })
    }

    /// The offer takes jobs so short and so long. The two terms say each what it asks, so that an explanation can too.
    fn duration(&mut self, value: &Value, span: Span) -> Result<(), QueryError> {
        let length = Seconds::new(value.read(values::seconds)?);
        let text = value.compact();
        let shortest = Test::at_most(Number::MinDuration, length.get());
        self.add(shortest, format!("min_duration<={text}"), span)?;
        let longest = Test::at_least(Number::MaxDuration, length.get());
        self.add(longest, format!("max_duration>={text}"), span)
    }

    fn place(&mut self, field: Field, value: &Value) -> Result<(), QueryError> {
        let ask = &mut self.query.placement;
        let number = |name, most| {
            let number = value.read(|text| values::whole(name, text, 1, most))?;
            Ok(u32::try_from(number).unwrap_or(u32::MAX))
        };
        match field {
            Field::Count => ask.count = number("count", MOST_CARDS)?,
            Field::Nodes => ask.nodes = number("nodes", MOST_NODES)?,
            Field::Near => ask.near = value.read(choices::near)?,
            Field::Spread => ask.spread = value.read(choices::spread)?,
            _ => ask.kind = value.read(choices::kind)?,
        }
        Ok(())
    }

    fn add(&mut self, test: Test, written: String, span: Span) -> Result<(), QueryError> {
        let terms = &mut self.query.filter.terms;
        let term = Term {
            test,
            source: SOURCE.to_owned(),
            text: written,
        };
        if terms.len() >= MAX_TERMS {
            let fault = Fault::new(format!(
                "a query has at most {MAX_TERMS} terms; leave something out"
            ));
            return Err(fault.at(span));
        }
        ranges::agrees(terms, &term).map_err(|fault| fault.at(span))?;
        terms.push(term);
        Ok(())
    }
}

fn each<T>(
    values: &[Value],
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Vec<T>, QueryError> {
    values.iter().map(|value| value.read(&read)).collect()
}

/// A term in its canonical text.
fn written(help: &FieldHelp, op: Op, values: &[Value]) -> String {
    let shown = |value: &Value| match help.field {
        Field::Number(_) => value.compact(),
        _ => value.shown(),
    };
    let all: Vec<String> = values.iter().map(shown).collect();
    let (name, symbol, all) = (help.name, op.symbol(), all.join(", "));
    if op.takes_list() {
        format!("{name} {symbol} [{all}]")
    } else {
        format!("{name}{symbol}{all}")
    }
}
