//! Whole models against candle.

#![cfg(feature = "candle")]

use pollster::block_on;

use crate::bert::{Activation, Batch, Candle, Config, Cpu, Encoding, Model, initialize};

/// Sequences of these lengths, with pieces of both segments.
fn batch(lengths: &[usize], vocabulary: usize) -> Batch {
    let ids: Vec<Vec<u32>> =
        lengths.iter().map(|length| (0..*length).map(|at| ((at * 7919 + length) % vocabulary) as u32).collect()).collect();
    let types: Vec<Vec<u8>> = lengths.iter().map(|length| (0..*length).map(|at| u8::from(at > length / 2)).collect()).collect();
    Batch::from_rows(ids.iter().zip(&types).map(|(ids, types)| (ids.as_slice(), types.as_slice()))).unwrap()
}

/// Hidden states, MLM scores of some positions, NSP scores: the largest difference from candle with the same bytes as weights.
fn difference(config: &Config, lengths: &[usize], encoding: Encoding) -> f32 {
    let mut tensors = initialize(config, 7);
    for (name, tensor) in &mut tensors {
        // Biases and norms away from 0 and 1, so that they matter.
        let by = if name.ends_with("bias") || name.contains("LayerNorm") { 0.1 } else { 0.0 };
        tensor.data.iter_mut().enumerate().for_each(|(at, value)| *value += by * (at as f32).sin());
    }
    let batch = batch(lengths, config.vocab_size);
    let positions = [0, (batch.rows * batch.length - 1) as u32];
    let run = |ours: bool| {
        let all = |states: Vec<crate::weights::HostTensor>| states.into_iter().flat_map(|state| state.data).collect::<Vec<_>>();
        macro_rules! outputs {
            ($backend:expr) => {{
                let model = Model::encoded($backend, config, &tensors, encoding).unwrap();
                let states = block_on(model.hidden_states(&batch)).unwrap();
                let scores = block_on(model.mlm_logits(&batch, &positions)).unwrap();
                let next = block_on(model.nsp_logits(&batch)).unwrap();
                all(states.into_iter().chain([scores, next]).collect())
            }};
        }
        if ours { outputs!(Cpu::default()) } else { outputs!(Candle::default()) }
    };
    let (found, expected) = (run(true), run(false));
    assert_eq!(found.len(), expected.len());
    found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

fn config(hidden_size: usize, num_attention_heads: usize, num_hidden_layers: usize) -> Config {
    Config {
        vocab_size: 501,
        hidden_size,
        num_attention_heads,
        num_hidden_layers,
        intermediate_size: 4 * hidden_size,
        ..Config::default()
    }
}

#[test]
fn models_are_candles_to_single_precision() {
    for (config, lengths) in [
        (config(256, 4, 4), &[118][..]),
        (config(768, 12, 1), &[40, 13]),
        (config(60, 3, 2), &[1]),
        (config(64, 2, 1), &[512, 3, 77]),
        (Config { hidden_act: Activation::GeluTanh, ..config(32, 2, 2) }, &[5; 16]),
    ] {
        for encoding in [Encoding::F32, Encoding::F16] {
            let apart = difference(&config, lengths, encoding);
            assert!(apart < 1e-5, "{} wide, {lengths:?}, {encoding:?}: {apart}", config.hidden_size);
        }
    }
}

#[test]
fn bytes_are_near_the_same_bytes_in_single_precision() {
    // Hidden states are about 1 in size; 118 tokens through four layers.
    let apart = difference(&config(256, 4, 4), &[118, 20], Encoding::Int8);
    assert!(apart > 0.0 && apart < 0.12, "{apart}");
}

#[test]
fn results_do_not_depend_on_threads_or_on_the_rest_of_the_batch() {
    let config = config(48, 4, 2);
    let tensors = initialize(&config, 7);
    for encoding in [Encoding::F32, Encoding::Int8] {
        let model = Model::encoded(Cpu::default(), &config, &tensors, encoding).unwrap();
        let bits = |lengths: &[usize]| -> Vec<u32> {
            let state = block_on(model.last_hidden_state(&batch(lengths, 501))).unwrap();
            state.data.iter().map(|value| value.to_bits()).collect()
        };
        let together = bits(&[30, 12, 9]);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| bits(&[30, 12, 9])), together);
            assert_eq!(bits(&[30]), together[..30 * 48]);
        }
    }
}
