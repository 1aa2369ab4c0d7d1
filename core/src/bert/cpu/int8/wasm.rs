//! WebAssembly: one instruction a vector with relaxed SIMD, four without. Which of them is decided when it is compiled, because engines
//! without relaxed SIMD refuse a module that holds such an instruction.

use std::arch::wasm32::{i32x4_splat, v128};

use bytemuck::{Zeroable, cast};

use super::dot::{Dot, fold};

/// The instructions are part of the module.
#[derive(Debug, Clone, Copy)]
pub struct Wasm;

#[cfg(target_feature = "relaxed-simd")]
impl Dot for Wasm {
    const ROWS: usize = 4;
    const LANES: usize = 4;
    type Weights = [i8; 16];
    type Loaded = v128;
    type Spread = v128;
    type Sums = v128;
    type Floats = [f32; 4];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        cast(*weights)
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        i32x4_splat(i32::from_ne_bytes(activations))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        Zeroable::zeroed()
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        std::arch::wasm32::i32x4_relaxed_dot_i8x16_i7x16_add(weights, activations, sums)
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        fold::<4>(cast(sums), step_and_low, weight_sums, totals);
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
impl Dot for Wasm {
    const ROWS: usize = 2;
    const LANES: usize = 4;
    type Weights = [i8; 16];
    /// 16 bits a weight, two outputs in each.
    type Loaded = [v128; 2];
    /// 16 bits an activation, all four twice.
    type Spread = v128;
    /// Two sums an output, two outputs in each.
    type Sums = [v128; 2];
    type Floats = [f32; 4];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        use std::arch::wasm32::{i16x8_extend_high_i8x16, i16x8_extend_low_i8x16};
        let weights = cast(*weights);
        [i16x8_extend_low_i8x16(weights), i16x8_extend_high_i8x16(weights)]
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        std::arch::wasm32::u16x8_extend_low_u8x16(i32x4_splat(i32::from_ne_bytes(activations)))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        Zeroable::zeroed()
    }

    #[inline(always)]
    fn add(self, [low, high]: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        use std::arch::wasm32::{i32x4_add, i32x4_dot_i16x8};
        let [w0, w1] = weights;
        [i32x4_add(low, i32x4_dot_i16x8(w0, activations)), i32x4_add(high, i32x4_dot_i16x8(w1, activations))]
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        let [[a, b, c, d], [e, f, g, h]]: [[i32; 4]; 2] = cast(sums);
        fold([a + b, c + d, e + f, g + h], step_and_low, weight_sums, totals);
    }
}
