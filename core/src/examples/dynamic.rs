//! Masks drawn when an example is read, so that every epoch hides other tokens (as RoBERTa does) and none are stored.

use super::{
    Example, Settings, Vocabulary,
    masking::{Mask, Masker, Pair},
    python_random::Draws,
};
use crate::bert::philox;

/// Parts these draws from the model's own, which use the same generator with the plain seed.
const STREAM: u64 = u64::from_le_bytes(*b"masking!");

/// Draws the masks of stored examples; the rules (shares, whole words, what stands instead) are those of [`Masker::mask`].
#[derive(Debug, Clone)]
pub struct DynamicMasking {
    settings: Settings,
    vocabulary: Vocabulary,
}

/// What the masks of an example depend on, beside the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskKey {
    /// Seed of the run.
    pub seed: u64,
    /// How often the data have been gone through.
    pub epoch: u64,
    /// Number of the example.
    pub example: u64,
}

impl DynamicMasking {
    /// Masking by the settings that the examples were prepared with.
    pub const fn new(settings: Settings, vocabulary: Vocabulary) -> Self {
        Self { settings, vocabulary }
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Hides tokens of an example that has none hidden.
    pub fn mask(&self, example: &mut Example, key: MaskKey) {
        let (first, second) = example.input_ids.split_at_checked(example.first_segment_length).unwrap_or_default();
        let inner = |ids: &[u32], from: usize| ids.get(from..ids.len().saturating_sub(1)).unwrap_or_default().to_vec();
        let (first, second) = (inner(first, 1), inner(second, 0));
        let (mut masker, mut masks) = (Masker::default(), Vec::<Mask>::new());
        let pair = Pair { first: &first, second: &second };
        masker.mask(&pair, &self.settings, &self.vocabulary, &mut CounterDraws::new(key), &mut masks);
        example.hide(&masks);
    }
}

/// Draws that are a function of key and count: nothing has to be saved for a run to go on.
struct CounterDraws {
    key: MaskKey,
    block: u32,
    /// Words of the block that are not used yet, the next one last.
    words: Vec<u32>,
}

impl CounterDraws {
    const fn new(key: MaskKey) -> Self {
        Self { key, block: 0, words: Vec::new() }
    }

    fn word(&mut self) -> u32 {
        if let Some(word) = self.words.pop() {
            return word;
        }
        let MaskKey { seed, epoch, example } = self.key;
        let counter = [self.block, epoch as u32, example as u32, (example >> 32) as u32];
        let seed = seed ^ STREAM;
        let [a, b, c, d] = philox(counter, [seed as u32, (seed >> 32) as u32]);
        self.block += 1;
        self.words.extend([d, c, b]);
        a
    }
}

impl Draws for CounterDraws {
    fn random(&mut self) -> f64 {
        let (high, low) = (u64::from(self.word() >> 5), u64::from(self.word() >> 6));
        ((high << 26) | low) as f64 / (1u64 << 53) as f64
    }

    /// One word scaled to the bound: of two numbers one may come more often by `bound` in 2³².
    fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.word()) * bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: [u32; 3] = [1, 2, 3];

    fn masking(whole_word_mask: bool) -> DynamicMasking {
        let [classify, separator, mask] = SPECIAL;
        let continuations = (0..1000).map(|id| id >= 500).collect();
        let vocabulary = Vocabulary { classify, separator, mask, entries: (0..1000).collect(), continuations };
        DynamicMasking::new(Settings { whole_word_mask, ..Settings::default() }, vocabulary)
    }

    /// `[CLS] 10 … 69 [SEP] 100 … 159 [SEP]`.
    fn example() -> Example {
        let input_ids = [1].into_iter().chain(10..70).chain([2]).chain(100..160).chain([2]).collect();
        Example { input_ids, first_segment_length: 62, is_random_next: true, ..Example::default() }
    }

    fn masked(key: MaskKey) -> Example {
        let mut example = example();
        masking(false).mask(&mut example, key);
        example
    }

    const KEY: MaskKey = MaskKey { seed: 1, epoch: 0, example: 5 };

    #[test]
    fn the_same_key_hides_the_same_tokens_and_any_other_key_others() {
        assert_eq!(masked(KEY), masked(KEY));
        for other in [MaskKey { seed: 2, ..KEY }, MaskKey { epoch: 1, ..KEY }, MaskKey { example: 6, ..KEY }] {
            assert_ne!(masked(KEY).masked_positions, masked(other).masked_positions);
        }
    }

    #[test]
    fn what_is_hidden_can_be_put_back() {
        let mut masked = masked(KEY);
        // 15 % of 123 tokens.
        assert_eq!(masked.masked_positions.len(), 18);
        assert!(masked.masked_positions.is_sorted() && !masked.masked_positions.iter().any(|p| [0, 61, 122].contains(p)));
        for (&position, &id) in masked.masked_positions.iter().zip(&masked.masked_ids) {
            masked.input_ids[position as usize] = id;
        }
        assert_eq!(masked.input_ids, example().input_ids);
    }

    #[test]
    fn eight_in_ten_become_the_mask_and_all_places_are_equally_likely() {
        let (mut hidden, mut as_mask, mut kept, mut places) = (0, 0, 0, [0u32; 123]);
        for epoch in 0..2000 {
            let masked = masked(MaskKey { epoch, ..KEY });
            for (&position, &id) in masked.masked_positions.iter().zip(&masked.masked_ids) {
                let now = masked.input_ids[position as usize];
                hidden += 1;
                as_mask += u32::from(now == 3);
                kept += u32::from(now == id);
                places[position as usize] += 1;
            }
        }
        // Standard deviations: 0.2 % and 0.16 % of the share; 16 of 300 for a place.
        assert!((f64::from(as_mask) / f64::from(hidden) - 0.8).abs() < 0.01);
        assert!((f64::from(kept) / f64::from(hidden) - 0.1).abs() < 0.01);
        let inner = places.iter().enumerate().filter(|(place, _)| ![0, 61, 122].contains(place));
        assert!(inner.clone().all(|(_, &count)| (220..380).contains(&count)), "{places:?}");
    }

    #[test]
    fn whole_words_are_hidden_together() {
        let mut example = example();
        example.input_ids[5] = 600;
        example.input_ids[6] = 601;
        for epoch in 0..200 {
            let mut masked = example.clone();
            masking(true).mask(&mut masked, MaskKey { epoch, ..KEY });
            let is_hidden = |position| masked.masked_positions.contains(&position);
            assert!(is_hidden(4) == is_hidden(5) && is_hidden(5) == is_hidden(6));
        }
    }

    #[test]
    fn an_example_of_nothing_stays_as_it_is() {
        for input_ids in [vec![], vec![1], vec![1, 2, 2]] {
            let mut example = Example { first_segment_length: input_ids.len().min(2), input_ids, ..Example::default() };
            let before = example.clone();
            masking(false).mask(&mut example, KEY);
            assert_eq!(example, before);
        }
    }
}
