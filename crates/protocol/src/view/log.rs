//! A job's log: its pages, what is found in it, and how a line is shown.

use serde::{Deserialize, Serialize};

use crate::worker::Stream;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Counts up over the whole job, whatever lease wrote it.
    pub seq: u64,
    /// Which of the job's nodes wrote it.
    #[serde(default)]
    pub member: u32,
    pub stream: Stream,
    /// May hold several lines; ends where the job's write ended.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Ask again with `after` = this.
    pub next: u64,
    pub more: bool,
}

/// What was found in a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogFound {
    /// How often the text stands there.
    pub total: u64,
    /// Which of them is shown, from 1; 0 when there is none.
    pub at: u64,
    /// The line that it stands in, and some before and after.
    pub lines: Vec<FoundLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundLine {
    /// Counts from 1, over the streams that were looked through.
    pub number: u64,
    pub member: u32,
    pub stream: Stream,
    pub text: String,
    /// It is the one that was found, at this one of the text's places in it, from 0.
    pub place: Option<u32>,
}

/// What a terminal would show of a line: the text after the last carriage return, without colour codes.
pub fn shown_line(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ESC [ … letter: skip to the letter that ends it.
            if chars.next() == Some('[') {
                for c in chars.by_ref() {
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
        } else if c == '\t' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

/// Where a text stands in a line, upper and lower case alike, one after the other. `needle` is in lower case.
pub fn found_in(line: &str, needle: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(rest) = line.get(from..).filter(|rest| !rest.is_empty()) {
        match begins_with(rest, needle) {
            Some(length) => {
                let end = from.saturating_add(length);
                found.push(from..end);
                from = end;
            }
            None => from = from.saturating_add(rest.chars().next().map_or(1, char::len_utf8)),
        }
    }
    found
}

/// How many bytes of the text are the needle, if it begins with it.
fn begins_with(text: &str, needle: &str) -> Option<usize> {
    let mut wanted = needle.chars().peekable();
    for (at, c) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        for lower in c.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
    }
    (wanted.peek().is_none() && !needle.is_empty()).then_some(text.len())
}
