//! Pretraining: settings in, a run folder and a model folder out.
//!
//! ```text
//! settings ── start (checkpoint, model or new weights) ──▶ device ◀── batches ── dataset
//!                                                          │ step
//!                                                          ▼
//!                                 metrics.jsonl, checkpoints/, model/
//! ```
//!
//! What an update computes is a function of the settings, the data and its number, so a run that was killed and resumed ends with the
//! bits of one that was not.

mod batches;
mod card;
mod checkpoint;
pub mod demo;
pub mod device;
pub mod evaluation;
mod interrupt;
mod metrics;
pub mod preparation;
mod progress;
mod run;
pub mod run_folder;
pub mod settings;
pub mod start;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::{Config, EvaluationMetrics};
use clinicalbert_core::examples::tf_example::Shape;
use clinicalbert_core::tokenizer::WordPiece;

use crate::dataset::Dataset;
use crate::model_folder;
use batches::Batches;
use checkpoint::Contents;
use device::TrainingDevice;
use run::Run;
use run_folder::RunFolder;
use settings::Settings;
use start::Start;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All updates are done.
    Done {
        /// The model folder.
        model: PathBuf,
        /// Held-out figures before the first update and after the last, as far as this process has seen them.
        evaluations: Option<(EvaluationMetrics, EvaluationMetrics)>,
    },
    /// Stopped by a signal, after a checkpoint.
    Stopped {
        /// Updates done.
        step: u64,
    },
}

/// Begins a run in `out`, which must be new or empty. Nothing is written before everything has been checked.
///
/// # Errors
/// Data, model or settings that cannot be used or do not fit together; a loss that is no number; a disk that refuses.
pub fn begin(out: &Path, mut settings: Settings, quiet: bool) -> Result<Outcome> {
    run_folder::check_free(out)?;
    let inputs = Inputs::open(&settings)?;
    let start = Start::new(&settings, inputs.data.path())?;
    let ready = inputs.place(start, &settings)?;
    settings.model = start::table(&ready.config)?;
    settings.make_paths_absolute()?;
    let folder = RunFolder::create(out, &settings)?;
    Run::new(&folder, &settings, &inputs, ready, 0, quiet)?.go()
}

/// Goes on with the run in `folder` from its newest whole checkpoint, or from the start if there is none.
///
/// # Errors
/// As [`begin`]; data that is not the run's; checkpoints of which none is whole.
pub fn resume(folder: &RunFolder, settings: &Settings, quiet: bool) -> Result<Outcome> {
    let inputs = Inputs::open(settings)?;
    let found = checkpoint::newest(&folder.checkpoints(), |warning| eprintln!("warning: {warning}"))?;
    let (start, step) = match found {
        Some((state, contents)) => {
            ensure!(
                state.data_fingerprint == inputs.fingerprint,
                "{} is not the data that this run has seen so far (fingerprint {}, expected {}): give the original --data, or start \
                 another run with --init",
                inputs.data.path().display(),
                inputs.fingerprint,
                state.data_fingerprint
            );
            let newest = folder.checkpoints().join(checkpoint::name(state.step));
            let remarks = vec![format!("going on after step {} of {}", state.step, settings.num_train_steps)];
            (Start { contents, tokenizer: model_folder::read_tokenizer(&newest)?, remarks }, state.step)
        }
        None => (Start::new(settings, inputs.data.path())?, 0),
    };
    let ready = inputs.place(start, settings)?;
    Run::new(folder, settings, &inputs, ready, step, quiet)?.go()
}

/// A model on its machine, about to be trained.
struct Ready {
    device: Box<dyn TrainingDevice>,
    config: Config,
    tokenizer: WordPiece,
    /// Things to tell the user.
    remarks: Vec<String>,
}

/// What a run reads.
struct Inputs {
    data: Dataset,
    held_out: Option<Dataset>,
    /// Most tokens and slots of an example.
    shape: Shape,
    fingerprint: String,
}

impl Inputs {
    fn open(settings: &Settings) -> Result<Self> {
        let data = settings.data.as_ref().context("nothing to train on: give --data (prepared examples) or --notes")?;
        let data = Dataset::open(data)?;
        let held_out = settings.eval_data.clone().or_else(|| Some(data.path().join("holdout")).filter(|path| path.is_dir()));
        let held_out = held_out.as_deref().map(Dataset::open).transpose()?;
        let shape = Shape {
            max_seq_length: settings.max_seq_length.unwrap_or(data.shape().max_seq_length),
            max_predictions_per_seq: settings.max_predictions_per_seq.unwrap_or(data.shape().max_predictions_per_seq),
        };
        for dataset in [Some(&data), held_out.as_ref()].into_iter().flatten() {
            dataset.shape().check_training(shape)?;
        }
        let fingerprint = data.fingerprint()?;
        Ok(Self { data, held_out, shape, fingerprint })
    }

    /// Puts the model on its machine.
    fn place(&self, start: Start, settings: &Settings) -> Result<Ready> {
        let Start { contents: Contents { config, weights, moments }, tokenizer, remarks } = start;
        let (tokens, positions) = (self.shape.max_seq_length, config.max_position_embeddings);
        ensure!(
            tokens <= positions,
            "examples have up to {tokens} tokens, the model has {positions} positions: prepare the notes with --max-seq-length {positions}, \
             or use a model with more (--max-position-embeddings)"
        );
        self.check_first_batch(settings, &config)?;
        let mut device = device::open(&settings.device, &config, &weights, settings.seed)?;
        device.set_moments(&moments.0, &moments.1)?;
        Ok(Ready { device, config, tokenizer, remarks })
    }
    /// Examples of another vocabulary mostly show in the first batch, before anything is written.
    fn check_first_batch(&self, settings: &Settings, config: &Config) -> Result<()> {
        for (batch, slots) in self.batches(settings).of_step(0)? {
            let path = self.data.path().display();
            batch
                .validate(config)
                .and_then(|()| slots.validate(&batch, config))
                .with_context(|| format!("{path} does not fit the model; was it prepared with the model's vocabulary?"))?;
        }
        Ok(())
    }

    fn batches(&self, settings: &Settings) -> Batches<'_> {
        Batches {
            dataset: &self.data,
            seed: settings.seed,
            shape: self.shape,
            batch_size: settings.train_batch_size,
            micro_batches: settings.gradient_accumulation_steps,
        }
    }
}
