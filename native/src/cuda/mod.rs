//! NVIDIA GPUs. Nothing of CUDA is needed to build, and the program starts without a driver: libraries are found and opened when a GPU
//! is asked for, and kernels are compiled for the GPU that is there.
//!
//! ```text
//! the shared graph ──▶ record ──▶ backward ──▶ plan ◀── update        what is done, as data: needs no GPU
//!                         ▲ layout, batch_memory    │
//!                                                   ▼
//! folders ──▶ libraries ──▶ gpu ──▶ machine ──▶ trainer               what does it: machine, or the tests' emulator
//!                  └─ compile ◀── kernels/*.cu, products (cuBLASLt)
//! ```

mod arguments;
mod backward;
mod batch_memory;
mod compile;
#[cfg(test)]
mod emulator;
mod folders;
mod gpu;
mod kernels;
mod layout;
mod libraries;
mod machine;
#[cfg(test)]
mod parity;
mod plan;
mod products;
mod record;
mod token_rows;
mod trainer;
mod update;

pub use gpu::{Gpu, gpus};
pub use kernels::{Real, Variant};
pub use libraries::{Libraries, Place, libraries, look_in};
pub use machine::{GpuMachine, find};
pub use trainer::Trainer;
