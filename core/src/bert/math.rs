//! Elementary functions in branch-free single precision, so that loops over them become vector code.
//!
//! No fused multiply-add and no library call: every instruction set gives the same bits.

#![allow(clippy::excessive_precision, reason = "constants stand as they are published")]

use super::Activation;

/// Adding and subtracting 1.5 · 2²³ rounds to an integer, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// eˣ to 1e-7 relative; 0 below −87. Range reduction and polynomial of Cephes' `expf`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = clamped - whole * 0.693_359_375 + whole * 2.121_944_4e-4;
    let mut polynomial = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        polynomial = polynomial * rest + coefficient;
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUNDER.to_bits()).wrapping_add(127) << 23);
    let value = (polynomial * rest * rest + rest + 1.0) * power;
    if x < -87.0 { 0.0 } else { value }
}

/// GELU and its derivative.
#[cfg(feature = "candle")]
#[inline(always)]
pub fn gelu(x: f32, form: Activation) -> (f32, f32) {
    match form {
        Activation::Gelu => gelu_erf(x),
        Activation::GeluTanh => gelu_tanh(x),
    }
}

/// x·Φ(x), with Φ from the Chebyshev fit of erfc in Press et al., Numerical Recipes §6.2 (1.2e-7 relative).
#[cfg(feature = "candle")]
#[inline(always)]
fn gelu_erf(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut polynomial = 0.170_872_77;
    for coefficient in [
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ] {
        polynomial = polynomial * t + coefficient;
    }
    let density = exp(-z * z);
    let tail = 0.5 * t * density * exp(polynomial);
    let cumulative = if x < 0.0 { tail } else { 1.0 - tail };
    // 1/√(2π)
    (x * cumulative, cumulative + x * density * 0.398_942_3)
}

/// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    const ROOT: f32 = 0.797_884_56;
    let inner = ROOT * (x + 0.044_715 * x * x * x);
    // ½(1 + tanh u) is the logistic function of 2u; written with its complement, neither loses digits where it is small.
    let power = exp(2.0 * inner);
    let complement = 1.0 / (power + 1.0);
    let logistic = power * complement;
    let slope = ROOT * (1.0 + 3.0 * 0.044_715 * x * x);
    (x * logistic, logistic + 2.0 * x * logistic * complement * slope)
}

/// GELU alone, in a third of the operations.
#[inline(always)]
pub fn gelu_value(x: f32, form: Activation) -> f32 {
    match form {
        Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => gelu_tanh(x).0,
    }
}

/// erf x to 3e-7: the rational fit that Eigen and XLA use in single precision; beyond ±4 it is ±1.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut above = -2.726_142_258_013_06e-10;
    for coefficient in [
        2.770_681_424_959_02e-8,
        -2.101_024_020_825_08e-6,
        -5.692_506_394_623_46e-5,
        -7.349_906_303_268_55e-4,
        -2.954_599_808_540_25e-3,
        -1.609_603_332_624_15e-2,
    ] {
        above = above * square + coefficient;
    }
    let mut below = -1.456_607_184_649_96e-5;
    for coefficient in [-2.133_740_552_789_05e-4, -1.682_826_974_382_03e-3, -7.373_329_167_204_68e-3, -1.426_473_905_141_89e-2] {
        below = below * square + coefficient;
    }
    x * above / below
}

/// tanh x to 3e-7 of its range.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

const LANES: usize = 16;

/// Sum of `f(a, b)` over two slices in sixteen lanes: a fixed order that vectorizes.
#[inline(always)]
fn lane_sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| f(*a, *b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Sum of the values.
#[inline(always)]
pub fn sum(values: &[f32]) -> f32 {
    lane_sum(values, values, |value, _| value)
}

/// Sum of the products of two slices of one length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    lane_sum(a, b, |a, b| a * b)
}

/// Largest value.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    range(values).1
}

/// Smallest and largest value.
#[inline(always)]
pub fn range(values: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(chunk) {
            *low = if *value < *low { *value } else { *low };
            *high = if *value > *high { *value } else { *high };
        }
    }
    let of = |lanes: &[f32; LANES], pick: fn(f32, f32) -> f32| lanes.iter().chain(rest).copied().reduce(pick).unwrap_or_default();
    (of(&low, f32::min), of(&high, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> impl Iterator<Item = f32> {
        (-9000..9000).map(|point| point as f32 * 1e-3)
    }

    #[test]
    fn exp_is_right_to_a_few_units_in_the_last_place() {
        for x in points().map(|x| x * 9.0) {
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 3e-7, "{x}");
        }
        assert_eq!((exp(0.0), exp(-10_000.0)), (1.0, 0.0));
        assert!(points().all(|x| (f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 3e-7));
    }

    /// ∫ of the density by Simpson's rule: independent of the formula under test.
    fn cumulative(x: f64) -> f64 {
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 400;
        let width = x / f64::from(steps);
        let part = |step: i32| {
            let left = f64::from(step) * width;
            width / 6.0 * (density(left) + 4.0 * density(left + width / 2.0) + density(left + width))
        };
        0.5 + (0..steps).map(part).sum::<f64>()
    }

    #[test]
    fn both_gelus_are_right() {
        for x in points().step_by(7) {
            let exact = f64::from(x);
            for (form, expected) in [(Activation::Gelu, exact * cumulative(exact)), (Activation::GeluTanh, with_tanh(exact))] {
                let error = (f64::from(gelu_value(x, form)) - expected).abs();
                assert!(error < 3e-7 * (1.0 + exact.abs()), "{form:?} {x}");
            }
        }
    }

    fn with_tanh(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    }

    #[cfg(feature = "candle")]
    #[test]
    fn both_gelus_and_their_derivatives_are_right() {
        for x in points().step_by(7) {
            let exact = f64::from(x);
            let density = (-0.5 * exact * exact).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let (value, slope) = gelu(x, Activation::Gelu);
            assert!((f64::from(value) - exact * cumulative(exact)).abs() < 3e-7 * (1.0 + exact.abs()), "{x}");
            assert!((f64::from(slope) - cumulative(exact) - exact * density).abs() < 6e-7, "{x}");
            let (value, slope) = gelu(x, Activation::GeluTanh);
            assert!((f64::from(value) - with_tanh(exact)).abs() < 3e-7 * (1.0 + exact.abs()), "{x}");
            let expected = (with_tanh(exact + 1e-5) - with_tanh(exact - 1e-5)) / 2e-5;
            assert!((f64::from(slope) - expected).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn sums_count_every_value_once() {
        for count in 0..40_u16 {
            let values: Vec<_> = (1..=count).map(f32::from).collect();
            assert_eq!(sum(&values), f32::from(count * (count + 1) / 2));
            assert_eq!(dot(&values, &vec![2.0; values.len()]), f32::from(count * (count + 1)));
            assert_eq!(largest(&values), values.last().copied().unwrap_or(f32::NEG_INFINITY));
        }
    }
}
