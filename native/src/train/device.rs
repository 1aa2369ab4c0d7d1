//! What the loop needs of a machine. The CPU is the first; a GPU is another implementation and nothing else changes.

use anyhow::{Result, bail, ensure};
use clinicalbert_core::{
    bert::{Batch, Config, EvaluationSums, Freeze, MaskedSlots, StepReport, Trainer, UpdateSettings},
    weights::Tensors,
};

use super::{checkpoint::Contents, settings::Settings};

/// A machine that holds a pretraining model and its optimizer and can update it.
pub trait TrainingDevice {
    /// For people.
    fn name(&self) -> String;

    /// One update from micro-batches, whose losses are means over all of them. Dropout depends on seed and `step` alone.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport>;

    /// Losses and hits on one batch, without dropout.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums>;

    /// The weights, by Hugging Face's names.
    ///
    /// # Errors
    /// A failing machine.
    fn weights(&self) -> Result<Tensors>;

    /// Adam's first and second moments, by the names of the weights.
    ///
    /// # Errors
    /// A failing machine.
    fn moments(&self) -> Result<(Tensors, Tensors)>;

    /// Goes on from stored moments.
    ///
    /// # Errors
    /// Moments that are missing or do not fit.
    fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()>;
}

/// Puts a model with its optimizer's state on the machine that the settings ask for.
///
/// # Errors
/// As [`open`]; moments that do not fit.
pub fn place(settings: &Settings, contents: &Contents) -> Result<Box<dyn TrainingDevice>> {
    let Contents { config, weights, moments: (first, second) } = contents;
    let mut device = open(&settings.device, config, weights, settings.seed, &settings.freeze)?;
    device.set_moments(first, second)?;
    Ok(device)
}

/// Puts a model on the machine that is asked for: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// No such machine here, weights that do not fit `config`, or nothing that is not frozen.
pub fn open(device: &str, config: &Config, weights: &Tensors, seed: u64, freeze: &Freeze) -> Result<Box<dyn TrainingDevice>> {
    match device {
        "auto" | "cpu" => Ok(Box::new(Cpu(Trainer::with_frozen(config, weights, UpdateSettings::default(), seed, freeze)?))),
        cuda if cuda.split(':').next() == Some("cuda") => {
            ensure!(
                cuda.split_once(':').is_none_or(|(_, number)| number.parse::<u32>().is_ok()),
                "--device must be auto, cpu, cuda or cuda:N, found {cuda}"
            );
            bail!("--device {cuda}: this build has no CUDA backend yet; use --device cpu")
        }
        other => bail!("--device must be auto, cpu, cuda or cuda:N, found {other}"),
    }
}

struct Cpu(Trainer);

impl TrainingDevice for Cpu {
    fn name(&self) -> String {
        "CPU".into()
    }

    fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport> {
        Ok(self.0.step(micro_batches, step, rate)?)
    }

    fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        Ok(self.0.evaluate(batch, slots)?)
    }

    fn weights(&self) -> Result<Tensors> {
        Ok(self.0.weights()?)
    }

    fn moments(&self) -> Result<(Tensors, Tensors)> {
        Ok(self.0.moments()?)
    }

    fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()> {
        Ok(self.0.set_moments(first, second)?)
    }
}
