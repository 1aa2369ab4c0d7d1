//! Arguments of kernels as the bytes that a launch hands over.

use clinicalbert_core::bert::{dropout_scale, dropout_threshold};

use super::plan::{Argument, Place};

/// An argument's bytes; the longest are structures of 24.
pub type Words = [u64; 3];

/// Bytes of arguments, given the address of every place.
pub fn pack(arguments: &[Argument], address: impl Fn(Place) -> u64) -> Vec<Words> {
    let two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let pack = |argument: &Argument| match *argument {
        Argument::Pointer(place) => [place.map_or(0, &address), 0, 0],
        Argument::Int(value) | Argument::Long(value) => [value as u64, 0, 0],
        Argument::Float(value) => [u64::from(value.to_bits()), 0, 0],
        Argument::Double(value) => [value.to_bits(), 0, 0],
        Argument::Dropout { dropout, step } => {
            let (site, probability) = dropout.map_or((0, 0.0), |dropout| (dropout.site, dropout.probability));
            let scale = dropout_scale(probability).to_bits();
            [address(step), two(site, dropout_threshold(probability)), u64::from(scale)]
        }
        Argument::Adam(settings) => {
            let bits = |value: f64| (value as f32).to_bits();
            let (add_1, add_2) = (1.0 - settings.beta_1, 1.0 - settings.beta_2);
            [
                two(bits(settings.beta_1), bits(add_1)),
                two(bits(settings.beta_2), bits(add_2)),
                two(bits(settings.epsilon), bits(settings.weight_decay)),
            ]
        }
    };
    arguments.iter().map(pack).collect()
}
