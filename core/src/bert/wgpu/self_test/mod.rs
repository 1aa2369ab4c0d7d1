//! A tiny model whose answers are known: whether this GPU, with this driver and this browser, computes what it should.
//!
//! Some do not, without any error: vectors then look like vectors and mean nothing. The model is small but awkward: sizes that no tile
//! divides, padding, every operation, every encoding.

mod reference;

use super::Wgpu;
use crate::{
    Result,
    bert::{Batch, Config, Encoding, Graph, Heads, Load, initialize, lay_down, philox},
    weights::Tensors,
};

/// Largest error that passes: what is promised of real models, which are deeper.
const TOLERANCE: f32 = 1e-4;

/// What the self-test found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The GPU's name.
    pub gpu: String,
    /// Largest difference from what the CPU computes; no number if the GPU's values are none.
    pub largest_error: f32,
    /// Largest difference that passes.
    pub tolerance: f32,
}

impl Verdict {
    /// Whether the GPU computes what it should.
    pub fn passed(&self) -> bool {
        self.largest_error <= self.tolerance
    }
}

impl Wgpu {
    /// Runs the tiny model with its matrices in `encoding`. What it compiles is what a real model needs, so little time is lost.
    ///
    /// # Errors
    /// Those of the GPU. A wrong answer is no error but a verdict.
    pub async fn self_test(&self, encoding: Encoding) -> Result<Verdict> {
        let found = answers(self, encoding).await?;
        let expected = match encoding {
            Encoding::F32 => reference::F32,
            Encoding::F16 => reference::F16,
            Encoding::Int8 => reference::INT8,
        };
        Ok(Verdict { gpu: self.name().to_owned(), largest_error: largest_error(&found, &expected), tolerance: TOLERANCE })
    }
}

fn largest_error(found: &[f32], expected: &[f32; reference::COUNT]) -> f32 {
    if found.len() != expected.len() {
        return f32::NAN;
    }
    // `max` would pass over what is no number.
    let worse = |worst: f32, (found, expected): (&f32, &f32)| match (found - expected).abs() {
        error if worst.is_nan() || error <= worst => worst,
        error => error,
    };
    found.iter().zip(expected).fold(0.0, worse)
}

fn config() -> Config {
    Config {
        vocab_size: 67,
        hidden_size: 128,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 132,
        max_position_embeddings: 20,
        initializer_range: 0.1,
        ..Config::default()
    }
}

/// New weights, their zeros and ones moved away, so that a kernel that forgets one shows.
fn weights(config: &Config) -> Tensors {
    let mut tensors = initialize(config, 1);
    for tensor in tensors.values_mut().filter(|tensor| tensor.shape.len() == 1) {
        (0_u16..).zip(&mut tensor.data).for_each(|(place, value)| *value += f32::from(place * 29 % 64) / 64.0 - 0.5);
    }
    tensors
}

fn batch(config: &Config) -> Result<Batch> {
    let rows = [19_u32, 7, 1].map(|length| {
        let ids: Vec<u32> = (0..length).map(|place| (place * 31 + length) % config.vocab_size as u32).collect();
        let types: Vec<u8> = (0..length).map(|place| u8::from(place > 4)).collect();
        (ids, types)
    });
    Batch::from_rows(rows.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice())))
}

/// Every row of every output, padding included, as one number: the sum of its values with signs that differ from column to column, over the
/// root of its width. A wrong value anywhere changes one.
async fn answers<B: Load>(backend: &B, encoding: Encoding) -> Result<Vec<f32>> {
    let config = config();
    let weights = lay_down(backend, &config, Heads::ALL, &weights(&config), encoding)?;
    let graph = Graph { backend, config: &config, weights: &weights, training: false };
    let inputs = backend.upload(&batch(&config)?)?;
    let hidden = graph.encode(&inputs, |_| ())?;
    let pooled = graph.pooled(&hidden, &inputs)?;
    let everywhere: Vec<u32> = (0..(inputs.batch * inputs.length) as u32).collect();
    let mlm = graph.mlm_logits(&hidden, &backend.upload_indices(&everywhere)?)?;
    let nsp = graph.nsp_logits(&pooled)?;
    let mut answers = Vec::with_capacity(reference::COUNT);
    for (output, width) in [(&hidden, config.hidden_size), (&pooled, config.hidden_size), (&mlm, config.vocab_size), (&nsp, 2)] {
        for row in backend.read(output).await?.chunks_exact(width) {
            let sign = |column| if philox([column, 0, 0, 0], [0, 0])[0] & 1 == 0 { 1.0 } else { -1.0 };
            let sum: f32 = (0..).zip(row).map(|(column, value)| sign(column) * value).sum();
            answers.push(sum / (width as f32).sqrt());
        }
    }
    Ok(answers)
}

#[cfg(test)]
#[cfg(feature = "candle")]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::bert::{
        Candle,
        wgpu::{Options, parity::gpu},
    };

    const ENCODINGS: [(Encoding, &str, [f32; reference::COUNT]); 3] = [
        (Encoding::F32, "F32", reference::F32),
        (Encoding::F16, "F16", reference::F16),
        (Encoding::Int8, "INT8", reference::INT8),
    ];

    /// If the model or its inputs were changed on purpose, this prints the new constants.
    #[test]
    fn stored_answers_are_those_of_candle() {
        let mut worst = 0.0_f32;
        for (encoding, name, stored) in ENCODINGS {
            let computed = block_on(answers(&Candle::default(), encoding)).unwrap();
            println!("pub const {name}: [f32; COUNT] = {computed:?};");
            worst = worst.max(largest_error(&computed, &stored));
        }
        // Other processors add in another order.
        assert!(worst < 1e-5, "{worst}");
    }

    #[test]
    fn answers_differ_between_encodings_so_each_is_really_tested() {
        for pair in ENCODINGS.windows(2) {
            assert!(largest_error(&pair[0].2, &pair[1].2) > TOLERANCE);
        }
    }

    #[test]
    fn a_gpu_that_computes_right_passes() {
        let Some(gpu) = gpu(Options::default()) else { return };
        for (encoding, name, _) in ENCODINGS {
            let verdict = block_on(gpu.self_test(encoding)).unwrap();
            println!("{name}: {verdict:?}");
            assert!(verdict.passed(), "{verdict:?}");
        }
    }

    #[test]
    fn a_broken_kernel_is_caught() {
        let Some(gpu) = gpu(Options { broken: true, ..Options::default() }) else { return };
        for (encoding, ..) in ENCODINGS {
            let verdict = block_on(gpu.self_test(encoding)).unwrap();
            assert!(!verdict.passed(), "{verdict:?}");
        }
    }

    #[test]
    fn what_is_no_number_does_not_pass() {
        let mut found = reference::F32;
        assert_eq!(largest_error(&found, &reference::F32), 0.0);
        found[60] = f32::NAN;
        let verdict = Verdict { gpu: String::new(), largest_error: largest_error(&found, &reference::F32), tolerance: TOLERANCE };
        assert!(!verdict.passed());
        assert!(largest_error(&found[1..], &reference::F32).is_nan());
    }
}
