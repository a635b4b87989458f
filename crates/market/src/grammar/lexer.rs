//! A text as words, quoted texts, operators and brackets, each with its place.

use super::{Fault, MAX_TEXT, QueryError};

/// A place in the text, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub at: usize,
    pub length: usize,
}

impl Span {
    pub const fn end(self) -> usize {
        self.at.saturating_add(self.length)
    }

    /// From the start of this to the end of the other.
    pub const fn to(self, other: Self) -> Self {
        Self {
            at: self.at,
            length: other.end().saturating_sub(self.at),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Ge,
    Le,
    Gt,
    Lt,
    In,
    NotIn,
}

impl Op {
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Lt => "<",
            Self::In => "in",
            Self::NotIn => "notin",
        }
    }

    pub const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }

    pub const fn excludes(self) -> bool {
        matches!(self, Self::Ne | Self::NotIn)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// As it was written.
    Word(String),
    /// Without its quotes.
    Quoted(String),
    Op(Op),
    Open(char),
    Close(char),
    Comma,
    /// `and`, `&&`.
    And,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub lexeme: Lexeme,
    pub span: Span,
}

impl Token {
    pub fn word(&self) -> Option<&str> {
        match &self.lexeme {
            Lexeme::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Whether a character can stand in a word that is not quoted.
pub(super) fn in_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"\"'[](),&|=!<>≥≤≠".contains(c)
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        tokens: Vec::new(),
    };
    if text.len() > MAX_TEXT {
        return Err(too_long(text));
    }
    while let Some(c) = lexer.char(0) {
        lexer.token(c)?;
    }
    Ok(lexer.tokens)
}

fn too_long(text: &str) -> QueryError {
    let fits = text
        .char_indices()
        .take_while(|(byte, c)| byte.saturating_add(c.len_utf8()) <= MAX_TEXT)
        .count();
    let length = text.chars().count().saturating_sub(fits);
    Fault::new(format!(
        "a query has at most {MAX_TEXT} bytes; this one has {}: leave something out",
        text.len()
    ))
    .at(Span { at: fits, length })
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn char(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at.saturating_add(ahead)).copied()
    }

    const fn span(&self, length: usize) -> Span {
        Span {
            at: self.at,
            length,
        }
    }

    fn push(&mut self, lexeme: Lexeme, length: usize) {
        let span = self.span(length);
        self.tokens.push(Token { lexeme, span });
        self.at = span.end();
    }

    /// What `c` begins.
    fn token(&mut self, c: char) -> Result<(), QueryError> {
        match c {
            c if c.is_whitespace() => self.at = self.at.saturating_add(1),
            '[' | '(' => self.push(Lexeme::Open(c), 1),
            ']' | ')' => self.push(Lexeme::Close(c), 1),
            ',' => self.push(Lexeme::Comma, 1),
            '&' if self.char(1) == Some('&') => self.push(Lexeme::And, 2),
            '"' | '\'' => self.quoted(c)?,
            c if in_word(c) => self.word()?,
            _ => {
                let (op, length) = self.operator(c).map_err(|fault| fault.at(self.span(1)))?;
                self.push(Lexeme::Op(op), length);
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), QueryError> {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let word: String = rest.iter().copied().take_while(|c| in_word(*c)).collect();
        let length = word.chars().count();
        self.stands_alone(length)?;
        let lexeme = if word.eq_ignore_ascii_case("and") {
            Lexeme::And
        } else {
            Lexeme::Word(word)
        };
        self.push(lexeme, length);
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), QueryError> {
        self.stands_alone(1)?;
        let rest = self
            .chars
            .get(self.at.saturating_add(1)..)
            .unwrap_or_default();
        let Some(length) = rest.iter().position(|c| *c == quote) else {
            let fault = Fault::new(format!(
                "this quote is not closed; write another {quote} behind the text"
            ));
            return Err(fault.at(self.span(1)));
        };
        let text: String = rest.iter().take(length).collect();
        let span = self.span(length.saturating_add(2));
        if text.chars().any(char::is_control) {
            return Err(
                Fault::new("a quoted text stands on one line, without control characters").at(span),
            );
        }
        self.push(Lexeme::Quoted(text), span.length);
        Ok(())
    }

    /// `hall"3"` could mean one text or two.
    fn stands_alone(&self, length: usize) -> Result<(), QueryError> {
        let touches = self.tokens.last().is_some_and(|last| {
            let text = matches!(last.lexeme, Lexeme::Word(_) | Lexeme::Quoted(_));
            text && last.span.end() == self.at
        });
        if touches {
            let fault = Fault::new(
                "a quoted text stands alone; put a blank beside it, or the whole value into quotes",
            );
            return Err(fault.at(self.span(length)));
        }
        Ok(())
    }

    fn operator(&self, c: char) -> Result<(Op, usize), Fault> {
        match (c, self.char(1)) {
            ('=', Some('>')) => Err(Fault::new("at least is written `>=`")),
            ('=', Some('<')) => Err(Fault::new("at most is written `<=`")),
            ('<', Some('>')) => Err(Fault::new("not equal is written `!=`")),
            ('=', Some('=')) => Ok((Op::Eq, 2)),
            ('!', Some('=')) => Ok((Op::Ne, 2)),
            ('>', Some('=')) => Ok((Op::Ge, 2)),
            ('<', Some('=')) => Ok((Op::Le, 2)),
            ('=', _) => Ok((Op::Eq, 1)),
            ('>', _) => Ok((Op::Gt, 1)),
            ('<', _) => Ok((Op::Lt, 1)),
            ('≥', _) => Ok((Op::Ge, 1)),
            ('≤', _) => Ok((Op::Le, 1)),
            ('≠', _) => Ok((Op::Ne, 1)),
            ('!', _) => Err(Fault::new(
                "to exclude a value, write `!=` or `notin`, as in `country!=de`",
            )),
            ('&', _) => Err(Fault::new(
                "write `&&` or a blank between two terms, and a text with & in quotes",
            )),
            ('|', _) => Err(Fault::new(
                "either-or is written as a list, as in `gpu in [rtx_4090, h100]`",
            )),
            _ => Err(Fault::new("this character cannot be read; leave it out")),
        }
    }
}
