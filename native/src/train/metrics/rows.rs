//! Rows of `metrics.jsonl`: one JSON object a logged step, never text of a note.

use clinicalbert_core::bert::{EvaluationMetrics, StepReport};
use serde::Serialize;

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

/// An update that was undone and left out, and where its examples lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutRow {
    /// Updates done, this one included.
    pub step: u64,
    /// `left out`.
    pub split: &'static str,
    /// What was wrong.
    pub reason: String,
    /// The batch: by folder and file, the numbers of the records.
    pub examples: Vec<FileRecords>,
}

/// Records of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRecords {
    /// Folder and file, without the folders above.
    pub file: String,
    /// Numbers of the records in the file, from 0.
    pub records: Vec<u64>,
}

impl FileRecords {
    /// For people.
    pub fn sentence(&self) -> String {
        let records: Vec<_> = self.records.iter().map(u64::to_string).collect();
        format!("records {} of {}", records.join(", "), self.file)
    }
}
