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
        let drawn = places.map(|place| (place / n, Order::new(self.seed, place / n, n).at(place % n)));
        collect(self.dataset, self.seed, drawn, self.shape)
    }
}

/// Reads examples, each named by (epoch, number), into one batch, with the masks that they have in a run of this seed. It is padded to its own longest example: padding changes no result, only the time.
///
/// # Errors
/// A damaged example, or one that does not fit `shape`.
pub fn collect(
    dataset: &Dataset,
    seed: u64,
    examples: impl Iterator<Item = (u64, u64)>,
    shape: Shape,
) -> Result<(Batch, MaskedSlots)> {
    let read = |(epoch, number)| {
        let mut example = Example::default();
        dataset.read_masked(number, seed, epoch, &mut example).map(|()| example)
    };
    let examples = examples.map(read).collect::<Result<Vec<_>>>()?;
    let longest = examples.iter().map(|example| example.input_ids.len()).max().unwrap_or(0);
    Ok(Batch::from_examples(&examples, longest.min(shape.max_seq_length), shape.max_predictions_per_seq)?)
}
