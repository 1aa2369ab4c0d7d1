//! `LayerNorm(residual + x)`.

use super::super::{
    math::{dot, sum},
    threads::{for_chunks, rows_per_chunk, zeros},
};

/// Rows as wide as `scale` and `shift`.
pub fn add_norm(x: &[f32], residual: Option<&[f32]>, scale: &[f32], shift: &[f32], epsilon: f32) -> Vec<f32> {
    let width = scale.len().max(1);
    let chunk = rows_per_chunk(width) * width;
    let mut out = zeros(x.len());
    for_chunks(
        &mut out,
        chunk,
        #[inline(always)]
        |index, out| {
            let first = index * chunk;
            out.copy_from_slice(x.get(first..first + out.len()).unwrap_or_default());
            if let Some(residual) = residual.and_then(|values| values.get(first..)) {
                out.iter_mut().zip(residual).for_each(|(sum, value)| *sum += value);
            }
            for row in out.chunks_exact_mut(width) {
                let mean = sum(row) / width as f32;
                row.iter_mut().for_each(|value| *value -= mean);
                let inverse = 1.0 / (dot(row, row) / width as f32 + epsilon).sqrt();
                for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
                    *value = *value * inverse * scale + shift;
                }
            }
        },
    );
    out
}
