//! Every instruction set gives the bits of the portable form, and that is what the documentation says.

use super::{Activations, GROUP, Instructions, Weights, multiply};
use crate::bert::Encoding;

/// Numbers between −1 and 1, a few of them forty times larger, as BERT's hidden states have them.
fn numbers(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * step).sin() * if at % 97 == 3 { 40.0 } else { 1.0 }).collect()
}

fn weights(instructions: Instructions, values: &[f32], inputs: usize) -> Weights {
    let mut weights = Weights::new(instructions, values.len() / inputs, inputs);
    let mut bytes = Vec::new();
    for (row, values) in values.chunks_exact(inputs).enumerate() {
        bytes.clear();
        Encoding::Int8.encode(values, &mut bytes);
        weights.set_row(row, &bytes);
    }
    weights
}

fn product(instructions: Instructions, x: &[f32], values: &[f32], inputs: usize) -> Vec<f32> {
    let weights = weights(instructions, values, inputs);
    let activations = Activations::new(instructions, x, inputs);
    let mut out = vec![f32::NAN; x.len() / inputs * weights.outputs()];
    let mut rows: Vec<_> = out.chunks_exact_mut(weights.outputs()).collect();
    multiply(instructions, &activations, &weights, 0, &mut rows);
    out
}

const SHAPES: [(usize, usize, usize); 6] = [(1, 4, 1), (5, 130, 40), (13, 300, 70), (25, 128, 33), (12, 1, 64), (3, 515, 2)];

#[test]
fn all_instructions_give_the_same_bits() {
    for (rows, inputs, outputs) in SHAPES {
        let (x, values) = (numbers(rows * inputs, 0.37), numbers(outputs * inputs, 0.71));
        let expected = product(Instructions::Portable, &x, &values, inputs);
        for instructions in Instructions::all() {
            let found = product(instructions, &x, &values, inputs);
            assert!(
                found.iter().zip(&expected).all(|(found, expected)| found.to_bits() == expected.to_bits()),
                "{instructions:?} {rows} × {inputs} × {outputs}"
            );
        }
    }
}

#[test]
fn the_error_is_at_most_half_a_step_of_every_activation() {
    for (rows, inputs, outputs) in SHAPES {
        let (x, values) = (numbers(rows * inputs, 0.37), numbers(outputs * inputs, 0.71));
        let laid = weights(Instructions::default(), &values, inputs);
        let found = product(Instructions::default(), &x, &values, inputs);
        let mut weight = vec![0.0; inputs];
        for (x, found) in x.chunks_exact(inputs).zip(found.chunks_exact(outputs)) {
            for (output, found) in found.iter().enumerate() {
                laid.row(output, &mut weight);
                let (mut exact, mut bound) = (0.0, 0.0);
                for (x, weight) in x.chunks(GROUP).zip(weight.chunks(GROUP)) {
                    let low = x.iter().copied().fold(f32::INFINITY, f32::min);
                    let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    exact += x.iter().zip(weight).map(|(x, weight)| f64::from(*x) * f64::from(*weight)).sum::<f64>();
                    bound += weight.iter().map(|weight| f64::from(weight.abs())).sum::<f64>() * f64::from(high - low) / 254.0;
                }
                let error = (f64::from(*found) - exact).abs();
                assert!(error <= bound * 1.001 + exact.abs() * 1e-5 + 1e-5, "{rows} × {inputs} × {outputs}: {error} {bound}");
            }
        }
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let inputs = 4 * GROUP;
    let x: Vec<_> = (0..inputs).map(|at| if at % GROUP == 0 { 0.0 } else { 127.0 }).collect();
    for sign in [1.0, -1.0] {
        for instructions in Instructions::all() {
            let found = product(instructions, &x, &vec![sign; 3 * inputs], inputs);
            let expected = sign * 127.0 * (inputs - 4) as f32;
            assert!(found.iter().all(|value| (value / expected - 1.0).abs() < 1e-6), "{instructions:?} {found:?}");
        }
    }
}

#[test]
fn rows_come_back_from_their_panels() {
    let values = numbers(21 * 6, 0.9);
    let weights = weights(Instructions::default(), &values, 6);
    for (row, values) in values.chunks_exact(6).enumerate() {
        let (mut bytes, mut expected, mut found) = (Vec::new(), Vec::new(), [0.0; 6]);
        Encoding::Int8.encode(values, &mut bytes);
        Encoding::Int8.decode(&bytes, &mut expected);
        weights.row(row, &mut found);
        assert_eq!(found[..], expected);
    }
}
