//! `--dtype`.

use clap::ValueEnum;
use clinicalbert_core::bert::Encoding;

/// What a model's matrices are stored in and multiplied as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// Single precision
    #[default]
    F32,
    /// Signed bytes with a scale for every output; on the processor activations too, of seven bits: less time and memory, slightly other results
    Int8,
}

impl Dtype {
    /// How the core calls it.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::F32 => Encoding::F32,
            Self::Int8 => Encoding::Int8,
        }
    }
}
