//! Pretraining on the CPU: forward, backward, clip, update. The same inputs give the same bits.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Tensor, Var};

use super::{
    Backend, Batch, Candle, Config, DropoutKey, EvaluationSums, Freeze, Graph, Heads, MLM_DIVISOR_EPSILON, MaskedSlots, NormRule,
    Parameter, PretrainingLosses, Slices, Targets, UpdateSettings, Weights,
    candle::with_values,
    clip_scale, fused_shape, loss_divisors,
    parameters::check,
    square_sum,
    threads::{for_chunks, on_a_worker},
};
use crate::{
    Error, Result,
    weights::{HostTensor, Tensors},
};

/// A pretraining model and its optimizer's state.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    settings: UpdateSettings,
    seed: u64,
    weights: Weights<Tensor>,
    slots: Vec<Slot>,
}

/// One tensor of the graph with its moments, `[rows, …]` as the graph has it.
#[derive(Debug)]
struct Slot {
    parameters: Vec<Parameter>,
    variable: Var,
    frozen: bool,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What an update reports; losses and accuracies are those before it, over all its micro-batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Sum of both losses.
    pub loss: f64,
    /// Masked language model loss.
    pub mlm_loss: f64,
    /// Next sentence loss.
    pub nsp_loss: f64,
    /// Share of masked tokens found.
    pub mlm_accuracy: f64,
    /// Share of next sentence labels found.
    pub nsp_accuracy: f64,
    /// Global norm of the gradients before clipping. If it is not finite, the update was left out.
    pub grad_norm: f64,
}

/// Gradients of one update, before clipping.
struct Gradients {
    /// One for each slot; none where it is frozen.
    tensors: Vec<Option<Tensor>>,
    report: StepReport,
}

impl Trainer {
    /// From the weights of a whole pretraining model; other tensors among them are ignored. Moments start at 0.
    /// `seed` decides on dropout.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is inconsistent, [`Error::Tensor`] naming weights that are missing or do not fit.
    pub fn new(config: &Config, weights: &Tensors, settings: UpdateSettings, seed: u64) -> Result<Self> {
        Self::with_frozen(config, weights, settings, seed, &Freeze::default())
    }

    /// As [`Self::new`], with parts of the model frozen: backpropagation stops at the lowest layer that is not.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Config`] if the model has no such layer or nothing is left to train.
    pub fn with_frozen(config: &Config, weights: &Tensors, settings: UpdateSettings, seed: u64, frozen: &Freeze) -> Result<Self> {
        config.validate()?;
        frozen.check(config)?;
        check(config, Heads::ALL, weights)?;
        let mut slots = Vec::new();
        let graph_weights = Weights::build(config, Heads::ALL, |group| {
            let data = joined(group, weights);
            let zeros = vec![0.0; data.len()];
            let variable = Var::from_vec(data, fused_shape(group), &Device::Cpu)?;
            let frozen = group.iter().all(|parameter| frozen.contains(parameter));
            let tensor = if frozen { variable.as_detached_tensor() } else { variable.as_tensor().clone() };
            slots.push(Slot { parameters: group.to_vec(), variable, frozen, first: zeros.clone(), second: zeros });
            Ok(tensor)
        })?;
        if slots.iter().all(|slot| slot.frozen) {
            return Err(Error::Config("freeze: every part of the model is frozen, nothing is left to train".into()));
        }
        Ok(Self { config: config.clone(), settings, seed, weights: graph_weights, slots })
    }

    /// One update from one or more micro-batches, which together give what a single batch of all their rows would: the losses'
    /// means are over all of them. Dropout depends on the seed, `step` and the micro-batch's number.
    ///
    /// # Errors
    /// [`Error::Batch`] if a micro-batch does not fit the model or there is none.
    pub fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport> {
        on_a_worker(|| {
            let Gradients { tensors, report } = self.backward(micro_batches, step)?;
            if report.grad_norm.is_finite() {
                let scale = clip_scale(report.grad_norm, self.settings.clip_norm);
                self.update(&tensors, scale, rate)?;
            }
            Ok(report)
        })
    }

    fn update(&mut self, gradients: &[Option<Tensor>], scale: f32, rate: f32) -> Result<()> {
        let settings = self.settings;
        let mut updates: Vec<_> = self.slots.iter_mut().zip(gradients).map(|(slot, gradient)| (slot, gradient, Ok(()))).collect();
        for_chunks(
            &mut updates,
            1,
            #[inline(always)]
            |_, update| {
                if let [(slot, Some(gradient), outcome)] = update {
                    *outcome = slot.update(&settings, gradient, scale, rate);
                }
            },
        );
        updates.into_iter().try_for_each(|(_, _, outcome)| outcome)
    }

    /// The gradients that [`Self::step`] would use, before clipping, by Hugging Face's names; frozen parameters have none.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn gradients(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64) -> Result<Tensors> {
        let gradients = self.backward(micro_batches, step)?;
        let mut named = Tensors::new();
        for (slot, gradient) in self.slots.iter().zip(&gradients.tensors) {
            if let Some(gradient) = gradient {
                slot.split(&gradient.flatten_all()?.to_vec1()?, &mut named);
            }
        }
        Ok(named)
    }

    /// Losses and hits on one batch, without dropout.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model.
    pub fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        batch.validate(&self.config)?;
        slots.validate(batch, &self.config)?;
        let backend = Candle::default();
        let targets = Targets::upload(&backend, slots, 1.0, 1.0)?;
        let losses = self.graph(&backend, false).losses(&backend.upload(batch)?, &targets)?;
        let [mlm_nll, mlm_correct, nsp_nll, nsp_correct] = scalars(&losses)?;
        let (mlm_weight, rows) = loss_divisors([slots]);
        let batch_losses = mlm_nll / f64::from(mlm_weight + MLM_DIVISOR_EPSILON) + nsp_nll / f64::from(rows);
        let (mlm_weight, rows) = (f64::from(mlm_weight), f64::from(rows));
        Ok(EvaluationSums { mlm_nll, mlm_correct, mlm_weight, nsp_nll, nsp_correct, rows, batch_losses, batches: 1.0 })
    }

    /// The weights, by Hugging Face's names.
    ///
    /// # Errors
    /// [`Error::Backend`] if the tensor library fails.
    pub fn weights(&self) -> Result<Tensors> {
        let mut named = Tensors::new();
        for slot in &self.slots {
            slot.split(&slot.values()?, &mut named);
        }
        Ok(named)
    }

    /// First and second moments, by the names of the weights that they belong to.
    ///
    /// # Errors
    /// None at present.
    pub fn moments(&self) -> Result<(Tensors, Tensors)> {
        let (mut first, mut second) = (Tensors::new(), Tensors::new());
        for slot in &self.slots {
            slot.split(&slot.first, &mut first);
            slot.split(&slot.second, &mut second);
        }
        Ok((first, second))
    }

    /// Goes on from stored moments.
    ///
    /// # Errors
    /// [`Error::Tensor`] naming moments that are missing or do not fit.
    pub fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()> {
        check(&self.config, Heads::ALL, first)?;
        check(&self.config, Heads::ALL, second)?;
        for slot in &mut self.slots {
            slot.first = joined(&slot.parameters, first);
            slot.second = joined(&slot.parameters, second);
        }
        Ok(())
    }

    fn graph<'a>(&'a self, backend: &'a Candle, training: bool) -> Graph<'a, Candle> {
        Graph { backend, config: &self.config, weights: &self.weights, training }
    }

    fn backward(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64) -> Result<Gradients> {
        for (batch, slots) in micro_batches {
            batch.validate(&self.config)?;
            slots.validate(batch, &self.config)?;
        }
        let (mlm_weight, rows) = loss_divisors(micro_batches.iter().map(|(_, slots)| slots));
        let row_squares = Arc::new(Mutex::new(0.0));
        let mut sums = [0.0; 4];
        let mut tensors = Vec::new();
        for (index, (batch, slots)) in micro_batches.iter().enumerate() {
            let watch = (self.settings.norm_rule == NormRule::Original).then(|| row_squares.clone());
            let backend = Candle::training(DropoutKey::new(self.seed, step, index)?, watch);
            let targets = Targets::upload(&backend, slots, mlm_weight + MLM_DIVISOR_EPSILON, rows)?;
            let losses = self.graph(&backend, true).losses(&backend.upload(batch)?, &targets)?;
            let found = backend.backward()?;
            for (sum, value) in sums.iter_mut().zip(scalars(&losses)?) {
                *sum += value;
            }
            let found = self.slots.iter().map(|slot| {
                let cut = || Error::Tensor { name: slot.name(), reason: "got no gradient".into() };
                (!slot.frozen).then(|| found.get(&slot.variable).cloned().ok_or_else(cut)).transpose()
            });
            let found = found.collect::<Result<Vec<_>>>()?;
            tensors = match tensors.is_empty() {
                true => found,
                false => found
                    .into_iter()
                    .zip(&tensors)
                    .map(|(new, sum)| Ok(new.zip(sum.as_ref()).map(|(new, sum)| sum + new).transpose()?))
                    .collect::<Result<Vec<_>>>()?,
            };
        }
        let [mlm_loss, mlm_accuracy, nsp_loss, nsp_accuracy] = sums;
        let row_square = *row_squares.lock().unwrap_or_else(PoisonError::into_inner);
        let grad_norm = self.norm(&tensors, row_square)?;
        if micro_batches.is_empty() {
            return Err(Error::Batch("expected at least one micro-batch, found none".into()));
        }
        let report = StepReport { loss: mlm_loss + nsp_loss, mlm_loss, nsp_loss, mlm_accuracy, nsp_accuracy, grad_norm };
        Ok(Gradients { tensors, report })
    }

    /// Global norm; `row_square` stands for the word embeddings under the original's rule. They come first in the table.
    fn norm(&self, gradients: &[Option<Tensor>], row_square: f64) -> Result<f64> {
        let mut squares: Vec<_> = gradients.iter().map(|gradient| (gradient, Ok(None))).collect();
        for_chunks(
            &mut squares,
            1,
            #[inline(always)]
            |_, entry| {
                if let [(Some(gradient), square)] = entry {
                    *square = with_values(gradient, square_sum).map(Some);
                }
            },
        );
        let mut squares = squares.into_iter().map(|(_, square)| Ok(square?)).collect::<Result<Vec<Option<f64>>>>()?;
        if let (NormRule::Original, Some(Some(word))) = (self.settings.norm_rule, squares.first_mut()) {
            *word = row_square;
        }
        Ok(squares.iter().flatten().sum::<f64>().sqrt())
    }
}

impl Slot {
    fn values(&self) -> Result<Vec<f32>> {
        Ok(self.variable.flatten_all()?.to_vec1()?)
    }

    fn name(&self) -> String {
        self.parameters.first().map(|parameter| parameter.name.clone()).unwrap_or_default()
    }

    #[inline(always)]
    fn update(&mut self, settings: &UpdateSettings, gradient: &Tensor, scale: f32, rate: f32) -> Result<()> {
        let mut weights = self.values()?;
        let decayed = self.parameters.iter().any(|parameter| parameter.decayed);
        let slices = Slices { weights: &mut weights, first: &mut self.first, second: &mut self.second };
        with_values(gradient, |gradient| settings.update(slices, gradient, scale, rate, decayed))?;
        Ok(self.variable.set(&Tensor::from_vec(weights, self.variable.shape(), &Device::Cpu)?)?)
    }

    /// Values of the fused tensor under the names of its parameters.
    fn split(&self, mut values: &[f32], named: &mut Tensors) {
        for parameter in &self.parameters {
            let (data, rest) = values.split_at(parameter.elements().min(values.len()));
            named.insert(parameter.name.clone(), HostTensor { shape: parameter.shape.clone(), data: data.to_vec() });
            values = rest;
        }
    }
}

fn joined(group: &[Parameter], tensors: &Tensors) -> Vec<f32> {
    group.iter().filter_map(|parameter| tensors.get(&parameter.name)).flat_map(|tensor| &tensor.data).copied().collect()
}

fn scalars(losses: &PretrainingLosses<Tensor>) -> Result<[f64; 4]> {
    let value = |tensor: &Tensor| -> Result<f64> { Ok(f64::from(tensor.to_scalar::<f32>()?)) };
    Ok([value(&losses.mlm.nll)?, value(&losses.mlm.correct)?, value(&losses.nsp.nll)?, value(&losses.nsp.correct)?])
}
