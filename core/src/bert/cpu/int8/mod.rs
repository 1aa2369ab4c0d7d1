//! Products of byte weights with activations that are made bytes on the way.
//!
//! Weights are signed bytes with one scale an output. Every row of activations is cut into groups of [`GROUP`]; in a group a value x is stood
//! for by q = round((x − low) / step), 0 to 127, with the group's own `low` and `step`. Then
//!
//! `Σ w·x ≈ scale · Σ over groups (step · Σ w·q + low · Σ w)`
//!
//! where the inner sums are exact integers and `Σ w` is known beforehand. Seven bits, because that is what all instruction sets multiply
//! with signed bytes without overflow (WebAssembly's relaxed dot product promises no more); groups, because a few of BERT's hidden
//! dimensions are many times larger than all others and would otherwise take the digits of the whole row. The error of a value is at most
//! half a step: 1/254 of its group's range.

mod activations;
mod dot;
mod weights;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

use pulp::NullaryFnOnce;

use self::dot::{Dot, Portable};
pub use self::{activations::Activations, weights::Weights};

/// Inputs that share a step: a multiple of 4.
const GROUP: usize = 256;

/// What multiplies bytes on this processor.
#[derive(Debug, Clone, Copy)]
pub enum Instructions {
    /// No special instruction.
    Portable,
    /// 64 products at once.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86::Vnni),
    /// 32 products at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// 16 products in four instructions.
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    /// 16 products at once with relaxed SIMD, 8 without.
    #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
    Wasm,
}

impl Default for Instructions {
    /// The best that there are.
    fn default() -> Self {
        Self::all().first().copied().unwrap_or(Self::Portable)
    }
}

impl Instructions {
    /// All that this processor has, the best first.
    fn all() -> Vec<Self> {
        [
            #[cfg(target_arch = "x86_64")]
            x86::Vnni::try_new().map(Self::Avx512Vnni),
            #[cfg(target_arch = "x86_64")]
            pulp::x86::V3::try_new().map(Self::Avx2),
            #[cfg(target_arch = "aarch64")]
            pulp::aarch64::Neon::try_new().map(Self::Neon),
            #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
            Some(Self::Wasm),
            Some(Self::Portable),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Rows of activations and outputs that are computed together.
    fn tile(self) -> (usize, usize) {
        const fn of<D: Dot>(_: D) -> (usize, usize) {
            (D::ROWS, 2 * D::LANES)
        }
        match self {
            Self::Portable => of(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(vnni) => of(vnni),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => of(avx2),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(neon) => of(neon),
            #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
            Self::Wasm => of(wasm::Wasm),
        }
    }
}

/// Writes the products with outputs `first`, `first + 1` … into the rows of `out`. `first` is the start of a panel.
pub fn multiply(instructions: Instructions, activations: &Activations, weights: &Weights, first: usize, out: &mut [&mut [f32]]) {
    match instructions {
        Instructions::Portable => Multiply { dot: Portable, activations, weights, first, out }.call(),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni(vnni) => vnni.vectorize(Multiply { dot: vnni, activations, weights, first, out }),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(avx2) => avx2.vectorize(Multiply { dot: avx2, activations, weights, first, out }),
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon(neon) => neon.vectorize(Multiply { dot: neon, activations, weights, first, out }),
        #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
        Instructions::Wasm => Multiply { dot: wasm::Wasm, activations, weights, first, out }.call(),
    }
}

struct Multiply<'a, 'b, D> {
    dot: D,
    activations: &'a Activations,
    weights: &'a Weights,
    first: usize,
    out: &'a mut [&'b mut [f32]],
}

impl<D: Dot> NullaryFnOnce for Multiply<'_, '_, D> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match D::ROWS {
            12 => self.bands::<12>(),
            6 => self.bands::<6>(),
            2 => self.bands::<2>(),
            _ => self.bands::<4>(),
        }
    }
}

impl<D: Dot> Multiply<'_, '_, D> {
    #[inline(always)]
    fn bands<const ROWS: usize>(self) {
        let Self { dot, activations, weights, first, out } = self;
        let width = 2 * D::LANES;
        let columns = out.first().map_or(0, |row| row.len());
        for column in (0..columns).step_by(width) {
            let panel = weights.panel(first + column);
            let bytes: &[[D::Weights; 2]] = bytemuck::try_cast_slice(panel.bytes).unwrap_or_default();
            let sums: &[[D::Floats; 2]] = bytemuck::try_cast_slice(panel.sums).unwrap_or_default();
            for (out, (quads, steps)) in out.chunks_mut(ROWS).zip(activations.bands::<ROWS>()) {
                let mut totals = [[bytemuck::Zeroable::zeroed(); 2]; ROWS];
                let groups = quads.chunks(GROUP / 4).zip(bytes.chunks(GROUP / 4)).zip(steps.iter().zip(sums));
                for ((quads, bytes), (steps, weight_sums)) in groups {
                    let sums = tile(dot, quads, bytes);
                    for ((totals, sums), step) in totals.iter_mut().zip(&sums).zip(steps) {
                        for ((totals, sums), weight_sums) in totals.iter_mut().zip(sums).zip(weight_sums) {
                            dot.fold(*sums, *step, weight_sums, totals);
                        }
                    }
                }
                for (out, totals) in out.iter_mut().zip(&totals) {
                    let totals: &[f32] = bytemuck::cast_slice(totals);
                    let out = out.get_mut(column..).unwrap_or_default();
                    for ((out, total), scale) in out.iter_mut().zip(totals).zip(panel.scales) {
                        *out = total * scale;
                    }
                }
            }
        }
    }
}

/// Sums of the products of four activations a row with four weights an output, over all of `quads`: exact.
#[inline(always)]
fn tile<D: Dot, const ROWS: usize>(dot: D, quads: &[[[u8; 4]; ROWS]], weights: &[[D::Weights; 2]]) -> [[D::Sums; 2]; ROWS] {
    let mut sums = [[dot.zero(); 2]; ROWS];
    for (quads, [w0, w1]) in quads.iter().zip(weights) {
        let (w0, w1) = (dot.load(w0), dot.load(w1));
        for (sums, quad) in sums.iter_mut().zip(quads) {
            let quad = dot.spread(*quad);
            let [s0, s1] = *sums;
            *sums = [dot.add(s0, w0, quad), dot.add(s1, w1, quad)];
        }
    }
    sums
}
