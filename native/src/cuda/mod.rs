//! NVIDIA GPUs. Nothing of CUDA is needed to build, and the program starts without a driver: libraries are found and opened when a GPU
//! is asked for, and kernels are compiled for the GPU that is there.
//!
//! ```text
//! the shared graph ──▶ record ──▶ backward ──▶ plan ◀── update        what is done, as data: needs no GPU
//!                         ▲ layout, batch_memory    │ └─ branches     what may run beside
//!                                                   ▼
//! folders ──▶ libraries ──▶ gpu ──▶ machine ──▶ trainer               what does it
//!                  └─ compile ◀── kernels/*.cu │ └─ capture, upload
//!                                    products (cuBLASLt) ◀── choices
//! ```

mod arguments;
mod backward;
mod batch_memory;
mod branches;
mod cache;
mod capture;
mod ceiling;
mod choices;
mod compile;
#[cfg(test)]
mod emulator;
mod folders;
mod gpu;
mod inference;
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
mod upload;
#[cfg(test)]
mod yardstick;

pub use ceiling::ceiling;
pub use gpu::{Gpu, gpus};
pub use inference::Inference;
pub use kernels::{Real, Variant};
pub use libraries::{Libraries, Place, libraries, look_in};
pub use machine::{GpuMachine, Purpose, find};
pub use trainer::Trainer;
