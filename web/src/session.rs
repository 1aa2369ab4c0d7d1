//! A model in use: vectors, fillings and pieces for JavaScript.

use std::rc::Rc;

use clinicalbert_core::bert::{Config, Heads};
use clinicalbert_core::tasks::embedding::{Embedder, Embedding};
use clinicalbert_core::tasks::{masked_text::Masked, pooling::Pooling};
use clinicalbert_core::tokenizer::WordPiece;
use js_sys::{Float32Array, Uint32Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::device::Device;
use crate::model::AnyModel;
use crate::tokenizer::pieces;
use crate::utf16::{Cursor, Range};
use crate::{error, from_js, object, to_js};

/// A loaded model with its tokenizer. It holds its memory until `free()`.
#[wasm_bindgen]
pub struct Session(Rc<Loaded>);

/// Kept alive by calls that are under way.
struct Loaded {
    model: AnyModel,
    tokenizer: WordPiece,
    device: Device,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts<'a> {
    device: Device,
    config: &'a Config,
    heads: Heads,
    is_cased: bool,
}

/// What is absent has the command line's default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EmbedOptions {
    pooling: Pooling,
    layer: Option<i32>,
    normalize: bool,
    window: Option<usize>,
    overlap: Option<usize>,
    batch_size: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenOptions {
    layer: Option<i32>,
}

/// A word, and −ln of its probability.
#[derive(Serialize)]
struct Word {
    #[serde(flatten)]
    range: Range,
    nats: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FillOptions {
    top_k: usize,
    jointly: bool,
}

impl Default for FillOptions {
    fn default() -> Self {
        Self { top_k: 5, jointly: false }
    }
}

impl Session {
    pub(crate) fn new(model: AnyModel, tokenizer: WordPiece, device: Device) -> Self {
        Self(Rc::new(Loaded { model, tokenizer, device }))
    }
}

#[wasm_bindgen]
impl Session {
    /// `{device, config, heads, isCased}`; `config` has the keys of `config.json`.
    ///
    /// # Errors
    /// `internal` only.
    #[wasm_bindgen(getter)]
    pub fn facts(&self) -> Result<JsValue, JsValue> {
        let Loaded { model, tokenizer, device } = &*self.0;
        let is_cased = tokenizer.case() == clinicalbert_core::tokenizer::Case::Cased;
        to_js(&Facts { device: *device, config: model.config(), heads: model.heads(), is_cased })
    }

    /// `{data, tokens, windows}`: `hidden_size` numbers a text one after the other, the tokens of each text without special ones, and the
    /// windows that it was cut into.
    ///
    /// # Errors
    /// `invalid-options`, `settings` for an option that the model does not have, `tokenizer`, and those of the device.
    pub async fn embed(&self, texts: Vec<String>, options: JsValue) -> Result<JsValue, JsValue> {
        let loaded = Rc::clone(&self.0);
        let embedder = embedder(options, loaded.model.config())?;
        result(loaded.model.embed(&loaded.tokenizer, embedder, &texts).await)
    }

    /// As `embed`, of rows of ids that are the model's input as they stand; `lengths` says how many of `ids` belong to each row.
    ///
    /// # Errors
    /// As `embed`, and `batch` for a row that is empty, too long or has ids that the model does not know.
    #[wasm_bindgen(js_name = embedIds)]
    pub async fn embed_ids(&self, ids: Vec<u32>, lengths: Vec<u32>, options: JsValue) -> Result<JsValue, JsValue> {
        let loaded = Rc::clone(&self.0);
        let embedder = embedder(options, loaded.model.config())?;
        let mut left = ids.as_slice();
        let mut rows = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (row, rest) = left.split_at_checked(length as usize).ok_or_else(|| error::internal("lengths beyond the ids"))?;
            rows.push(row.to_vec());
            left = rest;
        }
        result(loaded.model.embed_ids(embedder, rows).await)
    }

    /// `{data, isCut}`: `hidden_size` numbers for `[CLS]`, every token and `[SEP]`, one after the other, and whether the end of a text that is
    /// too long was left out.
    ///
    /// # Errors
    /// `invalid-options` for a layer that the model does not have, `tokenizer`, and those of the device.
    #[wasm_bindgen(js_name = tokenVectors)]
    pub async fn token_vectors(&self, text: String, options: JsValue) -> Result<JsValue, JsValue> {
        let loaded = Rc::clone(&self.0);
        let TokenOptions { layer } = from_js(options)?;
        let layer = layer_of(layer, loaded.model.config())?;
        let vectors = loaded.model.token_vectors(&loaded.tokenizer, &text, layer).await.map_err(js)?;
        object([("data", Float32Array::from(vectors.values.as_slice()).into()), ("isCut", vectors.is_cut.into())])
    }

    /// The words of the text and how little the model expects them, `[{start, end, nats}]` with offsets in UTF-16 code units.
    ///
    /// # Errors
    /// `tensor` if the model has no MLM head, `tokenizer`, and those of the device.
    pub async fn surprise(&self, text: String) -> Result<JsValue, JsValue> {
        let loaded = Rc::clone(&self.0);
        let words = loaded.model.surprise(&loaded.tokenizer, &text).await.map_err(js)?;
        let mut cursor = Cursor::new(&text);
        to_js(&words.iter().map(|word| Word { range: cursor.range(word.span), nats: word.nats }).collect::<Vec<_>>())
    }

    /// For every `[MASK]` of the text the likeliest tokens, `[[{score, token, token_str, sequence}]]`; with `jointly` the likeliest
    /// fillings of all together, `[{score, tokens, token_strs, sequence}]`.
    ///
    /// # Errors
    /// `text` without `[MASK]` or if it is too long, `tensor` if the model has no such head, and those of the device.
    #[wasm_bindgen(js_name = fillMask)]
    pub async fn fill_mask(&self, text: String, options: JsValue) -> Result<JsValue, JsValue> {
        let loaded = Rc::clone(&self.0);
        let FillOptions { top_k, jointly } = from_js(options)?;
        if top_k == 0 {
            return Err(error::invalid_options("topK must be at least 1"));
        }
        let model = &loaded.model;
        let masked = Masked::new(&text, &loaded.tokenizer, model.config()).map_err(js)?;
        match jointly {
            true => to_js(&model.fill_jointly(&masked, top_k).await.map_err(js)?),
            false => to_js(&model.fill(&masked, top_k).await.map_err(js)?),
        }
    }

    /// The pieces of `text`, as [`crate::Tokenizer::encode`] gives them.
    ///
    /// # Errors
    /// `tokenizer` when the tokenizer underneath fails.
    pub fn tokenize(&self, text: &str) -> Result<JsValue, JsValue> {
        pieces(&self.0.tokenizer, text)
    }
}

fn embedder(options: JsValue, config: &Config) -> Result<Embedder, JsValue> {
    let options: EmbedOptions = from_js(options)?;
    let default = Embedder::of(config);
    let window = options.window.unwrap_or(default.window);
    Ok(Embedder {
        pooling: options.pooling,
        layer: layer_of(options.layer, config)?,
        window,
        overlap: options.overlap.unwrap_or(window / 4),
        batch_size: options.batch_size.unwrap_or(default.batch_size),
        normalize: options.normalize,
    })
}

/// Number of the hidden state that is meant: the last by default, and negative numbers count from it.
fn layer_of(layer: Option<i32>, config: &Config) -> Result<usize, JsValue> {
    let layers = config.num_hidden_layers;
    let layer = match layer {
        None => Some(layers),
        Some(layer) if layer < 0 => (layers + 1).checked_sub(layer.unsigned_abs() as usize),
        Some(layer) => usize::try_from(layer).ok(),
    };
    let layer = layer.filter(|layer| *layer <= layers);
    layer.ok_or_else(|| error::invalid_options(&format!("layer is not there: the model has {layers} layers")))
}

fn result(embeddings: clinicalbert_core::Result<Vec<Embedding>>) -> Result<JsValue, JsValue> {
    let embeddings = embeddings.map_err(js)?;
    let width = embeddings.first().map_or(0, |embedding| embedding.vector.len());
    let data = Float32Array::new_with_length((embeddings.len() * width) as u32);
    for (number, embedding) in embeddings.iter().enumerate() {
        let (from, to) = (number * width, (number + 1) * width);
        data.subarray(from as u32, to as u32).copy_from(&embedding.vector);
    }
    let counts = |count: fn(&Embedding) -> usize| {
        Uint32Array::from(&embeddings.iter().map(|one| count(one) as u32).collect::<Vec<_>>()[..])
    };
    object([("data", data.into()), ("tokens", counts(|one| one.tokens).into()), ("windows", counts(|one| one.windows).into())])
}

fn js(error: clinicalbert_core::Error) -> JsValue {
    error::from_core(&error)
}
