//! `native bench train`: the time of an update, taken as the yardsticks do that it stands beside. Every update has a batch that was never seen before;
//! its copy to the machine, forward and backward pass, clipping and optimizer are all inside the clock.

mod batches;
mod machine;

use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::{Batch, Config, MaskedSlots};
use serde::Serialize;

pub use batches::batches;
pub use machine::{Machine, Wanted};

/// Learning rate of measured updates: weights change, as they do in a run.
const RATE: f32 = 5e-5;
/// Updates whose parts are timed.
const PARTED: usize = 10;

/// A batch size and a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Examples of an update.
    pub batch: usize,
    /// Tokens of an example.
    pub length: usize,
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('x').and_then(|(batch, length)| Some((batch.parse().ok()?, length.parse().ok()?)));
        let (batch, length) = numbers.with_context(|| format!("expected BATCHxLENGTH, such as 32x128, found {text}"))?;
        ensure!(batch > 0 && length > 4, "a case has at least 1 example of 5 tokens, found {text}");
        Ok(Self { batch, length })
    }
}

impl Case {
    /// Masked slots of an example: 15 % of its tokens, the original's 20 for 128.
    pub const fn slots(self) -> usize {
        (self.length * 15).div_ceil(100)
    }

    /// Its name: `base-b32-s128`, with the sizes of a model that is not BERT-base.
    pub fn name(self, config: &Config) -> String {
        let sizes = |config: &Config| {
            let Config { num_hidden_layers, hidden_size, intermediate_size, vocab_size, .. } = *config;
            (num_hidden_layers, hidden_size, intermediate_size, vocab_size)
        };
        let (layers, hidden, ..) = sizes(config);
        let is_base = sizes(config) == sizes(&Config::default());
        let model = if is_base { "base".to_owned() } else { format!("l{layers}-h{hidden}") };
        format!("{model}-b{}-s{}", self.batch, self.length)
    }

    /// Multiplications and additions in the matrix products that an update needs, forward and backward, whatever a program computes beside:
    /// heads at the masked slots alone, the vocabulary without padding.
    pub fn operations(self, config: &Config) -> f64 {
        let Config { hidden_size, intermediate_size, num_hidden_layers, vocab_size, .. } = *config;
        let (hidden, length) = (hidden_size as f64, self.length as f64);
        let layer =
            2.0 * length * (4.0 * hidden * hidden + 2.0 * hidden * intermediate_size as f64) + 4.0 * length * length * hidden;
        let heads = 2.0 * self.slots() as f64 * hidden * (hidden + vocab_size as f64) + 2.0 * hidden * (hidden + 2.0);
        3.0 * self.batch as f64 * (num_hidden_layers as f64 * layer + heads)
    }
}

/// What was measured of a case. Milliseconds are of one update.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// [`Case::name`]
    pub case: String,
    /// Masked slots of an example.
    pub predictions: usize,
    /// Updates that were timed.
    pub steps: usize,
    /// Median distance between the beginnings of updates.
    pub step_ms_median: f64,
    /// The distance that 95 of 100 do not exceed.
    pub step_ms_p95: f64,
    /// At the median.
    pub examples_per_second: f64,
    /// At the median; padding not counted.
    pub tokens_per_second: f64,
    /// [`Case::operations`] at the median, 10¹² a second.
    pub tflops: f64,
    /// The same as a share of what a large product reaches.
    pub ceiling_share: f64,
    /// Most memory of the process on the CPU; what is in use of a GPU's, that of other processes included.
    pub peak_memory_bytes: u64,
    /// Median times of the parts of an update, where the machine tells.
    #[serde(flatten)]
    pub parts: Option<Parts>,
    /// From the start of the program, or the end of the case before, until the first update was done.
    pub first_step_seconds: f64,
    /// Loss of the last update.
    pub loss: f64,
}

/// Milliseconds of the parts of an update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parts {
    /// Forward pass.
    pub forward_ms: f64,
    /// Backward pass.
    pub backward_ms: f64,
    /// Norm, clipping, Adam.
    pub optimizer_ms: f64,
    /// What lies between updates.
    pub gaps_ms: f64,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// Updates that are not timed.
    pub warmup: usize,
    /// Updates that are.
    pub steps: usize,
}

/// Measures a case. `ceiling` holds what a large product reaches, in 10¹² operations a second; it is measured if it does not yet.
///
/// # Errors
/// A failing machine, or one without enough memory.
pub fn measure(wanted: &Wanted<'_>, case: Case, length: Length, ceiling: &mut Option<f64>, since: Instant) -> Result<Measured> {
    let config = wanted.config;
    let positions = config.max_position_embeddings;
    ensure!(case.length <= positions, "{} tokens are more than the model's {positions} positions", case.length);
    ensure!(length.steps > 0, "--steps must be at least 1");
    let mut machine = Machine::open(wanted)?;
    let batches = batches(config, case, 1 + length.warmup + length.steps);
    let mut updates = (0_u64..).zip(&batches);
    let mut update = |machine: &mut Machine, count: usize| -> Result<Vec<f64>> {
        for (step, batch) in updates.by_ref().take(count) {
            machine.boundary()?;
            machine.begin(batch, step, RATE)?;
        }
        machine.boundary()?;
        machine.intervals()
    };
    update(&mut machine, 1)?;
    let first_step_seconds = since.elapsed().as_secs_f64();
    let ceiling = match *ceiling {
        Some(ceiling) => ceiling,
        None => *ceiling.insert(machine.ceiling()?),
    };
    update(&mut machine, length.warmup)?;
    let times = update(&mut machine, length.steps)?;
    let loss = machine.loss()?;
    ensure!(loss.is_finite(), "the loss of the last update is {loss}: nothing that was measured counts");
    let peak_memory_bytes = machine.memory()?;
    let seconds = quantile(&times, 0.5) / 1000.0;
    let parts = parts(&mut machine, &batches, quantile(&times, 0.5))?;
    let tokens: usize = batches.iter().map(|(batch, _)| batch.attention_mask.iter().filter(|mask| **mask == 1).count()).sum();
    let tflops = case.operations(config) / seconds / 1e12;
    Ok(Measured {
        case: case.name(config),
        predictions: case.slots(),
        steps: times.len(),
        step_ms_median: quantile(&times, 0.5),
        step_ms_p95: quantile(&times, 0.95),
        examples_per_second: case.batch as f64 / seconds,
        tokens_per_second: tokens as f64 / batches.len() as f64 / seconds,
        tflops,
        ceiling_share: tflops / ceiling,
        peak_memory_bytes,
        parts,
        first_step_seconds,
        loss,
    })
}

/// Parts of updates on batches that were seen before, for which times are taken inside the update.
fn parts(machine: &mut Machine, batches: &[(Batch, MaskedSlots)], step_ms: f64) -> Result<Option<Parts>> {
    if !machine.time_parts()? {
        return Ok(None);
    }
    let mut times: [Vec<f64>; 3] = Default::default();
    // The first of them is captured anew.
    for (number, (step, batch)) in (1_000_000..).zip(batches.iter().cycle()).take(PARTED + 1).enumerate() {
        machine.begin(batch, step, RATE)?;
        let parts = machine.part_times()?;
        if number > 0 {
            times.iter_mut().zip(parts).for_each(|(times, part)| times.push(part));
        }
    }
    let [forward_ms, backward_ms, optimizer_ms] = times.map(|times| quantile(&times, 0.5));
    Ok(Some(Parts { forward_ms, backward_ms, optimizer_ms, gaps_ms: step_ms - forward_ms - backward_ms - optimizer_ms }))
}

/// The smallest value that this share does not exceed; 0 of none.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_of_bert_base_needs_what_the_yardstick_counts() {
        let case: Case = "32x128".parse().unwrap();
        let config = Config::default();
        assert_eq!((case.slots(), case.name(&config).as_str()), (20, "base-b32-s128"));
        // `bert_step.py`, Shape().step_flops().
        assert_eq!(case.operations(&config), 2_233_227_313_152.0);
        assert_eq!(case.name(&Config { hidden_size: 24, ..config }), "l12-h24-b32-s128");
        for wrong in ["", "32", "0x128", "32x4", "axb"] {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| quantile(&values, share)), [1.0, 3.0, 5.0, 5.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
