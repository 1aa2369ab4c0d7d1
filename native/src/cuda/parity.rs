//! The plans and kernels against the CPU's trainer, which is itself compared with TensorFlow: every parameter's gradient, the norm, the
//! update, evaluation. On the emulated GPU, or with CLINICALBERT_TEST_GPU=1 on the first that is there.

use std::ops::Range;

use clinicalbert_core::{
    bert::{
        Activation, Batch, Candle, Config, Freeze, MaskedSlots, Model, StepReport, Trainer as Reference, UpdateSettings,
        initialize,
    },
    weights::Tensors,
};

use pollster::block_on;

use super::{
    emulator::{is_real, on_a_gpu},
    inference::Inference,
    kernels::{Real, Variant},
    machine::{GpuMachine, Purpose},
    trainer::Trainer,
    update::REPORTS,
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

fn machine(config: &Config, real: Real) -> GpuMachine {
    let variant = Variant { hidden: config.hidden_size, head_size: config.head_size(), real };
    let machine = GpuMachine::open(0, variant, Purpose::Training).unwrap();
    println!("on the {}", machine.gpu().name);
    machine
}

fn trainer(config: &Config, real: Real, weights: &Tensors, freeze: &Freeze) -> Trainer {
    Trainer::new(machine(config, real), config, weights, (UpdateSettings::default(), SEED), freeze).unwrap()
}

fn pair(config: &Config, real: Real, freeze: &Freeze) -> (Trainer, Reference) {
    let weights = initialize(config, 5);
    let reference = Reference::with_frozen(config, &weights, UpdateSettings::default(), SEED, freeze).unwrap();
    (trainer(config, real, &weights, freeze), reference)
}

/// One update, waited for.
fn step(trainer: &mut Trainer, batches: &[(Batch, MaskedSlots)], number: u64, rate: f32) -> StepReport {
    trainer.begin(batches, number, rate).unwrap();
    let reports = trainer.reports().unwrap();
    assert_eq!(reports.len(), 1);
    reports[0]
}

/// Norm of the difference, relative to the norm of the expected tensor; for key biases, whose true gradient is 0, to 1.
fn compare(found: &Tensors, expected: &Tensors, tolerance: f32) {
    compare_from(found, expected, tolerance, 0.0);
}

/// The same, where a tensor's norm counts as `least` if it is less.
pub fn compare_from(found: &Tensors, expected: &Tensors, tolerance: f32, least: f32) {
    let mut worst = (0.0_f32, "");
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.shape, expected.shape, "{name}");
        let difference = norm(found.data.iter().zip(&expected.data).map(|(found, expected)| found - expected));
        let size = if name.contains("key.bias") { 1.0 } else { norm(expected.data.iter().copied()).max(least) };
        let apart = if difference == 0.0 { 0.0 } else { difference / size };
        if apart.is_nan() || apart > worst.0 {
            worst = (apart, name);
        }
    }
    let (apart, name) = worst;
    println!("{} tensors are off by at most {apart:.2e} of their norm, {name}; {tolerance:e} is allowed", expected.len());
    assert!(apart <= tolerance, "{name}: off by {apart:e}");
}

pub fn norm(values: impl Iterator<Item = f32>) -> f32 {
    values.map(|value| value * value).sum::<f32>().sqrt()
}

#[test]
fn every_gradient_and_the_update_are_those_of_the_cpu() {
    if !on_a_gpu("cuda::parity::every_gradient_and_the_update_are_those_of_the_cpu") {
        return;
    }
    for (hidden, heads, act, freeze) in [
        (24, 3, Activation::Gelu, Freeze::default()),
        (128, 4, Activation::GeluTanh, Freeze::default()),
        (24, 3, Activation::Gelu, "embeddings,layers=0".parse().unwrap()),
    ] {
        // Wide and far from 0, rounding is amplified: weights changed by 1e-7 move the CPU's own loss after six updates by 4e-5.
        let initializer_range = if hidden > 100 { 0.05 } else { 0.2 };
        let config = Config { hidden_act: act, initializer_range, ..config(hidden, heads) };
        let (mut trainer, mut reference) = pair(&config, Real::F32, &freeze);
        let batches = [batch(1), batch(2)];
        for count in [1, 2] {
            let expected = reference.gradients(&batches[..count], 3).unwrap();
            // f32 sums in other orders.
            compare(&trainer.gradients(&batches[..count], 3).unwrap(), &expected, 1e-4);
            // The first runs launch by launch, the second is captured, the third replayed.
            for (number, rate) in [(0, 1e-3), (1, 3e-4), (2, 2e-3)] {
                let expected = reference.step(&batches[..count], number, rate).unwrap();
                let found = step(&mut trainer, &batches[..count], number, rate);
                let differences = [
                    found.mlm_loss - expected.mlm_loss,
                    found.nsp_loss - expected.nsp_loss,
                    found.mlm_accuracy - expected.mlm_accuracy,
                    found.nsp_accuracy - expected.nsp_accuracy,
                    found.grad_norm / expected.grad_norm - 1.0,
                ];
                assert!(differences.iter().all(|difference| difference.abs() < 1e-5), "{found:?} {expected:?}");
            }
            compare(&trainer.weights().unwrap(), &reference.weights().unwrap(), 1e-3);
        }
        let (first, second) = trainer.moments().unwrap();
        compare(&first, &reference.moments().unwrap().0, 1e-3);
        compare(&second, &reference.moments().unwrap().1, 1e-3);
        let (found, expected) =
            (trainer.evaluate(&batches[0].0, &batches[0].1), reference.evaluate(&batches[0].0, &batches[0].1));
        let (found, expected) = (found.unwrap(), expected.unwrap());
        assert!((found.batch_losses - expected.batch_losses).abs() < 1e-5, "{found:?} {expected:?}");
        assert_eq!((found.mlm_correct, found.rows), (expected.mlm_correct, expected.rows));
    }
}

/// BERT-base is too much for the emulated GPU.
#[test]
fn gradients_of_bert_base_are_those_of_the_cpu() {
    if !is_real() {
        println!("skipped: needs a GPU and CLINICALBERT_TEST_GPU=1");
        return;
    }
    for dropout in [0.0, 0.1] {
        let config = Config { hidden_dropout_prob: dropout, attention_probs_dropout_prob: dropout, ..Config::default() };
        let batches = crate::bench::batches(&config, "8x128".parse().unwrap(), 1);
        let (mut expected, weights) = (None, initialize(&config, 5));
        for (real, tolerance) in [(Real::F32, 1e-4), (Real::Bf16, 2e-2)] {
            let ours = trainer(&config, real, &weights, &Freeze::default()).gradients(&batches, 3).unwrap();
            let expected = expected.get_or_insert_with(|| {
                Reference::new(&config, &weights, UpdateSettings::default(), SEED).unwrap().gradients(&batches, 3).unwrap()
            });
            print!("BERT-base, {real:?}, dropout {dropout}: ");
            compare(&ours, expected, tolerance);
        }
    }
}

#[test]
fn bf16_stays_near_the_cpu() {
    if !on_a_gpu("cuda::parity::bf16_stays_near_the_cpu") {
        return;
    }
    let config = Config { max_position_embeddings: 88, initializer_range: 0.05, ..config(128, 4) };
    // Longer than a tile of the attention kernels; random numbers are drawn for four weights at a time, which rows of 77 are no multiple of.
    for times in [7, 8] {
        let (mut trainer, mut reference) = pair(&config, Real::Bf16, &Freeze::default());
        let (short, mut slots) = batch(1);
        let mask = |row: &[u8]| [[1].repeat(short.length * (times - 1)), row.to_vec()].concat();
        let batch = Batch {
            rows: short.rows,
            length: short.length * times,
            input_ids: short.input_ids.chunks(short.length).flat_map(|row| row.repeat(times)).collect(),
            attention_mask: short.attention_mask.chunks(short.length).flat_map(mask).collect(),
            token_type_ids: short.token_type_ids.chunks(short.length).flat_map(|row| row.repeat(times)).collect(),
        };
        let place = |position: &u32| position / 11 * batch.length as u32 + position % 11 * times as u32;
        slots.positions = slots.positions.iter().map(place).collect();
        let batches = [(batch, slots)];
        let expected = reference.gradients(&batches, 3).unwrap();
        // 8 bits of mantissa through two layers.
        compare(&trainer.gradients(&batches, 3).unwrap(), &expected, 2e-2);
        let (found, expected) = (step(&mut trainer, &batches, 0, 1e-3), reference.step(&batches, 0, 1e-3).unwrap());
        assert!((found.loss - expected.loss).abs() < 0.02, "{found:?} {expected:?}");
    }
}

#[test]
fn the_same_run_gives_the_same_bits_and_goes_on_from_a_checkpoint_with_them() {
    if !on_a_gpu("cuda::parity::the_same_run_gives_the_same_bits_and_goes_on_from_a_checkpoint_with_them") {
        return;
    }
    let (config, freeze) = (config(24, 3), Freeze::default());
    // One after the other, and several under way at a time, some of two micro-batches.
    let updates = |trainer: &mut Trainer, numbers: Range<u64>, waits: bool| {
        let mut reports = Vec::new();
        for number in numbers {
            let batches = [batch(number as u32), batch(7)];
            trainer.begin(&batches[..1 + number as usize % 2], number, 1e-2).unwrap();
            if waits {
                reports.extend(trainer.reports().unwrap());
            }
        }
        reports.extend(trainer.reports().unwrap());
        reports
    };
    let weights = initialize(&config, 5);
    let mut whole = trainer(&config, Real::Bf16, &weights, &freeze);
    let reports = updates(&mut whole, 0..12, false);
    let mut part = trainer(&config, Real::Bf16, &weights, &freeze);
    assert_eq!(updates(&mut part, 0..5, true), reports[..5]);
    let (weights, (first, second)) = (part.weights().unwrap(), part.moments().unwrap());
    let mut resumed = trainer(&config, Real::Bf16, &weights, &freeze);
    resumed.set_moments(&first, &second).unwrap();
    assert_eq!(updates(&mut resumed, 5..12, true), reports[5..]);
    assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap());
    assert_eq!(resumed.moments().unwrap(), whole.moments().unwrap());
}

#[test]
fn reports_are_kept_until_somebody_asks() {
    if !on_a_gpu("cuda::parity::reports_are_kept_until_somebody_asks") {
        return;
    }
    let config = Config { num_hidden_layers: 1, ..config(8, 1) };
    let (mut trainer, mut reference) = pair(&config, Real::F32, &Freeze::default());
    // More than the ring holds.
    let count = REPORTS as u64 + 3;
    let mut expected = Vec::new();
    for number in 0..count {
        let batches = [batch(number as u32 % 50)];
        trainer.begin(&batches, number, 1e-4).unwrap();
        expected.push(reference.step(&batches, number, 1e-4).unwrap());
    }
    let found = trainer.reports().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found.loss - expected.loss).abs() < 1e-3, "{found:?} {expected:?}");
    }
}

#[test]
fn parts_of_an_update_take_time() {
    if !on_a_gpu("cuda::parity::parts_of_an_update_take_time") {
        return;
    }
    let (mut trainer, _) = pair(&config(24, 3), Real::Bf16, &Freeze::default());
    trainer.time_parts().unwrap();
    for number in 0..4 {
        trainer.machine().boundary().unwrap();
        trainer.begin(&[batch(1)], number, 1e-3).unwrap();
    }
    let times = trainer.part_times().unwrap();
    assert!(times.iter().all(|time| *time > 0.0), "{times:?}");
    let intervals = trainer.machine().intervals().unwrap();
    assert!(intervals.len() == 3 && intervals.iter().all(|time| *time > 0.0), "{intervals:?}");
    assert!(trainer.machine().memory_in_use().unwrap() > 1 << 20);
}

#[test]
fn an_update_whose_gradient_is_no_number_is_left_out() {
    if !on_a_gpu("cuda::parity::an_update_whose_gradient_is_no_number_is_left_out") {
        return;
    }
    let config = config(24, 3);
    let mut weights = initialize(&config, 5);
    weights.get_mut("bert.pooler.dense.bias").unwrap().data[0] = f32::INFINITY;
    weights.get_mut("cls.seq_relationship.weight").unwrap().data[0] = f32::INFINITY;
    let mut trainer = trainer(&config, Real::F32, &weights, &Freeze::default());
    let report = step(&mut trainer, &[batch(1)], 0, 1e-2);
    assert!(!report.grad_norm.is_finite(), "{report:?}");
    assert_eq!(trainer.weights().unwrap(), weights);
}

#[test]
fn what_a_model_gives_is_what_it_gives_on_the_cpu() {
    if !on_a_gpu("cuda::parity::what_a_model_gives_is_what_it_gives_on_the_cpu") {
        return;
    }
    for (real, tolerance) in [(Real::F32, 1e-4), (Real::Bf16, 0.05)] {
        let config = config(32, 2);
        let weights = initialize(&config, 5);
        let ours = Model::new(Inference::open(0, &config, real).unwrap(), &config, &weights).unwrap();
        let theirs = Model::new(Candle::default(), &config, &weights).unwrap();
        for salt in 0..2 {
            let (batch, slots) = batch(salt);
            let mut pairs: Vec<_> = block_on(ours.hidden_states(&batch))
                .unwrap()
                .into_iter()
                .zip(block_on(theirs.hidden_states(&batch)).unwrap())
                .collect();
            pairs.push((block_on(ours.last_hidden_state(&batch)).unwrap(), block_on(theirs.last_hidden_state(&batch)).unwrap()));
            pairs.push((block_on(ours.pooled(&batch)).unwrap(), block_on(theirs.pooled(&batch)).unwrap()));
            let positions = &slots.positions[..4];
            pairs.push((
                block_on(ours.mlm_logits(&batch, positions)).unwrap(),
                block_on(theirs.mlm_logits(&batch, positions)).unwrap(),
            ));
            pairs.push((block_on(ours.nsp_logits(&batch)).unwrap(), block_on(theirs.nsp_logits(&batch)).unwrap()));
            assert_eq!(pairs.len(), 7);
            for (number, (ours, theirs)) in pairs.iter().enumerate() {
                assert_eq!(ours.shape, theirs.shape, "{number}");
                // Padding's own states mean nothing, but are computed in the same way.
                let apart = ours.data.iter().zip(&theirs.data).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
                assert!(apart < tolerance, "{real:?}, result {number} is off by {apart}");
            }
        }
    }
}
