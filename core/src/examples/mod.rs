//! Masked language model and next sentence examples, as Google's `create_pretraining_data.py` makes them.
//!
//! ```text
//! sentences ── corpus::Documents ──▶ corpus::Corpus (ids in flat arrays, perhaps a mapped file)
//!           ── instances::Instances ──▶ instances::Instance (where in the corpus, what is hidden)
//!           ── packed ──▶ a file, read back in the order of the final shuffle
//!           ── Instance::fill ──▶ Example ── tf_example ──▶ tfrecord
//! ```

pub mod corpus;
pub mod dynamic;
pub mod instances;
pub mod masking;
pub mod packed;
pub mod python_random;
pub mod tf_example;
pub mod tfrecord;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
    /// When masks are drawn.
    #[serde(default)]
    pub masking: Masking,
}

/// When masks are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Masking {
    /// Once, when examples are made, as the original does.
    #[default]
    Static,
    /// Whenever an example is read, others in every epoch ([`dynamic`]); the stored example has none.
    Dynamic,
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
            masking: Masking::Static,
        }
    }
}

impl Settings {
    /// Tokens of both segments together at most: without `[CLS]` and two `[SEP]`.
    pub fn segment_tokens(&self) -> usize {
        self.max_seq_length.saturating_sub(3)
    }

    /// Checks that examples can be made with these settings.
    ///
    /// # Errors
    /// [`Error::Examples`] naming the setting, its value and what it may be.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |name: &str, allowed: &str, found: String| Err(Error::Examples(format!("{name} must be {allowed}, found {found}")));
        if !(5..=MAX_SEQ_LENGTH).contains(&self.max_seq_length) {
            return wrong("max_seq_length", "from 5 to 32767", self.max_seq_length.to_string());
        }
        for (name, share) in [("masked_lm_prob", self.masked_lm_prob), ("short_seq_prob", self.short_seq_prob)] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(name, "from 0 to 1", share.to_string());
            }
        }
        if self.dupe_factor == 0 {
            return wrong("dupe_factor", "at least 1", self.dupe_factor.to_string());
        }
        Ok(())
    }
}

/// Positions are kept in 16 bits.
const MAX_SEQ_LENGTH: usize = 32_767;

/// What example making needs to know of the vocabulary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// `[CLS]`
    pub classify: u32,
    /// `[SEP]`
    pub separator: u32,
    /// `[MASK]`
    pub mask: u32,
    /// Ids that a random token is drawn from, in the order of the vocabulary file; Google's code draws from all entries.
    pub entries: Vec<u32>,
    /// By id, whether the entry goes on a word (`##…`).
    pub continuations: Vec<bool>,
}

impl Vocabulary {
    /// Whether the entry with this id goes on a word.
    pub fn is_continuation(&self, id: u32) -> bool {
        self.continuations.get(id as usize).copied().unwrap_or(false)
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

impl Example {
    /// Puts masks into an example that has none.
    pub fn hide(&mut self, masks: &[masking::Mask]) {
        self.masked_positions.clear();
        self.masked_ids.clear();
        for mask in masks {
            if let Some(token) = self.input_ids.get_mut(usize::from(mask.position)) {
                self.masked_positions.push(u32::from(mask.position));
                self.masked_ids.push(std::mem::replace(token, mask.id));
            }
        }
    }
}
