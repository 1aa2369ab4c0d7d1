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
use clinicalbert_core::bert::EvaluationMetrics;
use clinicalbert_core::examples::tf_example::Shape;

use crate::dataset::Dataset;
use crate::model_folder;
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
    inputs.check_fits(&start)?;
    settings.model = start::table(&start.contents.config)?;
    settings.make_paths_absolute()?;
    let folder = RunFolder::create(out, &settings)?;
    Run::new(&folder, &settings, &inputs, start, 0, quiet)?.go()
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
    inputs.check_fits(&start)?;
    Run::new(folder, settings, &inputs, start, step, quiet)?.go()
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

    fn check_fits(&self, start: &Start) -> Result<()> {
        let (tokens, positions) = (self.shape.max_seq_length, start.contents.config.max_position_embeddings);
        ensure!(
            tokens <= positions,
            "examples have up to {tokens} tokens, the model has {positions} positions: prepare the notes with --max-seq-length {positions}, \
             or use a model with more (--max-position-embeddings)"
        );
        Ok(())
    }
}
