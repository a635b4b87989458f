//! The product, factor by factor.

use proof::Key;
use proof::product::Factors;
use protocol::proof::ProductTask;
use wgpu::{Buffer, BufferUsages};

use crate::ProbeError;
use crate::card::{Card, words};

const SIDE: u32 = 64;
const DERIVED: u32 = 16;

impl Card {
    fn matrix(&self, task: ProductTask) -> Buffer {
        let bytes = u64::from(task.size) * u64::from(task.size) * 4;
        self.buffer(bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
    }

    /// All numbers of the product, row by row.
    ///
    /// # Errors
    /// The driver refuses, or it is not wanted any more.
    pub fn multiply(
        &self,
        factors: &Factors,
        task: ProductTask,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, ProbeError> {
        let (derive, multiply) = (
            self.pipeline(&self.product_shader, "derive"),
            self.pipeline(&self.product_shader, "multiply"),
        );
        let params = |key: Key, factor: u32| {
            let all: Vec<u32> = [words(key), [task.size, factor, 0, 0]].concat();
            self.uniform(&all)
        };
        let (mut left, right, mut product) =
            (self.matrix(task), self.matrix(task), self.matrix(task));
        self.check()?;
        let groups = task.size.div_ceil(DERIVED);
        for (key, matrix) in [(factors.left, &left), (factors.right, &right)] {
            let params = params(key, 0);
            self.run(&derive, &[(0, &params), (1, matrix)], (groups, groups))?;
        }
        let groups = task.size.div_ceil(SIDE);
        for factor in 0..task.factors {
            if !go_on() {
                return Err(ProbeError::Stopped);
            }
            let params = params(factors.scale, factor);
            let bound = [(0, &params), (1, &left), (2, &right), (3, &product)];
            self.run(&multiply, &bound, (groups, groups))?;
            std::mem::swap(&mut left, &mut product);
        }
        self.download(&left, u64::from(task.size) * u64::from(task.size))
    }
}
