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
mod load;
mod loss;
mod norm;
mod pick;
#[cfg(test)]
mod plain;
mod tape;

use std::sync::{Arc, Mutex};

use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Tensor};

pub use self::host::with_values;
pub use self::tape::Gradients;
use self::{
    attention::AttentionOp,
    embed::{DropoutOp, EmbedOp},
    linear::LinearOp,
    loss::LossOp,
    norm::NormOp,
    pick::{PairOp, RowsOp},
    tape::Tape,
};
use super::{Backend, Batch, Dropout, DropoutKey, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm};
use crate::{Result, weights::HostTensor};

/// candle on the CPU.
#[derive(Debug, Default)]
pub struct Candle {
    /// What dropout masks depend on; `None` for inference, which keeps nothing for a backward pass.
    training: Option<DropoutKey>,
    /// Where the backward pass leaves the squares of the word embeddings' unsummed gradient rows, if somebody wants them.
    word_gradient_square: Option<Arc<Mutex<f64>>>,
    /// What a training pass has done so far.
    tape: Tape,
}

impl Candle {
    /// A machine for one forward and backward pass. `word_gradient_square` is added the squares of the word embeddings' unsummed gradient
    /// rows, if somebody wants them.
    pub fn training(key: DropoutKey, word_gradient_square: Option<Arc<Mutex<f64>>>) -> Self {
        Self { training: Some(key), word_gradient_square, tape: Tape::default() }
    }

    /// Gradients of the sum of all losses since the machine was made, by the tensors that were given to it.
    ///
    /// # Errors
    /// [`crate::Error::Backend`] if an operation fails.
    pub fn backward(&self) -> Result<Gradients> {
        Ok(self.tape.backward()?)
    }

    fn one(&self, op: impl CustomOp1 + Send + Sync + 'static, x: &Tensor) -> Result<Tensor> {
        Ok(if self.training.is_some() { self.tape.one(op, x)? } else { x.apply_op1_no_bwd(&op)? })
    }

    fn two(&self, op: impl CustomOp2 + Send + Sync + 'static, [x, y]: [&Tensor; 2]) -> Result<Tensor> {
        Ok(if self.training.is_some() { self.tape.two(op, [x, y])? } else { x.apply_op2_no_bwd(y, &op)? })
    }

    fn three(&self, op: impl CustomOp3 + Send + Sync + 'static, [x, y, z]: [&Tensor; 3]) -> Result<Tensor> {
        Ok(if self.training.is_some() { self.tape.three(op, [x, y, z])? } else { x.apply_op3_no_bwd(y, z, &op)? })
    }

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
        let sum = self.three(op, [&tables.word, &tables.position, &tables.token_type])?;
        let normed = self.add_norm(&sum, None, &tables.norm, epsilon, None)?;
        match self.training.zip(dropout) {
            Some((key, dropout)) => self.one(DropoutOp(key, dropout), &normed),
            None => Ok(normed),
        }
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        self.three(LinearOp::new(then, self.training.is_some(), None), [x, &layer.weight, &layer.bias])
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
        let scale_shift = self.two(PairOp, [&norm.weight, &norm.bias])?;
        match residual {
            Some(residual) => self.three(op, [x, residual, &scale_shift]),
            None => self.two(op, [x, &scale_shift]),
        }
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        let mask: Vec<f32> = inputs.attention_mask.flatten_all()?.to_vec1()?;
        let (dropout, training) = (self.training.zip(dropout), self.training.is_some());
        self.one(AttentionOp::new(heads, inputs.length, &mask, dropout, training), qkv)
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        self.one(RowsOp(indices.to_vec1()?), x)
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let op = LinearOp::new(Nonlinearity::Identity, self.training.is_some(), self.word_gradient_square.clone());
        self.three(op, [x, word, bias])
    }

    fn loss(&self, logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Loss<Tensor>> {
        let both = self.one(LossOp::new(labels.to_vec1()?, weights.to_vec1()?), logits)?;
        if self.training.is_some() {
            self.tape.add_loss(&both);
        }
        Ok(Loss { nll: both.get(0)?, correct: both.get(1)? })
    }

    /// Returns at once: the values are on the host already.
    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(tensor.flatten_all()?.to_vec1()?)
    }
}
