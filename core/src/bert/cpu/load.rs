//! Weights go straight to the place where they are multiplied with.

use super::{Cpu, Tensor, Values, matrix::Matrix};
use crate::{
    Error, Result,
    bert::{Encoding, Load, Parameter, fused_shape},
};

use std::sync::Arc;

/// A weight of which rows are still to come.
#[derive(Debug)]
pub struct Partial {
    name: String,
    encoding: Encoding,
    rows: usize,
    width: usize,
    /// Rows so far.
    filled: usize,
    place: Place,
    /// Values of the row that is put in, to be used again.
    row: Vec<f32>,
}

#[derive(Debug)]
enum Place {
    Matrix(Matrix),
    /// Vectors, and tables that are only added.
    Values(Vec<f32>),
}

impl Partial {
    fn error(&self, reason: String) -> Error {
        Error::Tensor { name: self.name.clone(), reason }
    }
}

impl Load for Cpu {
    type Partial = Partial;

    fn begin(&self, group: &[Parameter], encoding: Encoding) -> Result<Partial> {
        let name = group.first().map(|parameter| parameter.name.clone()).unwrap_or_default();
        let shape = fused_shape(group);
        let width = shape.last().copied().unwrap_or(1).max(1);
        let rows = shape.iter().product::<usize>() / width;
        let place = match group.iter().all(Parameter::is_matrix) {
            true => Place::Matrix(Matrix::new(self.instructions, encoding, rows, width)),
            false => Place::Values(Vec::with_capacity(rows * width)),
        };
        Ok(Partial { name, encoding, rows, width, filled: 0, place, row: Vec::new() })
    }

    fn append(&self, partial: &mut Partial, bytes: &[u8]) -> Result<()> {
        let Partial { encoding, rows, width, filled, place, row, .. } = partial;
        match place {
            Place::Matrix(matrix) => {
                for bytes in bytes.chunks(encoding.row_bytes(*width)) {
                    if *filled == *rows || bytes.len() != encoding.row_bytes(*width) {
                        let reason = format!("expected {rows} rows of {} bytes, found other ones", encoding.row_bytes(*width));
                        return Err(partial.error(reason));
                    }
                    matrix.set_row(*encoding, *filled, bytes, row);
                    *filled += 1;
                }
            }
            Place::Values(values) => {
                encoding.decode(bytes, values);
                if values.len() > *rows * *width {
                    let reason = format!("expected {} values, found more", *rows * *width);
                    return Err(partial.error(reason));
                }
            }
        }
        Ok(())
    }

    fn finish(&self, partial: Partial) -> Result<Tensor> {
        let expected = partial.rows * partial.width;
        let found = match &partial.place {
            Place::Matrix(_) => partial.filled * partial.width,
            Place::Values(values) => values.len(),
        };
        if found != expected {
            return Err(partial.error(format!("expected {expected} values, found {found}")));
        }
        Ok(match partial.place {
            Place::Matrix(matrix) => Tensor(Arc::new(Values::Matrix(matrix))),
            Place::Values(values) => Tensor::rows(values, partial.width),
        })
    }
}
