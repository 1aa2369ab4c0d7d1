//! What an instruction set has to offer for products of bytes.

use bytemuck::Pod;

/// Sums of products of signed bytes with bytes of seven bits, four to a lane.
pub trait Dot: Copy {
    /// Rows of activations that are computed together: as many as there are registers for their sums.
    const ROWS: usize;
    /// Lanes of a vector of sums.
    const LANES: usize;
    /// Four signed bytes a lane, as they are stored.
    type Weights: Pod;
    /// The same in registers.
    type Loaded: Copy;
    /// Four activations, in every lane.
    type Spread: Copy;
    /// A sum a lane.
    type Sums: Copy;
    /// An `f32` a lane.
    type Floats: Pod;

    fn load(self, weights: &Self::Weights) -> Self::Loaded;
    fn spread(self, activations: [u8; 4]) -> Self::Spread;
    fn zero(self) -> Self::Sums;
    /// Adds the four products of every lane.
    fn add(self, sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums;
    /// Adds a group's part of the result: `totals += step · sums + low · weight_sums`.
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats);
}

/// [`Dot::fold`] with the sums as an array. Iterators over references: those that take an array by value are not made vector code.
#[inline(always)]
pub fn fold<const N: usize>(sums: [i32; N], [step, low]: [f32; 2], weight_sums: &[f32; N], totals: &mut [f32; N]) {
    for ((total, sum), weight_sum) in totals.iter_mut().zip(&sums).zip(weight_sums) {
        *total += step * *sum as f32 + low * weight_sum;
    }
}

/// Plain Rust: what the others are compared with, and what runs where there are none.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

impl Dot for Portable {
    const ROWS: usize = 4;
    const LANES: usize = 4;
    type Weights = [[i8; 4]; 4];
    type Loaded = [[i8; 4]; 4];
    type Spread = [u8; 4];
    type Sums = [i32; 4];
    type Floats = [f32; 4];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        *weights
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        activations
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; 4]
    }

    #[inline(always)]
    fn add(self, mut sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        for (sum, weights) in sums.iter_mut().zip(&weights) {
            *sum += weights.iter().zip(&activations).map(|(weight, value)| i32::from(*weight) * i32::from(*value)).sum::<i32>();
        }
        sums
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        fold(sums, step_and_low, weight_sums, totals);
    }
}
