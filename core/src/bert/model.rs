//! A model for use: weights in, hidden states and scores out, on any machine.

use super::{Backend, Batch, Config, Encoding, Graph, Heads, Inputs, Load, Weights, load::lay_down};
use crate::{
    Error, Result,
    weights::{HostTensor, Tensors},
};

/// A BERT on a machine, without dropout.
///
/// Its methods are asynchronous because reading back is, in a browser. On machines that are not, their futures never wait.
#[derive(Debug)]
pub struct Model<B: Backend> {
    config: Config,
    heads: Heads,
    weights: Weights<B::Tensor>,
    backend: B,
}

impl<B: Load> Model<B> {
    /// From named weights; other tensors among them are ignored. Heads that are not there are left out.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is inconsistent, [`Error::Tensor`] naming weights that are missing or do not fit, and
    /// those of the machine.
    pub fn new(backend: B, config: &Config, tensors: &Tensors) -> Result<Self> {
        Self::encoded(backend, config, tensors, Encoding::F32)
    }

    /// As [`Self::new`], with matrices stored in `encoding`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn encoded(backend: B, config: &Config, tensors: &Tensors, encoding: Encoding) -> Result<Self> {
        config.validate()?;
        let heads = Heads::of(config, tensors);
        let weights = lay_down(&backend, config, heads, tensors, encoding)?;
        Ok(Self::from_weights(backend, config, heads, weights))
    }
}

impl<B: Backend> Model<B> {
    /// From weights that are on the machine.
    pub fn from_weights(backend: B, config: &Config, heads: Heads, weights: Weights<B::Tensor>) -> Self {
        Self { config: config.clone(), heads, weights, backend }
    }

    /// The machine.
    pub const fn backend(&self) -> &B {
        &self.backend
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
    pub async fn hidden_states(&self, batch: &Batch) -> Result<Vec<HostTensor>> {
        let mut states = Vec::with_capacity(self.config.num_hidden_layers + 1);
        self.encode(batch, |state| states.push(state.clone()))?;
        let mut read = Vec::with_capacity(states.len());
        for state in &states {
            read.push(self.read(state, &[batch.rows, batch.length, self.config.hidden_size]).await?);
        }
        Ok(read)
    }

    /// Last hidden states, `[batch, length, hidden]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model.
    pub async fn last_hidden_state(&self, batch: &Batch) -> Result<HostTensor> {
        let (_, hidden) = self.encode(batch, |_| ())?;
        self.read(&hidden, &[batch.rows, batch.length, self.config.hidden_size]).await
    }

    /// tanh of the pooler on every row's `[CLS]`, `[batch, hidden]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without a pooler.
    pub async fn pooled(&self, batch: &Batch) -> Result<HostTensor> {
        let (inputs, hidden) = self.encode(batch, |_| ())?;
        self.read(&self.graph().pooled(&hidden, &inputs)?, &[batch.rows, self.config.hidden_size]).await
    }

    /// Scores over the vocabulary at flat positions `row · length + position`: `[positions, vocab]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if batch or positions do not fit, [`Error::Tensor`] without an MLM head.
    pub async fn mlm_logits(&self, batch: &Batch, positions: &[u32]) -> Result<HostTensor> {
        let cells = batch.rows * batch.length;
        if let Some(position) = positions.iter().find(|position| **position as usize >= cells) {
            return Err(Error::Batch(format!("position {position} must be below {cells}")));
        }
        let (_, hidden) = self.encode(batch, |_| ())?;
        let logits = self.graph().mlm_logits(&hidden, &self.backend.upload_indices(positions)?)?;
        self.read(&logits, &[positions.len(), self.config.vocab_size]).await
    }

    /// Scores for "actual next" (0) and "random" (1), `[batch, 2]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without pooler and NSP head.
    pub async fn nsp_logits(&self, batch: &Batch) -> Result<HostTensor> {
        let (inputs, hidden) = self.encode(batch, |_| ())?;
        self.read(&self.graph().nsp_logits(&self.graph().pooled(&hidden, &inputs)?)?, &[batch.rows, 2]).await
    }

    /// Scores of the classes of every token, `[batch, length, classes]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without a classifier.
    pub async fn token_class_logits(&self, batch: &Batch) -> Result<HostTensor> {
        let (_, hidden) = self.encode(batch, |_| ())?;
        let shape = [batch.rows, batch.length, self.config.labels.names().len()];
        self.read(&self.graph().class_logits(&hidden)?, &shape).await
    }

    /// Scores of the classes of every row as a whole, `[batch, classes]`.
    ///
    /// # Errors
    /// [`Error::Batch`] if the batch does not fit the model, [`Error::Tensor`] without pooler and classifier.
    pub async fn text_class_logits(&self, batch: &Batch) -> Result<HostTensor> {
        let (inputs, hidden) = self.encode(batch, |_| ())?;
        let logits = self.graph().class_logits(&self.graph().pooled(&hidden, &inputs)?)?;
        self.read(&logits, &[batch.rows, self.config.labels.names().len()]).await
    }

    fn encode(&self, batch: &Batch, keep: impl FnMut(&B::Tensor)) -> Result<(Inputs<B::Tensor>, B::Tensor)> {
        batch.validate(&self.config)?;
        let inputs = self.backend.upload(batch)?;
        let hidden = self.graph().encode(&inputs, keep)?;
        Ok((inputs, hidden))
    }

    async fn read(&self, tensor: &B::Tensor, shape: &[usize]) -> Result<HostTensor> {
        Ok(HostTensor { shape: shape.to_vec(), data: self.backend.read(tensor).await? })
    }

    const fn graph(&self) -> Graph<'_, B> {
        Graph { backend: &self.backend, config: &self.config, weights: &self.weights, training: false }
    }
}
