//! Held-out figures: sums that add up over batches, and the original's metrics from them.

use serde::Serialize;

/// Sums over evaluated batches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EvaluationSums {
    /// `Σ weight · −log p` over masked slots.
    pub mlm_nll: f64,
    /// Weight of the slots whose best token is right.
    pub mlm_correct: f64,
    /// Weight of all slots.
    pub mlm_weight: f64,
    /// `Σ −log p` of the next sentence labels.
    pub nsp_nll: f64,
    /// Rows whose next sentence label is right.
    pub nsp_correct: f64,
    /// Rows.
    pub rows: f64,
    /// Sum over batches of each batch's total loss.
    pub batch_losses: f64,
    /// Batches.
    pub batches: f64,
}

/// What Google's `run_pretraining.py` writes to `eval_results.txt`, under its names, and the perplexity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvaluationMetrics {
    /// Updates so far.
    pub global_step: u64,
    /// Mean of the batches' total losses.
    pub loss: f64,
    /// Share of masked tokens found.
    pub masked_lm_accuracy: f64,
    /// Mean loss of a masked token.
    pub masked_lm_loss: f64,
    /// Share of next sentence labels found.
    pub next_sentence_accuracy: f64,
    /// Mean loss of a next sentence label.
    pub next_sentence_loss: f64,
    /// `exp(masked_lm_loss)`.
    pub perplexity: f64,
}

impl std::ops::AddAssign for EvaluationSums {
    fn add_assign(&mut self, other: Self) {
        self.mlm_nll += other.mlm_nll;
        self.mlm_correct += other.mlm_correct;
        self.mlm_weight += other.mlm_weight;
        self.nsp_nll += other.nsp_nll;
        self.nsp_correct += other.nsp_correct;
        self.rows += other.rows;
        self.batch_losses += other.batch_losses;
        self.batches += other.batches;
    }
}

impl EvaluationSums {
    /// The original's six metrics and the perplexity. Means over nothing are NaN.
    pub fn metrics(&self, global_step: u64) -> EvaluationMetrics {
        let masked_lm_loss = self.mlm_nll / self.mlm_weight;
        EvaluationMetrics {
            global_step,
            loss: self.batch_losses / self.batches,
            masked_lm_accuracy: self.mlm_correct / self.mlm_weight,
            masked_lm_loss,
            next_sentence_accuracy: self.nsp_correct / self.rows,
            next_sentence_loss: self.nsp_nll / self.rows,
            perplexity: masked_lm_loss.exp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_batches_give_the_metrics_of_all() {
        let mut sums = EvaluationSums::default();
        for (nll, weight, loss) in [(6.0, 3.0, 3.0), (1.0, 1.0, 2.0)] {
            sums += EvaluationSums {
                mlm_nll: nll,
                mlm_correct: 1.0,
                mlm_weight: weight,
                nsp_nll: 1.0,
                nsp_correct: 1.0,
                rows: 2.0,
                batch_losses: loss,
                batches: 1.0,
            };
        }
        let metrics = sums.metrics(9);
        assert_eq!((metrics.global_step, metrics.loss, metrics.masked_lm_loss), (9, 2.5, 1.75));
        assert_eq!((metrics.masked_lm_accuracy, metrics.next_sentence_accuracy, metrics.next_sentence_loss), (0.5, 0.5, 0.5));
        assert!((metrics.perplexity - 1.75_f64.exp()).abs() < 1e-12);
    }
}
