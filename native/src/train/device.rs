//! What the loop needs of a machine. The CPU is the first; a GPU is another implementation and nothing else changes.

use anyhow::{Context, Result};
use clinicalbert_core::{
    bert::{Batch, Config, EvaluationSums, Freeze, MaskedSlots, StepReport, Trainer, UpdateSettings},
    weights::Tensors,
};

use super::{
    checkpoint::Contents,
    settings::{Precision, Settings},
};
use crate::cuda;

/// A machine that holds a pretraining model and its optimizer and can update it.
pub trait TrainingDevice {
    /// For people.
    fn name(&self) -> String;

    /// Begins an update from micro-batches, whose losses are means over all of them. Dropout depends on seed and `step` alone. A machine
    /// may still be at work when this returns.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    fn begin(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<()>;

    /// Whether updates are done when [`Self::begin`] returns, so that asking for their reports costs nothing.
    fn is_done_at_once(&self) -> bool;

    /// Reports of all updates that were begun, each once and in their order, when they are done.
    ///
    /// # Errors
    /// A failing machine.
    fn reports(&mut self) -> Result<Vec<StepReport>>;

    /// One update, from beginning to end; those before must have been reported.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport> {
        self.begin(micro_batches, step, rate)?;
        self.reports()?.pop().context("an update has a report")
    }

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
    let mut device = open(&settings.device, settings.precision, config, weights, settings.seed, &settings.freeze)?;
    device.set_moments(first, second)?;
    Ok(device)
}

/// Puts a model on the machine that is asked for: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// No such machine here, weights that do not fit `config`, or nothing that is not frozen.
pub fn open(
    device: &str,
    precision: Precision,
    config: &Config,
    weights: &Tensors,
    seed: u64,
    freeze: &Freeze,
) -> Result<Box<dyn TrainingDevice>> {
    let settings = (UpdateSettings::default(), seed);
    if let Choice::Cuda(number) = choice(device)? {
        let mut trainer = open_gpu(number, precision, config, weights, settings, freeze)?;
        let gpu = &trainer.machine().gpu().name;
        let name = match precision {
            Precision::Bf16 => gpu.clone(),
            Precision::F32 => format!("{gpu}, in f32"),
        };
        return Ok(Box::new(Cuda { trainer, name }));
    }
    let trainer = Trainer::with_frozen(config, weights, settings.0, seed, freeze)?;
    Ok(Box::new(Cpu { trainer, reports: Vec::new() }))
}

/// Puts a model on GPU `number`.
///
/// # Errors
/// As [`open`].
pub fn open_gpu(
    number: usize,
    precision: Precision,
    config: &Config,
    weights: &Tensors,
    settings: (UpdateSettings, u64),
    freeze: &Freeze,
) -> Result<cuda::Trainer> {
    let real = match precision {
        Precision::F32 => cuda::Real::F32,
        Precision::Bf16 => cuda::Real::Bf16,
    };
    let variant = cuda::Variant { hidden: config.hidden_size, head_size: config.head_size(), real };
    let opened = cuda::GpuMachine::open(number, variant, cuda::Purpose::Training);
    let machine = opened.with_context(|| format!("--device cuda:{number}"))?;
    cuda::Trainer::new(machine, config, weights, settings, freeze)
}

/// Why `--device auto` means the CPU here; nothing if another machine was asked for.
pub fn why_cpu(device: &str) -> Option<String> {
    let found = (device == "auto").then(|| cuda::find(0))?;
    Some(match found {
        Err(reason) => format!("no GPU is used: {reason:#}"),
        Ok(gpu) => format!("no GPU is used: nobody has trained on one yet; --device cuda tries it on the {}", gpu.name),
    })
}

/// What `--device` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// Whatever is best here.
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

/// Reads `--device`.
///
/// # Errors
/// It is none of the names that there are.
pub fn choice(device: &str) -> Result<Choice> {
    match device {
        "auto" => return Ok(Choice::Auto),
        "cpu" => return Ok(Choice::Cpu),
        "cuda" => return Ok(Choice::Cuda(0)),
        _ => {}
    }
    let number = device.strip_prefix("cuda:").and_then(|number| number.parse().ok());
    number.map(Choice::Cuda).with_context(|| format!("--device must be auto, cpu, cuda or cuda:N, found {device}"))
}

struct Cpu {
    trainer: Trainer,
    reports: Vec<StepReport>,
}

impl TrainingDevice for Cpu {
    fn name(&self) -> String {
        "CPU".into()
    }

    fn begin(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<()> {
        self.reports.push(self.trainer.step(micro_batches, step, rate)?);
        Ok(())
    }

    fn is_done_at_once(&self) -> bool {
        true
    }

    fn reports(&mut self) -> Result<Vec<StepReport>> {
        Ok(std::mem::take(&mut self.reports))
    }

    fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        Ok(self.trainer.evaluate(batch, slots)?)
    }

    fn weights(&self) -> Result<Tensors> {
        Ok(self.trainer.weights()?)
    }

    fn moments(&self) -> Result<(Tensors, Tensors)> {
        Ok(self.trainer.moments()?)
    }

    fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()> {
        Ok(self.trainer.set_moments(first, second)?)
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

    fn begin(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<()> {
        self.trainer.begin(micro_batches, step, rate)
    }

    fn is_done_at_once(&self) -> bool {
        false
    }

    fn reports(&mut self) -> Result<Vec<StepReport>> {
        self.trainer.reports()
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
