//! Words, operators and lists as terms.

use super::fields::{self, Field, FieldHelp};
use super::lexer::{Lexeme, Op, Span, Token};
use super::terms::{Builder, Value, is_reserved, listed};
use super::{Fault, MAX_VALUES, Prices, Query, QueryError};

/// Words behind a value that can still belong to it: `0.9 IO / h`.
const MORE_WORDS: usize = 3;

pub(super) fn parse(tokens: &[Token], prices: &Prices<'_>) -> Result<Query, QueryError> {
    let mut parser = Parser {
        tokens,
        at: 0,
        builder: Builder::new(prices),
    };
    while let Some(token) = parser.token(0) {
        parser.item(token)?;
    }
    Ok(parser.builder.query)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    builder: Builder<'a>,
}

impl<'a> Parser<'a> {
    fn token(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at.saturating_add(ahead))
    }

    fn take(&mut self, count: usize) -> &'a [Token] {
        let taken = self.peek(count);
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    fn peek(&self, count: usize) -> &'a [Token] {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        rest.get(..count).unwrap_or(rest)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let written = self.token(ahead).and_then(Token::word);
        written.is_some_and(|written| written.eq_ignore_ascii_case(word))
    }

    fn is_comma(&self, ahead: usize) -> bool {
        self.token(ahead)
            .is_some_and(|token| token.lexeme == Lexeme::Comma)
    }

    /// The operator that stands so far ahead, and its tokens: `not in` has two.
    fn operator(&self, ahead: usize) -> Option<(Op, usize)> {
        match self.token(ahead)?.lexeme {
            Lexeme::Op(op) => Some((op, 1)),
            _ if self.is_word(ahead, "in") => Some((Op::In, 1)),
            _ if self.is_word(ahead, "notin") || self.is_word(ahead, "not_in") => {
                Some((Op::NotIn, 1))
            }
            _ if self.is_word(ahead, "not") && self.is_word(ahead.saturating_add(1), "in") => {
                Some((Op::NotIn, 2))
            }
            _ => None,
        }
    }

    /// A word that begins no term and means nothing else: a part of a model's name.
    fn is_bare(&self, ahead: usize) -> bool {
        let word = self.token(ahead).and_then(Token::word);
        word.is_some_and(|word| !is_reserved(word) && fields::find(word).is_none())
            && self.operator(ahead.saturating_add(1)).is_none()
    }

    /// How many tokens in a row belong together.
    fn run(&self, from: usize, belongs: impl Fn(usize) -> bool) -> usize {
        (from..self.tokens.len())
            .take_while(|ahead| belongs(*ahead))
            .count()
    }

    fn is_quoted(&self, ahead: usize) -> bool {
        let token = self.token(ahead);
        token.is_some_and(|token| matches!(token.lexeme, Lexeme::Quoted(_)))
    }

    /// Something that could be one more value of a list.
    fn is_value(&self, ahead: usize) -> bool {
        self.is_quoted(ahead) || self.is_bare(ahead)
    }

    fn item(&mut self, token: &Token) -> Result<(), QueryError> {
        if let Some((op, _)) = self.operator(0) {
            let symbol = op.symbol();
            return Err(Fault::new(format!(
                "a field is missing before `{symbol}`; each condition names its own, as in `vram>=24 vram<=48`"
            ))
            .at(token.span));
        }
        match &token.lexeme {
            Lexeme::Comma | Lexeme::And => {
                self.take(1);
                Ok(())
            }
            Lexeme::Word(name) => match self.operator(1) {
                Some((op, length)) => self.term(name, op, length),
                None if !self.is_bare(0) => Err(no_phrase(name).at(token.span)),
                None => self.phrase(token.span),
            },
            Lexeme::Quoted(_) => self.phrase(token.span),
            _ => Err(Fault::new(
                "brackets are only for lists, as in `country in [de, fr]`; leave this one out",
            )
            .at(token.span)),
        }
    }

    /// Words that are no term: a model.
    fn phrase(&mut self, first: Span) -> Result<(), QueryError> {
        let words = self.take(self.run(0, |ahead| self.is_value(ahead)));
        for token in words {
            let word = token.word().unwrap_or_default();
            no_colon(word).map_err(|fault| fault.at(token.span))?;
        }
        let value = Value::of(words).ok_or_else(|| no_phrase("").at(first))?;
        self.builder.model(&value)?;
        if self.is_comma(0) && self.is_value(1) {
            return Err(self.list_meant(fields::of_models(), Op::Eq, &value));
        }
        Ok(())
    }

    fn term(&mut self, name: &str, op: Op, length: usize) -> Result<(), QueryError> {
        let from = self.at;
        let field = span_of(self.take(1));
        let help = fields::find(name).ok_or_else(|| fields::unknown(name).at(field))?;
        let operator = span_of(self.take(length));
        if !help.allows(op) {
            return Err(help.not_allowed().at(operator));
        }
        let values = if op.takes_list() {
            self.list(help, op, operator)?
        } else {
            vec![self.value(help, op, operator)?]
        };
        let whole = span_of(self.tokens.get(from..self.at).unwrap_or_default());
        self.builder.term(help, op, &values, whole)
    }

    /// One value that is no list.
    fn value(&mut self, help: &FieldHelp, op: Op, operator: Span) -> Result<Value, QueryError> {
        let missing = || {
            let symbol = op.symbol();
            Fault::new(format!(
                "a value is missing after `{symbol}`; write one, as in `{}`",
                help.example
            ))
            .at(operator)
        };
        let token = self.token(0).ok_or_else(missing)?;
        let words = match &token.lexeme {
            Lexeme::Word(word) if fields::find(word).is_some() && self.operator(1).is_some() => 0,
            Lexeme::Word(_) => self.more_words(help, op)?.saturating_add(1),
            Lexeme::Quoted(_) => 1,
            Lexeme::Op(_) => {
                let fault = Fault::new(format!(
                    "two operators stand here; write one, as in `{}`",
                    help.example
                ));
                return Err(fault.at(token.span));
            }
            Lexeme::Open(_) => return Err(no_list(help, op).at(token.span)),
            Lexeme::Close(_) | Lexeme::Comma | Lexeme::And => 0,
        };
        let value = Value::of(self.take(words)).ok_or_else(missing)?;
        self.no_list_meant(help, op, &value)?;
        Ok(value)
    }

    /// The bare words behind a first one that still belong to its value.
    fn more_words(&self, help: &FieldHelp, op: Op) -> Result<usize, QueryError> {
        let bare = self.run(1, |ahead| self.is_bare(ahead));
        match help.field {
            // Any text is a group's name; the words behind it are a model, as everywhere.
            Field::Group => Ok(0),
            // A second model beside the first could hardly be meant. Which words an exclusion has cannot be guessed.
            Field::Gpu if bare > 0 && op.excludes() => Err(self.which_words(op, bare)),
            Field::Gpu => Ok(bare),
            _ => Ok((1..=bare.min(MORE_WORDS))
                .rev()
                .find(|more| {
                    let value = Value::of(self.peek(more.saturating_add(1)));
                    value.is_some_and(|value| self.builder.reads(help, &value.text))
                })
                .unwrap_or(0)),
        }
    }

    fn which_words(&self, op: Op, bare: usize) -> QueryError {
        let written = self.peek(bare.saturating_add(1));
        let value = Value::of(written).map_or_else(String::new, |value| value.shown());
        let rest = span_of(written.get(1..).unwrap_or_default());
        let blank = if op.takes_list() { " " } else { "" };
        Fault::new(format!(
            "it is not clear whether this belongs to the model before it; write `gpu{blank}{}{blank}{value}`, or a comma between",
            op.symbol()
        ))
        .at(rest)
    }

    /// `country=de,fr` and `vram>=24,564` would silently be something else than was meant.
    fn no_list_meant(&self, help: &FieldHelp, op: Op, value: &Value) -> Result<(), QueryError> {
        let tight = self.peek(2).iter().try_fold(value.span, |before, token| {
            (before.end() == token.span.at).then_some(token.span)
        });
        if self.is_comma(0) && self.is_value(1) && (op.takes_list() || tight.is_some()) {
            return Err(self.list_meant(help, op, value));
        }
        Ok(())
    }

    /// A value, a comma and another value.
    fn list_meant(&self, help: &FieldHelp, op: Op, value: &Value) -> QueryError {
        let Some(second) = self.peek(2).get(1..).and_then(Value::of) else {
            return Fault::new("a value is missing").at(value.span);
        };
        let list = if op.excludes() { Op::NotIn } else { Op::In };
        let fault = if help.allows(list) && (op == Op::Eq || op == Op::Ne || op.takes_list()) {
            let both = listed(help.name, list, &[value.clone(), second.clone()]);
            Fault::new(format!(
                "a comma ends the term; several values are a list: `{both}`"
            ))
        } else {
            Fault::new("a comma ends the term; put a blank behind it to begin another one")
        };
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        if digit(value.text.chars().last()) && digit(second.text.chars().next()) {
            let hint = "numbers are written without commas: 24564, and 0.9 with a point";
            return fault.hint(hint).at(second.span);
        }
        fault.at(second.span)
    }

    /// The values behind `in`: in brackets, or one without.
    fn list(&mut self, help: &FieldHelp, op: Op, operator: Span) -> Result<Vec<Value>, QueryError> {
        let Some((open, bracket)) = self.token(0).and_then(|token| match token.lexeme {
            Lexeme::Open(bracket) => Some((token.span, bracket)),
            _ => None,
        }) else {
            return Ok(vec![self.value(help, op, operator)?]);
        };
        self.take(1);
        let close = if bracket == '[' { ']' } else { ')' };
        let mut values = Vec::new();
        loop {
            values.push(self.entry(help, open)?);
            if let (true, Some(last)) = (values.len() > MAX_VALUES, values.last()) {
                let fault = Fault::new(format!(
                    "a list has at most {MAX_VALUES} values; leave something out"
                ));
                return Err(fault.at(last.span));
            }
            let token = self.take(1).first();
            match token.map(|token| &token.lexeme) {
                Some(Lexeme::Comma) => {}
                Some(Lexeme::Close(written)) if *written == close => return Ok(values),
                Some(_) => {
                    let fault = Fault::new(format!(
                        "the list goes on with `,` or ends with `{close}`; one of them is missing here"
                    ));
                    return Err(fault.at(token.map_or(open, |token| token.span)));
                }
                None => {
                    return Err(Fault::new(format!(
                        "this list is not closed; write `{close}` behind it"
                    ))
                    .at(open));
                }
            }
        }
    }

    /// One value of a list: a quoted text, or the words up to the comma.
    fn entry(&mut self, help: &FieldHelp, open: Span) -> Result<Value, QueryError> {
        let is_word = |ahead| {
            self.token(ahead)
                .is_some_and(|token| token.word().is_some())
        };
        let length = if self.is_quoted(0) {
            1
        } else {
            self.run(0, is_word)
        };
        Value::of(self.take(length)).ok_or_else(|| {
            let place = self.token(0).map_or(open, |token| token.span);
            Fault::new(format!(
                "a value is missing in the list; write one, as in `{}`",
                help.list_example()
            ))
            .at(place)
        })
    }
}

/// From the first to the last of some tokens, of which there is one.
fn span_of(tokens: &[Token]) -> Span {
    let ends = tokens.first().zip(tokens.last());
    ends.map_or(Span { at: 0, length: 0 }, |(first, last)| {
        first.span.to(last.span)
    })
}

/// A word that stands alone and can be no part of a model.
fn no_phrase(word: &str) -> Fault {
    match fields::find(word) {
        Some(help) => Fault::new(format!(
            "`{word}` is a field, and an operator is missing after it; write a term such as `{}`, or a model's name with \
             this word in quotes",
            help.example
        )),
        None if word.eq_ignore_ascii_case("not") => Fault::new(
            "`not` stands only before `in`; write the opposite, such as `vram<24` or `country!=de`",
        ),
        None => Fault::new(
            "all terms hold together; either-or is a list, as in `gpu in [rtx_4090, h100]`",
        ),
    }
}

fn no_list(help: &FieldHelp, op: Op) -> Fault {
    let list = if op.excludes() { Op::NotIn } else { Op::In };
    if help.allows(list) {
        let symbol = op.symbol();
        Fault::new(format!(
            "`{symbol}` takes one value; a list stands behind `in` or `notin`, as in `{}`",
            help.list_example()
        ))
    } else {
        Fault::new(format!(
            "`{}` takes one value without brackets, as in `{}`",
            help.name, help.example
        ))
    }
}

/// `gpu:4090` is how other searches write it; as a model it would match nothing.
fn no_colon(word: &str) -> Result<(), Fault> {
    let Some((help, value)) = word
        .split_once(':')
        .and_then(|(field, value)| fields::find(field).map(|help| (help, value)))
    else {
        return Ok(());
    };
    Err(Fault::new(format!(
        "between field and value stands an operator, not `:`; write `{}={value}`",
        help.name
    )))
}
