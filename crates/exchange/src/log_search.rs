//! Looks for a text in what a job printed: how often it stands there, and the lines around one of the places.

use std::collections::{BTreeMap, VecDeque};

use kernel::JobId;
use protocol::view::{FoundLine, LogFound, LogLine, Scope, Stream, found_in, shown_line};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;

/// Lines shown before and after the one that was found.
const AROUND: usize = 8;
const TEXT_CHARS_MAX: usize = 200;
/// Of one line; the rest of a longer one is in the download.
const LINE_CHARS_MAX: usize = 2_000;
const CHUNKS: u32 = 500;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct LogSearch {
    pub text: String,
    /// Absent: in all.
    pub stream: Option<Stream>,
    /// Which of the places, from 1; past the last: the last.
    pub at: usize,
}

/// Reads chunks into lines and keeps what is around the wanted place.
struct Looker {
    needle: String,
    wanted: usize,
    total: usize,
    lines: u64,
    before: VecDeque<FoundLine>,
    /// Around the newest place at or before the wanted one.
    shown: Vec<FoundLine>,
    place: usize,
    after: usize,
    /// The beginnings of lines that go on in a later chunk.
    open: BTreeMap<(u32, u8), String>,
}

impl Looker {
    fn new(search: &LogSearch) -> Self {
        Self {
            needle: search.text.to_lowercase(),
            wanted: search.at.max(1),
            total: 0,
            lines: 0,
            before: VecDeque::new(),
            shown: Vec::new(),
            place: 0,
            after: 0,
            open: BTreeMap::new(),
        }
    }

    fn chunk(&mut self, chunk: &LogLine) {
        let key = (chunk.member, chunk.stream as u8);
        let mut text = self.open.remove(&key).unwrap_or_default();
        text.push_str(&chunk.text);
        let mut rest = text.as_str();
        while let Some((line, after)) = rest.split_once('\n') {
            self.line(chunk.member, chunk.stream, line);
            rest = after;
        }
        // A line without an end is bounded, too: what comes of it later is another.
        if rest.chars().count() > LINE_CHARS_MAX {
            self.line(chunk.member, chunk.stream, rest);
        } else if !rest.is_empty() {
            self.open.insert(key, rest.to_owned());
        }
    }

    fn line(&mut self, member: u32, stream: Stream, text: &str) {
        self.lines = self.lines.saturating_add(1);
        let text: String = shown_line(text).chars().take(LINE_CHARS_MAX).collect();
        let places = found_in(&text, &self.needle).len();
        let first = self.total.saturating_add(1);
        self.total = self.total.saturating_add(places);
        let line = FoundLine {
            number: self.lines,
            member,
            stream,
            text,
            place: None,
        };
        if places > 0 && first <= self.wanted {
            // The newest so far; a later one that is still wanted takes its place.
            self.place = self.wanted.min(self.total);
            self.shown = self.before.iter().cloned().collect();
            self.shown.push(FoundLine {
                place: u32::try_from(self.place.saturating_sub(first)).ok(),
                ..line.clone()
            });
            self.after = AROUND;
        } else if self.after > 0 {
            self.after = self.after.saturating_sub(1);
            self.shown.push(line.clone());
        }
        if self.before.len() == AROUND {
            self.before.pop_front();
        }
        self.before.push_back(line);
    }

    fn finish(mut self, streams: &[Stream]) -> LogFound {
        for ((member, stream), text) in std::mem::take(&mut self.open) {
            let stream = streams.iter().find(|known| **known as u8 == stream);
            self.line(member, stream.copied().unwrap_or(Stream::Note), &text);
        }
        LogFound {
            total: u64::try_from(self.total).unwrap_or(u64::MAX),
            at: u64::try_from(self.place).unwrap_or(u64::MAX),
            lines: self.shown,
        }
    }
}

impl Exchange {
    /// How often a text stands in a job's log, upper and lower case alike, and the lines around one of the places.
    ///
    /// # Errors
    /// Not this account's job; nothing to look for.
    pub async fn search_log(
        &self,
        actor: &Actor,
        id: JobId,
        search: &LogSearch,
    ) -> Result<LogFound, Error> {
        self.own_job(actor, id, Scope::Read).await?;
        let length = search.text.chars().count();
        if !(1..=TEXT_CHARS_MAX).contains(&length) {
            let why = format!("1 to {TEXT_CHARS_MAX} characters to look for");
            return Err(Error::invalid("q", why));
        }
        self.flush().await?;
        let mut looker = Looker::new(search);
        let mut after = 0;
        loop {
            let chunks = self.inner.store.logs(id, after, CHUNKS).await?;
            let Some(last) = chunks.last() else { break };
            after = last.seq;
            let wanted =
                |chunk: &&LogLine| search.stream.is_none_or(|stream| stream == chunk.stream);
            chunks
                .iter()
                .filter(wanted)
                .for_each(|chunk| looker.chunk(chunk));
            if chunks.len() < usize::try_from(CHUNKS).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(looker.finish(&[Stream::Stdout, Stream::Stderr, Stream::Note]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(chunks: &[(Stream, &str)], text: &str, at: usize) -> LogFound {
        let search = LogSearch {
            text: text.to_owned(),
            stream: None,
            at,
        };
        let mut looker = Looker::new(&search);
        for (seq, (stream, text)) in (1..).zip(chunks) {
            looker.chunk(&LogLine {
                seq,
                member: 0,
                stream: *stream,
                text: (*text).to_owned(),
            });
        }
        looker.finish(&[Stream::Stdout, Stream::Stderr, Stream::Note])
    }

    #[test]
    fn each_place_is_counted_and_the_wanted_one_shown_with_its_neighbours() {
        let text: String = (1..=100)
            .map(|n| match n {
                30 => "Error here, error there\n".to_owned(),
                60 => "no ERROR\n".to_owned(),
                n => format!("line {n}\n"),
            })
            .collect();
        let log = [(Stream::Stdout, text.as_str())];
        let first = looked(&log, "error", 1);
        assert_eq!((first.total, first.at), (3, 1));
        assert_eq!(first.lines.len(), 2 * AROUND + 1);
        let hit = &first.lines[AROUND];
        assert_eq!((hit.number, hit.place), (30, Some(0)));
        let second = looked(&log, "error", 2);
        assert_eq!(
            second.lines[AROUND].place,
            Some(1),
            "the other one of the same line"
        );
        let third = looked(&log, "eRRor", 3);
        assert_eq!(third.lines[AROUND].number, 60);
        let past = looked(&log, "error", 99);
        assert_eq!((past.at, past.lines[AROUND].number), (3, 60));
        assert_eq!(looked(&log, "nowhere", 1), LogFound::default());
    }

    #[test]
    fn a_line_that_came_in_pieces_is_one_and_streams_do_not_mix() {
        let log = [
            (Stream::Stdout, "los"),
            (Stream::Stderr, "warn: t"),
            (Stream::Stdout, "s=0.5\nend"),
            (Stream::Stderr, "his\n"),
        ];
        let found = looked(&log, "loss=0.5", 1);
        assert_eq!((found.total, found.lines[0].number), (1, 1));
        let found = looked(&log, "warn: this", 1);
        assert_eq!(found.total, 1);
        assert_eq!(looked(&log, "END", 1).total, 1, "the last has no end yet");
    }
}
