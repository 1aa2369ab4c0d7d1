//! Dropout masks as a function of (seed, step, micro-batch, site, element): equal on every machine, and nothing to save.
//!
//! For element `e` of the tensor at a site (row-major), take
//! `philox(counter = [e / 4, site, step, micro_batch], key = [seed low, seed high])`, word number `e % 4`.
//! The element is **kept if word ≥ threshold**, with `threshold = floor(p · 2³²)` for the `f32` probability p (exact: p has 24 bits),
//! and a kept element is multiplied by the `f32` value `1 / (1 − p)`. Attention weights are counted as
//! `[batch, heads, query, key]`, everything else as `[rows, width]`.

use super::{
    backend::Dropout,
    philox::{key, philox, philox_run},
};
use crate::{Error, Result};

/// What the masks of one forward pass depend on, beside site and element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the update.
    pub step: u32,
    /// Number of the micro-batch within the update.
    pub micro_batch: u32,
}

impl DropoutKey {
    /// The key of a micro-batch.
    ///
    /// # Errors
    /// [`Error::Batch`] if a number does not fit 32 bits.
    pub fn new(seed: u64, step: u64, micro_batch: usize) -> Result<Self> {
        match (u32::try_from(step), u32::try_from(micro_batch)) {
            (Ok(step), Ok(micro_batch)) => Ok(Self { seed, step, micro_batch }),
            _ => Err(Error::Batch(format!("step {step} and micro-batch {micro_batch} must be below 2^32"))),
        }
    }

    /// The four words that decide on elements `4 · block` to `4 · block + 3` of a site.
    #[inline(always)]
    pub fn words(&self, site: u32, block: u32) -> [u32; 4] {
        philox([block, site, self.step, self.micro_batch], key(self.seed))
    }

    /// What each element is multiplied by: 0, or `1 / (1 − p)`. `first` is the number of the first element.
    #[inline(always)]
    pub fn multipliers(&self, dropout: Dropout, first: usize, out: &mut [f32]) {
        let (threshold, scale) = (threshold(dropout.probability), scale(dropout.probability));
        let value = |word: u32| if word >= threshold { scale } else { 0.0 };
        let (before, rest) = out.split_at_mut(((4 - first % 4) % 4).min(out.len()));
        let words = self.words(dropout.site, (first / 4) as u32);
        for (element, word) in before.iter_mut().zip(words.into_iter().skip(first % 4)) {
            *element = value(word);
        }
        let first_block = first.div_ceil(4);
        for (run, elements) in rest.chunks_mut(64).enumerate() {
            let block = (first_block + 16 * run) as u32;
            let words = philox_run(block, [dropout.site, self.step, self.micro_batch], key(self.seed));
            let mut whole = [0.0; 64];
            let [w0, w1, w2, w3] = words;
            for ((((four, w0), w1), w2), w3) in whole.as_chunks_mut::<4>().0.iter_mut().zip(w0).zip(w1).zip(w2).zip(w3) {
                *four = [value(w0), value(w1), value(w2), value(w3)];
            }
            elements.iter_mut().zip(whole).for_each(|(element, value)| *element = value);
        }
    }
}

/// Words below this drop their element: `floor(p · 2³²)`.
pub fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0) as u32
}

/// What kept elements are multiplied by.
pub fn scale(probability: f32) -> f32 {
    1.0 / (1.0 - probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DropoutKey = DropoutKey { seed: 0x1234_5678_9abc_def0, step: 7, micro_batch: 1 };
    const TENTH: Dropout = Dropout { probability: 0.1, site: 3 };

    fn mask(key: DropoutKey, dropout: Dropout, first: usize, count: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; count];
        key.multipliers(dropout, first, &mut out);
        out
    }

    #[test]
    fn a_tenth_is_dropped_and_the_mean_is_kept() {
        let mask = mask(KEY, TENTH, 0, 1_000_000);
        let dropped = mask.iter().filter(|value| **value == 0.0).count();
        // Binomial: sd 300, so 1,500 is five of them.
        assert!((98_500..101_500).contains(&dropped), "{dropped}");
        assert!(mask.iter().all(|value| *value == 0.0 || *value == 1.0 / 0.9));
    }

    #[test]
    fn a_part_of_the_mask_equals_that_part_of_the_whole() {
        let whole = mask(KEY, TENTH, 0, 64);
        for (element, value) in whole.iter().enumerate() {
            let kept = KEY.words(3, element as u32 / 4)[element % 4] >= 429_496_736;
            assert_eq!(*value != 0.0, kept);
        }
        for first in 0..9 {
            for count in (0..9).chain(50..55) {
                assert_eq!(mask(KEY, TENTH, first, count), whole[first..first + count]);
            }
        }
    }

    #[test]
    fn masks_differ_by_seed_step_micro_batch_and_site() {
        let whole = mask(KEY, TENTH, 0, 256);
        assert_eq!(whole, mask(KEY, TENTH, 0, 256));
        for other in [
            mask(DropoutKey { seed: KEY.seed ^ (1 << 40), ..KEY }, TENTH, 0, 256),
            mask(DropoutKey { step: 8, ..KEY }, TENTH, 0, 256),
            mask(DropoutKey { micro_batch: 0, ..KEY }, TENTH, 0, 256),
            mask(KEY, Dropout { site: 4, ..TENTH }, 0, 256),
        ] {
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn the_threshold_is_the_floor_of_the_exact_product() {
        assert_eq!(threshold(0.1), 429_496_736);
        assert_eq!(threshold(0.5), 1 << 31);
        assert_eq!(threshold(0.0), 0);
    }
}
