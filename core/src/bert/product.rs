//! Matrix products in single precision inside one thread.
//!
//! Operands are packed so that the innermost loop reads both from front to back: the left one in bands of rows, the right one in panels of
//! columns. Every value of the result is one sum from the first product to the last, so it does not depend on where it lies.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Vectors side by side in a panel.
const VECTORS: usize = 2;

/// Rows of a band, by instruction set: as many as there are registers for their sums, two each.
#[inline(always)]
const fn band<S: Simd>() -> usize {
    if cfg!(target_family = "wasm") {
        // On x86-64, engines have 16 registers for WebAssembly's vectors, whatever pulp says, and LLVM orders the products so that all
        // values of a band are held at once.
        4
    } else if S::REGISTER_COUNT >= 32 {
        12
    } else {
        6
    }
}

/// Columns of a panel on this processor.
pub fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

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

    /// Without its first rows.
    pub fn skip_rows(self, rows: usize) -> Self {
        Self { values: self.values.get(rows * self.row_stride..).unwrap_or_default(), ..self }
    }

    /// Values of a row; those beyond the last are 0.
    #[inline(always)]
    fn row(&self, row: usize) -> impl Fn(usize) -> f32 + use<'a> {
        let (values, stride) = (self.values.get(row * self.row_stride..).unwrap_or_default(), self.column_stride);
        move |column| values.get(column * stride).copied().unwrap_or_default()
    }
}

/// A left operand `[rows, depth]` in bands: `[bands, depth, rows of a band]`.
#[derive(Debug, Default)]
pub struct Left {
    values: Vec<f32>,
    rows: usize,
    depth: usize,
}

impl Left {
    #[inline(always)]
    pub fn pack<S: Simd>(&mut self, _: S, a: View<'_>, rows: usize, depth: usize) {
        (self.rows, self.depth) = (rows, depth);
        self.values.clear();
        match const { band::<S>() } {
            12 => self.pack_bands::<12>(a),
            6 => self.pack_bands::<6>(a),
            _ => self.pack_bands::<4>(a),
        }
    }

    #[inline(always)]
    fn pack_bands<const ROWS: usize>(&mut self, a: View<'_>) {
        self.values.reserve(self.rows.next_multiple_of(ROWS) * self.depth);
        for first in (0..self.rows).step_by(ROWS) {
            let rows: [_; ROWS] = std::array::from_fn(|row| a.row(first + row));
            if first + ROWS <= self.rows {
                self.values.extend((0..self.depth).flat_map(|at| rows.each_ref().map(|row| row(at))));
            } else {
                let inside = self.rows - first;
                let padded = |at: usize| {
                    std::array::from_fn::<_, ROWS, _>(
                        |row| if row < inside { rows.get(row).map_or(0.0, |row| row(at)) } else { 0.0 },
                    )
                };
                self.values.extend((0..self.depth).flat_map(padded));
            }
        }
    }
}

/// A right operand `[depth, columns]` in panels: `[panels, depth, width]`.
#[derive(Debug, Default, Clone)]
pub struct Right {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
    width: usize,
}

impl Right {
    /// Zeros.
    pub fn new(depth: usize, columns: usize) -> Self {
        let width = panel_width();
        Self { values: vec![0.0; columns.next_multiple_of(width) * depth], depth, columns, width }
    }

    pub const fn depth(&self) -> usize {
        self.depth
    }

    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Places of a column's values.
    fn places(&self, column: usize) -> impl Iterator<Item = usize> + use<> {
        let (depth, width) = (self.depth, self.width.max(1));
        let first = column / width * width * depth + column % width;
        (0..depth).map(move |at| first + at * width)
    }

    /// Puts in a column.
    pub fn set_column(&mut self, column: usize, values: &[f32]) {
        for (place, value) in self.places(column).zip(values) {
            if let Some(place) = self.values.get_mut(place) {
                *place = *value;
            }
        }
    }

    /// Values of a column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        self.places(column).map(|place| self.values.get(place).copied().unwrap_or_default())
    }

    #[inline(always)]
    pub fn pack<S: Simd>(&mut self, _: S, b: View<'_>, depth: usize, columns: usize) {
        let width = VECTORS * S::F32_LANES;
        (self.depth, self.columns, self.width) = (depth, columns, width);
        self.values.clear();
        for first in (0..columns).step_by(width) {
            let inside = width.min(columns - first);
            for at in 0..depth {
                let start = at * b.row_stride + first * b.column_stride;
                match b.column_stride {
                    1 => self.values.extend_from_slice(b.values.get(start..start + inside).unwrap_or_default()),
                    stride => {
                        self.values.extend(b.values.get(start..).unwrap_or_default().iter().step_by(stride).take(inside));
                    }
                }
                self.values.resize(self.values.len().next_multiple_of(width), 0.0);
            }
        }
    }
}

/// `store(i, j, values)` gets the values of row i of `left·right` from column j on, in pieces that cover `columns` once. `columns` begins
/// at the start of a panel; `right` was packed for this instruction set.
#[inline(always)]
pub fn multiply<S: Simd>(simd: S, left: &Left, right: &Right, columns: Range<usize>, store: impl FnMut(usize, usize, &[f32])) {
    match const { band::<S>() } {
        12 => multiply_bands::<S, 12>(simd, left, right, columns, store),
        6 => multiply_bands::<S, 6>(simd, left, right, columns, store),
        _ => multiply_bands::<S, 4>(simd, left, right, columns, store),
    }
}

#[inline(always)]
fn multiply_bands<S: Simd, const ROWS: usize>(
    simd: S,
    left: &Left,
    right: &Right,
    columns: Range<usize>,
    mut store: impl FnMut(usize, usize, &[f32]),
) {
    let width = VECTORS * S::F32_LANES;
    if left.depth != right.depth || right.width != width {
        return;
    }
    let depth = left.depth.max(1);
    let panels = right.values.chunks_exact(depth * width).skip(columns.start / width);
    for (first, panel) in columns.clone().step_by(width).zip(panels) {
        let panel = S::as_simd_f32s(panel).0.as_chunks::<VECTORS>().0;
        let inside = width.min(columns.end - first);
        for (band, left_band) in left.values.as_chunks::<ROWS>().0.chunks_exact(depth).enumerate() {
            let sums = tile(simd, left_band, panel);
            for (row, sums) in (band * ROWS..left.rows).zip(&sums) {
                let values: &[f32] = bytemuck::cast_slice(sums);
                store(row, first, values.get(..inside).unwrap_or_default());
            }
        }
    }
}

/// `[depth, ROWS]`ᵀ · `[depth, 2 vectors]`.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize>(simd: S, left: &[[f32; ROWS]], right: &[[S::f32s; VECTORS]]) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for (left, [b0, b1]) in left.iter().zip(right) {
        for (sums, a) in sums.iter_mut().zip(left) {
            let a = simd.splat_f32s(*a);
            let [s0, s1] = *sums;
            *sums = [simd.mul_add_e_f32s(a, *b0, s0), simd.mul_add_e_f32s(a, *b1, s1)];
        }
    }
    sums
}

/// Room for packed operands, to be used again.
#[cfg(feature = "candle")]
#[derive(Debug, Default)]
pub struct Scratch {
    left: Left,
    right: Right,
}

/// As [`multiply`], of `a` `[m, k]` and `b` `[k, n]` as they are.
#[cfg(feature = "candle")]
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    scratch: &mut Scratch,
    (a, b): (View<'_>, View<'_>),
    (m, n, k): (usize, usize, usize),
    store: impl FnMut(usize, usize, &[f32]),
) {
    scratch.left.pack(simd, a, m, k);
    scratch.right.pack(simd, b, k, n);
    multiply(simd, &scratch.left, &scratch.right, 0..n, store);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Product<'a>((View<'a>, View<'a>), (usize, usize, usize));

    impl WithSimd for Product<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let (m, n, k) = self.1;
            let mut out = vec![f32::NAN; m * n];
            let (mut left, mut right) = (Left::default(), Right::default());
            left.pack(simd, self.0.0, m, k);
            right.pack(simd, self.0.1, k, n);
            multiply(simd, &left, &right, 0..n, |row, column, values| {
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
                for arch in [Arch::new(), Arch::Scalar] {
                    let found = arch.dispatch(Product((left, right), (m, n, k)));
                    for row in 0..m {
                        for column in 0..n {
                            let expected: f32 = (0..k).map(|at| left.row(row)(at) * right.row(at)(column)).sum();
                            assert!((found[row * n + column] - expected).abs() < 1e-5);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn columns_that_were_put_in_come_back() {
        let mut right = Right::new(3, 40);
        right.set_column(37, &[1.0, 2.0, 3.0]);
        assert_eq!(right.column(37).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        assert!((0..40).filter(|column| *column != 37).all(|column| right.column(column).all(|value| value == 0.0)));
    }
}
