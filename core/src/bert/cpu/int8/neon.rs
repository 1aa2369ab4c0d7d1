//! NEON. The one-instruction dot product (`sdot`) is not in stable Rust 1.95.

use std::arch::aarch64::{int8x16_t, int32x4_t};

use bytemuck::{Zeroable, cast};
use pulp::aarch64::Neon;

use super::dot::{Dot, fold};

impl Dot for Neon {
    const ROWS: usize = 12;
    const LANES: usize = 4;
    type Weights = [i8; 16];
    type Loaded = int8x16_t;
    type Spread = int8x16_t;
    type Sums = int32x4_t;
    type Floats = [f32; 4];

    #[inline(always)]
    fn load(self, weights: &Self::Weights) -> Self::Loaded {
        cast(*weights)
    }

    #[inline(always)]
    fn spread(self, activations: [u8; 4]) -> Self::Spread {
        cast([activations; 4])
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        Zeroable::zeroed()
    }

    #[inline(always)]
    fn add(self, sums: Self::Sums, weights: Self::Loaded, activations: Self::Spread) -> Self::Sums {
        let neon = self.neon;
        let low = neon.vmull_s8(neon.vget_low_s8(weights), neon.vget_low_s8(activations));
        let high = neon.vmull_high_s8(weights, activations);
        // Two products of seven and eight bits fit into 16.
        neon.vpadalq_s16(sums, neon.vpaddq_s16(low, high))
    }

    #[inline(always)]
    fn fold(self, sums: Self::Sums, step_and_low: [f32; 2], weight_sums: &Self::Floats, totals: &mut Self::Floats) {
        fold::<4>(cast(sums), step_and_low, weight_sums, totals);
    }
}
