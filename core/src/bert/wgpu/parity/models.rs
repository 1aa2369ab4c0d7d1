//! Whole models in all encodings, one sequence or many, short or long, and tables that are cut up.

use pollster::block_on;

use super::{Options, apart, batch, gpu, weights};
use crate::bert::{Activation, Backend, Batch, Candle, Config, Encoding, Load, Model, wgpu::Wgpu};

/// What the acceptance allows. Sums of up to 3,072 products in another order differ by some 1e-6 a layer.
const TOLERANCE: f32 = 1e-4;

fn mini() -> Config {
    Config {
        vocab_size: 997,
        hidden_size: 256,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 1024,
        ..Config::default()
    }
}

/// Everything that a model computes for a batch.
fn outputs<B: Load>(backend: B, config: &Config, encoding: Encoding, batches: &[Batch]) -> Vec<(&'static str, Vec<f32>)> {
    let model = Model::encoded(backend, config, &weights(config), encoding).unwrap();
    let each = |batch: &Batch| {
        let last = (batch.rows * batch.length - 1) as u32;
        let positions: Vec<u32> = [0, last / 2, last].into_iter().collect();
        let states = block_on(model.hidden_states(batch)).unwrap();
        let mut outputs: Vec<_> = states.into_iter().map(|state| ("hidden state", state.data)).collect();
        outputs.push(("pooled", block_on(model.pooled(batch)).unwrap().data));
        outputs.push(("MLM scores", block_on(model.mlm_logits(batch, &positions)).unwrap().data));
        outputs.push(("NSP scores", block_on(model.nsp_logits(batch)).unwrap().data));
        outputs
    };
    batches.iter().flat_map(each).collect()
}

fn agree(gpu: &Wgpu, config: &Config, encoding: Encoding, lengths: &[&[usize]]) {
    let batches: Vec<_> = lengths.iter().map(|lengths| batch(config, lengths)).collect();
    let expected = outputs(Candle::default(), config, encoding, &batches);
    let found = outputs(gpu.clone(), config, encoding, &batches);
    for ((what, expected), (_, found)) in expected.iter().zip(&found) {
        let error = apart(found, expected);
        println!("{encoding:?} {what}: {error:.1e}");
        assert!(error <= TOLERANCE, "{encoding:?} {what}: {error:.1e}");
        assert!(expected.iter().any(|value| value.abs() > 0.1), "{what} is nothing to compare with");
    }
}

#[test]
fn bert_mini_of_any_length_and_batch() {
    let Some(gpu) = gpu(Options::default()) else { return };
    agree(&gpu, &mini(), Encoding::F32, &[&[1], &[13], &[512], &[64, 64], &[130, 1, 65], &[17; 16], &[512, 300]]);
}

#[test]
fn bert_mini_with_smaller_weights() {
    let Some(gpu) = gpu(Options::default()) else { return };
    for encoding in [Encoding::F16, Encoding::Int8] {
        agree(&gpu, &mini(), encoding, &[&[1], &[130, 1, 65], &[33; 5]]);
    }
}

#[test]
fn bert_base_shape_in_every_encoding() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = Config { vocab_size: 3001, num_hidden_layers: 1, hidden_act: Activation::GeluTanh, ..Config::default() };
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        agree(&gpu, &config, encoding, &[&[118], &[30, 7]]);
    }
}

/// As a vocabulary of 119,547 would be at WebGPU's default of 128 MiB a binding, only smaller: tables of several buffers, the last of which
/// is not full.
#[test]
fn tables_larger_than_a_binding_are_cut_up() {
    let Some(gpu) = gpu(Options { largest_binding: 140_000, ..Options::default() }) else { return };
    let config = Config { max_position_embeddings: 16, ..mini() };
    for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
        agree(&gpu, &config, encoding, &[&[9], &[11, 3]]);
    }
}

#[test]
fn the_same_shape_meets_the_same_buffers_and_others_are_given_back() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = mini();
    let model = Model::new(gpu.clone(), &config, &weights(&config)).unwrap();
    let weights = gpu.bytes();
    let run = |lengths: &[usize]| {
        let state = block_on(model.last_hidden_state(&batch(&config, lengths))).unwrap().data;
        (state, gpu.bytes())
    };
    let (first, after_first) = run(&[100, 20]);
    let bindings = crate::bert::wgpu::memory::lock(&gpu.0.recorder).bindings();
    for _ in 0..3 {
        assert_eq!(run(&[100, 20]), (first.clone(), after_first));
    }
    assert_eq!(crate::bert::wgpu::memory::lock(&gpu.0.recorder).bindings(), bindings);
    let (_, small) = [run(&[3]), run(&[3]), run(&[3]), run(&[3])].into_iter().next_back().unwrap();
    assert!(small < weights + (after_first - weights) / 4, "{weights} {after_first} {small}");
    drop(model);
    assert!(gpu.bytes() <= small - weights, "{} of {small}", gpu.bytes());
}

/// A batch's buffers, freed but not yet read by the commands that are recorded, must not be written to for the next batch.
#[test]
fn two_batches_recorded_before_any_is_read() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = mini();
    let tables = crate::bert::lay_down(&gpu, &config, crate::bert::Heads::ALL, &weights(&config), Encoding::F32).unwrap();
    let embed = |lengths: &[usize]| {
        let inputs = gpu.upload(&batch(&config, lengths)).unwrap();
        gpu.embed(&inputs, &tables.embeddings, 1e-12, None).unwrap()
    };
    let alone = block_on(gpu.read(&embed(&[20, 10]))).unwrap();
    let first = embed(&[20, 10]);
    let second = embed(&[15, 20]);
    assert_eq!(block_on(gpu.read(&first)).unwrap(), alone);
    assert_ne!(block_on(gpu.read(&second)).unwrap(), alone);
}
