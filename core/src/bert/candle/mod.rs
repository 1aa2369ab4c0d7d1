//! The CPU backend on candle, with gradients: the reference for every other backend.
//!
//! Operations are candle's custom ones, with their own forward and backward passes, because on 32 sequences of 128 tokens candle's
//! elementary ones spend several times what the matrix products take. `plain` has the same in elementary operations, for the tests.
//!
//! Not used: candle-nn's `LayerNorm`, `softmax_last_dim` and the other fused operations, which cut gradients without a word (0.11.1).

mod attention;
mod embed;
mod host;
mod linear;
mod loss;
mod math;
mod norm;
#[cfg(test)]
mod plain;
mod product;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

pub use self::host::with_values;
use self::{
    attention::AttentionOp,
    embed::{DropoutOp, EmbedOp},
    linear::LinearOp,
    loss::LossOp,
    norm::NormOp,
};
use super::{Backend, Batch, Dropout, DropoutKey, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm};
use crate::{Result, weights::HostTensor};

/// candle on the CPU.
#[derive(Debug, Clone, Default)]
pub struct Candle {
    /// What dropout masks depend on; `None` for inference, which keeps nothing for a backward pass.
    pub training: Option<DropoutKey>,
    /// Where the backward pass leaves the squares of the word embeddings' unsummed gradient rows, if somebody wants them.
    pub word_gradient_square: Option<Arc<Mutex<f64>>>,
}

impl Candle {
    /// A tensor of host values.
    ///
    /// # Errors
    /// [`crate::Error::Backend`] if shape and values do not fit.
    pub fn tensor(values: &HostTensor) -> Result<Tensor> {
        Ok(Tensor::from_slice(&values.data, values.shape.as_slice(), &Device::Cpu)?)
    }

    /// A tensor's values on the host.
    ///
    /// # Errors
    /// [`crate::Error::Backend`] if it does not hold `f32`.
    pub fn host(tensor: &Tensor) -> Result<HostTensor> {
        Ok(HostTensor { shape: tensor.dims().to_vec(), data: tensor.flatten_all()?.to_vec1()? })
    }
}

impl Backend for Candle {
    type Tensor = Tensor;

    fn upload(&self, batch: &Batch) -> Result<Inputs<Tensor>> {
        let cells = batch.rows * batch.length;
        let integers = |values: &[u8]| Tensor::from_iter(values.iter().map(|value| u32::from(*value)), &Device::Cpu);
        let shape = (batch.rows, batch.length);
        Ok(Inputs {
            batch: batch.rows,
            length: batch.length,
            input_ids: Tensor::from_slice(&batch.input_ids, cells, &Device::Cpu)?.reshape(shape)?,
            token_type_ids: integers(&batch.token_type_ids)?.reshape(shape)?,
            attention_mask: integers(&batch.attention_mask)?.to_dtype(DType::F32)?.reshape(shape)?,
        })
    }

    fn upload_indices(&self, indices: &[u32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(indices, indices.len(), &Device::Cpu)?)
    }

    fn upload_values(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
    }

    fn embed(
        &self,
        inputs: &Inputs<Tensor>,
        tables: &Embeddings<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let op = EmbedOp {
            ids: inputs.input_ids.flatten_all()?.to_vec1()?,
            types: inputs.token_type_ids.flatten_all()?.to_vec1()?,
            length: inputs.length,
            watch: self.word_gradient_square.clone(),
        };
        let sum = tables.word.apply_op3(&tables.position, &tables.token_type, op)?;
        let normed = self.add_norm(&sum, None, &tables.norm, epsilon, None)?;
        match self.training.zip(dropout) {
            Some((key, dropout)) => Ok(normed.apply_op1(DropoutOp(key, dropout))?),
            None => Ok(normed),
        }
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        Ok(x.apply_op3(&layer.weight, &layer.bias, LinearOp::new(then, self.training.is_some(), None))?)
    }

    fn add_norm(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norm: &Norm<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let op = NormOp::new(epsilon, self.training.zip(dropout));
        let scale_shift = Tensor::stack(&[&norm.weight, &norm.bias], 0)?;
        Ok(match residual {
            Some(residual) => x.apply_op3(residual, &scale_shift, op)?,
            None => x.apply_op2(&scale_shift, op)?,
        })
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        let mask: Vec<f32> = inputs.attention_mask.flatten_all()?.to_vec1()?;
        let (dropout, training) = (self.training.zip(dropout), self.training.is_some());
        Ok(qkv.apply_op1(AttentionOp::new(heads, inputs.length, &mask, dropout, training))?)
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        Ok(x.index_select(indices, 0)?)
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let op = LinearOp::new(Nonlinearity::Identity, self.training.is_some(), self.word_gradient_square.clone());
        Ok(x.apply_op3(word, bias, op)?)
    }

    fn loss(&self, logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Loss<Tensor>> {
        let both = logits.apply_op1(LossOp::new(labels.to_vec1()?, weights.to_vec1()?))?;
        Ok(Loss { nll: both.get(0)?, correct: both.get(1)? })
    }

    /// Returns at once: the values are on the host already.
    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(tensor.flatten_all()?.to_vec1()?)
    }
}
