//! What people do with a model: embeddings and filling masks.

#[cfg(feature = "tokenizer")]
pub mod embedding;
pub mod fill_mask;
#[cfg(feature = "tokenizer")]
pub mod masked_text;
pub mod pooling;
