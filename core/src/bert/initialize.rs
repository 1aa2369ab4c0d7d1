//! New weights, as Google's code draws them: truncated normal of standard deviation 0.02, biases 0, LayerNorm scale 1.

use super::{
    Config, Parameter, parameters,
    parameters::Initial,
    philox::{key, philox},
};
use crate::weights::{HostTensor, Tensors};

/// Third counter word of weight draws; dropout has the step there, which never comes this high.
const DOMAIN: u32 = u32::MAX;

/// All weights of a new pretraining model.
pub fn initialize(config: &Config, seed: u64) -> Tensors {
    let mut tensors = Tensors::new();
    initialize_missing(config, &mut tensors, seed);
    tensors
}

/// Draws the parameters that `tensors` does not have and returns their names. Each gets the values that it has in [`initialize`]
/// with the same seed, whichever others are there.
pub fn initialize_missing(config: &Config, tensors: &mut Tensors, seed: u64) -> Vec<String> {
    let mut drawn = Vec::new();
    for (index, parameter) in (0..).zip(parameters(config)) {
        if !tensors.contains_key(&parameter.name) {
            tensors.insert(parameter.name.clone(), draw(&parameter, index, config.initializer_range, seed));
            drawn.push(parameter.name);
        }
    }
    drawn
}

fn draw(parameter: &Parameter, index: u32, deviation: f64, seed: u64) -> HostTensor {
    let count = parameter.elements();
    let data = match parameter.initial {
        Initial::Zeros => vec![0.0; count],
        Initial::Ones => vec![1.0; count],
        Initial::Normal => drawn(count, |element| (truncated_normal(seed, index, element) * deviation) as f32),
    };
    HostTensor { shape: parameter.shape.clone(), data }
}

/// Every element's value, drawn on all threads where there are some: alone one takes seconds for BERT-base.
fn drawn(count: usize, value: impl Fn(u32) -> f32 + Sync + Send) -> Vec<f32> {
    const CHUNK: usize = 1 << 14;
    let mut values = vec![0.0; count];
    let fill = |chunk: usize, values: &mut [f32]| {
        values.iter_mut().zip(chunk * CHUNK..).for_each(|(place, element)| *place = value(element as u32));
    };
    #[cfg(any(feature = "candle", feature = "cpu"))]
    super::threads::for_chunks(&mut values, CHUNK, fill);
    #[cfg(not(any(feature = "candle", feature = "cpu")))]
    values.chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| fill(chunk, values));
    values
}

/// A standard normal value redrawn until it lies within 2, which is what TensorFlow's `truncated_normal_initializer` gives.
///
/// Drawn by rejection from a uniform value: the result then involves only exact operations and the exponential only a comparison, so
/// that platforms with different mathematical libraries agree.
fn truncated_normal(seed: u64, parameter: u32, element: u32) -> f64 {
    const UNIT: f64 = 1.0 / 4_294_967_296.0;
    for attempt in 0..u32::MAX {
        let [x0, y0, x1, y1] = philox([element, parameter, DOMAIN, attempt], key(seed));
        for (x, y) in [(x0, y0), (x1, y1)] {
            let value = (f64::from(x) + 0.5) * (4.0 * UNIT) - 2.0;
            if f64::from(y) * UNIT < (-0.5 * value * value).exp() {
                return value;
            }
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Config {
        Config { vocab_size: 4000, hidden_size: 32, num_attention_heads: 2, num_hidden_layers: 2, ..Config::default() }
    }

    #[test]
    fn values_are_a_normal_distribution_cut_at_two_deviations() {
        let tensors = initialize(&small(), 1);
        let words = &tensors["bert.embeddings.word_embeddings.weight"].data;
        let count = words.len() as f64;
        let mean = words.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = words.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count - mean * mean;
        assert!(words.iter().all(|value| value.abs() <= 0.04));
        // The deviation of a normal distribution cut at ±2 is 0.879626 of the uncut one; 128,000 values give it to 0.2 %.
        assert!((variance.sqrt() / (0.02 * 0.879_626) - 1.0).abs() < 0.01, "{}", variance.sqrt());
        assert!(mean.abs() < 0.02 / count.sqrt() * 5.0, "{mean}");
        let within = words.iter().filter(|value| value.abs() < 0.02).count() as f64 / count;
        assert!((within - 0.682_689 / 0.954_500).abs() < 0.01, "{within}");
    }

    #[test]
    fn a_head_drawn_alone_equals_the_head_of_a_new_model() {
        let whole = initialize(&small(), 7);
        let mut rest = whole.clone();
        rest.retain(|name, _| !name.starts_with("cls."));
        let names = initialize_missing(&small(), &mut rest, 7);
        assert_eq!(names.len(), 7);
        assert_eq!(rest, whole);
        assert_ne!(initialize(&small(), 8), whole);
    }

    #[test]
    fn biases_start_at_zero_and_norms_at_one() {
        let tensors = initialize(&small(), 1);
        assert!(tensors["bert.encoder.layer.1.output.dense.bias"].data.iter().all(|value| *value == 0.0));
        assert!(tensors["bert.encoder.layer.1.output.LayerNorm.weight"].data.iter().all(|value| *value == 1.0));
    }
}
