//! The seam between the BERT graph and the machine that runs it: about a dozen coarse operations.
//!
//! Operations are coarse so that each machine can fuse as it likes. None of them reads a value back to the host;
//! only [`Backend::read`] does. Row-major everywhere; `rows` below means `batch × length`.

use super::{Batch, config::Activation};
use crate::Result;

/// A batch on the machine.
#[derive(Debug, Clone)]
pub struct Inputs<T> {
    /// Number of sequences.
    pub batch: usize,
    /// Padded length.
    pub length: usize,
    /// Token ids, `[batch, length]`, integers.
    pub input_ids: T,
    /// Segment types, `[batch, length]`, integers.
    pub token_type_ids: T,
    /// 1 for a token, 0 for padding, `[batch, length]`.
    pub attention_mask: T,
}

/// What follows a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonlinearity {
    /// Nothing.
    Identity,
    /// GELU, exact or tanh form.
    Gelu(Activation),
    /// tanh (the pooler).
    Tanh,
}

/// Weight and bias of a linear layer: `[out, in]` and `[out]`.
#[derive(Debug, Clone)]
pub struct Linear<T> {
    /// `[out, in]`
    pub weight: T,
    /// `[out]`
    pub bias: T,
}

/// Scale and shift of a LayerNorm, `[hidden]` each.
#[derive(Debug, Clone)]
pub struct Norm<T> {
    /// Scale (gamma).
    pub weight: T,
    /// Shift (beta).
    pub bias: T,
}

/// The three embedding tables and the norm that follows their sum.
#[derive(Debug, Clone)]
pub struct Embeddings<T> {
    /// `[vocab, hidden]`, tied to the MLM output.
    pub word: T,
    /// `[positions, hidden]`
    pub position: T,
    /// `[types, hidden]`
    pub token_type: T,
    /// Follows the sum.
    pub norm: Norm<T>,
}

/// Dropout at one place of the graph. [`super::DropoutKey`] says which elements it drops; seed, step and micro-batch belong to the
/// backend's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of elements set to 0; the others are scaled by `1 / (1 - probability)`.
    pub probability: f32,
    /// Number of the place in the graph.
    pub site: u32,
}

/// Weighted cross-entropy and accuracy, scalars both.
#[derive(Debug, Clone)]
pub struct Loss<T> {
    /// `Σ weight · −log p(label)`; gradients start here.
    pub nll: T,
    /// `Σ weight` of the rows whose largest logit (the first of equals) is the label's; no gradient.
    pub correct: T,
}

/// A machine that can run the graph.
///
/// `dropout: None` means inference or a probability of 0.
#[allow(async_fn_in_trait, reason = "single-threaded callers: the browser's event loop or a blocking native thread")]
pub trait Backend {
    /// A tensor that lives on the machine; cloning copies a handle.
    type Tensor: Clone;

    /// Brings a batch to the machine.
    fn upload(&self, batch: &Batch) -> Result<Inputs<Self::Tensor>>;
    /// Brings row numbers (or class labels) to the machine, `[n]`, integers.
    fn upload_indices(&self, indices: &[u32]) -> Result<Self::Tensor>;
    /// Brings numbers to the machine.
    fn upload_values(&self, values: &[f32], shape: &[usize]) -> Result<Self::Tensor>;
    /// Dropout of the normalized sum of word, position and type rows → `[rows, hidden]`.
    fn embed(
        &self,
        inputs: &Inputs<Self::Tensor>,
        tables: &Embeddings<Self::Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Self::Tensor>;
    /// `x·Wᵀ + b`, then the non-linearity: `[n, in]` → `[n, out]`.
    fn linear(&self, x: &Self::Tensor, layer: &Linear<Self::Tensor>, then: Nonlinearity) -> Result<Self::Tensor>;
    /// `LayerNorm(residual + dropout(x))`, or `LayerNorm(dropout(x))` without a residual, over the last axis.
    fn add_norm(
        &self,
        x: &Self::Tensor,
        residual: Option<&Self::Tensor>,
        norm: &Norm<Self::Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Self::Tensor>;
    /// `softmax(Q·Kᵀ/√d − 10000·(1 − mask))·V` by heads, dropout on the weights.
    /// `qkv` is `[rows, 3·hidden]` (query, key, value side by side) → `[rows, hidden]`.
    fn attention(
        &self,
        qkv: &Self::Tensor,
        inputs: &Inputs<Self::Tensor>,
        heads: usize,
        dropout: Option<Dropout>,
    ) -> Result<Self::Tensor>;
    /// Picks rows: `[n, width]`, `[m]` → `[m, width]`.
    fn rows(&self, x: &Self::Tensor, indices: &Self::Tensor) -> Result<Self::Tensor>;
    /// Scores over the vocabulary with the tied table: `[m, hidden]` → `[m, vocab]`.
    fn vocab(&self, x: &Self::Tensor, word: &Self::Tensor, bias: &Self::Tensor) -> Result<Self::Tensor>;
    /// Softmax cross-entropies, `logits` `[m, classes]`, `labels` and `weights` `[m]`. Whoever wants a mean puts the divisor into the
    /// weights, so that micro-batches add up to exactly their batch.
    fn loss(&self, logits: &Self::Tensor, labels: &Self::Tensor, weights: &Self::Tensor) -> Result<Loss<Self::Tensor>>;
    /// Brings values back to the host; the only operation that waits for the machine.
    async fn read(&self, tensor: &Self::Tensor) -> Result<Vec<f32>>;
}
