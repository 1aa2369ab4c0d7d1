//! `LayerNorm(residual + dropout(x))`, as one operation.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::{
    super::{
        Dropout, DropoutKey,
        math::{dot, sum},
        threads::{for_chunk_pairs, for_chunks, rows_per_chunk, zeros},
    },
    host::{add_rows, slice, tensor, with_values},
};

/// Arguments: x, (residual,) `[n, width]`, and scale over shift, `[2, width]`.
#[derive(Debug)]
pub struct NormOp {
    epsilon: f32,
    dropout: Option<(DropoutKey, Dropout)>,
    /// What the forward pass leaves: every row's normalized values, then the inverse of its deviation; `width + 1` each.
    normalized: Mutex<Vec<f32>>,
}

impl NormOp {
    pub fn new(epsilon: f64, dropout: Option<(DropoutKey, Dropout)>) -> Self {
        Self { epsilon: epsilon as f32, dropout, normalized: Mutex::default() }
    }

    fn forward(&self, x: &[f32], residual: Option<&[f32]>, scale_shift: &[f32]) -> Vec<f32> {
        let width = scale_shift.len() / 2;
        let (scale, shift) = scale_shift.split_at(width);
        let rows = rows_per_chunk(width);
        let mut out = zeros(x.len());
        let mut normalized = zeros(x.len() / width.max(1) * (width + 1));
        for_chunk_pairs(
            (&mut out, rows * width),
            (&mut normalized, rows * (width + 1)),
            #[inline(always)]
            |index, out, normalized| {
                let first = index * rows * width;
                match self.dropout {
                    Some((key, dropout)) => key.multipliers(dropout, first, out),
                    None => out.fill(1.0),
                }
                add(out, x.get(first..).unwrap_or_default(), residual.and_then(|values| values.get(first..)));
                for (row, kept) in out.chunks_exact_mut(width).zip(normalized.chunks_exact_mut(width + 1)) {
                    if let Some((inverse, kept)) = kept.split_last_mut() {
                        *inverse = normalize(row, kept, self.epsilon);
                        for (((value, kept), scale), shift) in row.iter_mut().zip(kept).zip(scale).zip(shift) {
                            *value = *kept * scale + shift;
                        }
                    }
                }
            },
        );
        *self.normalized.lock().unwrap_or_else(PoisonError::into_inner) = normalized;
        out
    }

    /// Gradients of x, of the residual (before dropout, for both the same) and of scale over shift.
    fn backward(&self, scale_shift: &[f32], gradient: &[f32]) -> (Vec<f32>, Option<Vec<f32>>, Vec<f32>) {
        let width = scale_shift.len() / 2;
        let (scale, _) = scale_shift.split_at(width);
        let rows = rows_per_chunk(width);
        let normalized = self.normalized.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = zeros(gradient.len());
        let mut sums = vec![0.0; gradient.len().div_ceil(rows * width) * 2 * width];
        for_chunk_pairs(
            (&mut inner, rows * width),
            (&mut sums, 2 * width),
            #[inline(always)]
            |index, inner, sums| {
                let gradient = gradient.chunks(rows * width).nth(index).unwrap_or_default();
                let normalized = normalized.chunks(rows * (width + 1)).nth(index).unwrap_or_default();
                let lines = gradient.chunks_exact(width).zip(normalized.chunks_exact(width + 1));
                for (inner, (gradient, normalized)) in inner.chunks_exact_mut(width).zip(lines) {
                    if let Some((inverse, normalized)) = normalized.split_last() {
                        row_gradient(inner, gradient, normalized, scale, *inverse);
                        let (scale_sums, shift_sums) = sums.split_at_mut(width);
                        let scale_sums = scale_sums.iter_mut().zip(shift_sums);
                        for (((scale, shift), gradient), normalized) in scale_sums.zip(gradient).zip(normalized) {
                            *scale += gradient * normalized;
                            *shift += gradient;
                        }
                    }
                }
            },
        );
        let dropped = self.dropout.map(|(key, dropout)| {
            let mut dropped = zeros(inner.len());
            for_chunks(
                &mut dropped,
                rows * width,
                #[inline(always)]
                |index, chunk| {
                    let first = index * rows * width;
                    key.multipliers(dropout, first, chunk);
                    let inner = inner.get(first..).unwrap_or_default();
                    chunk.iter_mut().zip(inner).for_each(|(multiplier, gradient)| *multiplier *= gradient);
                },
            );
            dropped
        });
        (inner, dropped, add_rows(&sums, 2 * width))
    }
}

/// `out = out ⊙ x + residual`.
#[inline(always)]
fn add(out: &mut [f32], x: &[f32], residual: Option<&[f32]>) {
    match residual {
        Some(residual) => {
            for ((out, x), residual) in out.iter_mut().zip(x).zip(residual) {
                *out = *out * x + residual;
            }
        }
        None => out.iter_mut().zip(x).for_each(|(out, x)| *out *= x),
    }
}

/// Writes `(row − mean) / deviation` and returns the inverse of the deviation.
#[inline(always)]
fn normalize(row: &[f32], normalized: &mut [f32], epsilon: f32) -> f32 {
    let count = row.len() as f32;
    let mean = sum(row) / count;
    for (normalized, value) in normalized.iter_mut().zip(row) {
        *normalized = value - mean;
    }
    let variance = dot(normalized, normalized) / count;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    normalized.iter_mut().for_each(|value| *value *= inverse);
    inverse
}

/// `(g − mean(g) − n·mean(g·n)) / deviation` with g the gradient times the scale.
#[inline(always)]
fn row_gradient(out: &mut [f32], gradient: &[f32], normalized: &[f32], scale: &[f32], inverse: f32) {
    let count = out.len() as f32;
    for ((out, gradient), scale) in out.iter_mut().zip(gradient).zip(scale) {
        *out = gradient * scale;
    }
    let mean = sum(out) / count;
    let along = dot(out, normalized) / count;
    for (out, normalized) in out.iter_mut().zip(normalized) {
        *out = (*out - mean - normalized * along) * inverse;
    }
}

impl CustomOp3 for NormOp {
    fn name(&self) -> &'static str {
        "add_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        scale_shift: &CpuStorage,
        scale_shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let residual = slice(residual, residual_layout)?;
        let out = self.forward(slice(x, x_layout)?, Some(residual), slice(scale_shift, scale_shift_layout)?);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        _residual: &Tensor,
        scale_shift: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (inner, dropped, sums) =
            with_values(scale_shift, |scale_shift| with_values(gradient, |gradient| self.backward(scale_shift, gradient)))??;
        let residual = tensor(inner, x.shape())?;
        let x = dropped.map_or_else(|| Ok(residual.clone()), |values| tensor(values, x.shape()))?;
        Ok((Some(x), Some(residual), Some(tensor(sums, scale_shift.shape())?)))
    }
}

impl CustomOp2 for NormOp {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale_shift: &CpuStorage,
        scale_shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = self.forward(slice(x, x_layout)?, None, slice(scale_shift, scale_shift_layout)?);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale_shift: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (inner, dropped, sums) =
            with_values(scale_shift, |scale_shift| with_values(gradient, |gradient| self.backward(scale_shift, gradient)))??;
        Ok((Some(tensor(dropped.unwrap_or(inner), x.shape())?), Some(tensor(sums, scale_shift.shape())?)))
    }
}
