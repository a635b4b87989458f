//! An answer on its way to whoever asked, counted as it passes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use exchange::{Exchange, Heard};
use futures::Stream;
use hyper::body::{Body, Incoming};
use kernel::JobId;

use super::carry::Line;

/// The end of an answer is where it says how many tokens it had.
const TAIL: usize = 4 * 1024;
const USAGE: &[u8] = b"\"completion_tokens\":";

/// A request that a member has to do; dropped without an end, whoever asked went away.
pub struct UnderWay {
    exchange: Exchange,
    job: JobId,
    member: u32,
    open: std::cell::Cell<bool>,
}

impl UnderWay {
    pub fn new(exchange: Exchange, job: JobId, member: u32) -> Self {
        Self {
            exchange,
            job,
            member,
            open: std::cell::Cell::new(true),
        }
    }

    /// The first end counts.
    pub fn ended(&self, heard: Heard) {
        if self.open.replace(false) {
            self.exchange.endpoint_ended(self.job, self.member, heard);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.ended(Heard::Left);
    }
}

/// The tokens of an answer: what it says itself; of a stream that does not say it, its events but for the last.
#[derive(Debug, Default)]
struct Tokens {
    tail: Vec<u8>,
    streamed: bool,
    events: u64,
    line_begins: bool,
    matched: usize,
}

impl Tokens {
    fn of(streamed: bool) -> Self {
        Self {
            streamed,
            line_begins: true,
            ..Self::default()
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.streamed {
            self.count_events(bytes);
        }
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
    }

    /// Lines that begin with `data:`, however they are cut.
    fn count_events(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                (self.line_begins, self.matched) = (true, 0);
            } else if self.line_begins {
                if b"data:".get(self.matched) == Some(byte) {
                    self.matched = self.matched.saturating_add(1);
                } else {
                    self.line_begins = false;
                }
                if self.matched == 5 {
                    self.events = self.events.saturating_add(1);
                    (self.line_begins, self.matched) = (false, 0);
                }
            }
        }
    }

    fn all(&self) -> u64 {
        let said = self
            .tail
            .windows(USAGE.len())
            .rposition(|part| part == USAGE)
            .and_then(|at| self.tail.get(at.saturating_add(USAGE.len())..))
            .and_then(|rest| {
                let digits: String = rest
                    .iter()
                    .skip_while(|byte| **byte == b' ')
                    .take_while(|byte| byte.is_ascii_digit())
                    .take(9)
                    .map(|byte| char::from(*byte))
                    .collect();
                digits.parse().ok()
            });
        // The last two events of a stream end it: the reason, and that it is done.
        said.unwrap_or_else(|| self.events.saturating_sub(2))
    }
}

struct Counted {
    body: Incoming,
    /// The line is held for as long as the answer comes over it.
    _line: Line,
    under_way: UnderWay,
    first_ms: u64,
    tokens: Tokens,
}

pub fn body(
    body: Incoming,
    line: Line,
    under_way: UnderWay,
    first_ms: u64,
    streamed: bool,
) -> impl Stream<Item = Result<Bytes, hyper::Error>> + Send {
    Counted {
        body,
        _line: line,
        under_way,
        first_ms,
        tokens: Tokens::of(streamed),
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, hyper::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
            return Poll::Ready(match frame {
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else {
                        continue;
                    };
                    self.tokens.add(&bytes);
                    Some(Ok(bytes))
                }
                Some(Err(error)) => {
                    self.under_way.ended(Heard::Failed);
                    Some(Err(error))
                }
                None => {
                    let (first_ms, tokens) = (self.first_ms, self.tokens.all());
                    self.under_way.ended(Heard::Answered { first_ms, tokens });
                    None
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    fn tokens(streamed: bool, pieces: &[&str]) -> u64 {
        let mut tokens = Tokens::of(streamed);
        for piece in pieces {
            tokens.add(piece.as_bytes());
        }
        tokens.all()
    }

    #[test]
    fn an_answer_says_its_tokens() {
        let whole = r#"{"choices":[],"usage":{"prompt_tokens": 3, "completion_tokens": 42}}"#;
        assert_eq!(tokens(false, &[whole]), 42);
        assert_eq!(tokens(false, &[&whole[..50], &whole[50..]]), 42);
        assert_eq!(tokens(false, &["{}"]), 0);
        let long = "x".repeat(10_000);
        assert_eq!(tokens(false, &[&long, whole]), 42);
    }

    #[test]
    fn of_a_stream_that_does_not_the_events_are_counted() {
        let stream = "data: {\"a\":\"data: no\"}\n\ndata: {}\n\nda";
        let rest = "ta: {\"finish_reason\":\"stop\"}\n\ndata: [DONE]\n\n";
        assert_eq!(tokens(true, &[stream, rest]), 2);
        assert_eq!(tokens(true, &[": comment\n\nevent: x\n"]), 0);
    }
}
