//! Every operation, with the sizes that are awkward for its kernel.

use pollster::block_on;

use super::{apart, gpu, noise};
use crate::bert::{
    Activation, Backend, Batch, Candle, Config, Embeddings, Encoding, Heads, Inputs, Linear, Load, Nonlinearity, Norm, Weights,
    lay_down, wgpu::Options,
};

/// Sums of at most a few hundred products of values below 1, in another order.
const TOLERANCE: f32 = 2e-5;

/// A weight as the graph would get it: the query projection of a configuration.
fn matrix<B: Load>(backend: &B, rows: usize, width: usize, encoding: Encoding) -> B::Tensor {
    let table = crate::bert::parameters(&Config::default());
    let query = table.into_iter().find(|parameter| parameter.name.ends_with("query.weight")).unwrap();
    let group = [crate::bert::Parameter { shape: vec![rows, width], ..query }];
    let mut bytes = Vec::new();
    noise(rows * width, 1).chunks(width).for_each(|row| encoding.encode(row, &mut bytes));
    let mut partial = backend.begin(&group, encoding).unwrap();
    backend.append(&mut partial, &bytes).unwrap();
    backend.finish(partial).unwrap()
}

fn vector<B: Load>(backend: &B, values: &[f32]) -> B::Tensor {
    let table = crate::bert::parameters(&Config::default());
    let bias = table.into_iter().find(|parameter| parameter.name.ends_with("query.bias")).unwrap();
    let group = [crate::bert::Parameter { shape: vec![values.len()], ..bias }];
    let mut partial = backend.begin(&group, Encoding::F32).unwrap();
    backend.append(&mut partial, bytemuck::cast_slice(values)).unwrap();
    backend.finish(partial).unwrap()
}

/// Runs the same on both and compares.
macro_rules! both {
    ($gpu:expr, $what:expr, $tolerance:expr, |$backend:ident| $run:expr) => {{
        let candle = Candle::default();
        let expected = {
            let $backend = &candle;
            block_on(candle.read(&$run)).unwrap()
        };
        let found = {
            let $backend = &$gpu;
            block_on($gpu.read(&$run)).unwrap()
        };
        let error = apart(&found, &expected);
        assert!(error <= $tolerance, "{}: {error:.1e}", $what);
    }};
}

#[test]
fn linear_layers_of_any_size_and_encoding() {
    let Some(gpu) = gpu(Options::default()) else { return };
    for (rows, outputs, inputs) in [(1, 2, 4), (7, 5, 12), (8, 64, 64), (9, 67, 132), (33, 130, 8), (70, 3, 256)] {
        for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
            both!(gpu, format!("[{rows}, {inputs}] · [{outputs}, {inputs}]ᵀ, {encoding:?}"), TOLERANCE, |backend| {
                let x = backend.upload_values(&noise(rows * inputs, 2), &[rows, inputs]).unwrap();
                let weight = matrix(backend, outputs, inputs, encoding);
                let layer = Linear { weight, bias: vector(backend, &noise(outputs, 3)) };
                backend.linear(&x, &layer, Nonlinearity::Identity).unwrap()
            });
        }
    }
}

/// The products are small here, so that what is seen is the error of the function.
#[test]
fn non_linearities_over_their_whole_range() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let points: Vec<f32> = (-1200..1200).map(|point| point as f32 * 0.01).collect();
    for then in [Nonlinearity::Gelu(Activation::Gelu), Nonlinearity::Gelu(Activation::GeluTanh), Nonlinearity::Tanh] {
        both!(gpu, format!("{then:?}"), 3e-6, |backend| {
            let x = backend.upload_values(&[0.0; 4], &[1, 4]).unwrap();
            let layer = Linear { weight: matrix(backend, points.len(), 4, Encoding::F32), bias: vector(backend, &points) };
            backend.linear(&x, &layer, then).unwrap()
        });
    }
    for far in [-1e4_f32, -60.0, 60.0, 1e4] {
        both!(gpu, format!("tanh of {far}"), 1e-6, |backend| {
            let x = backend.upload_values(&[0.0; 4], &[1, 4]).unwrap();
            let layer = Linear { weight: matrix(backend, 2, 4, Encoding::F32), bias: vector(backend, &[far; 2]) };
            backend.linear(&x, &layer, Nonlinearity::Tanh).unwrap()
        });
    }
}

#[test]
fn rows_are_picked_in_any_order_and_more_than_once() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let picked = [4, 0, 4, 2, 1];
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        both!(gpu, format!("{encoding:?}"), 0.0, |backend| {
            backend.rows(&matrix(backend, 5, 36, encoding), &backend.upload_indices(&picked).unwrap()).unwrap()
        });
    }
}

#[test]
fn sums_are_normalized_with_and_without_a_residual() {
    let Some(gpu) = gpu(Options::default()) else { return };
    for (rows, width) in [(1, 4), (3, 36), (5, 128), (130, 256), (2, 1024)] {
        for with_residual in [false, true] {
            both!(gpu, format!("[{rows}, {width}] {with_residual}"), TOLERANCE, |backend| {
                let x = backend.upload_values(&noise(rows * width, 1), &[rows, width]).unwrap();
                let residual = backend.upload_values(&noise(rows * width, 2), &[rows, width]).unwrap();
                let norm = Norm { weight: vector(backend, &noise(width, 3)), bias: vector(backend, &noise(width, 4)) };
                backend.add_norm(&x, with_residual.then_some(&residual), &norm, 1e-12, None).unwrap()
            });
        }
    }
}

fn upload<B: Backend>(backend: &B, batch: usize, length: usize, shortest: usize) -> Inputs<B::Tensor> {
    let lengths = (0..batch).map(|row| if row == 0 { length } else { shortest.max(length * row / batch) });
    let rows: Vec<_> = lengths.map(|length| (vec![1_u32; length], vec![0_u8; length])).collect();
    let batch = Batch::from_rows(rows.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice()))).unwrap();
    backend.upload(&batch).unwrap()
}

#[test]
fn attention_of_any_length_and_head_size_padded_and_not() {
    let Some(gpu) = gpu(Options::default()) else { return };
    for (batch, length, heads, size) in
        [(1, 1, 1, 4), (1, 3, 2, 32), (2, 64, 1, 64), (3, 65, 2, 32), (2, 130, 2, 128), (1, 512, 1, 64)]
    {
        for shortest in [1, length] {
            let what = format!("{batch} × {length}, {heads} heads of {size}, shortest {shortest}");
            both!(gpu, what, TOLERANCE, |backend| {
                let inputs = upload(backend, batch, length, shortest);
                let (rows, width) = (batch * length, 3 * heads * size);
                // Scores up to about 20: the softmax is far from uniform.
                let values: Vec<f32> = noise(rows * width, 6).iter().map(|value| 3.0 * value).collect();
                let qkv = backend.upload_values(&values, &[rows, width]).unwrap();
                backend.attention(&qkv, &inputs, heads, None).unwrap()
            });
        }
    }
}

fn embeddings<B: Load>(backend: &B, config: &Config, encoding: Encoding) -> Embeddings<B::Tensor> {
    let heads = Heads { pooler: false, mlm: false, nsp: false };
    let Weights { embeddings, .. } = lay_down(backend, config, heads, &super::weights(config), encoding).unwrap();
    embeddings
}

#[test]
fn embeddings_are_summed_and_normalized() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = Config {
        vocab_size: 51,
        hidden_size: 36,
        num_attention_heads: 1,
        num_hidden_layers: 1,
        intermediate_size: 4,
        max_position_embeddings: 40,
        ..Config::default()
    };
    let batch = super::batch(&config, &[37, 5, 1]);
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        both!(gpu, format!("{encoding:?}"), TOLERANCE, |backend| {
            let inputs = backend.upload(&batch).unwrap();
            backend.embed(&inputs, &embeddings(backend, &config, encoding), 1e-12, None).unwrap()
        });
    }
}
