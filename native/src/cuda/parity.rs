//! The plans and kernels against the CPU's trainer, which is itself compared with TensorFlow: every parameter's gradient, the norm, the
//! update, evaluation. Kernels run in the emulator, or with CLINICALBERT_TEST_GPU=1 on the first GPU.

use clinicalbert_core::{
    bert::{Activation, Batch, Config, Freeze, MaskedSlots, Trainer as Reference, UpdateSettings, initialize},
    weights::Tensors,
};

use super::{
    emulator::Emulator,
    kernels::{Real, Variant},
    machine::GpuMachine,
    trainer::{Machine, Trainer},
};

const SEED: u64 = 0x1234_5678_9abc;

/// Two layers; widths that no block, pack or multiple of 128 divides, and those that they do.
fn config(hidden: usize, heads: usize) -> Config {
    Config {
        vocab_size: 61,
        hidden_size: hidden,
        num_hidden_layers: 2,
        num_attention_heads: heads,
        intermediate_size: 40,
        max_position_embeddings: 16,
        initializer_range: 0.2,
        layer_norm_eps: 1e-12,
        ..Config::default()
    }
}

/// Three sequences of 11 tokens, the second padded, with three slots each, of which some are unused.
fn batch(salt: u32) -> (Batch, MaskedSlots) {
    let (rows, length) = (3, 11);
    let cell = |index: u32| (index * 37 + salt * 11 + index * index) % 61;
    let padded = |index: u32| index / length == 1 && index % length > 6;
    let batch = Batch {
        rows: rows as usize,
        length: length as usize,
        input_ids: (0..rows * length).map(|index| if padded(index) { 0 } else { cell(index) }).collect(),
        attention_mask: (0..rows * length).map(|index| u8::from(!padded(index))).collect(),
        token_type_ids: (0..rows * length).map(|index| u8::from(index % length > 4 && !padded(index))).collect(),
    };
    let slots = MaskedSlots {
        positions: vec![1, 5, 0, 11 + 2, 11, 11, 22 + 10, 22 + 3, 22 + 7],
        ids: vec![7, 60, 0, 3, 0, 0, 19, 33, 2],
        weights: vec![1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        next_sentence: vec![0, 1, salt % 2],
    };
    (batch, slots)
}

fn machine(config: &Config, real: Real) -> Option<Box<dyn Machine>> {
    let variant = Variant { hidden: config.hidden_size, head_size: config.head_size(), real };
    if std::env::var_os("CLINICALBERT_TEST_GPU").is_some() {
        let (machine, gpu) = GpuMachine::open(0, variant).unwrap();
        println!("on the {}", gpu.name);
        return Some(Box::new(machine));
    }
    Some(Box::new(Emulator::new(variant)?))
}

fn pair(config: &Config, real: Real, freeze: &Freeze) -> Option<(Trainer, Reference)> {
    let machine = machine(config, real)?;
    let weights = initialize(config, 5);
    let settings = UpdateSettings::default();
    let reference = Reference::with_frozen(config, &weights, settings, SEED, freeze).unwrap();
    Some((Trainer::new(machine, config, &weights, (settings, SEED), freeze, real).unwrap(), reference))
}

/// Norm of the difference, relative to the norm of the expected tensor; for key biases, whose true gradient is 0, to 1.
fn compare(found: &Tensors, expected: &Tensors, tolerance: f32) {
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.shape, expected.shape, "{name}");
        let difference: Vec<f32> = found.data.iter().zip(&expected.data).map(|(found, expected)| found - expected).collect();
        let size = if name.contains("key.bias") { 1.0 } else { norm(&expected.data) };
        assert!(norm(&difference) <= tolerance * size, "{name}: off by {:e} of {size:e}", norm(&difference));
    }
}

#[test]
fn every_gradient_and_the_update_are_those_of_the_cpu() {
    for (hidden, heads, act, freeze) in [
        (24, 3, Activation::Gelu, Freeze::default()),
        (128, 4, Activation::GeluTanh, Freeze::default()),
        (24, 3, Activation::Gelu, "embeddings,layers=0".parse().unwrap()),
    ] {
        let config = Config { hidden_act: act, ..config(hidden, heads) };
        let Some((mut trainer, mut reference)) = pair(&config, Real::F32, &freeze) else { return };
        let batches = [batch(1), batch(2)];
        for count in [1, 2] {
            let expected = reference.gradients(&batches[..count], 3).unwrap();
            // f32 sums in other orders.
            compare(&trainer.gradients(&batches[..count], 3).unwrap(), &expected, 1e-4);
            for step in 0..2 {
                let expected = reference.step(&batches[..count], step, 1e-3).unwrap();
                let found = trainer.step(&batches[..count], step, 1e-3).unwrap();
                let differences = [
                    found.mlm_loss - expected.mlm_loss,
                    found.nsp_loss - expected.nsp_loss,
                    found.mlm_accuracy - expected.mlm_accuracy,
                    found.nsp_accuracy - expected.nsp_accuracy,
                    found.grad_norm / expected.grad_norm - 1.0,
                ];
                // Adam divides by the root of the second moment, so that after the first update rounding shows.
                let tolerance = if (count, step) == (1, 0) { 1e-5 } else { 2e-4 };
                assert!(differences.iter().all(|difference| difference.abs() < tolerance), "{found:?} {expected:?}");
            }
            compare(&trainer.weights().unwrap(), &reference.weights().unwrap(), 1e-3);
        }
        let (first, second) = trainer.moments().unwrap();
        compare(&first, &reference.moments().unwrap().0, 1e-3);
        compare(&second, &reference.moments().unwrap().1, 1e-3);
        let (found, expected) =
            (trainer.evaluate(&batches[0].0, &batches[0].1), reference.evaluate(&batches[0].0, &batches[0].1));
        let (found, expected) = (found.unwrap(), expected.unwrap());
        assert!((found.batch_losses - expected.batch_losses).abs() < 1e-4, "{found:?} {expected:?}");
        assert_eq!((found.mlm_correct, found.rows), (expected.mlm_correct, expected.rows));
    }
}

#[test]
fn bf16_stays_near_the_cpu() {
    let config = Config { max_position_embeddings: 80, initializer_range: 0.05, ..config(128, 4) };
    let Some((mut trainer, mut reference)) = pair(&config, Real::Bf16, &Freeze::default()) else { return };
    // Longer than a tile of the attention kernels.
    let (mut batch, mut slots) = batch(1);
    batch = Batch {
        length: 77,
        input_ids: batch.input_ids.chunks(11).flat_map(|row| row.repeat(7)).collect(),
        attention_mask: batch.attention_mask.chunks(11).flat_map(|row| [[1].repeat(66), row.to_vec()].concat()).collect(),
        token_type_ids: batch.token_type_ids.chunks(11).flat_map(|row| row.repeat(7)).collect(),
        ..batch
    };
    slots.positions = slots.positions.iter().map(|position| position / 11 * 77 + position % 11 * 7).collect();
    let batches = [(batch, slots)];
    let expected = reference.gradients(&batches, 3).unwrap();
    let found = trainer.gradients(&batches, 3).unwrap();
    // 8 bits of mantissa through two layers.
    compare(&found, &expected, 2e-2);
    let (found, expected) = (trainer.step(&batches, 0, 1e-3).unwrap(), reference.step(&batches, 0, 1e-3).unwrap());
    assert!((found.loss - expected.loss).abs() < 0.02, "{found:?} {expected:?}");
}

#[test]
fn the_same_run_gives_the_same_bits_and_goes_on_from_a_checkpoint_with_them() {
    let config = config(24, 3);
    let Some((mut whole, _)) = pair(&config, Real::Bf16, &Freeze::default()) else { return };
    for step in 0..4 {
        whole.step(&[batch(step as u32)], step, 1e-2).unwrap();
    }
    let (mut part, _) = pair(&config, Real::Bf16, &Freeze::default()).unwrap();
    for step in 0..2 {
        part.step(&[batch(step as u32)], step, 1e-2).unwrap();
    }
    let (weights, (first, second)) = (part.weights().unwrap(), part.moments().unwrap());
    let machine = machine(&config, Real::Bf16).unwrap();
    let settings = (UpdateSettings::default(), SEED);
    let mut resumed = Trainer::new(machine, &config, &weights, settings, &Freeze::default(), Real::Bf16).unwrap();
    resumed.set_moments(&first, &second).unwrap();
    for step in 2..4 {
        resumed.step(&[batch(step as u32)], step, 1e-2).unwrap();
    }
    assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
    assert_eq!(resumed.moments().unwrap(), whole.moments().unwrap());
}

#[test]
fn an_update_whose_gradient_is_no_number_is_left_out() {
    let config = config(24, 3);
    let Some(machine) = machine(&config, Real::F32) else { return };
    let mut weights = initialize(&config, 5);
    weights.get_mut("bert.pooler.dense.bias").unwrap().data[0] = f32::INFINITY;
    weights.get_mut("cls.seq_relationship.weight").unwrap().data[0] = f32::INFINITY;
    let settings = (UpdateSettings::default(), SEED);
    let mut trainer = Trainer::new(machine, &config, &weights, settings, &Freeze::default(), Real::F32).unwrap();
    let report = trainer.step(&[batch(1)], 0, 1e-2).unwrap();
    assert!(!report.grad_norm.is_finite(), "{report:?}");
    assert_eq!(trainer.weights().unwrap(), weights);
}
