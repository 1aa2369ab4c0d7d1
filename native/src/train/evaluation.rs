//! Held-out figures, as the original's evaluation computes them.

use anyhow::Result;
use clinicalbert_core::bert::{EvaluationMetrics, EvaluationSums};
use clinicalbert_core::examples::tf_example::Shape;

use super::batches::collect;
use super::device::TrainingDevice;
use crate::dataset::Dataset;

/// Evaluates on the first `most` examples, in their order, all of them counted (the original drops an incomplete last batch).
/// `after_batch` hears how many examples are done.
///
/// # Errors
/// A damaged example, or one that does not fit the model.
pub fn evaluate(
    device: &dyn TrainingDevice,
    dataset: &Dataset,
    shape: Shape,
    batch_size: usize,
    most: u64,
    step: u64,
    mut after_batch: impl FnMut(u64),
) -> Result<EvaluationMetrics> {
    let mut sums = EvaluationSums::default();
    let examples = dataset.len().min(most);
    for start in (0..examples).step_by(batch_size) {
        let end = (start + batch_size as u64).min(examples);
        // Where masks are drawn on reading, these are the same in every evaluation.
        let (batch, slots) = collect(dataset, 0, (start..end).map(|number| (0, number)), shape)?;
        sums += device.evaluate(&batch, &slots)?;
        after_batch(end);
    }
    Ok(sums.metrics(step))
}

/// The figures in a line, for people.
pub fn sentence(figures: &EvaluationMetrics) -> String {
    format!(
        "MLM loss {:.3}, accuracy {:.1} %, perplexity {:.1}; NSP loss {:.3}, accuracy {:.1} %",
        figures.masked_lm_loss,
        100.0 * figures.masked_lm_accuracy,
        figures.perplexity,
        figures.next_sentence_loss,
        100.0 * figures.next_sentence_accuracy
    )
}
