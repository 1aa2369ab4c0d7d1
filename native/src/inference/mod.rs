//! Using a model: texts in, vectors or fillings out.

pub mod dtype;
pub mod embedding;
pub mod filling;
pub mod npy;
pub mod states;
pub mod texts;
