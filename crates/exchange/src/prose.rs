//! Text that people write to people: reasons, evidence, notes.

use crate::error::Error;

/// Without blanks about it, its lines ended by `\n` alone, as forms do not end them. Of control characters it has line ends and tabs:
/// SQLite would keep a NUL that Postgres refuses, and no page shows the others.
///
/// # Errors
/// Nothing, more than `most` characters, or something else than text. `asked` says what and how much is asked for.
pub(crate) fn prose(field: &str, text: &str, most: usize, asked: &str) -> Result<String, Error> {
    let text = text.trim().replace("\r\n", "\n");
    if text.is_empty() || text.chars().count() > most {
        return Err(Error::invalid(field, asked));
    }
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        let message = "holds a control character other than line ends and tabs; take it out";
        return Err(Error::invalid(field, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text() {
        let read = |text| prose("note", text, 8, "say why");
        for (text, kept) in [
            (" a\tb\r\nc ", "a\tb\nc"),
            ("张伟 é", "张伟 é"),
            ("12345678", "12345678"),
        ] {
            assert_eq!(read(text).unwrap(), kept);
        }
        for wrong in [
            "",
            " \n",
            "123456789",
            "a\0b",
            "a\u{1b}[2J",
            "a\rb",
            "a\u{85}x",
        ] {
            let error = read(wrong).expect_err(wrong);
            assert_eq!(error.problem().fields[0].field, "note");
        }
    }
}
