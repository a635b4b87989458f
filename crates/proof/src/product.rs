//! A product that takes its time to compute and little to check.
//!
//! C = A·D₁·B·D₂·B … D_t·B over the integers modulo 2³²: A and B are squares, each D_s a diagonal of odd numbers; all follow from the key by
//! formula. Different diagonals, so that powers of B are of no use; 32 bits exactly, so that there is no tolerance to argue about
//! and a card's units for short numbers help little. The worker sends the root over C's rows before the server draws anything.
//! Then Freivalds: the server takes secret vectors r, computes y = D₁·B…D_t·B·r from the right in n² steps a factor, and compares ⟨C_i, r⟩ with
//! ⟨A_i, y⟩ for the opened rows i. Neither r nor the choice of rows was known when C was fixed.

use protocol::proof::{Opening, ProductTask};

use crate::key::{Binding, Key, Purpose};
use crate::tree::{self, Tree};

/// So many vectors are tried at once. What is wrong by a multiple of 2ᵏ passes one with probability 2ᵏ⁻³² at most: a top bit with 1/2, anything
/// that would save work with far less.
pub const VECTORS: usize = 4;
/// The server's memory for B: 64 MiB.
pub const SIZE_MAX: u32 = 4_096;

/// The keys of the three kinds of matrix.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    pub left: Key,
    pub right: Key,
    pub scale: Key,
}

impl Factors {
    pub fn new(binding: &Binding<'_>, seed: &str) -> Self {
        let key = |purpose| Key::new(binding, seed, purpose);
        Self {
            left: key(Purpose::Left),
            right: key(Purpose::Right),
            scale: key(Purpose::Scale),
        }
    }

    /// The diagonal of factor `s`: odd, so that nothing is lost by it.
    #[inline]
    pub const fn diagonal(&self, factor: u32, at: u32) -> u32 {
        self.scale.word(factor, at) | 1
    }

    /// B, row by row.
    fn right_matrix(&self, size: u32) -> Vec<u32> {
        let rows = (0..size).map(|row| self.right.row(row));
        rows.flat_map(|row| (0..size).map(move |column| row.word(column)))
            .collect()
    }
}

fn width(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).max(1)
}

/// The plain way: one row after the other. `go_on` is asked before each.
pub fn rows(
    factors: &Factors,
    task: ProductTask,
    mut go_on: impl FnMut() -> bool,
) -> Option<Vec<Vec<u32>>> {
    let right = factors.right_matrix(task.size);
    let mut product = Vec::new();
    for number in 0..task.size {
        if !go_on() {
            return None;
        }
        let left = factors.left.row(number);
        let mut row: Vec<u32> = (0..task.size).map(|column| left.word(column)).collect();
        for factor in 0..task.factors {
            let mut next = vec![0_u32; row.len()];
            for ((at, value), from) in (0..).zip(&row).zip(right.chunks_exact(width(task.size))) {
                let value = value.wrapping_mul(factors.diagonal(factor, at));
                for (sum, word) in next.iter_mut().zip(from) {
                    *sum = sum.wrapping_add(value.wrapping_mul(*word));
                }
            }
            row = next;
        }
        product.push(row);
    }
    Some(product)
}

/// C's rows and the tree over them.
#[derive(Debug, Clone)]
pub struct Product {
    words: Vec<u32>,
    size: u32,
    tree: Tree,
}

impl Product {
    /// `words`: row by row.
    pub fn of(words: Vec<u32>, size: u32) -> Self {
        let tree = Tree::of(words.chunks(width(size)).map(tree::leaf).collect());
        Self { words, size, tree }
    }

    pub fn root(&self) -> String {
        self.tree.root()
    }

    pub fn open(&self, rows: &[u32]) -> Vec<Opening> {
        let of = |index: &u32| {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            let words = self.words.chunks(width(self.size)).nth(at);
            Opening {
                index: *index,
                words: crate::check::to_hex(words.unwrap_or_default()),
                path: self.tree.path(*index),
            }
        };
        rows.iter().map(of).collect()
    }
}

type Vectors = [Vec<u32>; VECTORS];

/// What the server needs for its check: the secret vectors, and what the factors make of them.
#[derive(Debug, Clone)]
pub struct Freivalds {
    secret: Vectors,
    seen: Vectors,
    left: Key,
}

impl Freivalds {
    /// `secret` must be drawn after the root was received.
    pub fn new(factors: &Factors, task: ProductTask, secret: Key) -> Self {
        let drawn = |vector: u32| {
            let row = secret.row(vector);
            (0..task.size).map(|at| row.word(at)).collect::<Vec<u32>>()
        };
        let mut numbers = 0_u32..;
        let secret: Vectors = std::array::from_fn(|_| drawn(numbers.next().unwrap_or(0)));
        let right = factors.right_matrix(task.size);
        let mut seen = secret.clone();
        for factor in (0..task.factors).rev() {
            // All vectors in one walk over B: it is larger than any cache.
            let mut next: Vectors = std::array::from_fn(|_| Vec::with_capacity(width(task.size)));
            for (at, row) in (0..).zip(right.chunks_exact(width(task.size))) {
                let scale = factors.diagonal(factor, at);
                for (vector, out) in seen.iter().zip(&mut next) {
                    out.push(dot(row, vector).wrapping_mul(scale));
                }
            }
            seen = next;
        }
        Self {
            secret,
            seen,
            left: factors.left,
        }
    }

    /// Whether a row of C is right.
    pub fn accepts(&self, number: u32, words: &[u32]) -> bool {
        let left = self.left.row(number);
        let size = self.secret.first().map_or(0, Vec::len);
        let own: Vec<u32> = (0..).take(size).map(|column| left.word(column)).collect();
        let fits = |(secret, seen): (&Vec<u32>, &Vec<u32>)| dot(words, secret) == dot(&own, seen);
        words.len() == size && self.secret.iter().zip(&self.seen).all(fits)
    }
}

#[inline]
fn dot(one: &[u32], other: &[u32]) -> u32 {
    one.iter().zip(other).fold(0_u32, |sum, (one, other)| {
        sum.wrapping_add(one.wrapping_mul(*other))
    })
}
