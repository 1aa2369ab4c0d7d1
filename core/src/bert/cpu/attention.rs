//! Attention by heads. Keys after a sequence's last token are left out: their weights are exactly 0.

use pulp::{Arch, Simd, WithSimd};

use super::super::{
    math::{exp, largest, sum},
    product::{Left, Right, View, multiply},
    threads::{for_chunks, zeros},
};

/// Queries whose weights are held at once: a multiple of every band.
const QUERIES: usize = 48;

/// `softmax(Q·Kᵀ/√d − 10000·(1 − mask))·V`: `qkv` `[rows, 3·hidden]`, `mask` `[rows]` → `[rows, hidden]`.
pub fn attention(qkv: &[f32], hidden: usize, mask: &[u32], length: usize, heads: usize) -> Vec<f32> {
    let (length, size) = (length.max(1), hidden / heads);
    let mut out = zeros(mask.len() * hidden);
    let mut tasks = Vec::new();
    for (sequence, out) in out.chunks_exact_mut(length * hidden).enumerate() {
        let mut by_head: Vec<Vec<&mut [f32]>> = (0..heads).map(|_| Vec::with_capacity(length)).collect();
        for row in out.chunks_exact_mut(hidden) {
            by_head.iter_mut().zip(row.chunks_exact_mut(size)).for_each(|(rows, row)| rows.push(row));
        }
        let mask = mask.get(sequence * length..(sequence + 1) * length).unwrap_or_default();
        tasks.extend(by_head.into_iter().enumerate().map(|(head, out)| {
            let start = sequence * length * 3 * hidden + head * size;
            let part = |which: usize| View::rows(qkv.get(start + which * hidden..).unwrap_or_default(), 3 * hidden);
            Head { query: part(0), key: part(1), value: part(2), size, mask, out }
        }));
    }
    for_chunks(&mut tasks, 1, |_, tasks| tasks.iter_mut().for_each(|head| Arch::new().dispatch(head)));
    out
}

/// One head of one sequence.
struct Head<'a> {
    query: View<'a>,
    key: View<'a>,
    value: View<'a>,
    size: usize,
    mask: &'a [u32],
    /// `[length, size]`, apart from each other.
    out: Vec<&'a mut [f32]>,
}

impl WithSimd for &mut Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let length = self.mask.len();
        // A sequence without any token: all keys count alike.
        let keys = self.mask.iter().rposition(|mask| *mask != 0).map_or(length, |last| last + 1);
        let padding: Vec<f32> = self.mask.iter().take(keys).map(|mask| (1.0 - *mask as f32) * -10_000.0).collect();
        let scale = 1.0 / (self.size as f32).sqrt();
        let (mut key, mut value, mut left) = (Right::default(), Right::default(), Left::default());
        key.pack(simd, self.key.transposed(), self.size, keys);
        value.pack(simd, self.value, keys, self.size);
        let mut weights = vec![0.0; QUERIES * keys];
        for (block, out) in self.out.chunks_mut(QUERIES).enumerate() {
            left.pack(simd, self.query.skip_rows(block * QUERIES), out.len(), self.size);
            multiply(simd, &left, &key, 0..keys, |row, column, scores| {
                put(weights.get_mut(row * keys + column..).unwrap_or_default(), scores);
            });
            for row in weights.chunks_exact_mut(keys).take(out.len()) {
                row.iter_mut().zip(&padding).for_each(|(score, padding)| *score = *score * scale + padding);
                let top = largest(row);
                row.iter_mut().for_each(|score| *score = exp(*score - top));
                let inverse = 1.0 / sum(row);
                row.iter_mut().for_each(|weight| *weight *= inverse);
            }
            left.pack(simd, View::rows(&weights, keys), out.len(), keys);
            multiply(simd, &left, &value, 0..self.size, |row, column, values| {
                if let Some(out) = out.get_mut(row) {
                    put(out.get_mut(column..).unwrap_or_default(), values);
                }
            });
        }
    }
}

#[inline(always)]
fn put(out: &mut [f32], values: &[f32]) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out = *value);
}
