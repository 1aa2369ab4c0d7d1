//! BERT, written once over a small backend trait: configuration, parameters, graph, losses, update.

mod adam;
mod backend;
mod batch;
#[cfg(feature = "candle")]
mod candle;
mod clip;
mod config;
#[cfg(feature = "cpu")]
mod cpu;
mod dropout;
mod encoding;
mod evaluation;
mod extend;
mod freeze;
mod graph;
mod initialize;
mod load;
#[cfg(any(feature = "candle", feature = "cpu"))]
#[cfg_attr(not(feature = "cpu"), allow(dead_code, reason = "some of it only inference on the CPU uses"))]
mod math;
mod model;
pub mod parameters;
mod philox;
#[cfg(any(feature = "candle", feature = "cpu"))]
#[cfg_attr(not(feature = "cpu"), allow(dead_code, reason = "some of it only inference on the CPU uses"))]
mod product;
mod schedule;
#[cfg(any(feature = "candle", feature = "cpu"))]
mod threads;
#[cfg(feature = "candle")]
mod trainer;
mod weights;
#[cfg(feature = "wgpu")]
mod wgpu;

#[cfg(feature = "wgpu")]
pub use self::wgpu::{Options as WgpuOptions, Verdict as WgpuVerdict, Wgpu};
pub use adam::{Slices, UpdateSettings};
pub use backend::{Backend, Dropout, Embeddings, Inputs, Linear, Loss, Nonlinearity, Norm};
pub use batch::{Batch, MLM_DIVISOR_EPSILON, MaskedSlots, loss_divisors};
#[cfg(feature = "candle")]
pub use candle::Candle;
pub use clip::{NormRule, clip_scale, square_sum};
pub use config::{Activation, Config};
#[cfg(feature = "cpu")]
pub use cpu::Cpu;
pub use dropout::{DropoutKey, scale as dropout_scale, threshold as dropout_threshold};
pub use encoding::Encoding;
pub use evaluation::{EvaluationMetrics, EvaluationSums};
pub use extend::{NewRow, extend};
pub use freeze::Freeze;
pub use graph::{Graph, PretrainingLosses, Targets};
pub use initialize::{initialize, initialize_missing};
pub use load::{Load, lay_down};
pub use model::Model;
#[doc(inline)]
pub use parameters::{Heads, Parameter, Part, parameters};
pub use philox::philox;
pub use schedule::Schedule;
#[cfg(feature = "candle")]
pub use trainer::{StepReport, Trainer};
pub use weights::{Layer, MlmHead, Weights, fused_shape};
