//! Tensors on the GPU: rows of values in one buffer, or in several where one would be larger than a GPU binds.

use std::sync::Arc;

use super::memory::Storage;
use crate::{Error, Result, bert::Encoding};

/// A matrix, or a vector as one row of it; ids and masks are integers of 32 bits. Cloning copies a handle.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub width: usize,
    /// How rows are stored.
    pub encoding: Encoding,
    /// Buffers, from the first row.
    pub parts: Arc<[Part]>,
}

/// Consecutive rows in one buffer.
#[derive(Debug)]
pub struct Part {
    /// Number of the first.
    pub first_row: usize,
    /// How many.
    pub rows: usize,
    /// Where they are.
    pub storage: Storage,
}

impl Tensor {
    /// Values in one buffer.
    pub fn whole(rows: usize, width: usize, storage: Storage) -> Self {
        Self { rows, width, encoding: Encoding::F32, parts: Arc::new([Part { first_row: 0, rows, storage }]) }
    }

    /// The buffer of a tensor that is in one and is no encoded weight.
    pub fn storage(&self) -> Result<&Storage> {
        match &*self.parts {
            [Part { storage, .. }] if self.encoding == Encoding::F32 => Ok(storage),
            parts => Err(Error::Backend(format!(
                "expected f32 values in one buffer, found {:?} in {} buffers",
                self.encoding,
                parts.len()
            ))),
        }
    }

    /// Quads of a row.
    pub fn quads(&self) -> Result<usize> {
        match self.width.is_multiple_of(4) {
            true => Ok(self.width / 4),
            false => Err(Error::Backend(format!("expected rows of a multiple of 4 values, found {}", self.width))),
        }
    }

    /// That this tensor has so many rows of so many values.
    pub fn expect(&self, what: &str, rows: usize, width: usize) -> Result<()> {
        match (self.rows, self.width) == (rows, width) {
            true => Ok(()),
            false => Err(Error::Backend(format!("{what}: expected [{rows}, {width}], found [{}, {}]", self.rows, self.width))),
        }
    }
}
