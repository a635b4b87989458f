//! Batches wait on the disk until the exchange has kept them.
//!
//! A folder of segments, `0000000003.1b2c3d4e-….17`: its place, the series, the first number in it; the name is made at once or
//! not at all, so that no number is used twice even when a write is cut short. In it, a line for each batch: eight digits of its
//! SHA-256, and the batch as JSON. What the process wrote is in the kernel's hands, so that a killed worker loses nothing;
//! nothing is forced to the disk. After a boot, when the last seconds may be missing, numbers begin anew in a series of their own.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use protocol::telemetry::Batch;
use sha2::{Digest, Sha256};

/// All segments together: a week of a machine without cards, some seven hours of one with eight.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What is said at once, but for the batch that passes it: it must not stand in a heartbeat's way for long.
const MESSAGE_BYTES: usize = 64 * 1024;
/// A full disk is said once in so many failures.
const SAY_EVERY: u64 = 3_600;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    series: String,
    /// Numbers in it, the last one not included.
    first: u64,
    end: u64,
    bytes: u64,
}

/// Where the reader is: a segment, and a byte in it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    segment: usize,
    byte: u64,
}

#[derive(Debug)]
pub struct Buffer {
    folder: PathBuf,
    bytes_max: u64,
    segments: VecDeque<Segment>,
    /// Of the newest segment.
    file: File,
    index: u64,
    /// What the next batch is called.
    next: u64,
    place: Place,
    /// Said on this connection up to here, so that a segment that is read again says nothing twice.
    said: Option<(String, u64)>,
    acknowledged: Option<(String, u64)>,
    /// Batches that were given up because the exchange was away for too long.
    pub dropped: u64,
    failures: u64,
}

impl Buffer {
    /// Opens or makes the folder. `boot`: what tells this start of the machine from others, eight hexadecimal digits.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path, boot: &str, random: u32, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut segments = Vec::new();
        let mut index = 0;
        let mut named: Vec<(u64, String, u64, PathBuf)> = fs::read_dir(folder)?
            .flatten()
            .filter_map(|entry| parse(&entry.path()))
            .collect();
        named.sort();
        for (number, series, first, path) in named {
            index = index.max(number);
            let (end, bytes) = repair(&path, first)?;
            segments.push(Segment {
                path,
                series,
                first,
                end,
                bytes,
            });
        }
        let goes_on = segments
            .last()
            .filter(|last| last.series.split('-').next() == Some(boot));
        let (series, next) = goes_on.map_or_else(
            || (format!("{boot}-{random:08x}"), 1),
            |last| (last.series.clone(), last.end),
        );
        let file = if let Some(last) = goes_on {
            OpenOptions::new().append(true).open(&last.path)?
        } else {
            index += 1;
            let segment = Segment::at(folder, index, series, next);
            let file = segment.create()?;
            segments.push(segment);
            file
        };
        // Old ones that hold nothing have nothing to say.
        let last = segments.len().saturating_sub(1);
        let mut place = 0;
        segments.retain(|segment| {
            let keep = place == last || segment.end > segment.first;
            place += 1;
            if !keep {
                _ = fs::remove_file(&segment.path);
            }
            keep
        });
        Ok(Self {
            folder: folder.to_owned(),
            bytes_max,
            segments: segments.into(),
            file,
            index,
            next,
            place: Place::default(),
            said: None,
            acknowledged: None,
            dropped: 0,
            failures: 0,
        })
    }

    fn segment_max(&self) -> u64 {
        (self.bytes_max / 16).clamp(256, 256 * 1024)
    }

    /// Numbers a batch and keeps it. One that cannot be written leaves a gap, which the exchange sees.
    pub fn push(&mut self, mut batch: Batch) {
        batch.seq = self.next;
        self.next += 1;
        if let Err(error) = self.write(&batch) {
            if self.failures.is_multiple_of(SAY_EVERY) {
                tracing::warn!(%error, "telemetry cannot be kept on the disk; these seconds are lost");
            }
            self.failures += 1;
        } else {
            self.failures = 0;
        }
        self.bound();
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let full = self
            .segments
            .back()
            .is_none_or(|last| last.bytes >= self.segment_max());
        // A number that could not be written must not be given again: the name of a segment says what comes next.
        let holed = self
            .segments
            .back()
            .is_some_and(|last| last.end != batch.seq);
        if full || holed {
            self.index += 1;
            let series = self.series();
            let segment = Segment::at(&self.folder, self.index, series, batch.seq);
            self.file = segment.create()?;
            self.segments.push_back(segment);
        }
        let line = line(batch)?;
        let Some(last) = self.segments.back_mut() else {
            return Ok(());
        };
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.file.set_len(last.bytes)?;
            return Err(error);
        }
        last.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        last.end = batch.seq + 1;
        Ok(())
    }

    fn series(&self) -> String {
        let last = self.segments.back();
        last.map(|last| last.series.clone()).unwrap_or_default()
    }

    /// The oldest goes when there is no more room, and that is said.
    fn bound(&mut self) {
        while self.segments.len() > 1
            && self
                .segments
                .iter()
                .map(|segment| segment.bytes)
                .sum::<u64>()
                > self.bytes_max
        {
            let Some(oldest) = self.segments.front() else {
                return;
            };
            let (series, from, to) = (oldest.series.clone(), oldest.first, oldest.end - 1);
            self.dropped += oldest.end - oldest.first;
            tracing::warn!(
                series,
                from,
                to,
                "the exchange is away for too long: the oldest telemetry is dropped"
            );
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            _ = fs::remove_file(&oldest.path);
            self.place = match self.place.segment.checked_sub(1) {
                Some(segment) => Place {
                    segment,
                    ..self.place
                },
                None => Place::default(),
            };
        }
    }

    /// The exchange has kept everything of a series up to this number.
    pub fn acknowledge(&mut self, series: &str, seq: u64) {
        let Some(at) = self.segments.iter().rposition(|own| own.series == series) else {
            return;
        };
        let seq = seq.min(
            self.segments
                .get(at)
                .map_or(0, |own| own.end.saturating_sub(1)),
        );
        let older = |(known, number): &(String, u64)| known == series && *number >= seq;
        if !self.acknowledged.as_ref().is_some_and(older) {
            self.acknowledged = Some((series.to_owned(), seq));
        }
        // What comes before in the order of saying has come before.
        while self.segments.len() > 1 {
            let Some(oldest) = self.segments.front() else {
                return;
            };
            let later = oldest.series == series && oldest.end > seq + 1;
            let is_known = self.segments.iter().any(|own| own.series == series);
            if later || !is_known {
                return;
            }
            self.drop_oldest();
        }
    }

    /// A new connection: all that is not acknowledged is said again.
    pub fn rewind(&mut self) {
        self.place = Place::default();
        self.said = self.acknowledged.clone();
    }

    /// How many have been said and not been acknowledged, in the newest series that was said.
    pub fn under_way(&self) -> u64 {
        match (&self.said, &self.acknowledged) {
            (Some((series, said)), Some((known, seq))) if series == known => {
                said.saturating_sub(*seq)
            }
            (Some((series, said)), _) => {
                let own = self
                    .segments
                    .iter()
                    .find(|segment| segment.series == *series);
                own.map_or(0, |own| (said + 1).saturating_sub(own.first))
            }
            (None, _) => 0,
        }
    }

    /// The next batches to be said, all of one series.
    pub fn next(&mut self, most: usize) -> Option<(String, Vec<Batch>)> {
        loop {
            let segment = self.segments.get(self.place.segment)?;
            let series = segment.series.clone();
            let (mut batches, read) = read_from(&segment.path, self.place.byte, most);
            self.place.byte += read;
            let newest = self.place.segment + 1 >= self.segments.len();
            if let Some((said, seq)) = &self.said
                && *said == series
            {
                batches.retain(|batch| batch.seq > *seq);
            }
            if read == 0 {
                if newest {
                    return None;
                }
                self.place = Place {
                    segment: self.place.segment + 1,
                    byte: 0,
                };
            } else if let Some(last) = batches.last() {
                self.said = Some((series.clone(), last.seq));
                return Some((series, batches));
            }
        }
    }
}

impl Segment {
    fn at(folder: &Path, index: u64, series: String, first: u64) -> Self {
        Self {
            path: folder.join(format!("{index:010}.{series}.{first}")),
            series,
            first,
            end: first,
            bytes: 0,
        }
    }

    fn create(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }
}

fn parse(path: &Path) -> Option<(u64, String, u64, PathBuf)> {
    let mut parts = path.file_name()?.to_str()?.split('.');
    let (index, series, first) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = protocol::telemetry::is_series(series) && parts.next().is_none();
    let found = (
        index.parse().ok()?,
        series.to_owned(),
        first.parse().ok()?,
        path.to_owned(),
    );
    fits.then_some(found)
}

fn line(batch: &Batch) -> io::Result<String> {
    let text = serde_json::to_string(batch)?;
    Ok(format!("{} {text}\n", sum(&text)))
}

fn sum(text: &str) -> String {
    let mut sum = hex::encode(Sha256::digest(text));
    sum.truncate(8);
    sum
}

/// The batch of a line that is whole and as it was written.
fn batch_of(line: &str) -> Option<Batch> {
    let (told, text) = line.strip_suffix('\n')?.split_once(' ')?;
    (sum(text) == told).then(|| serde_json::from_str(text).ok())?
}

/// Cuts off what was not written to its end. Answers with the number after the last one, and the bytes that are good.
fn repair(path: &Path, first: u64) -> io::Result<(u64, u64)> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let (mut end, mut good) = (first, 0_u64);
    for line in text.split_inclusive('\n') {
        let Some(batch) = batch_of(line) else { break };
        end = batch.seq + 1;
        good += u64::try_from(line.len()).unwrap_or(0);
    }
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if good < length {
        OpenOptions::new().write(true).open(path)?.set_len(good)?;
    }
    Ok((end, good))
}

/// At most so many whole batches from a byte on, and how many bytes they are.
fn read_from(path: &Path, byte: u64, most: usize) -> (Vec<Batch>, u64) {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(byte))?;
        file.read_to_string(&mut text)
    });
    if let Err(error) = read {
        tracing::warn!(path = %path.display(), %error, "kept telemetry cannot be read");
        return (Vec::new(), 0);
    }
    let mut batches = Vec::new();
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        if batches.len() >= most || bytes >= MESSAGE_BYTES || !line.ends_with('\n') {
            break;
        }
        bytes += line.len();
        // A bad one is a gap.
        batches.extend(batch_of(line));
    }
    (batches, u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
