//! A model on its way in: manifest and vocabulary first, then the shards as they arrive.

use clinicalbert_core::Error;
use clinicalbert_core::tokenizer::{Case, WordPiece};
use clinicalbert_core::weights::web::{Loader, Manifest};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use crate::device::{self, Device, Gpu};
use crate::model::AnyLoader;
use crate::session::Session;
use crate::{error, to_js};

/// Bytes that are copied into this module at once: what JavaScript holds is never here a second time.
const PIECE: usize = 1 << 18;

/// A load under way.
#[wasm_bindgen]
pub struct Loading {
    loader: AnyLoader,
    tokenizer: WordPiece,
    device: Device,
    piece: Vec<u8>,
}

#[wasm_bindgen]
impl Loading {
    /// Ready for the first shard, into wasm.
    ///
    /// # Errors
    /// `manifest-version`, `weights`, `config` or `tensor` for a manifest that cannot be used, `file-size` or `file-hash` for another
    /// vocabulary, `tokenizer`, `out-of-memory`.
    #[wasm_bindgen(js_name = intoWasm)]
    pub fn into_wasm(manifest: &[u8], vocabulary: &[u8]) -> Result<Self, JsValue> {
        let manifest = Manifest::from_json(manifest).map_err(js)?;
        device::check_room(manifest.bytes)?;
        let tokenizer = tokenizer(&manifest, vocabulary).map_err(js)?;
        let loader = Loader::new(device::wasm(), manifest).map(AnyLoader::Wasm).map_err(js)?;
        Ok(Self { loader, tokenizer, device: Device::Wasm, piece: Vec::new() })
    }

    /// Ready for the first shard, onto a GPU.
    ///
    /// # Errors
    /// As `intoWasm`, but `limit` or `out-of-memory` where the GPU has no room.
    #[wasm_bindgen(js_name = ontoGpu)]
    pub fn onto_gpu(manifest: &[u8], vocabulary: &[u8], gpu: &Gpu) -> Result<Self, JsValue> {
        let manifest = Manifest::from_json(manifest).map_err(js)?;
        let tokenizer = tokenizer(&manifest, vocabulary).map_err(js)?;
        let loader = Loader::new(gpu.machine(), manifest).map(AnyLoader::WebGpu).map_err(js)?;
        Ok(Self { loader, tokenizer, device: Device::Webgpu, piece: Vec::new() })
    }

    /// Takes what comes next of a shard; shards come in the manifest's order, in pieces of any size.
    ///
    /// # Errors
    /// `file-missing`, `file-size` or `file-hash` for a shard that is not as the manifest says, and those of the device. The load has failed.
    pub fn push(&mut self, shard: usize, bytes: &Uint8Array) -> Result<(), JsValue> {
        let length = bytes.length() as usize;
        for from in (0..length).step_by(PIECE) {
            let to = length.min(from + PIECE);
            self.piece.resize(to - from, 0);
            bytes.subarray(from as u32, to as u32).copy_to(&mut self.piece);
            self.loader.push(shard, &self.piece).map_err(js)?;
        }
        Ok(())
    }

    /// Leaves hashing to JavaScript, whose SHA-256 is the machine's own; before the first `push`. Every shard then wants `verify`.
    #[wasm_bindgen(js_name = hashedByCaller)]
    #[must_use]
    pub fn hashed_by_caller(self) -> Self {
        Self { loader: self.loader.hashed_by_caller(), ..self }
    }

    /// Compares the SHA-256 of a shard's bytes, as they were pushed, with the manifest's.
    ///
    /// # Errors
    /// `file-hash` for another one. The load has failed.
    pub fn verify(&mut self, shard: usize, sha256: &[u8]) -> Result<(), JsValue> {
        self.loader.verify(shard, sha256).map_err(js)
    }

    /// The model, when all shards are there.
    ///
    /// # Errors
    /// `file-missing` or `file-size` naming the shard that is not whole.
    pub fn finish(self) -> Result<Session, JsValue> {
        let Self { loader, tokenizer, device, .. } = self;
        let model = loader.finish().map_err(js)?;
        Ok(Session::new(model, tokenizer, device))
    }
}

/// A manifest as it stands, checked: what a page has to know before it fetches anything else.
///
/// # Errors
/// As `Loading.intoWasm` for the manifest.
#[wasm_bindgen(js_name = readManifest)]
pub fn read_manifest(manifest: &[u8]) -> Result<JsValue, JsValue> {
    to_js(&Manifest::from_json(manifest).map_err(js)?)
}

fn tokenizer(manifest: &Manifest, vocabulary: &[u8]) -> clinicalbert_core::Result<WordPiece> {
    let facts = &manifest.tokenizer;
    facts.vocabulary.check(vocabulary)?;
    let text = std::str::from_utf8(vocabulary).map_err(|_| Error::Tokenizer("the vocabulary is not UTF-8 text".into()))?;
    let tokenizer = WordPiece::from_vocab(text, if facts.is_cased { Case::Cased } else { Case::Uncased })?;
    let (entries, rows) = (tokenizer.vocab_size(), manifest.config.vocab_size);
    if entries > rows {
        return Err(Error::Tokenizer(format!("the vocabulary has {entries} entries, the model {rows}")));
    }
    Ok(tokenizer)
}

fn js(error: Error) -> JsValue {
    error::from_core(&error)
}
