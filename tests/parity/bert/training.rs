use clinicalbert_core::{
    bert::{Activation, Config, NormRule, Schedule, Trainer, UpdateSettings, parameters},
    examples::Example,
};
use clinicalbert_tests::reference;

use super::*;

/// A value under Google's name, in Google's orientation.
fn as_tensorflow(config: &Config, tensors: &Tensors, tf_name: &str) -> Vec<f32> {
    let parameter = parameters(config).into_iter().find(|parameter| parameter.tf_name == tf_name).unwrap();
    let tensor = &tensors[&parameter.name];
    if !parameter.tf_transposed {
        return tensor.data.clone();
    }
    let [outputs, inputs] = tensor.shape[..] else { panic!("kernels have two axes") };
    (0..inputs).flat_map(|input| (0..outputs).map(move |output| tensor.data[output * inputs + input])).collect()
}

#[test]
fn gradients_of_google_tensorflow_are_reproduced() {
    let Some((config, weights)) = checkpoint(Activation::GeluTanh) else { return };
    let folder = reference(CHECKPOINT).unwrap();
    let expected = tensors(folder.join("expected-gradients-step0.safetensors"));
    let batch = batch(&json(folder.join("batches.json"))[0]);
    let trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 0).unwrap();
    let gradients = trainer.gradients(&[batch], 0).unwrap();
    assert_eq!(gradients.len(), expected.len());
    let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
    for (tf_name, expected) in &expected {
        let found = as_tensorflow(&config, &gradients, tf_name);
        assert!(found.iter().all(|value| value.is_finite()), "{tf_name}");
        // Softmax does not see a shift of all keys: these gradients are 0 but for rounding, on both sides.
        if tf_name.ends_with("key/bias") {
            assert!(found.iter().chain(&expected.data).all(|value| value.abs() < 1e-7), "{tf_name}");
            continue;
        }
        assert!(found.iter().any(|value| *value != 0.0), "{tf_name}");
        let (max, norm) = errors(&found, &expected.data);
        // Elements below a thousandth of the tensor's largest are mostly rounding.
        let largest = expected.data.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let element = found.iter().zip(&expected.data).filter(|(_, b)| b.abs() > 1e-3 * largest);
        let element = element.map(|(a, b)| f64::from((a - b).abs() / b.abs())).fold(0.0, f64::max);
        worst = (worst.0.max(max), worst.1.max(norm), worst.2.max(element));
        assert!(max < TOLERANCE && norm < TOLERANCE, "{tf_name}: {max:.1e} {norm:.1e}");
    }
    println!(
        "largest errors: of largest value {:.1e}, by norm {:.1e}, of elements > 0.001 of the largest {:.1e}",
        worst.0, worst.1, worst.2
    );
}

/// Two things in this log are not as in TensorFlow 1.12 (`tf_golden.json`): the word embeddings' gradient was summed before taking
/// the norm, and an update used the rate of the step after it (TensorFlow 2's variables let the rate be read when the step counter
/// had already moved), while the column `learning_rate` has the right one.
const LOGGED: UpdateSettings = UpdateSettings { norm_rule: NormRule::Summed, ..UpdateSettings::ORIGINAL };

#[test]
fn the_training_log_of_google_tensorflow_is_reproduced() {
    let Some((config, weights)) = checkpoint(Activation::GeluTanh) else { return };
    let folder = reference(CHECKPOINT).unwrap();
    let (log, batches) = (json(folder.join("training-log.json")), json(folder.join("batches.json")));
    let schedule = Schedule { learning_rate: 0.002, steps: 20, warmup_steps: 4 };
    let mut trainer = Trainer::new(&config, &weights, LOGGED, 0).unwrap();
    for (step, (row, inputs)) in log["steps"].as_array().unwrap().iter().zip(batches.as_array().unwrap()).enumerate() {
        let logged = row["learning_rate"].as_f64().unwrap() as f32;
        assert!((schedule.rate(step as u64) - logged).abs() <= f32::EPSILON * logged, "step {step}: one unit in the last place");
        let report = trainer.step(&[batch(inputs)], step as u64, schedule.rate(step as u64 + 1)).unwrap();
        close_number(&format!("step {step} loss"), report.loss, &row["total_loss"]);
        close_number(&format!("step {step} mlm loss"), report.mlm_loss, &row["mlm_loss"]);
        close_number(&format!("step {step} nsp loss"), report.nsp_loss, &row["nsp_loss"]);
        close_number(&format!("step {step} norm"), report.grad_norm, &row["grad_global_norm_before_clip"]);
    }
}

#[test]
fn the_golden_training_of_google_tensorflow_is_reproduced() {
    let Some((config, weights)) = golden(Activation::GeluTanh) else { return };
    let folder = reference(GOLDEN).unwrap();
    let golden = json(folder.join("tf_golden.json"));
    let instances = json(folder.join("pretrain_instances.json"));
    let batches = golden_batches(&golden, &instances);
    let schedule = Schedule { learning_rate: 1e-3, steps: 10, warmup_steps: 3 };
    let mut trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 0).unwrap();
    for (step, (row, inputs)) in golden["train"]["steps"].as_array().unwrap().iter().zip(batches).enumerate() {
        let report = trainer.step(&[inputs], step as u64, schedule.rate(step as u64)).unwrap();
        close_number(&format!("step {step} loss"), report.loss, &row["loss"]);
        close_number(&format!("step {step} norm"), report.grad_norm, &row["grad_global_norm"]);
        let weights = trainer.weights().unwrap();
        for (name, expected) in row["params_after"].as_object().unwrap() {
            close(name, &as_tensorflow(&config, &weights, name)[..4], &numbers(expected));
        }
    }
}

#[test]
fn the_norm_of_the_summed_gradient_is_slightly_other() {
    let Some((config, weights)) = golden(Activation::GeluTanh) else { return };
    let batch = batch(&json(reference(GOLDEN).unwrap().join("tf_golden.json"))["batch0"]);
    let norm = |norm_rule| {
        let settings = UpdateSettings { norm_rule, ..UpdateSettings::default() };
        Trainer::new(&config, &weights, settings, 0).unwrap().step(std::slice::from_ref(&batch), 0, 0.0).unwrap().grad_norm
    };
    let (original, summed) = (norm(NormRule::Original), norm(NormRule::Summed));
    println!("norm {original} over unsummed rows, {summed} summed");
    assert!((original / summed - 1.0).abs() > 1e-5 && (original / summed - 1.0).abs() < 1e-2);
}

/// The run that `toy.tfrecord` holds, in batches of four.
fn golden_batches(golden: &serde_json::Value, runs: &serde_json::Value) -> Batches {
    let vocabulary = std::fs::read_to_string(reference(GOLDEN).unwrap().join("toy_vocab.txt")).unwrap();
    let ids: std::collections::HashMap<_, _> = vocabulary.lines().zip(0_u32..).collect();
    let tokens = |list: &serde_json::Value| list.as_array().unwrap().iter().map(|token| ids[token.as_str().unwrap()]).collect();
    let examples = runs[0]["instances"].as_array().unwrap().iter().map(|row| Example {
        input_ids: tokens(&row["tokens"]),
        first_segment_length: integers(&row["segment_ids"]).iter().filter(|id| **id == 0).count(),
        masked_positions: integers(&row["masked_lm_positions"]),
        masked_ids: tokens(&row["masked_lm_labels"]),
        is_random_next: row["is_random_next"].as_bool().unwrap(),
    });
    let batches: Vec<_> = examples.collect::<Vec<_>>().chunks(4).map(|four| Batch::from_examples(four, 32, 5).unwrap()).collect();
    assert_eq!(batches[0], batch(&golden["batch0"]), "the stored examples are those of the stored batch");
    batches
}

#[test]
fn weights_and_moments_after_eight_updates_are_those_of_google_tensorflow() {
    let Some((config, weights)) = checkpoint(Activation::GeluTanh) else { return };
    let folder = reference(CHECKPOINT).unwrap();
    let schedule = Schedule { learning_rate: 0.002, steps: 20, warmup_steps: 4 };
    let mut trainer = Trainer::new(&config, &weights, LOGGED, 0).unwrap();
    for (step, inputs) in (0..).zip(json(folder.join("batches.json")).as_array().unwrap()) {
        trainer.step(&[batch(inputs)], step, schedule.rate(step + 1)).unwrap();
    }
    let (first, second) = trainer.moments().unwrap();
    let found = [("", trainer.weights().unwrap()), ("/adam_m", first), ("/adam_v", second)];

    // The one data file holds the tensors in the order of their names.
    let bytes = std::fs::read(folder.join("model.ckpt-8.data-00000-of-00001")).unwrap();
    let mut left = &bytes[..];
    let (mut compared, mut worst) = (0, 0.0_f64);
    for (name, entry) in json(folder.join("model.ckpt.variables.json")).as_object().unwrap() {
        let elements: usize = integers(&entry["shape"]).iter().product::<u32>() as usize;
        let width = if entry["dtype"] == "int64" { 8 } else { 4 };
        let (data, rest) = left.split_at(elements * width);
        left = rest;
        let expected: Vec<_> = data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let slot = found.iter().rev().find_map(|(suffix, tensors)| Some((name.strip_suffix(suffix)?, tensors)));
        let (variable, tensors) = slot.unwrap();
        // Key biases have no gradient but rounding, whose moments are noise.
        if width == 4 && !variable.ends_with("key/bias") {
            let (max, norm) = errors(&as_tensorflow(&config, tensors, variable), &expected);
            assert!(max < TOLERANCE && norm < TOLERANCE, "{name}: {max:.1e} {norm:.1e}");
            (compared, worst) = (compared + 1, worst.max(max));
        }
    }
    println!("{compared} tensors, largest difference / largest value {worst:.1e}");
    assert!(left.is_empty() && compared == 3 * 44);
}

type Batches = Vec<(Batch, MaskedSlots)>;

/// The tiny model with dropout on, and its batches.
fn with_dropout() -> Option<(Config, Tensors, Batches)> {
    let (config, weights) = checkpoint(Activation::Gelu)?;
    let config = Config { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1, ..config };
    let batches = json(reference(CHECKPOINT)?.join("batches.json"));
    Some((config, weights, batches.as_array()?.iter().map(batch).collect()))
}

#[test]
fn the_same_run_gives_the_same_bits_and_another_seed_others() {
    let Some((config, weights, batches)) = with_dropout() else { return };
    let run = |seed| {
        let mut trainer = Trainer::new(&config, &weights, UpdateSettings::default(), seed).unwrap();
        for (step, pair) in (0..).zip(batches.chunks(2)) {
            trainer.step(pair, step, 1e-3).unwrap();
        }
        (trainer.weights().unwrap(), trainer.moments().unwrap())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_run_resumed_from_weights_and_moments_equals_one_that_never_stopped() {
    let Some((config, weights, batches)) = with_dropout() else { return };
    let step = |trainer: &mut Trainer, step: usize| {
        trainer.step(&batches[step..=step], step as u64, 1e-3).unwrap();
    };
    let mut straight = Trainer::new(&config, &weights, UpdateSettings::default(), 5).unwrap();
    (0..8).for_each(|at| step(&mut straight, at));
    let mut before = Trainer::new(&config, &weights, UpdateSettings::default(), 5).unwrap();
    (0..3).for_each(|at| step(&mut before, at));
    let (first, second) = before.moments().unwrap();
    let mut after = Trainer::new(&config, &before.weights().unwrap(), UpdateSettings::default(), 5).unwrap();
    after.set_moments(&first, &second).unwrap();
    (3..8).for_each(|at| step(&mut after, at));
    assert_eq!(straight.weights().unwrap(), after.weights().unwrap());
    assert_eq!(straight.moments().unwrap(), after.moments().unwrap());
}

#[test]
fn micro_batches_add_up_to_their_batch() {
    let Some((config, weights)) = checkpoint(Activation::Gelu) else { return };
    let (batch, slots) = batch(&json(reference(CHECKPOINT).unwrap().join("batches.json"))[0]);
    let trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 0).unwrap();
    let single: Vec<_> = (0..3).map(|row| one_row(&batch, &slots, row)).collect();
    let (whole, parts) = (trainer.gradients(&[(batch, slots)], 0).unwrap(), trainer.gradients(&single, 0).unwrap());
    for (name, expected) in whole.iter().filter(|(name, _)| !name.ends_with("key.bias")) {
        let (max, norm) = errors(&parts[name].data, &expected.data);
        assert!(max < TOLERANCE && norm < TOLERANCE, "{name}: {max:.1e} {norm:.1e}");
    }
}

fn one_row(batch: &Batch, slots: &MaskedSlots, row: usize) -> (Batch, MaskedSlots) {
    let (length, per_row) = (batch.length, slots.ids.len() / batch.rows);
    let (cells, filled) = (row * length..(row + 1) * length, row * per_row..(row + 1) * per_row);
    let one = Batch {
        rows: 1,
        length,
        input_ids: batch.input_ids[cells.clone()].to_vec(),
        attention_mask: batch.attention_mask[cells.clone()].to_vec(),
        token_type_ids: batch.token_type_ids[cells].to_vec(),
    };
    let slots = MaskedSlots {
        positions: slots.positions[filled.clone()].iter().map(|at| at - (row * length) as u32).collect(),
        ids: slots.ids[filled.clone()].to_vec(),
        weights: slots.weights[filled].to_vec(),
        next_sentence: vec![slots.next_sentence[row]],
    };
    (one, slots)
}

#[test]
fn dropout_changes_the_loss_but_not_its_scale_and_evaluation_has_none() {
    let Some((config, weights, batches)) = with_dropout() else { return };
    let mut trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 3).unwrap();
    let plain = trainer.evaluate(&batches[0].0, &batches[0].1).unwrap();
    assert_eq!(plain, trainer.evaluate(&batches[0].0, &batches[0].1).unwrap());
    let losses: Vec<_> = (0..50).map(|step| trainer.step(&batches[..1], step, 0.0).unwrap().loss).collect();
    let mean = losses.iter().sum::<f64>() / 50.0;
    assert!(losses.windows(2).all(|pair| pair[0] != pair[1]));
    assert!((mean / plain.batch_losses - 1.0).abs() < 0.05, "{mean} {}", plain.batch_losses);
}
