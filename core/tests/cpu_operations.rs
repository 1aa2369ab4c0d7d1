//! The CPU backend's operations against the same written out in double precision. These tests also run as WebAssembly.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests may fail so")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use clinicalbert_core::bert::{
    Activation, Backend, Batch, Config, Cpu, Encoding, Linear, Load, Nonlinearity, Norm, Parameter, parameters,
};

type Tensor = <Cpu as Backend>::Tensor;

fn numbers(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * step).sin()).collect()
}

fn vector(values: &[f32]) -> Tensor {
    Cpu::default().upload_values(values, &[values.len()]).unwrap()
}

fn rows(values: &[f32], width: usize) -> Tensor {
    Cpu::default().upload_values(values, &[values.len() / width, width]).unwrap()
}

fn read(tensor: &Tensor) -> Vec<f32> {
    let cpu = Cpu::default();
    let future = pin!(cpu.read(tensor));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(values) => values.unwrap(),
        Poll::Pending => panic!("the values are on the host"),
    }
}

#[track_caller]
fn close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() <= tolerance, "{at}: {found} {expected}");
    }
}

/// The table's entry for a dense layer, with another shape.
fn parameter(shape: &[usize]) -> Parameter {
    let table = parameters(&Config { num_hidden_layers: 1, ..Config::default() });
    let dense = table.into_iter().find(|parameter| parameter.name.ends_with("intermediate.dense.weight")).unwrap();
    Parameter { shape: shape.to_vec(), ..dense }
}

/// A layer whose weight arrives a few rows at a time.
fn layer(encoding: Encoding, weight: &[f32], inputs: usize, bias: &[f32]) -> Linear<Tensor> {
    let cpu = Cpu::default();
    let mut partial = cpu.begin(&[parameter(&[weight.len() / inputs, inputs])], encoding).unwrap();
    for several in weight.chunks(3 * inputs) {
        let mut bytes = Vec::new();
        several.chunks(inputs).for_each(|row| encoding.encode(row, &mut bytes));
        cpu.append(&mut partial, &bytes).unwrap();
    }
    Linear { weight: cpu.finish(partial).unwrap(), bias: vector(bias) }
}

#[test]
fn linear_layers_of_all_shapes_are_right() {
    for (count, inputs, outputs) in [(1, 1, 1), (2, 5, 3), (13, 96, 130), (150, 40, 300), (300, 8, 257)] {
        let (x, weight, bias) = (numbers(count * inputs, 0.7), numbers(outputs * inputs, 1.3), numbers(outputs, 0.9));
        let layer = layer(Encoding::F32, &weight, inputs, &bias);
        for then in [Nonlinearity::Identity, Nonlinearity::Tanh, Nonlinearity::Gelu(Activation::GeluTanh)] {
            let found = Cpu::default().linear(&rows(&x, inputs), &layer, then).unwrap();
            let one = |row: usize, output: usize| {
                let products = x[row * inputs..].iter().zip(&weight[output * inputs..][..inputs]);
                let sum = f64::from(bias[output]) + products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
                match then {
                    Nonlinearity::Identity => sum,
                    Nonlinearity::Tanh => sum.tanh(),
                    Nonlinearity::Gelu(_) => {
                        0.5 * sum * (1.0 + (0.797_884_560_802_865_4 * (sum + 0.044_715 * sum.powi(3))).tanh())
                    }
                }
            };
            let expected: Vec<_> = (0..count * outputs).map(|at| one(at / outputs, at % outputs)).collect();
            close(&read(&found), &expected, 2e-5);
        }
    }
}

#[test]
fn byte_products_of_whole_numbers_are_exact() {
    // Activations from 0 to 127 that have both ends in every group of a row, and weights up to 127 in every row: nothing is rounded.
    for (count, inputs, outputs) in [(1, 4, 1), (2, 130, 3), (13, 300, 130), (150, 1024, 70)] {
        let activation = |at: usize| match at % inputs % 64 {
            0 => 0,
            1 => 127,
            _ => (at * 31 % 128) as i32,
        };
        let x: Vec<i32> = (0..count * inputs).map(activation).collect();
        let weight: Vec<i32> =
            (0..outputs * inputs).map(|at| if at % inputs == 1 { -127 } else { (at * 89 % 255) as i32 - 127 }).collect();
        let floats = |values: &[i32]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
        let layer = layer(Encoding::Int8, &floats(&weight), inputs, &vec![0.0; outputs]);
        let found = read(&Cpu::default().linear(&rows(&floats(&x), inputs), &layer, Nonlinearity::Identity).unwrap());
        for (row, x) in x.chunks_exact(inputs).enumerate() {
            for (output, weight) in weight.chunks_exact(inputs).enumerate() {
                let expected: i32 = x.iter().zip(weight).map(|(x, weight)| x * weight).sum();
                assert_eq!(found[row * outputs + output], expected as f32, "{count} × {inputs} × {outputs}: {row}, {output}");
            }
        }
    }
}

#[test]
fn byte_products_are_near_those_of_the_rounded_weights() {
    let (count, inputs, outputs) = (29, 320, 90);
    let (x, weight, bias) = (numbers(count * inputs, 0.7), numbers(outputs * inputs, 1.3), numbers(outputs, 0.9));
    let (mut bytes, mut rounded) = (Vec::new(), Vec::new());
    for row in weight.chunks_exact(inputs) {
        bytes.clear();
        Encoding::Int8.encode(row, &mut bytes);
        Encoding::Int8.decode(&bytes, &mut rounded);
    }
    let layer = layer(Encoding::Int8, &weight, inputs, &bias);
    let found = Cpu::default().linear(&rows(&x, inputs), &layer, Nonlinearity::Identity).unwrap();
    let expected: Vec<_> = (0..count * outputs)
        .map(|at| {
            let products = x[at / outputs * inputs..].iter().zip(&rounded[at % outputs * inputs..][..inputs]);
            f64::from(bias[at % outputs]) + products.map(|(x, weight)| f64::from(*x) * f64::from(*weight)).sum::<f64>()
        })
        .collect();
    // Activations are within ±1, so a step is 2/127; 320 errors of at most half of it, by weights of 0.7 in the mean square.
    close(&read(&found), &expected, 0.3);
}

#[test]
fn attention_is_right_with_padding_holes_and_without_any_token() {
    let (heads, size) = (3, 5);
    let hidden = heads * size;
    for length in [1, 7, 60] {
        let qkv = numbers(4 * length * 3 * hidden, 0.61);
        let attention_mask: Vec<u8> = (0..4 * length)
            .map(|at| match (at / length, at % length) {
                (0, _) => 1,
                (1, position) => u8::from(position < length.div_ceil(3)),
                (2, position) => u8::from(position % 3 != 1),
                _ => 0,
            })
            .collect();
        let mask = attention_mask.clone();
        let none = Batch { rows: 4, length, input_ids: vec![0; 4 * length], attention_mask, token_type_ids: vec![0; 4 * length] };
        let inputs = Cpu::default().upload(&none).unwrap();
        let found = read(&Cpu::default().attention(&rows(&qkv, 3 * hidden), &inputs, heads, None).unwrap());
        let at = |sequence: usize, position: usize, which: usize, head: usize, place: usize| {
            f64::from(qkv[((sequence * length + position) * 3 + which) * hidden + head * size + place])
        };
        let mut expected = Vec::new();
        for (sequence, query, head) in
            (0..4).flat_map(|s| (0..length).flat_map(move |q| (0..heads).map(move |head| (s, q, head))))
        {
            let score = |key: usize| {
                let product: f64 = (0..size).map(|i| at(sequence, query, 0, head, i) * at(sequence, key, 1, head, i)).sum();
                product / (size as f64).sqrt() - 10_000.0 * f64::from(1 - mask[sequence * length + key])
            };
            let scores: Vec<_> = (0..length).map(score).collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
            for place in 0..size {
                let weighted =
                    scores.iter().enumerate().map(|(key, score)| (score - top).exp() * at(sequence, key, 2, head, place));
                expected.push(weighted.sum::<f64>() / total);
            }
        }
        let (real, empty) = expected.split_at(3 * length * hidden);
        close(&found[..real.len()], real, 2e-5);
        // Scores of −10,000 leave about three digits after the point.
        close(&found[real.len()..], empty, 1e-3);
    }
}

#[test]
fn norms_are_right_with_and_without_a_residual() {
    let (x, residual, scale, shift) = (numbers(60, 0.3), numbers(60, 0.5), numbers(20, 0.7), numbers(20, 1.1));
    let norm = Norm { weight: vector(&scale), bias: vector(&shift) };
    for added in [Some(&residual), None] {
        let tensor = added.map(|values| rows(values, 20));
        let found = Cpu::default().add_norm(&rows(&x, 20), tensor.as_ref(), &norm, 1e-12, None).unwrap();
        let mut expected = Vec::new();
        for row in 0..3 {
            let sum = |at: usize| f64::from(x[row * 20 + at]) + added.map_or(0.0, |values| f64::from(values[row * 20 + at]));
            let mean = (0..20).map(sum).sum::<f64>() / 20.0;
            let deviation = ((0..20).map(|at| (sum(at) - mean).powi(2)).sum::<f64>() / 20.0).sqrt();
            expected.extend((0..20).map(|at| (sum(at) - mean) / deviation * f64::from(scale[at]) + f64::from(shift[at])));
        }
        close(&read(&found), &expected, 2e-5);
    }
}

#[test]
fn weights_that_do_not_arrive_whole_are_named() {
    let cpu = Cpu::default();
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        let begin = || cpu.begin(&[parameter(&[3, 8])], encoding).unwrap();
        let row = vec![0; encoding.row_bytes(8)];
        let mut partial = begin();
        assert!(cpu.append(&mut partial, &row[1..]).unwrap_err().to_string().contains("expected 3 rows"));
        let mut partial = begin();
        cpu.append(&mut partial, &row.repeat(2)).unwrap();
        assert!(cpu.append(&mut partial, &row.repeat(2)).unwrap_err().to_string().contains("intermediate.dense.weight"));
        let mut partial = begin();
        cpu.append(&mut partial, &row).unwrap();
        assert!(cpu.finish(partial).unwrap_err().to_string().contains("expected 24 values, found 8"));
    }
    let mut vector = cpu.begin(&[Parameter { shape: vec![4], ..parameter(&[]) }], Encoding::F32).unwrap();
    assert!(cpu.append(&mut vector, &[0; 20]).is_err());
}

#[test]
fn operands_that_do_not_fit_are_errors() {
    let cpu = Cpu::default();
    let layer = layer(Encoding::F32, &[1.0; 6], 3, &[0.0; 2]);
    assert!(cpu.linear(&rows(&[1.0; 4], 4), &layer, Nonlinearity::Identity).is_err());
    assert!(cpu.linear(&layer.weight, &layer, Nonlinearity::Identity).is_err());
    assert!(cpu.rows(&rows(&[1.0; 4], 2), &cpu.upload_indices(&[2]).unwrap()).is_err());
}
