//! A model for use: weights in, hidden states and scores out, on the CPU.

use candle_core::Tensor;

use super::{Backend, Batch, Candle, Config, Graph, Heads, Weights, fused_shape, parameters::check};
use crate::{
    Error, Result,
    weights::{HostTensor, Tensors},
};

/// A BERT on the CPU, without dropout.
#[derive(Debug)]
pub struct Model {
    config: Config,
    heads: Heads,
    weights: Weights<Tensor>,
    backend: Candle,
}

impl Model {
    /// From named weights; other tensors among them are ignored. Heads that are not there are left out.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is inconsistent, [`Error::Tensor`] naming weights that are missing or do not fit.
    pub fn new(config: &Config, tensors: &Tensors) -> Result<Self> {
        config.validate()?;
        let heads = Heads::of(config, tensors);
        check(config, heads, tensors)?;
        let weights = Weights::build(config, heads, |group| {
            let data = group.iter().filter_map(|parameter| tensors.get(&parameter.name)).flat_map(|tensor| &tensor.data);
            Candle::tensor(&HostTensor { shape: fused_shape(group), data: data.copied().collect() })
        })?;
        Ok(Self { config: config.clone(), heads, weights, backend: Candle::default() })
    }

    /// The model's shape.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Which heads the weights have.
    pub const fn heads(&self) -> Heads {
        self.heads
    }

    /// Embedding output and the output of every layer, `[batch, length, hidden]` each.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model.
    pub fn hidden_states(&self, batch: &Batch) -> Result<Vec<HostTensor>> {
        let mut states = Vec::with_capacity(self.config.num_hidden_layers + 1);
        self.encode(batch, |state| states.push(state.clone()))?;
        let shape = (batch.rows, batch.length, self.config.hidden_size);
        states.iter().map(|state| Candle::host(&state.reshape(shape)?)).collect()
    }

    /// Last hidden states, `[batch, length, hidden]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model.
    pub fn last_hidden_state(&self, batch: &Batch) -> Result<HostTensor> {
        let (_, hidden) = self.encode(batch, |_| ())?;
        Candle::host(&hidden.reshape((batch.rows, batch.length, self.config.hidden_size))?)
    }

    /// tanh of the pooler on every row's `[CLS]`, `[batch, hidden]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without a pooler.
    pub fn pooled(&self, batch: &Batch) -> Result<HostTensor> {
        let (inputs, hidden) = self.encode(batch, |_| ())?;
        Candle::host(&self.graph().pooled(&hidden, &inputs)?)
    }

    /// Scores over the vocabulary at flat positions `row · length + position`: `[positions, vocab]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if batch or positions do not fit, [`Error::Tensor`] without an MLM head.
    pub fn mlm_logits(&self, batch: &Batch, positions: &[u32]) -> Result<HostTensor> {
        let cells = batch.rows * batch.length;
        if let Some(position) = positions.iter().find(|position| **position as usize >= cells) {
            return Err(Error::Batch(format!("position {position} must be below {cells}")));
        }
        let (_, hidden) = self.encode(batch, |_| ())?;
        Candle::host(&self.graph().mlm_logits(&hidden, &self.backend.upload_indices(positions)?)?)
    }

    /// Scores for "actual next" (0) and "random" (1), `[batch, 2]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without pooler and NSP head.
    pub fn nsp_logits(&self, batch: &Batch) -> Result<HostTensor> {
        let (inputs, hidden) = self.encode(batch, |_| ())?;
        Candle::host(&self.graph().nsp_logits(&self.graph().pooled(&hidden, &inputs)?)?)
    }

    fn encode(&self, batch: &Batch, keep: impl FnMut(&Tensor)) -> Result<(super::Inputs<Tensor>, Tensor)> {
        batch.validate(&self.config)?;
        let inputs = self.backend.upload(batch)?;
        let hidden = self.graph().encode(&inputs, keep)?;
        Ok((inputs, hidden))
    }

    const fn graph(&self) -> Graph<'_, Candle> {
        Graph { backend: &self.backend, config: &self.config, weights: &self.weights, training: false }
    }
}
