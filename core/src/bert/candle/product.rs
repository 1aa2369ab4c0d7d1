//! Small matrix products inside one thread, for attention: 128 × 128 × 64, too small to share between threads.

use pulp::Simd;

/// Rows of the result that are computed together.
const ROWS: usize = 4;
/// Columns of the result that are computed together: a multiple of every machine's vector.
const COLUMNS: usize = 32;

/// A matrix in a slice: element (i, j) is at `i · row_stride + j · column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> View<'a> {
    pub const fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self { values, row_stride, column_stride: 1 }
    }

    pub const fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> f32 {
        self.values.get(row * self.row_stride + column * self.column_stride).copied().unwrap_or_default()
    }
}

/// Room for packed operands, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    left: Vec<[f32; ROWS]>,
    right: Vec<f32>,
}

/// `store(i, j, values)` gets the values of row i of `a·b` from column j on, for `a` `[m, k]` and `b` `[k, n]`, in pieces that cover
/// the product once.
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    scratch: &mut Scratch,
    (a, b): (View<'_>, View<'_>),
    (m, n, k): (usize, usize, usize),
    mut store: impl FnMut(usize, usize, &[f32]),
) {
    pack_left(&mut scratch.left, a, m, k);
    pack_right(&mut scratch.right, b, n, k);
    for (block, right) in scratch.right.chunks_exact((k * COLUMNS).max(1)).enumerate() {
        let first = block * COLUMNS;
        let width = COLUMNS.min(n - first);
        for (band, left) in scratch.left.chunks_exact(k.max(1)).enumerate() {
            let tile = tile(simd, left, right);
            for (row, values) in (band * ROWS..m).zip(&tile) {
                store(row, first, values.get(..width).unwrap_or_default());
            }
        }
    }
}

/// `[k, 4]`ᵀ · `[k, 32]`.
#[inline(always)]
fn tile<S: Simd>(simd: S, left: &[[f32; ROWS]], right: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut out = [[0.0; COLUMNS]; ROWS];
    match COLUMNS / S::F32_LANES {
        2 => tile_of::<S, 2>(simd, left, right, &mut out),
        4 => tile_of::<S, 4>(simd, left, right, &mut out),
        8 => tile_of::<S, 8>(simd, left, right, &mut out),
        _ => tile_of::<S, 32>(simd, left, right, &mut out),
    }
    out
}

/// The columns in `VECTORS` vectors, two at a time so that the sums stay in registers.
#[inline(always)]
fn tile_of<S: Simd, const VECTORS: usize>(simd: S, left: &[[f32; ROWS]], right: &[f32], out: &mut [[f32; COLUMNS]; ROWS]) {
    let right = S::as_simd_f32s(right).0.as_chunks::<VECTORS>().0;
    for pair in 0..VECTORS / 2 {
        let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
        for (left, right) in left.iter().zip(right) {
            let [Some(b0), Some(b1)] = [right.get(2 * pair), right.get(2 * pair + 1)] else { continue };
            for (sums, a) in sums.iter_mut().zip(left) {
                let a = simd.splat_f32s(*a);
                let [s0, s1] = *sums;
                *sums = [simd.mul_add_e_f32s(a, *b0, s0), simd.mul_add_e_f32s(a, *b1, s1)];
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            for (out, sum) in S::as_mut_simd_f32s(out).0.iter_mut().skip(2 * pair).zip(sums) {
                *out = sum;
            }
        }
    }
}

#[inline(always)]
fn pack_left(left: &mut Vec<[f32; ROWS]>, a: View<'_>, m: usize, k: usize) {
    left.clear();
    for band in (0..m).step_by(ROWS) {
        left.extend((0..k).map(|at| std::array::from_fn(|row| if band + row < m { a.at(band + row, at) } else { 0.0 })));
    }
}

#[inline(always)]
fn pack_right(right: &mut Vec<f32>, b: View<'_>, n: usize, k: usize) {
    right.clear();
    for first in (0..n).step_by(COLUMNS) {
        let width = COLUMNS.min(n - first);
        for at in 0..k {
            let start = at * b.row_stride + first * b.column_stride;
            match b.column_stride {
                1 => right.extend_from_slice(b.values.get(start..start + width).unwrap_or_default()),
                stride => right.extend(b.values.get(start..).unwrap_or_default().iter().step_by(stride).take(width)),
            }
            right.resize((right.len()).next_multiple_of(COLUMNS), 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Product<'a>((View<'a>, View<'a>), (usize, usize, usize));

    impl pulp::WithSimd for Product<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let (m, n, _) = self.1;
            let mut out = vec![f32::NAN; m * n];
            product(simd, &mut Scratch::default(), self.0, self.1, |row, column, values| {
                out[row * n + column..][..values.len()].copy_from_slice(values);
            });
            out
        }
    }

    #[test]
    fn products_of_all_sizes_and_strides_are_right() {
        for (m, n, k) in [(1, 1, 1), (5, 7, 3), (4, 32, 8), (13, 70, 9)] {
            let values = |count: usize, step: f32| (0..count).map(|at| (at as f32 * step).sin()).collect::<Vec<_>>();
            let (a, b) = (values(m * k, 0.7), values(k * n, 1.3));
            let (at, bt) = (values(m * k, 0.9), values(k * n, 1.1));
            let views =
                [(View::rows(&a, k), View::rows(&b, n)), (View::rows(&at, m).transposed(), View::rows(&bt, k).transposed())];
            for (left, right) in views {
                let found = pulp::Arch::new().dispatch(Product((left, right), (m, n, k)));
                for row in 0..m {
                    for column in 0..n {
                        let expected: f32 = (0..k).map(|at| left.at(row, at) * right.at(at, column)).sum();
                        assert!((found[row * n + column] - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
