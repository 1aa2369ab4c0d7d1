//! BERT's Adam: decoupled weight decay, no bias correction (google-research/bert @ eedf571, `AdamWeightDecayOptimizer`).

use serde::{Deserialize, Serialize};

use super::NormRule;

/// Settings of the update; the defaults are the original's constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateSettings {
    /// Share of the first moment that is kept.
    pub beta_1: f64,
    /// Share of the second moment that is kept.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decay of the parameters that have it, in units of the learning rate.
    pub weight_decay: f64,
    /// Largest global norm of the gradients.
    pub clip_norm: f64,
    /// How that norm is taken.
    pub norm_rule: NormRule,
}

impl Default for UpdateSettings {
    fn default() -> Self {
        Self::ORIGINAL
    }
}

/// One tensor's weights and moments, all of one length.
#[derive(Debug)]
pub struct Slices<'a> {
    /// Weights.
    pub weights: &'a mut [f32],
    /// First moment.
    pub first: &'a mut [f32],
    /// Second moment.
    pub second: &'a mut [f32],
}

impl UpdateSettings {
    /// The original's constants.
    pub const ORIGINAL: Self =
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-6, weight_decay: 0.01, clip_norm: 1.0, norm_rule: NormRule::Original };

    /// Updates one tensor: with g the gradient times `scale`, `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`,
    /// `w −= rate · (m / (√v + ε) + decay · w)`.
    #[inline(always)]
    pub fn update(&self, tensor: Slices<'_>, gradient: &[f32], scale: f32, rate: f32, decayed: bool) {
        let (keep_1, add_1) = (self.beta_1 as f32, (1.0 - self.beta_1) as f32);
        let (keep_2, add_2) = (self.beta_2 as f32, (1.0 - self.beta_2) as f32);
        let epsilon = self.epsilon as f32;
        let decay = if decayed { self.weight_decay as f32 } else { 0.0 };
        let moments = tensor.first.iter_mut().zip(tensor.second);
        for ((weight, (first, second)), gradient) in tensor.weights.iter_mut().zip(moments).zip(gradient) {
            let gradient = gradient * scale;
            *first = keep_1 * *first + add_1 * gradient;
            *second = keep_2 * *second + add_2 * (gradient * gradient);
            *weight -= rate * (*first / (second.sqrt() + epsilon) + decay * *weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(decayed: bool, rates: &[f32]) -> (f32, f32, f32) {
        let (mut weight, mut first, mut second) = ([2.0], [0.0], [0.0]);
        for rate in rates {
            let slices = Slices { weights: &mut weight, first: &mut first, second: &mut second };
            UpdateSettings::default().update(slices, &[0.5], 0.5, *rate, decayed);
        }
        (weight[0], first[0], second[0])
    }

    #[test]
    fn a_rate_of_zero_moves_only_the_moments() {
        let (weight, first, second) = run(true, &[0.0]);
        assert_eq!(weight, 2.0);
        assert!((first - 0.025).abs() < 1e-8);
        assert!((second - 6.25e-5).abs() < 1e-10);
    }

    #[test]
    fn there_is_no_bias_correction_and_decay_is_decoupled() {
        // By hand: m/(√v + ε) = 0.025 / (√6.25e-5 + 1e-6) = 3.161878...; without correction the first step is 3.16, not 1, rates long.
        let (plain, ..) = run(false, &[0.01]);
        assert!((f64::from(plain) - (2.0 - 0.01 * (0.025 / (6.25e-5_f64.sqrt() + 1e-6)))).abs() < 1e-6);
        let (decayed, ..) = run(true, &[0.01]);
        assert!((plain - decayed - 0.01 * 0.01 * 2.0).abs() < 1e-6);
    }
}
