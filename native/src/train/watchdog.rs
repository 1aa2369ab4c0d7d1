//! Looks at every update's loss and gradient norm, and tells those that are no number or far above what was usual.
//!
//! Both are watched as logarithms, because what is usual for them is a factor: a norm of 4 where 2 is common means as much as 0.4 where
//! it is 0.2. Mean and variance are exponentially weighted. The default threshold of 10 deviations is out of reach for noise: the
//! logarithms of both figures are close to normally distributed in healthy runs, whose largest of a million draws is 5 deviations out. A
//! run that falls quickly widens the deviation, and only upward jumps count.

use clinicalbert_core::bert::StepReport;
use serde::{Deserialize, Serialize};

/// Weight of the newest update, which makes the memory about a hundred updates.
const NEWEST: f64 = 0.01;
/// Updates before spikes are looked for; by then the variance is known to about a seventh of itself.
const FIRST: u64 = 100;
/// Least deviation that is counted with, as a logarithm. At the default threshold nothing below e^0.5 = 1.6 times the usual is a spike,
/// however quiet the run.
const LEAST_DEVIATION: f64 = 0.05;
/// Nothing below this is a spike: a loss of 1 is a good model's, and a norm of 1 is not even clipped.
const LEAST_SPIKE: f64 = 1.0;
/// What is below this counts as this: a run that has its data by heart goes up and down by factors that mean nothing.
const LEAST_VALUE: f64 = 0.1;

/// What is usual for loss and norm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Trends {
    loss: Trend,
    norm: Trend,
}

/// Running mean and variance of a logarithm; single precision, see [`super::state`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Trend {
    updates: u64,
    mean: f32,
    variance: f32,
}

impl Trends {
    /// What is wrong with an update, if anything is; a `threshold` of 0 asks for numbers only.
    pub fn trouble(&self, report: &StepReport, threshold: f64) -> Option<String> {
        let StepReport { loss, grad_norm, .. } = *report;
        for (name, value, trend) in [("loss", loss, &self.loss), ("gradient norm", grad_norm, &self.norm)] {
            if !value.is_finite() {
                return Some(format!("{name} {value}"));
            }
            let deviations = trend.deviations(value);
            if threshold > 0.0 && trend.updates >= FIRST && value > LEAST_SPIKE && deviations > threshold {
                let usual = f64::from(trend.mean).exp();
                return Some(format!("{name} {value:.4}, {deviations:.1} deviations above the usual {usual:.4}"));
            }
        }
        None
    }

    /// Takes in the figures of an update that is no trouble.
    pub fn add(&mut self, loss: f64, norm: f64) {
        self.loss.add(loss);
        self.norm.add(norm);
    }
}

impl Trend {
    fn deviations(&self, value: f64) -> f64 {
        let deviation = f64::from(self.variance).sqrt().max(LEAST_DEVIATION);
        (value.max(LEAST_VALUE).ln() - f64::from(self.mean)) / deviation
    }

    fn add(&mut self, value: f64) {
        self.updates += 1;
        // A plain mean until there are enough updates for the exponential one.
        let newest = (1.0 / self.updates as f64).max(NEWEST);
        let difference = value.max(LEAST_VALUE).ln() - f64::from(self.mean);
        self.mean = (f64::from(self.mean) + newest * difference) as f32;
        self.variance = ((1.0 - newest) * (f64::from(self.variance) + newest * difference * difference)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: f64 = 10.0;

    fn report(loss: f64, grad_norm: f64) -> StepReport {
        StepReport { loss, mlm_loss: loss, nsp_loss: 0.0, mlm_accuracy: 0.0, nsp_accuracy: 0.0, grad_norm }
    }

    /// Standard normal, by the sum of twelve uniform draws; its tails are cut at 6, so the tests add their own.
    fn normal(random: &mut fastrand::Rng) -> f64 {
        (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
    }

    /// Largest deviation that a run of `updates` reports, whose loss falls from 10 to 2 with noise, and whose norm jumps by factors.
    fn largest(updates: u64, seed: u64) -> f64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut trends = Trends::default();
        let mut largest = 0.0_f64;
        for update in 0..updates {
            let loss = 2.0 + 8.0 * (-(update as f64) / 2000.0).exp() + 0.25 * normal(&mut random);
            let norm = (0.5 + 0.4 * normal(&mut random)).exp() * (1.0 + 5.0 * (-(update as f64) / 300.0).exp());
            if update >= FIRST {
                largest = largest.max(trends.loss.deviations(loss)).max(trends.norm.deviations(norm));
            }
            assert_eq!(trends.trouble(&report(loss, norm), THRESHOLD), None, "update {update}");
            trends.add(loss, norm);
        }
        largest
    }

    #[test]
    fn healthy_runs_stay_far_below_the_threshold() {
        let largest = (0..4).map(|seed| largest(50_000, seed)).fold(0.0, f64::max);
        assert!(largest < 0.7 * THRESHOLD, "{largest}");
    }

    /// A run with a loss around 2 and a norm around 1.
    fn usual() -> Trends {
        let mut trends = Trends::default();
        for update in 0..500 {
            trends.add(2.0 + 0.2 * f64::from(update % 7 - 3) / 3.0, 1.0 + f64::from(update % 5) / 10.0);
        }
        trends
    }

    #[test]
    fn numbers_that_are_none_are_trouble_from_the_first_update_on() {
        assert_eq!(Trends::default().trouble(&report(f64::NAN, 1.0), 0.0).unwrap(), "loss NaN");
        assert_eq!(Trends::default().trouble(&report(1.0, f64::INFINITY), 0.0).unwrap(), "gradient norm inf");
    }

    #[test]
    fn spikes_of_either_figure_are_told_with_what_was_usual() {
        let told = usual().trouble(&report(9.0, 1.0), THRESHOLD).unwrap();
        assert!(told.starts_with("loss 9.0000, ") && told.contains("deviations above the usual 1.9"), "{told}");
        assert!(usual().trouble(&report(2.0, 300.0), THRESHOLD).unwrap().starts_with("gradient norm 300"));
        assert_eq!(usual().trouble(&report(9.0, 300.0), 0.0), None, "switched off");
        assert_eq!(usual().trouble(&report(0.01, 0.001), THRESHOLD), None, "falling is no trouble");
        assert_eq!(Trends::default().trouble(&report(1e9, 1e9), THRESHOLD), None, "nothing is usual yet");
    }

    #[test]
    fn a_run_without_any_variance_may_still_move() {
        let mut trends = Trends::default();
        (0..500).for_each(|_| trends.add(2.0, 0.0));
        assert_eq!(trends.trouble(&report(3.0, 0.9), THRESHOLD), None);
        assert!(trends.trouble(&report(3.6, 0.0), THRESHOLD).unwrap().starts_with("loss"));
        assert!(trends.trouble(&report(2.0, 1.1), THRESHOLD).unwrap().starts_with("gradient norm"));
    }
}
