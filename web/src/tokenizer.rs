//! WordPiece for JavaScript.

use clinicalbert_core::tokenizer::{Case, WordPiece};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::utf16::{Cursor, Range};
use crate::{error, to_js};

/// A WordPiece tokenizer. Its memory lives in wasm: call `free()` when done with it.
#[wasm_bindgen]
pub struct Tokenizer(WordPiece);

#[derive(Debug, Serialize)]
struct Piece<'vocabulary> {
    id: u32,
    token: &'vocabulary str,
    #[serde(flatten)]
    range: Range,
}

#[wasm_bindgen]
impl Tokenizer {
    /// From the text of a `vocab.txt` or of a `tokenizer.json`, told apart by the opening brace of JSON (a vocabulary opens
    /// with `[PAD]`). `lowercase` counts for `vocab.txt` only; `tokenizer.json` states its own.
    ///
    /// # Errors
    /// `tokenizer`: no such file, entries missing or twice.
    #[wasm_bindgen(constructor)]
    pub fn new(source: &str, lowercase: bool) -> Result<Self, JsValue> {
        let word_piece = if source.trim_start().starts_with('{') {
            WordPiece::from_tokenizer_json(source.as_bytes())
        } else {
            WordPiece::from_vocab(source, if lowercase { Case::Uncased } else { Case::Cased })
        };
        word_piece.map(Self).map_err(|error| error::from_core(&error))
    }

    /// The pieces of `text`, `[{id, token, start, end}]` with offsets in UTF-16 code units; no special tokens are added.
    ///
    /// # Errors
    /// `tokenizer` when the tokenizer underneath fails.
    pub fn encode(&self, text: &str) -> Result<JsValue, JsValue> {
        pieces(&self.0, text)
    }

    /// Number of entries.
    #[wasm_bindgen(getter, js_name = vocabSize)]
    pub fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }
}

/// The pieces of a text for JavaScript.
pub fn pieces(tokenizer: &WordPiece, text: &str) -> Result<JsValue, JsValue> {
    let pieces = tokenizer.pieces(text).map_err(|error| error::from_core(&error))?;
    let mut cursor = Cursor::new(text);
    let piece = |piece: &clinicalbert_core::tokenizer::Piece| Piece {
        id: piece.id,
        token: tokenizer.token(piece.id).unwrap_or("[UNK]"),
        range: cursor.range(piece.span),
    };
    to_js(&pieces.iter().map(piece).collect::<Vec<_>>())
}
