//! A weight `[outputs, inputs]` that is multiplied with, in the order in which the innermost loops read it.

use super::{
    super::{Encoding, product::Right},
    int8::{self, Instructions},
};

/// Single precision or signed bytes.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// `f32`; half precision is widened to it.
    F32(Right),
    /// Bytes and a scale a row.
    Int8(int8::Weights),
}

impl Matrix {
    /// Room for rows of this encoding.
    pub fn new(instructions: Instructions, encoding: Encoding, outputs: usize, inputs: usize) -> Self {
        match encoding {
            Encoding::F32 | Encoding::F16 => Self::F32(Right::new(inputs, outputs)),
            Encoding::Int8 => Self::Int8(int8::Weights::new(instructions, outputs, inputs)),
        }
    }

    pub const fn outputs(&self) -> usize {
        match self {
            Self::F32(right) => right.columns(),
            Self::Int8(weights) => weights.outputs(),
        }
    }

    pub const fn inputs(&self) -> usize {
        match self {
            Self::F32(right) => right.depth(),
            Self::Int8(weights) => weights.inputs(),
        }
    }

    /// Puts in a row's bytes in the encoding that room was made for.
    pub fn set_row(&mut self, encoding: Encoding, row: usize, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32(right) => {
                values.clear();
                encoding.decode(bytes, values);
                right.set_column(row, values);
            }
            Self::Int8(weights) => weights.set_row(row, bytes),
        }
    }

    /// Values of a row; one beyond the last is zeros.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::F32(right) => out.iter_mut().zip(right.column(row)).for_each(|(out, value)| *out = value),
            Self::Int8(weights) => weights.row(row, out),
        }
    }
}
