//! Slices of candle's tensors.

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor};

/// Values of a contiguous tensor inside a custom operation.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let whole = storage.as_slice::<f32>()?;
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::msg("expected contiguous values"))?;
    whole.get(start..end).ok_or_else(|| candle_core::Error::msg("layout beyond its storage"))
}

/// Calls `f` with the values of a contiguous tensor.
pub fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(slice(storage, layout)?)),
        _ => Err(candle_core::Error::msg("expected a tensor on the CPU")),
    }
}

/// A tensor of computed values.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Adds up rows of partial sums, in order.
pub fn add_rows(partials: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for row in partials.chunks_exact(width.max(1)) {
        total.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    total
}
