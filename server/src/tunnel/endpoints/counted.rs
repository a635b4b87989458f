//! An answer on its way to whoever asked, counted as it passes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use exchange::{Exchange, Heard};
use futures::Stream;
use hyper::body::{Body, Incoming};
use kernel::JobId;
use tokio::time::{Instant, Sleep, sleep};

use super::carry::Line;

/// Between two pieces of an answer.
const IDLE_MAX: Duration = Duration::from_mins(10);
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

/// A body whose next piece is waited for so long and no longer. While whoever asked takes nothing, no time passes.
struct Patient<B> {
    body: B,
    sleep: Pin<Box<Sleep>>,
    waits: bool,
}

impl<B> Patient<B> {
    fn new(body: B) -> Self {
        Self {
            body,
            sleep: Box::pin(sleep(IDLE_MAX)),
            waits: false,
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Patient<B> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waits = false;
            match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                Some(Ok(Ok(bytes))) => return Poll::Ready(Some(Ok(bytes))),
                // Trailers are of this connection alone.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        if !self.waits {
            self.waits = true;
            self.sleep.as_mut().reset(Instant::now() + IDLE_MAX);
        }
        std::task::ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err("the job was silent for too long".into())))
    }
}

struct Counted {
    body: Patient<Incoming>,
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
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    Counted {
        body: Patient::new(body),
        _line: line,
        under_way,
        first_ms,
        tokens: Tokens::of(streamed),
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.body.poll_piece(context));
        match &piece {
            Some(Ok(bytes)) => self.tokens.add(bytes),
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
    use std::convert::Infallible;

    use futures::StreamExt;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_the_middle_is_not_waited_for_for_ever() {
        let first = Frame::data(Bytes::from_static(b"a"));
        let pieces = futures::stream::iter([Ok::<_, Infallible>(first)]);
        let mut body = Patient::new(StreamBody::new(pieces.chain(futures::stream::pending())));
        let mut next = async || {
            let piece = std::future::poll_fn(|context| body.poll_piece(context));
            tokio::time::timeout(IDLE_MAX + Duration::from_secs(1), piece).await
        };
        // Who asked took nothing for long; that is not the job's silence.
        sleep(IDLE_MAX * 2).await;
        let began = Instant::now();
        assert_eq!(
            next().await.expect("at once").expect("one").expect("whole"),
            "a"
        );
        assert!(next().await.expect("in time").expect("an end").is_err());
        assert_eq!(began.elapsed().as_secs(), IDLE_MAX.as_secs());
    }

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
