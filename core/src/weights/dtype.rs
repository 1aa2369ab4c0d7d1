//! How values are stored, over all formats, and their conversion to `f32`.

use std::fmt;

use half::{bf16, f16};

/// The type of a stored tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Truth values of one byte.
    Bool,
    /// Signed byte.
    I8,
    /// Signed bytes, times a scale for every row ([`crate::bert::Encoding::Int8`]).
    ScaledI8,
    /// Unsigned byte.
    U8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Anything else (text, complex, quantized); listed, never read.
    Other,
}

impl Dtype {
    /// Bytes of one value; `None` if values have no fixed whole number of bytes.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::I8 | Self::U8 => Some(1),
            Self::F16 | Self::Bf16 | Self::I16 => Some(2),
            Self::F32 | Self::I32 => Some(4),
            Self::F64 | Self::I64 => Some(8),
            Self::ScaledI8 | Self::Other => None,
        }
    }

    /// Whether [`super::WeightsFile::read`] can convert it.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64 | Self::ScaledI8)
    }

    /// Little-endian bytes as `f32`; `None` if this is no floating-point type. Surplus bytes at the end are ignored.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::F16 => bytes.as_chunks().0.iter().map(|chunk| f16::from_le_bytes(*chunk).to_f32()).collect(),
            Self::Bf16 => bytes.as_chunks().0.iter().map(|chunk| bf16::from_le_bytes(*chunk).to_f32()).collect(),
            Self::F32 => bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect(),
            Self::F64 => bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk) as f32).collect(),
            _ => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::ScaledI8 => "int8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floating_type_converts_to_f32() {
        let half: Vec<u8> = [1.5, -2.0].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        let brain: Vec<u8> = [1.5, -2.0].iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        let single: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let double: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        for (dtype, bytes) in [(Dtype::F16, half), (Dtype::Bf16, brain), (Dtype::F32, single), (Dtype::F64, double)] {
            assert_eq!(dtype.decode(&bytes), Some(vec![1.5, -2.0]), "{dtype}");
        }
        assert_eq!(Dtype::I64.decode(&[0; 8]), None);
    }
}
