//! The same operations and models here and on candle.

mod models;
mod operations;
mod trouble;

use super::{Options, Wgpu};
use crate::{
    Error,
    bert::{Batch, Config, initialize, philox},
    weights::Tensors,
};

/// A GPU, software or not. Where there is none, tests say so and pass; continuous integration must have one.
pub fn gpu(options: Options) -> Option<Wgpu> {
    match pollster::block_on(Wgpu::open(options)) {
        Ok(gpu) => Some(gpu),
        Err(Error::NoGpu(reason)) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: no adapter ({reason}); Debian: apt-get install mesa-vulkan-drivers");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Values in −1..1 that differ from each other, by place and seed.
pub fn noise(count: usize, seed: u32) -> Vec<f32> {
    let value = |place| philox([place, seed, 0, 0], [1, 2])[0] as f32 / 2.0_f32.powi(31) - 1.0;
    (0..count as u32).map(value).collect()
}

/// Weights of which none is trivial, biases and norms included.
pub fn weights(config: &Config) -> Tensors {
    let mut tensors = initialize(&Config { initializer_range: 0.08, ..config.clone() }, 5);
    for (seed, tensor) in (0..).zip(tensors.values_mut()) {
        if tensor.shape.len() == 1 {
            let noise = noise(tensor.data.len(), seed);
            tensor.data.iter_mut().zip(noise).for_each(|(value, noise)| *value += 0.3 * noise);
        }
    }
    tensors
}

/// Sequences of these lengths, padded to the longest.
pub fn batch(config: &Config, lengths: &[usize]) -> Batch {
    let rows: Vec<(Vec<u32>, Vec<u8>)> = (0..)
        .zip(lengths)
        .map(|(seed, length)| {
            let id = |place: u32| philox([place, seed, 1, 0], [3, 4])[0] % config.vocab_size as u32;
            ((0..*length as u32).map(id).collect(), (0..*length).map(|place| u8::from(place > length / 2)).collect())
        })
        .collect();
    Batch::from_rows(rows.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice()))).unwrap()
}

/// Largest difference. The acceptance is 1e-4 for f32.
pub fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let difference = |(found, expected): (&f32, &f32)| match (found - expected).abs() {
        difference if difference.is_nan() => f32::INFINITY,
        difference => difference,
    };
    found.iter().zip(expected).map(difference).fold(0.0, f32::max)
}
