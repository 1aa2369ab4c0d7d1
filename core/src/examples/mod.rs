//! Masked language model and next sentence examples, as Google's `create_pretraining_data.py` makes them.

use serde::{Deserialize, Serialize};

/// Settings of example making; the defaults are those of the Bio_ClinicalBERT model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Tokens of an example, `[CLS]` and both `[SEP]` included.
    pub max_seq_length: usize,
    /// Slots for masked tokens.
    pub max_predictions_per_seq: usize,
    /// Share of tokens that are masked.
    pub masked_lm_prob: f64,
    /// Share of documents' passes that aim at a shorter example.
    pub short_seq_prob: f64,
    /// How often every document is gone through, with other masks and pairs.
    pub dupe_factor: usize,
    /// Seed of CPython's generator.
    pub random_seed: u64,
    /// Mask whole words (Google's later option) instead of single pieces.
    pub whole_word_mask: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_seq_length: 128,
            max_predictions_per_seq: 20,
            masked_lm_prob: 0.15,
            short_seq_prob: 0.1,
            dupe_factor: 5,
            random_seed: 12345,
            whole_word_mask: false,
        }
    }
}

/// One example, without padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Example {
    /// `[CLS] A [SEP] B [SEP]`, masks in place.
    pub input_ids: Vec<u32>,
    /// Length of `[CLS] A [SEP]`: tokens before it have segment 0, the others 1.
    pub first_segment_length: usize,
    /// Positions of the masked tokens, ascending.
    pub masked_positions: Vec<u32>,
    /// The tokens that stood there.
    pub masked_ids: Vec<u32>,
    /// Whether B is from elsewhere (label 1) rather than the actual next text (label 0).
    pub is_random_next: bool,
}
