//! The CPU backend on candle, with gradients: the reference for every other backend.
//!
//! Not used: candle-nn's `LayerNorm`, `softmax_last_dim` and the other fused operations, which cut gradients without a word (0.11.1).

mod plain;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

use super::{Backend, Batch, Dropout, DropoutKey, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm};
use crate::{Result, weights::HostTensor};

/// candle on the CPU.
#[derive(Debug, Clone, Default)]
pub struct Candle {
    /// What dropout masks depend on; `None` for inference.
    pub dropout: Option<DropoutKey>,
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
        let word = self.watch(&tables.word.index_select(&inputs.input_ids.flatten_all()?, 0)?)?;
        let token_type = tables.token_type.index_select(&inputs.token_type_ids.flatten_all()?, 0)?;
        let (rows, width) = word.dims2()?;
        let position = tables.position.narrow(0, 0, inputs.length)?;
        let sum = (word + token_type)?.reshape((inputs.batch, inputs.length, width))?.broadcast_add(&position)?;
        let normed = plain::layer_norm(&sum.reshape((rows, width))?, &tables.norm, epsilon)?;
        self.dropped(&normed, dropout)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        let y = x.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)?;
        plain::nonlinearity(&y, then)
    }

    fn add_norm(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norm: &Norm<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let x = self.dropped(x, dropout)?;
        let sum = match residual {
            Some(residual) => (residual + x)?,
            None => x,
        };
        plain::layer_norm(&sum, norm, epsilon)
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        let [query, key, value] = plain::split_heads(qkv, inputs.batch, inputs.length, heads)?;
        let weights = plain::attention_weights(&query, &key, &inputs.attention_mask)?;
        let context = self.dropped(&weights, dropout)?.matmul(&value)?; // [batch, heads, length, head size]
        Ok(context.transpose(1, 2)?.reshape((inputs.batch * inputs.length, ()))?)
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        Ok(x.index_select(indices, 0)?)
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.watch(word)?.t()?)?.broadcast_add(bias)?)
    }

    fn loss(&self, logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Loss<Tensor>> {
        plain::loss(logits, labels, weights)
    }

    /// Returns at once: the values are on the host already.
    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(tensor.flatten_all()?.to_vec1()?)
    }
}

impl Candle {
    /// `x`, whose gradient's square will be added to [`Self::word_gradient_square`].
    fn watch(&self, x: &Tensor) -> Result<Tensor> {
        match &self.word_gradient_square {
            Some(sum) => Ok(x.apply_op1(plain::Watch(sum.clone()))?),
            None => Ok(x.clone()),
        }
    }

    fn dropped(&self, x: &Tensor, dropout: Option<Dropout>) -> Result<Tensor> {
        let Some((key, dropout)) = self.dropout.zip(dropout) else { return Ok(x.clone()) };
        let mut multipliers = vec![0.0; x.elem_count()];
        key.multipliers(dropout, 0, &mut multipliers);
        Ok((x * Tensor::from_vec(multipliers, x.shape(), &Device::Cpu)?)?)
    }
}
