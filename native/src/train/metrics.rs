//! `metrics.jsonl`: one JSON object a logged step, numbers only.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clinicalbert_core::bert::{EvaluationMetrics, StepReport};
use serde::{Deserialize, Serialize};

use crate::whole_file;

/// One update's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainRow {
    /// Updates done, this one included.
    pub step: u64,
    /// MLM + NSP loss.
    pub loss: f64,
    /// Cross-entropy of masked tokens, in nats.
    pub mlm_loss: f64,
    /// Cross-entropy of next sentence, in nats.
    pub nsp_loss: f64,
    /// Share of masked tokens found.
    pub mlm_accuracy: f64,
    /// Share of pairs told right.
    pub nsp_accuracy: f64,
    /// Rate of this update.
    pub learning_rate: f32,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Speed since the row before; the one figure that differs when a run is repeated.
    pub examples_per_second: f64,
}

impl TrainRow {
    /// From the report of the update after which `step` are done.
    pub const fn new(step: u64, report: &StepReport, learning_rate: f32, examples_per_second: f64) -> Self {
        let StepReport { loss, mlm_loss, nsp_loss, mlm_accuracy, nsp_accuracy, grad_norm } = *report;
        Self { step, loss, mlm_loss, nsp_loss, mlm_accuracy, nsp_accuracy, learning_rate, grad_norm, examples_per_second }
    }
}

/// Figures on held-out examples, under the names of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalRow {
    step: u64,
    split: &'static str,
    loss: f64,
    mlm_loss: f64,
    nsp_loss: f64,
    mlm_accuracy: f64,
    nsp_accuracy: f64,
    perplexity: f64,
}

impl EvalRow {
    /// From an evaluation.
    pub const fn new(figures: &EvaluationMetrics) -> Self {
        Self {
            step: figures.global_step,
            split: "eval",
            loss: figures.loss,
            mlm_loss: figures.masked_lm_loss,
            nsp_loss: figures.next_sentence_loss,
            mlm_accuracy: figures.masked_lm_accuracy,
            nsp_accuracy: figures.next_sentence_accuracy,
            perplexity: figures.perplexity,
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct Metrics(File);

impl Metrics {
    /// Opens the file of a run of which `steps` updates stand; rows of later ones, written before a crash, are cut off.
    ///
    /// # Errors
    /// Why the file cannot be read or written.
    pub fn open(path: &Path, steps: u64) -> Result<Self> {
        #[derive(Deserialize)]
        struct Row {
            step: u64,
        }
        let context = || format!("cannot write {}", path.display());
        if path.exists() {
            let rows = BufReader::new(File::open(path).with_context(context)?).lines();
            whole_file::write_file(path, |file| {
                for row in rows {
                    // A row that a crash left half-written is no JSON; it and what follows go.
                    let Ok(row) = row else { break };
                    match serde_json::from_str::<Row>(&row) {
                        Ok(Row { step }) if step <= steps => writeln!(file, "{row}")?,
                        _ => break,
                    }
                }
                Ok(())
            })?;
        }
        Ok(Self(OpenOptions::new().create(true).append(true).open(path).with_context(context)?))
    }

    /// Appends a row, in one piece.
    ///
    /// # Errors
    /// The disk refused.
    pub fn write(&mut self, row: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.0.write_all(&line).context("cannot write metrics.jsonl")
    }

    /// Returns once all rows are on disk, which they must be before a checkpoint of their step is.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sync(&self) -> Result<()> {
        self.0.sync_data().context("cannot write metrics.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_after_the_checkpoint_and_half_rows_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let rows = |last: &str| format!("{{\"step\":1,\"loss\":2.5}}\n{{\"step\":2,\"split\":\"eval\"}}\n{last}");
        std::fs::write(&path, rows("{\"step\":3}\n{\"st")).unwrap();
        let mut metrics = Metrics::open(&path, 2).unwrap();
        metrics.write(&serde_json::json!({"step": 3})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), rows("{\"step\":3}\n"));
        Metrics::open(&path, 0).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
