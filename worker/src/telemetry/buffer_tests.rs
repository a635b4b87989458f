use std::collections::BTreeMap;

use kernel::Timestamp;
use protocol::telemetry::{Batch, Field, Values};

use super::*;

const BOOT: &str = "0a1b2c3d";

fn second(value: u64) -> Batch {
    Batch {
        at: Timestamp::from_millis(i64::try_from(value).expect("small")),
        host: Values::from([(Field::HostMemory, crate::devices::whole(value).into())]),
        ..Batch::default()
    }
}

/// The same numbers in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % most
    }
}

/// An exchange that keeps what it is told, and what it has acknowledged.
#[derive(Default)]
struct Kept {
    batches: BTreeMap<(String, u64), i64>,
    head: BTreeMap<String, u64>,
    missing: u64,
}

impl Kept {
    fn take(&mut self, series: &str, batches: &[Batch]) {
        let head = self.head.entry(series.to_owned()).or_default();
        for batch in batches {
            if batch.seq <= *head {
                continue;
            }
            self.missing += batch.seq - *head - 1;
            *head = batch.seq;
            let old = self
                .batches
                .insert((series.to_owned(), batch.seq), batch.at.millis());
            assert_eq!(old, None, "one number, two batches");
        }
    }
}

fn open(folder: &Path, boot: &str, random: u32, max: u64) -> Buffer {
    Buffer::open(folder, boot, random, max).expect("opens")
}

#[test]
fn what_is_kept_comes_in_order_and_is_forgotten_when_acknowledged() {
    let folder = tempfile::tempdir().expect("tempdir");
    let mut buffer = open(folder.path(), BOOT, 7, 16 * 1024);
    for n in 1..=100 {
        buffer.push(second(n));
    }
    let mut seen = Vec::new();
    while let Some((series, batches)) = buffer.next(7) {
        assert_eq!(series, "0a1b2c3d-00000007");
        seen.extend(batches.iter().map(|batch| batch.seq));
    }
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    assert_eq!(buffer.under_way(), 100);
    buffer.acknowledge("0a1b2c3d-00000007", 60);
    assert_eq!(buffer.under_way(), 40);
    // A new connection says what is not acknowledged, and nothing before.
    buffer.rewind();
    assert_eq!(buffer.next(1_000).expect("more").1[0].seq, 61);
    buffer.acknowledge("0a1b2c3d-00000007", 100);
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    // And numbers go on, also in a new process.
    drop(buffer);
    let mut buffer = open(folder.path(), BOOT, 8, 16 * 1024);
    buffer.push(second(101));
    buffer.acknowledge("0a1b2c3d-00000007", 100);
    buffer.rewind();
    assert_eq!(buffer.next(9).expect("more").1[0].seq, 101);
}

#[test]
fn after_a_boot_a_new_series_follows_what_is_left_of_the_old_one() {
    let folder = tempfile::tempdir().expect("tempdir");
    let mut buffer = open(folder.path(), BOOT, 1, BYTES_MAX);
    buffer.push(second(1));
    buffer.push(second(2));
    drop(buffer);
    let mut buffer = open(folder.path(), "ffffffff", 2, BYTES_MAX);
    buffer.push(second(3));
    let said: Vec<_> = std::iter::from_fn(|| buffer.next(10))
        .map(|(series, batches)| (series, batches.iter().map(|b| b.seq).collect::<Vec<_>>()))
        .collect();
    let (old, new) = ("0a1b2c3d-00000001", "ffffffff-00000002");
    assert_eq!(said, [(old.into(), vec![1, 2]), (new.into(), vec![1])]);
    buffer.acknowledge(old, 1);
    buffer.rewind();
    assert_eq!(buffer.next(10).expect("more").1[0].seq, 2);
    buffer.acknowledge(new, 1);
    buffer.rewind();
    assert!(buffer.next(10).is_none());
}

#[test]
fn too_much_drops_the_oldest_and_the_exchange_knows_how_many() {
    let folder = tempfile::tempdir().expect("tempdir");
    let mut buffer = open(folder.path(), BOOT, 1, 8 * 1024);
    for n in 1..=1_000 {
        buffer.push(second(n));
    }
    let bytes: u64 = fs::read_dir(folder.path())
        .expect("folder")
        .flatten()
        .map(|entry| entry.metadata().expect("file").len())
        .sum();
    assert!(bytes <= 8 * 1024 + 512, "{bytes}");
    let mut kept = Kept::default();
    while let Some((series, batches)) = buffer.next(50) {
        kept.take(&series, &batches);
    }
    assert!(buffer.dropped > 0);
    assert_eq!(kept.missing, buffer.dropped);
    assert_eq!(kept.missing + kept.batches.len() as u64, 1_000);
    assert_eq!(kept.head.values().copied().collect::<Vec<_>>(), [1_000]);
}

/// Killed at any byte of any write, told again and again: nothing twice, nothing lost that was written, nothing that was acknowledged
/// comes back under another number.
#[test]
fn a_worker_killed_at_any_byte_loses_nothing_that_was_written_and_says_nothing_twice() {
    let mut dice = Dice(22);
    for round in 0..60 {
        let folder = tempfile::tempdir().expect("tempdir");
        let mut kept = Kept::default();
        let mut written: BTreeMap<u64, i64> = BTreeMap::new();
        let mut value = 0;
        let mut buffer = open(folder.path(), BOOT, 1, BYTES_MAX);
        // Small segments: many beginnings.
        buffer.bytes_max = 16 * 700;
        for _ in 0..40 {
            match dice.below(10) {
                0..=4 => {
                    value += 1;
                    buffer.push(second(value));
                    written.insert(buffer.next - 1, i64::try_from(value).expect("small"));
                }
                5..=6 => {
                    if let Some((series, batches)) = buffer.next(1 + dice.below(4)) {
                        kept.take(&series, &batches);
                    }
                }
                7 => {
                    for (series, head) in kept.head.clone() {
                        buffer.acknowledge(&series, head);
                    }
                }
                8 => buffer.rewind(),
                _ => {
                    // Killed within the write of one more: any part of its line is there, or nothing, or a new segment without a byte.
                    let newest = buffer.segments.back().expect("one").path.clone();
                    drop(buffer);
                    let mut batch = second(999_999);
                    batch.seq = repair(&newest, parse(&newest).expect("named").2)
                        .expect("reads")
                        .0;
                    let line = line(&batch).expect("writes");
                    let cut = dice.below(line.len());
                    let mut file = OpenOptions::new()
                        .append(true)
                        .open(&newest)
                        .expect("opens");
                    file.write_all(&line.as_bytes()[..cut]).expect("writes");
                    buffer = open(folder.path(), BOOT, 2, BYTES_MAX);
                    buffer.bytes_max = 16 * 700;
                }
            }
        }
        buffer.rewind();
        while let Some((series, batches)) = buffer.next(3) {
            kept.take(&series, &batches);
        }
        assert_eq!(kept.missing, 0, "round {round}");
        let told: BTreeMap<u64, i64> = kept
            .batches
            .iter()
            .map(|((_, seq), at)| (*seq, *at))
            .collect();
        assert_eq!(told, written, "round {round}");
        assert!(kept.head.len() <= 1, "one boot, one series");
    }
}
