//! The kernels: WGSL files put together, and how their buffers are bound.

use crate::bert::Encoding;

/// Invocations of a workgroup of `linear.wgsl`, across columns and rows.
pub const LINEAR_LANES: [u32; 2] = [16, 4];
/// Columns and rows that one invocation of `linear.wgsl` makes.
pub const LINEAR_TILE: [u32; 2] = [4, 8];
/// Invocations of a workgroup of `rows.wgsl`.
pub const ROWS_LANES: u32 = 64;
/// Invocations of a workgroup of `norm.wgsl`: a quad of 128 values each, six of 768.
pub const NORM_LANES: u32 = 32;
/// Invocations of a workgroup of `attention.wgsl`.
pub const ATTENTION_LANES: u32 = 64;

/// Added to the score of a padded key (google-research/bert @ eedf571, `modeling.py`).
const PADDING: &str = "-10000.0";

/// A program for the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Product with a weight, bias, non-linearity.
    Linear(Encoding),
    /// Picks rows.
    Rows(Encoding),
    /// Sum with a residual, LayerNorm.
    AddNorm,
    /// Sum of the embeddings' rows, LayerNorm.
    Embed,
    /// Attention of heads of this many quads of values.
    Attention {
        /// A quarter of the head's width.
        head_quads: u32,
    },
}

impl Kernel {
    /// Buffers that it reads: bindings from 0. Then follow its result and, as a uniform with an offset, its shape.
    pub const fn inputs(self) -> u32 {
        match self {
            Self::Rows(_) | Self::Attention { .. } => 2,
            Self::Linear(_) => 3,
            Self::AddNorm => 4,
            Self::Embed => 6,
        }
    }

    /// The whole WGSL. A broken one lets attention see padding, for tests of the self-test.
    pub fn source(self, broken: bool) -> String {
        let weight = |encoding| match encoding {
            Encoding::F32 => include_str!("kernels/weight_f32.wgsl"),
            Encoding::F16 => include_str!("kernels/weight_f16.wgsl"),
            Encoding::Int8 => include_str!("kernels/weight_int8.wgsl"),
        };
        let norm = include_str!("kernels/norm.wgsl");
        let parts = match self {
            Self::Linear(encoding) => {
                vec![weight(encoding), include_str!("kernels/activation.wgsl"), include_str!("kernels/linear.wgsl")]
            }
            Self::Rows(encoding) => vec![weight(encoding), include_str!("kernels/rows.wgsl")],
            Self::AddNorm => vec![include_str!("kernels/add_norm.wgsl"), norm],
            Self::Embed => vec![include_str!("kernels/embed.wgsl"), norm],
            Self::Attention { .. } => vec![include_str!("kernels/attention.wgsl")],
        };
        let [column_lanes, row_lanes] = LINEAR_LANES;
        let mut source = match self {
            Self::Linear(_) => {
                format!("const LINEAR_COLUMN_LANES = {column_lanes}u;\nconst LINEAR_ROW_LANES = {row_lanes}u;\n")
            }
            Self::Rows(_) => format!("const ROWS_LANES = {ROWS_LANES}u;\n"),
            Self::AddNorm | Self::Embed => format!("const NORM_LANES = {NORM_LANES}u;\n"),
            Self::Attention { head_quads } => {
                let padding = if broken { "0.0" } else { PADDING };
                format!(
                    "const ATTENTION_LANES = {ATTENTION_LANES}u;\nconst HEAD_QUADS = {head_quads}u;\nconst PADDING: f32 = {padding};\n"
                )
            }
        };
        parts.iter().for_each(|part| source.push_str(part));
        source
    }
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;

    fn kernels() -> impl Iterator<Item = Kernel> {
        let encodings = [Encoding::F32, Encoding::F16, Encoding::Int8];
        let heads = [1, 8, 16, 32].map(|head_quads| Kernel::Attention { head_quads });
        let linear = encodings.map(Kernel::Linear).into_iter();
        linear.chain(encodings.map(Kernel::Rows)).chain([Kernel::AddNorm, Kernel::Embed]).chain(heads)
    }

    #[test]
    fn every_kernel_is_valid_wgsl_without_optional_features() {
        for kernel in kernels() {
            let source = kernel.source(false);
            let module =
                naga::front::wgsl::parse_str(&source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            // Core WGSL, which naga counts among the capabilities all the same.
            let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
            let mut validator = Validator::new(ValidationFlags::all(), capabilities);
            validator.validate(&module).unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
            assert_eq!(module.entry_points.len(), 1, "{kernel:?}");
        }
    }

    /// WebGPU's defaults: 256 invocations and 16 KiB of shared memory a workgroup, 8 storage buffers.
    #[test]
    fn every_kernel_stays_within_the_limits_of_every_device() {
        for kernel in kernels() {
            let module = naga::front::wgsl::parse_str(&kernel.source(false)).unwrap();
            assert!(module.entry_points[0].workgroup_size.iter().product::<u32>() <= 256, "{kernel:?}");
            let bindings = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()).count();
            assert_eq!(bindings as u32, kernel.inputs() + 2, "{kernel:?}");
            assert!(kernel.inputs() < 8, "{kernel:?}: its result is a storage buffer too");
        }
    }
}
