//! The operations from candle's own differentiable parts.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Shape, Tensor};

use super::super::{Activation, Loss, Nonlinearity, Norm, square_sum};
use crate::Result;

pub fn layer_norm(x: &Tensor, norm: &Norm<Tensor>, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    Ok(centred.broadcast_div(&deviation)?.broadcast_mul(&norm.weight)?.broadcast_add(&norm.bias)?)
}

pub fn nonlinearity(x: &Tensor, then: Nonlinearity) -> Result<Tensor> {
    Ok(match then {
        Nonlinearity::Identity => x.clone(),
        Nonlinearity::Tanh => x.tanh()?,
        Nonlinearity::Gelu(Activation::Gelu) => x.gelu_erf()?,
        Nonlinearity::Gelu(Activation::GeluTanh) => x.gelu()?,
    })
}

/// `[rows, 3·hidden]` → query, key and value, `[batch, heads, length, head size]` each.
pub fn split_heads(qkv: &Tensor, batch: usize, length: usize, heads: usize) -> Result<[Tensor; 3]> {
    let parts = qkv.reshape((batch, length, 3, heads, ()))?;
    let part = |which| -> Result<Tensor> { Ok(parts.narrow(2, which, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous()?) };
    Ok([part(0)?, part(1)?, part(2)?])
}

/// `softmax(Q·Kᵀ/√d − 10000·(1 − mask))`, `[batch, heads, length, length]`.
pub fn attention_weights(query: &Tensor, key: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (batch, _, length, head_size) = query.dims4()?;
    let scores = (query.matmul(&key.t()?)? * (1.0 / (head_size as f64).sqrt()))?;
    let padding = mask.affine(10_000.0, -10_000.0)?.reshape((batch, 1, 1, length))?;
    let scores = scores.broadcast_add(&padding)?;
    let exponentials = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)?)
}

pub fn loss(logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Loss<Tensor>> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let normalizer = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let nll = (normalizer - shifted.gather(&labels.unsqueeze(1)?, D::Minus1)?)?.squeeze(1)?;
    let correct = logits.detach().argmax(D::Minus1)?.eq(labels)?.to_dtype(DType::F32)?;
    Ok(Loss { nll: (nll * weights)?.sum_all()?, correct: (correct * weights)?.sum_all()? })
}

/// The identity, which adds the square of the gradient that comes back through it to a sum.
#[derive(Debug)]
pub struct Watch(pub Arc<Mutex<f64>>);

impl CustomOp1 for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f32>()?;
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::msg("watch needs contiguous values"))?;
        let values = values.get(start..end).unwrap_or_default().to_vec();
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let square = square_sum(&gradient.flatten_all()?.to_vec1()?);
        if let Ok(mut sum) = self.0.lock() {
            *sum += square;
        }
        Ok(Some(gradient.clone()))
    }
}
