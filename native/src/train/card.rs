//! The model card, `README.md` of the model folder: where the model came from, what it was trained on, how well it does, its limits.

use std::path::Path;

use anyhow::Result;
use clinicalbert_core::bert::Config;
use serde_json::Value;

use super::inputs::Inputs;
use super::metrics;
use super::settings::Settings;
use super::state::{Consumed, State, file_name};

/// What a card and a report tell beside the settings.
pub struct Facts<'a> {
    /// Settings of the run.
    pub settings: &'a Settings,
    /// Shape of the model.
    pub config: &'a Config,
    /// What it was trained on.
    pub inputs: &'a Inputs,
    /// Where the run stands at its end.
    pub state: &'a State,
    /// `cased` or `uncased`.
    pub case: &'a str,
    /// The run's folder.
    pub folder: &'a Path,
    /// The machine's name for people.
    pub device: String,
}

/// Writes the card.
///
/// # Errors
/// The metrics cannot be read.
pub fn card(facts: &Facts<'_>) -> Result<String> {
    let Facts { settings, config, inputs, state, case, folder, .. } = facts;
    let schedule = settings.schedule();
    let start = settings
        .init
        .as_ref()
        .map_or_else(|| format!("new weights, seed {}", settings.seed), |init| format!("`{}`", file_name(init)));
    let preset =
        settings.preset.map_or_else(String::new, |preset| format!("\n- Settings of a published model, which {}", preset.wants()));
    let held_out = held_out(folder)?;
    let length = inputs.stretches().iter().map(|stretch| stretch.batches.shape.max_seq_length).max().unwrap_or(0);
    let batches: Vec<_> = inputs.stretches().iter().map(|stretch| &stretch.batches).collect();
    let batches: Vec<_> = batches
        .iter()
        .map(|batches| format!("{} ({} × {})", batches.examples_per_step(), batches.batch_size, batches.micro_batches))
        .collect();
    let frozen = match settings.freeze.is_empty() {
        true => String::new(),
        false => format!("\n| frozen | {} |", String::from(settings.freeze.clone())),
    };
    let left_out = match state.left_out.len() {
        0 => String::new(),
        count => format!("\n| updates left out after going wrong | {count} |"),
    };
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

- Start: {start}{preset}
{data}
- Written by clinicalbert {version}

## Training

| setting | value |
|---|---|
| updates | {steps} |
| examples an update | {per_step} |
| examples seen | {seen} |
| longest sequence | {length} |
| learning rate | {rate}, warm-up {warmup} updates, linear decay |
| optimizer | Adam without bias correction, β 0.9 / 0.999, ε 1e-6, weight decay 0.01, clip 1.0 |
| dropout | {dropout} |{frozen}{left_out}
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
        data = sources(inputs, &state.data),
        version = env!("CARGO_PKG_VERSION"),
        steps = settings.num_train_steps,
        per_step = batches.join(", then "),
        seen = state.examples(),
        rate = settings.learning_rate,
        warmup = schedule.warmup_steps,
        dropout = config.hidden_dropout_prob,
        seed = settings.seed,
    ))
}

/// What each source is and how much of it was seen, as a list.
fn sources(inputs: &Inputs, consumed: &[Consumed]) -> String {
    let lines = inputs.sources().zip(consumed).map(|(source, Consumed { name, fingerprint, epochs })| {
        let (shape, seen) = (source.shape(), epochs.iter().sum::<u64>());
        format!(
            "- Data: `{name}`, {} examples of {} tokens with {} masked slots, fingerprint `{fingerprint}`; {seen} seen, {:.2} epochs",
            source.len(),
            shape.max_seq_length,
            shape.max_predictions_per_seq,
            seen as f64 / source.len() as f64
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// First and last evaluation as a table.
fn held_out(folder: &Path) -> Result<String> {
    let mut rows: Vec<Value> = Vec::new();
    for row in metrics::read(folder)?.into_iter().filter(|row| row.get("split").is_some_and(|split| split == "eval")) {
        rows.truncate(1);
        rows.push(row);
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
