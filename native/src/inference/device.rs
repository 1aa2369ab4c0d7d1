//! Where a model is used, and in what it is computed there. (Training has machines of its own, see `train/device.rs`.)

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinicalbert_core::bert::{Config, Encoding};
#[cfg(feature = "wgpu")]
use {
    anyhow::ensure,
    clinicalbert_core::bert::{Wgpu, WgpuOptions},
    pollster::block_on,
};

use crate::cuda::{Inference, Real, find};

/// Flags of every command that uses a model.
#[derive(Debug, Args)]
pub struct DeviceFlags {
    /// What computes
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    /// What the model's matrices are stored in and multiplied as [default: f32; bf16 on cuda]
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// An NVIDIA GPU if there is one, else the processor
    Auto,
    /// The processor
    Cpu,
    /// An NVIDIA GPU
    Cuda,
    /// The GPU, by Vulkan, Metal or DirectX 12
    #[cfg(feature = "wgpu")]
    Wgpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// Single precision
    F32,
    /// Half the bits of it, on cuda
    Bf16,
    /// Signed bytes with a scale for every output; on the processor activations too, of seven bits: less time and memory, slightly other
    /// results. Not on cuda
    Int8,
}

/// A device, and what the model is stored in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The processor.
    Cpu(Encoding),
    /// An NVIDIA GPU.
    Cuda(Real),
    /// The GPU, by Vulkan, Metal or DirectX 12.
    #[cfg(feature = "wgpu")]
    Wgpu(Encoding),
}

impl DeviceFlags {
    /// What they mean on this machine. Why `auto` uses no GPU is told in a line.
    ///
    /// # Errors
    /// The device does not compute in this type.
    pub fn choose(&self, quiet: bool) -> Result<Choice> {
        let device = match (self.device, self.dtype) {
            // No type that a CUDA GPU is asked for.
            (Device::Auto, Some(Dtype::Int8)) => Device::Cpu,
            (Device::Auto, _) => match find(0) {
                Ok(_) => Device::Cuda,
                Err(reason) => {
                    if !quiet {
                        eprintln!("no GPU is used: {reason:#}");
                    }
                    Device::Cpu
                }
            },
            (device, _) => device,
        };
        Ok(match device {
            Device::Cuda => Choice::Cuda(match self.dtype {
                None | Some(Dtype::Bf16) => Real::Bf16,
                Some(Dtype::F32) => Real::F32,
                Some(Dtype::Int8) => bail!("--dtype int8 is not for --device cuda: leave it out, or take f32"),
            }),
            #[cfg(feature = "wgpu")]
            Device::Wgpu => Choice::Wgpu(self.encoding()?),
            Device::Cpu | Device::Auto => Choice::Cpu(self.encoding()?),
        })
    }

    fn encoding(&self) -> Result<Encoding> {
        match self.dtype {
            None | Some(Dtype::F32) => Ok(Encoding::F32),
            Some(Dtype::Int8) => Ok(Encoding::Int8),
            Some(Dtype::Bf16) => bail!("--dtype bf16 is for --device cuda alone: leave it out, or take int8"),
        }
    }
}

/// Opens the first NVIDIA GPU for a model of this shape.
///
/// # Errors
/// What is missing and how to get it, or a GPU that is too old or too small.
pub fn open_cuda(config: &Config, real: Real) -> Result<Inference> {
    Inference::open(0, config, real).context("--device cuda")
}

/// Opens the fastest GPU and lets it compute something whose answer is known, with matrices in `encoding`.
///
/// # Errors
/// There is none, or it computes wrongly.
#[cfg(feature = "wgpu")]
pub fn open_wgpu(encoding: Encoding) -> Result<Wgpu> {
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
