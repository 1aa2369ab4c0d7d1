//! Sum of word, position and type rows; and dropout.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};

use super::{
    super::{
        Dropout, DropoutKey, square_sum,
        threads::{for_chunks, rows_per_chunk, zeros},
    },
    host::{slice, tensor, with_values},
};

/// Arguments: the word, position and type tables; result `[batch · length, hidden]`.
#[derive(Debug)]
pub struct EmbedOp {
    pub ids: Vec<u32>,
    pub types: Vec<u32>,
    pub length: usize,
    /// Sum to which the square of the word rows' gradients, not added up by word, is added.
    pub watch: Option<Arc<Mutex<f64>>>,
}

impl EmbedOp {
    /// Numbers of the rows in each table.
    fn rows(&self) -> impl Iterator<Item = [usize; 3]> {
        let positions = (0..self.length).cycle();
        self.ids.iter().zip(positions).zip(&self.types).map(|((id, position), kind)| [*id as usize, position, *kind as usize])
    }
}

impl CustomOp3 for EmbedOp {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(
        &self,
        word: &CpuStorage,
        word_layout: &Layout,
        position: &CpuStorage,
        position_layout: &Layout,
        kind: &CpuStorage,
        kind_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = word_layout.shape().dims2()?;
        let tables = [slice(word, word_layout)?, slice(position, position_layout)?, slice(kind, kind_layout)?];
        let mut out = vec![0.0; self.ids.len() * width];
        for (out, rows) in out.chunks_exact_mut(width).zip(self.rows()) {
            for (table, row) in tables.iter().zip(rows) {
                let row = table.chunks_exact(width).nth(row).ok_or_else(|| candle_core::Error::msg("row beyond its table"))?;
                out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
        Ok((CpuStorage::F32(out), (self.ids.len(), width).into()))
    }

    fn bwd(
        &self,
        word: &Tensor,
        position: &Tensor,
        kind: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, width) = word.dims2()?;
        let mut tables = [word, position, kind].map(|table| zeros(table.elem_count()));
        with_values(gradient, |gradient| {
            for (gradient, rows) in gradient.chunks_exact(width).zip(self.rows()) {
                for (table, row) in tables.iter_mut().zip(rows) {
                    let row = table.chunks_exact_mut(width).nth(row).unwrap_or_default();
                    row.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                }
            }
            if let Some(watch) = &self.watch {
                *watch.lock().unwrap_or_else(PoisonError::into_inner) += square_sum(gradient);
            }
        })?;
        let [word_gradient, position_gradient, kind_gradient] = tables;
        Ok((
            Some(tensor(word_gradient, word.shape())?),
            Some(tensor(position_gradient, position.shape())?),
            Some(tensor(kind_gradient, kind.shape())?),
        ))
    }
}

/// Dropout of a tensor `[rows, width]`.
#[derive(Debug)]
pub struct DropoutOp(pub DropoutKey, pub Dropout);

impl DropoutOp {
    fn apply(&self, values: &[f32]) -> Vec<f32> {
        let size = rows_per_chunk(1);
        let mut out = zeros(values.len());
        for_chunks(
            &mut out,
            size,
            #[inline(always)]
            |index, out| {
                self.0.multipliers(self.1, index * size, out);
                let values = values.chunks(size).nth(index).unwrap_or_default();
                out.iter_mut().zip(values).for_each(|(multiplier, value)| *multiplier *= value);
            },
        );
        out
    }
}

impl CustomOp1 for DropoutOp {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(slice(x, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(tensor(with_values(gradient, |gradient| self.apply(gradient))?, x.shape())?))
    }
}
