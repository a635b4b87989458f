//! A zstd stream of several frames, skippable ones among them, as layers for lazy pulling are written.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::StreamingDecoder;

/// A frame may ask its reader to remember so much; what asks for more is no layer.
const WINDOW_MAX: u64 = 128 * 1024 * 1024;
const SKIPPABLE: u32 = 0x184D_2A50;

type Frame<R> = StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

pub struct Frames<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    Between(R),
    Inside(Box<Frame<R>>),
    Over,
}

impl<R: BufRead> Frames<R> {
    pub const fn new(from: R) -> Self {
        Self {
            state: State::Between(from),
        }
    }

    /// Begins the next frame; `None` at the end of the stream.
    fn next(mut from: R) -> io::Result<Option<Box<Frame<R>>>> {
        loop {
            let head = from.fill_buf()?;
            if head.is_empty() {
                return Ok(None);
            }
            // A buffer of this size is refilled only when it is empty, so a number may lie across its end.
            if !is_skippable(head) {
                return Self::begin(from).map(Some);
            }
            let mut header = [0; 8];
            from.read_exact(&mut header)?;
            let [_, _, _, _, length @ ..] = header;
            let length = u64::from(u32::from_le_bytes(length));
            let skipped = io::copy(&mut (&mut from).take(length), &mut io::sink())?;
            if skipped < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn begin(from: R) -> io::Result<Box<Frame<R>>> {
        StreamingDecoder::new_with_max_window_size(from, WINDOW_MAX)
            .map(Box::new)
            .map_err(|error| io::Error::other(format!("zstd: {error}")))
    }
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [_, 0x2a, 0x4d, 0x18, ..] if u32::from(head[0]) & 0xf0 == SKIPPABLE & 0xf0)
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(from) => match Self::next(from)? {
                    Some(frame) => self.state = State::Inside(frame),
                    None => return Ok(0),
                },
                State::Inside(mut frame) => {
                    let count = frame.read(buffer)?;
                    if count > 0 || buffer.is_empty() {
                        self.state = State::Inside(frame);
                        return Ok(count);
                    }
                    self.state = State::Between(frame.into_inner());
                }
            }
        }
    }
}
