//! The kernels' sources, one program without any `#include`: NVRTC finds no headers where only its library is installed.

use std::collections::HashMap;
use std::sync::LazyLock;

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::{
    cache,
    compile::{compile, version},
};

/// The files in the order in which they are compiled.
const SOURCES: [(&str, &str); 9] = [
    ("common.cu", include_str!("kernels/common.cu")),
    ("norm.cu", include_str!("kernels/norm.cu")),
    ("activation.cu", include_str!("kernels/activation.cu")),
    ("attention.cu", include_str!("kernels/attention.cu")),
    ("attention_tiles.cu", include_str!("kernels/attention_tiles.cu")),
    ("rows.cu", include_str!("kernels/rows.cu")),
    ("loss.cu", include_str!("kernels/loss.cu")),
    ("tables.cu", include_str!("kernels/tables.cu")),
    ("update.cu", include_str!("kernels/update.cu")),
];

/// What activations and their gradients are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Real {
    /// For checking; no TF32.
    F32,
    /// For speed.
    Bf16,
}

impl Real {
    /// Bytes of a value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// What the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width of an attention head.
    pub head_size: usize,
    /// Storage of activations.
    pub real: Real,
}

/// All files as one program; messages name file and line.
pub fn source() -> String {
    SOURCES.iter().map(|(name, text)| format!("#line 1 \"{name}\"\n{text}")).collect()
}

/// Name and parameters of every kernel.
fn declarations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let texts = SOURCES.iter().flat_map(|(_, text)| text.split("extern \"C\" __global__ void ").skip(1));
    let declaration = |text: &'static str| {
        let (name, parameters) = text.split_once(')')?.0.split_once('(')?;
        // Its bounds stand before the name.
        Some((name.rsplit(' ').next()?, parameters))
    };
    texts.filter_map(declaration)
}

/// Names of all kernels.
pub fn names() -> impl Iterator<Item = &'static str> {
    declarations().map(|(name, _)| name)
}

/// Which of a kernel's parameters are pointers that it writes through: those that are not declared `const`.
pub fn written(name: &str) -> &'static [bool] {
    static WRITTEN: LazyLock<HashMap<&str, Vec<bool>>> = LazyLock::new(|| {
        let is_written = |parameter: &str| parameter.contains('*') && !parameter.trim_start().starts_with("const ");
        declarations().map(|(name, parameters)| (name, parameters.split(',').map(is_written).collect())).collect()
    });
    WRITTEN.get(name).map_or(&[], Vec::as_slice)
}

impl Variant {
    /// The macros that stand for it in the sources.
    pub fn macros(&self) -> [(&'static str, String); 3] {
        let real = match self.real {
            Real::F32 => "float",
            Real::Bf16 => "bf16",
        };
        [("HIDDEN", self.hidden.to_string()), ("HEAD_SIZE", self.head_size.to_string()), ("REAL", real.into())]
    }

    /// Machine code of all kernels for an architecture (`sm_90a`), kept from another time if that is wanted, and kept for the next.
    ///
    /// # Errors
    /// NVRTC is missing or does not know the architecture.
    pub fn code(&self, architecture: &str, kept: bool) -> Result<Vec<u8>> {
        let (major, minor) = version()?;
        // Whatever the code depends on.
        let all = format!("{architecture} {:?} NVRTC {major}.{minor}\n{}", self.macros(), source());
        let digest: String = Sha256::digest(all).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("kernels-{digest}.cubin");
        if let Some(code) = cache::read(&name).filter(|_| kept) {
            return Ok(code);
        }
        let code = self.compile(architecture)?;
        cache::write(&name, &code);
        Ok(code)
    }

    /// Machine code of all kernels for an architecture.
    ///
    /// # Errors
    /// NVRTC is missing or does not know the architecture.
    fn compile(&self, architecture: &str) -> Result<Vec<u8>> {
        compile("clinicalbert.cu", &source(), architecture, &self.macros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::libraries;

    #[test]
    fn what_a_kernel_writes_is_read_from_its_declaration() {
        assert_eq!(written("rows_gather"), [false, false, true, false]);
        assert_eq!(written("activation_backward"), [true, false, true, false, false, false]);
        assert_eq!(written("loss_sum"), [false, true, false]);
        assert!(names().all(|name| written(name).contains(&true)));
    }

    /// BERT-base everywhere; other widths, one of which no wide load divides.
    #[test]
    fn every_kernel_compiles_for_every_architecture() {
        if !libraries().nvrtc.is_there() {
            // `cargo xtask test` has put it there.
            assert!(std::env::var_os("CLINICALBERT_TEST_NVRTC").is_none(), "{}", libraries().missing().join("; "));
            println!("skipped: needs NVRTC: {}", libraries().missing().join("; "));
            return;
        }
        let variant = |hidden, head_size, real| Variant { hidden, head_size, real };
        let base = variant(768, 64, Real::Bf16);
        for (architecture, variant) in [
            ("sm_80", base),
            ("sm_86", base),
            ("sm_90a", base),
            ("sm_100", base),
            ("sm_120", base),
            ("sm_90a", variant(1024, 128, Real::F32)),
            ("sm_90a", variant(40, 8, Real::Bf16)),
        ] {
            let code = variant.compile(architecture).unwrap();
            assert_eq!(code.get(..4), Some(&b"\x7fELF"[..]), "{architecture} {variant:?}");
        }
    }

    #[test]
    fn an_error_in_a_kernel_is_told_with_its_file_and_line() {
        if libraries().nvrtc.is_there() {
            let broken = source() + "#line 7 \"broken.cu\"\n__global__ void broken() { nonsense(); }\n";
            let told = compile("all.cu", &broken, "sm_80", &Variant { hidden: 40, head_size: 8, real: Real::F32 }.macros());
            let told = told.unwrap_err().to_string();
            assert!(told.contains("broken.cu(7)") && told.contains("nonsense"), "{told}");
        }
    }
}
