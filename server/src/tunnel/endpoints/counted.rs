//! An answer on its way to whoever asked, counted as it passes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use exchange::{Exchange, Heard};
use futures::Stream;
use hyper::body::Incoming;
use kernel::JobId;
use tokio::time::Instant;

use crate::tunnel::patient::Patient;

/// That a member goes on with an answer is told so often.
const SAYS_EVERY: Duration = Duration::from_secs(10);
/// The end of an answer is where it says how many tokens it had.
const TAIL: usize = 4 * 1024;
const USAGE: &[u8] = b"\"completion_tokens\":";

/// A request that a member has to do; dropped without an end, whoever asked went away.
pub struct UnderWay {
    exchange: Exchange,
    job: JobId,
    member: u32,
    open: std::cell::Cell<bool>,
    said: std::cell::Cell<Option<Instant>>,
}

impl UnderWay {
    pub fn new(exchange: Exchange, job: JobId, member: u32) -> Self {
        Self {
            exchange,
            job,
            member,
            open: std::cell::Cell::new(true),
            said: std::cell::Cell::new(None),
        }
    }

    /// The answer begins, or goes on.
    pub fn says(&self) {
        let lately = |at: Instant| at.elapsed() < SAYS_EVERY;
        if !self.said.get().is_some_and(lately) {
            self.said.set(Some(Instant::now()));
            self.exchange.endpoint_says(self.job, self.member);
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

struct Counted<H> {
    body: Patient<BodyDataStream>,
    /// What is held for as long as the answer comes: the line that it comes over, and the seat of whoever asked.
    _held: H,
    under_way: UnderWay,
    first_ms: u64,
    tokens: Tokens,
}

pub fn body(
    body: Incoming,
    held: impl Send + Unpin,
    under_way: UnderWay,
    first_ms: u64,
    streamed: bool,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    Counted {
        body: Patient::new(Body::new(body).into_data_stream()),
        _held: held,
        under_way,
        first_ms,
        tokens: Tokens::of(streamed),
    }
}

impl<H: Unpin> Stream for Counted<H> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        match &piece {
            Some(Ok(bytes)) => {
                self.under_way.says();
                self.tokens.add(bytes);
            }
            Some(Err(_)) => self.under_way.ended(Heard::Failed),
            None => {
                let (first_ms, tokens) = (self.first_ms, self.tokens.all());
                self.under_way.ended(Heard::Answered { first_ms, tokens });
            }
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
