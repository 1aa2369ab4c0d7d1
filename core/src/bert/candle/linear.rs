//! `x·Wᵀ + b` and what follows it, as one operation.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, backend::BackendStorage};

use super::{
    super::{
        Nonlinearity,
        math::gelu,
        square_sum,
        threads::{for_chunk_pairs, for_chunks, rows_per_chunk, zeros},
    },
    host::{add_rows, slice, tensor, with_values},
};

/// Arguments: x `[n, in]`, W `[out, in]`, b `[out]`.
#[derive(Debug)]
pub struct LinearOp {
    then: Nonlinearity,
    /// Derivative of the non-linearity at every output, left by the forward pass.
    slopes: Mutex<Vec<f32>>,
    /// Whether there will be a backward pass.
    training: bool,
    /// Sum to which the square of the weight's gradient is added.
    watch: Option<Arc<Mutex<f64>>>,
}

impl LinearOp {
    pub fn new(then: Nonlinearity, training: bool, watch: Option<Arc<Mutex<f64>>>) -> Self {
        Self { then, slopes: Mutex::default(), training, watch }
    }

    /// Adds the bias, applies the non-linearity and returns its derivatives (none for the identity or without training).
    fn finish(&self, values: &mut [f32], bias: &[f32]) -> Vec<f32> {
        let width = bias.len();
        let size = rows_per_chunk(width) * width;
        let mut slopes = match self.then {
            Nonlinearity::Identity => Vec::new(),
            _ => zeros(values.len()),
        };
        match self.then {
            Nonlinearity::Identity => for_chunks(
                values,
                size,
                #[inline(always)]
                |_, chunk| add_bias(chunk, bias),
            ),
            Nonlinearity::Tanh => for_chunk_pairs((values, size), (&mut slopes, size), |_, chunk, slopes| {
                add_bias(chunk, bias);
                for (value, slope) in chunk.iter_mut().zip(slopes) {
                    *value = value.tanh();
                    *slope = 1.0 - *value * *value;
                }
            }),
            Nonlinearity::Gelu(form) => for_chunk_pairs(
                (values, size),
                (&mut slopes, size),
                #[inline(always)]
                |_, chunk, slopes| {
                    add_bias(chunk, bias);
                    for (value, slope) in chunk.iter_mut().zip(slopes) {
                        (*value, *slope) = gelu(*value, form);
                    }
                },
            ),
        }
        slopes
    }
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, inputs), (outputs, _)) = (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        let mut product = x.matmul(weight, (1, rows, outputs, inputs), x_layout, &weight_layout.transpose(0, 1)?)?;
        if let CpuStorage::F32(values) = &mut product {
            let slopes = self.finish(values, slice(bias, bias_layout)?);
            if self.training {
                *self.slopes.lock().unwrap_or_else(PoisonError::into_inner) = slopes;
            }
        }
        Ok((product, (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = bias.elem_count();
        let slopes = self.slopes.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = rows_per_chunk(width);
        let mut sums = vec![0.0; gradient.elem_count().div_ceil(width * rows) * width];
        let gradient = match self.then {
            Nonlinearity::Identity => {
                with_values(gradient, |values| column_sums(values, width, rows, &mut sums))?;
                gradient.clone()
            }
            _ => {
                let before = with_values(gradient, |values| {
                    let mut before = zeros(values.len());
                    times(values, &slopes, width, rows, &mut before, &mut sums);
                    before
                })?;
                tensor(before, gradient.shape())?
            }
        };
        let weight_gradient = gradient.t()?.matmul(&x.detach())?;
        if let Some(watch) = &self.watch {
            *watch.lock().unwrap_or_else(PoisonError::into_inner) += with_values(&weight_gradient, square_sum)?;
        }
        Ok((Some(gradient.matmul(&weight.detach())?), Some(weight_gradient), Some(tensor(add_rows(&sums, width), width)?)))
    }
}

#[inline(always)]
fn add_bias(chunk: &mut [f32], bias: &[f32]) {
    for row in chunk.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
}

/// `before = after ⊙ slopes`, and the column sums of every chunk.
fn times(after: &[f32], slopes: &[f32], width: usize, rows: usize, before: &mut [f32], sums: &mut [f32]) {
    let size = rows * width;
    for_chunk_pairs(
        (before, size),
        (sums, width),
        #[inline(always)]
        |index, chunk, sums| {
            let after = after.chunks(size).nth(index).unwrap_or_default();
            let slopes = slopes.chunks(size).nth(index).unwrap_or_default();
            let lines = after.chunks_exact(width).zip(slopes.chunks_exact(width));
            for (line, (after, slopes)) in chunk.chunks_exact_mut(width).zip(lines) {
                for (((before, sum), after), slope) in line.iter_mut().zip(sums.iter_mut()).zip(after).zip(slopes) {
                    *before = after * slope;
                    *sum += *before;
                }
            }
        },
    );
}

fn column_sums(values: &[f32], width: usize, rows: usize, sums: &mut [f32]) {
    for_chunks(
        sums,
        width,
        #[inline(always)]
        |index, sums| {
            for row in values.chunks(rows * width).nth(index).unwrap_or_default().chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        },
    );
}
