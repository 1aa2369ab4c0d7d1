//! What a run reads: the examples of each of its phases.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::Config;
use clinicalbert_core::examples::tf_example::Shape;

use super::batches::Batches;
use super::settings::{Phase, Settings};
use super::state::Consumed;
use crate::dataset::{Dataset, Mixture};

/// Everything that a run reads, opened and checked.
pub struct Inputs {
    stretches: Vec<Stretch>,
}

/// A phase with its data.
pub struct Stretch {
    /// Its updates.
    pub steps: Range<u64>,
    /// What is evaluated on.
    pub held_out: Vec<Dataset>,
    /// Its batches.
    pub batches: Batches,
    /// Number of its first source among those of all phases.
    pub first_source: usize,
}

impl Inputs {
    /// Opens the data of all phases.
    ///
    /// # Errors
    /// Data that cannot be used, or that the settings do not fit.
    pub fn open(settings: &Settings) -> Result<Self> {
        let (mut first_step, mut first_source) = (0, 0);
        let mut stretches = Vec::new();
        for (number, phase) in (0..).zip(Phase::of(settings)) {
            let sources = phase.data.iter().map(|source| Dataset::open(&source.path)).collect::<Result<Vec<_>>>()?;
            let weights: Vec<_> = phase.data.iter().map(|source| source.weight).collect();
            let mixture = Mixture::new(sources, &weights)?;
            let held_out = match &phase.eval_data {
                Some(path) => vec![Dataset::open(path)?],
                None => {
                    let folders = mixture.sources().iter().map(|source| source.path().join("holdout"));
                    folders.filter(|path| path.is_dir()).map(|path| Dataset::open(&path)).collect::<Result<_>>()?
                }
            };
            let batches = Batches {
                shape: shape(settings, mixture.sources(), &held_out)?,
                // Phases that share data see it in other orders.
                seed: settings.seed.wrapping_add(number),
                batch_size: phase.train_batch_size.unwrap_or(settings.train_batch_size),
                micro_batches: phase.gradient_accumulation_steps.unwrap_or(settings.gradient_accumulation_steps),
                first_step,
                mixture,
            };
            let steps = first_step..phase.num_train_steps.saturating_add(first_step);
            (first_step, first_source) = (steps.end, first_source + batches.mixture.sources().len());
            stretches.push(Stretch { steps, held_out, first_source: first_source - batches.mixture.sources().len(), batches });
        }
        Ok(Self { stretches })
    }

    /// The phases; at least one.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The phase of update `step`; of the end, the last.
    ///
    /// # Errors
    /// Never in practice: there is always a phase.
    pub fn at(&self, step: u64) -> Result<&Stretch> {
        let found = self.stretches.iter().find(|stretch| stretch.steps.contains(&step));
        found.or_else(|| self.stretches.last()).context("a run has at least one phase")
    }

    /// The sources of all phases.
    pub fn sources(&self) -> impl Iterator<Item = &Dataset> {
        self.stretches.iter().flat_map(|stretch| stretch.batches.mixture.sources())
    }

    /// Folders or files of all sources.
    pub fn paths(&self) -> Vec<&Path> {
        self.sources().map(Dataset::path).collect()
    }

    /// A record of what is consumed, with nothing consumed yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn untouched(&self) -> Result<Vec<Consumed>> {
        self.sources().map(|source| Ok(Consumed::new(source.path(), source.fingerprint()?))).collect()
    }

    /// Checks that a model can take the examples. Those of another vocabulary mostly show in the first batch of a phase, before anything
    /// is written.
    ///
    /// # Errors
    /// Examples that are too long or have ids that the model lacks.
    pub fn check(&self, config: &Config) -> Result<()> {
        for Stretch { batches, steps, .. } in &self.stretches {
            let (tokens, positions) = (batches.shape.max_seq_length, config.max_position_embeddings);
            ensure!(
                tokens <= positions,
                "examples have up to {tokens} tokens, the model has {positions} positions: prepare the notes with --max-seq-length \
                 {positions}, or use a model with more (--max-position-embeddings)"
            );
            for (batch, slots) in batches.of_step(steps.start)? {
                batch.validate(config).and_then(|()| slots.validate(&batch, config)).with_context(|| {
                    let names: Vec<_> =
                        batches.mixture.sources().iter().map(|source| source.path().display().to_string()).collect();
                    format!("{} does not fit the model; was it prepared with the model's vocabulary?", names.join(", "))
                })?;
            }
        }
        Ok(())
    }
}

/// Most tokens and slots of an example of a phase. Phases are as long as their data; a run that is all one may ask for a length.
fn shape(settings: &Settings, sources: &[Dataset], held_out: &[Dataset]) -> Result<Shape> {
    let most = |size: fn(Shape) -> usize| sources.iter().map(|source| size(source.shape())).max().unwrap_or(0);
    let mut shape = Shape {
        max_seq_length: most(|shape| shape.max_seq_length),
        max_predictions_per_seq: most(|shape| shape.max_predictions_per_seq),
    };
    if settings.phases.is_empty() {
        shape.max_seq_length = settings.max_seq_length.unwrap_or(shape.max_seq_length);
        shape.max_predictions_per_seq = settings.max_predictions_per_seq.unwrap_or(shape.max_predictions_per_seq);
    }
    for dataset in sources.iter().chain(held_out) {
        dataset.shape().check_training(shape)?;
    }
    Ok(shape)
}
