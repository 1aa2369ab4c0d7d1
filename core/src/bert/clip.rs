//! Gradient clipping by the global norm.

use serde::{Deserialize, Serialize};

/// Which norm is taken for the word embeddings' gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormRule {
    /// As the original's TensorFlow graph: the gradient of the tied table is a list of rows, those of every looked-up token and those of
    /// the output projection, and the norm is taken over that list **before** rows of the same word are added up
    /// (`tf.global_norm` over `IndexedSlices`). The update itself uses the sum. The difference is mostly below 0.1 %.
    #[default]
    Original,
    /// The norm of the gradient proper.
    Summed,
}

/// Sum of squares, accumulated in `f64` in order.
#[inline(always)]
pub fn square_sum(values: &[f32]) -> f64 {
    // Eight running sums, so that the order is fixed but additions need not wait for one another.
    let mut sums = [0.0_f64; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|value| f64::from(*value).powi(2)).sum();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// What gradients of this global norm are multiplied by: `limit · min(1/norm, 1/limit)`, as `tf.clip_by_global_norm`.
pub fn clip_scale(norm: f64, limit: f64) -> f32 {
    (limit * (1.0 / norm).min(1.0 / limit)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_gradients_are_cut_to_the_limit_and_short_ones_left_alone() {
        assert_eq!(clip_scale(4.0, 1.0), 0.25);
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(0.0, 1.0), 1.0);
    }

    #[test]
    fn the_sum_of_squares_does_not_lose_small_values() {
        let mut values = vec![1e-4_f32; 1_000_003];
        values[0] = 1e3;
        let expected = 1e6 + 1_000_002.0 * f64::from(1e-4_f32).powi(2);
        // In f32 the million small squares, 1e-8 of the whole, would be lost altogether.
        assert!((square_sum(&values) / expected - 1.0).abs() < 1e-10);
    }
}
