//! The learning rate: linear decay, which the warm-up replaces (google-research/bert @ eedf571, `optimization.py`).

use serde::{Deserialize, Serialize};

/// Linear warm-up, then linear decay to 0. Because the warm-up *replaces* the decay, the rate jumps down where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Updates in all.
    pub steps: u64,
    /// Updates of the warm-up.
    pub warmup_steps: u64,
}

impl Schedule {
    /// The rate of update number `step` (from 0, whose rate is 0 if there is a warm-up), in `f32` as TensorFlow computes it.
    pub fn rate(&self, step: u64) -> f32 {
        if step < self.warmup_steps {
            return self.learning_rate * (step as f32 / self.warmup_steps as f32);
        }
        self.learning_rate * (1.0 - step.min(self.steps) as f32 / self.steps.max(1) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_the_original() {
        let schedule = Schedule { learning_rate: 5e-5, steps: 150_000, warmup_steps: 10_000 };
        for (step, rate) in [
            (0, 0.0),
            (5_000, 2.5e-5),
            (9_999, 4.9995e-5),
            (10_000, 4.666_666_7e-5),
            (75_000, 2.5e-5),
            (150_000, 0.0),
            (200_000, 0.0),
        ] {
            assert!((schedule.rate(step) - rate).abs() <= 1e-6 * rate, "{step}: {}", schedule.rate(step));
        }
        // 1 − 149,999/150,000 has few digits left in f32: 6.68e-6 instead of 6.67e-6.
        assert!((schedule.rate(149_999) - 3.33e-10).abs() < 2e-12);
    }

    #[test]
    fn without_a_warm_up_the_first_rate_is_the_peak() {
        assert_eq!(Schedule { learning_rate: 0.1, steps: 10, warmup_steps: 0 }.rate(0), 0.1);
    }
}
