//! The model card, `README.md` of the model folder: where the model came from, what it was trained on, how well it does, its limits.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use clinicalbert_core::bert::Config;
use serde_json::Value;

use super::settings::Settings;
use crate::dataset::Dataset;

/// What a card tells beside the settings.
pub struct Facts<'a> {
    /// Settings of the run.
    pub settings: &'a Settings,
    /// Shape of the model.
    pub config: &'a Config,
    /// What it was trained on.
    pub data: &'a Dataset,
    /// The data's fingerprint.
    pub fingerprint: &'a str,
    /// `cased` or `uncased`.
    pub case: &'a str,
    /// The run's `metrics.jsonl`.
    pub metrics: &'a Path,
}

/// Writes the card.
///
/// # Errors
/// The metrics cannot be read.
pub fn card(facts: &Facts<'_>) -> Result<String> {
    let Facts { settings, config, data, fingerprint, case, metrics } = facts;
    let schedule = settings.schedule();
    let start = settings
        .init
        .as_ref()
        .map_or_else(|| format!("new weights, seed {}", settings.seed), |init| format!("`{}`", file_name(init)));
    let held_out = held_out(metrics)?;
    let seen = settings.num_train_steps * settings.examples_per_step() as u64;
    let epochs = seen as f64 / data.len() as f64;
    let (shape, length) = (data.shape(), settings.max_seq_length.unwrap_or(data.shape().max_seq_length));
    let untrained = match config.max_position_embeddings > length {
        true => format!(
            "\n- Positions {length} to {} exist but got no gradient: training sequences had at most {length} tokens. Longer texts are \
             better cut into windows of {length}.",
            config.max_position_embeddings - 1
        ),
        false => String::new(),
    };
    Ok(format!(
        "---
library_name: transformers
pipeline_tag: fill-mask
tags: [bert, clinical, masked-language-modeling, next-sentence-prediction]
---

# BERT pretrained with clinicalbert

{layers} layers, {hidden} wide, {heads} heads, {act}; {case} WordPiece vocabulary of {vocab} entries. Trained with masked language model and
next sentence prediction, both heads included (`BertForPreTraining`).

## Lineage

- Start: {start}
- Data: `{data_name}`, {examples} examples of {data_length} tokens with {slots} masked slots, fingerprint `{fingerprint}`
- Written by clinicalbert {version}

## Training

| setting | value |
|---|---|
| updates | {steps} |
| examples an update | {per_step} ({batch} × {accumulation}) |
| examples seen | {seen} ({epochs:.2} epochs) |
| longest sequence | {length} |
| learning rate | {rate}, warm-up {warmup} updates, linear decay |
| optimizer | Adam without bias correction, β 0.9 / 0.999, ε 1e-6, weight decay 0.01, clip 1.0 |
| dropout | {dropout} |
| seed | {seed} |

## Held-out figures

{held_out}
## Limits

- It knows what its training notes show, with their biases and their abbreviations; it is no medical device and gives no advice.
- Notes may hold identifiers. Unless the training notes were de-identified, treat the model as you treat the notes.{untrained}
",
        layers = config.num_hidden_layers,
        hidden = config.hidden_size,
        heads = config.num_attention_heads,
        act = serde_json::to_string(&config.hidden_act)?.replace('"', "`"),
        vocab = config.vocab_size,
        data_name = file_name(data.path()),
        examples = data.len(),
        data_length = shape.max_seq_length,
        slots = shape.max_predictions_per_seq,
        version = env!("CARGO_PKG_VERSION"),
        steps = settings.num_train_steps,
        per_step = settings.examples_per_step(),
        batch = settings.train_batch_size,
        accumulation = settings.gradient_accumulation_steps,
        rate = settings.learning_rate,
        warmup = schedule.warmup_steps,
        dropout = config.hidden_dropout_prob,
        seed = settings.seed,
    ))
}

/// The last part of a path: cards are published, and the rest of a path tells about the machine.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// First and last evaluation as a table.
fn held_out(metrics: &Path) -> Result<String> {
    let mut rows: Vec<Value> = Vec::new();
    for line in BufReader::new(File::open(metrics)?).lines() {
        let row: Value = serde_json::from_str(&line?)?;
        if row.get("split").is_some() {
            rows.truncate(1);
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return Ok("None: the run had no held-out data (`--eval-data`).\n".into());
    }
    let mut table =
        String::from("| updates | MLM loss | MLM accuracy | perplexity | NSP loss | NSP accuracy |\n|--:|--:|--:|--:|--:|--:|\n");
    for row in rows {
        let figure = |key| row.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        table.push_str(&format!(
            "| {} | {:.3} | {:.1} % | {:.1} | {:.3} | {:.1} % |\n",
            figure("step"),
            figure("mlm_loss"),
            100.0 * figure("mlm_accuracy"),
            figure("perplexity"),
            figure("nsp_loss"),
            100.0 * figure("nsp_accuracy")
        ));
    }
    Ok(table)
}
