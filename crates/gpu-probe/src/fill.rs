//! The card's memory, filled.

use proof::Key;
use proof::fill::BLOCK_BYTES;
use protocol::proof::FillTask;
use wgpu::{Buffer, BufferUsages};

use crate::ProbeError;
use crate::card::{Card, words};
use crate::sweep::Sweeps;

/// Blocks of one buffer: a card gives its memory in pieces.
pub(crate) struct Chunk {
    pub memory: Buffer,
    pub first: u32,
    pub count: u32,
}

/// Pieces are no larger than this: a pass over one is short, so that it can be let go.
const CHUNK_BYTES_MAX: u64 = 512 * 1024 * 1024;
const THREADS: u32 = 64;

impl Card {
    fn params(&self, key: Key, chunk: (u32, u32), turn: u32) -> Buffer {
        let tail = [chunk.0, chunk.1, turn, 0];
        let all: Vec<u32> = [words(key), tail].concat();
        self.uniform(&all)
    }

    /// Fills the memory. What was there before is let go.
    ///
    /// # Errors
    /// The card has not so much, or it is not wanted any more.
    pub fn fill(
        &mut self,
        key: Key,
        task: FillTask,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), ProbeError> {
        self.release();
        // First, so that it is not the room for the answers that is missing in the end.
        self.sweeps = Some(Sweeps::new(self, task)?);
        let most = self.buffer_bytes_max.min(CHUNK_BYTES_MAX) / BLOCK_BYTES;
        let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        let (begin, go_over) = (
            self.pipeline(&self.fill_shader, "begin"),
            self.pipeline(&self.fill_shader, "go_over"),
        );
        let mut first = 0;
        while first < task.blocks {
            let count = most.min(task.blocks - first);
            let memory = self.buffer(u64::from(count) * BLOCK_BYTES, BufferUsages::STORAGE);
            self.check()?;
            for turn in 0..=task.passes {
                if !go_on() {
                    self.release();
                    return Err(ProbeError::Stopped);
                }
                let params = self.params(key, (first, count), turn);
                let pipeline = if turn == 0 { &begin } else { &go_over };
                let groups = (count.div_ceil(THREADS), 1);
                self.run(pipeline, &[(0, &params), (1, &memory)], groups)?;
            }
            self.chunks.push(Chunk {
                memory,
                first,
                count,
            });
            first += count;
        }
        Ok(())
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        for chunk in self.chunks.drain(..) {
            chunk.memory.destroy();
        }
        if let Some(sweeps) = self.sweeps.take() {
            sweeps.release();
        }
    }
}
