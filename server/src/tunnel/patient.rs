//! Answers of jobs whose next piece is waited for so long and no longer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep};

/// Between two pieces of an answer, or of anything on a WebSocket.
pub const IDLE_MAX: Duration = Duration::from_mins(10);

/// While whoever asked takes nothing, no time passes.
pub struct Patient<S> {
    pieces: S,
    sleep: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patient<S> {
    pub fn new(pieces: S) -> Self {
        Self {
            pieces,
            sleep: Box::pin(sleep(IDLE_MAX)),
            waits: false,
        }
    }
}

impl<E: Into<BoxError>, S: Stream<Item = Result<Bytes, E>> + Unpin> Stream for Patient<S> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(piece) = Pin::new(&mut self.pieces).poll_next(context) {
            self.waits = false;
            return Poll::Ready(piece.map(|piece| piece.map_err(Into::into)));
        }
        if !self.waits {
            self.waits = true;
            self.sleep.as_mut().reset(Instant::now() + IDLE_MAX);
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err("the job was silent for too long".into())))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_the_middle_is_not_waited_for_for_ever() {
        let first = Ok::<_, Infallible>(Bytes::from_static(b"a"));
        let pieces = futures::stream::iter([first]).chain(futures::stream::pending());
        let mut body = Patient::new(pieces);
        let mut next = async || {
            let within = IDLE_MAX + Duration::from_secs(1);
            tokio::time::timeout(within, body.next()).await
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
}
