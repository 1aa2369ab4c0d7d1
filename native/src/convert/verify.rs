//! Running a model as it was read and as it was written, and comparing everything that both compute.

use std::path::Path;

use anyhow::{Result, ensure};
use clinicalbert_core::bert::{Batch, Candle, Config, Encoding, Model, Part};
use clinicalbert_core::weights::{HostTensor, Tensors};
use pollster::block_on;
use serde::Serialize;

use crate::model_folder::ModelFolder;

/// Largest difference that passes where both sides hold the same single-precision values: it is 0 unless something is wrong.
const TOLERANCE: f64 = 1e-5;

/// Smallest cosine that passes where values were rounded on the way.
const ROUNDED_COSINE: f64 = 0.999;

/// Longest row of the batch that is compared.
const LENGTH: usize = 24;

/// How far two models' outputs are apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Which output.
    pub output: String,
    /// Largest difference of two values.
    pub max_abs: f64,
    /// Largest value, to see the difference against.
    pub largest: f64,
    /// Cosine of all values of one side and the other.
    pub cosine: f64,
}

impl Difference {
    /// Whether that is as close as it has to be after a conversion that stored matrices in `encoding`.
    pub fn passes(&self, encoding: Encoding) -> bool {
        match encoding {
            Encoding::F32 => self.max_abs <= TOLERANCE,
            Encoding::F16 | Encoding::Int8 => self.cosine >= ROUNDED_COSINE,
        }
    }
}

/// Reads the model at `written` and compares what it computes with what `source` computes: all hidden states at tokens, and the scores of
/// the heads that there are.
///
/// # Errors
/// The written model cannot be read, or has other heads.
pub fn verify(source: &ModelFolder, written: &Path) -> Result<Vec<Difference>> {
    let read = ModelFolder::read(written)?;
    // Google's configuration does not tell the two forms of GELU apart.
    let config = Config { hidden_act: source.config.hidden_act, ..read.config };
    ensure!(config == source.config, "{}: the configuration was not written as it was read", written.display());
    ensure!(
        read.tokenizer.vocab_txt() == source.tokenizer.vocab_txt() && read.tokenizer.case() == source.tokenizer.case(),
        "{}: the vocabulary was not written as it was read",
        written.display()
    );
    let batch = probe(&config)?;
    let expected = outputs(&config, &source.loaded.tensors, &batch)?;
    let found = outputs(&config, &read.loaded.tensors, &batch)?;
    let names = |outputs: &[(String, Vec<f32>)]| outputs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    ensure!(names(&expected) == names(&found), "{}: the heads were not written as they were read", written.display());
    Ok(expected.into_iter().zip(found).map(|((output, expected), (_, found))| difference(output, &expected, &found)).collect())
}

/// Four rows of different lengths with ids from all over the vocabulary; the same for equal configurations.
fn probe(config: &Config) -> Result<Batch> {
    let longest = LENGTH.min(config.max_position_embeddings);
    let mut random = fastrand::Rng::with_seed(0);
    let rows: Vec<(Vec<u32>, Vec<u8>)> = [longest, longest * 3 / 4, longest / 2, 1]
        .into_iter()
        .map(|length| {
            let length = length.max(1);
            let ids = (0..length).map(|_| random.usize(..config.vocab_size) as u32).collect();
            let types = (0..length).map(|at| u8::from(config.type_vocab_size > 1 && 2 * at >= length)).collect();
            (ids, types)
        })
        .collect();
    Ok(Batch::from_rows(rows.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice())))?)
}

fn outputs(config: &Config, tensors: &Tensors, batch: &Batch) -> Result<Vec<(String, Vec<f32>)>> {
    let model = Model::new(Candle::default(), config, tensors)?;
    let mut outputs = Vec::new();
    for (layer, state) in block_on(model.hidden_states(batch))?.iter().enumerate() {
        outputs.push((format!("hidden state {layer}"), at_tokens(state, batch)));
    }
    let tokens: Vec<u32> = (0..).zip(&batch.attention_mask).filter(|(_, mask)| **mask == 1).map(|(at, _)| at).collect();
    if model.heads().include(Part::MlmHead) {
        outputs.push(("MLM scores".into(), block_on(model.mlm_logits(batch, &tokens))?.data));
    }
    if model.heads().include(Part::NspHead) && model.heads().include(Part::Pooler) {
        outputs.push(("NSP scores".into(), block_on(model.nsp_logits(batch))?.data));
    }
    Ok(outputs)
}

/// Rows of a `[batch, length, width]` tensor at which there is a token.
fn at_tokens(tensor: &HostTensor, batch: &Batch) -> Vec<f32> {
    let width = tensor.data.len() / batch.attention_mask.len().max(1);
    let rows = tensor.data.chunks(width.max(1)).zip(&batch.attention_mask);
    rows.filter(|(_, mask)| **mask == 1).flat_map(|(row, _)| row).copied().collect()
}

/// A value that is no number on either side is infinitely far.
fn difference(output: String, expected: &[f32], found: &[f32]) -> Difference {
    let apart = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    let largest =
        |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |a: f64, b| if b.is_nan() { f64::INFINITY } else { a.max(b) });
    let max_abs = match expected.len() == found.len() {
        true => largest(&mut expected.iter().zip(found).map(apart)),
        false => f64::INFINITY,
    };
    Difference {
        output,
        max_abs,
        largest: largest(&mut expected.iter().map(|value| f64::from(value.abs()))),
        cosine: cosine(expected, found),
    }
}

/// 1 for two sides without any value but 0.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths == 0.0 { 1.0 } else { product(a, b) / lengths }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_the_largest_and_no_number_is_far() {
        let apart = |a: &[f32], b: &[f32]| difference("x".into(), a, b).max_abs;
        assert_eq!(apart(&[1.0, -2.0], &[1.5, -2.0]), 0.5);
        assert_eq!(apart(&[1.0], &[f32::NAN]), f64::INFINITY);
        assert_eq!(apart(&[1.0], &[]), f64::INFINITY);
        assert_eq!(difference("x".into(), &[1.0, -2.0], &[1.0, -2.0]).largest, 2.0);
        assert_eq!(difference("x".into(), &[3.0, 0.0], &[4.0, 3.0]).cosine, 0.8);
        let rounded = difference("x".into(), &[3.0, 1.0], &[3.001, 1.0]);
        assert!(rounded.passes(Encoding::Int8) && !rounded.passes(Encoding::F32));
        assert!(!difference("x".into(), &[3.0], &[f32::NAN]).passes(Encoding::Int8));
    }

    #[test]
    fn the_batch_has_padding_and_both_types() {
        let batch = probe(&Config { max_position_embeddings: 16, ..Config::default() }).unwrap();
        assert_eq!((batch.rows, batch.length), (4, 16));
        assert!(batch.attention_mask.contains(&0) && batch.token_type_ids.contains(&1));
        assert!(batch.validate(&Config::default()).is_ok());
    }
}
