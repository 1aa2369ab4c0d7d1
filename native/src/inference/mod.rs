//! Using a model: texts in, vectors or fillings out.

pub mod device;
pub mod npy;
pub mod states;
pub mod texts;
