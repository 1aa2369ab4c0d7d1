//! `native eval`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use clinicalbert_core::bert::{Freeze, Part};
use clinicalbert_core::examples::tf_example::Shape;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::{Map, Value};

use super::Answer;
use crate::cli::Common;
use crate::dataset::Dataset;
use crate::model_folder::ModelFolder;
use crate::train::{device, evaluation::evaluate, settings::Precision};

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model: a folder, any file of it, or the prefix of a TensorFlow checkpoint
    #[arg(long, alias = "init-checkpoint", value_name = "MODEL")]
    model: PathBuf,
    /// Held-out examples: a prepared folder or a TFRecord file
    #[arg(long, alias = "input-file", value_name = "DIR")]
    data: PathBuf,
    /// Examples of a forward pass
    #[arg(long, value_name = "N", default_value_t = 8)]
    eval_batch_size: usize,
    /// Most batches; all examples if not given
    #[arg(long, value_name = "N")]
    max_eval_steps: Option<u64>,
    /// Machine to run on: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// What a GPU computes in
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    precision: Precision,
}

/// Runs the command: the figures of the original's `eval_results.txt`, under its names, and the perplexity.
///
/// # Errors
/// A model without its heads, data that does not fit it.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    ensure!(arguments.eval_batch_size > 0, "--eval-batch-size must be at least 1");
    let data = Dataset::open(&arguments.data)?;
    let model = ModelFolder::read(&arguments.model)?;
    for part in [Part::MlmHead, Part::Pooler, Part::NspHead] {
        model.require(part, "eval")?;
    }
    let shape: Shape = data.shape();
    let positions = model.config.max_position_embeddings;
    ensure!(
        shape.max_seq_length <= positions,
        "examples have up to {} tokens, the model allows {positions}: prepare the notes with --max-seq-length {positions}",
        shape.max_seq_length
    );
    let (precision, weights) = (arguments.precision, &model.loaded.tensors);
    let device = device::open(&arguments.device, precision, &model.config, weights, 0, &Freeze::default())?;
    let most = arguments.max_eval_steps.map_or(u64::MAX, |steps| steps.saturating_mul(arguments.eval_batch_size as u64));
    let target = if common.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(data.len().min(most)), target);
    let step = model.found.step()?;
    let batch_size = arguments.eval_batch_size;
    let data = std::slice::from_ref(&data);
    let figures = evaluate(device.as_ref(), data, shape, batch_size, most, step.unwrap_or(0), |done| bar.set_position(done))?;
    bar.finish_and_clear();
    if !common.quiet {
        device::why_cpu(&arguments.device).iter().for_each(|reason| eprintln!("{reason}"));
        eprintln!("{}", model.describe());
    }
    let Value::Object(mut figures) = serde_json::to_value(figures)? else { return Ok(Answer::No) };
    if step.is_none() {
        figures.remove("global_step");
    }
    print_figures(&figures, common.json);
    Ok(Answer::Yes)
}

/// As the original's file: `key = value`, sorted.
fn print_figures(figures: &Map<String, Value>, json: bool) {
    if json {
        println!("{}", Value::Object(figures.clone()));
        return;
    }
    let mut lines: Vec<String> = figures.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    lines.sort();
    println!("{}", lines.join("\n"));
}
