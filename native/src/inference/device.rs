//! Where a model is used. (Training has machines of its own, see `train/device.rs`.)

use clap::ValueEnum;
#[cfg(feature = "wgpu")]
use {
    anyhow::{Context, Result, ensure},
    clinicalbert_core::bert::{Encoding, Wgpu, WgpuOptions},
    pollster::block_on,
};

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor
    Cpu,
    /// The GPU, by Vulkan, Metal or DirectX 12
    #[cfg(feature = "wgpu")]
    Wgpu,
}

/// Opens the fastest GPU and lets it compute something whose answer is known, with matrices in `encoding`.
///
/// # Errors
/// There is none, or it computes wrongly.
#[cfg(feature = "wgpu")]
pub fn open_gpu(encoding: Encoding) -> Result<Wgpu> {
    let open = || {
        let gpu = block_on(Wgpu::open(WgpuOptions::default()))?;
        let verdict = block_on(gpu.self_test(encoding))?;
        ensure!(
            verdict.passed(),
            "{} computes wrongly: its answers to a known question are off by {:.1e}, at most {:.1e} is right; use --device cpu",
            verdict.gpu,
            verdict.largest_error,
            verdict.tolerance
        );
        Ok(gpu)
    };
    open().context("--device wgpu")
}
