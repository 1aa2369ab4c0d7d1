//! The graph's operations as runs of kernels.

use super::{
    Wgpu,
    kernel::{ATTENTION_LANES, Kernel, LINEAR_LANES, LINEAR_TILE, ROWS_LANES},
    memory::{Storage, Writer, lock},
    recorder::{Dispatch, folded},
    tensor::{Part, Tensor},
};
use crate::{
    Error, Result,
    bert::{Activation, Backend, Batch, Dropout, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm},
};

/// Widest head whose query and sum an invocation of `attention.wgsl` holds in registers.
const WIDEST_HEAD: usize = 128;

impl Backend for Wgpu {
    type Tensor = Tensor;

    fn upload(&self, batch: &Batch) -> Result<Inputs<Tensor>> {
        lock(&self.0.memory).begin_batch();
        let bytes = |values: &[u8]| self.integers(&values.iter().map(|value| u32::from(*value)).collect::<Vec<_>>());
        Ok(Inputs {
            batch: batch.rows,
            length: batch.length,
            input_ids: self.integers(&batch.input_ids)?,
            token_type_ids: bytes(&batch.token_type_ids)?,
            attention_mask: bytes(&batch.attention_mask)?,
        })
    }

    fn upload_indices(&self, indices: &[u32]) -> Result<Tensor> {
        self.integers(indices)
    }

    fn upload_values(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        let width = shape.last().copied().unwrap_or(1).max(1);
        let storage = self.0.upload("values", bytemuck::cast_slice(values))?;
        Ok(Tensor::whole(values.len() / width, width, storage))
    }

    fn embed(
        &self,
        inputs: &Inputs<Tensor>,
        tables: &Embeddings<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        inference(dropout)?;
        let words = self.rows(&tables.word, &inputs.input_ids)?;
        let result = self.result("hidden states", words.rows, words.width)?;
        let (position, token_type) = (tables.position.storage()?, tables.token_type.storage()?);
        let (types, norm) = (inputs.token_type_ids.storage()?, [tables.norm.weight.storage()?, tables.norm.bias.storage()?]);
        let shape = [number(words.rows)?, number(words.quads()?)?, (epsilon as f32).to_bits(), number(inputs.length)?];
        self.0.dispatch(&Dispatch {
            kernel: Kernel::Embed,
            inputs: &[words.storage()?, position, token_type, types, norm[0], norm[1]],
            result: &result,
            shape: &shape,
            groups: folded(words.rows as u64),
            work: 0,
        })?;
        Ok(Tensor::whole(words.rows, words.width, result))
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        self.product(x, &layer.weight, &layer.bias, then)
    }

    fn add_norm(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norm: &Norm<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        inference(dropout)?;
        let other = residual.unwrap_or(x);
        other.expect("residual", x.rows, x.width)?;
        norm.weight.expect("LayerNorm", 1, x.width)?;
        let result = self.result("hidden states", x.rows, x.width)?;
        let has_residual = u32::from(residual.is_some());
        self.0.dispatch(&Dispatch {
            kernel: Kernel::AddNorm,
            inputs: &[x.storage()?, other.storage()?, norm.weight.storage()?, norm.bias.storage()?],
            result: &result,
            shape: &[number(x.rows)?, number(x.quads()?)?, (epsilon as f32).to_bits(), has_residual],
            groups: folded(x.rows as u64),
            work: 0,
        })?;
        Ok(Tensor::whole(x.rows, x.width, result))
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        inference(dropout)?;
        let (rows, hidden) = (inputs.batch * inputs.length, qkv.width / 3);
        qkv.expect("query, key and value", rows, 3 * hidden)?;
        let head_quads = head_quads(hidden, heads)?;
        let result = self.result("hidden states", rows, hidden)?;
        let queries = inputs.length.div_ceil(ATTENTION_LANES as usize) as u64;
        self.0.dispatch(&Dispatch {
            kernel: Kernel::Attention { head_quads },
            inputs: &[qkv.storage()?, inputs.attention_mask.storage()?],
            result: &result,
            shape: &[number(inputs.length)?, number(heads)?],
            groups: [queries, heads as u64, inputs.batch as u64],
            work: 2 * (rows * inputs.length * hidden) as u64,
        })?;
        Ok(Tensor::whole(rows, hidden, result))
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        let wanted = indices.rows * indices.width;
        let result = self.result("picked rows", wanted, x.width)?;
        let quads = x.quads()?;
        for Part { first_row, rows, storage } in x.parts.iter() {
            self.0.dispatch(&Dispatch {
                kernel: Kernel::Rows(x.encoding),
                inputs: &[storage, indices.storage()?],
                result: &result,
                shape: &[number(wanted)?, number(quads)?, number(*rows)?, number(*first_row)?],
                groups: folded((wanted * quads).div_ceil(ROWS_LANES as usize) as u64),
                work: 0,
            })?;
        }
        Ok(Tensor::whole(wanted, x.width, result))
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.product(x, word, bias, Nonlinearity::Identity)
    }

    /// Not here: losses are computed where models are trained.
    fn loss(&self, _logits: &Tensor, _labels: &Tensor, _weights: &Tensor) -> Result<Loss<Tensor>> {
        Err(Error::Backend("this backend computes no losses; train and evaluate on the CPU or with CUDA".into()))
    }

    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        self.0.read(tensor).await
    }
}

impl Wgpu {
    fn integers(&self, values: &[u32]) -> Result<Tensor> {
        Ok(Tensor::whole(1, values.len(), self.0.upload("integers", bytemuck::cast_slice(values))?))
    }

    fn result(&self, what: &str, rows: usize, width: usize) -> Result<Storage> {
        let bytes = rows.checked_mul(width).and_then(|values| values.checked_mul(4));
        self.0.result(what, bytes.unwrap_or(usize::MAX), Writer::Kernel)
    }

    /// `f(x·Wᵀ + b)`, a dispatch for each buffer that W is in.
    fn product(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, then: Nonlinearity) -> Result<Tensor> {
        x.expect("input of a linear layer", x.rows, weight.width)?;
        bias.expect("bias of a linear layer", 1, weight.rows)?;
        let result = self.result("result of a linear layer", x.rows, weight.rows)?;
        let then = match then {
            Nonlinearity::Identity => 0,
            Nonlinearity::Gelu(Activation::Gelu) => 1,
            Nonlinearity::Gelu(Activation::GeluTanh) => 2,
            Nonlinearity::Tanh => 3,
        };
        let groups = |count: usize, at: usize| {
            let size = LINEAR_LANES.get(at).zip(LINEAR_TILE.get(at)).map_or(1, |(lanes, tile)| lanes * tile);
            count.div_ceil(size as usize) as u64
        };
        for Part { first_row, rows, storage } in weight.parts.iter() {
            let (quads, first_column) = (number(x.quads()?)?, number(*first_row)?);
            self.0.dispatch(&Dispatch {
                kernel: Kernel::Linear(weight.encoding),
                inputs: &[storage, x.storage()?, bias.storage()?],
                result: &result,
                shape: &[number(x.rows)?, quads, number(*rows)?, first_column, number(weight.rows)?, then],
                groups: [groups(*rows, 0), groups(x.rows, 1), 1],
                work: (x.rows * rows * x.width) as u64,
            })?;
        }
        Ok(Tensor::whole(x.rows, weight.rows, result))
    }
}

/// A quarter of a head's width.
pub fn head_quads(hidden: usize, heads: usize) -> Result<u32> {
    let head = hidden / heads.max(1);
    if !head.is_multiple_of(4) || head > WIDEST_HEAD {
        let what = format!("on a GPU heads must be a multiple of 4 wide and at most {WIDEST_HEAD}, found {head}; use the CPU");
        return Err(Error::Config(what));
    }
    number(head / 4)
}

fn inference(dropout: Option<Dropout>) -> Result<()> {
    match dropout {
        None => Ok(()),
        Some(_) => Err(Error::Backend("this backend is for inference: it has no dropout".into())),
    }
}

/// A number as kernels have it.
fn number(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Backend(format!("{value} is more than a GPU counts to")))
}
