//! A model on whichever device it was loaded on.

use clinicalbert_core::bert::{Batch, Config, Cpu, Heads, Model, Wgpu};
use clinicalbert_core::tasks::classification::{TextClasses, TokenClass, classify_text, classify_tokens};
use clinicalbert_core::tasks::embedding::{Embedder, Embedding};
use clinicalbert_core::tasks::masked_text::{Filled, FilledJointly, Masked};
use clinicalbert_core::tasks::surprise::{Surprise, surprise};
use clinicalbert_core::tasks::token_vectors::{TokenVectors, token_vectors};
use clinicalbert_core::tokenizer::WordPiece;
use clinicalbert_core::{Result, weights::web::Loader};

/// A model, ready.
#[allow(clippy::large_enum_variant, reason = "there is one a session, and it is hardly ever moved")]
pub enum AnyModel {
    /// In this module's own memory.
    Wasm(Model<Cpu>),
    /// On a GPU.
    WebGpu(Model<Wgpu>),
}

/// A model whose weights are arriving.
#[allow(clippy::large_enum_variant, reason = "there is one a load, and it is hardly ever moved")]
pub enum AnyLoader {
    /// Into this module's own memory.
    Wasm(Loader<Cpu>),
    /// Onto a GPU.
    WebGpu(Loader<Wgpu>),
}

impl AnyLoader {
    /// See [`Loader::push`].
    pub fn push(&mut self, shard: usize, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Wasm(loader) => loader.push(shard, bytes),
            Self::WebGpu(loader) => loader.push(shard, bytes),
        }
    }

    /// See [`Loader::verify`].
    pub fn verify(&mut self, shard: usize, sha256: &[u8]) -> Result<()> {
        match self {
            Self::Wasm(loader) => loader.verify(shard, sha256),
            Self::WebGpu(loader) => loader.verify(shard, sha256),
        }
    }

    /// See [`Loader::hashed_by_caller`].
    #[must_use]
    pub fn hashed_by_caller(self) -> Self {
        match self {
            Self::Wasm(loader) => Self::Wasm(loader.hashed_by_caller()),
            Self::WebGpu(loader) => Self::WebGpu(loader.hashed_by_caller()),
        }
    }

    /// See [`Loader::finish`].
    pub fn finish(self) -> Result<AnyModel> {
        Ok(match self {
            Self::Wasm(loader) => AnyModel::Wasm(loader.finish()?),
            Self::WebGpu(loader) => AnyModel::WebGpu(loader.finish()?),
        })
    }
}

impl AnyModel {
    /// Shape of the model.
    pub const fn config(&self) -> &Config {
        match self {
            Self::Wasm(model) => model.config(),
            Self::WebGpu(model) => model.config(),
        }
    }

    /// Which heads it has.
    pub const fn heads(&self) -> Heads {
        match self {
            Self::Wasm(model) => model.heads(),
            Self::WebGpu(model) => model.heads(),
        }
    }

    /// Computes the last hidden states and drops them.
    pub async fn run(&self, batch: &Batch) -> Result<()> {
        match self {
            Self::Wasm(model) => model.last_hidden_state(batch).await.map(drop),
            Self::WebGpu(model) => model.last_hidden_state(batch).await.map(drop),
        }
    }

    /// See [`Embedder::embed`].
    pub async fn embed(&self, tokenizer: &WordPiece, embedder: Embedder, texts: &[String]) -> Result<Vec<Embedding>> {
        let texts = texts.iter().map(String::as_str);
        match self {
            Self::Wasm(model) => embedder.embed(model, tokenizer, texts).await,
            Self::WebGpu(model) => embedder.embed(model, tokenizer, texts).await,
        }
    }

    /// See [`Embedder::embed_ids`].
    pub async fn embed_ids(&self, embedder: Embedder, rows: Vec<Vec<u32>>) -> Result<Vec<Embedding>> {
        match self {
            Self::Wasm(model) => embedder.embed_ids(model, rows).await,
            Self::WebGpu(model) => embedder.embed_ids(model, rows).await,
        }
    }

    /// See [`token_vectors`].
    pub async fn token_vectors(&self, tokenizer: &WordPiece, text: &str, layer: usize) -> Result<TokenVectors> {
        match self {
            Self::Wasm(model) => token_vectors(model, tokenizer, text, layer).await,
            Self::WebGpu(model) => token_vectors(model, tokenizer, text, layer).await,
        }
    }

    /// See [`surprise`].
    pub async fn surprise(&self, tokenizer: &WordPiece, text: &str) -> Result<Vec<Surprise>> {
        match self {
            Self::Wasm(model) => surprise(model, tokenizer, text).await,
            Self::WebGpu(model) => surprise(model, tokenizer, text).await,
        }
    }

    /// See [`classify_text`].
    pub async fn classify_text(&self, tokenizer: &WordPiece, text: &str, second: Option<&str>) -> Result<TextClasses> {
        match self {
            Self::Wasm(model) => classify_text(model, tokenizer, text, second).await,
            Self::WebGpu(model) => classify_text(model, tokenizer, text, second).await,
        }
    }

    /// See [`classify_tokens`].
    pub async fn classify_tokens(&self, tokenizer: &WordPiece, text: &str) -> Result<Vec<TokenClass>> {
        match self {
            Self::Wasm(model) => classify_tokens(model, tokenizer, text).await,
            Self::WebGpu(model) => classify_tokens(model, tokenizer, text).await,
        }
    }

    /// See [`Masked::fill`].
    pub async fn fill(&self, masked: &Masked<'_>, top_k: usize) -> Result<Vec<Vec<Filled>>> {
        match self {
            Self::Wasm(model) => masked.fill(model, top_k).await,
            Self::WebGpu(model) => masked.fill(model, top_k).await,
        }
    }

    /// See [`Masked::fill_jointly`].
    pub async fn fill_jointly(&self, masked: &Masked<'_>, top_k: usize) -> Result<Vec<FilledJointly>> {
        match self {
            Self::Wasm(model) => masked.fill_jointly(model, top_k).await,
            Self::WebGpu(model) => masked.fill_jointly(model, top_k).await,
        }
    }
}
