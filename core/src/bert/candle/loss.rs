//! Weighted softmax cross-entropy with hits, as one operation.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{
    super::{
        math::{exp, largest},
        threads::{for_chunk_pairs, for_chunks, zeros},
    },
    host::{slice, tensor, with_values},
};

/// Argument: logits `[n, classes]`; result: weighted sum of losses, weight of the hits.
#[derive(Debug)]
pub struct LossOp {
    labels: Vec<u32>,
    weights: Vec<f32>,
    /// Logarithm of every row's sum of exponentials, left by the forward pass.
    normalizers: Mutex<Vec<f32>>,
}

impl LossOp {
    pub fn new(labels: Vec<u32>, weights: Vec<f32>) -> Self {
        Self { labels, weights, normalizers: Mutex::default() }
    }
}

impl CustomOp1 for LossOp {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, classes) = layout.shape().dims2()?;
        let logits = slice(logits, layout)?;
        let (mut normalizers, mut hits) = (vec![0.0; rows], vec![false; rows]);
        for_chunk_pairs(
            (&mut normalizers, 1),
            (&mut hits, 1),
            #[inline(always)]
            |row, normalizer, hit| {
                let label = self.labels.get(row).copied().unwrap_or_default() as usize;
                let row = logits.chunks(classes).nth(row).unwrap_or_default();
                let top = largest(row);
                normalizer.fill(top + exponentials(row, top).ln());
                hit.fill(row.iter().position(|value| *value == top) == Some(label));
            },
        );
        let mut sums = [0.0_f64; 2];
        let targets = self.labels.iter().zip(&self.weights).zip(logits.chunks_exact(classes));
        for (((label, weight), row), (normalizer, hit)) in targets.zip(normalizers.iter().zip(hits)) {
            let nll = normalizer - row.get(*label as usize).copied().unwrap_or(f32::NAN);
            sums = [sums[0] + f64::from(weight * nll), sums[1] + if hit { f64::from(*weight) } else { 0.0 }];
        }
        *self.normalizers.lock().unwrap_or_else(PoisonError::into_inner) = normalizers;
        Ok((CpuStorage::F32(sums.map(|sum| sum as f32).to_vec()), 2.into()))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, classes) = logits.dims2()?;
        let gradient = gradient.to_vec1::<f32>()?.first().copied().unwrap_or_default();
        let normalizers = self.normalizers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = zeros(logits.elem_count());
        with_values(logits, |logits| {
            for_chunks(
                &mut out,
                classes,
                #[inline(always)]
                |row, out| {
                    let weight = gradient * self.weights.get(row).copied().unwrap_or_default();
                    let normalizer = normalizers.get(row).copied().unwrap_or_default();
                    let logits = logits.chunks(classes).nth(row).unwrap_or_default();
                    for (out, logit) in out.iter_mut().zip(logits) {
                        *out = exp(logit - normalizer) * weight;
                    }
                    let label = self.labels.get(row).and_then(|label| out.get_mut(*label as usize));
                    label.into_iter().for_each(|value| *value -= weight);
                },
            );
        })?;
        Ok(Some(tensor(out, logits.shape())?))
    }
}

#[inline(always)]
fn exponentials(row: &[f32], top: f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|value| exp(value - top)).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += exp(value - top);
        }
    }
    lanes.iter().sum::<f32>() + rest
}
