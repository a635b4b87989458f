//! Comma-separated values as RFC 4180 has them, in UTF-8.
//!
//! What people named themselves could be a formula in a spreadsheet (`=HYPERLINK(…)`); such a text is given an apostrophe in front,
//! which spreadsheets take for "this is text". Columns are known and few, so a row is an array of their number.

use std::fmt::Write;

/// A cell.
pub enum Cell<'a> {
    /// Ours: a number, an id, a time, a word of the interface.
    Own(String),
    /// Somebody's: a name, a model, a sentence.
    Theirs(&'a str),
}

impl<T: std::fmt::Display> From<T> for Cell<'_> {
    fn from(own: T) -> Self {
        Self::Own(own.to_string())
    }
}

/// A table in the making.
pub struct Csv<const N: usize> {
    text: String,
}

impl<const N: usize> Csv<N> {
    pub fn new(header: [&str; N]) -> Self {
        let mut csv = Self {
            text: String::new(),
        };
        csv.row(&header.map(Cell::from));
        csv
    }

    pub fn row(&mut self, cells: &[Cell<'_>; N]) {
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            match cell {
                Cell::Own(text) => quoted(&mut self.text, "", text),
                Cell::Theirs(text) => {
                    let guard = if is_formula(text) { "'" } else { "" };
                    quoted(&mut self.text, guard, text);
                }
            }
        }
        self.text.push_str("\r\n");
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// What a spreadsheet would compute: also behind blanks, which it may drop, and in the wide forms of East Asian keyboards.
fn is_formula(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n'])
        || text
            .trim_start()
            .starts_with(['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠'])
}

fn quoted(into: &mut String, guard: &str, text: &str) {
    let plain = guard.is_empty()
        && !text.contains([',', '"', '\r', '\n'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain {
        into.push_str(text);
    } else {
        // Writing to a String does not fail.
        let _ = write!(into, "\"{guard}{}\"", text.replace('"', "\"\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_columns() {
        let mut csv = Csv::new(["a", "b, c"]);
        csv.row(&[Cell::from(1), Cell::Theirs("say \"hi\"\nthere")]);
        csv.row(&[Cell::Theirs("张伟"), Cell::Theirs(" ")]);
        assert_eq!(
            csv.finish(),
            "a,\"b, c\"\r\n1,\"say \"\"hi\"\"\nthere\"\r\n张伟,\" \"\r\n"
        );
    }

    #[test]
    fn a_name_is_never_a_formula() {
        for name in [
            "=HYPERLINK(\"http://evil\")",
            "+1",
            "-1+cmd|' /C calc'!A0",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "  =1",
            "＝1",
            "%1",
        ] {
            let mut csv = Csv::new(["name"]);
            csv.row(&[Cell::Theirs(name)]);
            let text = csv.finish();
            assert!(text.starts_with("name\r\n\"'"), "{text}");
        }
        let mut csv = Csv::new(["name", "sum"]);
        csv.row(&[Cell::Theirs("a=b-c"), Cell::from("-1")]);
        assert_eq!(csv.finish(), "name,sum\r\na=b-c,-1\r\n");
    }
}
