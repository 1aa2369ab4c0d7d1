//! Weights files as bytes: named tensors in, named tensors out. Where the bytes lie is the caller's business.
//!
//! Everywhere in the crate tensors go by their Hugging Face name (`bert.encoder.layer.0.attention.self.query.weight`),
//! in Hugging Face's orientation (`[out, in]`); readers of other formats rename and transpose on the way in.
//!
//! A format's reader ([`Safetensors`], [`PyTorch`], [`Bundle`]) opens bytes, checks every length against them and lists what is
//! there without converting anything; [`Plan`] matches the listing with BERT's parameters; [`load`] then converts one tensor
//! after the other, so that a memory-mapped file is never held a second time.

use std::collections::BTreeMap;

use crate::{Error, Result};

mod bundle;
mod cursor;
mod dtype;
mod format;
mod load;
mod names;
mod pickle;
mod pytorch;
pub mod safetensors;
pub mod web;
mod zip;

pub use bundle::{Bundle, BundleEntry, BundleIndex, CheckpointState, write_bundle};
pub use dtype::Dtype;
pub use format::Format;
pub use load::{ADAM_FIRST, ADAM_SECOND, Loaded, Slots, check, load, load_slots};
pub use names::{Plan, Used};
pub use pytorch::PyTorch;
pub use safetensors::{Safetensors, ShardIndex};

use format::check_not_something_else;

#[cfg(target_endian = "big")]
compile_error!("tensors are written as they lie in memory, which must be little-endian");

/// A tensor on the host: row-major `f32`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// The tensor's transpose if it has two axes, the same values row by row otherwise.
    pub fn transposed(&self) -> Self {
        let &[rows, columns] = self.shape.as_slice() else { return self.clone() };
        let mut data = vec![0.0; self.data.len()];
        // Tiles of 16 × 16 values keep both sides in the cache; a row of a kernel is 3 KB apart from the next.
        for (tile_rows, band) in self.data.chunks(columns.max(1) * TILE).enumerate() {
            for first in (0..columns).step_by(TILE) {
                for (row, values) in band.chunks(columns).enumerate() {
                    let into = data.iter_mut().skip(first * rows + tile_rows * TILE + row).step_by(rows.max(1));
                    for (to, from) in into.zip(values.iter().skip(first).take(TILE)) {
                        *to = *from;
                    }
                }
            }
        }
        Self { shape: vec![columns, rows], data }
    }
}

/// Side of the squares in which a matrix is transposed.
const TILE: usize = 16;

/// Named host tensors, sorted by name.
pub type Tensors = BTreeMap<String, HostTensor>;

/// One line of a weights file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The tensor's name as the file spells it.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
}

/// An opened weights file of any format, under the file's own names and orientation.
pub trait WeightsFile {
    /// Everything in the file, sorted by name; values that are no floating-point numbers too.
    fn list(&self) -> Vec<Listing>;

    /// One tensor's values as `f32`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no such tensor, it is not floating-point, or its bytes are damaged.
    fn read(&self, name: &str) -> Result<HostTensor>;

    /// The number of updates that training had done, if the file says so; only TensorFlow's do.
    ///
    /// # Errors
    /// [`Error::Tensor`] if it is damaged or no whole number.
    fn global_step(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// Most axes of a tensor; BERT's have two. Keeps hostile shapes out of error messages.
const MAX_AXES: usize = 8;

/// The number of values of a shape, or `None` if it has too many axes or does not fit the machine.
fn elements(shape: &[usize]) -> Option<usize> {
    if shape.len() > MAX_AXES {
        return None;
    }
    shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length))
}

fn tensor_error(name: &str, reason: impl Into<String>) -> Error {
    let shown = name
        .char_indices()
        .nth(MAX_SHOWN)
        .map_or_else(|| name.to_owned(), |(end, _)| format!("{}…", name.get(..end).unwrap_or("")));
    Error::Tensor { name: shown, reason: reason.into() }
}

/// Most characters of a name in an error message.
const MAX_SHOWN: usize = 120;

/// A shape in an error message.
fn show<T: std::fmt::Debug>(shape: &[T]) -> String {
    if shape.len() > MAX_AXES { format!("of {} axes", shape.len()) } else { format!("{shape:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_turns_rows_into_columns_across_tiles() {
        for (rows, columns) in [(1, 1), (3, 2), (17, 40), (33, 16), (0, 4)] {
            let data: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
            let tensor = HostTensor { shape: vec![rows, columns], data: data.clone() };
            let transposed = tensor.transposed();
            assert_eq!(transposed.shape, [columns, rows]);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(transposed.data[column * rows + row], data[row * columns + column]);
                }
            }
            assert_eq!(transposed.transposed(), tensor);
        }
    }

    #[test]
    fn errors_stay_short_whatever_the_file_says() {
        assert_eq!(tensor_error("x", "y").to_string(), "tensor x: y");
        assert!(tensor_error(&"é".repeat(1 << 20), "y").to_string().len() < 300);
        assert_eq!((elements(&[2, 3]), elements(&[0; 9])), (Some(6), None));
        assert_eq!((show(&[2, 3]), show(&[0; 9])), ("[2, 3]".into(), "of 9 axes".into()));
    }
}
