//! Weights files as bytes: named tensors in, named tensors out. Where the bytes lie is the caller's business.
//!
//! Everywhere in the crate tensors go by their Hugging Face name (`bert.encoder.layer.0.attention.self.query.weight`),
//! in Hugging Face's orientation (`[out, in]`); readers of other formats rename and transpose on the way in.

use std::collections::BTreeMap;

/// A tensor on the host: row-major `f32`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// Named host tensors, sorted by name.
pub type Tensors = BTreeMap<String, HostTensor>;
