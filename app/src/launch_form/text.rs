//! The texts of single fields: a command as words, ports, numbers, lists, `NAME=value` lines; read, and written so that they
//! are read back.

use std::collections::BTreeMap;

use protocol::FieldProblem;
use protocol::spec::Port;

/// Splits a command into words: spaces separate, quotes and backslashes join, as in a shell. Nothing is expanded.
///
/// # Errors
/// A quote that is not closed.
pub fn split_command(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') if matches!(chars.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            // A backslash at the end of a line joins two lines and is no word of its own.
            (None, '\\') => {
                if let Some(c) = chars.next().filter(|c| *c != '\n') {
                    word.get_or_insert_default().push(c);
                }
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// Writes words so that [`split_command`] reads them back.
pub fn join_command(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c))
    };
    let quoted = |word: &String| {
        if plain(word) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Collects what is wrong while the text is read.
pub(super) struct Reader(pub Vec<FieldProblem>);

impl Reader {
    pub fn ports(&mut self, text: &str) -> Vec<Port> {
        let words = split_command(&commas_apart(text)).unwrap_or_else(|message| {
            self.0.push(FieldProblem::new("ports", message));
            Vec::new()
        });
        let mut ports: Vec<Port> = Vec::new();
        let mut understood = true;
        for word in words {
            match (word.parse(), word.split_once('='), ports.last_mut()) {
                (Ok(port), _, _) => ports.push(Port {
                    port,
                    name: None,
                    public: false,
                    health: None,
                }),
                (_, None, Some(last)) if word == "public" => last.public = true,
                (_, Some(("name", name)), Some(last)) => last.name = Some(name.to_owned()),
                (_, Some(("health", path)), Some(last)) => last.health = Some(path.to_owned()),
                _ => understood = false,
            }
        }
        if !understood {
            self.0.push(FieldProblem::new(
                "ports",
                "numbers from 1024 to 65535, each with public, name=\"…\" or health=/path behind it, or nothing",
            ));
        }
        ports
    }

    pub fn number<T: std::str::FromStr>(&mut self, text: &str, field: &str, empty: T) -> T {
        let text = text.trim();
        if text.is_empty() {
            return empty;
        }
        text.parse().unwrap_or_else(|_| {
            self.0.push(FieldProblem::new(field, "a whole number"));
            empty
        })
    }

    pub fn env(&mut self, text: &str) -> BTreeMap<String, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut env = BTreeMap::new();
        for line in lines {
            match line.split_once('=') {
                Some((name, value)) => _ = env.insert(name.trim().to_owned(), value.to_owned()),
                None => self
                    .0
                    .push(FieldProblem::new("env", "one NAME=value a line")),
            }
        }
        env
    }
}

pub(super) fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ', '\n', '\t', '，']).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Commas outside of quotes are as good as spaces.
fn commas_apart(text: &str) -> String {
    let mut quote: Option<char> = None;
    let apart = |c: char| {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ',' | '，') => return ' ',
            _ => {}
        }
        c
    };
    text.chars().map(apart).collect()
}

/// As [`Reader::ports`] reads them.
pub(super) fn ports_text(ports: &[Port]) -> String {
    // In single quotes nothing but the quote itself has a meaning.
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r#"'"'"'"#));
    let one = |port: &Port| {
        let public = if port.public { " public" } else { "" };
        let name = port.name.as_deref();
        let name = name.map_or(String::new(), |name| format!(" name={}", quoted(name)));
        let health = port.health.as_deref();
        let health = health.map_or(String::new(), |path| format!(" health={}", quoted(path)));
        format!("{}{public}{name}{health}", port.port)
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn optional(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
