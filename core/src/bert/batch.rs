//! What goes into the graph: plain numbers, padded to one length.

use super::Config;
use crate::{Error, Result, examples::Example};

/// Token rows of one batch, padded to a common length. Row-major, `batch × length` each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// Length of every row.
    pub length: usize,
    /// Token ids; 0 where padded.
    pub input_ids: Vec<u32>,
    /// 1 where there is a token, 0 where padded.
    pub attention_mask: Vec<u8>,
    /// Segment of every token.
    pub token_type_ids: Vec<u8>,
}

/// The masked slots and labels of a batch of pretraining examples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MaskedSlots {
    /// Flat positions `row · length + position`; padded slots point at position 0 of their row, as in the original.
    pub positions: Vec<u32>,
    /// The tokens to be found there; 0 in padded slots.
    pub ids: Vec<u32>,
    /// 1.0 for a real slot, 0.0 for padding.
    pub weights: Vec<f32>,
    /// Next sentence label of every row: 1 = random, 0 = actual next.
    pub next_sentence: Vec<u32>,
}

impl Batch {
    /// Rows of ids with their segment types, padded to the longest.
    ///
    /// # Errors
    /// [`Error::Batch`] if there are no rows, or a row's ids and types differ in length.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = (&'a [u32], &'a [u8])>) -> Result<Self> {
        let rows: Vec<_> = rows.into_iter().collect();
        let length = rows.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        if length == 0 {
            return Err(Error::Batch("expected at least one token, found none".into()));
        }
        let mut batch = Self { rows: rows.len(), length, ..Self::default() };
        for (index, (ids, types)) in rows.into_iter().enumerate() {
            if ids.len() != types.len() {
                return Err(Error::Batch(format!("row {index} has {} ids but {} types", ids.len(), types.len())));
            }
            let padding = length - ids.len();
            batch.input_ids.extend_from_slice(ids);
            batch.input_ids.extend(std::iter::repeat_n(0, padding));
            batch.attention_mask.extend(std::iter::repeat_n(1, ids.len()));
            batch.attention_mask.extend(std::iter::repeat_n(0, padding));
            batch.token_type_ids.extend_from_slice(types);
            batch.token_type_ids.extend(std::iter::repeat_n(0, padding));
        }
        Ok(batch)
    }

    /// Pretraining examples, padded to `length` tokens and `slots` predictions each.
    ///
    /// # Errors
    /// [`Error::Batch`] if an example is longer than `length` or has more masked tokens than `slots`.
    pub fn from_examples(examples: &[Example], length: usize, slots: usize) -> Result<(Self, MaskedSlots)> {
        let mut batch = Self { rows: examples.len(), length, ..Self::default() };
        let mut masked = MaskedSlots::default();
        for (row, example) in examples.iter().enumerate() {
            let used = example.input_ids.len();
            let filled = example.masked_positions.len();
            let first = example.first_segment_length.min(used);
            if used > length || filled > slots || example.masked_ids.len() != filled {
                return Err(Error::Batch(format!(
                    "example {row} has {used} tokens and {filled} masked slots; at most {length} and {slots} fit"
                )));
            }
            batch.input_ids.extend_from_slice(&example.input_ids);
            batch.input_ids.extend(std::iter::repeat_n(0, length - used));
            batch.attention_mask.extend(std::iter::repeat_n(1, used));
            batch.attention_mask.extend(std::iter::repeat_n(0, length - used));
            batch.token_type_ids.extend(std::iter::repeat_n(0, first));
            batch.token_type_ids.extend(std::iter::repeat_n(1, used - first));
            batch.token_type_ids.extend(std::iter::repeat_n(0, length - used));
            let start = u32::try_from(row * length).map_err(|_| Error::Batch("batch too large".into()))?;
            masked.positions.extend(example.masked_positions.iter().map(|position| start + position));
            masked.positions.extend(std::iter::repeat_n(start, slots - filled));
            masked.ids.extend_from_slice(&example.masked_ids);
            masked.ids.extend(std::iter::repeat_n(0, slots - filled));
            masked.weights.extend(std::iter::repeat_n(1.0, filled));
            masked.weights.extend(std::iter::repeat_n(0.0, slots - filled));
            masked.next_sentence.push(u32::from(example.is_random_next));
        }
        Ok((batch, masked))
    }

    /// Checks that a model of this configuration can take the batch.
    ///
    /// # Errors
    /// [`Error::Batch`] saying which number does not fit.
    pub fn validate(&self, config: &Config) -> Result<()> {
        let cells = self.rows.checked_mul(self.length).filter(|cells| *cells > 0 && u32::try_from(*cells).is_ok());
        let lengths = [self.input_ids.len(), self.attention_mask.len(), self.token_type_ids.len()];
        if cells.is_none_or(|cells| lengths != [cells; 3]) {
            return Err(Error::Batch(format!(
                "expected {} rows of {} ids, masks and types, found {lengths:?}",
                self.rows, self.length
            )));
        }
        if self.length > config.max_position_embeddings {
            return Err(Error::Batch(format!(
                "sequences of {} tokens are longer than the model's max_position_embeddings {}",
                self.length, config.max_position_embeddings
            )));
        }
        below("token id", self.input_ids.iter().copied(), config.vocab_size)?;
        below("segment type", self.token_type_ids.iter().map(|value| u32::from(*value)), config.type_vocab_size)?;
        below("attention mask", self.attention_mask.iter().map(|value| u32::from(*value)), 2)
    }
}

impl MaskedSlots {
    /// Checks that the slots belong to `batch` and that a model of this configuration can take them.
    ///
    /// # Errors
    /// [`Error::Batch`] saying which number does not fit.
    pub fn validate(&self, batch: &Batch, config: &Config) -> Result<()> {
        let (slots, rows) = (self.positions.len(), self.next_sentence.len());
        if slots == 0 || self.ids.len() != slots || self.weights.len() != slots || rows != batch.rows {
            return Err(Error::Batch(format!(
                "expected as many ids and weights as the {slots} positions and a label for each of {} rows, found {}, {} and {rows}",
                batch.rows,
                self.ids.len(),
                self.weights.len()
            )));
        }
        if let Some(weight) = self.weights.iter().find(|weight| !(0.0..=1.0).contains(*weight)) {
            return Err(Error::Batch(format!("slot weights must be in 0..=1, found {weight}")));
        }
        below("masked position", self.positions.iter().copied(), batch.rows * batch.length)?;
        below("masked token id", self.ids.iter().copied(), config.vocab_size)?;
        below("next sentence label", self.next_sentence.iter().copied(), 2)
    }
}

fn below(what: &str, mut values: impl Iterator<Item = u32>, limit: usize) -> Result<()> {
    match values.find(|value| *value as usize >= limit) {
        Some(value) => Err(Error::Batch(format!("{what} {value} must be below {limit}"))),
        None => Ok(()),
    }
}

/// Added to the sum of slot weights in the MLM loss (google-research/bert @ eedf571, `run_pretraining.py`).
pub const MLM_DIVISOR_EPSILON: f32 = 1e-5;

/// What the losses' sums are divided by, but for [`MLM_DIVISOR_EPSILON`]: the sum of slot weights and the number of rows of all these.
pub fn loss_divisors<'a>(slots: impl IntoIterator<Item = &'a MaskedSlots>) -> (f32, f32) {
    let mut sums = (0.0, 0.0);
    for slots in slots {
        sums.0 += slots.weights.iter().sum::<f32>();
        sums.1 += slots.next_sentence.len() as f32;
    }
    sums
}
