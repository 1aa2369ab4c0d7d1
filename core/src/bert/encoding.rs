//! How the numbers of a weight are stored: as they are, in half the bytes, or in a quarter.

use half::f16;
use serde::{Deserialize, Serialize};

use super::Parameter;

/// How a weight's numbers are stored. A row is the last axis; a tensor with one axis is one row. Little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Four bytes a value.
    #[default]
    F32,
    /// Two bytes a value, half precision.
    F16,
    /// A row is its scale (`f32`) and then a signed byte a value; the value is scale · byte. Bytes are within ±127, so that 0 is exact and
    /// negation too. A row of a linear layer is one output channel.
    Int8,
}

/// Largest byte of [`Encoding::Int8`].
const LARGEST: f32 = 127.0;

impl Encoding {
    /// What a tensor of the graph is stored in where matrices are stored in `self`: tables that are only added to something and vectors
    /// stay `f32`, because they are small and everything after depends on them.
    pub fn of(self, group: &[Parameter]) -> Self {
        if group.iter().all(Parameter::is_matrix) { self } else { Self::F32 }
    }

    /// Bytes of a row of `width` values.
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::F32 => 4 * width,
            Self::F16 => 2 * width,
            Self::Int8 => 4 + width,
        }
    }

    /// Appends the bytes of a row. Values must be finite; those beyond half precision's range become its infinity.
    pub fn encode(self, row: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend_from_slice(bytemuck::cast_slice(row)),
            Self::F16 => out.extend(row.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes())),
            Self::Int8 => {
                let scale = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())) / LARGEST;
                // A row of zeros, or of numbers so small that the scale underflows, is all zeros.
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                out.extend_from_slice(&scale.to_le_bytes());
                out.extend(row.iter().map(|value| (value * inverse).round().clamp(-LARGEST, LARGEST) as i8 as u8));
            }
        }
    }

    /// Appends the values of one row's bytes; bytes that do not make up a whole value are left out.
    pub fn decode(self, row: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::F32 => out.extend(row.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
            Self::F16 => out.extend(row.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32())),
            Self::Int8 => {
                if let Some((scale, bytes)) = row.split_first_chunk() {
                    let scale = f32::from_le_bytes(*scale);
                    out.extend(bytes.iter().map(|byte| scale * f32::from(*byte as i8)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::{Config, parameters};

    const ROW: [f32; 5] = [0.5, -1.27, 0.0, 1.0, 0.004];

    fn round_trip(encoding: Encoding, row: &[f32]) -> Vec<f32> {
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        encoding.encode(row, &mut bytes);
        assert_eq!(bytes.len(), encoding.row_bytes(row.len()));
        encoding.decode(&bytes, &mut values);
        values
    }

    #[test]
    fn rows_come_back_within_what_their_bytes_can_say() {
        assert_eq!(round_trip(Encoding::F32, &ROW), ROW);
        for (encoding, error) in [(Encoding::F16, 0.001), (Encoding::Int8, 0.005)] {
            let back = round_trip(encoding, &ROW);
            assert!(ROW.iter().zip(&back).all(|(a, b)| (a - b).abs() <= error), "{encoding:?} {back:?}");
        }
    }

    #[test]
    fn the_largest_value_of_a_row_uses_the_largest_byte() {
        let mut bytes = Vec::new();
        Encoding::Int8.encode(&ROW, &mut bytes);
        assert_eq!(bytes[..4], 0.01_f32.to_le_bytes());
        assert_eq!(bytes[4..].iter().map(|byte| *byte as i8).collect::<Vec<_>>(), [50, -127, 0, 100, 0]);
        assert_eq!(round_trip(Encoding::Int8, &[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(round_trip(Encoding::Int8, &[1e-45, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn only_matrices_are_stored_smaller() {
        let kept: Vec<_> = parameters(&Config { num_hidden_layers: 1, ..Config::default() })
            .into_iter()
            .filter(|parameter| Encoding::Int8.of(std::slice::from_ref(parameter)) == Encoding::F32 && parameter.shape.len() > 1)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(kept, ["bert.embeddings.position_embeddings.weight", "bert.embeddings.token_type_embeddings.weight"]);
    }
}
