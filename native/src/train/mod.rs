//! Pretraining: settings in, a run folder and a model folder out.
//!
//! ```text
//! settings ── start (checkpoint, model or new weights) ──▶ device ◀── batches ◀── inputs ◀── dataset
//!                                                          │ step
//!                                              watchdog ◀──┤
//!                                                          ▼
//!                      state ──▶ metrics.jsonl, TensorBoard events, checkpoints/, report.html, model/
//! ```
//!
//! What an update computes is a function of the settings, the data and its number, so a run that was killed and resumed ends with the
//! bits of one that was not. What happened on the way and cannot be computed again is in [`state`].

mod batches;
mod card;
mod checkpoint;
pub mod demo;
pub mod device;
mod disk_full;
pub mod evaluation;
pub mod flags;
mod inputs;
mod interrupt;
mod metrics;
pub mod preparation;
mod progress;
pub mod rehearsal;
mod report;
mod run;
pub mod run_folder;
pub mod settings;
pub mod start;
mod state;
mod watchdog;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clinicalbert_core::bert::{Config, EvaluationMetrics};
use clinicalbert_core::tokenizer::WordPiece;

use crate::model_folder;
use device::TrainingDevice;
use inputs::Inputs;
use run::Run;
use run_folder::RunFolder;
use settings::Settings;
use start::Start;
use state::State;

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
    /// Stopped by a signal.
    Stopped {
        /// Updates done and saved.
        step: u64,
    },
}

/// Begins a run in `out`, which must be new or empty. Nothing is written before everything has been checked.
///
/// # Errors
/// Data, model or settings that cannot be used or do not fit together; a loss that stays no number; a disk that refuses.
pub fn begin(out: &Path, mut settings: Settings, quiet: bool) -> Result<Outcome> {
    run_folder::check_free(out)?;
    let inputs = Inputs::open(&settings)?;
    let mut start = Start::new(&settings, &inputs.paths())?;
    start.remarks.extend(settings.preset.map(|preset| format!("the published model with these settings {}", preset.wants())));
    let ready = Ready::new(start, &inputs, &settings)?;
    settings.model = start::table(&ready.config)?;
    settings.make_paths_absolute()?;
    let folder = RunFolder::create(out, &settings)?;
    Run::begin(&folder, &settings, &inputs, ready, quiet)?.go()
}

/// Goes on with the run in `folder` from its newest whole checkpoint, or from the start if there is none.
///
/// # Errors
/// As [`begin`]; data that is not the run's; checkpoints of which none is whole.
pub fn resume(folder: &RunFolder, settings: &Settings, quiet: bool) -> Result<Outcome> {
    let inputs = Inputs::open(settings)?;
    let Some((state, contents)) = checkpoint::newest(&folder.checkpoints(), |warning| eprintln!("warning: {warning}"))? else {
        let ready = Ready::new(Start::new(settings, &inputs.paths())?, &inputs, settings)?;
        return Run::begin(folder, settings, &inputs, ready, quiet)?.go();
    };
    check_same_data(&state, &inputs)?;
    let newest = folder.checkpoints().join(checkpoint::name(state.step));
    let remarks = vec![format!("going on after step {} of {}", state.step, settings.num_train_steps)];
    let start = Start { contents, tokenizer: model_folder::read_tokenizer(&newest)?, remarks };
    let ready = Ready::new(start, &inputs, settings)?;
    Run::resume(folder, settings, &inputs, ready, state, quiet)?.go()
}

fn check_same_data(state: &State, inputs: &Inputs) -> Result<()> {
    let found = inputs.untouched()?;
    ensure!(
        found.len() == state.data.len(),
        "expected the {} sources that this run has seen so far, found {}: leave out --data to go on with them",
        state.data.len(),
        found.len()
    );
    for (path, (found, seen)) in inputs.paths().into_iter().zip(found.iter().zip(&state.data)) {
        ensure!(
            found.fingerprint == seen.fingerprint,
            "{} is not the data that this run has seen so far (fingerprint {}, expected {}): give the original --data, or start another \
             run with --init",
            path.display(),
            found.fingerprint,
            seen.fingerprint
        );
    }
    Ok(())
}

/// A model on its machine, about to be trained.
struct Ready {
    device: Box<dyn TrainingDevice>,
    config: Config,
    tokenizer: WordPiece,
    /// Things to tell the user.
    remarks: Vec<String>,
}

impl Ready {
    fn new(start: Start, inputs: &Inputs, settings: &Settings) -> Result<Self> {
        let Start { contents, tokenizer, mut remarks } = start;
        inputs.check(&contents.config)?;
        remarks.extend(device::why_cpu(&settings.device));
        Ok(Self { device: device::place(settings, &contents)?, config: contents.config, tokenizer, remarks })
    }
}
