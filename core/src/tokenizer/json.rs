//! `tokenizer.json` into the `tokenizers` crate. The crate panics on some damaged files; they are refused before it sees them.

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::{Error, Result};

/// Reads the file's bytes.
///
/// # Errors
/// [`Error::Tokenizer`] if this is no tokenizer, or one with SentencePiece's normalizer, which no WordPiece model has.
pub(super) fn read(json: &[u8]) -> Result<Tokenizer> {
    let error = |error: serde_json::Error| Error::Tokenizer(format!("expected a Hugging Face tokenizer.json: {error}"));
    // As a whole first: tokenizers 0.23.2 panics on text that stops being JSON inside a decoder (`decoders/mod.rs`, "Helper").
    let value: Value = serde_json::from_slice(json).map_err(error)?;
    // And on a damaged table of this normalizer (`normalizers/mod.rs`, "Precompiled").
    if value.get("normalizer").is_some_and(is_precompiled) {
        return Err(Error::Tokenizer("tokenizer.json: its normalizer is SentencePiece's; expected BERT's".into()));
    }
    serde_json::from_value(value).map_err(error)
}

/// Whether the normalizer, or one of a sequence, is `Precompiled`, by its type or, without one, by its key.
fn is_precompiled(normalizer: &Value) -> bool {
    match normalizer {
        Value::Object(fields) => fields.iter().any(|(key, value)| key == "precompiled_charsmap" || is_precompiled(value)),
        Value::Array(values) => values.iter().any(is_precompiled),
        Value::String(text) => text == "Precompiled",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_on_which_the_crate_panics_are_errors() {
        let told = |json: &str| read(json.as_bytes()).err().unwrap().to_string();
        assert!(told(r#"{"version":"1.0","decoder":{"type":"WordPiece","#).contains("expected a Hugging Face tokenizer.json"));
        assert!(told("{\"decoder\":{\"type\":\"\x01\"}}").contains("tokenizer.json"));
        for normalizer in [
            r#"{"type":"Precompiled","precompiled_charsmap":"AA"}"#,
            r#"{"type":"Precompiled"}"#,
            r#"{"precompiled_charsmap":[1]}"#,
            r#"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Precompiled","precompiled_charsmap":""}]}"#,
        ] {
            assert!(told(&format!(r#"{{"normalizer":{normalizer}}}"#)).contains("SentencePiece"), "{normalizer}");
        }
    }
}
