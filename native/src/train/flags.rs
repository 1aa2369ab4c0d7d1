//! Flags that say how to train: those of `native train`, and of `native doctor --train`, which tries the same run.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use toml::Table;

use super::settings::{Layers, Precision, Preset};
use super::start::shape_table;
use crate::cli::NotesInput;

/// Everything that settings can come from on the command line.
#[derive(Debug, Args)]
pub struct Flags {
    /// Settings in a file, such as another run's run.toml; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags,
    /// Notes to prepare first.
    #[command(flatten, next_help_heading = "Notes, prepared first")]
    pub notes: NotesInput,
    #[command(flatten, next_help_heading = "Shape of a new model")]
    shape: ShapeFlags,
}

/// Flags that are settings under the same name.
#[derive(Debug, Args, Serialize)]
struct SettingFlags {
    /// Settings of a published model, under everything else that is given
    #[arg(long, value_enum, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<Preset>,
    /// Prepared examples: a folder that `native prepare` wrote, or a TFRecord file of Google's code. Several are mixed, in proportion to
    /// their sizes or as weights say: `--data ecg=1 --data discharge=3`
    #[arg(long, alias = "input-file", value_name = "DIR[=WEIGHT]")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<String>,
    /// Examples to evaluate on; DIR/holdout of the data if it is there
    #[arg(long, value_name = "DIR")]
    eval_data: Option<PathBuf>,
    /// Model to start from: a folder, any file of it, or the prefix of a TensorFlow checkpoint; new weights if not given
    #[arg(long, alias = "init-checkpoint", value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Vocabulary of a new model: vocab.txt or tokenizer.json; the data's own if not given
    #[arg(long, alias = "vocab-file", value_name = "FILE")]
    vocab: Option<PathBuf>,
    /// Parts of the model that keep their weights: embeddings, layers=A-B, pooler, mlm, nsp, with commas between
    #[arg(long, value_name = "PARTS")]
    freeze: Option<String>,
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
    /// What a GPU computes in [default: bf16]
    #[arg(long, value_enum, value_name = "NAME")]
    precision: Option<Precision>,
    /// Updates between checkpoints [default: 1000]
    #[arg(long, value_name = "N")]
    save_checkpoints_steps: Option<u64>,
    /// Newest checkpoints to keep, beside the one with the lowest held-out MLM loss; 0 keeps all [default: 5]
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
    /// Undo an update whose loss or gradient norm is this many standard deviations above what was usual, and leave its examples out;
    /// 0: only if it is no number [default: 10]
    #[arg(long, value_name = "Z")]
    spike_threshold: Option<f64>,
    /// Give up when more updates than this had to be left out [default: 10]
    #[arg(long, value_name = "N")]
    max_rollbacks: Option<usize>,
}

/// Flags of a new model's shape, `[model]` in the settings. BERT-base if not given.
#[derive(Debug, Args)]
pub struct ShapeFlags {
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

impl ShapeFlags {
    /// `[model]` of the settings.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn table(&self) -> Result<Table> {
        let mut table = self.config_file.as_deref().map_or_else(|| Ok(Table::new()), shape_table)?;
        table.extend(Table::try_from(&self.sizes)?);
        Ok(table)
    }
}

impl Flags {
    /// Whether nothing says what to train on or from.
    pub fn name_no_input(&self) -> bool {
        let SettingFlags { data, init, vocab, preset, .. } = &self.settings;
        let named = self.config.is_some() || init.is_some() || vocab.is_some() || preset.is_some();
        !named && data.is_empty() && self.notes.notes.is_empty()
    }

    /// Lays preset, file, environment and flags over `layers`.
    ///
    /// # Errors
    /// A file that cannot be read, or flags that exclude each other.
    pub fn overlay(&self, layers: &mut Layers) -> Result<()> {
        if let Some(file) = &self.config {
            layers.config(file)?;
        }
        layers.environment(std::env::vars());
        layers.flags(&self.settings)?;
        let shape = self.shape.table()?;
        if !shape.is_empty() {
            layers.flags(&Table::from_iter([("model".to_owned(), shape.into())]))?;
        }
        ensure!(
            self.notes.notes.is_empty() || self.settings.data.is_empty(),
            "--data and --notes exclude each other: examples are prepared already, or are made from notes"
        );
        layers.complete()
    }
}
