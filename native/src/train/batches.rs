//! Which examples an update sees: a function of seed and step, so that a resumed run goes on exactly where it was.

use anyhow::Result;
use clinicalbert_core::bert::{Batch, MaskedSlots};
use clinicalbert_core::examples::{Example, tf_example::Shape};

use crate::dataset::{Dataset, Order};

/// The endless stream of shuffled epochs, cut into updates.
#[derive(Debug)]
pub struct Batches<'a> {
    /// Where examples come from.
    pub dataset: &'a Dataset,
    /// Decides the order.
    pub seed: u64,
    /// Longest example and most masked slots.
    pub shape: Shape,
    /// Examples of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub micro_batches: usize,
}

impl Batches<'_> {
    /// The micro-batches of update number `step`, from 0.
    ///
    /// # Errors
    /// A damaged example.
    pub fn of_step(&self, step: u64) -> Result<Vec<(Batch, MaskedSlots)>> {
        let first = step * (self.batch_size * self.micro_batches) as u64;
        let starts = (0..self.micro_batches as u64).map(|micro| first + micro * self.batch_size as u64);
        starts.map(|start| self.batch(start..start + self.batch_size as u64)).collect()
    }

    /// Examples of the stream, in order.
    fn batch(&self, places: std::ops::Range<u64>) -> Result<(Batch, MaskedSlots)> {
        let n = self.dataset.len();
        let numbers = places.map(|place| Order::new(self.seed, place / n, n).at(place % n));
        collect(self.dataset, numbers, self.shape)
    }
}

/// Reads examples into one batch. It is padded to its own longest example: padding changes no result, only the time.
///
/// # Errors
/// A damaged example, or one that does not fit `shape`.
pub fn collect(dataset: &Dataset, numbers: impl Iterator<Item = u64>, shape: Shape) -> Result<(Batch, MaskedSlots)> {
    let mut examples = Vec::new();
    for number in numbers {
        let mut example = Example::default();
        dataset.read(number, &mut example)?;
        examples.push(example);
    }
    let longest = examples.iter().map(|example| example.input_ids.len()).max().unwrap_or(0);
    Ok(Batch::from_examples(&examples, longest.min(shape.max_seq_length), shape.max_predictions_per_seq)?)
}
