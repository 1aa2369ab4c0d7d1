//! The model, written once over [`Backend`]: encoder, pooler, heads, losses.

use super::{Backend, Config, Dropout, Inputs, Layer, Loss, MaskedSlots, Nonlinearity, Weights};
use crate::{Error, Result};

/// A model on a machine, ready to run.
#[derive(Debug)]
pub struct Graph<'a, B: Backend> {
    /// The machine.
    pub backend: &'a B,
    /// Shape of the model.
    pub config: &'a Config,
    /// Weights on that machine.
    pub weights: &'a Weights<B::Tensor>,
    /// Whether there is dropout.
    pub training: bool,
}

/// What pretraining should find, on the machine.
#[derive(Debug, Clone)]
pub struct Targets<T> {
    /// Flat positions of the masked slots, `[slots]`.
    pub positions: T,
    /// Tokens to be found there, `[slots]`.
    pub ids: T,
    /// Their weights in the loss, `[slots]`.
    pub weights: T,
    /// Next sentence labels, `[batch]`.
    pub next_sentence: T,
    /// Their weights in the loss, `[batch]`.
    pub next_sentence_weights: T,
}

impl<T> Targets<T> {
    /// Brings targets to the machine. Losses then are sums divided by these numbers: for the original's means,
    /// `Σ weights + 1e-5` of all slots of the update (its `run_pretraining.py`) and the number of its rows.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn upload(backend: &impl Backend<Tensor = T>, slots: &MaskedSlots, mlm_divisor: f32, nsp_divisor: f32) -> Result<Self> {
        let weights: Vec<_> = slots.weights.iter().map(|weight| weight / mlm_divisor).collect();
        let rows = slots.next_sentence.len();
        Ok(Self {
            positions: backend.upload_indices(&slots.positions)?,
            ids: backend.upload_indices(&slots.ids)?,
            weights: backend.upload_values(&weights, &[weights.len()])?,
            next_sentence: backend.upload_indices(&slots.next_sentence)?,
            next_sentence_weights: backend.upload_values(&vec![1.0 / nsp_divisor; rows], &[rows])?,
        })
    }
}

/// The two losses of pretraining; the total is their sum.
#[derive(Debug, Clone)]
pub struct PretrainingLosses<T> {
    /// Masked language model.
    pub mlm: Loss<T>,
    /// Next sentence prediction.
    pub nsp: Loss<T>,
}

impl<B: Backend> Graph<'_, B> {
    /// Last hidden states, `[rows, hidden]`. `keep` sees the embedding output and then the output of every layer.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn encode(&self, inputs: &Inputs<B::Tensor>, mut keep: impl FnMut(&B::Tensor)) -> Result<B::Tensor> {
        let hidden_dropout = self.dropout(self.config.hidden_dropout_prob, 0);
        let mut hidden = self.backend.embed(inputs, &self.weights.embeddings, self.config.layer_norm_eps, hidden_dropout)?;
        keep(&hidden);
        for (first_site, layer) in (1..).step_by(3).zip(&self.weights.layers) {
            hidden = self.layer(layer, first_site, &hidden, inputs)?;
            keep(&hidden);
        }
        Ok(hidden)
    }

    /// Dropout sites of a layer: attention weights, attention output, feed-forward output. The embeddings have site 0.
    fn layer(&self, layer: &Layer<B::Tensor>, site: u32, x: &B::Tensor, inputs: &Inputs<B::Tensor>) -> Result<B::Tensor> {
        let (backend, config) = (self.backend, self.config);
        let attention_dropout = self.dropout(config.attention_probs_dropout_prob, site);
        let qkv = backend.linear(x, &layer.qkv, Nonlinearity::Identity)?; // [rows, 3·hidden]
        let context = backend.attention(&qkv, inputs, config.num_attention_heads, attention_dropout)?;
        let attended = backend.linear(&context, &layer.attention_output, Nonlinearity::Identity)?;
        let x = self.add_norm(&attended, x, &layer.attention_norm, site + 1)?;
        let wide = backend.linear(&x, &layer.intermediate, Nonlinearity::Gelu(config.hidden_act))?; // [rows, intermediate]
        let narrow = backend.linear(&wide, &layer.output, Nonlinearity::Identity)?;
        self.add_norm(&narrow, &x, &layer.output_norm, site + 2)
    }

    fn add_norm(&self, x: &B::Tensor, residual: &B::Tensor, norm: &super::Norm<B::Tensor>, site: u32) -> Result<B::Tensor> {
        let dropout = self.dropout(self.config.hidden_dropout_prob, site);
        self.backend.add_norm(x, Some(residual), norm, self.config.layer_norm_eps, dropout)
    }

    fn dropout(&self, probability: f32, site: u32) -> Option<Dropout> {
        (self.training && probability > 0.0).then_some(Dropout { probability, site })
    }

    /// tanh of the pooler's dense layer on every sequence's first position: `[batch, hidden]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no pooler, or those of the backend.
    pub fn pooled(&self, hidden: &B::Tensor, inputs: &Inputs<B::Tensor>) -> Result<B::Tensor> {
        let pooler = self.weights.pooler.as_ref().ok_or_else(|| missing("bert.pooler.dense.weight"))?;
        let first: Vec<_> = (0..inputs.batch).map(|row| (row * inputs.length) as u32).collect();
        let cls = self.backend.rows(hidden, &self.backend.upload_indices(&first)?)?;
        self.backend.linear(&cls, pooler, Nonlinearity::Tanh)
    }

    /// Scores over the vocabulary at the given flat positions only: `[positions, vocab]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no MLM head, or those of the backend.
    pub fn mlm_logits(&self, hidden: &B::Tensor, positions: &B::Tensor) -> Result<B::Tensor> {
        let head = self.weights.mlm.as_ref().ok_or_else(|| missing("cls.predictions.bias"))?;
        let picked = self.backend.rows(hidden, positions)?;
        let then = Nonlinearity::Gelu(self.config.hidden_act);
        let transformed = self.backend.linear(&picked, &head.transform, then)?;
        let normed = self.backend.add_norm(&transformed, None, &head.norm, self.config.layer_norm_eps, None)?;
        self.backend.vocab(&normed, &self.weights.embeddings.word, &head.bias)
    }

    /// Scores for "actual next" (0) and "random" (1): `[batch, 2]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no NSP head, or those of the backend.
    pub fn nsp_logits(&self, pooled: &B::Tensor) -> Result<B::Tensor> {
        let head = self.weights.nsp.as_ref().ok_or_else(|| missing("cls.seq_relationship.weight"))?;
        self.backend.linear(pooled, head, Nonlinearity::Identity)
    }

    /// Scores of the classes: of the last hidden states `[rows, hidden]` → `[rows, classes]`, of the pooled ones `[batch, classes]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is no classifier, or those of the backend.
    pub fn class_logits(&self, hidden: &B::Tensor) -> Result<B::Tensor> {
        let head = self.weights.classifier.as_ref().ok_or_else(|| missing("classifier.weight"))?;
        self.backend.linear(hidden, head, Nonlinearity::Identity)
    }

    /// Both pretraining losses.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a head is missing, or those of the backend.
    pub fn losses(&self, inputs: &Inputs<B::Tensor>, targets: &Targets<B::Tensor>) -> Result<PretrainingLosses<B::Tensor>> {
        let hidden = self.encode(inputs, |_| ())?;
        let nsp_logits = self.nsp_logits(&self.pooled(&hidden, inputs)?)?;
        let mlm_logits = self.mlm_logits(&hidden, &targets.positions)?;
        Ok(PretrainingLosses {
            mlm: self.backend.loss(&mlm_logits, &targets.ids, &targets.weights)?,
            nsp: self.backend.loss(&nsp_logits, &targets.next_sentence, &targets.next_sentence_weights)?,
        })
    }
}

fn missing(name: &str) -> Error {
    Error::Tensor { name: name.into(), reason: "is missing: these weights have no such head".into() }
}
