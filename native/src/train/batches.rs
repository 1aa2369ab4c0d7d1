//! Which examples an update sees: a function of seed and step, so that a resumed run goes on exactly where it was.

use anyhow::Result;
use clinicalbert_core::bert::{Batch, MaskedSlots};
use clinicalbert_core::examples::{Example, tf_example::Shape};

use crate::dataset::{Dataset, Mixture, Place};

/// The endless stream of a phase's examples, cut into updates.
#[derive(Debug)]
pub struct Batches {
    /// Where examples come from.
    pub mixture: Mixture,
    /// Decides the order.
    pub seed: u64,
    /// Longest example and most masked slots.
    pub shape: Shape,
    /// Examples of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub micro_batches: usize,
    /// The update that the stream begins with.
    pub first_step: u64,
}

impl Batches {
    /// Examples of one update.
    pub const fn examples_per_step(&self) -> usize {
        self.batch_size * self.micro_batches
    }

    /// Where the examples of update number `step` (from 0) come from, in order.
    pub fn places(&self, step: u64) -> impl Iterator<Item = Place> {
        let examples = self.examples_per_step() as u64;
        let first = step.saturating_sub(self.first_step) * examples;
        (first..first + examples).map(|place| self.mixture.at(self.seed, place))
    }

    /// The micro-batches of update number `step`, from 0.
    ///
    /// # Errors
    /// A damaged example.
    pub fn of_step(&self, step: u64) -> Result<Vec<(Batch, MaskedSlots)>> {
        let mut examples = Vec::new();
        for place in self.places(step) {
            examples.extend(self.read(place)?);
        }
        examples.chunks(self.batch_size).map(|examples| collect(examples, self.shape)).collect()
    }

    /// The example at a place; none if the mixture has no such source.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(&self, Place { source, epoch, example }: Place) -> Result<Option<Example>> {
        self.mixture.sources().get(source).map(|dataset| read(dataset, example, self.seed, epoch)).transpose()
    }
}

/// Reads one example, with the masks that it has in an epoch of a run of this seed.
///
/// # Errors
/// It is damaged.
pub fn read(dataset: &Dataset, number: u64, seed: u64, epoch: u64) -> Result<Example> {
    let mut example = Example::default();
    dataset.read_masked(number, seed, epoch, &mut example)?;
    Ok(example)
}

/// Examples as one batch. It is padded to its own longest example: padding changes no result, only the time.
///
/// # Errors
/// One that does not fit `shape`.
pub fn collect(examples: &[Example], shape: Shape) -> Result<(Batch, MaskedSlots)> {
    let longest = examples.iter().map(|example| example.input_ids.len()).max().unwrap_or(0);
    Ok(Batch::from_examples(examples, longest.min(shape.max_seq_length), shape.max_predictions_per_seq)?)
}
