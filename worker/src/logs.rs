//! A job's output on its way to the exchange: in order, by offset, until it is acknowledged.
//!
//! Bounded twice: a window limits what is under way, and permits (handed back on acknowledgement) limit what is kept
//! here, so that a job whose output nobody takes waits in its own write call.

use std::collections::VecDeque;

use protocol::worker::{LOG_CHUNK_BYTES_MAX, LOG_WINDOW_BYTES, Stream};

const CUT: &str = "[The log has reached its limit; the rest of the output is dropped.]\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub offset: u64,
    pub stream: Stream,
    pub text: String,
    /// Bytes of the job's output that stand behind this text.
    permits: usize,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.offset.saturating_add(length(&self.text))
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
pub struct LogBuffer {
    /// Not yet acknowledged.
    chunks: VecDeque<Chunk>,
    end: u64,
    /// Everything below was sent on this connection.
    sent: u64,
    acked: u64,
    limit: u64,
    cut: bool,
}

impl LogBuffer {
    pub fn new(limit: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            end: 0,
            sent: 0,
            acked: 0,
            limit,
            cut: false,
        }
    }

    /// Takes text that stands for `permits` bytes of output. Answers the permits that are free again at once.
    pub fn push(&mut self, stream: Stream, text: &str, permits: usize) -> usize {
        let room = self
            .limit
            .saturating_sub(self.end)
            .saturating_sub(length(CUT));
        if self.cut || length(text) > room {
            if !self.cut {
                self.cut = true;
                if self.limit.saturating_sub(self.end) >= length(CUT) {
                    self.append(Stream::Note, CUT, 0);
                }
            }
            return permits;
        }
        let mut rest = text;
        while rest.len() > LOG_CHUNK_BYTES_MAX {
            let (part, after) = rest.split_at(rest.floor_char_boundary(LOG_CHUNK_BYTES_MAX));
            self.append(stream, part, 0);
            rest = after;
        }
        self.append(stream, rest, permits);
        0
    }

    fn append(&mut self, stream: Stream, text: &str, permits: usize) {
        let offset = self.end;
        self.end = self.end.saturating_add(length(text));
        if let Some(last) = self.chunks.back_mut()
            && last.offset >= self.sent
            && last.stream == stream
            && last.text.len() + text.len() <= LOG_CHUNK_BYTES_MAX
        {
            last.text.push_str(text);
            last.permits += permits;
            return;
        }
        self.chunks.push_back(Chunk {
            offset,
            stream,
            text: text.to_owned(),
            permits,
        });
    }

    /// The next chunk that may go out now.
    pub fn next(&mut self) -> Option<Chunk> {
        let sent = self.sent;
        let chunk = self
            .chunks
            .iter()
            .find(|chunk| chunk.offset >= sent && !chunk.text.is_empty())?;
        if chunk.end().saturating_sub(self.acked) > LOG_WINDOW_BYTES {
            return None;
        }
        self.sent = chunk.end();
        Some(chunk.clone())
    }

    /// Everything below `offset` is kept by the exchange. Answers the permits that are free again.
    pub fn acknowledge(&mut self, offset: u64) -> usize {
        let offset = offset.min(self.end);
        self.acked = self.acked.max(offset);
        self.sent = self.sent.max(self.acked);
        let mut free = 0;
        while self
            .chunks
            .front()
            .is_some_and(|chunk| chunk.end() <= offset)
        {
            free += self.chunks.pop_front().map_or(0, |chunk| chunk.permits);
        }
        free
    }

    /// A new connection: what was not acknowledged goes out again.
    pub fn rewind(&mut self) {
        self.sent = self.acked;
        // A chunk that is acknowledged in part goes again as a whole; the exchange drops what it has.
        if let Some(first) = self.chunks.front() {
            self.sent = self.sent.min(first.offset);
        }
    }

    pub fn drained(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.text.is_empty())
    }
}

/// Turns bytes into text: a character that is cut by the end of a read waits for its rest, and what is not UTF-8 becomes
/// the replacement character.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    pub fn decode(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.rest);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let cut = chunks.peek().is_none() && could_go_on(chunk.invalid());
            if cut {
                self.rest = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        // A zero byte is legal UTF-8 and poison to databases.
        text.replace('\0', "\u{fffd}")
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// Whether these bytes are the beginning of a character.
fn could_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(buffer: &mut LogBuffer) -> Vec<(u64, String)> {
        std::iter::from_fn(|| buffer.next())
            .map(|chunk| (chunk.offset, chunk.text))
            .collect()
    }

    #[test]
    fn small_writes_travel_together_and_offsets_follow_on() {
        let mut log = LogBuffer::new(1_000);
        assert_eq!(log.push(Stream::Stdout, "one ", 4), 0);
        assert_eq!(log.push(Stream::Stdout, "two", 3), 0);
        log.push(Stream::Stderr, "!", 1);
        assert_eq!(
            all(&mut log),
            [(0, "one two".to_owned()), (7, "!".to_owned())]
        );
        assert!(log.next().is_none() && !log.drained());
        log.push(Stream::Stderr, "later", 5);
        assert_eq!(all(&mut log), [(8, "later".to_owned())]);
        assert_eq!(log.acknowledge(8), 8);
        assert_eq!(log.acknowledge(13), 5);
        assert!(log.drained());
    }

    #[test]
    fn after_a_new_connection_the_unacknowledged_goes_again() {
        let mut log = LogBuffer::new(1_000);
        log.push(Stream::Stdout, "a", 1);
        all(&mut log);
        log.push(Stream::Stdout, "b", 1);
        all(&mut log);
        log.acknowledge(1);
        log.rewind();
        assert_eq!(all(&mut log), [(1, "b".to_owned())]);
        assert_eq!(
            log.acknowledge(99),
            1,
            "an acknowledgement past the end frees what there is"
        );
    }

    #[test]
    fn the_window_bounds_what_is_under_way() {
        let mut log = LogBuffer::new(10 * LOG_WINDOW_BYTES);
        let chunk = "x".repeat(LOG_CHUNK_BYTES_MAX);
        for _ in 0..20 {
            log.push(Stream::Stdout, &chunk, chunk.len());
        }
        let under_way = all(&mut log);
        assert_eq!(under_way.len(), 8);
        log.acknowledge(length(&chunk));
        assert_eq!(all(&mut log).len(), 1);
    }

    #[test]
    fn a_long_text_is_split_between_characters() {
        let mut log = LogBuffer::new(1_000_000);
        let text = "ä".repeat(40_000);
        log.push(Stream::Stdout, &text, 80_000);
        let parts = all(&mut log);
        assert!(
            parts.len() >= 3
                && parts
                    .iter()
                    .all(|(_, text)| text.len() <= LOG_CHUNK_BYTES_MAX)
        );
        assert_eq!(
            parts.into_iter().map(|(_, text)| text).collect::<String>(),
            text
        );
        assert_eq!(log.acknowledge(80_000), 80_000);
    }

    #[test]
    fn past_the_limit_the_log_says_so_once_and_takes_no_more() {
        let mut log = LogBuffer::new(100);
        assert_eq!(log.push(Stream::Stdout, "0123456789", 10), 0);
        assert_eq!(log.push(Stream::Stdout, &"x".repeat(50), 50), 50);
        assert_eq!(log.push(Stream::Stdout, "y", 1), 1);
        let parts = all(&mut log);
        assert_eq!(parts.len(), 2);
        assert!(parts[1].1.contains("limit") && log.end <= 100);
    }

    #[test]
    fn characters_cut_by_a_read_are_put_together() {
        let mut decoder = Decoder::default();
        let bytes = "é€😀".as_bytes();
        let text: String = bytes.iter().map(|byte| decoder.decode(&[*byte])).collect();
        assert_eq!(text, "é€😀");
        assert_eq!(decoder.decode(&[b'a', 0xff, b'b', 0]), "a\u{fffd}b\u{fffd}");
        assert_eq!(decoder.decode(&[0xe2, 0x82]), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
    }
}
