//! The CPU backend for inference: no gradients, no tensor library, weights in single precision or as signed bytes; native and WebAssembly.
//!
//! Beside candle, which trains and is the reference, because in a browser it is smaller and its weights need a quarter of the memory.

mod attention;
mod int8;
mod linear;
mod load;
mod matrix;
mod norm;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::{int8::Instructions, matrix::Matrix};
use super::{
    Backend, Batch, Dropout, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm,
    threads::{for_chunks, rows_per_chunk, zeros},
};
use crate::{Error, Result};

/// The processor, with the instructions that it has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    instructions: Instructions,
}

/// Values on the CPU; cloning copies a handle.
#[derive(Debug, Clone)]
pub struct Tensor(Arc<Values>);

#[derive(Debug)]
enum Values {
    /// Rows of `width` values; a vector is one row.
    Rows { values: Vec<f32>, width: usize },
    /// Token ids, types, row numbers.
    Integers(Vec<u32>),
    /// A weight that is multiplied with.
    Matrix(Matrix),
}

impl Tensor {
    fn rows(values: Vec<f32>, width: usize) -> Self {
        Self(Arc::new(Values::Rows { values, width }))
    }

    fn integers(values: Vec<u32>) -> Self {
        Self(Arc::new(Values::Integers(values)))
    }

    /// Rows one after the other, and their width.
    fn as_rows(&self) -> Result<(&[f32], usize)> {
        match &*self.0 {
            Values::Rows { values, width } => Ok((values, *width)),
            _ => Err(unexpected("rows of numbers")),
        }
    }

    fn as_integers(&self) -> Result<&[u32]> {
        match &*self.0 {
            Values::Integers(values) => Ok(values),
            _ => Err(unexpected("integers")),
        }
    }

    fn as_matrix(&self) -> Result<&Matrix> {
        match &*self.0 {
            Values::Matrix(matrix) => Ok(matrix),
            _ => Err(unexpected("the weight of a linear layer")),
        }
    }
}

fn unexpected(what: &str) -> Error {
    Error::Backend(format!("expected {what}, found a tensor of another kind"))
}

fn no_dropout(dropout: Option<Dropout>) -> Result<()> {
    match dropout {
        None => Ok(()),
        Some(_) => Err(Error::Backend("this machine only runs models: train with the candle backend".into())),
    }
}

impl Backend for Cpu {
    type Tensor = Tensor;

    fn upload(&self, batch: &Batch) -> Result<Inputs<Tensor>> {
        let integers = |values: &[u8]| Tensor::integers(values.iter().map(|value| u32::from(*value)).collect());
        Ok(Inputs {
            batch: batch.rows,
            length: batch.length,
            input_ids: Tensor::integers(batch.input_ids.clone()),
            token_type_ids: integers(&batch.token_type_ids),
            attention_mask: integers(&batch.attention_mask),
        })
    }

    fn upload_indices(&self, indices: &[u32]) -> Result<Tensor> {
        Ok(Tensor::integers(indices.to_vec()))
    }

    fn upload_values(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::rows(values.to_vec(), shape.last().copied().unwrap_or(1)))
    }

    fn embed(
        &self,
        inputs: &Inputs<Tensor>,
        tables: &Embeddings<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        no_dropout(dropout)?;
        let (ids, types) = (inputs.input_ids.as_integers()?, inputs.token_type_ids.as_integers()?);
        let (word, (position, width), (token_type, _)) =
            (tables.word.as_matrix()?, tables.position.as_rows()?, tables.token_type.as_rows()?);
        let (length, width) = (inputs.length.max(1), width.max(1));
        let mut out = zeros(ids.len() * width);
        let chunk = rows_per_chunk(width);
        for_chunks(&mut out, chunk * width, |index, out| {
            let first = index * chunk;
            let tokens = ids.iter().zip(types).enumerate().skip(first);
            for (out, (row, (id, kind))) in out.chunks_exact_mut(width).zip(tokens) {
                word.row(*id as usize, out);
                for (table, row) in [(position, row % length), (token_type, *kind as usize)] {
                    let row = table.get(row * width..).unwrap_or_default();
                    out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
            }
        });
        self.add_norm(&Tensor::rows(out, width), None, &tables.norm, epsilon, None)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        let (matrix, (bias, _)) = (layer.weight.as_matrix()?, layer.bias.as_rows()?);
        let (x, width) = x.as_rows()?;
        if width != matrix.inputs() || bias.len() != matrix.outputs() {
            let (inputs, outputs) = (matrix.inputs(), matrix.outputs());
            let expected = format!("expected rows of {inputs} values and a bias of {outputs}");
            return Err(Error::Backend(format!("{expected}, found {width} and {}", bias.len())));
        }
        Ok(Tensor::rows(linear::linear(self.instructions, x, matrix, bias, then), matrix.outputs()))
    }

    fn add_norm(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norm: &Norm<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        no_dropout(dropout)?;
        let (x, width) = x.as_rows()?;
        let residual = residual.map(|residual| residual.as_rows()).transpose()?.map(|(values, _)| values);
        let (scale, shift) = (norm.weight.as_rows()?.0, norm.bias.as_rows()?.0);
        if [scale.len(), shift.len()] != [width; 2] || residual.is_some_and(|residual| residual.len() != x.len()) {
            return Err(Error::Backend(format!("expected scale and shift of {width} values and a residual of x's shape")));
        }
        Ok(Tensor::rows(norm::add_norm(x, residual, scale, shift, epsilon as f32), width))
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        no_dropout(dropout)?;
        let (qkv, width) = qkv.as_rows()?;
        let mask = inputs.attention_mask.as_integers()?;
        let hidden = width / 3;
        if heads == 0 || hidden == 0 || hidden % heads != 0 || qkv.len() != mask.len() * width {
            return Err(Error::Backend(format!("expected query, key and value of {heads} heads for {} tokens", mask.len())));
        }
        Ok(Tensor::rows(attention::attention(qkv, hidden, mask, inputs.length, heads), hidden))
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        let (x, width) = x.as_rows()?;
        let mut picked = Vec::with_capacity(indices.as_integers()?.len() * width);
        for &row in indices.as_integers()? {
            let start = row as usize * width;
            let row = x.get(start..start + width);
            picked.extend_from_slice(row.ok_or_else(|| unexpected("the number of a row"))?);
        }
        Ok(Tensor::rows(picked, width))
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.linear(x, &Linear { weight: word.clone(), bias: bias.clone() }, Nonlinearity::Identity)
    }

    fn loss(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Loss<Tensor>> {
        Err(Error::Backend("this machine only runs models: losses are computed by the candle backend".into()))
    }

    /// Returns at once: the values are on the host already.
    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(tensor.as_rows()?.0.to_vec())
    }
}
