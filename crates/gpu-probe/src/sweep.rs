//! Sweeps over the card's memory. Answers and their trees stay on the card: only a root comes back from each, so that neither the bus nor
//! the host's processor takes part in the time, and a few leaves when they are opened.

use proof::Key;
use proof::sweep::{GROUP, groups};
use protocol::proof::{FillTask, Opening, Place};
use wgpu::{
    BindGroup, Buffer, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor,
    ComputePipeline,
};

use crate::ProbeError;
use crate::card::{Card, bytes, words};

/// Blocks that one group of threads folds.
const SIDE: u32 = 32;
/// Hashes that one group of threads makes.
const THREADS: u32 = 64;
const HASH_WORDS: u64 = 8;
const HASH_BYTES: u64 = 32;

/// One level of a tree among the hashes.
#[derive(Debug, Clone, Copy)]
struct Level {
    first: u32,
    count: u32,
}

impl Level {
    fn at(self, index: u32) -> u64 {
        (u64::from(self.first) + u64::from(index)) * HASH_BYTES
    }
}

/// The room for what sweeps leave on the card.
pub(crate) struct Sweeps {
    blocks: u32,
    levels: Vec<Level>,
    /// Of the sweep that goes on.
    answers: Buffer,
    hashes: Buffer,
    /// Of each sweep: answers, then hashes.
    kept: Vec<Buffer>,
    done: bool,
}

/// The levels of a tree over so many leaves, the leaves first.
fn levels(leaves: u32) -> Vec<Level> {
    let mut level = Level {
        first: 0,
        count: leaves,
    };
    let mut all = vec![level];
    while level.count > 1 {
        level = Level {
            first: level.first + level.count,
            count: level.count.div_ceil(2),
        };
        all.push(level);
    }
    all
}

impl Sweeps {
    pub fn new(card: &Card, task: FillTask) -> Result<Self, ProbeError> {
        let levels = levels(groups(task.blocks));
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let answers = card.buffer(u64::from(task.blocks) * 4, usage);
        let all = levels.last().map_or(0, |top| top.at(top.count));
        let hashes = card.buffer(all, usage);
        let kept = BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let kept = (0..task.sweeps)
            .map(|_| card.buffer(u64::from(task.blocks) * 4 + all, kept))
            .collect();
        card.check()?;
        Ok(Self {
            blocks: task.blocks,
            levels,
            answers,
            hashes,
            kept,
            done: false,
        })
    }

    pub fn release(&self) {
        let own = [&self.answers, &self.hashes];
        for buffer in own.into_iter().chain(&self.kept) {
            buffer.destroy();
        }
    }

    fn top(&self) -> u64 {
        self.levels.last().map_or(0, |top| top.at(0))
    }

    /// Where the hashes begin among what is kept.
    fn hashes_at(&self) -> u64 {
        u64::from(self.blocks) * 4
    }
}

/// A hash as it is written: of its words the highest byte first.
fn text(hash: &[u32]) -> String {
    let words: Vec<u32> = hash.iter().map(|word| word.swap_bytes()).collect();
    proof::check::to_hex(&words)
}

fn unswept() -> ProbeError {
    ProbeError::Driver("nothing was filled or swept".to_owned())
}

impl Card {
    /// Sweeps over what was filled, as often as its task said; the roots. `next` gives the key that follows from a text: from what was asked,
    /// then from each root.
    ///
    /// # Errors
    /// The driver refuses, or it is not wanted any more.
    pub fn sweep(
        &mut self,
        asked: &str,
        next: &dyn Fn(&str) -> Key,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<String>, ProbeError> {
        let mut sweeps = self.sweeps.take().ok_or_else(unswept)?;
        let roots = self.swept(&sweeps, asked, next, go_on);
        sweeps.done = roots.is_ok();
        self.sweeps = Some(sweeps);
        roots
    }

    fn swept(
        &self,
        sweeps: &Sweeps,
        asked: &str,
        next: &dyn Fn(&str) -> Key,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<String>, ProbeError> {
        let fold = self.pipeline(&self.sweep_shader, "fold");
        let leaves = self.pipeline(&self.tree_shader, "leaves");
        let pairs = self.pipeline(&self.tree_shader, "pairs");
        let key = self.buffer(16, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
        let landing = self.buffer(HASH_BYTES, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        // The same for all sweeps but for the key.
        let mut work: Vec<(&ComputePipeline, BindGroup, u32)> = Vec::new();
        for chunk in &self.chunks {
            let part = self.uniform(&[chunk.first, chunk.count, 0, 0]);
            let bound = [
                (0, &key),
                (1, &part),
                (2, &chunk.memory),
                (3, &sweeps.answers),
            ];
            let bound = self.bound(&fold, &bound);
            work.push((&fold, bound, chunk.count.div_ceil(SIDE)));
        }
        let mut below: Option<Level> = None;
        for level in &sweeps.levels {
            let (from, many) = below.map_or((0, sweeps.blocks), |below| (below.first, below.count));
            let shape = self.uniform(&[from, many, level.first, level.count]);
            let threads = level.count.div_ceil(THREADS);
            let mut bound = vec![(0, &shape), (2, &sweeps.hashes)];
            let pipeline = if below.is_none() {
                bound.push((1, &sweeps.answers));
                &leaves
            } else {
                &pairs
            };
            work.push((pipeline, self.bound(pipeline, &bound), threads));
            below = Some(*level);
        }
        self.check()?;
        let mut roots = Vec::new();
        let mut before = asked.to_owned();
        for kept in &sweeps.kept {
            if !go_on() {
                return Err(ProbeError::Stopped);
            }
            let own = bytes(&words(next(&before)));
            self.queue.write_buffer(&key, 0, &own);
            let mut encoder = self
                .device
                .create_command_encoder(&CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
                for (pipeline, bound, threads) in &work {
                    pass.set_pipeline(pipeline);
                    pass.set_bind_group(0, bound, &[]);
                    pass.dispatch_workgroups(*threads, 1, 1);
                }
            }
            let (answers, hashes) = (&sweeps.answers, &sweeps.hashes);
            encoder.copy_buffer_to_buffer(hashes, sweeps.top(), &landing, 0, HASH_BYTES);
            let answered = sweeps.hashes_at();
            encoder.copy_buffer_to_buffer(answers, 0, kept, 0, answered);
            let hashed = kept.size() - answered;
            encoder.copy_buffer_to_buffer(hashes, 0, kept, answered, hashed);
            self.queue.submit([encoder.finish()]);
            before = text(&self.landed(&landing, HASH_BYTES)?);
            roots.push(before.clone());
        }
        Ok(roots)
    }

    /// Opens leaves of what was swept.
    ///
    /// # Errors
    /// The driver refuses, or there are no such leaves.
    pub fn open_sweeps(&self, places: &[Place]) -> Result<Vec<Opening>, ProbeError> {
        let sweeps = self.sweeps.as_ref().filter(|own| own.done);
        let sweeps = sweeps.ok_or_else(unswept)?;
        let mut encoder = self
            .device
            .create_command_encoder(&CommandEncoderDescriptor::default());
        let least = |place: &Place| {
            let first = place.group.saturating_mul(GROUP);
            sweeps.blocks.saturating_sub(first).min(GROUP)
        };
        // What each place needs, wherever it stands.
        let mut pieces: Vec<(&Buffer, u64, u64)> = Vec::new();
        for place in places {
            let at = usize::try_from(place.sweep).unwrap_or(usize::MAX);
            let kept = sweeps.kept.get(at).filter(|_| least(place) > 0);
            let kept = kept.ok_or_else(unswept)?;
            let first = u64::from(place.group) * u64::from(GROUP) * 4;
            pieces.push((kept, first, u64::from(least(place)) * 4));
            let mut index = place.group;
            for level in &sweeps.levels {
                if index ^ 1 < level.count {
                    let at = sweeps.hashes_at() + level.at(index ^ 1);
                    pieces.push((kept, at, HASH_BYTES));
                }
                index /= 2;
            }
        }
        let all: u64 = pieces.iter().map(|(_, _, many)| *many).sum();
        let landing = self.buffer(all, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let mut to = 0;
        for (kept, from, many) in pieces {
            encoder.copy_buffer_to_buffer(kept, from, &landing, to, many);
            to += many;
        }
        self.queue.submit([encoder.finish()]);
        let landed = self.landed(&landing, all)?;
        let mut rest = landed.as_slice();
        let mut take = |many: u64| {
            let many = usize::try_from(many).unwrap_or(usize::MAX).min(rest.len());
            let (own, after) = rest.split_at(many);
            rest = after;
            own
        };
        let mut openings = Vec::new();
        for place in places {
            let words = proof::check::to_hex(take(u64::from(least(place))));
            let (mut index, mut path) = (place.group, Vec::new());
            for level in &sweeps.levels {
                if index ^ 1 < level.count {
                    path.push(text(take(HASH_WORDS)));
                }
                index /= 2;
            }
            openings.push(Opening {
                index: place.group,
                words,
                path,
            });
        }
        Ok(openings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Wanted;
    use proof::fill;
    use proof::fill::BLOCK_BYTES;

    #[test]
    fn levels_are_those_of_the_plain_tree() {
        for leaves in 1..70 {
            let own = levels(leaves);
            let plain =
                proof::tree::Tree::of((0..leaves).map(|n| proof::tree::leaf(&[n])).collect());
            for index in 0..leaves {
                let (mut at, mut beside) = (index, 0);
                for level in &own {
                    beside += usize::from(at ^ 1 < level.count);
                    at /= 2;
                }
                assert_eq!(beside, plain.path(index).len(), "{index} of {leaves}");
            }
        }
    }

    /// Cards give their memory in pieces of half a gigabyte; here in small ones.
    #[test]
    fn pieces_of_memory_are_swept_as_one() {
        let wanted = Wanted {
            software: true,
            ..Wanted::default()
        };
        let Ok(mut card) = Card::open(&wanted) else {
            eprintln!("no Vulkan here: the shaders were not compared");
            return;
        };
        card.buffer_bytes_max = 50 * BLOCK_BYTES;
        let task = FillTask {
            blocks: 170,
            passes: 1,
            sweeps: 2,
        };
        let key = Key([1, 2, 3, 4]);
        card.fill(key, task, &|| true).expect("it fills");
        let next = |text: &str| Key([u32::from(text.as_bytes()[0]), 7, 8, 9]);
        let blocks = fill::filled(key, task, || true).expect("it goes on");
        let one = |key| proof::sweep::answers(key, &blocks);
        let plain = proof::sweep::Sweeps::of("a", 2, next, one, || true).expect("it goes on");
        assert_eq!(card.sweep("a", &next, &|| true), Ok(plain.roots()));
        assert!(card.chunks.len() == 4);
    }
}
