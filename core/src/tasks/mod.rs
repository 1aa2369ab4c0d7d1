//! What people do with a model: embeddings, filling masks, finding what it does not expect.

#[cfg(feature = "tokenizer")]
pub mod embedding;
pub mod fill_mask;
#[cfg(feature = "tokenizer")]
pub mod masked_text;
pub mod pooling;
#[cfg(feature = "tokenizer")]
pub mod surprise;
#[cfg(feature = "tokenizer")]
pub mod token_vectors;
