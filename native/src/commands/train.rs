//! `native train`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use clinicalbert_core::bert::Config;
use serde::Serialize;
use serde_json::json;
use toml::Table;

use super::Answer;
use crate::cli::{Common, NotesInput};
use crate::train::{
    self, Outcome, demo,
    preparation::prepare_notes,
    run_folder::{RunFolder, settings_file},
    settings::{Layers, Settings},
    start::shape_table,
};

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the run: settings, metrics, checkpoints and, at the end, the model
    #[arg(long, alias = "output-dir", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in --out from its newest whole checkpoint
    #[arg(long)]
    resume: bool,
    /// Settings in a file, such as another run's run.toml; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings as merged, with the source of each, and stop
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Flags,
    #[command(flatten, next_help_heading = "Notes, prepared first")]
    notes: NotesInput,
    #[command(flatten, next_help_heading = "Shape of a new model")]
    shape: ShapeFlags,
}

/// Flags that are settings under the same name.
#[derive(Debug, Args, Serialize)]
struct Flags {
    /// Prepared examples: a folder that `native prepare` wrote, or a TFRecord file of Google's code
    #[arg(long, alias = "input-file", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Examples to evaluate on; DIR/holdout of the data if it is there
    #[arg(long, value_name = "DIR")]
    eval_data: Option<PathBuf>,
    /// Model to start from: a Hugging Face folder or its model.safetensors; new weights if not given
    #[arg(long, alias = "init-checkpoint", value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Vocabulary of a new model: vocab.txt or tokenizer.json; the data's own if not given
    #[arg(long, alias = "vocab-file", value_name = "FILE")]
    vocab: Option<PathBuf>,
    /// Updates in all [default: 150000]
    #[arg(long, visible_alias = "steps", value_name = "N")]
    num_train_steps: Option<u64>,
    /// Updates of the warm-up [default: a fifteenth of all, at most 10000]
    #[arg(long, value_name = "N")]
    num_warmup_steps: Option<u64>,
    /// Examples of a forward pass [default: 32]
    #[arg(long, visible_alias = "batch-size", value_name = "N")]
    train_batch_size: Option<usize>,
    /// Forward passes of an update [default: 1]
    #[arg(long, value_name = "N")]
    gradient_accumulation_steps: Option<usize>,
    /// Peak learning rate [default: 5e-5]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Tokens of an example [default: the data's, which is 128 unless it was prepared otherwise]
    #[arg(long, value_name = "N")]
    max_seq_length: Option<usize>,
    /// Masked slots of an example [default: the data's, which is 20 unless it was prepared otherwise]
    #[arg(long, value_name = "N")]
    max_predictions_per_seq: Option<usize>,
    /// Decides new weights, the order of the data and dropout [default: 12345]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Machine to train on: auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Updates between checkpoints [default: 1000]
    #[arg(long, value_name = "N")]
    save_checkpoints_steps: Option<u64>,
    /// Newest checkpoints to keep; 0 keeps all [default: 5]
    #[arg(long, alias = "keep-checkpoint-max", value_name = "N")]
    keep_checkpoints: Option<usize>,
    /// Updates between rows of metrics.jsonl [default: 10]
    #[arg(long, value_name = "N")]
    log_every: Option<u64>,
    /// Updates between evaluations [default: as often as checkpoints]
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Most examples of an evaluation [default: 800]
    #[arg(long, value_name = "N")]
    eval_examples: Option<u64>,
}

/// Flags of a new model's shape, `[model]` in the settings. BERT-base if not given.
#[derive(Debug, Args)]
struct ShapeFlags {
    /// config.json or bert_config.json with the shape
    #[arg(long, alias = "bert-config-file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
}

#[derive(Debug, Args, Serialize)]
struct Sizes {
    /// Width [default: 768]
    #[arg(long, value_name = "N")]
    hidden_size: Option<usize>,
    /// Layers [default: 12]
    #[arg(long, value_name = "N")]
    num_hidden_layers: Option<usize>,
    /// Attention heads [default: 12]
    #[arg(long, value_name = "N")]
    num_attention_heads: Option<usize>,
    /// Width of the feed-forward block [default: four times the width]
    #[arg(long, value_name = "N")]
    intermediate_size: Option<usize>,
    /// gelu (exact, as the published model) or gelu_new (tanh, as Google's later code) [default: gelu]
    #[arg(long, value_name = "NAME")]
    hidden_act: Option<String>,
    /// Longest sequence the model can take [default: 512]
    #[arg(long, value_name = "N")]
    max_position_embeddings: Option<usize>,
    /// Dropout of hidden states [default: 0.1]
    #[arg(long, value_name = "P")]
    hidden_dropout_prob: Option<f64>,
    /// Dropout of attention weights [default: 0.1]
    #[arg(long, value_name = "P")]
    attention_probs_dropout_prob: Option<f64>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    if arguments.is_demo() {
        return demo(arguments, common);
    }
    let mut layers = Layers::new()?;
    if arguments.resume {
        let out = arguments.out.as_ref().context("--resume needs --out, the folder of the run")?;
        // The error about a folder without a run is better than that about a missing file.
        let _ = RunFolder::open(out)?;
        layers.run(&settings_file(out))?;
    }
    arguments.overlay(&mut layers)?;
    let settings = layers.merge()?;
    if arguments.print_config {
        print!("{}", layers.explain());
        return Ok(Answer::Yes);
    }
    let steps = settings.num_train_steps;
    let out = arguments.out.as_ref().context("--out is missing: the folder that the run is to be written to")?;
    let outcome = match arguments.resume {
        true => train::resume(&RunFolder::open(out)?, &settings, common.quiet)?,
        false => train::begin(out, with_data(arguments, settings, out, common)?, common.quiet)?,
    };
    match outcome {
        Outcome::Done { model, evaluations } => {
            if common.json {
                let evaluation = evaluations.map(|(_, last)| last);
                println!("{}", json!({ "steps": steps, "model": model, "evaluation": evaluation }));
            } else {
                println!("model: {}", model.display());
            }
            Ok(Answer::Yes)
        }
        Outcome::Stopped { step } => {
            eprintln!("stopped after step {step} of {steps}; go on with: native train --resume --out {}", out.display());
            Ok(Answer::No)
        }
    }
}

/// Prepares the notes if there are no examples yet.
fn with_data(arguments: &Arguments, mut settings: Settings, out: &Path, common: &Common) -> Result<Settings> {
    if settings.data.is_none() && !arguments.notes.notes.is_empty() {
        let size = settings.model.get("vocab_size").and_then(toml::Value::as_integer).and_then(|size| size.try_into().ok());
        let size = size.unwrap_or_else(|| Config::default().vocab_size);
        settings.data = Some(prepare_notes(&arguments.notes, &settings, size, out, common)?);
    }
    Ok(settings)
}

fn demo(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let mut layers = Layers::new()?;
    layers.demo(demo::SETTINGS)?;
    arguments.overlay(&mut layers)?;
    let settings = layers.merge()?;
    if arguments.print_config {
        print!("{}", layers.explain());
        return Ok(Answer::Yes);
    }
    demo::run(arguments.out.as_deref(), settings, common)
}

impl Arguments {
    /// Whether nothing says what to train on or from: then there is a demonstration.
    fn is_demo(&self) -> bool {
        let Flags { data, init, vocab, .. } = &self.settings;
        !self.resume
            && self.config.is_none()
            && self.notes.notes.is_empty()
            && [data, init, vocab].iter().all(|path| path.is_none())
    }

    fn overlay(&self, layers: &mut Layers) -> Result<()> {
        if let Some(file) = &self.config {
            layers.config(file)?;
        }
        layers.environment(std::env::vars());
        if let Some(file) = &self.shape.config_file {
            layers.flags(&Table::from_iter([("model".to_owned(), shape_table(file)?.into())]))?;
        }
        layers.flags(&self.settings)?;
        let sizes = Table::try_from(&self.shape.sizes)?;
        if !sizes.is_empty() {
            layers.flags(&Table::from_iter([("model".to_owned(), sizes.into())]))?;
        }
        ensure!(
            self.notes.notes.is_empty() || self.settings.data.is_none(),
            "--data and --notes exclude each other: examples are prepared already, or are made from notes"
        );
        Ok(())
    }
}
