//! BERT, written once over a small backend trait: configuration, parameters, graph, losses, update.

mod backend;
mod batch;
mod config;
mod parameters;

pub use backend::{Backend, Dropout, Embeddings, Inputs, Linear, Nonlinearity, Norm};
pub use batch::{Batch, MaskedSlots};
pub use config::{Activation, Config};
pub use parameters::{Heads, Initial, Parameter, Part, check, parameters};
