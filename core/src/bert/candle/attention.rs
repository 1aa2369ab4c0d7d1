//! Attention by heads, as one operation: sequences on all threads, every head's products inside one thread.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::{
    super::{
        Dropout, DropoutKey, dropout_scale,
        math::{dot, exp, largest, sum},
        product::{Scratch, View, product},
        threads::{for_chunk_pairs, for_chunks, zeros},
    },
    host::{slice, tensor, with_values},
};

/// Argument: query, key and value side by side, `[batch · length, 3 · hidden]`.
#[derive(Debug)]
pub struct AttentionOp {
    heads: usize,
    length: usize,
    /// Added to every key's scores: 0, or −10000 where padded; `[batch · length]`.
    padding: Vec<f32>,
    dropout: Option<(DropoutKey, Dropout)>,
    training: bool,
    /// Attention weights before dropout, `[batch, heads, length, length]`, with the sign bit where dropped; left by the forward pass.
    weights: Mutex<Vec<f32>>,
}

impl AttentionOp {
    pub fn new(heads: usize, length: usize, mask: &[f32], dropout: Option<(DropoutKey, Dropout)>, training: bool) -> Self {
        let padding = mask.iter().map(|mask| (1.0 - mask) * -10_000.0).collect();
        Self { heads, length, padding, dropout, training, weights: Mutex::default() }
    }

    fn head<'a>(&'a self, sequence: usize, head: usize, qkv: &'a [f32], hidden: usize) -> Head<'a> {
        let (length, size) = (self.length, hidden / self.heads);
        let start = sequence * length * 3 * hidden + head * size;
        let part = |which: usize| View::rows(qkv.get(start + which * hidden..).unwrap_or_default(), 3 * hidden);
        Head {
            op: self,
            first_weight: (sequence * self.heads + head) * length * length,
            padding: self.padding.chunks(length).nth(sequence).unwrap_or_default(),
            query: part(0),
            key: part(1),
            value: part(2),
            size,
            scale: 1.0 / (size as f32).sqrt(),
        }
    }

    /// `[length, hidden]` of one sequence; `kept` is its part of [`Self::weights`], empty if nobody wants them.
    fn forward(&self, sequence: usize, qkv: &[f32], out: &mut [f32], kept: &mut [f32]) {
        let (hidden, square) = (out.len() / self.length, self.length * self.length);
        let mut kept = kept.chunks_exact_mut(square);
        let (mut own, mut dropped, mut scratch) = (vec![0.0; square], vec![0.0; square], Scratch::default());
        for head in 0..self.heads {
            let weights = kept.next().unwrap_or(&mut own);
            let column = head * (hidden / self.heads);
            let head = self.head(sequence, head, qkv, hidden);
            Arch::new().dispatch(Forward { head, weights, dropped: &mut dropped, out, hidden, column, scratch: &mut scratch });
        }
    }

    /// `[length, 3 · hidden]` of one sequence, from the gradient of its result, `[length, hidden]`.
    fn backward(&self, sequence: usize, qkv: &[f32], gradient: &[f32], kept: &[f32], out: &mut [f32]) {
        let (hidden, square) = (out.len() / self.length / 3, self.length * self.length);
        let (mut dropped, mut inner, mut scratch) = (vec![0.0; square], vec![0.0; square], Scratch::default());
        for (head, weights) in kept.chunks_exact(square).enumerate() {
            let column = head * (hidden / self.heads);
            let gradient = View::rows(gradient.get(column..).unwrap_or_default(), hidden);
            let head = self.head(sequence, head, qkv, hidden);
            let (dropped, inner, scratch) = (&mut dropped, &mut inner, &mut scratch);
            Arch::new().dispatch(Backward { head, weights, gradient, dropped, inner, out, hidden, column, scratch });
        }
    }
}

/// One head of one sequence.
struct Head<'a> {
    op: &'a AttentionOp,
    /// Number of its first attention weight, for dropout.
    first_weight: usize,
    padding: &'a [f32],
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    size: usize,
    scale: f32,
}

struct Forward<'a> {
    head: Head<'a>,
    weights: &'a mut [f32],
    dropped: &'a mut [f32],
    out: &'a mut [f32],
    hidden: usize,
    column: usize,
    scratch: &'a mut Scratch,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { head, weights, dropped, out, hidden, column, scratch } = self;
        let (length, size) = (head.op.length, head.size);
        product(simd, scratch, (head.query, head.key.transposed()), (length, length, size), |row, column, values| {
            copy(weights, row * length + column, values);
        });
        for row in weights.chunks_exact_mut(length) {
            for (score, padding) in row.iter_mut().zip(head.padding) {
                *score = *score * head.scale + padding;
            }
            let top = largest(row);
            row.iter_mut().for_each(|score| *score = exp(*score - top));
            let inverse = 1.0 / sum(row);
            row.iter_mut().for_each(|weight| *weight *= inverse);
        }
        match head.op.dropout {
            Some((key, dropout)) => {
                key.multipliers(dropout, head.first_weight, dropped);
                for (dropped, weight) in dropped.iter_mut().zip(weights.iter_mut()) {
                    let multiplier = *dropped;
                    *dropped *= *weight;
                    *weight = if multiplier == 0.0 { -*weight } else { *weight };
                }
            }
            None => dropped.copy_from_slice(weights),
        }
        product(simd, scratch, (View::rows(dropped, length), head.value), (length, size, length), |row, at, values| {
            copy(out, row * hidden + column + at, values);
        });
    }
}

struct Backward<'a> {
    head: Head<'a>,
    weights: &'a [f32],
    gradient: View<'a>,
    dropped: &'a mut [f32],
    inner: &'a mut [f32],
    out: &'a mut [f32],
    hidden: usize,
    column: usize,
    scratch: &'a mut Scratch,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { head, weights, gradient, dropped, inner, out, hidden, column, scratch } = self;
        let (length, size) = (head.op.length, head.size);
        let keep = head.op.dropout.map_or(1.0, |(_, dropout)| dropout_scale(dropout.probability));
        for (dropped, weight) in dropped.iter_mut().zip(weights) {
            *dropped = if weight.is_sign_negative() { 0.0 } else { weight * keep };
        }
        let place = |which: usize, row: usize, at: usize| row * 3 * hidden + which * hidden + column + at;
        let narrow = (length, size, length);
        product(simd, scratch, (View::rows(dropped, length).transposed(), gradient), narrow, |row, at, values| {
            copy(out, place(2, row, at), values);
        });
        product(simd, scratch, (gradient, head.value.transposed()), (length, length, size), |row, at, values| {
            copy(inner, row * length + at, values);
        });
        // dS = P ⊙ (dP − Σ dP ⊙ P), where P ⊙ dP = dropped ⊙ (gradient of dropped).
        let rows = inner.chunks_exact_mut(length).zip(dropped.chunks_exact(length)).zip(weights.chunks_exact(length));
        for ((inner, dropped), weights) in rows {
            let along = dot(inner, dropped);
            for ((inner, dropped), weight) in inner.iter_mut().zip(dropped).zip(weights) {
                *inner = (*inner * dropped - weight.abs() * along) * head.scale;
            }
        }
        product(simd, scratch, (View::rows(inner, length), head.key), narrow, |row, at, values| {
            copy(out, place(0, row, at), values);
        });
        product(simd, scratch, (View::rows(inner, length).transposed(), head.query), narrow, |row, at, values| {
            copy(out, place(1, row, at), values);
        });
    }
}

#[inline(always)]
fn copy(out: &mut [f32], start: usize, values: &[f32]) {
    if let Some(out) = out.get_mut(start..start + values.len()) {
        out.copy_from_slice(values);
    }
}

impl CustomOp1 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let (hidden, qkv) = (width / 3, slice(qkv, layout)?);
        let mut out = zeros(rows * hidden);
        let per_sequence = self.length * hidden;
        if self.training {
            let square = self.heads * self.length * self.length;
            let mut weights = zeros(rows / self.length * square);
            for_chunk_pairs((&mut out, per_sequence), (&mut weights, square), |sequence, out, weights| {
                self.forward(sequence, qkv, out, weights);
            });
            *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
        } else {
            for_chunks(&mut out, per_sequence, |sequence, out| self.forward(sequence, qkv, out, &mut []));
        }
        Ok((CpuStorage::F32(out), (rows, hidden).into()))
    }

    fn bwd(&self, qkv: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let square = self.heads * self.length * self.length;
        let mut out = zeros(qkv.elem_count());
        let (_, width) = qkv.dims2()?;
        let per_sequence = self.length * width / 3;
        with_values(qkv, |values| {
            with_values(gradient, |gradient| {
                for_chunks(&mut out, self.length * width, |sequence, out| {
                    let gradient = gradient.chunks(per_sequence).nth(sequence).unwrap_or_default();
                    self.backward(sequence, values, gradient, weights.chunks(square).nth(sequence).unwrap_or_default(), out);
                });
            })
        })??;
        Ok(Some(tensor(out, qkv.shape())?))
    }
}
