//! What the loop needs of a machine. The CPU is the first; a GPU is another implementation and nothing else changes.

use anyhow::{Context, Result};
use clinicalbert_core::{
    bert::{Batch, Config, EvaluationSums, Freeze, MaskedSlots, StepReport, Trainer, UpdateSettings},
    weights::Tensors,
};

use super::{checkpoint::Contents, settings::Settings};
use crate::cuda;

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
    if let Choice::Cuda(number) = choice(device)? {
        let variant = cuda::Variant { hidden: config.hidden_size, head_size: config.head_size(), real: cuda::Real::Bf16 };
        let (machine, gpu) = cuda::GpuMachine::open(number, variant).with_context(|| format!("--device {device}"))?;
        let settings = (UpdateSettings::default(), seed);
        let trainer = cuda::Trainer::new(Box::new(machine), config, weights, settings, freeze, variant.real)?;
        return Ok(Box::new(Cuda { trainer, name: gpu.name }));
    }
    Ok(Box::new(Cpu(Trainer::with_frozen(config, weights, UpdateSettings::default(), seed, freeze)?)))
}

/// Why `--device auto` means the CPU here; nothing if another machine was asked for.
pub fn why_cpu(device: &str) -> Option<String> {
    let found = (device == "auto").then(|| cuda::find(0))?;
    Some(match found {
        Err(reason) => format!("no GPU is used: {reason:#}"),
        Ok(gpu) => format!("no GPU is used: nobody has trained on one yet; --device cuda tries it on the {}", gpu.name),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Cpu,
    Cuda(usize),
}

fn choice(device: &str) -> Result<Choice> {
    match device {
        "auto" => return Ok(Choice::Auto),
        "cpu" => return Ok(Choice::Cpu),
        "cuda" => return Ok(Choice::Cuda(0)),
        _ => {}
    }
    let number = device.strip_prefix("cuda:").and_then(|number| number.parse().ok());
    number.map(Choice::Cuda).with_context(|| format!("--device must be auto, cpu, cuda or cuda:N, found {device}"))
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

struct Cuda {
    trainer: cuda::Trainer,
    name: String,
}

impl TrainingDevice for Cuda {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport> {
        self.trainer.step(micro_batches, step, rate)
    }

    fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        self.trainer.evaluate(batch, slots)
    }

    fn weights(&self) -> Result<Tensors> {
        self.trainer.weights()
    }

    fn moments(&self) -> Result<(Tensors, Tensors)> {
        self.trainer.moments()
    }

    fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()> {
        self.trainer.set_moments(first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_the_help_says() {
        let choices = ["auto", "cpu", "cuda", "cuda:3"].map(|device| choice(device).unwrap());
        assert_eq!(choices, [Choice::Auto, Choice::Cpu, Choice::Cuda(0), Choice::Cuda(3)]);
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cudax"] {
            assert!(choice(wrong).unwrap_err().to_string().ends_with(&format!("found {wrong}")), "{wrong}");
        }
    }
}
