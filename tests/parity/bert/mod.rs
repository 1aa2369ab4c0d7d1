//! The BERT graph, its gradients and its updates against outputs of Google's TensorFlow code and of transformers.

mod forward;
mod training;

use std::{fs, path::Path};

use clinicalbert_core::{
    bert::{Activation, Batch, Config, MaskedSlots},
    weights::{HostTensor, Tensors},
};
use clinicalbert_tests::reference;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Tiny model in TensorFlow format, with outputs (`tf-checkpoint/README.md`).
const CHECKPOINT: &str = "data/tf-checkpoint";
/// Another tiny model, with outputs (`golden/README.md`).
const GOLDEN: &str = "spec/golden";

pub fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub fn tensors(path: impl AsRef<Path>) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = file.iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let tensor = |data: &[u8]| data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    floats.map(|(name, view)| (name.to_owned(), HostTensor { shape: view.shape().to_vec(), data: tensor(view.data()) })).collect()
}

fn config(path: impl AsRef<Path>, hidden_act: Activation) -> Config {
    Config { hidden_act, ..Config::from_json(&fs::read(path).unwrap()).unwrap() }
}

/// Configuration and weights of the tiny model of [`GOLDEN`].
fn golden(hidden_act: Activation) -> Option<(Config, Tensors)> {
    let folder = reference(GOLDEN)?;
    Some((config(folder.join("tiny_config.json"), hidden_act), tensors(folder.join("hf_tiny/model.safetensors"))))
}

/// Configuration and weights of the tiny model of [`CHECKPOINT`].
fn checkpoint(hidden_act: Activation) -> Option<(Config, Tensors)> {
    let folder = reference(CHECKPOINT)?;
    Some((config(folder.join("bert_config.json"), hidden_act), tensors(folder.join("hf/model.safetensors"))))
}

/// All numbers of nested lists.
pub fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap() as f32],
    }
}

fn integers(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|value| value as u32).collect()
}

/// A batch under Google's feature names.
pub fn batch(value: &Value) -> (Batch, MaskedSlots) {
    let bytes = |name: &str| integers(&value[name]).into_iter().map(|value| value as u8).collect();
    let rows = value["input_ids"].as_array().unwrap().len();
    let input_ids = integers(&value["input_ids"]);
    let length = input_ids.len() / rows;
    let positions = value["masked_lm_positions"].as_array().unwrap().iter().zip(0_u32..);
    let slots = MaskedSlots {
        positions: positions.flat_map(|(row, n)| integers(row).into_iter().map(move |at| n * length as u32 + at)).collect(),
        ids: integers(&value["masked_lm_ids"]),
        weights: numbers(&value["masked_lm_weights"]),
        next_sentence: integers(&value["next_sentence_labels"]),
    };
    (Batch { rows, length, input_ids, attention_mask: bytes("input_mask"), token_type_ids: bytes("segment_ids") }, slots)
}

/// Rows of a `[batch, length, width]` tensor at which there is a token.
pub fn attended(tensor: &HostTensor, batch: &Batch) -> Vec<f32> {
    let width = tensor.data.len() / batch.attention_mask.len();
    let rows = tensor.data.chunks_exact(width).zip(&batch.attention_mask);
    rows.filter(|(_, mask)| **mask == 1).flat_map(|(row, _)| row).copied().collect()
}

/// One position's values.
pub fn row(tensor: &HostTensor, batch: usize, position: usize) -> &[f32] {
    let (length, width) = (tensor.shape[1], tensor.shape[2]);
    &tensor.data[(batch * length + position) * width..][..width]
}

/// Largest difference over the largest expected value, and distance over length of the expected vector.
fn errors(found: &[f32], expected: &[f32]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let pairs = || found.iter().zip(expected).map(|(found, expected)| (f64::from(*found), f64::from(*expected)));
    let largest =
        |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |a: f64, b| if b.is_nan() { f64::INFINITY } else { a.max(b) });
    let max =
        largest(&mut pairs().map(|(found, expected)| (found - expected).abs())) / largest(&mut pairs().map(|(_, b)| b.abs()));
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let norm = (square(&mut pairs().map(|(found, expected)| found - expected)) / square(&mut pairs().map(|(_, b)| b))).sqrt();
    (max, norm)
}

/// f32 sums of a few hundred terms in another order: 1e-5 is what the acceptance asks for.
const TOLERANCE: f64 = 1e-5;

#[track_caller]
pub fn close(what: &str, found: &[f32], expected: &[f32]) {
    let (max, norm) = errors(found, expected);
    println!("{what}: largest difference / largest value {max:.1e}, by norm {norm:.1e}");
    assert!(max < TOLERANCE && norm < TOLERANCE, "{what}: {max:.1e} {norm:.1e}");
}

#[track_caller]
fn close_number(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let error = (found / expected - 1.0).abs();
    println!("{what}: relative error {error:.1e}");
    assert!(error < TOLERANCE, "{what}: found {found}, expected {expected}");
}

/// Log of the softmax of one row.
fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let normalizer = logits.iter().map(|value| f64::from(*value).exp()).sum::<f64>().ln();
    logits.iter().map(|value| (f64::from(*value) - normalizer) as f32).collect()
}
