//! What people do with a model: embeddings and filling masks.

pub mod fill_mask;
pub mod pooling;
