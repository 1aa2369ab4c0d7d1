//! Picking rows, and putting two vectors one below the other.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Tensor};

use super::host::{slice, tensor, with_values};

/// Argument: `[n, width]`; result: the rows of these numbers.
#[derive(Debug)]
pub struct RowsOp(pub Vec<u32>);

impl CustomOp1 for RowsOp {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let x = slice(x, layout)?;
        let mut out = Vec::with_capacity(self.0.len() * width);
        for &row in &self.0 {
            let row = x.chunks_exact(width.max(1)).nth(row as usize);
            out.extend_from_slice(row.ok_or_else(|| Error::msg("expected the number of a row, found one beyond the last"))?);
        }
        Ok((CpuStorage::F32(out), (self.0.len(), width).into()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let mut out = vec![0.0; x.elem_count()];
        with_values(gradient, |gradient| {
            for (gradient, &row) in gradient.chunks_exact(width.max(1)).zip(&self.0) {
                let out = out.chunks_exact_mut(width.max(1)).nth(row as usize).unwrap_or_default();
                out.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
            }
        })?;
        Ok(Some(tensor(out, x.shape())?))
    }
}

/// Arguments: two vectors `[width]`; result `[2, width]`.
#[derive(Debug)]
pub struct PairOp;

impl CustomOp2 for PairOp {
    fn name(&self) -> &'static str {
        "pair"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, y: &CpuStorage, y_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let both = [slice(x, x_layout)?, slice(y, y_layout)?].concat();
        let width = both.len() / 2;
        Ok((CpuStorage::F32(both), (2, width).into()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.get(0)?), Some(gradient.get(1)?)))
    }
}
