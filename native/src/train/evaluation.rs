//! Held-out figures, as the original's evaluation computes them.

use anyhow::Result;
use clinicalbert_core::bert::{EvaluationMetrics, EvaluationSums};
use clinicalbert_core::examples::tf_example::Shape;

use super::batches::{collect, read};
use super::device::TrainingDevice;
use crate::dataset::Dataset;

/// Evaluates on the first `most` examples, in their order, all of them counted (the original drops an incomplete last batch); of several
/// sets on an equal part of each. `after_batch` hears how many examples are done.
///
/// # Errors
/// A damaged example, or one that does not fit the model.
pub fn evaluate(
    device: &dyn TrainingDevice,
    datasets: &[Dataset],
    shape: Shape,
    batch_size: usize,
    most: u64,
    step: u64,
    mut after_batch: impl FnMut(u64),
) -> Result<EvaluationMetrics> {
    let mut sums = EvaluationSums::default();
    let (mut done, most) = (0, most.div_ceil(datasets.len().max(1) as u64));
    for dataset in datasets {
        let examples = dataset.len().min(most);
        for start in (0..examples).step_by(batch_size) {
            let numbers = start..(start + batch_size as u64).min(examples);
            done += numbers.end - numbers.start;
            // Where masks are drawn on reading, these are the same in every evaluation.
            let examples = numbers.map(|number| read(dataset, number, 0, 0)).collect::<Result<Vec<_>>>()?;
            let (batch, slots) = collect(&examples, shape)?;
            sums += device.evaluate(&batch, &slots)?;
            after_batch(done);
        }
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
