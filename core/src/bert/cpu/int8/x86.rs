//! AVX-512 VNNI, and AVX2 for processors without it.

use std::arch::x86_64::{__m256i, __m512i, _mm512_dpbusd_epi32};

use bytemuck::{Zeroable, cast};
use pulp::x86::V3;

use super::dot::{Dot, fold};

pulp::simd_type! {
    /// Proof that the processor has these instructions.
    pub struct Vnni {
        pub avx512f: "avx512f",
        pub avx512bw: "avx512bw",
        pub avx512dq: "avx512dq",
        pub avx512vl: "avx512vl",
        pub avx512vnni: "avx512vnni",
    }
}

impl Dot for Vnni {
    const ROWS: usize = 12;
    const LANES: usize = 16;
    type Weights = [i8; 64];
    type Loaded = __m512i;
    type Spread = __m512i;
    type Sums = __m512i;
    type Floats = [f32; 16];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        cast(*weights)
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        self.avx512f._mm512_set1_epi32(i32::from_ne_bytes(activations))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        Zeroable::zeroed()
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn add(self, sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        // SAFETY: needs only that the processor has the instruction, which `self` proves; nothing but registers is touched.
        unsafe { _mm512_dpbusd_epi32(sums, activations, weights) }
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        fold::<16>(cast(sums), step_and_low, weight_sums, totals);
    }
}

impl Dot for V3 {
    const ROWS: usize = 6;
    const LANES: usize = 8;
    type Weights = [i8; 32];
    type Loaded = __m256i;
    type Spread = __m256i;
    type Sums = __m256i;
    type Floats = [f32; 8];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        cast(*weights)
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        self.avx._mm256_set1_epi32(i32::from_ne_bytes(activations))
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        Zeroable::zeroed()
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        // Two products of seven and eight bits fit into 16.
        let pairs = self.avx2._mm256_maddubs_epi16(activations, weights);
        let fours = self.avx2._mm256_madd_epi16(pairs, self.avx._mm256_set1_epi16(1));
        self.avx2._mm256_add_epi32(sums, fours)
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        fold::<8>(cast(sums), step_and_low, weight_sums, totals);
    }
}
