//! `x·Wᵀ + b` and what follows it. Rows and columns of the result are shared out among the threads in blocks.

use pulp::{Arch, Simd, WithSimd};

use super::{
    super::{
        Nonlinearity,
        math::{gelu_value, tanh},
        product::{Left, Right, View, multiply},
        threads::{for_chunks, zeros},
    },
    int8::{self, Instructions},
    matrix::Matrix,
};

/// Rows of x in a block, at most: a multiple of every band. A block should stay in the cache while the weights pass by.
const ROWS: usize = 144;
/// Outputs in a block: a multiple of every panel.
const COLUMNS: usize = 128;

/// `x` `[n, inputs]` → `[n, outputs]`.
pub fn linear(instructions: Instructions, x: &[f32], weight: &Matrix, bias: &[f32], then: Nonlinearity) -> Vec<f32> {
    let (inputs, outputs) = (weight.inputs().max(1), weight.outputs().max(1));
    let rows = x.len() / inputs;
    // Blocks of like size, of whole bands.
    let block = rows.div_ceil(rows.div_ceil(ROWS).max(1)).next_multiple_of(12).max(1);
    let mut operands: Vec<(&[f32], Operand)> =
        x.chunks(block * inputs).map(|x| (x, Operand::Int8(int8::Activations::default()))).collect();
    for_chunks(
        &mut operands,
        1,
        #[inline(always)]
        |_, operands| {
            for (x, operand) in operands {
                *operand = match weight {
                    Matrix::F32(_) => Operand::F32(Arch::new().dispatch(Pack { x, inputs })),
                    Matrix::Int8(_) => Operand::Int8(int8::Activations::new(instructions, x, inputs)),
                };
            }
        },
    );
    let mut out = zeros(rows * outputs);
    let mut tasks = Vec::new();
    for ((_, operand), out) in operands.iter().zip(out.chunks_mut(block * outputs)) {
        let mut blocks: Vec<Vec<&mut [f32]>> = (0..outputs.div_ceil(COLUMNS)).map(|_| Vec::with_capacity(block)).collect();
        for row in out.chunks_exact_mut(outputs) {
            blocks.iter_mut().zip(row.chunks_mut(COLUMNS)).for_each(|(rows, row)| rows.push(row));
        }
        tasks.extend(blocks.into_iter().enumerate().map(|(block, out)| Task { operand, first: block * COLUMNS, out }));
    }
    for_chunks(
        &mut tasks,
        1,
        #[inline(always)]
        |_, tasks| {
            for Task { operand, first, out } in tasks {
                match (operand, weight) {
                    (Operand::F32(left), Matrix::F32(right)) => {
                        Arch::new().dispatch(Multiply { left, right, first: *first, out });
                    }
                    (Operand::Int8(activations), Matrix::Int8(weights)) => {
                        int8::multiply(instructions, activations, weights, *first, out);
                    }
                    _ => (),
                }
                let bias = bias.get(*first..).unwrap_or_default();
                out.iter_mut().for_each(|row| finish(row, bias, then));
            }
        },
    );
    out
}

/// A block of rows of x, packed.
enum Operand {
    F32(Left),
    Int8(int8::Activations),
}

/// A block of the result, `out`, from output `first` on.
struct Task<'a> {
    operand: &'a Operand,
    first: usize,
    out: Vec<&'a mut [f32]>,
}

struct Pack<'a> {
    x: &'a [f32],
    inputs: usize,
}

impl WithSimd for Pack<'_> {
    type Output = Left;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Left {
        let mut left = Left::default();
        left.pack(simd, View::rows(self.x, self.inputs), self.x.len() / self.inputs, self.inputs);
        left
    }
}

struct Multiply<'a, 'b> {
    left: &'a Left,
    right: &'a Right,
    first: usize,
    out: &'a mut [&'b mut [f32]],
}

impl WithSimd for Multiply<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, first, out } = self;
        let columns = out.first().map_or(0, |row| row.len());
        multiply(simd, left, right, first..first + columns, |row, column, values| {
            if let Some(place) = out.get_mut(row).and_then(|row| row.get_mut(column - first..column - first + values.len())) {
                place.copy_from_slice(values);
            }
        });
    }
}

#[inline(always)]
fn finish(row: &mut [f32], bias: &[f32], then: Nonlinearity) {
    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    match then {
        Nonlinearity::Identity => (),
        Nonlinearity::Tanh => row.iter_mut().for_each(|value| *value = tanh(*value)),
        Nonlinearity::Gelu(form) => row.iter_mut().for_each(|value| *value = gelu_value(*value, form)),
    }
}
