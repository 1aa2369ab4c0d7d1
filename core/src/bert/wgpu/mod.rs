//! The GPU backend: WebGPU in a browser; Vulkan, Metal and DirectX 12 natively. Inference only.
//!
//! ```text
//! operations ──▶ recorder ──▶ gpu ──▶ read         one submission and one wait a batch
//!     │  tensor      ├── kernel ◀── kernels/*.wgsl
//!   load             └── memory                    buffers that come back, so bind groups do too
//! ```
//!
//! What goes wrong on a GPU is reported some time later (`faults`); it becomes the error of the next call. After [`Error::DeviceLost`]
//! nothing on it can be used any more: drop the model and load it on a new [`Wgpu`].

#![cfg_attr(
    target_family = "wasm",
    allow(clippy::arc_with_non_send_sync, reason = "natively handles can be sent to other threads")
)]

mod faults;
mod gpu;
mod kernel;
mod load;
mod memory;
mod operations;
#[cfg(test)]
#[cfg(feature = "candle")]
mod parity;
mod read;
mod recorder;
mod self_test;
mod tensor;

use std::sync::Arc;

use self::{gpu::Gpu, memory::lock};
pub use self::{gpu::Options, self_test::Verdict};
#[cfg(doc)]
use crate::Error;
use crate::Result;

/// A GPU. Cloning copies a handle; it is given back when the last handle and the last tensor are dropped.
#[derive(Debug, Clone)]
pub struct Wgpu(Arc<Gpu>);

impl Wgpu {
    /// Opens the fastest GPU there is. Kernels are compiled when they are first needed.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if there is none, or none that allows what WebGPU promises.
    pub async fn open(options: Options) -> Result<Self> {
        Ok(Self(Arc::new(Gpu::open(options).await?)))
    }

    /// The GPU's name and the interface it is reached by, for people.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Bytes of GPU memory in use, those kept for the next batch included.
    pub fn bytes(&self) -> u64 {
        lock(&self.0.memory).bytes()
    }
}
