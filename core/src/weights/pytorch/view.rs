//! A tensor as a view of its storage: shape, strides, first value.

use crate::weights::{Dtype, HostTensor, elements};

/// A tensor as a view of its storage.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Distance of neighbours along every axis, in values.
    pub strides: Vec<usize>,
    /// The storage from the first value on.
    pub bytes: &'a [u8],
}

impl View<'_> {
    /// Row-major values; `None` if they are no floating-point numbers.
    pub fn read(&self) -> Option<HostTensor> {
        let shape = self.shape.clone();
        let size = self.dtype.size()?;
        let length = elements(&shape)?;
        if let &[rows, columns] = shape.as_slice()
            && self.strides == [1, rows]
        {
            let data = self.dtype.decode(self.bytes.get(..length * size)?)?;
            return Some(HostTensor { shape: vec![columns, rows], data }.transposed());
        }
        if self.strides == row_major(&shape) {
            return Some(HostTensor { shape, data: self.dtype.decode(self.bytes.get(..length * size)?)? });
        }
        // Any other view, value by value: `index` counts through the axes, the last one fastest.
        let mut ordered = Vec::with_capacity(length * size);
        let mut index = vec![0; shape.len()];
        for _ in 0..length {
            let at: usize = index.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum();
            ordered.extend_from_slice(self.bytes.get(at * size..)?.get(..size)?);
            for (index, length) in index.iter_mut().zip(&shape).rev() {
                *index += 1;
                if *index < *length {
                    break;
                }
                *index = 0;
            }
        }
        Some(HostTensor { shape, data: self.dtype.decode(&ordered)? })
    }
}

/// Strides of a tensor whose values lie one after the other. (Only a tensor without values has lengths whose product overflows.)
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut next = 1_usize;
    let mut strides: Vec<_> = shape
        .iter()
        .rev()
        .map(|length| {
            let stride = next;
            next = next.wrapping_mul(*length);
            stride
        })
        .collect();
    strides.reverse();
    strides
}
