//! What a training run is told. [`Layers`] merges it from defaults, preset, file, environment and flags.

mod layers;
mod phase;
mod preset;
mod source;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use clinicalbert_core::bert::{Freeze, Schedule};
use serde::{Deserialize, Serialize};
use toml::Table;

pub use layers::{Layers, flat};
pub use phase::Phase;
pub use preset::Preset;
pub use source::Source;

/// Settings of a run, as merged; the defaults are those of the Bio_ClinicalBERT model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Published model whose settings were the ground layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Prepared folders or TFRecord files, with the share that each has in a batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "source::one_or_many")]
    pub data: Vec<Source>,
    /// Prepared folder or TFRecord file that is only evaluated on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_data: Option<PathBuf>,
    /// Model to start from; a new one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Vocabulary of a new model; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<PathBuf>,
    /// Parts of the model that keep their weights.
    #[serde(default, skip_serializing_if = "Freeze::is_empty")]
    pub freeze: Freeze,
    /// Updates in all.
    pub num_train_steps: u64,
    /// Updates of the warm-up; a fifteenth of all, at most 10,000, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_warmup_steps: Option<u64>,
    /// Examples of one forward pass; an update uses this many times `gradient_accumulation_steps`.
    pub train_batch_size: usize,
    /// Forward passes of one update.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Tokens of an example; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seq_length: Option<usize>,
    /// Masked slots of an example; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_predictions_per_seq: Option<usize>,
    /// Decides new weights, the order of the data and dropout.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// What a GPU computes in; the CPU always does in f32.
    #[serde(default)]
    pub precision: Precision,
    /// Updates between checkpoints.
    pub save_checkpoints_steps: u64,
    /// Newest checkpoints that are kept, beside the best; 0 keeps all.
    pub keep_checkpoints: usize,
    /// Updates between rows of `metrics.jsonl`.
    pub log_every: u64,
    /// Updates between evaluations; `save_checkpoints_steps` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Most examples of one evaluation.
    pub eval_examples: u64,
    /// Standard deviations above its trend at which a loss or gradient norm undoes its update; 0 leaves only values that are no number.
    pub spike_threshold: f64,
    /// Most updates that are undone and left out before the run gives up.
    pub max_rollbacks: usize,
    /// Shape of the model, with the keys of `config.json`; what is not given comes from `init`, else it is BERT-base.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub model: Table,
    /// Stretches of the run with data and batches of their own; none if it is all one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

/// What a GPU computes matrix products in and stores activations in. Weights, moments, sums and losses are f32 in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// For speed
    #[default]
    Bf16,
    /// For checking: TF32 is off
    F32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: None,
            data: Vec::new(),
            eval_data: None,
            init: None,
            vocab: None,
            freeze: Freeze::default(),
            num_train_steps: 150_000,
            num_warmup_steps: None,
            train_batch_size: 32,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            max_seq_length: None,
            max_predictions_per_seq: None,
            seed: 12_345,
            device: "auto".into(),
            precision: Precision::default(),
            save_checkpoints_steps: 1000,
            keep_checkpoints: 5,
            log_every: 10,
            eval_every: None,
            // What the original evaluates: 100 batches of 8.
            eval_examples: 800,
            spike_threshold: 10.0,
            max_rollbacks: 10,
            model: Table::new(),
            phases: Vec::new(),
        }
    }
}

impl Settings {
    /// The learning rate over time, all phases through.
    pub fn schedule(&self) -> Schedule {
        let warmup_steps = self.num_warmup_steps.unwrap_or_else(|| (self.num_train_steps / 15).min(10_000));
        Schedule { learning_rate: self.learning_rate as f32, steps: self.num_train_steps, warmup_steps }
    }

    /// Updates between evaluations.
    pub fn eval_every(&self) -> u64 {
        self.eval_every.unwrap_or(self.save_checkpoints_steps)
    }

    /// Makes paths independent of the folder that the program was started in, so that a run can be resumed from another.
    ///
    /// # Errors
    /// The current folder is gone.
    pub fn make_paths_absolute(&mut self) -> Result<()> {
        let own = [&mut self.eval_data, &mut self.init, &mut self.vocab].into_iter().flatten();
        let data = self.data.iter_mut().map(|source| &mut source.path);
        for path in own.chain(data).chain(self.phases.iter_mut().flat_map(Phase::paths)) {
            *path = std::path::absolute(&path).with_context(|| format!("cannot find the folder of {}", path.display()))?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        for (key, value) in [
            ("num_train_steps", self.num_train_steps),
            ("train_batch_size", self.train_batch_size as u64),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps as u64),
            ("save_checkpoints_steps", self.save_checkpoints_steps),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every()),
            ("eval_examples", self.eval_examples),
        ] {
            ensure!(value > 0, "{key} must be at least 1, found 0");
        }
        let rate = self.learning_rate;
        ensure!(rate.is_finite() && rate > 0.0, "learning_rate must be above 0, found {rate}");
        let threshold = self.spike_threshold;
        ensure!(threshold.is_finite() && threshold >= 0.0, "spike_threshold must be 0 or more, found {threshold}");
        let warmup = self.schedule().warmup_steps;
        ensure!(
            warmup < self.num_train_steps,
            "num_warmup_steps {warmup} must be below num_train_steps {}: without --num-warmup-steps a fifteenth is used",
            self.num_train_steps
        );
        ensure!(
            self.phases.is_empty() || self.data.is_empty(),
            "data and [[phases]] exclude each other: give each phase its data"
        );
        self.phases.iter().try_for_each(Phase::validate)
    }
}
